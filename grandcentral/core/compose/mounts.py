"""What a container sees of disks: volumes, temporary file systems and, where allowed, paths of the host."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from ..model import Mount, MountKind
from . import scalars
from .cursor import Cursor, did_you_mean

_ENGINE_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock")
_SOCKET_NAMES = {posixpath.basename(path) for path in _ENGINE_SOCKETS}
_WITHOUT_MEANING = {"z", "Z", "cached", "delegated", "consistent"}  # of SELinux and of Docker Desktop


def mounts(service: Cursor, volumes: Collection[str]) -> tuple[Mount, ...]:
    """The ``volumes`` and ``tmpfs`` of a service.

    :param volumes: the names under the document's own ``volumes``.
    """
    found: dict[str, Mount] = {}
    for place, mount in (*_volumes(service, volumes), *_tmpfs(service)):
        target = posixpath.normpath(mount.target)
        if not mount.target.startswith("/"):
            place.problem(f"the path in the container must begin with a slash, and {mount.target!r} does not")
        elif target in found:
            place.problem(f"something is mounted at {target} already")
        found[target] = mount
    return tuple(found.values())


def _volumes(service: Cursor, volumes: Collection[str]) -> Iterator[tuple[Cursor, Mount]]:
    cursor = service.get("volumes")
    if cursor is not None:
        for item in cursor.items():
            mount = _long(item, volumes) if item.is_mapping else _short(item, volumes)
            if mount is not None:
                yield item, mount


def _short(item: Cursor, volumes: Collection[str]) -> Mount | None:
    """``target``, ``source:target`` or ``source:target:mode``."""
    text = item.filled()
    if text is None:
        return None
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        item.problem(f'must be "volume:path" or "volume:path:ro", not {text!r}')
        return None
    source, target, access = ("", *parts, "") if len(parts) == 1 else (*parts, "")[:3]
    options = set(access.split(",")) - {"", "rw"}
    if options & _WITHOUT_MEANING:
        item.warn(f"{', '.join(sorted(options & _WITHOUT_MEANING))} is ignored: it means nothing here")
    if unknown := options - _WITHOUT_MEANING - {"ro"}:
        item.problem(f"the option {', '.join(sorted(unknown))} is not supported; ro and rw are")
    read_only = "ro" in options
    if source.startswith((".", "/", "~")):
        return Mount(MountKind.BIND, target, _host_path(item, source), read_only)
    return Mount(MountKind.VOLUME, target, _declared(item, source, volumes), read_only)


def _long(item: Cursor, volumes: Collection[str]) -> Mount | None:
    kind, source, target = item.get("type"), item.get("source"), item.get("target")
    if kind is None or target is None:
        item.problem("needs a type and a target")
        return None
    name, path, origin = kind.choice("volume", "bind", "tmpfs"), target.text(), source.text() if source else ""
    if name is None or path is None or origin is None:
        return None
    flag = item.get("read_only")
    read_only = flag is not None and flag.boolean() is True
    if name == "tmpfs":
        size, mode = item.get("tmpfs", "size"), item.get("tmpfs", "mode")
        return Mount(
            MountKind.TMPFS,
            path,
            read_only=read_only,
            size=size.read(scalars.size) if size else None,
            mode=mode.mode() if mode else None,
        )
    if name == "volume":
        return Mount(MountKind.VOLUME, path, _declared(item, origin, volumes), read_only)
    if not origin:
        item.problem("a bind mount needs a source")
        return None
    return Mount(MountKind.BIND, path, _host_path(item, origin), read_only)


def _declared(item: Cursor, name: str, volumes: Collection[str]) -> str:
    """A volume's name, which must be under the top level's ``volumes``; an anonymous one has none."""
    if name and name not in volumes:
        item.problem(f"there is no volume {name!r} under volumes at the top level{did_you_mean(name, volumes)}")
    return name


def _host_path(item: Cursor, source: str) -> str:
    """A path of the host, made absolute, if the app's ``allow`` lets it be mounted."""
    if source.startswith("~"):
        item.problem("~ depends on who runs the gateway; write the whole path")
        return source
    path = re.sub("^//+", "/", posixpath.normpath(posixpath.join(item.reading.directory, source)))
    is_socket = posixpath.basename(path) in _SOCKET_NAMES
    holds_socket = is_socket or any(socket.startswith(path.rstrip("/") + "/") for socket in _ENGINE_SOCKETS)
    allow = item.reading.allow
    if not is_socket and "bind-mounts" not in allow:
        item.problem(
            f"is refused: {path} is a path of the host, which all stacks would share. "
            'Use a named volume, a config or a secret, or put "bind-mounts" into the app\'s allow'
        )
    elif holds_socket and "docker-socket" not in allow:
        item.problem(
            f"is refused: whoever has the engine's socket has the host, and {path} is it or holds it. "
            'Remove it, or put "docker-socket" into the app\'s allow'
        )
    return path


def _tmpfs(service: Cursor) -> Iterator[tuple[Cursor, Mount]]:
    """The ``tmpfs`` key: a path or "path:option,…", or a list of them."""
    cursor = service.get("tmpfs")
    if cursor is None:
        return
    for item in cursor.items() if cursor.is_list else (cursor,):
        path, _, options = (item.filled() or "").partition(":")
        if not path:
            continue
        size = mode = None
        read_only = False
        for option in filter(None, options.split(",")):
            name, _, value = option.partition("=")
            try:
                match name:
                    case "size":
                        size = scalars.size(value)
                    case "mode":
                        mode = scalars.mode(value, quoted=True)
                    case "ro" | "rw":
                        read_only = name == "ro"
                    case _:
                        item.problem(f"the option {name!r} is not supported; size, mode, ro and rw are")
            except ValueError as error:
                item.problem(f"{name} {error}")
        yield item, Mount(MountKind.TMPFS, path, read_only=read_only, size=size, mode=mode)
