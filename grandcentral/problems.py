"""Errors as problem details (RFC 9457): the one translation of what went wrong into what a program is told."""

from __future__ import annotations

from typing import Any

import attrs

from .core.keys import Key
from .errors import Mishap, Refusal

MEDIA_TYPE = "application/problem+json"


def problem_type(name: str) -> str:
    """The ``type`` member: a relative reference that names the problem, "/problems/unknown-version"."""
    return f"/problems/{name}"


def problem(refusal: Refusal, instance: str = "") -> dict[str, Any]:
    """The members of the problem document for a refusal.

    type, title, status, detail; ``instance`` if given; ``retry_after`` (seconds) if known; and the facts that the refusal
    carries under their own names (key, label, candidates, limit …). A failed start has ``cause`` and ``logs``, a list of
    {service, lines}.
    """
    document: dict[str, Any] = {
        "type": problem_type(refusal.type),
        "title": refusal.title,
        "status": refusal.status,
        "detail": str(refusal),
    }
    if instance:
        document["instance"] = instance
    for attribute in attrs.fields(type(refusal)):
        value = getattr(refusal, attribute.name)
        if isinstance(value, Mishap):
            document["cause"] = str(value)
            document["logs"] = [{"service": tail.service, "lines": list(tail.lines)} for tail in value.logs]
        elif isinstance(value, Key):
            document[attribute.name] = str(value)
        elif isinstance(value, tuple):
            document[attribute.name] = list(value)
        elif value is not None and attribute.name not in ("why", "code", "bad_gateway"):
            document[attribute.name] = value
    return document


def incident(number: str, status: int = 500) -> dict[str, Any]:
    """The problem document for a fault of our own: nothing but the number under which the log has the facts."""
    return {
        "type": problem_type("internal-error"),
        "title": "The gateway has a fault",
        "status": status,
        "detail": f"Something went wrong that should not have. The gateway's log has the details under incident {number}.",
        "instance": f"/incidents/{number}",
        "incident": number,
    }
