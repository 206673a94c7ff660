"""A stack that was stopped, as what is to be started: its containers are there, and say how they were made."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from functools import partial
from typing import Any

from attrs import evolve, frozen

from ...core.keys import Key
from ...core.model import Condition, Dependency, Endpoint, HealthCheck, Service, StackSpec
from ...errors import NothingKept
from . import verbs
from .calls import Calls
from .labels import SERVICES, Labels, Roster, dependencies_of, serves_of
from .launching import Step
from .seen import Seen, survey

UNCHECKED = HealthCheck((), disabled=True)


def kept(key: Key, containers: Collection[Seen], networks: Mapping[str, Labels]) -> dict[str, Seen]:
    """What there is of a stack by the names of its services. Raises NothingKept if it cannot be started as it is.

    :param networks: of this stack, by their ids. One that was made again under the same name is another one.
    """
    if not any(found.kept for found in survey(containers, networks.values())):
        raise NothingKept(f"{key} is not there, or not all of it is: it can only be made anew.")
    if missing := sorted(one.service for one in containers if not has_networks(one, networks)):
        raise NothingKept(f"A network of {', '.join(missing)} is gone: {key} can only be made anew.")
    return {one.service: one for one in containers}


def has_networks(container: Seen, networks: Container[str]) -> bool:
    """Whether its networks are all there; one that somebody has taken off them has none."""
    return container.network == "host" or (bool(container.networks) and all(one in networks for one in container.networks))


def as_made(spec: StackSpec, there: Mapping[str, Seen]) -> StackSpec:
    """The lasting services of a stack, in the order in which they were started when it was made.

    Who waited for a task, which has done its work, waits for what the task had waited for. How health is checked is what
    ``spec`` says now; what is no longer in it is not checked.

    :param there: all containers of the stack by service.
    """
    labels = next(iter(there.values())).labels
    roster = Roster.parse(labels[SERVICES])
    serves, port = serves_of(labels)
    now = {service.name: service for service in spec.services}

    def needs(name: str) -> Iterator[Dependency]:
        for dependency in dependencies_of(there[name].labels):
            if dependency.service in roster.tasks:
                yield from needs(dependency.service)
            else:
                yield dependency if dependency.service in now else evolve(dependency, condition=Condition.STARTED)

    def made(name: str) -> Service:
        service = now.get(name, Service(name, healthcheck=UNCHECKED))
        return evolve(service, depends_on=tuple(dict.fromkeys(needs(name))))

    lasting = [name for wave in roster.waves for name in wave if name not in roster.tasks]
    return evolve(spec, services=tuple(map(made, lasting)), serves=serves, port=port)


@frozen
class Kept:
    """The containers of a restart: they are there. Implements launching.Parts."""

    _calls: Calls
    _there: Mapping[str, Seen]

    def preparations(self) -> list[Step]:
        return []

    async def create(self, service: Service) -> str:
        return self._there[service.name].id

    async def connect(self, service: Service, container: str) -> None:
        """It is on its networks."""

    async def image(self, service: Service) -> Mapping[str, Any]:
        """Nothing is known of an image that somebody has removed by force."""
        return await self._calls.quick(partial(verbs.image, image=self._there[service.name].image)) or {}

    async def place(self, service: Service, container: str) -> Endpoint | None:
        """An engine that was killed may still have the address that it had before."""
        return None
