"""The life of a stack, as a table.

Two rules. Everything that decides what happens next to a stack is in TRANSITIONS; and this file knows neither time nor
engines nor requests. ``step`` looks a pair up and returns the next state with the effects that the caller must perform, in
order. A pair that is not in the table raises :class:`IllegalTransition`, and nothing has changed.

Whether a stack that does not run left something behind (its containers or work tree, with their data) is a fact beside the
state: HALT leaves behind what is worth keeping, and LAUNCH starts that again. It changes nothing about what may happen when,
so that there is one row for both: an operator reads "stopped" for a cold stack of which something is kept.

docs/lifecycle.md and its diagram are made from the table.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a stack is in its life. The value is what operators read."""

    COLD = "cold"  # nothing of it runs
    QUEUED = "queued"  # wanted; waits for a slot
    STARTING = "starting"  # the backend creates it
    PROBING = "probing"  # launched; we ask it whether it is ready
    READY = "ready"  # requests flow
    CHECKING = "checking"  # a connection was refused: is it still there?
    REPROBING = "probing again"  # it is there; we ask it once more whether it is ready
    DRAINING = "draining"  # chosen to be stopped; waits for nothing to be in flight
    DOZING = "dozing"  # chosen to be paused; waits for nothing to be in flight
    PAUSED = "paused"  # frozen, with its memory
    RESUMING = "resuming"  # being thawed
    SAVING = "saving"  # unused; its before_stop commands run
    CLOSING = "closing"  # an operator wants it stopped; its before_stop commands run
    STOPPING = "stopping"  # being stopped
    STOPPING_WANTED = "stopping, wanted"  # being stopped, and asked for again meanwhile
    FAILING = "failing"  # being stopped after a failure
    FAILED = "failed"  # the failure is remembered; nothing of it runs
    REMOVING = "removing"  # what was kept of it is being removed

    @property
    def holds_slot(self) -> bool:
        """Whether something of the stack may be running, so that it counts against ``max_stacks``."""
        return self not in (State.COLD, State.QUEUED, State.FAILED, State.REMOVING)


class Event(Enum):
    """What can happen to a stack. The value says who brings the news."""

    WANTED = "a request needs it"
    ADOPTED = "found running, whole"
    ADOPTED_PAUSED = "found frozen, whole"
    ADOPTED_STOPPED = "found stopped, whole"
    FOUND_BROKEN = "found half made or half dead"
    SLOT_GRANTED = "admission found a slot"
    SLOT_REFUSED = "admission found none in time"
    LAUNCHED = "the backend started every service"
    LAUNCH_FAILED = "the backend could not"
    PROBE_PASSED = "our probe was answered"
    DEADLINE = "the start took too long"
    LOST = "a request could not connect"
    FOUND = "the backend says that it is there"
    CHECK_FAILED = "the backend does not answer"
    VANISHED = "a service of it ended"
    STOP_CHOSEN = "the janitor, or admission, chose it to be stopped"
    PAUSE_CHOSEN = "the janitor chose it to be paused"
    REMOVE_CHOSEN = "what is kept of it is to be removed"
    DRAINED = "nothing is in flight"
    DRAIN_REFUSED = "something is in flight"
    SAVED = "its before_stop commands have ended well"
    SAVE_FAILED = "one of them has not"
    PAUSE_FAILED = "the backend could not freeze it"
    RESUMED = "the backend thawed it"
    RESUME_FAILED = "the backend could not thaw it"
    HALTED = "nothing of it runs"
    HALT_FAILED = "something of it may run, or be left"
    HALT_RETRY = "time to try again"
    STOP_ASKED = "an operator wants it stopped"
    FORCE_ASKED = "an operator wants it stopped, saved or not"
    RETRY_ELAPSED = "the failure is old enough"
    RETRY_ASKED = "an operator wants it tried again"


class Effect(Enum):
    """What the caller must do. Those marked (engine) run behind the stack's lock, one after the other."""

    ASK_SLOT = "ask admission for a slot"
    LEAVE_QUEUE = "give up the place in the queue"
    FREE_SLOT = "give the slot back"
    LAUNCH = "start every service: of what was kept, or of one made anew (engine)"
    HALT = "stop every service; remove what is not worth keeping (engine)"
    REMOVE = "remove what was kept (engine)"
    SAVE = "run its before_stop commands, thawed if need be (engine)"
    ALARM = "say that it could not be saved, and let it be for a while"
    PAUSE = "freeze it (engine)"
    RESUME = "thaw it (engine)"
    CHECK = "ask the backend whether it is there (engine)"
    PROBE = "probe it until it answers"
    DRAIN = "close the door; say whether something is in flight"
    CLOSE = "close the door"
    OPEN = "open the door: frontends may use it without asking"
    FIRE_WAITERS = "let the held requests go"
    FAIL_WAITERS = "answer the held requests with the reason"
    REMEMBER = "keep the failure and when to try again"
    FORGET = "forget the failure"
    ARM_START = "set the deadline of the launch"
    ARM_READY = "set the deadline of readiness"
    ARM_RETRY = "set the time at which the failure is old enough"
    ARM_HALT = "set the time at which to halt again"


