"""The life of a stack as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.lifecycle import TRANSITIONS, Effect, Event, IllegalTransition, State, step

states, all_events = st.sampled_from(State), st.sampled_from(Event)


@given(states, all_events)
def test_a_pair_that_is_not_in_the_table_raises_and_names_itself(state: State, event: Event) -> None:
    if event in TRANSITIONS[state]:
        assert step(state, event) == TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition, match=f"{event.name} in state {state.name}"):
            step(state, event)


def test_every_state_has_rows_can_be_reached_and_can_be_left() -> None:
    reached = {following for rows in TRANSITIONS.values() for following, _ in rows.values()}
    assert reached == set(State) == set(TRANSITIONS)
    for state, rows in TRANSITIONS.items():
        assert any(following is not state for following, _ in rows.values())


def test_every_event_and_every_effect_is_used() -> None:
    assert {event for rows in TRANSITIONS.values() for event in rows} == set(Event)
    assert {effect for rows in TRANSITIONS.values() for _, effects in rows.values() for effect in effects} == set(Effect)


def test_a_request_and_an_operator_are_welcome_in_every_state() -> None:
    for state in State:
        assert Event.WANTED in TRANSITIONS[state]
        assert Event.STOP_ASKED in TRANSITIONS[state]


@pytest.mark.parametrize("state", [state for state in State if state.holds_slot])
def test_a_service_may_vanish_whenever_something_may_be_running(state: State) -> None:
    assert Event.VANISHED in TRANSITIONS[state]


def test_single_flight_is_a_row_without_effects() -> None:
    for state in (State.QUEUED, State.STARTING, State.PROBING, State.CHECKING, State.REPROBING, State.RESUMING):
        assert step(state, Event.WANTED) == (state, ())


def test_a_slot_is_asked_for_before_it_is_held_and_freed_when_it_is_given_up() -> None:
    for state, rows in TRANSITIONS.items():
        for event, (following, effects) in rows.items():
            if state.holds_slot and not following.holds_slot:
                assert Effect.FREE_SLOT in effects, (state, event)
            if not state.holds_slot and following.holds_slot and state is not State.QUEUED:
                assert event in (Event.ADOPTED, Event.ADOPTED_PAUSED, Event.FOUND_BROKEN), (state, event)


def test_only_a_halt_that_succeeded_leads_out_of_the_states_in_which_something_may_run_to_those_in_which_nothing_does() -> None:
    for state, rows in TRANSITIONS.items():
        for event, (following, _) in rows.items():
            if state.holds_slot and not following.holds_slot:
                assert event is Event.HALTED, (state, event)


def test_a_launch_follows_a_slot_or_a_halt_and_nothing_else() -> None:
    launching = {event for rows in TRANSITIONS.values() for event, (_, effects) in rows.items() if Effect.LAUNCH in effects}
    assert launching == {Event.SLOT_GRANTED, Event.HALTED}


def test_the_door_is_open_in_ready_and_in_no_other_state() -> None:
    for state, rows in TRANSITIONS.items():
        for event, (following, effects) in rows.items():
            if following is State.READY and state is not State.READY:
                assert Effect.OPEN in effects, (state, event)
            if state is State.READY and following is not State.READY:
                assert Effect.CLOSE in effects or Effect.DRAIN in effects, (state, event)


@given(st.lists(all_events, max_size=60))
def test_any_order_of_legal_events_keeps_launches_and_halts_in_turn(order: list[Event]) -> None:
    state, may_launch = State.COLD, True
    for event in order:
        if event not in TRANSITIONS[state]:
            continue
        state, effects = step(state, event)
        if event is Event.HALTED:
            may_launch = True
        if Effect.LAUNCH in effects:
            assert may_launch
            may_launch = False
