"""The access log: a line for each request, written away from the event loop.

Lines are made when a request is over, since that costs microseconds; they are written in batches by a thread, since a disk or a
pipe can stand still. While it does, no more than ROOM is kept, and what does not fit is counted.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import SimpleQueue

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from .. import events
from ..core.forwarding import Network
from ..core.serving import Served, client_of
from ..wire.http1_request import RequestHead

FORMATS = ("combined", "json")
EVERY = 0.5  # seconds between batches
ROOM = 8 * 1024 * 1024  # bytes of lines that wait to be written
PATIENCE = 2.0  # seconds that the last lines may take when the gateway ends

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# In fields that a client fills: nothing that ends a line or a quotation, or drives the reader's terminal.
_UNSAFE = re.compile(rb'[^ !#-\[\]-~]')
_forwarded_for = re.compile(rb"\nx-forwarded-for:([^\r]*)").findall


class AccessLog:
    """
    :param path: a file, which is begun anew when it was moved away; "-" is standard output.
    :param proxies: whose X-Forwarded-For is believed.
    """

    _log = Logger(namespace="grandcentral.access")

    def __init__(
        self,
        clock: IReactorTime,
        path: str,
        format: str,
        proxies: tuple[Network, ...] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._writer = _Writer(path)
        self._line = _as_json if format == "json" else _combined
        self._said = _said_as_json if format == "json" else _said_combined
        self._stamp = _stamp_of_json if format == "json" else _stamp_of_combined
        self._proxies = proxies
        self._wall = wall
        self._second = -1
        self._now = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._lost = False  # the last batch could not be written
        self._flushing = LoopingCall(self._flush)
        self._flushing.clock = clock

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()
        self._flushing.start(EVERY, now=False)

    def stop(self) -> None:
        """Write what is left. Blocks until that is done, for PATIENCE at most."""
        if self._flushing.running:
            self._flushing.stop()
            self._writer.batches.put(b"".join(self._lines))
            self._writer.batches.put(None)
            self._writer.join(PATIENCE)

    def note(self, served: Served) -> bool:
        """Take in a request that is over. False if there is no room for it: then there is no line."""
        if self._size > ROOM:
            return False
        now = self._wall()
        second = int(now)
        if second != self._second:
            self._second = second
            self._now = self._stamp(second)
        head = served.head
        logged = None if head is None or head.absolute else head.fields.logged
        said = logged[1] if logged is not None and logged[0] is self else self._describe(served)
        line = self._line(served, head, said, self._now, int((now - second) * 1000))
        self._size += len(line)
        self._lines.append(line)
        return True

    def _describe(self, served: Served) -> bytes:
        """What the head's fields say: the same for every request that has the same."""
        head = served.head
        if head is None:
            return self._said(served.peer, b"", b"", b"")
        raw = b"\n" + head.fields.raw
        searched = raw.lower()
        client = client_of(served.peer, _forwarded_for(searched), self._proxies) if self._proxies else served.peer
        referer, agent = _first(raw, searched, b"\nreferer:"), _first(raw, searched, b"\nuser-agent:")
        said = self._said(client, head.host, referer, agent)
        if not head.absolute:  # then the host is not what the field says
            head.fields.logged = self, said
        return said

    def _flush(self) -> None:
        writer = self._writer
        if writer.busy:
            return
        failed, writer.failed = writer.failed, None
        if failed is not None and not self._lost:
            self._log.error(events.ACCESS_LOG_FAILED, path=writer.path, why=str(failed))
        self._lost = failed is not None
        if self._lines:
            writer.busy = True
            writer.batches.put(b"".join(self._lines))
            self._lines, self._size = [], 0


class _Writer(threading.Thread):
    """``busy`` is set by whoever gives it a batch, and cleared when that is written or ``failed``."""

    def __init__(self, path: str) -> None:
        super().__init__(name="access log", daemon=True)  # a pipe that nobody reads does not keep the gateway from ending
        self.path = path
        self.batches: SimpleQueue[bytes | None] = SimpleQueue()
        self.busy = False
        self.failed: OSError | None = None
        self._descriptor = 1 if path == "-" else -1

    def run(self) -> None:
        while (batch := self.batches.get()) is not None:
            try:
                self._write(batch)
            except OSError as error:
                self.failed = error
            self.busy = False

    def _write(self, data: bytes) -> None:
        self._open()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _open(self) -> None:
        """Have the file that is there now; raises OSError."""
        if self.path == "-" or (self._descriptor >= 0 and self._is_in_place()):
            return
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _is_in_place(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _first(raw: bytes, searched: bytes, name: bytes) -> bytes:
    at = searched.find(name)
    return b"" if at < 0 else raw[at + len(name) : raw.index(b"\r", at + 1)].strip(b" \t")


# -- combined ------------------------------------------------------------------------------------------------------------


def _escape(value: bytes) -> bytes:
    return _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], value)


def _stamp_of_combined(second: int) -> bytes:
    at = datetime.fromtimestamp(second, UTC)
    return f"[{at.day:02}/{_MONTHS[at.month - 1]}/{at.year}:{at:%H:%M:%S} +0000]".encode("ascii")


def _said_combined(client: str, host: bytes, referer: bytes, agent: bytes) -> bytes:
    """The two parts that are split again around the request: both from the fields alone."""
    return b'%b\n"%b" "%b"' % (client.encode("ascii") or b"-", _escape(referer) or b"-", _escape(agent) or b"-")


def _combined(served: Served, head: RequestHead | None, said: bytes, now: bytes, millisecond: int) -> bytes:
    client, _, fields = said.partition(b"\n")
    line = b"-" if head is None else b"%b %b HTTP/1.%d" % (head.method, _escape(head.target), head.fields.minor)
    return b'%b - - %b "%b" %d %d %b %b held=%.3f upstream=%.3f total=%.3f in=%d trace=%b\n' % (
        *(client, now, line, served.status, served.sent, fields, str(served.key or "-").encode("ascii")),
        *(served.held, served.upstream_time, served.total, served.received, served.trace.encode("ascii") or b"-"),
    )


# -- JSON ----------------------------------------------------------------------------------------------------------------


def _quote(value: bytes) -> bytes:
    return json.dumps(value.decode("utf-8", "backslashreplace")).encode("ascii")


def _stamp_of_json(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode("ascii")


def _said_as_json(client: str, host: bytes, referer: bytes, agent: bytes) -> bytes:
    parts = zip((b"client", b"host", b"referer", b"user_agent"), (client.encode("ascii"), host, referer, agent), strict=True)
    return b", ".join(b'"%b": %b' % (name, _quote(value)) for name, value in parts)


def _as_json(served: Served, head: RequestHead | None, said: bytes, now: bytes, millisecond: int) -> bytes:
    line = b"" if head is None else b'"method": %b, "target": %b, "protocol": "HTTP/1.%d", ' % (
        *(_quote(head.method), _quote(head.target), head.fields.minor),
    )
    return (
        b'{"time": "%b.%03dZ", %b, %b"status": %d, "stack": %b, "bytes_in": %d, "bytes_out": %d, '
        b'"held": %.6f, "upstream": %.6f, "total": %.6f, "trace_id": "%b"}\n'
    ) % (
        *(now, millisecond, said, line, served.status, _quote(str(served.key or "").encode("ascii"))),
        *(served.received, served.sent, served.held, served.upstream_time, served.total, served.trace.encode("ascii")),
    )
