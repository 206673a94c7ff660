"""Stacks of processes that are stopped and started again: what is kept, and what the next gateway makes of it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import CancelledError

from grandcentral.backends.process import launching, proc
from grandcentral.backends.process.home import Home, Record, Running, dumped, loaded
from grandcentral.core.keys import Key
from grandcentral.core.model import Condition, Found, Hook, Usage, Version
from grandcentral.errors import EngineRefused, HookFailed, ImageUnavailable, NothingKept, ServiceExited

from .process_world import SERVE, SLEEP, World, after, gateway, page, services, shell, until

# -- stop and restart


@pytest_twisted.ensureDeferred
async def test_a_stack_that_was_stopped_starts_in_its_work_tree_on_its_port(world: World) -> None:
    procfile = f"release: echo once >> released\nweb: echo $PORT >> ports; {SLEEP}\n"
    commit = world.repository.commit(Procfile=procfile)
    first = await world.start(commit)
    tree = world.home(commit).tree
    await until(lambda: (tree / "ports").exists())
    await world.backend.stop(Key("app", commit))
    assert world.processes(commit) == ()
    assert await world.restart(commit) == first
    await until(lambda: (tree / "ports").read_text() == f"{first.port}\n" * 2)
    assert (tree / "released").read_text() == "once\n"


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_another_s_by_now_is_left_to_them(world: World) -> None:
    commit = world.repository.commit(page="mine", **{"serve.py": SERVE})
    command = f"exec {sys.executable} serve.py"
    first = await world.start(commit, SLEEP)
    await world.backend.stop(Key("app", commit))
    with socket.create_server((first.host, first.port)):
        second = await world.restart(commit, command)
        assert second.port != first.port
        assert await page(second) == "mine"


@pytest_twisted.ensureDeferred
async def test_who_does_not_end_in_its_grace_keeps_nobody_else_from_ending_well(world: World) -> None:
    commit = world.repository.commit()
    spec = services(
        shell("db", "trap 'touch saved; kill $!; exit' TERM; sleep 600 & wait"),
        shell(
            "web",
            "trap '' TERM; while :; do sleep 0.02; done",
            stop_grace_period=0.1,
            depends_on=after("db", Condition.STARTED),
        ),
    )
    await world.start(commit, spec)
    await world.backend.stop(Key("app", commit))
    assert (world.home(commit).tree / "saved").exists()
    assert world.processes(commit) == ()


@pytest_twisted.ensureDeferred
async def test_what_has_left_its_session_is_asked_to_end_after_the_services(world: World) -> None:
    commit = world.repository.commit()
    daemon = "trap 'echo daemon >> ended; exit' TERM; touch up; while :; do sleep 0.02; done"
    web = f"""setsid sh -c "{daemon}" & trap 'echo web >> ended; exit' TERM; while :; do sleep 0.02; done"""
    await world.start(commit, web)
    tree = world.home(commit).tree
    await until(lambda: (tree / "up").exists())
    await world.backend.stop(Key("app", commit))
    assert (tree / "ended").read_text() == "web\ndaemon\n"


@pytest_twisted.ensureDeferred
async def test_who_ends_finds_those_that_it_depends_on_thawed(world: World) -> None:
    commit = world.repository.commit()
    db = "while :; do [ -e asked ] && touch answered; sleep 0.02; done"
    web = "trap 'touch asked; until [ -e answered ]; do sleep 0.02; done; touch ended; exit' TERM; touch up; "
    web += "while :; do sleep 0.02; done"
    patient = shell("web", web, stop_grace_period=5, depends_on=after("db", Condition.STARTED))
    await world.start(commit, services(shell("db", db), patient))
    tree = world.home(commit).tree
    await until(lambda: (tree / "up").exists())
    await world.backend.pause(Key("app", commit))
    await world.backend.stop(Key("app", commit))
    assert (tree / "ended").exists()


@pytest_twisted.ensureDeferred
async def test_a_service_that_ends_while_it_is_started_again_fails_the_restart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = world.repository.commit()
    command = "[ -e ran ] && exit 4; touch ran; exec sleep 1000"
    await world.start(commit, command)
    await until(lambda: (world.home(commit).tree / "ran").exists())
    await world.backend.stop(Key("app", commit))
    monkeypatch.setattr(launching, "LISTENS_WITHIN", 10.0)
    with pytest.raises(ServiceExited, match=r"web ended with status 4\."):
        await world.restart(commit, command)
    assert world.vanished == []


@pytest_twisted.ensureDeferred
async def test_only_the_same_commit_with_the_same_services_is_started_again(world: World) -> None:
    commit, other = world.repository.commit(), world.repository.commit()
    await world.start(commit, SLEEP)
    await world.backend.stop(Key("app", commit))
    moved = evolve(world.what(commit, SLEEP), version=Version("main", commit=other))
    with pytest.raises(NothingKept, match="at another commit"):
        await world.backend.restart(moved, world.reports.append)
    with pytest.raises(NothingKept, match="had other services"):
        await world.restart(commit, services(shell("web", SLEEP), shell("worker", SLEEP)))
    (world.home(commit).tree).rename(world.home(commit).path / "elsewhere")
    (found,) = await world.backend.survey()
    assert not found.kept
    with pytest.raises(NothingKept, match="is not there any more"):
        await world.restart(commit, SLEEP)
    assert world.processes(commit) == ()


@pytest_twisted.ensureDeferred
async def test_a_full_disk_does_not_keep_a_stack_from_stopping(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = world.repository.commit()
    key = Key("app", commit)
    await world.start(commit, SLEEP)

    def full(home: Home, record: Record) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Home, "write", full)
        await world.backend.stop(key)
        assert world.processes(commit) == ()
        with pytest.raises(EngineRefused, match=r"cannot be written: No space left on device\."):
            await world.restart(commit, SLEEP)
    await world.succeed()
    (found,) = await world.backend.survey()
    assert (found.kept, found.running) == (True, False)
    await world.restart(commit, SLEEP)


# -- the next gateway


@pytest_twisted.ensureDeferred
async def test_a_stack_of_which_everything_was_killed_is_kept_by_the_next_gateway(world: World) -> None:
    procfile = f"release: echo once >> released\nweb: echo data >> written; {SLEEP}\nworker: {SLEEP}"
    commit = world.repository.commit(Procfile=procfile)
    tree = world.home(commit).tree
    with gateway(world, commit) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        await until(lambda: (tree / "written").exists())
        first.kill()
    world.kill(commit)
    await until(lambda: world.processes(commit) == ())
    (found,) = await world.backend.survey()
    assert found == Found(Key("app", commit), 5, None, Version(commit, commit=commit), kept=True, running=False)
    assert world.backend._stacks[found.key].record.leaders() == {}, "their numbers may be somebody else's one day"
    await world.restart(commit)
    await until(lambda: (tree / "written").read_text() == "data\n" * 2)
    assert (tree / "released").read_text() == "once\n"
    (found,) = await world.backend.survey()
    assert (found.whole, found.generation) == (True, 5)


@pytest_twisted.ensureDeferred
async def test_a_stop_cut_short_by_the_death_of_the_gateway_can_be_finished_by_the_next(world: World) -> None:
    """Nobody may adopt it as whole: it has been asked to end, and some time it will."""
    line = "trap 'until [ -e go ]; do sleep 0.02; done; exit' TERM; touch up; while :; do sleep 0.02; done"
    commit = world.repository.commit(Procfile=f"web: {line}")
    home = world.home(commit)
    with gateway(world, commit, "stop") as first:
        await until(lambda: (home.tree / "up").exists() and (record := home.read()) and record.stopped)
        first.kill()
    (found,) = await world.backend.survey()
    assert (found.whole, found.kept, found.running) == (False, True, True)
    (home.tree / "go").touch()
    await world.backend.stop(found.key)
    (found,) = await world.backend.survey()
    assert (found.whole, found.kept, found.running) == (False, True, False)
    await world.restart(commit)
    assert (await world.backend.survey())[0].whole
    assert world.vanished == []


@pytest_twisted.ensureDeferred
async def test_a_stopped_stack_names_no_process_that_may_be_somebody_else_s_one_day(world: World) -> None:
    commit = world.repository.commit(Procfile=f"release: true\nweb: {SLEEP}")
    await world.start(commit)
    await world.backend.stop(Key("app", commit))
    record = world.home(commit).read()
    assert record is not None
    assert record.leaders() == {}


def test_a_record_that_an_older_gateway_wrote_is_of_a_stack_that_was_not_stopped() -> None:
    service = Running(17, 4711, 20000, 15, 10.0, wave=1, directory="app", environment={"PORT": "20000"})
    record = Record(Key("app", "x"), 1, Version("x"), "web", "boot", launched=True, services={"web": service})
    assert loaded(dumped(record)) == record
    older = dumped(record).replace(' "stopped": false,\n', "")
    assert older != dumped(record)
    assert loaded(older).up


# -- hooks


@pytest_twisted.ensureDeferred
async def test_a_hook_finds_what_its_service_finds_whoever_started_that(world: World) -> None:
    commit = world.repository.commit()
    key, tree = Key("app", commit), world.home(commit).tree
    web = shell("web", SLEEP, environment={"COLOUR": "blue"})
    endpoint = await world.start(commit, services(web, shell("worker", SLEEP, working_dir=".git")))
    await world.succeed()
    await world.backend.survey()
    await world.backend.execute(key, Hook("web", "echo $PORT $COLOUR > said"), 10.0)
    assert (tree / "said").read_text() == f"{endpoint.port} blue\n"
    await world.backend.execute(key, Hook("worker", "pwd > ../where"), 10.0)
    assert (tree / "where").read_text() == f"{tree}/.git\n"


@pytest_twisted.ensureDeferred
async def test_a_hook_that_takes_too_long_is_killed_with_all_that_it_has_started(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    with pytest.raises(HookFailed, match=r"in web took longer than 0.2 s and was killed\.") as caught:
        await world.backend.execute(Key("app", commit), Hook("web", "echo begun; sleep 1001 & sleep 1000"), 0.2)
    assert caught.value.logs[0].lines == ("begun",)
    await until(lambda: [seen.pid for seen in world.processes(commit)] == [world.pid(commit)])


@pytest_twisted.ensureDeferred
async def test_a_hook_says_what_it_said_and_nothing_of_earlier_ones(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    for line in ("no space", "still no space"):
        with pytest.raises(HookFailed, match=r"in web ended with status 3\.") as caught:
            await world.backend.execute(Key("app", commit), Hook("web", f"echo {line} >&2; exit 3"), 10.0)
        assert [(tail.service, tail.lines) for tail in caught.value.logs] == [("web", (line,))]


@pytest_twisted.ensureDeferred
async def test_a_hook_cannot_be_run_in_what_is_frozen(world: World) -> None:
    commit = world.repository.commit()
    key = Key("app", commit)
    await world.start(commit, SLEEP)
    await world.backend.pause(key)
    with pytest.raises(HookFailed, match="web does not run"):
        await world.backend.execute(key, Hook("web", "true"), 10.0)


@pytest_twisted.ensureDeferred
async def test_closing_gives_up_a_hook_that_is_run(world: World) -> None:
    commit = world.repository.commit()
    await world.start(commit, SLEEP)
    executed = world.backend.execute(Key("app", commit), Hook("web", "sleep 1000"), 1000.0)
    executed.addErrback(lambda failure: failure.trap(CancelledError))
    await world.succeed()
    assert executed.called
    await until(lambda: [seen.pid for seen in world.processes(commit)] == [world.pid(commit)])


# -- usage and fetch


@pytest_twisted.ensureDeferred
async def test_usage_is_what_all_processes_have_written_and_none_when_they_have_ended(world: World) -> None:
    commit = world.repository.commit()
    key = Key("app", commit)
    size = 40_000_000
    hold = f"{sys.executable} -I -S -c 'x = bytearray({size}); print(1, flush=True); import time; time.sleep(1000)'"
    await world.start(commit, f"setsid {hold} & {hold} & wait")
    await until(lambda: world.output(commit) == "1\n1\n")
    usage = (await world.backend.usage())[key]
    assert 2 * size < usage.memory < 3 * size
    assert usage.disk is None
    await world.backend.stop(key)
    assert await world.backend.usage() == {key: Usage(0)}


def test_of_another_user_s_process_we_know_what_it_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = proc.memory(os.getpid())
    assert ours > 0
    read = Path.read_text

    def refuse(path: Path) -> str:
        if path.name == "smaps_rollup":
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert 0.5 * ours < proc.memory(os.getpid()) < 2 * ours
    monkeypatch.setattr(proc, "PROC", tmp_path)
    assert proc.memory(os.getpid()) == 0


@pytest_twisted.ensureDeferred
async def test_a_commit_that_is_not_there_cannot_be_fetched(world: World) -> None:
    commit = world.repository.commit()
    assert await world.backend.fetch(world.what(commit, SLEEP), world.reports.append) is None
    with pytest.raises(ImageUnavailable, match=f"has no commit {'0' * 40}"):
        await world.backend.fetch(world.what("0" * 40, SLEEP), world.reports.append)
    assert list((world.state / "stacks").iterdir()) == []


# -- where a service listens


@pytest.mark.parametrize("address", ["::1", "127.0.0.2"])
@pytest_twisted.ensureDeferred
async def test_a_service_that_listens_where_it_will_not_be_asked_is_told_so(
    world: World, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    if address == "::1" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    monkeypatch.setattr(launching, "LISTENS_WITHIN", 1.0)
    listen = f"import os, socket\nfamily = socket.AF_INET{'6' if ':' in address else ''}\n"
    listen += f"with socket.create_server(({address!r}, int(os.environ['PORT'])), family=family) as one: one.accept()"
    commit = world.repository.commit(**{"listen.py": listen})
    with pytest.raises(EngineRefused, match=r"web listens on port \d+, but not at 127\.0\.0\.1\. Have it listen on \$HOST"):
        await world.start(commit, f"exec {sys.executable} listen.py")


@pytest.mark.parametrize(
    ("address", "heard"),
    [("127.0.0.1", True), ("0.0.0.0", True), ("::", True), ("::ffff:127.0.0.1", True), ("127.0.0.2", False), ("::1", False)],
)
def test_which_listeners_hear_what_comes_to_the_loopback_address(address: str, heard: bool) -> None:
    if ":" in address and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, dualstack_ipv6=":" in address) as listening:
        assert proc.on_loopback(listening.getsockname()[1]) is heard
