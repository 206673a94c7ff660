"""What can go wrong, as types that carry facts.

Two families. :class:`Refusal`: a request gets no stack, and the client is told why; each says its own HTTP status and problem
type (RFC 9457), and the frontends only render it. :class:`Mishap`: something under a stack broke; it becomes the ``cause`` of
a :class:`StartFailed`. Anything else is a bug: the client gets an incident id, the log gets the traceback.

A long module: it is a list, and what a client is told is decided by reading it as one.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import define, field

from .core.keys import Key
from .core.model import LogTail

# -- mishaps: facts about what broke ------------------------------------------------------------------------------------


@define(auto_exc=True)
class Mishap(Exception):
    """Something that a stack needs did not work. ``str()`` is one sentence for people."""

    why: str
    logs: tuple[LogTail, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        return self.why


@define(auto_exc=True)
class EngineUnavailable(Mishap):
    """The engine (Docker, Git) does not answer. Nothing is known of the stacks on it; nothing may be concluded."""


@define(auto_exc=True)
class ImageUnavailable(Mishap):
    """An image could not be pulled, or is not the one that was resolved."""


@define(auto_exc=True)
class ServiceExited(Mishap):
    """A service ended that should be running, or a loader ended with another status than 0."""

    service: str = ""
    status: int | None = None  # exit status; negative: the signal that ended it


@define(auto_exc=True)
class ServiceUnhealthy(Mishap):
    """A health check kept failing past its retries."""

    service: str = ""


@define(auto_exc=True)
class NotReady(Mishap):
    """The stack runs and does not answer as it should."""


@define(auto_exc=True)
class EngineRefused(Mishap):
    """The engine understood and would not do it: a bad option, no space, a name in use."""


@define(auto_exc=True)
class NothingKept(Mishap):
    """There is no stopped stack to start again, or only a part of one."""


@define(auto_exc=True)
class HookFailed(Mishap):
    """A before_stop command did not end well. What it was to save may not be saved."""


# -- refusals: what a client is told ------------------------------------------------------------------------------------


@define(auto_exc=True)
class Refusal(Exception):
    """A request that gets no stack. ``str()`` is what happened and, where there is one, the remedy, in one sentence."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "about:blank"
    title: ClassVar[str] = ""

    retry_after: float | None = field(default=None, kw_only=True)  # seconds


@define(auto_exc=True)
class UnknownHost(Refusal):
    status, type, title = 404, "unknown-host", "No app claims this host"
    host: str

    def __str__(self) -> str:
        return f"No app of this gateway answers to the host {self.host!r}. Check the name, or the host patterns of its apps."


@define(auto_exc=True)
class AppGone(Refusal):
    status, type, title = 404, "unknown-host", "No app claims this host"
    app: str

    def __str__(self) -> str:
        return f"The app {self.app!r} is no longer part of this gateway's configuration."


@define(auto_exc=True)
class InvalidVersion(Refusal):
    status, type, title = 404, "invalid-version", "Not a version"
    label: str
    expected: str = "a git hash of 7 to 40 hex digits"

    def __str__(self) -> str:
        return f"{self.label!r} is not {self.expected}."


@define(auto_exc=True)
class AmbiguousVersion(Refusal):
    status, type, title = 409, "ambiguous-version", "More than one version begins so"
    label: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.label!r} could be any of {', '.join(self.candidates)}. Use more digits."


@define(auto_exc=True)
class UnknownVersion(Refusal):
    status, type, title = 404, "unknown-version", "No such version"
    key: Key
    where: str  # the registry's reference, or the repository's path

    def __str__(self) -> str:
        return f"There is no {self.key.name!r} in {self.where}. If it was only just built, wait for its image to be pushed."


@define(auto_exc=True)
class NotProvisioned(UnknownVersion):
    """``where`` is what the name was looked for in."""

    type, title = "not-provisioned", "Nobody has this"
    where: str = "the manifest"

    def __str__(self) -> str:
        return f"{self.key} has not been provisioned, or not any more. Check the name, or have it provisioned."


@define(auto_exc=True)
class ProvisionedOtherwise(Refusal):
    status, type, title = 409, "provisioned-otherwise", "The name is taken"
    key: Key

    def __str__(self) -> str:
        return f"{self.key} is provisioned already, with another e-mail address. Choose another name, or deprovision it first."


@define(auto_exc=True)
class RequestReused(Refusal):
    status, type, title = 422, "idempotency-key-reused", "Another call had this Idempotency-Key"
    key: Key

    def __str__(self) -> str:
        return f"This Idempotency-Key was sent before, with the call that provisioned {self.key}. Make a new one for each call."


@define(auto_exc=True)
class StillThere(Refusal):
    status, type, title = 409, "being-removed", "It is still being removed"
    key: Key

    def __str__(self) -> str:
        return f"{self.key} was deprovisioned, and what is left of it is still being removed. Ask again in a moment."


@define(auto_exc=True)
class ManifestUnavailable(Refusal):
    status, type, title = 503, "manifest-unavailable", "The gateway cannot look up who may have this"
    why: str

    def __str__(self) -> str:
        return f"The manifest cannot be used: {self.why}. Ask again in a moment; the gateway's log says more."


@define(auto_exc=True)
class RegistryUnavailable(Refusal):
    """503 when it does not answer, 502 when it answers nonsense or refuses our credentials. Never 404."""

    status, type, title = 503, "registry-unavailable", "The registry does not say whether this version exists"
    why: str
    bad_gateway: bool = False

    def __attrs_post_init__(self) -> None:
        if self.bad_gateway:
            self.status = 502  # type: ignore[misc]

    def __str__(self) -> str:
        return f"{self.why} The version may well exist; try again in a moment."


