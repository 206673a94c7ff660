"""Who we are to a registry: nobody, a login of our configuration, or what the Docker configuration file says.

A ``Credentials`` is a function from a registry's domain ("docker.io", "registry.example.com:5000") to a Deferred. That fires
with a Login, or with None; it fails with RegistryUnavailable when it cannot say.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ..core.references import DOCKER_HUB
from ..errors import RegistryUnavailable


@frozen
class Login:
    """A name and password; or an identity token, which is exchanged for bearer tokens in the place of a password."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization field (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


Credentials = Callable[[str], Deferred[Login | None]]


def nobody(domain: str) -> Deferred[Login | None]:
    """No credentials, for any registry."""
    return succeed(None)


def login(username: str, password: str) -> Credentials:
    """The same for whichever registry is asked: that of the app it was configured for."""
    return lambda domain: succeed(Login(username, password))


def docker_config_path(environment: Mapping[str, str]) -> Path:
    """Where the docker command keeps its logins: ``$DOCKER_CONFIG/config.json``, or ``~/.docker/config.json``."""
    folder = environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/")) / ".docker"
    return Path(folder) / "config.json"


# -- the Docker configuration file: https://docs.docker.com/reference/cli/docker/login/ -----------------------------------

_HUB_SERVER = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_LARGEST_ANSWER = 65536  # bytes of a credential helper


@frozen
class DockerConfig:
    """The logins of a Docker configuration file, read anew each time: ``docker login`` needs no restart of ours.

    A registry's own helper (``credHelpers``) is asked first, then the general one (``credsStore``), then ``auths``.
    A file that is not there holds no logins.
    """

    reactor: IReactorProcess
    path: Path
    environment: Mapping[str, str] = field(factory=lambda: dict(os.environ), repr=False)

    def __call__(self, domain: str) -> Deferred[Login | None]:
        return Deferred.fromCoroutine(self._login(domain))

    async def _login(self, domain: str) -> Login | None:
        config = self._read()
        helpers = {_domain(server): name for server, name in _mapping(config, "credHelpers").items()}
        helper = helpers.get(domain) or config.get("credsStore")
        found = await self._ask(str(helper), domain) if helper else None
        if found is None:
            auths = {_domain(server): entry for server, entry in _mapping(config, "auths").items()}
            found = self._decode(domain, auths.get(domain))
        return found

    def _read(self) -> Mapping[str, Any]:
        try:
            config = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RegistryUnavailable(f"The Docker configuration {self.path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise RegistryUnavailable(f"The Docker configuration {self.path} is not JSON: {error}.") from error
        if not isinstance(config, dict):
            raise RegistryUnavailable(f"The Docker configuration {self.path} is not a JSON object.")
        return config

    def _decode(self, domain: str, entry: object) -> Login | None:
        """``auth`` is base64 of "name:password"; older files have the two apart."""
        if not isinstance(entry, dict):
            return None
        token = entry.get("identitytoken") or None
        if entry.get("auth"):
            try:
                username, colon, password = base64.b64decode(entry["auth"]).decode().rstrip("\0").partition(":")
            except (binascii.Error, TypeError, ValueError):
                colon = ""
            if not colon:
                raise RegistryUnavailable(f"The auth of {domain} in {self.path} is not base64 of name:password. Log in again.")
            return Login(username, password, token)
        if token or entry.get("username"):
            return Login(str(entry.get("username", "")), str(entry.get("password", "")), token)
        return None

    async def _ask(self, name: str, domain: str) -> Login | None:
        """``docker-credential-NAME get``: the server on its standard input, JSON on its output.

        Source: https://github.com/docker/docker-credential-helpers
        """
        program = f"docker-credential-{name}"
        executable = shutil.which(program, path=self.environment.get("PATH")) if _HELPER.fullmatch(name) else None
        if executable is None:
            raise RegistryUnavailable(f"{self.path} names the credential helper {program!r}, which is not on the PATH.")
        server = _HUB_SERVER if domain == DOCKER_HUB else domain
        talk = _Helper(server.encode())
        self.reactor.spawnProcess(talk, executable, [program, "get"], env=dict(self.environment))
        status, output = await talk.ended
        if status != 0:
            if "credentials not found" in output:
                return None
            raise RegistryUnavailable(f"The credential helper {program} failed for {domain} (status {status}).")
        try:
            answer = json.loads(output)
            username, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryUnavailable(f"The credential helper {program} answers nonsense for {domain}.") from error
        return Login("", identity_token=secret) if username == "<token>" else Login(username, secret)


def _domain(server: str) -> str:
    """Whom a key of the file means: "https://index.docker.io/v1/" is Docker Hub, "https://registry.test/v2/" registry.test."""
    host = re.sub(r"^https?://", "", server).partition("/")[0]
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def _mapping(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


@define(eq=False)
class _Helper(ProcessProtocol):
    """``ended`` fires with (exit status or None, output) once the process has been reaped; cancelling it kills the process."""

    question: bytes
    ended: Deferred[tuple[int | None, str]] = field(init=False)
    _output: bytes = b""

    def __attrs_post_init__(self) -> None:
        self.ended = Deferred(lambda _: self._process().signalProcess("KILL"))

    def _process(self) -> IProcessTransport:
        assert self.transport is not None
        return self.transport

    def connectionMade(self) -> None:
        self._process().writeToChild(0, self.question)
        self._process().closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._output = (self._output + data)[:_LARGEST_ANSWER]

    def processEnded(self, reason: Failure) -> None:
        if not self.ended.called:
            self.ended.callback((getattr(reason.value, "exitCode", None), self._output.decode(errors="replace")))
