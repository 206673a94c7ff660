"""Tables on standard output, JSON in results/, and README.md from that JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import asdict

from . import machine
from .goals import GOALS, WITHOUT_GOALS
from .measured import Measured, Table
from .options import Options

HERE = Path(__file__).parent
RESULTS = HERE / "results"
TEXT = HERE / "README.in.md"
README = HERE / "README.md"
MARK = "<!-- results -->"


def verdicts(figure: str, values: dict[str, float]) -> list[dict[str, Any]]:
    """One for each goal of the figure. What could not be measured is no goal met."""
    found = []
    for goal in GOALS:
        if goal.figure == figure:
            value = values.get(goal.value)
            met = value is not None and goal.met(value)
            shown = {"goal": goal.what, "sense": goal.sense, "limit": goal.limit, "unit": goal.unit}
            found.append({**shown, "value": value, "met": met})
    return found


def publish(figure: str, measured: Measured, options: Options, load_before: float, seconds: float) -> dict[str, Any]:
    """Print it and write it down. A quick run is printed only."""
    result = {
        "figure": figure,
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "took": round(seconds),
        "load before": round(load_before, 2),
        "options": asdict(options),
        "machine": machine.describe(),
        "verdicts": verdicts(figure, measured.values),
        "tables": [asdict(table) for table in measured.tables],
        "notes": list(measured.notes),
        "samples": measured.samples,
    }
    print(as_text(result), flush=True)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{figure}.json").write_text(json.dumps(_rounded(result), indent=1) + "\n")
        write_readme()
    return result


def as_text(result: dict[str, Any]) -> str:
    how = f"{result['when']}, load before {result['load before']}, workers {result['options']['workers']}"
    lines = [f"== {result['figure']}  ({how})"]
    for table in result["tables"]:
        lines += ["", table["title"], *_columns(Table(**table))]
    lines += ["", *result["notes"], *[_verdict(one) for one in result["verdicts"]], ""]
    return "\n".join(lines)


def write_readme() -> None:
    """The text with the last results of every figure put in."""
    order = [*dict.fromkeys(goal.figure for goal in GOALS), *WITHOUT_GOALS]
    results = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    parts = []
    last = max(results.values(), key=lambda result: str(result["when"]), default=None)
    if last is not None:
        parts += ["## The machine", "", *[f"* {name}: {value}" for name, value in last["machine"].items()], ""]
        parts += ["## The goals", "", "| figure | goal | | measured | |", "|---|---|---|---|---|"]
        for figure in order:
            for one in results.get(figure, {}).get("verdicts", []):
                value = "not measured" if one["value"] is None else f"{_number(one['value'])} {one['unit']}"
                parts.append(
                    f"| {figure} | {one['goal']} | {one['sense']} {_number(one['limit'])} {one['unit']} "
                    f"| {value} | {'met' if one['met'] else '**missed**'}{_by(one)} |"
                )
        parts.append("")
    for figure in order:
        if figure in results:
            parts += _section(results[figure])
    README.write_text(TEXT.read_text().replace(MARK, "\n".join(parts).rstrip()))


def _section(result: dict[str, Any]) -> list[str]:
    options = result["options"]
    when = f"{result['when']}, {result['machine']['Grand Central']}, `workers = {options['workers']}`"
    lines = [f"## {result['figure']}", "", f"{when}, load average before: {result['load before']}.", ""]
    for table in result["tables"]:
        lines += [f"{table['title']}:", "", _row(table["columns"]), "|" + "---|" * len(table["columns"])]
        lines += [*map(_row, table["rows"]), ""]
    return [*lines, *[line for note in result["notes"] for line in (note, "")]]


def _verdict(one: dict[str, Any]) -> str:
    value = "not measured" if one["value"] is None else f"{_number(one['value'])} {one['unit']}"
    goal = f"{one['sense']} {_number(one['limit'])} {one['unit']}"
    return f"{'met   ' if one['met'] else 'MISSED'}  {one['goal']}: {value} (goal: {goal}){_by(one)}"


def _by(one: dict[str, Any]) -> str:
    """How far from the goal."""
    return "" if one["value"] is None or not one["limit"] else f", {one['value'] / one['limit']:.2f} of it"


def _columns(table: Table) -> list[str]:
    rows = [list(table.columns), *[[_number(cell) for cell in row] for row in table.rows]]
    widths = [max(len(row[n]) for row in rows) for n in range(len(table.columns))]
    padded = ([cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  " + "  ".join([row[0].ljust(widths[0]), *cells]) for row, (_, *cells) in zip(rows, padded, strict=True)]


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(map(_number, cells)) + " |"


def _number(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _rounded(value: Any) -> Any:
    """Four significant digits: more would be noise."""
    if isinstance(value, float):
        return round(value, 3 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else value
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
