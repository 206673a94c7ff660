"""The table of an app, ``[apps.NAME]``: its part of the one list in schema.py.

A long module for the words of the reference in it.
"""

from __future__ import annotations

import math
import re

from ..core.compose.keys import FLAGS
from ..core.keys import GIT_HASH, NAME
from ..core.model import App, IdlePolicy, ReadyPolicy
from ..core.units import format_duration
from .kinds import (
    BOOLEAN,
    COMMANDS,
    DOOR,
    HOST,
    HOURS,
    PATH,
    UPSTREAM,
    VARIABLES,
    choice,
    duration,
    integer,
    matching,
    several,
    text,
)
from .setting import Setting, Table

STATIC, PROCESS, DOCKER = "static", "process", "docker"
APP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
ADDRESS = choice("container", "published")

# A URL path with a query, of printable ASCII (RFC 9112 section 3.2.1, origin form).
_REQUEST_TARGET = matching("path of a URL", r"/[!-~]*", 'is not the path of a URL: write one such as "/up"')
_SERVICE = matching(
    "service or service:port", r"[A-Za-z0-9._-]+(:[0-9]{1,5})?", 'is no service: write one such as "web:3000" or "web"'
)

_PATH_PATTERN = matching(
    "path, with `*`",
    r'[/*][!"$->@-~]*',
    'is not the path of a URL, without its query: write one such as "/up", "/api/*" or "*.json"',
)
_MEDIA_TYPE = matching(
    "media type",
    r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+",
    'is no media type in lower case: write one such as "text/html"',
)

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"),  # RFC 9110, RFC 5789
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"),  # WebDAV and its like
)
# Of the Fetch standard, section 2.2.5; "empty" is how Sec-Fetch-Dest spells no destination.
MODES = ("cors", "navigate", "no-cors", "same-origin", "websocket")
DESTINATIONS = (
    *("empty", "audio", "audioworklet", "document", "embed", "font", "frame", "iframe", "image", "json", "manifest", "object"),
    *("paintworklet", "report", "script", "serviceworker", "sharedworker", "style", "text", "track", "video", "webidentity"),
    *("worker", "xslt"),
)

_READY, _IDLE, _APP = ReadyPolicy(), IdlePolicy(), App("", "")


def ready_table(text: str) -> dict[str, object]:
    """What ``ready = "tcp"`` and ``ready = "/up"`` are short for."""
    if text != "tcp" and not text.startswith("/"):
        raise ValueError(f'"{text}" is neither "tcp" nor the path of a URL such as "/up"')
    return {"tcp": True} if text == "tcp" else {"http": text}


def idle_table(text: str) -> dict[str, object]:
    """What ``idle = "30m"`` is short for."""
    return {"stop": text}


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


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
    Setting(
        "stop",
        duration(never=True, zero=False),
        "Stopped after this long without use: it takes no memory, and keeps its data.",
        _never(_IDLE.stop),
    ),
    Setting(
        "remove",
        duration(never=True, zero=False),
        "Removed after this long without use, if it was stopped: containers or work tree go, and disposable volumes; named "
        "volumes are kept.",
        _never(_IDLE.remove),
        otherwise=f'`"{format_duration(_never(_IDLE.remove))}"`; `"never"` for what is provisioned',
    ),
    Setting(
        "forget",
        duration(never=True, zero=False),
        "Named volumes that are kept when their stack is removed go after this long without use, `365d` at most; not those of "
        "pinned, warm or provisioned ones.",
        _never(_IDLE.forget),
    ),
    Setting(
        "max_age",
        duration(never=True, zero=False),
        "Stopped when it has been up for this long and no request is in flight, streams or not. The next request starts it.",
        _never(_IDLE.max_age),
    ),
)
_RULE_FIELDS = (
    Setting("methods", several(choice(*METHODS), "method, or list of them"), "It has one of these methods."),
    Setting("path", _PATH_PATTERN, "Its path, without the query, is this; `*` stands for any characters."),
    Setting(
        "mode",
        several(choice(*MODES), "mode, or list of them"),
        f"Its `Sec-Fetch-Mode` is one of these; there is {_listed(MODES)}.",
    ),
    Setting(
        "dest",
        several(choice(*DESTINATIONS), "destination, or list of them"),
        f"Its `Sec-Fetch-Dest` is one of these; there is {_listed(DESTINATIONS)}.",
    ),
    Setting("accept", _MEDIA_TYPE, "Its `Accept` names this media type."),
    Setting("user_agent", text(example='"Googlebot"'), "Its `User-Agent` contains this, in upper or lower case."),
    Setting("wakes", BOOLEAN, "Whether it wakes a stack that sleeps."),
    Setting("keeps_alive", BOOLEAN, "Whether it counts as use, so that the stack does not fall asleep."),
)
_READY_KIND = text('path, `"tcp"` or table', example='"/up"')
_IDLE_KIND = text('duration, `"never"` or table', example='"30m"')

