"""The first bytes of a Redis client's connection: for the front door that routes connections by user name.

A client says who it is with ``AUTH user password`` or ``HELLO 3 AUTH user password``. What it asks before that is answered as a
server with ``requirepass`` does (-NOAUTH, and the connection goes on), so that no stack is needed until there is a name.

Sources: Redis documentation, "Redis serialization protocol specification" (arrays of bulk strings, inline commands) and the
commands AUTH, HELLO, QUIT, RESET. Words and limits of errors are those of Redis 7.0 for clients that have not authenticated.
Stricter than Redis, which waits or guesses there: CR LF after every length and bulk string, no NUL in an inline command, one
AUTH in a HELLO. What we let through has one reading, so the origin finds the same name in it.
"""

from __future__ import annotations

import re

from attrs import define, field, frozen

LONGEST = 64 * 1024  # bytes until the end of the command with the name, all that came before it included
MOST_ARGUMENTS = 10  # of an array
LARGEST_ARGUMENT = 16 * 1024  # bytes of a bulk string

_LARGEST_COUNT = 2**31 - 1
_LARGEST_BULK = 512 * 1024 * 1024  # proto-max-bulk-len as Redis has it by default
_LONGEST_ECHO = 128  # bytes of what a client sent that an error repeats

_TLS_HANDSHAKE = b"\x16"  # the type of the first TLS record (RFC 8446 §5.1)
_LENGTH = re.compile(rb"(0|-?[1-9][0-9]{0,17})\r\n").match
_LENGTH_SO_FAR = re.compile(rb"-?[0-9]{0,18}\r?\Z").match
_VERSION = re.compile(rb"0|-?[1-9][0-9]{0,17}").fullmatch
_CLIENT_NAME = re.compile(rb"[!-~]*").fullmatch
_EMPTY_LINES = re.compile(rb"(?:\r?\n)++").match
# A word of an inline command, as sdssplitargs of Redis splits them: it may begin bare, and ends with the quotes if it has some.
_WORD = re.compile(
    rb"""([^ \t\r\n"']*+)(?:"((?:[^"\\]|\\.)*+)"(?=\s|\Z)|'((?:\\'|[^'])*+)'(?=\s|\Z)|(?!["']))\s*+""", re.DOTALL
).match
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_UNPRINTABLE = re.compile(r"[^ -~]")
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def error(code: str, text: str) -> bytes:
    """An error reply (RESP2 and RESP3). ``code`` is the word that clients tell errors by; what is not printable ASCII in
    ``text`` becomes a blank, line breaks too."""
    return f"-{code} {_UNPRINTABLE.sub(' ', text)}\r\n".encode("ascii")


def wrong_number_of_arguments(command: str) -> bytes:
    return error("ERR", f"wrong number of arguments for '{command}' command")


OK = b"+OK\r\n"
RESET = b"+RESET\r\n"
SYNTAX_ERROR = error("ERR", "syntax error")
NO_AUTH = error("NOAUTH", "Authentication required.")
NO_AUTH_IN_HELLO = error(
    "NOAUTH",
    "HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be "
    "used to authenticate the client and select the RESP protocol version at the same time",
)
NO_PROTOCOL = error("NOPROTO", "unsupported protocol version")
NO_USER = error("WRONGPASS", "A user name is needed here: AUTH <user> <password>. A password alone names nobody.")
WRONG_PASS = error("WRONGPASS", "invalid username-password pair or user is disabled.")
"""For a name that nobody has; the client may try another."""
LOADING = error("LOADING", "The server of this user is being started. Try again in a moment.")
"""For a start that takes longer than the client is held. Client libraries know it as a reason to try again."""


def _code(data: bytes) -> str:
    """All of an answer that a log may see: an error repeats what the client sent, and that may be a misplaced password."""
    return repr(data.partition(b" ")[0])


@frozen
class NeedMore:
    """Nothing to do until the client has sent more."""


