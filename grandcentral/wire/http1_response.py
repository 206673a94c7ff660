"""Response heads: strict in what may be forwarded, helpful where RFC 9112 says what to make of an old server's habits.

Folded lines, blanks before a colon and lines that end with LF alone are put right (§2.2, §5.1, §5.2); what has no one reading
is a Reject, and becomes a 502.
"""

from __future__ import annotations

import re

from attrs import define

from .http1_fields import (
    CHUNKED,
    LIMITS,
    LINES,
    TOKEN,
    UNTIL_CLOSE,
    FieldBlock,
    HeadLimits,
    NeedMore,
    Reject,
    bad_field,
    content_length,
    find_marks,
    list_items,
    oversize,
)

_RESPONSE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])( [^\x00-\x08\x0a-\x1f\x7f]*+)?\r\n" + LINES).match
_END = re.compile(rb"\n\r?\n").search
_FOLD = re.compile(rb"\r\n[ \t]++")
_BLANK_BEFORE_COLON = re.compile(rb"(\r\n" + TOKEN + rb"++)[ \t]++:")
_BEGINS = b"HTTP/1."
_ZERO = ord("0")

LEASE = b"x-grand-central-keep-alive"  # what an application tells the gateway, and nobody else


@define(eq=False)
class ResponseHead(FieldBlock):
    """A response without its body."""

    status: int
    line: bytes  # what follows the version: "200 OK"
    dated: bool  # has a Date field
    exact: bool  # the Content-Length field, if there is one, can be passed on as it stands
    size: int  # bytes of the buffer that this head took
    received: bytes  # those bytes
    lease: bytes | None  # the value of the last LEASE field
    passed_on: bytes = b""  # what became of them for a client that is kept; noted by whoever passes the head on


def parse_response_head(
    buffer: bytes | bytearray,
    to_head: bool = False,
    limits: HeadLimits = LIMITS,
    seen: int = 0,
    last: ResponseHead | None = None,
) -> ResponseHead | NeedMore | Reject:
    """The response head at the start of ``buffer``.

    :param to_head: whether the request was HEAD: then there is no body, whatever the fields say (RFC 9112 §6.3, rule 1).
    :param seen: what the last NeedMore for this buffer said.
    :param last: the connection's previous head, if that was no answer to HEAD: one that has the same bytes means the same.
    :return: a ResponseHead, NeedMore, or Reject with status 502.
    """
    if last is not None and not to_head and buffer.startswith(last.received):
        return last
    match = None if seen else _RESPONSE(buffer)
    if match is not None:
        size = match.end()
    else:
        if not buffer.startswith(_BEGINS[: len(buffer)]):
            return Reject(502, "The application's answer does not begin like an HTTP/1 response.")
        end = _END(buffer, max(0, seen - 2))
        if end is None:
            if len(buffer) > limits.head:
                return Reject(502, f"The application's answer has a head larger than {limits.head} bytes.")
            return NeedMore(len(buffer))
        size = end.end()
        head = _put_right(bytes(buffer[:size]))
        match = _RESPONSE(head)
        if match is None:
            return _diagnose(head)
    minor, status, reason, block = match.groups()
    if size > limits.field or block.count(b"\n") > limits.fields:
        beyond = oversize(match.start(4), block, limits)
        if beyond is not None:
            return Reject(502, f"The application's answer was not understood. {beyond.why}")
    received = bytes(buffer[:size])
    return _understand(0 if minor == b"0" else 1, int(status), status + (reason or b" "), bytes(block), received, to_head)


def _put_right(head: bytes) -> bytes:
    head = head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    start = head.find(b"\r\n")  # a blank line start right after the status line is no fold: there is nothing to continue
    if head[start + 2 : start + 3] in (b" ", b"\t"):
        return head
    return head[: start + 2] + _BLANK_BEFORE_COLON.sub(rb"\1:", _FOLD.sub(b" ", head[start:]))[2:]


def _diagnose(head: bytes) -> Reject:
    line, _, fields = head[:-4].partition(b"\r\n")
    if not re.fullmatch(rb"HTTP/1\.[0-9] [1-9][0-9][0-9]( [^\x00-\x08\x0a-\x1f\x7f]*)?", line):
        return Reject(502, "The application's status line was not understood.")
    return Reject(502, f"The application's answer was not understood. {bad_field(fields)}")


def _understand(minor: int, status: int, line: bytes, raw: bytes, received: bytes, to_head: bool) -> ResponseHead | Reject:
    """Framing by the eight rules of RFC 9112 §6.3, and whether the connection can be used again."""
    options = upgrade = b""
    coding: bytes | None = None
    lease: bytes | None = None
    length: int | None = None
    dated = False
    exact = True
    marks = find_marks(raw)
    for mark in marks:
        name, value = mark.groups()
        if name == b"content-length":
            found = content_length(value)
            if length is not None or found is None or (value[0] == _ZERO and len(value) > 1):
                exact = False
                found = _one_length(value, length)
                if found is None:
                    return Reject(502, "The application's answer has a Content-Length that is none, or two that differ.")
            length = found
        elif name == b"connection":
            options = options + b"," + value if options else value
        elif name == b"date":
            dated = True
        elif name == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
        elif name == b"upgrade":
            upgrade = upgrade + b"," + value if upgrade else value
        elif name == LEASE:
            lease = value
    if options:
        items = list_items(options)
        keeps_alive = b"close" not in items and (minor == 1 or b"keep-alive" in items)
    else:
        keeps_alive = minor == 1
    if to_head or status < 200 or status == 204 or status == 304:
        body = 0
    elif coding is not None:
        if not minor:
            return Reject(502, "The application's answer is HTTP/1.0 and has a Transfer-Encoding.")
        if list_items(coding) != (b"chunked",):
            return Reject(502, "The application's answer has a transfer coding that nobody asked for.")
        body = CHUNKED
        keeps_alive = keeps_alive and length is None  # RFC 9112 §6.1: the length is not believed, nor is what comes after
    elif length is not None:
        body = length
    else:
        body = UNTIL_CLOSE
        keeps_alive = False
    return ResponseHead(
        raw, marks, minor, options, upgrade, body, keeps_alive, status, line, dated, exact, len(received), received, lease
    )


def _one_length(value: bytes, before: int | None) -> int | None:
    """The length that a Content-Length field says in every element of its list (RFC 9112 §6.3, rule 5), if it is one, and the
    same as that of the field ``before``."""
    lengths = {content_length(part.strip(b" \t")) for part in value.split(b",")}
    if before is not None:
        lengths.add(before)
    return lengths.pop() if len(lengths) == 1 else None
