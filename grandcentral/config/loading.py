"""A file and the environment in, a Configuration or every problem at once out."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import cast

from ..core.model import App, Door, Limits
from ..core.problems import Invalid, Problem
from ..core.routing import conflicts
from . import apps, endpoints, files, provisioned, sleeping
from .configuration import Admin, Configuration, Docker, Gateway, Log, Provisioning, Registry, Webhooks
from .environment import PREFIX, overridden
from .findings import Findings, lines
from .kinds import Surroundings
from .reading import Reading, Section
from .schema import ADMIN, REGISTRY_NAME

_ENGINE = "unix:///var/run/docker.sock"


def load(
    path: Path, environ: Mapping[str, str], *, root: bool | None = None, makers: apps.Makers | None = None
) -> Configuration:
    """Read a configuration, and the files that it names.

    :param environ: GRANDCENTRAL_… go before the file; HOME, XDG_STATE_HOME and DOCKER_HOST give defaults.
    :param root: whether the gateway runs as root; None: as this process does.
    :raises Invalid: with every problem that there is, and the warnings.
    """
    document, findings = _read(path)
    return examine(document, findings, path, environ, os.geteuid() == 0 if root is None else root, makers or apps.Makers())


def load_admin(path: Path | None, environ: Mapping[str, str]) -> Admin:
    """As ``load``, of the ``[admin]`` table alone: for whoever asks a gateway that runs, whatever is wrong with the rest.

    :param path: None: only what the environment says.
    """
    document, findings = _read(path) if path else ({}, Findings(ADMIN.name))
    given = {name: value for name, value in environ.items() if name.startswith(f"{PREFIX}{ADMIN.name}_".upper())}
    table = overridden({ADMIN.name: document.get(ADMIN.name, {})}, given, findings)[ADMIN.name]
    surroundings = Surroundings(path.absolute().parent if path else Path.cwd(), _home(environ))
    section = Reading(findings, surroundings).section((ADMIN.name,), ADMIN.settings, table, ADMIN.later)
    admin = Admin(section["listen"], _secret(section, "token", findings, path or Path()))
    if findings.fatal:
        raise Invalid(findings.all)
    return admin


def _read(path: Path) -> tuple[dict[str, object], Findings]:
    try:
        text = files.read_text(path)
    except ValueError as error:
        raise Invalid([Problem(str(path), str(error).removeprefix(f"{path} "))]) from None
    return parse(text, str(path)), Findings(str(path), lines(text))


def parse(text: str, file: str) -> dict[str, object]:
    """Raises Invalid with line and column of what is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        position = re.match(r"line (\d+), column (\d+)", where)
        place = f"{file}:{position[1]}:{position[2]}" if position else f"{file}:{text.count(chr(10)) + 1}"
        raise Invalid([Problem(place, f"is not TOML: {what[:1].lower()}{what[1:]}")]) from None
    except RecursionError:
        raise Invalid([Problem(file, "is nested too deeply")]) from None


def examine(
    document: Mapping[str, object], findings: Findings, path: Path, environ: Mapping[str, str], root: bool, makers: apps.Makers
) -> Configuration:
    """As ``load``, of what has been read already."""
    home = _home(environ)
    surroundings = Surroundings(path.absolute().parent, home)
    sections = Reading(findings, surroundings).document(overridden(document, environ, findings))
    tables = {name: section for name, section in sections.items() if isinstance(section, Section)}
    tables["gateway"] = tables["gateway"].filled({"url": _url(tables["gateway"]), "state": _state(environ, home, root)})
    tables["docker"] = tables["docker"].filled({"host": environ.get("DOCKER_HOST") or _ENGINE})
    if tables["gateway"]["state"] is None:
        findings.wrong(("gateway", "state"), "must be given, for HOME and XDG_STATE_HOME are not set")
    token = _secret(tables["admin"], "token", findings, path)
    secret = _secret(tables["webhooks"], "secret", findings, path)
    about = tables["provision"]
    provision = Provisioning(_secret(about, "secret", findings, path), about["listen"], about["host"])
    registries = _registries(cast("dict[str, Section]", sections["registries"]), findings, path)
    address = tables["docker"]["address"]
    described = {
        name: apps.with_defaults(section, address) for name, section in cast("dict[str, Section]", sections["apps"]).items()
    }
    _check_listeners(tables, described, findings)
    found = _apps(described, findings, makers)
    _check_pressure(tables["limits"], findings)
    sleeping.check_warm(found, tables["limits"]["max_stacks"], findings)
    if secret is None and not findings.fatal:
        sleeping.check_pushes(found, findings)
    if not findings.fatal:
        provisioned.check_callers(found, tables["provision"], provision.secret or token, findings)
    if findings.fatal:
        raise Invalid(findings.all)
    return Configuration(
        path=path,
        gateway=Gateway(**tables["gateway"].values),
        admin=Admin(tables["admin"]["listen"], token),
        limits=Limits(**tables["limits"].values),
        http=tables["http"].values,
        log=Log(**tables["log"].values),
        docker=Docker(**tables["docker"].values),
        registries=registries,
        apps=found,
        webhooks=Webhooks(secret),
        provision=provision,
        warnings=findings.all,
        sections={**sections, **tables, "apps": described},
        doors=(*(Door("http", text) for text in tables["gateway"]["listen"]), *(door for app in found for door in app.doors)),
    )


