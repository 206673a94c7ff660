"""The API as programs read it: the document says what is answered, no more and no less."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from docs import generate
from grandcentral.admin.api import ROUTES
from grandcentral.admin.openapi import SCHEMAS, document
from grandcentral.core.history import Start
from grandcentral.core.model import LogTail, StackSnapshot

from .fakes import ELSEWHERE, browser
from .test_stacks import HREF, KEY, READY

KINDS = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def faults(schema: dict, value: object, place: str = "") -> Iterator[str]:
    """Where a value is not as its schema says, and what the schema does not say."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]  # type: ignore[assignment]
    if "anyOf" in schema:
        if all(list(faults(one, value)) for one in schema["anyOf"]):
            yield f"{place}: {value!r} is none of these"
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, KINDS[kind]) for kind in kinds):
        yield f"{place}: {value!r} is no {kinds}"
    elif isinstance(value, dict) and "properties" in schema:
        yield from (f"{place}/{name} is not described" for name in value.keys() - schema["properties"].keys())
        yield from (f"{place}/{name} is not there" for name in schema["properties"].keys() - value.keys() - {"starts"})
        for name in value.keys() & schema["properties"].keys():
            yield from faults(schema["properties"][name], value[name], f"{place}/{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from faults(schema["items"], one, f"{place}/{number}")


@pytest.mark.parametrize("stack", [READY, StackSnapshot(KEY, "stopped", failure_logs=(LogTail("db", ("bye",)),))], ids=str)
@pytest.mark.parametrize("path", [HREF, HREF + "/starts", "/api/v1/stacks"])
def test_what_is_answered_is_what_is_described(path: str, stack: StackSnapshot) -> None:
    history = (Start(KEY, 4, 1795179845.0, {"pull": 1.5}), Start(KEY, 3, 1795179845.0, {}, "no image"))
    answer = browser((stack,), history, memory=lambda: {KEY: 5}).call("GET", path)
    (route,) = [route for route in ROUTES if route.method == "GET" and route.match(path.strip("/").split("/")) is not None]
    assert list(faults({"$ref": route.answer}, answer.json)) == []


def test_a_checker_that_finds_nothing_would_be_of_no_use() -> None:
    wrong = {"service": 5, "lines": "none", "more": 1}
    assert sorted(faults({"$ref": "LogTail"}, wrong)) == [
        "/lines: 'none' is no ['array']",
        "/more is not described",
        "/service: 5 is no ['string']",
    ]


def test_a_problem_is_what_is_described_at_least() -> None:
    problem = browser().call("GET", HREF).json
    assert set(SCHEMAS["Problem"]["properties"]) <= problem.keys()


def test_every_route_is_described_and_says_what_it_is_for() -> None:
    paths = document(ROUTES)["paths"]
    for route in ROUTES:
        operation = paths[route.path][route.method.lower()]
        assert operation["summary"], route
        said = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert said >= {segment.strip("{}") for segment in route.path.split("/") if segment.startswith("{")}
    names = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    for part in json.dumps(document(ROUTES)).split('"$ref": "')[1:]:
        assert part.partition('"')[0].removeprefix("#/components/schemas/") in SCHEMAS


def test_the_document_is_served_to_anybody() -> None:
    answer = browser(token=None).ask("GET", "/openapi.json", peer=ELSEWHERE)
    assert answer.status == 200
    assert answer.json == json.loads(json.dumps(document(ROUTES)))


def test_the_document_in_the_manual_is_current() -> None:
    assert "openapi.json" not in generate.stale(), "run python -m docs.generate"
