"""All front doors of one process: the HTTP one, and those of apps' own ports. They are opened and closed together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IProtocolFactory

from . import frontdoor
from .config import Configuration
from .core.counters import HttpCounters
from .core.keys import misnamed
from .core.model import App, Door, Endpoint
from .frontdoor import MonotonicClock, connections, connector, http_frontend
from .frontends.http import HttpFrontend
from .frontends.tcp import TcpFrontend, TcpSettings
from .frontends.tcp.plain import PlainSpeech
from .frontends.tcp.postgresql import PostgresqlSpeech
from .frontends.tcp.redis import RedisSpeech
from .frontends.tcp.speech import Speech
from .interfaces import IStacks
from .wire.postgresql_server import SessionKey


@define(eq=False)
class FrontDoors:
    """``factory(door)`` is what listens on each; ``retire`` and ``stop`` fire when every connection has gone."""

    http: HttpFrontend
    tcp: TcpFrontend
    _configuration: Configuration
    _apps: dict[str, App] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._apps = {app.name: app for app in self._configuration.apps}

    def factory(self, door: Door) -> IProtocolFactory:
        speeches: dict[str, Callable[[], Speech]] = {
            "postgresql": lambda: PostgresqlSpeech(door.app, partial(self._names, door.app)),
            "redis": lambda: RedisSpeech(door.app, partial(self._names, door.app)),
            "tcp": lambda: PlainSpeech(door.app),
        }
        return self.http if door.protocol == "http" else self.tcp.door(door.protocol, speeches[door.protocol])

    def _names(self, app: str, name: str) -> bool:
        """Whether a version of the app could be called so. There is no other spelling of a user name: nothing is folded."""
        there = self._apps.get(app)
        return there is not None and bool(there.version) and misnamed(there.version, name) is None

    def reconfigure(self, clock: MonotonicClock, configuration: Configuration) -> None:
        """Go on with another configuration; the ports stay."""
        before, self._configuration = self._configuration, configuration
        self._apps = {app.name: app for app in configuration.apps}
        frontdoor.reconfigure(self.http, clock, before, configuration)
        self.tcp.settings = tcp_settings(configuration)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self.http.connections + self.tcp.connections

    def counted(self) -> HttpCounters:
        """What has been counted so far."""
        return evolve(self.http.counted(), tcp=self.tcp.counted())

    def interrupt_here(self, session: SessionKey, message: bytes) -> Deferred[Any]:
        """Pass on a cancel request if the session is one of this process's."""
        return self.tcp.interrupt_here(session, message)

    def forget(self, endpoint: Endpoint) -> None:
        """What listened there has stopped."""
        self.http.forget(endpoint)

    def start(self) -> None:
        self.http.start()
        self.tcp.start()

    def retire(self) -> Deferred[None]:
        return _both(self.http.retire(), self.tcp.retire())

    def stop(self) -> Deferred[None]:
        return _both(self.http.stop(), self.tcp.stop())


def front_doors(
    reactor: Any, clock: MonotonicClock, stacks: IStacks, configuration: Configuration, secret: bytes, workers: int = 1
) -> FrontDoors:
    """Those of one of so many processes, as the configuration has them; ``secret`` as for frontdoor.http_frontend."""
    http = http_frontend(reactor, clock, stacks, configuration, secret, workers)
    settings = tcp_settings(configuration)
    tcp = TcpFrontend(stacks, clock, connector(reactor), settings, http.crowd, lambda: http.connections)
    return FrontDoors(http, tcp, configuration)


def tcp_settings(configuration: Configuration) -> TcpSettings:
    """What the ``[http]`` table says of all connections, and for how long anybody is held."""
    http: dict[str, Any] = dict(configuration.http)
    shared = ("connect_timeout", "linger", "proxy_protocol", "max_connections_per_client", "grace", "buffer")
    return TcpSettings(
        identify_timeout=http["head_timeout"],
        start_timeout=configuration.limits.start_timeout,
        max_connections=http["max_connections"] or connections(),
        **{name: http[name] for name in shared},
    )


def _both(one: Deferred[None], other: Deferred[None]) -> Deferred[None]:
    return gatherResults([one, other]).addCallback(lambda _: None)
