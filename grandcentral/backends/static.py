"""Stacks that somebody else runs, at a fixed address: proxied, never started or stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..core.keys import Key
from ..core.model import Endpoint, Found, Hook, Launch, LogTail, Usage, Version
from ..errors import EngineRefused, HookFailed
from ..interfaces import IBackend, Report, Vanished


@implementer(IBackend)
class StaticBackend:
    """``upstreams`` maps the names of apps to where they listen; it may change. All its answers come at once."""

    name = "static"

    def __init__(self, upstreams: Mapping[str, Endpoint]) -> None:
        self._upstreams = upstreams

    def open(self) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        return succeed(None)

    def watch(self, vanished: Vanished, returned: Callable[[], None]) -> None:
        """Nothing that is told here ever happens: whether an upstream answers is seen when it is used."""

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return self.resume(launch.key)

    def stop(self, key: Key) -> Deferred[None]:
        return succeed(None)

    def restart(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return self.resume(launch.key)

    def halt(self, key: Key, grace: bool, volumes: bool = False) -> Deferred[None]:
        return succeed(None)

    def execute(self, key: Key, hook: Hook, within: float) -> Deferred[None]:
        return fail(HookFailed(f"{key.app} is run by somebody else: no command can be run in it."))

    def usage(self) -> Deferred[Mapping[Key, Usage]]:
        return succeed({})

    def fetch(self, launch: Launch, report: Report) -> Deferred[None]:
        return succeed(None)

    def reclaim(self, keep: Collection[Version]) -> Deferred[int]:
        return succeed(0)

    def volumes(self) -> Deferred[Collection[Key]]:
        return succeed(())

    def pause(self, key: Key) -> Deferred[None]:
        return succeed(None)

    def resume(self, key: Key) -> Deferred[Endpoint]:
        upstream = self._upstreams.get(key.app)
        if upstream is None:
            return fail(EngineRefused(f"The app {key.app} has no upstream."))
        return succeed(upstream)

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return succeed(())

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        return succeed(())

    def check(self) -> Deferred[None]:
        return succeed(None)
