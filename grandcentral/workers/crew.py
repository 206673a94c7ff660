"""The workers of a gateway: one for each slot, started, adopted, replaced when they die or are out of date."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from .assignment import Assignment
from .hub import Hub, Member
from .places import alive, held, slot_lock

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds before a worker that died is replaced: doubling, as long as they die young
HEALTHY = 10.0  # seconds after which a worker has not died young
READY_WITHIN = 15.0  # seconds from its start to its Hello
RETURN_WITHIN = 3.0  # seconds that workers of an earlier gateway have to find us; they try ten times a second
LOOK = 0.1  # seconds between looks whether a process still runs that is no child of ours
SLACK = 5.0  # seconds over the time that requests may take, before a worker that was told to end is killed

Spawn = Callable[[Assignment, Sequence[int], Callable[[int], None]], int]
"""Starts a process with these listening sockets; returns its id. Calls back with the id when it has ended. Raises OSError."""


class Shared(Protocol):
    """What a crew asks of sockets.Sockets."""

    def open(self) -> None: ...
    def recover(self, text: str, slot: int, descriptor: int) -> None: ...
    def descriptors(self, slot: int) -> list[int]: ...
    def own(self, slot: int) -> list[tuple[str, int]]: ...
    def close(self) -> None: ...


@define(eq=False)
class Slot:
    """``member`` serves; ``successor`` was started to take its place. While there is no member, ``lender`` accepts from its
    sockets: the kernel goes on to give them their share of the connections."""

    number: int
    member: Member | None = None
    successor: Member | None = None
    lender: Member | None = None
    deaths: int = 0  # in a row, of workers that died young
    timer: IDelayedCall | None = None  # for the next start, or until the successor must have said Hello

    def cancel(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


@define(eq=False)
class Crew:
    """``assignment(slot)`` is what a worker that is started now is told.

    ``kill`` and ``alive`` are about processes by their ids, as os.kill and places.alive.
    """

    _clock: IReactorTime
    _hub: Hub
    _sockets: Shared
    _spawn: Spawn
    _assignment: Callable[[int], Assignment]
    _state: Path
    _kill: Callable[[int, int], None] = os.kill
    _alive: Callable[[int], bool] = alive
    _slots: list[Slot] = field(init=False)
    _stopping: bool = field(default=False, init=False)
    _rolling: bool = field(default=False, init=False)
    _log = Logger(namespace="grandcentral.workers")

    def __attrs_post_init__(self) -> None:
        self._slots = [Slot(number) for number in range(self._assignment(0).workers)]
        self._hub.greeted, self._hub.lost, self._hub.recovered = self._greeted, self._lost, self._recovered

    def bind(self) -> None:
        """Open the listening sockets, unless workers have them from an earlier gateway. Raises OSError."""
        if not self._survivors():
            self._sockets.open()

    async def start(self) -> None:
        """Fires when every slot has a worker that serves. Workers can reach us from before this."""
        self._hub.complete = False
        await self._until(lambda: all(self._slots[slot].member for slot in self._survivors()), RETURN_WITHIN)
        self._hub.complete = True
        for slot in self._slots:
            if slot.member is None:
                self._fill(slot)
        await self._until(lambda: all(slot.member for slot in self._slots), READY_WITHIN)
        self.roll()

    def roll(self) -> None:
        """Replace, one after the other, the workers that are not as they would be if they were started now."""
        if not self._rolling:
            Deferred.fromCoroutine(self._roll()).addErrback(self._bug)

    async def stop(self, grace: float) -> None:
        """End them all. Fires when they have; those that take longer than ``grace`` and a little more are killed."""
        self._stopping = True
        self._sockets.close()
        for slot in self._slots:
            slot.cancel()
        for member in list(self._hub.members.values()):
            self._signal(member, signal.SIGTERM)
        if await self._until(lambda: not self._hub.members, grace + SLACK):
            return
        for member in list(self._hub.members.values()):
            self._log.warn(events.WORKER_KILLED, slot=member.slot, pid=member.pid)
            self._signal(member, signal.SIGKILL)
        await self._until(lambda: not self._hub.members, SLACK)

    def seen(self) -> list[dict[str, Any]]:
        """The workers as the operator sees them."""
        now = self._clock.seconds()
        return [
            {
                "slot": member.slot,
                "pid": member.pid,
                "version": member.version,
                "state": "retiring" if member.retiring else "serving" if member.line is not None else "starting",
                "uptime_seconds": round(now - member.since, 1),
                "connections": member.connections,
                "requests": member.requests,
                "held": member.held,
            }
            for member in sorted(self._hub.members.values(), key=lambda member: (member.slot, member.since))
        ]

    # -- workers come -----------------------------------------------------------------------------------------------------

    def _fill(self, slot: Slot) -> Member | None:
        """Start a worker. If that cannot be, it is tried again later."""
        assignment = self._assignment(slot.number)
        try:
            pid = self._spawn(assignment, self._sockets.descriptors(slot.number), self._ended)
        except OSError as error:
            self._log.error(events.WORKER_UNSTARTED, slot=slot.number, why=str(error))
            self._refill(slot)
            return None
        member = Member(pid, slot.number, assignment.digest, self._clock.seconds())
        self._hub.members[pid] = member
        slot.successor = member
        slot.timer = self._clock.callLater(READY_WITHIN, self._late, member)
        self._lend()
        return member

    def _refill(self, slot: Slot) -> float:
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0**slot.deaths)
        slot.deaths += 1
        slot.timer = self._clock.callLater(delay, self._fill, slot)
        return delay

    def _greeted(self, member: Member) -> None:
        slot = self._slots[member.slot] if member.slot < len(self._slots) else None
        if member.retiring or self._stopping:
            return
        if slot is None or (slot.member not in (None, member) and slot.successor is not member):
            member.retire()
            return
        if slot.member is member:
            return  # its line had only broken
        if slot.successor is member:
            slot.successor = None
            slot.cancel()
            self._log.info(events.WORKER_OPEN, slot=slot.number, pid=member.pid)
        else:
            if slot.successor is None:
                slot.cancel()
            self._log.info(events.WORKER_ADOPTED, slot=slot.number, pid=member.pid)
        before, slot.member = slot.member, member
        self._lend()
        if before is not None:
            before.retire()

    def _recovered(self, member: Member, slot: int, endpoint: str, descriptor: int) -> None:
        if self._stopping:
            os.close(descriptor)
            return
        self._sockets.recover(endpoint, slot, descriptor)
        if slot != member.slot and slot < len(self._slots):
            self._slots[slot].lender = member
            self._lend()

    def _lend(self) -> None:
        """Have somebody accept from the sockets of each slot that has no worker, and nobody else from those of the others."""
        serving = [slot.member for slot in self._slots if slot.member is not None]
        for slot in self._slots:
            if slot.member is not None:
                lender, slot.lender = slot.lender, None
                if lender is not None:
                    lender.give_back(slot.number)
            elif serving and slot.lender not in serving:
                lender = serving[slot.number % len(serving)]
                for endpoint, descriptor in self._sockets.own(slot.number):
                    slot.lender = lender
                    lender.lend(slot.number, endpoint, descriptor)

    # -- workers go -------------------------------------------------------------------------------------------------------

    def _lost(self, member: Member) -> None:
        """Its line is broken: it has ended, or will find us again."""
        if member.line is None and member.pid in self._hub.members:
            if self._alive(member.pid):
                self._clock.callLater(LOOK, self._lost, member)
            else:
                self._ended(member.pid)

    def _ended(self, pid: int) -> None:
        member = self._hub.gone(pid)
        if member is None:
            return
        if member.retiring or self._stopping:
            self._log.info(events.WORKER_RETIRED, slot=member.slot, pid=pid)
        if self._stopping or member.slot >= len(self._slots):
            return
        slot = self._slots[member.slot]
        if slot.successor is member:
            slot.successor = None
            slot.cancel()
        elif slot.member is member:
            slot.member = None
        else:
            return
        self._lend()
        if slot.member is None and slot.successor is None:
            if self._clock.seconds() - member.since > HEALTHY:
                slot.deaths = 0
            self._log.warn(events.WORKER_DIED, slot=slot.number, pid=pid, delay=self._refill(slot))

    def _late(self, member: Member) -> None:
        if member.pid in self._hub.members:
            self._log.error(events.WORKER_LATE, slot=member.slot, pid=member.pid, within=READY_WITHIN)
            self._signal(member, signal.SIGKILL)

    def _signal(self, member: Member, number: int) -> None:
        try:
            self._kill(member.pid, number)
        except ProcessLookupError:
            self._ended(member.pid)

    # -- waiting ----------------------------------------------------------------------------------------------------------

    async def _roll(self) -> None:
        self._rolling = True
        try:
            while not self._stopping and (slot := self._outdated()) is not None:
                if not await self._replace(slot):
                    await deferLater(self._clock, LONGEST_DELAY)
        finally:
            self._rolling = False

    async def _replace(self, slot: Slot) -> bool:
        """Whether a new worker serves instead of the old."""
        successor = self._fill(slot)
        await self._until(lambda: slot.successor is not successor, READY_WITHIN + SLACK)
        return successor is not None and slot.member is successor

    def _bug(self, failure: Failure) -> None:
        self._log.failure(events.BUG, failure, incident="-", what="replacing workers")

    def _outdated(self) -> Slot | None:
        for slot in self._slots:
            member = slot.member
            if member and not slot.successor and member.digest != self._assignment(slot.number).digest:
                return slot
        return None

    def _survivors(self) -> list[int]:
        """The slots that have a worker of an earlier gateway."""
        return [slot.number for slot in self._slots if held(slot_lock(self._state, slot.number))]

    async def _until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait for it. False if it did not come about."""
        until = self._clock.seconds() + within
        while not condition():
            if self._clock.seconds() >= until:
                return False
            await deferLater(self._clock, LOOK / 2)
        return True
