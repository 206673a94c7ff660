"""What is done so that warm stacks are warm."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from grandcentral.core.idleness import HOLDING, Pause, Stop
from grandcentral.core.keys import Key
from grandcentral.core.model import Limits, StackSnapshot, Version
from grandcentral.core.warmth import Start, moved, plan

KEY = Key("app", "main")
OLD, NEW = Version("main", digest="sha256:old"), Version("main", digest="sha256:new")
NOW = 1000.0


def planned(state: str | None, wanted: Version = OLD, **more: Any) -> tuple[object, ...]:
    """``state`` None: there is no such stack."""
    stacks = [] if state is None else [StackSnapshot(KEY, state, 7, ready_since=900.0, version=OLD, **more)]
    return plan(NOW, stacks, {KEY: wanted}, Limits())


@pytest.mark.parametrize("state", [None, "cold", "stopped"])
@pytest.mark.parametrize("wanted", [OLD, NEW])
def test_what_does_not_run_is_started(state: str | None, wanted: Version) -> None:
    assert planned(state, wanted) == (Start(KEY),)


def test_a_ready_one_that_nobody_has_asked_for_is_paused() -> None:
    assert planned("ready") == (Pause(KEY, 7),)


@pytest.mark.parametrize("use", [{"requests": 1}, {"waiting": 1}, {"in_flight": 1}, {"pinned": True}, {"keep_until": NOW + 1}])
def test_one_that_somebody_uses_is_the_janitors_business(use: dict[str, Any]) -> None:
    assert planned("ready", **use) == ()


def test_a_paused_one_is_as_it_should_be() -> None:
    assert planned("paused") == ()


@pytest.mark.parametrize("state", ["ready", "paused"])
def test_one_whose_tag_has_moved_is_stopped(state: str) -> None:
    assert planned(state, NEW, requests=3) == (Stop(KEY, 7),)


@pytest.mark.parametrize("use", [{"waiting": 1}, {"in_flight": 1}, {"pinned": True}, {"keep_until": NOW + 1}])
def test_but_not_while_somebody_uses_it(use: dict[str, Any]) -> None:
    assert planned("ready", NEW, **use) == ()


@pytest.mark.parametrize("state", sorted(HOLDING - {"ready", "paused"} | {"queued", "failed"}))
def test_what_is_about_to_change_is_left_alone(state: str) -> None:
    assert planned(state, NEW) == ()


def test_what_was_never_wanted_is_nobodys_business_here() -> None:
    assert plan(NOW, [StackSnapshot(KEY, "ready")], {}, Limits()) == ()


@pytest.mark.parametrize("state", ["ready", "paused"])
def test_one_that_is_no_longer_wanted_makes_room_if_nobody_ever_asked_for_it(state: str) -> None:
    stack = StackSnapshot(KEY, state, 7, warm=True)
    assert plan(NOW, [stack], {}, Limits()) == (Stop(KEY, 7),)
    for use in ({"requests": 1}, {"waiting": 1}, {"pinned": True}):
        assert plan(NOW, [evolve(stack, **use)], {}, Limits()) == ()


def test_a_commit_never_moves() -> None:
    assert not moved(Version("db139cf", commit="db139cf"), Version("db139cf", commit="db139cf", branch="main"))
    assert not moved(None, NEW)
    assert not moved(OLD, OLD)
    assert moved(OLD, NEW)
