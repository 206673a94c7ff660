"""What a gateway changes in a message that it passes on (RFC 9110 §7.6, RFC 7239, W3C Trace Context), and when a request may be
sent twice.

Fields that mean something between two hops only are cut out; who asked, how and through whom is added at the end. Everything
else stays as it came, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from ..wire.http1_fields import CHUNKED, FieldBlock, list_items
from ..wire.http1_request import RequestFields, RequestHead
from ..wire.http1_response import LEASE, ResponseHead

PSEUDONYM = b"grand-central"  # what we call ourselves in Via (RFC 9110 §7.6.3)

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))  # RFC 9110 §9.2.2

_TOLD = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
_TRACE = frozenset((b"traceparent", b"tracestate"))
_REQUEST_ONLY = _TRACE | {b"host", b"expect", b"max-forwards", b"forwarded"}  # in a response these are fields like any other
_FIRST_VIA = tuple(b"Via: 1.%d %s\r\n\r\n" % (minor, PSEUDONYM) for minor in (0, 1))
_LIMITED = frozenset((b"OPTIONS", b"TRACE"))  # methods to which Max-Forwards means something
# A Connection field cannot ask for these to be dropped: they say where a message goes and where it ends.
_NEVER_NOMINATED = frozenset((b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive"))

UNIX = "unix"  # among networks: whoever connects by a UNIX socket

Network = IPv4Network | IPv6Network | str

# W3C Trace Context (Level 1) §3.2.2; §3.2.4: a later version may have more behind the flags.
_traceparent = re.compile(
    rb"(?!ff|00.{53}.)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
).fullmatch


def trusted(peer: str, networks: Collection[Network]) -> bool:
    """Whether this peer is of these networks. ``peer`` is an IP address, or "" for a UNIX socket."""
    if not networks:
        return False
    if not peer:
        return UNIX in networks
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in networks if not isinstance(network, str))


def plain_address(host: str) -> str:
    """A peer's address as it is told to others: without a zone, and IPv4 as such on sockets that take both."""
    if ":" not in host:
        return host
    address = ip_address(host.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def may_repeat(method: bytes, delivered: bool, answered: bool, whole: bool, attempts: int) -> bool:
    """Whether a request whose connection to the origin failed may be sent again, on another (RFC 9112 §9.3.1).

    :param delivered: whether any byte of the request was handed to a connection that was open.
    :param answered: whether any byte of an answer came.
    :param whole: whether all that was sent is still at hand.
    :param attempts: how often it has been tried so far.
    """
    return attempts < 2 and not answered and whole and (not delivered or method in IDEMPOTENT)


class Hop:
    """What one client connection adds to each of its requests.

    :param peer: the client's IP address; "" if it has none (a UNIX socket).
    :param scheme: "http" or "https", as the client sees it.
    :param believed: the peer is a trusted proxy: what it says of its own client is kept, and added to.
    :param invent: makes a new traceparent, for requests that bring no valid one. None: whatever they bring is passed on.
    """

    __slots__ = (
        *("_believed", "_fields", "_for", "_head", "_host", "_invent", "_peer", "_provenance_of_host", "_scheme", "_tail"),
        *("_trace", "_traced", "_whose"),
    )

    def __init__(self, peer: str, scheme: str, believed: bool = False, invent: Callable[[], bytes] | None = None) -> None:
        self._peer = peer.encode("ascii") or b"unknown"
        self._for = b'"[' + self._peer + b']"' if b":" in self._peer else self._peer  # RFC 7239 §6
        self._scheme = scheme.encode("ascii")
        self._believed = believed
        self._invent = invent
        self._whose = (peer, scheme, believed, invent is None)  # all that the result depends on besides the fields
        self._fields: RequestFields | None = None
        self._tail = b""  # what the last request's fields became, for one that has the same
        self._traced = True  # they need no traceparent
        self._head: RequestHead | None = None  # to which a traceparent was given
        self._trace = b""
        self._host: bytes | None = None
        self._provenance_of_host = b""

    def request(self, head: RequestHead) -> bytes:
        """The head to send to the origin: HTTP/1.1, in origin form, ready for the body."""
        fields = head.fields
        if fields is not self._fields:
            self._traced = self._invent is None or trace_id(fields) is not None
        if head.absolute or head.method in _LIMITED:
            tail = self._block(fields, head)
            self._fields = None
        else:
            if fields is not self._fields:
                self._tail = self._passed_on(fields, head)
                self._fields = fields
            tail = self._tail
        if self._traced:
            return b"".join((head.method, b" ", head.target, b" HTTP/1.1\r\n", tail))
        traceparent = self._given(head)
        return b"".join((head.method, b" ", head.target, b" HTTP/1.1\r\ntraceparent: ", traceparent, b"\r\n", tail))

    def _passed_on(self, fields: RequestFields, head: RequestHead) -> bytes:
        """What becomes of fields; another connection of the same client may have found it out already."""
        if fields.passed_on is not None and fields.passed_on[0] == self._whose:
            return fields.passed_on[1]
        tail = self._block(fields, head)
        fields.passed_on = self._whose, tail
        return tail

    def trace(self, head: RequestHead) -> str:
        """The trace id of the present request, by which logs of all who had a part in it can be joined; "" if it has none."""
        own = trace_id(head.fields)
        if own is None and self._invent is not None:
            own = self._given(head)[3:35]
        return "" if own is None else own.decode("ascii")

    def _given(self, head: RequestHead) -> bytes:
        """The same for a request that is sent twice."""
        if head is not self._head and self._invent is not None:
            self._head = head
            self._trace = self._invent()
        return self._trace

    def _block(self, fields: RequestFields, head: RequestHead) -> bytes:
        raw = fields.raw
        parts = []
        at = 0
        limited = head.method in _LIMITED
        hosted = framed = False  # the field was there, and stayed
        for mark in fields.marks:
            name = mark[1]
            if name == b"host":
                hosted = stays = not head.absolute
            elif name == b"content-length":
                framed = stays = fields.value(mark) == b"%d" % fields.body
            elif name == b"expect":
                stays = fields.minor == 1  # RFC 9110 §10.1.1: HTTP/1.0 has no expectations
            elif name == b"max-forwards":
                stays = not limited
            elif name[:1] == b"x":  # ports and the like that a trusted proxy tells; the three that we tell are written anew
                stays = self._believed and name not in _TOLD
            elif name[:1] == b"t" and name in _TRACE:  # the state of a trace goes with it (W3C Trace Context §4.3)
                stays = self._traced
            else:
                stays = name == b"date"
            if not stays:
                parts.append(raw[at : mark.start(1) - 1])
                at = mark.end()
        parts.append(raw[at:-2])
        nominated = _nominated(fields.options)
        if nominated:
            parts = [_without(b"".join(parts), nominated)]
        if not hosted:
            parts += (b"Host: ", head.host, b"\r\n")
        if fields.body == CHUNKED:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        elif fields.body and not framed:
            parts.append(b"Content-Length: %d\r\n" % fields.body)
        if fields.upgrade and upgrade_offered(fields):
            parts += (b"Connection: upgrade\r\nUpgrade: ", b", ".join(fields.values(b"upgrade")), b"\r\n")
        left = max_forwards(fields) if limited else None
        if left:
            parts.append(b"Max-Forwards: %d\r\n" % (left - 1))
        parts += (self._provenance(fields, head.host), _via(fields))
        return b"".join(parts)

    def _provenance(self, fields: RequestFields, host: bytes) -> bytes:
        """X-Forwarded-* and Forwarded (RFC 7239 §5: what a client claims of itself is not passed on)."""
        if host == self._host and not self._believed:
            return self._provenance_of_host
        quoted = host.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        mine = b"".join((b"for=", self._for, b";proto=", self._scheme, b';host="', quoted, b'"'))
        if not self._believed:
            chain, proto, asked, forwarded = self._peer, self._scheme, host, mine
        else:
            chain = b", ".join([*fields.values(b"x-forwarded-for"), self._peer])
            proto = b", ".join(fields.values(b"x-forwarded-proto")) or self._scheme
            asked = b", ".join(fields.values(b"x-forwarded-host")) or host
            forwarded = b", ".join([*fields.values(b"forwarded"), mine])
        self._host = host
        self._provenance_of_host = (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nForwarded: %b\r\n"
        ) % (chain, proto, asked, forwarded)
        return self._provenance_of_host


def response(head: ResponseHead, closes: bool, chunked: bool, date: bytes) -> bytes:
    """The head to send to the client, in HTTP/1.1.

    :param closes: the connection to the client ends after this message.
    :param chunked: the body will be sent in chunks.
    :param date: the present, as a Date value, for a response that has none (RFC 9110 §6.6.1).
    """
    raw = head.raw
    bodiless = head.status < 200 or head.status == 204
    parts = [b"HTTP/1.1 ", head.line, b"\r\n"]
    at = 0
    seen_before = False
    for mark in head.marks:
        name = mark[1]
        if name == b"date" or (name == b"content-length" and head.exact and head.body >= 0 and not bodiless):
            continue
        if name == b"via":
            seen_before = True
        elif name in _REQUEST_ONLY or (name[:1] == b"x" and name != LEASE):
            continue
        parts.append(raw[at : mark.start(1) - 1])
        at = mark.end()
    parts.append(raw[at:-2])
    if head.options:
        nominated = _nominated(head.options)
        if nominated:
            parts[3:] = [_without(b"".join(parts[3:]), nominated)]
    if chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif not head.exact and head.body >= 0 and not bodiless:
        parts.append(b"Content-Length: %s\r\n" % list_items(head.values(b"content-length")[0])[0].lstrip(b"0").rjust(1, b"0"))
    if head.status == 101:
        parts += (b"Connection: upgrade\r\nUpgrade: ", b", ".join(head.values(b"upgrade")), b"\r\n")
    elif head.status == 426:  # RFC 9110 §15.5.22: it has to say to what
        parts += (b"Connection: upgrade", b", close" if closes else b"", b"\r\n")
        parts += (b"Upgrade: ", b", ".join(head.values(b"upgrade")), b"\r\n")
    elif closes:
        parts.append(b"Connection: close\r\n")
    if not head.dated and head.status >= 200:
        parts += (b"Date: ", date, b"\r\n")
    parts.append(_via(head) if seen_before else _FIRST_VIA[head.minor])
    return b"".join(parts)


def upgrade_offered(fields: RequestFields) -> bool:
    """Whether the client's offer to change protocols is passed on. Not to h2c: it would hide requests from this gateway."""
    return bool(fields.upgrade) and b"h2c" not in list_items(fields.upgrade)


def upgrade_agreed(fields: RequestFields, head: ResponseHead) -> bool:
    """Whether a 101 switches to something that the client has offered (RFC 9110 §7.8)."""
    chosen = list_items(head.upgrade)
    return bool(chosen) and upgrade_offered(fields) and set(chosen) <= set(list_items(fields.upgrade))


def trace_id(fields: RequestFields) -> bytes | None:
    """The id in a valid traceparent (W3C Trace Context §3.2), in 32 hex digits."""
    if b"traceparent" not in fields.raw.lower():
        return None
    values = fields.values(b"traceparent")
    match = _traceparent(values[0]) if len(values) == 1 else None
    return match and match[1]


def max_forwards(fields: RequestFields) -> int | None:
    """How many more hops an OPTIONS or TRACE may take (RFC 9110 §7.6.2), or None if it does not say so in digits."""
    values = fields.values(b"max-forwards")
    return int(values[0]) if len(values) == 1 and values[0].isdigit() and len(values[0]) < 10 else None


def _via(fields: FieldBlock) -> bytes:
    """The last field, and the empty line."""
    before = fields.values(b"via")
    if not before:
        return _FIRST_VIA[fields.minor]
    return b"Via: %b, 1.%d %b\r\n\r\n" % (b", ".join(before), fields.minor, PSEUDONYM)


@lru_cache(maxsize=128)
def _nominated(options: bytes) -> tuple[bytes, ...]:
    """The names in a Connection field that are names of fields to drop (RFC 9110 §7.6.1)."""
    return tuple(name for name in list_items(options) if name not in _NEVER_NOMINATED)


def _without(lines: bytes, names: Iterable[bytes]) -> bytes:
    pattern = rb"(?mi)^(?:" + b"|".join(map(re.escape, names)) + rb"):[^\n]*\n"
    return re.sub(pattern, b"", lines)
