"""The commits of a local Git repository as versions, asked of the ``git`` executable."""

from __future__ import annotations

import os
import re
import shutil
from math import inf
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..core import git
from ..core.keys import Key
from ..core.model import Version
from ..errors import AmbiguousVersion, InvalidVersion, RegistryUnavailable, UnknownVersion
from ..interfaces import IVersions
from .caches import Cache, Flights

ABSENCE_LASTS = 2.0  # seconds: a commit that was only just made must not stay unknown
REMEMBERED = 2000  # spellings in each cache
LOOKS = 256  # names looked up at once; beyond that, what is known is answered from memory and the rest is refused
PROCESSES = 4  # of git at once, for each repository
ANSWER_WITHIN = 10.0  # seconds for one git process; a repository on a dead network drive never answers


@implementer(IVersions)
class GitVersions:
    """The commits of one repository, by 7 to 40 of their digits; tags are not asked for, branches for their heads only.

    What was found is remembered, for a commit never changes; what was absent for :data:`ABSENCE_LASTS`. All who ask for one
    name at once share one look, and few looks run at once, for names come from whoever types them. Nothing is written to the
    repository.

    :param reactor: IReactorProcess and IReactorTime.
    :param repository: path of a bare repository, or of a work tree with its ``.git``.
    """

    def __init__(self, reactor: Any, app: str, repository: str | os.PathLike[str]) -> None:
        self._reactor = reactor
        self._app = app
        self._repository = os.path.abspath(os.path.expanduser(repository))
        self._known: Cache[Version] = Cache(reactor, REMEMBERED)
        self._absent: Cache[bool] = Cache(reactor, REMEMBERED)
        self._looks: Flights[Version] = Flights()
        self._running = DeferredSemaphore(PROCESSES)

    def close(self) -> Deferred[None]:
        self._looks.cancel()
        return succeed(None)

    def resolve(self, name: str) -> Deferred[Version]:
        if not git.ABBREVIATION.fullmatch(name):
            return fail(InvalidVersion(name))
        if (version := self._known.fresh(name)) is not None:
            return succeed(version)
        if self._absent.fresh(name):
            return fail(self._unknown(name))
        return self._looks.join(name, lambda: Deferred.fromCoroutine(self._look(name)))

    def head(self, name: str) -> Deferred[Version]:
        return Deferred.fromCoroutine(self._head(name))

    def pushed(self, name: str) -> None:
        self._absent.forget_where(lambda other: other.startswith(name) or name.startswith(other))

    async def _head(self, branch: str) -> Version:
        if branch == git.HEAD:
            return await self._checked_out()
        # Not `rev-parse BRANCH`, for which a tag or a commit may be called like it; a pattern may match more than it says.
        name = f"refs/heads/{branch}"
        listed = await self._git("for-each-ref", "--format=%(objectname) %(refname)", name)
        for line in listed.splitlines():
            commit, _, reference = line.partition(" ")
            if reference == name:
                return await self.resolve(commit)
        raise self._unknown(branch)

    async def _checked_out(self) -> Version:
        # Not `rev-parse HEAD`, which calls a repository without commits a broken one.
        said = await self._git("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=f"{git.HEAD}\n")
        commit, _, kind = said.strip().partition(" ")
        if kind != "commit":
            raise self._unknown(git.HEAD)
        return await self.resolve(commit)

    async def _look(self, name: str) -> Version:
        if len(self._looks) > LOOKS:
            raise RegistryUnavailable(f"git is being asked about {LOOKS} names in {self._repository} already.")
        try:
            version = await self._find(name)
        except UnknownVersion:
            self._absent.set(name, True, ABSENCE_LASTS)
            raise
        for spelling in {name, version.name}:
            self._known.set(spelling, version, inf)
        return version

    async def _find(self, name: str) -> Version:
        # Not `rev-parse NAME`: a branch that is called like a hash would win over the commit.
        objects = await self._git("rev-parse", f"--disambiguate={name}")
        types = await self._git("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=objects) if objects else ""
        commits = [line.partition(" ")[0] for line in types.splitlines() if line.endswith(" commit")]
        if not commits:
            raise self._unknown(name)
        if len(commits) > 1:
            raise AmbiguousVersion(name, tuple(commits))
        if not git.COMMIT.fullmatch(commits[0]):
            raise RegistryUnavailable(f"{self._repository} names its commits by SHA-256; only SHA-1 is supported.")
        return Version(name=commits[0], commit=commits[0], created=committed(await self._git("cat-file", "commit", commits[0])))

    def _unknown(self, name: str) -> UnknownVersion:
        return UnknownVersion(Key(self._app, name), self._repository)

    async def _git(self, *arguments: str, stdin: str = "") -> str:
        """What that git command prints. Raises RegistryUnavailable if it does not work."""
        async with self._running:
            return await self._talk(arguments, stdin)

    async def _talk(self, arguments: tuple[str, ...], stdin: str) -> str:
        executable = shutil.which("git")
        if executable is None:
            raise RegistryUnavailable(git.NOT_INSTALLED)
        talk = _Talk(stdin.encode())
        transport = self._reactor.spawnProcess(
            talk,
            executable,
            git.command(self._repository, *arguments),
            git.environment(os.environ, self._repository),
        )
        deadline = self._reactor.callLater(ANSWER_WITHIN, transport.signalProcess, "KILL")
        said = await talk.ended
        if not deadline.active():
            raise RegistryUnavailable(f"git did not answer about {self._repository} within {ANSWER_WITHIN:.0f} s.")
        deadline.cancel()
        if not said.succeeded or said.errors.startswith(("error:", "fatal:")):
            raise RegistryUnavailable(git.complaint(self._repository, said.errors))
        return said.output


def committed(commit: str) -> float | None:
    """When a commit object, as ``git cat-file`` prints it, was committed: seconds since the epoch. None if it does not say."""
    found = _COMMITTER.search(commit.partition("\n\n")[0])
    return float(found[1]) if found else None


_COMMITTER = re.compile(r"^committer .*> ([0-9]{1,12}) [+-][0-9]{4}$", re.MULTILINE)


@frozen
class _Said:
    succeeded: bool
    output: str
    errors: str


@define(eq=False)
class _Talk(ProcessProtocol):
    """Writes to a process, reads what it prints, and fires ``ended`` with it once the process has been reaped."""

    stdin: bytes
    ended: Deferred[_Said] = field(factory=Deferred)
    _output: list[bytes] = field(factory=list)
    _errors: list[bytes] = field(factory=list)

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.stdin)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._output.append(data)

    def errReceived(self, data: bytes) -> None:
        self._errors.append(data)

    def processEnded(self, reason: Failure) -> None:
        output, errors = (b"".join(parts).decode(errors="replace") for parts in (self._output, self._errors))
        self.ended.callback(_Said(reason.check(ProcessDone) is not None, output, errors))
