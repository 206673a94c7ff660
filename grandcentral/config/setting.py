"""What the schema is a list of: settings, in tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from .kinds import Kind


@frozen
class Setting:
    """One key. ``default`` is a value as read; None: there is none, or it follows from the surroundings, as ``otherwise`` says.

    ``instead`` is a key that says the same in another way: only one of the two can be given. ``backends`` are those of apps
    that the key means something to, () being all. A setting with ``fields`` is a table, for which ``shorthand`` makes one
    out of a string; with ``many`` it is a list of such tables. ``example`` is for the reference.
    """

    key: str
    kind: Kind
    doc: str
    default: Any = None
    otherwise: str = ""
    secret: bool = False
    instead: str = ""
    backends: tuple[str, ...] = ()
    fields: tuple[Setting, ...] = ()
    shorthand: Callable[[str], dict[str, object]] | None = None
    many: bool = False
    example: str = ""
    later: Mapping[str, str] = {}  # as of a Table


@frozen
class Table:
    """A table, or with ``each`` a table of tables, whose names stand for what ``each`` says. ``later`` are keys of versions to
    come: key -> what to do without it."""

    name: str
    doc: str
    settings: tuple[Setting, ...]
    each: str = ""
    environment: bool = False
    later: Mapping[str, str] = {}

    def setting(self, key: str) -> Setting:
        return next(setting for setting in self.settings if setting.key == key)
