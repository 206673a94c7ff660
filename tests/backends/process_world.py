"""A process backend over a real repository, for tests with real processes and real signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from grandcentral.backends.process import ProcessBackend, proc
from grandcentral.backends.process.home import Home
from grandcentral.core.keys import Key
from grandcentral.core.model import Condition, Dependency, Endpoint, Launch, Progress, Service, StackSpec, Version
from grandcentral.core.procfile import CommandTemplate
from grandcentral.errors import Mishap

SERVE = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("listening", flush=True)
while True:
    connection, _ = listening.accept()
    connection.sendall(open("page", "rb").read())
    connection.close()
"""
SLEEP = "exec sleep 1000"


class Repository:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", str(path))

    def git(self, *arguments: str) -> str:
        who = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        where = ["-C", str(self.path)] if self.path.exists() else []
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.path.parent), **who}
        command = ["git", *where, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.path / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "a commit")
        return self.git("rev-parse", "HEAD")


@define
class World:
    """A backend over one repository, the app "app", and what it told."""

    repository: Repository
    state: Path
    backend: ProcessBackend = field(init=False)
    vanished: list[tuple[Key, int, Mishap]] = field(factory=list)
    reports: list[Progress] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.backend = self.another()

    def another(self) -> ProcessBackend:
        """Another backend over the same state, as in the next gateway."""
        backend = ProcessBackend(reactor, self.state, {"app": str(self.repository.path), "lost": "/nonexistent"})
        backend.watch(lambda key, generation, mishap: self.vanished.append((key, generation, mishap)), lambda: None)
        return backend

    def start(
        self, commit: str, spec: StackSpec | str | None = None, generation: int = 1, variables: Mapping[str, str] | None = None
    ) -> Deferred[Endpoint]:
        """Launch a commit as a spec, a command, or (None) its Procfile says."""
        return self.backend.launch(self.what(commit, spec, generation, variables), self.reports.append)

    def restart(self, commit: str, spec: StackSpec | str | None = None) -> Deferred[Endpoint]:
        return self.backend.restart(self.what(commit, spec), self.reports.append)

    def what(
        self, commit: str, spec: StackSpec | str | None = None, generation: int = 1, variables: Mapping[str, str] | None = None
    ) -> Launch:
        if not isinstance(spec, StackSpec):
            spec = CommandTemplate({"web": spec} if spec else None).render({})
        version = Version(commit, commit=commit)
        return Launch(Key("app", commit), generation, version, spec, "x.review.localhost", variables or {})

    async def succeed(self) -> None:
        """From now on ``backend`` is the next gateway's."""
        await self.backend.close()
        self.backend = self.another()
        await self.backend.open()

    def home(self, commit: str) -> Home:
        return Home.of(self.state / "stacks", Key("app", commit))

    def processes(self, commit: str) -> tuple[proc.Seen, ...]:
        """All living processes of a stack."""
        home = self.home(commit)
        record = home.read()
        return proc.members(home.mark, record.leaders() if record else {})

    def pid(self, commit: str, service: str = "web") -> int:
        record = self.home(commit).read()
        assert record is not None
        return record.services[service].pid

    def kill(self, commit: str) -> None:
        """All at once, as the kernel does when memory is short."""
        for seen in self.processes(commit):
            os.kill(seen.pid, signal.SIGKILL)

    def output(self, commit: str, service: str = "web") -> str:
        log = self.home(commit).log(service)
        return log.read_text() if log.exists() else ""


def mentions(pid: int, text: str) -> bool:
    try:
        return pid != os.getpid() and f"{proc.MARK}={text}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


async def until(true: Callable[[], object], within: float = 10.0) -> None:
    deadline = reactor.seconds() + within
    while not true():
        assert reactor.seconds() < deadline, "it did not come true in time"
        await deferLater(reactor, 0.005)


async def page(endpoint: Endpoint) -> str:
    """What the listener of SERVE says, once it listens."""

    def refused() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((endpoint.host, endpoint.port)) != 0

    await until(lambda: not refused())
    with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as connection:
        return connection.makefile().read()


def services(*of: Service, serves: str = "web") -> StackSpec:
    return StackSpec(services=of, serves=serves, port=0)


def shell(name: str, line: str, **more: object) -> Service:
    return Service(name, command=("/bin/sh", "-c", line), **more)  # type: ignore[arg-type]


def after(service: str, condition: Condition) -> tuple[Dependency, ...]:
    return (Dependency(service, condition),)


GATEWAY = textwrap.dedent(
    """
    import json, sys
    from twisted.internet import reactor
    from grandcentral.backends.process import ProcessBackend
    from grandcentral.core.keys import Key
    from grandcentral.core.model import Launch, Version
    from grandcentral.core.procfile import CommandTemplate

    state, repository, commit, *then = sys.argv[1:]
    backend = ProcessBackend(reactor, state, {"app": repository})
    backend.watch(print, print)
    backend.open()
    launch = Launch(Key("app", commit), 5, Version(commit, commit=commit), CommandTemplate().render({}), "x")
    launched = backend.launch(launch, lambda step: None).addCallback(lambda endpoint: print(endpoint.port, flush=True))
    if then == ["stop"]:
        launched.addCallback(lambda _: backend.stop(launch.key))
    reactor.run()
    """
)


@contextmanager
def gateway(world: World, commit: str, *then: str) -> Iterator[subprocess.Popen[str]]:
    """A gateway in a process of its own, launching that commit; and then, if that is said, stopping it."""
    command = [sys.executable, "-c", GATEWAY, str(world.state), str(world.repository.path), commit, *then]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
