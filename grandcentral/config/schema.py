"""Every table and key of the configuration: one list, from which files are checked, environment variables are understood, the
effective configuration is written and docs/configuration.md is made.

A long module, since it is one list with the words of the reference in it.
"""

from __future__ import annotations

import re

from ..core.model import App, Limits
from ..core.webhooks import FORMATS
from .app_table import ADDRESS, APPS
from .kinds import (
    ACCESS_LOG,
    BOOLEAN,
    DIRECTORY,
    LISTEN,
    NETWORK,
    PATH,
    RATE,
    SIZE,
    URL,
    WORKERS,
    choice,
    duration,
    integer,
    matching,
    several,
    size,
    text,
)
from .setting import Setting, Table

_DOCKER_HOST = matching(
    "URL of an engine",
    r"(unix:///|tcp://|https?://)[!-~]+",
    'is not where an engine can be: write one such as "unix:///var/run/docker.sock" or "tcp://127.0.0.1:2375"',
)
_INSTANCE = matching(
    "name", r"[a-z0-9][a-z0-9_.-]{0,62}", "is no name: write at most 63 lower-case letters, digits, and inner . _ -"
)

_LIMITS = Limits()


GATEWAY = Table(
    "gateway",
    "The front door, and where the gateway keeps its own state.",
    (
        Setting(
            "listen",
            several(LISTEN, "list of endpoints"),
            "Where clients are listened for: Twisted endpoint strings (`tcp:`, `unix:`, `systemd:`).",
            ("tcp:8080",),
        ),
        Setting(
            "url",
            URL,
            "How clients reach the gateway, for the links that it gives; `{host}` is where the host goes. "
            "Say it when something in front of the gateway takes TLS or another port.",
            otherwise="`http://{host}` with the first TCP port of `listen`",
        ),
        Setting(
            "state",
            PATH,
            "Directory for what must survive a restart.",
            otherwise="`/var/lib/grandcentral` for root, else `$XDG_STATE_HOME/grandcentral` or `~/.local/state/grandcentral`",
        ),
        Setting(
            "workers",
            WORKERS,
            'Processes that serve clients: a number, or `"auto"` for one on each CPU. With 0 the gateway serves them itself, '
            "in one process.",
            0,
        ),
    ),
    environment=True,
)

ADMIN = Table(
    "admin",
    "The operator's listener: health, statistics, and control of stacks.",
    (
        Setting(
            "listen",
            LISTEN,
            "Where it listens: an endpoint string. It should not be where clients can reach it.",
            "tcp:8081:interface=127.0.0.1",
        ),
        Setting("token", text(), "Bearer token for what changes something.", secret=True, instead="token_file"),
        Setting("token_file", PATH, "File that holds the token. Without either, nothing can be changed.", instead="token"),
    ),
    environment=True,
)

DOCKER_TABLE = Table(
    "docker",
    "The Docker engine.",
    (
        Setting("host", _DOCKER_HOST, "Where the engine is.", otherwise="`$DOCKER_HOST`, or `unix:///var/run/docker.sock`"),
        Setting(
            "instance",
            _INSTANCE,
            "What this gateway calls itself on the engine. Two gateways on one engine need two names, or "
            "each removes the stacks of the other.",
            "default",
        ),
        Setting(
            "address",
            ADDRESS,
            "How stacks are reached: at the address of the container, or at a port of the loopback interface"
            " that the engine chooses (where the gateway has no route to containers).",
            App("", "").address,
        ),
    ),
    environment=True,
)

REGISTRIES = Table(
    "registries",
    "What is to be known of an image registry. Credentials that are not here are taken from Docker's own configuration file.",
    (
        Setting("insecure", BOOLEAN, "Speak HTTP to it, not HTTPS.", False),
        Setting("username", text(), "User name; needs a password."),
        Setting("password", text(), "Password or access token.", secret=True, instead="password_file"),
        Setting("password_file", PATH, "File that holds the password.", instead="password"),
        Setting(
            "token_hosts",
            several(text(), "list of hosts", empty=True),
            "Other hosts that may be asked for this registry's tokens, and so see the credentials.",
            (),
        ),
    ),
    each="the registry's host, with its port if it has one",
)

