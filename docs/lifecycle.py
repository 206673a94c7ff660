"""docs/lifecycle.md: the life of a stack, drawn and listed from core/lifecycle.py."""

from __future__ import annotations

from grandcentral.core.lifecycle import TRANSITIONS, Effect, Event, State

HEAD = """\
# The life of a stack

Made from `grandcentral/core/lifecycle.py` by `python -m docs.generate`; do not edit.

A stack is in one of these states. News arrives as an event; the table says what the next state is and what is done on the
way. A pair that is not in the table cannot happen. A stack that holds a slot counts against `max_stacks`.
"""


def markdown() -> str:
    """The page."""
    return "\n".join([HEAD, *_states(), "", *_diagram(), "", *_transitions(), "", *_meanings()]) + "\n"


def _states() -> list[str]:
    rows = [f"| {state.name} | {state.value} | {'yes' if state.holds_slot else ''} |" for state in State]
    return ["| state | shown as | holds a slot |", "|---|---|---|", *rows]


def _diagram() -> list[str]:
    edges: dict[tuple[State, State], list[str]] = {}
    for state, rows in TRANSITIONS.items():
        for event, (following, _) in rows.items():
            if following is not state:
                edges.setdefault((state, following), []).append(event.name.lower())
    lines = [f"    {one.name} --> {other.name}: {', '.join(events)}" for (one, other), events in edges.items()]
    return ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.COLD.name}", *lines, "```"]


def _transitions() -> list[str]:
    lines = ["| state | event | next | effects, in order |", "|---|---|---|---|"]
    for state, rows in TRANSITIONS.items():
        for event, (following, effects) in rows.items():
            what = ", ".join(effect.name.lower() for effect in effects) or "none"
            same = "same" if following is state else following.name
            lines.append(f"| {state.name} | {event.name} | {same} | {what} |")
    return lines


def _meanings() -> list[str]:
    events = [f"| {event.name} | {event.value} |" for event in Event]
    effects = [f"| {effect.name} | {effect.value} |" for effect in Effect]
    head = ["|---|---|"]
    return ["| event | news |", *head, *events, "", "| effect | what is done |", *head, *effects]
