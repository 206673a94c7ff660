"""What was seen of containers when we looked, and what a stack made of them is worth. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from ...core.keys import Key
from ...core.model import Endpoint, Found
from .labels import SERVICE, SERVICES, Labels, Roster, generation_of, key_of, serves_of, version_of
from .translate import Condition, condition, exit_status


@frozen
class Seen:
    """One container, as ``ContainerInspect`` shows it."""

    id: str
    labels: Labels
    condition: Condition
    status: int | None  # how it ended, if it has
    error: str  # why the engine could not start it, if it could not
    oom: bool
    memory: int | None  # its limit in bytes
    network: str  # the one on which the gateway speaks to it; "host": the host's own
    addresses: Mapping[str, str]  # network -> IP address; empty for one that does not run
    published: Mapping[str, int]  # "3000/tcp" -> port on the loopback interface

    @property
    def service(self) -> str:
        return self.labels.get(SERVICE, "")


def seen(inspection: Mapping[str, Any]) -> Seen:
    """Read an answer of ``ContainerInspect``."""
    state, host, settings = inspection["State"], inspection["HostConfig"], inspection["NetworkSettings"]
    now = condition(state["Status"])
    return Seen(
        id=inspection["Id"],
        labels=inspection["Config"]["Labels"] or {},
        condition=now,
        status=exit_status(state["ExitCode"]) if now is Condition.ENDED else None,
        error=state["Error"],
        oom=bool(state["OOMKilled"]),
        memory=host["Memory"] or None,
        network=host["NetworkMode"],
        addresses={
            name: network["IPAddress"] or network["GlobalIPv6Address"]
            for name, network in (settings["Networks"] or {}).items()
            if network["IPAddress"] or network["GlobalIPv6Address"]
        },
        published={
            port: int(bindings[0]["HostPort"]) for port, bindings in (settings["Ports"] or {}).items() if bindings
        },
    )


LOOPBACK = "127.0.0.1"


def endpoint(container: Seen) -> Endpoint | None:
    """Where the container that serves a stack is reached; None while it has no address."""
    service, port = serves_of(container.labels)
    if container.service != service or container.condition not in (Condition.RUNNING, Condition.PAUSED):
        return None
    if f"{port}/tcp" in container.published:
        return Endpoint(LOOPBACK, container.published[f"{port}/tcp"])
    if container.network == "host":
        return Endpoint(LOOPBACK, port)
    address = container.addresses.get(container.network)
    return Endpoint(address, port) if address else None


def found(key: Key, generations: Iterable[int], containers: Iterable[Seen]) -> Found:
    """What a stack is worth of which these containers were seen, and things (networks, volumes) of these generations.

    It is whole if everything is of one generation, every service is there, all that should run do or all are paused, and
    its tasks have done their work.
    """
    there = {container.service: container for container in containers}
    latest = max(generations, default=0)
    half_made = Found(key, latest, None)
    server = next((one for one in there.values() if one.service == serves_of(one.labels)[0]), None)
    if server is None or any(generation != latest for generation in generations):
        return half_made
    roster = Roster.parse(server.labels.get(SERVICES, ""))
    if roster.names != there.keys():
        return half_made
    if any(there[task].condition is not Condition.ENDED or there[task].status != 0 for task in roster.tasks):
        return half_made
    conditions = {there[name].condition for name in roster.names - roster.tasks}
    if conditions not in ({Condition.RUNNING}, {Condition.PAUSED}):
        return half_made
    return Found(key, latest, endpoint(server), version_of(server.labels), paused=conditions == {Condition.PAUSED})


def by_key(containers: Iterable[Seen]) -> dict[Key, list[Seen]]:
    """Containers by the stack that they belong to."""
    stacks: dict[Key, list[Seen]] = {}
    for container in containers:
        stacks.setdefault(key_of(container.labels), []).append(container)
    return stacks


def survey(containers: Iterable[Seen], others: Iterable[Labels]) -> tuple[Found, ...]:
    """All stacks of which there is anything: containers, or networks and volumes with these labels."""
    stacks = by_key(containers)
    generations: dict[Key, list[int]] = {}
    for labels in [*others, *(one.labels for stack in stacks.values() for one in stack)]:
        generations.setdefault(key_of(labels), []).append(generation_of(labels))
    return tuple(found(key, those, stacks.get(key, ())) for key, those in sorted(generations.items()))
