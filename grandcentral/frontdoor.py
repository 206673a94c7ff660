"""What the gateway and its workers set up alike: the HTTP frontend, its clock, its way to endpoints."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from zope.interface import implementer

from .config import Configuration
from .core.leases import token
from .core.model import Endpoint
from .core.routing import Routes
from .core.waking import Judges
from .frontends.http import HttpFrontend, HttpSettings
from .interfaces import IStacks
from .observe.access import AccessLog
from .relay.dialling import dialler
from .wire.http1_fields import HeadLimits

MOST_FILES = 65_536  # more is of no use, and some programs that inherit it close each at their start
OTHER_FILES = 200


@implementer(IReactorTime)
@frozen
class MonotonicClock:
    """The reactor's timers, by a clock that nobody sets: a wall clock that jumps makes nothing look idle.

    It is the same clock in every process of this machine, so that times can be told from one to another.
    """

    _reactor: IReactorTime
    seconds = staticmethod(time.monotonic)  # nothing between: it is asked for the time thrice a request

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Any:
        return self._reactor.getDelayedCalls()


def http_frontend(
    reactor: Any, clock: MonotonicClock, stacks: IStacks, configuration: Configuration, secret: bytes
) -> HttpFrontend:
    """The frontend for these stacks, as the configuration has it. ``secret``: what their tokens are made of."""
    settings, log = http_settings(configuration), configuration.log
    requests = None if log.access == "off" else AccessLog(clock, log.access, log.access_format, settings.trusted_proxies)
    frontend = HttpFrontend(
        *(stacks, Routes(configuration.apps), clock, connector(reactor), settings), log=requests, token=partial(token, secret)
    )
    frontend.judges = judges(configuration)
    return frontend


def judges(configuration: Configuration) -> Judges:
    """Which requests wake stacks and keep them awake."""
    return Judges({app.name: app.rules for app in configuration.apps})


def http_settings(configuration: Configuration) -> HttpSettings:
    """The ``[http]`` table as the front door wants it."""
    http: dict[str, Any] = dict(configuration.http)
    limits = HeadLimits(*(http.pop(name) for name in ("max_request_line", "max_field", "max_head", "max_fields")))
    http["max_connections"] = http["max_connections"] or connections()
    scheme = configuration.gateway.url.partition(":")[0]
    return HttpSettings(limits=limits, scheme=scheme, max_lease=configuration.limits.max_lease, **http)


def connections() -> int:
    """How many clients this process can serve if each needs a connection to a stack as well: the limit of open files, which is
    raised as far as we may (to MOST_FILES), leaves some for everything else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(1, ((MOST_FILES if soft == resource.RLIM_INFINITY else soft) - OTHER_FILES) // 2)


def connector(reactor: Any) -> Callable[[Endpoint, IProtocolFactory], Deferred[IProtocol]]:
    """How endpoints are connected to: their addresses as they are, names by the system's resolver."""
    dial = dialler(reactor)

    def connect(endpoint: Endpoint, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if ":" in endpoint.host or endpoint.host.replace(".", "").isdigit():
            return dial(endpoint, factory)
        return HostnameEndpoint(reactor, endpoint.host, endpoint.port).connect(factory)

    return connect
