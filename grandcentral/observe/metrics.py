"""Metrics in Prometheus' text format (version 0.0.4): what there is, as a table, and its text.

No metric has a label for versions, hosts or commits: they are without end, and each would be a time series for ever.

A little over the usual length, for it is one table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from operator import itemgetter

from attrs import field, frozen

from ..core.counters import FINE, SECONDS, Histogram, HttpCounters, StackCounters
from ..core.idleness import STOPPED
from ..core.keys import Key
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
    memory: Mapping[Key, int] = field(factory=dict)  # bytes, of stacks that were weighed
    memory_available: int | None = None  # bytes; None: nobody looks


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
    shown = (*(state.value for state in State if state is not State.COLD), STOPPED)
    return [({"state": state}, there[state]) for state in shown]


def _by(label: str, counts: Mapping[str, int]) -> Iterable[tuple[Labels, Value]]:
    return [({label: name}, count) for name, count in counts.items()]


def _by_both(labels: tuple[str, str], counts: Mapping[tuple[str, str], Value]) -> Iterable[tuple[Labels, Value]]:
    return [(dict(zip(labels, names, strict=True)), count) for names, count in sorted(counts.items(), key=itemgetter(0))]


def _memory(facts: Facts) -> Iterable[tuple[Labels, Value]]:
    apps: Counter[str] = Counter()
    for key, size in facts.memory.items():
        apps[key.app] += size
    return _by("app", dict(sorted(apps.items())))


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
        "grandcentral_http_request_duration_seconds",
        "histogram",
        "How long applications took for requests that they answered to the end: from when the stack was ready to the answer's "
        "last byte. Not in it: waiting for a stack, what was upgraded, and the gateway's own answers.",
        (),
        lambda facts: _one(facts.http.served),
    ),
    Metric(
        "grandcentral_http_refusals_total",
        "counter",
        "Requests that the gateway answered itself, by the type of the problem: `asleep`, `at-capacity`, `start-failed`, …",
        ("type",),
        lambda facts: _by("type", dict(sorted(facts.http.refusals.items()))),
    ),
    Metric(
        "grandcentral_http_connections",
        "gauge",
        "Connections of clients that are open, those to the ports of apps not counted.",
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
        "grandcentral_tcp_connections",
        "gauge",
        "Connections of clients to the ports of apps that are open, by what is spoken there: `postgresql`, `redis`, `tcp`.",
        ("protocol",),
        lambda facts: _by("protocol", dict(sorted(facts.http.tcp.connections.items()))),
    ),
    Metric(
        "grandcentral_tcp_refusals_total",
        "counter",
        "Clients there that got no stack, by the type of the problem as in `grandcentral_http_refusals_total`. Names that can "
        "be nobody's are not in it.",
        ("protocol", "type"),
        lambda facts: _by_both(("protocol", "type"), facts.http.tcp.refusals),
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
    Metric(
        "grandcentral_stacks",
        "gauge",
        "Stacks by state. Of those that are `stopped` nothing runs, and their data is kept; cold ones, of which nothing is "
        "there, are not counted.",
        ("state",),
        _states,
    ),
    Metric(
        "grandcentral_stacks_capacity",
        "gauge",
        "Stacks that may run at once: `max_stacks`.",
        (),
        lambda facts: _one(facts.capacity[1]),
    ),
    Metric(
        "grandcentral_stack_starts_total",
        "counter",
        "Wakes that have ended, `ready` or `failed`, by the depth that a stack was woken from: `cold` (all of it was made), "
        "`stopped` (what was kept was started again), `paused` (it was thawed).",
        ("depth", "outcome"),
        lambda facts: _by_both(("depth", "outcome"), {kind: sum(took.counts) for kind, took in facts.table.starts.items()}),
    ),
    Metric(
        "grandcentral_stack_start_duration_seconds",
        "histogram",
        "How long they took, from the look-up of the version to the first answer; of `paused` ones, the thawing.",
        ("depth", "outcome"),
        lambda facts: _by_both(("depth", "outcome"), facts.table.starts),
    ),
    Metric(
        "grandcentral_stack_start_phase_seconds",
        "histogram",
        "How long each phase of them took, of those that went well. Phases of different services overlap.",
        ("depth", "phase"),
        lambda facts: _by_both(("depth", "phase"), facts.table.phases),
    ),
    Metric(
        "grandcentral_stack_stops_total",
        "counter",
        "Stacks that were stopped since they were `idle`, since another needed their slot (`room`) or `memory`, for their "
        "`age`, by an `operator`, since something of them had `vanished`, or since their start `failed`.",
        ("reason",),
        lambda facts: _by("reason", facts.table.stops),
    ),
    Metric(
        "grandcentral_stack_pauses_total",
        "counter",
        "Stacks that were paused, for such reasons.",
        ("reason",),
        lambda facts: _by("reason", facts.table.pauses),
    ),
    Metric(
        "grandcentral_stack_removals_total",
        "counter",
        "Stopped stacks that were removed, for such reasons; `disk` is one of them.",
        ("reason",),
        lambda facts: _by("reason", facts.table.removals),
    ),
    Metric(
        "grandcentral_stack_save_failures_total",
        "counter",
        "Stacks that were not stopped since a `before_stop` command of theirs failed.",
        (),
        lambda facts: _one(facts.table.unsaved),
    ),
    Metric(
        "grandcentral_memory_available_bytes",
        "gauge",
        "Memory that stacks may still take, of the machine or of their control group.",
        (),
        lambda facts: [] if facts.memory_available is None else _one(facts.memory_available),
    ),
    Metric(
        "grandcentral_app_memory_bytes",
        "gauge",
        "Memory that the stacks of an app were seen to take last. Only with `memory_min_free`.",
        ("app",),
        _memory,
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
    coarse, fine = (", ".join(f"{bound:g}" for bound in bounds) for bounds in (SECONDS, FINE))
    return (
        "# Metrics\n\n"
        "<!-- Written by python -m docs.generate from grandcentral/observe/metrics.py. -->\n\n"
        "`GET /metrics` on the admin listener has them in Prometheus' text format. They are the sums of all workers, and\n"
        "begin at zero when the gateway does. No metric names versions, hosts or commits.\n\n"
        "| name | type | labels | what it says |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Histograms of starts and of held requests have buckets at {coarse} seconds; those of durations of requests and of\n"
        f"thawing at {fine} seconds.\n"
    )


def _series(name: str, labels: Labels, value: Value) -> Iterable[str]:
    if not isinstance(value, Histogram):
        return [f"{name}{_labels(labels)} {value}"]
    below = list(accumulate(value.counts))
    bounds = [*(f"{bound:g}" for bound in value.bounds), "+Inf"]
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
