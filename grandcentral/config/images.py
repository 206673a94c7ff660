"""Image references with a version left open: "registry.example.com/shop:sha-{version}"."""

from __future__ import annotations

import re

PLACE = "{version}"

# The grammar of distribution's reference package: [host[:port]/]path[:tag][@digest].
_NAME = r"(?:[a-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
_REFERENCE = re.compile(rf"{_NAME}(?::(?P<tag>[\w][\w.-]{{0,127}}))?(?P<digest>@sha256:[0-9a-f]{{64}})?", re.ASCII)


def reference(image: str, tag: str | None, versioned: bool) -> str:
    """The whole reference, checked: with exactly one place for the version, in its tag, or with none if there are no versions.

    Raises ValueError with a sentence.
    """
    whole = image if tag is None else f"{image}:{tag}"
    parts = _REFERENCE.fullmatch(whole.replace(PLACE, "0000000"))
    if tag is not None and (_tag_of(image) or "@" in image):
        raise ValueError(f'"{image}" has a tag already, and tag says "{tag}": remove one of them')
    if parts is None:
        raise ValueError(f'"{whole}" is not a reference of an image: write one such as "registry.example.com/shop:{PLACE}"')
    places = whole.count(PLACE)
    if not versioned and places:
        raise ValueError(f'"{whole}" has a place for a version, and the app has none: add version = "git-hash" or "name"')
    if versioned and (places != 1 or PLACE not in _tag_of(whole)):
        raise ValueError(f'"{whole}" needs {PLACE} in its tag, once: write one such as "{_without_tag(image)}:{PLACE}"')
    if versioned and parts["digest"]:
        raise ValueError(f'"{whole}" has a digest, which is one version for ever: remove it')
    return whole


def _tag_of(image: str) -> str:
    tag = image.partition("@")[0].rpartition(":")[2]
    return "" if tag == image or "/" in tag else tag


def _without_tag(image: str) -> str:
    tag = _tag_of(image)
    return image.partition("@")[0].removesuffix(f":{tag}" if tag else "")
