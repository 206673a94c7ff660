"""The nouns: what an app is, what a stack is made of, what was seen of it. Frozen values, compared with ``==``.

Times are seconds; sizes are bytes; ports are TCP ports. Nothing here knows where it came from (TOML, Compose, Procfile).

Longer than most modules: it is the vocabulary, and is read as a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from attrs import evolve, field, frozen

from .hours import Hours
from .keys import Key
from .waking import Rule


@frozen
class Endpoint:
    """Where a stack listens: an address the gateway can connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class Version:
    """One thing that can be started: a tag pinned to its digest, or a commit.

    ``name`` is canonical: every spelling of one commit resolves to the same name.
    """

    name: str
    image: str | None = None  # the reference as resolved, "registry.example.com/app:db139cf"
    digest: str | None = None  # "sha256:…": what is started, wherever the tag has moved since
    commit: str | None = None  # 40 hex digits, for versions out of a Git repository
    branch: str | None = None  # what it was built from, if its image says so
    created: float | None = None  # wall seconds: when it was built, if its image says so

    def same(self, other: Version | None) -> bool:
        """Whether to start one is to start the other, whatever is known of where they come from."""
        return other is not None and evolve(self, branch=other.branch, created=other.created) == other


# -- what a stack is made of --------------------------------------------------------------------------------------------


class Condition(Enum):
    """When a dependency is satisfied (Compose specification, ``depends_on``)."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@frozen
class Dependency:
    service: str
    condition: Condition = Condition.STARTED
    required: bool = True


@frozen
class HealthCheck:
    """A command that exits 0 when the service is healthy. We run it, at start-up pace; the engine's own pace is too slow.

    ``test`` is an argument vector: ``CMD-SHELL`` has become ``("/bin/sh", "-c", line)``. An empty one: the image's own test.
    """

    test: tuple[str, ...]
    timeout: float = 30.0
    interval: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float | None = None  # between checks within start_period; None: our own pace
    disabled: bool = False  # no check at all, not even the image's


class MountKind(Enum):
    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"


@frozen
class Mount:
    """``source`` is a volume's name within the stack ("" for an anonymous one), a host path, or unused (tmpfs)."""

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    size: int | None = None  # tmpfs only
    mode: int | None = None  # tmpfs only: permission bits of its root


@frozen
class FileContent:
    """A file put into a container before it starts (Compose ``configs`` and ``secrets``)."""

    target: str
    content: bytes = field(repr=False)
    mode: int = 0o444


@frozen
class Service:
    """One process (or container) of a stack. ``None`` means: as the image says."""

    name: str
    image: str | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(factory=dict)
    depends_on: tuple[Dependency, ...] = ()
    healthcheck: HealthCheck | None = None
    mounts: tuple[Mount, ...] = ()
    files: tuple[FileContent, ...] = ()
    networks: Mapping[str, tuple[str, ...]] = field(factory=dict)  # network name -> extra aliases on it; {} = "default"
    ports: tuple[int, ...] = ()  # what it listens on inside; never published for that
    labels: Mapping[str, str] = field(factory=dict)
    memory: int | None = None
    cpus: float | None = None
    shm_size: int | None = None
    user: str | None = None
    working_dir: str | None = None
    hostname: str | None = None
    init: bool | None = None
    stop_signal: str | None = None
    stop_grace_period: float = 10.0
    restart: str = "no"
    ulimits: Mapping[str, tuple[int, int]] = field(factory=dict)  # name -> (soft, hard)
    extra_hosts: Mapping[str, str] = field(factory=dict)
    read_only: bool = False
    pids_limit: int | None = None
    platform: str | None = None  # "linux/arm64": which of an image's platforms to pull and run
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()  # other than "no-new-privileges:true" only where the app's `allow` says so
    # Set only where the app's `allow` says so:
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()  # "/dev/fuse:/dev/fuse:rwm"
    network_mode: str | None = None  # "host": the host's own network, and none of the stack's
    pid_mode: str | None = None  # "host"
    ipc_mode: str | None = None  # "host"
    userns_mode: str | None = None  # "host"


