"""What clients of an app's own port are told to connect to."""

from __future__ import annotations

from ..core.model import BY_USER, App
from . import endpoints

_EVERYWHERE = ("", "0.0.0.0", "::")


def connection(app: App, name: str, password: str | None, host: str) -> str | None:
    """The URL of a stack behind a user name, "postgresql://alice@db.example.com:5432/alice". None where there is no such port.

    :param name: of the stack; needs no quoting, as little as the password (core.provisions).
    :param password: None: it is left out.
    :param host: what clients call this machine, for a port that is not bound to one address.
    """
    for door in app.doors:
        listen = endpoints.parse(door.endpoint)
        if door.protocol in BY_USER and listen.port:
            there = host if listen.interface in _EVERYWHERE else listen.interface
            there = f"[{there}]" if ":" in there else there
            who = name if password is None else f"{name}:{password}"
            return f"{door.protocol}://{who}@{there}:{listen.port}/{name if door.protocol == 'postgresql' else ''}"
    return None
