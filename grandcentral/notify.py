"""Telling systemd how we are: the datagrams of sd_notify(3). Without systemd, nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


@frozen
class Systemd:
    """``address`` is $NOTIFY_SOCKET. What cannot be sent is not: systemd's own time-outs are the judge of that."""

    address: str = ""
    watchdog: float = 0.0  # seconds within which it wants to hear from us; 0: it does not

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Systemd:
        """As the environment says (sd_watchdog_enabled(3))."""
        asked = environ.get("WATCHDOG_USEC", "") if environ.get("WATCHDOG_PID", str(pid)) == str(pid) else ""
        return cls(environ.get("NOTIFY_SOCKET", ""), int(asked) / 1e6 if asked.isdigit() else 0.0)

    def say(self, *lines: str) -> None:
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(lines).encode(), address)
            except OSError:
                return

    def ready(self, status: str) -> None:
        self.say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the configuration")

    def stopping(self) -> None:
        self.say("STOPPING=1", "STATUS=letting requests finish")

    def live(self, clock: IReactorTime) -> LoopingCall | None:
        """Say every now and then, as often as systemd wants it, that the event loop turns. Returns what can be stopped."""
        if not (self.address and self.watchdog):
            return None
        beating = LoopingCall(self.say, "WATCHDOG=1")
        beating.clock = clock
        beating.start(self.watchdog / 2)
        return beating
