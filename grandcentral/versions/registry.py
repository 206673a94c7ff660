"""The tags of one repository of an image registry as the versions of an app.

Three answers that are never mixed up: it is there (with this digest), it is not there, and nobody knows. What was there once is
remembered in the manifest, and an outage of the registry does not stop it. What an image says of its branch is learned beside
that: the first answer may come without it.

Note [Stale looks]. Builds push several tags at once, and somebody may be waiting for one of them, asking again and again:

    a look: HEAD /v2/app/manifests/main    -> the old digest, or 404, is on its way
    the registry says: main was pushed     -> what was known of main is forgotten, and it is looked up again

That look must not join the one under way, and what the first brings home must not be remembered for a minute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, DeferredLock, TimeoutError, fail, succeed
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent
from zope.interface import implementer

from .. import events
from ..core.keys import GIT_HASH, NAMES, Ambiguous, Key, unify
from ..core.model import Version
from ..core.references import Template
from ..errors import AmbiguousVersion, RegistryUnavailable, UnknownVersion
from ..incidents import report
from ..interfaces import IManifest, IVersions
from .caches import Cache, Flights
from .credentials import Credentials, nobody
from .distribution import Repository
from .origins import Origins
from .tokens import Trust

T = TypeVar("T")

REMEMBERED = 2000  # spellings in each cache
LOOKS = 256  # names looked up at once; beyond that, what is known is answered from memory and the rest is refused


@frozen
class Patience:
    """Seconds."""

    present: float = 60.0  # an answer is good for so long
    absent: float = 5.0  # so is a "no such version"; and an answer from memory, when the registry is away
    listed: float = 5.0  # so is the list of tags
    answer: float = 5.0  # the registry has so long for everything one resolve asks of it


@implementer(IVersions)
class RegistryVersions:
    """One instance for each app.

    :param reactor: IReactorTime; without ``agent`` also what twisted.web.client.Agent needs.
    :param image: the reference with ``{version}`` in its tag, "registry.example.com/quepid:sha-{version}"; or without, for an
        app whose versions all run one image. Raises ValueError if it cannot be used.
    :param git_hash: whether short and long names are spellings of one commit.
    :param insecure: registries, "host" or "host:port", that may be asked over http; loopback always is.
    :param token_hosts: further hosts that may see the credentials; see tokens.py.
    :param agent: who sends the requests; by default an agent with a connection pool of its own, which ``close`` closes.
    :param learned: called with a Version that was resolved before, when its branch or age has become known.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        app: str,
        image: str,
        manifest: IManifest,
        *,
        git_hash: bool = True,
        credentials: Credentials = nobody,
        insecure: frozenset[str] = frozenset(),
        token_hosts: frozenset[str] = frozenset(),
        patience: Patience = Patience(),
        agent: IAgent | None = None,
        learned: Callable[[Version], None] = lambda version: None,
    ) -> None:
        self._template = Template.parse(image)
        if git_hash and not self._template.varies:
            raise ValueError(f"without {{version}} in its tag the image {image!r} is the same for every git hash")
        self._clock = reactor
        self._app = app
        self._manifest = manifest
        self._git_hash = git_hash
        self._patience = patience
        self._pool = _pool(reactor) if agent is None else None
        agent = agent or Agent(reactor, connectTimeout=patience.answer, pool=self._pool)
        trust = Trust(insecure, token_hosts)
        self._repository = Repository(agent, reactor, self._template.sample, credentials, trust)
        self._present: Cache[Version] = Cache(reactor, REMEMBERED)
        self._absent: Cache[UnknownVersion | AmbiguousVersion] = Cache(reactor, REMEMBERED)
        self._listed: Cache[tuple[str, ...]] = Cache(reactor, 1)
        self._looks: Flights[Version] = Flights()
        self._lists: Flights[tuple[str, ...]] = Flights()
        self._naming = DeferredLock()
        self._pushes = 0  # that we were told of
        self._learned = learned
        self._origins = Origins(reactor, self._repository.configuration, self._learn)

    def resolve(self, name: str) -> Deferred[Version]:
        if (version := self._present.fresh(name)) is not None:
            return succeed(self._origins.known(version))
        if (absence := self._absent.fresh(name)) is not None:
            return fail(evolve(absence))
        return self._looks.join(name, lambda: Deferred.fromCoroutine(self._look(name)))

    def head(self, name: str) -> Deferred[Version]:
        return Deferred.fromCoroutine(self._head(name)) if self._git_hash else self.resolve(name)

    def pushed(self, name: str) -> None:
        """What was said of other spellings of a commit is stale as well."""

        def concerns(other: str) -> bool:
            return other == name or (self._git_hash and (other.startswith(name) or name.startswith(other)))

        self._pushes += 1
        self._looks.shut(concerns)
        self._lists.shut(lambda _: True)
        self._present.forget_where(concerns)
        self._absent.forget_where(concerns)
        self._listed.forget("")

    def close(self) -> Deferred[None]:
        """Give up what is being looked up (those who wait get CancelledError) and close the connections."""
        self._looks.cancel()
        self._lists.cancel()
        self._origins.close()
        return succeed(None) if self._pool is None else self._pool.closeCachedConnections()

    # -- one look -------------------------------------------------------------------------------------------------------

    async def _look(self, name: str) -> Version:
        """See Note [Stale looks]."""
        pushes = self._pushes
        try:
            version = await self._in_time(self._ask(name))
        except (UnknownVersion, AmbiguousVersion) as absence:
            if pushes == self._pushes:
                self._absent.set(name, evolve(absence), self._patience.absent)  # a copy: this one holds on to its frames
                self._present.forget(name)
            raise
        except RegistryUnavailable as outage:
            version, seconds = await self._remembered(name, outage), self._patience.absent
        else:
            seconds = self._patience.present
        if pushes == self._pushes:
            self._present.set(name, version, seconds)
        return version

    async def _in_time(self, question: Coroutine[Deferred[Any], Any, T]) -> T:
        """The answer, or RegistryUnavailable when the time is up; whatever was under way has been cancelled by then."""
        seconds = self._patience.answer
        try:
            return await Deferred.fromCoroutine(question).addTimeout(seconds, self._clock)
        except TimeoutError:
            raise RegistryUnavailable(f"{self._repository.host} did not answer within {seconds:g} s.") from None

    async def _ask(self, name: str) -> Version:
        if len(self._looks) > LOOKS:
            raise RegistryUnavailable(f"{self._repository.host} is being asked about {LOOKS} names already.")
        version = await self._tagged(name)
        if version is None and self._git_hash:
            other = self._choose(name, await self._names())
            version = None if other is None else await self._tagged(other)
        if version is None:
            raise UnknownVersion(Key(self._app, name), self._template.text)
        return version

    async def _head(self, branch: str) -> Version:
        """The newest image that says it is of that branch. Registries list tags, not branches: it has been resolved once."""
        newest = await self._newest(branch)
        if newest is None:
            raise UnknownVersion(Key(self._app, branch), self._template.text)
        return await self.resolve(newest.name)

    async def _tagged(self, name: str) -> Version | None:
        """The version whose tag is ``name`` to the letter; None if there is no such tag."""
        reference = self._template.fill(name)
        digest = None if reference is None else await self._repository.digest(reference)
        return None if digest is None else await self._named(name, digest)

    async def _named(self, name: str, digest: str) -> Version:
        """The version under its canonical name, remembered.

        One at a time: "abcdef1" and its 40 digits, asked for at once and both new, would each find nobody there and become
        two names of one commit, hence two stacks.
        """
        async with self._naming:
            known = await self._known(name)
            if self._git_hash:
                same = unify(name, (version.name for version in known if version.digest == digest))
                name = name if isinstance(same, Ambiguous) else same
            version = self._origins.known(_as_known(Version(name, image=self._template.image(name), digest=digest), known))
            if version not in known:  # the manifest does one thing after the other: who looks next finds it
                Deferred.fromCoroutine(self._remember(version)).addErrback(lambda failure: report(self._log, failure))
        if version.created is None:
            self._origins.learn(version)
        return version

    async def _learn(self, name: str, digest: str) -> None:
        """Remember what has become known of a version, unless its tag has moved meanwhile."""
        async with self._naming:
            for version in await self._known(name):
                told = self._origins.known(version)
                if version.name == name and version.digest == digest and told != version:
                    await self._remember(told)
                    self._learned(told)

    async def _remembered(self, name: str, outage: RegistryUnavailable) -> Version:
        """What this spelling meant when the registry was last asked. Raises ``outage`` if it never was."""
        version = self._present.last(name)
        if version is None:
            known = {found.name: found for found in await self._known(name)}
            version = known.get(name)
            if version is None and self._git_hash:
                version = known.get(self._choose(name, known) or name)
        if version is None:
            raise outage
        self._log.warn(events.VERSION_FROM_MEMORY, app=self._app, name=name, why=outage.why)
        return version

    def _choose(self, name: str, names: Iterable[str]) -> str | None:
        """Which of the names another spelling of ``name`` is; None for none. Raises AmbiguousVersion."""
        other = unify(name, names)
        if isinstance(other, Ambiguous):
            raise AmbiguousVersion(name, other.candidates)
        return None if other == name else other

    async def _names(self) -> tuple[str, ...]:
        """The versions that the registry's list of tags names; one list serves all who come within its time."""
        names = self._listed.fresh("")
        if names is not None:
            return names
        return await self._lists.join("", lambda: Deferred.fromCoroutine(self._in_time(self._list())))

    async def _list(self) -> tuple[str, ...]:
        pushes = self._pushes
        names = (self._template.name(tag) for tag in await self._repository.tags())
        hashes = tuple(name for name in names if name is not None and NAMES[GIT_HASH].fullmatch(name))
        if pushes == self._pushes:
            self._listed.set("", hashes, self._patience.listed)
        return hashes

    # -- the manifest: without it we go on, and say so ------------------------------------------------------------------

    async def _known(self, name: str) -> tuple[Version, ...]:
        try:
            return await self._manifest.known_versions(self._app, name)
        except sqlite3.Error as error:
            self._log.error(events.MANIFEST_FAILED, app=self._app, why=error)
            return ()

    async def _newest(self, branch: str) -> Version | None:
        try:
            return await self._manifest.newest(self._app, branch)
        except sqlite3.Error as error:
            self._log.error(events.MANIFEST_FAILED, app=self._app, why=error)
            return None

    async def _remember(self, version: Version) -> None:
        try:
            await self._manifest.remember_version(self._app, version)
        except sqlite3.Error as error:
            self._log.error(events.MANIFEST_FAILED, app=self._app, why=error)


def _as_known(version: Version, known: Iterable[Version]) -> Version:
    """With the branch and the age that this very image was remembered with."""
    for other in known:
        if (other.name, other.digest) == (version.name, version.digest):
            return evolve(version, branch=other.branch, created=other.created)
    return version


def _pool(reactor: Any) -> HTTPConnectionPool:
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = 8
    pool.cachedConnectionTimeout = 30
    return pool
