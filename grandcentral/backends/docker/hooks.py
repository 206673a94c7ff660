"""Commands that run in a service before its stack is stopped."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from ...core.model import Hook, LogTail
from ...errors import EngineRefused, HookFailed
from .abortable import Command, kill_group
from .calls import Calls
from .translate import ended_how, exit_status
from .watch import LAST_LINES


async def execute(clock: Any, calls: Calls, container: str, hook: Hook, within: float) -> None:
    """Run a hook in a container, as the user and in the environment of that container. Returns if it exits with 0.

    One that takes too long or is given up is killed, with all that it has started in its process group, by a second command
    in the same container: that reaches any engine, near or far. What has left the group goes on.

    Raises HookFailed, CancelledError, and EngineUnavailable, after which the command may go on.
    """
    command = Command(container, hook.command)
    name = f"{hook.command!r} in {hook.service}"
    running = Deferred.fromCoroutine(calls.hook(command.run, command.abort)).addTimeout(within, clock)
    try:
        status = await running
    except TimeoutError:
        await _kill(calls, container, command)
        raise _failed(f"{name} took longer than {within:g} s.", hook, command) from None
    except CancelledError:
        await _kill(calls, container, command)
        raise
    except EngineRefused as refused:
        raise _failed(f"{name} could not be run: {refused}", hook, command) from refused
    if status != 0:
        raise _failed(ended_how(name, None if status is None else exit_status(status), False, None), hook, command)


async def _kill(calls: Calls, container: str, command: Command) -> None:
    if command.process:
        await calls.quick(partial(kill_group, container=container, process=command.process))


def _failed(why: str, hook: Hook, command: Command) -> HookFailed:
    lines = command.tail(LAST_LINES)
    return HookFailed(why, logs=(LogTail(hook.service, lines),) if lines else ())
