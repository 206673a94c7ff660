"""The testbed as pytest fixtures, for the conftest.py of the directories whose tests need it.

Where it can't be had the tests are skipped with the remedy; where ``CI`` is set they fail instead, for there it must be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.browser.client import Browser

from . import images
from . import postgresql as postgresql_image
from .client import Engine, Keeper, Registry
from .errors import Unavailable


def without(problem: Unavailable) -> NoReturn:
    if os.environ.get("CI", "").lower() in ("", "0", "false", "no"):
        pytest.skip(str(problem))
    pytest.fail(str(problem), pytrace=False)


@pytest.fixture(scope="session")
def keeper() -> Iterator[Keeper]:
    try:
        keeper = Keeper.start()
    except Unavailable as problem:
        without(problem)
    yield keeper
    keeper.close()


@pytest.fixture(scope="session")
def engine(keeper: Keeper) -> Iterator[Engine]:
    """The Docker engine: ``url``, ``client()``, ``build_image(files, tag, labels)``."""
    engine = Engine(str(keeper.facts["engine"]), bool(keeper.facts["ours"]), keeper, str(keeper.facts["cgroup"]))
    yield engine
    engine.close()


@pytest.fixture
def own_engine(engine: Engine) -> Iterator[Engine]:
    """The engine, for tests that ``stop()`` and ``start()`` it; it runs again afterwards."""
    if not engine.ours:
        pytest.skip("the engine was there before us and is not ours to stop; unset DOCKER_HOST to have one started")
    yield engine
    engine.start()


@pytest.fixture(scope="session")
def registry(engine: Engine, keeper: Keeper) -> Iterator[Registry]:
    """An image registry: ``url`` "127.0.0.1:PORT", ``push(tag, files) -> digest``, ``stop()``, ``start()``."""
    registry = Registry(str(keeper.facts["registry"]), engine, keeper)
    yield registry
    if not engine.ours:
        registry.forget_tags()


@pytest.fixture(scope="session")
def busybox(registry: Registry) -> str:
    """Reference of an image with busybox and all its applets, both in the registry and in the engine."""
    try:
        registry.push("busybox:test", images.busybox_files(), keep=True)
    except Unavailable as problem:
        without(problem)
    return registry.reference("busybox:test")


@pytest.fixture(scope="session")
def postgresql(engine: Engine, registry: Registry, busybox: str) -> str:
    """Reference of an image with a PostgreSQL server, in the engine only: see tests.testbed.postgresql."""
    reference = registry.reference("postgres:test")
    try:
        engine.build_image(postgresql_image.files(busybox), reference)
    except Unavailable as problem:
        without(problem)
    return reference


@pytest.fixture(scope="session")
def browser() -> Browser:
    """Chromium: ``open(url, …)`` gives the page's title, status and text, and writes a screenshot."""
    try:
        return Browser.find()
    except Unavailable as problem:
        without(problem)


NEEDS = {"keeper": "engine", "browser": "browser"}
"""Fixture to the marker of the tests that use it, directly or not."""


def mark(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, so that ``-m "not engine"`` leaves out the right ones."""
    for item in items:
        for fixture, marker in NEEDS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
