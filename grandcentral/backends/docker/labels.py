"""What our containers, networks and volumes are called, and what their labels say. The table is in the package's docstring."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from attrs import frozen

from ...core.keys import Key
from ...core.model import Launch, Version
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
CREATED = "grandcentral.created"
PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
ONEOFF = "com.docker.compose.oneoff"

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
    """The labels of a stack's networks and volumes, and the beginning of those of its containers."""
    return {
        MANAGED: "true",
        GATEWAY: instance,
        APP: launch.key.app,
        NAME: launch.key.name,
        GENERATION: str(launch.generation),
        PROJECT: unique(instance, launch.key),
    }


def of_service(instance: str, launch: Launch, service: str, created: str) -> dict[str, str]:
    """The labels of the container of one service: the template's own, and ours, which win."""
    spec, version = launch.spec, launch.version
    known = {VERSION: version.name, IMAGE: version.image, DIGEST: version.digest, COMMIT: version.commit}
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
    }


DEFAULT_PORT = 8080  # where the service that answers listens, when the stack leaves that to us and asks in $PORT


def roster(launch: Launch) -> str:
    """All services in waves of their order, tasks marked: "db cache | load:task | web"."""
    spec = launch.spec
    return " | ".join(
        " ".join(f"{name}:task" if spec.is_task(name) else name for name in wave) for wave in waves(spec.services)
    )


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
    return Version(labels[VERSION], labels.get(IMAGE), labels.get(DIGEST), labels.get(COMMIT))


def serves_of(labels: Labels) -> tuple[str, int]:
    """(service, port): ("", 0) for a label that somebody has spoilt."""
    service, _, port = labels.get(SERVES, "").rpartition(":")
    return (service, int(port)) if port.isascii() and port.isdigit() else ("", 0)


def filters(instance: str, key: Key | None = None) -> dict[str, list[str]]:
    """The engine's filter for all that this gateway made, or made for ``key``."""
    wanted = {MANAGED: "true", GATEWAY: instance} | ({APP: key.app, NAME: key.name} if key else {})
    return {"label": [f"{label}={value}" for label, value in wanted.items()]}
