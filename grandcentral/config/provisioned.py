"""What an ``[apps.NAME]`` table with ``provisioned = true`` says: whose stacks there may be, and what becomes of their data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from attrs import evolve

from ..core.keys import Pattern, parse_pattern
from ..core.model import App, StackSpec
from ..core.provisions import FORMS
from .findings import Findings
from .reading import Section

Trouble = Iterator[tuple[str, str]]

_FOREIGN = {
    "version": "means nothing together with provisioned, for names are those of users: remove it",
    "prewarm": "means nothing together with provisioned, for no push makes a name: remove it",
    "warm": "means nothing together with provisioned: remove it; a stack that is to stay awake can be pinned",
}


def kept(section: Section) -> Section:
    """Nobody can make again what a user has put into a stack: it stays until it is taken back, or ``idle.remove`` says so."""
    idle = section["idle"]
    if "remove" in idle.given:
        return section
    return evolve(section, values={**section.values, "idle": evolve(idle, values={**idle.values, "remove": math.inf})})


def contradictions(section: Section) -> Trouble:
    """Pairs of a key and what is wrong with it."""
    for key, text in _FOREIGN.items() if section["provisioned"] else ():
        if key in section.given:
            yield key, text


def hosts(section: Section) -> Trouble:
    """Whether each host has a place for the user, and all of them, or none, for the user's app."""
    patterns = [parse_pattern(text) for text in section["host"] or ()]
    for pattern in patterns:
        if pattern.variables not in FORMS:
            yield "host", f'"{pattern.text}" {_amiss(pattern)}: write one such as "{{app}}.{{user}}.example.com"'
    if len({len(pattern.variables) for pattern in patterns if pattern.variables in FORMS}) > 1:
        yield "host", "some have a place for the user's app and some have none: one stack would have two names"


def _amiss(pattern: Pattern) -> str:
    if not pattern.variables:
        return "has no place for the user, and the app is provisioned"
    if set(pattern.variables) == set(FORMS[-1]):
        return "has the user before the app, and names are read from right to left"
    return "has other variables than {app} and {user}"


def check_callers(apps: Iterable[App], table: Section, credential: str | None, findings: Findings) -> None:
    """Whether somebody can provision what is to be provisioned, and has a reason to."""
    there = [app for app in apps if app.provisioned]
    if there and credential is None:
        findings.doubtful(
            ("apps", there[0].name, "provisioned"),
            "nobody can provision anything without a secret: add [provision] secret_file",
        )
    for key in ("secret", "secret_file", "listen", "host"):
        if key in table.given and not there:
            findings.doubtful((*table.path, key), "is of no use, for no app is provisioned: add provisioned = true to one")


def check_volumes(section: Section, spec: StackSpec, findings: Findings) -> None:
    """Whether data has a place that outlives containers. (Work trees have one: GRANDCENTRAL_DATA.)"""
    if section["provisioned"] and "git" not in section.given and not set(spec.volumes) - spec.disposable:
        findings.doubtful(
            (*section.path, "provisioned"),
            "users lose their data when a stack is made anew, for the template has no volume that is kept: add a named one",
        )
