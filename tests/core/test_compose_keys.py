"""Every row of the table of keys does what it says, and docs/compose.md is the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grandcentral.core.compose import FLAGS, SAMPLE, VARIABLES, markdown
from grandcentral.core.compose.keys import TABLE, Row, Verdict
from grandcentral.core.model import FileContent, HealthCheck, Mount, MountKind, Service

from .compose_files import problems, stack, template, warnings

ROOT = Path(__file__).resolve().parent.parent.parent

Seen = Callable[[Service], Any]

# Supported keys of a service: an example, and what is to be seen of it in the service.
SUPPORTED: dict[str, tuple[Any, Seen, Any]] = {
    "image": ("nginx:1", lambda s: s.image, "nginx:1"),
    "command": ("bin/rails s -b 0.0.0.0", lambda s: s.command, ("bin/rails", "s", "-b", "0.0.0.0")),
    "entrypoint": (["/bin/x"], lambda s: s.entrypoint, ("/bin/x",)),
    "environment": ({"A": 1}, lambda s: s.environment["A"], "1"),
    "env_file": ("a.env", lambda s: s.environment["FROM_FILE"], "f"),
    "env_file[].path": ("a.env", lambda s: s.environment["FROM_FILE"], "f"),
    "env_file[].required": (False, lambda s: s.environment["FROM_FILE"], "f"),
    "env_file[].format": ("raw", lambda s: s.environment["QUOTED"], '"q"'),
    "depends_on": (["other"], lambda s: [d.service for d in s.depends_on], ["other"]),
    "depends_on.*.condition": ("service_healthy", lambda s: s.depends_on[0].condition.value, "service_healthy"),
    "depends_on.*.required": (False, lambda s: s.depends_on[0].required, False),
    "healthcheck": ({"test": "true"}, lambda s: s.healthcheck, HealthCheck(("/bin/sh", "-c", "true"))),
    "healthcheck.test": (["CMD", "true"], lambda s: s.healthcheck.test, ("true",)),
    "healthcheck.disable": (True, lambda s: s.healthcheck.disabled, True),
    "healthcheck.interval": ("1m30s", lambda s: s.healthcheck.interval, 90.0),
    "healthcheck.timeout": ("2s", lambda s: s.healthcheck.timeout, 2.0),
    "healthcheck.retries": (7, lambda s: s.healthcheck.retries, 7),
    "healthcheck.start_period": ("5s", lambda s: s.healthcheck.start_period, 5.0),
    "healthcheck.start_interval": ("500ms", lambda s: s.healthcheck.start_interval, 0.5),
    "volumes": (["data:/d"], lambda s: s.mounts, (Mount(MountKind.VOLUME, "/d", "data"),)),
    "volumes[].type": ("volume", lambda s: s.mounts[0].kind, MountKind.VOLUME),
    "volumes[].source": ("data", lambda s: s.mounts[0].source, "data"),
    "volumes[].target": ("/t", lambda s: s.mounts[0].target, "/t"),
    "volumes[].read_only": (True, lambda s: s.mounts[0].read_only, True),
    "volumes[].tmpfs.size": ("1m", lambda s: s.mounts[0], Mount(MountKind.TMPFS, "/x", size=1048576)),
    "volumes[].tmpfs.mode": ("0o1777", lambda s: s.mounts[0], Mount(MountKind.TMPFS, "/x", mode=0o1777)),
    "tmpfs": ("/run", lambda s: s.mounts, (Mount(MountKind.TMPFS, "/run"),)),
    "networks": (["back"], lambda s: s.networks, {"back": ()}),
    "networks.*.aliases": (["w"], lambda s: s.networks, {"back": ("w",)}),
    "ports": (["8080:80"], lambda s: s.ports, (80,)),
    "ports[].target": (81, lambda s: s.ports, (81,)),
    "ports[].protocol": ("udp", lambda s: s.ports, ()),
    "ports[].published": ("8080", lambda s: s.ports, (80,)),
    "ports[].host_ip": ("127.0.0.1", lambda s: s.ports, (80,)),
    "ports[].mode": ("host", lambda s: s.ports, (80,)),
    "ports[].name": ("http", lambda s: s.ports, (80,)),
    "ports[].app_protocol": ("http", lambda s: s.ports, (80,)),
    "expose": (["3000"], lambda s: s.ports, (3000,)),
    "labels": ({"a.b": "c"}, lambda s: s.labels, {"a.b": "c"}),
    "user": ("1000:1000", lambda s: s.user, "1000:1000"),
    "working_dir": ("/app", lambda s: s.working_dir, "/app"),
    "hostname": ("h.example", lambda s: s.hostname, "h.example"),
    "init": (True, lambda s: s.init, True),
    "stop_signal": ("SIGINT", lambda s: s.stop_signal, "SIGINT"),
    "stop_grace_period": ("1m", lambda s: s.stop_grace_period, 60.0),
    "restart": ("always", lambda s: s.restart, "always"),
    "read_only": (True, lambda s: s.read_only, True),
    "shm_size": ("64m", lambda s: s.shm_size, 64 << 20),
    "mem_limit": ("1g", lambda s: s.memory, 1 << 30),
    "cpus": ("0.5", lambda s: s.cpus, 0.5),
    "pids_limit": (100, lambda s: s.pids_limit, 100),
    "ulimits": ({"nofile": {"soft": 1, "hard": 2}, "nproc": 3}, lambda s: s.ulimits, {"nofile": (1, 2), "nproc": (3, 3)}),
    "extra_hosts": (["h=::1"], lambda s: s.extra_hosts, {"h": "::1"}),
    "platform": ("linux/arm64", lambda s: s.platform, "linux/arm64"),
    "cap_drop": (["ALL"], lambda s: s.cap_drop, ("ALL",)),
    "secrets": (["s"], lambda s: s.files, (FileContent("/run/secrets/s", b"hush"),)),
    "secrets[].source": ("s", lambda s: s.files[0].content, b"hush"),
    "secrets[].target": ("t", lambda s: s.files[0].target, "/run/secrets/t"),
    "secrets[].mode": ("0440", lambda s: s.files[0].mode, 0o440),
    "configs": (["c"], lambda s: s.files, (FileContent("/c", b"text"),)),
    "configs[].source": ("c", lambda s: s.files[0].content, b"text"),
    "configs[].target": ("/etc/c", lambda s: s.files[0].target, "/etc/c"),
    "configs[].mode": ("0555", lambda s: s.files[0].mode, 0o555),
    "deploy.resources.limits.cpus": ("2", lambda s: s.cpus, 2.0),
    "deploy.resources.limits.memory": ("1M", lambda s: s.memory, 1 << 20),
    "deploy.resources.limits.pids": (5, lambda s: s.pids_limit, 5),
}
# What a key's neighbours must say for the key to make sense.
NEIGHBOURS: dict[str, dict[str, Any]] = {
    "env_file[]": {"path": "a.env"},
    "depends_on.*": {"condition": "service_started"},
    "volumes[]": {"type": "volume", "target": "/x"},
    "volumes[].tmpfs": {},
    "ports[]": {"target": 80},
    "secrets[]": {"source": "s"},
    "configs[]": {"source": "c"},
}
SERVICE = "services.*."
STARS = {
    "services.*.depends_on": "other",
    "services.*.networks": "back",
    "services": "web",
    "volumes": "data",
    "networks": "back",
}
STARS |= {"configs": "c", "secrets": "s"}


def base() -> dict[str, Any]:
    return {
        "services": {"web": {"image": "img"}, "other": {"image": "img", "healthcheck": {"test": "true"}}},
        "volumes": {"data": {}},
        "networks": {"back": {}},
        "configs": {"c": {"content": "text"}},
        "secrets": {"s": {"content": "hush"}},
    }


def put(path: str, value: Any) -> str:
    """A sound document with ``value`` at ``path``, as JSON (which is YAML, and what ``docker compose config`` writes)."""
    tree = here = base()
    steps = path.replace("[]", ".[]").split(".")
    done: list[str] = []
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        rule = ".".join(done).replace(".[]", "[]")
        key: Any = STARS[rule] if step == "*" else 0 if step == "[]" else step
        done.append(step)
        neighbours = NEIGHBOURS.get(".".join(done).replace(".[]", "[]").removeprefix(SERVICE), {})
        if path.startswith("services.*.volumes[].tmpfs") and step == "[]":
            neighbours = {"type": "tmpfs", "target": "/x"}
        fresh = value if after is None else [] if after == "[]" else dict(neighbours)
        if isinstance(here, list):
            here.append(fresh)
        elif after is None or key not in here:
            here[key] = fresh
        here = here[key]
    return json.dumps(tree, indent=1)


def rows(*verdicts: Verdict) -> list[Any]:
    return [pytest.param(row, id=row.path) for row in TABLE.values() if row.verdict in verdicts]


def shown(path: str) -> str:
    """A row's path as a place in our document."""
    steps: list[str] = []
    for step in path.split("."):
        steps.append(STARS[".".join(path.split(".")[: len(steps)])] if step == "*" else step.replace("[]", "[0]"))
    return ".".join(steps)


