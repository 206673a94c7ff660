"""Which images nobody needs, and what they take of the disk. Pure."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from typing import Any

from ...core.model import Version
from ...core.references import parse

Image = Mapping[str, Any]  # ``ImageSummary`` of the Engine API
Layer = Mapping[str, Any]  # an item of ``ImageHistory``


def names(image: Image) -> list[str]:
    """By what an image can be asked for: "app:tag" and "app@sha256:…". A tag that has moved on leaves the latter only."""
    given: list[str] = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
    return [name for name in given if not name.startswith("<none>")]


def reclaimable(
    images: Iterable[Image], used: Container[str], repositories: Collection[str], keep: Collection[Version]
) -> list[Image]:
    """Those that are of our ``repositories`` and of no other, that no container has (``used``: ids), and of no version in
    ``keep``, whether that is known by digest or by tag."""
    ours = {parse(repository).familiar for repository in repositories}
    digests = {version.digest for version in keep if version.digest}
    tags = {(reference.familiar, reference.tag) for reference in (parse(one.image) for one in keep if one.image)}

    def superfluous(image: Image) -> bool:
        try:
            references = [parse(name) for name in names(image)]
        except ValueError:  # a name that nobody can have configured
            return False
        return (
            bool(references)
            and image["Id"] not in used
            and all(one.familiar in ours for one in references)
            and not any(one.digest in digests if one.digest else (one.familiar, one.tag) in tags for one in references)
        )

    return [image for image in images if superfluous(image)]


def taken(histories: Iterable[Iterable[Layer]]) -> int:
    """Bytes that images take together, each layer counted once however many of them share it.

    The engine lists the layers of an image newest first and does not say which they are. Two images share a layer if they
    have the same history up to it.
    """
    sizes: dict[int, int] = {}
    for history in histories:
        below = 0
        for layer in reversed(list(history)):
            below = hash((below, layer["Created"], layer["CreatedBy"], layer["Size"]))
            sizes[below] = layer["Size"]
    return sum(sizes.values())
