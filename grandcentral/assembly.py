"""From a configuration to the parts it asks for. Nothing is opened here; service.py opens and closes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from zope.interface import implementer

from . import __version__
from .admin import AdminSite
from .backends.docker import DockerBackend
from .backends.process import ProcessBackend
from .backends.static import StaticBackend
from .config import Configuration
from .core.keys import Key
from .core.model import App, Endpoint
from .core.routing import Routes, host_for
from .frontends.http import HttpFrontend, HttpSettings
from .interfaces import IBackend, IManifest, IVersions
from .manifests.sqlite import SqliteManifest
from .probes import SocketProber
from .stacks.janitor import Janitor
from .stacks.table import StackTable
from .versions.credentials import Credentials, DockerConfig, docker_config_path, login
from .versions.git import GitVersions
from .versions.registry import RegistryVersions
from .wire.http1_fields import HeadLimits


@implementer(IReactorTime)
@frozen
class MonotonicClock:
    """The reactor's timers, by a clock that nobody sets: a wall clock that jumps makes nothing look idle."""

    _reactor: IReactorTime

    def seconds(self) -> float:
        return time.monotonic()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Any:
        return self._reactor.getDelayedCalls()


@frozen(eq=False)
class Parts:
    """Everything that is opened, in the order in which it is."""

    clock: MonotonicClock
    manifest: IManifest
    table: StackTable
    janitor: Janitor
    frontend: HttpFrontend
    admin: AdminSite


def assemble(reactor: Any, configuration: Configuration) -> Parts:
    """The parts of one gateway, wired."""
    clock = MonotonicClock(reactor)
    apps = {app.name: app for app in configuration.apps}
    manifest = SqliteManifest(reactor, configuration.gateway.state / "manifest.sqlite")
    backends = _backends(reactor, configuration)

    def address(key: Key) -> tuple[str, str]:
        host = host_for(apps[key.app], key)
        return host, configuration.gateway.url_of(host)

    table = StackTable(
        clock=clock,
        wall=time.time,
        apps=apps,
        backends=backends,
        versions={name: versions for name, app in apps.items() if (versions := _versions(reactor, app, configuration, manifest))},
        prober=SocketProber(reactor),
        manifest=manifest,
        address=address,
        limits=configuration.limits,
    )
    frontend = HttpFrontend(table, Routes(configuration.apps), clock, connector(reactor), http_settings(configuration))
    table.on_close = frontend.forget
    admin = AdminSite(
        control=table,
        manifest=manifest,
        checks={name: backend.check for name, backend in backends.items()},
        token=configuration.admin.token,
        version=__version__,
        clock=clock,
    )
    policies = {name: app.idle for name, app in apps.items() if app.upstream is None}
    return Parts(clock, manifest, table, Janitor(clock, table, policies, configuration.limits), frontend, admin)


def connector(reactor: Any) -> Callable[[Endpoint, IProtocolFactory], Deferred[IProtocol]]:
    """How endpoints are connected to: their addresses as they are, names by the system's resolver."""

    def connect(endpoint: Endpoint, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if ":" in endpoint.host:
            return TCP6ClientEndpoint(reactor, endpoint.host, endpoint.port).connect(factory)
        if endpoint.host.replace(".", "").isdigit():
            return TCP4ClientEndpoint(reactor, endpoint.host, endpoint.port).connect(factory)
        return HostnameEndpoint(reactor, endpoint.host, endpoint.port).connect(factory)

    return connect


def http_settings(configuration: Configuration) -> HttpSettings:
    """The ``[http]`` table as the front door wants it."""
    http: dict[str, Any] = dict(configuration.http)
    limits = HeadLimits(*(http.pop(name) for name in ("max_request_line", "max_field", "max_head", "max_fields")))
    return HttpSettings(limits=limits, scheme=configuration.gateway.url.partition(":")[0], **http)


def _backends(reactor: Any, configuration: Configuration) -> dict[str, IBackend]:
    """Those that some app of the configuration needs."""
    kinds: dict[str, list[App]] = {}
    for app in configuration.apps:
        kinds.setdefault(app.backend, []).append(app)
    backends: dict[str, IBackend] = {}
    if apps := kinds.get("static"):
        backends["static"] = StaticBackend({app.name: app.upstream for app in apps if app.upstream is not None})
    if apps := kinds.get("process"):
        repositories = {app.name: app.git for app in apps if app.git is not None}
        backends["process"] = ProcessBackend(reactor, configuration.gateway.state / "process", repositories)
    if apps := kinds.get("docker"):
        published = frozenset(app.name for app in apps if app.address == "published")
        docker = configuration.docker
        backends["docker"] = DockerBackend(reactor, docker.host, docker.instance, published, _engine_credentials(configuration))
    return backends


def _versions(reactor: Any, app: App, configuration: Configuration, manifest: IManifest) -> IVersions | None:
    """None for an app whose names are not looked up anywhere."""
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
