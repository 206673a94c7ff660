"""What to do about stacks that nobody uses. Idle is three facts: nothing in flight, no stream that counts, and since when.

Sleep has depths: paused, stopped, removed. Each is reached after so many idle seconds of an app's IdlePolicy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import inf
from operator import itemgetter

from attrs import evolve, frozen

from .keys import Key
from .lifecycle import State
from .model import IdlePolicy, Limits, StackUse


@frozen
class Pause:
    """Freeze this generation, if it is still idle then."""

    key: Key
    generation: int
    why: str = "idle"


@frozen
class Stop:
    """Stop this generation, if it is still idle then. What it has stored stays."""

    key: Key
    generation: int
    why: str = "idle"  # or "age", "room", "memory": see counters.REASONS


@frozen
class Remove:
    """Remove what is kept of this stopped generation, if nobody wants it by then."""

    key: Key
    generation: int
    why: str = "idle"  # or "disk"


Step = Pause | Stop | Remove

HOLDING = frozenset(state.value for state in State if state.holds_slot)
"""States of stacks that hold a slot."""

LEAVING = frozenset(state.value for state in (State.STOPPING, State.FAILING, State.DRAINING, State.SAVING, State.CLOSING))
"""States of stacks that hold a slot still and are about to give it back."""

STOPPED = "stopped"
"""What the snapshot of a stack says that does not run, and of which something is kept."""

AFTER_HOURS = 300.0  # idle seconds after which a stack is stopped outside the opening hours of its app

_SETTLED = frozenset({State.READY.value, State.PAUSED.value})


def busy(now: float, stack: StackUse, limits: Limits, max_age: float | None = None) -> bool:
    """Whether somebody uses it: requests in flight or held, or a stream that was not silent for too long.

    A stream is in flight too; past ``limits.max_stream_idle`` of silence streams are no longer counted as use, so that a
    forgotten tab cannot hold a stack for ever. None is counted for a stack that has been up for more than ``max_age`` seconds.
    """
    if stack.waiting or stack.in_flight > stack.streams:
        return True
    return stack.streams > 0 and now - stack.last_byte < limits.max_stream_idle and not outlived(now, stack, max_age)


def outlived(now: float, stack: StackUse, max_age: float | None) -> bool:
    """Whether it has been up for longer than it should."""
    return max_age is not None and stack.ready_since is not None and now - stack.ready_since > max_age


def may_sleep(now: float, stack: StackUse, limits: Limits, max_age: float | None = None) -> bool:
    """Whether it runs, or is paused, and nothing speaks for it: nobody uses it, no pin, and nobody asked to let it be."""
    return stack.state in _SETTLED and not stack.pinned and stack.keep_until <= now and not busy(now, stack, limits, max_age)


def last_use(stack: StackUse) -> float:
    """When it was last of use to anybody, or became ready: the order in which stacks give way (monotonic seconds)."""
    return max(stack.last_used, stack.last_byte, stack.ready_since or 0.0)


def soonest(policies: Iterable[IdlePolicy]) -> float:
    """Idle seconds before which none of these has anything done about a stack; 0 where one goes by age as well."""

    def first(policy: IdlePolicy) -> float:
        depths = (policy.pause, policy.stop, policy.remove)
        return 0.0 if policy.max_age is not None else min((after for after in depths if after is not None), default=inf)

    return min(map(first, policies), default=inf)


def after_hours(policy: IdlePolicy) -> IdlePolicy:
    """What holds of an app outside its opening hours: it is stopped instead of paused, and soon."""
    return evolve(policy, stop=min(s for s in (policy.pause, policy.stop, AFTER_HOURS) if s is not None))


def plan(now: float, stacks: Collection[StackUse], policies: Mapping[str, IdlePolicy], limits: Limits) -> tuple[Step, ...]:
    """What the janitor should do at ``now``, the least recently used first.

    Above ``limits.max_stacks`` (adopted by a gateway that has become smaller) the least recently used are stopped however
    recently that was, warm ones last.

    :param policies: by app name; a stack of an app without one (a fixed upstream) is left alone.
    """
    held = 0
    steps: dict[Key, tuple[float, Step]] = {}
    for stack in stacks:
        policy = policies.get(stack.key.app)
        if policy is None:
            continue
        step = _due(now, stack, policy, limits)
        if step is not None:
            steps[stack.key] = last_use(stack), step
        held += stack.state in HOLDING and stack.state not in LEAVING and not isinstance(step, Stop)
    if held > limits.max_stacks:
        going = {key for key, (_, step) in steps.items() if isinstance(step, Stop)}
        spare = [one for one in stacks if one.key.app in policies and one.key not in going and may_sleep(now, one, limits)]
        spare.sort(key=lambda stack: (stack.warm, last_use(stack)))
        for stack in spare[: held - limits.max_stacks]:
            steps[stack.key] = last_use(stack), Stop(stack.key, stack.generation, "room")
    return tuple(step for _, step in sorted(steps.values(), key=itemgetter(0)))


def _due(now: float, stack: StackUse, policy: IdlePolicy, limits: Limits) -> Step | None:
    """What its own policy says of one stack. A warm one is paused where others are stopped, and never removed."""
    unused = now - last_use(stack)
    if stack.state == STOPPED:
        old = policy.remove is not None and unused >= policy.remove
        return Remove(stack.key, stack.generation) if old and not (stack.pinned or stack.warm) else None
    if not may_sleep(now, stack, limits, policy.max_age):
        return None
    if outlived(now, stack, policy.max_age):
        return Stop(stack.key, stack.generation, "age")
    stop = policy.stop is not None and unused >= policy.stop
    if stop and not stack.warm:
        return Stop(stack.key, stack.generation)
    if stack.state == State.READY.value and (stop or (policy.pause is not None and unused >= policy.pause)):
        return Pause(stack.key, stack.generation)
    return None
