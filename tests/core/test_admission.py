"""Who gets a slot, and who gives way."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.admission import EvictFirst, Grant, Newcomer, Refuse, Verdict, Wait, slot
from grandcentral.core.idleness import LEAVING, busy
from grandcentral.core.keys import Key
from grandcentral.core.model import Limits, StackSnapshot
from grandcentral.core.pressure import Accounts, Memory

from .snapshots import LIMITS, NOW, of_branch, some, stack

ONE, TWO = [Newcomer("app")], [Newcomer("app"), Newcomer("app")]
MIB = 2**20


def gives_way(name: str) -> Verdict:
    return EvictFirst(Key("app", name))


class TestSlots:
    def test_while_there_is_room_it_is_granted(self) -> None:
        assert slot(NOW, [stack("a")], ONE, LIMITS) == Grant()

    def test_the_oldest_last_request_gives_way(self) -> None:
        holders = [stack("a", last_used=200.0), stack("b", last_used=100.0)]
        assert slot(NOW, holders, ONE, LIMITS) == gives_way("b")

    def test_nobody_who_is_busy_pinned_starting_young_or_let_be_on_request(self) -> None:
        old = stack("z", last_used=900.0)
        for other in (
            stack("a", in_flight=1),
            stack("a", waiting=1),
            stack("a", pinned=True),
            stack("a", state="starting", ready_since=None),
            stack("a", ready_since=NOW - 29),
            stack("a", keep_until=NOW + 1),
        ):
            assert slot(NOW, [other, old], ONE, LIMITS) == gives_way("z")

    def test_all_busy_or_pinned_is_a_refusal(self) -> None:
        assert isinstance(slot(NOW, [stack("a", in_flight=1), stack("b", pinned=True)], ONE, LIMITS), Refuse)

    def test_somebody_who_will_grow_up_or_become_ready_is_worth_waiting_for(self) -> None:
        assert isinstance(slot(NOW, [stack("a", ready_since=NOW), stack("b", pinned=True)], ONE, LIMITS), Wait)
        assert isinstance(slot(NOW, [stack("a", state="probing"), stack("b", pinned=True)], ONE, LIMITS), Wait)

    @pytest.mark.parametrize("state", ["stopping", "draining", "saving", "closing", "failing"])
    def test_one_who_leaves_already_is_enough_for_the_first_in_the_queue_but_not_for_the_second(self, state: str) -> None:
        holders = [stack("a", state=state), stack("b")]
        assert isinstance(slot(NOW, holders, ONE, LIMITS), Wait)
        assert slot(NOW, holders, TWO, LIMITS) == gives_way("b")

    def test_what_was_adopted_over_the_cap_is_paid_back_before_anybody_is_let_in(self) -> None:
        holders = [stack("a", state="stopping"), stack("b"), stack("c")]
        assert slot(NOW, holders, ONE, LIMITS) == gives_way("b")


class TestPreferences:
    def test_older_commits_of_a_branch_go_before_what_was_used_less_recently(self) -> None:
        old = stack("old", last_used=900.0, version=of_branch("topic", 1.0))
        new = stack("new", version=of_branch("topic", 2.0))
        assert slot(NOW, [new, old], ONE, LIMITS) == gives_way("old")

    def test_a_newer_commit_that_is_asked_for_retires_the_older_too(self) -> None:
        old = stack("old", last_used=900.0, version=of_branch("topic", 1.0))
        asked = [Newcomer("app", of_branch("topic", 2.0))]
        assert slot(NOW, [stack("a"), old], asked, LIMITS) == gives_way("old")

    @pytest.mark.parametrize(
        "asked",
        [
            Newcomer("app", of_branch("main", 2.0)),  # another branch
            Newcomer("other", of_branch("topic", 2.0)),  # another app
            Newcomer("app", of_branch("topic", 0.5)),  # an older commit
            Newcomer("app", of_branch("topic", None)),  # whose age is not known
        ],
    )
    def test_others_do_not(self, asked: Newcomer) -> None:
        old = stack("old", last_used=900.0, version=of_branch("topic", 1.0))
        assert slot(NOW, [stack("a"), old], [asked], LIMITS) == gives_way("a")

    def test_an_older_commit_that_is_in_use_stays(self) -> None:
        old = stack("old", in_flight=1, version=of_branch("topic", 1.0))
        assert slot(NOW, [stack("a"), old], [Newcomer("app", of_branch("topic", 2.0))], LIMITS) == gives_way("a")

    def test_a_warm_stack_goes_last_of_all(self) -> None:
        assert slot(NOW, [stack("w", warm=True, last_used=1.0), stack("a", last_used=900.0)], ONE, LIMITS) == gives_way("a")
        assert slot(NOW, [stack("w", warm=True), stack("a", in_flight=1)], ONE, LIMITS) == gives_way("w")

    def test_of_two_that_were_used_last_at_the_same_time_the_one_that_frees_more_memory(self) -> None:
        accounts = Accounts(Memory(1000, 1000), {Key("app", "a"): 1, Key("app", "b"): 2}, {})
        assert slot(NOW, [stack("a"), stack("b")], ONE, LIMITS, accounts) == gives_way("b")


class TestStarting:
    LIMITS = evolve(LIMITS, max_stacks=9, max_starting=2)

    @pytest.mark.parametrize("state", ["starting", "probing", "stopping, wanted"])
    def test_no_more_start_at_once_than_may(self, state: str) -> None:
        one, two = stack("a", state=state), stack("b", state=state)
        assert slot(NOW, [one], ONE, self.LIMITS) == Grant()
        verdict = slot(NOW, [one, two], ONE, self.LIMITS)
        assert isinstance(verdict, Wait)
        assert "2 stacks are starting" in verdict.why

    def test_nobody_gives_way_for_who_could_not_start_yet(self) -> None:
        limits = evolve(self.LIMITS, max_stacks=3)
        holders = [stack("a", state="starting"), stack("b", state="stopping"), stack("c")]
        assert isinstance(slot(NOW, holders, TWO, limits), Wait)


class TestMemory:
    LIMITS = evolve(LIMITS, max_stacks=9, memory_min_free=100 * MIB)

    def slot(
        self, *holders: StackSnapshot, available: int, queue: list[Newcomer] = ONE, need: int = 200, **usage: int
    ) -> Verdict:
        """Sizes are MiB; what an app needs is 200."""
        taken = {Key("app", name): size * MIB for name, size in usage.items()}
        accounts = Accounts(Memory(1000 * MIB, available * MIB), taken, {"app": need * MIB})
        return slot(NOW, holders, queue, self.LIMITS, accounts)

    def test_a_start_that_leaves_enough_is_granted(self) -> None:
        assert self.slot(stack("a"), available=300, a=200) == Grant()

    def test_one_that_would_not_has_room_made_first(self) -> None:
        assert self.slot(stack("a"), available=299, a=200) == gives_way("a")

    def test_what_others_will_take_yet_is_not_there_for_it(self) -> None:
        young = stack("b", state="starting", ready_since=None)
        assert self.slot(stack("a"), young, available=500, a=200, b=0) == Grant()
        assert self.slot(stack("a"), young, available=499, a=200, b=0) == gives_way("a")
        assert self.slot(stack("a"), young, available=499, a=200, b=1) == Grant()

    def test_what_is_being_freed_is_waited_for_and_nobody_else_goes(self) -> None:
        assert isinstance(self.slot(stack("a"), stack("b", state="stopping"), available=150, a=200, b=200), Wait)

    def test_the_second_in_the_queue_has_room_made_beside_the_first(self) -> None:
        holders = stack("a"), stack("b", state="stopping")
        assert self.slot(*holders, available=150, queue=TWO, a=200, b=200) == gives_way("a")

    def test_nobody_goes_who_frees_nothing_and_nobody_who_is_not_needed(self) -> None:
        empty, small, large = stack("e", last_used=1.0), stack("s", last_used=2.0), stack("l", last_used=3.0)
        assert self.slot(empty, small, large, available=50, need=0, e=0, s=60, l=200) == gives_way("s")
        # The small one alone would not do, and beside the large one it is not needed.
        assert self.slot(empty, small, large, available=0, need=0, e=0, s=60, l=200) == gives_way("l")

    def test_who_goes_takes_no_more_of_what_was_kept_for_him(self) -> None:
        assert self.slot(stack("a"), stack("b", in_flight=1), available=295, a=10, b=200) == gives_way("a")

    def test_nobody_goes_in_vain(self) -> None:
        verdict = self.slot(stack("a"), stack("b", in_flight=1), available=100, a=50, b=200, need=200)
        assert isinstance(verdict, Wait)
        assert "there is not enough memory: 350 MiB more would have to be free" in verdict.why

    def test_nobody_who_is_younger_than_he_has_to_be(self) -> None:
        assert isinstance(self.slot(stack("a", ready_since=NOW - 29), available=200, a=200), Wait)

    def test_on_a_machine_that_runs_nothing_else_a_start_always_fits(self) -> None:
        assert self.slot(available=0, need=9999) == Grant()

    def test_so_all_that_may_go_goes_for_one_that_can_never_fit_beside_them(self) -> None:
        assert self.slot(stack("a"), available=10, a=10, need=9999) == gives_way("a")

    def test_where_memory_is_not_looked_at_none_is_needed(self) -> None:
        assert slot(NOW, [stack("a")], ONE, self.LIMITS, None) == Grant()


queues = st.lists(st.builds(Newcomer, st.sampled_from(["app", "other"])), min_size=1, max_size=4)
accounts = st.none() | st.builds(
    lambda available, usage, needs: Accounts(Memory(1000, available), dict(usage), needs),
    st.integers(0, 1000),
    st.lists(st.tuples(st.builds(Key, st.just("app"), st.sampled_from("abcdefgh")), st.integers(0, 500))),
    st.fixed_dictionaries({"app": st.integers(0, 500)}, optional={"other": st.integers(0, 500)}),
)
limits = st.builds(
    Limits,
    max_stacks=st.integers(1, 8),
    min_uptime=st.just(30.0),
    max_stream_idle=st.just(1000.0),
    max_starting=st.integers(0, 3),
    memory_min_free=st.integers(0, 500),
)


@given(some(), queues, limits, accounts)
def test_whoever_gives_way_is_idle_unpinned_settled_and_old_enough(
    holders: list[StackSnapshot], queue: list[Newcomer], limits: Limits, accounts: Accounts | None
) -> None:
    verdict = slot(NOW, holders, queue, limits, accounts)
    if isinstance(verdict, EvictFirst):
        (victim,) = (holder for holder in holders if holder.key == verdict.victim)
        assert not victim.pinned
        assert not busy(NOW, victim, limits)
        assert victim.state in ("ready", "paused")
        assert victim.keep_until <= NOW
        assert victim.ready_since is None or NOW - victim.ready_since >= limits.min_uptime


@given(some(), queues, limits, accounts)
def test_whoever_is_let_in_finds_a_slot_and_memory(
    holders: list[StackSnapshot], queue: list[Newcomer], limits: Limits, accounts: Accounts | None
) -> None:
    if slot(NOW, holders, queue, limits, accounts) == Grant():
        assert len(holders) < limits.max_stacks
        starting = [holder for holder in holders if holder.state in ("starting", "probing")]
        assert not limits.max_starting or len(starting) < limits.max_starting
        if accounts is not None and holders:
            growth = sum(
                max(0, accounts.need(h.key.app) - accounts.usage.get(h.key, 0)) for h in holders if h.state not in LEAVING
            )
            assert accounts.memory.available - growth - accounts.need(queue[0].app) >= limits.memory_min_free


@given(some(), queues, limits, accounts)
def test_evicting_one_after_the_other_comes_to_an_end(
    holders: list[StackSnapshot], queue: list[Newcomer], limits: Limits, accounts: Accounts | None
) -> None:
    """As the queue does it: whoever gives way drains, and what is left is looked at again."""
    for _ in range(len(holders) + 1):
        verdict = slot(NOW, holders, queue, limits, accounts)
        if not isinstance(verdict, EvictFirst):
            return
        holders = [evolve(h, state="draining") if h.key == verdict.victim else h for h in holders]
    pytest.fail("more gave way than there were")