class IllegalTransition(Exception):
    """This cannot happen in that state. A bug of the caller; the stack is as it was."""

    def __init__(self, state: State, event: Event) -> None:
        self.state, self.event = state, event
        super().__init__(f"{event.name} in state {state.name}")


S, E, F = State, Event, Effect
Row = tuple[State, tuple[Effect, ...]]

_ready: Row = (S.READY, (F.OPEN, F.FIRE_WAITERS))
_start_failed: Row = (S.FAILING, (F.REMEMBER, F.FAIL_WAITERS, F.HALT))
_start_stopped: Row = (S.STOPPING, (F.FAIL_WAITERS, F.HALT))
_gone: Row = (S.STOPPING, (F.CLOSE, F.HALT))
_gone_wanted: Row = (S.STOPPING_WANTED, (F.HALT,))
_closing: Row = (S.CLOSING, (F.FAIL_WAITERS, F.SAVE))

TRANSITIONS: dict[State, dict[Event, Row]] = {
    S.COLD: {
        E.WANTED: (S.QUEUED, (F.ASK_SLOT,)),
        E.ADOPTED: (S.PROBING, (F.PROBE, F.ARM_READY)),
        E.ADOPTED_PAUSED: (S.PAUSED, ()),
        E.ADOPTED_STOPPED: (S.COLD, ()),
        E.FOUND_BROKEN: (S.STOPPING, (F.HALT,)),
        E.REMOVE_CHOSEN: (S.REMOVING, (F.REMOVE,)),
        E.STOP_ASKED: (S.COLD, ()),
        E.FORCE_ASKED: (S.COLD, ()),
    },
    S.QUEUED: {
        E.WANTED: (S.QUEUED, ()),  # single flight
        E.SLOT_GRANTED: (S.STARTING, (F.LAUNCH, F.ARM_START)),
        E.SLOT_REFUSED: (S.COLD, (F.FAIL_WAITERS,)),
        E.STOP_ASKED: (S.COLD, (F.LEAVE_QUEUE, F.FAIL_WAITERS)),
        E.FORCE_ASKED: (S.COLD, (F.LEAVE_QUEUE, F.FAIL_WAITERS)),
    },
    S.STARTING: {
        E.WANTED: (S.STARTING, ()),  # single flight
        E.LAUNCHED: (S.PROBING, (F.PROBE, F.ARM_READY)),
        E.LAUNCH_FAILED: _start_failed,
        E.DEADLINE: _start_failed,
        E.VANISHED: _start_failed,
        E.STOP_ASKED: _start_stopped,
        E.FORCE_ASKED: _start_stopped,
    },
    S.PROBING: {
        E.WANTED: (S.PROBING, ()),  # single flight
        E.PROBE_PASSED: (S.READY, (F.OPEN, F.FIRE_WAITERS, F.FORGET)),
        E.DEADLINE: _start_failed,
        E.VANISHED: _start_failed,
        E.STOP_ASKED: _start_stopped,
        E.FORCE_ASKED: _start_stopped,
    },
    S.READY: {
        E.WANTED: (S.READY, (F.FIRE_WAITERS,)),
        E.LOST: (S.CHECKING, (F.CLOSE, F.CHECK)),
        E.STOP_CHOSEN: (S.DRAINING, (F.DRAIN,)),
        E.PAUSE_CHOSEN: (S.DOZING, (F.DRAIN,)),
        E.VANISHED: _gone,
        E.STOP_ASKED: (S.CLOSING, (F.CLOSE, F.SAVE)),
        E.FORCE_ASKED: _gone,
    },
    S.CHECKING: {
        E.WANTED: (S.CHECKING, ()),
        E.FOUND: (S.REPROBING, (F.PROBE, F.ARM_READY)),
        E.CHECK_FAILED: (S.READY, (F.OPEN, F.FAIL_WAITERS)),  # nothing is known, so nothing is concluded
        E.VANISHED: _gone_wanted,  # who lost the connection is about to ask again
        E.STOP_ASKED: _closing,
        E.FORCE_ASKED: _start_stopped,
    },
    S.REPROBING: {
        E.WANTED: (S.REPROBING, ()),
        E.PROBE_PASSED: _ready,
        E.DEADLINE: _start_failed,
        E.VANISHED: _gone_wanted,  # it was ready once: no failed start, but one to be repeated
        E.STOP_ASKED: _closing,
        E.FORCE_ASKED: _start_stopped,
    },
    S.DRAINING: {
        E.WANTED: _ready,  # the cheapest start there is
        E.DRAINED: (S.SAVING, (F.SAVE,)),
        E.DRAIN_REFUSED: _ready,
        E.VANISHED: _gone,
        E.STOP_ASKED: (S.CLOSING, (F.SAVE,)),
        E.FORCE_ASKED: _gone,
    },
    S.DOZING: {
        E.WANTED: _ready,
        E.DRAINED: (S.PAUSED, (F.PAUSE,)),
        E.DRAIN_REFUSED: _ready,
        E.VANISHED: _gone,
        E.STOP_ASKED: (S.CLOSING, (F.SAVE,)),
        E.FORCE_ASKED: _gone,
    },
    S.PAUSED: {
        E.WANTED: (S.RESUMING, (F.RESUME,)),
        E.STOP_CHOSEN: (S.SAVING, (F.SAVE,)),
        E.PAUSE_FAILED: (S.SAVING, (F.SAVE,)),  # then it sleeps deeper
        E.VANISHED: (S.STOPPING, (F.HALT,)),
        E.STOP_ASKED: (S.CLOSING, (F.SAVE,)),
        E.FORCE_ASKED: (S.STOPPING, (F.HALT,)),
    },
    S.RESUMING: {
        E.WANTED: (S.RESUMING, ()),  # single flight
        E.RESUMED: _ready,
        E.CHECK_FAILED: (S.PAUSED, (F.FAIL_WAITERS,)),  # its memory may well be there when the engine is back
        E.RESUME_FAILED: _gone_wanted,
        E.VANISHED: _gone_wanted,
        E.STOP_ASKED: _closing,
        E.FORCE_ASKED: _start_stopped,
    },
    S.SAVING: {
        E.WANTED: (S.RESUMING, (F.RESUME,)),  # it need not be thawed yet
        E.SAVED: (S.STOPPING, (F.HALT,)),
        E.SAVE_FAILED: (S.RESUMING, (F.ALARM, F.RESUME)),
        E.VANISHED: (S.STOPPING, (F.HALT,)),
        E.STOP_ASKED: (S.CLOSING, ()),
        E.FORCE_ASKED: (S.STOPPING, (F.HALT,)),
    },
    S.CLOSING: {
        E.WANTED: (S.CLOSING, (F.FAIL_WAITERS,)),  # nobody calls off what an operator wants
        E.SAVED: (S.STOPPING, (F.HALT,)),
        E.SAVE_FAILED: (S.RESUMING, (F.ALARM, F.RESUME)),
        E.VANISHED: (S.STOPPING, (F.HALT,)),
        E.STOP_ASKED: (S.CLOSING, ()),
        E.FORCE_ASKED: (S.STOPPING, (F.HALT,)),
    },
    S.STOPPING: {
        E.WANTED: (S.STOPPING_WANTED, ()),  # remember it, do not race
        E.HALTED: (S.COLD, (F.FREE_SLOT,)),
        E.HALT_FAILED: (S.STOPPING, (F.ARM_HALT,)),  # the slot stays taken: its containers may still run
        E.HALT_RETRY: (S.STOPPING, (F.HALT,)),
        E.VANISHED: (S.STOPPING, ()),
        E.STOP_ASKED: (S.STOPPING, ()),
        E.FORCE_ASKED: (S.STOPPING, ()),
    },
    S.STOPPING_WANTED: {
        E.WANTED: (S.STOPPING_WANTED, ()),
        E.HALTED: (S.STARTING, (F.LAUNCH, F.ARM_START)),  # keeps its slot
        E.HALT_FAILED: (S.STOPPING, (F.FAIL_WAITERS, F.ARM_HALT)),  # the engine is away: say so now
        E.HALT_RETRY: (S.STOPPING_WANTED, (F.HALT,)),
        E.VANISHED: (S.STOPPING_WANTED, ()),
        E.STOP_ASKED: (S.STOPPING, (F.FAIL_WAITERS,)),
        E.FORCE_ASKED: (S.STOPPING, (F.FAIL_WAITERS,)),
    },
    S.FAILING: {
        E.WANTED: (S.FAILING, (F.FAIL_WAITERS,)),
        E.HALTED: (S.FAILED, (F.FREE_SLOT, F.ARM_RETRY)),
        E.HALT_FAILED: (S.FAILING, (F.ARM_HALT,)),
        E.HALT_RETRY: (S.FAILING, (F.HALT,)),
        E.VANISHED: (S.FAILING, ()),
        E.STOP_ASKED: (S.FAILING, ()),
        E.FORCE_ASKED: (S.FAILING, ()),
    },
    S.FAILED: {
        E.WANTED: (S.FAILED, (F.FAIL_WAITERS,)),  # no crash loop
        E.RETRY_ELAPSED: (S.COLD, ()),
        E.RETRY_ASKED: (S.COLD, (F.FORGET,)),
        E.STOP_ASKED: (S.COLD, (F.FORGET,)),
        E.FORCE_ASKED: (S.COLD, (F.FORGET,)),
    },
    S.REMOVING: {
        E.WANTED: (S.QUEUED, (F.ASK_SLOT,)),  # the launch waits for its turn at the engine, and sees what is left
        E.HALTED: (S.COLD, ()),
        E.HALT_FAILED: (S.REMOVING, (F.ARM_HALT,)),
        E.HALT_RETRY: (S.REMOVING, (F.REMOVE,)),
        E.REMOVE_CHOSEN: (S.REMOVING, ()),
        E.STOP_ASKED: (S.REMOVING, ()),
        E.FORCE_ASKED: (S.REMOVING, ()),
    },
}


def step(state: State, event: Event) -> Row:
    """The next state and the effects to perform, in order. Raises IllegalTransition."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(state, event) from None
