"""What we ask of the engine, one function for each thing; blocking, run in a thread of calls.py with its client.

Here alone is decided which refusals mean that things are as they should be: "not there" when removing, "already" when
pausing. All others are left to translate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from docker.utils import version_gte

from ...core.keys import Key
from ...core.model import Version
from .client import Client
from .disk import Layer, names, reclaimable, taken
from .labels import Labels, filters
from .seen import Seen, seen
from .translate import words

Listed = Mapping[str, Any]

# -- looking ------------------------------------------------------------------------------------------------------------


def containers(client: Client, instance: str, key: Key | None = None) -> list[Seen]:
    """All containers of this gateway, or of one stack, whatever their state."""
    looked_at = (look(client, one) for one in container_ids(client, instance, key))
    return [one for one in looked_at if one is not None]


def container_ids(client: Client, instance: str, key: Key | None = None) -> list[str]:
    return [entry["Id"] for entry in client.containers(all=True, filters=filters(instance, key))]


def look(client: Client, container: str) -> Seen | None:
    """None if it is not there."""
    try:
        return seen(client.inspect_container(container))
    except NotFound:
        return None


def networks(client: Client, instance: str, key: Key | None = None) -> dict[str, Labels]:
    """The networks of this gateway, or of one stack: id -> labels."""
    return {one["Id"]: one["Labels"] or {} for one in client.networks(filters=filters(instance, key))}


def address(client: Client, network: str, container: str) -> str | None:
    """The IP address that a container has on a network, which it gets when it begins to start; None: not yet."""
    try:
        there = client.inspect_network(network)["Containers"] or {}
    except NotFound:
        return None
    settings = there.get(container) or {}
    cidr: str = settings.get("IPv4Address") or settings.get("IPv6Address") or ""
    return cidr.partition("/")[0] or None


def volumes(client: Client, instance: str, key: Key | None = None) -> dict[str, Labels]:
    """The volumes of this gateway, or of one stack: name -> labels."""
    return {one["Name"]: one["Labels"] or {} for one in client.volumes(filters=filters(instance, key))["Volumes"] or ()}


LONGEST_LINE = 2000  # characters


def tail(client: Client, container: str, lines: int) -> tuple[str, ...]:
    """The last lines that a container printed on both of its streams; none if it is not there."""
    try:
        printed: bytes = client.logs(container, tail=lines)
    except NotFound:
        return ()
    return tuple(line[:LONGEST_LINE] for line in printed.decode(errors="replace").splitlines()[-lines:])


# -- images -------------------------------------------------------------------------------------------------------------


def image(client: Client, image: str) -> Mapping[str, Any] | None:
    """``ImageInspect`` of a reference or an id; None if the engine does not have it."""
    try:
        return client.inspect_image(image)
    except ImageNotFound:
        return None


# -- making -------------------------------------------------------------------------------------------------------------


def create(client: Client, name: str, body: Mapping[str, Any], files: Mapping[str, bytes], platform: str | None) -> str:
    """Create a container and put files into it: directory -> tar archive. Its id."""
    made: str = client.create_container_from_config(dict(body), name, platform)["Id"]
    for directory, archive in files.items():
        client.put_archive(made, directory, archive)
    return made


def join(client: Client, container: str, network: str, aliases: list[str]) -> None:
    client.connect_container_to_network(container, network, aliases=aliases)


def start(client: Client, container: str) -> None:
    """Fine if it runs already."""
    client.start(container)


def probe_begin(client: Client, container: str, test: tuple[str, ...]) -> str | None:
    """Run a command in a container: what to ask ``probe_result`` about. None if it could not be run this time.

    A container that is just dying refuses in many words (404, 409, 500), before its death is told or seen by looking. That the
    command is not in the image (400) will not get better.
    """
    try:
        return client.exec_begin(container, test)
    except APIError as error:
        if error.status_code in (404, 409, 500):
            return None
        raise


GONE = -1  # the container went away, and its commands with it


def probe_result(client: Client, probe: str) -> int | None:
    """The exit status of that command; None while it runs."""
    try:
        result = client.exec_inspect(probe)
    except NotFound:
        return GONE
    return None if result["Running"] else result["ExitCode"]


# -- accounts -----------------------------------------------------------------------------------------------------------


def listed(client: Client, instance: str) -> list[Listed]:
    """All containers of this gateway as ``ContainerList`` shows them."""
    listed: list[Listed] = client.containers(all=True, filters=filters(instance))
    return listed


def stats(client: Client, container: str) -> Mapping[str, Any]:
    """``ContainerStats``, once; nothing of one that is not there. Engines older than API 1.41 take a second over it."""
    once = True if version_gte(client.api_version, "1.41") else None
    try:
        answer: Mapping[str, Any] = client.stats(container, stream=False, one_shot=once)
    except NotFound:
        return {}
    return answer


# -- freezing and taking away -------------------------------------------------------------------------------------------


def pause(client: Client, container: str) -> bool:
    """Whether it was not paused before."""
    return unless_already(client.pause, container, "already paused")


def unpause(client: Client, container: str) -> bool:
    """Whether it was paused."""
    return unless_already(client.unpause, container, "not paused")


def unless_already(call: Callable[[str], object], container: str, already: str) -> bool:
    try:
        call(container)
    except APIError as error:
        if already not in words(error):
            raise
        return False
    return True


def stop(client: Client, container: str, grace: int) -> None:
    """Ask it to end, and kill it after ``grace`` seconds. Fine if it is not running or not there."""
    try:
        client.stop(container, timeout=grace)
    except NotFound:
        return


# These return why something is still there, or None: who removes looks again anyway, and has more than one try.


def remove_container(client: Client, container: str) -> str | None:
    """Kill and remove it with its anonymous volumes."""
    return refusal(lambda: client.remove_container(container, v=True, force=True))


def remove_network(client: Client, network: str) -> str | None:
    """Remove it, and whatever somebody else has connected to it from it."""
    said = refusal(lambda: client.remove_network(network))
    if said is not None and "active endpoints" in said:
        for guest in client.inspect_network(network)["Containers"]:
            refusal(partial(client.disconnect_container_from_network, guest, network, force=True))
        said = refusal(lambda: client.remove_network(network))
    return said


def remove_volume(client: Client, volume: str) -> str | None:
    return refusal(lambda: client.remove_volume(volume, force=True))


def refusal(call: Callable[[], object]) -> str | None:
    """What the engine said if it would not; None if it did, or had nothing to do."""
    try:
        call()
    except NotFound:
        return None
    except APIError as error:
        return words(error)
    return None


def reclaim(client: Client, repositories: Collection[str], keep: Collection[Version]) -> int:
    """Remove the images of ``repositories`` that nobody uses and that are of none of these versions; the bytes that were freed.

    What is used after all by the time it is to be removed stays: nothing is forced.
    """
    images = client.images()
    used = {container["ImageID"] for container in client.containers(all=True)}
    going = reclaimable(images, used, repositories, keep)
    histories = {one["Id"]: history(client, one["Id"]) for one in images} if going else {}
    for one in going:
        for name in names(one):
            refusal(partial(client.remove_image, name))
    left = {one["Id"] for one in client.images()} if going else set()
    return taken(histories.values()) - taken(layers for image, layers in histories.items() if image in left)


def history(client: Client, image: str) -> list[Layer]:
    try:
        layers: list[Layer] = client.history(image)
    except ImageNotFound:
        return []
    return layers
