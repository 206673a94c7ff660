"""The images of a stack: which they are, and how they come to the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from attrs import define, field

from ...core.model import Launch, Service
from ...core.references import Reference
from ...errors import EngineRefused
from . import verbs
from .abortable import Pull
from .calls import Calls
from .phases import Phases
from .references import wanted
from .waiting import Fact, Reactor

Credentials = Callable[[str], Mapping[str, str] | None]

Image = tuple[Reference, str | None]  # what to start, for which platform


def image_of(launch: Launch, service: Service) -> Image:
    """Raises EngineRefused if nobody says."""
    reference = wanted(service, launch.version)
    if reference is None:
        raise EngineRefused(f"{service.name} of {launch.key} has no image: give it one in the template.")
    return reference, service.platform


def images_of(launch: Launch) -> dict[Image, str]:
    """Every image that a launch needs, once, with the name of a service that needs it. Raises EngineRefused."""
    images: dict[Image, str] = {}
    for service in launch.spec.services:
        images.setdefault(image_of(launch, service), service.name)
    return images


@define(eq=False)
class Images:
    """Fetches images for one launch, each once. What the engine has is not pulled again: the registry may be away."""

    _reactor: Reactor
    _calls: Calls
    _credentials: Credentials
    _phases: Phases
    _pulled: dict[Image, Fact[None]] = field(factory=dict, init=False)

    async def have(self, image: Image, service: str) -> None:
        """Pull it if the engine does not have it. Raises ImageUnavailable.

        :param service: for whom, in what is reported.
        """
        if await self._calls.quick(partial(verbs.image, image=str(image[0]))) is None:
            await self.pull(image, service)

    async def pull(self, image: Image, service: str) -> None:
        if image in self._pulled:
            await self._pulled[image].wait()
            return
        self._pulled[image] = Fact()
        reference, platform = image
        with self._phases.during("pull", service):
            pull = Pull(reference, self._credentials(reference.domain), platform)
            tell = partial(self._reactor.callFromThread, self._phases.say, "pull", service)
            await self._calls.pull(partial(pull.run, progress=tell), pull.abort)
        self._pulled[image].come(None)
