"""What comes of a push, on a clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail
from twisted.logger import globalLogPublisher

from grandcentral import events
from grandcentral.backends.memory import MemoryBackend
from grandcentral.core.keys import Key
from grandcentral.core.model import App, Launch, Version
from grandcentral.core.problems import Invalid, Problem
from grandcentral.core.references import Reference
from grandcentral.errors import ImageUnavailable, UnknownVersion
from grandcentral.interfaces import Report
from grandcentral.stacks.prewarming import PATIENCE, Prewarming, stacks_of

from .world import World

NAMES = [digit * 7 for digit in "01234567"]


def image(name: str, repository: str = "team/app", digest: str | None = None) -> Reference:
    return Reference("registry.test", repository, f"sha-{name}", digest)


@define
class Pushes:
    """A world whose app is pushed to a registry; ``looks`` counts the looks for new heads."""

    world: World
    prewarm: str = "pull"
    looks: int = 0
    prewarming: Prewarming = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.set(prewarm=self.prewarm)
        self.prewarming = Prewarming(self.world.clock, self.world.table, self.look)

    def set(self, **more: Any) -> None:
        app = self.world.table.apps["app"]
        self.world.table.apps = {"app": evolve(app, image="registry.test/team/app:sha-{version}", **more)}

    def look(self) -> None:
        self.looks += 1

    def push(self, *names: str, seconds: float = 1.0, digest: str | None = None) -> list[str]:
        keys = self.prewarming.pushed([image(name, digest=digest) for name in names])
        self.world.pass_time(seconds)
        return [str(key) for key in keys]

    @property
    def fetched(self) -> list[str]:
        return [key.name for key in self.world.engine.fetched]


@pytest.fixture
def pushes(world: World) -> Iterator[Pushes]:
    pushes = Pushes(world)
    yield pushes
    pushes.prewarming.stop()


@pytest.fixture
def troubles() -> Iterator[list[str]]:
    said: list[str] = []

    def note(event: dict[str, Any]) -> None:
        if event["log_format"] == events.PREWARM_FAILED:
            said.append(f"{event['key']}: {event['why']}")

    globalLogPublisher.addObserver(note)
    yield said
    globalLogPublisher.removeObserver(note)


# -- which stacks an image is of --------------------------------------------------------------------------------------------

COMMITS = App("commits", "docker", version="git-hash", image="registry.test/team/app:sha-{version}")
TAGS = App("tags", "docker", version="name", image="registry.test/team/app:{version}")
FIXED = App("fixed", "docker", image="team/site:latest")
SAME = App("same", "docker", version="name", image="registry.test/team/app:main")
CODE = App("code", "process", version="git-hash", git="/srv/code")
APPS = (COMMITS, TAGS, FIXED, SAME, CODE)


@pytest.mark.parametrize(
    ("pushed", "keys"),
    [
        (Reference("registry.test", "team/app", "sha-db139cf"), ["commits/db139cf", "tags/sha-db139cf"]),
        (Reference("registry.test", "team/app", "main"), ["tags/main"]),
        (Reference("registry.test", "team/app", "sha-nothex"), ["tags/sha-nothex"]),
        (Reference("registry.test", "team/app", "Main"), []),  # no host can be called so
        (Reference("registry.test", "team/app", "sha-"), []),
        (Reference("registry.test", "other/app", "sha-db139cf"), []),
        (Reference("elsewhere.test", "team/app", "sha-db139cf"), []),
        (Reference("docker.io", "team/site", "latest"), ["fixed"]),
        (Reference("docker.io", "team/site", "other"), []),
    ],
)
def test_an_image_is_of_the_apps_whose_pattern_its_tag_fits(pushed: Reference, keys: list[str]) -> None:
    assert [str(key) for key in stacks_of(pushed, APPS)] == keys


# -- what is done about it --------------------------------------------------------------------------------------------------


def test_a_push_is_fetched_and_not_started(pushes: Pushes) -> None:
    assert pushes.push("1" * 7) == ["app/1111111"]
    assert pushes.fetched == ["1111111"]
    assert pushes.world.engine.launches == []
    assert pushes.looks == 1


def test_what_was_said_of_the_name_is_stale(pushes: Pushes) -> None:
    pushes.push("1" * 7)
    assert pushes.world.versions.told == ["1111111"]


def test_a_push_is_started(world: World) -> None:
    pushes = Pushes(world, "start")
    pushes.push("1" * 7)
    assert pushes.world.state("1" * 7) == "ready"


def test_what_failed_before_is_started_in_spite_of_it(world: World) -> None:
    pushes = Pushes(world, "start")
    broken, world.template.invalid = None, Invalid([Problem("web", "is broken")])
    pushes.push("1" * 7)
    assert world.state("1" * 7) == "failed"
    world.template.invalid = broken
    pushes.push("1" * 7)
    assert world.state("1" * 7) == "ready"


def test_nobody_who_is_used_gives_way_to_a_push(world: World, troubles: list[str]) -> None:
    pushes = Pushes(world, "start")
    for name in NAMES[:3]:
        world.ready(name).begin(world.clock.seconds())
    pushes.push(NAMES[4], seconds=60)
    assert [world.state(name) for name in NAMES[:3]] == ["ready"] * 3
    assert [trouble.partition(":")[0] for trouble in troubles] == [f"app/{NAMES[4]}"]


def test_with_nothing_to_do_it_is_only_no_longer_unknown(world: World) -> None:
    pushes = Pushes(world, "off")
    assert pushes.push("1" * 7) == ["app/1111111"]
    assert (world.versions.told, world.versions.asked, pushes.fetched) == (["1111111"], [], [])


def test_for_a_branch_that_is_kept_warm_the_new_version_is_looked_up(world: World) -> None:
    pushes = Pushes(world, "off")
    pushes.set(warm=("main",))
    pushes.push("1" * 7)
    assert (world.versions.asked, pushes.looks, pushes.fetched) == (["1111111"], 1, [])


def test_of_another_repository_nothing_is_heard(pushes: Pushes) -> None:
    assert pushes.prewarming.pushed([image("1" * 7, "team/other")]) == ()
    assert pushes.world.versions.told == []


def test_one_key_is_named_and_fetched_once(pushes: Pushes) -> None:
    assert pushes.push("1" * 7, "1" * 7) == ["app/1111111"]
    assert pushes.fetched == ["1111111"]


@define
class Slow:
    """Fetching takes until a test ends it."""

    asked: list[str] = field(factory=list)
    running: list[Deferred[None]] = field(factory=list)
    cancelled: int = 0

    def fetch(self, backend: MemoryBackend, launch: Launch, report: Report) -> Deferred[None]:
        self.asked.append(launch.key.name)
        self.running.append(Deferred(self._cancel))
        return self.running[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(MemoryBackend, "fetch", lambda *launch: slow.fetch(*launch))
    return slow


def test_two_are_fetched_at_once_and_a_push_that_waits_waits_once(pushes: Pushes, slow: Slow) -> None:
    pushes.push(*NAMES[:4])
    pushes.push(*NAMES[:4])
    assert slow.asked == NAMES[:2]
    while any(not one.called for one in slow.running):
        next(one for one in slow.running if not one.called).callback(None)
    assert slow.asked == [*NAMES[:4], *NAMES[:2]]  # the first two had begun when they were pushed again


def test_when_it_is_stopped_nothing_is_left_of_it(pushes: Pushes, slow: Slow) -> None:
    pushes.world.versions.versions["8888888"] = UnknownVersion(Key("app", "8888888"), "registry.test")
    pushes.push(NAMES[0], "8888888", NAMES[1])
    pushes.prewarming.stop()
    pushes.world.pass_time(60)
    assert (slow.asked, slow.cancelled) == ([NAMES[0]], 1)


def test_a_version_that_the_registry_does_not_have_yet_is_asked_for_again(pushes: Pushes, troubles: list[str]) -> None:
    pushes.world.versions.versions["8888888"] = UnknownVersion(Key("app", "8888888"), "registry.test")
    pushes.push("8888888", seconds=0)
    assert pushes.fetched == []
    pushes.world.versions.versions["8888888"] = Version("8888888")
    pushes.world.pass_time(PATIENCE[0] + 0.1)
    assert (pushes.fetched, troubles) == (["8888888"], [])


def test_one_that_does_not_come_is_logged(pushes: Pushes, troubles: list[str]) -> None:
    pushes.world.versions.versions["8888888"] = UnknownVersion(Key("app", "8888888"), "registry.test")
    pushes.push("8888888", seconds=sum(PATIENCE) + 1)
    assert [trouble.partition(":")[0] for trouble in troubles] == ["app/8888888"]
    assert pushes.world.versions.asked == ["8888888"] * 4


def test_a_tag_that_does_not_point_to_what_was_pushed_yet_is_asked_for_again(pushes: Pushes) -> None:
    pushes.world.versions.versions["8888888"] = Version("8888888", digest="sha256:old")
    pushes.push("8888888", digest="sha256:new", seconds=0)
    assert (pushes.looks, pushes.fetched) == (0, [])
    pushes.world.versions.versions["8888888"] = Version("8888888", digest="sha256:new")
    pushes.world.pass_time(PATIENCE[0] + 0.1)
    assert (pushes.looks, pushes.fetched) == (1, ["8888888"])
    assert pushes.world.versions.told == ["8888888"] * 2  # what was said of it in between is stale


def test_a_tag_that_has_moved_on_is_taken_as_it_is(pushes: Pushes, troubles: list[str]) -> None:
    pushes.world.versions.versions["8888888"] = Version("8888888", digest="sha256:newer")
    pushes.push("8888888", digest="sha256:new", seconds=sum(PATIENCE) + 1)
    assert (pushes.fetched, troubles) == (["8888888"], [])


def test_a_push_that_waits_is_of_what_was_pushed_last(pushes: Pushes, slow: Slow) -> None:
    pushes.world.versions.versions["8888888"] = Version("8888888", digest="sha256:new")
    pushes.push(*NAMES[:2])
    pushes.push("8888888", digest="sha256:old")
    pushes.push("8888888", digest="sha256:new")
    slow.running[0].callback(None)
    assert slow.asked == [*NAMES[:2], "8888888"]


@pytest.mark.parametrize("why", [ImageUnavailable("The layers are gone."), Invalid([Problem("web", "is broken")])])
def test_what_cannot_be_fetched_is_logged(
    pushes: Pushes, troubles: list[str], why: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryBackend, "fetch", lambda *launch: fail(why))
    pushes.push("1" * 7)
    assert troubles == [f"app/1111111: {why}"]


def test_an_app_that_goes_meanwhile_is_forgotten(pushes: Pushes) -> None:
    pushes.world.versions.versions["8888888"] = UnknownVersion(Key("app", "8888888"), "registry.test")
    pushes.push("8888888", seconds=0)
    pushes.world.versions.versions["8888888"] = Version("8888888")
    pushes.world.table.apps = {}
    pushes.world.pass_time(PATIENCE[0] + 0.1)
    assert pushes.fetched == []
