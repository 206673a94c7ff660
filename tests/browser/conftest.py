import pytest

from tests.testbed.fixtures import browser, mark  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items)
