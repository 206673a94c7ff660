"""Where to listen: the part of Twisted's endpoint strings that the gateway takes, checked without Twisted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import evolve, field, frozen

from ..core.model import PROTOCOLS, Door

_FIELDS = {
    "tcp": {"port", "interface", "backlog"},
    "unix": {"address", "mode", "backlog", "lockfile"},
    "systemd": {"domain", "index", "name"},
}
_POSITIONAL = {"tcp": "port", "unix": "address", "systemd": "domain"}
_LATER = {"tls", "ssl", "haproxy"}
DOOR_HELP = '"postgresql:5432", "redis:6379", "tcp:2525" or "tcp:2525:interface=127.0.0.1"'
HELP = '"tcp:8080", "tcp:8080:interface=127.0.0.1", "unix:/run/gateway.sock" or "systemd:domain=INET:index=0"'


@frozen
class Listen:
    """An endpoint string taken apart. ``port`` and ``interface`` are of TCP, None of others; ``interface`` "" is every one.
    ``fields`` is all that it says, by name, checked as far as the rest of it needs."""

    text: str
    kind: str
    port: int | None = None
    interface: str = ""
    fields: Mapping[str, str] = field(factory=dict, eq=False, repr=False)

    def collides(self, other: Listen) -> bool:
        """Whether both cannot be listened on at once."""
        if self.port is None or other.port is None:
            return self.text == other.text
        return (
            bool(self.port)
            and self.port == other.port
            and (self.interface == other.interface or not (self.interface and other.interface))
        )


def parse(text: str) -> Listen:
    """Raises ValueError with a sentence."""
    kind, *parts = (part.replace("\\:", ":") for part in re.split(r"(?<!\\):", text))
    if kind in _LATER:
        raise ValueError(f'"{text}": {kind}: endpoints are not in this version yet; write one such as {HELP}')
    if kind not in _FIELDS:
        raise ValueError(f'"{text}" is not an endpoint: write one such as {HELP}')
    fields = {}
    for index, part in enumerate(parts):
        name, equals, value = part.partition("=")
        if not equals:
            name, value = (_POSITIONAL[kind], part) if index == 0 else (part, "")
        if name not in _FIELDS[kind]:
            raise ValueError(f'"{text}": a {kind}: endpoint takes {", ".join(sorted(_FIELDS[kind]))}, not "{name}"')
        fields[name] = value
    if kind == "systemd":
        if fields.get("domain") not in ("INET", "INET6", "UNIX") or ("index" in fields) == ("name" in fields):
            raise ValueError(f'"{text}" needs a domain (INET, INET6, UNIX) and either index= or name=')
        if "index" in fields and not _decimal(fields["index"]):
            raise ValueError(f'"{text}": "{fields["index"]}" is not an index')
        return Listen(text, kind, fields=fields)
    if "backlog" in fields and not _decimal(fields["backlog"]):
        raise ValueError(f'"{text}": "{fields["backlog"]}" is not a number of connections')
    if "mode" in fields and not re.fullmatch("[0-7]{3,4}", fields["mode"]):
        raise ValueError(f'"{text}": "{fields["mode"]}" is no file mode: write one such as 660')
    if not fields.get(_POSITIONAL[kind]):
        raise ValueError(f'"{text}" names no {_POSITIONAL[kind]}: write one such as {HELP}')
    if kind == "unix":
        return Listen(text, kind, fields=fields)
    port = fields["port"]
    if not _decimal(port) or int(port) > 65535:
        raise ValueError(f'"{text}": "{port}" is not a port: write a number from 0 to 65535')
    return Listen(text, kind, int(port), fields.get("interface", ""), fields)


def parse_door(text: str) -> Listen:
    """Of a port of an app's own: a tcp: endpoint whose ``kind`` is one of PROTOCOLS. Raises ValueError with a sentence."""
    protocol, colon, rest = text.partition(":")
    if protocol not in PROTOCOLS or not colon:
        known = f"{', '.join(PROTOCOLS[:-1])} and {PROTOCOLS[-1]}"
        raise ValueError(f'"{text}": what an app can listen for is {known}: write one such as {DOOR_HELP}')
    try:
        listen = parse(f"tcp:{rest}")
    except ValueError as error:
        raise ValueError(str(error).replace(f'"tcp:{rest}"', f'"{text}"', 1).replace(HELP, DOOR_HELP)) from None
    if not listen.port:
        raise ValueError(f'"{text}": nobody would know the port that the system chooses: write a number from 1 to 65535')
    return evolve(listen, text=text, kind=protocol)


def door(text: str, app: str) -> Door:
    """What such a text of an app's means."""
    listen = parse_door(text)
    return Door(listen.kind, f"tcp:{text.partition(':')[2]}", app)


def _decimal(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text) is not None
