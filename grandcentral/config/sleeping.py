"""What an ``[apps.NAME]`` table says of sleep: when it begins, what is done before, who ends it, and what is kept warm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.keys import GIT_HASH, misnamed
from ..core.model import App, Hook, IdlePolicy, StackSpec
from ..core.procfile import RELEASE, procfile_of
from ..core.waking import Rule
from .app_table import DOCKER, STATIC
from .findings import Findings
from .reading import Section

# What can be a tag of an image, or the name of a branch: git-check-ref-format(1), as far as people go.
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|/\.|\.lock(?:/|$)))[\w][\w./+@#-]*(?<![./])", re.ASCII)
MEMORY = 365 * 86400.0  # seconds for which the manifest knows without doubt when a stack was used
_ANSWERS = ("wakes", "keeps_alive")

Trouble = Iterator[tuple[str, str]]


def idle_policy(section: Section) -> IdlePolicy:
    """Of the ``idle`` table."""
    return IdlePolicy(**{key: None if seconds == math.inf else seconds for key, seconds in section.values.items()})


def hooks(section: Section) -> tuple[Hook, ...]:
    """Of ``before_stop``, in the order in which they are written."""
    return tuple(Hook(service, command) for service, command in (section["before_stop"] or {}).items())


def rules(section: Section) -> tuple[Rule, ...]:
    """Of ``requests``, and as the last one what ``wakes`` is short for."""
    written = tuple(map(_rule, section["requests"]))
    return (*written, Rule(wakes=True)) if section["wakes"] == "any" else written


def _rule(section: Section) -> Rule:
    said: dict[str, Any] = {key: frozenset(it) if isinstance(it, tuple) else it for key, it in section.values.items()}
    return Rule(**said)


# -- what does not go together ------------------------------------------------------------------------------------------


def contradictions(section: Section, backend: str | None) -> Trouble:
    """Pairs of a key and what is wrong with it, of what can be told without opening a file."""
    yield from (("idle", text) for text in _order(section["idle"]))
    yield from _warmth(section, backend)


def _order(idle: Section) -> Iterator[str]:
    pause, stop, remove, max_age = (idle[key] for key in ("pause", "stop", "remove", "max_age"))
    if pause >= stop and pause != math.inf:
        yield "pauses no sooner than it stops: make pause shorter than stop, or remove it"
    if stop >= remove and stop != math.inf:
        yield (
            "stops no sooner than it removes: make stop, after which the data is kept, shorter than remove, after which "
            "disposable volumes go as well"
        )
    forget = idle["forget"]
    if forget <= remove and forget != math.inf:
        yield "forgets volumes no later than it removes their stack: make forget longer than remove, or remove it"
    elif MEMORY < forget != math.inf:
        yield "forgets volumes when nobody knows any more when they were used: make forget at most 365d, or remove it"
    if max_age <= stop != math.inf:
        yield "stops at max_age before it can have been idle for stop: make max_age longer than stop, or remove it"
    elif max_age <= pause != math.inf:
        yield "stops at max_age before it can have been idle for pause: make max_age longer than pause, or remove it"


def _warmth(section: Section, backend: str | None) -> Trouble:
    if section["prewarm"] != "off" and backend == DOCKER and "image" not in section.given:
        yield "prewarm", "is about what is pushed to a registry, and the app has no image: add image, or remove it"
    version = section["version"]
    if section["provisioned"]:
        return
    if section["warm"] and backend != STATIC and "version" not in section.given:
        yield "warm", "is a list of versions, and the app has none: remove it; its one stack can be pinned"
    for name in section["warm"] if version else ():
        if version == GIT_HASH and not _BRANCH.fullmatch(name):
            yield "warm", f'"{name}" can be no tag or branch: write one such as "main"'
        elif version != GIT_HASH and (expected := misnamed(version, name)):
            yield "warm", f'"{name}" can be no version of this app: write {expected}'


def check_rules(section: Section, findings: Findings) -> None:
    for rule in section["requests"]:
        if not rule.given.intersection(_ANSWERS):
            findings.wrong(rule.path, "answers no question: add wakes or keeps_alive, true or false")


def check_hooks(section: Section, spec: StackSpec, findings: Findings) -> None:
    """Whether the services are there, and run when a stack is stopped. What is in a Procfile shows only with the commit."""
    known = [service.name for service in spec.services if not spec.is_task(service.name)]
    unread = procfile_of(spec) is not None
    for service in section["before_stop"] or {}:
        where = (*section.path, "before_stop", service)
        if spec.is_task(service) or (unread and service == RELEASE):
            findings.wrong(where, "has ended long before a stack is stopped: name a service that runs on")
        elif service not in known and not unread:
            findings.wrong(where, f"is no service of this app: there is {', '.join(known)}")


def check_warm(apps: Iterable[App], max_stacks: int, findings: Findings) -> None:
    """Whether there is room beside what is kept warm."""
    warm = sum(len(app.warm) for app in apps)
    if warm >= max_stacks:
        findings.wrong(
            ("limits", "max_stacks"),
            f"is {max_stacks}, and {warm} versions are kept warm, so that nothing else could start: make it more than {warm}",
        )


def check_pushes(apps: Iterable[App], findings: Findings) -> None:
    """Where there is no secret: whether somebody waits for notifications, none of which will be believed."""
    for app in apps:
        if app.prewarm != "off":
            where = ("apps", app.name, "prewarm")
            findings.doubtful(where, "needs notifications, and none is believed without a secret: add [webhooks] secret_file")
