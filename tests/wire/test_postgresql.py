"""The start of a PostgreSQL connection by the manual, and as psql and the server of PostgreSQL 15 were seen to do it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.wire import postgresql
from grandcentral.wire.postgresql import (
    LONGEST,
    LONGEST_SECRET,
    LONGEST_TEXT,
    Answer,
    Cancel,
    NeedMore,
    Opening,
    Reject,
    Reply,
    Route,
    StartTls,
    error,
    notice,
    routable,
)

V3_0, V3_2 = 0x30000, 0x30002
SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
GSSENC_REQUEST = bytes.fromhex("00000008 04d21630")
PSQL = bytes.fromhex("00000038 00030000") + b"user\0alice\0database\0shop\0application_name\0psql\0\0"  # what psql 15 sends
HELLO = bytes.fromhex("1603010124 01000120 0303")  # how openssl's ClientHello begins


def message(code: int, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + code.to_bytes(4, "big") + body


def startup(*pairs: tuple[bytes, bytes], version: int = V3_0) -> bytes:
    return message(version, b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0")


def cancel(process: int, secret: bytes) -> bytes:
    return message(80877102, process.to_bytes(4, "big", signed=True) + secret)


def opening(*allowed: str, tls: bool = False) -> Opening:
    return Opening((allowed or ("alice",)).__contains__, tls)


def answer(data: bytes, *allowed: str, tls: bool = False) -> Answer:
    return opening(*allowed, tls=tls).feed(data)


def fields(response: bytes) -> dict[str, str]:
    """Of a whole ErrorResponse or NoticeResponse, by its letter."""
    assert int.from_bytes(response[1:5], "big") == len(response) - 1
    *texts, end, last = response[5:].decode().split("\0")
    assert (end, last) == ("", "")
    return {text[0]: text[1:] for text in texts}


def refusal(found: Answer) -> tuple[str, str]:
    """SQLSTATE and message of a protocol error."""
    assert isinstance(found, Reject)
    assert found.answer[:1] == b"E"
    told = fields(found.answer)
    assert (told["S"], told["V"], told["M"]) == ("FATAL", "FATAL", found.why)
    return told["C"], told["M"]


def refused(data: bytes, sqlstate: str, *allowed: str, tls: bool = False) -> None:
    assert refusal(answer(data, *allowed, tls=tls))[0] == sqlstate


@pytest.mark.failure(18)
class TestWhatOtherGatewaysStumbleOver:
    def test_a_start_up_message_that_comes_byte_by_byte(self) -> None:
        gate = opening()
        assert {gate.feed(PSQL[at : at + 1]) for at in range(len(PSQL) - 1)} == {NeedMore()}
        assert gate.feed(PSQL[-1:]) == Route("alice", b"shop", PSQL)

    def test_psql_is_told_that_there_is_no_encryption_and_goes_on_without(self) -> None:
        gate = opening()
        assert gate.feed(GSSENC_REQUEST) == Reply(b"N")
        assert gate.feed(SSL_REQUEST) == Reply(b"N")
        assert gate.feed(PSQL) == Route("alice", b"shop", PSQL)

    def test_a_cancel_request_is_no_session(self) -> None:
        assert answer(cancel(4711, b"\1\2\3\4")) == Cancel(4711, b"\1\2\3\4", cancel(4711, b"\1\2\3\4"))

    def test_direct_tls_is_recognised_by_its_first_byte(self) -> None:
        assert answer(HELLO, tls=True) == StartTls(b"", HELLO)
        assert answer(HELLO[:1], tls=True) == StartTls(b"", HELLO[:1])

    @pytest.mark.parametrize("pairs", [(), ((b"user", b""),), ((b"database", b"user"),), ((b"User", b"alice"),)])
    def test_without_a_user_there_is_no_session(self, pairs: tuple[tuple[bytes, bytes], ...]) -> None:
        assert refusal(answer(startup(*pairs))) == ("28000", "The start-up message names no user.")

    @pytest.mark.parametrize("user", ["169.254.169.254", "postgres.internal", "localhost", "bob", "Alice", "alice ", "'alice'"])
    def test_a_name_leads_where_the_list_says_or_nowhere(self, user: str) -> None:
        assert refusal(answer(startup((b"user", user.encode())))) == ("28000", "This user has no database here.")


class TestNames:
    @pytest.mark.parametrize("name", ["a", "alice", "Alice_2", "-", "3f2a91c", "1234567", "shop.alice", "v1.2", "x" * 63])
    def test_that_can_be_routed_by(self, name: str) -> None:
        assert routable(name)
        data = startup((b"user", name.encode()))
        assert answer(data, name) == Route(name, name.encode(), data)

    @pytest.mark.parametrize(
        "name",
        [
            "127.1",
            "10.0.0.1",
            "1.",
            "::1",
            "[::1]",
            "a:5432",
            "a/b",
            "a@b",
            "a b",
            "a\n",
            "\n",
            "x" * 64,
            "ünal",
            "a%00",
            "\ufffd",
        ],
    )
    def test_that_cannot_are_refused_whoever_would_allow_them(self, name: str) -> None:
        assert not routable(name)
        refused(startup((b"user", name.encode())), "28000", name)

    def test_a_name_that_is_no_ascii_is_not_read_as_another(self) -> None:
        refused(startup((b"user", b"alice\xff")), "28000")

    def test_only_a_possible_name_is_asked_for(self) -> None:
        asked: list[str] = []

        def allows(name: str) -> bool:
            asked.append(name)
            return False

        for user in (b"no name", b"10.0.0.1", b"carol"):
            Opening(allows, tls=False).feed(startup((b"user", user)))
        assert asked == ["carol"]


class TestStartUp:
    @pytest.mark.parametrize("database", [(), ((b"database", b""),)])
    def test_the_database_is_called_as_the_user_unless_it_is_named(self, database: tuple[tuple[bytes, bytes], ...]) -> None:
        data = startup((b"user", b"alice"), *database)
        assert answer(data) == Route("alice", b"alice", data)

    def test_a_name_is_looked_for_among_names_and_not_among_values(self) -> None:
        data = startup((b"database", b"user"), (b"options", b""), (b"user", b"alice"))
        assert answer(data) == Route("alice", b"user", data)

    @pytest.mark.parametrize("version", [V3_0, V3_2, 0x3270F, 0x3FFFF])
    def test_minor_versions_and_options_of_the_protocol_are_for_the_server(self, version: int) -> None:
        data = startup((b"user", b"alice"), (b"_pq_.some_option", b"on"), version=version)
        assert answer(data) == Route("alice", b"alice", data)

    def test_what_comes_behind_it_is_for_the_server(self) -> None:
        assert answer(PSQL + b"p\0\0\0\x05\0") == Route("alice", b"shop", PSQL + b"p\0\0\0\x05\0")

    @pytest.mark.parametrize("version", [0x40000, 0xFFFFFFFF, 80877101])
    def test_other_versions_are_refused(self, version: int) -> None:
        refused(startup((b"user", b"alice"), version=version), "0A000")

    @pytest.mark.parametrize("version", [0, 0x10000, 0x20000, 0x2FFFF])
    def test_old_clients_are_refused_in_their_own_way(self, version: int) -> None:
        rejected = answer(message(version, bytes(288)))
        assert isinstance(rejected, Reject)
        assert rejected.answer == b"EFATAL:  " + rejected.why.encode() + b"\n\0"

    @pytest.mark.parametrize("twice", [b"user", b"database", b"options"])
    def test_a_parameter_that_comes_twice_has_two_readings(self, twice: bytes) -> None:
        refused(startup((b"user", b"alice"), (twice, b"alice"), (twice, b"alice")), "08P01")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"user",
            b"user\0alice",
            b"user\0alice\0",  # no terminator
            b"user\0\0",  # neither
            b"user\0alice\0database\0\0",
            b"user\0alice\0database\0",  # and here not even a value
            b"user\0alice\0\0\0",  # bytes behind the terminator
            b"user\0alice\0\0x\0\0",
            b"user\0alice\0\0x\0",
            b"user\0alice\0\0x\0y\0\0",
            b"user\0alice\0\0x",
        ],
    )
    def test_anything_but_pairs_and_a_terminator_is_refused(self, body: bytes) -> None:
        refused(message(V3_0, body), "08P01")

    def test_the_longest_is_as_long_as_the_server_takes(self) -> None:
        def sized(size: int) -> bytes:
            rest = size - len(startup((b"user", b"alice"), (b"options", b"")))
            return startup((b"user", b"alice"), (b"options", b"x" * rest))

        assert len(sized(LONGEST)) == LONGEST
        assert answer(sized(LONGEST)) == Route("alice", b"alice", sized(LONGEST))
        refused(sized(LONGEST + 1), "08P01")
        refused(sized(LONGEST + 1)[:4], "08P01")  # at once, not when all of it has come

    @pytest.mark.parametrize("data", [b"\0\0\0\0", b"\0\0\0\4", b"\0\0\0\7", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n"])
    def test_a_length_that_is_none_is_refused(self, data: bytes) -> None:
        refused(data, "08P01")


class TestEncryption:
    @pytest.mark.parametrize("first", [(), (GSSENC_REQUEST,)])
    def test_whoever_asks_for_tls_gets_it_if_it_is_offered_and_says_who_he_is_inside(self, first: tuple[bytes, ...]) -> None:
        gate = opening(tls=True)
        for request in first:
            assert gate.feed(request) == Reply(b"N")
        assert gate.feed(SSL_REQUEST) == StartTls(b"S", b"")
        assert gate.feed(PSQL) == Route("alice", b"shop", PSQL)

    def test_a_cancel_request_may_come_inside_tls(self) -> None:
        gate = opening(tls=True)
        gate.feed(SSL_REQUEST)
        assert gate.feed(cancel(1, bytes(32))) == Cancel(1, bytes(32), cancel(1, bytes(32)))

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("more", [b"\0", HELLO, PSQL, SSL_REQUEST, GSSENC_REQUEST])
    @pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST])
    def test_nothing_may_come_behind_a_request_before_its_answer(self, request_: bytes, more: bytes, tls: bool) -> None:
        refused(request_ + more, "08P01", tls=tls)

    @pytest.mark.parametrize("code", [80877103, 80877104])
    def test_nothing_may_be_in_a_request(self, code: int) -> None:
        refused(message(code, b"more"), "08P01", tls=True)

    @pytest.mark.parametrize("first", [SSL_REQUEST, GSSENC_REQUEST])
    @pytest.mark.parametrize("second", [SSL_REQUEST, GSSENC_REQUEST])
    def test_each_may_be_asked_for_once(self, first: bytes, second: bytes) -> None:
        gate = opening()
        assert gate.feed(first) == Reply(b"N")
        if second != first:
            assert gate.feed(second) == Reply(b"N")
        assert refusal(gate.feed(first))[0] == "0A000"

    @pytest.mark.parametrize("more", [SSL_REQUEST, GSSENC_REQUEST])
    @pytest.mark.parametrize("begin", [SSL_REQUEST, HELLO])
    def test_there_is_no_encryption_inside_tls(self, begin: bytes, more: bytes) -> None:
        gate = opening(tls=True)
        assert isinstance(gate.feed(begin), StartTls)
        assert refusal(gate.feed(more))[0] == "0A000"

    @pytest.mark.parametrize("begin", [SSL_REQUEST, GSSENC_REQUEST, HELLO])
    def test_direct_tls_is_only_what_comes_first(self, begin: bytes) -> None:
        gate = opening(tls=True)
        gate.feed(begin)
        assert refusal(gate.feed(HELLO))[0] == "08P01"

    def test_a_client_of_direct_tls_that_is_not_offered_gets_an_alert_of_tls(self) -> None:
        rejected = answer(HELLO)
        assert isinstance(rejected, Reject)
        assert rejected.answer == bytes.fromhex("15 0303 0002 02 28")  # fatal, handshake_failure


class TestCancel:
    @pytest.mark.parametrize("size", [4, 32, LONGEST_SECRET])
    def test_secrets_of_protocol_3_2_are_longer(self, size: int) -> None:
        data = cancel(-1, bytes(size))
        assert answer(data) == Cancel(-1, bytes(size), data)

    def test_nothing_else_is_passed_on(self) -> None:
        assert answer(cancel(1, b"1234") + PSQL) == Cancel(1, b"1234", cancel(1, b"1234"))

    @pytest.mark.parametrize("body", [b"", b"\0\0\0", bytes(4), bytes(7), bytes(4 + LONGEST_SECRET + 1)])
    def test_one_that_cannot_be_right_is_closed_without_an_answer_as_all_are(self, body: bytes) -> None:
        rejected = answer(message(80877102, body))
        assert isinstance(rejected, Reject)
        assert rejected.answer == b""


def test_secrets_are_not_logged() -> None:
    assert "hunter2" not in repr([answer(PSQL + b"p\0\0\0\x0chunter2\0"), answer(cancel(1, b"hunter2"))])


class TestOurAnswers:
    def test_an_error_to_the_byte(self) -> None:
        told = b"SFATAL\0VFATAL\0C57P03\0MIt is being started.\0HTry again.\0\0"
        length = (4 + len(told)).to_bytes(4, "big")
        assert error(postgresql.CANNOT_CONNECT_NOW, "It is being started.", "Try again.") == b"E" + length + told

    def test_a_notice_to_the_byte(self) -> None:
        assert notice("Soon.") == b"N\0\0\0\x23SNOTICE\0VNOTICE\0C00000\0MSoon.\0\0"

    @given(st.text(max_size=50), st.text(min_size=1, max_size=50))
    def test_a_text_cannot_break_out_of_its_field(self, text: str, hint: str) -> None:
        told = fields(error("53300", text, hint))
        assert told.keys() == set("SVCMH")
        assert (told["M"], told["H"]) == tuple(s.replace("\0", " ").encode("utf-8", "replace").decode() for s in (text, hint))

    def test_a_long_text_is_cut_so_that_libpq_reads_it(self) -> None:
        told = error("57P03", "\U0001f418" * 50_000, "\U0001f418" * 50_000)
        assert fields(told)["M"] == "\U0001f418" * LONGEST_TEXT
        assert len(told) < 30_000


texts = st.binary(max_size=40).map(lambda text: text.replace(b"\0", b""))
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", fullmatch=True)
others = st.dictionaries(texts.filter(lambda name: name not in (b"", b"user", b"database")), texts, max_size=8)
dialogues = st.lists(
    st.sampled_from([SSL_REQUEST, GSSENC_REQUEST, PSQL, cancel(7, b"abcd"), cancel(7, bytes(300)), message(V3_0, b"x"), HELLO])
    | st.binary(min_size=1, max_size=60)
    | st.binary(max_size=60).map(lambda body: message(V3_0, body))
    | st.binary(max_size=60).map(lambda body: message(V3_0, b"user\0alice\0" + body)),
    min_size=1,
    max_size=4,
)


@given(names, texts, others, st.integers(0, 0xFFFF), texts)
def test_a_start_up_message_is_understood_as_it_was_meant(
    name: str, database: bytes, more: dict[bytes, bytes], minor: int, behind: bytes
) -> None:
    pairs = [*more.items(), (b"database", database), (b"user", name.encode())]
    data = startup(*pairs, version=V3_0 + minor)
    assert answer(data + behind, name) == Route(name, database or name.encode(), data + behind)


@given(dialogues, st.booleans(), st.data())
def test_it_is_all_the_same_how_messages_are_cut(messages: list[bytes], tls: bool, data: st.DataObject) -> None:
    """A client who waits for its answers; what was refused or begins something else ends it."""
    whole, cut = opening(tls=tls), opening(tls=tls)
    for sent in messages:
        expected = whole.feed(sent)
        at, found = 0, cut.feed(b"")
        while at < len(sent) and found == NeedMore():
            size = data.draw(st.integers(1, len(sent) - at))
            found = cut.feed(sent[at : at + size])
            at += size
        if isinstance(found, Route | StartTls) and isinstance(expected, Route | StartTls) and expected.replay:
            assert found.replay + sent[at:] == expected.replay
            assert (type(found), getattr(found, "name", "")) == (type(expected), getattr(expected, "name", ""))
        else:
            assert found == expected
        if not isinstance(expected, NeedMore | Reply) or at < len(sent):
            return


@given(st.lists(st.binary(max_size=300) | dialogues.map(b"".join), max_size=6), st.booleans())
def test_any_bytes_end_in_an_answer_and_few_are_kept(pieces: list[bytes], tls: bool) -> None:
    gate, kept = opening(tls=tls), 0
    for piece in [*pieces, bytes(LONGEST)]:
        found = gate.feed(piece)
        kept = kept + len(piece) if found == NeedMore() else 0
        assert kept < LONGEST
        if isinstance(found, Route | Cancel | Reject):
            return
    pytest.fail("Not even the longest message was enough.")
