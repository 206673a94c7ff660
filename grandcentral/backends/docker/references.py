"""Which image a service is started from."""

from __future__ import annotations

from attrs import evolve

from ...core.model import Service, Version
from ...core.references import Reference, parse
from ...errors import EngineRefused


def wanted(service: Service, version: Version) -> Reference | None:
    """What is started for ``service``; None if nobody says. Raises EngineRefused for what no engine would take.

    The version's own image is started by its digest where that is known: where the tag has moved since does not matter.
    """
    text = service.image or version.image
    if not text:
        return None
    try:
        reference = parse(text)
    except ValueError as error:
        raise EngineRefused(f"{service.name} cannot be started from {text!r}: {error}.") from None
    if text == version.image and version.digest:
        return evolve(reference, digest=version.digest)
    return reference
