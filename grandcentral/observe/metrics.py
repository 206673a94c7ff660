"""Metrics in Prometheus' text format (version 0.0.4): what there is, as a table, and its text.

No metric has a label for versions, hosts or commits: they are without end, and each would be a time series for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from attrs import frozen

from ..core.counters import SECONDS, Histogram, HttpCounters, StackCounters
from ..core.lifecycle import State
from ..core.model import StackSnapshot

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Value = float | int | Histogram


@frozen
class Facts:
    """What all metrics are made of."""

    version: str
    python: str
    http: HttpCounters  # of all workers
    table: StackCounters
    stacks: tuple[StackSnapshot, ...]
    capacity: tuple[int, int]  # slots taken, and slots there are
    traffic: tuple[int, int]  # bytes to stacks, and from them
    held: int


@frozen
class Metric:
    """``values`` yields each time series: its labels and its value."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    values: Callable[[Facts], Iterable[tuple[Labels, Value]]]


def _one(value: Value) -> Iterable[tuple[Labels, Value]]:
    return [({}, value)]


def _answers(facts: Facts) -> Iterable[tuple[Labels, Value]]:
    for (method, status), count in sorted(facts.http.answers.items()):
        yield {"code": str(status), "method": method.decode("ascii")}, count


def _states(facts: Facts) -> Iterable[tuple[Labels, Value]]:
    there = Counter(snapshot.state for snapshot in facts.stacks)
    return [({"state": state.value}, there[state.value]) for state in State if state is not State.COLD]


METRICS = (
    Metric(
        "grandcentral_build_info",
        "gauge",
        "Always 1; which version of the gateway runs on which Python.",
        ("version", "python"),
        lambda facts: [({"version": facts.version, "python": facts.python}, 1)],
    ),
    Metric(
        "grandcentral_http_requests_total",
        "counter",
        "Requests that were answered, by the application or by the gateway. Methods that clients invent are `other`, and "
        "so are bytes that were no request.",
        ("code", "method"),
        _answers,
    ),
    Metric(
        "grandcentral_http_held_seconds",
        "histogram",
        "How long requests waited for their stack. Those that found it ready are not in it, but for the first in each worker.",
        (),
        lambda facts: _one(facts.http.held),
    ),
    Metric(
        "grandcentral_http_connections",
        "gauge",
        "Connections of clients that are open.",
        (),
        lambda facts: _one(facts.http.connections),
    ),
    Metric(
        "grandcentral_http_connections_refused_total",
        "counter",
        "Connections beyond `max_connections` or `max_connections_per_client`.",
        (),
        lambda facts: _one(facts.http.turned_away),
    ),
    Metric(
        "grandcentral_held_requests",
        "gauge",
        "Requests that wait for their stack to be ready.",
        (),
        lambda facts: _one(facts.held),
    ),
    Metric(
        "grandcentral_proxied_bytes_total",
        "counter",
        "Bytes to stacks (`in`) and from them (`out`), heads included.",
        ("direction",),
        lambda facts: [({"direction": "in"}, facts.traffic[0]), ({"direction": "out"}, facts.traffic[1])],
    ),
    Metric("grandcentral_stacks", "gauge", "Stacks that are not cold, by state.", ("state",), _states),
    Metric(
        "grandcentral_stacks_capacity",
        "gauge",
        "Stacks that may exist at once: `max_stacks`.",
        (),
        lambda facts: _one(facts.capacity[1]),
    ),
    Metric(
        "grandcentral_stack_starts_total",
        "counter",
        "Starts that have ended: `ready` or `failed`.",
        ("outcome",),
        lambda facts: [({"outcome": outcome}, sum(took.counts)) for outcome, took in facts.table.starts.items()],
    ),
    Metric(
        "grandcentral_stack_start_duration_seconds",
        "histogram",
        "How long starts took, from the look-up of the version to the first answer.",
        ("outcome",),
        lambda facts: [({"outcome": outcome}, took) for outcome, took in facts.table.starts.items()],
    ),
    Metric(
        "grandcentral_stack_stops_total",
        "counter",
        "Stacks that were stopped since they were `idle` (or had to give way to another), since an operator `asked`, since "
        "something of them had `vanished`, or since their start `failed`.",
        ("reason",),
        lambda facts: [({"reason": reason}, count) for reason, count in facts.table.stops.items()],
    ),
    Metric(
        "grandcentral_access_log_dropped_total",
        "counter",
        "Lines of the access log for which there was no room, since what it is written to stood still.",
        (),
        lambda facts: _one(facts.http.unlogged),
    ),
)


def exposition(facts: Facts) -> str:
    """All metrics, as Prometheus reads them."""
    lines = []
    for metric in METRICS:
        lines += [f"# HELP {metric.name} {_escape(metric.help)}", f"# TYPE {metric.name} {metric.type}"]
        for labels, value in metric.values(facts):
            lines += _series(metric.name, labels, value)
    return "\n".join(lines) + "\n"


def document() -> str:
    """docs/metrics.md."""
    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    bounds = ", ".join(f"{bound:g}" for bound in SECONDS)
    return (
        "# Metrics\n\n"
        "<!-- Written by python -m docs.generate from grandcentral/observe/metrics.py. -->\n\n"
        "`GET /metrics` on the admin listener has them in Prometheus' text format. They are the sums of all workers, and\n"
        "begin at zero when the gateway does. No metric names versions, hosts or commits.\n\n"
        "| name | type | labels | what it says |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Histograms have buckets at {bounds} seconds.\n"
    )


def _series(name: str, labels: Labels, value: Value) -> Iterable[str]:
    if not isinstance(value, Histogram):
        return [f"{name}{_labels(labels)} {value}"]
    below = list(accumulate(value.counts))
    bounds = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
    return [
        *(f"{name}_bucket{_labels({**labels, 'le': bound})} {count}" for bound, count in zip(bounds, below, strict=True)),
        f"{name}_sum{_labels(labels)} {value.total}",
        f"{name}_count{_labels(labels)} {below[-1]}",
    ]


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escape(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(text: str, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
