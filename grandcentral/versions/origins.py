"""What an image says it was built from: its branch, and when. Asked beside everything else: nobody waits for it.

Source: the OCI image specification, "Image Configuration" (``created``, ``config.Labels``) and "Annotations" (the names).

Labels are inherited: an image that is built on another has that one's, unless it sets its own, and base images do name branches
of theirs (``ubuntu`` is one). So a standard label counts only beside a revision that is the version's own; a label in our own
name is nobody else's, and always counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from math import inf
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.keys import GIT_HASH, NAMES
from ..core.model import Version
from ..errors import RegistryUnavailable
from ..incidents import report
from .caches import Cache

REMEMBERED = 2000  # digests
QUEUED = 256  # digests that wait to be asked about; what is beyond is asked about when it is looked up again
LATER = 1.0  # seconds: whoever asked for the version, and the engine's own pull, come first
WITHIN = 10.0  # seconds for one image
AGAIN = 600.0  # seconds after which one that could not be asked about is asked about again

BRANCH = "grandcentral.branch"
_STANDARD = "org.opencontainers.image."
_OLDEST = 365 * 86400.0  # reproducible builds say 1970 for "I won't say"


@frozen
class Origin:
    """``revision`` is what the standard labels are about. None: it is not said."""

    branch: str | None = None  # in our own label
    revision: str | None = None
    ref: str | None = None  # in the standard label: a branch, or a tag
    labelled: float | None = None  # wall seconds: the time in the standard label
    created: float | None = None  # wall seconds: when the image was made

    def of(self, version: Version) -> Version:
        """The version with what its image says of it; what is known already stays."""
        own = self.revision is not None and _same(self.revision, version.name)
        return evolve(
            version,
            branch=version.branch or self.branch or (self.ref if own else None),
            created=version.created or (self.labelled if own else None) or self.created,
        )


def _same(revision: str, name: str) -> bool:
    """Whether a version of that name may be of that revision: only hashes can be compared."""
    revision = revision.lower()
    return (
        not NAMES[GIT_HASH].fullmatch(name) or revision.startswith(name) or (len(revision) >= 7 and name.startswith(revision))
    )


def read(configuration: Mapping[str, Any]) -> Origin:
    """What is said in the configuration of an image. Things of the wrong type, or without sense, are not said."""
    inner = configuration.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    said = labels if isinstance(labels, dict) else {}
    return Origin(
        _name(said.get(BRANCH)),
        _name(said.get(f"{_STANDARD}revision")),
        _name(said.get(f"{_STANDARD}ref.name")),
        _moment(said.get(f"{_STANDARD}created")),
        _moment(configuration.get("created")),
    )


def _name(said: object) -> str | None:
    text = said.strip().removeprefix("refs/heads/") if isinstance(said, str) else ""
    return text if 0 < len(text) <= 255 and text.isprintable() else None


def _moment(said: object) -> float | None:
    """Wall seconds of an RFC 3339 time; None for what is none, and for what is too old to be meant."""
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
        seconds = moment.timestamp() if moment is not None and moment.tzinfo is not None else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > _OLDEST else None


@define(eq=False)
class Origins:
    """Asks about digests one after the other, each once.

    :param ask: gives the configuration of the image behind a digest; raises RegistryUnavailable.
    :param learned: called with the name and the digest, when ``known`` has something new.
    """

    _clock: IReactorTime
    _ask: Callable[[str], Coroutine[Deferred[Any], Any, Mapping[str, Any]]]
    _learned: Callable[[str, str], Awaitable[None]]
    _known: Cache[Origin] = field(init=False)
    _queue: dict[str, str] = field(factory=dict, init=False)  # digest -> name
    _asking: Deferred[None] | None = field(default=None, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._known = Cache(self._clock, REMEMBERED)

    def known(self, version: Version) -> Version:
        """The version, with what is known of its origin by now."""
        origin = None if version.digest is None else self._known.last(version.digest)
        return version if origin is None else origin.of(version)

    def learn(self, version: Version) -> None:
        """Ask about it in a while, if that has not been done."""
        digest = version.digest
        if digest is None or self._known.fresh(digest) is not None or len(self._queue) >= QUEUED:
            return
        self._queue.setdefault(digest, version.name)
        if self._asking is None:
            self._asking = Deferred.fromCoroutine(self._work()).addErrback(self._ended_badly)

    def close(self) -> None:
        self._queue.clear()
        if self._asking is not None:
            self._asking.cancel()

    def _ended_badly(self, failure: Failure) -> None:
        self._asking = None
        if not failure.check(CancelledError):
            self._queue.clear()
            report(self._log, failure)

    async def _work(self) -> None:
        await deferLater(self._clock, LATER)
        while self._queue:
            digest, name = next(iter(self._queue.items()))
            try:
                configuration = await Deferred.fromCoroutine(self._ask(digest)).addTimeout(WITHIN, self._clock)
            except (RegistryUnavailable, TimeoutError) as problem:
                why = problem.why if isinstance(problem, RegistryUnavailable) else f"there is no answer within {WITHIN:g} s."
                self._log.debug(events.ORIGIN_UNKNOWN, name=name, digest=digest, why=why)
                self._known.set(digest, Origin(), AGAIN)
            else:
                self._known.set(digest, read(configuration), inf)
                await self._learned(name, digest)
            self._queue.pop(digest, None)
        self._asking = None
