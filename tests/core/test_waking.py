"""Which requests wake, which keep alive: the defaults as a table, rules in order, and any bytes at all."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.waking import Judge, Judges, Rule

DEFAULT = Judge.of(())
FIREFOX = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
CUBOT = "User-Agent: Mozilla/5.0 (Linux; Android 13; CUBOT P80) Chrome/142.0.0.0 Mobile"
LANGUAGE = "Accept-Language: de,en;q=0.5"
PAGE = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


def raw(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in ("Host: abc.test", *lines, "")).encode("latin-1")


def mode(name: str, *lines: str) -> tuple[str, ...]:
    return (FIREFOX, f"Sec-Fetch-Mode: {name}", *lines)


WAKES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "a page that somebody opens": ("GET", "/", mode("navigate", "Sec-Fetch-Dest: document")),
    "a form that somebody sends": ("POST", "/login", mode("navigate")),
    "a button whose script asks": ("POST", "/like", mode("cors", "X-Requested-With: XMLHttpRequest")),
    "the same on another site": ("DELETE", "/like", mode("same-origin")),
    "its preflight": ("OPTIONS", "/like", mode("cors", "Access-Control-Request-Method: POST")),
    "a page by a browser that speaks no TLS": ("GET", "/", (FIREFOX, LANGUAGE, PAGE)),
    "a form by one": ("POST", "/", (FIREFOX, LANGUAGE, PAGE)),
    "a script's button in one": ("PUT", "/", (FIREFOX, LANGUAGE, "Accept: */*")),
    "curl": ("GET", "/", ("User-Agent: curl/8.5.0", "Accept: */*")),
    "curl that wants the head": ("HEAD", "/", ("User-Agent: curl/8.5.0",)),
    "an API client": ("POST", "/api", ("User-Agent: python-requests/2.32", "Accept: application/json")),
    "one without any field": ("GET", "/", ()),
    "continuous integration": ("GET", "/up", ("User-Agent: Go-http-client/1.1",)),
    "PowerShell, which says that it is Mozilla": ("GET", "/", ("User-Agent: Mozilla/5.0 (NT) WindowsPowerShell/5.1",)),
    "a WebSocket client that is no browser": ("GET", "/ws", ("Upgrade: websocket", "Connection: upgrade")),
    "a telephone of a brand that ends in bot": ("GET", "/", (CUBOT, "Sec-Fetch-Mode: navigate")),
    "a path that only begins like a favicon": ("GET", "/favicon.ico/history", mode("navigate")),
}

LETS_SLEEP: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "a tab that polls": ("GET", "/poll", mode("cors")),
    "a tab that polls itself": ("GET", "/poll?since=3", mode("same-origin", "Sec-Fetch-Dest: empty")),
    "an image": ("GET", "/logo.png", mode("no-cors", "Sec-Fetch-Dest: image")),
    "a head": ("HEAD", "/poll", mode("cors")),
    "a WebSocket that a tab opens again": ("GET", "/cable", mode("websocket", "Upgrade: websocket")),
    "the preflight of a poll": ("OPTIONS", "/poll", mode("cors", "Access-Control-Request-Method: GET")),
    "a beacon": ("POST", "/bye", mode("no-cors")),
    "jQuery without TLS": ("GET", "/poll", (FIREFOX, "X-Requested-With: XMLHttpRequest")),
    "a tab that polls without TLS": ("GET", "/poll", (FIREFOX, LANGUAGE, "Accept: */*")),
    "its WebSocket": ("GET", "/cable", (FIREFOX, LANGUAGE, "Upgrade: websocket")),
    "prefetching": ("GET", "/next", mode("no-cors", "Sec-Purpose: prefetch")),
    "prerendering": ("GET", "/next", mode("navigate", "Sec-Purpose: prefetch;prerender")),
    "prefetching by an older browser": ("GET", "/next", mode("navigate", "Purpose: prefetch")),
    "a favicon": ("GET", "/favicon.ico", mode("no-cors")),
    "a favicon for curl": ("GET", "/favicon.ico?v=2", ("User-Agent: curl/8.5.0",)),
    "rules for robots": ("GET", "/robots.txt", ()),
    "an icon for a home screen": ("GET", "/apple-touch-icon-120x120-precomposed.png", ()),
}

AUTOMATIC = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0)",
    "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)",
    "Sogou web spider/4.0",
    "SomeCrawler 1",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Uptime-Kuma/1.23.11",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "kube-probe/1.31",
    "Prometheus/2.53.1",
    "Blackbox Exporter/0.25.0",
    "Mozilla/5.0 StatusCake",
    "ELB-HealthChecker/2.0",
    "Consul Health Check",
    "check_http/v2.3.3 (nagios-plugins 2.3.3)",
    "facebookexternalhit/1.1",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Twitterbot/1.0",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "WhatsApp/2.23.20.0",
]


def judged(judge: Judge, method: str, target: str, lines: tuple[str, ...]) -> bool:
    return judge.wakes(method.encode(), target.encode(), raw(*lines))


@pytest.mark.parametrize("asked", WAKES.values(), ids=WAKES)
def test_wakes(asked: tuple[str, str, tuple[str, ...]]) -> None:
    assert judged(DEFAULT, *asked)


@pytest.mark.parametrize("asked", LETS_SLEEP.values(), ids=LETS_SLEEP)
def test_does_not_wake(asked: tuple[str, str, tuple[str, ...]]) -> None:
    assert not judged(DEFAULT, *asked)


@pytest.mark.parametrize("agent", AUTOMATIC)
def test_what_asks_by_itself_does_not_wake(agent: str) -> None:
    assert not judged(DEFAULT, "GET", "/", (f"User-Agent: {agent}", PAGE))
    assert not judged(DEFAULT, "GET", "/", (f"User-Agent: {agent}", "Sec-Fetch-Mode: navigate"))


def test_names_and_values_of_fields_are_read_in_any_case_and_with_any_blanks() -> None:
    assert not judged(DEFAULT, "GET", "/", (FIREFOX, "SEC-FETCH-MODE: \t CORS  "))


def test_a_field_within_another_is_none() -> None:
    assert judged(DEFAULT, "GET", "/", ("X-Note: sec-fetch-mode: cors", "X-User-Agent: Googlebot"))


# -- rules ----------------------------------------------------------------------------------------------------------------

POLL = ("GET", "/api/jobs?page=2", mode("cors", "Sec-Fetch-Dest: empty", "Accept: application/json;q=1, text/plain"))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(wakes=True),
        Rule(methods=frozenset({"GET", "HEAD"}), wakes=True),
        Rule(path="/api/jobs", wakes=True),
        Rule(path="/api/*", wakes=True),
        Rule(path="*jobs", wakes=True),
        Rule(path="/*/*", wakes=True),
        Rule(path="*", wakes=True),
        Rule(path="/*p*j*s", wakes=True),
        Rule(mode=frozenset({"cors", "websocket"}), wakes=True),
        Rule(dest=frozenset({"empty"}), wakes=True),
        Rule(accept="application/json", wakes=True),
        Rule(accept="text/plain", wakes=True),
        Rule(user_agent="FIREFOX/145", wakes=True),
        Rule(frozenset({"GET"}), "/api/*", frozenset({"cors"}), frozenset({"empty"}), "text/plain", "gecko", True),
    ],
)
def test_a_rule_that_matches_decides(rule: Rule) -> None:
    assert judged(Judge.of([rule]), *POLL)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(methods=frozenset({"POST"}), wakes=True),
        Rule(path="/api", wakes=True),
        Rule(path="/api/", wakes=True),
        Rule(path="/api/*/*", wakes=True),
        Rule(path="/api/jobs?page=2", wakes=True),
        Rule(path="/API/*", wakes=True),
        Rule(path="/api.jobs", wakes=True),
        Rule(path="*jobs*jobs", wakes=True),
        Rule(mode=frozenset({"navigate"}), wakes=True),
        Rule(dest=frozenset({"document"}), wakes=True),
        Rule(accept="text/html", wakes=True),
        Rule(accept="application/*", wakes=True),
        Rule(user_agent="chrome", wakes=True),
        Rule(path="/api/*", mode=frozenset({"navigate"}), wakes=True),
        Rule(path="/api/*", keeps_alive=True),
    ],
)
def test_a_rule_that_does_not_match_in_everything_or_answers_something_else_decides_nothing(rule: Rule) -> None:
    assert not judged(Judge.of([rule]), *POLL)


def test_the_first_rule_that_answers_wins() -> None:
    rules = (
        Rule(path="/api/*", keeps_alive=False),
        Rule(path="/api/jobs", wakes=True),
        Rule(path="/api/*", wakes=False, keeps_alive=True),
    )
    judge = Judge.of(rules)
    assert judged(judge, *POLL)
    assert not judged(judge, "POST", "/api/other", ())
    assert judged(judge, "POST", "/other", ())
    assert not judge.keeps_alive(b"GET", b"/api/jobs", raw())
    assert judge.keeps_alive(b"GET", b"/", raw())


def test_a_rule_can_have_a_monitor_wake_and_a_person_not() -> None:
    judge = Judge.of([Rule(user_agent="UptimeRobot", wakes=True), Rule(path="/embedded/*", wakes=False)])
    assert judged(judge, "GET", "/", ("User-Agent: UptimeRobot/2.0",))
    assert not judged(judge, "GET", "/embedded/map", mode("navigate"))


def test_everything_keeps_alive_unless_a_rule_says_no_and_that_is_known_beforehand() -> None:
    for method, target, lines in (*WAKES.values(), *LETS_SLEEP.values()):
        assert DEFAULT.keeps_alive(method.encode(), target.encode(), raw(*lines))
    judges = Judges({"some": [Rule(path="/poll", keeps_alive=False)], "all": [Rule(keeps_alive=True)], "none": []})
    assert set(judges.sparing) == {"some"}
    assert not judges.sparing["some"].keeps_alive(b"GET", b"/poll?x", raw())


def test_each_app_has_its_own_rules_and_others_have_the_defaults() -> None:
    judges = Judges({"jobs": [Rule(path="/api/*", wakes=True)]})
    method, target, lines = (POLL[0].encode(), POLL[1].encode(), raw(*POLL[2]))
    assert judges.wakes("jobs", method, target, lines)
    assert not judges.wakes("other", method, target, lines)


# -- any bytes ------------------------------------------------------------------------------------------------------------

words = st.sampled_from(["navigate", "cors", "document", "text/html", "Mozilla/5.0", "/api/", "/", "*", "bot", "GET", "é"])
texts = st.one_of(words, st.text(alphabet=st.characters(max_codepoint=255), max_size=12))
sets = st.none() | st.frozensets(texts, max_size=3)
rules = st.builds(
    Rule,
    methods=sets,
    path=st.none() | texts,
    mode=sets,
    dest=sets,
    accept=st.none() | texts,
    user_agent=st.none() | texts,
    wakes=st.sampled_from([None, True, False]),
    keeps_alive=st.sampled_from([None, True, False]),
)
names = st.sampled_from([b"Accept", b"user-agent", b"Sec-Fetch-Mode", b"Sec-Fetch-Dest", b"Sec-Purpose", b"X-Other"])
values = st.one_of(words.map(lambda text: text.encode("latin-1")), st.binary(max_size=20)).map(
    lambda value: value.replace(b"\r", b"").replace(b"\n", b"")
)
blocks = st.lists(st.tuples(names, values), max_size=6).map(
    lambda lines: b"".join(b"%s: %s\r\n" % line for line in lines) + b"\r\n"
)
requests = st.tuples(st.sampled_from([b"GET", b"HEAD", b"POST", b"BREW"]), st.binary(min_size=1, max_size=30), blocks)


@given(st.lists(rules, max_size=5), requests)
def test_every_request_is_judged_by_the_first_rule_that_answers(given: list[Rule], asked: tuple[bytes, bytes, bytes]) -> None:
    judge = Judge.of(given)
    for question, default in (("wakes", DEFAULT.wakes(*asked)), ("keeps_alive", True)):
        answers = []
        for rule in given:
            # Alone, a rule that does not match leaves the default, whichever answer it has.
            alone = [getattr(Judge.of([_answering(rule, question, answer)]), question)(*asked) for answer in (True, False)]
            if alone == [True, False] and getattr(rule, question) is not None:
                answers.append(getattr(rule, question))
        assert getattr(judge, question)(*asked) == (answers[0] if answers else default)


def _answering(rule: Rule, question: str, answer: bool) -> Rule:
    said = {"wakes": None, "keeps_alive": None, question: answer}
    return Rule(rule.methods, rule.path, rule.mode, rule.dest, rule.accept, rule.user_agent, said["wakes"], said["keeps_alive"])


@given(st.lists(st.text(alphabet="ab/", max_size=3), min_size=1, max_size=4), st.text(alphabet="ab/", max_size=3))
def test_a_star_stands_for_any_characters(parts: list[str], between: str) -> None:
    judge = Judge.of([Rule(path="*".join(parts), wakes=False)])
    assert not judge.wakes(b"GET", between.join(parts).encode() or b"?", raw())


def test_a_path_made_to_take_long_takes_no_time() -> None:
    judge = Judge.of([Rule(path="*a*a*a*a*a*a*a*b", wakes=False)])
    began = perf_counter()
    assert judge.wakes(b"GET", b"/" + b"a" * 16_000, raw())
    assert perf_counter() - began < 1.0
