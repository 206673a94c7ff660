"""What an app says of its sleep: its depths, what is done before, who wakes it, when, and what is kept warm."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.config.reading import Section
from grandcentral.config.sleeping import contradictions
from grandcentral.core.hours import Hours
from grandcentral.core.model import Hook
from grandcentral.core.waking import Rule

from .support import configure, problems
from .test_apps import COMPOSE, GIT, IMAGE, STATIC, app, table

DOCKER_GIT = {**IMAGE, "version": "git-hash"}


# -- what it comes to ---------------------------------------------------------------------------------------------------


def test_hooks_are_in_the_order_in_which_they_are_written(place: Path) -> None:
    found = app(place, COMPOSE, before_stop="{ web = 'sync', db = 'mariadb-dump shop > /dumps/shop.sql' }")
    assert found.before_stop == (Hook("web", "sync"), Hook("db", "mariadb-dump shop > /dumps/shop.sql"))
    assert found.before_stop_within == 60.0
    assert app(place, COMPOSE, before_stop_within="'5m'").before_stop_within == 300.0


def test_rules_are_in_the_order_in_which_they_are_written(place: Path) -> None:
    rules = """
[[apps.app.requests]]
path = "/api/*"
methods = ["GET", "HEAD"]
mode = "cors"
dest = ["empty", "image"]
wakes = false
keeps_alive = false
[[apps.app.requests]]
accept = "text/html"
user_agent = "Mozilla"
wakes = true
"""
    [found] = configure(place, table(COMPOSE) + rules).apps
    assert found.rules == (
        Rule(
            methods=frozenset({"GET", "HEAD"}),
            path="/api/*",
            mode=frozenset({"cors"}),
            dest=frozenset({"empty", "image"}),
            wakes=False,
            keeps_alive=False,
        ),
        Rule(accept="text/html", user_agent="Mozilla", wakes=True),
    )


def test_one_rule_needs_no_list(place: Path) -> None:
    assert app(place, COMPOSE, requests="{ path = '/poll', wakes = false }").rules == (Rule(path="/poll", wakes=False),)


def test_any_request_wakes_means_all_that_no_rule_has_decided(place: Path) -> None:
    assert app(place, COMPOSE).rules == ()
    assert app(place, COMPOSE, wakes="'any'").rules == (Rule(wakes=True),)
    found = app(place, COMPOSE, wakes="'any'", requests="[{ user_agent = 'bot', wakes = false }]")
    assert found.rules == (Rule(user_agent="bot", wakes=False), Rule(wakes=True))


def test_hours(place: Path) -> None:
    text = "Mon-Fri 07:00-20:00 Europe/Berlin"
    assert app(place, COMPOSE, hours=f"'{text}'").hours == Hours.parse(text)
    assert app(place, COMPOSE).hours is None


def test_warmth(place: Path) -> None:
    found = app(place, DOCKER_GIT, prewarm="'start'", warm="['main', 'feature/x', 'v1.2', 'db139cf']")
    assert (found.prewarm, found.warm) == ("start", ("main", "feature/x", "v1.2", "db139cf"))
    assert app(place, GIT, warm="'main'").warm == ("main",)
    assert app(place, IMAGE, warm="'pr-1'").warm == ("pr-1",)
    assert (app(place, IMAGE).prewarm, app(place, IMAGE).warm) == ("off", ())


def test_nothing_of_it_is_said_of_what_is_never_started(place: Path) -> None:
    found = app(place, STATIC)
    assert (found.rules, found.before_stop, found.hours, found.prewarm, found.warm) == ((), (), None, "off", ())


# -- what does not go together ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "more", "problem"),
    [
        (GIT, {"idle": "{ pause = '1h' }"}, "idle: pauses no sooner than it stops: make pause shorter"),
        (GIT, {"idle": "'7d'"}, "idle: stops no sooner than it removes: make stop, after which the data is kept, shorter"),
        (GIT, {"idle": "{ stop = '2h', remove = '1h' }"}, "idle: stops no sooner than it removes"),
        (GIT, {"idle": "{ max_age = '30m' }"}, "idle: stops at max_age before it can have been idle for stop: make max_age"),
        (
            GIT,
            {"idle": "{ pause = '1h', stop = 'never', max_age = '1h' }"},
            "idle: stops at max_age before it can have been idle",
        ),
        (GIT, {"idle": "{ remove = '0s' }"}, "idle.remove: must be longer than 0"),
        (GIT, {"idle": "{ forget = '7d' }"}, "idle: forgets volumes no later than it removes their stack: make forget longer"),
        (GIT, {"idle": "{ forget = '366d' }"}, "idle: forgets volumes when nobody knows any more when they were used: make"),
        (GIT, {"idle": "{ max_age = 3 }"}, "idle.max_age: must be a duration"),
        (GIT, {"idle": "{ rmove = '1d' }"}, 'idle.rmove: is no key of the configuration; did you mean "remove"?'),
        (STATIC, {"wakes": "'any'"}, "wakes: means nothing together with upstream: remove one of them"),
        (STATIC, {"warm": "'main'"}, "warm: means nothing together with upstream"),
        (STATIC, {"hours": "'07:00-20:00'"}, "hours: means nothing together with upstream"),
        (STATIC, {"before_stop": "{ web = 'x' }"}, "before_stop: means nothing together with upstream"),
        (STATIC, {"requests": "{ wakes = true }"}, "requests: means nothing together with upstream"),
        (GIT, {"prewarm": "'pull'"}, "prewarm: means nothing together with git"),
        (COMPOSE, {"prewarm": "'pull'"}, "prewarm: is about what is pushed to a registry, and the app has no image"),
        (IMAGE, {"prewarm": "'always'"}, 'prewarm: "always" is not one of "off", "pull", "start"'),
        (COMPOSE, {"warm": "'main'"}, "warm: is a list of versions, and the app has none: remove it"),
        (IMAGE, {"warm": "['Main']"}, 'warm: "Main" can be no version of this app: write a name of at most 63 letters'),
        (DOCKER_GIT, {"warm": "['a..b']"}, 'warm: "a..b" can be no tag or branch: write one such as "main"'),
        (DOCKER_GIT, {"warm": "3"}, 'warm: must be a string, such as "main", not a number'),
        (COMPOSE, {"wakes": "'all'"}, 'wakes: "all" is not one of "visits", "any"'),
        (COMPOSE, {"hours": "'at 7'"}, 'hours: "at 7" is no range of hours: write it as "Mon-Fri 07:00-20:00'),
        (COMPOSE, {"hours": "'07:00-20:00 Europe/Bern'"}, 'hours: "Europe/Bern" is no time zone: write one like'),
        (COMPOSE, {"before_stop": "'sync'"}, "before_stop: must be a table of services, such as { db = "),
        (COMPOSE, {"before_stop": "{ db = '' }"}, "before_stop: the command line of db must not be empty"),
        (COMPOSE, {"before_stop": "{ db = ['a', 'b'] }"}, "before_stop: the command line of db must be a string, not a list"),
        (COMPOSE, {"before_stop": "{ cache = 'sync' }"}, "before_stop.cache: is no service of this app: there is web, db"),
        (IMAGE, {"before_stop": "{ db = 'sync' }"}, "before_stop.db: is no service of this app: there is web"),
        (GIT, {"before_stop": "{ worker = 'sync' }"}, "before_stop.worker: is no service of this app: there is web"),
        (
            GIT,
            {"command": "", "before_stop": "{ release = 'x' }"},
            "before_stop.release: has ended long before a stack is stopped",
        ),
        (COMPOSE, {"before_stop_within": "'0s'"}, "before_stop_within: must be longer than 0"),
        (COMPOSE, {"requests": "3"}, "requests: must be tables, [[apps.app.requests]], not a number"),
        (COMPOSE, {"requests": "['x']"}, "requests: must be tables, [[apps.app.requests]], not a string"),
        (COMPOSE, {"requests": "[{ path = '/a' }]"}, "requests[1]: answers no question: add wakes or keeps_alive, true or"),
        (
            COMPOSE,
            {"requests": "[{ wakes = true }, { methods = 'get', wakes = true }]"},
            'requests[2].methods: "get" is not one of "GET", "HEAD", "POST"',
        ),
        (
            COMPOSE,
            {"requests": "{ mode = 'cors, navigate', wakes = true }"},
            'requests.mode: "cors, navigate" is not one of "cors", "navigate", "no-cors", "same-origin", "websocket"',
        ),
        (COMPOSE, {"requests": "{ dest = 'xhr', wakes = true }"}, 'requests.dest: "xhr" is not one of "empty", "audio"'),
        (COMPOSE, {"requests": "{ path = 'api', wakes = true }"}, 'requests.path: "api" is not the path of a URL'),
        (COMPOSE, {"requests": "{ path = '/a?b=c', wakes = true }"}, 'requests.path: "/a?b=c" is not the path of a URL'),
        (COMPOSE, {"requests": "{ accept = 'html', wakes = true }"}, 'requests.accept: "html" is no media type'),
        (
            COMPOSE,
            {"requests": "{ method = 'GET', wakes = true }"},
            "requests.method: is no key of the configuration; did you mean",
        ),
        (COMPOSE, {"requests": "{ wakes = 'yes' }"}, "requests.wakes: must be true or false, not a string"),
    ],
)
def test_each_problem_is_said_once_with_its_place_and_remedy(
    place: Path, parts: dict[str, str], more: dict[str, str], problem: str
) -> None:
    text = table(parts, **more)
    key = problem.partition(":")[0].split(".")[0].partition("[")[0]
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(f"{key} ="))
    found = problems(place, text)
    assert [one for one in found if one.startswith(f"gateway.toml:{line}: apps.app.{problem}")], found
    assert len(found) == 1


def test_a_rule_in_a_list_of_tables_has_its_own_line(place: Path) -> None:
    each = "[[apps.app.requests]]\n"
    rules = f"{each}wakes = true\n{each}path = '/a'\n{each}mode = 'x'\nwakes = 1\n"
    assert [problem.split(": ")[:2] for problem in problems(place, table(STATIC) + rules)][1:] == [
        ["gateway.toml:6", "apps.app.requests[2]"],
        ["gateway.toml:9", "apps.app.requests[3].mode"],
        ["gateway.toml:10", "apps.app.requests[3].wakes"],
    ]


def test_a_hook_in_a_table_of_its_own_has_its_own_line(place: Path) -> None:
    [problem] = problems(place, table(COMPOSE) + "[apps.app.before_stop]\ndb = 'sync'\ncache = 'sync'\n")
    assert problem.startswith("gateway.toml:7: apps.app.before_stop.cache: ")


def test_a_loader_has_ended_long_before_the_stop(place: Path) -> None:
    (place / "shop.compose.yaml").write_text(
        "services:\n"
        "  web: {image: i, depends_on: {loader: {condition: service_completed_successfully}}}\n"
        "  loader: {image: i}\n"
    )
    [problem] = problems(place, table(COMPOSE, before_stop="{ loader = 'sync' }"))
    assert "apps.app.before_stop.loader: has ended long before a stack is stopped: name a service that runs on" in problem


def test_what_is_in_a_procfile_shows_only_with_the_commit(place: Path) -> None:
    assert app(place, GIT, command="", before_stop="{ worker = 'sync' }").before_stop == (Hook("worker", "sync"),)


depths = st.floats(1, 1e6) | st.just(math.inf)


@given(depths, depths, depths, depths)
def test_whatever_is_let_through_can_come_about_in_its_order(pause: float, stop: float, remove: float, max_age: float) -> None:
    depths = {"pause": pause, "stop": stop, "remove": remove, "max_age": max_age, "forget": math.inf}
    idle = Section(("idle",), depths, frozenset())
    section = Section(("a",), {"idle": idle, "prewarm": "off", "provisioned": False, "version": None, "warm": ()}, frozenset())
    there = [seconds for seconds in (pause, stop, remove) if seconds != math.inf]
    sound = there == sorted(set(there)) or (stop == math.inf and pause != math.inf)
    if not list(contradictions(section, None)):
        assert sound
        assert max_age == math.inf or all(depth == math.inf or depth < max_age for depth in (pause, stop))


# -- what goes together with other tables -------------------------------------------------------------------------------


def test_what_is_kept_warm_leaves_room_for_more(place: Path) -> None:
    both = table(IMAGE, warm="['a', 'b']") + table(GIT, host="'{version}.b.example.com'", warm="['c']").replace(
        ".app]", ".other]"
    )
    assert problems(place, f"[limits]\nmax_stacks = 3\n{both}") == [
        "gateway.toml:2: limits.max_stacks: is 3, and 3 versions are kept warm, so that nothing else could start: make it more "
        "than 3"
    ]
    assert problems(place, f"[limits]\nmax_stacks = 4\n{both}") == []


def test_notifications_that_nobody_signs_are_waited_for_in_vain(place: Path) -> None:
    [warning] = problems(place, table(IMAGE, prewarm="'pull'"))
    assert warning == (
        "gateway.toml:6: apps.app.prewarm: warning: needs notifications, and none is believed without a secret: add [webhooks] "
        "secret_file"
    )
    assert problems(place, "[webhooks]\nsecret_file = 'token'\n" + table(IMAGE, prewarm="'pull'")) == []
