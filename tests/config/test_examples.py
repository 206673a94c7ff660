"""The configurations of examples/ are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import HERE
from grandcentral.config import Configuration, effective, load
from grandcentral.core.compose import SAMPLE
from grandcentral.core.hours import Hours
from grandcentral.core.model import IdlePolicy, StackSpec

ROOT = HERE.parent
EXAMPLES = sorted((ROOT / "examples").glob("*/*.toml"))
SECRETS = {"GRANDCENTRAL_ADMIN_TOKEN": "x", "GRANDCENTRAL_WEBHOOKS_SECRET": "y"}


def loaded(path: Path) -> Configuration:
    return load(path, {"HOME": "/home/somebody", **SECRETS}, root=False)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_can_be_used_as_it_is(path: Path) -> None:
    configuration = loaded(path)
    assert configuration.warnings == ()
    assert configuration.apps


def test_there_is_an_example_of_everything_about_sleep() -> None:
    configuration = loaded(ROOT / "examples/sleep/grandcentral.toml")
    [shop] = configuration.apps
    assert shop.idle == IdlePolicy(600.0, 7200.0, 14 * 86400.0, 3 * 86400.0)
    assert [(hook.service, hook.command.split()[0]) for hook in shop.before_stop] == [("db", "mariadb-dump")]
    assert shop.hours == Hours.parse("Mon-Fri 07:00-20:00, Sat 10:00-14:00 Europe/Berlin")
    assert (shop.prewarm, shop.warm) == ("pull", ("main",))
    assert [(rule.wakes, rule.keeps_alive) for rule in shop.rules] == [(False, False), (True, None), (True, None)]
    assert "Europe/Berlin" in effective(configuration)


def test_what_it_dumps_is_where_it_is_restored_from_and_outlives_the_stack() -> None:
    [shop] = loaded(ROOT / "examples/sleep/grandcentral.toml").apps
    assert shop.template is not None
    spec: StackSpec = shop.template.render(SAMPLE)
    assert spec.disposable == {"database"}
    for service in ("db", "loader"):
        assert [mount.source for mount in spec.service(service).mounts if mount.target == "/dumps"] == ["dumps"]
    assert "/dumps/shop.sql" in shop.before_stop[0].command
    assert "/dumps/shop.sql" in " ".join(spec.service("loader").command or ())