@frozen
class Route:
    """``name`` is the user as sent (never empty, else any characters: look it up exactly as it is); ``replay`` is what the
    origin gets first: the command that has the name, and untouched whatever came behind it."""

    name: str
    replay: bytes = field(repr=False)


@frozen
class Reply:
    """Write ``answer``, and go on."""

    answer: bytes = field(repr=_code)


@frozen
class Reject:
    """Write ``answer``, which may be empty, and close; ``why`` is for the log."""

    answer: bytes = field(repr=_code)
    why: str


@frozen
class StartTls:
    """A TLS handshake where Redis should begin: ``replay`` is for a TLS layer. A port that has none closes."""

    replay: bytes = field(repr=False)


@define(eq=False)
class Opening:
    """One connection until its client has said who it is."""

    _held: bytearray = field(factory=bytearray, init=False, repr=False)
    _spent: int = field(default=0, init=False)  # bytes of commands that are done with
    _least: int = field(default=1, init=False)  # bytes that must be held before it makes sense to look again

    def feed(self, data: bytes) -> NeedMore | Route | Reply | Reject | StartTls:
        """What to do after ``data``. After a Reply feed again, b"" for now: more commands may be held.

        After a Route feed again only if the client was refused (WRONG_PASS, LOADING): then reading goes on behind the command
        that had the name. After Reject and StartTls it is over.
        """
        self._held += data
        if not self._spent and self._held.startswith(_TLS_HANDSHAKE):
            return StartTls(bytes(self._held))
        while len(self._held) >= self._least:
            allowed = LONGEST - self._spent
            try:
                found = _command(self._held, min(len(self._held), allowed))
            except _ProtocolError as broken:
                return _reject(str(broken))
            if isinstance(found, int):
                if found > allowed:
                    return _reject(f"more than {LONGEST} bytes before authentication")
                self._least = found
                break
            arguments, size = found
            meant = _meaning(arguments) if arguments else None
            if isinstance(meant, Reject):
                return meant  # for ever: what is behind it is not read
            outcome = Route(meant, bytes(self._held)) if isinstance(meant, str) else meant
            del self._held[:size]
            self._spent += size
            self._least = 1
            if outcome is not None:
                return outcome
        return NeedMore()


def _reject(why: str) -> Reject:
    return Reject(error("ERR", f"Protocol error: {why}"), why)


class _ProtocolError(Exception):
    """There is no telling where the next command begins; the message is what Redis calls it."""


def _command(data: bytearray, end: int) -> tuple[list[bytes], int] | int:
    """The arguments of the command at the start of ``data[:end]`` (none for an empty line, or an array without any) and the
    bytes that it takes; or how many bytes there must be at least before it can be whole.

    :raises _ProtocolError: as soon as it cannot become a command.
    """
    return _array(data, end) if data.startswith(b"*", 0, end) else _inline(data, end)


def _array(data: bytearray, end: int) -> tuple[list[bytes], int] | int:
    line = _length(data, 1, end, "invalid multibulk length")
    if line is None:
        return end + 1
    count, at = line
    if count > _LARGEST_COUNT:
        raise _ProtocolError("invalid multibulk length")
    if count > MOST_ARGUMENTS:
        raise _ProtocolError("unauthenticated multibulk length")
    arguments: list[bytes] = []
    for _ in range(count):
        if at >= end:
            return end + 1
        if data[at] != ord("$"):
            raise _ProtocolError(f"expected '$', got '{chr(data[at])}'")
        line = _length(data, at + 1, end, "invalid bulk length")
        if line is None:
            return end + 1
        size, at = line
        if not 0 <= size <= _LARGEST_BULK:
            raise _ProtocolError("invalid bulk length")
        if size > LARGEST_ARGUMENT:
            raise _ProtocolError("unauthenticated bulk length")
        if at + size + 2 > end:
            return at + size + 2
        if not data.startswith(b"\r\n", at + size):
            raise _ProtocolError("expected CR LF after a bulk string")
        arguments.append(bytes(data[at : at + size]))
        at += size + 2
    return arguments, at


