"""What to do about stacks that nobody uses. Idle is three facts: nothing in flight, no stream that counts, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from .keys import Key
from .lifecycle import State
from .model import IdlePolicy, Limits, StackSnapshot


@frozen
class Pause:
    """Freeze this generation, if it is still idle then."""

    key: Key
    generation: int


@frozen
class Stop:
    """Stop this generation, if it is still idle then."""

    key: Key
    generation: int


Step = Pause | Stop

LEAVING = frozenset({State.STOPPING.value, State.FAILING.value, State.DRAINING.value})
"""States of stacks that hold a slot still and are about to give it back."""


def busy(now: float, stack: StackSnapshot, limits: Limits) -> bool:
    """Whether somebody uses it: requests in flight or held, or a stream that was not silent for too long.

    A stream is in flight too; past ``limits.max_stream_idle`` of silence streams are no longer counted as use, so that a
    forgotten tab cannot hold a stack for ever.
    """
    if stack.waiting or stack.in_flight > stack.streams:
        return True
    return stack.streams > 0 and now - stack.last_byte < limits.max_stream_idle


def last_use(stack: StackSnapshot) -> float:
    """When it was last of use to anybody, or became ready: the order in which stacks give way (monotonic seconds)."""
    return max(stack.last_used, stack.last_byte, stack.ready_since or 0.0)


def plan(now: float, stacks: Iterable[StackSnapshot], policies: Mapping[str, IdlePolicy], limits: Limits) -> tuple[Step, ...]:
    """What the janitor should do at ``now``, the least recently used first.

    :param policies: by app name; a stack of an app without one (a fixed upstream) is left alone.
    """
    held = 0
    idle: list[StackSnapshot] = []
    for stack in stacks:
        if stack.key.app not in policies:
            continue
        held += State(stack.state).holds_slot and stack.state not in LEAVING
        if stack.state in ("ready", "paused") and not stack.pinned and not busy(now, stack, limits):
            idle.append(stack)
    idle.sort(key=last_use)
    over = max(0, held - limits.max_stacks)  # adopted over the cap: paid back here
    steps: list[Step] = []
    for stack in idle:
        policy = policies[stack.key.app]
        unused = now - last_use(stack)
        if over > 0 or (policy.stop is not None and unused >= policy.stop):
            steps.append(Stop(stack.key, stack.generation))
            over -= 1
        elif stack.state == "ready" and policy.pause is not None and unused >= policy.pause:
            steps.append(Pause(stack.key, stack.generation))
    return tuple(steps)
