"""What the engine is asked to create: request bodies as the Docker Engine API names things (``ContainerCreate``). Pure."""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ...core.model import FileContent, Launch, Mount, MountKind, Service
from .labels import DEFAULT_PORT, of_service, of_stack, of_volume, unique


def container(instance: str, launch: Launch, service: Service, image: str, published: bool, created: str) -> dict[str, Any]:
    """The body that creates the container of ``service``.

    :param image: the reference to start, which is on the engine by now.
    :param published: whether its port is to be reachable on the engine's loopback interface, if it is the one that serves.
    """
    serves = service.name == launch.spec.serves
    port = launch.spec.port or DEFAULT_PORT
    networks = networks_of(service)
    body: dict[str, Any] = {
        "Image": image,
        "Cmd": listed(service.command),
        "Entrypoint": listed(service.entrypoint),
        "Env": [f"{name}={value}" for name, value in environment(launch, service).items()],
        "Labels": of_service(instance, launch, service.name, created),
        "User": service.user,
        "WorkingDir": service.working_dir,
        "Hostname": service.hostname,
        "StopSignal": service.stop_signal,
        "StopTimeout": math.ceil(service.stop_grace_period),
        "Healthcheck": {"Test": ["NONE"]},
        "ExposedPorts": {f"{port}/tcp": {}} if serves else None,
        "HostConfig": host_config(instance, launch, service, port if serves and published else None),
        "NetworkingConfig": {"EndpointsConfig": endpoint(instance, launch, service, networks[0])} if networks else None,
    }
    return {name: value for name, value in body.items() if value is not None}


def host_config(instance: str, launch: Launch, service: Service, publish: int | None) -> dict[str, Any]:
    networks = networks_of(service)
    config = {
        "NetworkMode": unique(instance, launch.key, f"network {networks[0]}") if networks else service.network_mode,
        "RestartPolicy": {"Name": "no"},
        "Init": service.init is not False,  # a PID 1 that ignores SIGTERM would make every stop take its whole grace period
        "Mounts": [mount(instance, launch, one) for one in mounts_of(service)],
        "PortBindings": {f"{publish}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]} if publish else None,
        "Memory": service.memory,
        "NanoCpus": None if service.cpus is None else round(service.cpus * 1e9),
        "ShmSize": service.shm_size,
        "PidsLimit": service.pids_limit,
        "Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in service.ulimits.items()],
        "ExtraHosts": [f"{name}:{address}" for name, address in service.extra_hosts.items()],
        "ReadonlyRootfs": service.read_only,
        "Privileged": service.privileged,
        "CapAdd": listed(service.cap_add or None),
        "CapDrop": listed(service.cap_drop or None),
        "SecurityOpt": listed(service.security_opt or None),
        "Devices": [device(text) for text in service.devices],
        "PidMode": service.pid_mode,
        "IpcMode": service.ipc_mode,
        "UsernsMode": service.userns_mode,
    }
    return {name: value for name, value in config.items() if value is not None}


def listed(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def environment(launch: Launch, service: Service) -> Mapping[str, str]:
    """The template's variables, and ours where it has none of that name."""
    ours = {name: value for name, value in launch.variables.items() if name.startswith("GRANDCENTRAL")}
    if service.name == launch.spec.serves and not launch.spec.port:
        ours["PORT"] = str(DEFAULT_PORT)
    return {**ours, **service.environment}


def device(text: str) -> dict[str, str]:
    """"/dev/fuse:/dev/fuse:rwm", of which the later parts may be missing."""
    path, inside, permissions = [*text.split(":"), "", ""][:3]
    return {"PathOnHost": path, "PathInContainer": inside or path, "CgroupPermissions": permissions or "rwm"}


# -- networks -----------------------------------------------------------------------------------------------------------


def networks_of(service: Service) -> tuple[str, ...]:
    """The networks of the stack that a service is on. The first is the one on which the gateway speaks to it."""
    if service.network_mode:
        return ()
    return tuple(service.networks) or ("default",)


def endpoint(instance: str, launch: Launch, service: Service, network: str) -> dict[str, Any]:
    """``EndpointsConfig`` of one network: the service's name is a host name there, and so are its aliases."""
    aliases = [service.name, *service.networks.get(network, ())]
    return {unique(instance, launch.key, f"network {network}"): {"Aliases": aliases}}


def network(instance: str, launch: Launch, name: str) -> dict[str, Any]:
    """Arguments of ``create_network``. ``check_duplicate``: names of networks are not unique unless one asks."""
    return {
        "name": unique(instance, launch.key, f"network {name}"),
        "driver": "bridge",
        "check_duplicate": True,
        "labels": of_stack(instance, launch),
    }


# -- volumes and files --------------------------------------------------------------------------------------------------


def mounts_of(service: Service) -> tuple[Mount, ...]:
    """The mounts of a service, and one volume for each directory in which a read-only container gets a file: the engine
    puts files into volumes of such a container, and nowhere else."""
    if not service.read_only:
        return service.mounts
    directories = dict.fromkeys(str(PurePosixPath(file.target).parent) for file in service.files)
    taken = {one.target.rstrip("/") for one in service.mounts}
    return (*service.mounts, *(Mount(MountKind.VOLUME, where) for where in directories if where not in taken))


def mount(instance: str, launch: Launch, one: Mount) -> dict[str, Any]:
    """One of ``Mounts``. The engine makes a volume that is not there yet, with our labels; one without a source is
    anonymous, and goes with its container."""
    body: dict[str, Any] = {"Type": one.kind.value, "Target": one.target, "ReadOnly": one.read_only}
    match one.kind:
        case MountKind.BIND:
            body["Source"] = one.source
        case MountKind.VOLUME:
            body["VolumeOptions"] = {"Labels": of_volume(instance, launch, one.source)}
            if one.source:
                body["Source"] = unique(instance, launch.key, f"volume {one.source}")
        case MountKind.TMPFS:
            options = {"SizeBytes": one.size, "Mode": one.mode}
            body["TmpfsOptions"] = {name: value for name, value in options.items() if value is not None}
    return body


def archives(service: Service) -> dict[str, bytes]:
    """The files of a service as tar archives: directory to unpack in -> archive.

    One for the root, where the engine makes directories that are missing; for a read-only container one for each directory,
    which ``mounts_of`` has made a volume.
    """
    if not service.files:
        return {}
    if not service.read_only:
        return {"/": archive({file.target.lstrip("/"): file for file in service.files})}
    paths = {file: PurePosixPath(file.target) for file in service.files}
    return {
        where: archive({path.name: file for file, path in paths.items() if str(path.parent) == where})
        for where in dict.fromkeys(str(path.parent) for path in paths.values())
    }


def archive(files: Mapping[str, FileContent]) -> bytes:
    """A tar archive of files by their paths in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, file in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(file.content), file.mode
            tar.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
