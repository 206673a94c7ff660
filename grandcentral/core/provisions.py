"""Provisions: who may have a stack of an app whose names are neither tags nor commits, and what such a stack is told.

The name of a key is the user's, or the user's and that of his app, "alice.shop", where hosts have a place for both: the owner
first, as in all keys (core.keys). Both are labels of DNS, so that no two pairs make one name: a dot cannot be part of either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from .keys import NAME, NAMES, Key, parse_pattern
from .model import App

USER, APPNAME, VERSION = "user", "app", "version"  # what variables of hosts may be called
FORMS = ((USER,), (VERSION,), (APPNAME, USER))
"""The variables that a host of a provisioned app may have, from left to right. One alone is the user, either way."""

LONGEST_EMAIL = 254  # octets: RFC 5321 section 4.5.3.1.3, less the angle brackets
LONGEST_REQUEST = 255

# A mailbox of RFC 5321 without quoted strings and address literals. Who is strict here needs no quoting later.
_ATOM, _LABEL = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+", "[A-Za-z0-9-]+"
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_ATOM}(\.{_ATOM})*@({_LABEL}\.)*{_LABEL}")
_REQUEST = re.compile("[!-~]+")


@frozen
class Provision:
    """One row: a stack that somebody may have.

    :ivar appname: "" where a user has one stack of the app.
    :ivar password: made for this row, and given to the stack: who knows it is its owner.
    :ivar created: wall seconds, as is ``expires``; None: it has no end.
    :ivar ending: it is being taken back. Nothing starts any more, and the row goes when nothing is left.
    :ivar request: the Idempotency-Key that it was asked for with; "": with none.
    """

    key: Key
    user: str
    appname: str
    email: str
    password: str = field(repr=False)
    created: float
    expires: float | None = None
    ending: bool = False
    request: str = ""

    def lives(self, now: float) -> bool:
        """Whether its stack may be started. ``now``: wall seconds."""
        return not self.ending and (self.expires is None or now < self.expires)

    @property
    def variables(self) -> dict[str, str]:
        """What a template can name besides what every stack has; those called GRANDCENTRAL… every service finds in its
        environment."""
        return {
            "USER": self.user,
            "EMAIL": self.email,
            "APPNAME": self.appname,
            "PASSWORD": self.password,
            "GRANDCENTRAL_USER": self.user,
            "GRANDCENTRAL_EMAIL": self.email,
            "GRANDCENTRAL_APPNAME": self.appname,
            "GRANDCENTRAL_PASSWORD": self.password,
        }


SAMPLE: Mapping[str, str] = Provision(
    Key("app", "alice.shop"), "alice", "shop", "alice@example.com", "0" * 32, created=0.0
).variables
"""Variables as a start will have them, to find early what is wrong with a template."""


def has_appnames(app: App) -> bool:
    """Whether a user may have several stacks of this app, told apart by a name."""
    return any(len(parse_pattern(text).variables) > 1 for text in app.hosts)


def key_of(app: App, user: str, appname: str) -> Key:
    return Key(app.name, f"{user}.{appname}" if has_appnames(app) else user)


# -- what may be asked for ----------------------------------------------------------------------------------------------


def misnamed(name: str) -> str | None:
    """What is wrong with the name of a user or of his app; None if it will do."""
    if NAMES[NAME].fullmatch(name):
        return None
    return f"{shown(name)} is no name: write 1 to 63 lower-case letters, digits and inner hyphens, for it is part of a host"


def misaddressed(email: str) -> str | None:
    """What is wrong with the address of a user; None if it will do."""
    if len(email) <= LONGEST_EMAIL and _EMAIL.fullmatch(email):
        return None
    return f"{shown(email)} is no e-mail address: write one such as alice@example.com"


def unrepeatable(request: str) -> str | None:
    """What is wrong with an Idempotency-Key; None if it will do."""
    if len(request) <= LONGEST_REQUEST and _REQUEST.fullmatch(request):
        return None
    return f"{shown(request)} will not do: write at most {LONGEST_REQUEST} printable characters without spaces, such as a UUID"


def shown(text: str) -> str:
    """Somebody else's words in a sentence of ours: short, and on one line."""
    return ascii(text if len(text) <= 40 else f"{text[:39]}...")
