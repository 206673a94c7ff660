"""The commits of a real repository, asked of a real git."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor, task
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from grandcentral.core import git
from grandcentral.errors import InvalidVersion, RegistryUnavailable, UnknownVersion
from grandcentral.versions.git import ABSENCE_LASTS, LOOKS, PROCESSES, GitVersions, committed

from ..contracts.versions import ABSENT, VersionsContract

IDENTITY = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def commit_object(tree: str, number: int) -> bytes:
    return f"tree {tree}\nauthor x <x> 1 +0000\ncommitter x <x> 1 +0000\n\n{number}\n".encode()


def digits(kind: bytes, body: bytes, length: int = 7) -> str:
    """The first digits of the name that Git gives to an object."""
    return hashlib.sha1(b"%s %d\0" % (kind, len(body)) + body).hexdigest()[:length]


class Clock:
    """The real reactor with a clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def seconds(self) -> float:
        return reactor.seconds() + self.ahead

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)


class Repository:
    """A repository in a directory of its own; it is also the harness of the contract."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        self.clock = Clock()
        self.git("init", "-q", *options, str(path))
        self.numbers = count()
        self.versions = GitVersions(self.clock, "app", path)

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.path.parent), **IDENTITY}
        where = ["-C", str(self.path)] if self.path.exists() else []
        done = subprocess.run(["git", *where, *arguments], input=stdin, capture_output=True, env=environment, check=True)
        return done.stdout.decode().strip()

    def commit(self) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", f"commit {next(self.numbers)}")
        return self.git("rev-parse", "HEAD")

    async def publish(self) -> str:
        return self.commit()

    async def branch(self, branch: str) -> str:
        name = self.commit()
        self.git("update-ref", f"refs/heads/{branch}", name)
        return name

    async def twins(self) -> tuple[str, str]:
        """Two commits with the same first 7 digits: by trying messages, as the birthday paradox promises, some 20,000."""
        tree = self.git("mktree")
        seen: dict[str, bytes] = {}
        for number in count():
            body = commit_object(tree, number)
            start = digits(b"commit", body)
            if start in seen:
                one, other = (self.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=b) for b in (seen[start], body))
                return one, other
            seen[start] = body
        raise AssertionError

    async def away(self, away: bool) -> None:
        hidden = self.path.with_name("hidden")
        if away:
            self.path.rename(hidden)
        else:
            hidden.rename(self.path)

    def forget(self) -> None:
        self.clock.ahead += ABSENCE_LASTS + 1


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Repository]:
    return Repository(tmp_path / "repository")


repository = harness


class TestContract(VersionsContract):
    pass


@pytest_twisted.ensureDeferred
async def test_the_canonical_name_is_the_whole_commit(repository: Repository) -> None:
    commit = repository.commit()
    version = await repository.versions.resolve(commit[:7])
    assert (version.name, version.commit) == (commit, commit)


@pytest_twisted.ensureDeferred
async def test_a_commit_was_created_when_it_was_committed(repository: Repository) -> None:
    commit = repository.commit()
    version = await repository.versions.resolve(commit)
    assert version.created == float(repository.git("show", "-s", "--format=%ct", commit))
    assert version.branch is None


@pytest.mark.parametrize("body", ["", "tree 1\n\ncommitter x <x> 5 +0000", "committer x <x> soon +0000\n\n"])
def test_a_commit_that_does_not_say_when_is_of_no_age(body: str) -> None:
    assert committed(body) is None


@pytest_twisted.ensureDeferred
async def test_a_branch_that_is_called_like_another_commit_does_not_hide_it(repository: Repository) -> None:
    commit = repository.commit()
    repository.commit()
    repository.git("branch", commit[:7])
    assert (await repository.versions.resolve(commit[:7])).commit == commit


@pytest_twisted.ensureDeferred
async def test_what_is_no_commit_is_unknown(repository: Repository) -> None:
    repository.commit()
    tree = repository.git("rev-parse", "HEAD^{tree}")
    repository.git("tag", "-a", "-m", "tagged", "v1")
    tag = repository.git("rev-parse", "v1")
    for object_name in (tree, tag):
        with pytest.raises(UnknownVersion):
            await repository.versions.resolve(object_name)


@pytest_twisted.ensureDeferred
async def test_a_file_that_begins_like_a_commit_does_not_make_it_ambiguous(repository: Repository) -> None:
    tree = repository.git("mktree")
    commits: dict[str, bytes] = {}
    files: dict[str, bytes] = {}
    for number in count():
        commit, file = commit_object(tree, number), b"%d" % number
        commits[digits(b"commit", commit)] = commit
        files[digits(b"blob", file)] = file
        if same := commits.keys() & {digits(b"blob", file)} | files.keys() & {digits(b"commit", commit)}:
            break
    (start,) = same
    name = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=commits[start])
    repository.git("hash-object", "-w", "--stdin", stdin=files[start])
    assert (await repository.versions.resolve(start)).commit == name


@pytest_twisted.ensureDeferred
async def test_a_repository_with_sha256_names_is_refused_in_so_many_words(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "sha256", "--object-format=sha256")
    with pytest.raises(RegistryUnavailable, match="SHA-256"):
        await repository.versions.resolve(repository.commit()[:12])


@pytest_twisted.ensureDeferred
async def test_an_absent_commit_is_found_soon_after_it_was_made(repository: Repository) -> None:
    tree = repository.git("mktree")
    body = commit_object(tree, 0)
    commit = digits(b"commit", body, 40)
    with pytest.raises(UnknownVersion):
        await repository.versions.resolve(commit)
    repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=body)
    with pytest.raises(UnknownVersion):
        await repository.versions.resolve(commit)
    repository.forget()
    assert (await repository.versions.resolve(commit)).commit == commit


class FakeProcessTransport(StringTransport):
    def closeStdin(self) -> None:
        """Nobody reads it."""

    def signalProcess(self, number: str) -> None:
        """Nobody dies of it."""


class ManyProcesses(task.Clock):
    """Processes that run until the test ends them, saying nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[ProcessProtocol] = []

    def spawnProcess(self, protocol: ProcessProtocol, *arguments: object) -> object:
        self.running.append(protocol)
        protocol.makeConnection(FakeProcessTransport())
        return protocol.transport

    def end_one(self) -> None:
        self.running.pop(0).processEnded(Failure(ProcessDone(0)))


