"""One request and its answer. This is the way that they go, and the modules that they go through:

1. ``client`` reads the head and makes an exchange of it. ``begin`` finds the stack. What is not for the application is answered
   here: what is at its last hop (``answers``), and an application's own call for more time (``lease``).
2. ``use``: the stack is ready. Until it is, and until there is a connection, the exchange waits (``waits``).
3. ``send``: the head goes to the application, and then the body, if there is one (``upload``; what came too early: ``spool``).
4. ``upstream`` reads the answer; it is passed on as it comes: ``interim``, ``answered``, ``content``. 101 makes a ``tunnel``.
5. It ends with ``_complete`` when all went well, with ``say`` when the gateway answers in the application's place, with
   ``broken`` when the answer breaks off, with ``abandon`` when the client has left.

A client connection has one exchange at a time; that is what answers pipelined requests in order. For a request to a stack that
is ready there is no Deferred, no timer and no object but this one: a look-up, a counter, and a connection out of the pool.
That path is all in this module, which is longer than others for it: each call of a function would be paid by every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from ...core.forwarding import IDEMPOTENT, may_repeat, response, upgrade_agreed
from ...core.keys import Key
from ...core.routing import Unrouted
from ...core.tickets import Ticket
from ...errors import (
    BadRequest,
    InvalidVersion,
    Refusal,
    ShuttingDown,
    UnknownHost,
    UpstreamFailed,
    UpstreamTimeout,
)
from ...relay.pool import Shelf
from ...wire.http1_bodies import BadBody, chunk
from ...wire.http1_request import RequestHead
from ...wire.http1_response import ResponseHead
from .answers import Answer, Audience, at_last_hop, fault, refused
from .lease import is_call, keep_awake
from .tunnel import Tunnel
from .upload import Upload, refuse_broken
from .upstream import UpstreamConnection
from .waits import Wait, connect, try_elsewhere, wake

if TYPE_CHECKING:
    from .client import ClientConnection
    from .frontend import HttpFrontend

_HELD_BACK = frozenset((b"CONNECT", b"TRACE", b"OPTIONS"))  # methods about the way to the application


class Exchange:
    """``over`` is true when the client has its answer, or has left."""

    __slots__ = (
        *("_chunked", "_closes", "_framed", "_since", "asked_for", "attempts", "client", "front", "head", "in_use", "over"),
        *("quiet", "shelf", "started", "ticket", "timing", "to_head", "tunnel", "upload", "upstream", "wait"),
    )
    asked_for: Key  # the stack, as the host names it
    ticket: Ticket  # held while in_use
    shelf: Shelf[UpstreamConnection]
    quiet: bool  # the stack is used without being kept awake
    _since: float  # when it began to be used

    def __init__(self, client: ClientConnection, front: HttpFrontend, head: RequestHead) -> None:
        self.client = client
        self.front = front
        self.head = head
        self.to_head = head.method == b"HEAD"
        self.upload = Upload(head.fields.body, client.buffer) if head.fields.body else None
        self.wait: Wait[Any] | None = None  # what it waits for
        self.upstream: UpstreamConnection | None = None
        self.tunnel: Tunnel | None = None
        self.started = False  # the head of the final answer went to the client
        self.over = False
        self.timing = b""  # a field of the answer, for a request that had to wait
        self.in_use = False
        self.attempts = 0
        self._chunked = False  # the answer goes out in chunks
        self._framed = True  # its end can be told from its framing
        self._closes = not head.fields.keeps_alive  # the client connection ends with this answer

    # -- the beginning ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Find the stack. The answer may be given before this returns."""
        front = self.front
        head = self.head
        if head.method in _HELD_BACK and self._held_back():
            return
        key = front.routes.match(head.host)
        if isinstance(key, Unrouted):
            unknown = key.label is None
            self.refuse(UnknownHost(key.host) if unknown else InvalidVersion(key.label or "", key.expected))
            return
        self.asked_for = key
        if front.refusing:
            self.refuse(ShuttingDown(retry_after=1.0))
            return
        if head.target[:2] == b"/." and is_call(head.target):
            keep_awake(self)
            return
        ticket = front.stacks.peek(key)
        if ticket is None:
            wake(self)
        else:
            self.use(ticket)

    def _held_back(self) -> bool:
        answer = at_last_hop(self.head)
        if isinstance(answer, BadRequest):
            self.refuse(answer, closes=self.head.method == b"CONNECT")
        elif answer is not None:
            self.say(answer)
        return answer is not None

    # -- to the application ----------------------------------------------------------------------------------------------

    def use(self, ticket: Ticket) -> None:
        """The stack is ready."""
        front = self.front
        now = front.seconds()
        self.quiet = quiet = self._is_quiet(ticket.key.app) if front.judges.sparing else False
        ticket.begin(now, quiet)
        self.ticket, self._since = ticket, now
        self.in_use = True
        shelf = self.shelf = front.pool.shelf(ticket.endpoint)
        # Only what may be sent twice goes over a connection that the application may just be closing (RFC 9112 §9.3.1).
        if shelf.idle and self.head.method in IDEMPOTENT:
            self.send(shelf.idle.pop(), now)
        else:
            connect(self, now, self.head.method in IDEMPOTENT)

    def _is_quiet(self, app: str) -> bool:
        judge, head = self.front.judges.sparing.get(app), self.head
        return judge is not None and not judge.keeps_alive(head.method, head.target, head.fields.raw)

    def send(self, upstream: UpstreamConnection, now: float) -> None:
        """There is a connection to the application."""
        client = self.client
        upload = self.upload
        self.attempts += 1
        self.upstream = upstream
        upstream.exchange = self
        if upload is None:
            message = client.hop.request(self.head)
        else:
            try:
                message = upload.message or upload.first(client.hop.request(self.head))
            except BadBody as error:
                refuse_broken(self, error)
                return
        settings = self.front.settings
        client.deadline = now + (settings.response_timeout if upload is None or upload.complete else settings.body_timeout)
        self.ticket.bytes_in += len(message)
        upstream.transport.write(message)
        if client.blocked:
            upstream.pause(True)
        if upload is not None and upload.spool is not None:
            upload.replay(self, upstream, upload.spool)
        if client.paused:
            client.flow()

    def expect(self, sent: bool) -> None:
        """The rest of the request is due now; or the answer, if all of it was sent."""
        if not self.started:
            settings = self.front.settings
            self.client.deadline = self.front.seconds() + (settings.response_timeout if sent else settings.body_timeout)

    def drained(self, upstream: UpstreamConnection) -> None:
        """The application takes more."""
        upload = self.upload
        if upload is not None and upload.spool is not None:
            upload.replay(self, upstream, upload.spool)
        self.client.flow()

    @property
    def forwards_to(self) -> UpstreamConnection | None:
        """Where what the client sends goes as it comes. None: it waits."""
        return self.upstream if self.tunnel is not None or (self.upload is not None and self.upload.flows) else None

    # -- from the application --------------------------------------------------------------------------------------------

    def interim(self, head: ResponseHead) -> None:
        """Pass on a 1xx, unless the client would not understand it (RFC 9110 §15.2)."""
        if self.head.fields.minor:
            self.client.transport.write(response(head, False, False, b""))

    def answered(self, head: ResponseHead, data: bytes, done: bool, trailers: bytes = b"") -> None:
        """The head of the answer has come, and with it the first or all of its content."""
        client = self.client
        front = self.front
        chunked = False
        if head.body < 0:
            chunked = self._chunked = self._framed = self.head.fields.minor == 1
            self._closes = self._closes or not chunked
            if chunked:
                data = chunk(data, done, trailers)
        if (self.upload is not None and not self.upload.complete) or front.stopping:
            self._closes = True  # RFC 9112 §9.3: an unread body
        self.started = True
        if head.lease is not None:
            front.asked(self.ticket, head.lease)
        if self._closes or head.body < 0 or not head.dated:
            message = response(head, self._closes, chunked, front.date)
        else:
            message = head.passed_on = head.passed_on or response(head, False, False, b"")
        if self.timing:
            message = self._timed(message)
        if data:
            message += data
        self.ticket.bytes_out += len(message)
        client.transport.write(message)
        answers = front.counters.answers
        try:
            answers[self.head.method, head.status] += 1
        except KeyError:
            front.counters.count(self.head.method, head.status)
        if done:
            self._complete()
        elif not client.blocked:
            client.deadline = front.seconds() + front.settings.stream_timeout

    def _timed(self, message: bytes) -> bytes:
        """A head, with what is known of the start that it had to wait for."""
        return message[:-2] + self.timing + b"\r\n"

    def content(self, data: bytes, done: bool, trailers: bytes) -> None:
        """More of the answer's content."""
        if self._chunked:
            data = chunk(data, done, trailers)
        ticket = self.ticket
        now = self.front.seconds()
        if not self.quiet:
            ticket.last_byte = now
        ticket.bytes_out += len(data)
        self.client.transport.write(data)
        if done:
            self._complete()
        elif not self.client.blocked:
            self.client.deadline = now + self.front.settings.stream_timeout

    def switched(self, upstream: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """101: from here on this is a tunnel."""
        front = self.front
        if not ((self.upload is None or self.upload.sent) and upgrade_agreed(self.head.fields, head)):
            self.misunderstood("It switched to a protocol that was not asked for.")
            return
        self.started = True
        tunnel = self.tunnel = Tunnel(self, upstream)
        front.counters.count(self.head.method, head.status)
        if head.lease is not None:
            front.asked(self.ticket, head.lease)
        if self.upload is not None:
            self.upload.close()
        tunnel.down(self._timed(response(head, False, False, b"")) + data)
        tunnel.up(self.client.take_buffer())
        self.client.flow()

    def misunderstood(self, why: str) -> None:
        """The application's answer has no one meaning."""
        self.refuse(UpstreamFailed(self.asked_for, why))

    def broken(self) -> None:
        """The answer broke off, or its framing did: the client must not take what it has for the whole."""
        self.let_go()
        self.client.cut(self._framed)

    def upstream_lost(self, kept: bool, answered: bool) -> None:
        """The connection has gone before the end of the answer.

        :param kept: it came from the pool, and may have been closed there already.
        :param answered: some byte of an answer came.
        """
        self.upstream = None
        if self.tunnel is not None:
            self.tunnel.close()
        elif self.started:
            self.broken()
        elif kept and self.repeats(True, answered):
            connect(self, self.front.seconds(), takes_used=False)
        else:
            why = "It closed the connection within its answer." if answered else "It closed the connection without an answer."
            try_elsewhere(self, why, True, answered)

    def repeats(self, delivered: bool, answered: bool) -> bool:
        """Whether it is sent once more: it may be, and nothing of it is lost."""
        whole = self.upload is None or self.upload.whole
        return may_repeat(self.head.method, delivered, answered, whole, self.attempts)

    # -- the end ---------------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        """All of the answer has been passed on."""
        front = self.front
        now = front.seconds()
        front.counters.served.observe(now - self._since)
        self.over = True
        self.in_use = False
        self.ticket.end(now, self.quiet)
        upload, upstream = self.upload, self.upstream
        if upstream is not None:
            if upload is None or upload.sent:
                upstream.release(now)
            else:
                upstream.abort()
        if upload is not None:
            upload.close()
        self.client.exchange_over(self._closes, now)

    def refuse(self, refusal: Refusal, closes: bool = False) -> None:
        """Answer in the application's place; cuts the connection if its answer has begun already.

        :param closes: the client's connection ends with this.
        """
        self._closes = self._closes or closes
        if self.started:
            self.broken()
        else:
            self.front.counters.refused(refusal.type)
            self.say(refused(refusal, self.audience(), self.instance, self.trace))

    def fault(self, failure: Failure) -> None:
        """A fault of our own, under a number that the log repeats."""
        number = self.front.incident(f"serving {self.head.host.decode('ascii')}", failure)
        if self.over:
            return
        if self.started:
            self.broken()
        else:
            self.say(fault(number, 500, self.audience(), self.trace))

    def say(self, answer: Answer) -> None:
        """This is the answer, in the application's place."""
        self.front.counters.count(self.head.method, answer.status)
        if self.upload is not None and not self.upload.read_away():
            self._closes = True
        self.let_go()
        self.client.say(answer, self._closes, self.to_head)

    def abandon(self) -> None:
        """The client has left: what is done for it ends here, except a start."""
        if self.tunnel is not None:
            self.tunnel.close()
        else:
            self.let_go()

    def let_go(self) -> None:
        """Stop waiting, drop the application's connection, give back the ticket."""
        self.over = True
        if self.upload is not None:
            self.upload.close()
        wait, self.wait = self.wait, None
        if wait is not None:
            wait.awaited.cancel()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()
        self.end_use()

    def end_use(self) -> None:
        """Give back the ticket."""
        if self.in_use:
            self.in_use = False
            self.ticket.end(self.front.seconds(), self.quiet)

    def overdue(self) -> None:
        """What was due did not happen in time."""
        settings = self.front.settings
        upload = self.upload
        if self.wait is not None:
            self.wait.overdue()
        elif self.started:
            orderly = self._framed and self.tunnel is None and not self.client.blocked
            self.abandon()
            self.client.cut(orderly)
        elif upload is not None and upload.flows and not self.client.paused:
            late = f"No more of the request's body came for {settings.body_timeout:.0f} s."
            self.refuse(BadRequest(408, late), closes=True)
        else:
            self.refuse(UpstreamTimeout(self.asked_for, settings.response_timeout))

    # -- for the gateway's own answers -----------------------------------------------------------------------------------

    def audience(self) -> Audience:
        """Who asks."""
        return Audience.of(self.head.method, self.head.fields.raw)

    @property
    def instance(self) -> str:
        """What is asked for."""
        return self.head.target.decode("ascii")

    @property
    def trace(self) -> str:
        """The trace id of the request, or ""."""
        return self.client.hop.trace(self.head)
