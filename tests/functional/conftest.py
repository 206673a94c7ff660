"""Functional tests run against the real things: see tests/testbed."""

import pytest

from tests.testbed.fixtures import browser, busybox, engine, keeper, mark, own_engine, postgresql, registry  # noqa: F401

from .rails_example import rails_example  # noqa: F401
from .site import serve, versions  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items)
