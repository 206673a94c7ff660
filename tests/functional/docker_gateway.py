"""One stack on a Docker backend that is open, and all that the backend tells."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from grandcentral.backends.docker import DockerBackend
from grandcentral.backends.docker.labels import GATEWAY
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, Found, Hook, Launch, LogTail, Progress, Service, StackSpec, Version
from grandcentral.errors import Mishap

from .docker_harness import DockerHarness


@define
class Gateway:
    harness: DockerHarness
    backend: DockerBackend
    key: Key
    vanished: list[tuple[Key, int, Mishap]] = field(factory=list)
    returned: list[None] = field(factory=list)
    progress: list[Progress] = field(factory=list)

    @classmethod
    async def open(cls, harness: DockerHarness, name: str = "a", **more: Any) -> Gateway:
        gateway = cls(harness, harness.backend(**more), harness.key(name))
        gateway.backend.watch(lambda *told: gateway.vanished.append(told), lambda: gateway.returned.append(None))
        await gateway.backend.open()
        return gateway

    def what(
        self, *services: Service, generation: int = 1, port: int | None = None, version: Version | None = None
    ) -> Launch:
        spec = StackSpec(services, "web", self.harness.port if port is None else port)
        return Launch(self.key, generation, version or self.harness.version(), spec, "a.example.com")

    def start(self, *services: Service, **more: Any) -> Deferred[Endpoint]:
        return self.backend.launch(self.what(*services, **more), self.progress.append)

    async def launch(self, *services: Service, **more: Any) -> Endpoint:
        return await self.harness.wait(self.start(*services, **more))

    async def stop(self) -> None:
        await self.harness.wait(self.backend.stop(self.key))

    async def restart(self, *services: Service, **more: Any) -> Endpoint:
        return await self.harness.wait(self.backend.restart(self.what(*services, **more), self.progress.append))

    async def fetch(self, *services: Service, **more: Any) -> None:
        await self.harness.wait(self.backend.fetch(self.what(*services, **more), self.progress.append))

    async def execute(self, command: str, service: str = "web", within: float = 10.0) -> None:
        await self.harness.wait(self.backend.execute(self.key, Hook(service, command), within))

    async def found(self) -> Found:
        """The one stack that is there."""
        [found] = await self.harness.wait(self.backend.survey())
        return found

    async def memory(self) -> int:
        """Bytes."""
        usage = await self.harness.wait(self.backend.usage())
        return usage[self.key].memory

    async def halt(self) -> None:
        await self.harness.wait(self.backend.halt(self.key, False, volumes=True))

    async def logs(self) -> tuple[LogTail, ...]:
        return await self.backend.logs(self.key, 50)

    async def close(self) -> None:
        await self.halt()
        await self.harness.wait(self.backend.close())

    def inspect(self, service: str) -> dict[str, Any]:
        return self.harness.client.inspect_container(self.harness.container(self.key, service))

    def volumes(self) -> set[str]:
        """The names of all volumes of this gateway, named or not."""
        ours = {"label": f"{GATEWAY}={self.harness.instance}"}
        return {one["Name"] for one in self.harness.client.volumes(filters=ours)["Volumes"] or ()}
