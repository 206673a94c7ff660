"""Registries for the tests of versions: docker-registry processes of our own, pushed to by plain HTTP, without an engine."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.testbed.daemons import Daemon
from tests.testbed.packages import find

IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HTPASSWD = "me:$2y$05$8.pcfj.YbDLnU9Lq.YJhjePVSlapx/10snJ5jNjxGdBYmyW1aJEE2\n"  # me:secret
_numbers = count(1)


class Ahead:
    """The real reactor, with a clock that can be put forward."""

    def __init__(self) -> None:
        self.by = 0.0

    def seconds(self) -> float:
        return reactor.seconds() + self.by

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@define
class OwnRegistry:
    """``authorization`` gives the field that a push is sent with."""

    daemon: Daemon
    host: str  # "127.0.0.1:PORT"
    authorization: Callable[[str], str | None] = lambda repository: None

    @classmethod
    def make(
        cls, place: Path, auth: Mapping[str, object] | None = None, tells: Mapping[str, object] | None = None, **options: Any
    ) -> OwnRegistry:
        """A registry that runs, with its content under ``place``. Raises Unavailable where there is no docker-registry.

        :param tells: an endpoint of its notifications.
        """
        program = find("docker-registry")
        port = _free_port()
        configuration = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(place / "content")}},
            "http": {"addr": f"127.0.0.1:{port}"},
            **({"auth": auth} if auth else {}),
            **({"notifications": {"endpoints": [tells]}} if tells else {}),
        }
        file = place / "registry.yml"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        daemon = Daemon("docker-registry", [program, "serve", str(file)], place / "log", lambda: _answers(port))
        daemon.start()
        return cls(daemon, f"127.0.0.1:{port}", **options)

    def repository(self) -> str:
        """The name of a repository that nobody has used yet."""
        return f"team/app{next(_numbers)}"

    def push(self, repository: str, *tags: str, content: str = "", **said: object) -> str:
        """An image without layers under all these tags; its digest. Another ``content``, in a label, makes another image."""
        configuration = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"content": content or tags[0]}}, **said}
        config = json.dumps(configuration).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": self._upload(repository, config),
            },
            "layers": [],
        }
        return self._tag(repository, tags, IMAGE, manifest)

    def tag(self, repository: str, digest: str, tag: str) -> None:
        """Push an image that is there under one more tag."""
        _, manifest = self._send("GET", f"{repository}/manifests/{digest}", accept=IMAGE)
        self._send("PUT", f"{repository}/manifests/{tag}", manifest, IMAGE)

    def look(self, repository: str, tag: str) -> None:
        """What everybody does who asks for a digest, or pulls."""
        for method in ("HEAD", "GET"):
            self._send(method, f"{repository}/manifests/{tag}", accept=IMAGE)

    def push_index(self, repository: str, tag: str, **said: object) -> str:
        """An index of one image, as builds for several platforms are; its digest."""
        digest = self.push(repository, f"{tag}-amd64", **said)  # type: ignore[arg-type]
        size = len(self._send("GET", f"{repository}/manifests/{digest}", accept=IMAGE)[1])
        entry = {"mediaType": IMAGE, "digest": digest, "size": size, "platform": {"architecture": "amd64", "os": "linux"}}
        return self._tag(repository, [tag], INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})

    def _tag(self, repository: str, tags: Any, media_type: str, manifest: object) -> str:
        body = json.dumps(manifest).encode()
        for tag in tags:
            self._send("PUT", f"{repository}/manifests/{tag}", body, media_type)
        return f"sha256:{sha256(body).hexdigest()}"

    def _upload(self, repository: str, blob: bytes) -> str:
        digest = f"sha256:{sha256(blob).hexdigest()}"
        headers, _ = self._send("POST", f"{repository}/blobs/uploads/", b"")
        self._send("PUT", f"{headers['Location']}&digest={digest}", blob, "application/octet-stream")
        return digest

    def _send(self, method: str, path: str, body: bytes | None = None, kind: str = "", accept: str = "") -> tuple[Any, bytes]:
        url = path if path.startswith("http") else f"http://{self.host}/v2/{path}"
        request = urllib.request.Request(url, body, {"Content-Type": kind, "Accept": accept}, method=method)
        if authorization := self.authorization(url.partition("/v2/")[2].split("/manifests/")[0].split("/blobs/")[0]):
            request.add_header("Authorization", authorization)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers, answer.read()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
    except urllib.error.HTTPError:
        return True  # 401 is an answer
    except OSError:
        return False
    return True


# -- a token server -----------------------------------------------------------------------------------------------------


@define
class TokenServer:
    """Grants bearer tokens that a docker-registry with ``auth.token`` believes. ``asked`` are the requests for one."""

    place: Path
    port: int = 0
    asked: list[str] = field(factory=list)
    refresh_token: str = "identity"
    _key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    _chain: list[str] = field(factory=list)
    _listening: Any = None

    def start(self) -> dict[str, object]:
        """The ``auth`` of a registry that sends its clients here."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        (self.place / "tokens.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        self._chain = [b64encode(certificate.public_bytes(Encoding.DER)).decode()]
        self._listening = reactor.listenTCP(0, Site(_Tokens(self), timeout=None), interface="127.0.0.1")
        self.port = self._listening.getHost().port
        return {
            "token": {
                "realm": f"http://127.0.0.1:{self.port}/token",
                "service": "our registry",
                "issuer": "our tokens",
                "rootcertbundle": str(self.place / "tokens.pem"),
            }
        }

    def stop(self) -> Any:
        return self._listening.stopListening()

    def token(self, repository: str, *actions: str) -> str:
        """A JWT as the "Docker Registry v2 Bearer token specification" has it, signed with ES256."""
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "x5c": self._chain}
        claims = {
            "iss": "our tokens", "sub": "me", "aud": "our registry", "jti": str(next(_numbers)),
            "nbf": now - 60, "iat": now - 60, "exp": now + 300,
            "access": [{"type": "repository", "name": repository, "actions": list(actions)}],
        }  # fmt: skip
        signed = b".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
        r, s = utils.decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return (signed + b"." + _base64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


class _Tokens(Resource):
    """GET with Basic "me:secret", or POST with the refresh token; the scope that was asked for is granted."""

    isLeaf = True

    def __init__(self, server: TokenServer) -> None:
        super().__init__()
        self._server = server

    def render_GET(self, request: Request) -> bytes:
        self._server.asked.append("GET")
        known = (request.getUser(), request.getPassword()) == (b"me", b"secret")
        return self._answer(request, known, "token")

    def render_POST(self, request: Request) -> bytes:
        self._server.asked.append("POST")
        known = request.args.get(b"refresh_token") == [self._server.refresh_token.encode()]
        return self._answer(request, known and request.args.get(b"grant_type") == [b"refresh_token"], "access_token")

    def _answer(self, request: Request, known: bool, name: str) -> bytes:
        if not known or request.args.get(b"service") != [b"our registry"]:
            request.setResponseCode(401)
            return b"{}"
        _, repository, actions = request.args[b"scope"][0].decode().split(":")
        return json.dumps({name: self._server.token(repository, *actions.split(",")), "expires_in": 300}).encode()
