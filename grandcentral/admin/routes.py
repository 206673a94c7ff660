"""From method and path to the function that answers: a table, and the look-up in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from attrs import field, frozen

from .access import Access
from .answers import Answer, Refused

Api = TypeVar("Api")


@frozen
class Call:
    """One request, as far as a route may care. ``fields`` have lower-case names; ``path`` holds the variables of the route."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    fields: Mapping[str, str]
    body: bytes = b""


@frozen
class Parameter:
    """Something that a caller may say in the query."""

    name: str
    help: str


def flag(call: Call, name: str) -> bool:
    """Whether ``?name=1`` is said. Raises Refused for what is neither yes nor no."""
    written = call.query.get(name, "0").lower()
    if written not in ("0", "1", "false", "true"):
        raise Refused(400, f"invalid-{name}", "Neither yes nor no", f"{name}: {written!r} is not 1 (yes) or 0 (no).")
    return written in ("1", "true")


def number(call: Call, name: str, default: int, most: int) -> int:
    """What ``?name=20`` says. Raises Refused for what is not from 1 to ``most``."""
    written = call.query.get(name, str(default))
    value = int(written) if written.isascii() and written.isdigit() and len(written) < 7 else 0
    if not 1 <= value <= most:
        raise Refused(400, f"invalid-{name}", "Not a number that will do", f"{name}: {written!r} is not from 1 to {most}.")
    return value


@frozen
class Route(Generic[Api]):
    """``path`` has variables in braces, each for one whole segment: "/api/v1/stacks/{app}/{name}".

    The docstring of ``serve`` is what the manual of the API says of it; ``answer`` is what its 200 is called in
    openapi.SCHEMAS, "" if it is not described there.
    """

    method: str
    path: str
    access: Access
    serve: Callable[[Api, Call], Awaitable[Answer]]
    answer: str = ""
    query: tuple[Parameter, ...] = ()
    besides: Mapping[int, str] = field(factory=dict)  # other good answers, of the same form
    body: str = ""  # what a caller sends, in openapi.SCHEMAS

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The variables, if these segments are this path's."""
        pattern = self.path.removeprefix("/").split("/")
        if len(pattern) != len(segments):
            return None
        variables = {}
        for expected, segment in zip(pattern, segments, strict=True):
            if expected.startswith("{") and segment:
                variables[expected.strip("{}")] = segment
            elif expected != segment:
                return None
        return variables


def find(routes: Iterable[Route[Api]], method: str, segments: Sequence[str]) -> tuple[Route[Api], dict[str, str]]:
    """The route and its variables. HEAD is served wherever GET is. Raises Refused: 404, or 405 with Allow."""
    there = [(route, variables) for route in routes if (variables := route.match(segments)) is not None]
    for route, variables in there:
        if route.method == ("GET" if method == "HEAD" else method):
            return route, variables
    path = "/" + "/".join(segments)
    if not there:
        raise Refused(404, "not-found", "No such resource", f"There is nothing at {path!r}. GET / lists what there is.")
    methods = {route.method for route, _ in there}
    allowed = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    raise Refused(405, "method-not-allowed", "Not with this method", f"{path!r} takes {allowed}.", {"Allow": allowed})