@define(auto_exc=True)
class StartFailed(Refusal):
    """``cause`` is a Mishap, with the last log lines of the services in its ``logs``."""

    status, type, title = 502, "start-failed", "The stack did not start"
    key: Key
    cause: Mishap

    def __str__(self) -> str:
        return f"{self.key} did not start: {self.cause}"


@define(auto_exc=True)
class BackendUnavailable(Refusal):
    status, type, title = 503, "engine-unavailable", "The engine that runs the stacks does not answer"
    why: str

    def __str__(self) -> str:
        return f"{self.why} Stacks start again when it is back."


@define(auto_exc=True)
class StartTimeout(Refusal):
    status, type, title = 504, "start-timeout", "The stack is still starting"
    key: Key
    waited: float
    progress: str

    def __str__(self) -> str:
        return f"{self.key} is not ready after {self.waited:.0f} s ({self.progress}). The start goes on; ask again."


@define(auto_exc=True)
class BodyTooLarge(Refusal):
    """Of a request that has to wait (RFC 9110 §15.5.14: ``retry_after``, for it is temporary)."""

    status, type, title = 413, "body-too-large", "Too large to be held"
    key: Key
    limit: int  # bytes

    def __str__(self) -> str:
        return f"{self.key} is starting, and bodies of more than {self.limit} bytes are not held for so long. Ask again soon."


@define(auto_exc=True)
class AtCapacity(Refusal):
    status, type, title = 503, "at-capacity", "There is no room"
    max_stacks: int
    why: str
    place: int | None = None  # in the queue, when it was left; 1 is the next

    def __str__(self) -> str:
        queued = f" This was number {self.place} in the queue." if self.place else ""
        return f"There is no room for another stack{': ' + self.why if self.why else ''}.{queued} Ask again in a moment."


@define(auto_exc=True)
class TooManyWaiting(Refusal):
    status, type, title = 503, "too-many-waiting", "Too many requests wait for this"
    limit: int

    def __str__(self) -> str:
        return f"{self.limit} requests are held already. Ask again when the stack has started."


@define(auto_exc=True)
class TooManyConnections(Refusal):
    status, type, title = 503, "too-many-connections", "Too many connections"
    whose: str
    limit: int

    def __str__(self) -> str:
        return f"There are more than the {self.limit} connections that {self.whose} may have. Close some, or ask again later."


@define(auto_exc=True)
class StackStopped(Refusal):
    status, type, title = 503, "stopped", "The stack was stopped by an operator"
    key: Key

    def __str__(self) -> str:
        return f"{self.key} was stopped while it was starting. Ask again to start it anew."


@define(auto_exc=True)
class NotSaved(Refusal):
    """``cause`` is a HookFailed, with the last lines of the command in its ``logs``."""

    status, type, title = 409, "not-saved", "What has to be done before it stops failed"
    key: Key
    cause: Mishap

    def __str__(self) -> str:
        return f"{self.key} runs on: {self.cause} Force the stop to lose what was not saved."


@define(auto_exc=True)
class Asleep(Refusal):
    status, type, title = 503, "asleep", "The stack is asleep"
    key: Key

    def __str__(self) -> str:
        return f"{self.key} is asleep, and requests of this kind do not wake it. Open it in a browser, or start it."


@define(auto_exc=True)
class OutOfHours(Refusal):
    status, type, title = 503, "out-of-hours", "Outside the opening hours"
    key: Key
    hours: str

    def __str__(self) -> str:
        return f"{self.key} is started only within {self.hours}. Ask again then, or have an operator start it."


@define(auto_exc=True)
class TooManyStarts(Refusal):
    status, type, title = 429, "too-many-starts", "Too many starts for one client"
    client: str
    per_minute: float

    def __str__(self) -> str:
        return f"{self.client} has started more than {self.per_minute:g} stacks a minute. What runs already is still served."


@define(auto_exc=True)
class ShuttingDown(Refusal):
    status, type, title = 503, "shutting-down", "The gateway is shutting down"

    def __str__(self) -> str:
        return "The gateway is shutting down. Ask again in a moment."


@define(auto_exc=True)
class WrongToken(Refusal):
    status, type, title = 401, "token-needed", "The token of the stack is needed"
    key: Key

    def __str__(self) -> str:
        return f"Only {self.key} itself may ask for this: Authorization: Bearer, with GRANDCENTRAL_TOKEN of its environment."


@define(auto_exc=True)
class UpstreamFailed(Refusal):
    """The application was asked and gave no usable answer."""

    status, type, title = 502, "upstream-failed", "The application did not answer"
    key: Key
    why: str

    def __str__(self) -> str:
        return f"{self.key}: {self.why}"


@define(auto_exc=True)
class UpstreamTimeout(Refusal):
    status, type, title = 504, "upstream-timeout", "The application takes too long to answer"
    key: Key
    waited: float

    def __str__(self) -> str:
        return f"{self.key} runs, but has not begun to answer this request within {self.waited:.0f} s."


@define(auto_exc=True)
class BadRequest(Refusal):
    """A request that this gateway does not take: 400, 405, 408, 414, 431, 501, 505."""

    status, type, title = 400, "bad-request", "The request was not understood"
    code: int
    why: str
    allow: str | None = None  # with 405: the methods, where they are not those of every resource

    def __attrs_post_init__(self) -> None:
        self.status = self.code  # type: ignore[misc]

    def __str__(self) -> str:
        return self.why
