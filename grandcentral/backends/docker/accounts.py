"""What stacks take of the machine, by the engine's accounts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...core.keys import Key
from ...core.model import Usage
from . import verbs
from .calls import Calls
from .labels import key_of
from .translate import Condition, condition
from .waiting import together


async def usage(calls: Calls, instance: str) -> dict[Key, Usage]:
    """Of every stack of which there is a container; those that don't run take no memory.

    Nothing is said of disks: the engine would walk through every layer that a container has written, at each call.
    """
    there = await calls.quick(partial(verbs.listed, instance=instance))
    keys = {one["Id"]: key_of(one["Labels"]) for one in there}
    up = [one["Id"] for one in there if condition(one["State"]) in (Condition.RUNNING, Condition.PAUSED)]
    stats = await together(*(calls.account(partial(verbs.stats, container=container)) for container in up))
    bytes_of = dict.fromkeys(keys.values(), 0)
    for container, said in zip(up, stats, strict=True):
        bytes_of[keys[container]] += memory(said)
    return {key: Usage(taken) for key, taken in bytes_of.items()}


def memory(stats: Mapping[str, Any]) -> int:
    """Bytes that a container takes, as ``docker stats`` counts them: without the part of the page cache that was not used of
    late, which the kernel takes back before anything else. 0 for one that has ended.

    The kernel's accounts (``memory_stats`` of ``ContainerStats``) have it as total_inactive_file for the whole tree of
    control groups in version 1, and as inactive_file, likewise for the tree, in version 2.
    """
    said = stats.get("memory_stats") or {}
    taken: int = said.get("usage", 0)
    details = said.get("stats") or {}
    cache: int = details.get("total_inactive_file", details.get("inactive_file", 0))
    return taken - cache if cache < taken else taken
