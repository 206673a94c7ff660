"""What to do so that the versions which an app keeps warm are started, and paused when nobody uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from .idleness import STOPPED, Pause, Stop, may_sleep
from .keys import Key
from .lifecycle import State
from .model import Limits, StackUse, Version


@frozen
class Start:
    """Start it, if there is room that nobody else needs."""

    key: Key


Step = Start | Pause | Stop


def plan(now: float, stacks: Iterable[StackUse], wanted: Mapping[Key, Version], limits: Limits) -> tuple[Step, ...]:
    """What there is to do at ``now`` for each of ``wanted``; nothing for those that are about to change by themselves.

    One that was started and has not been asked for since is paused at once. One whose tag has moved to another image is
    stopped, to be started with the new one; not while somebody uses it. One that was warm, is not wanted any more, and was
    never asked for makes room at once.
    """
    there = {stack.key: stack for stack in stacks}
    steps: list[Step] = [
        Stop(stack.key, stack.generation)
        for stack in there.values()
        if stack.warm and stack.key not in wanted and not stack.requests and may_sleep(now, stack, limits)
    ]
    for key, version in wanted.items():
        stack = there.get(key)
        if stack is None or stack.state in (State.COLD.value, STOPPED):
            steps.append(Start(key))
        elif may_sleep(now, stack, limits):
            if moved(stack.version, version):
                steps.append(Stop(key, stack.generation))
            elif stack.state == State.READY.value and not stack.requests:
                steps.append(Pause(key, stack.generation))
    return tuple(steps)


def moved(before: Version | None, now: Version) -> bool:
    """Whether a tag is another image's by now. What has no digest (a commit) never moves."""
    return before is not None and None not in (before.digest, now.digest) and before.digest != now.digest
