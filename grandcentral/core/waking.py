"""Which requests wake a stack that sleeps, and which keep one awake: two different questions.

A person who opens a page wakes it; what goes on without him does not: a tab left open that asks every few seconds, favicons,
crawlers, link previews, monitors. Programs wake it, unless they say that they are one of those. Everything keeps it awake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from attrs import field, frozen


def _in_order(words: frozenset[str] | None) -> str:
    """For ``repr``: the same in every process, as the order of a set is not."""
    return repr(None if words is None else sorted(words))


@frozen
class Rule:
    """One rule of an app; a request matches if it matches all that is said. None says nothing.

    The first rule that matches and answers a question decides it; where none does, the defaults do.
    """

    methods: frozenset[str] | None = field(default=None, repr=_in_order)  # "GET"
    path: str | None = None  # with * for any characters: "/api/*"; compared without the query
    mode: frozenset[str] | None = field(default=None, repr=_in_order)  # Sec-Fetch-Mode: "navigate", "cors", "websocket"
    dest: frozenset[str] | None = field(default=None, repr=_in_order)  # Sec-Fetch-Dest: "document", "empty", "image"
    accept: str | None = None  # a media type that the Accept field names
    user_agent: str | None = None  # a part of the User-Agent field, in any case
    wakes: bool | None = None
    keeps_alive: bool | None = None


# What a browser says of a request: Fetch Metadata (W3C) and Sec-Purpose (Fetch standard; older ones say Purpose).
_NAMES = (
    b"accept|accept-language|access-control-request-method|purpose|sec-fetch-dest|sec-fetch-mode|sec-purpose|user-agent"
    b"|x-requested-with"
)
_fields_of = re.compile(rb"\n(" + _NAMES + rb"):[ \t]*([^\r]*)\r").finditer

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))  # RFC 9110 §9.2.1
_ASKED_BY_BROWSERS = re.compile(r"/favicon\.ico|/robots\.txt|/apple-touch-icon[^/]*").fullmatch
_AUTOMATIC = lru_cache(maxsize=128)(re.compile(  # the same few ask again and again
    # Crawlers. Cubot makes telephones.
    r"(?<!cu)bots?(?![a-z])|crawl|spider|slurp|ia_archiver|mediapartners-google|google-inspectiontool|googleother"
    # Who looks at a link that somebody has sent to somebody.
    r"|facebookexternalhit|facebookcatalog|meta-externalagent|slack-imgproxy|whatsapp/|skypeuripreview|bingpreview|embedly"
    r"|iframely|vkshare|cardyb"
    # Monitors.
    r"|uptime-kuma|uptimerobot|pingdom|statuscake|kube-probe|prometheus/|blackbox[- ]exporter|better uptime|site24x7|newrelic"
    r"|datadog|updown\.io|hetrixtools|freshping|checkly|zabbix|nagios|icinga|gatus|monit/|elb-healthchecker|googlehc/"
    r"|uptimechecks|health[- _]?check|health probe|endpoint monitor|envoy/hc"
).search)


class _Asked:
    """A request as rules see it. Fields are looked for when one is wanted first: in small letters, those of one name joined by
    commas."""

    __slots__ = ("_fields", "_raw", "method", "path")

    def __init__(self, method: bytes, target: bytes, raw: bytes) -> None:
        self.method = method.decode("latin-1")
        self.path = target.partition(b"?")[0].decode("latin-1")
        self._raw = raw
        self._fields: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        """The field's value, "" if there is none."""
        fields = self._fields
        if fields is None:
            fields = self._fields = {}
            for match in _fields_of(b"\n" + self._raw.lower()):
                key, value = match[1].decode("latin-1"), match[2].decode("latin-1").strip()
                fields[key] = f"{fields[key]},{value}" if key in fields else value
        return fields.get(name, "")

    def accepts(self, media_type: str) -> bool:
        """Whether Accept names this media type itself, not by a range."""
        return any(one.partition(";")[0].strip() == media_type for one in self["accept"].split(","))


@frozen
class _Test:
    """A rule, ready to be asked."""

    rule: Rule
    path: Callable[[str], object] | None
    mode: frozenset[str] | None
    dest: frozenset[str] | None
    accept: str | None
    user_agent: str | None

    @classmethod
    def of(cls, rule: Rule) -> _Test:
        return cls(
            rule,
            None if rule.path is None else _glob(rule.path),
            None if rule.mode is None else frozenset(map(str.lower, rule.mode)),
            None if rule.dest is None else frozenset(map(str.lower, rule.dest)),
            None if rule.accept is None else rule.accept.lower(),
            None if rule.user_agent is None else rule.user_agent.lower(),
        )

    def matches(self, asked: _Asked) -> bool:
        methods = self.rule.methods
        return (
            (methods is None or asked.method in methods)
            and (self.path is None or self.path(asked.path) is not None)
            and (self.mode is None or asked["sec-fetch-mode"] in self.mode)
            and (self.dest is None or asked["sec-fetch-dest"] in self.dest)
            and (self.accept is None or asked.accepts(self.accept))
            and (self.user_agent is None or self.user_agent in asked["user-agent"])
        )


