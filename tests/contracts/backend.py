"""What every IBackend promises (grandcentral/interfaces.py). Subclass ``BackendContract`` in a test module and give it a
``harness`` fixture.

The harness does all the waiting, in real time or by turning a Clock, so that the fake and the real ones pass the very same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
import pytest_twisted
from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from zope.interface.verify import verifyObject

from grandcentral.core.keys import Key
from grandcentral.core.model import (
    PHASES,
    Condition,
    Dependency,
    Endpoint,
    Found,
    Hook,
    Launch,
    LogTail,
    Mount,
    MountKind,
    Progress,
    Service,
    StackSpec,
    Version,
)
from grandcentral.errors import HookFailed, Mishap, NothingKept, ServiceExited, ServiceUnhealthy
from grandcentral.interfaces import IBackend

CAPABILITIES = {
    "stacks": "it has stacks of its own that it starts and stops",
    "services": "a stack may be of several services, which depend on each other",
    "health": "services may have health checks",
    "pause": "a stack can be frozen",
    "volumes": "a stack may have named volumes, which can outlive it",
    "outlive": "stacks outlive the backend object that launched them",
}


class Harness(Protocol):
    """What the suite needs to know about one backend, and can do behind its back.

    ``port``: what ``StackSpec.port`` is in its stacks.
    """

    port: int

    def backend(self) -> IBackend:
        """Another backend on the same engine and of the same instance, as after a restart; neither watching nor open."""

    def key(self, name: str) -> Key:
        """A key that this backend can launch, different for each name."""

    def version(self) -> Version:
        """A version that it can launch under any key."""

    # Every service that starts prints "NAME started", and enters itself into the journal.

    def serving(self, name: str) -> Service:
        """It answers on the stack's port."""

    def running(self, name: str) -> Service:
        """It does nothing until it is stopped."""

    def ending(self, name: str, status: int) -> Service:
        """It prints one line more and ends at once with that status."""

    def checked(self, name: str, healthy: bool) -> Service:
        """It does nothing, and its health check, of little patience, passes or never passes."""

    def faltering(self, name: str, status: int) -> Service:
        """It does nothing until it is stopped; when it is started again, it prints one line more and ends with that status."""

    def sickening(self, name: str) -> Service:
        """It does nothing, and its health check, of little patience, passes once and never again."""

    def parting(self, name: str) -> Service:
        """It does nothing until it is asked to stop; then it enters itself among the farewells, and ends."""

    # In all of them a hook is a line for /bin/sh, which can make files where it is run, and finds them there later.

    def farewells(self) -> list[str]:
        """The names of ``parting`` services that were asked to stop, in order."""

    def journal(self) -> list[str]:
        """The names of all services that have started since the test began, in order, once for each time."""

    def reachable(self, endpoint: Endpoint) -> bool:
        """Whether our service answers there right now. (That a connection is accepted may say nothing: see what answers.)"""

    def kill(self, key: Key, service: str) -> None:
        """End a service as a crash would; it has ended when this returns."""

    def leftovers(self) -> list[str]:
        """Names of everything that there is of any of our stacks: services, networks, volumes, work trees."""

    async def wait(self, deferred: Deferred[Any]) -> Any:
        """Its result when it has fired; raises what it failed with."""

    async def eventually(self, holds: Callable[[], object]) -> None:
        """Return when ``holds()`` is true; fail if that takes unreasonably long."""


@define
class Watched:
    """A backend that is open, with all that it has told."""

    backend: IBackend
    vanished: list[tuple[Key, int, Mishap]] = field(factory=list)
    returned: list[None] = field(factory=list)
    progress: list[Progress] = field(factory=list)
    asked: list[Key] = field(factory=list)  # to launch

    @classmethod
    async def open(cls, harness: Harness) -> Watched:
        watched = cls(harness.backend())
        watched.backend.watch(
            lambda key, generation, mishap: watched.vanished.append((key, generation, mishap)),
            lambda: watched.returned.append(None),
        )
        await harness.wait(watched.backend.open())
        return watched


def needs(service: Service, *names: str, condition: Condition = Condition.STARTED) -> Service:
    """``service``, depending on others besides."""
    more = tuple(Dependency(name, condition) for name in names)
    return evolve(service, depends_on=(*service.depends_on, *more))


def printed(logs: tuple[LogTail, ...], service: str) -> tuple[str, ...]:
    return next((tail.lines for tail in logs if tail.service == service), ())


