"""One service of a Compose file: a cursor in, a core.model.Service out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from attrs import frozen

from ..model import Condition, Dependency, HealthCheck, Service
from . import scalars
from .cursor import Cursor, did_you_mean
from .environment import environment, extra_hosts, labels
from .files import files
from .mounts import mounts
from .network import networks, ports
from .scalars import Converter, T


@frozen
class Surroundings:
    """What the rest of the document says: names under ``volumes`` and ``networks``, and the document itself."""

    volumes: Collection[str]
    networks: Collection[str]
    document: Cursor


def service(name: str, cursor: Cursor, around: Surroundings, given: Mapping[str, str]) -> Service:
    """Read a service. Problems are noted at the cursor; what could not be read is left at its default.

    :param given: variables that every container gets unless the template sets them.
    """
    image = _text(cursor, "image")
    if not image:
        cursor.problem("needs an image: images come from the registry, nothing is built here")
    return Service(
        name=name,
        image=image,
        command=_arguments(cursor.get("command")),
        entrypoint=_arguments(cursor.get("entrypoint")),
        environment={**given, **environment(cursor)},
        depends_on=_dependencies(cursor),
        healthcheck=_health(cursor.get("healthcheck")),
        mounts=mounts(cursor, around.volumes),
        files=files(cursor, around.document),
        networks=networks(cursor, around.networks),
        ports=ports(cursor),
        labels=labels(cursor),
        memory=_limit(cursor, "mem_limit", "memory", scalars.size),
        cpus=_limit(cursor, "cpus", "cpus", scalars.number),
        pids_limit=_limit(cursor, "pids_limit", "pids", scalars.integer),
        shm_size=_read(cursor, "shm_size", scalars.size),
        user=_text(cursor, "user"),
        working_dir=_text(cursor, "working_dir"),
        hostname=_read(cursor, "hostname", _hostname),
        init=_read(cursor, "init", scalars.boolean),
        stop_signal=_read(cursor, "stop_signal", _signal),
        stop_grace_period=_or(_read(cursor, "stop_grace_period", scalars.duration), 10.0),
        restart=_read(cursor, "restart", _restart) or "no",
        ulimits=_ulimits(cursor),
        extra_hosts=extra_hosts(cursor),
        read_only=bool(_read(cursor, "read_only", scalars.boolean)),
        platform=_text(cursor, "platform"),
        cap_drop=_texts(cursor, "cap_drop"),
        security_opt=_texts(cursor, "security_opt"),
        privileged=bool(_read(cursor, "privileged", scalars.boolean)),
        cap_add=_texts(cursor, "cap_add"),
        devices=_texts(cursor, "devices"),
        network_mode=_host(cursor, "network_mode"),
        pid_mode=_host(cursor, "pid"),
        ipc_mode=_host(cursor, "ipc", "private", "shareable"),
        userns_mode=_host(cursor, "userns_mode"),
    )


def _read(cursor: Cursor, key: str, convert: Converter[T]) -> T | None:
    child = cursor.get(key)
    return None if child is None else child.read(convert)


def _text(cursor: Cursor, key: str) -> str | None:
    return _read(cursor, key, str)


def _texts(cursor: Cursor, key: str) -> tuple[str, ...]:
    child = cursor.get(key)
    return () if child is None else child.texts()


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _arguments(cursor: Cursor | None) -> tuple[str, ...] | None:
    """``command`` and ``entrypoint``; () takes the image's away, None leaves it."""
    if cursor is None:
        return None
    if cursor.is_list:
        return cursor.texts()
    arguments = cursor.read(scalars.words)
    if arguments and scalars.wants_a_shell(arguments):
        cursor.warn('is run without a shell, which alone understands && | ; > <; write ["/bin/sh", "-c", "…"]')
    return arguments


def _dependencies(cursor: Cursor) -> tuple[Dependency, ...]:
    child = cursor.get("depends_on")
    if child is None:
        return ()
    if child.is_list:
        return tuple(Dependency(name) for name in dict.fromkeys(child.texts()))
    return tuple(_dependency(name, place) for name, place in child.entries())


