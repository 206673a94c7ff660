"""Prewarming: what was pushed to a registry is fetched, or started, before anybody asks for it.

Note [Early news]. Distribution tells of a manifest when it has stored it, and lets the tag point there after that:

    the registry: "main" was pushed, sha256:new    -> what was known of "main" is forgotten, and it is looked up
    that look-up: HEAD /v2/app/manifests/main      -> sha256:old, or 404
    the registry lets "main" be sha256:new

Others have many parts, of which not all know of an image at once. So it is looked up again until it is what was pushed, a few
times: by then the tag may have moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.keys import Key, misnamed
from ..core.model import App, Version
from ..core.problems import Invalid
from ..core.references import Reference, Template
from ..errors import Mishap, Refusal, RegistryUnavailable, UnknownVersion
from ..interfaces import IVersions
from .incidents import log_bug
from .table import StackTable

AT_ONCE = 2  # images that are fetched, or stacks that are started, at the same time
PATIENCE = (0.5, 2.0, 10.0)  # seconds before a version that is not what was pushed is looked up again


@define(eq=False)
class Prewarming:
    """``look()`` is called when a version is known that was not before: it may be the newest of a branch."""

    _clock: IReactorTime
    _table: StackTable
    _look: Callable[[], None]
    _room: DeferredSemaphore = field(factory=lambda: DeferredSemaphore(AT_ONCE), init=False)
    _waiting: dict[Key, str | None] = field(factory=dict, init=False)  # for room, with the digest that was pushed last
    _running: dict[Deferred[None], None] = field(factory=dict, init=False)  # ordered
    _log = Logger(namespace="grandcentral.stacks")

    def pushed(self, images: Iterable[Reference]) -> tuple[Key, ...]:
        """Do what apps want to be done about these images. Returns at once, with the keys of their stacks.

        Told twice is as told once: registries repeat themselves.
        """
        digests = {key: image.digest for image in images for key in stacks_of(image, self._table.apps.values())}
        for key, digest in digests.items():
            self._log.debug(events.IMAGE_PUSHED, key=key)
            app, versions = self._table.apps[key.app], self._table.versions[key.app]
            versions.pushed(key.name)
            if app.prewarm != "off" or app.warm:
                begin, self._waiting[key] = key not in self._waiting, digest
                if begin:
                    self._begin(key, versions)
        return tuple(digests)

    def stop(self) -> None:
        """Give up what is being fetched and what waits; stacks that are being started go on."""
        for work in reversed(list(self._running)):  # those that wait first, or they would get the room of the others
            work.cancel()

    def _begin(self, key: Key, versions: IVersions) -> None:
        work: Deferred[None] = self._room.run(lambda: Deferred.fromCoroutine(self._prewarm(key, versions)))
        self._running[work] = None
        work.addErrback(self._failed, key).addErrback(log_bug).addBoth(lambda _: self._running.pop(work))

    async def _prewarm(self, key: Key, versions: IVersions) -> None:
        digest = self._waiting.pop(key)  # a push from now on may be of another image
        version = await self._resolved(key.name, digest, versions)
        self._look()
        app, key = self._table.apps.get(key.app), Key(key.app, version.name)
        if app is None:
            return
        if app.prewarm == "start":
            await self._table.start(key)
        elif app.prewarm == "pull":
            began = self._clock.seconds()
            await self._table.fetch(key, version)
            self._log.info(events.IMAGE_FETCHED, key=key, seconds=round(self._clock.seconds() - began, 3))

    async def _resolved(self, name: str, digest: str | None, versions: IVersions) -> Version:
        """See Note [Early news]."""
        for delay in PATIENCE:
            try:
                version = await versions.resolve(name)
            except (UnknownVersion, RegistryUnavailable):
                pass
            else:
                if digest in (None, version.digest):
                    return version
            await deferLater(self._clock, delay)
            versions.pushed(name)
        return await versions.resolve(name)

    def _failed(self, failure: Failure, key: Key) -> None:
        if not failure.check(CancelledError):
            failure.trap(Refusal, Mishap, Invalid)
            self._log.warn(events.PREWARM_FAILED, key=key, why=failure.getErrorMessage())


def stacks_of(image: Reference, apps: Iterable[App]) -> Iterator[Key]:
    """The stacks that are started from this image."""
    for app in apps:
        if app.image is None:
            continue
        template = Template.parse(app.image)
        sample = template.sample
        if (sample.domain, sample.repository) != (image.domain, image.repository):
            continue
        if template.varies:
            name = template.name(image.tag)
            if name is not None and misnamed(app.version, name) is None:
                yield Key(app.name, name)
        elif not app.version and image.tag == sample.tag:
            yield Key(app.name)
