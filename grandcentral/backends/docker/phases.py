"""Which phases the services of one start are in, as they enter and leave them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from ...core.model import Progress
from ...interfaces import Report


@define(eq=False)
class Phases:
    _report: Report
    _under_way: set[tuple[str, str]] = field(factory=set, init=False)

    @contextmanager
    def during(self, phase: str, service: str) -> Iterator[None]:
        """``service`` is in ``phase``; left also when that fails."""
        self._under_way.add((phase, service))
        self._report(Progress(phase, service))
        try:
            yield
        finally:
            self._under_way.discard((phase, service))
            self._report(Progress(phase, service, done=True))

    def say(self, phase: str, service: str, detail: str) -> None:
        """Something of a phase under way. What a thread says too late is left unsaid."""
        if (phase, service) in self._under_way:
            self._report(Progress(phase, service, detail))
