"""What the gateway and its workers say to each other, as AMP commands over a UNIX socket.

A key travels as ``str(key)``. Times are monotonic seconds, which all processes of a machine share. Boxes of one connection are
handled in the order in which they were sent: a Drain that follows a route meets a worker that has it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure

_STACK = [(b"key", amp.Unicode()), (b"generation", amp.Integer())]


class Hello(amp.Command):
    """Worker to gateway, first of all: who it is."""

    arguments = [
        (b"pid", amp.Integer()),
        (b"slot", amp.Integer()),
        (b"version", amp.Unicode()),
        (b"digest", amp.Unicode()),  # of the configuration it works by
        (b"retiring", amp.Boolean()),
    ]
    requiresAnswer = False


class Listening(amp.Command):
    """Worker to gateway, after Hello: a socket it listens on, so that a new gateway has it too. ``slot`` if it is lent."""

    arguments = [(b"endpoint", amp.Unicode()), (b"descriptor", amp.Descriptor()), (b"slot", amp.Integer(optional=True))]
    requiresAnswer = False


class Wake(amp.Command):
    """Worker to gateway: somebody needs this stack. Answered when it is ready, or with a Refusal (see refusals)."""

    arguments = [
        (b"key", amp.Unicode()),
        # As IStacks.ensure has them. Workers of an earlier version say neither.
        (b"wakes", amp.Boolean(optional=True)),
        (b"client", amp.Unicode(optional=True)),
    ]
    response = [
        (b"key", amp.Unicode(optional=True)),  # the canonical one
        (b"generation", amp.Integer(optional=True)),
        (b"host", amp.Unicode(optional=True)),
        (b"port", amp.Integer(optional=True)),
        (b"started", amp.Float(optional=True)),  # and the phases of that start, in seconds: as a Ticket has them, in JSON
        (b"phases", amp.Unicode(optional=True)),
        (b"refusal", amp.String(optional=True)),
    ]


class Lost(amp.Command):
    """Worker to gateway: its endpoint could not be connected to."""

    arguments = _STACK
    requiresAnswer = False


class Progress(amp.Command):
    """Worker to gateway: what may those who wait for this be told?"""

    arguments = [(b"key", amp.Unicode())]
    response = [(b"text", amp.Unicode(optional=True)), (b"seconds", amp.Float(optional=True))]


class Interrupt(amp.Command):
    """A cancel request of PostgreSQL's that came to a worker which does not have the session: to the gateway, and from there to
    the others. Answered when whoever has the session has passed it on, or nobody has it."""

    arguments = [(b"process", amp.Integer()), (b"secret", amp.String()), (b"message", amp.String())]


class Activity(amp.Command):
    """Worker to gateway, once a second: totals of its own, and of each stack that it used since the last time."""

    arguments = [
        (
            b"stacks",
            amp.AmpList(
                [
                    *_STACK,
                    (b"in_flight", amp.Integer()),
                    (b"streams", amp.Integer()),
                    (b"requests", amp.Integer()),
                    (b"bytes_in", amp.Integer()),
                    (b"bytes_out", amp.Integer()),
                    (b"last_used", amp.Float()),
                    (b"last_byte", amp.Float()),
                    (b"open", amp.Boolean()),  # whether the worker uses it without asking
                    (b"keep_until", amp.Float(optional=True)),  # the last word of the application that the worker has heard …
                    (b"leased", amp.Float(optional=True)),  # … and when; workers of an earlier version hear none
                    (b"host", amp.Unicode(optional=True)),  # where the worker finds it; earlier ones do not say
                    (b"port", amp.Integer(optional=True)),
                ]
            ),
        ),
        (b"connections", amp.Integer()),
        (b"requests", amp.Integer()),
        (b"held", amp.Integer()),
        (b"counters", amp.Unicode(optional=True)),  # as HttpCounters.plain has them, in JSON
    ]
    requiresAnswer = False


class Closed(amp.Command):
    """Gateway to worker: ask again before this stack is used."""

    arguments = _STACK
    requiresAnswer = False


class Drain(amp.Command):
    """Gateway to worker: as Closed; and is something in flight there? Streams do not count if it has ``outlived`` them."""

    arguments = [*_STACK, (b"outlived", amp.Boolean(optional=True))]  # a gateway of an earlier version does not say
    response = [(b"busy", amp.Boolean())]


class Lend(amp.Command):
    """Gateway to worker: listen on a socket of a slot that has no worker just now, until it is taken back. It is answered, so
    that a worker of a version that does not know it can say so."""

    arguments = [(b"slot", amp.Integer()), (b"endpoint", amp.Unicode()), (b"descriptor", amp.Descriptor())]


class TakeBack(amp.Command):
    """Gateway to worker: the slot has a worker of its own."""

    arguments = [(b"slot", amp.Integer())]


class Retire(amp.Command):
    """Gateway to worker: accept nobody any more, and end when those who are connected have gone."""

    requiresAnswer = False


class Line(amp.AMP):
    """A connection between the two, without AMP's own words in the log."""

    def makeConnection(self, transport: Any) -> None:
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        amp.BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None
