"""Image references: "registry.example.com:5000/team/app:tag@sha256:…" (distribution specification, "pulling manifests")."""

from __future__ import annotations

from attrs import frozen

from ...core.model import Service, Version


@frozen
class Reference:
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        name, _, digest = text.partition("@")
        head, colon, tag = name.rpartition(":")
        # A colon before a slash belongs to a registry's port.
        repository, tag = (head, tag) if colon and "/" not in tag else (name, "")
        return cls(repository, tag, digest)

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag or 'latest'}"

    @property
    def familiar(self) -> str:
        """The repository as the engine lists it: without the registry, and the part of it, that it takes if none is named."""
        return self.repository.removeprefix("docker.io/").removeprefix("library/")

    @property
    def registry(self) -> str:
        """Host and port of the registry; "docker.io" where none is named."""
        first, slash, _ = self.repository.partition("/")
        named = slash and ("." in first or ":" in first or first == "localhost")
        return first if named else "docker.io"


def wanted(service: Service, version: Version) -> Reference | None:
    """What is started for ``service``; None if nobody says.

    The version's own image is started by its digest where that is known: where the tag has moved since does not matter.
    """
    text = service.image or version.image
    if not text:
        return None
    reference = Reference.parse(text)
    if version.image and version.digest and text == version.image:
        return Reference(reference.repository, reference.tag, version.digest)
    return reference
