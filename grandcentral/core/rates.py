"""How many stacks one client may have started: a bucket of tokens for each, which fills at the rate that is allowed."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from attrs import define, field

MOST = 10_000  # clients that are remembered at once


def household(client: str) -> str:
    """Who is counted as one: an IPv4 address, or an IPv6 network of the size that one subscriber gets (RFC 6177: /64 at least).

    What is no address is counted as it is.
    """
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64)) + "/64"


@define(eq=False)
class Rates:
    """``now`` is monotonic seconds. A bucket holds a minute's worth, one start at least, and is forgotten when it is full: what
    is remembered is bounded by who has started something lately, and by MOST."""

    per_minute: float
    _fill: dict[str, tuple[float, float]] = field(factory=dict, init=False)  # tokens, and when; least recently taken from first

    @property
    def _room(self) -> float:
        return max(1.0, self.per_minute)

    def take(self, client: str, now: float) -> float:
        """Count one start by ``client``, a ``household``. Returns 0.0 if it is allowed; else the seconds until one will be."""
        self._forget(now)
        tokens = self._tokens(client, now)
        if tokens < 1.0:
            return (1.0 - tokens) * 60.0 / self.per_minute
        self._fill.pop(client, None)
        self._fill[client] = tokens - 1.0, now
        return 0.0

    def __len__(self) -> int:
        return len(self._fill)

    def _tokens(self, client: str, now: float) -> float:
        tokens, when = self._fill.get(client, (self._room, now))
        return min(self._room, tokens + (now - when) * self.per_minute / 60.0)

    def _forget(self, now: float) -> None:
        """The first of them are the fullest, or about to be."""
        while self._fill:
            first = next(iter(self._fill))
            if len(self._fill) < MOST and self._tokens(first, now) < self._room:
                break
            del self._fill[first]
