"""The configuration as a value: what a file and the environment say, checked, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from ..core.forwarding import Network
from ..core.model import App, Door, Limits
from ..core.problems import Problem
from .reading import Section


@frozen
class Gateway:
    listen: tuple[str, ...]  # Twisted endpoint strings
    url: str  # with {host} in it
    state: Path
    workers: int | str = 0  # processes that serve clients; "auto": one for each CPU

    def workers_on(self, cpus: int) -> int:
        """How many worker processes there are on a machine with so many CPUs."""
        return self.workers if isinstance(self.workers, int) else cpus

    def url_of(self, host: str) -> str:
        """The URL under which clients reach a host, without a path: "http://db139cf.review.localhost:8080"."""
        return self.url.replace("{host}", host)


@frozen
class Admin:
    listen: str
    token: str | None = field(repr=False, default=None)  # None: nothing can be changed


@frozen
class Docker:
    host: str  # URL
    instance: str
    address: str  # "container" or "published", for apps that say nothing else


@frozen
class Registry:
    """``name`` is the host, with its port if it has one."""

    name: str
    insecure: bool = False
    username: str | None = None
    password: str | None = field(repr=False, default=None)
    token_hosts: tuple[str, ...] = ()


@frozen
class Webhooks:
    secret: str | None = field(repr=False, default=None)  # None: no notification is believed


@frozen
class Provisioning:
    secret: str | None = field(repr=False, default=None)  # None: only the admin token provisions
    listen: str | None = None  # for callers elsewhere; None: nowhere but on the admin listener
    host: str | None = None  # what clients call this machine; None: what it calls itself


@frozen
class Log:
    format: str  # "text" or "json"
    level: str  # as twisted.logger.LogLevel names them
    access: str = "off"  # where the access log goes: a path, "-" for standard output, or "off"
    access_format: str = "combined"  # or "json"


@frozen
class Configuration:
    """``http`` has every key of the ``[http]`` table: durations in seconds, sizes in bytes, networks as a tuple; None where a
    value follows from the surroundings."""

    path: Path
    gateway: Gateway
    admin: Admin
    limits: Limits
    http: Mapping[str, float | int | tuple[Network, ...] | None]
    log: Log
    docker: Docker
    registries: Mapping[str, Registry]
    apps: tuple[App, ...]
    webhooks: Webhooks = Webhooks()
    provision: Provisioning = Provisioning()
    warnings: tuple[Problem, ...] = ()
    sections: Mapping[str, Section | Mapping[str, Section]] = field(factory=dict, repr=False, eq=False)
    """The tables as read, for :func:`grandcentral.config.effective`."""
    doors: tuple[Door, ...] = field()
    """All that is listened on for clients: ``gateway.listen`` and the ports of apps."""

    @doors.default
    def _doors_default(self) -> tuple[Door, ...]:
        return tuple(Door("http", text) for text in self.gateway.listen)
