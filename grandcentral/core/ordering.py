"""In which order the services of a stack start: waves, each of services that need nothing but earlier waves."""

from __future__ import annotations

from collections.abc import Sequence

from .model import Service


class Disordered(ValueError):
    """``depends_on`` that no order satisfies: it names a service that is not there, or goes in a circle."""


def waves(services: Sequence[Service]) -> tuple[tuple[str, ...], ...]:
    """The names of ``services`` in waves: who is in a wave depends on services of earlier waves only.

    Names keep the order in which they were given within a wave. A dependency with ``required=False`` on a service that is
    not there is no dependency (Compose specification, ``depends_on``).

    Raises Disordered, which names the services.
    """
    needs = {service.name: needed(service, services) for service in services}
    found: list[tuple[str, ...]] = []
    while needs:
        wave = tuple(name for name, theirs in needs.items() if not theirs & needs.keys())
        if not wave:
            raise Disordered(f"services depend on each other in a circle: {' -> '.join(circle(needs))}")
        found.append(wave)
        needs = {name: theirs for name, theirs in needs.items() if name not in wave}
    return tuple(found)


def needed(service: Service, services: Sequence[Service]) -> frozenset[str]:
    """The names of those among ``services`` that ``service`` waits for. Raises Disordered for one that is not there."""
    there = {other.name for other in services}
    for dependency in service.depends_on:
        if dependency.required and dependency.service not in there:
            raise Disordered(f"{service.name} depends on {dependency.service}, which is not a service of this stack")
    return frozenset(dependency.service for dependency in service.depends_on) & there


def circle(needs: dict[str, frozenset[str]]) -> list[str]:
    """One circle, its first name repeated at the end. Each name in ``needs`` needs at least one other name in it."""
    path = [next(iter(needs))]
    while True:
        following = min(needs[path[-1]] & needs.keys())
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
