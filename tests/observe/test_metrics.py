"""The text that Prometheus reads, and the page about it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs import generate
from grandcentral.core.counters import SECONDS, HttpCounters, StackCounters
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import Event, State
from grandcentral.core.model import StackSnapshot
from grandcentral.observe import metrics
from grandcentral.observe.metrics import METRICS, Facts, exposition

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def facts(**more: object) -> Facts:
    given: dict[str, object] = {
        "version": "1.2.3",
        "python": "3.11.2",
        "http": HttpCounters(),
        "table": StackCounters(),
        "stacks": (),
        "capacity": (0, 20),
        "traffic": (0, 0),
        "held": 0,
        **more,
    }
    return Facts(**given)  # type: ignore[arg-type]


def samples(text: str) -> dict[str, float]:
    """Every line of the exposition that is a sample."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[line.rpartition(" ")[0]] = float(match[3])
    return found


def test_every_metric_is_there_with_its_help_and_type_before_its_samples() -> None:
    text = exposition(facts())
    for metric in METRICS:
        assert f"# HELP {metric.name} " in text
        assert f"\n# TYPE {metric.name} {metric.type}\n" in text
    assert text.endswith("\n")
    samples(text)


def test_what_is_counted_is_what_is_told() -> None:
    http, table = HttpCounters(connections=3, turned_away=2, unlogged=1), StackCounters()
    for _ in range(5):
        http.count(b"GET", 200)
    http.count(b"BREW", 418)
    http.held.observe(0.3)
    http.held.observe(7.0)
    http.served.observe(0.004)
    http.refused("asleep")
    http.tcp.connections["redis"] = 3
    http.tcp.refused("postgresql", "at-capacity")
    table.started("cold", None, 12.0, {"pull": 8.0})
    table.started("stopped", "no image", 1.0, {})
    table.started("paused", None, 0.002, {})
    table.moved(State.SAVING, State.STOPPING, Event.SAVED, "memory")
    table.moved(State.DOZING, State.PAUSED, Event.DRAINED, "idle")
    table.moved(State.COLD, State.REMOVING, Event.REMOVE_CHOSEN, "disk")
    table.moved(State.SAVING, State.RESUMING, Event.SAVE_FAILED, "idle")
    stacks = tuple(StackSnapshot(Key("app", state[0]), state) for state in ("ready", "stopped", "saving"))
    memory = {Key("app", "a"): 5, Key("app", "b"): 6, Key("docs"): 7}
    said = facts(http=http, table=table, stacks=stacks, traffic=(10, 20), held=4, memory=memory, memory_available=99)
    told = samples(exposition(said))
    wanted = {
        'grandcentral_build_info{version="1.2.3",python="3.11.2"}': 1,
        'grandcentral_http_requests_total{code="200",method="GET"}': 5,
        'grandcentral_http_requests_total{code="418",method="other"}': 1,
        'grandcentral_tcp_connections{protocol="redis"}': 3,
        'grandcentral_tcp_refusals_total{protocol="postgresql",type="at-capacity"}': 1,
        'grandcentral_http_held_seconds_bucket{le="0.25"}': 0,
        'grandcentral_http_held_seconds_bucket{le="0.5"}': 1,
        'grandcentral_http_held_seconds_bucket{le="10"}': 2,
        'grandcentral_http_held_seconds_bucket{le="+Inf"}': 2,
        "grandcentral_http_held_seconds_sum": 7.3,
        "grandcentral_http_held_seconds_count": 2,
        "grandcentral_http_connections": 3,
        "grandcentral_http_connections_refused_total": 2,
        "grandcentral_held_requests": 4,
        'grandcentral_proxied_bytes_total{direction="in"}': 10,
        'grandcentral_proxied_bytes_total{direction="out"}': 20,
        'grandcentral_http_request_duration_seconds_bucket{le="0.0025"}': 0,
        'grandcentral_http_request_duration_seconds_bucket{le="0.005"}': 1,
        "grandcentral_http_request_duration_seconds_sum": 0.004,
        'grandcentral_http_refusals_total{type="asleep"}': 1,
        'grandcentral_stacks{state="ready"}': 1,
        'grandcentral_stacks{state="stopped"}': 1,
        'grandcentral_stacks{state="saving"}': 1,
        'grandcentral_stacks{state="removing"}': 0,
        'grandcentral_stacks{state="starting"}': 0,
        "grandcentral_stacks_capacity": 20,
        'grandcentral_stack_starts_total{depth="cold",outcome="ready"}': 1,
        'grandcentral_stack_starts_total{depth="stopped",outcome="failed"}': 1,
        'grandcentral_stack_starts_total{depth="paused",outcome="ready"}': 1,
        'grandcentral_stack_start_duration_seconds_sum{depth="cold",outcome="ready"}': 12,
        'grandcentral_stack_start_duration_seconds_bucket{depth="cold",outcome="ready",le="20"}': 1,
        'grandcentral_stack_start_duration_seconds_bucket{depth="paused",outcome="ready",le="0.0025"}': 1,
        'grandcentral_stack_start_phase_seconds_sum{depth="cold",phase="pull"}': 8,
        'grandcentral_stack_stops_total{reason="memory"}': 1,
        'grandcentral_stack_stops_total{reason="failed"}': 0,
        'grandcentral_stack_pauses_total{reason="idle"}': 1,
        'grandcentral_stack_removals_total{reason="disk"}': 1,
        "grandcentral_stack_save_failures_total": 1,
        "grandcentral_memory_available_bytes": 99,
        'grandcentral_app_memory_bytes{app="app"}': 11,
        'grandcentral_app_memory_bytes{app="docs"}': 7,
        "grandcentral_access_log_dropped_total": 1,
    }
    assert {name: told.get(name) for name in wanted} == wanted


def test_every_metric_of_the_gateway_is_there_from_the_start_but_for_what_nobody_looks_at() -> None:
    there = {line.partition("{")[0].partition(" ")[0] for line in exposition(facts()).splitlines() if not line.startswith("#")}
    assert not {"grandcentral_memory_available_bytes", "grandcentral_app_memory_bytes"} & there
    assert {"grandcentral_stack_stops_total", "grandcentral_http_request_duration_seconds_count"} <= there


@given(st.lists(st.floats(0, 1000), max_size=20))
def test_buckets_add_up(values: list[float]) -> None:
    http = HttpCounters()
    for value in values:
        http.held.observe(value)
    told = samples(exposition(facts(http=http)))
    for bound in SECONDS:
        assert told[f'grandcentral_http_held_seconds_bucket{{le="{bound:g}"}}'] == sum(value <= bound for value in values)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_labels_are_as_prometheus_asks(metric: metrics.Metric) -> None:
    assert metric.name.startswith("grandcentral_")
    assert (metric.type == "counter") == metric.name.endswith("_total")
    http = HttpCounters()
    http.count(b"GET", 200)
    for labels, _ in metric.values(facts(http=http)):
        assert set(labels) == set(metric.labels)
    if metric.name != "grandcentral_build_info":
        assert not {"version", "host", "key", "stack", "name", "digest"} & set(metric.labels)


def test_what_a_label_says_cannot_end_it() -> None:
    assert 'version="a\\"b\\\\c\\nd"' in exposition(facts(version='a"b\\c\nd'))


def test_the_page_about_metrics_is_current() -> None:
    assert "metrics.md" not in generate.stale(), "run python -m docs.generate"
