"""Which stack a host names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.keys import Key
from grandcentral.core.model import App
from grandcentral.core.routing import Conflict, Routes, Unrouted, conflicts, host_for

QUEPID = App("quepid", "docker", hosts=("{version}.review.example.com",), version="git-hash")
PULLS = App("pulls", "docker", hosts=("pr-{version}.review.example.com",), version="name")
HOODIE = App("hoodie", "docker", hosts=("{app}.{user}.hoodies.example.com",), version="name")
DOCS = App("docs", "static", hosts=("docs.example.com", "www.review.example.com", "[::1]"))
BELOW = App("below", "static", hosts=("*.example.com",))
DEEPER = App("deeper", "static", hosts=("*.wild.example.com",))
REST = App("rest", "static", hosts=("*",))

HASH = "a git hash of 7 to 40 hex digits"


@pytest.mark.parametrize(
    ("host", "key"),
    [
        (b"db139cf.review.example.com", Key("quepid", "db139cf")),
        (b"DB139CF.Review.Example.Com:8080", Key("quepid", "db139cf")),
        (b"db139cf.review.example.com.", Key("quepid", "db139cf")),
        (b"pr-17.review.example.com", Key("pulls", "17")),
        (b"blog.alice.hoodies.example.com", Key("hoodie", "alice.blog")),
        (b"docs.example.com:443", Key("docs")),
        (b"[0:0::1]:8080", Key("docs")),
    ],
)
def test_a_host_names_a_key(host: bytes, key: Key) -> None:
    assert Routes([QUEPID, PULLS, HOODIE, DOCS]).match(host) == key


def test_an_exact_host_goes_before_a_template() -> None:
    assert Routes([QUEPID, DOCS]).match(b"www.review.example.com") == Key("docs")


def test_a_template_goes_before_a_wildcard_whichever_is_named_first() -> None:
    for apps in ([QUEPID, BELOW], [BELOW, QUEPID]):
        assert Routes(apps).match(b"db139cf.review.example.com") == Key("quepid", "db139cf")


def test_the_template_with_more_fixed_text_goes_first() -> None:
    names = App("names", "docker", hosts=("{version}.review.example.com",), version="name")
    tails = App("tails", "docker", hosts=("{version}-old.review.example.com",), version="name")
    routes = Routes([names, PULLS, tails])
    assert routes.match(b"pr-17.review.example.com") == Key("pulls", "17")
    assert routes.match(b"17-old.review.example.com") == Key("tails", "17")
    assert routes.match(b"main.review.example.com") == Key("names", "main")


def test_a_template_that_cannot_take_the_label_leaves_it_to_the_next() -> None:
    hashes = App("hashes", "docker", hosts=("pr-{version}.review.example.com",), version="git-hash")
    names = App("names", "docker", hosts=("{version}.review.example.com",), version="name")
    assert Routes([hashes, names]).match(b"pr-main.review.example.com") == Key("names", "pr-main")


def test_the_longer_wildcard_goes_first_and_covers_every_depth() -> None:
    routes = Routes([BELOW, DEEPER])
    assert routes.match(b"a.wild.example.com") == Key("deeper")
    assert routes.match(b"a.b.wild.example.com") == Key("deeper")
    assert routes.match(b"wild.example.com") == Key("below")
    assert routes.match(b"example.com") == Unrouted("example.com")


def test_the_default_app_takes_what_nobody_claims() -> None:
    routes = Routes([QUEPID, BELOW, REST])
    assert routes.match(b"203.0.113.7") == Key("rest")
    assert routes.match(b"[2001:db8::1]") == Key("rest")
    assert routes.match(b"example.com") == Key("rest")


def test_a_host_that_no_app_claims_has_no_label() -> None:
    routes = Routes([QUEPID])
    assert routes.match(b"other.test") == Unrouted("other.test", None)
    assert routes.match(b"review.example.com") == Unrouted("review.example.com", None)
    assert routes.match(b"a.db139cf.review.example.com") == Unrouted("a.db139cf.review.example.com", None)


@pytest.mark.parametrize("label", ["main", "db139c", "db139cg", "d" * 41])
def test_a_label_that_is_no_version_is_said_to_be_none(label: str) -> None:
    host = f"{label}.review.example.com"
    assert Routes([QUEPID]).match(host.encode()) == Unrouted(host, label, HASH)


def test_such_a_label_does_not_fall_to_a_wildcard_or_the_default_app() -> None:
    assert Routes([QUEPID, BELOW, REST]).match(b"main.review.example.com") == Unrouted("main.review.example.com", "main", HASH)


@pytest.mark.failure(22)
@pytest.mark.parametrize("host", [b"", b"\xff\xfe", b"a b", b"caf\xc3\xa9.example.com", b"..", b"[::1"])
def test_bytes_that_are_no_host_lead_nowhere_even_with_a_default_app(host: bytes) -> None:
    answer = Routes([REST]).match(host)
    assert isinstance(answer, Unrouted)
    assert answer.label is None
    assert answer.host.isascii()


@given(st.binary() | st.from_regex(rb"[\[\]a-zA-Z0-9.:_-]{0,60}(\.review\.example\.com)?", fullmatch=True))
def test_no_bytes_raise_and_the_same_bytes_get_the_same_answer(host: bytes) -> None:
    routes = Routes([QUEPID, PULLS, HOODIE, DOCS, BELOW])
    answer = routes.match(host)
    assert isinstance(answer, Key | Unrouted)
    assert routes.match(host) == answer == Routes(routes.apps).match(host)


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(labels, labels)
def test_the_host_of_a_key_names_that_key(app: str, user: str) -> None:
    key = Key("hoodie", f"{user}.{app}")
    assert Routes([HOODIE]).match(host_for(HOODIE, key).encode()) == key
    pull = Key("pulls", app)
    assert Routes([QUEPID, PULLS]).match(host_for(PULLS, pull).encode()) == pull


def test_the_host_of_a_key_is_by_the_first_pattern_that_is_no_wildcard() -> None:
    app = App("shop", "static", hosts=("*.example.com", "shop.example.org"))
    assert host_for(app, Key("shop")) == "shop.example.org"
    assert host_for(BELOW, Key("below")) == "below.example.com"
    assert host_for(REST, Key("rest")) == "rest"


def test_two_claims_to_the_same_hosts_are_a_conflict() -> None:
    other = App("other", "docker", hosts=("{commit}.review.example.com", "DOCS.example.com"), version="name")
    assert conflicts([QUEPID, DOCS, other]) == (
        Conflict("{commit}.review.example.com", "quepid", "other"),
        Conflict("DOCS.example.com", "docs", "other"),
    )
    assert conflicts([QUEPID, PULLS, HOODIE, DOCS, BELOW, DEEPER, REST]) == ()


def test_what_is_remembered_of_recent_hosts_is_bounded() -> None:
    routes = Routes([QUEPID, BELOW])
    for number in range(10_000):
        assert routes.match(b"%07x.review.example.com" % number) == Key("quepid", f"{number:07x}")
        routes.match(b"%d.nowhere.test" % number)
    assert len(routes._recent) <= 4096


class CountedLookups(dict):
    """A mapping that counts how often it is asked."""

    asked = 0

    def get(self, key: object, default: object = None) -> object:
        self.asked += 1
        return super().get(key, default)


@pytest.mark.parametrize(
    "style", ["{{version}}.app{}.example.com", "app{}-{{version}}.example.com", "{{version}}-app{}.example.com"]
)
def test_a_thousand_apps_are_no_scan(style: str) -> None:
    """The look-ups made for one host, with a thousand apps, are counted: a few for each suffix of the host."""
    apps = [App(f"app{n}", "docker", hosts=(style.format(n),), version="git-hash") for n in range(1000)]
    routes = Routes(apps)
    counted = CountedLookups(routes._templates)
    buckets = []
    for suffix, bucket in routes._templates.items():
        templates = CountedLookups(bucket.templates)
        counted[suffix] = type(bucket)(bucket.forms, templates)
        buckets.append(templates)
    object.__setattr__(routes, "_templates", counted)
    host = style.format(999).replace("{version}", "db139cf")
    assert routes.match(host.encode()) == Key("app999", "db139cf")
    assert counted.asked + sum(bucket.asked for bucket in buckets) <= 8
