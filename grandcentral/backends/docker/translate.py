"""From the engine's words to ours: its errors, its states, its exit codes. Each in one place."""

from __future__ import annotations

from enum import Enum
from typing import Any

from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from ...errors import EngineRefused, EngineUnavailable, ImageUnavailable, Mishap

# -- errors -------------------------------------------------------------------------------------------------------------

REMEDIES = {
    "non-overlapping IPv4 address pool": "The engine has no address range left for another network: "
    'give it smaller ones ("default-address-pools" in its daemon.json), or run fewer stacks.',
    "no space left on device": "Free some space, or let stacks go earlier.",
}


def translated(error: Exception, engine: str) -> Mishap | None:
    """The Mishap that an exception out of docker-py stands for; None for one that is a bug.

    :param engine: the address of the engine, for people.
    """
    match error:
        case Mishap():
            return error
        case ImageNotFound():
            return ImageUnavailable(f"The engine does not have the image: {words(error)}")
        case APIError() if error.status_code in (502, 503, 504):
            return EngineUnavailable(f"The Docker engine at {engine} is not available: {words(error)}")
        case APIError():
            said = words(error)
            remedy = next((f" {remedy}" for sign, remedy in REMEDIES.items() if sign in said), "")
            return EngineRefused(f"The Docker engine refused: {said}{remedy}")
        case DockerException() | RequestException() | HTTPError() | OSError():
            return EngineUnavailable(f"The Docker engine at {engine} does not answer: {root(error)}.")
        case _:
            return None


def words(error: APIError) -> str:
    """What the engine said."""
    return str(error.explanation or error).strip()


def root(error: BaseException) -> str:
    """The innermost reason: requests wraps urllib3, which wraps the socket's own error."""
    while True:
        inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        error = inner


# -- states -------------------------------------------------------------------------------------------------------------


class Condition(Enum):
    """What a container is good for, as far as we care."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


def condition(state: str) -> Condition:
    """What ``State.Status`` of a container means (Engine API, ``ContainerInspect``)."""
    match state:
        case "created":
            return Condition.NOT_STARTED
        case "running":
            return Condition.RUNNING
        case "paused":
            return Condition.PAUSED
        # It has died and the engine is about to start it again: under no policy of ours, so somebody has changed it. What
        # it was has ended.
        case "restarting":
            return Condition.ENDED
        # "removing" is being taken away by somebody; "dead" is one that the engine failed to take away.
        case "exited" | "removing" | "dead":
            return Condition.ENDED
        # A state from an engine newer than this: not one that we know to be good.
        case _:
            return Condition.ENDED


def exit_status(code: int) -> int:
    """Exit status as ServiceExited has it: the engine says 128 + n for a process that signal n has ended."""
    return 128 - code if 128 < code < 128 + 32 else code


def ended_how(service: str, status: int | None, oom: bool, memory: int | None) -> str:
    """One sentence on how a service ended."""
    if oom:
        limit = f", its limit is {memory / 2**20:.0f} MiB" if memory else ""
        return f"{service} was killed: it ran out of memory{limit}."
    if status is None:
        return f"{service} is gone."
    return f"{service} was ended by signal {-status}." if status < 0 else f"{service} exited with status {status}."


def pull_refused(image: str, said: Any) -> ImageUnavailable:
    """A pull that did not work, in the registry's words."""
    return ImageUnavailable(f"{image} could not be pulled: {str(said).strip()}")
