"""The commits of a local Git repository as versions, asked of the ``git`` executable."""

from __future__ import annotations

import os
import shutil
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..core import git
from ..core.keys import Key
from ..core.model import Version
from ..errors import AmbiguousVersion, InvalidVersion, RegistryUnavailable, UnknownVersion
from ..interfaces import IVersions

ABSENCE_LASTS = 2.0  # seconds: a commit that was only just made must not stay unknown
ANSWER_WITHIN = 10.0  # seconds for one git process; a repository on a dead network drive never answers


@implementer(IVersions)
class GitVersions:
    """The commits of one repository, by 7 to 40 of their digits; branches and tags are not asked for.

    What was found is remembered for good, for a commit never changes; what was absent for :data:`ABSENCE_LASTS`. All who
    ask for one name at once share one look. Nothing is written to the repository.

    :param reactor: IReactorProcess and IReactorTime.
    :param repository: path of a bare repository, or of a work tree with its ``.git``.
    """

    def __init__(self, reactor: Any, app: str, repository: str | os.PathLike[str]) -> None:
        self._reactor = reactor
        self._app = app
        self._repository = os.path.abspath(os.path.expanduser(repository))
        self._known: dict[str, Version] = {}
        self._absent: dict[str, float] = {}  # name -> until when, by the reactor's clock
        self._looks: dict[str, list[Deferred[Version]]] = {}

    def resolve(self, name: str) -> Deferred[Version]:
        if not git.ABBREVIATION.fullmatch(name):
            return fail(InvalidVersion(name))
        if name in self._known:
            return succeed(self._known[name])
        now = self._reactor.seconds()
        self._absent = {absent: until for absent, until in self._absent.items() if until > now}
        if name in self._absent:
            return fail(self._unknown(name))
        waiter: Deferred[Version] = Deferred(lambda gone: self._looks[name].remove(gone))
        if name in self._looks:
            self._looks[name].append(waiter)
        else:
            self._looks[name] = [waiter]
            Deferred.fromCoroutine(self._look(name)).addBoth(self._answer, name)
        return waiter

    def _answer(self, result: Version | Failure, name: str) -> None:
        if isinstance(result, Version):
            self._known[name] = self._known[result.name] = result
        elif result.check(UnknownVersion):
            self._absent[name] = self._reactor.seconds() + ABSENCE_LASTS
        for waiter in self._looks.pop(name):
            if isinstance(result, Failure):
                waiter.errback(Failure(result.value))
            else:
                waiter.callback(result)

    async def _look(self, name: str) -> Version:
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
        return Version(name=commits[0], commit=commits[0])

    def _unknown(self, name: str) -> UnknownVersion:
        return UnknownVersion(Key(self._app, name), self._repository)

    async def _git(self, *arguments: str, stdin: str = "") -> str:
        """What that git command prints. Raises RegistryUnavailable if it does not work."""
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
