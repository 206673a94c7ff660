"""The connection of a client: heard until it is known what it wants, held until there is a server for it, then passed on.

Note [Who has left]: a client that closes sends FIN, and so does one that has said everything and waits for an answer. Clients
of databases never do the latter, so that FIN means that they have left: what they waited for is given up, and their server is
let go even if it is silent. On a plain port FIN is passed on; only who has said nothing by then has left for certain.

Note [Answers]: a client may send thousands of commands at once, each of which has an answer of ours, many times as long:

    "AUTH a b" x 4681 in 64 KiB -> a refusal that is known at once -> what is behind it is heard -> a refusal, ...
    "HELLO" x 10922 in 64 KiB, and nothing is read                -> two megabytes of answers wait

So answers are given in a loop and never one from within another, and no more are given before the client takes them.

A little over the usual length: hearing, holding and passing on are states of one connection, and it can end in each of them.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ... import events
from ...core.forwarding import plain_address, trusted
from ...core.keys import Key
from ...core.tickets import Ticket
from ...errors import Refusal, ShuttingDown
from ...relay.streams import Stream
from ...wire.postgresql_server import SessionKey
from ...wire.proxyprotocol import BadHeader, parse
from .origin import NotUp, Origin
from .reaching import GIVEN_UP, Reaching
from .speech import End, Interrupt, Lead, Say, Speech, Step

if TYPE_CHECKING:
    from .frontend import TcpFrontend


class Client(Stream):
    """``deadline`` (monotonic seconds) is when the front door's sweep calls ``overdue``."""

    _log = Logger(namespace="grandcentral.frontends.tcp")

    def __init__(self, front: TcpFrontend, protocol: str, speech: Speech) -> None:
        super().__init__()
        self.front = front
        self.protocol = protocol
        self.speech = speech
        self.peer = ""  # the client's address, "" if it has none
        self.deadline = inf
        self.held = bytearray()  # what came and cannot be passed on yet
        self._unheard: bytes | None = None  # what ``speech`` is to be fed next; b"" for what it has already
        self._hearing = False
        self.left = False  # nothing is done for it any more
        self._header: bytearray | None = None  # of a balancer, as far as it has come
        self._replay = 0  # bytes of ``held`` that led to the stack that is waited for
        self._reaching: Deferred[Refusal | Origin] | None = None
        self._ticket: Ticket | None = None
        self._streams = False  # it counts as a stream on the ticket
        self._origin: Origin | None = None
        self._watches = False  # what the server says is shown to ``speech``
        self._session: SessionKey | None = None
        self._seated = False
        self._flushed = False  # the last word was sent, and FIN

    # -- it comes ---------------------------------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        front = self.front
        super().makeConnection(transport)
        front.clients.add(self)
        front.crowd.guests += 1
        self.deadline = front.seconds() + front.settings.identify_timeout
        neighbour = self._neighbour()
        if trusted(neighbour, front.settings.proxy_protocol):
            self._header = bytearray()
        else:
            self._meet(neighbour)

    def _neighbour(self) -> str:
        return plain_address(getattr(self.transport.getPeer(), "host", ""))

    def _meet(self, peer: str) -> None:
        """It is known who the client is."""
        self.peer = peer
        limit = self.front.seat(peer)
        if limit is not None:
            self._refuse(limit)
            return
        self._seated = True
        self._hear(b"")

    def _after_header(self, data: bytes) -> bytes:
        """What is the client's own of this. Nothing as long as the balancer has yet to say whose it is."""
        assert self._header is not None
        self._header += data
        try:
            told = parse(self._header)
        except BadHeader as bad:
            self._unbelieved(str(bad))
            return b""
        if told is None:
            return b""
        rest = bytes(self._header[told.size :])
        self._header = None
        self._meet(self._neighbour() if told.client is None else told.client)
        return rest

    def _unbelieved(self, why: str) -> None:
        self._log.info(events.PROXY_HEADER_MISSING, peer=self._neighbour(), why=why)
        self.leave()
        self.abort()

    # -- it is heard ------------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        origin = self._origin
        if origin is not None:
            ticket = self._ticket
            assert ticket is not None
            ticket.last_byte = self.front.seconds()
            ticket.bytes_in += len(data)
            origin.transport.write(data)
            if not ticket.open:
                self.front.still_used(ticket)
            return
        if self._header is not None:
            data = self._after_header(data)
            if data:
                self.dataReceived(data)
            return
        if self.left:
            return
        if self._reaching is None:
            self._hear(data)
        else:
            self.held += data
            self.read(len(self.held) < self.front.settings.buffer)

    def _hear(self, data: bytes) -> None:
        """See Note [Answers]."""
        self._unheard = data if self._unheard is None else self._unheard + data
        if self._hearing:
            return
        self._hearing = True
        try:
            while self._unheard is not None and not (self.blocked or self.left):
                data, self._unheard = self._unheard, None
                step = self.speech.feed(data)
                if isinstance(step, Say):
                    self.transport.write(step.answer)
                    self._unheard = b""
                else:
                    self._take(step)
        finally:
            self._hearing = False
        if self._unheard is not None and not self.left:
            self.read(False)

    def _take(self, step: Step) -> None:
        match step:
            case Lead(key, replay):
                self._reach(key, replay)
            case Interrupt(session, message):
                self.left = True
                self.deadline = self.front.seconds() + 2 * self.front.settings.cancel_timeout  # there may be another to ask
                done = self.front.interrupt(session, message)
                done.addCallbacks(lambda _: self._over(End(b"")), self._fault)
            case End():
                self._over(step)
            case _:
                pass

    # -- it is held -------------------------------------------------------------------------------------------------------

    def _reach(self, key: Key, replay: bytes) -> None:
        self.deadline = inf  # the stacks say when it is too late
        self.held, self._replay = bytearray(replay), len(replay)
        reaching = self._reaching = Deferred.fromCoroutine(Reaching(self, key).reach())
        reaching.addCallbacks(self._reached, self._fault)
        reaching.addErrback(self._fault)

    def use(self, ticket: Ticket) -> None:
        """Count as one who uses this stack, from now on until ``let_go``."""
        self._ticket = ticket
        ticket.begin(self.front.seconds())

    def stream(self) -> None:
        """It has a connection to the stack: from now on its silence counts."""
        assert self._ticket is not None
        self._streams = True
        self._ticket.stream_opened(self.front.seconds())

    def let_go(self) -> None:
        """The stack is not used any more."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            now = self.front.seconds()
            if self._streams:
                self._streams = False
                ticket.stream_closed(now)
            ticket.end(now)

    def _reached(self, found: Refusal | Origin) -> None:
        self._reaching = None
        if isinstance(found, Origin):
            self._pass_on(found)
        else:
            self._refuse(found)

    def _refuse(self, refusal: Refusal) -> None:
        self.front.refused(self.protocol, refusal)
        told = self.speech.refusal(refusal)
        if isinstance(told, End):
            self._over(told)
            return
        later = bytes(self.held[self._replay :])
        self.held.clear()
        self.transport.write(told.answer)
        self.deadline = self.front.seconds() + self.front.settings.identify_timeout
        self.read(True)
        self._hear(later)

    def _fault(self, failure: Failure) -> None:
        self._reaching = None
        if self.left and failure.check(NotUp, *GIVEN_UP):  # it was given up
            return
        self._over(self.speech.fault(self.front.incident(f"a {self.protocol} connection", failure)))

    # -- it is passed on --------------------------------------------------------------------------------------------------

    def _pass_on(self, origin: Origin) -> None:
        """:param origin: has been sent what ``held`` was when it was connected to, and has accepted that."""
        self._origin = origin
        self._watches = True
        self.held.clear()
        if origin.first:
            first = bytes(origin.first)
            origin.first.clear()
            self.from_origin(first)
        if self.ended:
            origin.finish()
        if origin.ended and self._origin is not None:
            self.origin_finished()
        origin.read(not self.blocked)
        self.read(not origin.blocked)

    def from_origin(self, data: bytes) -> None:
        """The server says this."""
        ticket = self._ticket
        assert ticket is not None
        ticket.last_byte = self.front.seconds()
        ticket.bytes_out += len(data)
        self.transport.write(data)
        if self._watches:
            self._watches = self.speech.answered(data)
            session = self.speech.session
            if session is not None and self._session is None:
                self._session = session
                self.front.sessions.setdefault(session, {})[self] = ticket.endpoint

    def room(self, there: bool) -> None:
        if self._origin is not None:
            self._origin.read(there)
        elif there and self._unheard is not None and not self.left:
            self.read(True)
            self._hear(b"")

    def origin_has_room(self, there: bool) -> None:
        """The server takes more, or no more for now."""
        if self._origin is not None:
            self.read(there)

    def origin_finished(self) -> None:
        """The server says no more."""
        if self._origin is None:
            return
        if self.speech.leaves_by_fin or self.ended:
            self._end_of_session()
            self._over(End(b""))
        else:
            self.finish()

    def origin_lost(self, clean: bool) -> None:
        """The server's connection is gone."""
        if self._origin is None:
            return
        self._end_of_session()
        if clean or self.speech.leaves_by_fin:
            self._over(End(b""))
        else:  # what has come is not all, and a clean end would say that it is
            self.leave()
            self.abort()

    # -- it ends ----------------------------------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:  # See Note [Who has left]
        self.ended = True
        origin = self._origin
        if origin is not None and not self.speech.leaves_by_fin and not origin.ended:
            origin.finish()
        elif self._reaching is None or self.speech.leaves_by_fin or not self.held:
            self.leave()
            self.front.let_go(self)

    def writeConnectionLost(self) -> None:
        if self.left:
            self._flushed = True
            self.deadline = self.front.seconds() + self.front.settings.linger

    def lost(self, clean: bool) -> None:
        self.leave()
        if self._seated:
            self.front.crowd.leave(self.peer)
        self.front.crowd.guests -= 1
        self.front.lost(self)

    def leave(self) -> None:
        """Do nothing more for it: what it waits for is given up, its server is let go."""
        self.left = True
        self.held.clear()
        reaching, self._reaching = self._reaching, None
        if reaching is not None:
            reaching.cancel()
        self._end_of_session()

    def _end_of_session(self) -> None:
        origin, self._origin = self._origin, None
        if origin is not None:
            origin.leave()
            self.front.let_go(origin)
        self.let_go()
        if self._session is not None:
            self.front.session_over(self._session, self)
            self._session = None

    def _over(self, end: End) -> None:
        """Say the last word, then FIN; read on until the client closes, for a reset would overtake what was said."""
        if end.why:
            self._log.debug(events.CONNECTION_REFUSED, protocol=self.protocol, peer=self.peer, why=end.why)
        self.leave()
        if self.gone:
            return
        self.transport.write(end.answer)
        if self.ended:
            self.front.let_go(self)
            return
        self.read(True)
        self.deadline = self.front.seconds() + self.front.settings.flush_timeout
        self.finish()

    def overdue(self) -> None:
        """The deadline has passed."""
        seconds = self.front.settings.identify_timeout
        if self._flushed:
            self.deadline = inf
            self.close()
        elif self.left:
            self.abort()
        elif self._header is not None:
            self._unbelieved(f"No PROXY header came within {seconds:.0f} s.")
        else:
            self._over(self.speech.late(seconds))

    def stop(self) -> None:
        """The front door closes: who has no session yet will get none."""
        if self._origin is None and not self.left:
            self._over(End(self.speech.refusal(ShuttingDown(retry_after=1)).answer))
