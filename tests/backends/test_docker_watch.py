"""What is said of a service that died, by an engine that has its own troubles."""

from __future__ import annotations

from typing import Any, cast

import pytest

from grandcentral.backends.docker.calls import Calls
from grandcentral.backends.docker.vigil import Vigil
from grandcentral.backends.docker.watch import Watch
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.errors import EngineRefused, EngineUnavailable, Mishap, ServiceExited

KEY = Key("app", "0000000")


class Refusing:
    """An engine that answers every question with this."""

    def __init__(self, mishap: Mishap) -> None:
        self.mishap = mishap

    async def quick(self, call: object) -> Any:
        raise self.mishap


@pytest.mark.parametrize(
    "mishap",
    [EngineUnavailable("It does not answer."), EngineRefused("configured logging driver does not support reading")],
)
def test_a_death_is_told_though_nothing_can_be_said_of_it(mishap: Mishap) -> None:
    vigil = Vigil(cast(Calls, Refusing(mishap)), lambda failure: failure.raiseException())
    told: list[Mishap] = []
    vigil.told = lambda key, generation, mishap: told.append(mishap)
    watch = Watch(KEY, 1, frozenset(), {"0a": "web"})
    vigil.begin(watch)
    vigil.launched(watch, Endpoint("172.17.0.2", 80))
    watch.ended("web", 137)
    (death,) = told
    assert isinstance(death, ServiceExited)
    assert (death.service, death.logs) == ("web", ())
