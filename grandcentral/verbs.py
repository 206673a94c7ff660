"""The commands that ask a gateway that runs: what an operator does with stacks.

A little over the usual length: each verb is a few lines, and all share how their answers are shown.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from attrs import frozen

from . import config
from .config import files
from .core.keys import Key
from .core.problems import Invalid
from .core.units import parse_duration
from .options import ADMIN_URL, find, settings
from .remote import Answer, NotDone, Remote, Unreachable, checked, url_of

GOES_ON = 3  # exit status: the gateway does it, but had not finished when the wait was over
WAIT = "2m"
LONGEST = 600  # seconds that the gateway lets a call wait


@frozen
class Command:
    """``arguments`` adds what it takes; ``run`` gets that parsed and returns the exit status."""

    summary: str
    about: str
    run: Callable[[Namespace], int]
    arguments: Callable[[ArgumentParser], object] = lambda parser: None


# -- whom to ask --------------------------------------------------------------------------------------------------------


def remote(arguments: Namespace, environ: Mapping[str, str]) -> Remote:
    """The gateway that is meant. Raises Invalid or ValueError.

    A token of the configuration goes to the gateway of that configuration only, unless both were named.
    """
    url = arguments.url or environ.get(ADMIN_URL)
    path = find(arguments.config, environ) if arguments.config or not url else None
    if arguments.token_file is not None:
        token = files.read_secret(Path(arguments.token_file).expanduser())
        environ = {**environ, "GRANDCENTRAL_ADMIN_TOKEN": token}
        environ.pop("GRANDCENTRAL_ADMIN_TOKEN_FILE", None)
    admin = config.load_admin(path, settings(environ))
    return Remote(checked(url) if url else url_of(admin.listen), admin.token)


def _where(parser: ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help=f"the gateway's admin listener (default: ${ADMIN_URL}, or [admin] listen)")
    parser.add_argument("--token-file", metavar="FILE", help="the file with the admin token (default: that of [admin])")


# -- what is asked for --------------------------------------------------------------------------------------------------


def asking(ask: Callable[[Remote, Namespace], int], arguments: Namespace) -> int:
    """What cannot be done is one sentence on standard error."""
    try:
        gateway = remote(arguments, os.environ)
    except Invalid as invalid:
        print(*invalid.problems, sep="\n", file=sys.stderr)
        return 1
    except ValueError as error:
        _complain(str(error))
        return 1
    try:
        return ask(gateway, arguments)
    except NotDone as error:
        _complain(str(error), error.logs)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell calls it


def _complain(sentence: str, logs: Iterable[Mapping[str, Any]] = ()) -> None:
    print(f"grandcentral: {sentence}", file=sys.stderr)
    for line in log_lines(logs):
        print(line, file=sys.stderr)


def _ps(gateway: Remote, arguments: Namespace) -> int:
    document = gateway.stacks()
    if arguments.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print(*table([*document["stacks"], *document.get("stopped", ())], time.time()), sep="\n")
    return 0


def _logs(gateway: Remote, arguments: Namespace) -> int:
    answer = gateway.call("GET", arguments.key, "logs", {"lines": str(arguments.lines)})
    print(*log_lines(answer.document["logs"]), sep="\n")
    return 0


def _stack(key: Key, answer: Answer) -> str:
    return f"{named(answer.document)}: {_state(answer.document)}{'' if answer.done else ', and goes on'}"


def each(
    ask: Callable[[Remote, Namespace, Key], Answer],
    gateway: Remote,
    arguments: Namespace,
    tell: Callable[[Key, Answer], str] = _stack,
) -> int:
    """The same for each key, the rest too where one cannot be had. ``tell`` says what became of it, in a line."""
    statuses = [0]
    for key in arguments.key:
        try:
            answer = ask(gateway, arguments, key)
        except Unreachable:
            raise
        except NotDone as error:
            _complain(f"{key}: {error}", error.logs)
            statuses.append(1)
        else:
            print(tell(key, answer))
            statuses.append(0 if answer.done else GOES_ON)
    return 1 if 1 in statuses else max(statuses)


def _start(gateway: Remote, arguments: Namespace, key: Key) -> Answer:
    return gateway.call("POST", key, "start", {"wait": str(arguments.wait)})


def _stop(gateway: Remote, arguments: Namespace, key: Key) -> Answer:
    return gateway.call("POST", key, "stop", {"wait": str(arguments.wait)} | ({"force": "1"} if arguments.force else {}))


def _remove(gateway: Remote, arguments: Namespace, key: Key) -> Answer:
    return gateway.call("POST", key, "remove", {"wait": str(arguments.wait)} | ({"volumes": "1"} if arguments.volumes else {}))


def _pin(gateway: Remote, arguments: Namespace, key: Key) -> Answer:
    return gateway.call("PUT", key, "pin", {"until": arguments.until} if arguments.until else {})


def _unpin(gateway: Remote, arguments: Namespace, key: Key) -> Answer:
    return gateway.call("DELETE", key, "pin", {})


# -- what is shown ------------------------------------------------------------------------------------------------------

HEAD = ("STACK", "STATE", "UP FOR", "IDLE FOR", "REQUESTS", "MEMORY", "URL")


def table(stacks: Sequence[Mapping[str, Any]], now: float) -> Iterator[str]:
    """Lines, in columns. ``now``: wall seconds."""
    return columns([HEAD, *(_row(stack, now) for stack in stacks)])


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines in which each column is as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(stack: Mapping[str, Any], now: float) -> tuple[str, ...]:
    since, idle, memory = stack["ready_since"], stack["idle_seconds"], stack.get("memory")
    return (
        named(stack),
        _state(stack),
        "-" if since is None else about(now - datetime.fromisoformat(since).timestamp()),
        "-" if idle is None else about(idle),
        str(stack["requests"]),
        "-" if memory is None else f"{ceil(memory / 2**20)}MiB",
        stack.get("url") or "-",
    )


def named(stack: Mapping[str, Any]) -> str:
    return str(Key(stack["app"], stack["name"]))


def _state(stack: Mapping[str, Any]) -> str:
    """With whatever keeps it from going to sleep."""
    pinned = f"pinned until {stack['pinned_until']}" if stack.get("pinned_until") else "pinned"
    marks = [pinned] if stack["pinned"] else ["warm"] if stack.get("warm") else []
    return ", ".join([stack["state"], *marks])


def about(seconds: float) -> str:
    """A duration as people say it, in its largest unit: "90s", "5m", "47h", "3d"."""
    for unit, size, most in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{max(0, int(seconds)) // size}{unit}"
    return f"{int(seconds) // 86_400}d"


def log_lines(logs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each line with the service that printed it."""
    known = list(logs)
    width = max((len(tail["service"]) for tail in known), default=0)
    for tail in known:
        for line in tail["lines"]:
            yield f"{tail['service']:{width}} | {line}"


