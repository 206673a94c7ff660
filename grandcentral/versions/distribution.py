"""What is asked of a registry: the digest behind a tag, the list of tags, and what an image says of itself.

Source: the OCI distribution specification 1.1, "Pulling manifests", "Pulling blobs" and "Listing tags"; the OCI image
specification 1.1, "Image Index" and "Image Manifest".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urljoin

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent

from ..core.references import DIGEST, Reference
from ..errors import RegistryUnavailable
from .credentials import Credentials
from .http import Answer, exchange, follow
from .tokens import Authorization, Refused, Trust, challenges

MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""All that an engine may be sent. Without the right one, a registry converts: the digest is then of something nobody pushed."""

PAGE = 1000  # tags asked for at once; some registries send all there are
PAGES = 10  # at most: a list without end would hold up everyone who waits
LONGEST_RETRY = 300.0  # seconds; of what a registry wants us to wait, this much is passed on


@define(eq=False)
class Repository:
    """One repository of one registry. Every call raises RegistryUnavailable for anything but an answer to its question."""

    agent: IAgent
    clock: IReactorTime
    reference: Reference  # any of the repository
    credentials: Credentials
    trust: Trust
    _authorization: Authorization = field(init=False)
    _url: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._authorization = Authorization(self.agent, self.clock, self.reference, self.credentials, self.trust)
        self._url = f"{self.trust.scheme(self.host)}://{self.host}/v2/{self.reference.repository}"

    @property
    def host(self) -> str:
        return self.reference.host

    async def digest(self, reference: Reference) -> str | None:
        """The digest of the manifest that a reference names; None if the registry says that there is no such manifest.

        HEAD is asked first; a registry that does not do HEAD, or leaves out the digest, is asked for the manifest itself.
        """
        url = f"{self._url}/manifests/{reference.digest or reference.tag}"
        answer = await self._ask("HEAD", url, accept=", ".join(MEDIA_TYPES))
        if answer.status in (405, 501) or (answer.status == 200 and not answer.header("Docker-Content-Digest")):
            answer = await self._ask("GET", url, accept=", ".join(MEDIA_TYPES))
            if answer.status == 200 and not _is_manifest(answer.body):
                raise self._nonsense("sends something else where a manifest should be")
        if answer.status == 404:
            await self._confirm_absence(answer)
            return None
        if answer.status != 200:
            raise self._complaint(answer)
        digest = answer.header("Docker-Content-Digest") or f"sha256:{sha256(answer.body).hexdigest()}"
        if not DIGEST.fullmatch(digest):
            raise self._nonsense("sends a digest that is none")
        return digest

    async def configuration(self, digest: str) -> dict[str, Any]:
        """The configuration of the image with that digest; of an image for many platforms, of the first of them."""
        manifest = await self._fetch("manifests", digest, ", ".join(MEDIA_TYPES))
        if "manifests" in manifest:
            manifest = await self._fetch("manifests", self._digest_in(_platform(manifest)), ", ".join(MEDIA_TYPES))
        return await self._fetch("blobs", self._digest_in(manifest.get("config")), "*/*")

    async def _fetch(self, kind: str, digest: str, accept: str) -> dict[str, Any]:
        """The JSON object with that digest; registries may keep blobs elsewhere."""
        answer = await self._ask("GET", f"{self._url}/{kind}/{digest}", accept, elsewhere=kind == "blobs")
        if answer.status != 200:
            raise self._complaint(answer)
        algorithm, _, expected = digest.partition(":")
        if algorithm != "sha256" or sha256(answer.body).hexdigest() != expected:
            raise self._nonsense(f"sends something else than {digest}")
        try:
            document = json.loads(answer.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self._nonsense(f"has something else than a JSON object at {digest}")
        return document

    def _digest_in(self, descriptor: object) -> str:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise self._nonsense("has a manifest that names no image")
        return digest

    async def tags(self) -> tuple[str, ...]:
        """The tags of the repository, of the first PAGES pages; none if the registry does not list them for us."""
        url = f"{self._url}/tags/list?n={PAGE}"
        found: list[str] = []
        for _ in range(PAGES):
            try:
                answer = await self._ask("GET", url, accept="application/json")
            except Refused:
                break
            if answer.status in (401, 403, 404, 405, 501):
                break
            if answer.status != 200:
                raise self._complaint(answer)
            try:
                tags = json.loads(answer.body)["tags"] or ()
            except (ValueError, KeyError, TypeError) as error:
                raise self._nonsense("sends something else where a list of tags should be") from error
            found += [tag for tag in tags if isinstance(tag, str)]
            following = next_page(answer.header("Link"), url)
            if following is None:
                break
            url = following
        return tuple(found)

    async def _ask(self, method: str, url: str, accept: str, elsewhere: bool = False) -> Answer:
        """One question, with the dance if the registry asks for it. What it still refuses after that is an answer."""
        header = self._authorization.header
        answer = await exchange(self.agent, method, url, _fields(accept, header), elsewhere=elsewhere)
        if answer.status == 401:
            asked = challenges(answer.headers.getRawHeaders("WWW-Authenticate") or ())
            header = await self._authorization.renew(header, asked)
            answer = await exchange(self.agent, method, url, _fields(accept, header), elsewhere=elsewhere)
        return answer

    async def _confirm_absence(self, answer: Answer) -> None:
        """A gateway in front of a registry that is down says 404, too, to everything. Registries do so in JSON; where it is
        something else, ``/v2/`` tells, which is 200 or 401 at every registry and nowhere else."""
        if "json" in answer.header("Content-Type"):
            return
        root = await exchange(self.agent, "GET", urljoin(self._url, "/v2/"), {})
        if root.status not in (200, 401):
            raise self._nonsense(f"answers 404, but it does so to everything ({root.status} at /v2/): no registry is there")

    def _complaint(self, answer: Answer) -> RegistryUnavailable:
        """The sentence for a status that is neither yes nor no."""
        if answer.status in (401, 403):
            return self._nonsense(f"refuses us {self.reference.repository!r} ({answer.status}): the credentials do not do")
        if answer.status == 429:
            wait = answer.header("Retry-After")
            seconds = min(float(wait), LONGEST_RETRY) if re.fullmatch("[0-9]{1,9}", wait) else None
            return RegistryUnavailable(f"{self.host} has had too many questions from us (429).", retry_after=seconds)
        if answer.status >= 500:
            return RegistryUnavailable(f"{self.host} is in trouble (it answers {answer.status}).")
        return self._nonsense(f"answers {answer.status} where a manifest should be or not be")

    def _nonsense(self, what: str) -> RegistryUnavailable:
        return RegistryUnavailable(f"{self.host} {what}.", bad_gateway=True)


def next_page(link: str, url: str) -> str | None:
    """The URL that a Link field calls "next" (RFC 8288), if it is on the same registry; None for the last page."""
    target = re.match(r'\s*<([^>]*)>\s*;\s*rel\s*=\s*"?next"?', link)
    following = follow(url, target[1]) if target else None
    return None if following == url else following


def _platform(index: Mapping[str, Any]) -> object:
    """The first image of an index, without what only says something about the others (attestations are for "unknown")."""
    entries = index["manifests"] if isinstance(index["manifests"], list) else []
    for entry in entries:
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if not isinstance(platform, dict) or platform.get("os") != "unknown":
            return entry
    return None


def _fields(accept: str, authorization: str | None) -> dict[str, str]:
    return {"Accept": accept} if authorization is None else {"Accept": accept, "Authorization": authorization}


def _is_manifest(body: bytes) -> bool:
    try:
        return "schemaVersion" in json.loads(body)
    except (ValueError, TypeError):
        return False
