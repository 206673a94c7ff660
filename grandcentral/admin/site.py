"""The admin listener itself: from a request of twisted.web to a Call, and from an Answer to bytes.

twisted.web reads a whole request before it asks us, and renders in about 300 us: fine here, and why proxied traffic goes
another way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.web import http, resource, server

from .. import events
from ..core.keys import Key, normalise_host
from ..errors import Refusal
from ..incidents import report
from ..interfaces import IManifest, IProvisioning, IStackControl
from .access import Caller, check
from .answers import Answer, Refused, bug, refusal, refused, text
from .api import REMOTE, ROUTES, Api
from .health import Checks
from .provisions import Provisioner
from .routes import Call, Route, find
from .webhooks import CLOSED, WEBHOOKS, Webhooks

_log = Logger(namespace="grandcentral.admin")

LONGEST = 1 << 20  # bytes of a request's body

_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "grandcentral",
    "X-Content-Type-Options": "nosniff",
}


class _Site(server.Site):
    """Some of the routes, as a factory for a listening port."""

    def __init__(self, api: Api, token: str | None, routes: tuple[Route[Api], ...]) -> None:
        served = _Everything(api, token, routes)
        super().__init__(served, _BoundedRequest, reactor=api.clock, parsePOSTFormSubmission=False)
        self.noisy = False

    def log(self, request: http.Request) -> None:
        """Who changed what is worth a line; who looked is not, unless somebody wants to know all.

        Nor are notifications, unless they are refused: of most there is nothing to say, and the others are told of elsewhere.
        """
        notified = request.path.startswith(WEBHOOKS.encode()) and request.code < 300
        level = LogLevel.debug if request.method in (b"GET", b"HEAD") or notified else LogLevel.info
        caller = getattr(request.getClientAddress(), "host", "this machine")
        _log.emit(level, events.ADMIN_CALL, caller=caller, call=_line(request), status=request.code)


class AdminSite(_Site):
    """Everything of ``api.ROUTES``, as a factory for a listening port.

    :param checks: what /readyz asks: name to a function whose Deferred fires with None, or fails with a sentence.
    :param token: what the API asks for as bearer token; None closes it. Health, and for local callers /stats, need none.
    :param clock: the clock of the stacks, and of everything that waits here.
    :param workers: what there is to say of each worker process.
    :param metrics: the text of /metrics and its media type.
    :param memory: bytes that stacks were seen to take last.
    :param url: where clients reach a stack; None: nowhere.
    :param webhooks: where notifications of registries go.
    :param provisioning: who may have stacks; None: nobody asks for any.
    :param provision_secret: what its callers have to know, beside the token.
    :param connection: where clients of an app's own port reach a stack, with its password if that is given; None: nowhere.
    """

    def __init__(
        self,
        *,
        control: IStackControl,
        manifest: IManifest,
        checks: Checks,
        token: str | None,
        version: str,
        clock: IReactorTime,
        wall: Callable[[], float] = time.time,
        workers: Callable[[], list[dict[str, Any]]] = list,
        metrics: Callable[[], tuple[str, str]] = lambda: ("", "text/plain"),
        memory: Callable[[], Mapping[Key, int]] = dict,
        url: Callable[[Key], str | None] = lambda key: None,
        webhooks: Webhooks = CLOSED,
        provisioning: IProvisioning | None = None,
        provision_secret: Callable[[], str | None] = lambda: None,
        connection: Callable[[Key, str | None], str | None] = lambda key, password: None,
    ) -> None:
        about = (control, manifest, checks, version, clock, wall, clock.seconds(), workers, metrics, webhooks, memory, url)
        self._api = Api(*about, Provisioner(provisioning, provision_secret, token, connection))
        super().__init__(self._api, token, ROUTES)

    def for_provisioning(self) -> server.Site:
        """What serves callers elsewhere: routes for them, and no others."""
        return _Site(self._api, None, REMOTE)


class _BoundedRequest(server.Request):
    """twisted.web keeps all of a body before it asks us: here, no more than LONGEST of it. See RFC 9110, section 15.5.14."""

    _length = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        if length is not None and length > LONGEST:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > LONGEST:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """What had arrived when we hung up may have been the rest of it."""
        if not self._refused:
            super().process()

    def _refuse(self) -> None:
        """Hang up: who sends so much is not waited for."""
        if self._refused:
            return
        self._refused = True
        self.requestHeaders.removeHeader(b"expect")  # or the channel would say that it may come
        answer = refused(Refused(413, "body-too-large", "The body is too large", f"A body may have {LONGEST} bytes here."))
        head = f"HTTP/1.1 413 Content Too Large\r\nContent-Type: {answer.media_type}\r\nContent-Length: {len(answer.body)}\r\n"
        self.channel.write(head.encode() + b"Connection: close\r\n\r\n" + answer.body)
        self.channel.loseConnection()


class _Everything(resource.Resource):
    """Every path: which routes there are is the table's business."""

    isLeaf = True

    def __init__(self, api: Api, token: str | None, routes: tuple[Route[Api], ...]) -> None:
        super().__init__()
        self._api = api
        self._token = token
        self._routes = routes

    def render(self, request: server.Request) -> int:
        # A caller who leaves takes what is being done for him alone with him; nobody is left to be answered.
        serving = Deferred.fromCoroutine(self._serve(request))
        over = request.notifyFinish()
        over.addErrback(lambda _: serving.cancel())
        serving.addErrback(_apologise, request, over)
        serving.addCallback(_send, request, over)
        return server.NOT_DONE_YET

    async def _serve(self, request: server.Request) -> Answer:
        segments = [segment.decode("utf-8", "replace") for segment in request.postpath or []]
        route, variables = find(self._routes, request.method.decode("ascii", "replace"), segments)
        check(route.access, _caller(request), self._token)
        assert request.content is not None
        return await route.serve(self._api, Call(variables, _query(request), _fields(request), request.content.read()))


