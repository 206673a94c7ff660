"""One bounded HTTP exchange: an answer, or RegistryUnavailable with a sentence that names the host and what happened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

from attrs import frozen
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError, TimeoutError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, RequestTransmissionFailed, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from .. import __version__
from ..errors import RegistryUnavailable

LARGEST_BODY = 4 * 1024 * 1024  # bytes: the largest manifest that registries must take (OCI distribution specification)
REDIRECTS = 3
_PORTS = {"http": 80, "https": 443}


@frozen
class Answer:
    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """The first value of a field, "" if it is absent."""
        return (self.headers.getRawHeaders(name) or [""])[0]


async def exchange(
    agent: IAgent,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    largest: int = LARGEST_BODY,
    elsewhere: bool = False,
) -> Answer:
    """A HEAD or GET, or a POST of ``body``. Redirects of the former are followed, on the same scheme, host and port only: what
    we send is for nobody else's eyes.

    :param url: one that ``origin`` can read.
    :param elsewhere: whether redirects to another host are followed, too: over https and without Authorization. Only for
        what is known by its digest, so that it doesn't matter who sends it.
    :raises RegistryUnavailable: for everything that is no answer, and for a body of more than ``largest`` bytes.
    """
    host = urlsplit(url).netloc
    fields = Headers({"User-Agent": [f"grandcentral/{__version__}"], **{name: [value] for name, value in headers.items()}})
    for _ in range(REDIRECTS + 1):
        producer = None if body is None else FileBodyProducer(BytesIO(body))
        try:
            response = await agent.request(method.encode(), url.encode(), fields, producer)
            answer = Answer(response.code, response.headers, await _body(response, largest))
        except _BROKEN as error:
            if any(failure.check(CancelledError) for failure in getattr(error, "reasons", ())):
                raise CancelledError() from error  # what twisted.web makes of being cancelled
            raise _broken(host, error) from error
        if answer.status not in (301, 302, 303, 307, 308) or body is not None:
            return answer
        where = answer.header("Location")
        target = follow(url, where)
        if target is None and elsewhere and (origin(where) or ("",))[0] == "https":
            target = where
            fields = fields.copy()
            fields.removeHeader("Authorization")
        if target is None:
            where = where[:100]
            raise RegistryUnavailable(f"{host} redirects to {where!r}, where nothing of ours is sent.", bad_gateway=True)
        url = target
    raise RegistryUnavailable(f"{host} redirects in a circle.", bad_gateway=True)


def origin(url: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of an http or https URL, as RFC 6454 section 4 compares them; None for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or not re.fullmatch(r"[\x21-\x7e]+", url):
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def follow(url: str, reference: str) -> str | None:
    """What ``reference`` means to a page at ``url``, if it is of the same origin; else None."""
    try:
        target = urljoin(url, reference)
    except ValueError:
        return None
    return target if origin(target) is not None and origin(target) == origin(url) else None


def is_loopback(hostname: str) -> bool:
    """Whether a name (or address, without brackets) means this machine: RFC 6761 section 6.3."""
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    try:
        return ip_address(hostname).is_loopback
    except ValueError:
        return False


class _Bounded(Protocol):
    """Collects a body, and cuts the connection when it gets too long."""

    def __init__(self, largest: int) -> None:
        self._parts: list[bytes] = []
        self._room = largest
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        self._room -= len(data)
        self._parts.append(data)
        if self._room < 0:
            self._parts.clear()
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if self._room < 0:
            self.done.errback(_TooLong("an answer without end"))
        elif reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()  # nothing is waiting to be written, so this is at once


class _TooLong(Exception):
    pass


_BROKEN = (ConnectError, ConnectionClosed, DNSLookupError, TimeoutError, ResponseFailed, RequestTransmissionFailed, _TooLong)


async def _body(response: IResponse, largest: int) -> bytes:
    collector = _Bounded(largest)
    response.deliverBody(collector)
    return await collector.done


def _broken(host: str, error: Exception) -> RegistryUnavailable:
    """A sentence for what went wrong below HTTP: silence is 503, nonsense is 502."""
    reasons = [failure.value for failure in getattr(error, "reasons", ())] or [error]
    reason = reasons[0]
    if isinstance(reason, DNSLookupError):
        return RegistryUnavailable(f"The address of {host} cannot be found.")
    if isinstance(reason, TLSError | VerificationError):
        return RegistryUnavailable(f"{host} cannot be trusted: its TLS certificate does not do ({reason}).", bad_gateway=True)
    if isinstance(reason, ConnectError | TimeoutError | OSError):
        return RegistryUnavailable(f"{host} cannot be reached: {_text(reason)}.")
    if isinstance(reason, ConnectionClosed):
        return RegistryUnavailable(f"{host} hung up before it had answered.")
    return RegistryUnavailable(f"{host} does not answer as a registry does: {_text(reason)}.", bad_gateway=True)


def _text(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
