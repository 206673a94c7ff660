"""The template of an app that is one image by itself."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..core.interpolation import InterpolationError, interpolate
from ..core.model import Service, StackSpec
from ..core.problems import Invalid, Problem


@frozen
class SingleImage:
    """A core.model.Template of one container. Variables that begin with GRANDCENTRAL are in its environment."""

    image: str  # with {version} in it
    service: str
    port: int
    environment: Mapping[str, str] = field(factory=dict)

    def render(self, variables: Mapping[str, str]) -> StackSpec:
        given = {name: value for name, value in variables.items() if name.startswith("GRANDCENTRAL")}
        try:
            environment = given | {name: interpolate(value, variables) for name, value in self.environment.items()}
        except InterpolationError as error:
            raise Invalid([Problem("environment", str(error))]) from None
        image = variables["IMAGE"] or self.image
        return StackSpec(
            (Service(self.service, image=image, environment=environment, ports=(self.port,)),), self.service, self.port
        )
