"""Addresses, a bridge and firewall rules for one private engine, so that it disturbs no other engine on the machine.

Two engines that both manage iptables flush each other's chains when they start. So ours manages none: it gets one chain of
its own in ``filter`` and one in ``nat``, which do for its addresses what Docker's do: forward within a network, never between
two of them, and translate what leaves the machine. Published ports go through Docker's userland proxy, as they do on
the loopback interface anyway.
"""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Network
from typing import Any

from attrs import frozen

from .errors import Unavailable
from .packages import find


@frozen
class PrivateNetwork:
    """One /16 of private addresses and the default bridge in it. ``name`` is that of the bridge and of the chains."""

    name: str
    subnet: IPv4Network

    @classmethod
    def claim(cls) -> PrivateNetwork:
        """Take the first network that nobody uses. Making the bridge is what takes it: that succeeds for one of us only."""
        used = [IPv4Network(route["dst"]) for route in _ip_json("route") if route["dst"][0].isdigit()]
        for number in range(64):
            claimed = cls(f"gc-test-{number}", IPv4Network((f"10.{160 + number}.0.0", 16)))
            if any(claimed.subnet.overlaps(other) for other in used):
                continue
            if _succeeds(find("ip"), "link", "add", claimed.name, "type", "bridge"):
                try:
                    claimed._set_up()
                except BaseException:
                    claimed.release()
                    raise
                return claimed
        raise Unavailable("no private network is free between 10.160.0.0/16 and 10.223.0.0/16, or bridges can't be made here")

    @property
    def settings(self) -> dict[str, object]:
        """What goes into the engine's daemon.json."""
        upper_half = list(self.subnet.subnets())[1]
        return {
            "bridge": self.name,
            "iptables": False,
            "default-address-pools": [{"base": str(upper_half), "size": 26}],
        }

    def _set_up(self) -> None:
        run(find("ip"), "address", "add", f"{self.subnet[1]}/24", "dev", self.name)
        run(find("ip"), "link", "set", self.name, "up")
        subnet = str(self.subnet)
        for table in ("filter", "nat"):
            _iptables(table, "-N", self.name)
        for rule in (
            ("-m", "physdev", "--physdev-is-bridged", "-s", subnet, "-d", subnet, "-j", "ACCEPT"),
            ("-s", subnet, "-d", subnet, "-j", "DROP"),
            ("-s", subnet, "-j", "ACCEPT"),
            ("-d", subnet, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"),
        ):
            _iptables("filter", "-A", self.name, *rule)
        _iptables("nat", "-A", self.name, "-s", subnet, "!", "-d", subnet, "-j", "MASQUERADE")
        for table, hook in (("filter", "FORWARD"), ("nat", "POSTROUTING")):
            _iptables(table, "-I", hook, "-j", self.name)

    def release(self) -> None:
        """Take away the rules and every interface with an address of ours: the bridge, and those of Docker networks."""
        for table, hook in (("filter", "FORWARD"), ("nat", "POSTROUTING")):
            for change in (("-D", hook, "-j", self.name), ("-F", self.name), ("-X", self.name)):
                _succeeds(find("iptables"), "--wait", "-t", table, *change)
        for interface in _ip_json("address"):
            addresses = [IPv4Network(a["local"]) for a in interface["addr_info"] if a["family"] == "inet"]
            if interface["ifname"] == self.name or any(address.subnet_of(self.subnet) for address in addresses):
                _succeeds(find("ip"), "link", "delete", interface["ifname"])


def run(*command: str) -> str:
    """The output of a command. Raises Unavailable with what it said if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _ip_json(what: str) -> list[dict[str, Any]]:
    return json.loads(run(find("ip"), "-json", what))


def _iptables(table: str, *arguments: str) -> None:
    run(find("iptables"), "--wait", "-t", table, *arguments)
