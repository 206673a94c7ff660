"""Which stack a host names: a value made from all apps at once, and made anew when the configuration is read again.

An exact host goes before a template, a template before a wildcard, a wildcard before the default app ("*"). Of several
templates the one with the longer fixed end goes first, then the one with more fixed text beside its variables; of several
wildcards the longest. A host that has a template's form is that template's, even if its label is no valid name: the answer is
then what a name should look like, not a wildcard's or the default app's page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from attrs import field, frozen

from .keys import EXPECTED, NAMES, Key, Pattern, normalise_host, parse_pattern
from .model import App

Thing = TypeVar("Thing")
Group = TypeVar("Group")

_RECENT = 4096  # hosts remembered as they came: a browser sends the same bytes with every request


@frozen
class Unrouted:
    """A host that leads to no stack. ``label`` is None if no app claims the host; otherwise it is what stands in the place of
    the name, and should have been what ``expected`` says."""

    host: str
    label: str | None = None
    expected: str = ""


@frozen
class Conflict:
    """Two claims to the same hosts. ``first`` and ``second`` are apps, equal if one app says it twice."""

    pattern: str
    first: str
    second: str


def conflicts(apps: Iterable[App]) -> tuple[Conflict, ...]:
    """Every pattern that is claimed a second time, whatever its variables are called."""
    owners: dict[str, str] = {}
    found = []
    for app in apps:
        for text in app.hosts:
            shape = parse_pattern(text).shape
            if shape in owners:
                found.append(Conflict(text, owners[shape], app.name))
            else:
                owners[shape] = app.name
    return tuple(found)


def host_for(app: App, key: Key) -> str:
    """The public host of a key, by the app's first pattern; an app of wildcards only is called by its own name there."""
    patterns = [parse_pattern(text) for text in app.hosts]
    for pattern in patterns:
        if not pattern.wildcard:
            return pattern.fill(key.name)
    return patterns[0].text.replace("*", app.name) if patterns else app.name


@frozen
class _Template:
    """One app's claim to a family of hosts, taken apart: fixed text, variables with text between them, fixed text."""

    app: str
    prefix: str
    tail: str  # what follows the last variable within its label
    suffix: str  # the labels after that, which hold no variable
    labels: int
    pattern: re.Pattern[str]
    name: re.Pattern[str]
    expected: str

    @classmethod
    def of(cls, app: App, pattern: Pattern) -> _Template:
        prefix = pattern.text.partition("{")[0]
        tail, _, suffix = pattern.text.rpartition("}")[2].partition(".")
        labels = pattern.text.count(".") + 1
        return cls(app.name, prefix, tail, suffix, labels, pattern.compile(), NAMES[app.version], EXPECTED[app.version])

    @property
    def form(self) -> tuple[int, int, int]:
        return len(self.prefix), len(self.tail), self.labels


@frozen
class _Bucket:
    """The templates that end in the same labels, found by the text around their variables.

    ``forms`` are the few (length of prefix, length of tail, number of labels) that occur among them, those with most fixed text
    first: so a thousand templates "NAME-{version}.example.com" are one look-up for each length of NAME.
    """

    forms: tuple[tuple[int, int, int], ...]
    templates: Mapping[tuple[str, str, int], tuple[_Template, ...]]

    @classmethod
    def of(cls, templates: Iterable[_Template]) -> _Bucket:
        ordered = sorted(templates, key=lambda template: len(template.pattern.pattern), reverse=True)
        forms = sorted({template.form for template in ordered}, key=lambda form: (form[0] + form[1], form), reverse=True)
        return cls(tuple(forms), _grouped(ordered, lambda template: (template.prefix, template.tail, template.labels)))

    def candidates(self, head: str, labels: int) -> Iterator[_Template]:
        """:param head: the host before this bucket's labels, without the dot between."""
        for prefix, tail, count in self.forms:
            if count == labels:
                yield from self.templates.get((head[:prefix], head[len(head) - tail :], labels), ())


def _listed(apps: Iterable[App]) -> tuple[App, ...]:
    return tuple(apps)


@frozen
class Routes:
    """All hosts of all apps. A look-up costs the same with one app and with a thousand: it tries the host's own suffixes."""

    apps: tuple[App, ...] = field(converter=_listed)
    _exact: Mapping[str, Key] = field(init=False, eq=False, repr=False)
    _templates: Mapping[str, _Bucket] = field(init=False, eq=False, repr=False)
    _wildcards: Mapping[str, Key] = field(init=False, eq=False, repr=False)
    _recent: dict[bytes, Key] = field(init=False, eq=False, repr=False, factory=dict)

    @_exact.default
    def _exact_default(self) -> Mapping[str, Key]:
        return {pattern.text: Key(app.name) for app, pattern in self._patterns() if not (pattern.variables or pattern.wildcard)}

    @_templates.default
    def _templates_default(self) -> Mapping[str, _Bucket]:
        templates = [_Template.of(app, pattern) for app, pattern in self._patterns() if pattern.variables]
        return {suffix: _Bucket.of(group) for suffix, group in _grouped(templates, lambda template: template.suffix).items()}

    @_wildcards.default
    def _wildcards_default(self) -> Mapping[str, Key]:
        return {pattern.text[2:]: Key(app.name) for app, pattern in self._patterns() if pattern.wildcard}

    def _patterns(self) -> Iterator[tuple[App, Pattern]]:
        """Of two claims to the same hosts the later one wins; ``conflicts`` tells of them."""
        return ((app, parse_pattern(text)) for app in self.apps for text in app.hosts)

    def match(self, host: bytes) -> Key | Unrouted:
        """The key that a Host field (or SNI) names; never raises, whatever the bytes are."""
        recent = self._recent.get(host)
        if recent is not None:
            return recent
        name = normalise_host(host)
        if name is None:
            return Unrouted(host.decode("ascii", "backslashreplace"))
        found = self._exact.get(name) or self._by_template(name) or self._by_wildcard(name) or Unrouted(name)
        if isinstance(found, Key):  # only these: they are short, and nobody can fill the memory with nonsense
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[host] = found
        return found

    def _by_template(self, host: str) -> Key | Unrouted | None:
        refused = None
        labels = host.count(".") + 1
        for cut, suffix in _suffixes(host):
            bucket = self._templates.get(suffix)
            if bucket is None:
                continue
            for template in bucket.candidates(host[:cut], labels):
                match = template.pattern.fullmatch(host)
                if match is None:
                    continue
                values = match.groups()
                if all(map(template.name.fullmatch, values)):
                    return Key(template.app, values[0] if len(values) == 1 else ".".join(reversed(values)))
                refused = refused or Unrouted(host, ".".join(values), template.expected)
        return refused

    def _by_wildcard(self, host: str) -> Key | None:
        for _, suffix in _suffixes(host):
            key = self._wildcards.get(suffix)
            if key is not None:
                return key
        return self._wildcards.get("")


def _suffixes(host: str) -> Iterator[tuple[int, str]]:
    """Where each dot is, and the labels after it; the longest first."""
    dot = host.find(".")
    while dot >= 0:
        yield dot, host[dot + 1 :]
        dot = host.find(".", dot + 1)


def _grouped(things: Iterable[Thing], key: Callable[[Thing], Group]) -> dict[Group, tuple[Thing, ...]]:
    groups: dict[Group, list[Thing]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return {name: tuple(group) for name, group in groups.items()}
