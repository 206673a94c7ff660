"""GRANDCENTRAL_<TABLE>_<KEY> goes before the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support import DOCS, configure, problems


def test_a_variable_goes_before_the_file(place: Path) -> None:
    configuration = configure(place, f"[limits]\nmax_stacks = 3\n{DOCS}", {"GRANDCENTRAL_LIMITS_MAX_STACKS": "5"})
    assert configuration.limits.max_stacks == 5


def test_a_variable_needs_no_table_in_the_file(place: Path) -> None:
    environ = {
        "GRANDCENTRAL_ADMIN_TOKEN_FILE": "token",
        "GRANDCENTRAL_LIMITS_MIN_UPTIME": "90s",
        "GRANDCENTRAL_HTTP_MAX_HEAD": "32KiB",
        "GRANDCENTRAL_GATEWAY_LISTEN": "tcp:9000",
        "GRANDCENTRAL_LOG_FORMAT": "json",
        "GRANDCENTRAL_DOCKER_INSTANCE": "blue",
    }
    configuration = configure(place, DOCS, environ)
    assert configuration.admin.token == "open sesame"
    assert configuration.limits.min_uptime == 90.0
    assert configuration.http["max_head"] == 32768
    assert configuration.gateway.listen == ("tcp:9000",)
    assert configuration.log.format == "json"
    assert configuration.docker.instance == "blue"


def test_a_secret_file_in_the_environment_replaces_a_secret_in_the_file_and_the_reverse(place: Path) -> None:
    inline, file = '[admin]\ntoken = "x"\n', '[admin]\ntoken_file = "nowhere"\n'
    assert configure(place, inline + DOCS, {"GRANDCENTRAL_ADMIN_TOKEN_FILE": "token"}).admin.token == "open sesame"
    assert configure(place, file + DOCS, {"GRANDCENTRAL_ADMIN_TOKEN": "y"}).admin.token == "y"


def test_both_in_the_environment_are_a_contradiction(place: Path) -> None:
    environ = {"GRANDCENTRAL_ADMIN_TOKEN": "y", "GRANDCENTRAL_ADMIN_TOKEN_FILE": "token"}
    assert problems(place, DOCS, environ) == [
        "environment: GRANDCENTRAL_ADMIN_TOKEN: cannot be given together with token_file: remove one of them"
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("LIMITS_MAX_STACKS", "many", "must be a whole number of at least 1, not a string"),
        ("LIMITS_MAX_STACKS", "", "must be a whole number of at least 1, not a string"),
        ("LIMITS_MIN_UPTIME", "30", '"30" is not a duration: write a number and a unit'),
        ("LOG_FORMAT", "xml", '"xml" is not one of "text", "json"'),
        ("GATEWAY_WORKERS", "many", 'must be "auto" or a whole number from 0 to 256'),
        ("ADMIN_TOKEN_FILE", "nowhere", "nowhere cannot be read: No such file or directory"),
        ("LIMIT_MAX_STACKS", "5", 'is no setting of the gateway; did you mean "GRANDCENTRAL_LIMITS_MAX_STACKS"?'),
        ("XYZ", "5", "is no setting of the gateway"),
        ("APPS_DOCS_HOST", "a.example.com", "is no setting of the gateway"),
    ],
)
def test_what_is_wrong_with_a_variable_is_said_of_the_variable(place: Path, name: str, value: str, problem: str) -> None:
    [found] = problems(place, DOCS, {f"GRANDCENTRAL_{name}": value})
    assert found.startswith(f"environment: GRANDCENTRAL_{name}: {problem}")


def test_other_variables_are_nobodys_business(place: Path) -> None:
    assert problems(place, DOCS, {"GRANDCENTRAL": "1", "GRANDCENTRALX": "1", "PATH": "/bin"}) == []
