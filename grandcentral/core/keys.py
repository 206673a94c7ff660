"""Keys: what a stack is called. Host, SNI or user name in; (app, name) out.

The name of a key is what the variables of the app's host pattern stood for. One variable: its value ("db139cf"). Several: their
values from right to left, joined by dots, so that "{app}.{user}.hoodies.example.com" gives "user.app": the owner first, as
paths and image names have it. An app without variables has one stack, and its name is "".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address

from attrs import frozen


@frozen(order=True)
class Key:
    """The name of a stack: an app of the configuration and the name of a version, tenant or nothing."""

    app: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.app}/{self.name}" if self.name else self.app

    @classmethod
    def parse(cls, text: str) -> Key:
        """The inverse of ``str``: "quepid/db139cf" -> Key("quepid", "db139cf")."""
        app, _, name = text.partition("/")
        return cls(app, name)


# -- names --------------------------------------------------------------------------------------------------------------

GIT_HASH = "git-hash"
NAME = "name"
SHORTEST_HASH = 7  # digits

NAMES: Mapping[str, re.Pattern[str]] = {
    GIT_HASH: re.compile(rf"[0-9a-f]{{{SHORTEST_HASH},40}}", re.ASCII),
    NAME: re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII),  # a DNS label (RFC 1123 section 2.1)
}
"""What a variable of a host pattern may stand for, by the app's ``version``. Hosts are lower case when they get here."""

EXPECTED: Mapping[str, str] = {
    GIT_HASH: "a git hash of 7 to 40 hex digits",
    NAME: "a name of at most 63 letters, digits and inner hyphens",
}


def misnamed(version: str, name: str) -> str | None:
    """What a key of an app with that ``version`` should be called instead of ``name``; None if it can be called so."""
    if not version:
        return "the one stack of an app without versions, which has no name" if name else None
    labels = [name] if version == GIT_HASH else name.split(".")
    return None if all(map(NAMES[version].fullmatch, labels)) else EXPECTED[version]


@frozen
class Ambiguous:
    """A short form that more than one commit begins with."""

    candidates: tuple[str, ...]


def unify(name: str, known: Iterable[str]) -> str | Ambiguous:
    """The one name for a commit that can be spelled in short and long forms.

    Related are the known names that begin with ``name`` or that ``name`` begins with. If they form one chain, each beginning
    the next, they are one commit, and the longest of them is its name; if not, ``name`` is ambiguous, unless it is itself
    known to the letter. With none related, ``name`` is a new commit's.

    A caller who unifies before he adds to what is known keeps one name a commit, and it does not change.
    """
    related = sorted({other for other in known if other.startswith(name) or name.startswith(other)}, key=lambda n: (len(n), n))
    if not related:
        return name
    longest = related[-1]
    if all(longest.startswith(other) for other in related):
        return longest
    if name in related:
        return name
    return Ambiguous(tuple(sorted(other for other in related if other.startswith(name))))


# -- hosts --------------------------------------------------------------------------------------------------------------

# uri-host [":" port] of RFC 9110 section 7.2, with host names as they are met in practice: underscores are let through.
_HOST = re.compile(rb"(?:([a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)\.?|\[([0-9a-f:.]+)\])(?::[0-9]{0,5})?")
_LONGEST_HOST = 253  # RFC 1035 section 2.3.4, without the root's dot


def normalise_host(raw: bytes) -> str | None:
    """The host of a Host field or SNI: lower case, without port and trailing dot; an IPv6 address in its shortest form, in
    brackets; IDNA labels as they are. None for what is no host."""
    match = _HOST.fullmatch(raw.lower())
    if match is None:
        return None
    name, address = match.groups()
    if name is not None:
        return name.decode("ascii") if len(name) <= _LONGEST_HOST else None
    try:
        return f"[{IPv6Address(address.decode('ascii')).compressed}]"
    except ValueError:
        return None


# -- host patterns ------------------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)\}", re.ASCII)


@frozen
class Pattern:
    """A host pattern of an app. ``text`` is normalised as hosts are.

    "docs.example.com" is that host; "*.example.com" is every host below it, at any depth; "*" is every host that nobody else
    claims; "pr-{version}.example.com" is a family of hosts of equal depth, one for each version.
    """

    text: str
    variables: tuple[str, ...] = ()  # from left to right

    @property
    def wildcard(self) -> bool:
        return self.text.startswith("*")

    @property
    def shape(self) -> str:
        """The pattern whatever its variables are called. Two patterns of one shape claim the same hosts."""
        return _VARIABLE.sub("{}", self.text)

    def fill(self, name: str) -> str:
        """The host that has this key's name: the inverse of a match."""
        values = iter(reversed(name.split(".")))
        return _VARIABLE.sub(lambda _: next(values, ""), self.text)

    def compile(self) -> re.Pattern[str]:
        """Matches a whole normalised host, with one group for each variable."""
        literals = _VARIABLE.split(self.text)[::2]
        return re.compile("([a-z0-9_-]+)".join(map(re.escape, literals)), re.ASCII)


def parse_pattern(text: str) -> Pattern:
    """Raises ValueError with a sentence that says what is wrong."""
    pattern = text.strip().lower()
    if not pattern.isascii():
        raise ValueError(f'"{text}" is not ASCII: write international names as they are on the wire (xn--…)')
    variables = tuple(_VARIABLE.findall(pattern))
    if pattern == "*":
        return Pattern("*")
    fixed = pattern.removeprefix("*.")
    if "*" in fixed or (variables and fixed != pattern):
        raise ValueError(f'"{text}": a "*" can only be the whole first label, in a pattern without variables')
    if len(set(variables)) < len(variables):
        raise ValueError(f'"{text}" has the same variable twice')
    labels = fixed.removesuffix(".").split(".")
    if any(len(_VARIABLE.findall(label)) > 1 for label in labels):
        raise ValueError(f'"{text}" has two variables in one label: where one ends could not be told; put a dot between them')
    if "{" in labels[-1]:
        raise ValueError(f'"{text}" needs a fixed last label, such as "{{version}}.localhost"')
    sample = _VARIABLE.sub("x", fixed)
    host = normalise_host(sample.encode("ascii"))
    if host is None:
        raise ValueError(f'"{text}" is not a host name or a pattern of host names')
    if host.startswith("[") and fixed != pattern:
        raise ValueError(f'"{text}": nothing is below an address')
    if not sample.endswith("]") if host.startswith("[") else host != sample.removesuffix("."):
        raise ValueError(f'"{text}" has a port: patterns are about hosts, on whatever port they are asked for')
    if not variables:
        return Pattern(f"*.{host}" if fixed != pattern else host)
    return Pattern(pattern.removesuffix("."), variables)
