"""Whether a name has been provisioned: the one question that decides whether it becomes a stack."""

from __future__ import annotations

import sqlite3

from twisted.logger import Logger

from .. import events
from ..core.keys import Key
from ..core.provisions import Provision
from ..errors import ManifestUnavailable, NotProvisioned
from ..interfaces import IManifest

_log = Logger(namespace="grandcentral.stacks")


async def find(manifest: IManifest, key: Key, now: float) -> Provision:
    """Its row, which lives at ``now`` (wall seconds). Raises NotProvisioned, and ManifestUnavailable where nobody knows."""
    try:
        found = await manifest.provisioned(key)
    except sqlite3.Error as error:
        _log.error(events.MANIFEST_FAILED, app=key.app, why=error)
        raise ManifestUnavailable(str(error), retry_after=5) from None
    if found is None or not found.lives(now):
        raise NotProvisioned(key)
    return found
