"""core.ordering: services start in waves, each of services that need nothing but earlier waves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.model import Dependency, Service
from grandcentral.core.ordering import Disordered, waves


def service(name: str, *needs: str, required: bool = True) -> Service:
    return Service(name, depends_on=tuple(Dependency(need, required=required) for need in needs))


def test_services_that_need_nothing_are_one_wave_in_the_order_given():
    assert waves([service("web"), service("db")]) == (("web", "db"),)


def test_database_then_loader_then_application():
    assert waves([service("web", "db", "loader"), service("loader", "db"), service("db")]) == (("db",), ("loader",), ("web",))


def test_an_empty_stack_has_no_waves():
    assert waves([]) == ()


def test_a_circle_is_an_error_that_shows_the_circle():
    with pytest.raises(Disordered, match="in a circle: b -> c -> b"):
        waves([service("a", "b"), service("b", "c"), service("c", "b"), service("d")])


def test_a_service_that_needs_itself_is_a_circle():
    with pytest.raises(Disordered, match="a -> a"):
        waves([service("a", "a")])


def test_an_unknown_name_is_an_error_that_names_both():
    with pytest.raises(Disordered, match="web depends on db, which is not a service"):
        waves([service("web", "db")])


def test_what_is_not_required_may_be_missing_and_is_waited_for_when_it_is_there():
    web = service("web", "cache", required=False)
    assert waves([web]) == (("web",),)
    assert waves([web, service("cache")]) == (("cache",), ("web",))


@st.composite
def stacks(draw: st.DrawFn) -> list[Service]:
    """Services where each may need those of smaller number, in any order."""
    size = draw(st.integers(1, 8))
    made = [service(f"s{n}", *(f"s{m}" for m in range(n) if draw(st.booleans()))) for n in range(size)]
    return draw(st.permutations(made))


@given(stacks())
def test_everyone_starts_once_after_all_that_it_needs_and_no_later_than_it_must(services: list[Service]):
    order = waves(services)
    wave_of = {name: n for n, wave in enumerate(order) for name in wave}
    assert sorted(name for wave in order for name in wave) == sorted(one.name for one in services)
    for one in services:
        needs = [wave_of[dependency.service] for dependency in one.depends_on]
        assert wave_of[one.name] == (max(needs) + 1 if needs else 0)


@given(stacks(), st.data())
def test_closing_a_circle_anywhere_is_always_found(services: list[Service], data: st.DataObject):
    victim = data.draw(st.sampled_from(services))
    closed = [
        one if one is not victim else service(one.name, one.name, *(d.service for d in one.depends_on)) for one in services
    ]
    with pytest.raises(Disordered):
        waves(closed)
