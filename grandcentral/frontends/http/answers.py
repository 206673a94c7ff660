"""The answers that the gateway gives itself: a page for people, problem+json for programs (RFC 9457). The only such place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from importlib.resources import files
from math import ceil
from string import Template
from typing import Any

from attrs import frozen

from ...core.forwarding import max_forwards
from ...core.keys import Key
from ...core.model import LogTail
from ...errors import Asleep, BadRequest, Refusal, StartFailed
from ...problems import MEDIA_TYPE, incident, problem, problem_type
from ...wire.http1_request import RequestHead

_PAGE = Template((files(__package__) / "pages" / "page.html").read_text("utf-8"))
_FIELD = re.compile(rb"\r\n(accept|sec-fetch-mode|x-requested-with|authorization):[ \t]*([^\r]*)", re.IGNORECASE)
_SECRET = re.compile(rb"^(?:cookie|authorization|proxy-authorization):[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_OPEN_IT = '<p><a href="/">Open it</a>: that wakes it.</p>\n'
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@frozen
class Audience:
    """Who asks, as far as the answer depends on it."""

    page: bool  # reads HTML
    navigates: bool  # a person who looks at a browser's window: can be shown a page that reloads itself

    @classmethod
    def of(cls, method: bytes, fields: bytes) -> Audience:
        """:param fields: the request's field lines.

        Browsers say what they do in Sec-Fetch-Mode; of others, a GET that lists text/html and is neither a script's
        (X-Requested-With) nor a program's (Authorization) is taken for a navigation.
        """
        found = {match[1].lower(): match[2].lower() for match in _FIELD.finditer(b"\r\n" + fields)}
        page = b"text/html" in found.get(b"accept", b"")
        if b"sec-fetch-mode" in found:
            navigates = found[b"sec-fetch-mode"].strip() == b"navigate"
        else:
            navigates = page and b"x-requested-with" not in found and b"authorization" not in found
        return cls(page, navigates and method in (b"GET", b"HEAD"))


PROGRAM = Audience(False, False)


@frozen
class Answer:
    """``fields`` are lines, each with its CR LF; framing, Date and Connection are added when it is sent."""

    status: int
    fields: bytes
    body: bytes

    def head(self, date: bytes, closes: bool) -> bytes:
        """The response head, ready for the wire."""
        reason = HTTPStatus(self.status).phrase.encode("ascii")
        return b"HTTP/1.1 %d %s\r\nDate: %s\r\n%sContent-Length: %d\r\n%s\r\n" % (
            *(self.status, reason, date, self.fields, len(self.body)),
            b"Connection: close\r\n" if closes else b"",
        )


def refused(refusal: Refusal, audience: Audience, instance: str = "", trace: str = "") -> Answer:
    """The answer to a request that gets no stack, or no answer from it.

    :param instance: the path that was asked for.
    :param trace: the id by which logs know the request.
    """
    document = _traced(problem(refusal, instance), trace)
    logs = refusal.cause.logs if isinstance(refusal, StartFailed) else ()
    retry = refusal.retry_after
    fields = b"" if retry is None else b"Retry-After: %d\r\n" % max(1, ceil(retry))
    if refusal.status == 401:
        fields += b'WWW-Authenticate: Bearer realm="grandcentral"\r\n'
    if isinstance(refusal, BadRequest) and refusal.status == 405:
        fields += b"Allow: %s\r\n" % (refusal.allow or _METHODS).encode("ascii")
    if isinstance(refusal, Asleep):
        fields += b"X-Grand-Central-State: asleep\r\n"
        return _answer(document, audience, fields, _OPEN_IT)  # a page that asks again by itself would find it asleep again
    if audience.navigates and refusal.status == 503 and retry is not None:
        fields += b"Refresh: %d\r\n" % max(1, ceil(retry))
    return _answer(document, audience, fields, _logs(logs))


def waiting(key: Key, progress: tuple[str, float] | None, audience: Audience, instance: str, trace: str = "") -> Answer:
    """For those who wait: what is happening, and for a person a page that asks again by itself."""
    text, seconds = progress or ("starting", 0.0)
    again = "This page asks again by itself." if audience.navigates else "Ask again."
    document = {
        "title": f"{key} is starting",
        "status": 503,
        "detail": f"{text[:1].upper()}{text[1:]}. {seconds:.0f} seconds so far. {again}",
        "instance": instance,
        "type": problem_type("starting"),
    }
    fields = b"Retry-After: 2\r\nRefresh: 2\r\n" if audience.navigates else b"Retry-After: 2\r\n"
    return _answer(_traced(document, trace), audience, fields, "")


def fault(number: str, status: int, audience: Audience, trace: str = "") -> Answer:
    """A fault of our own: an incident id, and nothing that the log should keep for itself."""
    return _answer(_traced(incident(number, status), trace), audience, b"", "")


def at_last_hop(head: RequestHead) -> Answer | BadRequest | None:
    """What is said to a request that goes no further than here: CONNECT (RFC 9110 §9.3.6), and TRACE and OPTIONS when they say
    so (§7.6.2). None if it goes on. A TRACE reflects the request (§9.3.8), without what is secret in it."""
    if head.method == b"CONNECT":
        return BadRequest(405, "This gateway makes no tunnels by CONNECT.")
    if head.method == b"TRACE" and head.fields.body:
        return BadRequest(400, "TRACE has no body.")
    if max_forwards(head.fields) != 0:
        return None
    if head.method == b"OPTIONS":
        return Answer(200, b"Allow: %s\r\n" % _METHODS.encode("ascii"), b"")
    message = b"%s %s HTTP/1.1\r\n%s" % (head.method, head.target, head.fields.raw)
    return Answer(200, b"Content-Type: message/http\r\nCache-Control: no-store\r\n", _SECRET.sub(b"", message))


def _traced(document: dict[str, Any], trace: str) -> dict[str, Any]:
    return {**document, "trace_id": trace} if trace else document


def _answer(document: dict[str, Any], audience: Audience, fields: bytes, more: str) -> Answer:
    if audience.page or audience.navigates:
        media_type = "text/html; charset=utf-8"
        body = _PAGE.substitute(
            title=escape(str(document["title"])),
            detail=escape(str(document["detail"])),
            more=more,
            status=document["status"],
            instance=escape(str(document.get("instance", ""))),
            trace=escape(f" · {document['trace_id']}" if "trace_id" in document else ""),
        ).encode("utf-8", "replace")
    else:
        media_type = MEDIA_TYPE
        body = json.dumps(document, indent=1).encode("utf-8", "replace") + b"\n"
    fixed = f"Content-Type: {media_type}\r\nCache-Control: no-store\r\nVary: Accept, Sec-Fetch-Mode\r\n"
    fixed += "X-Robots-Tag: noindex\r\n"
    return Answer(int(document["status"]), fixed.encode("ascii") + fields, body)


def _logs(logs: Iterable[LogTail]) -> str:
    return "".join(
        f"<h2>Last lines of {escape(tail.service)}</h2>\n<pre tabindex=\"0\">{escape(chr(10).join(tail.lines))}</pre>\n"
        for tail in logs
        if tail.lines
    )
