"""What a worker is told when it starts: on its standard input, by the gateway that starts it.

A value and not the configuration's file, which may have changed since the gateway read it: all workers do as the gateway does.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import IO

from attrs import evolve, field, frozen

from .. import __version__
from ..config import Configuration
from ..config.configuration import Admin, Provisioning, Webhooks
from ..core.model import App

FIRST_DESCRIPTOR = 3  # the listening sockets of a worker are open from here on, in the order of the configuration's ``doors``


@frozen
class Assignment:
    """``configuration`` is the part that concerns workers; ``digest`` stands for all that makes one worker unlike another."""

    slot: int
    workers: int  # how many there are
    configuration: Configuration
    log_file: str | None = None  # None: standard output
    secret: bytes = field(repr=False, default=b"")  # of which the tokens of stacks are made (core.leases.token)
    digest: str = field(init=False)

    @digest.default
    def _digest_default(self) -> str:
        told = repr((__version__, self.workers, self.configuration, self.log_file, self.secret))
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def control(self) -> Path:
        """Where the gateway listens for its workers."""
        return control(self.configuration.gateway.state)

    def write(self) -> bytes:
        return pickle.dumps(self)

    @staticmethod
    def read(file: IO[bytes]) -> Assignment:
        """Only from our own gateway: a pickle is a program."""
        assignment = pickle.load(file)
        assert isinstance(assignment, Assignment)
        return assignment


def control(state: Path) -> Path:
    return state / "workers.sock"


def for_workers(configuration: Configuration) -> Configuration:
    """Without secrets, and without what only the gateway needs: how hosts are routed, which requests wake, and how
    HTTP is spoken."""
    apps = tuple(App(app.name, app.backend, app.hosts, app.version, rules=app.rules) for app in configuration.apps)
    public = evolve(configuration, admin=Admin(""), registries={}, webhooks=Webhooks(), provision=Provisioning())
    return evolve(public, apps=apps, warnings=(), sections={})
