"""What a worker is told when it starts."""

from __future__ import annotations

import io

from attrs import evolve

from grandcentral.config import Registry, Webhooks
from grandcentral.config.configuration import Admin
from grandcentral.core.model import App
from grandcentral.core.waking import Rule
from grandcentral.workers.assignment import Assignment, for_workers

from .rig import configuration

SECRETS = evolve(
    configuration(),
    admin=Admin("tcp:1", "hush"),
    registries={"r": Registry("r", password="hush")},
    webhooks=Webhooks("hush"),
    apps=(App("app", "docker", ("{version}.localhost",), "name", image="registry/hush", template=object()),),  # type: ignore[arg-type]
)


def test_it_arrives_as_it_was_and_stands_for_the_same() -> None:
    assignment = Assignment(1, 2, for_workers(SECRETS))
    arrived = Assignment.read(io.BytesIO(assignment.write()))
    assert arrived == assignment
    assert arrived.digest == Assignment(0, 2, for_workers(SECRETS)).digest


def test_it_has_no_secrets_and_knows_how_hosts_are_routed() -> None:
    assert b"hush" not in Assignment(0, 2, for_workers(SECRETS)).write()
    assert for_workers(SECRETS).apps[0].hosts == SECRETS.apps[0].hosts


def test_it_has_what_tokens_are_made_of_and_which_requests_wake() -> None:
    app = App("app", "docker", ("{version}.localhost",), "name", rules=(Rule(path="/poll", keeps_alive=False),))
    told = for_workers(evolve(SECRETS, apps=(app,)))
    arrived = Assignment.read(io.BytesIO(Assignment(0, 2, told, secret=b"s" * 32).write()))
    assert arrived.secret == b"s" * 32
    assert "sss" not in repr(arrived)
    assert arrived.configuration.apps[0].rules == app.rules
    assert arrived.digest != Assignment(0, 2, told, secret=b"t" * 32).digest
    assert arrived.digest != Assignment(0, 2, for_workers(SECRETS), secret=b"s" * 32).digest


def test_what_makes_a_worker_unlike_another_makes_another_digest() -> None:
    digest = Assignment(0, 2, for_workers(SECRETS)).digest
    assert Assignment(0, 3, for_workers(SECRETS)).digest != digest
    assert Assignment(0, 2, for_workers(evolve(SECRETS, http={"grace": 1.0}))).digest != digest
    assert Assignment(0, 2, for_workers(evolve(SECRETS, admin=Admin("tcp:2")))).digest == digest


def test_it_knows_which_requests_wake() -> None:
    rule = Rule(methods=frozenset({"GET", "HEAD", "POST"}), wakes=False)
    told = for_workers(evolve(SECRETS, apps=(evolve(SECRETS.apps[0], rules=(rule,)),)))
    assert told.apps[0].rules == (rule,)
    assert "['GET', 'HEAD', 'POST']" in repr(told), "two gateways with one configuration have one digest"
