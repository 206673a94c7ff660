"""The commands about provisions: who may have a stack, on a gateway that runs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from functools import partial
from typing import Any

from .core.keys import Key
from .remote import Answer, NotDone, Remote
from .verbs import GOES_ON, Command, asking, columns, each, flag, key_of, named, takes, waits, whole_seconds

# -- what is asked for --------------------------------------------------------------------------------------------------


def _provision(gateway: Remote, arguments: Namespace) -> int:
    said = {
        "username": arguments.user,
        "appname": arguments.appname,
        "emailaddress": arguments.email,
        "expires": arguments.until,
    }
    fields = {"app": arguments.app, **{name: value for name, value in said.items() if value is not None}}
    answer = gateway.provision(fields, {} if arguments.wait is None else {"wait": str(arguments.wait)})
    document = answer.document
    print(f"{named(document)}: {document['state']}")
    for name in ("url", "connection", "password", "expires"):
        if document.get(name):
            print(f"{name}: {document[name]}")
    if document["failure"]:
        raise NotDone(document["failure"])
    return 0 if answer.done else GOES_ON


def _deprovision(gateway: Remote, arguments: Namespace, key: Key) -> Answer:
    return gateway.deprovision(key, {"wait": str(arguments.wait)})


def _gone(key: Key, answer: Answer) -> str:
    if not answer.done:
        return f"{key}: is being removed, and goes on"
    return f"{key}: removed" if answer.document["existed"] else f"{key}: was not provisioned"


def _ls(gateway: Remote, arguments: Namespace) -> int:
    document = gateway.provisions()
    if arguments.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print(*columns([HEAD, *map(_row, document["provisions"])]), sep="\n")
    return 0


# -- what is shown ------------------------------------------------------------------------------------------------------

HEAD = ("STACK", "STATE", "OWNER", "CREATED", "EXPIRES", "URL")


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        named(row),
        "being removed" if row["ending"] else row["state"],
        row["emailaddress"] or row["username"],
        row["created"][:10],
        row["expires"] or "-",
        row.get("connection") or row["url"] or "-",
    )


# -- what they take -----------------------------------------------------------------------------------------------------


def _whose(parser: ArgumentParser) -> None:
    parser.add_argument("app", metavar="APP", help="an app of the configuration with provisioned = true")
    parser.add_argument("user", metavar="USER", help="whose it is: a name of lower-case letters, digits and inner hyphens")
    parser.add_argument("appname", metavar="APPNAME", nargs="?", help="the user's name for it, where hosts have a place for it")
    parser.add_argument("--email", metavar="ADDRESS", help="of the user; needed where APPNAME is")
    until = "when it ends by itself: after a duration (7d), at a moment (2026-12-24T18:00:00Z), or never (default)"
    parser.add_argument("--until", metavar="WHEN", help=until)
    wait = f"start it, and wait so long for it to be ready; if it is not by then, the exit status is {GOES_ON}"
    parser.add_argument("--wait", type=whole_seconds, metavar="DURATION", help=wait)


def _provisions(parser: ArgumentParser) -> None:
    parser.add_argument("key", nargs="+", type=key_of, metavar="APP/NAME", help="as ls lists it: hoodie/alice.shop")


VERBS = {
    "ls": Command(
        "list what has been provisioned",
        "Lists the stacks that users may have, whether they run or not: whose they are, and when they end.",
        partial(asking, _ls),
        takes(flag("--json", "all that the gateway says, as JSON")),
    ),
    "provision": Command(
        "let a user have a stack",
        "Lets a user have a stack of an app with provisioned = true, and prints where it is, and its password if it is new. "
        "Done twice is as done once.",
        partial(asking, _provision),
        takes(_whose),
    ),
    "deprovision": Command(
        "take stacks back from their users, with all their data",
        "Takes stacks back: they are stopped and removed with all volumes, and their names lead nowhere. Their data is lost "
        "for good.",
        partial(asking, partial(each, _deprovision, tell=_gone)),
        takes(_provisions, waits),
    ),
}