FILES = {"/srv/app/a.env": 'FROM_FILE=f\nQUOTED="q"\n'}


@pytest.mark.parametrize("key", SUPPORTED)
def test_a_supported_key_is_seen_in_the_stack(key: str) -> None:
    value, seen, expected = SUPPORTED[key]
    assert seen(stack(put(SERVICE + key, value), files=FILES).service("web")) == expected


def test_no_supported_key_of_a_service_is_without_an_example() -> None:
    supported = {row.path for row in TABLE.values() if row.verdict is Verdict.SUPPORTED and row.path.startswith(SERVICE)}
    assert supported == {SERVICE + key for key in (*SUPPORTED, "profiles")}  # profiles: see test_compose.py


@pytest.mark.parametrize("row", rows(Verdict.IGNORED))
def test_an_ignored_key_is_a_warning_that_says_why(row: Row) -> None:
    found = warnings(put(row.path, "3"))
    assert any(f" {shown(row.path)}: warning: is ignored: {row.note}" in warning for warning in found), found


@pytest.mark.parametrize("row", rows(Verdict.REFUSED))
def test_a_refused_key_is_a_problem_that_says_why(row: Row) -> None:
    found = problems(put(row.path, "something"))
    assert any(f" {shown(row.path)}: is refused: {row.note}" in problem for problem in found), found