def _length(data: bytearray, at: int, end: int, otherwise: str) -> tuple[int, int] | None:
    """The number at ``at`` and where the next line begins; None as long as it is not whole."""
    line = _LENGTH(data, at, end)
    if line is not None:
        return int(line[1]), line.end()
    if _LENGTH_SO_FAR(data, at, end) is None:
        raise _ProtocolError(otherwise)
    return None


def _inline(data: bytearray, end: int) -> tuple[list[bytes], int] | int:
    empty = _EMPTY_LINES(data, 0, end)
    if empty is not None:
        return [], empty.end()
    feed = data.find(b"\n", 0, end)
    if data.find(b"\0", 0, end if feed < 0 else feed) >= 0:
        raise _ProtocolError("NUL in an inline request")
    if feed < 0:
        return end + 1
    return _split(bytes(data[:feed]).removesuffix(b"\r")), feed + 1


def _split(line: bytes) -> list[bytes]:
    words: list[bytes] = []
    line, at = line.lstrip(), 0
    while at < len(line):
        word = _WORD(line, at)
        if word is None:
            raise _ProtocolError("unbalanced quotes in request")
        bare, double, single = word.groups(b"")
        words.append(bare + _ESCAPE.sub(_unescaped, double) + single.replace(rb"\'", b"'"))
        at = word.end()
    return words


def _unescaped(escape: re.Match[bytes]) -> bytes:
    digits, letter = escape.groups()
    return bytes.fromhex(digits.decode("ascii")) if digits else _ESCAPED.get(letter, letter)


def _meaning(arguments: list[bytes]) -> str | Reply | Reject:
    """The user that a command names, or what it is answered."""
    match [arguments[0].upper(), *arguments[1:]]:
        case [b"AUTH"]:
            return Reply(wrong_number_of_arguments("auth"))
        case [b"AUTH", _]:
            return Reply(NO_USER)
        case [b"AUTH", user, _]:
            return _named(user)
        case [b"AUTH", *_]:
            return Reply(SYNTAX_ERROR)
        case [b"HELLO", *options]:
            return _hello(options)
        case [b"QUIT", *_]:
            return Reject(OK, "the client said QUIT")
        case [b"RESET"]:
            return Reply(RESET)
        case [b"POST" | b"HOST:", *_]:  # a browser that was led here: what follows are no commands of the user's
            return Reject(b"", "HTTP on a port for Redis")
    return Reply(NO_AUTH)


def _hello(options: list[bytes]) -> str | Reply:
    """HELLO [version [AUTH user password] [SETNAME name]], the last two in any order."""
    version, left = options[:1], options[1:]
    if version and not _VERSION(version[0]):
        return Reply(error("ERR", "Protocol version is not an integer or out of range"))
    if version and version[0] not in (b"2", b"3"):
        return Reply(NO_PROTOCOL)
    user: bytes | None = None
    while left:
        match [left[0].upper(), *left[1:]]:
            case [b"AUTH", name, _, *after] if user is None:
                user, left = name, after
            case [b"SETNAME", name, *after]:
                if not _CLIENT_NAME(name):
                    return Reply(error("ERR", "Client names cannot contain spaces, newlines or special characters."))
                left = after
            case _:
                echo = left[0][:_LONGEST_ECHO].decode("latin-1")
                return Reply(error("ERR", f"Syntax error in HELLO option '{echo}'"))
    return Reply(NO_AUTH_IN_HELLO) if user is None else _named(user)


def _named(user: bytes) -> str | Reply:
    try:
        return user.decode("utf-8") or Reply(NO_USER)
    except UnicodeDecodeError:
        return Reply(WRONG_PASS)  # nobody is called so
