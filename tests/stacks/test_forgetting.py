"""The volumes of stacks that are long gone: when they go, and what keeps them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from grandcentral.core.keys import Key
from grandcentral.core.model import IdlePolicy
from grandcentral.errors import EngineUnavailable
from grandcentral.stacks.forgetting import INTERVAL, SURE, Forgetting

from .world import World

DAY = 86400.0
NAME = "aaaaaaa"
KEY = Key("app", NAME)
FORGETS = IdlePolicy(stop=600.0, remove=2000.0, forget=90 * DAY)


@pytest.fixture
def world() -> Iterator[World]:
    """A stack that was removed yesterday, and has left a volume; nothing looks by itself."""
    world = World(idle=FORGETS, wall_offset=1e9)
    world.open()
    world.janitor.stop()
    world.ready(NAME)
    world.table.remember_use()
    world.table.remove(KEY)
    world.pass_time(5.0)
    world.engine.kept_volumes = {(KEY, "data")}
    yield world
    world.close()


def looking(world: World) -> Forgetting:
    return Forgetting(world.clock, world.wall, world.table)


def later(world: World, forgetting: Forgetting, days: float, looks: float = SURE + INTERVAL) -> None:
    """So much time passes, at whose end it looks every hour for so many seconds."""
    world.clock.advance(days * DAY - looks)
    for _ in range(int(looks / INTERVAL)):
        world.clock.advance(INTERVAL)
        forgetting.look()
        world.clock.pump([0.1] * 20)


def volumes(world: World) -> set[tuple[Key, str]]:
    return world.engine.kept_volumes


def test_they_go_after_so_long_without_use(world: World) -> None:
    forgetting = looking(world)
    later(world, forgetting, 89.0)
    assert volumes(world)
    later(world, forgetting, 2.0)
    assert not volumes(world)
    assert world.state(NAME) == "cold"


def test_without_a_word_of_it_they_stay(world: World) -> None:
    world.table.apps = {"app": evolve(world.table.apps["app"], idle=IdlePolicy())}
    later(world, looking(world), 3000.0)
    assert volumes(world)


def test_those_of_provisioned_apps_are_not_ours_to_forget(world: World) -> None:
    world.table.apps = {"app": evolve(world.table.apps["app"], provisioned=True)}
    later(world, looking(world), 3000.0)
    assert volumes(world)


def test_a_use_begins_the_time_anew(world: World) -> None:
    forgetting = looking(world)
    later(world, forgetting, 80.0)
    world.ready(NAME)
    world.table.remove(KEY)  # at once: nothing of its use was written down until then
    world.pass_time(5.0)
    volumes(world).add((KEY, "data"))
    later(world, forgetting, 80.0)
    assert volumes(world)
    later(world, forgetting, 11.0)
    assert not volumes(world)


def test_a_pin_keeps_them_and_so_does_a_stack_that_is_there(world: World) -> None:
    forgetting = looking(world)
    world.table.pin(KEY, True)
    later(world, forgetting, 100.0)
    assert volumes(world)
    world.table.pin(KEY, False)
    world.ready(NAME)
    world.table.stop(KEY)
    later(world, forgetting, 100.0)
    assert world.state(NAME) == "stopped"
    assert volumes(world)


def test_where_no_use_is_written_down_time_begins_when_they_are_found(world: World) -> None:
    world.manifest._used.clear()
    forgetting = looking(world)
    later(world, forgetting, 1000.0)
    assert volumes(world)
    later(world, forgetting, 91.0)
    assert not volumes(world)


def test_a_clock_that_jumps_for_a_while_makes_nothing_old(world: World) -> None:
    forgetting = looking(world)
    later(world, forgetting, 1.0)
    world.wall_offset += 1000 * DAY
    later(world, forgetting, 0.2, looks=5 * INTERVAL - 1)
    assert volumes(world)
    world.wall_offset -= 1000 * DAY
    later(world, forgetting, 10.0)
    assert volumes(world)


def test_what_was_found_while_the_clock_was_slow_is_not_old_when_it_is_right(world: World) -> None:
    world.manifest._used.clear()
    forgetting = looking(world)
    world.wall_offset -= 1000 * DAY
    later(world, forgetting, 1.0)
    world.wall_offset += 1000 * DAY
    later(world, forgetting, 10.0)
    assert volumes(world)
    later(world, forgetting, 91.0)
    assert not volumes(world)


def test_an_engine_that_is_away_is_asked_again(world: World) -> None:
    forgetting = looking(world)
    world.engine.away = EngineUnavailable("away")
    later(world, forgetting, 100.0)
    world.engine.away = None
    assert volumes(world)
    later(world, forgetting, 1.0)
    assert not volumes(world)


def test_the_janitor_looks_every_hour() -> None:
    world = World(idle=FORGETS)
    world.open()
    world.engine.kept_volumes = {(KEY, "data")}
    world.manifest._used[KEY] = world.wall() - 100 * DAY
    for _ in range(int(SURE / INTERVAL) + 2):
        world.clock.advance(INTERVAL)
        world.clock.pump([0.1] * 20)
    assert not world.engine.kept_volumes
    world.close()
