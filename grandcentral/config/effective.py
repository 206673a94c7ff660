"""The effective configuration as TOML: every default filled in, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .app_table import APPS
from .apps import backend_of
from .configuration import Configuration
from .findings import bare, dotted, quoted
from .reading import Section
from .schema import TABLES
from .setting import Setting, Table

MASK = "********"


def effective(configuration: Configuration) -> str:
    """TOML that says in full what the configuration says; but for its secrets, loading it gives the same again."""
    return "\n".join(line for table in TABLES for line in _table(table, configuration)).lstrip("\n") + "\n"


def _table(table: Table, configuration: Configuration) -> Iterator[str]:
    found = configuration.sections[table.name]
    for section in [found] if isinstance(found, Section) else found.values():
        yield ""
        yield f"[{dotted(section.path)}]"
        backend = backend_of(section) if table is APPS else None
        for setting in table.settings:
            if section[setting.key] is not None and (not setting.backends or backend in setting.backends):
                yield f"{setting.key} = {toml(_written(setting, section[setting.key]))}"


def _written(setting: Setting, value: Any) -> object:
    if setting.many:
        return [_nested(setting, each) for each in value]
    if isinstance(value, Section):
        return _nested(setting, value)
    written = setting.kind.write(value)
    if setting.secret:
        return dict.fromkeys(written, MASK) if isinstance(written, Mapping) else MASK
    return written


def _nested(setting: Setting, section: Section) -> Mapping[str, object]:
    left_out = ("http", "below") if section.values.get("tcp") else ("tcp",)
    there = (each for each in setting.fields if section[each.key] is not None and each.key not in left_out)
    return {each.key: each.kind.write(section[each.key]) for each in there}


def toml(value: Any) -> str:
    """A value as TOML writes it; tables are inline."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{bare(key)} = {toml(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return str(value)
