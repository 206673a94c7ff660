"""Stacks as command lines: out of the configuration, or out of the Procfile of the commit itself.

A Procfile has one ``name: command`` a line. ``release`` is a task, as on Heroku: it must have ended with status 0 before
anything else starts, and runs once for each start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from .interpolation import InterpolationError, interpolate
from .model import Condition, Dependency, Service, StackSpec
from .problems import Invalid, Problem

RELEASE = "release"

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LABEL = "grandcentral.procfile"  # on the one service of a stack whose commands are still to be read


@frozen
class CommandTemplate:
    """A core.model.Template made of command lines, run by /bin/sh in the work tree; what listens does so on ``$PORT``.

    ``commands`` maps service names to command lines; None: they are in the file ``procfile`` of the commit, which the
    backend reads once it has the commit (see :func:`procfile_of`). ``serves`` names the service that answers requests. The
    values of ``environment`` may name variables (``${VERSION}``); the commands are the shell's business.
    """

    commands: Mapping[str, str] | None = None
    procfile: str = "Procfile"
    serves: str = "web"
    environment: Mapping[str, str] = field(factory=dict)

    def render(self, variables: Mapping[str, str]) -> StackSpec:
        environment: dict[str, str] = {}
        problems: list[Problem] = []
        for name, value in self.environment.items():
            try:
                environment[name] = interpolate(value, variables)
            except InterpolationError as error:
                problems.append(Problem(f"environment.{name}", f"{error}"))
        if problems:
            raise Invalid(problems)
        if self.commands is not None:
            return stack(self.commands, self.serves, environment, "commands")
        unread = Service(self.serves, environment=environment, labels={_LABEL: self.procfile})
        return StackSpec(services=(unread,), serves=self.serves, port=0)


def procfile_of(spec: StackSpec) -> str | None:
    """The path, within the work tree, of the Procfile that the commands of ``spec`` must be read from; None: it has them."""
    return spec.services[0].labels.get(_LABEL) if spec.services else None


def filled(spec: StackSpec, text: str) -> StackSpec:
    """``spec`` with the commands of its Procfile, whose text this is. Raises Invalid."""
    place = procfile_of(spec) or ""
    return stack(parse(text, place), spec.serves, spec.services[0].environment, place)


def stack(commands: Mapping[str, str], serves: str, environment: Mapping[str, str], place: str) -> StackSpec:
    """The stack of these command lines. Raises Invalid, naming ``place``, if ``serves`` is not one that can answer."""
    if serves == RELEASE or serves not in commands:
        others = ", ".join(name for name in commands if name != RELEASE) or "nothing"
        raise Invalid([Problem(place, f"no {serves!r} that could answer requests; there is {others}")])
    after = (Dependency(RELEASE, Condition.COMPLETED),) if RELEASE in commands else ()
    services = tuple(
        Service(
            name,
            command=("/bin/sh", "-c", line),
            environment=environment,
            depends_on=() if name == RELEASE else after,
        )
        for name, line in commands.items()
    )
    return StackSpec(services=services, serves=serves, port=0)


def parse(text: str, place: str = "Procfile") -> dict[str, str]:
    """The commands of a Procfile by name, in the order of the file. Raises Invalid with every problem and its line.

    Empty lines and those that begin with ``#`` say nothing.
    """
    commands: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, command = (part.strip() for part in line.partition(":"))
        if wrong := _wrong(name, colon, command, commands):
            problems.append(Problem(f"{place}:{number}", wrong))
        else:
            commands[name] = command
    if not commands and not problems:
        problems.append(Problem(place, "it has no command; write one a line, such as 'web: ./serve --port $PORT'"))
    if problems:
        raise Invalid(problems)
    return commands


def _wrong(name: str, colon: str, command: str, commands: Mapping[str, str]) -> str:
    if not colon or not _NAME.fullmatch(name):
        return "write 'name: command', the name of letters, digits, - and _"
    if not command:
        return f"{name!r} has no command"
    if "\0" in command:
        return f"the command of {name!r} has a NUL byte in it"
    if name in commands:
        return f"{name!r} is there a second time"
    return ""