@frozen
class StackSpec:
    """Everything a backend needs to know to start one version of one app.

    ``services`` are in no particular order: :func:`grandcentral.core.ordering.waves` gives the order.
    """

    services: tuple[Service, ...]
    serves: str  # the service that answers requests …
    port: int  # … and the port it listens on inside the stack; 0: the backend chooses and says so in $PORT
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ("default",)
    disposable: frozenset[str] = frozenset()  # those of the volumes that go when the stack is removed; the others are kept

    def service(self, name: str) -> Service:
        """The service of that name. Raises KeyError."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)

    def is_task(self, name: str) -> bool:
        """Whether somebody waits for this service to complete: a loader, which runs once per generation."""
        return any(
            dependency.service == name and dependency.condition is Condition.COMPLETED
            for service in self.services
            for dependency in service.depends_on
        )

    def must_be_healthy(self, name: str) -> bool:
        """Whether a start waits for the health of this service: somebody depends on it, or it answers the requests."""
        return name == self.serves or any(
            dependency.service == name and dependency.condition is Condition.HEALTHY
            for service in self.services
            for dependency in service.depends_on
        )


@frozen
class Launch:
    """One start of one stack: what a backend is asked to do."""

    key: Key
    generation: int
    version: Version
    spec: StackSpec
    host: str  # the public host name, "db139cf.review.example.com"
    variables: Mapping[str, str] = field(factory=dict)  # what the template was rendered with (core.launching.variables)


@frozen
class Found:
    """What a backend found of one stack when it looked (at start-up, after the engine came back)."""

    key: Key
    generation: int
    endpoint: Endpoint | None  # None: not all of it runs
    version: Version | None = None
    paused: bool = False
    kept: bool = False  # every service is there and the loaders have completed: it can be started again as it is
    running: bool = True  # something of it runs, or is paused

    @property
    def whole(self) -> bool:
        """Every service is there and as it should be: the stack can be adopted."""
        return self.endpoint is not None


@frozen
class Usage:
    """What a stack takes of the machine, in bytes."""

    memory: int  # that the kernel could not have back for the asking: without the page cache
    disk: int | None = None  # of its containers' own layers or its work tree; None: not known


@frozen
class Progress:
    """One step of a start, as it happens. ``phase`` is one of PHASES; a phase ends when ``done`` is said of it."""

    phase: str
    service: str = ""
    detail: str = ""  # for people: "12 of 40 MB"
    done: bool = False


PHASES = ("registry", "queue", "pull", "create", "health", "loader", "ready")
"""Phases of a cold start, in the order in which they usually happen.

registry: the version was looked up; queue: waited for a slot; pull: images (or the work tree) fetched; create: networks,
volumes and containers made and started; health: waited for health checks; loader: one-shot services ran; ready: our own
probe answered.
"""


@frozen
class LogTail:
    """The last lines that one service printed, oldest first."""

    service: str
    lines: tuple[str, ...]


# -- what the configuration says of an app ------------------------------------------------------------------------------


@frozen
class Door:
    """A socket that clients come to. ``protocol`` is "http", where the host says which app is meant, or one of PROTOCOLS, and
    then it is the door of ``app``. ``endpoint`` is a Twisted endpoint string."""

    protocol: str
    endpoint: str
    app: str = ""


BY_USER = ("postgresql", "redis")
"""Protocols in which the client says by a user name which stack of the app it wants."""

PROTOCOLS = (*BY_USER, "tcp")
"""What an app may listen for on a port of its own. With "tcp" everybody who connects wants the app's one stack."""


@frozen
class ReadyPolicy:
    """When a launched stack counts as ready. ``http`` is a path; without one, an accepted connection is enough."""

    http: str | None = "/"
    within: float = 120.0
    below: int = 500  # any status below this one is an answer


@frozen
class IdlePolicy:
    """After how many idle seconds a stack is paused, stopped and removed, and what it has left then as well. None: never."""

    pause: float | None = None
    stop: float | None = 1800.0
    remove: float | None = 7 * 86400.0
    max_age: float | None = None  # one that has been up for longer is stopped, streams or not, when no request is in flight
    forget: float | None = None  # the named volumes of one that was removed


@frozen
class Hook:
    """A command line that ``/bin/sh -c`` runs in a service before its stack is stopped."""

    service: str
    command: str


