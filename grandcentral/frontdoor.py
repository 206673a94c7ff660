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
from .core.waking import Judges, Rule
from .frontends.http import HttpFrontend, HttpSettings
from .interfaces import IStacks
from .observe.access import AccessLog
from .relay.dialling import dialler
from .relay.pool import UNPROVEN
from .wire.http1_fields import HeadLimits

MOST_FILES = 65_536  # more is of no use, and some programs that inherit it close each at their start
OTHER_FILES = 200
MOST_HELD = 1024 * 1024 * 1024  # bytes of bodies on disk, of requests that wait for a start


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
    reactor: Any, clock: MonotonicClock, stacks: IStacks, configuration: Configuration, secret: bytes, workers: int = 1
) -> HttpFrontend:
    """The frontend for these stacks, as the configuration has it.

    :param secret: what the tokens of stacks are made of.
    :param workers: how many processes have such a frontend, and share what all of them together may do.
    """
    frontend = HttpFrontend(
        *(stacks, Routes(configuration.apps), clock, connector(reactor), http_settings(configuration, workers)),
        log=access_log(clock, configuration),
        token=partial(token, secret),
    )
    frontend.judges = judges(configuration)
    return frontend


def access_log(clock: MonotonicClock, configuration: Configuration) -> AccessLog | None:
    """Where requests are noted, if anywhere."""
    log = configuration.log
    proxies: Any = configuration.http["trusted_proxies"]
    return None if log.access == "off" else AccessLog(clock, log.access, log.access_format, proxies)


def reconfigure(frontend: HttpFrontend, clock: MonotonicClock, before: Configuration, after: Configuration) -> None:
    """Have it go on with another configuration."""
    frontend.routes, frontend.judges, frontend.settings = Routes(after.apps), judges(after), http_settings(after)
    frontend.known.clear()
    if before.log != after.log or before.http["trusted_proxies"] != after.http["trusted_proxies"]:
        frontend.log_to(access_log(clock, after))


def judges(configuration: Configuration) -> Judges:
    """Which requests wake stacks and keep them awake. What is fixed never sleeps, so that nobody can be told that it does."""
    always = (Rule(wakes=True),)
    return Judges({app.name: always if app.backend == "static" else app.rules for app in configuration.apps})


def http_settings(configuration: Configuration, workers: int = 1) -> HttpSettings:
    """The ``[http]`` table as the front door of one of so many processes wants it."""
    http: dict[str, Any] = dict(configuration.http)
    limits = HeadLimits(*(http.pop(name) for name in ("max_request_line", "max_field", "max_head", "max_fields")))
    http["max_connections"] = http["max_connections"] or connections()
    return HttpSettings(
        limits=limits,
        scheme=configuration.gateway.url.partition(":")[0],
        max_lease=configuration.limits.max_lease,
        max_held_bodies=MOST_HELD // workers,
        spool_directory=str(configuration.gateway.state),  # a disk, where the directory for temporary files may be memory
        unproven=max(1, UNPROVEN // workers),
        **http,
    )


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
