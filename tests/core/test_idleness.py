"""What becomes of stacks that nobody uses."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.idleness import Pause, Remove, Step, Stop, after_hours, busy, last_use, may_sleep, plan, soonest
from grandcentral.core.keys import Key
from grandcentral.core.model import IdlePolicy, Limits, StackSnapshot

from .snapshots import LIMITS, NOW, at_rest, snapshots, some, stack

PLENTY = evolve(LIMITS, max_stacks=99)
POLICY = IdlePolicy(pause=60.0, stop=600.0, remove=3000.0)


def steps(*stacks: StackSnapshot, policy: IdlePolicy = POLICY, limits: Limits = PLENTY) -> tuple[Step, ...]:
    return plan(NOW, stacks, {"app": policy}, limits)


def pause(name: str) -> Step:
    return Pause(Key("app", name), 1)


def stop(name: str, why: str = "idle") -> Step:
    return Stop(Key("app", name), 1, why)


def remove(name: str) -> Step:
    return Remove(Key("app", name), 1)


class TestDepths:
    def test_idle_for_long_is_stopped_for_a_while_paused_and_recently_used_left_alone(self) -> None:
        stacks = stack("a", last_used=NOW - 600), stack("b", last_used=NOW - 60), stack("c", last_used=NOW - 59)
        assert steps(*stacks) == (stop("a"), pause("b"))

    def test_a_paused_stack_is_stopped_in_its_time_and_not_paused_again(self) -> None:
        assert steps(stack("a", state="paused", last_used=NOW - 100)) == ()
        assert steps(stack("a", state="paused", last_used=NOW - 600)) == (stop("a"),)

    def test_a_stopped_stack_is_removed_in_its_time(self) -> None:
        assert steps(stack("a", state="stopped", last_used=NOW - 2999)) == ()
        assert steps(stack("a", state="stopped", last_used=NOW - 3000)) == (remove("a"),)

    def test_what_is_never_to_happen_does_not(self) -> None:
        never = IdlePolicy(pause=None, stop=None, remove=None)
        assert steps(stack("a", last_used=0.0), stack("b", state="stopped", last_used=0.0), policy=never) == ()

    def test_an_app_without_a_policy_is_left_alone(self) -> None:
        assert plan(NOW, [stack("a", last_used=0)], {}, LIMITS) == ()

    @pytest.mark.parametrize("state", ["cold", "failed", "removing", "starting", "saving", "stopping"])
    def test_in_other_states_there_is_nothing_to_do(self, state: str) -> None:
        assert steps(stack("a", state=state, last_used=0.0)) == ()


class TestWhatSpeaksForAStack:
    def test_use(self) -> None:
        assert steps(stack("a", in_flight=1)) == steps(stack("a", waiting=1)) == ()

    def test_a_pin_for_stopped_ones_too(self) -> None:
        assert steps(stack("a", pinned=True), stack("b", pinned=True, state="stopped", last_used=0.0)) == ()

    @pytest.mark.parametrize("state", ["ready", "paused"])
    def test_a_request_to_let_it_be_until_that_has_ended(self, state: str) -> None:
        assert steps(stack("a", state=state, keep_until=NOW + 1)) == ()
        assert steps(stack("a", state=state, keep_until=NOW)) == (stop("a"),)

    def test_a_warm_one_is_paused_where_others_are_stopped_and_never_stopped_or_removed_for_being_idle(self) -> None:
        assert steps(stack("a", warm=True, last_used=NOW - 60)) == (pause("a"),)
        assert steps(stack("a", warm=True, last_used=0.0), policy=IdlePolicy(pause=None, stop=600.0)) == (pause("a"),)
        assert steps(stack("a", warm=True, state="paused", last_used=0.0)) == ()
        assert steps(stack("a", warm=True, state="stopped", last_used=0.0)) == ()


class TestStreams:
    def test_one_that_was_silent_for_too_long_is_no_use_but_a_slow_answer_is(self) -> None:
        silent = stack("a", in_flight=1, streams=1, last_byte=NOW - 1001)
        assert not busy(NOW, silent, LIMITS)
        assert busy(NOW, evolve(silent, last_byte=NOW - 999), LIMITS)
        assert busy(NOW, evolve(silent, in_flight=2), LIMITS)


class TestMaxAge:
    POLICY = IdlePolicy(stop=None, max_age=1000.0)
    OLD = stack("a", ready_since=NOW - 1001, last_used=NOW)

    def steps(self, **facts: object) -> tuple[Step, ...]:
        return steps(evolve(self.OLD, **facts), policy=self.POLICY)

    def test_who_has_been_up_for_longer_is_stopped_however_recently_used(self) -> None:
        assert self.steps() == (stop("a", "age"),)
        assert self.steps(state="paused") == (stop("a", "age"),)
        assert self.steps(ready_since=NOW - 1000) == ()

    def test_with_streams_but_not_with_a_request(self) -> None:
        assert self.steps(in_flight=1, streams=1, last_byte=NOW) == (stop("a", "age"),)
        assert self.steps(in_flight=2, streams=1, last_byte=NOW) == ()
        assert self.steps(in_flight=1) == self.steps(waiting=1) == ()

    def test_not_if_it_is_pinned_or_asked_to_be_let_be(self) -> None:
        assert self.steps(pinned=True) == self.steps(keep_until=NOW + 1) == ()

    def test_a_warm_one_too(self) -> None:
        assert self.steps(warm=True) == (stop("a", "age"),)  # and started anew by who keeps it warm


class TestOverTheCap:
    def test_the_least_recently_used_go_first_however_recently(self) -> None:
        stacks = [stack(name, last_used=NOW - age) for name, age in (("a", 1), ("b", 3), ("c", 2))]
        assert steps(*stacks, limits=LIMITS) == (stop("b", "room"),)

    def test_warm_ones_last(self) -> None:
        stacks = [stack("a", last_used=NOW - 1), stack("b", last_used=NOW - 3, warm=True), stack("c", last_used=NOW - 2)]
        assert steps(*stacks, limits=LIMITS) == (stop("c", "room"),)

    @pytest.mark.parametrize("state", ["draining", "stopping", "failing", "saving", "closing"])
    def test_what_leaves_already_pays_it_back_and_nobody_else_goes_for_it(self, state: str) -> None:
        stacks = [stack("a", last_used=NOW - 1), stack("b", last_used=NOW - 2), stack("c", state=state)]
        assert steps(*stacks, limits=LIMITS) == ()

    def test_so_does_what_is_stopped_for_being_idle(self) -> None:
        stacks = [stack("a", last_used=NOW - 1), stack("b", last_used=NOW - 2), stack("c", last_used=NOW - 600)]
        assert steps(*stacks, limits=LIMITS) == (stop("c"),)

    def test_what_is_stopped_holds_no_slot(self) -> None:
        stacks = [stack("a", last_used=NOW - 1), stack("b", last_used=NOW - 2), stack("c", state="stopped", last_used=NOW)]
        assert steps(*stacks, limits=LIMITS) == ()


class TestAfterHours:
    @pytest.mark.parametrize(
        ("pause", "stop", "then"),
        [(None, 1800.0, 300.0), (60.0, 1800.0, 60.0), (600.0, None, 300.0), (None, 120.0, 120.0), (None, None, 300.0)],
    )
    def test_a_stack_is_stopped_when_it_would_be_paused_or_after_five_minutes(
        self, pause: float | None, stop: float | None, then: float
    ) -> None:
        policy = after_hours(IdlePolicy(pause=pause, stop=stop))
        assert steps(stack("a", last_used=NOW - then), policy=policy) == (Stop(Key("app", "a"), 1),)
        assert not any(isinstance(step, Stop) for step in steps(stack("a", last_used=NOW - then + 1), policy=policy))

    def test_the_rest_of_the_policy_stays(self) -> None:
        assert after_hours(IdlePolicy(remove=7.0, max_age=8.0)) == IdlePolicy(stop=300.0, remove=7.0, max_age=8.0)


seconds = st.none() | st.floats(0, NOW)
policies = st.builds(IdlePolicy, pause=seconds, stop=seconds, remove=seconds, max_age=seconds)


@given(some(of=snapshots | at_rest), policies, st.integers(1, 8))
def test_nobody_is_touched_who_is_used_or_spoken_for_and_each_goes_one_way(
    stacks: list[StackSnapshot], policy: IdlePolicy, max_stacks: int
) -> None:
    by_key = {one.key: one for one in stacks}
    taken = plan(NOW, stacks, {"app": policy}, evolve(LIMITS, max_stacks=max_stacks))
    assert len({step.key for step in taken}) == len(taken)
    for step in taken:
        one = by_key[step.key]
        assert one.key.app == "app"
        assert not one.pinned
        if isinstance(step, Remove):
            assert one.state == "stopped"
            assert not one.warm
        else:
            assert one.state == "ready" or (one.state == "paused" and isinstance(step, Stop))
            assert may_sleep(NOW, one, LIMITS, policy.max_age)
    assert [last_use(by_key[step.key]) for step in taken] == sorted(last_use(by_key[step.key]) for step in taken)


@given(some(of=snapshots | at_rest), policies)
def test_nothing_is_due_of_what_was_used_later_than_the_soonest_that_anything_is(
    stacks: list[StackSnapshot], policy: IdlePolicy
) -> None:
    old = [one for one in stacks if last_use(one) <= NOW - soonest([policy])]
    assert steps(*old, policy=policy) == steps(*stacks, policy=policy)


@given(some(), st.integers(1, 8))
def test_over_the_cap_as_many_go_as_can_and_must(stacks: list[StackSnapshot], max_stacks: int) -> None:
    never = IdlePolicy(None, None, None)
    limits = evolve(LIMITS, max_stacks=max_stacks)
    taken = plan(NOW, stacks, {"app": never, "other": never}, limits)
    staying = [one for one in stacks if one.state in ("ready", "paused", "starting", "probing")]
    willing = [one for one in stacks if may_sleep(NOW, one, limits)]
    assert len(taken) == min(len(willing), max(0, len(staying) - max_stacks))
