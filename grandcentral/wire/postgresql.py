"""The first bytes of a PostgreSQL client's connection, for the front door that routes database connections by user name: what
the client wants until it has said who it is, and the gateway's own answers. All that follows is between it and its server.

Source: PostgreSQL manual, "Frontend/Backend Protocol": "Message Flow" (Start-up, Canceling Requests in Progress, SSL and GSSAPI
Session Encryption) and "Message Formats". Where the manual leaves a choice, we do as the server does, or are stricter.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import define, field, frozen

LONGEST = 10_004  # bytes of a first message, with its length: the server's own limit
LONGEST_SECRET = 256  # bytes, since protocol 3.2; 4 before that
LONGEST_TEXT = 3_000  # characters; libpq takes an error of more than 30,000 bytes for one of an ancient server

# SQLSTATEs (manual, appendix "PostgreSQL Error Codes").
PROTOCOL_VIOLATION = "08P01"
NOT_SUPPORTED = "0A000"
INVALID_AUTHORIZATION = "28000"  # of a user that there is not
UNKNOWN_DATABASE = "3D000"
TOO_MANY_CONNECTIONS = "53300"
CANNOT_CONNECT_NOW = "57P03"  # the only one that pg_isready reads as "is there, but not yet"

_CANCEL, _SSL, _GSSENC = ((1234 << 16) + minor for minor in (5678, 5679, 5680))  # in the place of a version
_HEAD = 8  # bytes: length and version of a first message
_HANDSHAKE = b"\x16"  # begins a TLS record, and no message of ours: it would be a length of 369 million
_NO_TLS = b"\x15\x03\x03\0\2\2\x28"  # a TLS alert: fatal, handshake_failure (RFC 8446 §6.2)
_NAME = re.compile(r"(?![0-9]*\.[0-9.]*\Z)[A-Za-z0-9_.-]{1,63}").fullmatch


@frozen
class NeedMore:
    """The message is not whole yet."""


@frozen
class Reply:
    """Send ``answer`` and go on feeding."""

    answer: bytes


@frozen
class StartTls:
    """Send ``answer``, then begin TLS as the server. ``replay`` is what has come of the client's side of it already.
    Feed what comes out of it, and nothing that came before."""

    answer: bytes
    replay: bytes = field(repr=False)


@frozen
class Route:
    """The client is ``name``. ``database`` is as sent, in an encoding that only the server knows. ``replay`` is for that
    server: the start-up message to the byte, for the server negotiates version and options, and whatever came behind it."""

    name: str
    database: bytes
    replay: bytes = field(repr=False)


@frozen
class Cancel:
    """The client wants the session of this process to stop what it does. Process and secret together name a session: process
    numbers repeat between servers. ``replay`` is for its server; the client gets no answer, whether there is one or not."""

    process: int
    secret: bytes = field(repr=False)
    replay: bytes = field(repr=False)


@frozen
class Reject:
    """Send ``answer``, which may be empty, and close. ``why`` is one sentence for the log."""

    answer: bytes
    why: str


Answer = NeedMore | Reply | StartTls | Route | Cancel | Reject


@define(eq=False)
class Opening:
    """One connection until it is known what for. Route, Cancel and Reject are the last answers.

    :param allows: whether a user of this name has a server here; asked only for names that are :func:`routable`. The same
        refusal answers a name that it denies and one that is none.
    :param tls: we can be a TLS server on this connection.
    """

    allows: Callable[[str], bool]
    tls: bool
    _buffer: bytearray = field(factory=bytearray, init=False, repr=False)
    _at_start: bool = field(default=True, init=False)
    _askable: set[int] = field(factory=lambda: {_SSL, _GSSENC}, init=False)  # encryption that it may still ask for

    def feed(self, data: bytes) -> Answer:
        """What to do, now that these bytes have come as well."""
        buffer = self._buffer
        buffer += data
        if self._at_start and buffer.startswith(_HANDSHAKE):
            if not self.tls:
                return Reject(_NO_TLS, "It begins with TLS, which is not offered here.")
            return self._begin_tls(b"", bytes(buffer))
        if len(buffer) < 4:
            return NeedMore()
        size = int.from_bytes(buffer[:4], "big")
        if not _HEAD <= size <= LONGEST:
            return _violation(f"A start-up message has {_HEAD} to {LONGEST} bytes; this one says that it has {size}.")
        if len(buffer) < size:
            return NeedMore()
        code = int.from_bytes(buffer[4:_HEAD], "big")
        if code in self._askable:
            return self._encryption(code)
        if code == _CANCEL:
            return _cancel(bytes(buffer[:size]))
        return _start(bytes(buffer), size, self.allows)

    def _encryption(self, request: int) -> Answer:
        # What comes before our answer was not protected by it, whoever sent it: never read it as if it were (CVE-2021-23214).
        if len(self._buffer) > _HEAD:
            return _violation("A request for encryption is followed by something before it was answered.")
        if request == _SSL and self.tls:
            return self._begin_tls(b"S", b"")
        self._at_start = False
        self._askable.remove(request)
        self._buffer.clear()
        return Reply(b"N")

    def _begin_tls(self, answer: bytes, replay: bytes) -> StartTls:
        self._at_start = False
        self._askable.clear()
        self._buffer.clear()
        return StartTls(answer, replay)


def routable(name: str) -> bool:
    """1 to 63 ASCII letters, digits, ``_``, ``-`` and ``.``, and no IPv4 address. A host name cannot be told from a user's:
    that, a list of those who are allowed has to do."""
    return _NAME(name) is not None


def error(sqlstate: str, message: str, hint: str = "") -> bytes:
    """An ErrorResponse that ends the session. Texts beyond LONGEST_TEXT are cut.

    :param sqlstate: five characters, such as CANNOT_CONNECT_NOW.
    :param hint: what to do about it.
    """
    return _response(b"E", "FATAL", sqlstate, message, hint)


def notice(message: str) -> bytes:
    """A NoticeResponse, which psql shows to its user. Only behind AuthenticationOk: before that libpq takes it for a broken
    server and gives up, so it cannot tell a client that its server is being started."""
    return _response(b"N", "NOTICE", "00000", message)


def _response(kind: bytes, severity: str, sqlstate: str, message: str, hint: str = "") -> bytes:
    fields = [("S", severity), ("V", severity), ("C", sqlstate), ("M", message)] + [("H", hint)] * bool(hint)
    body = b"".join(_text(letter + text) for letter, text in fields) + b"\0"
    return kind + (4 + len(body)).to_bytes(4, "big") + body


def _text(text: str) -> bytes:
    return text[: 1 + LONGEST_TEXT].replace("\0", " ").encode("utf-8", "replace") + b"\0"


_NO_DATABASE = "This user has no database here."
NO_DATABASE = error(INVALID_AUTHORIZATION, _NO_DATABASE, "The user name decides where a connection leads to.")
"""The one answer to all names that lead nowhere, whatever the reason."""


def _violation(why: str) -> Reject:
    return Reject(error(PROTOCOL_VIOLATION, why), why)


def _cancel(message: bytes) -> Cancel | Reject:
    secret = message[_HEAD + 4 :]
    if not 4 <= len(secret) <= LONGEST_SECRET:
        return Reject(b"", f"A cancel request has a secret of 4 to {LONGEST_SECRET} bytes, this one of {len(secret)}.")
    return Cancel(int.from_bytes(message[_HEAD : _HEAD + 4], "big", signed=True), secret, message)


def _start(replay: bytes, size: int, allows: Callable[[str], bool]) -> Route | Reject:
    major, minor = int.from_bytes(replay[4:6], "big"), int.from_bytes(replay[6:8], "big")
    if major != 3:
        why = f"Version {major}.{minor} of the protocol is not spoken here, only 3."
        return Reject(error(NOT_SUPPORTED, why) if major > 3 else b"E" + _text(f"FATAL:  {why}\n"), why)
    parameters = _parameters(replay[_HEAD:size])
    if isinstance(parameters, Reject):
        return parameters
    user = parameters.get(b"user", b"")
    if not user:
        why = "The start-up message names no user."
        return Reject(error(INVALID_AUTHORIZATION, why), why)
    name = user.decode("ascii", "replace")
    if not routable(name) or not allows(name):
        return Reject(NO_DATABASE, _NO_DATABASE)
    return Route(name, parameters.get(b"database") or user, replay)


def _parameters(body: bytes) -> dict[bytes, bytes] | Reject:
    """Names and values in turn, each ended by NUL, and another NUL behind them all."""
    *texts, end = body[:-1].split(b"\0")
    names = texts[::2]
    if body[-1:] != b"\0" or end or len(texts) % 2 or b"" in names:
        return _violation("The parameters of the start-up message are not pairs with a terminator as the last byte.")
    if len(set(names)) < len(names):
        return _violation("The start-up message has a parameter twice.")
    return dict(zip(names, texts[1::2], strict=True))
