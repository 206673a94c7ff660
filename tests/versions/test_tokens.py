"""The dance of registries: challenges, whom credentials are shown to, how long a token is good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock

from grandcentral.core.references import parse
from grandcentral.errors import RegistryUnavailable
from grandcentral.versions.credentials import Credentials, Login, login, nobody
from grandcentral.versions.tokens import Authorization, Challenge, Refused, Trust, challenges

from .scripted import Reply, Request, ScriptedAgent

ME = login("me", "secret")


# -- challenges: RFC 9110 section 11.6.1 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([], []),
        (["Basic"], [Challenge("basic")]),
        (['Basic realm="Registry Realm"'], [Challenge("basic", {"realm": "Registry Realm"})]),
        (
            ['Bearer realm="https://auth.test/token",service="auth",scope="repository:a/b:pull,push"'],
            [Challenge("bearer", {"realm": "https://auth.test/token", "service": "auth", "scope": "repository:a/b:pull,push"})],
        ),
        (['bearer  Realm = "x" ,  SERVICE=y'], [Challenge("bearer", {"realm": "x", "service": "y"})]),
        (['Basic realm="a, b", Bearer realm=c'], [Challenge("basic", {"realm": "a, b"}), Challenge("bearer", {"realm": "c"})]),
        (["Negotiate, Basic realm=x"], [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
        (["Negotiate", "Basic realm=x"], [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
        ([r'Basic realm="say \"hi\" \\"'], [Challenge("basic", {"realm": 'say "hi" \\'})]),
        (['Bearer realm="unclosed'], [Challenge("bearer")]),
        (["", ", ,", "@!"], []),
    ],
)
def test_challenges_are_read_in_order(fields: list[str], found: list[Challenge]) -> None:
    assert list(challenges(fields))[: len(found)] == found
    assert len(challenges(fields)) == len(found) or "unclosed" in fields[0]


@given(st.lists(st.text(alphabet='Basicre="\\, ,x', max_size=40), max_size=3))
def test_reading_a_challenge_always_ends(fields: list[str]) -> None:
    assert all(challenge.scheme for challenge in challenges(fields))


# -- whom we show what --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("realm", "registry", "asked"),
    [
        ("https://registry.test/token", "registry.test", True),
        ("https://registry.test/jwt/auth", "registry.test:5050", True),
        ("https://auth.docker.io/token", "registry-1.docker.io", True),
        ("https://gitlab.com/jwt/auth", "registry.gitlab.com", True),
        ("https://named.test/token", "registry.test", True),
        ("https://evil.test/token", "registry.test", False),
        ("https://auth.docker.io/token", "registry.test", False),
        ("https://auth.registry.test/token", "registry.test", False),
        ("https://registry.test.evil.test/token", "registry.test", False),
        ("https://registry.test@evil.test/token", "registry.test", False),
        ("https://evil.test@registry.test/token", "registry.test", False),
        ("https://evil.test\\@registry.test/token", "registry.test", False),
        ("http://registry.test/token", "registry.test", False),
        ("http://169.254.169.254/latest/meta-data", "registry.test", False),
        ("http://127.0.0.1:8500/v1/kv", "registry.test", False),
        ("http://127.0.0.1:5001/token", "127.0.0.1:5000", True),
        ("http://plain.test/token", "plain.test", True),
        ("file:///etc/passwd", "registry.test", False),
        ("//registry.test/token", "registry.test", False),
        ("https://[::1/token", "registry.test", False),
        ("https://registry.test:99999/token", "registry.test", False),
        ("https://registry.test/to ken", "registry.test", False),
        ("https://registry.test/t\u00f6ken", "registry.test", False),
        ("", "registry.test", False),
    ],
)
def test_a_token_server_is_asked_if_it_belongs_to_the_registry_or_is_named(realm: str, registry: str, asked: bool) -> None:
    assert Trust(frozenset({"plain.test"}), frozenset({"named.test"})).realm(realm, registry) is asked


# -- the dance ----------------------------------------------------------------------------------------------------------

BEARER = challenges(['Bearer realm="https://registry.test/token?x=1",service="the registry",scope="registry:catalog:*"'])
BASIC = challenges(['Basic realm="r"'])


class Dance:
    def __init__(self, answer: object = None, credentials: Credentials = ME) -> None:
        self.answer = Reply.json({"token": "abc"}) if answer is None else answer
        self.agent = ScriptedAgent(lambda request: self.answer)  # type: ignore[arg-type, return-value]
        self.clock = Clock()
        self.authorization = Authorization(self.agent, self.clock, parse("registry.test/team/app"), credentials, Trust())

    def renew(self, asked: tuple[Challenge, ...] = BEARER, refused: str | None = None) -> str:
        return got(Deferred.fromCoroutine(self.authorization.renew(refused, asked)))

    @property
    def request(self) -> Request:
        (request,) = self.agent.asked
        return request


def got(deferred: Deferred[str]) -> str:
    results: list[str] = []
    failures: list[BaseException] = []
    deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
    if failures:
        raise failures[0]
    return results[0]


def test_a_token_is_asked_for_with_our_scope_and_our_credentials() -> None:
    dance = Dance()
    assert dance.renew() == "Bearer abc"
    assert dance.request.url.netloc == "registry.test"
    assert dance.request.query == {"x": "1", "service": "the registry", "scope": "repository:team/app:pull"}
    assert dance.request.header("Authorization") == Login("me", "secret").basic


def test_without_credentials_the_token_is_asked_for_by_nobody() -> None:
    dance = Dance(credentials=nobody)
    dance.renew()
    assert dance.request.header("Authorization") is None


def test_an_access_token_is_a_token() -> None:
    assert Dance(Reply.json({"access_token": "xyz"})).renew() == "Bearer xyz"


def test_a_token_server_elsewhere_is_not_asked_for_anything() -> None:
    dance = Dance()
    with pytest.raises(Refused, match=r"'https://evil\.test/token'.*token_hosts"):
        dance.renew(challenges(['Bearer realm="https://evil.test/token"']))
    assert dance.agent.asked == []


@pytest.mark.parametrize(
    ("said", "good"), [({}, 50), ({"expires_in": 300}, 290), ({"expires_in": None}, 50), ({"expires_in": 10**9}, 3590)]
)
def test_a_token_is_used_until_shortly_before_it_expires(said: dict, good: float) -> None:
    dance = Dance(Reply.json({"token": "abc", **said}))
    dance.renew()
    dance.clock.advance(good - 0.1)
    assert dance.authorization.header == "Bearer abc"
    dance.clock.advance(0.2)
    assert dance.authorization.header is None


@pytest.mark.parametrize("lasts", [1, 0, -5])
def test_a_token_of_a_moment_is_used_once(lasts: int) -> None:
    dance = Dance(Reply.json({"token": "abc", "expires_in": lasts}))
    assert dance.renew() == "Bearer abc"
    dance.clock.advance(60)
    assert dance.authorization.header is None


def test_all_who_are_refused_at_once_share_one_token() -> None:
    dance = Dance()
    dance.agent.holding = True
    renewals = [Deferred.fromCoroutine(dance.authorization.renew(None, BEARER)) for _ in range(5)]
    dance.agent.release()
    assert {got(renewal) for renewal in renewals} == {"Bearer abc"}
    assert len(dance.agent.asked) == 1


def test_one_who_gives_up_leaves_the_dance_to_the_next() -> None:
    dance = Dance()
    dance.agent.holding = True
    leaver, stayer = (Deferred.fromCoroutine(dance.authorization.renew(None, BEARER)) for _ in range(2))
    leaver.addErrback(lambda failure: None)
    leaver.cancel()
    dance.agent.release()
    assert got(stayer) == "Bearer abc"


def test_a_token_that_is_refused_is_replaced() -> None:
    dance = Dance()
    first = dance.renew()
    dance.answer = Reply.json({"token": "new"})
    assert dance.renew(refused=first) == "Bearer new"


def test_basic_is_answered_with_the_credentials() -> None:
    dance = Dance()
    assert dance.renew(BASIC) == dance.authorization.header == Login("me", "secret").basic
    assert dance.agent.asked == []


def test_bearer_is_preferred_to_basic() -> None:
    assert Dance().renew(BASIC + BEARER) == "Bearer abc"


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Reply(401), 502, "refuses our credentials (401)"),
        (Reply(403), 502, "refuses our credentials (403)"),
        (Reply(400), 502, "refuses our credentials (400)"),
        (Reply(404), 502, "answers 404 without a token"),
        (Reply(200, {}, b"<html>"), 502, "without a token"),
        (Reply.json([]), 502, "without a token"),
        (Reply.json({"token": ""}), 502, "without a token"),
        (Reply.json({"token": 7}), 502, "without a token"),
        (Reply.json({"token": "a\r\nX: y"}), 502, "without a token"),
        (Reply.json({"token": "abc", "expires_in": "soon"}), 502, "without a token"),
        (Reply(302, {"Location": "https://evil.test/"}), 502, "redirects to 'https://evil.test/'"),
        (Reply(500), 503, "answers 500"),
        (Reply(429), 503, "answers 429"),
        (ConnectionRefusedError(), 503, "cannot be reached"),
    ],
)
def test_a_token_that_cannot_be_had_says_why(answer: object, status: int, words: str) -> None:
    with pytest.raises(RegistryUnavailable) as caught:
        Dance(answer).renew()
    assert caught.value.status == status
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "credentials", "words"),
    [
        (BASIC, nobody, "none are configured"),
        ((), ME, "not supported"),
        (challenges(["Negotiate"]), ME, "not supported"),
    ],
)
def test_a_login_that_we_cannot_do_is_a_refusal(asked: tuple[Challenge, ...], credentials: Credentials, words: str) -> None:
    with pytest.raises(Refused, match=words):
        Dance(credentials=credentials).renew(asked)


def test_credentials_are_looked_up_under_the_registrys_domain() -> None:
    asked: list[str] = []

    def lookup(domain: str) -> Deferred[Login | None]:
        asked.append(domain)
        return succeed(None)

    Dance(credentials=lookup).renew()
    assert asked == ["registry.test"]
