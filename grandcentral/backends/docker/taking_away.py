"""How a stack ends: its services are stopped in order, and what there is of it is removed."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from ...core.keys import Key
from . import verbs
from .calls import Calls
from .labels import SERVICES, Roster, is_disposable
from .seen import Seen
from .translate import Condition
from .waiting import together


def place(container: Seen) -> int:
    """In which wave of its stack a container started."""
    waves = Roster.parse(container.labels.get(SERVICES, "")).waves
    return next((place for place, wave in enumerate(waves) if container.service in wave), 0)


async def stop_in_order(calls: Calls, containers: Collection[Seen]) -> None:
    """Give every service time to end well, those that others depend on last.

    All are thawed before the first is stopped: a frozen process cannot end by itself, and one that writes to its database
    before it ends would wait for a frozen one.
    """
    frozen = [one for one in containers if one.condition is Condition.PAUSED]
    await together(*(calls.lifecycle(partial(verbs.unpause, container=one.id)) for one in frozen))
    running = [one for one in containers if one.up]
    waves = {place(one): [other for other in running if place(other) == place(one)] for one in running}
    for _, wave in sorted(waves.items(), reverse=True):
        await together(*(calls.patient_stop(partial(verbs.stop, container=one.id, grace=one.grace)) for one in wave))


async def remove(calls: Calls, instance: str, key: Key, kept_volumes: bool) -> list[str]:
    """Remove everything that is there of a stack; what would not go, and why.

    :param kept_volumes: also those that outlive their stack otherwise.
    """
    containers = await calls.quick(partial(verbs.container_ids, instance=instance, key=key))
    networks = await calls.quick(partial(verbs.networks, instance=instance, key=key))
    volumes = await calls.quick(partial(verbs.volumes, instance=instance, key=key))
    going = [name for name, labels in volumes.items() if kept_volumes or is_disposable(labels)]
    said = await together(*(calls.lifecycle(partial(verbs.remove_container, container=one)) for one in containers))
    said += await together(
        *(calls.lifecycle(partial(verbs.remove_network, network=one)) for one in networks),
        *(calls.lifecycle(partial(verbs.remove_volume, volume=one)) for one in going),
    )
    return [refusal for refusal in said if refusal is not None]
