"""Versions out of a registry: the contract, and the rules by which a name becomes a digest. Registry and time are scripted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha1

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from grandcentral import events
from grandcentral.core.keys import Key
from grandcentral.core.model import Version
from grandcentral.errors import AmbiguousVersion, RegistryUnavailable, UnknownVersion
from grandcentral.manifests.memory import MemoryManifest
from grandcentral.versions.distribution import MEDIA_TYPES
from grandcentral.versions.registry import LOOKS, REMEMBERED, Patience, RegistryVersions

from ..contracts.versions import VersionsContract
from .scripted import FakeRegistry, Reply, Request, ScriptedAgent, digest_of

LONG = "db139cf0123456789abcdef0123456789abcdef0"
SHORT = LONG[:7]


class Bench:
    """A RegistryVersions of the app "app" over a scripted registry; also the harness of the contract."""

    def __init__(self, image: str = "registry.test/team/app:sha-{version}", **options: object) -> None:
        self.registry = FakeRegistry()
        self.agent = ScriptedAgent(self.registry)
        self.clock = Clock()
        self.manifest = MemoryManifest()
        self.manifest.open()
        self.options = {"agent": self.agent, **options}
        self.image = image
        self.restart()

    def restart(self) -> None:
        """All that is in memory is gone; the manifest is not."""
        self.versions = RegistryVersions(self.clock, "app", self.image, self.manifest, **self.options)

    def push(self, *names: str, content: str = "") -> str:
        return self.registry.push(*(f"sha-{name}" for name in names), content=content)

    def ask(self, name: str) -> Version:
        return got(self.versions.resolve(name))

    def refused(self, name: str, kind: type[Exception]) -> Exception:
        with pytest.raises(kind) as caught:
            self.ask(name)
        return caught.value

    def instead(self, answers: Callable[[Request], object]) -> None:
        self.registry.instead = answers

    # -- the harness of the contract

    async def publish(self) -> str:
        name = sha1(str(len(self.registry.tags)).encode()).hexdigest()
        self.push(name)
        return name

    async def branch(self, branch: str) -> str:
        """A version that was asked for, and said that it is of that branch."""
        version = await self.versions.resolve(await self.publish())
        await self.manifest.remember_version("app", evolve(version, branch=branch))
        return version.name

    async def twins(self) -> tuple[str, str]:
        one, other = "abcdef1" + "0" * 33, "abcdef1" + "1" * 33
        self.push(one)
        self.push(other)
        return one, other

    async def away(self, away: bool) -> None:
        self.instead(lambda request: ConnectionRefusedError() if away else NotImplemented)

    def forget(self) -> None:
        self.clock.advance(3600)


def got(deferred: Deferred[Version]) -> Version:
    """The result of a Deferred that has fired; raises what it failed with."""
    results: list[Version] = []
    failures: list[BaseException] = []
    deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
    if failures:
        raise failures[0]
    assert results, "nothing was answered"
    return results[0]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def harness(bench: Bench) -> Bench:
    return bench


@pytest.fixture
def logged() -> Iterator[list[dict]]:
    seen: list[dict] = []
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)


class TestRegistryVersions(VersionsContract):
    pass


# -- the question -------------------------------------------------------------------------------------------------------


def test_the_tag_is_asked_for_by_head_with_all_four_media_types(bench: Bench) -> None:
    digest = bench.push(SHORT)
    version = bench.ask(SHORT)
    assert version == Version(SHORT, image=f"registry.test/team/app:sha-{SHORT}", digest=digest)
    (request,) = bench.agent.asked
    assert str(request) == f"HEAD https://registry.test/v2/team/app/manifests/sha-{SHORT}"
    assert request.header("Accept") == ", ".join(MEDIA_TYPES)
    assert len(MEDIA_TYPES) == 4


@pytest.mark.parametrize(
    ("image", "insecure", "start"),
    [
        ("registry.test/app:{version}", frozenset(), "https://registry.test/v2/app/"),
        ("registry.test:5000/app:{version}", frozenset({"registry.test:5000"}), "http://registry.test:5000/v2/app/"),
        ("registry.test:5000/app:{version}", frozenset({"registry.test"}), "http://registry.test:5000/v2/app/"),
        ("registry.test/app:{version}", frozenset({"other.test"}), "https://registry.test/v2/app/"),
        ("127.0.0.1:5000/app:{version}", frozenset(), "http://127.0.0.1:5000/v2/app/"),
        ("localhost:5000/app:{version}", frozenset(), "http://localhost:5000/v2/app/"),
        ("[::1]:5000/app:{version}", frozenset(), "http://[::1]:5000/v2/app/"),
        ("nginx:{version}", frozenset(), "https://registry-1.docker.io/v2/library/nginx/"),
    ],
)
def test_http_is_spoken_to_loopback_and_where_it_is_said_only(image: str, insecure: frozenset[str], start: str) -> None:
    bench = Bench(image, insecure=insecure)
    bench.instead(lambda request: Reply(200, {"Docker-Content-Digest": digest_of("x")}))
    bench.ask(SHORT)
    assert str(bench.agent.asked[0]).startswith(f"HEAD {start}manifests/")


@pytest.mark.parametrize("status", [200, 405, 501])
def test_a_registry_whose_head_says_no_digest_is_asked_for_the_manifest(bench: Bench, status: int) -> None:
    body = b'{"schemaVersion": 2}'
    bench.instead(lambda request: Reply(status) if request.method == "HEAD" else Reply(200, {}, body))
    assert bench.ask(SHORT).digest == digest_of(body.decode())


def test_a_page_that_answers_200_to_everything_is_no_manifest(bench: Bench) -> None:
    bench.instead(lambda request: Reply(200, {"Content-Type": "text/html"}, b"<h1>Log in to the network</h1>"))
    assert bench.refused(SHORT, RegistryUnavailable).status == 502


@pytest.mark.parametrize("digest", ["sha256:short", "6445", "sha256:" + "z" * 64])
def test_a_digest_that_is_none_is_nonsense(bench: Bench, digest: str) -> None:
    bench.instead(lambda request: Reply(200, {"Docker-Content-Digest": digest}))
    assert bench.refused(SHORT, RegistryUnavailable).status == 502


@pytest.mark.parametrize("name", ["../../v2/other", "a/b", "a b", "x" * 130, "a?b", "a%2fb"])
def test_a_name_that_cannot_be_a_tag_is_unknown_without_a_question(name: str) -> None:
    bench = Bench("registry.test/team/app:{version}", git_hash=False)
    assert bench.refused(name, UnknownVersion).status == 404
    assert bench.agent.asked == []


def test_an_image_without_a_version_is_one_image_for_all_names() -> None:
    bench = Bench("registry.test/team/app:1.0", git_hash=False)
    digest = bench.registry.push("1.0")
    assert bench.ask("alice") == Version("alice", image="registry.test/team/app:1.0", digest=digest)
    assert bench.ask("").digest == digest


def test_an_image_without_a_version_cannot_tell_git_hashes_apart() -> None:
    with pytest.raises(ValueError, match=r"without \{version\} in its tag"):
        Bench("registry.test/team/app:1.0")


# -- absence and failure ------------------------------------------------------------------------------------------------


def test_an_unknown_tag_is_404_and_names_where_it_was_looked_for(bench: Bench) -> None:
    error = bench.refused(SHORT, UnknownVersion)
    assert error.status == 404
    assert error.key == Key("app", SHORT)
    assert "registry.test/team/app:sha-{version}" in str(error)


@pytest.mark.failure(4)
@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (ConnectionRefusedError("nobody listens"), 503, "registry.test cannot be reached"),
        (DNSLookupError("no such name"), 503, "The address of registry.test cannot be found"),
        (Reply(500), 503, "registry.test is in trouble (it answers 500)"),
        (Reply(503), 503, "registry.test is in trouble (it answers 503)"),
        (Reply(429, {"Retry-After": "7"}), 503, "too many questions"),
        (Reply(403), 502, "registry.test refuses us 'team/app' (403)"),
        (Reply(400), 502, "answers 400"),
        (Reply(418), 502, "answers 418"),
        (Reply(302, {"Location": "https://login.test/"}), 502, "redirects to 'https://login.test/'"),
        (Reply(302, {"Location": "https://[::1"}), 502, "redirects to 'https://[::1'"),
        (Reply(302, {}), 502, "redirects in a circle"),
        (Reply(401, {}), 502, "registry.test asks for a login"),
        (Reply(404, {"Content-Type": "text/plain"}, b"404 page not found"), 502, "it does so to everything"),
    ],
)
def test_a_failure_is_never_an_absence_and_names_the_host(bench: Bench, answer: Reply, status: int, words: str) -> None:
    bench.instead(lambda request: answer)
    error = bench.refused(SHORT, RegistryUnavailable)
    assert (error.status, error.type) == (status, "registry-unavailable")
    assert words in str(error)


def test_how_long_a_registry_wants_to_be_left_alone_is_passed_on(bench: Bench) -> None:
    bench.instead(lambda request: Reply(429, {"Retry-After": "7"}))
    assert bench.refused(SHORT, RegistryUnavailable).retry_after == 7.0


def test_a_bare_404_counts_where_a_registry_is(bench: Bench) -> None:
    """A registry need not explain its 404; whether there is one is asked at /v2/."""
    bench.instead(lambda request: Reply(401 if request.url.path == "/v2/" else 404))
    bench.refused(SHORT, UnknownVersion)


def test_a_silent_registry_is_given_up_after_five_seconds_in_all(bench: Bench) -> None:
    bench.instead(lambda request: Reply.json({}, 404) if request.method == "HEAD" else None)
    answer = bench.versions.resolve(SHORT)
    bench.clock.advance(4.9)
    assert not answer.called
    bench.clock.advance(0.2)
    with pytest.raises(RegistryUnavailable, match=r"registry\.test did not answer within 5 s") as caught:
        got(answer)
    assert caught.value.status == 503
    assert bench.clock.getDelayedCalls() == []


def test_a_failure_is_not_remembered(bench: Bench) -> None:
    bench.push(SHORT)
    bench.instead(lambda request: Reply(500))
    bench.refused(SHORT, RegistryUnavailable)
    bench.instead(lambda request: NotImplemented)
    assert bench.ask(SHORT).name == SHORT


# -- one commit, one name -----------------------------------------------------------------------------------------------


def test_a_long_hash_finds_the_short_tag(bench: Bench) -> None:
    bench.push(SHORT)
    assert bench.ask(LONG).name == SHORT


def test_a_short_hash_finds_the_long_tag(bench: Bench) -> None:
    bench.push(LONG)
    assert bench.ask(SHORT).name == LONG


@pytest.mark.parametrize("first", [SHORT, LONG])
def test_a_commit_that_is_tagged_short_and_long_has_the_name_it_was_first_asked_by(bench: Bench, first: str) -> None:
    bench.push(SHORT, LONG)
    assert {bench.ask(first).name, bench.ask(SHORT).name, bench.ask(LONG).name, bench.ask(LONG[:12]).name} == {first}


def test_the_name_stays_after_a_restart(bench: Bench) -> None:
    bench.push(SHORT, LONG)
    bench.ask(LONG)
    bench.restart()
    assert bench.ask(SHORT).name == LONG


def test_short_and_long_asked_for_at_once_get_one_name(bench: Bench) -> None:
    bench.push(SHORT, LONG)
    bench.agent.holding = True
    answers = [bench.versions.resolve(SHORT), bench.versions.resolve(LONG)]
    bench.agent.release()
    one, other = (got(answer) for answer in answers)
    assert one == other


def test_tags_of_one_beginning_and_two_images_are_two_versions(bench: Bench) -> None:
    bench.push(SHORT, content="one")
    bench.push(LONG, content="other")
    assert bench.ask(SHORT).name == SHORT
    assert bench.ask(LONG).name == LONG


def test_digits_that_begin_two_tags_are_ambiguous(bench: Bench) -> None:
    bench.push("abcdef1aaa")
    bench.push("abcdef1bbb")
    error = bench.refused("abcdef1", AmbiguousVersion)
    assert error.candidates == ("abcdef1aaa", "abcdef1bbb")
    assert error.status == 409


def test_an_exact_tag_is_not_ambiguous(bench: Bench) -> None:
    for name in ("abcdef1", "abcdef1aaa", "abcdef1bbb"):
        bench.push(name)
    assert bench.ask("abcdef1").name == "abcdef1"


def test_tags_of_other_things_are_no_spellings(bench: Bench) -> None:
    bench.registry.push(LONG, f"v-{LONG}", f"sha-{LONG}-debug", f"sha-{LONG.upper()}", "sha-db139c")
    bench.refused(SHORT, UnknownVersion)


def test_names_that_are_no_git_hashes_have_one_spelling() -> None:
    bench = Bench("registry.test/team/app:sha-{version}", git_hash=False)
    bench.push("release-1-0")
    bench.refused("release-1", UnknownVersion)
    assert bench.agent.count("GET") == 0


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_registry_that_lists_no_tags_has_no_other_spellings(bench: Bench, status: int) -> None:
    bench.push(LONG)
    challenge = {"WWW-Authenticate": "Negotiate"} if status == 401 else {}
    bench.instead(lambda request: Reply(status, challenge) if request.url.path.endswith("/tags/list") else NotImplemented)
    bench.refused(SHORT, UnknownVersion)
    assert bench.ask(LONG).name == LONG


@pytest.mark.parametrize("answer", [Reply(500), Reply(200, {}, b"<html>"), Reply.json([]), ConnectionRefusedError()])
def test_a_list_that_fails_is_a_failure(bench: Bench, answer: Reply) -> None:
    bench.instead(lambda request: answer if request.url.path.endswith("/tags/list") else NotImplemented)
    bench.refused(SHORT, RegistryUnavailable)


def pages(request: Request) -> object:
    """A list of tags in three pages; the fourth is at another host."""
    if not request.url.path.endswith("/tags/list"):
        return NotImplemented
    number = int(request.query.get("last", "0"))
    elsewhere = "https://evil.test" if number == 2 else ""
    link = f'<{elsewhere}/v2/team/app/tags/list?last={number + 1}&n=1000>; rel="next"'
    return Reply.json({"tags": [f"sha-{number}{LONG[1:]}"]}, Link=link)


def test_a_list_is_read_page_by_page_and_never_from_another_host(bench: Bench) -> None:
    bench.push(f"2{LONG[1:]}")
    bench.instead(pages)
    assert bench.ask(f"2{LONG[1:9]}").name == f"2{LONG[1:]}"
    assert bench.agent.count("GET") == 3
    assert {request.url.netloc for request in bench.agent.asked} == {"registry.test"}


def test_a_list_without_end_is_left_at_ten_pages(bench: Bench) -> None:
    def endless(request: Request) -> object:
        if not request.url.path.endswith("/tags/list"):
            return NotImplemented
        link = f'</v2/team/app/tags/list?last={request.query.get("last", "")}x>; rel="next"'
        return Reply.json({"tags": ["sha-0000000"]}, Link=link)

    bench.instead(endless)
    bench.refused(SHORT, UnknownVersion)
    assert bench.agent.count("GET") == 10


# -- digests move -------------------------------------------------------------------------------------------------------


def test_a_moved_tag_gives_its_new_digest_once_the_cache_is_stale(bench: Bench) -> None:
    old = bench.push(SHORT, content="old")
    assert bench.ask(SHORT).digest == old
    new = bench.push(SHORT, content="new")
    bench.clock.advance(59)
    assert bench.ask(SHORT).digest == old
    bench.clock.advance(2)
    assert bench.ask(SHORT).digest == new
    assert [version.digest for version in got(bench.manifest.known_versions("app", SHORT))] == [new]


def test_a_tag_that_was_taken_away_is_unknown(bench: Bench) -> None:
    bench.push(SHORT)
    bench.ask(SHORT)
    bench.registry.tags.clear()
    bench.clock.advance(61)
    bench.refused(SHORT, UnknownVersion)


# -- the registry is away -----------------------------------------------------------------------------------------------

OUTAGES = [ConnectionRefusedError(), Reply(500), Reply(401), Reply(403), Reply(200, {}, b"<html>"), Reply(418)]


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
def test_what_is_known_resolves_in_any_outage_even_after_a_restart(bench: Bench, outage: object, logged: list[dict]) -> None:
    bench.push(LONG)
    version = bench.ask(LONG)
    bench.instead(lambda request: outage)
    bench.restart()
    assert bench.ask(LONG) == version
    assert bench.ask(SHORT) == version
    said = [event for event in logged if event.get("log_format") == events.VERSION_FROM_MEMORY]
    assert [event["name"] for event in said] == [LONG, SHORT]


def test_what_is_known_resolves_when_the_registry_is_silent(bench: Bench) -> None:
    bench.push(LONG)
    version = bench.ask(LONG)
    bench.clock.advance(61)
    bench.instead(lambda request: None)
    answer = bench.versions.resolve(LONG)
    bench.clock.advance(5.1)
    assert got(answer) == version


def test_an_answer_from_memory_is_good_for_a_moment_only(bench: Bench) -> None:
    old = bench.push(SHORT, content="old")
    bench.ask(SHORT)
    bench.clock.advance(61)
    bench.instead(lambda request: Reply(500))
    assert bench.ask(SHORT).digest == old
    asked = len(bench.agent.asked)
    assert bench.ask(SHORT).digest == old
    assert len(bench.agent.asked) == asked
    bench.instead(lambda request: NotImplemented)
    new = bench.push(SHORT, content="new")
    bench.clock.advance(5.1)
    assert bench.ask(SHORT).digest == new


def test_known_versions_of_one_beginning_are_ambiguous_during_an_outage_too(bench: Bench) -> None:
    for name in ("abcdef1aaa", "abcdef1bbb"):
        bench.push(name)
        bench.ask(name)
    bench.instead(lambda request: Reply(500))
    bench.refused("abcdef1", AmbiguousVersion)


def test_a_broken_manifest_stops_nothing_and_is_said(bench: Bench, logged: list[dict]) -> None:
    bench.push(SHORT)
    bench.manifest.broken = sqlite3.OperationalError("disk I/O error")
    assert bench.ask(SHORT).name == SHORT
    said = [event for event in logged if event.get("log_format") == events.MANIFEST_FAILED]
    assert {str(event["why"]) for event in said} == {"disk I/O error"}


# -- caches -------------------------------------------------------------------------------------------------------------


def test_a_hundred_at_once_ask_once(bench: Bench) -> None:
    bench.push(SHORT)
    bench.agent.holding = True
    answers = [bench.versions.resolve(SHORT) for _ in range(100)]
    bench.agent.release()
    assert len({got(answer) for answer in answers}) == 1
    assert len(bench.agent.asked) == 1


@pytest.mark.failure(4)
def test_an_absence_is_remembered_for_five_seconds(bench: Bench) -> None:
    bench.refused(SHORT, UnknownVersion)
    asked = len(bench.agent.asked)
    bench.push(SHORT)
    bench.clock.advance(4.9)
    bench.refused(SHORT, UnknownVersion)
    assert len(bench.agent.asked) == asked
    bench.clock.advance(0.2)
    assert bench.ask(SHORT).name == SHORT


def test_one_list_of_tags_serves_many_names_for_a_while(bench: Bench) -> None:
    for number in range(10):
        bench.refused(f"{number:07x}", UnknownVersion)
    assert bench.agent.count("GET") == 1
    bench.clock.advance(5.1)
    bench.refused("fffffff", UnknownVersion)
    assert bench.agent.count("GET") == 2


def test_random_hashes_fill_no_memory_and_drive_out_nothing_that_is_there(bench: Bench) -> None:
    bench.push(SHORT)
    bench.ask(SHORT)
    for number in range(REMEMBERED + 100):
        bench.refused(f"{number:040x}", UnknownVersion)
    asked = len(bench.agent.asked)
    bench.ask(SHORT)
    assert len(bench.agent.asked) == asked
    assert len(bench.versions._absent) == REMEMBERED


def test_a_flood_is_refused_before_it_reaches_the_registry_and_the_known_still_resolve(bench: Bench) -> None:
    bench.push(SHORT)
    version = bench.ask(SHORT)
    bench.restart()
    bench.agent.holding = True
    flood = [bench.versions.resolve(f"{number:040x}") for number in range(LOOKS)]
    asked = len(bench.agent.asked)
    error = bench.refused("f" * 40, RegistryUnavailable)
    assert (error.status, str(LOOKS) in str(error)) == (503, True)
    assert bench.ask(SHORT) == version
    assert len(bench.agent.asked) == asked
    bench.agent.release()
    for answer in flood:
        with pytest.raises(UnknownVersion):
            got(answer)


def test_caches_last_as_long_as_they_are_told() -> None:
    bench = Bench(patience=Patience(present=1.0, absent=1.0))
    bench.push(SHORT)
    bench.ask(SHORT)
    bench.clock.advance(1.1)
    bench.ask(SHORT)
    assert bench.agent.count("HEAD") == 2


def test_close_gives_up_what_is_being_asked(bench: Bench) -> None:
    bench.agent.holding = True
    answer = bench.versions.resolve(SHORT)
    outcome: list[object] = []
    answer.addErrback(outcome.append)
    bench.versions.close()
    assert len(outcome) == 1
    assert bench.clock.getDelayedCalls() == []


# -- pushes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [SHORT, LONG, LONG[:12]])
def test_a_commit_that_is_said_to_be_pushed_is_no_longer_absent_by_any_spelling(bench: Bench, spelling: str) -> None:
    bench.refused(spelling, UnknownVersion)
    bench.push(LONG)
    bench.refused(spelling, UnknownVersion)
    bench.versions.pushed(LONG)
    assert bench.ask(spelling).name == LONG


def test_a_tag_that_is_said_to_be_pushed_is_asked_for_anew() -> None:
    bench = Bench("registry.test/team/app:{version}", git_hash=False)
    first = bench.registry.push("main", content="first")
    assert bench.ask("main").digest == first
    second = bench.registry.push("main", content="second")
    assert bench.ask("main").digest == first
    bench.versions.pushed("main-2")  # another
    assert bench.ask("main").digest == first
    bench.versions.pushed("main")
    assert bench.ask("main").digest == second


def test_the_head_of_a_tag_is_the_tag() -> None:
    bench = Bench("registry.test/team/app:{version}", git_hash=False)
    digest = bench.registry.push("main")
    assert got(bench.versions.head("main")) == Version("main", image="registry.test/team/app:main", digest=digest)


def test_without_the_manifest_no_branch_is_known(bench: Bench, logged: list[dict]) -> None:
    bench.manifest.broken = sqlite3.OperationalError("disk I/O error")
    with pytest.raises(UnknownVersion):
        got(bench.versions.head("main"))
    assert events.MANIFEST_FAILED in [event["log_format"] for event in logged]


def on_its_way(bench: Bench, name: str, before: str | None) -> tuple[Deferred[Version], Callable[[], None]]:
    """A look that is under way, and what lands it: the tag had the digest ``before``, or was not there."""
    bench.agent.holding = True
    look = bench.versions.resolve(name)
    bench.agent.holding = False

    def land() -> None:
        now = dict(bench.registry.tags)
        if before is None:
            bench.registry.tags.clear()
        else:
            bench.registry.tags[name] = before
        bench.agent.release()
        bench.registry.tags.update(now)

    return look, land


def test_a_look_from_before_a_push_is_not_joined_after_it_nor_remembered() -> None:
    bench = Bench("registry.test/team/app:{version}", git_hash=False)
    before = bench.registry.push("main", content="before")
    early, land = on_its_way(bench, "main", before)
    after = bench.registry.push("main", content="after")
    bench.versions.pushed("main")
    late = bench.versions.resolve("main")
    assert got(late).digest == after
    land()
    assert got(early).digest == before
    assert bench.ask("main").digest == after


@pytest.mark.parametrize("spelling", [SHORT, LONG])
def test_nor_is_an_absence_from_before_a_push(bench: Bench, spelling: str) -> None:
    early, land = on_its_way(bench, spelling, None)
    bench.push(LONG)
    bench.versions.pushed(LONG)
    assert bench.ask(spelling).name == LONG
    land()
    with pytest.raises(UnknownVersion):
        got(early)
    assert bench.ask(spelling).name == LONG
