"""A whole Compose file: checked when it is loaded, rendered to a core.model.StackSpec for each version."""

from __future__ import annotations

import functools
import graphlib
import posixpath
import re
from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from .. import launching
from ..keys import Key
from ..model import Condition, Service, StackSpec, Version
from ..problems import Invalid, Problem
from .checking import check
from .cursor import Cursor, Reading, did_you_mean
from .document import Node
from .keys import EXTENSION, FLAGS
from .service import Surroundings, service

SAMPLE: Mapping[str, str] = launching.variables(
    Key("app", "0123abc"),
    Version("0123abc", image="registry.example.com/app:0123abc", commit="0123abc" * 5 + "01234"),
    host="0123abc.review.example.com",
    url="https://0123abc.review.example.com",
    token="0" * 64,
)
"""Variables as a render will have them, to find at load what is wrong with a template."""

_FILES_KEPT = 64


@frozen(eq=False)
class ComposeTemplate:
    """A Compose file that has been found sound. Implements core.model.Template.

    Two of them are never equal: the files that they read may have changed in between.

    :ivar warnings: what is ignored or probably not meant.
    """

    document: Node = field(repr=False)
    filename: str
    directory: str
    serves: str
    allow: frozenset[str]
    environment: Mapping[str, str] = field(repr=False)
    read_file: Callable[[str], bytes] = field(repr=False)
    warnings: tuple[Problem, ...] = ()

    def render(self, variables: Mapping[str, str]) -> StackSpec:
        """The stack for these variables. Those that begin with GRANDCENTRAL are put into every container's environment.

        :raises Invalid: for what only these variables show: a demanded one that is missing, a port that is no number.
        """
        return self._read(variables)[0]

    def _read(self, variables: Mapping[str, str]) -> tuple[StackSpec, tuple[Problem, ...]]:
        reading = Reading(self.filename, self.directory, {**self.environment, **variables}, self.allow, self.read_file)
        document = Cursor(reading, self.document, self.document.line)
        given = {name: value for name, value in variables.items() if name.startswith("GRANDCENTRAL")}
        spec = _stack(document, self.serves, given)
        if problems := reading.problems():
            raise Invalid(problems)
        return spec, reading.problems(warning=True)


def template(
    document: Node,
    *,
    filename: str,
    serves: str,
    read_file: Callable[[str], bytes],
    allow: frozenset[str] = frozenset(),
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    sample: Mapping[str, str] = SAMPLE,
) -> ComposeTemplate:
    """Check a document, by rendering it with sample variables.

    :param filename: names the file in problems.
    :param serves: "service" or "service:port": who answers requests.
    :param read_file: reads a file that the template names (env files, configs, secrets): path -> content. Raises OSError.
        Files are read when the template is loaded; later changes of them are not seen.
    :param allow: flags of keys.FLAGS: dangerous things that this template may do.
    :param environment: the app's own variables, for interpolation and for names without a value.
    :param directory: what relative paths in the document are relative to; that of filename if not said. Absolute, if the
        template mounts paths of the host.
    :param sample: variables as a render will have them.
    :raises Invalid: with every problem, each with its file, line and key.
    """
    problems = [
        Problem(filename, f"allow has {flag!r}, which is not known{did_you_mean(flag, FLAGS)}")
        for flag in sorted(allow - set(FLAGS))
    ]
    unchecked = ComposeTemplate(
        document,
        filename,
        posixpath.dirname(filename) if directory is None else directory,
        serves,
        allow,
        dict(environment or {}),
        functools.lru_cache(_FILES_KEPT)(read_file),
    )
    try:
        _, warnings = unchecked._read(sample)
    except Invalid as invalid:
        raise Invalid((*problems, *invalid.problems)) from None
    if problems:
        raise Invalid(problems)
    return evolve(unchecked, warnings=warnings)


def _stack(document: Cursor, serves: str, given: Mapping[str, str]) -> StackSpec:
    """Read the document; whatever is returned is only good if no problem was noted."""
    check(document)
    declared = {key: _names(document, key) for key in ("services", "volumes", "networks")}
    around = Surroundings(declared["volumes"], declared["networks"], document)
    active = {name: cursor for name, cursor in declared["services"].items() if not _has_profiles(cursor)}
    services = {name: service(name, cursor, around, given) for name, cursor in active.items()}
    if not services:
        document.problem(
            "has no services" if not declared["services"] else "has only services with profiles, which are left out"
        )
    services = {name: _with_known_dependencies(item, declared["services"], services) for name, item in services.items()}
    _check_order(services, active)
    _check_tasks(services, active)
    name, port = _served(document, serves, services)
    disposable = frozenset(name for name, volume in declared["volumes"].items() if _is_disposable(volume))
    volumes = dict.fromkeys(
        mount.source for item in services.values() for mount in item.mounts if mount.source in declared["volumes"]
    )
    return StackSpec(
        services=tuple(services.values()),
        serves=name,
        port=port,
        volumes=tuple(volumes),
        networks=tuple(
            dict.fromkeys(
                network for item in services.values() if item.network_mode is None for network in item.networks or ("default",)
            )
        ),
        disposable=disposable & volumes.keys(),
    )


