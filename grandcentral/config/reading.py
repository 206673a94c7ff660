"""Holding a document against the schema: every value read, every unknown key, wrong type and bad unit noted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, frozen

from . import schema
from .findings import Findings, Path, dotted
from .kinds import Surroundings, called
from .setting import Setting, Table


@frozen
class Section:
    """One table as read. ``values`` has every key of the schema, with its default where the file has none or none that can be
    read; ``given`` are the keys that are there, readable or not, so that what is wrong is not called missing as well."""

    path: Path
    values: Mapping[str, Any]
    given: frozenset[str]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def filled(self, defaults: Mapping[str, Any]) -> Section:
        """With these values where there are none."""
        return evolve(self, values={key: defaults.get(key) if value is None else value for key, value in self.values.items()})


@frozen
class Reading:
    """What reading needs to know of its surroundings, and where it tells what it finds."""

    findings: Findings
    surroundings: Surroundings

    def document(self, document: Mapping[str, object]) -> dict[str, Section | dict[str, Section]]:
        """Each table of the schema by its name; tables of tables as a dictionary of sections."""
        self._unknown((), document, [table.name for table in schema.TABLES], {})
        return {table.name: self._table(table, document.get(table.name, {})) for table in schema.TABLES}

    def _table(self, table: Table, given: object) -> Section | dict[str, Section]:
        path = (table.name,)
        if not table.each:
            return self.section(path, table.settings, given, table.later)
        if not isinstance(given, dict):
            self.findings.wrong(path, f"must be a table of tables, [{table.name}.NAME], not {called(given)}")
            return {}
        return {name: self.section((*path, name), table.settings, below, table.later) for name, below in given.items()}

    def section(self, path: Path, settings: Iterable[Setting], given: object, later: Mapping[str, str]) -> Section:
        if not isinstance(given, dict):
            self.findings.wrong(path, f"must be a table, [{dotted(path)}], not {called(given)}")
            given = {}
        settings = tuple(settings)
        self._unknown(path, given, [setting.key for setting in settings], later)
        for setting in settings:
            if setting.instead and {setting.key, setting.instead} <= given.keys() and setting.key < setting.instead:
                self.findings.wrong(
                    (*path, setting.key), f"cannot be given together with {setting.instead}: remove one of them"
                )
        values = {setting.key: self._value((*path, setting.key), setting, given) for setting in settings}
        return Section(path, values, frozenset(given))

    def _value(self, path: Path, setting: Setting, given: Mapping[str, object]) -> Any:
        if setting.many:
            return self._list(path, setting, given.get(setting.key, []))
        if setting.fields:
            return self._nested(path, setting, given.get(setting.key, {}))
        if setting.key not in given:
            return setting.default
        try:
            return setting.kind.read(given[setting.key], self.surroundings)
        except ValueError as error:
            self.findings.wrong(path, str(error))
            return setting.default

    def _nested(self, path: Path, setting: Setting, given: object) -> Section:
        if not isinstance(given, dict):
            try:
                assert setting.shorthand is not None
                given = setting.shorthand(setting.kind.read(given, self.surroundings))
            except ValueError as error:
                self.findings.wrong(path, str(error))
                given = {}
        return self.section(path, setting.fields, given, setting.later)

    def _list(self, path: Path, setting: Setting, given: object) -> tuple[Section, ...]:
        """One by itself needs no brackets, as elsewhere."""
        if isinstance(given, dict):
            return (self.section(path, setting.fields, given, setting.later),)
        found = []
        for number, each in enumerate(given if isinstance(given, list) else [given], 1):
            if isinstance(each, dict):
                found.append(self.section((*path, number), setting.fields, each, setting.later))
            else:
                self.findings.wrong(path, f"must be tables, [[{dotted(path)}]], not {called(each)}")
        return tuple(found)

    def _unknown(self, path: Path, given: Iterable[str], known: list[str], later: Mapping[str, str]) -> None:
        what = "key" if path else "table"
        for name in given:
            if name in later:
                self.findings.wrong((*path, name), f"is not in this version yet: {later[name]}")
            elif name not in known:
                self.findings.wrong((*path, name), f"is no {what} of the configuration{did_you_mean(name, known)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: the one that it is like, or without one all, if they are few."""
    spellings = {spelling.lower(): spelling for spelling in known}
    near = difflib.get_close_matches(name.lower().replace("-", "_"), spellings, n=1)
    if near:
        return f'; did you mean "{spellings[near[0]]}"?'
    return f"; there is {', '.join(sorted(spellings.values()))}" if len(spellings) <= 20 else ""
