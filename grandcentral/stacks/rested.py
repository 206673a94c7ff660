"""What is worth remembering of a stack that does not run, and of which something is kept."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from ..core.idleness import STOPPED
from ..core.keys import Key
from ..core.model import Endpoint, StackSnapshot, StackUse, Version
from ..core.tickets import Ticket

NOWHERE = Endpoint("", 0)
_NONE: Mapping[str, float] = {}


@define(eq=False)
class Rested:
    """Most stacks of a gateway are at rest, and nothing happens to one before somebody asks for it: so it is this, a tenth of
    what a Stack takes, until then.

    It keeps its ticket. A start goes on with the same generation, and workers count what they carry by key and generation.
    """

    key: Key
    version: Version
    ticket: Ticket
    used: float  # when it was last of use (monotonic seconds)
    written: float  # that is the last use of it that is written down
    spellings: tuple[Key, ...]

    def __attrs_post_init__(self) -> None:
        self.ticket.endpoint, self.ticket.phases = NOWHERE, _NONE

    @property
    def generation(self) -> int:
        return self.ticket.generation

    @property
    def unwritten(self) -> bool:
        """Whether it was used after what is written down."""
        return self.used != self.written

    def use(self, pinned: bool, warm: bool) -> StackUse:
        return StackUse(
            self.key,
            STOPPED,
            self.generation,
            last_used=self.used,
            pinned=pinned,
            warm=warm,
            requests=self.ticket.requests,
            version=self.version,
        )

    def snapshot(self, pinned: bool, warm: bool) -> StackSnapshot:
        """As ``use``, written out: there may be ten thousand to be shown at once."""
        ticket = self.ticket
        return StackSnapshot(
            self.key,
            STOPPED,
            ticket.generation,
            last_used=self.used,
            pinned=pinned,
            warm=warm,
            requests=ticket.requests,
            version=self.version,
            bytes_in=ticket.bytes_in,
            bytes_out=ticket.bytes_out,
            phases=_NONE,
        )