WEBHOOKS = Table(
    "webhooks",
    "Notifications of image registries, about what was pushed. They are received by the admin listener, as `POST "
    f"/webhooks/FORMAT` with one of the formats {', '.join(FORMATS)}. See `prewarm` of an app.",
    (
        Setting(
            "secret",
            text(),
            "What the registry signs its notifications with, or sends along.",
            secret=True,
            instead="secret_file",
        ),
        Setting(
            "secret_file", PATH, "File that holds the secret. Without either, no notification is believed.", instead="secret"
        ),
    ),
    environment=True,
)

PROVISION = Table(
    "provision",
    "Who may provision stacks of apps that have `provisioned = true`, by `POST /provision` and `POST /deprovision` of the "
    "admin listener. Callers elsewhere should have a listener of their own, which serves that and nothing else.",
    (
        Setting(
            "secret",
            text(),
            "What callers send as `secret` in the payload, or as `Authorization: Bearer`.",
            secret=True,
            instead="secret_file",
        ),
        Setting(
            "secret_file",
            PATH,
            "File that holds the secret. Without either, only the admin token provisions.",
            instead="secret",
        ),
        Setting(
            "listen",
            LISTEN,
            "Where callers elsewhere are listened for: an endpoint string. It speaks plain HTTP, so it should be behind "
            "something that takes TLS: the gateway's front door, with an app that has this as its `upstream`.",
            otherwise="on the admin listener only",
        ),
        Setting(
            "host",
            matching("host name", r"[A-Za-z0-9.-]{1,253}", "is no name of a host: write one such as db.example.com"),
            "What clients call this machine, where they are told how to connect to an app with a port of its own.",
            otherwise="the machine's own name",
        ),
    ),
    environment=True,
)

LIMITS = Table(
    "limits",
    "How much there may be of what.",
    (
        Setting(
            "max_stacks",
            integer(1),
            "Stacks that may run at once, paused, starting and stopping ones included. Stopped ones, of which only the data is "
            "left, do not count.",
            _LIMITS.max_stacks,
        ),
        Setting("min_uptime", duration(), "A stack younger than this never gives way to another.", _LIMITS.min_uptime),
        Setting("queue_timeout", duration(), "How long a new stack waits for a place.", _LIMITS.queue_timeout),
        Setting("start_timeout", duration(zero=False), "How long a request is held for a start.", _LIMITS.start_timeout),
        Setting("max_held_per_stack", integer(1), "Requests held for one stack.", _LIMITS.max_held_per_stack),
        Setting("max_held", integer(1), "Requests held in all.", _LIMITS.max_held),
        Setting(
            "max_stream_idle",
            duration(zero=False),
            "A stream (WebSocket, event stream) silent for longer than this no longer keeps its stack awake.",
            _LIMITS.max_stream_idle,
        ),
        Setting(
            "max_starting",
            integer(0),
            "Stacks that may be starting at once; the next ones wait in the queue. 0: as many as `max_stacks`.",
            _LIMITS.max_starting,
        ),
        Setting(
            "starts_per_client",
            RATE,
            "Starts a minute that one client address may cause; what is beyond gets a 429. 0: no limit.",
            _LIMITS.starts_per_client,
        ),
        Setting(
            "max_lease",
            duration(),
            "The longest time for which an application can ask to be kept awake; what it asks beyond that is cut short.",
            _LIMITS.max_lease,
        ),
        Setting(
            "memory_min_free",
            size(zero=True),
            "While less memory than this is free, idle stacks are stopped, and new ones wait. 0: memory is not looked at.",
            _LIMITS.memory_min_free,
        ),
        Setting(
            "memory_cgroup",
            DIRECTORY,
            "Directory of the control group whose limit bounds the stacks' memory, such as "
            "`/sys/fs/cgroup/system.slice/docker.service`.",
            _LIMITS.memory_cgroup,
            otherwise="that of the gateway",
        ),
        Setting(
            "disk_min_free",
            size(zero=True),
            "While less disk than this is free, stopped stacks are removed, and images that nobody needs. 0: disks are not "
            "looked at.",
            _LIMITS.disk_min_free,
        ),
    ),
    environment=True,
)