def _glob(pattern: str) -> Callable[[str], object]:
    """Each part is looked for where it comes first and not again, so that no path takes long to judge."""
    first, *rest = pattern.split("*")
    if not rest:
        return re.compile(re.escape(pattern)).fullmatch
    *middle, last = rest
    between = "".join(f"(?>.*?{re.escape(part)})" for part in middle)
    return re.compile(f"{re.escape(first)}{between}.*{re.escape(last)}", re.DOTALL).fullmatch


@frozen
class Judge:
    """The rules of one app and the defaults. Requests are given by their method, their target in origin form and their field
    lines as they came (RFC 9112), which end with an empty line."""

    _waking: tuple[_Test, ...]
    _keeping: tuple[_Test, ...]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Judge:
        tests = tuple(map(_Test.of, rules))
        waking = tuple(test for test in tests if test.rule.wakes is not None)
        keeping = tuple(test for test in tests if test.rule.keeps_alive is not None)
        return cls(waking, keeping)

    @property
    def all_keep_alive(self) -> bool:
        """Whether there is no need to ask ``keeps_alive``."""
        return all(test.rule.keeps_alive for test in self._keeping)

    def wakes(self, method: bytes, target: bytes, fields: bytes) -> bool:
        """Whether this request starts a stack that sleeps."""
        asked = _Asked(method, target, fields)
        for test in self._waking:
            if test.matches(asked):
                return bool(test.rule.wakes)
        return _wakes(asked)

    def keeps_alive(self, method: bytes, target: bytes, fields: bytes) -> bool:
        """Whether this request counts as use of a stack that is awake."""
        if self._keeping:
            asked = _Asked(method, target, fields)
            for test in self._keeping:
                if test.matches(asked):
                    return bool(test.rule.keeps_alive)
        return True


def _wakes(asked: _Asked) -> bool:
    """The defaults."""
    if _ASKED_BY_BROWSERS(asked.path) or _AUTOMATIC(asked["user-agent"]):
        return False
    if "prefetch" in asked["sec-purpose"] or "prefetch" in asked["purpose"]:  # and "prefetch;prerender"
        return False
    mode = asked["sec-fetch-mode"]
    if not mode:
        mode = _mode_of_a_browser_without_tls(asked)
    if not mode or mode == "navigate":
        return True
    # A preflight asks for what is to come (Fetch standard, CORS).
    method = asked["access-control-request-method"].upper() if asked.method == "OPTIONS" else asked.method
    # Somebody pressed something; only beacons and the like are sent without anybody waiting for the answer.
    return bool(method) and method not in _SAFE and mode != "no-cors"


def _mode_of_a_browser_without_tls(asked: _Asked) -> str:
    """The mode that a browser would have said: they say it over TLS and to localhost only. "" for what is no browser.

    Browsers say which languages they read in each request, and that they take HTML where they would show it; programs that call
    themselves Mozilla for some reason (PowerShell) do neither.
    """
    if asked["x-requested-with"] == "xmlhttprequest":
        return "cors"
    if asked["user-agent"].startswith("mozilla/") and asked["accept-language"]:
        return "navigate" if asked.accepts("text/html") else "cors"
    return ""


_DEFAULT = Judge.of(())


@frozen
class Judges:
    """Those of all apps, by their names: ``sparing`` has those for whom some requests do not keep a stack awake."""

    _rules: Mapping[str, Iterable[Rule]] = field(factory=dict)
    _judges: dict[str, Judge] = field(init=False)
    sparing: dict[str, Judge] = field(init=False)

    @_judges.default
    def _judges_default(self) -> dict[str, Judge]:
        return {app: Judge.of(rules) for app, rules in self._rules.items()}

    @sparing.default
    def _sparing_default(self) -> dict[str, Judge]:
        return {app: judge for app, judge in self._judges.items() if not judge.all_keep_alive}

    def wakes(self, app: str, method: bytes, target: bytes, fields: bytes) -> bool:
        return self._judges.get(app, _DEFAULT).wakes(method, target, fields)
