"""The newest version of a branch, or a tag, started and paused before anybody asks; on a clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.logger import globalLogPublisher

from grandcentral import events
from grandcentral.core.keys import Key
from grandcentral.core.model import Service, StackSnapshot, StackSpec, Version
from grandcentral.errors import RegistryUnavailable, UnknownVersion
from grandcentral.stacks.warmth import INTERVAL, REST, SOON, Warmth

from .world import World

ONE, TWO = "1111111", "2222222"


@define
class Warm:
    """A world in which the branch "main" is kept warm."""

    world: World
    warmth: Warmth = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.keep("main")
        self.warmth = Warmth(self.world.clock, self.world.table)

    def keep(self, *names: str, **more: Any) -> None:
        app = self.world.table.apps["app"]
        self.world.table.apps = {"app": evolve(app, warm=names, **more)}

    def head(self, version: str, branch: str = "main") -> None:
        self.world.versions.branches[branch] = version

    def look(self, seconds: float = 2.0) -> None:
        """What comes of a look within some seconds."""
        self.warmth.look()
        self.world.pass_time(seconds)

    def snapshot(self, name: str) -> StackSnapshot:
        return next(stack for stack in self.world.table.snapshot() if stack.key.name == name)

    @property
    def launches(self) -> list[str]:
        return [key.name for key, _ in self.world.engine.launches]


@pytest.fixture
def warm(world: World) -> Iterator[Warm]:
    warm = Warm(world)
    warm.head(ONE)
    yield warm
    warm.warmth.stop()


@pytest.fixture
def troubles() -> Iterator[list[str]]:
    """The reasons that were logged for what is not warm."""
    said: list[str] = []

    def note(event: dict[str, Any]) -> None:
        if event["log_format"] == events.WARM_FAILED:
            said.append(f"{event['key']}: {event['why']}")

    globalLogPublisher.addObserver(note)
    yield said
    globalLogPublisher.removeObserver(note)


def test_the_head_of_a_branch_is_started_and_paused_at_once(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    found = warm.snapshot(ONE)
    assert (found.state, found.warm) == ("paused", True)
    assert warm.world.engine.stacks[Key("app", ONE)].paused


def test_it_wakes_like_any_other_and_is_not_paused_under_a_user(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    ticket = warm.world.ready(ONE)
    ticket.begin(warm.world.clock.seconds())
    warm.look()
    assert warm.world.state(ONE) == "ready"
    ticket.end(warm.world.clock.seconds())
    warm.look()
    assert warm.world.state(ONE) == "ready"  # he may come back: when to pause it is the janitor's business


def test_who_waits_for_it_while_it_starts_has_it(warm: Warm) -> None:
    warm.warmth.start()
    client = warm.world.ask(ONE)
    warm.world.pass_time(0.3)
    assert client.ticket is not None
    assert warm.launches == [ONE]


def test_a_new_head_is_started_and_the_old_one_is_like_any_other(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    warm.world.ready(ONE).begin(warm.world.clock.seconds())
    warm.head(TWO)
    warm.world.pass_time(INTERVAL)
    warm.world.pass_time(2)
    assert (warm.snapshot(TWO).state, warm.snapshot(TWO).warm) == ("paused", True)
    assert not warm.snapshot(ONE).warm


def test_an_old_head_that_nobody_has_asked_for_makes_room_for_the_new_one(warm: Warm, troubles: list[str]) -> None:
    warm.warmth.start()
    for name in "ab":
        warm.world.ready(name * 7).begin(warm.world.clock.seconds())
    warm.head(TWO)
    warm.look(2 * SOON)
    assert (warm.world.state(ONE), warm.world.state(TWO)) == ("cold", "paused")
    assert troubles == []


def test_a_push_is_not_waited_for_until_the_next_look(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    warm.head(TWO)
    warm.look()
    assert warm.world.state(TWO) == "paused"


def test_what_is_told_during_a_look_is_looked_at_after_it(warm: Warm) -> None:
    warm.warmth.start()
    warm.head(TWO)
    warm.look()
    assert (warm.world.state(ONE), warm.world.state(TWO)) == ("paused", "paused")


def test_a_name_that_is_no_longer_in_the_list_loses_the_mark(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    warm.world.ready(ONE).begin(warm.world.clock.seconds())
    warm.keep()
    warm.look()
    assert not warm.snapshot(ONE).warm


def test_one_is_started_at_a_time(warm: Warm) -> None:
    warm.keep("main", "develop")
    warm.head(TWO, "develop")
    warm.warmth.start()
    warm.world.pass_time(0.05)
    assert warm.launches == [ONE]
    warm.world.pass_time(2)
    assert warm.launches == [ONE, TWO]


def test_nobody_gives_way_to_a_warm_one(warm: Warm, troubles: list[str]) -> None:
    used = ["a" * 7, "b" * 7, "c" * 7]
    for name in used:
        warm.world.ready(name)
    warm.warmth.start()
    warm.world.pass_time(2 * INTERVAL)
    assert warm.launches == used
    assert troubles == [f"app/{ONE}: All 3 places are taken."]  # and said once


def test_a_warm_one_gives_way_and_comes_back_when_there_has_been_room_for_a_while(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(10)
    others = [warm.world.ready(name * 7) for name in "abc"]
    for ticket in others:
        ticket.begin(warm.world.clock.seconds())
    assert warm.world.state(ONE) == "cold"
    for ticket in others:
        ticket.end(warm.world.clock.seconds())
    warm.world.table.stop(Key("app", "a" * 7))
    warm.world.pass_time(2 * INTERVAL)
    assert warm.world.state(ONE) == "cold"
    warm.world.pass_time(REST)
    assert warm.world.state(ONE) == "paused"


def test_a_tag_that_moves_is_released_and_started_anew(warm: Warm) -> None:
    warm.keep("main", version="name")
    warm.world.versions.branches.clear()
    warm.world.versions.versions["main"] = Version("main", digest="sha256:old")
    warm.warmth.start()
    warm.world.pass_time(10)
    assert warm.world.state("main") == "paused"
    warm.world.versions.versions["main"] = Version("main", digest="sha256:new")
    warm.look(10)
    assert (warm.world.state("main"), warm.launches) == ("paused", ["main", "main"])
    assert warm.world.engine.stacks[Key("app", "main")].launch.version.digest == "sha256:new"


def test_a_tag_that_moves_while_it_is_used_waits(warm: Warm) -> None:
    warm.keep("main", version="name")
    warm.world.versions.branches.clear()
    warm.world.versions.versions["main"] = Version("main", digest="sha256:old")
    warm.warmth.start()
    warm.world.pass_time(2)
    ticket = warm.world.ready("main")
    ticket.begin(warm.world.clock.seconds())
    warm.world.versions.versions["main"] = Version("main", digest="sha256:new")
    warm.look(10)
    assert warm.launches == ["main"]
    ticket.end(warm.world.clock.seconds())
    warm.look(10)
    assert warm.launches == ["main", "main"]


def test_while_nobody_can_be_asked_a_name_stands_for_what_it_stood_for(warm: Warm, troubles: list[str]) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    warm.world.versions.versions[ONE] = RegistryUnavailable("It is away.")
    warm.world.pass_time(3 * INTERVAL)
    assert warm.snapshot(ONE).warm
    assert len(troubles) == 1


def test_a_branch_that_is_gone_is_no_longer_kept(warm: Warm, troubles: list[str]) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    warm.world.ready(ONE).begin(warm.world.clock.seconds())
    warm.world.versions.versions["main"] = UnknownVersion(Key("app", "main"), "the repository")
    del warm.world.versions.branches["main"]
    warm.world.pass_time(3 * INTERVAL)
    assert not warm.snapshot(ONE).warm
    assert len(troubles) == 1
    warm.head(ONE)
    warm.look()
    assert warm.snapshot(ONE).warm


def test_one_that_does_not_start_is_tried_again_when_the_table_lets_it(warm: Warm, troubles: list[str]) -> None:
    warm.world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
    warm.warmth.start()
    warm.world.pass_time(2)
    assert warm.world.state(ONE) == "failed"
    warm.world.pass_time(INTERVAL + SOON)
    assert warm.launches == [ONE, ONE]
    assert len(troubles) == 1
    warm.world.template.spec = StackSpec((Service("web"),), "web", 80)
    warm.world.pass_time(2 * INTERVAL)
    assert warm.world.state(ONE) == "paused"


def test_a_slow_start_is_paused_when_it_is_ready_after_all(warm: Warm) -> None:
    warm.world.table.limits = evolve(warm.world.limits, start_timeout=0.05)
    warm.warmth.start()
    warm.world.pass_time(1)
    assert warm.world.state(ONE) == "ready"
    warm.world.pass_time(INTERVAL)
    assert warm.world.state(ONE) == "paused"


def test_after_a_restart_what_runs_is_marked_and_not_started_again(warm: Warm) -> None:
    warm.warmth.start()
    warm.world.pass_time(2)
    warm.warmth.stop()
    warm.world.close()
    warm.world.boot()
    warm.world.open()
    warm.keep("main")
    warm.warmth = Warmth(warm.world.clock, warm.world.table)
    warm.warmth.start()
    warm.world.pass_time(2)
    assert (warm.snapshot(ONE).state, warm.snapshot(ONE).warm) == ("paused", True)
    assert warm.launches == [ONE]


def test_what_is_no_longer_wanted_is_not_remembered(warm: Warm) -> None:
    warm.warmth.start()
    for digit in "23456":
        warm.head(digit * 7)
        warm.look(5)
    assert set(warm.warmth._started) == {Key("app", "6" * 7)}
    assert set(warm.warmth._told) == {Key("app", "main"), Key("app", "6" * 7)}


def test_when_it_is_stopped_nothing_is_left_of_it(warm: Warm) -> None:
    warm.warmth.start()
    warm.warmth.stop()
    warm.warmth.look()
    warm.world.pass_time(2 * INTERVAL)
    assert warm.launches == [ONE]  # that start goes on
    assert warm.world.versions.asked == [ONE, ONE]


def test_a_world_without_lists_is_left_alone(world: World) -> None:
    warmth = Warmth(world.clock, world.table)
    warmth.start()
    world.pass_time(INTERVAL)
    warmth.stop()
    assert world.engine.launches == []