class Template(Protocol):
    """A description of stacks with the version left open: a Compose file, a Procfile, a command line."""

    def render(self, variables: Mapping[str, str]) -> StackSpec:
        """The stack for these variables (VERSION, IMAGE, HOST, URL, GRANDCENTRAL_*). Raises problems.Invalid."""


@frozen
class App:
    """One ``[apps.NAME]`` table. Which backend runs it follows from what it is made of."""

    name: str
    backend: str  # "static", "process", "docker"
    hosts: tuple[str, ...] = ()  # patterns as written: "{version}.review.example.com", "docs.example.com", "*.example.com"
    version: str = ""  # "git-hash", "name", or "": the app has one version only
    image: str | None = None  # with {version} in it: "registry.example.com/app:sha-{version}"
    git: str | None = None  # path of a local repository
    template: Template | None = None
    upstream: Endpoint | None = None
    address: str = "container"  # or "published": on a port of the loopback interface that the engine chooses
    ready: ReadyPolicy = ReadyPolicy()
    idle: IdlePolicy = IdlePolicy()
    start_within: float = 600.0  # from Launch to launched: pulls, health checks and loaders
    before_stop: tuple[Hook, ...] = ()  # run one after the other; if one fails the stack is not stopped
    before_stop_within: float = 60.0  # seconds that each may take
    rules: tuple[Rule, ...] = ()  # which requests wake it and keep it awake; the first that matches
    hours: Hours | None = None  # when it may be started by requests; None: always
    prewarm: str = "off"  # what a push to the registry does: nothing, "pull" its image, or "start" the stack too
    warm: tuple[str, ...] = ()  # names (tags, branches) whose newest version is kept started and paused
    provisioned: bool = False  # its names are those of rows of the manifest, and of nothing else (core.provisions)
    doors: tuple[Door, ...] = ()  # ports of its own


@frozen
class Limits:
    """The ``[limits]`` table."""

    max_stacks: int = 20
    min_uptime: float = 30.0  # a younger stack never gives way
    queue_timeout: float = 30.0  # how long a new stack waits for a slot
    max_held_per_stack: int = 1000
    max_held: int = 5000
    start_timeout: float = 120.0  # how long a request is held for a start
    max_stream_idle: float = 3600.0  # a stream silent for longer no longer counts as use
    max_starting: int = 0  # stacks that start at once; 0: no limit but max_stacks
    starts_per_client: float = 0.0  # starts a minute that one client may cause; 0: no limit
    max_lease: float = 12 * 3600.0  # for how long an application may ask to be kept awake
    memory_min_free: int = 0  # bytes; below it, idle stacks are stopped; 0: memory is not looked at
    memory_cgroup: str | None = None  # directory of the control group that bounds stacks; None: the gateway's own
    disk_min_free: int = 0  # bytes; below it, stopped stacks and unused images are removed; 0: disks are not looked at


# -- what the table shows of a stack ------------------------------------------------------------------------------------


@frozen
class StackUse:
    """One stack at one instant: what admission and the janitor go by. Times are monotonic seconds.

    Made for every stack at every look, so it has what they need and no more.
    """

    key: Key
    state: str
    generation: int = 0
    in_flight: int = 0
    streams: int = 0
    waiting: int = 0
    last_used: float = 0.0
    last_byte: float = 0.0
    ready_since: float | None = None
    pinned: bool = False
    warm: bool = False  # kept started, and paused, by the app's ``warm`` list: never stopped for being idle
    keep_until: float = 0.0  # not put to sleep before: the application asked for that, or its before_stop failed
    requests: int = 0
    version: Version | None = None


@frozen
class StackSnapshot(StackUse):
    """One stack at one instant: what an operator sees."""

    bytes_in: int = 0
    bytes_out: int = 0
    endpoint: Endpoint | None = None
    phases: Mapping[str, float] = field(factory=dict)  # seconds per phase of the last start
    failure: str | None = None
    progress: str = ""
    pinned_until: float | None = None  # wall seconds; None: for ever, if it is pinned
    failure_logs: tuple[LogTail, ...] = ()  # what its services had printed last when it failed
