"""Keys: hosts as they are met, host patterns as they are written, and commits in their short and long forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.keys import GIT_HASH, NAME, NAMES, Ambiguous, Key, misnamed, normalise_host, parse_pattern, unify

COMMIT = "db139cf0a1b2c3d4e5f60718293a4b5c6d7e8f90"


def test_a_key_is_written_and_read_back() -> None:
    assert str(Key("quepid", "db139cf")) == "quepid/db139cf"
    assert str(Key("docs")) == "docs"
    assert Key.parse("quepid/db139cf") == Key("quepid", "db139cf")
    assert Key.parse("docs") == Key("docs")


@pytest.mark.failure(22)
@pytest.mark.parametrize(
    ("raw", "host"),
    [
        (b"docs.example.com", "docs.example.com"),
        (b"DOCS.Example.COM", "docs.example.com"),
        (b"docs.example.com:8080", "docs.example.com"),
        (b"docs.example.com:", "docs.example.com"),
        (b"docs.example.com.", "docs.example.com"),
        (b"docs.example.com.:443", "docs.example.com"),
        (b"localhost", "localhost"),
        (b"my_app.example.com", "my_app.example.com"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[::1]:8080", "[::1]"),
        (b"[0:0:0:0:0:0:0:1]:8080", "[::1]"),
        (b"[2001:DB8::A]", "[2001:db8::a]"),
        (b"xn--bcher-kva.example.com", "xn--bcher-kva.example.com"),
    ],
)
def test_hosts_are_normalised(raw: bytes, host: str) -> None:
    assert normalise_host(raw) == host


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b":80",
        b"a..b",
        b".example.com",
        b"a.example.com..",
        b"a b",
        b"a/b",
        b"a@b",
        b"a:b",
        b"a:80:80",
        b"a:123456",
        b"[::1",
        b"::1",
        b"[::1]x",
        b"[::1%25eth0]",
        b"[1.2.3.4]",
        b"[]",
        b"a,b",
        b"caf\xc3\xa9.example.com",
        b"\xff",
        b"a\x00b",
        b"a\n",
        b"x" * 64 + b".example.com",
        b".".join([b"x" * 50] * 6),
        b"%61.example.com",
        b"{version}.example.com",
    ],
)
def test_what_is_no_host_is_none(raw: bytes) -> None:
    assert normalise_host(raw) is None


@given(st.binary() | st.from_regex(rb"[\[\]a-zA-Z0-9.:_-]{0,80}", fullmatch=True))
def test_any_bytes_normalise_to_a_fixed_point_or_to_nothing(raw: bytes) -> None:
    host = normalise_host(raw)
    assert host is None or normalise_host(host.encode()) == host


@pytest.mark.parametrize(
    ("text", "normal", "variables"),
    [
        ("docs.example.com", "docs.example.com", ()),
        ("Docs.Example.com.", "docs.example.com", ()),
        ("*.example.com", "*.example.com", ()),
        ("*", "*", ()),
        ("[::1]", "[::1]", ()),
        ("[0:0::1]", "[::1]", ()),
        ("{version}.review.example.com", "{version}.review.example.com", ("version",)),
        ("pr-{version}.example.com", "pr-{version}.example.com", ("version",)),
        ("{version}-staging.example.com", "{version}-staging.example.com", ("version",)),
        ("{app}.{user}.hoodies.example.com", "{app}.{user}.hoodies.example.com", ("app", "user")),
    ],
)
def test_patterns_are_read(text: str, normal: str, variables: tuple[str, ...]) -> None:
    pattern = parse_pattern(text)
    assert (pattern.text, pattern.variables) == (normal, variables)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a host name"),
        ("a..b", "not a host name"),
        ("http://docs.example.com", "not a host name"),
        ("docs.example.com:8080", "has a port"),
        ("[::1]:8080", "has a port"),
        ("*.[::1]", "below an address"),
        ("bücher.example.com", "xn--"),
        ("a.*.example.com", "whole first label"),
        ("w*.example.com", "whole first label"),
        ("*.{version}.example.com", "whole first label"),
        ("**", "whole first label"),
        ("{version}", "fixed last label"),
        ("review.{version}", "fixed last label"),
        ("{a}-{b}.example.com", "two variables in one label"),
        ("{a}{b}.example.com", "two variables in one label"),
        ("{a}.{a}.example.com", "same variable twice"),
        ("{version.example.com", "not a host name"),
        ("{}.example.com", "not a host name"),
    ],
)
def test_what_is_no_pattern_is_said_to_be_none_and_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_pattern(text)


def test_the_names_of_variables_do_not_matter_to_a_shape() -> None:
    assert parse_pattern("{version}.example.com").shape == parse_pattern("{commit}.example.com").shape
    assert parse_pattern("{version}.example.com").shape != parse_pattern("pr-{version}.example.com").shape


@pytest.mark.parametrize(
    ("form", "name", "valid"),
    [
        (GIT_HASH, "db139cf", True),
        (GIT_HASH, COMMIT, True),
        (GIT_HASH, "db139c", False),
        (GIT_HASH, COMMIT + "0", False),
        (GIT_HASH, "main123", False),
        (GIT_HASH, "db139cf\n", False),
        (NAME, "main", True),
        (NAME, "pr-17", True),
        (NAME, "1", True),
        (NAME, "-a", False),
        (NAME, "a-", False),
        (NAME, "a_b", False),
        (NAME, "x" * 63, True),
        (NAME, "x" * 64, False),
    ],
)
def test_names_have_a_form(form: str, name: str, valid: bool) -> None:
    assert bool(NAMES[form].fullmatch(name)) is valid


# -- one commit, one key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "good", "bad"),
    [
        ("", [""], ["x"]),
        (GIT_HASH, ["db139cf", "a" * 40], ["", "latest", "db139cf.x", "a" * 41, "DB139CF", "db139cf\n"]),
        (NAME, ["pr-1", "user.app"], ["", "user..app", "../x", "-", "a" * 64]),
    ],
)
def test_what_a_stack_can_be_called(version: str, good: list[str], bad: list[str]) -> None:
    assert [misnamed(version, name) for name in good] == [None] * len(good)
    assert all(misnamed(version, name) for name in bad)


def test_a_commit_that_nobody_knows_keeps_its_spelling() -> None:
    assert unify("db139cf", []) == "db139cf"
    assert unify("db139cf", ["aaaaaaa", "bbbbbbb"]) == "db139cf"


def test_short_and_long_forms_are_one_commit() -> None:
    assert unify("db139cf", [COMMIT]) == COMMIT
    assert unify(COMMIT, ["db139cf"]) == "db139cf"
    assert unify(COMMIT[:12], ["db139cf", "aaaaaaa"]) == "db139cf"


def test_of_one_chain_of_known_spellings_the_longest_is_the_name() -> None:
    known = ["db139cf", COMMIT[:12], COMMIT]
    assert {unify(COMMIT[:length], known) for length in range(7, 41)} == {COMMIT}


def test_a_short_form_of_two_commits_is_ambiguous() -> None:
    assert unify("db139cf", ["db139cf01", "db139cf02", "aaaaaaa"]) == Ambiguous(("db139cf01", "db139cf02"))
    assert unify("db139cf0", ["db139cf", "db139cf01", "db139cf02"]) == Ambiguous(("db139cf01", "db139cf02"))


def test_a_longer_name_of_another_commit_takes_no_spelling_away() -> None:
    assert unify("db139cfb", ["db139cf", "db139cfa"]) == "db139cf"


def test_what_is_known_to_the_letter_is_never_ambiguous() -> None:
    assert unify("db139cf", ["db139cf", "db139cf01", "db139cf02"]) == "db139cf"


hashes = st.text("ab", min_size=7, max_size=12)


@given(hashes, st.sets(hashes, max_size=6))
def test_unification_gives_a_known_name_or_says_which(name: str, known: set[str]) -> None:
    answer = unify(name, known)
    if isinstance(answer, Ambiguous):
        assert len(answer.candidates) >= 2
        assert all(candidate in known and candidate.startswith(name) for candidate in answer.candidates)
    else:
        related = {other for other in known if other.startswith(name) or name.startswith(other)}
        assert answer in known or not related
        assert unify(answer, related | {answer}) == answer


@given(st.lists(hashes, max_size=8))
def test_names_unified_before_they_are_added_never_change(names: list[str]) -> None:
    known: set[str] = set()
    for name in names:
        answer = unify(name, known)
        if not isinstance(answer, Ambiguous):
            known.add(answer)
            assert unify(name, known) == answer
    assert not any(a != b and b.startswith(a) for a in known for b in known)