def _names(document: Cursor, key: str) -> dict[str, Cursor]:
    """What the top level has under key. The names become names of containers, networks and hosts."""
    child = document.get(key)
    found = dict(child.entries()) if child else {}
    for name, cursor in found.items():
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}", name):
            cursor.problem(
                "a name has up to 63 letters, digits, dots, dashes and underscores, and begins with a letter or digit"
            )
    return found


def _is_disposable(volume: Cursor) -> bool:
    said = volume.get(EXTENSION, "disposable")
    return said is not None and said.boolean() is True


def _has_profiles(cursor: Cursor) -> bool:
    profiles = cursor.get("profiles")
    return profiles is not None and bool(profiles.texts())


def _with_known_dependencies(item: Service, cursors: Mapping[str, Cursor], active: Mapping[str, Service]) -> Service:
    """The service without dependencies on what is left out for its profiles, where they are not required."""
    for dependency in item.depends_on:
        place = _dependency_place(cursors[item.name], dependency.service)
        if dependency.service not in cursors:
            place.problem(f"there is no service {dependency.service!r}{did_you_mean(dependency.service, cursors)}")
        elif dependency.service not in active and dependency.required:
            place.problem(
                f"the service {dependency.service!r} is left out for its profiles; say required: false, or take them away"
            )
    return evolve(item, depends_on=tuple(dependency for dependency in item.depends_on if dependency.service in active))


def _dependency_place(cursor: Cursor, name: str) -> Cursor:
    """Where a service says that it depends on name, in either form."""
    child = cursor.get("depends_on") or cursor
    places = child.items() if child.is_list else (place for key, place in child.entries() if key == name)
    return next((place for place in places if not child.is_list or place.text() == name), child)


def _check_order(services: Mapping[str, Service], cursors: Mapping[str, Cursor]) -> None:
    graph = {name: [dependency.service for dependency in item.depends_on] for name, item in services.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        cycle = error.args[1][::-1]  # each waits for the next
        _dependency_place(cursors[cycle[0]], cycle[1]).problem(f"waits for itself: {' -> '.join(cycle)}; take one of them away")


def _check_tasks(services: Mapping[str, Service], cursors: Mapping[str, Cursor]) -> None:
    """What is waited for must be able to happen: tasks end, and health can be known."""
    for item in services.values():
        for dependency in item.depends_on:
            other = services[dependency.service]
            place = _dependency_place(cursors[item.name], other.name)
            if dependency.condition is Condition.COMPLETED and other.restart != "no":
                where = cursors[other.name].get("restart") or cursors[other.name]
                where.problem(f"{item.name} waits until {other.name} has ended, so it must not be restarted; take restart away")
            if dependency.condition is Condition.HEALTHY and other.healthcheck is None:
                place.warn(f"{other.name} has no healthcheck here, so its image must have one")
            elif dependency.condition is Condition.HEALTHY and other.healthcheck and other.healthcheck.disabled:
                place.problem(f"the healthcheck of {other.name} is disabled; say service_started, or give it one")


def _served(document: Cursor, serves: str, services: Mapping[str, Service]) -> tuple[str, int]:
    """The service and port that ``serves`` names."""
    name, colon, written = serves.partition(":")
    place = f"serves = {serves!r}"

    def problem(text: str) -> tuple[str, int]:
        document.reading.add(0, place, text)
        return name, 0

    if name not in services:
        return problem(f"there is no service {name!r}{did_you_mean(name, services)}")
    item = services[name]
    if any(
        dependency.service == name and dependency.condition is Condition.COMPLETED
        for other in services.values()
        for dependency in other.depends_on
    ):
        return problem(f"{name} is a task, which others wait for to end; it can't answer requests")
    if item.network_mode is not None:
        return problem(f"{name} is on the host's network, where two stacks would clash; it can't answer requests")
    if colon:
        if not re.fullmatch(r"[0-9]{1,5}", written) or not 1 <= int(written) <= 65535:
            return problem(f"{written!r} is no port; write {name}:3000, for instance")
        return name, int(written)
    if len(item.ports) == 1:
        return name, item.ports[0]
    have = f"has the ports {', '.join(map(str, item.ports))}" if item.ports else "has no ports and no expose"
    return problem(f"the service {have}, so say which one: {name}:{item.ports[0] if item.ports else 3000}")
