"""What registries say when an image was pushed to them: their formats, and how each shows that it is who it says.

Only pushes of an image under a tag are of interest. Registries tell much more: blobs, deletions, and pulls, which is what they
call our own questions for a digest. All that is passed over without a look at its shape, for a registry that is answered with
an error says the same again and again.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from attrs import evolve, frozen

from . import references
from .problems import Invalid, Problem
from .references import DIGEST, DOCKER_HUB, Reference

LONGEST = 1 << 20  # bytes of one notification
MOST = 1000  # events in it

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""Media types of what can be pulled by a tag."""

Fields = Mapping[str, str]
"""Of the header, by lower-case names; values decoded as Latin-1."""


@frozen
class Format:
    """``remedy`` says how to make the registry send the secret."""

    pushes: Callable[[Fields, _Value], Iterator[Reference]]
    shows: Callable[[Fields, Mapping[str, str], bytes, bytes], bool]
    remedy: str


def authentic(format: Format, fields: Fields, query: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether the sender knows the secret. Takes as long whatever was sent instead."""
    return format.shows(fields, query, body, secret.encode("utf-8"))


def parse(format: Format, fields: Fields, body: bytes) -> tuple[Reference, ...]:
    """The images that were pushed, each with its tag and, where the registry says it, the digest; most often none.

    Raises problems.Invalid with the place of what cannot be understood: "events[3].target.repository".
    """
    if len(body) > LONGEST:
        raise _wrong("", f"it has {len(body)} bytes, and may have {LONGEST}")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _wrong("", f"it is no JSON ({error or 'nested too deeply'}): have it sent as application/json") from None
    return tuple(format.pushes(fields, _Value(document, "")))


# -- reading JSON: every value knows its place ----------------------------------------------------------------------------


def _wrong(place: str, text: str) -> Invalid:
    return Invalid([Problem(place or "the body", text)])


@frozen
class _Value:
    value: object
    place: str

    def get(self, name: str) -> object:
        """A member that need not be there, or None."""
        return self.value.get(name) if isinstance(self.value, dict) else None

    def __getitem__(self, name: str) -> _Value:
        place = f"{self.place}.{name}" if self.place else name
        if not isinstance(self.value, dict):
            raise _wrong(self.place, "must be an object")
        if name not in self.value:
            raise _wrong(place, "is missing")
        return _Value(self.value[name], place)

    def __iter__(self) -> Iterator[_Value]:
        if not isinstance(self.value, list):
            raise _wrong(self.place, "must be a list")
        if len(self.value) > MOST:
            raise _wrong(self.place, f"has {len(self.value)} entries, and may have {MOST}")
        return (_Value(value, f"{self.place}[{index}]") for index, value in enumerate(self.value))

    @property
    def text(self) -> str:
        if not isinstance(self.value, str):
            raise _wrong(self.place, "must be a text")
        return self.value

    def image(self, name: str, tag: str, digest: object = None) -> Reference:
        """The image that was pushed; ``name`` has the registry in it, and is what this value is about."""
        try:
            reference = references.parse(f"{name}:{tag}")
        except ValueError as error:
            raise _wrong(self.place, str(error)) from None
        if reference.tag != tag:
            raise _wrong(self.place, f"{tag!r} is no tag")
        return evolve(reference, digest=digest if isinstance(digest, str) and DIGEST.fullmatch(digest) else None)


# -- the formats ----------------------------------------------------------------------------------------------------------


def _distribution(fields: Fields, body: _Value) -> Iterator[Reference]:
    """The envelope of distribution.github.io/distribution/about/notifications, which GitLab's registry sends as well.

    No app can have an image of "my_registry:5000"; to refuse that would have it said again and again, and nothing after it.
    The registry is known by the name in the target's URL, which a proxy in front of it may have given to it; some are set to
    send URLs without a host.
    """
    for event in body["events"]:
        if event.get("action") != "push":
            continue
        target = event["target"]
        tag = target.get("tag")
        if not tag or target.get("mediaType") not in MANIFESTS:
            continue
        host = _host(target.get("url")) or event["request"]["host"].text
        if _can_be_named(host):
            name = f"{host}/{target['repository'].text}"
            yield target["repository"].image(name, target["tag"].text, target.get("digest"))


def _host(url: object) -> str:
    try:
        return urlsplit(url).netloc.lower() if isinstance(url, str) else ""
    except ValueError:
        return ""


def _can_be_named(host: str) -> bool:
    try:
        references.parse(f"{host}/any")
    except ValueError:
        return False
    return True


def _docker_hub(fields: Fields, body: _Value) -> Iterator[Reference]:
    """docs.docker.com/docker-hub/repos/manage/webhooks. It says nothing of digests."""
    name = body["repository"]["repo_name"]
    yield name.image(f"{DOCKER_HUB}/{name.text}", body["push_data"]["tag"].text)


def _github(fields: Fields, body: _Value) -> Iterator[Reference]:
    """The events "package" and "registry_package" of docs.github.com/webhooks/webhook-events-and-payloads.

    An image that gets one more tag is "updated". Each image of an index has an event of its own, without a tag.
    """
    event = fields.get("x-github-event", "")
    if event not in ("package", "registry_package") or body.get("action") not in ("published", "updated"):
        return
    version = body[event]["package_version"]
    if not isinstance(version.get("container_metadata"), dict):
        return  # npm, Maven and the like
    metadata = version["container_metadata"]
    if metadata.get("tag") and metadata["tag"].get("name"):
        tag = metadata["tag"]
        url = version["package_url"]
        name = url.text.partition("@")[0].removesuffix(f":{tag['name'].text}")
        yield url.image(name.lower(), tag["name"].text, tag.get("digest"))


def _gitlab(fields: Fields, body: _Value) -> Iterator[Reference]:
    """docs.gitlab.com/administration/packages/container_registry: the registry itself sends notifications. A project's webhooks
    tell of commits, jobs and pipelines, and of no image."""
    return iter(()) if "x-gitlab-event" in fields else _distribution(fields, body)


def _harbor(fields: Fields, body: _Value) -> Iterator[Reference]:
    """goharbor.io/docs, "Configure Webhook Notifications": the event PUSH_ARTIFACT in both payload formats.

    What is pushed by digest has the digest for a tag.
    """
    kind = body.get("type")
    if kind not in ("PUSH_ARTIFACT", "harbor.artifact.pushed"):
        return
    for resource in body["event_data" if kind == "PUSH_ARTIFACT" else "data"]["resources"]:
        tag = resource.get("tag")
        if tag and tag != resource.get("digest"):
            url = resource["resource_url"]
            yield url.image(url.text.removesuffix(f":{resource['tag'].text}"), resource["tag"].text, resource.get("digest"))


# -- who sent it ----------------------------------------------------------------------------------------------------------


def _sent(given: str | None, *secrets: bytes) -> bool:
    return given is not None and any(hmac.compare_digest(given.encode("latin-1", "replace"), secret) for secret in secrets)


def _bearer(fields: Fields, query: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    return _sent(fields.get("authorization"), b"Bearer " + secret)


def _authorization(fields: Fields, query: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    return _sent(fields.get("authorization"), secret, b"Bearer " + secret)


def _gitlab_token(fields: Fields, query: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    return _sent(fields.get("x-gitlab-token"), secret) or _authorization(fields, query, body, secret)


def _signature(fields: Fields, query: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    """docs.github.com, "Validating webhook deliveries"."""
    return _sent(fields.get("x-hub-signature-256"), b"sha256=" + hmac.new(secret, body, sha256).hexdigest().encode())


def _in_url(fields: Fields, query: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    given = query.get("secret")
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), secret)


FORMATS: Mapping[str, Format] = {
    "distribution": Format(
        _distribution, _bearer, "give the endpoint of the registry's `notifications` the header Authorization: [Bearer SECRET]"
    ),
    "docker-hub": Format(_docker_hub, _in_url, "Docker Hub cannot sign: add ?secret=SECRET to the URL of its webhook"),
    "github": Format(_github, _signature, "enter the secret in the webhook's settings on GitHub, which signs with it"),
    "gitlab": Format(
        _gitlab, _gitlab_token, "give the registry's notifications the header X-Gitlab-Token, or Authorization: Bearer SECRET"
    ),
    "harbor": Format(_harbor, _authorization, "enter the secret as the webhook's Auth Header in the project's settings"),
}
"""By the last part of the URL that they are sent to."""
