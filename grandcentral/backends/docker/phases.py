"""The phases of one start, as reported: one at a time, though several services are in different ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ...core.model import Progress
from ...interfaces import Report

PRECEDENCE = ("pull", "loader", "health", "create")  # when several are under way, the one that a person waits for


class Phases:
    """Says which phase a start is in. Phases never overlap, so their seconds add up; a phase may come more than once
    (create, health, loader, create), so who keeps the time adds its parts."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._under_way: Counter[str] = Counter()
        self._current = ""

    @contextmanager
    def during(self, phase: str, service: str) -> Iterator[None]:
        self._under_way[phase] += 1
        self._switch(service)
        try:
            yield
        finally:
            self._under_way[phase] -= 1
            self._switch("")

    def say(self, phase: str, service: str, detail: str) -> None:
        if phase == self._current:
            self._report(Progress(phase, service, detail))

    def _switch(self, service: str) -> None:
        now = next((phase for phase in PRECEDENCE if self._under_way[phase]), "")
        if now != self._current:
            before, self._current = self._current, now
            if before:
                self._report(Progress(before, done=True))
            if now:
                self._report(Progress(now, service))
