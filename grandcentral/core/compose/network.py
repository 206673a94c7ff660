"""How a service is reached: its ports, and the networks it is on."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from . import scalars
from .cursor import Cursor, did_you_mean


def ports(service: Cursor) -> tuple[int, ...]:
    """The TCP ports a service listens on, by ``ports`` and ``expose``, in the order written and each once."""
    return tuple(dict.fromkeys(port for place, text in _written(service) for port in _tcp(place, text)))


def _written(service: Cursor) -> Iterator[tuple[Cursor, str]]:
    """Each port or range as "3000", "8000-8010", "53/udp"."""
    published, exposed = service.get("ports"), service.get("expose")
    for item in published.items() if published else ():
        if item.is_mapping:
            target, protocol = item.get("target"), item.get("protocol")
            if target is None:
                item.problem("needs a target: the port in the container")
            elif text := target.text():
                yield target, f"{text}/{(protocol.text() if protocol else None) or 'tcp'}"
        elif text := item.filled():
            container = item.read(scalars.container_port)
            if container is not None:
                yield item, container
    for item in exposed.items() if exposed else ():
        if text := item.filled():
            yield item, text


def _tcp(place: Cursor, text: str) -> range:
    try:
        numbers, protocol = scalars.ports(text)
    except ValueError as error:
        place.problem(str(error))
        return range(0)
    if protocol != "tcp":
        place.warn(f"a port for {protocol} can't be reached through the gateway, only from within the stack")
        return range(0)
    return numbers


def networks(service: Cursor, known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The networks a service names, with its other names on them; {}: the default network.

    :param known: the names under the document's own ``networks``.
    """
    found: dict[str, tuple[str, ...]] = {}
    cursor = service.get("networks")
    if cursor is None:
        return found
    for place in cursor.items() if cursor.is_list else ():
        if name := place.filled():
            found[_declared(place, name, known)] = ()
    for name, place in () if cursor.is_list else cursor.entries():
        aliases = place.get("aliases")
        found[_declared(place, name, known)] = aliases.texts() if aliases else ()
    return found


def _declared(place: Cursor, name: str, known: Collection[str]) -> str:
    if name != "default" and name not in known:
        place.problem(f"there is no network {name!r} under networks at the top level{did_you_mean(name, known)}")
    return name