def _apologise(failure: Failure, request: server.Request, over: Deferred[None]) -> Answer:
    reason = failure.value
    if isinstance(reason, Refused):
        return refused(reason)
    if isinstance(reason, Refusal):
        return refusal(reason)
    if isinstance(reason, CancelledError) and over.called:
        return text("cancelled", 499)
    return bug(report(_log, failure, f"{_line(request)}: {failure.getErrorMessage()}"))


def _send(answer: Answer, request: server.Request, over: Deferred[None]) -> None:
    if over.called:
        return
    request.setResponseCode(answer.status)
    fields = {**_ALWAYS, "Content-Type": answer.media_type, "Content-Length": str(len(answer.body)), **answer.fields}
    for name, value in fields.items():
        request.setHeader(name, value)
    if request.method != b"HEAD":
        request.write(answer.body)
    request.finish()


def _line(request: http.Request) -> str:
    """For the log: without the query, which nobody promised to keep secrets out of."""
    return f"{request.method.decode('ascii', 'replace')} {request.path.decode('ascii', 'replace')}"


def _caller(request: server.Request) -> Caller:
    hosts = request.requestHeaders.getRawHeaders(b"host") or []
    credentials = request.requestHeaders.getRawHeaders(b"authorization") or []
    return Caller(
        local=_is_local(request.getClientAddress()),
        host=normalise_host(hosts[0]) if len(hosts) == 1 else None,
        credentials=credentials[0] if len(credentials) == 1 else None,
    )


def _is_local(peer: IAddress) -> bool:
    """Whether it is this machine. A peer without an IP address came through a UNIX socket: whoever may open that is here."""
    if not isinstance(peer, IPv4Address | IPv6Address):
        return True
    address = ip_address(peer.host)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _query(request: server.Request) -> dict[str, str]:
    """The last value of each name."""
    return {name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace") for name, values in request.args.items()}


def _fields(request: server.Request) -> dict[str, str]:
    """Repeated fields joined by commas (RFC 9110, section 5.3)."""
    raw = request.requestHeaders.getAllRawHeaders()
    return {name.decode("latin-1").lower(): b", ".join(values).decode("latin-1") for name, values in raw}
