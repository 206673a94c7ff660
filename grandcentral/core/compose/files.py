"""``configs`` and ``secrets``: files with a content that the template knows, put into a container before it starts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from ..model import FileContent
from .cursor import Cursor, did_you_mean
from .environment import read_file

_HOMES = {"configs": "/", "secrets": "/run/secrets/"}  # what a target without a leading slash is relative to


def files(service: Cursor, top: Cursor) -> tuple[FileContent, ...]:
    """The files that a service is granted.

    :param top: the whole document, whose ``configs`` and ``secrets`` say what is in them.
    """
    return tuple(file for kind in _HOMES for file in _granted(service, kind, top))


def _granted(service: Cursor, kind: str, top: Cursor) -> Iterator[FileContent]:
    grants, definitions = service.get(kind), top.get(kind)
    defined = dict(definitions.entries()) if definitions else {}
    for item in grants.items() if grants else ():
        source_cursor = item.get("source") if item.is_mapping else item
        if source_cursor is None:
            item.problem("needs a source")
            continue
        source = source_cursor.filled()
        if source is None:
            continue
        if source not in defined:
            item.problem(f"there is no {source!r} under {kind} at the top level{did_you_mean(source, defined)}")
            continue
        target, mode = (item.get("target"), item.get("mode")) if item.is_mapping else (None, None)
        path = (target.text() if target else None) or source
        bits = mode.mode() if mode else None
        content = _content(defined[source])
        if content is not None:
            yield FileContent(posixpath.join(_HOMES[kind], path), content, 0o444 if bits is None else bits & ~0o222)


def _content(definition: Cursor) -> bytes | None:
    """What a config or secret holds, as its definition says; None and a problem if it says nothing usable."""
    sources = {key: place for key in ("file", "environment", "content") if (place := definition.get(key)) is not None}
    if len(sources) != 1:
        definition.problem("needs one of file, environment and content")
        return None
    [(key, place)] = sources.items()
    text = place.text()
    if text is None:
        return None
    if key == "file":
        return read_file(place, text)
    if key == "environment":
        value = place.reading.variables.get(text)
        if value is None:
            place.problem(f"the app's environment has no {text}")
            return None
        text = value
    return text.encode(errors="surrogateescape")  # what os.environ holds of bytes that are no UTF-8
