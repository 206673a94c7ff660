"""Where bodies wait that came before there was anybody to send them to: files without a name.

They are written and read in the event loop, not in a thread. What is done at a time is what one read of a socket brings, and
it goes to the kernel's cache and comes from there: tens of microseconds, about what the hand-over to a thread would cost.
"""

from __future__ import annotations

import os
from tempfile import TemporaryFile
from typing import IO

from twisted.logger import Logger

from ... import events


class Spools:
    """What the files of one frontend have in common.

    :param directory: where they are made; None: where the system keeps temporary files.
    :param limit: bytes that all of them may have. It is looked at before each write, and so exceeded by less than one.
    """

    _log = Logger(namespace="grandcentral.frontends.http")

    def __init__(self, directory: str | None, limit: int) -> None:
        self.directory = directory
        self.limit = limit
        self.taken = 0
        self._failing = False

    @property
    def room(self) -> bool:
        return self.taken < self.limit

    def failed(self, error: OSError) -> None:
        """Said once, and again when it has worked meanwhile."""
        if not self._failing:
            self._failing = True
            self._log.error(events.BODY_NOT_SPOOLED, why=str(error))

    def worked(self) -> None:
        self._failing = False


class Spool:
    """Bytes that are written at the end and read from the beginning. The file is made by the first write."""

    __slots__ = ("_at", "_file", "_size", "_spools", "_tail")

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._file: IO[bytes] | None = None
        self._size = 0  # of the file
        self._tail = b""  # what the disk did not take
        self._at = 0  # read so far

    @property
    def room(self) -> bool:
        """Whether more may be written. Not when a write has failed, or all spools together are full."""
        return not self._tail and self._spools.room

    @property
    def unread(self) -> bool:
        return self._at < self._size + len(self._tail)

    def write(self, data: bytes) -> None:
        """Nothing is lost where the disk fails or is full: that is logged, the rest is kept in memory, and ``room`` is gone."""
        rest = memoryview(data)
        try:
            if self._file is None:
                self._file = TemporaryFile(buffering=0, dir=self._spools.directory)  # noqa: SIM115 - it outlives this call
            while rest:
                written = os.pwrite(self._file.fileno(), rest, self._size)
                rest = rest[written:]
                self._size += written
                self._spools.taken += written
            self._spools.worked()
        except OSError as error:
            self._tail = bytes(rest)
            self._spools.failed(error)

    def read(self, size: int) -> bytes:
        """At most so many of the bytes that are unread. Raises OSError."""
        if self._at < self._size:
            assert self._file is not None
            data = os.pread(self._file.fileno(), size, self._at)
        else:
            data = self._tail[self._at - self._size :]
        self._at += len(data)
        return data

    def rewind(self) -> None:
        """Read from the beginning again."""
        self._at = 0

    def close(self) -> None:
        """Give the room back. Idempotent."""
        self._spools.taken -= self._size
        self._size = self._at = 0
        self._tail = b""
        file, self._file = self._file, None
        if file is not None:
            file.close()
