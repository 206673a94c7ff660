"""Containers as the Docker backend sees them."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from grandcentral.backends.docker.labels import Labels
from grandcentral.backends.docker.seen import Seen
from grandcentral.backends.docker.translate import Condition

_RUNS = Seen(
    id="c0ffee",
    image="sha256:1",
    labels={},
    condition=Condition.RUNNING,
    status=None,
    error="",
    oom=False,
    memory=None,
    network="net",
    addresses={"net": "172.18.0.2", "other": "172.19.0.2"},
    published={},
    networks=frozenset({"n1"}),
    started="2026-01-01T00:00:00.000000001Z",
    grace=10,
)


def seen(labels: Labels, **more: Any) -> Seen:
    """A container that runs on network "net", unless more is said."""
    return evolve(_RUNS, labels=labels, **more)