class BackendContract:
    """Subclasses have a ``harness`` fixture, and say what of CAPABILITIES is not their backend's business: tests that need
    that are not asked of it (tests/conftest.py leaves them out)."""

    lacks: frozenset[str] = frozenset()

    @pytest.fixture
    def one(self, harness: Harness) -> Iterator[Watched]:
        """A backend that is open. After the test nothing may be left of its stacks, nor of itself."""
        watched = pytest_twisted.blockon(ensureDeferred(Watched.open(harness)))
        yield watched
        pytest_twisted.blockon(ensureDeferred(self.leave(harness, watched)))
        assert harness.leftovers() == []

    async def leave(self, harness: Harness, watched: Watched) -> None:
        for key in watched.asked:
            await harness.wait(watched.backend.halt(key, False, volumes=True))
        await harness.wait(watched.backend.close())

    # -- helpers --------------------------------------------------------------------------------------------------------

    def what(
        self,
        harness: Harness,
        *services: Service,
        name: str = "a",
        generation: int = 1,
        serves: str = "web",
        volumes: tuple[str, ...] = (),
        disposable: tuple[str, ...] = (),
    ) -> Launch:
        spec = StackSpec(
            services or (harness.serving("web"),), serves, harness.port, volumes=volumes, disposable=frozenset(disposable)
        )
        return Launch(harness.key(name), generation, harness.version(), spec, f"{name}.example.com")

    def start(self, harness: Harness, one: Watched, *services: Service, **more: Any) -> Deferred[Endpoint]:
        launch = self.what(harness, *services, **more)
        one.asked.append(launch.key)
        return one.backend.launch(launch, one.progress.append)

    async def launched(self, harness: Harness, one: Watched, *services: Service, **more: Any) -> Endpoint:
        return await harness.wait(self.start(harness, one, *services, **more))

    async def halt(self, harness: Harness, one: Watched, name: str = "a", grace: bool = False, volumes: bool = False) -> None:
        assert await harness.wait(one.backend.halt(harness.key(name), grace, volumes)) is None

    async def stop(self, harness: Harness, one: Watched, name: str = "a") -> None:
        assert await harness.wait(one.backend.stop(harness.key(name))) is None

    async def restarted(self, harness: Harness, one: Watched, *services: Service, **more: Any) -> Endpoint:
        return await harness.wait(one.backend.restart(self.what(harness, *services, **more), one.progress.append))

    async def execute(
        self, harness: Harness, one: Watched, command: str, service: str = "web", name: str = "a", within: float = 10.0
    ) -> None:
        assert await harness.wait(one.backend.execute(harness.key(name), Hook(service, command), within)) is None

    async def found(self, harness: Harness, one: Watched) -> dict[Key, Found]:
        stacks = await harness.wait(one.backend.survey())
        assert isinstance(stacks, tuple)
        assert len({found.key for found in stacks}) == len(stacks)
        return {found.key: found for found in stacks}

    # -- the object itself ----------------------------------------------------------------------------------------------

    @pytest_twisted.ensureDeferred
    async def test_it_is_what_it_says(self, harness: Harness) -> None:
        backend = harness.backend()
        assert verifyObject(IBackend, backend)
        assert backend.name

    @pytest_twisted.ensureDeferred
    async def test_an_engine_that_answers_passes_the_check(self, harness: Harness, one: Watched) -> None:
        assert await harness.wait(one.backend.check()) is None

    @pytest_twisted.ensureDeferred
    async def test_closing_leaves_no_thread_and_keeps_the_stacks(self, harness: Harness) -> None:
        before = set(threading.enumerate())
        first = await Watched.open(harness)
        where = await self.launched(harness, first)
        await harness.wait(first.backend.close())
        assert set(threading.enumerate()) - before == set()
        await harness.eventually(lambda: harness.reachable(where))
        second = await Watched.open(harness)
        await harness.wait(second.backend.halt(harness.key("a"), False))
        await harness.wait(second.backend.close())
        assert harness.leftovers() == []
        assert first.vanished == second.vanished == []

    @pytest_twisted.ensureDeferred
    async def test_a_backend_that_was_never_used_closes(self, harness: Harness) -> None:
        before = set(threading.enumerate())
        watched = await Watched.open(harness)
        await harness.wait(watched.backend.close())
        assert set(threading.enumerate()) - before == set()

    # -- launch ---------------------------------------------------------------------------------------------------------

    @pytest_twisted.ensureDeferred
    async def test_launch_gives_an_endpoint_that_is_reachable_soon(self, harness: Harness, one: Watched) -> None:
        where = await self.launched(harness, one)
        assert isinstance(where, Endpoint)
        await harness.eventually(lambda: harness.reachable(where))

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_two_stacks_are_reached_at_different_endpoints(self, harness: Harness, one: Watched) -> None:
        first, second = self.start(harness, one, name="a"), self.start(harness, one, name="b")
        endpoints = {await harness.wait(first), await harness.wait(second)}
        assert len(endpoints) == 2
        for where in endpoints:
            await harness.eventually(lambda where=where: harness.reachable(where))
        await self.halt(harness, one, "a")
        assert (await self.found(harness, one)).keys() == {harness.key("b")}

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_progress_is_of_known_phases_and_every_phase_is_done_in_the_end(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one)
        assert {progress.phase for progress in one.progress} <= set(PHASES)
        assert "create" in {progress.phase for progress in one.progress}
        last = {(progress.phase, progress.service): progress.done for progress in one.progress}
        assert all(last.values()), last

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_services_start_in_the_order_of_their_dependencies(self, harness: Harness, one: Watched) -> None:
        web = needs(harness.serving("web"), "queue", "db")
        await self.launched(harness, one, web, needs(harness.running("queue"), "db"), harness.running("db"))
        await harness.eventually(lambda: len(harness.journal()) == 3)
        assert harness.journal() == ["db", "queue", "web"]

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_circle_of_dependencies_fails_the_launch_and_starts_nothing(self, harness: Harness, one: Watched) -> None:
        with pytest.raises(Mishap, match="circle"):
            await self.launched(harness, one, needs(harness.serving("web"), "db"), needs(harness.running("db"), "web"))
        assert harness.journal() == []

    # -- loaders --------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_loader_runs_once_between_database_and_application(self, harness: Harness, one: Watched) -> None:
        where = await self.launched(
            harness,
            one,
            needs(harness.serving("web"), "load", condition=Condition.COMPLETED),
            needs(harness.ending("load", 0), "db"),
            harness.running("db"),
        )
        await harness.eventually(lambda: harness.reachable(where))
        assert harness.journal() == ["db", "load", "web"]
        assert "loader" in {progress.phase for progress in one.progress}
        assert one.vanished == []
        assert (await self.found(harness, one))[harness.key("a")].whole

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_loader_that_fails_fails_the_launch_with_status_and_logs(self, harness: Harness, one: Watched) -> None:
        web = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
        with pytest.raises(ServiceExited) as caught:
            await self.launched(harness, one, web, harness.ending("load", 3))
        assert (caught.value.service, caught.value.status) == ("load", 3)
        started, _last_words = printed(caught.value.logs, "load")
        assert started == "load started"
        assert "load" in str(caught.value)
        assert harness.journal() == ["load"]
        assert one.vanished == [], "the launch has told it"

    # -- health ---------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("services", "health")
    @pytest_twisted.ensureDeferred
    async def test_who_waits_for_a_healthy_service_starts_when_it_is(self, harness: Harness, one: Watched) -> None:
        web = needs(harness.serving("web"), "db", condition=Condition.HEALTHY)
        await self.launched(harness, one, web, harness.checked("db", healthy=True))
        await harness.eventually(lambda: harness.journal() == ["db", "web"])
        assert "health" in {progress.phase for progress in one.progress}

    @pytest.mark.needs_of_backend("services", "health")
    @pytest_twisted.ensureDeferred
    async def test_a_service_that_never_gets_healthy_fails_the_launch_with_logs(self, harness: Harness, one: Watched) -> None:
        web = needs(harness.serving("web"), "db", condition=Condition.HEALTHY)
        with pytest.raises(ServiceUnhealthy) as caught:
            await self.launched(harness, one, web, harness.checked("db", healthy=False))
        assert caught.value.service == "db"
        assert printed(caught.value.logs, "db") == ("db started",)
        assert harness.journal() == ["db"]

    # -- halt -----------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("stacks")
    @pytest.mark.parametrize("grace", [False, True])
    @pytest_twisted.ensureDeferred
    async def test_halt_leaves_nothing_and_is_idempotent(self, harness: Harness, one: Watched, grace: bool) -> None:
        where = await self.launched(harness, one)
        await harness.eventually(lambda: harness.reachable(where))
        assert harness.leftovers() != []
        await self.halt(harness, one, grace=grace)
        assert harness.leftovers() == []
        assert not harness.reachable(where)
        await self.halt(harness, one, grace=grace)
        assert await self.found(harness, one) == {}

    @pytest_twisted.ensureDeferred
    async def test_what_was_never_launched_can_be_halted(self, harness: Harness, one: Watched) -> None:
        await self.halt(harness, one, "never")

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_halt_takes_away_what_a_failed_launch_has_left(self, harness: Harness, one: Watched) -> None:
        web = needs(harness.serving("web"), "db", "load", condition=Condition.STARTED)
        web = needs(web, "load", condition=Condition.COMPLETED)
        with pytest.raises(ServiceExited):
            await self.launched(harness, one, web, harness.running("db"), harness.ending("load", 1))
        await self.halt(harness, one)
        assert harness.leftovers() == []

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_a_stack_that_was_halted_can_be_launched_again(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one, generation=1)
        await self.halt(harness, one)
        where = await self.launched(harness, one, generation=2)
        await harness.eventually(lambda: harness.reachable(where))
        assert (await self.found(harness, one))[harness.key("a")].generation == 2

    # -- stop and restart -----------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_stopped_stack_keeps_its_data_and_is_started_again_without_its_loader(
        self, harness: Harness, one: Watched
    ) -> None:
        services = (
            needs(harness.serving("web"), "load", condition=Condition.COMPLETED),
            needs(harness.ending("load", 0), "db"),
            harness.running("db"),
        )
        key = harness.key("a")
        where = await self.launched(harness, one, *services, generation=3)
        await self.execute(harness, one, "touch note", service="db")
        for _ in range(2):
            await self.stop(harness, one)
        assert not harness.reachable(where)
        found = Found(key, 3, None, harness.version(), kept=True, running=False)
        assert await self.found(harness, one) == {key: found}
        where = await self.restarted(harness, one, *services, generation=3)
        await harness.eventually(lambda: harness.reachable(where))
        assert harness.journal() == ["db", "load", "web", "db", "web"]
        await self.execute(harness, one, "test -e note", service="db")
        assert await self.found(harness, one) == {key: evolve(found, endpoint=where, running=True)}
        assert one.vanished == []

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_those_that_others_depend_on_are_stopped_last(self, harness: Harness, one: Watched) -> None:
        middle = needs(harness.parting("middle"), "below")
        await self.launched(harness, one, needs(harness.serving("web"), "middle"), middle, harness.parting("below"))
        await harness.eventually(lambda: harness.journal() == ["below", "middle", "web"])
        await self.stop(harness, one)
        assert harness.farewells() == ["middle", "below"]

    @pytest_twisted.ensureDeferred
    async def test_what_was_never_launched_can_be_stopped(self, harness: Harness, one: Watched) -> None:
        await self.stop(harness, one, "never")

    @pytest.mark.needs_of_backend("stacks", "pause")
    @pytest_twisted.ensureDeferred
    async def test_a_paused_stack_can_be_stopped_and_started_again(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one)
        await harness.wait(one.backend.pause(harness.key("a")))
        await self.stop(harness, one)
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.kept, found.running, found.paused) == (True, False, False)
        where = await self.restarted(harness, one)
        await harness.eventually(lambda: harness.reachable(where))
        assert one.vanished == []

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_a_stopped_stack_can_be_halted_and_launched_anew(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one)
        await self.execute(harness, one, "touch note")
        await self.stop(harness, one)
        await self.halt(harness, one, grace=True)
        assert harness.leftovers() == []
        await self.launched(harness, one, generation=2)
        with pytest.raises(HookFailed):
            await self.execute(harness, one, "test -e note")

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_what_a_death_has_left_can_be_stopped_and_started_again(self, harness: Harness, one: Watched) -> None:
        services = harness.serving("web"), harness.running("db")
        await self.launched(harness, one, *services, generation=7)
        harness.kill(harness.key("a"), "db")
        await harness.eventually(lambda: one.vanished)
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.whole, found.kept, found.running) == (False, True, True)
        await self.stop(harness, one)
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.whole, found.kept, found.running) == (False, True, False)
        where = await self.restarted(harness, one, *services, generation=7)
        await harness.eventually(lambda: harness.reachable(where))
        harness.kill(harness.key("a"), "web")
        await harness.eventually(lambda: len(one.vanished) == 2)
        assert [(generation, mishap.service) for _, generation, mishap in one.vanished] == [(7, "db"), (7, "web")]

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_what_stop_takes_away_has_not_vanished(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one, name="a")
        await self.launched(harness, one, name="b")
        await self.stop(harness, one, "a")
        harness.kill(harness.key("b"), "web")  # told after anything that there was to tell of "a"
        await harness.eventually(lambda: one.vanished)
        assert [key for key, _, _ in one.vanished] == [harness.key("b")]

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_what_is_not_there_or_was_never_whole_cannot_be_started_again(self, harness: Harness, one: Watched) -> None:
        with pytest.raises(NothingKept):
            await self.restarted(harness, one, name="never")
        web = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
        with pytest.raises(ServiceExited):
            await self.launched(harness, one, web, harness.ending("load", 1))
        await self.stop(harness, one)
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.kept, found.running) == (False, False)
        with pytest.raises(NothingKept):
            await self.restarted(harness, one, web, harness.ending("load", 1))
        assert harness.journal() == ["load"]

    @pytest.mark.needs_of_backend("services", "health")
    @pytest_twisted.ensureDeferred
    async def test_a_restart_waits_for_health_and_fails_like_a_launch(self, harness: Harness, one: Watched) -> None:
        services = needs(harness.serving("web"), "db", condition=Condition.HEALTHY), harness.sickening("db")
        await self.launched(harness, one, *services)
        await self.stop(harness, one)
        with pytest.raises(ServiceUnhealthy) as caught:
            await self.restarted(harness, one, *services)
        assert caught.value.service == "db"
        assert harness.journal() == ["db", "web", "db"]
        await self.stop(harness, one)
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.kept, found.running) == (True, False), "it can be tried again"
        assert one.vanished == []

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_service_that_ends_when_started_again_is_told_by_the_restart_or_after_it(
        self, harness: Harness, one: Watched
    ) -> None:
        services = harness.serving("web"), harness.faltering("queue", 4)
        await self.launched(harness, one, *services)
        await self.stop(harness, one)
        try:
            await self.restarted(harness, one, *services)
        except ServiceExited as mishap:
            told = mishap
        else:
            await harness.eventually(lambda: one.vanished)
            told = one.vanished[0][2]
        assert isinstance(told, ServiceExited)
        assert (told.service, told.status) == ("queue", 4)
        await self.stop(harness, one)
        assert len(one.vanished) <= 1

    @pytest.mark.needs_of_backend("services", "health")
    @pytest_twisted.ensureDeferred
    async def test_a_restart_cancelled_halfway_starts_nothing_more(self, harness: Harness, one: Watched) -> None:
        services = needs(harness.serving("web"), "db", condition=Condition.HEALTHY), harness.sickening("db")
        await self.launched(harness, one, *services)
        await self.stop(harness, one)
        restarting = one.backend.restart(self.what(harness, *services), one.progress.append)
        await harness.eventually(lambda: harness.journal() == ["db", "web", "db"])
        restarting.cancel()
        with pytest.raises((CancelledError, Mishap)):
            await harness.wait(restarting)
        await self.stop(harness, one)
        assert harness.journal() == ["db", "web", "db"]
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.kept, found.running) == (True, False)
        assert one.vanished == []

    # -- named volumes --------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("services", "volumes")
    @pytest_twisted.ensureDeferred
    async def test_the_next_launch_finds_named_volumes_that_are_not_disposable(self, harness: Harness, one: Watched) -> None:
        web = harness.serving("web")
        mounts = (Mount(MountKind.VOLUME, "/data", "data"), Mount(MountKind.VOLUME, "/scratch", "scratch"))
        web = evolve(web, mounts=(*web.mounts, *mounts))
        volumes = {"volumes": ("data", "scratch"), "disposable": ("scratch",)}
        await self.launched(harness, one, web, **volumes)
        await self.execute(harness, one, "touch /data/note; touch /scratch/note")
        await self.halt(harness, one)
        assert len(harness.leftovers()) == 1
        assert await self.found(harness, one) == {}, "a volume is no stack"
        assert set(await harness.wait(one.backend.volumes())) == {harness.key("a")}
        await self.launched(harness, one, web, **volumes, generation=2)
        await self.execute(harness, one, "test -e /data/note")
        with pytest.raises(HookFailed):
            await self.execute(harness, one, "test -e /scratch/note")
        await self.halt(harness, one)
        await self.halt(harness, one, volumes=True)
        assert harness.leftovers() == []
        assert set(await harness.wait(one.backend.volumes())) == set()

    @pytest_twisted.ensureDeferred
    async def test_a_stack_without_named_volumes_has_none(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one)
        assert set(await harness.wait(one.backend.volumes())) == set()

    # -- execute --------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_hook_is_a_line_for_the_shell_in_the_environment_of_its_service(
        self, harness: Harness, one: Watched
    ) -> None:
        db = harness.running("db")
        await self.launched(harness, one, harness.serving("web"), evolve(db, environment={**db.environment, "COLOUR": "blue"}))
        await self.execute(harness, one, "echo saved; exit 0", service="db")
        with pytest.raises(HookFailed) as caught:
            await self.execute(harness, one, "echo no $COLOUR left; exit 3", service="db")
        assert "3" in str(caught.value)
        assert printed(caught.value.logs, "db") == ("no blue left",)
        assert (await self.found(harness, one))[harness.key("a")].whole
        assert one.vanished == []

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_a_hook_that_takes_too_long_or_is_given_up_leaves_the_stack_as_it_is(
        self, harness: Harness, one: Watched
    ) -> None:
        await self.launched(harness, one)
        with pytest.raises(HookFailed, match=r"longer than 0\.2 s"):
            await self.execute(harness, one, "sleep 1000", within=0.2)
        executing = one.backend.execute(harness.key("a"), Hook("web", "sleep 1000"), 1000.0)
        executing.cancel()
        with pytest.raises(CancelledError):
            await harness.wait(executing)
        assert (await self.found(harness, one))[harness.key("a")].whole
        assert one.vanished == []

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_a_hook_in_what_does_not_run_fails(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one)
        with pytest.raises(HookFailed):
            await self.execute(harness, one, "true", service="other")
        with pytest.raises(HookFailed):
            await self.execute(harness, one, "true", name="never")
        await self.stop(harness, one)
        with pytest.raises(HookFailed):
            await self.execute(harness, one, "true")

    # -- usage, fetch, reclaim ------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_usage_is_of_the_stacks_that_are_there_and_stopped_ones_take_no_memory(
        self, harness: Harness, one: Watched
    ) -> None:
        for name in ("a", "b"):
            await self.launched(harness, one, name=name)
        await self.stop(harness, one, "b")
        usage = await harness.wait(one.backend.usage())
        assert usage.keys() == {harness.key("a"), harness.key("b")}
        assert usage[harness.key("a")].memory > 0
        assert usage[harness.key("b")].memory == 0

    @pytest_twisted.ensureDeferred
    async def test_where_nothing_is_nothing_is_used(self, harness: Harness, one: Watched) -> None:
        assert await harness.wait(one.backend.usage()) == {}

    @pytest_twisted.ensureDeferred
    async def test_fetching_starts_nothing_and_a_launch_may_follow(self, harness: Harness, one: Watched) -> None:
        assert await harness.wait(one.backend.fetch(self.what(harness), one.progress.append)) is None
        assert await self.found(harness, one) == {}
        assert harness.leftovers() == []
        where = await self.launched(harness, one)
        await harness.eventually(lambda: harness.reachable(where))

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_reclaim_leaves_what_a_stack_needs_that_runs_or_is_stopped(self, harness: Harness, one: Watched) -> None:
        for name in ("a", "b"):
            await self.launched(harness, one, name=name)
        await self.stop(harness, one, "b")
        assert await harness.wait(one.backend.reclaim(())) == 0
        where = await self.restarted(harness, one, name="b")
        await harness.eventually(lambda: harness.reachable(where))
        assert all(found.whole for found in (await self.found(harness, one)).values())

    # -- cancel ---------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_a_launch_cancelled_at_once_leaves_nothing_after_halt(self, harness: Harness, one: Watched) -> None:
        launching = self.start(harness, one)
        launching.cancel()
        with pytest.raises((CancelledError, Mishap)):
            await harness.wait(launching)
        await self.halt(harness, one)
        assert harness.leftovers() == []

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_launch_cancelled_halfway_leaves_nothing_after_halt(self, harness: Harness, one: Watched) -> None:
        """Once the Deferred has fired nothing more may be created, or it would be there after the halt."""
        web = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
        endless = harness.running("load")  # or a backend that is quick would be through before it is cancelled
        launching = self.start(harness, one, web, harness.running("db"), needs(endless, "db"))
        await harness.eventually(lambda: harness.journal() == ["db", "load"])
        launching.cancel()
        with pytest.raises((CancelledError, Mishap)):
            await harness.wait(launching)
        assert "web" not in harness.journal()
        await self.halt(harness, one)
        assert harness.leftovers() == []
        assert one.vanished == []

    # -- vanished -------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_a_service_that_dies_is_told_once_with_generation_and_logs(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one, harness.serving("web"), generation=7)
        await harness.eventually(lambda: harness.journal() == ["web"])
        harness.kill(harness.key("a"), "web")
        await harness.eventually(lambda: one.vanished)
        [(key, generation, mishap)] = one.vanished
        assert (key, generation) == (harness.key("a"), 7)
        assert isinstance(mishap, ServiceExited)
        assert mishap.service == "web"
        assert mishap.status != 0
        assert printed(mishap.logs, "web")[0] == "web started"
        found = (await self.found(harness, one))[harness.key("a")]
        assert (found.whole, found.kept, found.running) == (False, True, False)
        await self.halt(harness, one)
        assert len(one.vanished) == 1

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_the_second_death_in_a_stack_is_not_told(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one, harness.serving("web"), harness.running("db"), name="a")
        await self.launched(harness, one, harness.serving("web"), name="b")
        harness.kill(harness.key("a"), "db")
        await harness.eventually(lambda: one.vanished)
        harness.kill(harness.key("a"), "web")
        harness.kill(harness.key("b"), "web")
        await harness.eventually(lambda: len(one.vanished) == 2)
        assert [(key, mishap.service) for key, _, mishap in one.vanished] == [
            (harness.key("a"), "db"),
            (harness.key("b"), "web"),
        ]

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_a_service_that_ends_at_once_is_told_by_the_launch_or_after_it(self, harness: Harness, one: Watched) -> None:
        """Which of the two depends on who is faster; that it is told, and once, does not."""
        launching = self.start(harness, one, harness.serving("web"), harness.ending("queue", 4))
        try:
            await harness.wait(launching)
        except ServiceExited as mishap:
            told = mishap
        else:
            await harness.eventually(lambda: one.vanished)
            told = one.vanished[0][2]
        assert isinstance(told, ServiceExited)
        assert (told.service, told.status) == ("queue", 4)
        started, _last_words = printed(told.logs, "queue")
        assert started == "queue started"
        await self.halt(harness, one)
        assert len(one.vanished) <= 1

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_what_halt_takes_away_has_not_vanished(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one, name="a")
        await self.launched(harness, one, name="b")
        await self.halt(harness, one, "a")
        harness.kill(harness.key("b"), "web")  # told after anything that there was to tell of "a"
        await harness.eventually(lambda: one.vanished)
        assert [key for key, _, _ in one.vanished] == [harness.key("b")]

    @pytest.mark.needs_of_backend("stacks")
    @pytest_twisted.ensureDeferred
    async def test_the_next_generation_is_watched_as_the_first_was(self, harness: Harness, one: Watched) -> None:
        for generation in (1, 2):
            await self.launched(harness, one, generation=generation)
            harness.kill(harness.key("a"), "web")
            await harness.eventually(lambda generation=generation: len(one.vanished) == generation)
            await self.halt(harness, one)
        assert [generation for _, generation, _ in one.vanished] == [1, 2]

    # -- pause and resume -----------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("stacks", "pause")
    @pytest_twisted.ensureDeferred
    async def test_a_stack_can_be_paused_and_resumed_any_number_of_times(self, harness: Harness, one: Watched) -> None:
        key = harness.key("a")
        await self.launched(harness, one)
        for _ in range(2):
            assert await harness.wait(one.backend.pause(key)) is None
        found = (await self.found(harness, one))[key]
        assert (found.whole, found.paused, found.kept, found.running) == (True, True, True, True)
        for _ in range(2):
            where = await harness.wait(one.backend.resume(key))
            await harness.eventually(lambda where=where: harness.reachable(where))
        assert not (await self.found(harness, one))[key].paused
        assert one.vanished == []

    @pytest.mark.needs_of_backend("stacks", "pause")
    @pytest_twisted.ensureDeferred
    async def test_a_paused_stack_can_be_halted(self, harness: Harness, one: Watched) -> None:
        await self.launched(harness, one)
        await harness.wait(one.backend.pause(harness.key("a")))
        await self.halt(harness, one)
        assert harness.leftovers() == []

    @pytest.mark.needs_of_backend("stacks", "pause")
    @pytest_twisted.ensureDeferred
    async def test_a_stack_that_is_gone_cannot_be_resumed(self, harness: Harness, one: Watched) -> None:
        with pytest.raises(Mishap):
            await harness.wait(one.backend.resume(harness.key("never")))

    @pytest.mark.needs_of_backend("stacks", "pause")
    @pytest_twisted.ensureDeferred
    async def test_a_stack_that_does_not_run_cannot_be_paused(self, harness: Harness, one: Watched) -> None:
        with pytest.raises(Mishap):
            await harness.wait(one.backend.pause(harness.key("never")))
        await self.launched(harness, one)
        await self.stop(harness, one)
        with pytest.raises(Mishap):
            await harness.wait(one.backend.pause(harness.key("a")))

    # -- survey ---------------------------------------------------------------------------------------------------------

    @pytest_twisted.ensureDeferred
    async def test_where_nothing_is_survey_finds_nothing(self, harness: Harness, one: Watched) -> None:
        assert await self.found(harness, one) == {}

    @pytest.mark.needs_of_backend("stacks", "outlive")
    @pytest_twisted.ensureDeferred
    async def test_a_restarted_gateway_finds_whole_stacks_as_they_are(self, harness: Harness) -> None:
        first = await Watched.open(harness)
        where = await self.launched(harness, first, generation=5)
        await harness.wait(first.backend.close())
        second = await Watched.open(harness)
        found = (await self.found(harness, second))[harness.key("a")]
        assert (found.generation, found.endpoint, found.paused) == (5, where, False)
        assert found.version is not None
        assert found.version == harness.version()
        await harness.eventually(lambda: harness.reachable(where))
        await self.halt(harness, second)
        await harness.wait(second.backend.close())
        assert harness.leftovers() == []
        assert harness.journal() == ["web"], "adopted, not started again"

    @pytest.mark.needs_of_backend("stacks", "outlive")
    @pytest_twisted.ensureDeferred
    async def test_a_restarted_gateway_watches_what_it_has_found(self, harness: Harness) -> None:
        first = await Watched.open(harness)
        await self.launched(harness, first, generation=5)
        await harness.wait(first.backend.close())
        second = await Watched.open(harness)
        await self.found(harness, second)
        await self.found(harness, second)
        harness.kill(harness.key("a"), "web")
        await harness.eventually(lambda: second.vanished)
        [(key, generation, mishap)] = second.vanished
        assert (key, generation, mishap.service) == (harness.key("a"), 5, "web")
        await self.halt(harness, second)
        await harness.wait(second.backend.close())
        assert harness.leftovers() == []
        assert first.vanished == []

    @pytest.mark.needs_of_backend("services", "outlive")
    @pytest_twisted.ensureDeferred
    async def test_a_restarted_gateway_finds_half_made_stacks_and_can_halt_them(self, harness: Harness) -> None:
        first = await Watched.open(harness)
        web = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
        with pytest.raises(ServiceExited):
            await self.launched(harness, first, web, harness.running("db"), harness.ending("load", 1), generation=2)
        await harness.wait(first.backend.close())
        second = await Watched.open(harness)
        found = (await self.found(harness, second))[harness.key("a")]
        assert (found.generation, found.endpoint, found.whole) == (2, None, False)
        assert (found.kept, found.running) == (False, True)
        await self.halt(harness, second)
        await harness.wait(second.backend.close())
        assert harness.leftovers() == []

    @pytest.mark.needs_of_backend("services", "outlive")
    @pytest_twisted.ensureDeferred
    async def test_what_died_while_no_gateway_watched_is_found_and_can_be_started_again(self, harness: Harness) -> None:
        services = harness.serving("web"), harness.running("db")
        first = await Watched.open(harness)
        await self.launched(harness, first, *services, generation=4)
        await harness.wait(first.backend.close())
        harness.kill(harness.key("a"), "web")
        second = await Watched.open(harness)
        found = (await self.found(harness, second))[harness.key("a")]
        assert (found.generation, found.whole, found.kept, found.running) == (4, False, True, True)
        await self.stop(harness, second)
        where = await self.restarted(harness, second, *services)
        await harness.eventually(lambda: harness.reachable(where))
        assert (await self.found(harness, second))[harness.key("a")].whole
        await self.halt(harness, second)
        await harness.wait(second.backend.close())
        assert harness.leftovers() == []

    @pytest.mark.needs_of_backend("stacks", "outlive")
    @pytest_twisted.ensureDeferred
    async def test_a_restarted_gateway_finds_stopped_stacks_and_can_start_them_again(self, harness: Harness) -> None:
        first = await Watched.open(harness)
        await self.launched(harness, first, generation=5)
        await self.execute(harness, first, "touch note")
        await self.stop(harness, first)
        await harness.wait(first.backend.close())
        second = await Watched.open(harness)
        found = (await self.found(harness, second))[harness.key("a")]
        assert found == Found(harness.key("a"), 5, None, harness.version(), kept=True, running=False)
        where = await self.restarted(harness, second, generation=5)
        await harness.eventually(lambda: harness.reachable(where))
        await self.execute(harness, second, "test -e note")
        harness.kill(harness.key("a"), "web")
        await harness.eventually(lambda: second.vanished)
        assert [generation for _, generation, _ in second.vanished] == [5]
        await self.halt(harness, second)
        await harness.wait(second.backend.close())
        assert harness.leftovers() == []
        assert first.vanished == []

    # -- logs -----------------------------------------------------------------------------------------------------------

    @pytest.mark.needs_of_backend("services")
    @pytest_twisted.ensureDeferred
    async def test_logs_are_the_last_lines_of_each_service(self, harness: Harness, one: Watched) -> None:
        web = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
        await self.launched(harness, one, web, harness.ending("load", 0))
        await harness.eventually(lambda: harness.journal() == ["load", "web"])
        key = harness.key("a")
        logs = await harness.wait(one.backend.logs(key, 50))
        assert sorted(tail.service for tail in logs) == ["load", "web"]
        started, last_words = printed(logs, "load")
        assert started == "load started"
        assert printed(await harness.wait(one.backend.logs(key, 1)), "load") == (last_words,)

    @pytest_twisted.ensureDeferred
    async def test_a_stack_that_is_not_there_has_no_logs(self, harness: Harness, one: Watched) -> None:
        assert await harness.wait(one.backend.logs(harness.key("never"), 50)) == ()