# -- what they take -----------------------------------------------------------------------------------------------------


def key_of(text: str) -> Key:
    if not re.fullmatch(r"[^\s/]+(/[^\s/]+)?", text):
        raise ArgumentTypeError(f'"{text}" is no stack: write its app, and behind a slash its version: shop/db139cf')
    return Key.parse(text)


def whole_seconds(text: str) -> int:
    try:
        return min(ceil(parse_duration(text)), LONGEST)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def takes(*more: Callable[[ArgumentParser], object]) -> Callable[[ArgumentParser], None]:
    def arguments(parser: ArgumentParser) -> None:
        for add in (_where, *more):
            add(parser)

    return arguments


def _keys(parser: ArgumentParser) -> None:
    parser.add_argument("key", nargs="+", type=key_of, metavar="APP/VERSION", help="a stack; just APP, if it has no versions")


def _one_key(parser: ArgumentParser) -> None:
    parser.add_argument("key", type=key_of, metavar="APP/VERSION", help="the stack; just APP, if it has no versions")


def waits(parser: ArgumentParser) -> None:
    wait = f"how long to wait until it is done (default: {WAIT}); then it goes on, and the exit status is {GOES_ON}"
    parser.add_argument("--wait", type=whole_seconds, default=WAIT, metavar="DURATION", help=wait)


def flag(name: str, help: str) -> Callable[[ArgumentParser], object]:
    return lambda parser: parser.add_argument(name, action="store_true", help=help)


def _until(parser: ArgumentParser) -> None:
    until = "when the pin ends: after a duration (2d), or at a moment (2026-12-24T18:00:00Z); default: never"
    parser.add_argument("--until", metavar="WHEN", help=until)


def _lines(parser: ArgumentParser) -> None:
    parser.add_argument("--lines", type=int, default=100, metavar="N", help="how many of each service (default: 100)")


VERBS = {
    "ps": Command(
        "list the stacks of a gateway that runs",
        "Lists every stack that runs, starts, sleeps or is pinned: how long it has been up, for how long nobody has used it, "
        "its requests and memory.",
        partial(asking, _ps),
        takes(flag("--json", "all that the gateway says, as JSON")),
    ),
    "start": Command(
        "start stacks, whether or not somebody asks for them",
        "Starts stacks, also outside their opening hours and when a start has failed just now.",
        partial(asking, partial(each, _start)),
        takes(_keys, waits),
    ),
    "stop": Command(
        "stop stacks and keep their data",
        "Stops stacks, busy or not. Their before_stop commands are run first; one for which that fails runs on. The containers "
        "keep their data, and the next request starts them again.",
        partial(asking, partial(each, _stop)),
        takes(_keys, flag("--force", "without before_stop commands: what they would save is lost"), waits),
    ),
    "remove": Command(
        "stop stacks and remove them",
        "Stops stacks without their before_stop commands and removes their containers, work trees and disposable volumes. The "
        "next request makes them anew.",
        partial(asking, partial(each, _remove)),
        takes(_keys, flag("--volumes", "and all other volumes: their data is lost for good"), waits),
    ),
    "pin": Command(
        "keep stacks awake",
        "Pinned stacks are never stopped for being idle, or to make room. It starts nothing.",
        partial(asking, partial(each, _pin)),
        takes(_keys, _until),
    ),
    "unpin": Command(
        "let stacks go to sleep again",
        "Ends pins: the stacks go to sleep like others.",
        partial(asking, partial(each, _unpin)),
        takes(_keys),
    ),
    "logs": Command(
        "show what the services of a stack printed last",
        "Shows the last lines of each service of a stack.",
        partial(asking, _logs),
        takes(_one_key, _lines),
    ),
}
