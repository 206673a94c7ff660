"""What the admin listener offers: one function for each route, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.keys import Key
from ..errors import Refusal
from ..incidents import report
from ..interfaces import IManifest, IStackControl
from . import health, views
from .access import Access
from .answers import Answer, Refused, document, text
from .patience import Result, asked_for, within
from .routes import Call, Route
from .webhooks import CLOSED, WEBHOOKS, Webhooks, receive

_log = Logger(namespace="grandcentral.admin")

PATIENCE = 30.0  # seconds that a call waits for what it asked for, unless the caller says otherwise
HISTORY, LONGEST_HISTORY = 20, 1000


@frozen
class Api:
    """What the functions below work on. ``clock`` is the clock of the stacks; ``wall()`` is seconds since the epoch."""

    control: IStackControl
    manifest: IManifest
    checks: health.Checks
    version: str
    clock: IReactorTime
    wall: Callable[[], float]
    began: float
    workers: Callable[[], list[dict[str, Any]]] = list
    metrics: Callable[[], tuple[str, str]] = lambda: ("", "text/plain")
    webhooks: Webhooks = CLOSED

    def now(self) -> views.Moment:
        return views.Moment(self.clock.seconds(), self.wall())


# -- about the gateway --------------------------------------------------------------------------------------------------


async def index(api: Api, call: Call) -> Answer:
    """What there is: so that nobody has to guess."""
    return document({"name": "Grand Central", "version": api.version, "routes": [f"{r.method} {r.path}" for r in ROUTES]})


async def alive(api: Api, call: Call) -> Answer:
    """The process runs and its event loop turns; that is all this says."""
    return text("ok")


async def ready(api: Api, call: Call) -> Answer:
    """Whether traffic should come here: 503 as long as any check fails, each with what it says."""
    findings = await health.examine(api.checks, api.clock)
    all_well = all(finding.ok for finding in findings.values())
    checks = {name: {"ok": finding.ok, "detail": finding.detail} for name, finding in findings.items()}
    return document({"ready": all_well, "checks": checks}, 200 if all_well else 503)


async def stats(api: Api, call: Call) -> Answer:
    now = api.now()
    uptime = now.monotonic - api.began
    shown = views.stats(api.control.snapshot(), api.version, uptime, api.control.capacity(), now)
    return document({**shown, "workers": api.workers()})


async def metrics(api: Api, call: Call) -> Answer:
    """The same in numbers, for Prometheus."""
    exposition, media_type = api.metrics()
    return Answer(200, exposition.encode("utf-8"), media_type)


# -- about stacks -------------------------------------------------------------------------------------------------------


async def list_stacks(api: Api, call: Call) -> Answer:
    """Every stack that is not cold, and every pinned one."""
    now = api.now()
    known = sorted(api.control.snapshot(), key=lambda snapshot: snapshot.key)
    return document({"stacks": [views.stack(snapshot, now) for snapshot in known]})


async def show_stack(api: Api, call: Call) -> Answer:
    key = _key(call)
    snapshot = views.find(api.control.snapshot(), key)
    if snapshot is None:
        raise Refused(404, "unknown-stack", "No such stack", f"{key} is neither running nor pinned; POST …/start wakes it.")
    return document(views.stack(snapshot, api.now()))


async def start(api: Api, call: Call) -> Answer:
    """Wake it, for an operator: a failure that is remembered is forgotten. 202 unless it is ready within the wait."""
    key = _key(call)
    seconds = asked_for(call.query, call.fields, default=0.0)
    done = await _carry_out(api, "start", key, lambda: api.control.start(key), seconds)
    return document(_shown(api, done[0].key if done else key), 200 if done else 202, Location=views.path(key))


async def stop(api: Api, call: Call) -> Answer:
    """Stop it, busy or not. 200 when nothing is left of it, 202 when that takes longer than the wait."""
    key = _key(call)
    seconds = asked_for(call.query, call.fields, PATIENCE)
    done = await _carry_out(api, "stop", key, lambda: api.control.stop(key), seconds)
    return document(_shown(api, key), 200 if done else 202)


async def pin(api: Api, call: Call) -> Answer:
    return await _set_pin(api, _key(call), True)


async def unpin(api: Api, call: Call) -> Answer:
    return await _set_pin(api, _key(call), False)


async def starts(api: Api, call: Call) -> Answer:
    """Its history, newest first: ``?limit=`` of them."""
    key = _key(call)
    written = call.query.get("limit", str(HISTORY))
    limit = int(written) if written.isascii() and written.isdigit() and len(written) < 6 else 0
    if not 1 <= limit <= LONGEST_HISTORY:
        raise Refused(400, "invalid-limit", "Not a limit", f"limit: {written!r} is not a number from 1 to {LONGEST_HISTORY}.")
    snapshot = views.find(api.control.snapshot(), key)
    history = await api.manifest.starts(key if snapshot is None else snapshot.key, limit)
    return document({"starts": [views.start(one) for one in history]})


async def webhook(api: Api, call: Call) -> Answer:
    """A registry tells what was pushed to it."""
    return receive(api.webhooks, call)


def _key(call: Call) -> Key:
    name = call.path["name"]
    return Key(call.path["app"], "" if name == views.NO_NAME else name)


def _shown(api: Api, key: Key) -> dict[str, object]:
    """The stack as it is now; one that is gone is cold, and that is all there is to say of it."""
    snapshot = views.find(api.control.snapshot(), key)
    if snapshot is None:
        return {"app": key.app, "name": key.name, "href": views.path(key), "state": "cold", "pinned": False}
    return views.stack(snapshot, api.now())


async def _set_pin(api: Api, key: Key, pinned: bool) -> Answer:
    done = await _carry_out(api, "pin" if pinned else "unpin", key, lambda: api.control.pin(key, pinned), PATIENCE)
    return document(_shown(api, key), 200 if done else 202)


async def _carry_out(
    api: Api, verb: str, key: Key, work: Callable[[], Deferred[Result]], seconds: float
) -> tuple[Result] | None:
    """See patience.within. What fails after the caller has had his answer is in the log."""

    def late(failure: Failure) -> None:
        if failure.check(Refusal):
            _log.warn(events.ADMIN_LATE_FAILURE, verb=verb, key=key, why=failure.getErrorMessage())
        else:
            report(_log, failure, f"{verb} {key}: {failure.getErrorMessage()}")

    try:
        return await within(seconds, work(), api.clock, late)
    except KeyError:
        raise Refused(404, "unknown-app", "No such app", f"The configuration has no app {key.app!r}.") from None


ROUTES: tuple[Route[Api], ...] = (
    Route("GET", "/", Access.ANYBODY, index),
    Route("GET", "/healthz", Access.ANYBODY, alive),
    Route("GET", "/readyz", Access.ANYBODY, ready),
    Route("GET", "/stats", Access.LOCAL, stats),
    Route("GET", "/metrics", Access.LOCAL, metrics),
    Route("GET", views.STACKS, Access.TOKEN, list_stacks),
    Route("GET", views.STACKS + "/{app}/{name}", Access.TOKEN, show_stack),
    Route("POST", views.STACKS + "/{app}/{name}/start", Access.TOKEN, start),
    Route("POST", views.STACKS + "/{app}/{name}/stop", Access.TOKEN, stop),
    Route("PUT", views.STACKS + "/{app}/{name}/pin", Access.TOKEN, pin),
    Route("DELETE", views.STACKS + "/{app}/{name}/pin", Access.TOKEN, unpin),
    Route("GET", views.STACKS + "/{app}/{name}/starts", Access.TOKEN, starts),
    Route("POST", WEBHOOKS + "/{format}", Access.ANYBODY, webhook),  # with a secret of its own
)
