"""Request heads: strict, one reading of every message or none (RFC 9112 §2.2-§3.2, §5, §6).

:func:`parse_request_head` is all; what it lets through has one host, one length and no second interpretation.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import define

from .http1_fields import (
    CHUNKED,
    LIMITS,
    LINES,
    TOKEN,
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

_LINE = re.compile(rb"(" + TOKEN + rb"++) ([!\"$-~]++) HTTP/1\.([0-9])\r\n").match
_BLOCK = re.compile(LINES).match
_SLASH = ord("/")
_MOST_KNOWN = 1024  # sets of fields that are remembered; then it begins anew
_LARGEST_KNOWN = 2048  # bytes; so that all of them take no more than some MiB
_FIRST_BYTE = re.compile(TOKEN).match
_BARE_LF = re.compile(rb"(?<!\r)\n").search
# RFC 9112 §3.2, RFC 3986 §3.2.2: a host without user information. What is inside the brackets is the router's to judge.
_HOST = rb"(?:\[[0-9A-Fa-f:.vV]++\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*+)?"
_valid_host = lru_cache(maxsize=1024)(re.compile(_HOST).fullmatch)
_ABSOLUTE = re.compile(rb"https?://(" + _HOST + rb")([/?].*)?", re.IGNORECASE).fullmatch


@define(eq=False)
class RequestFields(FieldBlock):
    """A request's fields. ``host`` is the Host field as written, empty if an HTTP/1.0 client sent none."""

    host: bytes
    expects: bool  # 100-continue
    logged: tuple[object, bytes] | None = None  # a log, and what it says of them: for the next request that has the same
    passed_on: tuple[object, bytes] | None = None  # for whom, and what became of them; noted by whoever passes them on


Known = dict[bytes, RequestFields]  # by the bytes of the fields


@define(eq=False)
class RequestHead:
    """A request without its body. ``host`` is the authority it is for, as written in Host or in a target in absolute form;
    ``target`` is in origin form (or "*", or what CONNECT has)."""

    method: bytes
    target: bytes
    host: bytes
    fields: RequestFields
    size: int  # bytes of the buffer that this head took
    absolute: bool = False  # the target came in absolute form, and replaces Host (RFC 9112 §3.2.2)


def parse_request_head(
    buffer: bytes | bytearray,
    limits: HeadLimits = LIMITS,
    seen: int = 0,
    last: RequestFields | None = None,
    known: Known | None = None,
) -> RequestHead | NeedMore | Reject:
    """The request head at the start of ``buffer``.

    :param seen: what the last NeedMore for this buffer said: so that a head which arrives byte by byte costs linear time.
    :param last: the fields of the connection's previous request. Clients tend to repeat themselves to the byte: then what was
        understood once is used again.
    :param known: what was understood on all connections with the same limits, kept here: a client sends a few sets of fields
        over and over. To know one costs 1 us, to understand it 12.
    :return: a RequestHead, NeedMore, or Reject with the status to answer (400, 414, 431, 501, 505).
    """
    if not seen:
        line = _LINE(buffer)
        if line is not None:
            method, target, minor = line.groups()
            start = line.end()
            if minor == b"1" and target[0] == _SLASH:
                fields = _repeated(buffer, start, last, known)
                # A short head can exceed no other limit than those its fields have been found to keep.
                if fields is not None and fields.minor and start + len(fields.raw) <= limits.line:
                    return RequestHead(method, target, fields.host, fields, start + len(fields.raw))
            block = _BLOCK(buffer, start)
            if block is not None:
                new = _head(method, target, minor, block[0], block.end(), limits)
                if known is not None and isinstance(new, RequestHead):
                    _remember(known, new.fields)
                return new
    found = _find(buffer, limits, seen)
    if not isinstance(found, tuple):
        return found
    head, skipped = found
    line = _LINE(head)
    block = line and _BLOCK(head, line.end())
    if line is None or block is None:
        end = head.find(b"\n")
        return oversize(end, head[end + 1 :], limits) or _diagnose(head)
    method, target, minor = line.groups()
    return _head(method, target, minor, block[0], skipped + block.end(), limits)


def _repeated(buffer: bytes | bytearray, start: int, last: RequestFields | None, known: Known | None) -> RequestFields | None:
    """The fields that begin at ``start``, if they were understood before and, mostly, nothing follows."""
    if last is not None and buffer.startswith(last.raw, start):
        return last
    return known.get(bytes(buffer[start:])) if known and len(buffer) - start <= _LARGEST_KNOWN else None


def _remember(known: Known, fields: RequestFields) -> None:
    if fields.minor and len(fields.raw) <= _LARGEST_KNOWN:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[fields.raw] = fields


def _find(buffer: bytes | bytearray, limits: HeadLimits, seen: int) -> tuple[bytes, int] | NeedMore | Reject:
    """The slow way: the head's bytes and how many came before it (empty lines, RFC 9112 §2.2), or why there is none yet."""
    skipped = 0
    while buffer.startswith(b"\r\n", skipped):
        skipped += 2
    end = buffer.find(b"\r\n\r\n", max(skipped, seen - 3))
    if end >= 0:
        return bytes(buffer[skipped : end + 4]), skipped
    if len(buffer) == skipped or buffer[skipped:] == b"\r":
        return NeedMore(0)
    if not _FIRST_BYTE(buffer, skipped):
        return Reject(400, "This does not begin like an HTTP request.")
    if _BARE_LF(buffer, max(skipped, seen - 1)):
        return Reject(400, "A line ends with LF alone; HTTP lines end with CR LF.")
    if len(buffer) - skipped > limits.line and buffer.find(b"\n", skipped, skipped + limits.line) < 0:
        return Reject(414, f"The request line is longer than {limits.line} bytes.")
    if len(buffer) - skipped > limits.head:
        return Reject(431, f"The head is larger than {limits.head} bytes.")
    return NeedMore(len(buffer))


