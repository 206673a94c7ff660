"""The call by which an application asks for more time: ``POST /.grand-central/keep-alive?seconds=600`` on its own host, with
the token that its services found in their environment. It is answered here and goes no further; nothing is woken for it.
"""

from __future__ import annotations

import hmac
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ...core import leases
from ...core.tickets import Ticket
from ...errors import BadRequest, WrongToken
from .answers import Answer
from .waits import Start

if TYPE_CHECKING:
    from .exchange import Exchange

PATIENCE = 3.0  # seconds that a call waits for a stack which is about to be ready

_TARGET = leases.PATH.encode("ascii")
_BEARER = re.compile(rb"(?im)^authorization:[ \t]*bearer[ \t]+([^\r\n]*?)[ \t]*\r$").findall


def is_call(target: bytes) -> bool:
    """Whether a request for this is ours. Everything else below /.grand-central/ is the application's."""
    return target.partition(b"?")[0] == _TARGET


def wanted(method: bytes, target: bytes) -> int:
    """For how many seconds the caller wants to be kept awake. Raises BadRequest."""
    if method != b"POST":
        raise BadRequest(405, f"{leases.PATH} takes POST only.", allow="POST")
    said = parse_qs(target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True).get("seconds", [])
    seconds = leases.seconds(said[0].encode("latin-1", "replace")) if len(said) == 1 else None
    if seconds is None:
        raise BadRequest(400, f"Say for how long, in whole seconds: {leases.PATH}?seconds=600. 0 gives back what is left.")
    return seconds


def proved(fields: bytes, token: str) -> bool:
    """Whether the field lines have this token (RFC 6750 §2.1)."""
    given: list[bytes] = _BEARER(fields)
    return len(given) == 1 and hmac.compare_digest(given[0], token.encode("ascii"))


def granted(until: float | None) -> Answer:
    """:param until: wall seconds; None: the stack may sleep when it is idle."""
    when = None if until is None else datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
    body = json.dumps({"until": when}).encode("ascii") + b"\n"
    return Answer(200, b"Content-Type: application/json\r\nCache-Control: no-store\r\n", body)


def keep_awake(exchange: Exchange) -> None:
    """Answer the call, once its stack is ready."""
    front = exchange.front
    try:
        seconds = wanted(exchange.head.method, exchange.head.target)
    except BadRequest as error:
        exchange.refuse(error)
        return
    ticket = front.stacks.peek(exchange.asked_for)
    if ticket is not None:
        _grant(exchange, ticket, seconds)
        return
    now = front.seconds()
    exchange.client.deadline = now + PATIENCE
    Call(exchange, now, seconds).begin(front.stacks.ensure(exchange.asked_for, wakes=False))
    exchange.client.flow()


class Call(Start):
    """A wait as for any start, except for what comes then."""

    __slots__ = ("_seconds",)

    def __init__(self, exchange: Exchange, since: float, seconds: int) -> None:
        super().__init__(exchange, since)
        self._seconds = seconds

    def came(self, found: Ticket) -> None:
        if not self.exchange.over:
            _grant(self.exchange, found, self._seconds)


def _grant(exchange: Exchange, ticket: Ticket, seconds: int) -> None:
    front = exchange.front
    if front.token is None or not proved(exchange.head.fields.raw, front.token(ticket.key)):
        exchange.refuse(WrongToken(exchange.asked_for))
        return
    until = front.lease(ticket, seconds)
    exchange.say(granted(until if seconds else None))
