"""What is known of a request when it is over: for whoever keeps a log of them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Protocol

from ..wire.http1_request import RequestHead
from .forwarding import Network, trusted
from .keys import Key


class Served(Protocol):
    """A request and what became of it. Times are seconds, sizes are bytes of content (of everything, in a tunnel)."""

    @property
    def head(self) -> RequestHead | None:
        """None for bytes that were no request."""

    @property
    def peer(self) -> str:
        """Who has connected: the client, or a proxy; "" for a UNIX socket."""

    @property
    def status(self) -> int:
        """Of the final answer; CLIENT_LEFT if there was none."""

    @property
    def key(self) -> Key | None:
        """The stack that it was for."""

    @property
    def received(self) -> int: ...

    @property
    def sent(self) -> int: ...

    @property
    def held(self) -> float:
        """Until there was a stack to send it to."""

    @property
    def upstream_time(self) -> float:
        """From there to the head of the answer."""

    @property
    def total(self) -> float:
        """From the end of the request's head to the end of the answer."""

    @property
    def trace(self) -> str:
        """The trace id, or "" """


CLIENT_LEFT = 499  # nginx's word for it, which tools know


def client_of(peer: str, told: Iterable[bytes], proxies: tuple[Network, ...]) -> str:
    """Who asks, seen through the proxies that are trusted: the last address in X-Forwarded-For that is not one of theirs.

    :param told: the values of X-Forwarded-For.
    """
    client = peer
    chain = [item.strip(b" \t") for value in told for item in value.split(b",")]
    while chain and trusted(client, proxies):
        try:
            client = str(ip_address(chain.pop().decode("ascii")))
        except ValueError:
            break
    return client
