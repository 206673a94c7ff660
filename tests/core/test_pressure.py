"""Who gives way when memory or disk is short."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.idleness import Remove, Stop, may_sleep
from grandcentral.core.keys import Key
from grandcentral.core.model import Service, StackSnapshot, StackSpec
from grandcentral.core.pressure import REMOVED_AT_ONCE, Accounts, Memory, declared, discard, fewest, relieve, stalls

from .snapshots import LIMITS, NOW, at_rest, some, stack

SHORT = evolve(LIMITS, max_stacks=99, memory_min_free=100)


def accounts(available: int, stalled: float = 0.0, needs: dict[str, int] | None = None, **usage: int) -> Accounts:
    return Accounts(Memory(1000, available, stalled), {Key("app", name): size for name, size in usage.items()}, needs or {})


def victims(known: Accounts, *stacks: StackSnapshot) -> str:
    """Their names, in order."""
    return "".join(step.key.name for step in relieve(NOW, stacks, known, SHORT))


class TestRelieve:
    def test_with_enough_available_nobody_goes(self) -> None:
        assert victims(accounts(100, a=50), stack("a")) == ""

    def test_the_longest_idle_go_and_no_more_of_them_than_it_takes(self) -> None:
        stacks = stack("a", last_used=3.0), stack("b", last_used=1.0), stack("c", last_used=2.0)
        known = accounts(40, a=30, b=30, c=30)
        assert victims(known, *stacks) == "bc"
        assert relieve(NOW, stacks, known, SHORT) == (Stop(Key("app", "b"), 1, "memory"), Stop(Key("app", "c"), 1, "memory"))

    def test_paused_ones_as_well_as_ready_ones(self) -> None:
        assert victims(accounts(60, a=50, b=50), stack("a"), stack("b", state="paused", last_used=50.0)) == "b"

    def test_of_two_as_idle_the_one_that_frees_more_then_the_one_that_is_older(self) -> None:
        assert victims(accounts(90, a=10, b=20), stack("a"), stack("b")) == "b"
        assert victims(accounts(90, a=10, b=10), stack("a", ready_since=2.0), stack("b", ready_since=1.0)) == "b"

    def test_one_that_another_makes_unnecessary_stays(self) -> None:
        assert victims(accounts(0, a=10, b=100), stack("a", last_used=1.0), stack("b", last_used=2.0)) == "b"

    @pytest.mark.parametrize("state", ["draining", "saving", "stopping", "closing"])
    def test_what_leaves_already_counts_as_freed(self, state: str) -> None:
        assert victims(accounts(50, a=50, b=50), stack("a", state=state), stack("b")) == ""
        assert victims(accounts(49, a=50, b=50), stack("a", state=state), stack("b")) == "b"

    def test_nobody_who_is_busy_pinned_or_let_be_but_young_ones_too(self) -> None:
        known = accounts(0, a=50, b=50, c=50, d=50)
        stacks = stack("a", in_flight=1), stack("b", pinned=True), stack("c", keep_until=NOW + 1)
        assert victims(known, *stacks, stack("d", ready_since=NOW)) == "d"

    def test_warm_ones_last(self) -> None:
        assert victims(accounts(60, a=50, b=50), stack("a", warm=True, last_used=1.0), stack("b", last_used=2.0)) == "b"

    def test_what_takes_nothing_frees_nothing_and_stays(self) -> None:
        assert victims(accounts(0, a=0, b=100), stack("a", last_used=1.0), stack("b", last_used=2.0)) == "b"

    def test_one_not_weighed_yet_is_taken_for_one_like_the_others_of_its_app(self) -> None:
        assert victims(accounts(0, needs={"app": 100}), stack("a", last_used=1.0), stack("b", last_used=2.0)) == "a"

    def test_if_nothing_is_known_one_goes_at_a_time(self) -> None:
        assert victims(accounts(0), stack("a", last_used=1.0), stack("b", last_used=2.0)) == "a"
        assert victims(accounts(0), stack("a", state="draining"), stack("b")) == ""


class TestStalling:
    def test_when_much_time_is_spent_on_finding_memory_one_goes_though_enough_seems_available(self) -> None:
        stacks = stack("a", last_used=2.0), stack("b", last_used=1.0)
        assert victims(accounts(200, stalled=20.1, a=50, b=50), *stacks) == "b"
        assert victims(accounts(200, stalled=20.0, a=50, b=50), *stacks) == ""
        assert victims(accounts(200, stalled=20.1, a=50, b=50), *stacks, stack("c", state="stopping")) == ""

    def test_not_with_ample_memory_for_then_it_is_a_limit_of_its_own_that_somebody_has_come_to(self) -> None:
        assert stalls(Memory(1000, 249, 50.0))
        assert not stalls(Memory(1000, 250, 50.0))


class TestAccounts:
    def test_what_is_lacking_is_what_is_to_be_left_and_what_stacks_will_still_take(self) -> None:
        known = accounts(500, needs={"app": 200}, a=150, b=250)
        assert known.lacking([stack("a"), stack("b"), stack("c", state="starting")], SHORT) == 100 + 50 + 0 + 200 - 500

    def test_those_who_leave_take_no_more(self) -> None:
        assert accounts(500, needs={"app": 200}, a=150).lacking([stack("a", state="stopping")], SHORT) == 100 - 500


class TestDeclared:
    def test_it_is_what_the_limits_of_the_services_allow(self) -> None:
        services = Service("web", memory=100), Service("db", memory=50), Service("cache")
        assert declared(StackSpec(services, "web", 80)) == 150


class TestDiscard:
    def test_the_least_recently_used_stopped_stacks_go_few_at_a_time(self) -> None:
        stacks = [stack(name, state="stopped", last_used=float(age)) for age, name in enumerate("dcba")]
        assert discard(stacks) == (Remove(Key("app", "d"), 1, "disk"), Remove(Key("app", "c"), 1, "disk"))

    def test_never_what_runs_or_is_pinned_or_warm(self) -> None:
        stopped = stack("p", state="stopped", pinned=True), stack("w", state="stopped", warm=True)
        assert discard([*stopped, stack("a"), stack("b", state="paused"), stack("c", state="cold")]) == ()


sizes = st.dictionaries(st.builds(Key, st.sampled_from(["app", "other"]), st.sampled_from("abcdefgh")), st.integers(0, 300))


@given(some(), sizes, st.integers(0, 400), st.sampled_from([0.0, 50.0]))
def test_nobody_who_is_spoken_for_goes_and_enough_is_freed_or_nothing_more_can_be(
    stacks: list[StackSnapshot], usage: dict[Key, int], available: int, stalled: float
) -> None:
    limits = evolve(SHORT, memory_min_free=200)
    known = Accounts(Memory(2000, available, stalled), usage, {})
    chosen = {step.key for step in relieve(NOW, stacks, known, limits)}
    idle = [one for one in stacks if may_sleep(NOW, one, limits)]
    assert chosen <= {one.key for one in idle}
    lacking = 200 - available - known.leaving(stacks)
    freed = sum(usage.get(key, 0) for key in chosen)
    freeing = {one.key for one in idle if usage.get(one.key)}
    assert freed >= lacking or chosen >= freeing
    for key in chosen:  # nobody for nothing: but one at a time on suspicion
        assert freed - usage.get(key, 0) < lacking or len(chosen) == 1


@given(some(), st.integers(0, 1000), sizes)
def test_the_fewest_are_some_of_them_in_their_order_none_of_which_could_stay(
    stacks: list[StackSnapshot], lacking: int, usage: dict[Key, int]
) -> None:
    def frees(one: StackSnapshot) -> int:
        return usage.get(one.key, 0)

    taken = fewest(stacks, lacking, frees)
    assert taken == [one for one in stacks if one in taken]
    total = sum(map(frees, taken))
    assert total >= lacking or taken == [one for one in stacks if frees(one)]
    assert all(total - frees(one) < lacking for one in taken)


@given(some(of=at_rest))
def test_of_stacks_at_rest_only_stopped_ones_that_nobody_keeps_are_removed(stacks: list[StackSnapshot]) -> None:
    removed = {step.key for step in discard(stacks)}
    free = [one for one in stacks if one.state == "stopped" and not (one.pinned or one.warm)]
    assert removed <= {one.key for one in free}
    assert len(removed) == min(len(free), REMOVED_AT_ONCE)
