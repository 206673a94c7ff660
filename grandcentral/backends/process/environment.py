"""What a service finds in its environment."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.model import Launch, Service
from . import proc
from .home import Home

# What says who and where we are. Nothing else of ours is handed on: the gateway's environment may hold its secrets.
INHERITED = ("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")


def environment(
    inherited: Mapping[str, str], launch: Launch, service: Service, port: int | None, home: Home
) -> dict[str, str]:
    """The whole environment of a service: INHERITED and ``LC_*``; ``HOST`` and ``PORT`` to listen on, the GRANDCENTRAL…
    variables, with GRANDCENTRAL_DATA for where its data can stay; and last, so that it wins, what its template says.

    :param port: None for one that does not listen: a task.
    """
    return {
        **{name: value for name, value in inherited.items() if name in INHERITED or name.startswith("LC_")},
        "PYTHONUNBUFFERED": "1",  # or what a Python program last said before it died would die with it
        "HOST": "127.0.0.1",
        **({"PORT": str(port)} if port is not None else {}),
        **{name: value for name, value in launch.variables.items() if name.startswith("GRANDCENTRAL")},
        "GRANDCENTRAL_DATA": str(home.data),
        **service.environment,
        proc.MARK: home.mark,
    }
