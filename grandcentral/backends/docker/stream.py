"""The engine's events, without end: one daemon thread reads them, and the reactor decides when to connect again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall

from ...errors import EngineUnavailable, Mishap
from .client import Client, Said, Stream
from .labels import filters
from .lines import Lines
from .translate import translated
from .waiting import Reactor

HEADERS_WITHIN = 15  # seconds for an engine that accepts the connection to begin its answer
SOONEST = 0.1  # seconds between two attempts to connect at first, doubling to ...
LATEST = 5.0
LAST = 0.5  # seconds that the thread has to end when we close; one that cannot connect is left behind
INTERESTING = {"type": ["container"], "event": ["start", "die", "destroy"]}  # every health check would be three exec_* events


class Events:
    """Calls back in the reactor's thread: ``happened(event)``, ``up()``, ``down(why)``; the last two alternate."""

    def __init__(
        self,
        reactor: Reactor,
        base_url: str,
        instance: str,
        happened: Callable[[Mapping[str, Any]], None],
        up: Callable[[], None],
        down: Callable[[Mishap], None],
    ) -> None:
        self._reactor = reactor
        self._base_url = base_url
        self._filters = INTERESTING | filters(instance)
        self._happened, self._up, self._down = happened, up, down
        self._thread: Thread | None = None
        self._stream: Stream[Said] | None = None  # only while connected
        self._since: str | None = None  # of the last event, in the engine's own time
        self._connected_at = 0.0
        self._delay = SOONEST
        self._retry: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._closed: Deferred[None] | None = None
        self._lines = Lines()

    def connected(self) -> Deferred[None]:
        """Fires with None when events come in, at once if they do; fails with EngineUnavailable if the attempt to connect,
        which is made now if none is under way, does not succeed."""
        if self._closed is not None:
            return fail(EngineUnavailable(f"The gateway has let go of the Docker engine at {self._base_url}."))
        if self._stream is not None:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        if self._thread is None:
            self._connect()
        return waiter

    def reconnect(self) -> None:
        """Let go of the connection and make another, after the usual delay."""
        if self._stream is not None:
            self._stream.close()

    def close(self) -> Deferred[None]:
        """Fires with None when the thread has ended, or will not."""
        closed = self._closed = Deferred()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._lines.cut()
        if self._thread is None:
            closed.callback(None)
        else:
            late = self._reactor.callLater(LAST, closed.callback, None)
            closed.addBoth(lambda _: late.cancel() if late.active() else None)
        return closed

    def _connect(self) -> None:
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        self._retry = None
        self._thread = Thread(target=self._read, name="docker events", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        """In the thread: until the stream ends, one way or another."""
        client = None
        try:
            client = Client(self._base_url, HEADERS_WITHIN, self._lines)
            stream = client.happenings(self._filters, self._since)
            self._reactor.callFromThread(self._began, stream)
            for event in stream:
                self._reactor.callFromThread(self._event, event)
            why: Mishap | None = EngineUnavailable(f"The Docker engine at {self._base_url} has ended its events.")
        except Exception as error:
            # What breaks off in the middle of an event can end in any exception. Whatever was wrong, connecting again cures it
            # or says it again.
            why = translated(error, self._base_url)
            why = why or EngineUnavailable(f"The events of the Docker engine at {self._base_url} broke off: {error!r}.")
        finally:
            if client is not None:
                client.close()
        self._reactor.callFromThread(self._ended, why)

    # -- in the reactor -------------------------------------------------------------------------------------------------

    def _began(self, stream: Stream[Said]) -> None:
        self._stream = stream
        self._connected_at = self._reactor.seconds()
        if self._closed is not None:
            stream.close()
            return
        self._up()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def _event(self, event: Mapping[str, Any]) -> None:
        nanoseconds = int(event["timeNano"])
        self._since = f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"
        if self._closed is None:
            self._happened(event)

    def _ended(self, why: Mishap) -> None:
        assert self._thread is not None
        self._thread.join()  # its last act was to call this
        self._thread = None
        was_connected, self._stream = self._stream is not None, None
        waiting, self._waiting = self._waiting, []
        if self._closed is None:
            if was_connected and self._reactor.seconds() - self._connected_at > LATEST:
                self._delay = SOONEST  # it was a good connection; one that ends at once must not make us spin
            self._retry = self._reactor.callLater(self._delay, self._connect)
            self._delay = min(self._delay * 2, LATEST)
            if was_connected:
                self._down(why)
        for waiter in waiting:
            waiter.errback(why)
        if self._closed is not None and not self._closed.called:
            self._closed.callback(None)
