"""One request and its answer: find the stack, wait for it, send the request, pass on what comes back.

A client connection has one exchange at a time; that is what answers pipelined requests in order. For a request to a stack that
is ready there is no Deferred and no timer: a look-up, a counter, and a connection out of the pool.

The module is longer than others because every step of an exchange can end in any other: it is one machine.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import UserError
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure

from ...core.forwarding import IDEMPOTENT, may_repeat, response, upgrade_agreed
from ...core.keys import Key
from ...core.routing import Unrouted
from ...core.serving import client_of
from ...core.tickets import Ticket
from ...core.timeline import server_timing
from ...errors import (
    BadRequest,
    BodyTooLarge,
    InvalidVersion,
    Refusal,
    ShuttingDown,
    UnknownHost,
    UpstreamFailed,
    UpstreamTimeout,
    WrongToken,
)
from ...relay.pool import Gone, Opening, Shelf
from ...relay.transports import finish_writing
from ...wire.http1_bodies import BadBody, Body, body_of, chunk
from ...wire.http1_fields import CHUNKED
from ...wire.http1_request import RequestHead
from ...wire.http1_response import ResponseHead
from .answers import Answer, Audience, at_last_hop, fault, refused, waiting
from .lease import PATIENCE, granted, is_call, proved, wanted
from .spool import Spool
from .upstream import UpstreamConnection

if TYPE_CHECKING:
    from .client import ClientConnection
    from .frontend import HttpFrontend

_HELD_BACK = frozenset((b"CONNECT", b"TRACE", b"OPTIONS"))  # methods about the way to the application
_PIECE = 128 * 1024  # bytes of a spool that are sent at a time: more than a transport's buffer, so that each waits for the last
_ASK_AGAIN = 5.0  # seconds after which a body that is too large to be held may be taken


class Exchange:
    """``over`` is true when the client has its answer, or has left. What comes of the body before there is an application to
    send it to stays in the client's buffer; when that is full, it is moved to the ``spool``."""

    __slots__ = (
        *("_attempts", "_chunked", "_closes", "_dialling", "_finished", "_framed", "_front", "_held", "_in_use", "_key"),
        *("_quiet", "_sent", "_shelf", "_since", "_ticket", "_timing", "_touched", "_waiting", "body", "client", "head"),
        *("over", "spool", "started", "to_head", "tunnel", "upstream"),
    )
    _key: Key
    _shelf: Shelf[UpstreamConnection]
    _since: float  # when it began to be used
    _ticket: Ticket  # held while _in_use
    _quiet: bool  # and used without keeping the stack awake

    def __init__(self, client: ClientConnection, front: HttpFrontend, head: RequestHead) -> None:
        self.client = client
        self._front = front
        self.head = head
        self.to_head = head.method == b"HEAD"
        self.body: Body | None = body_of(head.fields.body) if head.fields.body else None  # None when it is complete
        self.upstream: UpstreamConnection | None = None
        self.spool: Spool | None = None  # the beginning of the body, as the application gets it
        self.started = False  # the head of the final answer went to the client
        self.tunnel = False
        self.over = False
        self._in_use = False
        self._waiting: Deferred[Any] | None = None  # for a start, in line, or for a dial
        self._dialling = False
        self._attempts = 0
        self._chunked = False  # the answer goes out in chunks
        self._framed = True  # its end can be told from its framing
        self._closes = not head.fields.keeps_alive  # the client connection ends with this answer
        self._held = 0  # bytes of content that went to the spool
        self._touched = False  # some of the request's body has gone to the application
        self._sent: bytes | None = None  # the whole request as it was sent, if it was sent in one piece with its body
        self._timing = b""  # a field of the answer, for a request that had to wait
        self._finished = 0  # halves of a tunnel that are closed: 1 the client's, 2 the application's

    # -- the beginning ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Find the stack. The answer may be given before this returns."""
        front = self._front
        head = self.head
        if head.method in _HELD_BACK and self._held_back():
            return
        key = front.routes.match(head.host)
        if isinstance(key, Unrouted):
            unknown = key.label is None
            self.refuse(UnknownHost(key.host) if unknown else InvalidVersion(key.label or "", key.expected))
            return
        self._key = key
        if front.refusing:
            self.refuse(ShuttingDown(retry_after=1.0))
            return
        if head.target[:2] == b"/." and is_call(head.target):
            self._keep_awake()
            return
        ticket = front.stacks.peek(key)
        if ticket is None:
            self._wake()
        else:
            self._use(ticket)

    def _held_back(self) -> bool:
        answer = at_last_hop(self.head)
        if isinstance(answer, BadRequest):
            self._closes = self._closes or self.head.method == b"CONNECT"
            self.refuse(answer)
        elif answer is not None:
            self._say(answer)
        return answer is not None

    def _wake(self) -> None:
        """Ask for the stack and wait: a person until it is time for a page, everybody else for as long as the table says."""
        front = self._front
        now = front.seconds()
        self.client.deadline = now + front.settings.waiting_page_after if self._audience().navigates else inf
        head = self.head
        wakes = front.judges.wakes(self._key.app, head.method, head.target, head.fields.raw)
        proxies = front.settings.trusted_proxies
        client = client_of(self.client.peer, head.fields.values(b"x-forwarded-for"), proxies) if wakes else ""
        waiting = self._waiting = front.stacks.ensure(self._key, wakes, client)
        waiting.addCallbacks(self._woken, self._not_woken, callbackArgs=(now,))
        waiting.addErrback(self._fault)
        if wakes and not waiting.called and self._too_large(head.fields.body):
            self._refuse_body()  # the start goes on
        self.client.flow()

    def _keep_awake(self) -> None:
        """The application's own call for more time (see lease): nothing is woken for it."""
        front = self._front
        try:
            seconds = wanted(self.head.method, self.head.target)
        except BadRequest as error:
            self.refuse(error)
            return
        ticket = front.stacks.peek(self._key)
        if ticket is not None:
            self._found_awake(ticket, seconds)
            return
        self.client.deadline = front.seconds() + PATIENCE
        waiting = self._waiting = front.stacks.ensure(self._key, wakes=False)
        waiting.addCallbacks(self._found_awake, self._not_woken, callbackArgs=(seconds,))
        waiting.addErrback(self._fault)
        self.client.flow()

    def _found_awake(self, ticket: Ticket, seconds: int) -> None:
        self._waiting = None
        front = self._front
        if self.over:
            return
        if front.token is None or not proved(self.head.fields.raw, front.token(ticket.key)):
            self.refuse(WrongToken(self._key))
            return
        until = front.lease(ticket, seconds)
        self._say(granted(until if seconds else None))

    def _woken(self, ticket: Ticket, since: float) -> None:
        self._waiting = None
        if not self.over:
            held = self._front.seconds() - since
            self._front.counters.held.observe(held)
            self._timing = server_timing(held, ticket.phases if ticket.started >= since else {})
            self._use(ticket)

    def _not_woken(self, failure: Failure) -> None:
        self._waiting = None
        if self.over:
            return  # the client left, and its wait was cancelled
        if isinstance(failure.value, Refusal):
            self.refuse(failure.value)
        else:
            self._fault(failure)

    # -- to the application ----------------------------------------------------------------------------------------------

    def _use(self, ticket: Ticket) -> None:
        front = self._front
        now = front.seconds()
        self._quiet = quiet = self._is_quiet(ticket.key.app) if front.judges.sparing else False
        ticket.begin(now, quiet)
        self._ticket, self._since = ticket, now
        self._in_use = True
        shelf = self._shelf = front.pool.shelf(ticket.endpoint)
        # Only what may be sent twice goes over a connection that the application may just be closing (RFC 9112 §9.3.1).
        if shelf.idle and self.head.method in IDEMPOTENT:
            self._send(shelf.idle.pop(), now)
        else:
            self._connect(now, self.head.method in IDEMPOTENT)

    def _is_quiet(self, app: str) -> bool:
        judge, head = self._front.judges.sparing.get(app), self.head
        return judge is not None and not judge.keeps_alive(head.method, head.target, head.fields.raw)

    def _connect(self, now: float, takes_used: bool) -> None:
        """Open a connection, or wait until there is one."""
        front = self._front
        opening = front.pool.opening(self._shelf)
        if opening is not None:
            self._dial(opening, now)
            return
        self.client.deadline = now + front.settings.response_timeout
        line = self._waiting = front.pool.stand_in_line(self._shelf, takes_used)
        line.addCallbacks(self._called, self._sent_away)
        line.addErrback(self._fault)
        self.client.flow()

    def _called(self, found: UpstreamConnection | Opening) -> None:
        self._waiting = None
        now = self._front.seconds()
        if isinstance(found, Opening):
            self._dial(found, now)
        else:
            self._send(found, now)

    def _sent_away(self, failure: Failure) -> None:
        self._waiting = None
        if not self.over:  # the client has not left: the endpoint has gone
            failure.trap(Gone)
            self._end_use()
            self._wake()

    def _dial(self, opening: Opening, now: float) -> None:
        front = self._front
        self.client.deadline = now + front.settings.connect_timeout
        self._dialling = True
        dial = self._waiting = front.connect(self._ticket.endpoint, front.upstreams)
        dial.addCallbacks(self._dialled, self._not_dialled, callbackArgs=(opening,), errbackArgs=(opening,))
        dial.addErrback(self._fault)
        self.client.flow()

    def _dialled(self, connected: IProtocol, opening: Opening) -> None:
        self._waiting = None
        self._dialling = False
        upstream = cast(UpstreamConnection, connected)
        upstream.shelf = self._shelf
        upstream.opening = opening
        if self.over:
            upstream.close()
        else:
            self._send(upstream, self._front.seconds())

    def _not_dialled(self, failure: Failure, opening: Opening) -> None:
        self._waiting = None
        self._dialling = False
        self._front.pool.ended(self._shelf, opening)
        if not self.over:
            late = f"no answer within {self._front.settings.connect_timeout:g} s"
            why = late if failure.check(CancelledError, UserError) else failure.getErrorMessage()
            self._try_elsewhere(f"It cannot be connected to: {why}", delivered=False)

    def _send(self, upstream: UpstreamConnection, now: float) -> None:
        client = self.client
        settings = self._front.settings
        self._attempts += 1
        self.upstream = upstream
        upstream.exchange = self
        message = self._sent
        if message is None:
            message = client.hop.request(self.head)
            if self.spool is not None:
                self.spool.rewind()
            elif self.body is not None and client.buffer:
                try:
                    message += self._take(self.body, client.take_buffer())
                except BadBody as error:
                    self._bad_body(error)
                    return
                if self.body is None:
                    self._sent = message
        client.deadline = now + (settings.response_timeout if self.body is None else settings.body_timeout)
        self._ticket.bytes_in += len(message)
        upstream.transport.write(message)
        if client.blocked:
            upstream.pause(True)
        if self.spool is not None:
            self._replay(upstream, self.spool)
        if client.paused:
            client.flow()

    def request_data(self, upstream: UpstreamConnection, body: Body, data: bytes) -> None:
        """More of the request's body has come, and there is an application to send it to."""
        try:
            content = self._take(body, data)
        except BadBody as error:
            self._bad_body(error)
            return
        settings = self._front.settings
        if not self.started:
            wait = settings.response_timeout if self.body is None else settings.body_timeout
            self.client.deadline = self._front.seconds() + wait
        self._ticket.bytes_in += len(content)
        upstream.transport.write(content)

    def _take(self, body: Body, data: bytes) -> bytes:
        """What to send for these bytes of the body."""
        content = self._read(body, data)
        self._touched = True
        return self._framed_anew(body, content)

    def _framed_anew(self, body: Body, content: bytes) -> bytes:
        return chunk(content, body.done, body.trailers) if self.head.fields.body == CHUNKED else content

    def _read(self, body: Body, data: bytes) -> bytes:
        """The content in these bytes of the body; what lies beyond it goes back to the client's buffer."""
        content, rest = body.feed(data)
        if body.done:
            self.body = None
            self.client.buffer += rest
        return content

    def put_aside(self) -> None:
        """Make room in the client's buffer by moving what has come of the body to the spool, while there is no stack to send it
        to. The exchange may be over after that."""
        body = self.body
        client, front = self.client, self._front
        spool = self.spool
        size = len(client.buffer)
        if body is None or self._in_use:
            return
        if spool is None and size < front.settings.spool_above and not self._too_large(size):
            return
        if spool is None:
            spool = Spool(front.spools)
        if not spool.room:
            return
        try:
            content = self._read(body, client.take_buffer())
        except BadBody as error:
            self._bad_body(error)
            return
        self._held += len(content)
        if self._too_large(self._held):
            self._refuse_body()
            return
        self.spool = spool
        spool.write(self._framed_anew(body, content))

    def _replay(self, upstream: UpstreamConnection, spool: Spool) -> None:
        """Send what was put aside, as fast as the application takes it; then what has come since."""
        client, settings = self.client, self._front.settings
        self._touched = True
        try:
            while spool.unread and not upstream.blocked:
                data = spool.read(_PIECE)
                self._ticket.bytes_in += len(data)
                upstream.transport.write(data)
        except OSError:
            self._fault(Failure())
            return
        if not self.started:
            client.deadline = self._front.seconds() + (settings.response_timeout if self._all_sent else settings.body_timeout)
        if spool.unread:
            return
        if self.body is not None:
            self._drop_spool()
            if client.buffer:
                self.request_data(upstream, self.body, client.take_buffer())
        elif self.head.method not in IDEMPOTENT:  # it will not be sent again
            self._drop_spool()

    def drained(self, upstream: UpstreamConnection) -> None:
        """The application takes more."""
        if self.spool is not None:
            self._replay(upstream, self.spool)
        self.client.flow()

    @property
    def forwards_to(self) -> UpstreamConnection | None:
        """Where what the client sends goes as it comes. None: it waits."""
        return self.upstream if self.tunnel or (self.body is not None and self.spool is None) else None

    @property
    def _all_sent(self) -> bool:
        return self.body is None and not (self.spool is not None and self.spool.unread)

    def _drop_spool(self) -> None:
        spool, self.spool = self.spool, None
        if spool is not None:
            spool.close()

    def _too_large(self, size: int) -> bool:
        return 0 < self._front.settings.max_held_body < size

    def _refuse_body(self) -> None:
        self._closes = True
        self.refuse(BodyTooLarge(self._key, self._front.settings.max_held_body, retry_after=_ASK_AGAIN))

    def _bad_body(self, error: BadBody) -> None:
        self._closes = True
        self.refuse(BadRequest(400, f"The body of the request is broken. {error}"))

    # -- from the application --------------------------------------------------------------------------------------------

    def interim(self, head: ResponseHead) -> None:
        """Pass on a 1xx, unless the client would not understand it (RFC 9110 §15.2)."""
        if self.head.fields.minor:
            self.client.transport.write(response(head, False, False, b""))

    def answered(self, head: ResponseHead, data: bytes, done: bool, trailers: bytes = b"") -> None:
        """The head of the answer has come, and with it the first or all of its content."""
        client = self.client
        front = self._front
        chunked = False
        if head.body < 0:
            chunked = self._chunked = self._framed = self.head.fields.minor == 1
            self._closes = self._closes or not chunked
            if chunked:
                data = chunk(data, done, trailers)
        if self.body is not None or front.stopping:
            self._closes = True  # RFC 9112 §9.3: an unread body
        self.started = True
        if head.lease is not None:
            front.asked(self._ticket, head.lease)
        if self._closes or head.body < 0 or not head.dated:
            message = response(head, self._closes, chunked, front.date)
        else:
            message = head.passed_on = head.passed_on or response(head, False, False, b"")
        if self._timing:
            message = self._timed(message)
        if data:
            message += data
        self._ticket.bytes_out += len(message)
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
        return message[:-2] + self._timing + b"\r\n"

    def content(self, data: bytes, done: bool, trailers: bytes) -> None:
        """More of the answer's content."""
        if self._chunked:
            data = chunk(data, done, trailers)
        ticket = self._ticket
        now = self._front.seconds()
        if not self._quiet:
            ticket.last_byte = now
        ticket.bytes_out += len(data)
        self.client.transport.write(data)
        if done:
            self._complete()
        elif not self.client.blocked:
            self.client.deadline = now + self._front.settings.stream_timeout

    def misunderstood(self, why: str) -> None:
        """The application's answer has no one meaning."""
        self.refuse(UpstreamFailed(self._key, why))

    def broken(self) -> None:
        """The answer broke off, or its framing did: the client must not take what it has for the whole."""
        self._let_go()
        self.client.cut(self._framed)

    def upstream_lost(self, kept: bool, answered: bool) -> None:
        """The connection has gone before the end of the answer.

        :param kept: it came from the pool, and may have been closed there already.
        :param answered: some byte of an answer came.
        """
        self.upstream = None
        if self.tunnel:
            self._tunnel_over()
        elif self.started:
            self.broken()
        elif kept and may_repeat(self.head.method, True, answered, self._whole, self._attempts):
            self._connect(self._front.seconds(), takes_used=False)
        else:
            why = "It closed the connection within its answer." if answered else "It closed the connection without an answer."
            self._try_elsewhere(why, True, answered)

    @property
    def _whole(self) -> bool:
        """Whether the request can be sent once more: nothing of it has gone that is not at hand."""
        return not self._touched or self._sent is not None or self.spool is not None

    def _try_elsewhere(self, why: str, delivered: bool, answered: bool = False) -> None:
        """This endpoint does not work: have the table look at it, and ask again once if the request may be repeated."""
        if not delivered:
            self._attempts += 1
        self._end_use()
        self._front.stacks.lost(self._ticket)
        if may_repeat(self.head.method, delivered, answered, self._whole, self._attempts):
            self._wake()
        else:
            self.refuse(UpstreamFailed(self._key, why))

    # -- the end ---------------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        """All of the answer has been passed on."""
        front = self._front
        now = front.seconds()
        front.counters.served.observe(now - self._since)
        self.over = True
        self._in_use = False
        self._ticket.end(now, self._quiet)
        upstream = self.upstream
        if upstream is not None:
            if self._all_sent:
                upstream.release(now)
            else:
                upstream.abort()
        if self.spool is not None:
            self._drop_spool()
        self.client.exchange_over(self._closes, now)

    def refuse(self, refusal: Refusal) -> None:
        """Answer in the application's place; cuts the connection if its answer has begun already."""
        if self.started:
            self.broken()
        else:
            self._front.counters.refused(refusal.type)
            self._say(refused(refusal, self._audience(), self._instance, self._trace))

    def _fault(self, failure: Failure) -> None:
        """A fault of our own, under a number that the log repeats."""
        number = self._front.incident(f"serving {self.head.host.decode('ascii')}", failure)
        if self.over:
            return
        if self.started:
            self.broken()
        else:
            self._say(fault(number, 500, self._audience(), self._trace))

    def _say(self, answer: Answer) -> None:
        client = self.client
        self._front.counters.count(self.head.method, answer.status)
        if self.body is not None and not self._touched and client.buffer:
            try:
                self._read(self.body, client.take_buffer())  # a small body that is here already need not cost the connection
            except BadBody:
                self._closes = True
        closes = self._closes or self.body is not None
        self._let_go()
        client.say(answer, closes, self.to_head)

    def abandon(self) -> None:
        """The client has left: what is done for it ends here, except a start."""
        if self.tunnel:
            self._tunnel_over()
        else:
            self._let_go()

    def _let_go(self) -> None:
        """Stop waiting, drop the application's connection, give back the ticket."""
        self.over = True
        self._drop_spool()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()
        self._end_use()

    def _end_use(self) -> None:
        if self._in_use:
            self._in_use = False
            self._ticket.end(self._front.seconds(), self._quiet)

    def overdue(self) -> None:
        """What was due did not happen in time."""
        settings = self._front.settings
        if self._waiting is not None:
            if self._dialling:
                self._waiting.cancel()
            elif self._in_use:  # in line for a connection
                self.refuse(UpstreamTimeout(self._key, settings.response_timeout))
            else:
                progress = self._front.stacks.progress(self._key)
                self._say(waiting(self._key, progress, self._audience(), self._instance, self._trace))
        elif self.tunnel or self.started:
            orderly = self._framed and not (self.tunnel or self.client.blocked)
            self.abandon()
            self.client.cut(orderly)
        elif self.body is not None and self.spool is None and not self.client.paused:
            self._closes = True
            self.refuse(BadRequest(408, f"No more of the request's body came for {settings.body_timeout:.0f} s."))
        else:
            self.refuse(UpstreamTimeout(self._key, settings.response_timeout))

    def _audience(self) -> Audience:
        return Audience.of(self.head.method, self.head.fields.raw)

    @property
    def _instance(self) -> str:
        return self.head.target.decode("ascii")

    @property
    def _trace(self) -> str:
        return self.client.hop.trace(self.head)

    # -- tunnels ---------------------------------------------------------------------------------------------------------

    def switched(self, head: ResponseHead, data: bytes) -> None:
        """101: from here on bytes are passed both ways as they come (RFC 9110 §7.8)."""
        client = self.client
        if not (self._all_sent and upgrade_agreed(self.head.fields, head)):
            self.misunderstood("It switched to a protocol that was not asked for.")
            return
        self.tunnel = self.started = True
        self._front.counters.count(self.head.method, head.status)
        self._ticket.stream_opened(self._front.seconds(), self._quiet)
        if head.lease is not None:
            self._front.asked(self._ticket, head.lease)
        self._drop_spool()
        self.tunnel_down(self._timed(response(head, False, False, b"")) + data)
        self.tunnel_up(client.take_buffer())
        client.flow()

    def tunnel_up(self, data: bytes) -> None:
        """From the client to the application."""
        if self.upstream is not None:
            self._passed()
            self._ticket.bytes_in += len(data)
            self.upstream.transport.write(data)

    def tunnel_down(self, data: bytes) -> None:
        """From the application to the client."""
        self._passed()
        self._ticket.bytes_out += len(data)
        self.client.transport.write(data)

    def _passed(self) -> None:
        now = self._front.seconds()
        if not self._quiet:
            self._ticket.last_byte = now
        if not self.client.blocked:
            self.client.deadline = now + self._front.settings.stream_timeout

    def client_finished(self) -> None:
        """The client will send no more through the tunnel."""
        self._finished |= 1
        if self.upstream is None or self._finished == 3 or not finish_writing(self.upstream.transport):
            self._tunnel_over()

    def upstream_finished(self) -> None:
        """The application will send no more through the tunnel."""
        self._finished |= 2
        if self._finished == 3 or not finish_writing(self.client.transport):
            self._tunnel_over()

    def _tunnel_over(self) -> None:
        """One side has gone, or both have finished: what is buffered for the other is still sent."""
        now = self._front.seconds()
        self.over = True
        self.tunnel = False
        self._in_use = False
        self._ticket.stream_closed(now, self._quiet)
        self._ticket.end(now, self._quiet)
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.exchange = None
            upstream.close()
        self.client.hang_up()
