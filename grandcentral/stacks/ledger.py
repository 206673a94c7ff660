"""The ledger: what each stack takes of memory, and what one of each app is known to need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from attrs import define, field
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .. import events
from ..core import launching, provisions
from ..core.idleness import HOLDING
from ..core.keys import Key
from ..core.model import App, StackUse, Usage
from ..core.needs import ENOUGH, Need
from ..core.pressure import Accounts, declared
from ..core.problems import Invalid
from ..errors import Mishap
from ..interfaces import IBackend, IMachine
from .stack import Stack

WITHIN = 10.0  # seconds that an engine has to say what its stacks take
GUESS = 256 * 2**20  # bytes that a stack may take of which nothing is said or known: with none, a crowd of them would be let in


@define(eq=False)
class Ledger:
    """``backends`` are those of the table, by name.

    An app needs the most that one of its last stacks was seen to take (core.needs). Until they were seen often ENOUGH, one may
    need all that its template allows it, or GUESS.
    """

    _clock: IReactorTime
    _machine: IMachine
    _backends: Mapping[str, IBackend]
    _snapshot: Callable[[], Iterable[StackUse]]
    _usage: dict[Key, int] = field(factory=dict, init=False)  # of stacks that hold a slot
    _seen: dict[str, Need] = field(factory=dict, init=False)  # by app
    _times: Counter[str] = field(factory=Counter, init=False)  # by app: how often one was weighed that was ready
    _asked: dict[Key, StackUse] = field(factory=dict, init=False)  # those that are being weighed, and run as they did then
    learning: bool = field(default=False, init=False)  # something runs of an app that is not known yet
    _allowed: dict[str, tuple[App, int]] = field(factory=dict, init=False)  # by name: the app it was read of, and bytes
    _silent: set[str] = field(factory=set, init=False)  # backends that did not answer the last time
    _log = Logger(namespace="grandcentral.stacks")

    def accounts(self) -> Accounts | None:
        """What is known at this instant; None if the machine does not tell."""
        memory = self._machine.memory()
        if memory is None:
            return None
        needs = {name: allowed for name, (_, allowed) in self._allowed.items() if not self._knows(name)}
        needs |= {name: max(seen.bytes, needs.get(name, 0)) for name, seen in self._seen.items()}
        return Accounts(memory, self._usage, needs)

    def expect(self, stack: Stack) -> None:
        """It wants to start: see what the template of its app allows."""
        app = stack.app
        if self._knows(app.name) or self._allowed.get(app.name, (None, 0))[0] is app:
            return
        try:
            given = provisions.SAMPLE if app.provisioned else launching.NOTHING
            spec = launching.launch(app, stack.key, stack.generation, stack.version, *stack.address, "", given).spec
        except Invalid:  # as its start will say
            return
        self._allowed[app.name] = app, declared(spec) or GUESS

    def starts(self, key: Key) -> None:
        """What it took before it was stopped says nothing any more."""
        self._usage.pop(key, None)
        self._asked.pop(key, None)
        if key.app in self._seen:
            self._seen[key.app].ended(key)
        self.learning |= not self._knows(key.app)

    async def weigh(self) -> None:
        """Ask every backend what its stacks take. What one said before that does not answer now holds on.

        Of a stack that was started since it was asked after, the answer may be about its last run: that one is not believed.
        """
        self._asked = {stack.key: stack for stack in self._snapshot() if stack.state in HOLDING}
        self.learning = False
        found: dict[Key, Usage] = {}
        for name, backend in list(self._backends.items()):
            try:
                found.update(await backend.usage().addTimeout(WITHIN, self._clock))
                self._silent.discard(name)
            except (Mishap, TookTooLong) as error:
                if name not in self._silent:
                    self._silent.add(name)
                    why = str(error) if isinstance(error, Mishap) else f"no answer within {WITHIN:g} s"
                    self._log.warn(events.USAGE_UNKNOWN, backend=name, why=why)
        before, asked = self._usage, self._asked
        self._usage, self._asked = {}, {}
        for key, stack in asked.items():
            said = found.get(key)
            self._enter(stack, before.get(key) if said is None else said.memory)
        running = frozenset(self._usage)
        for need in self._seen.values():
            need.only(running)

    def _enter(self, stack: StackUse, memory: int | None) -> None:
        app = stack.key.app
        if memory is not None:
            self._usage[stack.key] = memory
            self._seen.setdefault(app, Need()).weighed(stack.key, memory)
        if stack.ready_since is not None:
            self._times[app] += 1  # even if nobody says what it takes
        self.learning |= not self._knows(app)

    def _knows(self, app: str) -> bool:
        return self._times[app] >= ENOUGH
