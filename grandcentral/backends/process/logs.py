"""What services print: a file for each, bounded, of which the last lines are asked for.

Services write to their files themselves, so that they need nobody to read; hence the bound is kept from outside, by looking
at the sizes a few times a second. While no gateway runs, nobody looks.
"""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = 1024 * 1024  # bytes; a file that has grown past it is cut
KEPT = 128 * 1024  # bytes of the cut part that are kept
_READ = 64 * 1024  # bytes looked at for the last lines


def tail(log: Path, lines: int) -> tuple[str, ...]:
    """The last ``lines`` lines, oldest first; bytes that are not UTF-8 are replaced."""
    recent = _end(log, _READ)
    if len(recent) < _READ:
        recent = _end(_older(log), _READ - len(recent)) + recent
    return tuple(recent.decode(errors="replace").splitlines()[-lines:]) if lines > 0 else ()


def bound(log: Path) -> None:
    """Cut the file if it has grown past LIMIT, and keep the end of what was in it beside it.

    What is printed between reading the end and cutting is lost. The writer appends, so it goes on at the new beginning.
    """
    try:
        if log.stat().st_size <= LIMIT:
            return
    except FileNotFoundError:  # the stack is just being removed
        return
    end = _end(log, KEPT)
    os.truncate(log, 0)
    _older(log).write_bytes(end)


def _older(log: Path) -> Path:
    return log.with_name(log.name + ".1")


def _end(log: Path, size: int) -> bytes:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read(size)
    except FileNotFoundError:
        return b""
