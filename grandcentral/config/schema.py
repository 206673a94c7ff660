"""Every table and key of the configuration: one list, from which files are checked, environment variables are understood, the
effective configuration is written and docs/configuration.md is made.

A long module, since it is one list with the words of the reference in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ..core.compose.keys import FLAGS
from ..core.keys import GIT_HASH, NAME
from ..core.model import App, IdlePolicy, Limits, ReadyPolicy
from .kinds import (
    ACCESS_LOG,
    BOOLEAN,
    HOST,
    LISTEN,
    NETWORK,
    PATH,
    SIZE,
    UPSTREAM,
    URL,
    VARIABLES,
    WORKERS,
    Kind,
    choice,
    duration,
    integer,
    matching,
    several,
    text,
)

STATIC, PROCESS, DOCKER = "static", "process", "docker"


@frozen
class Setting:
    """One key. ``default`` is a value as read; None: there is none, or it follows from the surroundings, as ``otherwise`` says.

    ``instead`` is a key that says the same in another way: only one of the two can be given. ``backends`` are those of apps
    that the key means something to, () being all. A setting with ``fields`` is a table, for which ``shorthand`` makes one
    out of a string.
    """

    key: str
    kind: Kind
    doc: str
    default: Any = None
    otherwise: str = ""
    secret: bool = False
    instead: str = ""
    backends: tuple[str, ...] = ()
    fields: tuple[Setting, ...] = ()
    shorthand: Callable[[str], dict[str, object]] | None = None
    later: Mapping[str, str] = {}  # as of a Table


@frozen
class Table:
    """A table, or with ``each`` a table of tables, whose names stand for what ``each`` says. ``later`` are keys of versions to
    come: key -> what to do without it."""

    name: str
    doc: str
    settings: tuple[Setting, ...]
    each: str = ""
    environment: bool = False
    later: Mapping[str, str] = {}

    def setting(self, key: str) -> Setting:
        return next(setting for setting in self.settings if setting.key == key)


# A URL path with a query, of printable ASCII (RFC 9112 section 3.2.1, origin form).
_REQUEST_TARGET = matching("path of a URL", r"/[!-~]*", 'is not the path of a URL: write one such as "/up"')
_SERVICE = matching(
    "service or service:port", r"[A-Za-z0-9._-]+(:[0-9]{1,5})?", 'is no service: write one such as "web:3000" or "web"'
)
_ADDRESS = choice("container", "published")
_DOCKER_HOST = matching(
    "URL of an engine",
    r"(unix:///|tcp://|https?://)[!-~]+",
    'is not where an engine can be: write one such as "unix:///var/run/docker.sock" or "tcp://127.0.0.1:2375"',
)
_INSTANCE = matching(
    "name", r"[a-z0-9][a-z0-9_.-]{0,62}", "is no name: write at most 63 lower-case letters, digits, and inner . _ -"
)

_LIMITS, _READY, _IDLE = Limits(), ReadyPolicy(), IdlePolicy()
_APP = App("", "")


def ready_table(text: str) -> dict[str, object]:
    """What ``ready = "tcp"`` and ``ready = "/up"`` are short for."""
    if text != "tcp" and not text.startswith("/"):
        raise ValueError(f'"{text}" is neither "tcp" nor the path of a URL such as "/up"')
    return {"tcp": True} if text == "tcp" else {"http": text}


def idle_table(text: str) -> dict[str, object]:
    """What ``idle = "30m"`` is short for."""
    return {"stop": text}


def _never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


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
            _ADDRESS,
            "How stacks are reached: at the address of the container, or at a port of the loopback interface"
            " that the engine chooses (where the gateway has no route to containers).",
            _APP.address,
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

LIMITS = Table(
    "limits",
    "How much there may be of what.",
    (
        Setting(
            "max_stacks", integer(1), "Stacks that may exist at once, starting and stopping ones included.", _LIMITS.max_stacks
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
    ),
    environment=True,
    later={"memory_min_free": "remove it; max_stacks bounds the memory that stacks take"},
)

HTTP = Table(
    "http",
    "Limits and time-outs of the HTTP front door.",
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

_READY_FIELDS = (
    Setting("http", _REQUEST_TARGET, "Path that is asked for, with the public host.", _READY.http),
    Setting("below", integer(101, 600), "Any status below this one is an answer.", _READY.below),
    Setting("tcp", BOOLEAN, "Ask nothing: an accepted connection is enough.", False),
    Setting("within", duration(zero=False), "How long it may take from running to ready.", _READY.within),
)
_IDLE_FIELDS = (
    Setting(
        "pause",
        duration(never=True, zero=False),
        "Frozen after this long without use: it keeps its memory and wakes in milliseconds.",
        _never(_IDLE.pause),
    ),
    Setting("stop", duration(never=True, zero=False), "Stopped after this long without use.", _never(_IDLE.stop)),
)
_READY_KIND = text('path, `"tcp"` or table', example='"/up"')
_IDLE_KIND = text('duration, `"never"` or table', example='"30m"')

_STARTED = (PROCESS, DOCKER)

APPS = Table(
    "apps",
    "An app: what is behind a host, or behind a family of hosts with a version in their names. What runs it follows from what "
    "it is made of: `upstream` is something that always runs elsewhere, `git` is run as child processes, `compose` and `image` "
    "by Docker.",
    (
        Setting(
            "host",
            several(HOST, "host pattern, or list of them"),
            "The hosts it answers to: `docs.example.com`, `{version}.review.example.com`, "
            "`pr-{version}.example.com`, `{app}.{user}.example.com`, `*.example.com`, or `*` for all that "
            "nobody else claims.",
            otherwise="must be given",
        ),
        Setting(
            "version",
            choice(GIT_HASH, NAME),
            "What the variables of `host` stand for: a commit in 7 to 40 hex digits, or any name that a DNS "
            "label can be. Not given: the app has one version.",
            backends=_STARTED,
        ),
        Setting("upstream", UPSTREAM, "Where it always runs.", backends=(STATIC,)),
        Setting("git", PATH, "A local Git repository; each commit is a version.", backends=(PROCESS,)),
        Setting(
            "command",
            text(),
            "Command line that serves a commit on `$PORT`, run by a shell in its work tree.",
            backends=(PROCESS,),
            instead="procfile",
        ),
        Setting(
            "procfile",
            text(),
            "Path, in the repository, of a Procfile that has the commands.",
            otherwise="`Procfile`, where there is no `command`",
            backends=(PROCESS,),
            instead="command",
        ),
        Setting("compose", PATH, "The Compose file that describes a stack.", backends=(DOCKER,)),
        Setting(
            "image",
            text(),
            "The image of a version, its tag with `{version}` in it. The version exists if the registry has it.",
            backends=(DOCKER,),
        ),
        Setting("tag", text(), "The tag, where `image` has none: `sha-{version}`.", backends=(DOCKER,)),
        Setting(
            "serves",
            _SERVICE,
            "The service that answers requests, and its port: `web:3000`. For `git`, the name in the Procfile.",
            otherwise="`web` for `git`; else it must be given",
            backends=_STARTED,
        ),
        Setting(
            "ready",
            _READY_KIND,
            'When a stack that runs counts as ready: `"/up"`, `"tcp"`, or a table.',
            otherwise='`"/"`',
            fields=_READY_FIELDS,
            shorthand=ready_table,
        ),
        Setting(
            "idle",
            _IDLE_KIND,
            'When a stack goes to sleep: `"30m"`, `"never"`, or a table.',
            otherwise='`"30m"`',
            fields=_IDLE_FIELDS,
            shorthand=idle_table,
            later={"remove": "remove it; what is stopped is removed as well"},
            backends=_STARTED,
        ),
        Setting(
            "start_within",
            duration(zero=False),
            "How long a start may take until everything runs: pulls, health checks and loaders.",
            _APP.start_within,
            backends=_STARTED,
        ),
        Setting("address", _ADDRESS, "As in `[docker]`, for this app.", otherwise="that of `[docker]`", backends=(DOCKER,)),
        Setting(
            "environment",
            VARIABLES,
            "Environment variables of the processes of `git`, and of an `image` without `compose`: "
            "`${VERSION}` and its like are put into their values. With `compose`, what `${…}` in the Compose"
            " file can name.",
            backends=_STARTED,
            secret=True,
        ),
        Setting(
            "allow",
            several(choice(*sorted(FLAGS)), "list of permissions", empty=True),
            "What the Compose file may use although it opens the host to the stack: see the reference of Compose keys.",
            (),
            backends=(DOCKER,),
        ),
    ),
    each="the app's name, which keys, labels and logs have",
    later={
        "listen": "apps behind ports of their own come later; give the app a host",
        "provisioned": "remove it, and say by version and image which stacks may exist",
        "redirect": "remove it",
        "before_stop": "remove it",
    },
)

TABLES = (GATEWAY, ADMIN, LIMITS, HTTP, LOG, DOCKER_TABLE, REGISTRIES, APPS)

APP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
REGISTRY_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?", re.ASCII)