HTTP = Table(
    "http",
    "Limits and time-outs of the HTTP front door; some hold on the ports of apps as well: see docs/operations.md.",
    (
        Setting(
            "waiting_page_after",
            duration(),
            "A browser that waits for longer than this gets a page that tells of the start.",
            5.0,
        ),
        Setting("head_timeout", duration(zero=False), "Within which the head of a request must be complete, in total.", 10.0),
        Setting("idle_timeout", duration(zero=False), "A connection without a request is closed after this.", 75.0),
        Setting(
            "body_timeout", duration(zero=False), "A request whose body makes no progress for this long is given up.", 60.0
        ),
        Setting("connect_timeout", duration(zero=False), "How long connecting to a stack may take.", 5.0),
        Setting("response_timeout", duration(zero=False), "How long an application may take to begin its answer.", 60.0),
        Setting(
            "stream_timeout",
            duration(zero=False),
            "An upgraded connection (WebSocket), or an answer that has begun, may be silent for so long.",
            3600.0,
        ),
        Setting("stall_timeout", duration(zero=False), "A client that takes nothing for so long is gone.", 300.0),
        Setting("linger", duration(), "How long to read on after a last answer, so that the client sees it.", 3.0),
        Setting("pool_idle", duration(zero=False), "An unused connection to a stack is closed after this.", 4.0),
        Setting("pool_size", integer(0), "Unused connections that are kept for each stack.", 128),
        Setting("grace", duration(), "How long requests may take to finish when the gateway stops.", 30.0),
        Setting("buffer", SIZE, "What is read ahead of what can be passed on, each way; then reading pauses.", 65536),
        Setting(
            "max_held_body",
            size(zero=True),
            "Largest body of a request that is held for a start; what is beyond gets a 413. 0: no limit.",
            64 * 1024 * 1024,
        ),
        Setting(
            "spool_above",
            SIZE,
            "A held body larger than this waits in a file below `state`; a smaller one waits in memory.",
            64 * 1024,
        ),
        Setting("max_request_line", SIZE, "Longest request line.", 16384),
        Setting("max_field", SIZE, "Longest header field.", 16384),
        Setting("max_head", SIZE, "Longest head of a request or response.", 65536),
        Setting("max_fields", integer(1), "Most header fields of a message.", 128),
        Setting(
            "trusted_proxies",
            several(NETWORK, "list of networks", empty=True),
            "Proxies in front of the gateway, whose `Forwarded` and `X-Forwarded-*` fields are believed: networks, and "
            '`"unix"` for whoever connects by a UNIX socket.',
            (),
        ),
        Setting(
            "proxy_protocol",
            several(NETWORK, "list of networks", empty=True),
            "Balancers in front of the gateway that begin each connection with a PROXY header, version 1 or 2: it says who the "
            "client is. They have to; from anybody else it is not understood.",
            (),
        ),
        Setting(
            "max_connections",
            integer(1),
            "Connections of clients at once, in each worker; what is beyond gets a 503.",
            otherwise="as many as the limit of open files allows, if each has one to a stack as well",
        ),
        Setting(
            "max_connections_per_client",
            integer(1),
            "Connections at once of one address that is none of `trusted_proxies`, in each worker; what is beyond gets a 503.",
            1024,
        ),
        Setting(
            "tracing",
            BOOLEAN,
            "Give requests that bring no valid `traceparent` a new one (W3C Trace Context), which the gateway's own answers "
            "and its access log name too. It says that the trace is recorded: applications that leave that to the caller then "
            "record everything. A valid one is always passed on.",
            False,
        ),
    ),
    environment=True,
)

LOG = Table(
    "log",
    "The log, on standard output, and the log of requests.",
    (
        Setting("format", choice("text", "json"), "Lines for people, or one JSON object a line.", "text"),
        Setting("level", choice("debug", "info", "warn", "error", "critical"), "What is less than this is not logged.", "info"),
        Setting(
            "access",
            ACCESS_LOG,
            'A line for each request: the file that it goes to, `"-"` for standard output, or `"off"`. The file may be moved '
            "away at any time: a new one is begun.",
            "off",
        ),
        Setting(
            "access_format",
            choice("combined", "json"),
            "As Apache and nginx have it, with the gateway's own facts behind; or one JSON object a line.",
            "combined",
        ),
    ),
    environment=True,
)

TABLES = (GATEWAY, ADMIN, LIMITS, HTTP, LOG, DOCKER_TABLE, REGISTRIES, WEBHOOKS, PROVISION, APPS)

REGISTRY_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?", re.ASCII)
