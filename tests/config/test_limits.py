"""Limits that depend on the machine, and the secret of notifications."""

from __future__ import annotations

from pathlib import Path

import pytest

from grandcentral.config.files import is_memory_cgroup, memory
from grandcentral.core.model import Limits

from .support import DOCS, configure, problems


def account(directory: Path) -> None:
    """Make it look like a control group's that accounts for memory."""
    (directory / "cgroup.procs").touch()
    (directory / "memory.stat").touch()


def test_every_limit(place: Path) -> None:
    (place / "group").mkdir()
    account(place / "group")
    limits = """
max_stacks = 5
min_uptime = "1m"
queue_timeout = "10s"
max_held_per_stack = 10
max_held = 100
start_timeout = "5m"
max_stream_idle = "2h"
max_starting = 2
starts_per_client = 1.5
max_lease = "1d"
memory_min_free = "16MiB"
memory_cgroup = "group"
disk_min_free = "10GB"
"""
    assert configure(place, f"[limits]{limits}{DOCS}").limits == Limits(
        5, 60.0, 10.0, 10, 100, 300.0, 7200.0, 2, 1.5, 86400.0, 16 * 2**20, str(place / "group"), 10**10
    )


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("max_starting = -1", "max_starting: must be a whole number of at least 0, not -1"),
        ('starts_per_client = "3"', "starts_per_client: must be a number, not a string"),
        ("starts_per_client = true", "starts_per_client: must be a number, not true or false"),
        ("starts_per_client = -1", "starts_per_client: must be a number from 0 to 1000000, not -1"),
        ("starts_per_client = nan", "starts_per_client: must be a number from 0 to 1000000, not nan"),
        ("memory_min_free = -1", "memory_min_free: must be a size: write a number and a unit"),
        ('memory_min_free = "1000TiB"', f"memory_min_free: is more than this machine has, {memory()} bytes: nothing would be"),
        ('disk_min_free = "10 gigs"', 'disk_min_free: "10 gigs" is not a size'),
        (
            'memory_cgroup = "src"',
            "memory_cgroup: src is not the directory of a control group of this machine",
        ),
        ("memory_cgroup = 3", "memory_cgroup: must be a string, not a number"),
        ('max_lease = "never"', 'max_lease: "never" is not a duration'),
    ],
)
def test_each_problem_has_its_place_and_a_remedy(place: Path, limits: str, problem: str) -> None:
    found = problems(place, f"[limits]\n{limits}\n{DOCS}")
    assert found[0].startswith(f"gateway.toml:2: limits.{problem}"), found


def test_nothing_is_looked_at_with_0(place: Path) -> None:
    nothing = "max_starting = 0\nstarts_per_client = 0\nmemory_min_free = 0\ndisk_min_free = 0\n"
    assert configure(place, f"[limits]\n{nothing}{DOCS}").limits == Limits()


def test_a_group_whose_memory_is_not_looked_at_is_a_warning(place: Path) -> None:
    account(place)
    assert problems(place, f'[limits]\nmemory_cgroup = "."\n{DOCS}') == [
        "gateway.toml:2: limits.memory_cgroup: warning: is of no use, for memory is not looked at: add memory_min_free"
    ]


def test_the_control_group_of_this_machine_is_one() -> None:
    assert not is_memory_cgroup(Path("/nowhere"))
    groups = [path for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")) if path.is_dir()]
    if not groups:
        pytest.skip("no control groups are mounted here")
    assert any(map(is_memory_cgroup, groups))


@pytest.mark.parametrize(("text", "rate"), [("2", 2.0), ("0.5", 0.5)])
def test_a_rate_in_the_environment(place: Path, text: str, rate: float) -> None:
    assert configure(place, DOCS, {"GRANDCENTRAL_LIMITS_STARTS_PER_CLIENT": text}).limits.starts_per_client == rate


def test_a_rate_in_the_environment_that_is_none(place: Path) -> None:
    [problem] = problems(place, DOCS, {"GRANDCENTRAL_LIMITS_STARTS_PER_CLIENT": "many"})
    assert problem == "environment: GRANDCENTRAL_LIMITS_STARTS_PER_CLIENT: must be a number, not a string"


# -- [webhooks] ---------------------------------------------------------------------------------------------------------


def test_the_secret_of_notifications(place: Path) -> None:
    assert configure(place, DOCS).webhooks.secret is None
    assert configure(place, f'[webhooks]\nsecret = "x"\n{DOCS}').webhooks.secret == "x"
    configuration = configure(place, f'[webhooks]\nsecret_file = "token"\n{DOCS}')
    assert configuration.webhooks.secret == "open sesame"
    assert "sesame" not in repr(configuration)
    assert configure(place, DOCS, {"GRANDCENTRAL_WEBHOOKS_SECRET": "y"}).webhooks.secret == "y"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('secret = "x"\nsecret_file = "token"', "secret: cannot be given together with secret_file: remove one of them"),
        ('secret_file = "nowhere"', "secret_file: nowhere cannot be read"),
        ("secret = 3", "secret: must be a string, not a number"),
        ('url = "x"', "url: is no key of the configuration; there is secret, secret_file"),
    ],
)
def test_what_is_wrong_with_it(place: Path, text: str, problem: str) -> None:
    [found] = problems(place, f"[webhooks]\n{text}\n{DOCS}")
    assert found.startswith(f"gateway.toml:2: webhooks.{problem}")
