"""Refusals on their way to a worker: whole, as JSON, and short enough for a value of AMP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from .. import errors
from ..core.keys import Key
from ..core.model import LogTail
from ..errors import Refusal

LONGEST = 60_000  # bytes; a value of AMP has at most 65535

_TYPES: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (*vars(errors).values(), Key, LogTail) if isinstance(kind, type) and attrs.has(kind)
}
# (items of a list, characters of a text): what is too long is shortened step by step. Of a log the end is kept.
_CUTS = ((1_000_000, 20_000), (100, 1000), (30, 300), (10, 100), (1, 100))


def encode(refusal: Refusal) -> bytes:
    """At most LONGEST bytes. What does not fit is cut from the front of lists (log lines) and from the end of texts."""
    for items, characters in _CUTS:
        text = json.dumps(_plain(refusal, items, characters)).encode("ascii")
        if len(text) <= LONGEST:
            return text
    raise ValueError(f"{type(refusal).__name__} is too long to be told to a worker")


def decode(text: bytes) -> Refusal:
    """The inverse of ``encode``. Raises ValueError for what is none of our refusals: from another version, perhaps."""
    try:
        refusal = _made(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{text[:100]!r} is no refusal: {error}") from None
    if not isinstance(refusal, Refusal):
        raise ValueError(f"{text[:100]!r} is no refusal")
    return refusal


def _plain(value: Any, items: int, characters: int) -> Any:
    match value:
        case str():
            return value if len(value) <= characters else value[: characters - 1] + "…"
        case tuple():
            return [_plain(item, items, characters) for item in value[-items:]]
        case None | bool() | int() | float():
            return value
        case _:
            fields = attrs.fields(type(value))
            return {
                "": type(value).__name__,
                **{field.name: _plain(getattr(value, field.name), items, characters) for field in fields},
            }


def _made(plain: Any) -> Any:
    match plain:
        case list():
            return tuple(map(_made, plain))
        case dict():
            return _TYPES[plain.pop("")](**{name: _made(value) for name, value in plain.items()})
        case _:
            return plain
