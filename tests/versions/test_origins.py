"""What an image says it was built from: who is believed, and that nobody waits for it."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from grandcentral import events
from grandcentral.core.model import Version
from grandcentral.versions.origins import AGAIN, LATER, QUEUED, WITHIN, Origins, read

from .scripted import Reply, Request, digest_of
from .test_registry import LONG, SHORT, Bench, got

BUILT = "2026-11-20T13:04:05.123456789Z"
SECONDS = 1795179845.123456
STANDARD = "org.opencontainers.image."


def image(labels: dict[str, object] | None = None, created: object = BUILT) -> dict:
    return {"architecture": "amd64", "created": created, "config": {"Labels": labels}}


def of(labels: dict[str, object] | None, name: str = SHORT, created: object = BUILT) -> Version:
    """What becomes known of a version of that name whose image has these labels."""
    return read(image(labels, created)).of(Version(name))


# -- who is believed ----------------------------------------------------------------------------------------------------


def test_an_image_without_labels_says_when_it_was_made() -> None:
    assert of(None) == Version(SHORT, created=pytest.approx(SECONDS, abs=1e-5))


def test_our_own_label_names_the_branch() -> None:
    assert of({"grandcentral.branch": "feature/x"}).branch == "feature/x"


def test_our_own_label_wins_over_the_standard_one() -> None:
    labels = {"grandcentral.branch": "feature/x", f"{STANDARD}ref.name": "v1", f"{STANDARD}revision": LONG}
    assert of(labels).branch == "feature/x"


@pytest.mark.parametrize("name", [SHORT, LONG])
@pytest.mark.parametrize("revision", [LONG, LONG.upper(), SHORT])
def test_the_standard_labels_count_beside_the_revision_of_this_version(name: str, revision: str) -> None:
    labels = {
        f"{STANDARD}ref.name": "refs/heads/main",
        f"{STANDARD}revision": revision,
        f"{STANDARD}created": "2026-11-20T14:00:00+01:00",
    }
    assert of(labels, name) == Version(name, branch="main", created=SECONDS - 245.123456)


@pytest.mark.parametrize("revision", [None, "0123456789abcdef", "d", ""])
def test_the_labels_of_a_base_image_say_nothing_of_what_is_built_on_it(revision: str | None) -> None:
    labels: dict[str, object] = {f"{STANDARD}ref.name": "ubuntu", f"{STANDARD}created": "2020-01-01T00:00:00Z"}
    if revision is not None:
        labels[f"{STANDARD}revision"] = revision
    assert of(labels) == Version(SHORT, created=pytest.approx(SECONDS, abs=1e-5))


def test_of_a_version_that_is_no_hash_any_revision_will_do() -> None:
    labels = {f"{STANDARD}ref.name": "main", f"{STANDARD}revision": LONG}
    assert of(labels, "pr-12").branch == "main"
    assert of({f"{STANDARD}ref.name": "ubuntu"}, "pr-12").branch is None


def test_what_is_known_already_stays() -> None:
    known = Version(SHORT, branch="main", created=5.0)
    assert read(image({"grandcentral.branch": "other"})).of(known) == known


@pytest.mark.parametrize("created", [None, 5, "", "yesterday", "2026-11-20T13:04:05", "1970-01-01T00:00:00Z", "9999-99-99", []])
def test_a_time_that_is_none_or_is_not_meant_is_not_said(created: object) -> None:
    assert of(None, created=created).created is None


@pytest.mark.parametrize("branch", [None, 5, "", "  ", "x" * 256, "a\nb", ["main"]])
def test_a_branch_that_is_none_is_not_said(branch: object) -> None:
    assert of({"grandcentral.branch": branch}).branch is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(anything, anything, st.dictionaries(st.sampled_from(["grandcentral.branch", f"{STANDARD}revision"]), anything))
def test_nothing_in_an_image_can_hurt(created: object, inner: object, labels: dict[str, object]) -> None:
    for configuration in ({"created": created, "config": inner}, image(labels, created), {"config": {"Labels": inner}}):
        assert read(configuration).of(Version(SHORT)).name == SHORT


# -- nobody waits for it ------------------------------------------------------------------------------------------------


class Learning(Bench):
    """A bench whose registry has images with labels; ``told`` is what the gateway was told of."""

    def __init__(self) -> None:
        self.told: list[Version] = []
        super().__init__(learned=self.told.append)

    def push_image(self, name: str = SHORT, platforms: int = 0, **labels: object) -> str:
        return self.registry.push_image(f"sha-{name}", image({"grandcentral.branch": "main", **labels}), platforms)

    def later(self, seconds: float = LATER) -> None:
        self.clock.advance(seconds)

    def remembered(self, name: str = SHORT) -> Version:
        return got(self.manifest.known_versions("app", name))[0]


@pytest.fixture
def learning() -> Learning:
    return Learning()


@pytest.mark.parametrize("platforms", [0, 1, 3])
def test_the_first_answer_comes_at_once_and_later_ones_know_the_branch(learning: Learning, platforms: int) -> None:
    digest = learning.push_image(platforms=platforms)
    first = learning.ask(SHORT)
    assert (first.digest, first.branch, first.created) == (digest, None, None)
    assert [request.method for request in learning.agent.asked] == ["HEAD"]
    learning.later()
    known = learning.ask(SHORT)
    assert (known.branch, known.created) == ("main", pytest.approx(SECONDS, abs=1e-5))
    assert learning.told == [known]
    assert learning.remembered() == known
    assert got(learning.manifest.newest("app", "main")) == known


def test_it_is_asked_once_for_each_image(learning: Learning) -> None:
    learning.push_image()
    for _ in range(5):
        learning.ask(SHORT)
        learning.later(61)
    assert learning.agent.count("GET") == 2  # the manifest and the configuration
    assert learning.ask(SHORT).branch == "main"
    assert len(learning.told) == 1


def test_it_is_not_asked_again_after_a_restart(learning: Learning) -> None:
    learning.push_image()
    learning.ask(SHORT)
    learning.later()
    learning.restart()
    assert learning.ask(SHORT).branch == "main"
    learning.later()
    assert learning.agent.count("GET") == 2


def test_a_tag_that_was_moved_says_something_else(learning: Learning) -> None:
    learning.push_image()
    learning.ask(SHORT)
    learning.later()
    learning.push_image(**{"grandcentral.branch": "other"})
    learning.later(61)
    assert learning.ask(SHORT).branch is None
    learning.later()
    assert learning.ask(SHORT).branch == "other"
    assert got(learning.manifest.newest("app", "main")) is None


def test_a_tag_that_moves_while_its_old_image_is_asked_about_stays_moved(learning: Learning) -> None:
    learning.push_image()
    learning.ask(SHORT)
    moved = Version(SHORT, "registry.test/team/app:sha-db139cf", digest_of("newer"))
    got(learning.manifest.remember_version("app", moved))
    learning.later()
    assert learning.remembered() == moved
    assert learning.told == []


ODD = {
    "no digest": lambda body: b'{"schemaVersion": 2, "config": {}}',
    "no object": lambda body: b"[1, 2]",
    "no JSON": lambda body: b"<html>",
    "an index of nothing": lambda body: b'{"manifests": []}',
    "an index of numbers": lambda body: b'{"manifests": [7]}',
    "no list": lambda body: b'{"manifests": "none"}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_where_a_registry_answers_oddly_there_is_no_branch_and_a_line_in_the_log(learning: Learning, odd: object) -> None:
    body = odd(b"")  # type: ignore[operator]
    learning.registry.tags[f"sha-{SHORT}"] = digest = digest_of(body.decode())
    learning.registry.content[digest] = body
    assert [event["digest"] for event in unlearned(learning)] == [digest]


@pytest.mark.parametrize(
    "answer",
    [ConnectionRefusedError(), Reply(500), Reply(404), Reply(401), Reply(429), Reply(200, {}, b"another"), None],
    ids=str,
)
def test_a_registry_that_does_not_say_is_asked_again_but_not_soon(learning: Learning, answer: object) -> None:
    learning.push_image()
    learning.instead(lambda request: NotImplemented if request.method == "HEAD" else answer)
    assert len(unlearned(learning)) == 1
    asked = learning.agent.count("GET")
    learning.instead(lambda request: NotImplemented)
    for _ in range(3):
        learning.later(61)
        learning.ask(SHORT)
        learning.later()
    assert learning.agent.count("GET") == asked
    learning.later(AGAIN)
    learning.ask(SHORT)
    learning.later()
    assert learning.ask(SHORT).branch == "main"


def unlearned(learning: Learning) -> list[dict]:
    """Resolve, let all that is asked beside it go wrong, and return what was logged of that."""
    logged: list[dict] = []
    globalLogPublisher.addObserver(logged.append)
    learning.ask(SHORT)
    learning.later()
    learning.later(WITHIN)
    globalLogPublisher.removeObserver(logged.append)
    assert learning.ask(SHORT).branch is None
    assert learning.told == []
    return [event for event in logged if event["log_format"] == events.ORIGIN_UNKNOWN]


def blobs_elsewhere(where: str, learning: Learning) -> object:
    def answer(request: Request) -> object:
        if "/blobs/" in request.url.path and request.url.netloc == "registry.test":
            return Reply(307, {"Location": f"{where}{request.url.path}?signature=x"})
        return NotImplemented

    return answer


def test_blobs_may_be_elsewhere_over_https_and_our_credentials_stay_here(learning: Learning) -> None:
    learning.push_image()
    learning.instead(blobs_elsewhere("https://storage.test", learning))
    learning.versions._repository._authorization._grant = Granted()
    learning.ask(SHORT)
    learning.later()
    assert learning.ask(SHORT).branch == "main"
    shown = {(request.url.netloc, request.header("Authorization")) for request in learning.agent.asked}
    assert shown == {("registry.test", "Bearer t"), ("storage.test", None)}


class Granted:
    header, until = "Bearer t", 1e9


@pytest.mark.parametrize("where", ["http://storage.test", "http://127.0.0.1", "ftp://storage.test"])
def test_nobody_is_asked_over_http_for_what_a_registry_redirects_to(learning: Learning, where: str) -> None:
    learning.push_image()
    learning.instead(blobs_elsewhere(where, learning))
    assert len(unlearned(learning)) == 1
    assert {request.url.netloc for request in learning.agent.asked} == {"registry.test"}


def test_a_broken_manifest_is_no_reason_not_to_know(learning: Learning) -> None:
    learning.push_image()
    learning.manifest.broken = sqlite3.OperationalError("disk I/O error")
    learning.ask(SHORT)
    learning.later()
    assert learning.ask(SHORT).branch == "main"


def test_closing_ends_the_asking(learning: Learning) -> None:
    learning.push_image()
    learning.ask(SHORT)
    learning.instead(lambda request: None)
    learning.later()
    learning.versions.close()
    assert learning.clock.getDelayedCalls() == []


# -- bounds -------------------------------------------------------------------------------------------------------------


def test_images_are_asked_about_one_after_the_other_and_not_without_end() -> None:
    clock, asked = Clock(), []

    async def ask(digest: str) -> dict:
        asked.append(digest)
        return await Deferred()

    async def learned(name: str, digest: str) -> None:
        raise AssertionError("nobody answers")

    origins = Origins(clock, ask, learned)
    for number in range(QUEUED + 50):
        origins.learn(Version(SHORT, digest=f"sha256:{number}"))
    clock.advance(LATER)
    assert asked == ["sha256:0"]
    for _ in range(QUEUED * 2):
        clock.advance(WITHIN)
    assert asked == [f"sha256:{number}" for number in range(QUEUED)]
    assert clock.getDelayedCalls() == []


def test_a_fault_of_ours_is_in_the_log_and_the_next_image_is_asked_about(clean_reactor: list[Failure]) -> None:
    clock, learned_of = Clock(), []

    async def ask(digest: str) -> dict:
        return {} if digest == "sha256:2" else 1 / 0  # type: ignore[return-value]

    async def learned(name: str, digest: str) -> None:
        learned_of.append(digest)

    origins = Origins(clock, ask, learned)
    for digest in ("sha256:1", "sha256:2"):
        origins.learn(Version(SHORT, digest=digest))
        clock.advance(LATER)
    assert learned_of == ["sha256:2"]
    assert [failure.type for failure in clean_reactor] == [ZeroDivisionError]
    clean_reactor.clear()
