"""What our containers, networks and volumes are called, and what their labels say (the package's docstring has a table)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping

from attrs import frozen

from ...core.keys import Key
from ...core.model import Condition, Dependency, Launch, Version
from ...core.ordering import waves

MANAGED = "grandcentral.managed"
GATEWAY = "grandcentral.gateway"
APP = "grandcentral.app"
NAME = "grandcentral.name"
GENERATION = "grandcentral.generation"
SERVICE = "grandcentral.service"
SERVICES = "grandcentral.services"
SERVES = "grandcentral.serves"
VERSION = "grandcentral.version"
IMAGE = "grandcentral.image"
DIGEST = "grandcentral.digest"
COMMIT = "grandcentral.commit"
BRANCH = "grandcentral.branch"
BUILT = "grandcentral.built"
CREATED = "grandcentral.created"
DISPOSABLE = "grandcentral.disposable"
PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
ONEOFF = "com.docker.compose.oneoff"
DEPENDS_ON = "com.docker.compose.depends_on"

Labels = Mapping[str, str]


# -- names --------------------------------------------------------------------------------------------------------------

# A container's name is also a host name on its networks, so it obeys the shorter limit: 63 octets, RFC 1035 section 2.3.4.
LONGEST = 63


def unique(instance: str, key: Key, part: str = "") -> str:
    """A name for a part of a stack (a service, network or volume; "": the stack itself), made to be read, and valid for
    Docker and Compose whatever is in the key: lower-case letters, digits and "-", at most 63 characters.

    What cleaning and cutting take away, the eight hex digits at the end put back: different parts get different names.
    """
    readable = "-".join(re.findall("[a-z0-9]+", f"{key.app}-{key.name}-{part}".lower()))
    digest = hashlib.sha256("\0".join((instance, key.app, key.name, part)).encode()).hexdigest()[:8]
    return f"{readable[: LONGEST - 9].rstrip('-')}-{digest}".lstrip("-")


# -- writing ------------------------------------------------------------------------------------------------------------


def of_stack(instance: str, launch: Launch) -> dict[str, str]:
    """The labels of a stack's networks, and the beginning of those of its volumes and containers."""
    return {
        MANAGED: "true",
        GATEWAY: instance,
        APP: launch.key.app,
        NAME: launch.key.name,
        GENERATION: str(launch.generation),
        PROJECT: unique(instance, launch.key),
    }


def of_volume(instance: str, launch: Launch, volume: str) -> dict[str, str]:
    """The labels of a volume; "" is an anonymous one, which goes with its container anyway."""
    disposable = not volume or volume in launch.spec.disposable
    return {**of_stack(instance, launch), DISPOSABLE: str(disposable).lower()}


def of_service(instance: str, launch: Launch, service: str, created: str) -> dict[str, str]:
    """The labels of the container of one service: the template's own, and ours, which win."""
    spec, version = launch.spec, launch.version
    known = {
        VERSION: version.name,
        IMAGE: version.image,
        DIGEST: version.digest,
        COMMIT: version.commit,
        BRANCH: version.branch,
        BUILT: None if version.created is None else repr(version.created),
    }
    return {
        **spec.service(service).labels,
        **of_stack(instance, launch),
        **{label: value for label, value in known.items() if value is not None},
        SERVICE: service,
        SERVICES: roster(launch),
        SERVES: f"{spec.serves}:{launch.spec.port or DEFAULT_PORT}",
        CREATED: created,
        COMPOSE_SERVICE: service,
        ONEOFF: str(spec.is_task(service)),
        DEPENDS_ON: dependencies(spec.service(service).depends_on, {other.name for other in spec.services}),
    }


DEFAULT_PORT = 8080  # where the service that answers listens, when the stack leaves that to us and asks in $PORT


def roster(launch: Launch) -> str:
    """All services in waves of their order, tasks marked: "db cache | load:task | web"."""
    spec = launch.spec
    return " | ".join(
        " ".join(f"{name}:task" if spec.is_task(name) else name for name in wave) for wave in waves(spec.services)
    )


def dependencies(depends_on: Iterable[Dependency], there: Container[str]) -> str:
    """Those that are there, as Compose writes them: "db:service_healthy:false,load:service_completed_successfully:false". The
    third word is whether to restart with it, which is nothing of ours."""
    return ",".join(f"{one.service}:{one.condition.value}:false" for one in depends_on if one.service in there)


# -- reading ------------------------------------------------------------------------------------------------------------


@frozen
class Roster:
    """What ``roster`` wrote, read again."""

    waves: tuple[tuple[str, ...], ...]
    tasks: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Roster:
        marked = [[word.partition(":") for word in wave.split()] for wave in text.split("|")]
        return cls(
            tuple(tuple(name for name, _, _ in wave) for wave in marked),
            frozenset(name for wave in marked for name, _, mark in wave if mark == "task"),
        )

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for wave in self.waves for name in wave)


def key_of(labels: Labels) -> Key:
    return Key(labels.get(APP, ""), labels.get(NAME, ""))


def generation_of(labels: Labels) -> int:
    """0 for a label that somebody has spoilt: no start has that number."""
    text = labels.get(GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def version_of(labels: Labels) -> Version | None:
    if VERSION not in labels:
        return None
    built = labels.get(BUILT)
    return Version(
        labels[VERSION],
        labels.get(IMAGE),
        labels.get(DIGEST),
        labels.get(COMMIT),
        labels.get(BRANCH),
        None if built is None else float(built),
    )


def dependencies_of(labels: Labels) -> tuple[Dependency, ...]:
    """What ``dependencies`` wrote, read again. Raises ValueError for a label that somebody else has written."""
    words = [entry.split(":") for entry in labels.get(DEPENDS_ON, "").split(",") if entry]
    return tuple(Dependency(name, Condition(condition)) for name, condition, _ in words)


def is_disposable(labels: Labels) -> bool:
    """Whether a volume goes with its stack."""
    return labels.get(DISPOSABLE) != "false"


def serves_of(labels: Labels) -> tuple[str, int]:
    """(service, port): ("", 0) for a label that somebody has spoilt."""
    service, _, port = labels.get(SERVES, "").rpartition(":")
    return (service, int(port)) if port.isascii() and port.isdigit() else ("", 0)


def filters(instance: str, key: Key | None = None) -> dict[str, list[str]]:
    """The engine's filter for all that this gateway made, or made for ``key``."""
    wanted = {MANAGED: "true", GATEWAY: instance} | ({APP: key.app, NAME: key.name} if key else {})
    return {"label": [f"{label}={value}" for label, value in wanted.items()]}
