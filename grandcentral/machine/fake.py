"""The fake: a machine that has what it is told to have."""

from __future__ import annotations

from attrs import define, field
from zope.interface import implementer

from ..core.pressure import Memory
from ..interfaces import IMachine

GIB = 2**30


@implementer(IMachine)
@define(eq=False)
class FakeMachine:
    """Of memory and disk there is plenty, until somebody says otherwise. None: it does not tell."""

    memory_now: Memory | None = field(factory=lambda: Memory(total=64 * GIB, available=32 * GIB))
    disk_now: int | None = 1000 * GIB

    def memory(self) -> Memory | None:
        return self.memory_now

    def disk_free(self) -> int | None:
        return self.disk_now
