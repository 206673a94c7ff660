"""From a configuration to the parts it asks for. Nothing is opened here; service.py opens and closes.

A little over the usual length: it is the one place that knows the names of all parts.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from . import __version__
from .admin import AdminSite
from .admin.webhooks import Webhooks
from .backends.docker import DockerBackend
from .backends.process import ProcessBackend
from .backends.static import StaticBackend
from .config import Configuration, connections
from .core import git, leases
from .core.keys import Key
from .core.model import App, Endpoint, Version
from .core.references import Template
from .core.routing import host_for
from .doors import FrontDoors, front_doors
from .frontdoor import MonotonicClock
from .interfaces import IBackend, IManifest, IVersions
from .machine import LinuxMachine
from .manifests.sqlite import SqliteManifest
from .observe.metrics import MEDIA_TYPE, Facts, exposition
from .probes import SocketProber
from .stacks.janitor import Janitor
from .stacks.prewarming import Prewarming
from .stacks.provisioning import Provisioning
from .stacks.table import StackTable
from .stacks.warmth import Warmth
from .versions.credentials import Credentials, DockerConfig, docker_config_path, login
from .versions.git import GitVersions
from .versions.provisioned import ProvisionedVersions
from .versions.registry import RegistryVersions
from .workers.assignment import Assignment, for_workers
from .workers.crew import Crew
from .workers.hub import Hub
from .workers.sockets import Sockets
from .workers.spawning import spawner


@frozen(eq=False)
class Crowd:
    """What there is instead of a frontend of our own when workers serve."""

    hub: Hub
    crew: Crew


@define(eq=False)
class Parts:
    """Everything that is opened, in the order in which it is. Either ``doors`` or ``workers`` is there."""

    reactor: Any
    configuration: Configuration
    clock: MonotonicClock
    manifest: IManifest
    machine: LinuxMachine
    backends: Backends
    table: StackTable
    janitor: Janitor
    warmth: Warmth
    prewarming: Prewarming
    provisioning: Provisioning
    doors: FrontDoors | None = field(init=False, default=None)
    workers: Crowd | None = field(init=False, default=None)
    admin: AdminSite = field(init=False)

    def reconfigure(self, configuration: Configuration) -> Deferred[None]:
        """Go on with another configuration; fires when what is new of it has been opened."""
        before, self.configuration = self.configuration, configuration
        self.machine.bound_by(configuration.limits.memory_cgroup)
        if self.doors is not None:
            self.doors.reconfigure(self.clock, configuration)
        known = dict(self.table.versions) if before.registries == configuration.registries else {}
        unchanged = {app.name for app in before.apps} & {app.name for app in configuration.apps if app in before.apps}
        versions = {name: one for name, one in known.items() if name in unchanged}
        done = self.table.reconfigure(
            {app.name: app for app in configuration.apps},
            self.backends.of(configuration),
            {**_all_versions(self.reactor, configuration, self.manifest, self.learned, leave_out=set(versions)), **versions},
            configuration.limits,
        )
        if self.workers is not None:
            self.workers.crew.roll()
        return Deferred.fromCoroutine(done).addCallback(lambda _: self.warmth.look())

    def learned(self, app: str, version: Version) -> None:
        """What a version was built from has become known: it may be the newest of a branch that is to be kept warm."""
        self.table.learned(app, version)
        self.warmth.look()


def assemble(reactor: Any, configuration: Configuration, secret: bytes, log_file: str | None = None) -> Parts:
    """The parts of one gateway, wired. ``secret`` is what the tokens of stacks are made of; ``log_file`` is where its log goes,
    if that is a file."""
    clock = MonotonicClock(reactor)
    manifest = SqliteManifest(reactor, configuration.gateway.state / "manifest.sqlite")
    machine = LinuxMachine([configuration.gateway.state], configuration.limits.memory_cgroup)
    backends = Backends(reactor, configuration)

    def address(key: Key) -> tuple[str, str]:
        app = parts.table.apps[key.app]
        host = host_for(app, key)
        return host, parts.configuration.gateway.url_of(host) if app.hosts else ""

    def url(key: Key) -> str | None:
        return (address(key)[1] or None) if key.app in parts.table.apps else None

    def connection(key: Key, password: str | None) -> str | None:
        app, host = parts.table.apps.get(key.app), parts.configuration.provision.host
        return None if app is None else connections.connection(app, key.name, password, host or platform.node())

    table = StackTable(
        clock=clock,
        wall=time.time,
        apps={app.name: app for app in configuration.apps},
        backends=backends.of(configuration),
        versions=_all_versions(reactor, configuration, manifest, lambda app, version: parts.learned(app, version)),
        prober=SocketProber(reactor),
        manifest=manifest,
        machine=machine,
        address=address,
        token=partial(leases.token, secret),
        limits=configuration.limits,
    )
    janitor = Janitor(clock, time.time, table)
    warmth = Warmth(clock, table)
    prewarming = Prewarming(clock, table, warmth.look)
    provisioning = Provisioning(clock, time.time, table, manifest)
    parts = Parts(reactor, configuration, clock, manifest, machine, backends, table, janitor, warmth, prewarming, provisioning)
    count = configuration.gateway.workers_on(len(os.sched_getaffinity(0)))
    if count:
        parts.workers = _crowd(parts, count, secret, log_file)
    else:
        doors = parts.doors = front_doors(reactor, clock, table, configuration, secret)
        table.on_close = lambda ticket: doors.forget(ticket.endpoint)
    parts.admin = AdminSite(
        control=table,
        manifest=manifest,
        checks=backends.checks,
        token=configuration.admin.token,
        version=__version__,
        clock=clock,
        workers=parts.workers.crew.seen if parts.workers else list,
        metrics=lambda: (exposition(_facts(parts)), MEDIA_TYPE),
        memory=lambda: _weighed(parts)[0],
        url=url,
        webhooks=Webhooks(lambda: parts.configuration.webhooks.secret, prewarming.pushed),
        provisioning=provisioning,
        connection=connection,
        provision_secret=lambda: parts.configuration.provision.secret,
    )
    return parts


def _weighed(parts: Parts) -> tuple[Mapping[Key, int], int | None]:
    """Bytes that stacks were seen to take last, and bytes that they may still take; None if the machine does not tell."""
    accounts = parts.table.ledger.accounts()
    return ({}, None) if accounts is None else (accounts.usage, accounts.memory.available)


def _facts(parts: Parts) -> Facts:
    stacks = parts.table.snapshot()
    usage, available = _weighed(parts)
    held = sum(snapshot.waiting for snapshot in stacks)
    if parts.doors is not None:
        http = parts.doors.counted()
    else:
        assert parts.workers is not None
        http, held = parts.workers.hub.counted(), sum(member.held for member in parts.workers.hub.members.values())
    return Facts(
        version=__version__,
        python=platform.python_version(),
        http=http,
        table=parts.table.counters,
        stacks=stacks,
        capacity=parts.table.capacity(),
        traffic=parts.table.traffic(),
        held=held,
        memory=usage,
        memory_available=available,
    )


def _crowd(parts: Parts, count: int, secret: bytes, log_file: str | None) -> Crowd:
    gateway = parts.configuration.gateway
    hub = Hub(parts.clock, parts.table)
    crew = Crew(
        parts.clock,
        hub,
        Sockets([door.endpoint for door in parts.configuration.doors], count),
        spawner(parts.reactor),
        lambda slot: Assignment(slot, count, for_workers(parts.configuration), log_file, secret),
        gateway.state,
    )
    return Crowd(hub, crew)


class Backends:
    """The backends that some app has needed so far. They read what they know of apps anew with each start."""

    def __init__(self, reactor: Any, configuration: Configuration) -> None:
        self._reactor = reactor
        self._there: dict[str, IBackend] = {}
        self._upstreams: dict[str, Endpoint] = {}
        self._repositories: dict[str, str] = {}
        self._published: set[str] = set()
        self._images: set[str] = set()
        self.checks: dict[str, Callable[[], Deferred[None]]] = {}  # by name, for /readyz
        self._engine = configuration.docker
        self._state = configuration.gateway.state

    def of(self, configuration: Configuration) -> dict[str, IBackend]:
        """Those of before and those that this configuration needs, which from now on act on it."""
        apps = configuration.apps
        _become(self._upstreams, {app.name: app.upstream for app in apps if app.upstream is not None})
        _become(self._repositories, {app.name: str(app.git) for app in apps if app.git is not None})
        self._published.clear()
        self._published.update(app.name for app in apps if app.address == "published")
        self._images.clear()
        self._images.update(Template.parse(app.image).sample.familiar for app in apps if app.image is not None)
        for kind in {app.backend for app in apps} - self._there.keys():
            self._there[kind] = self._made(kind, configuration)
            self.checks[kind] = self._there[kind].check
        return dict(self._there)

    async def disks(self) -> list[Path]:
        """Where they keep what they make, on disks of this machine."""
        roots = [await one.root() for one in self._there.values() if isinstance(one, DockerBackend)]
        return [self._state, *(root for root in roots if root is not None)]

    def _made(self, kind: str, configuration: Configuration) -> IBackend:
        if kind == "static":
            return StaticBackend(self._upstreams)
        if kind == "process":
            return ProcessBackend(self._reactor, self._state / "process", self._repositories)
        credentials = _engine_credentials(configuration)
        engine = self._engine
        return DockerBackend(self._reactor, engine.host, engine.instance, self._published, credentials, self._images)


def _become(mapping: dict[str, Any], other: dict[str, Any]) -> None:
    mapping.clear()
    mapping.update(other)


Learned = Callable[[str, Version], None]
"""Gets an app's name and a Version of it of which more is known by now: RegistryVersions.learned."""


