"""The table of Compose keys: what each means here. It drives the checking of templates, and docs/compose.md is made from it.

It is over 300 lines because it is one table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum

from attrs import frozen

EXTENSION = "x-grandcentral"
"""Compose leaves keys that begin with ``x-`` to others (Compose specification, "Extension"): what is under this one is ours."""


class Verdict(Enum):
    SUPPORTED = "supported"
    OPT_IN = "opt-in"  # supported where the app's `allow` names the row's flag
    IGNORED = "ignored"  # with a warning: leaving it out does no harm
    REFUSED = "refused"


@frozen
class Row:
    """``path`` is the way to the key: ``*`` stands for a name of the author's, ``[]`` for an item of a list.

    ``note``: what is special about a supported key; why another one is not, and what to do, as a sentence after a colon.
    ``harmless``: scalars that change nothing, and so need no opt-in, refusal or warning. Null, [] and {} always are.
    """

    path: str
    verdict: Verdict
    note: str = ""
    flag: str = ""
    harmless: frozenset[str] = frozenset()


def _yes(path: str, note: str = "") -> Row:
    return Row(path, Verdict.SUPPORTED, note)


def _allow(path: str, flag: str, note: str, *harmless: str) -> Row:
    return Row(path, Verdict.OPT_IN, note, flag, frozenset(harmless))


def _ignore(path: str, note: str, *harmless: str) -> Row:
    return Row(path, Verdict.IGNORED, note, harmless=frozenset(harmless))


def _no(path: str, note: str, *harmless: str) -> Row:
    return Row(path, Verdict.REFUSED, note, harmless=frozenset(harmless))


_SWARM = "it means something to Swarm only"
_OWN_NAMES = "every stack has names of its own, or two versions would clash"
_TUNING = "the engine's default is used; limit a service with cpus and mem_limit"
_EXTERNAL = "a stack brings everything it needs and nothing outlives it; declare it without external"
_ADDRESSES = "every stack gets a network of its own, so addresses can't be fixed; use service names"

_TOP = (
    _yes("services"),
    _yes("volumes", "Each stack has volumes of its own, which outlive its removal unless they are disposable, see below."),
    _yes("networks", "Each stack has networks of its own."),
    _yes("configs"),
    _yes("secrets"),
    _ignore("version", "it has no meaning any more in Compose either"),
    _ignore("name", _OWN_NAMES),
    _no("include", "put the services into this file, or give the output of `docker compose config --no-interpolate`"),
    _no("models", "models are not run here; run the model as a service"),
)

_SERVICE = (
    _yes("image", "Required. `${IMAGE}` is the image of the version."),
    _yes("command", "A string is split as a shell would, and no shell runs it."),
    _yes("entrypoint", "A string is split as a shell would, and no shell runs it."),
    _yes("environment", "Map or list. A name without a value takes the app's `environment`, or is left out."),
    _yes("env_file", "String, list, or list of mappings. Compose's own syntax with interpolation."),
    _yes("env_file[].path"),
    _yes("env_file[].required"),
    _yes("env_file[].format", "Only `raw`: no quotes, no interpolation."),
    _yes("depends_on", "List or map. Gives the order of starts."),
    _yes(
        "depends_on.*.condition",
        "`service_started`, `service_healthy`, `service_completed_successfully`: the last makes the other service a task that "
        "runs once and must exit with 0.",
    ),
    _yes("depends_on.*.required"),
    _ignore("depends_on.*.restart", "services of a stack are never updated one by one", "false"),
    _yes("healthcheck", "Run by the gateway while a stack starts, at a quicker pace than the engine's."),
    _yes("healthcheck.test", "A string, or a list that begins with `CMD`, `CMD-SHELL` or `NONE`."),
    _yes("healthcheck.disable"),
    _yes("healthcheck.interval"),
    _yes("healthcheck.timeout"),
    _yes("healthcheck.retries"),
    _yes("healthcheck.start_period"),
    _yes("healthcheck.start_interval"),
    _yes("volumes", "Named and anonymous volumes and tmpfs; host paths where `allow` has `bind-mounts`, see below."),
    _yes("volumes[].type", "`volume`, `tmpfs`, `bind`."),
    _yes("volumes[].source"),
    _yes("volumes[].target"),
    _yes("volumes[].read_only"),
    _ignore("volumes[].consistency", "it means something to Docker Desktop only"),
    _ignore("volumes[].bind.create_host_path", "host paths are never created here", "true", "false"),
    _ignore("volumes[].bind.selinux", "host paths are not relabelled"),
    _no("volumes[].bind.propagation", "leave it out", "rprivate"),
    _no("volumes[].bind.recursive", "leave it out", "enabled"),
    _no("volumes[].volume.nocopy", "leave it out: a new volume begins with what the image has there", "false"),
    _no("volumes[].volume.subpath", "mount the whole volume"),
    _no("volumes[].volume.labels", "leave it out"),
    _yes("volumes[].tmpfs.size"),
    _yes("volumes[].tmpfs.mode"),
    _no("volumes[].image", "image mounts are not supported; copy the files in a service that others wait for"),
    _yes("tmpfs", "A path, or `path:options` with `size`, `mode`, `ro` and `rw`."),
    _yes("networks", "List or map. Without it: the network `default`."),
    _yes("networks.*.aliases"),
    _ignore("networks.*.priority", "the engine's order is used"),
    _ignore("networks.*.gw_priority", "the engine's order is used"),
    _no("networks.*.ipv4_address", _ADDRESSES),
    _no("networks.*.ipv6_address", _ADDRESSES),
    _no("networks.*.link_local_ips", _ADDRESSES),
    _no("networks.*.mac_address", _ADDRESSES),
    _no("networks.*.interface_name", "leave it out"),
    _no("networks.*.driver_opts", "leave it out"),
    _yes("ports", "Says which ports the container listens on; nothing is published on the host. TCP only."),
    _yes("ports[].target"),
    _yes("ports[].protocol"),
    _yes("ports[].published", "Read and not used."),
    _yes("ports[].host_ip", "Read and not used."),
    _yes("ports[].mode", "Read and not used."),
    _yes("ports[].name", "Read and not used."),
    _yes("ports[].app_protocol", "Read and not used."),
    _yes("expose", "Like `ports`."),
    _yes("labels", "Map or list. `grandcentral.*` and `com.docker.compose.*` are the gateway's."),
    _yes("user"),
    _yes("working_dir"),
    _yes("hostname"),
    _yes("init"),
    _yes("stop_signal"),
    _yes("stop_grace_period"),
    _yes(
        "restart",
        "Read and not used: a service that ends takes its stack down; the next request starts it anew. Not for tasks.",
    ),
    _yes("read_only"),
    _yes("shm_size"),
    _yes("mem_limit"),
    _yes("cpus"),
    _yes("pids_limit"),
    _yes("ulimits", "A number, or a mapping of `soft` and `hard`."),
    _yes("extra_hosts", "Map or list, `name=address` or `name:address`; `host-gateway` is an address."),
    _yes("platform"),
    _yes("cap_drop"),
    _yes("secrets", "Names or mappings. Files under `/run/secrets/`, which belong to root."),
    _yes("secrets[].source"),
    _yes("secrets[].target"),
    _yes("secrets[].mode", "Octal. Writable bits are taken away."),
    _ignore("secrets[].uid", "the file belongs to root; who may read it is said by mode", "0"),
    _ignore("secrets[].gid", "the file belongs to root; who may read it is said by mode", "0"),
    _yes("configs", "Names or mappings. Files under `/`, which belong to root."),
    _yes("configs[].source"),
    _yes("configs[].target"),
    _yes("configs[].mode", "Octal. Writable bits are taken away."),
    _ignore("configs[].uid", "the file belongs to root; who may read it is said by mode", "0"),
    _ignore("configs[].gid", "the file belongs to root; who may read it is said by mode", "0"),
    _yes("profiles", "A service with profiles is left out: no profile is ever active."),
    _yes("deploy.resources.limits.cpus"),
    _yes("deploy.resources.limits.memory"),
    _yes("deploy.resources.limits.pids"),
    _no("deploy.resources.reservations.devices", "GPUs and other devices can't be reserved here"),
    _ignore("deploy.resources.reservations.cpus", "only limits are kept"),
    _ignore("deploy.resources.reservations.memory", "only limits are kept"),
    _ignore("deploy.resources.reservations.generic_resources", _SWARM),
    _no("deploy.replicas", "a stack has one container of each service", "1"),
    _ignore("deploy.restart_policy", "restart says it"),
    *(
        _ignore(f"deploy.{key}", _SWARM)
        for key in ("mode", "placement", "update_config", "rollback_config", "endpoint_mode", "labels")
    ),
    _allow("privileged", "privileged", "it gives the container the whole host", "false"),
    _allow("cap_add", "cap-add", "it gives the container more rights than usual"),
    _allow("devices", "devices", "it gives the container a device of the host"),
    _allow(
        "security_opt", "security-opt", "it loosens the container's confinement", "no-new-privileges:true", "no-new-privileges"
    ),
    _allow("network_mode", "host-network", "the service leaves the network of its stack; only `host` is known"),
    _allow("pid", "host-pid", "the container sees every process of the host; only `host` is known"),
    _allow("ipc", "host-ipc", "the container shares memory with the host; only `host` is known", "private", "shareable"),
    _allow("userns_mode", "host-userns", "it takes the user namespace away; only `host` is known"),
    _ignore("build", "images come from the registry; without image the service is refused"),
    _ignore("container_name", _OWN_NAMES),
    _ignore("pull_policy", "what the engine does not have is pulled, by digest"),
    _ignore("logging", "the gateway shows the last lines of each service, so the engine's default driver is used"),
    _ignore("tty", "nobody sits at a terminal", "false"),
    _ignore("stdin_open", "nobody sits at a terminal", "false"),
    _ignore("attach", "output is always kept", "true", "false"),
    _ignore("annotations", "use labels"),
    _ignore("develop", "images are run as they are"),
    _ignore("domainname", "use hostname"),
    *(
        _ignore(key, _TUNING)
        for key in (
            *("blkio_config", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime"),
            *("cpu_shares", "cpuset", "mem_reservation", "mem_swappiness", "memswap_limit", "oom_score_adj"),
        )
    ),
    _no("scale", "a stack has one container of each service", "1"),
    _no("extends", "use YAML anchors and <<, or give the output of `docker compose config --no-interpolate`"),
    _no("links", "services reach each other by name; use depends_on, and networks.NAME.aliases for other names"),
    _no("external_links", "a stack is a network of its own; containers outside can't be reached by name"),
    _no("volumes_from", "name the volume in volumes, in both services"),
    _no("label_file", "put the labels into labels"),
    _no("group_add", 'use user: "uid:gid"'),
    _no("sysctls", "set them on the host"),
    _no("dns", "the stack's own names need the engine's resolver"),
    _no("dns_opt", "the stack's own names need the engine's resolver"),
    _no("dns_search", "the stack's own names need the engine's resolver"),
    _no("mac_address", _ADDRESSES),
    _no("gpus", "GPUs can't be reserved here"),
    _no("post_start", "do it in the service's command, or in a service that others wait for"),
    _no("pre_stop", "do it in the service's command when the stop signal comes"),
    _no("provider", "services are containers here"),
    _no("models", "models are not run here; run the model as a service"),
    _no("use_api_socket", "a container with the engine's socket has the whole host", "false"),
    _no("oom_kill_disable", "it may stop the host; use mem_limit", "false"),
    *(
        _no(key, "leave it out")
        for key in (
            *(
                "cgroup",
                "cgroup_parent",
                "credential_spec",
                "device_cgroup_rules",
                "isolation",
                "runtime",
                "storage_opt",
                "uts",
            ),
        )
    ),
)

_VOLUME = (
    _yes(
        f"{EXTENSION}.disposable",
        "`true`: the volume is removed with its stack. Otherwise the stack finds it again, with what is in it, when it is "
        "made anew, which is of use for dumps and uploads. A database that a loader fills each time should be disposable. "
        "What was said when a volume was made stays true of it.",
    ),
    _no("external", _EXTERNAL, "false"),
    _no("driver", "only local volumes are known", "local"),
    _no("driver_opts", "it can reach any path of the host; use a plain volume"),
    _ignore("labels", "the gateway labels volumes itself"),
    _ignore("name", _OWN_NAMES),
)

_NETWORK = (
    _no("external", _EXTERNAL, "false"),
    _no("driver", "only bridge networks are known", "bridge", "default"),
    _no("driver_opts", "leave it out"),
    _no("ipam", _ADDRESSES),
    _no("internal", "leave it out: a network without a way out is not supported", "false"),
    _no("enable_ipv6", "the engine's own setting is used; leave it out", "false"),
    _no("enable_ipv4", "the engine's own setting is used; leave it out", "true"),
    _ignore("attachable", _SWARM, "false"),
    _ignore("labels", "the gateway labels networks itself"),
    _ignore("name", _OWN_NAMES),
)

_FILE = (
    _yes("file", "Read when the template is loaded, from beside the Compose file."),
    _yes("environment", "The value of a variable: of the app's `environment`, or one of the gateway's."),
    _yes("content", "Interpolated like every value."),
    _no("external", _EXTERNAL, "false"),
    _ignore("labels", "files have no labels"),
    _ignore("name", _OWN_NAMES),
    _no("driver", "use file, environment or content"),
    _no("driver_opts", "use file, environment or content"),
    _no("template_driver", "use content with ${VARIABLES}"),
)


def _table() -> Iterator[Row]:
    yield from _TOP
    for prefix, rows in (
        ("services.*", _SERVICE),
        ("volumes.*", _VOLUME),
        ("networks.*", _NETWORK),
        ("configs.*", _FILE),
        ("secrets.*", _FILE),
    ):
        for row in rows:
            yield Row(f"{prefix}.{row.path}", row.verdict, row.note, row.flag, row.harmless)


TABLE: Mapping[str, Row] = {row.path: row for row in _table()}

FLAGS: Mapping[str, str] = {
    **{row.flag: f"`{row.path.removeprefix('services.*.')}`: {row.note}" for row in TABLE.values() if row.flag},
    "bind-mounts": "`volumes` of a path of the host: every stack of the app shares it",
    "docker-socket": "`volumes` of the engine's socket or a directory above it: it gives the container the whole host",
}
"""What an app's ``allow`` may say: flag -> what it opens."""


def _children() -> Mapping[str, tuple[str, ...]]:
    """Path -> the names that may follow it: keys, "*", "[]"."""
    children: dict[str, dict[str, None]] = {}
    for path in TABLE:
        steps = path.replace("[]", ".[]").split(".")
        for depth, step in enumerate(steps):
            children.setdefault(".".join(steps[:depth]).replace(".[]", "[]"), {})[step] = None
    return {path: tuple(names) for path, names in children.items()}


CHILDREN: Mapping[str, tuple[str, ...]] = _children()
