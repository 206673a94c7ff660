"""What the admin listener offers: one function for each route, and the table of them.

A long module, because it is one list: most functions have three lines, and are read beside the table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.keys import Key
from ..core.model import StackSnapshot
from ..core.problems import Invalid
from ..core.provisions import Provision
from ..core.wanted import meant, wanted
from ..errors import Refusal
from ..incidents import report
from ..interfaces import IManifest, IProvisioning, IStackControl
from . import health, openapi, provisions, views
from .access import Access
from .answers import Answer, Refused, document, text
from .patience import Result, asked_for, until, within
from .provisions import DEPROVISION, PROVISION, PROVISIONS
from .routes import Call, Parameter, Route, flag, number
from .webhooks import CLOSED, WEBHOOKS, Webhooks, receive

_log = Logger(namespace="grandcentral.admin")

PATIENCE = 30.0  # seconds that a call waits for what it asked for, unless the caller says otherwise
HISTORY, LONGEST_HISTORY = 20, 1000
LINES, MOST_LINES = 100, 10_000
LAST_STARTS = 5  # of a stack that is shown


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
    memory: Callable[[], Mapping[Key, int]] = dict
    url: Callable[[Key], str | None] = lambda key: None
    provisioner: provisions.Provisioner = provisions.NOBODY

    def beside(self) -> views.Beside:
        return views.Beside(self.memory(), self.url)

    def now(self) -> views.Moment:
        return views.Moment(self.clock.seconds(), self.wall())


# -- about the gateway --------------------------------------------------------------------------------------------------


async def index(api: Api, call: Call) -> Answer:
    """What there is, so that nobody has to guess."""
    return document({"name": "Grand Central", "version": api.version, "routes": [f"{r.method} {r.path}" for r in ROUTES]})


async def described(api: Api, call: Call) -> Answer:
    """What there is, for programs: this document, in OpenAPI 3.1."""
    return document(openapi.document(ROUTES))


async def alive(api: Api, call: Call) -> Answer:
    """The process runs and its event loop turns; that is all this says."""
    return text("ok")


async def ready(api: Api, call: Call) -> Answer:
    """Whether traffic should come here: 503 as long as any check fails, each with what it says."""
    findings = await health.examine({"manifest": api.manifest.check, **api.checks}, api.clock)
    all_well = all(finding.ok for finding in findings.values())
    checks = {name: {"ok": finding.ok, "detail": finding.detail} for name, finding in findings.items()}
    return document({"ready": all_well, "checks": checks}, 200 if all_well else 503)


async def stats(api: Api, call: Call) -> Answer:
    """The gateway, each app and each stack."""
    now = api.now()
    uptime = now.monotonic - api.began
    workers = api.workers()
    held = sum(worker["held"] for worker in workers) if workers else None
    known, capacity = api.control.snapshot(), api.control.capacity()
    return document({**views.stats(known, api.version, uptime, held, capacity, now, api.beside()), "workers": workers})


async def metrics(api: Api, call: Call) -> Answer:
    """The same in numbers, for Prometheus."""
    exposition, media_type = api.metrics()
    return Answer(200, exposition.encode("utf-8"), media_type)


# -- about stacks -------------------------------------------------------------------------------------------------------


async def list_stacks(api: Api, call: Call) -> Answer:
    """Every stack that is not cold, and every pinned one; in a list of their own, those that are stopped."""
    return document(views.listing(api.control.snapshot(), api.now(), api.beside()))


async def show_stack(api: Api, call: Call) -> Answer:
    """All that is known of one stack, with its last starts."""
    key = _key(call)
    snapshot = views.find(api.control.snapshot(), key)
    if snapshot is None:
        raise Refused(404, "unknown-stack", "No such stack", f"{key} is neither there nor pinned; POST …/start wakes it.")
    shown = views.stack(snapshot, api.now(), api.beside())
    try:
        last = [views.start(one) for one in await api.manifest.starts(snapshot.key, LAST_STARTS)]
    except sqlite3.Error as error:
        _log.error(events.MANIFEST_FAILED, app=key.app, why=error)
        last = None
    return document({**shown, "starts": last})


async def start(api: Api, call: Call) -> Answer:
    """Wake it, for an operator: a failure that is remembered is forgotten. 202 unless it is ready within the wait."""
    key = _key(call)
    seconds = asked_for(call.query, call.fields, default=0.0)
    done = await _carry_out(api, "start", key, lambda: api.control.start(key), seconds)
    return document(_shown(api, done[0].key if done else key), 200 if done else 202, Location=views.path(key))


async def stop(api: Api, call: Call) -> Answer:
    """Stop it, busy or not, and keep its data. 200 when nothing of it runs, 202 when that takes longer than the wait; 409, with
    their last lines, when its before_stop commands fail, unless ``?force=1`` leaves them out."""
    key, force = _key(call), flag(call, "force")
    return await _change(api, call, "stop", key, lambda: api.control.stop(key, force))


async def remove(api: Api, call: Call) -> Answer:
    """Stop and remove it, without its before_stop commands; ``?volumes=1``: with its named volumes."""
    key, volumes = _key(call), flag(call, "volumes")
    return await _change(api, call, "remove", key, lambda: api.control.remove(key, volumes))


async def pin(api: Api, call: Call) -> Answer:
    """Never stop it for being idle, or to make room; ``?until=`` a moment, or for a duration from now."""
    key = _key(call)
    end = until(call.query["until"], api.wall()) if "until" in call.query else None
    return await _change(api, call, "pin", key, lambda: api.control.pin(key, True, end))


async def unpin(api: Api, call: Call) -> Answer:
    """Let it go to sleep again like others."""
    key = _key(call)
    return await _change(api, call, "unpin", key, lambda: api.control.pin(key, False))


async def logs(api: Api, call: Call) -> Answer:
    """What its services printed last: ``?lines=`` of each."""
    key, lines = _key(call), number(call, "lines", LINES, MOST_LINES)
    done = await _carry_out(api, "logs", key, lambda: api.control.logs(key, lines), PATIENCE)
    if done is None:
        raise Refused(504, "engine-slow", "The engine takes too long", f"There were no logs of {key} within {PATIENCE:g} s.")
    return document({"logs": views.tails(done[0])})


async def starts(api: Api, call: Call) -> Answer:
    """Its history, newest first: ``?limit=`` of them."""
    key = _key(call)
    limit = number(call, "limit", HISTORY, LONGEST_HISTORY)
    snapshot = views.find(api.control.snapshot(), key)
    history = await api.manifest.starts(key if snapshot is None else snapshot.key, limit)
    return document({"starts": [views.start(one) for one in history]})


# -- about provisions ---------------------------------------------------------------------------------------------------


async def provision(api: Api, call: Call) -> Answer:
    """Let a user have a stack: `username`, `emailaddress` and `appname`, and `app` (or `type`) where several apps are
    provisioned; `ttl` or `expires` for one that ends by itself. Idempotent. 201 with its password if this call made it, or one
    with the same Idempotency-Key; 200 if it was there. With a wait it is started too: 202 if it is not ready by then, or did
    not start, and then `failure` says why."""
    fields = provisions.payload(call)
    provisioning = provisions.admitted(api.provisioner, call, fields)
    try:
        asked = wanted(fields, provisioning.apps(), api.wall(), call.fields.get("idempotency-key", ""))
    except Invalid as invalid:
        raise provisions.refused(invalid) from None
    seconds = asked_for(call.query, call.fields, default=0.0)
    row, made = await provisioning.provision(asked)
    unready, failure = (False, None) if not seconds else await _started(api, row.key, seconds)
    password = row.password if made else None
    shown = {**_provision(api, row, password), "password": password, "failure": failure}
    return document(shown, 202 if unready else 201 if made else 200, Location=str(shown["href"]))


async def _started(api: Api, key: Key, seconds: float) -> tuple[bool, str | None]:
    """Whether it is not ready, and why it will not be. The row is there, come what may: that is no reason to refuse."""
    try:
        return await _carry_out(api, "start", key, lambda: api.control.start(key), seconds) is None, None
    except Refusal as refusal:
        return True, str(refusal)


async def deprovision(api: Api, call: Call) -> Answer:
    """Take a stack back from its user, with all its data: `username` and `appname`, and `app` (or `type`). Idempotent. 200 when
    nothing is left, 202 when that takes longer than the wait."""
    fields = provisions.payload(call)
    provisioning = provisions.admitted(api.provisioner, call, fields)
    try:
        key = meant(fields, provisioning.apps())
    except Invalid as invalid:
        raise provisions.refused(invalid) from None
    return await _taken_back(api, call, provisioning, key)


async def end_provision(api: Api, call: Call) -> Answer:
    """The same, by the path of what was provisioned."""
    return await _taken_back(api, call, provisions.admitted(api.provisioner, call, {}), _key(call))


async def _taken_back(api: Api, call: Call, provisioning: IProvisioning, key: Key) -> Answer:
    seconds = asked_for(call.query, call.fields, PATIENCE)
    done = await _carry_out(api, "deprovision", key, lambda: provisioning.deprovision(key), seconds)
    existed = done is None or done[0]
    said = {"app": key.app, "name": key.name, "existed": existed, "removed": done is not None}
    return document(said, 202 if done is None else 200)


async def show_provision(api: Api, call: Call) -> Answer:
    """What was provisioned; never its password."""
    return document(_provision(api, await provisions.admitted(api.provisioner, call, {}).find(_key(call))))


async def list_provisions(api: Api, call: Call) -> Answer:
    """All that was provisioned, and not taken back, in order."""
    known = {snapshot.key: snapshot for snapshot in api.control.snapshot()}
    rows = await provisions.admitted(api.provisioner, call, {}).provisions()
    return document({"provisions": [_shown_provision(api, row, known.get(row.key)) for row in rows]})


def _provision(api: Api, row: Provision, password: str | None = None) -> dict[str, object]:
    return _shown_provision(api, row, views.find(api.control.snapshot(), row.key), password)


def _shown_provision(
    api: Api, row: Provision, snapshot: StackSnapshot | None, password: str | None = None
) -> dict[str, object]:
    return views.provision(row, snapshot, api.url(row.key), api.provisioner.connection(row.key, password))


# -- about pushes -------------------------------------------------------------------------------------------------------


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
    return views.stack(snapshot, api.now(), api.beside())


async def _change(api: Api, call: Call, verb: str, key: Key, work: Callable[[], Deferred[None]]) -> Answer:
    """Have it done, and show what has become of the stack."""
    done = await _carry_out(api, verb, key, work, asked_for(call.query, call.fields, PATIENCE))
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


_WAIT = Parameter("wait", "how long to wait for the end of it: 30s; at most 10m")
_FORCE = Parameter("force", "1: without its before_stop commands")
_VOLUMES = Parameter("volumes", "1: with its named volumes; otherwise those that are not disposable stay for its next start")
_UNTIL = Parameter("until", "when the pin ends: a duration from now (2d), or a moment with its time zone; otherwise never")
_LIMIT = Parameter("limit", f"how many: {HISTORY} unless it is said, at most {LONGEST_HISTORY}")
_LINES = Parameter("lines", f"of each service: {LINES} unless it is said, at most {MOST_LINES}")

_READY = Parameter("wait", "start it, and wait for it to be ready: 30s; at most 10m. Or the field Prefer: wait=30")

PROVISIONING: tuple[Route[Api], ...] = (
    Route(
        *("POST", PROVISION, Access.SECRET, provision, "NewProvision", (_READY,)),
        besides={201: "it is new", 202: "it is there, and not ready"},
        body="Wanted",
    ),
    Route("POST", DEPROVISION, Access.SECRET, deprovision, "Removed", (_WAIT,), {202: "it is going"}, body="Unwanted"),
    Route("GET", PROVISIONS + "/{app}/{name}", Access.SECRET, show_provision, "Provision"),
    Route(
        "DELETE", PROVISIONS + "/{app}/{name}", Access.SECRET, end_provision, "Removed", (_WAIT,), {202: "it is going"}
    ),
)

ROUTES: tuple[Route[Api], ...] = (
    Route("GET", "/", Access.ANYBODY, index),
    Route("GET", "/openapi.json", Access.ANYBODY, described),
    Route("GET", "/healthz", Access.ANYBODY, alive),
    Route("GET", "/readyz", Access.ANYBODY, ready),
    Route("GET", "/stats", Access.LOCAL, stats),
    Route("GET", "/metrics", Access.LOCAL, metrics),
    Route("GET", views.STACKS, Access.TOKEN, list_stacks, "Stacks"),
    Route("GET", views.STACKS + "/{app}/{name}", Access.TOKEN, show_stack, "Stack"),
    Route("POST", views.STACKS + "/{app}/{name}/start", Access.TOKEN, start, "Stack", (_WAIT,), {202: "it is starting"}),
    Route("POST", views.STACKS + "/{app}/{name}/stop", Access.TOKEN, stop, "Stack", (_FORCE, _WAIT), {202: "it is stopping"}),
    Route(
        "POST", views.STACKS + "/{app}/{name}/remove", Access.TOKEN, remove, "Stack", (_VOLUMES, _WAIT), {202: "it is going"}
    ),
    Route("PUT", views.STACKS + "/{app}/{name}/pin", Access.TOKEN, pin, "Stack", (_UNTIL,)),
    Route("DELETE", views.STACKS + "/{app}/{name}/pin", Access.TOKEN, unpin, "Stack"),
    Route("GET", views.STACKS + "/{app}/{name}/starts", Access.TOKEN, starts, "Starts", (_LIMIT,)),
    Route("GET", views.STACKS + "/{app}/{name}/logs", Access.TOKEN, logs, "Logs", (_LINES,)),
    Route("GET", PROVISIONS, Access.TOKEN, list_provisions, "Provisions"),
    *PROVISIONING,
    Route("POST", WEBHOOKS + "/{format}", Access.ANYBODY, webhook),  # with a secret of its own
)

REMOTE: tuple[Route[Api], ...] = (Route("GET", "/healthz", Access.ANYBODY, alive), *PROVISIONING)
"""What the listener of [provision] serves: the wide world may come by."""
