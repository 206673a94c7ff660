"""Stacks that somebody has provisioned: no row, no stack; and with one, a stack that knows whose it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred

from grandcentral.core.keys import Key
from grandcentral.core.provisions import Provision
from grandcentral.errors import NotProvisioned, StartFailed
from grandcentral.manifests.memory import MemoryManifest

from .world import World

KEY = Key("app", "alice.shop")
ROW = Provision(KEY, "alice", "shop", "alice@example.com", "s3cret", created=0.0)


class SlowManifest(MemoryManifest):
    """``held`` are looks at rows that are answered when a test says so; None: all at once."""

    held: list[tuple[Deferred[None], Key]] | None = None

    def provisioned(self, key: Key) -> Deferred[Provision | None]:
        if self.held is None:
            return super().provisioned(key)
        waiting: Deferred[None] = Deferred()
        self.held.append((waiting, key))
        return waiting.addCallback(lambda _: super(SlowManifest, self).provisioned(key))


@pytest.fixture
def world() -> Iterator[World]:
    world = World(provisioned=True, manifest=SlowManifest())
    world.open()
    yield world
    world.close()


def test_a_name_without_a_row_never_makes_a_stack(world: World) -> None:
    client = world.ask("alice.shop")
    assert isinstance(client.error, NotProvisioned)
    assert world.table.snapshot() == ()


def test_a_stack_knows_whose_it_is(world: World) -> None:
    world.manifest.provision(ROW)
    world.ready("alice.shop")
    given = world.template.given[-1]
    assert {name: given[name] for name in ROW.variables} == ROW.variables
    assert given["VERSION"] == "alice.shop"
    assert given["GRANDCENTRAL_APP"] == "app", "the app of the configuration, not the user's"


def test_a_restart_is_told_the_same(world: World) -> None:
    world.manifest.provision(ROW)
    world.ready("alice.shop")
    world.table.stop(KEY)
    world.pass_time(5)
    world.ready("alice.shop")
    assert [given["PASSWORD"] for given in world.template.given] == ["s3cret"] * 2


def test_a_row_that_goes_while_its_stack_waits_to_be_launched_ends_the_start(world: World) -> None:
    assert isinstance(world.manifest, SlowManifest)
    world.manifest.provision(ROW)
    world.manifest.held = held = []
    client = world.ask("alice.shop")
    held.pop()[0].callback(None)  # the look-up finds it
    [(launch, _)] = held
    world.manifest.end_provision(KEY)
    world.manifest.held = None
    launch.callback(None)
    world.pass_time(1)
    assert isinstance(client.error, StartFailed)
    assert "has not been provisioned" in str(client.error)
    assert world.engine.stacks == {}


def test_a_stack_that_runs_is_adopted_by_the_next_gateway_with_its_row(world: World) -> None:
    world.manifest.provision(ROW)
    world.ready("alice.shop")
    world.close()
    world.boot()
    world.open()
    world.pass_time(1)
    assert world.state("alice.shop") == "ready"