# -- defaults that follow from something --------------------------------------------------------------------------------


def _home(environ: Mapping[str, str]) -> Path | None:
    return Path(environ["HOME"]) if environ.get("HOME") else None


def _state(environ: Mapping[str, str], home: Path | None, root: bool) -> Path | None:
    if root:
        return Path("/var/lib/grandcentral")
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"]) / "grandcentral"
    return home / ".local/state/grandcentral" if home else None


def _url(gateway: Section) -> str:
    ports = [listen.port for listen in map(endpoints.parse, gateway["listen"]) if listen.port]
    return "http://{host}" if not ports or ports[0] == 80 else f"http://{{host}}:{ports[0]}"


# -- what concerns more than one key ------------------------------------------------------------------------------------


def _check_listeners(tables: Mapping[str, Section], described: Mapping[str, Section], findings: Findings) -> None:
    listeners: list[tuple[tuple[str, ...], endpoints.Listen]] = [
        (("gateway", "listen"), endpoints.parse(text)) for text in tables["gateway"]["listen"]
    ]
    listeners.append((("admin", "listen"), endpoints.parse(tables["admin"]["listen"])))
    if tables["provision"]["listen"] is not None:
        listeners.append((("provision", "listen"), endpoints.parse(tables["provision"]["listen"])))
    for section in described.values():
        listeners += (((*map(str, section.path), "listen"), endpoints.parse_door(text)) for text in section["listen"] or ())
    for (_, first), (place, second) in combinations(listeners, 2):
        if first.collides(second):
            findings.wrong(place, f'"{second.text}" cannot be listened on beside "{first.text}": choose another')


def _check_pressure(limits: Section, findings: Findings) -> None:
    group, wanted = limits["memory_cgroup"], limits["memory_min_free"]
    if group is not None and not files.is_memory_cgroup(Path(group)):
        findings.wrong(
            ("limits", "memory_cgroup"),
            f"{group} is not the directory of a control group of this machine that accounts for memory: write one below "
            "/sys/fs/cgroup",
        )
    if group is not None and not wanted:
        findings.doubtful(("limits", "memory_cgroup"), "is of no use, for memory is not looked at: add memory_min_free")
    if wanted >= (there := files.memory()):
        findings.wrong(
            ("limits", "memory_min_free"), f"is more than this machine has, {there} bytes: nothing would be left awake"
        )


def _secret(section: Section, key: str, findings: Findings, path: Path) -> str | None:
    """What the key says, or the file that its companion names."""
    file = section[f"{key}_file"]
    where = (*section.path, key)
    if section[key] is not None and where not in findings.elsewhere and files.open_to_all(path):
        findings.doubtful(where, f"every user of this machine can read it: chmod o-r {path}, or use {key}_file")
    if file is None:
        return cast("str | None", section[key])
    where = (*section.path, f"{key}_file")
    if files.open_to_all(file):
        findings.doubtful(where, f"every user of this machine can read it: chmod o-r {file}")
    try:
        return files.read_secret(file)
    except ValueError as error:
        findings.wrong(where, str(error))
        return None


def _registries(sections: Mapping[str, Section], findings: Findings, path: Path) -> dict[str, Registry]:
    for name, section in sections.items():
        if not REGISTRY_NAME.fullmatch(name):
            findings.wrong(
                section.path, f'"{name}" is not a registry: write its host in lower case, and its port if it has one'
            )
        credentials = section.given & {"username", "password", "password_file"}
        if credentials == {"username"}:
            findings.wrong((*section.path, "username"), "needs a password: add password_file, or password")
        elif credentials and "username" not in credentials:
            findings.wrong((*section.path, min(credentials)), "needs a username: add one")
    return {
        name: Registry(
            name,
            section["insecure"],
            section["username"],
            _secret(section, "password", findings, path),
            tuple(section["token_hosts"]),
        )
        for name, section in sections.items()
    }


def _apps(sections: Mapping[str, Section], findings: Findings, makers: apps.Makers) -> tuple[App, ...]:
    found = [apps.app(name, section, findings, makers) for name, section in sections.items()]
    there = tuple(app for app in found if app is not None)
    if not sections:
        findings.doubtful(("apps",), "there are no apps, so that every host is unknown: add a table such as [apps.docs]")
    for conflict in conflicts(there):
        owner = "it" if conflict.first == conflict.second else f"apps.{conflict.first}"
        findings.wrong(
            ("apps", conflict.second, "host"), f'"{conflict.pattern}" is claimed already, by {owner}: remove one of them'
        )
    return there
