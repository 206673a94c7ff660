"""What was seen of containers when we looked, and what a stack made of them is worth. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, frozen

from ...core.keys import Key
from ...core.model import Endpoint, Found
from .labels import SERVICE, SERVICES, Labels, Roster, generation_of, key_of, serves_of, version_of
from .translate import Condition, condition, exit_status


@frozen
class Seen:
    """One container, as ``ContainerInspect`` shows it."""

    id: str
    image: str  # its image's id
    labels: Labels
    condition: Condition
    status: int | None  # how it ended, if it has
    error: str  # why the engine could not start it, if it could not
    oom: bool
    memory: int | None  # its limit in bytes
    network: str  # the one on which the gateway speaks to it; "host": the host's own
    addresses: Mapping[str, str]  # network -> IP address; empty for one that does not run
    published: Mapping[str, int]  # "3000/tcp" -> port on the loopback interface
    networks: frozenset[str]  # ids of those that it is on when it runs
    started: str  # when, for the last time, as the engine writes it; of use for comparing only
    grace: int  # seconds that it has to end when it is asked to

    @property
    def service(self) -> str:
        return self.labels.get(SERVICE, "")

    @property
    def up(self) -> bool:
        """Whether there are processes of it, frozen or not."""
        return self.condition in (Condition.RUNNING, Condition.PAUSED)


DEFAULT_GRACE = 10  # the engine's own, for a container that says nothing


def seen(inspection: Mapping[str, Any]) -> Seen:
    """Read an answer of ``ContainerInspect``."""
    state, host, settings = inspection["State"], inspection["HostConfig"], inspection["NetworkSettings"]
    now = condition(state["Status"])
    return Seen(
        id=inspection["Id"],
        image=inspection["Image"],
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
        networks=frozenset(one["NetworkID"] for one in (settings["Networks"] or {}).values() if one["NetworkID"]),
        started=state["StartedAt"],
        grace=inspection["Config"].get("StopTimeout", DEFAULT_GRACE),
    )


LOOPBACK = "127.0.0.1"


def endpoint(container: Seen) -> Endpoint | None:
    """Where the container that serves a stack is reached; None while it has no address."""
    service, port = serves_of(container.labels)
    if container.service != service or not container.up:
        return None
    if f"{port}/tcp" in container.published:
        return Endpoint(LOOPBACK, container.published[f"{port}/tcp"])
    if container.network == "host":
        return Endpoint(LOOPBACK, port)
    address = container.addresses.get(container.network)
    return Endpoint(address, port) if address else None


def found(key: Key, generations: Iterable[int], containers: Iterable[Seen]) -> Found:
    """What a stack is worth of which these containers were seen, and things (networks, volumes) of these generations.

    It is kept if everything is of one generation, every service is there and has run, and its tasks have done their work; and
    whole if besides all that should run do, or all are paused.
    """
    there = {container.service: container for container in containers}
    latest = max(generations, default=0)
    half_made = Found(key, latest, None, running=any(one.up for one in there.values()))
    server = next((one for one in there.values() if one.service == serves_of(one.labels)[0]), None)
    if server is None or any(generation != latest for generation in generations):
        return half_made
    roster = Roster.parse(server.labels.get(SERVICES, ""))
    if roster.names != there.keys():
        return half_made
    if any(there[task].condition is not Condition.ENDED or there[task].status != 0 for task in roster.tasks):
        return half_made
    conditions = {there[name].condition for name in roster.names - roster.tasks}
    if Condition.NOT_STARTED in conditions:
        return half_made
    kept = evolve(half_made, version=version_of(server.labels), kept=True)
    if conditions not in ({Condition.RUNNING}, {Condition.PAUSED}):
        return kept
    return evolve(kept, endpoint=endpoint(server), paused=conditions == {Condition.PAUSED})


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
