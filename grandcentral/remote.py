"""Asking a gateway that runs: a client of its admin listener, for the ``grandcentral`` command."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import field, frozen

from .config import endpoints
from .core.keys import Key

API = "/api/v1/stacks"
PROVISIONS = "/api/v1/provisions"
PATIENCE = 15.0  # seconds for an answer, beyond the time that the gateway was asked to wait


class NotDone(Exception):
    """A call that did not bring about what it was made for. ``str`` is one sentence for the operator; ``logs`` are last lines
    of services, as the admin API gives them."""

    def __init__(self, sentence: str, logs: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(sentence)
        self.logs = logs


class Unreachable(NotDone):
    """There is nobody to ask, or not with this token."""


@frozen
class Answer:
    """``done``: False if the gateway goes on with it. ``document`` is what it says in JSON."""

    done: bool
    document: Any


@frozen
class Remote:
    """A gateway by the URL of its admin listener, "http://127.0.0.1:8081" or "unix:/run/gateway.sock"; see ``url_of``."""

    url: str
    token: str | None = field(default=None, repr=False)

    def stacks(self) -> Any:
        """All that there are, as the admin API lists them. Raises NotDone."""
        document = self._call("GET", API, {}).document
        if "stacks" not in document:
            raise Unreachable(self._stranger(200))
        return document

    def call(self, method: str, key: Key, verb: str, query: Mapping[str, str]) -> Answer:
        """One verb on one stack; ``query`` as the admin API has it. Raises NotDone."""
        return self._call(method, f"{API}/{_path(key)}/{verb}", query)

    def provisions(self) -> Any:
        """All, as the admin API lists them. Raises NotDone."""
        return self._call("GET", PROVISIONS, {}).document

    def provision(self, fields: Mapping[str, str], query: Mapping[str, str]) -> Answer:
        """What POST /provision answers; ``fields`` and ``query`` as the admin API has them. Raises NotDone."""
        return self._call("POST", "/provision", query, json.dumps(fields).encode())

    def deprovision(self, key: Key, query: Mapping[str, str]) -> Answer:
        """Raises NotDone."""
        return self._call("DELETE", f"{PROVISIONS}/{_path(key)}", query)

    def _call(self, method: str, path: str, query: Mapping[str, str], body: bytes | None = None) -> Answer:
        parts = urlsplit(self.url)
        seconds = PATIENCE + float(query.get("wait", 0))
        base = "" if parts.scheme == "unix" else parts.path.rstrip("/")
        target = f"{base}{path}{'?' + urlencode(query) if query else ''}"
        fields = {} if self.token is None else {"Authorization": f"Bearer {self.token}".encode()}
        if body is not None:
            fields["Content-Type"] = b"application/json"
        try:
            connection = _connection(self.url, seconds)
            try:
                connection.request(method, target, body, fields)
                response = connection.getresponse()
                status, body = response.status, response.read()
            finally:
                connection.close()
        except TimeoutError:
            raise Unreachable(f"The gateway at {self.url} did not answer within {seconds:g} seconds.") from None
        except OSError as error:
            raise Unreachable(f"No gateway answers at {self.url} ({error.strerror or error}). {WHERE}") from None
        except HTTPException as error:
            raise Unreachable(f"What answers at {self.url} does not speak HTTP ({type(error).__name__}). {WHERE}") from None
        return self._answer(status, body)

    def _answer(self, status: int, body: bytes) -> Answer:
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Unreachable(self._stranger(status))
        if status == 401:
            raise Unreachable(f"The gateway at {self.url} {'knows another' if self.token else 'asks for a'} token. {TOKEN}")
        if status >= 300:
            raise NotDone(str(document.get("detail", f"The gateway answered {status}.")), document.get("logs", ()))
        return Answer(status != 202, document)

    def _stranger(self, status: int) -> str:
        return f"What answers at {self.url}, with {status}, is no gateway's admin listener. {WHERE}"


WHERE = "If it runs elsewhere, say where its admin listener is: --url URL, or $GRANDCENTRAL_ADMIN_URL."
TOKEN = "Name the file that has it: --token-file FILE, or $GRANDCENTRAL_ADMIN_TOKEN_FILE."


def _path(key: Key) -> str:
    return f"{quote(key.app, safe='')}/{quote(key.name or '-', safe='')}"


class _UnixConnection(HTTPConnection):
    """HTTP over the UNIX socket at ``path``."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(url: str, timeout: float) -> HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path, timeout)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    assert parts.hostname is not None
    return kind(parts.hostname, parts.port, timeout=timeout)


def checked(url: str) -> str:
    """The URL of an admin listener as somebody wrote it. Raises ValueError with a sentence."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.path) if parts.scheme == "unix" else parts.scheme in ("http", "https") and bool(parts.hostname)
        sound = sound and parts.port != 0 and "?" not in url
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(
            f'"{url}" is no URL of an admin listener: write one such as http://127.0.0.1:8081 or unix:/run/admin.sock'
        )
    return url


def url_of(listen: str) -> str:
    """The URL, for this machine, of what listens there. Raises ValueError, with a sentence, where it leaves that open."""
    endpoint = endpoints.parse(listen)
    if endpoint.kind == "unix":
        return f"unix:{endpoint.fields['address']}"
    if not endpoint.port:
        raise ValueError(f'admin.listen, "{listen}", does not say on which port: say --url URL')
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(endpoint.interface, endpoint.interface)
    return f"http://[{host}]:{endpoint.port}" if ":" in host else f"http://{host}:{endpoint.port}"
