"""What calls to /provision and /deprovision ask for: fields as somebody sent them in, a Wanted or every problem out.

Whatever is not exactly as it should be is refused, by field and with the remedy: these names become parts of hosts, labels and
environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from math import inf
from typing import Any

from attrs import frozen

from .keys import Key
from .model import App
from .problems import Invalid, Problem
from .provisions import has_appnames, key_of, misaddressed, misnamed, shown, unrepeatable
from .units import parse_duration, parse_end

SECRET = "secret"  # where a payload has it
FIELDS = ("app", "type", "username", "emailaddress", "appname", "ttl", "expires", SECRET)
LONGEST_TTL = 100 * 366 * 86400.0  # seconds


@frozen
class Wanted:
    """A stack that somebody wants for a user.

    :ivar email: "" if it was not said.
    :ivar expires: wall seconds; inf: never; None: nothing was said of an end.
    :ivar request: the Idempotency-Key; "" if there was none.
    """

    key: Key
    user: str
    appname: str
    email: str = ""
    expires: float | None = None
    request: str = ""


def wanted(fields: Mapping[str, object], apps: Mapping[str, App], now: float, request: str = "") -> Wanted:
    """What a call to /provision asks for.

    :param apps: those of the configuration that are provisioned.
    :param now: wall seconds.
    :param request: its Idempotency-Key.
    :raises Invalid: with every problem; the place of each is the field.
    """
    reading = _Reading(fields)
    app = reading.app(apps)
    user, appname = reading.names(app)
    email = reading.text("emailaddress", needed=app is not None and has_appnames(app))
    if email and (problem := misaddressed(email)):
        reading.wrong("emailaddress", problem)
    expires = reading.end(now)
    if request and (problem := unrepeatable(request)):
        reading.wrong("Idempotency-Key", problem)
    reading.close()
    assert app is not None
    return Wanted(key_of(app, user, appname), user, appname, email, expires, request)


def meant(fields: Mapping[str, object], apps: Mapping[str, App]) -> Key:
    """Which stack a call to /deprovision is about. Raises Invalid, as ``wanted`` does."""
    reading = _Reading(fields)
    app = reading.app(apps)
    user, appname = reading.names(app)
    reading.close()
    assert app is not None
    return key_of(app, user, appname)


class _Reading:
    """The fields of one call, and what is wrong with them."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields
        self._problems: list[Problem] = []
        for name in fields:
            if name not in FIELDS:
                near = get_close_matches(name.lower(), FIELDS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(FIELDS)}"
                self.wrong(shown(name).strip("'"), f"is no field of this call; {hint}")

    def wrong(self, field: str, text: str) -> None:
        self._problems.append(Problem(field, text))

    def close(self) -> None:
        if self._problems:
            raise Invalid(self._problems)

    def text(self, field: str, needed: bool = True) -> str:
        """"" for one that is not there, or no text."""
        value = self._fields.get(field)
        if isinstance(value, str) and value:
            return value
        if value is not None and not isinstance(value, str):
            self.wrong(field, "must be text: put it in quotes")
        elif needed:
            self.wrong(field, "is missing: say it")
        return ""

    def app(self, apps: Mapping[str, App]) -> App | None:
        """``type`` is what addons call it. It need not be said where there is one only."""
        field = "type" if "type" in self._fields else "app"
        listed = ", ".join(sorted(apps))
        if not apps:
            self.wrong(field, "no app of this gateway is provisioned: set provisioned = true in its [apps.NAME]")
        elif {"app", "type"} <= self._fields.keys():
            self.wrong("type", "means the same as app: leave one of them out")
        elif field not in self._fields and len(apps) == 1:
            return next(iter(apps.values()))
        elif (name := self.text(field)) and name not in apps:
            self.wrong(field, f"{shown(name)} is no app that can be provisioned here; there is {listed}")
        elif name:
            return apps[name]
        return None

    def names(self, app: App | None) -> tuple[str, str]:
        user = self.text("username")
        appname = self.text("appname", needed=app is not None and has_appnames(app))
        for field, name in (("username", user), ("appname", appname)):
            if name and (problem := misnamed(name)):
                self.wrong(field, problem)
        if appname and app is not None and not has_appnames(app):
            self.wrong("appname", f"a user has one stack of {app.name}, so it has no name of its own: leave this out")
        return user, appname

    def end(self, now: float) -> float | None:
        """Wall seconds; inf: never; None: nothing is said."""
        given = [field for field in ("ttl", "expires") if self._fields.get(field) is not None]
        if len(given) > 1:
            self.wrong("ttl", "says the same as expires: leave one of them out")
        if len(given) != 1:
            return None
        [field], value = given, self._fields[given[0]]
        try:
            return inf if value == "never" else (_lasts(value, now) if field == "ttl" else parse_end(_text(value), now))
        except ValueError as error:
            self.wrong(field, f"{error}")
            return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text: put it in quotes")
    return value


def _lasts(value: Any, now: float) -> float:
    """Plain numbers are seconds."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be seconds, or a duration such as 7d")
    written = str(value)
    seconds = float(written) if written.isascii() and written.isdigit() and len(written) < 13 else parse_duration(written)
    if not 0 < seconds <= LONGEST_TTL:
        raise ValueError('must be longer than 0, and less than a hundred years: write "never" for what has no end')
    return now + seconds
