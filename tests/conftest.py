"""What every test gets: a reactor left clean, and no error that only the log has seen."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

SHARED = ("tests/functional/", "tests/testbed/")  # whose tests share an engine, and images that take a minute to build
APART = tuple(f"tests/functional/test_{name}.py" for name in ("postgresql", "provisioned", "redis"))  # but for these
ENGINE = "engine"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With two processes: tests of one file stay together, and so do those that share an engine."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    config.option.loadscopereorder = False  # what takes longest begins first, and that is not what has most tests
    return Together(config, log)


def scope(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return ENGINE if path.startswith(SHARED) and path not in APART else path


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A contract asks of an implementation only what its test class does not say it lacks."""
    left_out = [item for item in items if lacking(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: scope(item.nodeid) != ENGINE)


def lacking(item: pytest.Item) -> bool:
    needed = {capability for mark in item.iter_markers("needs_of_backend") for capability in mark.args}
    return bool(needed & getattr(getattr(item, "cls", None), "lacks", frozenset()))


def pytest_collection_finish() -> None:
    """What was made before the first test is no test's garbage; without this, each collection below takes 60 ms."""
    gc.freeze()


@pytest.fixture(autouse=True)
def clean_reactor() -> Iterator[list[Failure]]:
    """Fail on logged failures and on delayed calls left behind; pytest-twisted does neither.

    A test that expects a failure to be logged takes the fixture and clears the list.
    """
    failures: list[Failure] = []
    before = set(reactor.getDelayedCalls())

    def observe(event: dict) -> None:
        failure = event.get("log_failure") or event.get("failure")  # the reactor's own events have the old name
        if failure is not None:
            failures.append(failure)

    globalLogPublisher.addObserver(observe)
    yield failures
    gc.collect()
    globalLogPublisher.removeObserver(observe)
    leaked = [call for call in reactor.getDelayedCalls() if call not in before]
    for call in leaked:
        call.cancel()
    if failures:
        pytest.fail(failures[0].getTraceback(), pytrace=False)
    if leaked:
        pytest.fail(f"dirty reactor: {leaked}", pytrace=False)
