"""What the admin listener answers, as values: JSON, a line of text, or a problem (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil

from attrs import define, field, frozen

from ..errors import Refusal, StartFailed


@frozen
class Answer:
    status: int
    body: bytes
    media_type: str
    fields: Mapping[str, str] = field(factory=dict)


@define(auto_exc=True)
class Refused(Exception):
    """A call that is not served. ``detail`` says what happened and what to do instead."""

    status: int
    type: str
    title: str
    detail: str
    fields: Mapping[str, str] = field(factory=dict)


def text(line: str, status: int = 200) -> Answer:
    return Answer(status, f"{line}\n".encode(), "text/plain; charset=utf-8")


def document(value: object, status: int = 200, **fields: str) -> Answer:
    """JSON. ``fields`` are header fields, with "_" for "-"."""
    return Answer(status, _json(value), "application/json", {name.replace("_", "-"): value for name, value in fields.items()})


def refused(reason: Refused) -> Answer:
    return _problem(reason.status, reason.type, reason.title, reason.detail, {}, reason.fields)


def refusal(reason: Refusal) -> Answer:
    """One of ours, in its own words. A failed start brings the last lines of its services along."""
    more: dict[str, object] = {}
    if isinstance(reason, StartFailed):
        more["logs"] = [{"service": tail.service, "lines": tail.lines} for tail in reason.cause.logs]
    fields = {} if reason.retry_after is None else {"Retry-After": str(max(1, ceil(reason.retry_after)))}
    return _problem(reason.status, reason.type, reason.title, str(reason), more, fields)


def bug(incident: str) -> Answer:
    detail = f"Something went wrong inside the gateway. Its log has the traceback under incident {incident}."
    return _problem(500, "internal", "Internal error", detail, {"incident": incident}, {})


def _problem(
    status: int, type: str, title: str, detail: str, more: Mapping[str, object], fields: Mapping[str, str]
) -> Answer:
    body = {"type": type, "title": title, "status": status, "detail": detail, **more}
    return Answer(status, _json(body), "application/problem+json", fields)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
