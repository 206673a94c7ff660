"""Leases: an application asks to be kept awake for so many seconds, in a field of an answer or by a call with its own token.

The field is X-Grand-Central-Keep-Alive; the call is POST PATH?seconds=… on the stack's own host. 0 gives the lease back.
"""

from __future__ import annotations

import hmac
import re

from .keys import Key

PATH = "/.grand-central/keep-alive"

_SECONDS = re.compile(rb"[0-9]{1,15}").fullmatch


def token(secret: bytes, key: Key) -> str:
    """What the services of one stack prove themselves with, whichever generation: HMAC-SHA256 of the key, in hex."""
    return hmac.digest(secret, b"keep-alive " + str(key).encode(), "sha256").hex()


def seconds(text: bytes) -> int | None:
    """Digits alone are a number of seconds; everything else is None."""
    text = text.strip(b" \t")
    return int(text) if _SECONDS(text) else None