def _dependency(name: str, cursor: Cursor) -> Dependency:
    condition, required = cursor.get("condition"), cursor.get("required")
    word = condition.choice(*(known.value for known in Condition)) if condition else None
    return Dependency(
        name,
        Condition(word) if word else Condition.STARTED,
        required is None or required.boolean() is not False,
    )


def _health(cursor: Cursor | None) -> HealthCheck | None:
    """``healthcheck``; a time of 0 means what it means to the engine: the default."""
    if cursor is None:
        return None
    test, disabled = _health_test(cursor.get("test"))
    retries = _read(cursor, "retries", scalars.integer) or 3
    if retries < 0:
        cursor.problem("retries must not be negative")
    check = HealthCheck(
        test=test,
        timeout=_read(cursor, "timeout", scalars.duration) or 30.0,
        interval=_read(cursor, "interval", scalars.duration) or 30.0,
        retries=retries,
        start_period=_read(cursor, "start_period", scalars.duration) or 0.0,
        start_interval=_read(cursor, "start_interval", scalars.duration) or None,
    )
    if disabled or _read(cursor, "disable", scalars.boolean):
        return HealthCheck(test=(), disabled=True)
    return None if check == HealthCheck(test=()) else check


def _health_test(cursor: Cursor | None) -> tuple[tuple[str, ...], bool]:
    """``test`` as an argument vector, and whether it says that there is none."""
    match cursor.texts() if cursor else ():
        case ():
            return (), False
        case (line,) if cursor and not cursor.is_list:
            return ("/bin/sh", "-c", line), False
        case ("NONE",):
            return (), True
        case ("CMD", _, *_) as words:
            return words[1:], False
        case ("CMD-SHELL", line):
            return ("/bin/sh", "-c", line), False
    if cursor:
        cursor.problem('must be a string, ["NONE"], ["CMD", "program", …] or ["CMD-SHELL", "command line"]')
    return (), False


def _limit(cursor: Cursor, key: str, resource: str, convert: Converter[T]) -> T | None:
    """A limit, which may be said in two places; 0 and -1 are no limit."""
    own, deployed = cursor.get(key), cursor.get("deploy", "resources", "limits", resource)
    first = own.read(convert) if own else None
    second = deployed.read(convert) if deployed else None
    if own and first is not None and second is not None and first != second:
        own.problem(f"does not say the same as deploy.resources.limits.{resource}; leave one of them out")
    limit = second if first is None else first
    return None if limit in (0, -1) else limit


def _hostname(text: str) -> str:
    if len(text) > 253 or not all(re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", label) for label in text.split(".")):
        raise ValueError(f"must be a host name, not {text!r}")
    return text


def _signal(text: str) -> str:
    if not re.fullmatch(r"(?:SIG)?[A-Z][A-Z0-9+-]*|[0-9]{1,2}", text):
        raise ValueError(f"must be a signal such as SIGINT, not {text!r}")
    return text


_RESTART = ("no", "always", "unless-stopped", "on-failure")


def _restart(text: str) -> str:
    if text not in _RESTART and not re.fullmatch(r"on-failure:[0-9]{1,9}", text):
        raise ValueError(f"must be one of {', '.join(_RESTART)}, not {text!r}{did_you_mean(text, _RESTART)}")
    return text


def _ulimits(cursor: Cursor) -> dict[str, tuple[int, int]]:
    """Name -> (soft, hard)."""
    found: dict[str, tuple[int, int]] = {}
    child = cursor.get("ulimits")
    for name, place in child.entries() if child else ():
        if not place.is_mapping:
            soft = hard = place.read(scalars.integer)
        else:
            soft, hard = _read(place, "soft", scalars.integer), _read(place, "hard", scalars.integer)
        if soft is None or hard is None:
            place.problem("must be a number, or a mapping of soft and hard")
            continue
        found[name] = (soft, hard)
    return found


def _host(cursor: Cursor, key: str, *harmless: str) -> str | None:
    """One of the modes that share something of the host's, where ``allow`` lets it (the check of keys has seen to that)."""
    child = cursor.get(key)
    return "host" if child is not None and child.choice("host", *harmless) == "host" else None
