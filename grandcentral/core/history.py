"""A start as the manifest remembers it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from .keys import Key


@frozen
class Start:
    """``began`` is wall seconds; ``phases`` is seconds per phase (model.PHASES); ``failure`` is None for one that succeeded;
    ``depth`` is what it began from: "cold" (everything was made) or "stopped" (what was kept was started again)."""

    key: Key
    generation: int
    began: float
    phases: Mapping[str, float]
    failure: str | None = None
    depth: str = "cold"
