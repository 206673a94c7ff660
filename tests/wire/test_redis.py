"""A Redis client's first bytes: who it is, and the answers of a server that requires to know. Expected answers are those that
Redis 7.0 gave to the same bytes, except where the test says otherwise."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from grandcentral.wire.redis import (
    LARGEST_ARGUMENT,
    LOADING,
    LONGEST,
    NO_AUTH,
    NO_AUTH_IN_HELLO,
    NO_USER,
    OK,
    RESET,
    SYNTAX_ERROR,
    WRONG_PASS,
    NeedMore,
    Opening,
    Reject,
    Reply,
    Route,
    StartTls,
    error,
    wrong_number_of_arguments,
)

Outcome = Route | Reply | Reject | StartTls
PASSWORD = b"hunter2-of-alice"


def array(*arguments: bytes) -> bytes:
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in arguments)


def outcomes(*pieces: bytes, refused: bool = False) -> list[Outcome]:
    """What comes of these segments; ``refused``: as for a client whose names nobody has, and who goes on."""
    opening = Opening()
    found: list[Outcome] = []
    for piece in pieces:
        outcome = opening.feed(piece)
        while not isinstance(outcome, NeedMore):
            found.append(outcome)
            if isinstance(outcome, Reject | StartTls) or (isinstance(outcome, Route) and not refused):
                return found
            outcome = opening.feed(b"")
    return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def protocol_error(why: str) -> Reject:
    return Reject(b"-ERR Protocol error: " + why.encode() + b"\r\n", why)


@pytest.mark.failure(19)
class TestWhoItIs:
    @pytest.mark.parametrize(
        "command",
        [
            array(b"AUTH", b"alice", PASSWORD),
            array(b"aUtH", b"alice", b""),
            b"AUTH alice " + PASSWORD + b"\r\n",
            b"  auth\t'alice' \"" + PASSWORD + b'"  \n',
            b'auth "al\\x69ce" "\\n\\"\\x00"\r\n',
            array(b"HELLO", b"3", b"AUTH", b"alice", PASSWORD),
            array(b"hello", b"2", b"auth", b"alice", PASSWORD, b"setname", b"worker-1"),
            array(b"HELLO", b"3", b"SETNAME", b"AUTH", b"AUTH", b"alice", PASSWORD),
            array(b"HELLO", b"3", b"SETNAME", b"", b"SETNAME", b"x", b"AUTH", b"alice", b"AUTH"),
            b"HELLO 3 AUTH alice " + PASSWORD + b"\n",
        ],
    )
    @pytest.mark.parametrize("behind", [b"", array(b"SELECT", b"0") + b"PING\r\n", b"*9\r\n\xff\x00"])
    def test_a_command_with_a_user_name_leads_there_with_all_that_is_behind_it(self, command: bytes, behind: bytes) -> None:
        assert outcomes(command + behind) == [Route("alice", command + behind)]
        assert outcomes(*bytewise(command + behind)) == [Route("alice", command)]

    def test_a_password_alone_names_nobody_and_the_client_is_told_what_is_missing(self) -> None:
        assert outcomes(array(b"AUTH", PASSWORD), b"auth x\n") == [Reply(NO_USER), Reply(NO_USER)]
        assert NO_USER.startswith(b"-WRONGPASS ")
        assert b"user name" in NO_USER

    def test_so_does_an_empty_name(self) -> None:
        assert outcomes(array(b"AUTH", b"", PASSWORD), b'HELLO 3 AUTH "" x\n') == [Reply(NO_USER), Reply(NO_USER)]

    @pytest.mark.parametrize("name", ["Alice", " alice", "'alice'", "a\r\nb", "a\0b", "ålice", "default", "169.254.169.254"])
    def test_a_name_is_passed_on_exactly_as_it_is(self, name: str) -> None:
        command = array(b"AUTH", name.encode(), PASSWORD)
        assert outcomes(command) == [Route(name, command)]

    def test_a_name_that_is_no_text_is_nobodys(self) -> None:
        assert outcomes(array(b"AUTH", b"\xff", PASSWORD)) == [Reply(WRONG_PASS)]

    def test_who_is_refused_may_try_another_name(self) -> None:
        first, second = array(b"AUTH", b"mallory", b"x"), array(b"AUTH", b"alice", PASSWORD)
        routes = [Route("mallory", first + b"PING\r\n" + second), Route("alice", second)]
        assert outcomes(first + b"PING\r\n" + second, refused=True) == [routes[0], Reply(NO_AUTH), routes[1]]


@pytest.mark.failure(19)
@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (array(b"PING"), NO_AUTH),
        (array(b"CLIENT", b"SETINFO", b"LIB-NAME", b"redis-py"), NO_AUTH),  # as Redis 7.2, which knows it
        (array(b"SELECT", b"0"), NO_AUTH),
        (b"ping\n", NO_AUTH),
        (b"ping 'it\\'s' \"\"\r\n", NO_AUTH),
        (array(b""), NO_AUTH),  # this and the next are unknown commands to Redis; we have no list of them
        (array(b"\x16\x03\x01"), NO_AUTH),
        (array(b"HELLO"), NO_AUTH_IN_HELLO),  # in the words of later versions: <proto> is new
        (array(b"HELLO", b"3"), NO_AUTH_IN_HELLO),
        (array(b"HELLO", b"3", b"SETNAME", b"x"), NO_AUTH_IN_HELLO),
        (array(b"HELLO", b"1", b"AUTH", b"alice", PASSWORD), b"-NOPROTO unsupported protocol version\r\n"),
        (array(b"HELLO", b"4"), b"-NOPROTO unsupported protocol version\r\n"),
        (array(b"HELLO", b"03"), b"-ERR Protocol version is not an integer or out of range\r\n"),
        (array(b"HELLO", b"AUTH", b"alice", PASSWORD), b"-ERR Protocol version is not an integer or out of range\r\n"),
        (array(b"HELLO", b"3", b"AUTH", b"alice"), b"-ERR Syntax error in HELLO option 'AUTH'\r\n"),
        (array(b"HELLO", b"3", b"SETNAME"), b"-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
        (array(b"HELLO", b"3", b"AUTH", b"alice", PASSWORD, b"a\r\nb"), b"-ERR Syntax error in HELLO option 'a  b'\r\n"),
        # Redis 7.0 tries the first of two, later ones the last
        (array(b"HELLO", b"3", *[b"AUTH", b"alice", PASSWORD] * 2), b"-ERR Syntax error in HELLO option 'AUTH'\r\n"),
        (
            array(b"HELLO", b"3", b"SETNAME", b"a b", b"AUTH", b"alice", PASSWORD),
            b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
        ),
        (array(b"AUTH"), b"-ERR wrong number of arguments for 'auth' command\r\n"),
        (array(b"AUTH", b"alice", PASSWORD, b"x"), b"-ERR syntax error\r\n"),
        (array(b"RESET"), b"+RESET\r\n"),
    ],
)
def test_whatever_else_is_asked_is_answered_as_redis_does_and_the_client_goes_on(command: bytes, answer: bytes) -> None:
    name = array(b"AUTH", b"alice", PASSWORD)
    assert outcomes(command + command + name) == [Reply(answer), Reply(answer), Route("alice", name)]


@pytest.mark.parametrize("command", [array(b"quit"), array(b"QUIT", b"now"), b"quit\n"])
def test_quit_ends_it(command: bytes) -> None:
    assert outcomes(b"ping\n" + command + b"ping\n") == [Reply(NO_AUTH), Reject(OK, "the client said QUIT")]


@pytest.mark.parametrize("end", [b"quit\n", b"post\n", b"*x\r\n"])
def test_what_comes_after_the_end_is_not_read(end: bytes) -> None:
    opening = Opening()
    last = opening.feed(end)
    assert isinstance(last, Reject)
    assert opening.feed(array(b"AUTH", b"alice", PASSWORD)) == last


@pytest.mark.parametrize("nothing", [b"*0\r\n", b"*-1\r\n", b"\r\n", b"\n", b" \t\r\n"])
def test_what_is_no_command_has_no_answer(nothing: bytes) -> None:
    assert outcomes(nothing * 3) == []
    assert outcomes(nothing + b"ping\r\n" + nothing) == [Reply(NO_AUTH)]


@pytest.mark.parametrize("data", [b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: redis\r\n", array(b"host:")])
def test_a_browser_is_cut_off_before_what_it_was_made_to_send_is_read(data: bytes) -> None:
    found = outcomes(data + array(b"AUTH", b"alice", PASSWORD))
    assert found[-1] == Reject(b"", "HTTP on a port for Redis")
    assert found[:-1] in ([], [Reply(NO_AUTH)])


def test_tls_is_told_by_its_first_byte() -> None:
    hello = b"\x16\x03\x01\x02\x00\x01"
    assert outcomes(hello) == [StartTls(hello)]
    assert outcomes(hello[:1]) == [StartTls(hello[:1])]
    assert outcomes(b"\n" + hello + b"\n") == [protocol_error("NUL in an inline request")]


@pytest.mark.failure(19)
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*11\r\n", "unauthenticated multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$%d\r\n" % (LARGEST_ARGUMENT + 1), "unauthenticated bulk length"),
        (b"*1\r\n:4\r\n", "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got '\r'"),
        (b'ping "abc\r\n', "unbalanced quotes in request"),
        (b'ping "a"b\r\n', "unbalanced quotes in request"),
        (b"ping 'a\\'\r\n", "unbalanced quotes in request"),
        # Redis waits for more, or takes any two bytes for the end of a line
        (b"*" + b"1" * 30, "invalid multibulk length"),
        (b"*1\n", "invalid multibulk length"),
        (b"*1\r\r", "invalid multibulk length"),
        (b"*1\r\n$4\r\nPING\rx", "expected CR LF after a bulk string"),
        (b"ping\0", "NUL in an inline request"),
    ],
)
def test_what_is_no_redis_is_told_so_and_closed(data: bytes, why: str) -> None:
    answer = b"-ERR Protocol error: " + why.replace("\r", " ").encode() + b"\r\n"
    behind = array(b"AUTH", b"alice", PASSWORD)
    assert outcomes(b"ping\n" + data + behind) == [Reply(NO_AUTH), Reject(answer, why)]
    assert outcomes(*bytewise(data)) == [Reject(answer, why)]


class TestLimits:
    TOO_MUCH = protocol_error(f"more than {LONGEST} bytes before authentication")

    def test_the_largest_command_is_read(self) -> None:
        command = array(b"AUTH", b"u" * LARGEST_ARGUMENT, b"p" * LARGEST_ARGUMENT)
        assert outcomes(command) == [Route("u" * LARGEST_ARGUMENT, command)]
        assert outcomes(array(*[b"x"] * 10)) == [Reply(NO_AUTH)]

    @pytest.mark.parametrize("nothing", [b" ", b"\n"])
    def test_a_name_may_come_just_within_the_limit_and_not_beyond(self, nothing: bytes) -> None:
        command = b"auth alice x\n"
        before = nothing * (LONGEST - len(command))
        (route,) = outcomes(before + command + b"x" * LONGEST)
        assert isinstance(route, Route)
        assert route.replay.endswith(command + b"x" * LONGEST)
        assert outcomes(before + nothing + command) == [self.TOO_MUCH]

    def test_all_that_was_answered_counts(self) -> None:
        ping = array(b"PING")
        answered = LONGEST // len(ping)
        assert outcomes(*[ping] * (answered + 1)) == [Reply(NO_AUTH)] * answered + [self.TOO_MUCH]

    def test_a_command_that_would_go_beyond_is_not_waited_for(self) -> None:
        assert outcomes(b"*4\r\n" + (b"$16384\r\n" + b"x" * 16384 + b"\r\n") * 3 + b"$16384\r\n") == [self.TOO_MUCH]


class TestAnswers:
    @given(st.text(alphabet=st.characters(max_codepoint=0x100)), st.sampled_from(["ERR", "LOADING"]))
    def test_an_error_is_one_line_whatever_it_says(self, text: str, code: str) -> None:
        assert re.fullmatch(rb"-" + code.encode() + rb" [ -~]*\r\n", error(code, text))

    def test_they_are_what_client_libraries_know(self) -> None:
        assert NO_AUTH == b"-NOAUTH Authentication required.\r\n"
        assert WRONG_PASS == b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        assert NO_AUTH_IN_HELLO.startswith(b"-NOAUTH HELLO must be called with the client already authenticated, otherwise ")
        assert LOADING.startswith(b"-LOADING ")
        assert SYNTAX_ERROR == b"-ERR syntax error\r\n"
        assert wrong_number_of_arguments("get") == b"-ERR wrong number of arguments for 'get' command\r\n"
        assert (OK, RESET) == (b"+OK\r\n", b"+RESET\r\n")


words = st.binary(max_size=12)
commands = st.lists(words, max_size=6).map(lambda each: array(*each))
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
marks = [b"*", b"$", b"-1", b"\r\n", b"\n", b" ", b"'", b'"', b"\\", b"\\x41", b"\0", b"\x16"]
begun = [b"*1\r\n", b"*3\r\n", b"$4\r\n", b"AUTH", b"ping", b"HELLO 3 "]
whole = [b"auth u p\n", b"quit\n", array(b"AUTH", b"u", b"p"), array(b"HELLO", b"2", b"AUTH", b"u", b"p")]
fragments = st.sampled_from([*marks, *begun, *whole])
streams = st.one_of(st.binary(max_size=60), st.lists(st.one_of(fragments, commands), max_size=12).map(b"".join))


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    data = draw(streams)
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return data, [data[one:other] for one, other in zip([0, *places], [*places, len(data)], strict=True)]


def essence(found: list[Outcome]) -> list[object]:
    """Without what happened to be in the same segment."""
    return [each.name if isinstance(each, Route) else type(each) if isinstance(each, StartTls) else each for each in found]


@given(cut())
@example((b"*1\r\n\x16", [b"*1\r", b"\n\x16"]))
def test_however_it_is_cut_the_answers_are_the_same_and_nothing_raises(stream: tuple[bytes, list[bytes]]) -> None:
    data, pieces = stream
    expected = essence(outcomes(data, refused=True))
    assert essence(outcomes(*pieces, refused=True)) == expected
    assert essence(outcomes(*bytewise(data), refused=True)) == expected


@given(st.binary(min_size=1, max_size=40))
def test_whatever_is_repeated_comes_to_an_end_within_the_limit(data: bytes) -> None:
    found = outcomes(data * (LONGEST // len(data) + 1), refused=True)
    assert isinstance(found[-1], Reject | StartTls)


@given(names, words, st.lists(st.sampled_from([b"PING", b"GET", b"EVAL"]), max_size=3), words)
def test_what_is_built_is_read_again(name: str, password: bytes, before: list[bytes], behind: bytes) -> None:
    for command in (
        array(b"AUTH", name.encode(), password),
        array(b"HELLO", b"3", b"SETNAME", b"x", b"AUTH", name.encode(), password),
        b'AUTH "%s" "%s"\r\n' % (escaped(name.encode()), escaped(password)),
    ):
        found = outcomes(b"".join(map(array, before)) + command + behind)
        assert found == [Reply(NO_AUTH)] * len(before) + [Route(name, command + behind)]


def escaped(word: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in word)


@given(cut())
def test_a_password_is_in_no_repr(stream: tuple[bytes, list[bytes]]) -> None:
    assume(b"\0" not in stream[0])
    opening = Opening()
    shown = []
    for piece in [*stream[1], array(b"HELLO", b"3", PASSWORD), array(b"HELLO", b"3", b"AUTH", b"u", PASSWORD)]:
        outcome = opening.feed(piece)
        shown += [repr(outcome), repr(opening)]
    assert PASSWORD.decode() not in "".join(shown)
