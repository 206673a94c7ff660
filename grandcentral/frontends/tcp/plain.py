"""Connections of which nothing is known but the port: all of them are led to the app's one stack."""

from __future__ import annotations

from ...core.keys import Key
from ...errors import Refusal
from .speech import End, Lead, Listen, Say, Speech, Step


class PlainSpeech(Speech):
    """Nothing can be said in a protocol that is not known: who cannot be led anywhere is held, then closed."""

    leaves_by_fin = False

    def __init__(self, app: str) -> None:
        self._key = Key(app)
        self._led = False

    def feed(self, data: bytes) -> Step:
        if self._led:
            return Listen()
        self._led = True
        return Lead(self._key, data)

    def refusal(self, refusal: Refusal) -> Say | End:
        return End(b"", str(refusal))

    def late(self, seconds: float) -> End:
        return End(b"")

    def fault(self, number: str) -> End:
        return End(b"")

    def is_up(self, data: bytes) -> bool | None:
        return True  # the client may be expected to speak first, and what it says is said once
