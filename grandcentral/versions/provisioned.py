"""Names that were provisioned, as versions: exact ones, which are there as long as their row is."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ..core.keys import Key
from ..core.model import Version
from ..interfaces import IManifest, IVersions
from ..stacks import provisioned


@implementer(IVersions)
@frozen(eq=False)
class ProvisionedVersions:
    """Answers come from the manifest, each time: a row counts from the moment at which it is written, and until it ends.

    :param wall: seconds since the epoch.
    :param newest: what every stack of the app runs just now, where that is looked up: the image at its tag, the repository's
        newest commit.
    :param others: what ``newest`` asks, to be closed with us.
    """

    app: str
    manifest: IManifest
    wall: Callable[[], float]
    newest: Callable[[], Deferred[Version]] = lambda: succeed(Version(""))
    others: IVersions | None = None

    def resolve(self, name: str) -> Deferred[Version]:
        return Deferred.fromCoroutine(self._resolve(name))

    async def _resolve(self, name: str) -> Version:
        """The row first: a name that nobody has costs no question to a registry."""
        await provisioned.find(self.manifest, Key(self.app, name), self.wall())
        return evolve(await self.newest(), name=name)

    def head(self, name: str) -> Deferred[Version]:
        return self.resolve(name)

    def pushed(self, name: str) -> None:
        """What is pushed is never a name; it may be what all of them run."""
        if self.others is not None:
            self.others.pushed("")

    def close(self) -> Deferred[None]:
        return succeed(None) if self.others is None else self.others.close()
