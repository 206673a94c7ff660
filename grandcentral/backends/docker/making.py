"""What a launch makes: networks, and a container for each service."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from ...core.model import Endpoint, Launch, Service
from ...errors import ImageUnavailable
from . import bodies, verbs
from .calls import Calls
from .images import Images, image_of
from .labels import DEFAULT_PORT, unique
from .launching import Step
from .phases import Phases
from .waiting import Fact, together


@define(eq=False)
class Making:
    """The containers of a launch. Implements launching.Parts.

    Networks and containers are made at the same time. Whether the engine has an image it says when a container is to be
    made of it: to ask before would cost every launch a call, and the answer might be old by then.
    """

    _calls: Calls
    _instance: str
    _launch: Launch
    _phases: Phases
    _images: Images
    _published: bool
    _networks_made: Fact[None] = field(factory=Fact, init=False)

    def preparations(self) -> list[Step]:
        return [self._make_networks()]

    async def _make_networks(self) -> None:
        def made(network: str) -> Coroutine[Deferred[Any], Any, Any]:
            body = bodies.network(self._instance, self._launch, network)
            return self._calls.lifecycle(lambda client: client.create_network(**body))

        networks = dict.fromkeys(name for service in self._launch.spec.services for name in bodies.networks_of(service))
        with self._phases.during("create", ""):
            await together(*map(made, networks))
        self._networks_made.come(None)

    async def create(self, service: Service) -> str:
        try:
            return await self._create(service)
        except ImageUnavailable:
            await self._images.pull(image_of(self._launch, service), service.name)
            return await self._create(service)

    async def _create(self, service: Service) -> str:
        reference, platform = image_of(self._launch, service)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        body = bodies.container(self._instance, self._launch, service, str(reference), self._published, created)
        name = unique(self._instance, self._launch.key, service.name)
        files = bodies.archives(service)
        with self._phases.during("create", service.name):
            return await self._calls.lifecycle(partial(verbs.create, name=name, body=body, files=files, platform=platform))

    async def connect(self, service: Service, container: str) -> None:
        """It was made on the first of its networks: older engines take one only."""
        with self._phases.during("create", service.name):
            await self._networks_made.wait()
            for network in bodies.networks_of(service)[1:]:
                for name, settings in bodies.endpoint(self._instance, self._launch, service, network).items():
                    join = partial(verbs.join, container=container, network=name, aliases=settings["Aliases"])
                    await self._calls.lifecycle(join)

    async def image(self, service: Service) -> Mapping[str, Any]:
        reference, _ = image_of(self._launch, service)
        return await self._calls.quick(partial(verbs.image, image=str(reference))) or {}

    async def place(self, service: Service, container: str) -> Endpoint | None:
        networks = bodies.networks_of(service)
        if self._published or not networks:
            return None
        network = unique(self._instance, self._launch.key, f"network {networks[0]}")
        address = await self._calls.quick(partial(verbs.address, network=network, container=container))
        return Endpoint(address, self._launch.spec.port or DEFAULT_PORT) if address else None
