"""Provisioning: letting users have stacks, and taking them back with everything that is in them.

Note [Taking back]: a name must never come with what another has left behind it.

    deprovision: the row goes   -> the gateway is killed -> the volumes stay
    provision, the same name    -> its first start finds the volumes

So a row is first marked: from then on nothing starts (stacks.provisioned asks again before each launch). Then the stack is
removed with its volumes, and only when nothing is left does the row go. Rows that are marked, or have expired, are looked for
every few seconds, so that whatever came between is made up for. Who wants a name that is being taken back waits, a while.

Note [The wrong time]: what is taken back is gone for good, and a clock that is set wrong is soon set right again. So a row that
has expired lets nothing start from that moment on, but for as long as SURE after the clock was set its stack is left alone.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .. import events
from ..core.keys import Key
from ..core.model import App
from ..core.provisions import Provision
from ..core.wanted import Wanted
from ..errors import AppGone, ManifestUnavailable, Mishap, ProvisionedOtherwise, Refusal, RequestReused, StillThere
from ..interfaces import IManifest, IProvisioning
from . import provisioned
from .diary import CLOCK_SET
from .incidents import log_bug
from .table import StackTable

INTERVAL = 5.0  # seconds between looks for rows that are over
AT_ONCE = 4  # stacks that are being taken back, beyond which the looks begin no other
SURE = 600.0  # seconds for which a clock that was set is not believed
PATIENCE = 20.0  # seconds that who wants a name waits until what had it is gone

T = TypeVar("T")


def new_password() -> str:
    """128 bits in hex: it needs no quoting in URLs, shells, SQL and YAML."""
    return secrets.token_hex(16)


@implementer(IProvisioning)
@define(eq=False)
class Provisioning:
    """``wall()`` is seconds since the epoch; ``password()`` is a new one each time."""

    _clock: IReactorTime
    _wall: Callable[[], float]
    _table: StackTable
    _manifest: IManifest
    _password: Callable[[], str] = new_password
    _going: dict[Key, list[Deferred[None]]] = field(factory=dict, init=False)  # what is being taken back, and who waits
    _since: float = field(init=False)  # wall seconds when the clock was at 0
    _unsure_until: float = field(default=-inf, init=False)  # monotonic seconds
    _loop: LoopingCall = field(init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __attrs_post_init__(self) -> None:
        self._since = self._wall() - self._clock.seconds()
        self._loop = LoopingCall(lambda: self.look().addErrback(log_bug))
        self._loop.clock = self._clock

    def start(self) -> None:
        self._loop.start(INTERVAL).addErrback(log_bug)

    def stop(self) -> None:
        """What is being taken back goes on as far as it can; the next gateway sees to the rest."""
        if self._loop.running:
            self._loop.stop()

    # -- IProvisioning --------------------------------------------------------------------------------------------------

    def apps(self) -> Mapping[str, App]:
        return {name: app for name, app in self._table.apps.items() if app.provisioned}

    def provision(self, wanted: Wanted) -> Deferred[tuple[Provision, bool]]:
        return Deferred.fromCoroutine(_told(self._provision(wanted)))

    async def _provision(self, wanted: Wanted) -> tuple[Provision, bool]:
        there, made = await self._written(wanted)
        if not there.lives(self._wall()):
            try:
                await self._take_back(there.key).addTimeout(PATIENCE, self._clock)
            except TimeoutError:
                raise StillThere(there.key, retry_after=5) from None
            there, made = await self._written(wanted)
            if not there.lives(self._wall()):
                raise StillThere(there.key, retry_after=5)
        return there, made

    async def _written(self, wanted: Wanted) -> tuple[Provision, bool]:
        """The row that there is now, with what ``wanted`` says of its end; and whether this call has made it."""
        expires = None if wanted.expires == inf else wanted.expires
        who = (wanted.key, wanted.user, wanted.appname, wanted.email)
        fresh = Provision(*who, self._password(), self._wall(), expires, request=wanted.request)
        there = await self._manifest.provision(fresh)
        if there == fresh:
            self._log.info(events.PROVISIONED, key=there.key)
            return there, True
        if there.key != wanted.key:
            raise RequestReused(there.key)
        if not there.lives(self._wall()):
            return there, False
        if wanted.email and wanted.email != there.email:
            raise ProvisionedOtherwise(there.key)
        if wanted.expires is not None and expires != there.expires:
            await self._manifest.prolong(there.key, expires)
            there = evolve(there, expires=expires)
        return there, bool(wanted.request) and wanted.request == there.request

    def deprovision(self, key: Key) -> Deferred[bool]:
        return Deferred.fromCoroutine(_told(self._deprovision(key)))

    def find(self, key: Key) -> Deferred[Provision]:
        return Deferred.fromCoroutine(provisioned.find(self._manifest, key, self._wall()))

    def provisions(self) -> Deferred[tuple[Provision, ...]]:
        return Deferred.fromCoroutine(_told(self._manifest.provisions()))

    # -- taking back ----------------------------------------------------------------------------------------------------

    async def _deprovision(self, key: Key) -> bool:
        if key.app not in self._table.apps:
            raise AppGone(key.app)
        if await self._manifest.provisioned(key) is None:
            return False
        await self._take_back(key)
        return True

    def look(self) -> Deferred[None]:
        """Begin to take back what is over. Fires when that has begun; what goes wrong is logged, and made up for by the next
        look."""
        return Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        now, wall = self._clock.seconds(), self._wall()
        if abs(wall - now - self._since) > CLOCK_SET:  # See Note [The wrong time]
            self._since, self._unsure_until = wall - now, now + SURE
        try:
            for row in await self._manifest.provisions_over(wall):
                if not row.ending and now < self._unsure_until:
                    continue
                if len(self._going) >= AT_ONCE:
                    break
                if row.key.app not in self._table.apps or row.key in self._going:
                    continue
                if await self._manifest.end_provision(row.key, over=wall):  # and nobody has put it off meanwhile
                    self._log.info(events.PROVISION_OVER, key=row.key)
                    self._take_back(row.key).addErrback(lambda _: None)  # logged below
        except sqlite3.Error as error:
            self._log.error(events.MANIFEST_FAILED, app="provisioning", why=error)

    def _take_back(self, key: Key) -> Deferred[None]:
        """Once for all who want it; each has a Deferred of his own, which he may give up."""
        waiter: Deferred[None] = Deferred()
        begin = key not in self._going
        self._going.setdefault(key, []).append(waiter)
        if begin:
            Deferred.fromCoroutine(_told(self._taken_back(key))).addBoth(self._gone, key).addErrback(log_bug)
        return waiter

    async def _taken_back(self, key: Key) -> None:
        """See Note [Taking back]."""
        await self._manifest.end_provision(key)
        try:
            if self._table.pins.known(key):
                await self._table.pin(key, False)
            await self._table.remove(key, volumes=True)
        except KeyError:
            raise AppGone(key.app) from None
        await self._manifest.forget_provision(key)

    def _gone(self, result: Failure | None, key: Key) -> None:
        """Those who wait go first: one who asks again begins anew."""
        waiting = self._going.pop(key)
        if result is None:
            self._log.info(events.PROVISION_REMOVED, key=key)
        else:
            self._log.warn(events.PROVISION_STAYS, key=key, why=result.getErrorMessage())
        for waiter in waiting:
            if waiter.called:
                continue
            if result is None:
                waiter.callback(None)
            else:
                waiter.errback(Failure(result.value))
        if result is not None and not result.check(Refusal, Mishap):
            log_bug(result)


async def _told(asking: Awaitable[T]) -> T:
    """What the manifest cannot do, as a caller is told."""
    try:
        return await asking
    except sqlite3.Error as error:
        raise ManifestUnavailable(str(error), retry_after=5) from error
