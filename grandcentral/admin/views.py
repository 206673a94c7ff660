"""Stacks and their history as JSON. Durations say their unit; moments are RFC 3339 in UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from attrs import frozen

from ..core.history import Start
from ..core.idleness import STOPPED
from ..core.keys import GIT_HASH, NAMES, Ambiguous, Key, unify
from ..core.model import LogTail, StackSnapshot, Version
from ..core.provisions import Provision
from .provisions import PROVISIONS

STACKS = "/api/v1/stacks"
_HASH = NAMES[GIT_HASH]
NO_NAME = "-"  # stands in paths for the name of an app that has one stack only


@frozen
class Moment:
    """Now, on both clocks: ``monotonic`` is the one of snapshots, ``wall`` is seconds since the epoch."""

    monotonic: float
    wall: float

    def date(self, monotonic: float) -> str:
        return rfc3339(self.wall - (self.monotonic - monotonic))


@frozen
class Beside:
    """What others know of stacks: ``memory`` are the bytes that they were seen to take last; ``url(key)`` is where clients
    reach one, None if that is nowhere."""

    memory: Mapping[Key, int]
    url: Callable[[Key], str | None]


def stack(snapshot: StackSnapshot, now: Moment, beside: Beside) -> dict[str, object]:
    """One stack. What it does not have is null."""
    used = max(snapshot.last_used, snapshot.last_byte)
    kept_awake = snapshot.keep_until > now.monotonic
    busy = bool(snapshot.in_flight or snapshot.streams)
    return {
        "app": snapshot.key.app,
        "name": snapshot.key.name,
        "href": path(snapshot.key),
        "url": beside.url(snapshot.key),
        "state": snapshot.state,
        "pinned": snapshot.pinned,
        "pinned_until": None if snapshot.pinned_until is None else rfc3339(snapshot.pinned_until),
        "keep_until": now.date(snapshot.keep_until) if kept_awake else None,
        "warm": snapshot.warm,
        "generation": snapshot.generation,
        "version": None if snapshot.version is None else version(snapshot.version),
        "endpoint": None if snapshot.endpoint is None else str(snapshot.endpoint),
        "ready_since": None if snapshot.ready_since is None else now.date(snapshot.ready_since),
        "last_used": now.date(used) if used else None,
        "idle_seconds": round(0.0 if busy else max(0.0, now.monotonic - used), 1) if used else None,
        "in_flight": snapshot.in_flight,
        "streams": snapshot.streams,
        "waiting": snapshot.waiting,
        "requests": snapshot.requests,
        "bytes_in": snapshot.bytes_in,
        "bytes_out": snapshot.bytes_out,
        "memory": beside.memory.get(snapshot.key),
        "progress": snapshot.progress or None,
        "phases_ms": phases(snapshot.phases),
        "failure": snapshot.failure,
        "failure_logs": tails(snapshot.failure_logs),
    }


def tails(logs: Iterable[LogTail]) -> list[dict[str, object]]:
    """The last lines of each service, oldest first."""
    return [{"service": tail.service, "lines": list(tail.lines)} for tail in logs]


def listing(snapshots: Iterable[StackSnapshot], now: Moment, beside: Beside) -> dict[str, object]:
    """All stacks in order; those that are stopped, of which there may be very many, by themselves."""
    known = sorted(snapshots, key=lambda snapshot: snapshot.key)
    return {
        "stacks": [stack(snapshot, now, beside) for snapshot in known if snapshot.state != STOPPED],
        "stopped": [stack(snapshot, now, beside) for snapshot in known if snapshot.state == STOPPED],
    }


def provision(
    row: Provision, snapshot: StackSnapshot | None, url: str | None, connection: str | None
) -> dict[str, object]:
    """One provision, with the state of its stack; never its password."""
    return {
        "app": row.key.app,
        "name": row.key.name,
        "href": f"{PROVISIONS}/{quote(row.key.app, safe='')}/{quote(row.key.name, safe='')}",
        "stack": path(row.key),
        "username": row.user,
        "appname": row.appname or None,
        "emailaddress": row.email or None,
        "url": url,
        "connection": connection,
        "state": "cold" if snapshot is None else snapshot.state,
        "created": rfc3339(row.created),
        "expires": None if row.expires is None else rfc3339(row.expires),
        "ending": row.ending,
    }


def version(version: Version) -> dict[str, object]:
    return {
        "name": version.name,
        "image": version.image,
        "digest": version.digest,
        "commit": version.commit,
        "branch": version.branch,
        "created": None if version.created is None else rfc3339(version.created),
    }


def start(start: Start) -> dict[str, object]:
    """One start of the past."""
    return {
        "generation": start.generation,
        "depth": start.depth,
        "began": rfc3339(start.began),
        "took_ms": round(sum(start.phases.values()) * 1000),
        "phases_ms": phases(start.phases),
        "failure": start.failure,
    }


def stats(
    snapshots: Iterable[StackSnapshot],
    version: str,
    uptime: float,
    held: int | None,
    capacity: tuple[int, int],
    now: Moment,
    beside: Beside,
) -> dict[str, object]:
    """The gateway in one document: itself, sums for each app, and each stack.

    :param held: requests that wait, if it is not the table that holds them.
    """
    known = tuple(snapshots)
    apps: dict[str, list[StackSnapshot]] = {}
    for snapshot in sorted(known, key=lambda snapshot: snapshot.key):
        apps.setdefault(snapshot.key.app, []).append(snapshot)
    return {
        "gateway": {
            "version": version,
            "uptime_seconds": round(uptime, 1),
            "held_requests": sum(snapshot.waiting for snapshot in known) if held is None else held,
            "slots_taken": capacity[0],
            "max_stacks": capacity[1],
        },
        "apps": {name: _sums(stacks) for name, stacks in apps.items()},
        **listing(known, now, beside),
    }


def _sums(stacks: list[StackSnapshot]) -> dict[str, object]:
    counted = ("in_flight", "streams", "waiting", "requests", "bytes_in", "bytes_out")
    sums = {name: sum(getattr(snapshot, name) for snapshot in stacks) for name in counted}
    return {"states": dict(Counter(snapshot.state for snapshot in stacks)), **sums}


def find(snapshots: Iterable[StackSnapshot], key: Key) -> StackSnapshot | None:
    """The stack of that key; one commit is found by its short and its long form. (Only a commit: "pr-1" is not "pr-12".)"""
    stacks = {snapshot.key: snapshot for snapshot in snapshots}
    if key in stacks or not _HASH.fullmatch(key.name):
        return stacks.get(key)
    name = unify(key.name, (known.name for known in stacks if known.app == key.app and _HASH.fullmatch(known.name)))
    return None if isinstance(name, Ambiguous) else stacks.get(Key(key.app, name))


def path(key: Key) -> str:
    return f"{STACKS}/{quote(key.app, safe='')}/{quote(key.name or NO_NAME, safe='')}"


def phases(phases: Mapping[str, float]) -> dict[str, int]:
    return {phase: round(seconds * 1000) for phase, seconds in phases.items()}


def rfc3339(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
