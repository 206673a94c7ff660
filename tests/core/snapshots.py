"""Stacks as admission, the janitor and memory pressure see them."""

from __future__ import annotations

from hypothesis import strategies as st

from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import State
from grandcentral.core.model import Limits, StackSnapshot, Version

NOW = 5000.0
LIMITS = Limits(max_stacks=2, min_uptime=30.0, max_stream_idle=1000.0)
STATES = ["ready", "ready", "paused", "starting", "probing", "saving", "stopping", "draining", "closing"]


def stack(name: str, **facts: object) -> StackSnapshot:
    """One that has been ready, and unused, for long."""
    app = str(facts.pop("app", "app"))
    facts = {"state": "ready", "ready_since": 0.0, "last_used": 100.0, "generation": 1, **facts}
    return StackSnapshot(Key(app, name), **facts)  # type: ignore[arg-type]


def of_branch(branch: str, created: float | None) -> Version:
    return Version("db139cf", branch=branch, created=created)


snapshots = st.builds(
    stack,
    st.sampled_from("abcdefgh"),
    app=st.sampled_from(["app", "other"]),
    state=st.sampled_from(STATES),
    in_flight=st.integers(0, 2),
    streams=st.integers(0, 1),
    last_byte=st.sampled_from([0.0, NOW - 1.0]),
    waiting=st.sampled_from([0, 0, 0, 1]),
    pinned=st.sampled_from([False, False, True]),
    warm=st.sampled_from([False, False, True]),
    keep_until=st.sampled_from([0.0, 0.0, NOW + 1.0]),
    last_used=st.floats(0, NOW),
    ready_since=st.none() | st.floats(0, NOW),
    version=st.none() | st.builds(of_branch, st.sampled_from(["main", "topic"]), st.none() | st.floats(0, 3)),
)
"""Any stack that holds a slot."""


def some(at_most: int = 8, of: st.SearchStrategy[StackSnapshot] = snapshots) -> st.SearchStrategy[list[StackSnapshot]]:
    return st.lists(of, max_size=at_most, unique_by=lambda one: one.key)


at_rest = st.builds(
    lambda one, state: StackSnapshot(one.key, state, 1, last_used=one.last_used, pinned=one.pinned, warm=one.warm),
    snapshots,
    st.sampled_from(["stopped", "cold", "failed", "removing", "queued"]),
)
"""Any stack that holds none."""

assert {"stopped", *STATES} <= {"stopped", *(state.value for state in State)}
