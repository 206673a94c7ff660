"""What is there of stacks: the state of the fake's engine, which outlives a backend."""

from __future__ import annotations

from attrs import define, field

from ...core.keys import Key
from ...core.model import Endpoint, Hook, Launch, Version
from ...errors import EngineUnavailable

IMAGE_SIZE = 1_000_000  # bytes that each version takes once it was fetched


@define(eq=False)
class MemoryStack:
    """What the "engine" has of one stack."""

    launch: Launch
    endpoint: Endpoint
    running: set[str] = field(factory=set)
    ended: dict[str, int] = field(factory=dict)
    lines: dict[str, list[str]] = field(factory=dict)
    paused: bool = False
    starting: bool = False
    launched: bool = False  # it was whole once: it can be started again
    watched: bool = False  # the next death in it is told

    @property
    def stopped(self) -> bool:
        """Nothing of it runs, nor is about to."""
        return not self.running and not self.starting

    @property
    def whole(self) -> bool:
        lasting = {service.name for service in self.launch.spec.services if not self.launch.spec.is_task(service.name)}
        return self.launched and lasting <= self.running


@define(eq=False)
class MemoryEngine:
    """What outlives a backend, as an engine outlives a gateway.

    ``peak`` is the most stacks that ever ran, or were paused, at once; ``doubled`` lists what was launched while it was still
    there, or started again while something of it still ran, which callers must not do.
    """

    stacks: dict[Key, MemoryStack] = field(factory=dict)
    launches: list[tuple[Key, int]] = field(factory=list)
    restarts: list[tuple[Key, int]] = field(factory=list)
    started: list[str] = field(factory=list)  # the services that started, in order
    stopped: list[str] = field(factory=list)  # the services that were stopped with the stack kept, in order
    stops: list[Key] = field(factory=list)
    halts: list[Key] = field(factory=list)
    hooks: list[tuple[Key, Hook]] = field(factory=list)
    fetched: list[Key] = field(factory=list)
    reclaims: list[frozenset[Version]] = field(factory=list)  # what each was told to keep
    away: EngineUnavailable | None = None
    peak: int = 0
    doubled: list[Key] = field(factory=list)
    memory: dict[Key, int] = field(factory=dict)  # bytes that a stack takes while it runs; set by tests
    data: dict[Key, int] = field(factory=dict)  # what the stack's loader has loaded, 0, and whatever a test makes of it
    kept_volumes: set[tuple[Key, str]] = field(factory=set)  # the named volumes that there are
    files: set[tuple[Key, str, str]] = field(factory=set)  # that hooks have made: key, volume or "", path
    images: set[Version] = field(factory=set)

    def occupied(self) -> int:
        """How many stacks there are that run, are paused, or are starting."""
        return sum(not stack.stopped for stack in self.stacks.values())
