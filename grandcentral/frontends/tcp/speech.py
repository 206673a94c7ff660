"""What a protocol has to know about the beginning of its connections: who is meant, and how a client is told that it cannot be.

After that a connection is bytes in both directions, whatever the protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import field, frozen

from ...core.keys import Key
from ...errors import Refusal
from ...wire.postgresql_server import SessionKey


@frozen
class Listen:
    """Go on when more has come."""


@frozen
class Say:
    """Write ``answer`` and go on."""

    answer: bytes = field(repr=False)


@frozen
class Lead:
    """The client wants the stack ``key``, which gets ``replay`` first."""

    key: Key
    replay: bytes = field(repr=False)


@frozen
class Interrupt:
    """The client wants another session to stop what it does: its server gets ``message``, and nobody an answer."""

    session: SessionKey
    message: bytes = field(repr=False)


@frozen
class End:
    """Write ``answer``, which may be empty, and close."""

    answer: bytes = field(repr=False)
    why: str = ""  # for the log


Step = Listen | Say | Lead | Interrupt | End


class Speech(ABC):
    """One connection's.

    :cvar leaves_by_fin: a side that sends no more has left; otherwise it may still want to hear.
    """

    leaves_by_fin = True

    @abstractmethod
    def feed(self, data: bytes) -> Step:
        """What to do, now that these bytes of the client's have come as well. After Say, and first of all, with none."""

    @abstractmethod
    def refusal(self, refusal: Refusal) -> Say | End:
        """What a client is told that gets no stack. After Say it may ask for another."""

    @abstractmethod
    def late(self, seconds: float) -> End:
        """What it is told when it has not said within so long who it is."""

    @abstractmethod
    def fault(self, number: str) -> End:
        """What it is told of a fault of our own, which the log has under this number."""

    def is_up(self, data: bytes) -> bool | None:
        """Of everything that a server has said so far: whether it takes clients, or cannot yet and should be asked again.
        None: that takes more bytes."""
        return True if data else None

    def answered(self, data: bytes) -> bool:
        """Bytes of the server's, passed on to the client. Whether more of them should be shown here."""
        return False

    @property
    def session(self) -> SessionKey | None:
        """By what a cancel request can name this connection, as far as is known."""
        return None