_STARTED = (PROCESS, DOCKER)

APPS = Table(
    "apps",
    "An app: what is behind a host, behind a family of hosts with a version in their names, or behind a port. What runs it "
    "follows from what it is made of: `upstream` is something that always runs elsewhere, `git` is run as child processes, "
    "`compose` and `image` by Docker.",
    (
        Setting(
            "host",
            several(HOST, "host pattern, or list of them"),
            "The hosts it answers to: `docs.example.com`, `{version}.review.example.com`, "
            "`pr-{version}.example.com`, `{app}.{user}.example.com`, `*.example.com`, or `*` for all that "
            "nobody else claims.",
            otherwise="must be given, or `listen`",
        ),
        Setting(
            "listen",
            several(DOOR, "port, or list of them"),
            "Ports of its own: `postgresql:5432` or `redis:6379`, where the user name of the client says which stack it "
            "wants; `tcp:2525`, where all that come want its one stack. `:interface=127.0.0.1` may follow.",
            otherwise="none",
        ),
        Setting(
            "version",
            choice(GIT_HASH, NAME),
            "What the variables of `host` stand for: a commit in 7 to 40 hex digits, or any name that a DNS "
            "label can be. Not given: the app has one version.",
            backends=_STARTED,
        ),
        Setting(
            "provisioned",
            BOOLEAN,
            "Its stacks are those that somebody has asked for by `POST /provision`, and no others; `host` has a place for the "
            "user, or for the user and the user's app: `{app}.{user}.example.com`. What all of them run is the newest commit "
            "of `git`, or `compose`, or `image`. See `[provision]`.",
            _APP.provisioned,
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
            otherwise='`"/"`; `"tcp"` without a `host`',
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
            backends=_STARTED,
        ),
        Setting(
            "wakes",
            choice("visits", "any"),
            "Which requests wake it, where `requests` does not say: visits, that is what a person or a program asks for, and "
            "not what pages, crawlers and monitors ask for in the background; or any.",
            "visits",
            backends=_STARTED,
        ),
        Setting(
            "requests",
            text("list of tables"),
            "Which requests wake it, and which keep it awake: the first rule that matches and answers a question decides it.",
            otherwise="none",
            fields=_RULE_FIELDS,
            many=True,
            example='[[apps.NAME.requests]]\npath = "/api/poll"\nwakes = false\nkeeps_alive = false',
            backends=_STARTED,
        ),
        Setting(
            "hours",
            HOURS,
            "When requests may start it: `Mon-Fri 07:00-20:00, Sat 10:00-14:00 Europe/Berlin`; every day where no days are "
            "named, UTC where no time zone is. Outside them what nobody uses is stopped soon. Operators may start it any time.",
            otherwise="always",
            backends=_STARTED,
        ),
        Setting(
            "before_stop",
            COMMANDS,
            "Command lines that `/bin/sh -c` runs in the services they are named after, one after the other, before a stack is "
            'stopped: `{ db = "mariadb-dump shop > /dumps/shop.sql" }`. If one fails, the stack runs on, and an alarm is '
            "logged.",
            otherwise="none",
            backends=_STARTED,
        ),
        Setting(
            "before_stop_within",
            duration(zero=False),
            "How long each of them may take.",
            _APP.before_stop_within,
            backends=_STARTED,
        ),
        Setting(
            "start_within",
            duration(zero=False),
            "How long a start may take until everything runs: pulls, health checks and loaders.",
            _APP.start_within,
            backends=_STARTED,
        ),
        Setting("address", ADDRESS, "As in `[docker]`, for this app.", otherwise="that of `[docker]`", backends=(DOCKER,)),
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
        Setting(
            "prewarm",
            choice("off", "pull", "start"),
            "What a push to the registry does: nothing, pull the image, or start the stack as well. See `[webhooks]`.",
            _APP.prewarm,
            backends=(DOCKER,),
        ),
        Setting(
            "warm",
            several(text(example='"main"'), "name, or list of them", empty=True),
            "Versions whose newest image or commit is always kept started, paused: tags, branches, or names.",
            _APP.warm,
            backends=_STARTED,
        ),
    ),
    each="the app's name, which keys, labels and logs have",
    later={
        "redirect": "remove it",
    },
)
