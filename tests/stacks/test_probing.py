"""How a table asks what it has launched whether it is ready, and where it finds it afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred

from grandcentral import errors
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, ReadyPolicy
from grandcentral.errors import NotReady

from .world import FakeProber, World

KEY = Key("app", "0000000")


@define
class SlowProber(FakeProber):
    """Probes that end when the test says so."""

    under_way: list[Deferred[None]] = field(factory=list)
    hosts: set[str] = field(factory=set)
    most: int = 0  # under way at once

    def probe(self, endpoint: Endpoint, policy: ReadyPolicy, host: str, timeout: float) -> Deferred[None]:
        self.probes += 1
        self.hosts.add(host)
        probe: Deferred[None] = Deferred(self.under_way.remove)
        self.under_way.append(probe)
        self.most = max(self.most, len(self.under_way))
        return probe

    def answer(self, mishap: NotReady | None = None) -> None:
        probe = self.under_way.pop()
        if mishap is None:
            probe.callback(None)
        else:
            probe.errback(mishap)


@pytest.fixture
def prober() -> SlowProber:
    return SlowProber()


@pytest.fixture
def world(prober: SlowProber) -> Iterator[World]:
    world = World(prober=prober)
    world.open()
    yield world
    world.close()


@pytest.mark.failure(8)
def test_the_next_probe_begins_when_the_last_has_ended(world: World, prober: SlowProber) -> None:
    clients = [world.ask() for _ in range(3)]
    world.pass_time(30)
    assert prober.probes == 1
    for _ in range(5):
        prober.answer(NotReady("it answered 503"))
        world.pass_time(1)
    assert (prober.probes, prober.most) == (6, 1)
    prober.answer()
    assert all(client.ticket is not None for client in clients)


@pytest.mark.failure(8)
def test_a_broken_application_is_given_up_and_not_probed_any_more(world: World, prober: SlowProber) -> None:
    client = world.ask()
    world.pass_time(125)
    assert client.answered
    assert world.state() == "failed"
    assert prober.under_way == []
    asked = prober.probes
    world.pass_time(300)
    assert prober.probes == asked


def test_what_stops_or_dies_is_not_probed_any_more(world: World, prober: SlowProber) -> None:
    for key, end in ((KEY, world.table.stop), (Key("app", "1111111"), lambda key: world.backend.kill(key, "web"))):
        world.ask(key.name)
        world.pass_time(0.5)
        assert len(prober.under_way) == 1
        end(key)
        assert prober.under_way == []


def test_it_is_asked_with_the_public_host(world: World, prober: SlowProber) -> None:
    world.ask()
    world.pass_time(1)
    assert prober.hosts == {"0000000.test"}


def test_an_adopted_stack_that_does_not_answer_is_removed_and_started_anew_on_demand(world: World, prober: SlowProber) -> None:
    world.ask()
    world.pass_time(1)
    prober.answer()
    world.close()
    world.boot()
    world.open()
    held = world.ask()
    world.pass_time(59)
    assert world.state() == "probing"
    world.pass_time(65)
    assert isinstance(held.error, errors.StartTimeout)
    assert world.state() == "failed"
    assert world.engine.stacks == {}
    world.pass_time(10)
    again = world.ask()
    world.pass_time(1)
    prober.answer()
    assert again.ticket is not None


def test_a_stack_that_has_moved_to_another_address_is_found_there_and_never_looked_for_at_the_old_one(
    world: World, prober: SlowProber
) -> None:
    world.ask()
    world.pass_time(1)
    prober.answer()
    ticket = world.table.peek(KEY)
    assert ticket is not None
    old, new = ticket.endpoint, Endpoint("172.18.0.99", 80)
    closed: list[Endpoint] = []
    world.table.on_close = lambda ticket: closed.append(ticket.endpoint)
    world.engine.stacks[KEY].endpoint = new
    world.table.lost(ticket)
    assert closed == [old]
    client = world.ask()
    world.pass_time(1)
    prober.answer()
    assert client.ticket is not None
    assert client.ticket.endpoint == new


@pytest.mark.failure(24)
def test_a_wall_clock_that_jumps_forth_under_a_running_gateway_reaps_nothing_then_or_after_a_restart(
    world: World, prober: SlowProber
) -> None:
    world.ask()
    world.pass_time(1)
    prober.answer()
    world.wall_offset += 1_000_000
    world.pass_time(10)
    assert world.state() == "ready"
    world.close()
    world.boot()
    world.open()
    world.pass_time(1)
    prober.answer()
    world.pass_time(500)
    assert world.state() == "ready"


@pytest.mark.failure(13)
def test_a_hold_ends_when_start_timeout_says_so(prober: SlowProber) -> None:
    world = World(prober=prober)
    world.limits = evolve(world.limits, start_timeout=5.0)
    world.boot()
    world.open()
    client = world.ask()
    world.pass_time(4.9)
    assert not client.answered
    world.pass_time(0.2)
    assert isinstance(client.error, errors.StartTimeout)
    assert world.state() == "probing"
    world.close()
