"""What a figure gives back: values for the goals, tables for people, samples for whoever wants to look closer."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from attrs import field, frozen

Cell = str | float | int | None
Row = tuple[Cell, ...]


@frozen
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@frozen
class Measured:
    """``values`` by the names that goals.py has for them; ``samples`` are JSON."""

    values: dict[str, float]
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    samples: dict[str, object] = field(factory=dict)


def spread(numbers: Sequence[float], scale: float = 1.0) -> str:
    """The range of the rounds: "17.2 - 19.9"."""
    return f"{min(numbers) * scale:.3g} - {max(numbers) * scale:.3g}"


def ratios(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round: what disturbs the machine disturbs both."""
    return [a / b for a, b in zip(mine, theirs, strict=True)]


def median_ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    return median(ratios(mine, theirs))


def percentile(numbers: Sequence[float], percent: float) -> float:
    """By nearest rank."""
    ranked = sorted(numbers)
    return ranked[min(len(ranked) - 1, max(0, -(-len(ranked) * percent // 100).__int__() - 1))]
