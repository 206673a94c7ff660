"""Reading the files that a configuration names. What goes wrong is a ValueError with a sentence."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start} is wrong") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def read_secret(path: Path) -> str:
    """The first line; the rest must be empty."""
    secret = read_text(path).strip()
    if not secret:
        raise ValueError(f"{path} is empty: write the secret into it")
    if not secret.isprintable():
        raise ValueError(f"{path} has more than one line, or characters that cannot be seen: write only the secret into it")
    return secret


def open_to_all(path: Path) -> bool:
    """Whether every user of the machine may read it."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def is_repository(path: Path) -> bool:
    """Whether there is a Git repository: a work tree's, or a bare one."""
    try:
        return (path / ".git").exists() or (path / "HEAD").is_file()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def is_memory_cgroup(path: Path) -> bool:
    """Whether it is the directory of a control group that accounts for memory, in either version (Linux)."""
    try:
        return (path / "cgroup.procs").is_file() and (path / "memory.stat").is_file()
    except OSError:
        return False


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
