"""Who gets a slot, and who gives way."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.admission import EvictFirst, Grant, Refuse, Wait, slot
from grandcentral.core.idleness import Pause, Stop, busy, plan
from grandcentral.core.keys import Key
from grandcentral.core.model import IdlePolicy, Limits, StackSnapshot

LIMITS = Limits(max_stacks=2, min_uptime=30.0, max_stream_idle=1000.0)
NOW = 5000.0


def stack(name: str, **facts: object) -> StackSnapshot:
    facts = {"state": "ready", "ready_since": 0.0, "last_used": 100.0, "generation": 1, **facts}
    return StackSnapshot(Key("app", name), **facts)  # type: ignore[arg-type]


class TestSlot:
    def test_while_there_is_room_it_is_granted(self) -> None:
        assert slot(NOW, [stack("a")], 0, LIMITS) == Grant()

    def test_the_oldest_last_request_gives_way(self) -> None:
        holders = [stack("a", last_used=200.0), stack("b", last_used=100.0)]
        assert slot(NOW, holders, 0, LIMITS) == EvictFirst(Key("app", "b"))

    def test_nobody_who_is_busy_pinned_starting_or_young(self) -> None:
        old = stack("z", last_used=900.0)
        for other in (
            stack("a", in_flight=1),
            stack("a", waiting=1),
            stack("a", pinned=True),
            stack("a", state="starting", ready_since=None),
            stack("a", ready_since=NOW - 29),
        ):
            assert slot(NOW, [other, old], 0, LIMITS) == EvictFirst(Key("app", "z"))

    def test_all_busy_or_pinned_is_a_refusal(self) -> None:
        assert isinstance(slot(NOW, [stack("a", in_flight=1), stack("b", pinned=True)], 0, LIMITS), Refuse)

    def test_somebody_who_will_grow_up_or_become_ready_is_worth_waiting_for(self) -> None:
        assert slot(NOW, [stack("a", ready_since=NOW), stack("b", pinned=True)], 0, LIMITS) == Wait()
        assert slot(NOW, [stack("a", state="probing"), stack("b", pinned=True)], 0, LIMITS) == Wait()

    def test_one_who_leaves_already_is_enough_for_the_first_in_the_queue_but_not_for_the_second(self) -> None:
        holders = [stack("a", state="stopping"), stack("b")]
        assert slot(NOW, holders, 0, LIMITS) == Wait()
        assert slot(NOW, holders, 1, LIMITS) == EvictFirst(Key("app", "b"))

    def test_what_was_adopted_over_the_cap_is_paid_back_before_anybody_is_let_in(self) -> None:
        holders = [stack("a", state="stopping"), stack("b"), stack("c")]
        assert slot(NOW, holders, 0, LIMITS) == EvictFirst(Key("app", "b"))


class TestPlan:
    POLICIES = {"app": IdlePolicy(pause=60.0, stop=600.0)}

    def plan(self, *stacks: StackSnapshot, limits: Limits = LIMITS) -> object:
        return plan(NOW, stacks, self.POLICIES, limits)

    def test_idle_for_long_is_stopped_for_a_while_paused_and_recently_used_left_alone(self) -> None:
        stacks = stack("a", last_used=NOW - 601), stack("b", last_used=NOW - 61), stack("c", last_used=NOW - 59)
        assert self.plan(*stacks, limits=evolve(LIMITS, max_stacks=9)) == (Stop(Key("app", "a"), 1), Pause(Key("app", "b"), 1))

    def test_a_paused_stack_is_stopped_in_its_time_and_not_paused_again(self) -> None:
        assert self.plan(stack("a", state="paused", last_used=NOW - 100)) == ()
        assert self.plan(stack("a", state="paused", last_used=NOW - 601)) == (Stop(Key("app", "a"), 1),)

    def test_over_the_cap_the_least_recently_used_go_first_however_recently(self) -> None:
        stacks = [stack(name, last_used=NOW - age) for name, age in (("a", 1), ("b", 3), ("c", 2))]
        assert self.plan(*stacks) == (Stop(Key("app", "b"), 1),)

    @pytest.mark.parametrize("state", ["draining", "stopping", "failing"])
    def test_what_leaves_already_pays_back_what_is_over_the_cap_and_nobody_else_goes_for_it(self, state: str) -> None:
        stacks = [stack("a", last_used=NOW - 1), stack("b", last_used=NOW - 2), stack("c", state=state)]
        assert self.plan(*stacks) == ()

    def test_an_app_without_a_policy_is_left_alone(self) -> None:
        assert plan(NOW, [stack("a", last_used=0)], {}, LIMITS) == ()

    def test_a_stream_that_was_silent_for_too_long_is_no_use_but_a_slow_answer_is(self) -> None:
        silent = stack("a", in_flight=1, streams=1, last_byte=NOW - 1001)
        assert not busy(NOW, silent, LIMITS)
        assert busy(NOW, evolve(silent, last_byte=NOW - 999), LIMITS)
        assert busy(NOW, evolve(silent, in_flight=2), LIMITS)


snapshots = st.builds(
    stack,
    st.sampled_from("abcdefgh"),
    state=st.sampled_from(["ready", "paused", "starting", "probing", "stopping", "draining"]),
    in_flight=st.integers(0, 2),
    waiting=st.integers(0, 1),
    pinned=st.booleans(),
    last_used=st.floats(0, NOW),
    ready_since=st.floats(0, NOW),
)


@given(st.lists(snapshots, max_size=8, unique_by=lambda s: s.key), st.integers(0, 3))
def test_whoever_gives_way_is_idle_unpinned_settled_and_old_enough(holders: list[StackSnapshot], ahead: int) -> None:
    verdict = slot(NOW, holders, ahead, LIMITS)
    assert isinstance(verdict, Grant) == (len(holders) < LIMITS.max_stacks)
    if isinstance(verdict, EvictFirst):
        (victim,) = (holder for holder in holders if holder.key == verdict.victim)
        assert not victim.pinned
        assert not busy(NOW, victim, LIMITS)
        assert victim.state in ("ready", "paused")
        assert victim.ready_since is not None
        assert NOW - victim.ready_since >= LIMITS.min_uptime


@given(st.lists(snapshots, max_size=8, unique_by=lambda s: s.key))
def test_the_janitor_never_touches_what_is_pinned_or_in_use(stacks: list[StackSnapshot]) -> None:
    untouchable = {s.key for s in stacks if s.pinned or busy(NOW, s, LIMITS) or s.state not in ("ready", "paused")}
    assert not untouchable & {step.key for step in plan(NOW, stacks, TestPlan.POLICIES, LIMITS)}
