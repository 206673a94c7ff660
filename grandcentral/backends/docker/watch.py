"""What is kept of a stack while its containers are to run, and what is said when one of them dies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from attrs import define, field

from ...core.keys import Key
from ...core.model import Endpoint, LogTail
from ...errors import EngineRefused, Mishap, ServiceExited
from . import verbs
from .calls import Calls
from .labels import SERVICES, Roster, generation_of, key_of
from .seen import Seen
from .translate import ended_how
from .waiting import together

LAST_LINES = 50

Ended = Callable[[str, int | None], None]  # (service, exit status, or None if the container is gone altogether)


@define(eq=False)
class Watch:
    """The containers of one generation of a stack, and whom to tell when one of them ends.

    A container is entered as soon as it has been created: its death may be heard of before its start has been.

    **A death of the last run.** A stack may be stopped and at once started again: stop() has returned, its containers are
    entered again, and only then does the event come that tells of their ends. Such a death is not one of theirs. Events come
    in their order, so a container that has rested is ``resting`` until its start has been told.
    """

    key: Key
    generation: int
    tasks: frozenset[str]
    containers: dict[str, str] = field(factory=dict)  # id -> service
    resting: dict[str, str] = field(factory=dict)  # id -> Seen.started, of those whose new start has yet to be told
    endpoint: Endpoint | None = None  # once it has been launched
    ended: Ended = lambda service, status: None  # may be told twice of one death


def watch_of(containers: Sequence[Seen], endpoint: Endpoint | None = None) -> Watch:
    """For all containers of one stack, of one start."""
    labels = containers[0].labels
    tasks = Roster.parse(labels[SERVICES]).tasks
    return Watch(
        key_of(labels), generation_of(labels), tasks, {one.id: one.service for one in containers}, endpoint=endpoint
    )


async def tails(calls: Calls, containers: Mapping[str, str], lines: int) -> tuple[LogTail, ...]:
    """The last lines of each service, in the order of ``containers`` (id -> service)."""
    printed = await together(
        *(calls.quick(partial(verbs.tail, container=container, lines=lines)) for container in containers)
    )
    return tuple(LogTail(service, tail) for service, tail in zip(containers.values(), printed, strict=True))


async def last_words(calls: Calls, watch: Watch, first: str) -> tuple[LogTail, ...]:
    """The last lines of every service that has printed any, those of ``first`` first; none if the engine does not tell."""
    ordered = dict(sorted(watch.containers.items(), key=lambda entry: entry[1] != first))
    try:
        return tuple(tail for tail in await tails(calls, ordered, LAST_LINES) if tail.lines)
    except Mishap:
        return ()


async def obituary(calls: Calls, watch: Watch, service: str, status: int | None) -> Mishap:
    """What is to be said of a service that died: a ServiceExited, or an EngineRefused if it never ran, which the engine tells
    by the same event. What cannot be had any more, for its container or the engine is gone too, is left out."""
    bodies = [container for container, name in watch.containers.items() if name == service]
    try:
        looks = [await calls.quick(partial(verbs.look, container=one)) for one in bodies]
    except Mishap:
        looks = []
    logs = await last_words(calls, watch, service)
    body = next((look for look in looks if look is not None), None)
    if body is None:
        return ServiceExited(ended_how(service, status, False, None), logs=logs, service=service, status=status)
    if body.error:
        return EngineRefused(f"{service} could not be started: {body.error}", logs=logs)
    status = status if body.status is None else body.status
    return ServiceExited(ended_how(service, status, body.oom, body.memory), logs=logs, service=service, status=status)
