"""From an ``[apps.NAME]`` table to a core.model.App: which backend it is for, and whether its keys go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import evolve, frozen

from ..core import provisions
from ..core.compose import SAMPLE, ComposeTemplate
from ..core.keys import GIT_HASH, NAME, parse_pattern
from ..core.model import BY_USER, App, IdlePolicy, ReadyPolicy, StackSpec, Template
from ..core.problems import Invalid
from ..core.procfile import CommandTemplate
from . import compose, endpoints, files, images, provisioned, sleeping
from .app_table import APP_NAME, APPS, DOCKER, PROCESS, STATIC
from .findings import Findings
from .reading import Section
from .templates import SingleImage

Trouble = Iterator[tuple[str, str]]
"""Pairs of a key and what is wrong with it."""


@frozen
class Makers:
    """What makes templates; arguments, so that tests can do without files."""

    compose: Callable[..., ComposeTemplate] = compose.load
    command: Callable[..., Template] = CommandTemplate


def with_defaults(section: Section, address: str) -> Section:
    """The section with those defaults that depend on what the app is made of; ``address`` is that of all apps."""
    match backend_of(section):
        case "process":
            defaults = {"serves": "web", "procfile": None if "command" in section.given else "Procfile"}
        case "docker":
            defaults = {"address": address}
        case _:
            defaults = {}
    filled = section.filled({key: value for key, value in defaults.items() if key not in section.given})
    if section.given.isdisjoint(("host", "ready")):  # what is behind a port by itself need not speak HTTP
        ready = evolve(filled["ready"], values={**filled["ready"].values, "tcp": True})
        filled = evolve(filled, values={**filled.values, "ready": ready})
    return provisioned.kept(filled) if filled["provisioned"] else filled


def app(name: str, section: Section, findings: Findings, makers: Makers) -> App | None:
    """The app of a section with its defaults, or None with the reasons in ``findings``."""
    if not APP_NAME.fullmatch(name):
        findings.wrong(section.path, f'"{name}" is no name for an app: write at most 63 lower-case letters, digits, - and _')
    backend = backend_of(section)
    for key, text in contradictions(section, backend):
        findings.wrong((*section.path, key) if key else section.path, text)
    sleeping.check_rules(section, findings)
    template = _template(section, backend, findings, makers)
    if template is not None and (spec := _sample(section, template, findings)):
        sleeping.check_hooks(section, spec, findings)
        provisioned.check_volumes(section, spec, findings)
    if backend is None:
        return None
    image = section["image"]
    return App(
        name=name,
        backend=backend,
        hosts=section["host"] or (),
        doors=tuple(endpoints.door(text, name) for text in section["listen"] or ()),
        version=NAME if section["provisioned"] else section["version"] or "",
        image=f"{image}:{section['tag']}" if image and section["tag"] else image,
        git=str(section["git"]) if section["git"] else None,
        template=template,
        upstream=section["upstream"],
        address=section["address"] or "container",
        ready=_ready(section["ready"]),
        idle=sleeping.idle_policy(section["idle"]) if backend != STATIC else IdlePolicy(None, None, None),
        start_within=section["start_within"],
        before_stop=sleeping.hooks(section),
        before_stop_within=section["before_stop_within"],
        rules=sleeping.rules(section),
        hours=section["hours"],
        prewarm=section["prewarm"],
        warm=section["warm"],
        provisioned=section["provisioned"],
    )


def backend_of(section: Section) -> str | None:
    """What runs the app, by what it is made of."""
    for key, backend in (("upstream", STATIC), ("git", PROCESS), ("compose", DOCKER), ("image", DOCKER)):
        if key in section.given:
            return backend
    return None


# -- what goes together -------------------------------------------------------------------------------------------------


def contradictions(section: Section, backend: str | None) -> Trouble:
    """Everything about the keys of one app that can be told without opening a file."""
    if section.given.isdisjoint(("host", "listen")):
        yield "", 'needs a host, or a port: add host = "{version}.review.example.com", or listen = "postgresql:5432"'
    elif "host" not in section.given:
        for key in sorted(section.given & {"requests", "wakes"}):
            yield key, "is about requests of HTTP, and the app has no host: remove it, or add a host"
    if backend is None:
        yield "", "does not say what it is: add upstream (always runs elsewhere), git, compose, or image"
    else:
        yield from _strangers(section, backend)
        yield from _hosts(section, backend)
        yield from _doors(section, backend)
        yield from _made_of(section, backend)
    yield from _readiness(section["ready"])
    yield from sleeping.contradictions(section, backend)
    yield from provisioned.contradictions(section)


def _strangers(section: Section, backend: str) -> Trouble:
    """Keys that mean nothing to this backend."""
    decides = {STATIC: "upstream", PROCESS: "git", DOCKER: "compose" if "compose" in section.given else "image"}[backend]
    for setting in APPS.settings:
        if setting.key in section.given and setting.backends and backend not in setting.backends:
            yield setting.key, f"means nothing together with {decides}: remove one of them"


def _hosts(section: Section, backend: str) -> Trouble:
    """Whether the hosts have a place for a version if, and only if, there are versions."""
    if "version" in section.given and section["version"] is None:
        return
    if section["provisioned"]:
        yield from provisioned.hosts(section)
        return
    for text in section["host"] or ():
        variables = parse_pattern(text).variables
        if backend == STATIC:
            if variables:
                yield (
                    "host",
                    f'"{text}" has a variable, and an upstream is one thing: write a host, or "*.example.com" for many',
                )
        elif section["version"] is None:
            if variables:
                yield "host", f'"{text}" has a variable, and the app has no versions: add version = "git-hash" or "name"'
        elif not variables:
            yield "host", f'"{text}" has no place for the version: write one such as "{{version}}.review.example.com"'
        elif section["version"] == GIT_HASH and len(variables) > 1:
            yield (
                "host",
                f'"{text}" has {len(variables)} variables, and a git hash is one: use version = "name", or one variable',
            )


def _doors(section: Section, backend: str) -> Trouble:
    """Whether it has versions if, and only if, there are user names that say which."""
    named = "version" in section.given or section["provisioned"]
    for text in section["listen"] or ():
        protocol, _, rest = text.partition(":")
        if protocol not in BY_USER:
            if named and backend != STATIC:
                yield "listen", f'"{text}" leads to one stack, and the app has many: write one such as "postgresql:{rest}"'
        elif backend == STATIC:
            yield "listen", f'"{text}" leads to a stack for each user name, and an upstream is one thing: write "tcp:{rest}"'
        elif backend == DOCKER and not named:
            yield (
                "listen",
                f'"{text}" leads to one stack of many by the user\'s name, and the app has one: add provisioned or version, or '
                f'write "tcp:{rest}"',
            )


def _made_of(section: Section, backend: str) -> Trouble:
    serves = section["serves"]
    port = serves.partition(":")[2] if serves else ""
    if port and not 0 < int(port) < 65536:
        yield "serves", f"{port} is not a port: write one from 1 to 65535"
    if backend == PROCESS:
        if not section["provisioned"] and ("version" not in section.given or section["version"] not in (None, GIT_HASH)):
            yield "version", 'must be "git-hash" for an app out of a Git repository'
        if port:
            yield "serves", f'has a port, but a process is told its port in $PORT: write serves = "{serves.partition(":")[0]}"'
    if backend == DOCKER:
        yield from _images(section)
        if "serves" not in section.given:
            yield "", 'needs serves, the service that answers requests and its port: add one such as serves = "web:3000"'
        elif serves and not port and "compose" not in section.given:
            yield "serves", f'has no port: write one such as serves = "{serves}:3000"'
        if section["allow"] and "compose" not in section.given:
            yield "allow", "is about Compose files, and there is none: remove it"


def _images(section: Section) -> Trouble:
    if "image" in section.given:
        if section["image"] and ("version" not in section.given or section["version"]):
            try:
                images.reference(section["image"], section["tag"], section["version"] is not None)
            except ValueError as error:
                yield ("tag" if "tag" in section.given else "image"), str(error)
    elif "tag" in section.given:
        yield "tag", "is the tag of image, and there is none: add image"
    elif "version" in section.given and not section["provisioned"]:
        yield "version", "needs an image, for a version exists if the registry has it: add image with {version} in its tag"


def _readiness(ready: Section) -> Trouble:
    if ready["tcp"] and ready.given & {"http", "below"}:
        yield "ready", "asks for tcp and for an HTTP answer: remove tcp, or http and below"


# -- what it is made of -------------------------------------------------------------------------------------------------


def _ready(section: Section) -> ReadyPolicy:
    return ReadyPolicy(None if section["tcp"] else section["http"], section["within"], section["below"])


def _template(section: Section, backend: str | None, findings: Findings, makers: Makers) -> Template | None:
    """None if there is none, or if it cannot be read; then ``findings`` has the reasons."""
    if "compose" in section.given:
        return _from_compose(section, findings, makers) if section["compose"] and section["serves"] else None
    environment = section["environment"] or {}
    if backend == PROCESS:
        _check_repository(section, findings)
        serves, command = section["serves"] or "web", section["command"]
        commands = {serves: command} if command else None
        return makers.command(commands, section["procfile"] or "Procfile", serves, environment)
    service, _, port = (section["serves"] or "").partition(":")
    if backend == DOCKER and section["image"] and port:
        return SingleImage(section["image"], service, int(port), environment)
    return None


def _sample_variables(section: Section) -> Mapping[str, str]:
    """What a start will put in, for an app like this one."""
    return {**provisions.SAMPLE, **SAMPLE} if section["provisioned"] else SAMPLE


def _sample(section: Section, template: Template, findings: Findings) -> StackSpec | None:
    """What the template makes of a version; None if it cannot, and then ``findings`` has the reasons."""
    try:
        return template.render(_sample_variables(section))
    except Invalid as invalid:
        for problem in invalid.problems:
            findings.wrong((*section.path, *problem.place.split(".")), problem.text)
    return None


def _check_repository(section: Section, findings: Findings) -> None:
    path = section["git"]
    try:
        if path is not None and not files.is_repository(path):
            raise ValueError(f"{path} is not a Git repository")
    except ValueError as error:
        findings.wrong((*section.path, "git"), str(error))


def _from_compose(section: Section, findings: Findings, makers: Makers) -> Template | None:
    path, where = section["compose"], (*section.path, "compose")
    try:
        template = makers.compose(
            files.read_text(path),
            filename=str(path),
            serves=section["serves"],
            allow=frozenset(section["allow"]),
            environment=section["environment"] or {},
            sample=_sample_variables(section),
            read_file=lambda name: Path(name).read_bytes(),
        )
    except ValueError as error:
        findings.wrong(where, str(error))
        return None
    except Invalid as invalid:
        findings.take(where, invalid.problems)
        return None
    findings.take(where, template.warnings)
    return template
