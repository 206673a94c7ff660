"""What is known of a backend, and when it has to be asked again."""

from __future__ import annotations

from typing import Any, cast

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from grandcentral.core.keys import Key
from grandcentral.core.model import Found
from grandcentral.errors import EngineUnavailable
from grandcentral.interfaces import IBackend
from grandcentral.stacks.surveys import Surveys

FOUND = Found(Key("app", "0000000"), 1, None)


@define
class Engine:
    """Surveys of it end when the test says so."""

    under_way: list[Deferred[tuple[Found, ...]]] = field(factory=list)

    def survey(self) -> Deferred[tuple[Found, ...]]:
        self.under_way.append(Deferred())
        return self.under_way[-1]


@define
class Asked:
    engine: Engine = field(factory=Engine)
    reconciled: list[Any] = field(factory=list)
    surveys: Surveys[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        backends = {"engine": cast(IBackend, self.engine)}
        self.surveys = Surveys(backends, lambda name: None, lambda name, before, found: self.reconciled.append(found))


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_all_who_need_to_know_share_one_survey(asked: Asked) -> None:
    waiting = [asked.surveys.known("engine") for _ in range(3)]
    (survey,) = asked.engine.under_way
    survey.callback((FOUND,))
    assert [one.called for one in waiting] == [True] * 3
    assert asked.reconciled == [(FOUND,)]
    assert asked.surveys.known("engine").called


def test_a_survey_that_began_before_the_engine_came_back_does_not_count(asked: Asked) -> None:
    """What it saw may be from before the engine went; who waits for it waits for the next one."""
    asked.surveys.renew("engine")
    waiting = asked.surveys.known("engine")
    asked.surveys.renew("engine")
    asked.engine.under_way[0].callback((FOUND,))
    assert not waiting.called
    asked.engine.under_way[1].callback(())
    assert waiting.called
    assert asked.reconciled[-1] == ()
    assert len(asked.engine.under_way) == 2


def test_an_engine_that_is_away_fails_all_who_wait_and_is_asked_again_by_the_next(asked: Asked) -> None:
    waiting = [asked.surveys.known("engine") for _ in range(2)]
    asked.engine.under_way[0].errback(EngineUnavailable("It is away."))
    for one in waiting:
        one.addErrback(lambda failure: failure.trap(EngineUnavailable) and None)
    again = asked.surveys.known("engine")
    asked.engine.under_way[1].callback(())
    assert again.called
