"""A machine whose memory stacks take."""

from __future__ import annotations

from attrs import define, field

from grandcentral.backends.memory import MemoryEngine
from grandcentral.core.pressure import Memory
from grandcentral.machine.fake import FakeMachine


@define(eq=False)
class Host(FakeMachine):
    """``engine.memory`` says what each takes that runs; ``size`` is what there is for all."""

    engine: MemoryEngine = field(kw_only=True)
    size: int = field(kw_only=True)
    least: int = field(default=2**63, kw_only=True)  # that was ever available

    def memory(self) -> Memory:
        taken = sum(self.engine.memory.get(key, 0) for key, stack in self.engine.stacks.items() if not stack.stopped)
        self.least = min(self.least, self.size - taken)
        return Memory(100 * self.size, self.size - taken)
