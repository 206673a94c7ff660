"""Running a command line beside a service, before its stack is stopped."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import TimeoutError

from ...core.model import Hook, LogTail
from ...errors import EngineRefused, HookFailed
from . import logs, proc
from .stack import LINES, Stack, how
from .watching import finished


async def run(reactor: Any, stack: Stack | None, hook: Hook, within: float) -> None:
    """As IBackend.execute says. What the command has left running in the background goes on, and ends with the stack."""
    process = stack.processes.get(hook.service) if stack else None
    seen = proc.look(process.pid) if process and process.running else None
    if stack is None or seen is None or seen.stopped:
        raise HookFailed(f"{hook.service} does not run: {hook.command} cannot be run in it.")
    output = stack.home.log(f"{hook.service} before stop")
    output.unlink(missing_ok=True)  # what earlier hooks have said
    try:
        command = stack.beside(reactor, hook.service, ("/bin/sh", "-c", hook.command), output)
        ended = how(await finished(command, reactor, within))
    except EngineRefused as error:
        raise HookFailed(str(error)) from error
    except TimeoutError:
        ended = f"took longer than {within:g} s and was killed"
    if ended != how(0):
        said = LogTail(hook.service, logs.tail(output, LINES))
        raise HookFailed(f"{hook.command} in {hook.service} {ended}.", logs=(said,))