def test_hashes_that_somebody_makes_up_do_not_become_as_many_processes() -> None:
    reactor = ManyProcesses()
    versions = GitVersions(reactor, "app", "/repository")
    refused: list[type[BaseException]] = []
    for number in range(LOOKS + 10):
        versions.resolve(f"{number:07x}").addErrback(lambda failure: refused.append(failure.type))
    assert len(reactor.running) == PROCESSES
    assert refused == [RegistryUnavailable] * 10
    for _ in range(LOOKS):
        reactor.end_one()
    assert reactor.running == []
    assert refused[10:] == [UnknownVersion] * LOOKS


@pytest.mark.parametrize("name", ["", "abcdef", "ABCDEF1", "--all", "HEAD", "abcdef1^", "a" * 41, "abcdef1\n"])
@pytest_twisted.ensureDeferred
async def test_only_hex_digits_reach_git(repository: Repository, name: str) -> None:
    with pytest.raises(InvalidVersion):
        await repository.versions.resolve(name)


@pytest_twisted.ensureDeferred
async def test_a_repository_further_up_is_not_taken_for_the_one_that_is_missing(repository: Repository) -> None:
    commit = repository.commit()
    inside = repository.path / "inside"
    inside.mkdir()
    with pytest.raises(RegistryUnavailable, match="is not a Git repository"):
        await GitVersions(reactor, "app", inside).resolve(commit)


@pytest_twisted.ensureDeferred
async def test_a_repository_that_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnavailable, match=r"nowhere is not there\."):
        await GitVersions(reactor, "app", tmp_path / "nowhere").resolve(ABSENT)


@pytest_twisted.ensureDeferred
async def test_a_broken_repository_is_unavailable_and_not_empty(repository: Repository) -> None:
    commit = repository.commit()
    (repository.path / ".git/HEAD").write_text("nonsense")
    with pytest.raises(RegistryUnavailable):
        await repository.versions.resolve(commit)


@pytest_twisted.ensureDeferred
async def test_without_git_the_error_says_so(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = repository.commit()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RegistryUnavailable, match="git is not installed"):
        await repository.versions.resolve(commit)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
@pytest_twisted.ensureDeferred
async def test_a_repository_of_somebody_else_is_refused_with_the_remedy(repository: Repository) -> None:
    commit = repository.commit()
    for path in (repository.path, repository.path / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(RegistryUnavailable, match=r"safe\.directory"):
        await repository.versions.resolve(commit)


@pytest_twisted.ensureDeferred
async def test_git_variables_of_ours_lead_nowhere_else(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = repository.commit()
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert (await repository.versions.resolve(commit)).commit == commit


def test_complaints_are_sentences_that_name_the_repository() -> None:
    assert git.complaint("/r", "error: x\nfatal: bad thing\n") == "git cannot read the repository /r: bad thing."
    assert git.complaint("/r", "") == "git cannot read the repository /r: it did not say why."


@pytest_twisted.ensureDeferred
async def test_a_commit_that_is_said_to_be_there_is_no_longer_absent(repository: Repository) -> None:
    body = commit_object(repository.git("mktree"), 1)
    name = repository.git("hash-object", "-t", "commit", "--stdin", stdin=body)
    for spelling in (name, name[:7]):
        with pytest.raises(UnknownVersion):
            await repository.versions.resolve(spelling)
    repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=body)
    with pytest.raises(UnknownVersion):
        await repository.versions.resolve(name)
    repository.versions.pushed(name)
    assert (await repository.versions.resolve(name[:7])).name == name


@pytest_twisted.ensureDeferred
async def test_the_head_is_the_branchs_and_no_tags(repository: Repository) -> None:
    name = await repository.branch("main")
    other = repository.commit()
    repository.git("tag", "main", other)
    repository.git("update-ref", "refs/heads/main", name)
    assert (await repository.versions.head("main")).commit == name


# -- what is checked out ------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_head_of_a_repository_is_what_is_checked_out(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    for _ in range(2):
        name = repository.commit()
        assert (await repository.versions.head(git.HEAD)).name == name
    repository.git("checkout", "-q", "--detach", "HEAD~1")
    assert (await repository.versions.head(git.HEAD)).name == repository.git("rev-parse", "HEAD") != name


@pytest_twisted.ensureDeferred
async def test_a_repository_without_commits_has_no_head(tmp_path: Path) -> None:
    with pytest.raises(UnknownVersion):
        await Repository(tmp_path / "r").versions.head(git.HEAD)
