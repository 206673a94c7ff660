"""How long each phase of a start took, out of the progress that is reported while it runs."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from .model import PHASES, Progress

NOTICEABLE = 0.01  # seconds


@define
class Timeline:
    """Seconds per phase. Services pass through a phase side by side: it lasts while any of them is in it."""

    latest: Progress | None = None
    _spent: dict[str, float] = field(factory=dict)
    _since: dict[str, float] = field(factory=dict)  # phases that somebody is in
    _inside: set[tuple[str, str]] = field(factory=set)  # (phase, service)

    def note(self, progress: Progress, now: float) -> None:
        """Take in one report. A service may report a phase many times before it is done."""
        phase, who = progress.phase, (progress.phase, progress.service)
        if not progress.done:
            self.latest = progress
            self._inside.add(who)
            self._since.setdefault(phase, now)
            return
        self._inside.discard(who)
        if phase in self._since and not any(inside == phase for inside, _ in self._inside):
            self.add(phase, now - self._since.pop(phase))

    def add(self, phase: str, seconds: float) -> None:
        """Add time that was measured elsewhere."""
        self._spent[phase] = self._spent.get(phase, 0.0) + seconds

    def durations(self, now: float) -> dict[str, float]:
        """Seconds per phase so far, in the order of PHASES; phases that have not begun are left out."""
        running = {phase: now - since for phase, since in self._since.items()}
        return {
            phase: self._spent.get(phase, 0.0) + running.get(phase, 0.0)
            for phase in PHASES
            if phase in self._spent or phase in running
        }

    def __str__(self) -> str:
        """What is going on, for people: "pull web: 12 of 40 MB"."""
        if self.latest is None:
            return "starting"
        where = f"{self.latest.phase} {self.latest.service}".strip()
        return f"{where}: {self.latest.detail}" if self.latest.detail else where


def server_timing(held: float, phases: Mapping[str, float]) -> bytes:
    """A Server-Timing field line (W3C Server Timing §3.2), in milliseconds: how long a request was held, and the phases of the
    start that it was held for, if it was for one. Nothing for the moment in which a worker learns the way to a stack."""
    if not phases and held < NOTICEABLE:
        return b""
    parts = {"held": held, **{f"start-{phase}": seconds for phase, seconds in phases.items()}}
    metrics = ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts.items())
    return f"Server-Timing: {metrics}\r\n".encode("ascii")
