"""From a key to a server that takes the client: the stack is woken, and its server is asked until it is up.

A stack that was ready a moment ago may not be any more when it is connected to; the table is told so, and asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, TimeoutError
from twisted.internet.error import ConnectError, ConnectingCancelledError, UserError
from twisted.internet.task import deferLater

from ...core.keys import Key
from ...core.tickets import Ticket
from ...errors import Refusal, UpstreamFailed
from .origin import NotUp, Origin

if TYPE_CHECKING:
    from .client import Client

GIVEN_UP = (CancelledError, ConnectError, ConnectingCancelledError)
"""How an attempt to connect may fail; cancelled, it fails in one of these ways too."""

FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.1, 1.6, 5.0  # seconds between attempts


class Reaching:
    """For one client that waits. The client gives it up by cancelling."""

    def __init__(self, client: Client, key: Key) -> None:
        self._client = client
        self._front = client.front
        self._key = key

    async def reach(self) -> Refusal | Origin:
        """A server that has been sent all that the client has said, or why there is none. The client uses its ticket then."""
        front = self._front
        until = front.seconds() + front.settings.start_timeout
        pause = FIRST_PAUSE
        while True:
            try:
                ticket = front.stacks.peek(self._key) or await front.stacks.ensure(self._key, client=self._client.peer)
            except Refusal as refusal:
                return refusal
            self._client.use(ticket)
            found = await self._connect(ticket)
            if isinstance(found, Origin):
                return found
            front.stacks.lost(ticket)
            if front.seconds() + pause > until:
                return UpstreamFailed(self._key, f"It cannot be connected to: {found}", retry_after=5)
            await deferLater(front.clock, pause)
            pause = min(LONGEST_PAUSE, pause * GROWTH)

    async def _connect(self, ticket: Ticket) -> Origin | str:
        """One attempt; if it fails, why."""
        client, front = self._client, self._front
        origin = Origin(client, client.speech.is_up)
        accepted = origin.accepted
        assert accepted is not None
        done = False
        try:
            dialling = front.connect(ticket.endpoint, origin)
            dialling.addTimeout(front.settings.connect_timeout, front.clock)
            await dialling
            client.stream()
            sent = len(client.held)
            origin.transport.write(bytes(client.held))
            ticket.bytes_in += sent
            await accepted
            ticket.bytes_in += len(client.held) - sent
            origin.transport.write(bytes(client.held[sent:]))
            done = True
            return origin
        except (NotUp, *GIVEN_UP, TimeoutError, OSError) as error:
            if client.left:
                raise
            late = not isinstance(error, NotUp | OSError | ConnectError) or isinstance(error, UserError)
            return f"no answer within {front.settings.connect_timeout:g} s" if late else str(error) or type(error).__name__
        finally:
            if not done:
                client.let_go()
                origin.leave()
                origin.abort()
