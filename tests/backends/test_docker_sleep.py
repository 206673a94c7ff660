"""Sleep in depth, as far as it needs no engine: what is kept, in which order it ends, accounts, images, commands."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred

from grandcentral.backends.docker import verbs
from grandcentral.backends.docker.abortable import LONGEST_OUTPUT, Command
from grandcentral.backends.docker.accounts import memory, usage
from grandcentral.backends.docker.client import frames
from grandcentral.backends.docker.disk import Image, names, reclaimable, taken
from grandcentral.backends.docker.kept import as_made, kept
from grandcentral.backends.docker.labels import of_service
from grandcentral.backends.docker.seen import Seen
from grandcentral.backends.docker.taking_away import stop_in_order
from grandcentral.backends.docker.translate import Condition as State
from grandcentral.core.keys import Key
from grandcentral.core.model import Condition, Dependency, HealthCheck, Launch, Service, StackSpec, Usage, Version
from grandcentral.errors import NothingKept

from .docker_seen import seen

KEY = Key("quepid", "db139cf")
CHECK = HealthCheck(("true",))
DB = Service("db", healthcheck=CHECK)
LOAD = Service("load", depends_on=(Dependency("db", Condition.HEALTHY),))
SEED = Service("seed", depends_on=(Dependency("load", Condition.COMPLETED), Dependency("cache")))
WEB = Service("web", depends_on=(Dependency("seed", Condition.COMPLETED), Dependency("db")))
SPEC = StackSpec((WEB, SEED, LOAD, Service("cache"), DB), "web", 3000)


def stopped(*, without: str = "", **more: Any) -> list[Seen]:
    """The containers of SPEC, which have run and ended."""
    launch = Launch(KEY, 4, Version("db139cf"), SPEC, "db139cf.example.com")
    return [
        seen(of_service("i", launch, name, "now"), id=name, condition=State.ENDED, status=0, addresses={}, **more)
        for name in (service.name for service in SPEC.services)
        if name != without
    ]


# -- what is kept -------------------------------------------------------------------------------------------------------


def test_a_stack_of_which_everything_is_there_is_kept():
    assert kept(KEY, stopped(), {"n1": {}, "n2": {}}).keys() == {"web", "seed", "load", "cache", "db"}


def test_on_the_host_s_network_a_service_needs_none_of_the_stack_s():
    assert kept(KEY, stopped(network="host", networks=frozenset({"the host's"})), {})


@pytest.mark.parametrize(
    ("containers", "networks", "why"),
    [
        ([], ["n1"], "is not there, or not all of it"),
        (stopped(without="db"), ["n1"], "is not there, or not all of it"),
        ([evolve(one, status=1 if one.id == "load" else 0) for one in stopped()], ["n1"], "is not there, or not all of it"),
        (stopped(), ["made again"], "A network of cache, db, load, seed, web is gone"),
        (stopped(networks=frozenset()), ["n1"], "A network of cache, db, load, seed, web is gone"),
        (stopped(), [], "A network of cache, db, load, seed, web is gone"),
    ],
    ids=["nothing", "no db", "a task that failed", "another network", "taken off it", "no network"],
)
def test_a_stack_of_which_something_is_missing_is_not(containers: list[Seen], networks: list[str], why: str):
    with pytest.raises(NothingKept, match=why):
        kept(KEY, containers, {network: {} for network in networks})


def by_service(containers: list[Seen]) -> dict[str, Seen]:
    return {one.service: one for one in containers}


def test_what_is_started_again_waits_for_what_the_tasks_before_it_had_waited_for():
    made = as_made(SPEC, by_service(stopped()))
    assert {service.name for service in made.services} == {"web", "cache", "db"}
    assert (made.serves, made.port) == ("web", 3000)
    assert set(made.service("web").depends_on) == {
        Dependency("db", Condition.HEALTHY), Dependency("cache"), Dependency("db"),
    }  # fmt: skip
    assert made.must_be_healthy("db")
    assert made.service("db") == DB
    assert not any(made.is_task(service.name) for service in made.services)


def test_how_health_is_checked_is_what_the_template_says_now_and_the_rest_as_it_was_made():
    patient = HealthCheck(("ping",), retries=99)
    now = StackSpec((evolve(DB, healthcheck=patient), Service("web"), Service("new")), "new", 80)
    made = as_made(now, by_service(stopped()))
    assert made.service("db").healthcheck == patient
    assert (made.serves, made.port) == ("web", 3000)
    assert made.must_be_healthy("db")
    assert {service.name for service in made.services} == {"web", "cache", "db"}


def test_a_service_that_the_template_no_longer_has_is_not_checked_and_nobody_waits_for_its_health():
    made = as_made(StackSpec((Service("web"),), "web", 3000), by_service(stopped()))
    assert set(made.service("web").depends_on) == {Dependency("db"), Dependency("cache")}
    assert made.service("db").healthcheck == HealthCheck((), disabled=True)


# -- the order of ends --------------------------------------------------------------------------------------------------


class Calls:
    """Writes down what is asked for, and answers what ``answer`` says."""

    def __init__(self, answer: Callable[[Any], Any] = lambda call: None) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answer = answer

    async def quick(self, call: Any) -> Any:
        if "container" in call.keywords:
            self.asked.append((call.func.__name__, call.keywords["container"]))
        return self._answer(call)

    lifecycle = patient_stop = account = quick


def test_everything_is_thawed_before_anything_is_asked_to_end():
    """What ends may have something to write to a database, which could not answer while it is frozen."""
    calls = Calls()
    paused = [evolve(one, condition=State.PAUSED) for one in stopped() if one.id in ("web", "db", "cache")]
    ensureDeferred(stop_in_order(calls, paused))  # type: ignore[arg-type]
    assert sorted(calls.asked[:3]) == [("unpause", "cache"), ("unpause", "db"), ("unpause", "web")]
    assert calls.asked[3] == ("stop", "web")
    assert sorted(calls.asked[4:]) == [("stop", "cache"), ("stop", "db")]


def test_what_does_not_run_is_left_alone():
    calls = Calls()
    ensureDeferred(stop_in_order(calls, stopped()))  # type: ignore[arg-type]
    assert calls.asked == []


# -- accounts -----------------------------------------------------------------------------------------------------------

# As engines give them, shortened. Version 1 has the counters of the group alone beside those of the tree below it.
VERSION_1 = {
    "memory_stats": {
        "usage": 50_000_000, "max_usage": 60_000_000, "limit": 10**9,
        "stats": {"inactive_file": 1, "total_inactive_file": 20_000_000, "cache": 30_000_000, "rss": 5},
    }
}  # fmt: skip
VERSION_2 = {"memory_stats": {"usage": 50_000_000, "limit": 10**9, "stats": {"inactive_file": 30_000_000, "anon": 5}}}


@pytest.mark.parametrize(
    ("stats", "bytes"),
    [
        (VERSION_1, 30_000_000),
        (VERSION_2, 20_000_000),
        ({"memory_stats": {}}, 0),
        ({}, 0),
        ({"memory_stats": {"usage": 7, "stats": {"inactive_file": 9}}}, 7),
    ],
    ids=["cgroup v1", "cgroup v2", "ended", "gone", "read at two moments"],
)
def test_memory_is_counted_without_the_page_cache_that_is_not_in_use(stats: dict[str, Any], bytes: int):
    assert memory(stats) == bytes


def test_a_stack_takes_what_its_containers_take_and_a_stopped_one_nothing():
    there = [
        {"Id": container, "State": state, "Labels": {"grandcentral.app": "a", "grandcentral.name": name}}
        for container, state, name in [("1", "running", "x"), ("2", "paused", "x"), ("3", "exited", "x"), ("4", "exited", "y")]
    ]
    calls = Calls(lambda call: there if call.func is verbs.listed else VERSION_2)
    asked: Deferred[Any] = Deferred.fromCoroutine(usage(calls, "i"))  # type: ignore[arg-type]
    assert asked.result == {Key("a", "x"): Usage(40_000_000), Key("a", "y"): Usage(0)}
    assert calls.asked == [("stats", "1"), ("stats", "2")]


# -- images -------------------------------------------------------------------------------------------------------------


REPOSITORY = "registry.example.com:5000/app"


def digest(end: str) -> str:
    return f"sha256:{end:0>64}"


def image(name: str, *tags: str, digest: str = "") -> Image:
    return {"Id": name, "RepoTags": list(tags) or None, "RepoDigests": [digest] if digest else ["<none>@<none>"]}


OLD = image("old", f"{REPOSITORY}:old", digest=f"{REPOSITORY}@{digest('01d')}")
NEW = image("new", f"{REPOSITORY}:new", digest=f"{REPOSITORY}@{digest('4e3')}")
MOVED = image("moved", "<none>:<none>", digest=f"{REPOSITORY}@{digest('30e')}")
SHARED = image("shared", f"{REPOSITORY}:shared", "somebody/else:1")
OTHER = image("other", "mariadb:10")
BUILT = image("built", "<none>:<none>")
ALL = [OLD, NEW, MOVED, SHARED, OTHER, BUILT]


def superfluous(*keep: Version, used: frozenset[str] = frozenset(), repositories: tuple[str, ...] = (REPOSITORY,)) -> list[str]:
    return [one["Id"] for one in reclaimable(ALL, used, repositories, keep)]


def test_only_images_of_our_repositories_and_no_others_are_removed_those_of_moved_tags_among_them():
    assert superfluous() == ["old", "new", "moved"]
    assert superfluous(repositories=()) == []
    assert superfluous(repositories=("registry.example.com:5000/ap", "else")) == []


def test_what_a_container_has_stays():
    assert superfluous(used=frozenset({"new", "moved"})) == ["old"]


def test_what_is_of_a_version_to_keep_stays_by_digest_or_by_tag():
    assert superfluous(Version("new", f"{REPOSITORY}:new")) == ["old", "moved"]
    assert superfluous(Version("x", f"{REPOSITORY}:x", digest("30e")), Version("c", commit="0" * 40)) == ["old", "new"]


def test_repositories_are_known_by_the_names_that_the_engine_gives_them():
    hub = [image("1", "team/app:1"), image("2", "busybox:1")]
    assert reclaimable(hub, (), ("docker.io/team/app", "docker.io/library/busybox"), ()) == hub
    assert reclaimable(hub, (), ("team/app",), (Version("1", "docker.io/team/app:1"),)) == []


def test_what_has_no_name_is_removed_by_nobody():
    assert names(BUILT) == []
    assert names(MOVED) == [f"{REPOSITORY}@{digest('30e')}"]


def layers(*sizes: int) -> list[dict[str, Any]]:
    """As the engine lists them: newest first."""
    return [{"Created": 1, "CreatedBy": f"RUN {size}", "Size": size} for size in reversed(sizes)]


def test_layers_that_images_share_take_their_bytes_once():
    assert taken([layers(1000, 20), layers(1000, 3), layers(1000)]) == 1023
    assert taken([layers(1000, 20), layers(20, 1000)]) == 2040, "on another base it is another layer"


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6))
def test_to_remove_an_image_frees_no_more_than_it_takes_and_never_less_than_nothing(images: list[list[int]]):
    histories = [layers(*sizes) for sizes in images]
    for n, gone in enumerate(histories):
        freed = taken(histories) - taken(histories[:n] + histories[n + 1 :])
        assert 0 <= freed <= sum(layer["Size"] for layer in gone)


# -- commands -----------------------------------------------------------------------------------------------------------


def framed(*pieces: bytes) -> bytes:
    return b"".join(struct.pack(">BxxxL", 1 + n % 2, len(piece)) + piece for n, piece in enumerate(pieces))


def answer(content: bytes) -> Any:
    return SimpleNamespace(raw=SimpleNamespace(_fp=SimpleNamespace(fp=io.BufferedReader(io.BytesIO(content)))))  # type: ignore[arg-type]


def test_an_answer_is_read_frame_by_frame_until_it_ends_or_breaks_off():
    assert list(frames(answer(framed(b"one", b"", b"two")))) == [b"one", b"", b"two"]
    assert list(frames(answer(framed(b"one") + b"\1\0"))) == [b"one"]


class Engine:
    """Runs one command, which prints these pieces and exits with that status."""

    def __init__(self, *pieces: bytes, status: int = 0) -> None:
        self.pieces, self.status = pieces, status

    def exec_create(self, container: str, command: list[str]) -> dict[str, str]:
        self.command = command
        return {"Id": "1"}

    def executing(self, command: str) -> Any:
        return iter(self.pieces)

    def exec_inspect(self, command: str) -> dict[str, Any]:
        return {"Running": False, "ExitCode": self.status}


def test_a_command_says_which_process_it_is_before_it_says_anything_else():
    command, engine = Command("db", "dump >/kept/dump"), Engine(b"4", b"2\nno ", b"room\nreally\n", status=3)
    assert command.run(engine) == 3  # type: ignore[arg-type]
    assert command.process == 42
    assert command.tail(50) == ("no room", "really")
    assert command.tail(1) == ("really",)
    assert engine.command[-1] == "dump >/kept/dump"


def test_what_is_said_instead_of_a_process_is_kept_for_people():
    command = Command("db", "dump")
    command.run(Engine(b"OCI runtime exec failed: /bin/sh: no such file\r\n", status=126))  # type: ignore[arg-type]
    assert command.process == 0
    assert command.tail(50) == ("OCI runtime exec failed: /bin/sh: no such file",)


def test_of_a_command_that_prints_without_end_the_last_is_kept():
    command = Command("db", "yes")
    command.run(Engine(b"7\n", *[b"y" * 1000 + b"\n"] * 1000, b"last\n"))  # type: ignore[arg-type]
    assert command.tail(2)[1] == "last"
    assert sum(map(len, command.tail(10**6))) <= LONGEST_OUTPUT