def _all_versions(
    reactor: Any,
    configuration: Configuration,
    manifest: IManifest,
    learned: Learned,
    leave_out: set[str] | frozenset[str] = frozenset(),
) -> dict[str, IVersions]:
    apps = [app for app in configuration.apps if app.name not in leave_out]
    found = {app.name: _versions(reactor, app, configuration, manifest, learned) for app in apps}
    return {name: versions for name, versions in found.items() if versions is not None}


def _versions(reactor: Any, app: App, configuration: Configuration, manifest: IManifest, learned: Learned) -> IVersions | None:
    """None for an app whose names are not looked up anywhere."""
    looked_up = _looked_up(reactor, app, configuration, manifest, learned)
    if not app.provisioned:
        return looked_up
    if looked_up is None:
        return ProvisionedVersions(app.name, manifest, time.time)
    newest = partial(looked_up.head, git.HEAD) if app.git is not None else partial(looked_up.resolve, "")
    return ProvisionedVersions(app.name, manifest, time.time, newest, looked_up)


def _looked_up(reactor: Any, app: App, configuration: Configuration, manifest: IManifest, learned: Learned) -> IVersions | None:
    """Where commits, or images, are looked up; None for an app that has neither."""
    if app.git is not None:
        return GitVersions(reactor, app.name, app.git)
    if app.image is None:
        return None
    return RegistryVersions(
        reactor,
        app.name,
        app.image,
        manifest,
        git_hash=app.version == "git-hash",
        credentials=_registry_credentials(reactor, configuration),
        insecure=frozenset(name for name, registry in configuration.registries.items() if registry.insecure),
        token_hosts=frozenset(host for registry in configuration.registries.values() for host in registry.token_hosts),
        learned=partial(learned, app.name),
    )


def _registry_credentials(reactor: Any, configuration: Configuration) -> Credentials:
    """Those of the configuration; for other registries, those of the Docker configuration file."""
    ours = {
        name: login(registry.username, registry.password or "")
        for name, registry in configuration.registries.items()
        if registry.username
    }
    theirs = DockerConfig(reactor, docker_config_path(os.environ))
    return lambda domain: ours.get(domain, theirs)(domain)


def _engine_credentials(configuration: Configuration) -> Callable[[str], dict[str, str] | None]:
    """The same for the engine, which pulls; what is not ours, its client finds in the Docker configuration file."""
    ours = {
        name: {"username": registry.username, "password": registry.password or ""}
        for name, registry in configuration.registries.items()
        if registry.username
    }
    return ours.get
