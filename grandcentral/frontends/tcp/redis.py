"""Redis: the user of AUTH, or of AUTH within HELLO, names the stack."""

from __future__ import annotations

from collections.abc import Callable

from ...core.keys import Key
from ...errors import AppGone, InvalidVersion, Refusal, ShuttingDown, StartFailed, TooManyConnections, UnknownVersion
from ...wire import redis as wire
from .speech import End, Lead, Listen, Say, Speech, Step

_UNKNOWN = (UnknownVersion, InvalidVersion, AppGone)
_FOR_GOOD = (TooManyConnections, ShuttingDown)


class RedisSpeech(Speech):
    """A client that is refused stays connected, and may try another name or the same again.

    :param names: whether a user could be called so; whether there is one, the stacks know.
    """

    def __init__(self, app: str, names: Callable[[str], bool]) -> None:
        self._app = app
        self._names = names
        self._opening = wire.Opening()

    def feed(self, data: bytes) -> Step:
        match self._opening.feed(data):
            case wire.Reply(answer):
                return Say(answer)
            case wire.Route(name, replay):
                return Lead(Key(self._app, name), replay) if self._names(name) else Say(wire.WRONG_PASS)
            case wire.Reject(answer, why):
                return End(answer, why)
            case wire.StartTls():
                return End(b"", "It begins with TLS, which is not offered here.")
            case wire.NeedMore():
                return Listen()

    def refusal(self, refusal: Refusal) -> Say | End:
        if isinstance(refusal, _UNKNOWN):
            return Say(wire.WRONG_PASS)
        if isinstance(refusal, _FOR_GOOD):
            return End(wire.error("ERR", str(refusal)), str(refusal))
        if isinstance(refusal, StartFailed):
            last = [line for tail in refusal.cause.logs for line in tail.lines][-1:]
            return Say(wire.error("ERR", " ".join((str(refusal), *last))))
        # LOADING is what client libraries know as a reason to try again.
        return Say(wire.error("LOADING" if refusal.status >= 500 or refusal.status == 429 else "ERR", str(refusal)))

    def late(self, seconds: float) -> End:
        return End(wire.error("ERR", f"No AUTH with a user name has come within {seconds:.0f} s."))

    def fault(self, number: str) -> End:
        return End(wire.error("ERR", f"Something went wrong inside the gateway. Its log says more of {number}."))
