"""What the admin listener answers, as values: JSON, a line of text, or a problem (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil

from attrs import define, field, frozen

from ..errors import Refusal
from ..problems import MEDIA_TYPE, incident, problem, problem_type


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
    more: Mapping[str, object] = field(factory=dict, kw_only=True)  # members of the problem beside the usual ones


def text(line: str, status: int = 200) -> Answer:
    return Answer(status, f"{line}\n".encode(), "text/plain; charset=utf-8")


def document(value: object, status: int = 200, **fields: str) -> Answer:
    """JSON. ``fields`` are header fields, with "_" for "-"."""
    return Answer(status, _json(value), "application/json", {name.replace("_", "-"): value for name, value in fields.items()})


def refused(reason: Refused) -> Answer:
    body = {"type": problem_type(reason.type), "title": reason.title, "status": reason.status, "detail": reason.detail}
    return Answer(reason.status, _json({**body, **reason.more}), MEDIA_TYPE, reason.fields)


def refusal(reason: Refusal) -> Answer:
    """One of ours, as a program that came in by the front door would get it."""
    fields = {} if reason.retry_after is None else {"Retry-After": str(max(1, ceil(reason.retry_after)))}
    return Answer(reason.status, _json(problem(reason)), MEDIA_TYPE, fields)


def bug(number: str) -> Answer:
    return Answer(500, _json(incident(number)), MEDIA_TYPE)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
