"""The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt): who the client is, said by a balancer in front
of us in the first bytes of its connection.

Not Twisted's parsers (twisted.protocols.haproxy): they hang up on a header that arrives in pieces, set no bound to its
length, and believe addresses that are none.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_LINE = 107  # bytes of version 1, with CR LF (section 2.1)
LONGEST = 4096  # bytes of version 2: addresses take 232 at most, the rest are additions that we skip

_FIXED = 16  # bytes of version 2 before the addresses
_PORT = rb"(?:0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (" + _PORT + rb") (" + _PORT + rb")").fullmatch
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?").fullmatch
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}  # bytes of both, by family; all others are no streams, or none at all


@frozen
class Told:
    """A whole header of ``size`` bytes. ``client`` is an IP address, "" for one that has none (a UNIX socket), None where the
    header speaks of no client: then it is whoever has connected."""

    size: int
    client: str | None


class BadHeader(Exception):
    """These bytes begin no PROXY header; the message says why."""


def parse(data: bytes | bytearray) -> Told | None:
    """The header at the start of ``data``; None as long as it is not whole.

    :raises BadHeader: as soon as it cannot become one.
    """
    if data[:5] == b"PROXY"[: len(data)] and data:
        return _line(data)
    if data[:12] == SIGNATURE[: len(data)]:
        return _binary(bytes(data[:LONGEST])) if len(data) >= _FIXED else None
    raise BadHeader("It does not begin with a PROXY header.")


def _line(data: bytes | bytearray) -> Told | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise BadHeader(f"Its line has more than {LONGEST_LINE} bytes.")
        return None
    line = bytes(data[:end])
    if _UNKNOWN(line):
        return Told(end + 2, None)
    match = _LINE(line)
    if match is None or int(match[4]) > 65535 or int(match[5]) > 65535:
        raise BadHeader("Its line is not of the form PROXY TCP4 SOURCE DESTINATION PORT PORT.")
    read = IPv4Address if match[1] == b"TCP4" else IPv6Address
    try:
        client, _ = read(match[2].decode("ascii")), read(match[3].decode("ascii"))
    except ValueError as error:
        raise BadHeader(f"It has an address that is none: {error}.") from None
    return Told(end + 2, _written(client))


def _binary(data: bytes) -> Told | None:
    command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise BadHeader(f"Its version and command are 0x{command:02x}.")
    size = _FIXED + length
    if size > LONGEST:
        raise BadHeader(f"It has {size} bytes; we read no more than {LONGEST}.")
    if command == _PROXY and (family not in _ADDRESSES or length < _ADDRESSES[family]):
        raise BadHeader(f"It has no addresses of a stream that we know: family 0x{family:02x}, {length} bytes.")
    if len(data) < size:
        return None
    if command == _LOCAL or family == 0x00:
        return Told(size, None)
    if family == 0x31:
        return Told(size, "")
    return Told(size, _written(IPv4Address(data[16:20]) if family == 0x11 else IPv6Address(data[16:32])))


def _written(address: IPv4Address | IPv6Address) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)
