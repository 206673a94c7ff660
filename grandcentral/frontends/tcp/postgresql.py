"""PostgreSQL: the user of the start-up message names the stack."""

from __future__ import annotations

from collections.abc import Callable

from ...core.keys import Key
from ...errors import (
    AppGone,
    AtCapacity,
    InvalidVersion,
    Refusal,
    StartFailed,
    TooManyConnections,
    TooManyStarts,
    TooManyWaiting,
    UnknownVersion,
    UpstreamFailed,
)
from ...wire import postgresql as wire
from ...wire.postgresql_server import Greeting, SessionKey, not_up
from .speech import End, Interrupt, Lead, Listen, Say, Speech, Step

CONNECTION_FAILURE, SYSTEM_ERROR, INTERNAL_ERROR = "08006", "58000", "XX000"

_UNKNOWN = (UnknownVersion, InvalidVersion, AppGone)
_CODES: tuple[tuple[type[Refusal] | tuple[type[Refusal], ...], str], ...] = (
    ((AtCapacity, TooManyWaiting, TooManyConnections, TooManyStarts), wire.TOO_MANY_CONNECTIONS),
    (StartFailed, SYSTEM_ERROR),
    (UpstreamFailed, CONNECTION_FAILURE),
)


class PostgresqlSpeech(Speech):
    """
    :param names: whether a user could be called so; whether there is one, the stacks know.
    """

    def __init__(self, app: str, names: Callable[[str], bool]) -> None:
        self._app = app
        self._opening = wire.Opening(names, tls=False)
        self._greeting = Greeting()

    def feed(self, data: bytes) -> Step:
        match self._opening.feed(data):
            case wire.Reply(answer):
                return Say(answer)
            case wire.Route(name, _, replay):
                return Lead(Key(self._app, name), replay)
            case wire.Cancel(process, secret, replay):
                return Interrupt(SessionKey(process, secret), replay)
            case wire.Reject(answer, why):
                return End(answer, why)
            case _:
                return Listen()

    def refusal(self, refusal: Refusal) -> Say | End:
        if isinstance(refusal, _UNKNOWN):  # one answer to all of them, and to names that could be none
            return End(wire.NO_DATABASE, str(refusal))
        code = next((code for kinds, code in _CODES if isinstance(refusal, kinds)), None)
        if code is None:
            code = wire.CANNOT_CONNECT_NOW if refusal.status >= 500 else wire.INVALID_AUTHORIZATION
        return End(wire.error(code, str(refusal), _hint(refusal)), str(refusal))

    def late(self, seconds: float) -> End:
        return End(wire.error(wire.PROTOCOL_VIOLATION, f"No start-up message has come within {seconds:.0f} s."))

    def fault(self, number: str) -> End:
        return End(wire.error(INTERNAL_ERROR, "Something went wrong inside the gateway.", f"Its log says more of {number}."))

    def is_up(self, data: bytes) -> bool | None:
        unready = not_up(data)
        return None if unready is None else not unready

    def answered(self, data: bytes) -> bool:
        self._greeting.feed(data)
        return not self._greeting.over

    @property
    def session(self) -> SessionKey | None:
        return self._greeting.key


def _hint(refusal: Refusal) -> str:
    if isinstance(refusal, StartFailed):
        logs = refusal.cause.logs
        return "\n".join(line for tail in logs for line in (f"The last lines of {tail.service}:", *tail.lines))
    return "" if refusal.retry_after is None else f"Connect again in {max(1, round(refusal.retry_after))} s."
