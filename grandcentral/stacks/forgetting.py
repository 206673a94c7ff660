"""Forgetting: what a removed stack has left, its named volumes, has an end as well, if its app says when: ``idle.forget``.

Nobody can make again what is removed here, so nothing is taken for granted. When it was last used must be written down; where
it is not (the manifest is new), it counts as used when that was found. And a clock that is wrong must do no harm: a stack has
to be due for as long as SURE, by a clock that nobody sets, and when the other one is set, that time begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .. import events
from ..core.keys import Key
from ..errors import Mishap, Refusal
from .diary import CLOCK_SET
from .table import StackTable

INTERVAL = 3600.0  # seconds between looks
SURE = 6 * 3600.0  # seconds for which it must have been due


@define(eq=False)
class Forgetting:
    """``wall()`` is seconds since the epoch."""

    _clock: IReactorTime
    _wall: Callable[[], float]
    _table: StackTable
    _since: float = field(default=-inf, init=False)  # wall seconds when the clock was at 0
    _due: dict[Key, float] = field(factory=dict, init=False)  # since when (monotonic seconds)
    _noted: dict[Key, float] = field(factory=dict, init=False)  # when it was found that nobody knows (monotonic seconds)
    _log = Logger(namespace="grandcentral.stacks")

    def look(self) -> Deferred[None]:
        """One round. Fires when what is over has been removed."""
        return Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        now, wall = self._clock.seconds(), self._wall()
        after = {
            app.name: app.idle.forget
            for app in self._table.apps.values()
            if app.idle.forget is not None and app.upstream is None and not app.provisioned
        }
        if abs(wall - now - self._since) > CLOCK_SET:
            self._since = wall - now
            self._due.clear()
            await self._table.note_use({key: self._since + noted for key, noted in self._noted.items()})
        if not after:
            return
        left = {key: used for key, used in (await self._table.left()).items() if key.app in after}
        unknown = {key: now for key, used in left.items() if used is None}
        self._noted.update(unknown)
        await self._table.note_use(dict.fromkeys(unknown, wall))
        due = [key for key, used in sorted(left.items()) if used is not None and wall - used >= after[key.app]]
        self._due = {key: self._due.get(key, now) for key in due}
        for key in due:
            if now - self._due[key] >= SURE and self._table.is_vacant(key):
                await self._forget(key)

    async def _forget(self, key: Key) -> None:
        self._log.info(events.VOLUMES_FORGOTTEN, key=key)
        try:
            await self._table.remove(key, volumes=True)
        except (KeyError, Mishap, Refusal) as error:  # its app has gone, perhaps; there is another round
            self._log.warn(events.VOLUMES_STAY, key=key, why=str(error))
