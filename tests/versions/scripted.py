"""A registry behind an IAgent without a socket: what it is asked is recorded, what it answers is a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from urllib.parse import SplitResult, parse_qs, urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@frozen
class Request:
    method: str
    url: SplitResult
    headers: Headers

    def header(self, name: str) -> str | None:
        return (self.headers.getRawHeaders(name) or [None])[0]

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.url.query).items()}

    def __str__(self) -> str:
        return f"{self.method} {self.url.geturl()}"


@frozen
class Reply:
    status: int = 200
    headers: dict[str, str] = field(factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, document: object, status: int = 200, **headers: str) -> Reply:
        return cls(status, {"Content-Type": "application/json", **headers}, json.dumps(document).encode())


class _Response:
    def __init__(self, reply: Reply, head: bool) -> None:
        self.code = reply.status
        self.headers = Headers({name: [value] for name, value in reply.headers.items()})
        self._body = b"" if head else reply.body

    def deliverBody(self, protocol: Protocol) -> None:
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


Answers = Callable[[Request], Reply | Exception | None]


@implementer(IAgent)
@define(eq=False)
class ScriptedAgent:
    """``answers`` gives a Reply, an exception for what breaks below HTTP, or None for silence.

    While ``holding``, nothing is answered before ``release``.
    """

    answers: Answers
    asked: list[Request] = field(factory=list)
    holding: bool = False
    _held: list[tuple[Deferred, Request]] = field(factory=list)

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: object = None) -> Deferred:
        request = Request(method.decode(), urlsplit(uri.decode()), headers or Headers())
        self.asked.append(request)
        if self.holding:
            held: Deferred = Deferred()
            self._held.append((held, request))
            return held
        return self._answer(request)

    def _answer(self, request: Request) -> Deferred:
        answer = self.answers(request)
        if answer is None:
            return Deferred()
        if isinstance(answer, Exception):
            return fail(answer)
        return succeed(_Response(answer, request.method == "HEAD"))

    def release(self) -> None:
        """Answer what is held, and from now on at once."""
        self.holding = False
        held, self._held = self._held, []
        for waiting, request in held:
            if not waiting.called:
                self._answer(request).chainDeferred(waiting)

    def count(self, start: str = "") -> int:
        return sum(str(request).startswith(start) for request in self.asked)


def digest_of(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"


@define(eq=False)
class FakeRegistry:
    """The answers of a registry with one repository. ``instead`` is asked first, and says NotImplemented to most."""

    repository: str = "team/app"
    tags: dict[str, str] = field(factory=dict)
    content: dict[str, bytes] = field(factory=dict)  # of manifests and blobs, by digest
    lists: bool = True
    instead: Callable[[Request], object] = lambda request: NotImplemented

    def push(self, *tags: str, content: str = "") -> str:
        digest = digest_of(content or tags[0])
        self.tags.update(dict.fromkeys(tags, digest))
        return digest

    def push_image(self, tag: str, configuration: object, platforms: int = 0) -> str:
        """An image that has a configuration, under an index if there are ``platforms``; the digest behind the tag."""
        config = self._keep(configuration)
        manifest = self._keep({"schemaVersion": 2, "config": {"digest": config}, "layers": []})
        if platforms:
            entry = {"digest": manifest, "platform": {"os": "linux", "architecture": "amd64"}}
            about = {"digest": digest_of("attestation"), "platform": {"os": "unknown", "architecture": "unknown"}}
            manifest = self._keep({"schemaVersion": 2, "manifests": [about, *[entry] * platforms]})
        self.tags[tag] = manifest
        return manifest

    def _keep(self, document: object) -> str:
        body = json.dumps(document)
        self.content[digest_of(body)] = body.encode()
        return digest_of(body)

    def __call__(self, request: Request) -> Reply | Exception | None:
        answer = self.instead(request)
        if answer is not NotImplemented:
            return answer  # type: ignore[return-value]
        path = request.url.path.removeprefix(f"/v2/{self.repository}/")
        if path == "tags/list":
            return self._list(sorted(self.tags)) if self.lists else Reply(403)
        kind, _, tag = path.partition("/")
        if tag in self.content:
            return Reply(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": tag}, self.content[tag])
        if kind != "manifests" or tag not in self.tags:
            return Reply.json({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, 404)
        return Reply(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": self.tags[tag]}, b'{"schemaVersion": 2}')

    def _list(self, tags: Iterable[str]) -> Reply:
        return Reply.json({"name": self.repository, "tags": list(tags) or None})
