"""Stacks as processes of this machine: real repositories, real processes, real signals."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from grandcentral.backends.process import ProcessBackend, launching, logs, proc
from grandcentral.backends.process.ports import FIRST, LAST, Ports
from grandcentral.core.keys import Key
from grandcentral.core.model import (
    Condition,
    Endpoint,
    Found,
    HealthCheck,
    Launch,
    Service,
    Version,
)
from grandcentral.core.procfile import CommandTemplate
from grandcentral.errors import (
    EngineRefused,
    EngineUnavailable,
    ImageUnavailable,
    Mishap,
    NothingKept,
    ServiceExited,
    ServiceUnhealthy,
)
from grandcentral.interfaces import IBackend

from .process_world import SERVE, SLEEP, World, after, gateway, page, services, shell, until

# -- launching


def test_it_is_a_backend(tmp_path: Path) -> None:
    verifyObject(IBackend, ProcessBackend(reactor, tmp_path, {}))


@pytest_twisted.ensureDeferred
async def test_versions_run_side_by_side_each_with_its_own_page(world: World) -> None:
    web = f"web: {sys.executable} serve.py\n"
    commits = [world.repository.commit(page=f"page {number}", Procfile=web, **{"serve.py": SERVE}) for number in range(3)]
    endpoints = [await world.start(commit) for commit in commits]
    assert [await page(endpoint) for endpoint in endpoints] == ["page 0", "page 1", "page 2"]
    assert len(set(endpoints)) == 3


@pytest_twisted.ensureDeferred
async def test_the_start_is_reported_step_by_step(world: World) -> None:
    commit = world.repository.commit(Procfile=f"release: true\nweb: {SLEEP}")
    await world.start(commit)
    assert [(step.phase, step.service, step.done) for step in world.reports] == [
        ("pull", "", False),
        ("pull", "", True),
        ("create", "release", False),
        ("create", "release", True),
        ("loader", "release", False),
        ("loader", "release", True),
        ("create", "web", False),
        ("create", "web", True),
    ]


@pytest_twisted.ensureDeferred
async def test_the_repository_is_left_as_it_was(world: World) -> None:
    commit = world.repository.commit(file="x")
    (world.repository.path / "file").write_text("changed, and not yet committed")

    def contents() -> dict[str, str]:
        files = (path for path in world.repository.path.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() + str(path.stat().st_mtime_ns) for path in files}

    before = contents()
    await world.start(commit, SLEEP)
    assert (world.home(commit).tree / "file").read_text() == "x"
    await world.backend.halt(Key("app", commit), grace=False)
    assert contents() == before


@pytest_twisted.ensureDeferred
async def test_the_work_tree_is_a_repository_of_its_own_at_that_commit(world: World) -> None:
    commit = world.repository.commit(file="x")
    world.repository.commit(file="y")
    await world.start(commit, f"git rev-parse HEAD; git status --short; echo over; {SLEEP}")
    await until(lambda: "over" in world.output(commit))
    assert world.output(commit) == f"{commit}\nover\n"


@pytest_twisted.ensureDeferred
async def test_a_service_finds_what_it_needs_in_its_environment_and_no_secret_of_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANDCENTRAL_ADMIN_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LC_TIME", "C")
    commit = world.repository.commit()
    template = CommandTemplate({"web": f"env; echo over; {SLEEP}"}, environment={"COLOUR": "${VERSION}"})
    spec = template.render({"VERSION": "blue"})
    endpoint = await world.start(commit, spec, variables={"GRANDCENTRAL_URL": "http://x/", "VERSION": "blue"})
    await until(lambda: "over" in world.output(commit))
    found = dict(line.partition("=")[::2] for line in world.output(commit).splitlines())
    assert found["PORT"] == str(endpoint.port)
    assert (found["HOST"], found["COLOUR"], found["LC_TIME"]) == ("127.0.0.1", "blue", "C")
    assert found["GRANDCENTRAL_URL"] == "http://x/"
    assert found["PATH"] == os.environ["PATH"]
    assert not found.keys() & {"GRANDCENTRAL_ADMIN_TOKEN", "AWS_SECRET_ACCESS_KEY", "VERSION"}


@pytest_twisted.ensureDeferred
async def test_the_release_task_ends_before_anything_else_begins_and_runs_once(world: World) -> None:
    commit = world.repository.commit(Procfile=f"web: cat released; {SLEEP}\nrelease: sleep 0.1; echo once >> released\n")
    await world.start(commit)
    await until(lambda: world.output(commit))
    assert world.output(commit) == "once\n"


@pytest_twisted.ensureDeferred
async def test_a_release_task_that_fails_fails_the_launch_with_its_last_words(world: World) -> None:
    commit = world.repository.commit(Procfile=f"release: echo no table; exit 3\nweb: {SLEEP}\n")
    with pytest.raises(ServiceExited) as caught:
        await world.start(commit)
    assert (caught.value.service, caught.value.status, str(caught.value)) == ("release", 3, "release ended with status 3.")
    assert [(tail.service, tail.lines) for tail in caught.value.logs] == [("release", ("no table",))]
    assert world.processes(commit) == ()
    assert world.vanished == []


@pytest_twisted.ensureDeferred
async def test_a_service_that_ends_at_once_fails_the_launch(world: World) -> None:
    commit = world.repository.commit()
    with pytest.raises(ServiceExited, match=r"web ended with status 1\.") as caught:
        await world.start(commit, "echo broken >&2; exit 1")
    assert caught.value.logs[0].lines == ("broken",)
    assert world.vanished == []


@pytest_twisted.ensureDeferred
async def test_a_service_that_ends_while_another_is_waited_for_fails_the_launch_at_once(world: World) -> None:
    commit = world.repository.commit()
    spec = services(
        shell("db", "sleep 0.1; exit 7"),
        shell("loader", SLEEP, depends_on=after("db", Condition.STARTED)),
        shell("web", SLEEP, depends_on=after("loader", Condition.COMPLETED)),
    )
    with pytest.raises(ServiceExited, match=r"db ended with status 7\."):
        await world.start(commit, spec)


@pytest_twisted.ensureDeferred
async def test_a_health_check_is_waited_for(world: World) -> None:
    commit = world.repository.commit()
    check = HealthCheck(("/bin/sh", "-c", "test -e up"))
    spec = services(
        shell("db", f"sleep 0.2; touch up; {SLEEP}", healthcheck=check),
        shell("web", f"ls up; {SLEEP}", depends_on=after("db", Condition.HEALTHY)),
    )
    await world.start(commit, spec)
    await until(lambda: world.output(commit))
    assert world.output(commit) == "up\n"


@pytest_twisted.ensureDeferred
async def test_a_service_that_stays_unhealthy_fails_the_launch(world: World) -> None:
    commit = world.repository.commit()
    check = HealthCheck(("/bin/sh", "-c", "echo sick; exit 1"), interval=0.1, retries=2)
    with pytest.raises(ServiceUnhealthy) as caught:
        await world.start(commit, services(shell("web", f"echo hello; {SLEEP}", healthcheck=check)))
    assert caught.value.service == "web"
    assert [tail.lines[:1] for tail in caught.value.logs] == [("hello",), ("sick",)]


@pytest_twisted.ensureDeferred
async def test_a_health_check_that_hangs_is_killed_and_counts_as_failed(world: World) -> None:
    commit = world.repository.commit()
    check = HealthCheck(("/bin/sh", "-c", SLEEP), timeout=0.05, interval=0.1, retries=1)
    with pytest.raises(ServiceUnhealthy):
        await world.start(commit, services(shell("web", "exec sleep 999", healthcheck=check)))
    assert [seen.pid for seen in world.processes(commit)] == [world.pid(commit)]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"file": "x"}, "This commit has no Procfile. Add one, or give the app a command."),
        ({"Procfile": "web python"}, "The Procfile of this commit cannot be used: Procfile:1: write 'name: command'"),
        ({"Procfile": "api: serve"}, "no 'web' that could answer requests; there is api"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_commit_without_a_usable_procfile_is_refused(world: World, files: dict[str, str], says: str) -> None:
    commit = world.repository.commit(**files)
    with pytest.raises(EngineRefused) as caught:
        await world.start(commit)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (Service("web", image="nginx"), "has no command"),
        (Service("web", command=("/nonexistent/program",)), "/nonexistent/program cannot be started"),
        (Service("web", command=("true",), working_dir="nowhere"), "nowhere"),
        (Service("web", command=("true",), stop_signal="SIGNONE"), "There is no signal 'SIGNONE'"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_run_is_refused(world: World, service: Service, says: str) -> None:
    commit = world.repository.commit()
    with pytest.raises(EngineRefused, match=says):
        await world.start(commit, services(service))


@pytest_twisted.ensureDeferred
async def test_a_fixed_port_is_refused(world: World) -> None:
    commit = world.repository.commit()
    with pytest.raises(EngineRefused, match="Port 3000 is fixed"):
        await world.start(commit, evolve(services(shell("web", SLEEP)), port=3000))


@pytest_twisted.ensureDeferred
async def test_a_commit_that_has_gone_cannot_be_had(world: World) -> None:
    world.repository.commit()
    with pytest.raises(ImageUnavailable, match="git cannot read the repository"):
        await world.start("0123456789abcdef0123456789abcdef01234567", SLEEP)


@pytest_twisted.ensureDeferred
async def test_a_repository_that_is_not_there_cannot_be_used(world: World) -> None:
    spec = CommandTemplate({"web": SLEEP}).render({})
    launch = Launch(Key("lost", "a" * 40), 1, Version("a" * 40, commit="a" * 40), spec, "x")
    with pytest.raises(ImageUnavailable, match="/nonexistent is not there"):
        await world.backend.launch(launch, world.reports.append)


@pytest_twisted.ensureDeferred
async def test_without_git_the_backend_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = world.repository.commit()
    await world.backend.check()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EngineUnavailable, match="git is not installed"):
        await world.backend.check()
    with pytest.raises(EngineUnavailable, match="git is not installed"):
        await world.start(commit, SLEEP)


# -- ports


@pytest_twisted.ensureDeferred
async def test_a_port_that_somebody_else_took_is_left_to_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "LISTENS_WITHIN", 5.0)
    commit = world.repository.commit(page="mine", **{"serve.py": SERVE})
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        choose = world.backend._ports.choose
        ports = iter([stranger.getsockname()[1]])
        monkeypatch.setattr(world.backend._ports, "choose", lambda taken, before: next(ports, None) or choose(taken))
        endpoint = await world.start(commit, f"exec {sys.executable} serve.py")
        assert endpoint.port != stranger.getsockname()[1]
    assert await page(endpoint) == "mine"
    assert world.vanished == []


@pytest_twisted.ensureDeferred
async def test_a_listener_further_down_the_family_is_ours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "LISTENS_WITHIN", 5.0)
    commit = world.repository.commit(page="mine", **{"serve.py": SERVE})
    endpoint = await world.start(commit, f"{sys.executable} serve.py & wait")
    record = world.home(commit).read()
    assert record is not None
    assert record.services["web"].port == endpoint.port
    assert world.output(commit) == "listening\n"


# -- vanishing


@pytest_twisted.ensureDeferred
async def test_a_service_that_dies_is_told_at_once_with_signal_and_last_words(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, f"echo 1; echo 2; {SLEEP}", generation=7)
    await until(lambda: "2" in world.output(commit))
    began = reactor.seconds()
    os.kill(world.pid(commit), signal.SIGKILL)
    await until(lambda: world.vanished)
    assert reactor.seconds() - began < 0.25
    ((key, generation, mishap),) = world.vanished
    assert (key, generation) == (Key("app", commit), 7)
    assert isinstance(mishap, ServiceExited)
    assert (str(mishap), mishap.service, mishap.status) == ("web was ended by SIGKILL.", "web", -signal.SIGKILL)
    assert mishap.logs[0].lines == ("1", "2")


@pytest_twisted.ensureDeferred
async def test_a_service_that_ends_well_is_missed_as_well(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, "while ! [ -e go ]; do sleep 0.01; done")
    (world.home(commit).tree / "go").touch()
    await until(lambda: world.vanished)
    assert str(world.vanished[0][2]) == "web ended with status 0."


@pytest_twisted.ensureDeferred
async def test_a_stack_that_loses_two_services_vanishes_once(world: World) -> None:
    commit = world.repository.commit(Procfile=f"web: {SLEEP}\nworker: {SLEEP}\n")
    await world.start(commit)
    for service in ("web", "worker"):
        os.kill(world.pid(commit, service), signal.SIGTERM)
    await until(lambda: world.processes(commit) == ())
    await until(lambda: world.vanished)
    assert len(world.vanished) == 1


@pytest_twisted.ensureDeferred
async def test_what_is_halted_does_not_vanish(world: World) -> None:
    commit = world.repository.commit()
    before = zombies()
    await world.start(commit, SLEEP)
    await world.backend.halt(Key("app", commit), grace=True)
    await until(lambda: zombies() <= before)
    assert world.vanished == []


def zombies() -> set[int]:
    children = (look for pid in os.listdir("/proc") if pid.isdigit() and (look := parent_and_state(pid)) is not None)
    return {pid for pid, parent, state in children if parent == os.getpid() and state == "Z"}


def parent_and_state(pid: str) -> tuple[int, int, str] | None:
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(pid), int(parent), state


# -- halting


@pytest_twisted.ensureDeferred
async def test_halt_leaves_nothing_whatever_the_processes_did(world: World) -> None:
    commit = world.repository.commit()
    stubborn = "trap '' TERM; sleep 1000 & (sleep 1001 &) ; setsid sleep 1002 & while :; do sleep 1; done"
    await world.start(commit, services(shell("web", stubborn, stop_grace_period=0.1)))
    await until(lambda: len(world.processes(commit)) >= 4)
    before = {seen.pid for seen in world.processes(commit)}
    await world.backend.halt(Key("app", commit), grace=True)
    assert not {seen.pid for pid in before if (seen := proc.look(pid)) is not None and seen.alive}
    assert list((world.state / "stacks").iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_a_process_that_overwrote_its_environment_is_found_by_its_session(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, "env -i sleep 1000 & wait")
    await until(lambda: len(world.processes(commit)) == 2)
    pids = [seen.pid for seen in world.processes(commit)]
    await world.backend.halt(Key("app", commit), grace=False)
    assert [seen for pid in pids if (seen := proc.look(pid)) is not None and seen.alive] == []


@pytest.mark.parametrize(("grace", "last_words"), [(True, "bye\n"), (False, "")])
@pytest_twisted.ensureDeferred
async def test_services_get_their_grace_when_asked_for(world: World, tmp_path: Path, grace: bool, last_words: str) -> None:
    commit = world.repository.commit()
    words = tmp_path / "words"
    words.touch()
    # No command in the foreground after the trap: a signal that meets dash just after its vfork is lost.
    line = f"trap 'echo bye >> {words}; kill $!; exit' INT; sleep 600 & : > ready; wait"
    await world.start(commit, services(shell("web", line, stop_signal="SIGINT")))
    await until(lambda: (world.home(commit).tree / "ready").exists())
    await world.backend.halt(Key("app", commit), grace=grace)
    assert words.read_text() == last_words


@pytest_twisted.ensureDeferred
async def test_halt_is_idempotent_and_knows_what_was_never_there(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    for _ in range(2):
        await world.backend.halt(Key("app", commit), grace=True)
    await world.backend.halt(Key("app", "never"), grace=True)


@pytest_twisted.ensureDeferred
async def test_a_halted_stack_can_be_launched_again_on_another_port(world: World) -> None:
    commit = world.repository.commit()
    first = await world.start(commit, SLEEP)
    await world.backend.halt(Key("app", commit), grace=True)
    assert await world.start(commit, SLEEP, generation=2) != first


@pytest_twisted.ensureDeferred
async def test_read_only_directories_are_removed_too(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, f"mkdir -p cache/deep; touch cache/deep/file; chmod -R a-w cache; echo over; {SLEEP}")
    await until(lambda: "over" in world.output(commit))
    await world.backend.halt(Key("app", commit), grace=True)
    assert not world.home(commit).exists()


# -- giving up


@pytest.fixture
def slow_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git whose checkouts hang as long as the file is there: those of the commit named in it, or all."""
    hang = tmp_path / "hang"
    hang.touch()
    directory = tmp_path / "bin"
    directory.mkdir()
    real = subprocess.run(["/bin/sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    (directory / "git").write_text(
        f"""#!/bin/sh
        case "$*" in *read-tree*"$(cat {hang})") while [ -e {hang} ]; do sleep 0.02; done;; esac
        exec {real} "$@"
        """
    )
    (directory / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    yield hang
    hang.unlink(missing_ok=True)


@pytest_twisted.ensureDeferred
async def test_a_launch_given_up_in_its_checkout_creates_nothing_more(world: World, slow_git: Path) -> None:
    commit = world.repository.commit(file="x")
    launched = world.start(commit, SLEEP)
    await until(lambda: (world.home(commit).tree / ".git/HEAD").exists() and world.processes(commit))
    launched.cancel()
    with pytest.raises(CancelledError):
        await launched
    await until(lambda: world.processes(commit) == ())  # killed with git, and may take a moment to be gone
    slow_git.unlink()
    await world.backend.halt(Key("app", commit), grace=True)
    assert list((world.state / "stacks").iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_one_slow_checkout_delays_no_other(world: World, slow_git: Path) -> None:
    slow, quick = world.repository.commit(file="slow"), world.repository.commit(file="quick")
    slow_git.write_text(slow)
    held = world.start(slow, SLEEP)
    await until(lambda: (world.home(slow).tree / ".git/HEAD").exists() and world.processes(slow))
    await world.start(quick, SLEEP)
    assert not held.called
    slow_git.unlink()
    await held


@pytest_twisted.ensureDeferred
async def test_a_launch_given_up_while_its_release_runs_starts_nothing_more(world: World) -> None:
    commit = world.repository.commit(Procfile=f"release: {SLEEP}\nweb: {SLEEP}")
    launched = world.start(commit)
    await until(lambda: world.home(commit).log("release").exists())
    launched.cancel()
    with pytest.raises(CancelledError):
        await launched
    await world.backend.halt(Key("app", commit), grace=True)
    assert world.processes(commit) == ()


# -- sleep


@pytest_twisted.ensureDeferred
async def test_a_paused_stack_is_frozen_whole_and_thaws_whole(world: World) -> None:
    commit = world.repository.commit()
    endpoint = await world.start(commit, "sleep 1000 & setsid sleep 1001 & wait")
    await until(lambda: len(world.processes(commit)) == 3)
    key = Key("app", commit)
    for _ in range(2):
        await world.backend.pause(key)
        assert {seen.state for seen in world.processes(commit)} == {"T"}
    (found,) = await world.backend.survey()
    assert (found.paused, found.endpoint) == (True, endpoint)
    for _ in range(2):
        assert await world.backend.resume(key) == endpoint
        await until(lambda: {seen.state for seen in world.processes(commit)} == {"S"})
    assert world.vanished == []


@pytest_twisted.ensureDeferred
async def test_a_paused_stack_that_is_killed_vanishes_and_cannot_be_resumed(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    await world.backend.pause(Key("app", commit))
    os.kill(world.pid(commit), signal.SIGKILL)
    await until(lambda: world.vanished)
    with pytest.raises(ServiceExited, match="SIGKILL"):
        await world.backend.resume(Key("app", commit))


@pytest_twisted.ensureDeferred
async def test_a_paused_stack_is_halted_gently(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    await world.backend.pause(Key("app", commit))
    began = reactor.seconds()
    await world.backend.halt(Key("app", commit), grace=True)
    assert reactor.seconds() - began < 5  # the grace is 10 s


@pytest_twisted.ensureDeferred
async def test_what_is_not_there_can_neither_be_paused_nor_resumed(world: World) -> None:
    with pytest.raises(Mishap, match="app/never does not run"):
        await world.backend.pause(Key("app", "never"))
    with pytest.raises(Mishap, match="app/never does not run"):
        await world.backend.resume(Key("app", "never"))


# -- logs


@pytest_twisted.ensureDeferred
async def test_the_last_lines_of_each_service(world: World) -> None:
    commit = world.repository.commit(Procfile=f"release: echo ready\nweb: seq 1 100; {SLEEP}\n")
    await world.start(commit)
    await until(lambda: "100" in world.output(commit))
    tails = await world.backend.logs(Key("app", commit), 2)
    assert [(tail.service, tail.lines) for tail in tails] == [("release", ("ready",)), ("web", ("99", "100"))]
    assert await world.backend.logs(Key("app", "never"), 2) == ()


@pytest_twisted.ensureDeferred
async def test_a_service_that_prints_without_end_does_not_fill_the_disk(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, "yes 'hello, this is a line of the log' | head -c 20000000; echo the end; " + SLEEP)
    log = world.home(commit).log("web")
    await until(lambda: "the end" in str(log.read_bytes()[-20:]) or log.with_name("web.log.1").exists())
    await until(lambda: log.stat().st_size < 2_000_000)
    (tail,) = await world.backend.logs(Key("app", commit), 2)
    assert len(tail.lines) == 2


# -- the next gateway


@pytest_twisted.ensureDeferred
async def test_a_stack_outlives_a_gateway_that_is_killed_and_the_next_takes_it_over(world: World) -> None:
    web = f"exec {sys.executable} serve.py"
    commit = world.repository.commit(Procfile=f"web: {web}\nworker: {SLEEP}", page="still here", **{"serve.py": SERVE})
    with gateway(world, commit) as first:
        assert first.stdout is not None
        port = int(first.stdout.readline())
        first.kill()
    pids = {seen.pid for seen in world.processes(commit)}
    (found,) = await world.backend.survey()
    key = Key("app", commit)
    assert found == Found(key, 5, Endpoint("127.0.0.1", port), Version(commit, commit=commit), kept=True)
    assert found.endpoint is not None
    assert await page(found.endpoint) == "still here"
    assert {seen.pid for seen in world.processes(commit)} == pids
    assert [tail.service for tail in await world.backend.logs(key, 1)] == ["web", "worker"]

    os.kill(world.pid(commit, "worker"), signal.SIGKILL)
    await until(lambda: world.vanished)
    ((key, generation, mishap),) = world.vanished
    assert (key, generation, str(mishap)) == (key, 5, "worker ended.")
    await world.backend.halt(key, grace=True)
    assert world.processes(commit) == ()


@pytest_twisted.ensureDeferred
async def test_a_start_cut_short_by_the_death_of_the_gateway_is_found_and_removed(world: World) -> None:
    commit = world.repository.commit(Procfile=f"release: {SLEEP}\nweb: {SLEEP}")
    with gateway(world, commit) as first:
        await until(lambda: world.home(commit).log("release").exists() and world.processes(commit))
        first.kill()
    (found,) = await world.backend.survey()
    assert (found.key, found.whole) == (Key("app", commit), False)
    assert world.processes(commit) != ()
    await world.backend.halt(found.key, grace=False)
    assert world.processes(commit) == ()
    assert await world.backend.survey() == ()


@pytest_twisted.ensureDeferred
async def test_a_process_whose_start_was_never_written_down_is_found_by_its_mark(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    pid = world.pid(commit)
    await world.backend.close()
    (world.home(commit).path / "stack.json").unlink()
    world.backend = world.another()
    await world.backend.open()
    assert await world.backend.survey() == (Found(Key("app", commit), 0, None),)
    await world.backend.halt(Key("app", commit), grace=True)
    seen = proc.look(pid)
    assert seen is None or not seen.alive


@pytest_twisted.ensureDeferred
async def test_closing_leaves_stacks_as_they_are(world: World) -> None:
    commit = world.repository.commit()
    endpoint = await world.start(commit, SLEEP)
    await world.succeed()
    (found,) = await world.backend.survey()
    assert found.endpoint == endpoint
    assert await world.backend.survey() == (found,)


@pytest_twisted.ensureDeferred
async def test_closing_gives_up_what_is_being_launched(world: World, slow_git: Path) -> None:
    commit = world.repository.commit()
    launched = world.start(commit, SLEEP)
    await until(lambda: (world.home(commit).tree / ".git/HEAD").exists() and world.processes(commit))
    launched.addErrback(lambda failure: failure.trap(CancelledError))
    await world.backend.close()
    assert launched.called
    await until(lambda: world.processes(commit) == ())
    world.backend = world.another()
    await world.backend.open()


@pytest.mark.parametrize("change", ["boot", "started"])
@pytest_twisted.ensureDeferred
async def test_a_process_that_only_has_the_same_number_is_neither_adopted_nor_touched(world: World, change: str) -> None:
    commit = world.repository.commit()
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger, ExitStack() as end:
        end.callback(stranger.kill)
        home = world.home(commit)
        await world.start(commit, SLEEP)
        await world.backend.close()
        os.kill(world.pid(commit), signal.SIGKILL)
        raw = json.loads((home.path / "stack.json").read_text())
        raw["services"]["web"]["pid"] = stranger.pid
        seen = proc.look(stranger.pid)
        assert seen is not None
        raw["services"]["web"]["started"] = seen.started - (change == "started")
        raw["boot"] = "another" if change == "boot" else raw["boot"]
        (home.path / "stack.json").write_text(json.dumps(raw))
        world.backend = world.another()
        await world.backend.open()
        (found,) = await world.backend.survey()
        assert (found.whole, found.kept, found.running) == (False, True, False)
        await world.backend.stop(found.key)
        await world.restart(commit, SLEEP)
        await world.succeed()
        (found,) = await world.backend.survey()
        assert found.whole
        await world.backend.halt(found.key, grace=True)
        assert stranger.poll() is None


@pytest_twisted.ensureDeferred
async def test_a_record_that_cannot_be_read_is_a_stack_that_is_not_whole(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    await world.backend.close()
    (world.home(commit).path / "stack.json").write_text('{"format": 999}')
    world.backend = world.another()
    await world.backend.open()
    assert await world.backend.survey() == (Found(Key("app", commit), 0, None),)
    with pytest.raises(NothingKept):
        await world.restart(commit, SLEEP)


# -- the parts


def test_ports_are_given_in_turn_and_the_first_follows_the_last() -> None:
    ports = Ports(LAST - FIRST)
    taken = set(range(FIRST, FIRST + 5))
    chosen = [ports.choose(taken) for _ in range(2)]
    assert [port for port in chosen if port in taken] == []
    assert FIRST + 5 <= chosen[-1] < LAST


def test_a_port_on_which_somebody_listens_is_passed_over() -> None:
    free = Ports(0).choose(())
    with socket.create_server(("127.0.0.1", free)):
        assert Ports(free - FIRST).choose(()) != free


def test_the_end_of_a_log_is_kept_when_it_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("".join(f"line {number}\n" for number in range(200_000)))
    logs.bound(log)
    assert log.stat().st_size == 0
    with log.open("a") as more:
        more.write("more\n")
    assert logs.tail(log, 3) == ("line 199998", "line 199999", "more")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < logs.LIMIT


def test_a_process_with_a_strange_name_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"], start_new_session=True) as process:
        seen = proc.look(process.pid)
        assert seen is not None
        assert (seen.pid, seen.session, seen.alive) == (process.pid, process.pid, True)
        process.kill()


# -- data ---------------------------------------------------------------------------------------------------------------

KEEPS = 'echo "$WORD" >> "$GRANDCENTRAL_DATA/words"; exec sleep 1000'


@pytest_twisted.ensureDeferred
async def test_data_outlives_its_work_tree_until_it_is_removed_as_well(world: World) -> None:
    commit = world.repository.commit(Procfile=f"web: {KEEPS}")
    home = world.home(commit)
    words = home.data / "words"
    for generation in (1, 2):
        await world.start(commit, generation=generation)
        await until(lambda wanted="\n" * generation: words.exists() and words.read_text() == wanted)
        await world.backend.halt(Key("app", commit), grace=False)
        assert not home.path.exists()
    assert stat.S_IMODE(home.data.stat().st_mode) == 0o700
    assert await world.backend.survey() == ()
    for _ in range(2):
        await world.backend.halt(Key("app", commit), grace=False, volumes=True)
        assert not home.data.exists()


@pytest_twisted.ensureDeferred
async def test_who_keeps_nothing_leaves_nothing(world: World) -> None:
    commit = world.repository.commit(Procfile=f"web: {SLEEP}")
    await world.start(commit)
    assert world.home(commit).data.is_dir()
    await world.backend.halt(Key("app", commit), grace=False)
    assert not world.home(commit).data.exists()


@pytest_twisted.ensureDeferred
async def test_a_stack_of_an_earlier_release_gets_a_place_for_data_when_it_is_started_again(world: World) -> None:
    commit = world.repository.commit(Procfile=f"web: {SLEEP}")
    await world.start(commit)
    await world.backend.stop(Key("app", commit))
    world.home(commit).data.rmdir()
    await world.restart(commit)
    assert world.home(commit).data.is_dir()
