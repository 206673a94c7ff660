"""Image references: "nginx", "registry.example.com:5000/team/app:sha-db139cf", and templates with ``{version}`` in the tag.

Source: the grammar of the distribution project (docs/reference) and the OCI distribution specification, "Pulling manifests".
"""

from __future__ import annotations

import re

from attrs import frozen

DOCKER_HUB = "docker.io"
VERSION = "{version}"

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}", re.ASCII)

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?", re.ASCII)


@frozen
class Reference:
    """``domain`` is what credentials are filed under ("docker.io"), ``host`` is who is asked ("registry-1.docker.io")."""

    domain: str
    repository: str
    tag: str = "latest"
    digest: str | None = None  # it wins over the tag

    @property
    def host(self) -> str:
        """host[:port] of the registry's API."""
        return "registry-1.docker.io" if self.domain == DOCKER_HUB else self.domain

    @property
    def familiar(self) -> str:
        """The repository as engines call it: without the registry, and the part of it, that they take if none is named."""
        return self.repository.removeprefix("library/") if self.domain == DOCKER_HUB else f"{self.domain}/{self.repository}"

    def __str__(self) -> str:
        """As engines write it: "nginx:latest", or "registry.example.com/app@sha256:…"."""
        return f"{self.familiar}@{self.digest}" if self.digest else f"{self.familiar}:{self.tag}"


def parse(text: str) -> Reference:
    """Raises ValueError with a sentence that names the part which is wrong."""
    name, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} in the image {text!r} is no digest; one looks like sha256:4355a46b…")
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a colon before the last slash is a port's
        path, tag = name, "latest"
    if not TAG.fullmatch(tag):
        raise ValueError(f"{tag!r} in the image {text!r} is no tag: letters, digits, '_', '.' and '-', at most 128")
    domain, slash, repository = path.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()):
        domain, repository = DOCKER_HUB, path
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{domain!r} in the image {text!r} is no host name with an optional port")
    if domain in ("index.docker.io", "registry-1.docker.io"):
        domain = DOCKER_HUB
    if domain == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} in the image {text!r} is no repository: a-z, 0-9, '.', '_', '-' and '/'")
    return Reference(domain, repository, tag, digest or None)


@frozen
class Template:
    """An image with ``{version}`` in its tag, or without one: the same image whatever the version."""

    text: str
    sample: Reference  # what all references of the template have in common, and a tag
    _before: str
    _after: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises ValueError with a sentence that says what is wrong."""
        sample = parse(text.replace(VERSION, "0"))
        before, placeholder, after = text.partition(VERSION)
        opening = before.rpartition(":")[2]
        if placeholder and (VERSION in after or sample.digest or sample.tag != f"{opening}0{after}"):
            raise ValueError(f"{VERSION} belongs once into the tag of the image {text!r}: registry.example.com/app:{VERSION}")
        return cls(text, sample, opening, after)

    @property
    def varies(self) -> bool:
        return VERSION in self.text

    def image(self, name: str) -> str:
        """The reference as text: what an engine is told."""
        return self.text.replace(VERSION, name)

    def fill(self, name: str) -> Reference | None:
        """The image of a version; None if no tag can be called so: nothing in ``name`` reaches another part of a URL."""
        if not self.varies:
            return self.sample
        tag = f"{self._before}{name}{self._after}"
        return Reference(self.sample.domain, self.sample.repository, tag) if TAG.fullmatch(tag) else None

    def name(self, tag: str) -> str | None:
        """The version whose tag this is; None for the tag of something else. The inverse of ``fill``."""
        if not self.varies or len(tag) <= len(self._before) + len(self._after):
            return None
        if not (tag.startswith(self._before) and tag.endswith(self._after)):
            return None
        return tag[len(self._before) : len(tag) - len(self._after)]