def _diagnose(head: bytes) -> Reject:
    line, _, fields = head[:-4].partition(b"\r\n")
    if b"\r" in line or b"\n" in line:
        return Reject(400, "The request line has a bare CR or LF.")
    match = re.fullmatch(TOKEN + rb"+ [^ ]+ HTTP/([0-9])\.[0-9]", line)
    if match is None:
        return Reject(400, "The request line is not of the form METHOD TARGET HTTP/1.1, with single spaces.")
    if match[1] != b"1":
        return Reject(505, "This gateway speaks HTTP/1.1 and HTTP/1.0.")
    if not fields or re.match(LINES, fields + b"\r\n\r\n"):
        return Reject(400, "The request target has a character that must be percent-encoded.")
    return Reject(400, bad_field(fields))


def _head(method: bytes, target: bytes, minor: bytes, block: bytes, size: int, limits: HeadLimits) -> RequestHead | Reject:
    if size > limits.line or block.count(b"\n") > limits.fields:
        beyond = oversize(len(method) + len(target) + 10, block, limits)
        if beyond is not None:
            return beyond
    fields = _understand(bytes(block), 0 if minor == b"0" else 1)
    if isinstance(fields, Reject):
        return fields
    if target[0] == _SLASH:
        return RequestHead(method, target, fields.host, fields, size)
    return _other_form(method, target, fields, size)


def _understand(raw: bytes, minor: int) -> RequestFields | Reject:
    """Host, framing and connection options of a block whose lines are valid."""
    host: bytes | None = None
    options = upgrade = b""
    coding: bytes | None = None
    length: int | None = None
    expects = False
    marks = find_marks(raw)
    for mark in marks:
        name, value = mark.groups()
        if name == b"host":
            if host is not None:
                return Reject(400, "There are two Host fields.")
            host = raw[mark.start(2) - 1 : mark.end(2) - 1].rstrip(b" \t")
        elif name == b"connection":
            options = options + b"," + value if options else value
        elif name == b"content-length":
            if length is not None:
                return Reject(400, "There are two Content-Length fields.")
            length = content_length(value.rstrip(b" \t"))
            if length is None:
                return Reject(400, "Content-Length is not a number of bytes that can be passed on.")
        elif name == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
        elif name == b"upgrade":
            upgrade = upgrade + b"," + value if upgrade else value
        elif name == b"expect":
            expects = minor == 1 and value.rstrip(b" \t") == b"100-continue"
    if host is None:
        if minor:
            return Reject(400, "HTTP/1.1 requests have a Host field.")
        host = b""
    elif not _valid_host(host):
        return Reject(400, "The Host field is not a host with an optional port.")
    if coding is not None:
        wrong = _bad_coding(coding, minor, length)
        if wrong is not None:
            return wrong
        length = CHUNKED
    items = list_items(options)
    if upgrade and (not minor or b"upgrade" not in items):
        upgrade = b""  # RFC 9110 §7.8: not without the connection option, not in HTTP/1.0
    # RFC 9112 §9.3 and Appendix C.2.2: an HTTP/1.0 client is not kept, whatever it asks for.
    keeps_alive = minor == 1 and b"close" not in items
    return RequestFields(raw, marks, minor, options, upgrade, length or 0, keeps_alive, host, expects)


def _bad_coding(coding: bytes, minor: int, length: int | None) -> Reject | None:
    """RFC 9112 §6.1 and §6.3: only "chunked", once, in HTTP/1.1, and without a length beside it."""
    if not minor:
        return Reject(400, "HTTP/1.0 has no Transfer-Encoding.")
    if length is not None:
        return Reject(400, "Content-Length and Transfer-Encoding exclude each other.")
    codings = list_items(coding)
    if codings == (b"chunked",):
        return None
    if not codings or codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        return Reject(400, "The last transfer coding, and only the last, has to be chunked.")
    return Reject(501, "This gateway knows no transfer coding but chunked.")


def _other_form(method: bytes, target: bytes, fields: RequestFields, size: int) -> RequestHead | Reject:
    """A target in one of the other three forms (RFC 9112 §3.2.2-§3.2.4)."""
    if target == b"*":
        if method != b"OPTIONS":
            return Reject(400, "Only OPTIONS may ask for *.")
        return RequestHead(method, target, fields.host, fields, size)
    if method == b"CONNECT":
        return RequestHead(method, target, fields.host, fields, size)  # refused as a method, with its own words
    match = _ABSOLUTE(target)
    if match is None or match[1][:1] in (b"", b":"):
        return Reject(400, "The request target is neither a path, nor an http URI with a host, nor *.")
    path = match[2] or b""
    if path[:1] != b"/":
        path = b"*" if not path and method == b"OPTIONS" else b"/" + path
    return RequestHead(method, path, match[1], fields, size, absolute=True)