@pytest.mark.parametrize("row", rows(Verdict.OPT_IN))
def test_an_opt_in_key_needs_its_flag(row: Row) -> None:
    attribute = {"pid": "pid_mode", "ipc": "ipc_mode"}.get(key := row.path.removeprefix(SERVICE), key)
    scalar = key.endswith("_mode") or attribute.endswith("_mode")
    value: Any = True if key == "privileged" else "host" if scalar else ["THING"]
    text = put(row.path, value)
    [problem] = problems(text, serves="other:80")
    assert f" {shown(row.path)}: is refused: {row.note}" in problem
    assert f'put "{row.flag}" into the app\'s allow' in problem
    service = stack(text, serves="other:80", allow=frozenset({row.flag})).service("web")
    assert getattr(service, attribute) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("row", rows(Verdict.REFUSED, Verdict.OPT_IN, Verdict.IGNORED))
def test_null_and_empty_and_harmless_values_of_any_key_are_no_problem(row: Row) -> None:
    empty: list[Any] = [None] if row.verdict is Verdict.OPT_IN else [None, [], {}]  # an opt-in key has a type
    for value in [*empty, *row.harmless]:
        if row.path == "services.*.security_opt" and value is not None:
            value = [value]
        found = template(put(row.path, value)).warnings
        assert not any(shown(row.path) in warning.place for warning in found)


def test_a_list_is_harmless_if_all_of_its_items_are() -> None:
    path = "services.*.security_opt"
    assert stack(put(path, ["no-new-privileges:true"])).service("web").security_opt == ("no-new-privileges:true",)
    assert problems(put(path, ["no-new-privileges:true", "seccomp:unconfined"]))


def test_every_flag_is_of_a_row_or_about_host_paths() -> None:
    assert set(FLAGS) == {row.flag for row in TABLE.values() if row.flag} | {"bind-mounts", "docker-socket"}


def test_the_page_in_docs_is_current() -> None:
    page = ROOT / "docs" / "compose.md"
    assert page.read_text() == markdown(), "run python -m docs.generate"


def test_the_page_has_every_variable() -> None:
    assert set(VARIABLES) == set(SAMPLE)


def test_the_page_has_every_key() -> None:
    text = markdown()
    for path in TABLE:
        assert f"| `{path.partition('.*.')[2] or path}` |" in text
