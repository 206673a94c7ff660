"""Letting users have stacks and taking them back, whatever comes between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from grandcentral.core.keys import Key
from grandcentral.core.model import Service, StackSpec
from grandcentral.core.provisions import Provision
from grandcentral.core.wanted import Wanted
from grandcentral.errors import (
    AppGone,
    EngineUnavailable,
    ManifestUnavailable,
    NotProvisioned,
    ProvisionedOtherwise,
    RequestReused,
    StillThere,
)
from grandcentral.interfaces import IProvisioning
from grandcentral.stacks.provisioning import INTERVAL, PATIENCE, SURE, Provisioning, new_password

from .world import World

KEY = Key("app", "alice.shop")
ALICE = Wanted(KEY, "alice", "shop", "alice@example.com")


@define
class Desk:
    world: World
    provisioning: Provisioning = field(init=False)
    passwords: int = 0

    def __attrs_post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.provisioning = Provisioning(
            self.world.clock, self.world.wall, self.world.table, self.world.manifest, self._password
        )
        self.provisioning.start()

    def _password(self) -> str:
        self.passwords += 1
        return f"password {self.passwords}"

    def restart(self) -> None:
        """kill -9, and the next gateway."""
        self.provisioning.stop()
        self.world.close()
        self.world.boot()
        self.world.open()
        self.boot()

    def provision(self, wanted: Wanted = ALICE) -> tuple[Provision, bool]:
        return outcome(self.provisioning.provision(wanted))

    @property
    def rows(self) -> tuple[Provision, ...]:
        return outcome(self.world.manifest.provisions())


def outcome(done: Deferred[Any]) -> Any:
    """Of what has ended."""
    results: list[Any] = []
    done.addBoth(results.append)
    [result] = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


@pytest.fixture
def desk() -> Iterator[Desk]:
    world = World(provisioned=True, spec=StackSpec((Service("web"),), "web", 80, volumes=("data",)))
    world.open()
    desk = Desk(world)
    yield desk
    desk.provisioning.stop()
    desk.world.close()


def test_it_provisions(desk: Desk) -> None:
    assert verifyObject(IProvisioning, desk.provisioning)
    assert list(desk.provisioning.apps()) == ["app"]


def test_passwords_are_long_and_no_two_are_alike() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in made)


# -- having -------------------------------------------------------------------------------------------------------------


def test_the_first_makes_it_and_the_others_find_it(desk: Desk) -> None:
    row, made = desk.provision()
    assert (row.user, row.appname, row.email, row.password, made) == ("alice", "shop", ALICE.email, "password 1", True)
    assert row.created == desk.world.wall()
    assert [desk.provision() for _ in range(50)] == [(row, False)] * 50
    assert desk.rows == (row,)
    assert desk.world.table.snapshot() == (), "nothing is started"
    assert desk.world.ready("alice.shop").key == KEY


def test_a_call_that_is_repeated_is_answered_as_the_first_time(desk: Desk) -> None:
    wanted = evolve(ALICE, request="r")
    row, made = desk.provision(wanted)
    assert (desk.provision(wanted), made) == ((row, True), True)
    assert desk.provision(evolve(ALICE, request="s")) == (row, False)
    with pytest.raises(RequestReused):
        desk.provision(Wanted(Key("app", "bob.shop"), "bob", "shop", request="r"))
    assert desk.rows == (row,)


def test_a_name_is_one_users(desk: Desk) -> None:
    row, _ = desk.provision()
    with pytest.raises(ProvisionedOtherwise):
        desk.provision(evolve(ALICE, email="mallory@example.com"))
    assert desk.provision(evolve(ALICE, email="")) == (row, False)
    assert desk.rows == (row,)


def test_an_end_is_put_off_by_who_says_so(desk: Desk) -> None:
    now = desk.world.wall()
    desk.provision(evolve(ALICE, expires=now + 60))
    for said, then in ((None, now + 60), (now + 90, now + 90), (inf, None), (None, None), (now + 5, now + 5)):
        assert desk.provision(evolve(ALICE, expires=said))[0].expires == then
        assert desk.rows[0].expires == then


def test_a_manifest_that_does_not_work_is_no_absence(desk: Desk) -> None:
    desk.world.manifest.broken = sqlite3.OperationalError("disk I/O error")
    for asking in (
        desk.provisioning.provision(ALICE),
        desk.provisioning.find(KEY),
        desk.provisioning.provisions(),
        desk.provisioning.deprovision(KEY),
    ):
        with pytest.raises(ManifestUnavailable):
            outcome(asking)
    desk.world.pass_time(INTERVAL)
    desk.world.manifest.broken = None
    assert outcome(desk.provisioning.provisions()) == ()


# -- taking back --------------------------------------------------------------------------------------------------------


def test_taken_back_it_is_stopped_removed_with_its_volumes_and_forgotten(desk: Desk) -> None:
    desk.provision()
    desk.world.ready("alice.shop")
    outcome(desk.world.table.pin(KEY, True))
    going = desk.provisioning.deprovision(KEY)
    with pytest.raises(NotProvisioned):
        outcome(desk.provisioning.find(KEY))
    desk.world.pass_time(1)
    assert outcome(going) is True
    assert (desk.rows, desk.world.engine.stacks, desk.world.table.snapshot()) == ((), {}, ())
    assert desk.world.engine.kept_volumes == set()
    assert isinstance(desk.world.ask("alice.shop").error, NotProvisioned)
    assert outcome(desk.provisioning.deprovision(KEY)) is False


def test_what_does_not_run_may_have_left_volumes_all_the_same(desk: Desk) -> None:
    desk.provision()
    desk.world.engine.kept_volumes.add((KEY, "data"))
    going = desk.provisioning.deprovision(KEY)
    desk.world.pass_time(1)
    assert outcome(going) is True
    assert (desk.rows, desk.world.engine.kept_volumes) == ((), set())


def test_who_wants_a_name_that_goes_gets_it_when_nothing_is_left(desk: Desk) -> None:
    first, _ = desk.provision()
    desk.world.ready("alice.shop")
    going = desk.provisioning.deprovision(KEY)
    wanting = desk.provisioning.provision(ALICE)
    assert not wanting.called
    desk.world.pass_time(1)
    second, made = outcome(wanting)
    assert (outcome(going), made, second.password != first.password) == (True, True, True)
    assert desk.rows == (second,)


def test_one_that_cannot_be_removed_keeps_its_name_to_itself_and_goes_when_it_can(desk: Desk) -> None:
    desk.provision()
    desk.world.ready("alice.shop")
    desk.world.engine.away = EngineUnavailable("It is away.")
    going = desk.provisioning.deprovision(KEY)
    wanting = desk.provisioning.provision(ALICE)
    desk.world.pass_time(PATIENCE + 1)
    with pytest.raises(StillThere):
        outcome(wanting)
    assert not going.called
    assert [row.ending for row in desk.rows] == [True]
    desk.world.engine.away = None
    desk.world.pass_time(10)
    assert outcome(going) is True
    assert desk.rows == ()


def test_a_gateway_that_dies_over_it_leaves_it_to_the_next(desk: Desk) -> None:
    desk.provision()
    desk.world.ready("alice.shop")
    outcome(desk.world.manifest.end_provision(KEY))
    desk.restart()
    desk.world.pass_time(1)
    assert (desk.rows, desk.world.engine.stacks) == ((), {})


def test_what_has_expired_is_taken_back_by_itself(desk: Desk) -> None:
    desk.provision(evolve(ALICE, expires=desk.world.wall() + 12))
    bob = desk.provision(Wanted(Key("app", "bob.shop"), "bob", "shop"))[0]
    desk.world.ready("alice.shop")
    desk.world.pass_time(10)
    assert desk.world.state("alice.shop") == "ready"
    desk.world.pass_time(2 * INTERVAL)
    assert desk.world.state("alice.shop") == "cold"
    assert desk.rows == (bob,)


def test_a_clock_that_is_wrong_for_a_while_takes_nothing_back(desk: Desk) -> None:
    desk.provision(evolve(ALICE, expires=desk.world.wall() + 86_400))
    desk.world.ready(KEY.name)
    bob = Wanted(Key("app", "bob.shop"), "bob", "shop", "bob@example.com")
    desk.provision(bob)
    desk.world.pass_time(INTERVAL)
    desk.world.wall_offset += 1e9
    desk.world.clock.advance(INTERVAL)
    assert desk.provisioning.deprovision(bob.key)
    desk.world.clock.advance(SURE - 2 * INTERVAL)
    assert [row.key for row in desk.rows] == [KEY]
    desk.world.wall_offset -= 1e9
    for _ in range(3):
        desk.world.clock.advance(INTERVAL)
    assert [row.key for row in desk.rows] == [KEY]
    desk.world.wall_offset += 1e9
    for _ in range(round(SURE / INTERVAL) + 3):
        desk.world.clock.advance(INTERVAL)
    desk.world.pass_time(1)
    assert desk.rows == ()


def test_one_that_has_just_expired_is_made_anew_for_who_asks(desk: Desk) -> None:
    desk.provision(evolve(ALICE, expires=desk.world.wall() + 1))
    desk.world.ready("alice.shop")
    desk.world.pass_time(0.5)
    wanting = desk.provisioning.provision(ALICE)
    desk.world.pass_time(1)
    row, made = outcome(wanting)
    assert (row.password, made, row.expires) == ("password 3", True, None)


def test_rows_of_an_app_that_is_not_configured_wait_for_it(desk: Desk) -> None:
    desk.provision()
    gone = evolve(desk.rows[0], key=Key("other", "alice.shop"), expires=0.0)
    outcome(desk.world.manifest.provision(gone))
    desk.world.pass_time(2 * INTERVAL)
    assert gone in desk.rows
    with pytest.raises(AppGone):
        outcome(desk.provisioning.deprovision(gone.key))
