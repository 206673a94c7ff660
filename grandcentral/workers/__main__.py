"""A worker process: ``python -m grandcentral.workers``, started by the gateway, which says on standard input what to do.

It is a program, and so it may know every part that it puts together, as service.py does for the gateway.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

from .assignment import FIRST_DESCRIPTOR, Assignment


def install_reactor() -> None:
    """The place where a worker's event loop is chosen, before anything imports it."""
    from ..reactors import install_fastest

    install_fastest()


def main() -> None:
    os.setsid()  # Ctrl-C is for the gateway, which tells us
    assignment = Assignment.read(sys.stdin.buffer)
    install_reactor()
    from twisted.internet import reactor

    _begin_to_log(assignment)
    from .places import share, slot_lock

    share(slot_lock(assignment.configuration.gateway.state, assignment.slot))
    worker = put_together(reactor, assignment)
    signal.signal(signal.SIGUSR1, lambda *_: None)  # logrotate's, if it signals every process of the service
    reactor.callWhenRunning(worker.start)
    reactor.addSystemEventTrigger("before", "shutdown", worker.stop)
    reactor.run()


def put_together(reactor: Any, assignment: Assignment) -> Any:
    from ..doors import front_doors
    from ..frontdoor import MonotonicClock
    from .places import address
    from .stacks import RemoteStacks, share
    from .worker import Worker

    configuration = assignment.configuration
    clock = MonotonicClock(reactor)
    stacks = RemoteStacks(clock, share(configuration.limits, assignment.workers))
    doors = front_doors(reactor, clock, stacks, configuration, assignment.secret, assignment.workers)
    stacks.on_close = doors.forget
    factories = {door.endpoint: doors.factory(door) for door in configuration.doors}
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + len(factories))
    ports = [
        (descriptor, listen(reactor, descriptor, factory))
        for descriptor, factory in zip(descriptors, factories.values(), strict=True)
    ]
    control = address(assignment.control)
    worker = Worker(
        clock=clock,
        assignment=assignment,
        stacks=stacks,
        front=doors,
        ports=ports,
        listen=lambda endpoint, descriptor: listen(reactor, descriptor, factories[endpoint]),
        connect=lambda factory: reactor.connectUNIX(control, factory, timeout=5),
        ended=reactor.stop,
    )
    doors.tcp.elsewhere = worker.interrupt
    return worker


def listen(reactor: Any, descriptor: int, factory: Any) -> Any:
    """Accept connections on a socket that we were given. (Dialling is ``frontdoor.connector``'s.)"""
    given = socket.socket(fileno=descriptor)
    given.setblocking(False)
    family = given.family
    given.detach()
    return reactor.adoptStreamPort(descriptor, family, factory)


def _begin_to_log(assignment: Assignment) -> None:
    from twisted.logger import globalLogBeginner
    from twisted.python.logfile import LogFile

    from ..observe.logs import observer

    log = assignment.configuration.log
    stream = LogFile.fromFullPath(f"{assignment.log_file}.{assignment.slot}") if assignment.log_file else sys.stdout
    globalLogBeginner.beginLoggingTo([observer(log.format, stream, log.level)], redirectStandardIO=False)


if __name__ == "__main__":
    main()
