"""The API as an OpenAPI document, made of the table of routes (OpenAPI Specification 3.1.0).

What is in an answer is said here once, as JSON Schema; tests hold the views to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any

from ..problems import MEDIA_TYPE
from .access import Access
from .routes import Route

Schema = Mapping[str, Any]


def _said(schema: Schema | str, help: str) -> Schema:
    return {**({"type": schema} if isinstance(schema, str) else schema), "description": help}


def _or_null(kind: str, help: str, **more: str) -> Schema:
    return {"type": [kind, "null"], **more, "description": help}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _moment(help: str) -> Schema:
    return _or_null("string", help, format="date-time")


_PHASES = {"type": "object", "additionalProperties": {"type": "integer"}}

_WHOSE: Schema = _object(
    app=_said("string", "a table [apps.NAME] of the configuration; need not be said where only one is provisioned"),
    type=_said("string", "the same, as addons call it"),
    username=_said("string", "a name of 1 to 63 lower-case letters, digits and inner hyphens"),
    appname=_said("string", "the same, where hosts of the app have a place for it; else it is left out"),
    secret=_said("string", "of [provision], if it is not in Authorization"),
)
_MORE: Schema = {
    "emailaddress": _said("string", "needed where appname is"),
    "ttl": _said({"type": ["string", "integer"]}, "how long there is to be such a thing: seconds, 7d, or never"),
    "expires": _said("string", "or until when: a duration, a moment with its time zone, or never"),
}
_PROVISION: Schema = {
    "app": _said("string", "a table [apps.NAME] of the configuration"),
    "name": _said("string", "of its stack: the user's, or the user's and that of the user's app, joined by a dot"),
    "href": _said("string", "its path in this API"),
    "stack": _said("string", "that of its stack, for operators"),
    "username": _said("string", "whose it is"),
    "appname": _or_null("string", "what the user calls it"),
    "emailaddress": _or_null("string", "of the user"),
    "url": _or_null("string", "where clients reach it"),
    "connection": _or_null("string", "what clients of the app's own port connect to; with the password where that is told"),
    "state": _said("string", "of its stack; cold: nothing of it is there"),
    "created": _moment("when it was provisioned"),
    "expires": _moment("when it ends by itself; null: never"),
    "ending": _said("boolean", "it is being taken back"),
}

SCHEMAS: Mapping[str, Schema] = {
    "Version": _object(
        name=_said("string", "its one name, whatever it was asked for by"),
        image=_or_null("string", "the reference that was resolved"),
        digest=_or_null("string", "what of it is started, wherever its tag has moved since"),
        commit=_or_null("string", "for versions out of a Git repository"),
        branch=_or_null("string", "what it was built from, if its image says so"),
        created=_moment("when it was built or committed"),
    ),
    "Start": _object(
        generation=_said("integer", "counts how often the stack was made"),
        depth=_said("string", "what it began from: cold, or stopped"),
        began=_said({"type": "string", "format": "date-time"}, "when it was asked for"),
        took_ms=_said("integer", "from there to its end"),
        phases_ms=_said(_PHASES, "how much of that each phase took"),
        failure=_or_null("string", "why it failed; null: it did not"),
    ),
    "LogTail": _object(
        service=_said("string", "of the template"),
        lines=_said({"type": "array", "items": {"type": "string"}}, "oldest first"),
    ),
    "Stack": _object(
        app=_said("string", "a table [apps.NAME] of the configuration"),
        name=_said("string", "of its version; empty for an app with one stack only"),
        href=_said("string", "its path in this API"),
        url=_or_null("string", "where clients reach it"),
        state=_said("string", "where it is in its life: ready, stopped, starting, saving, cold, and so on"),
        pinned=_said("boolean", "never stopped for being idle or to make room"),
        pinned_until=_moment("when that ends; null: never"),
        keep_until=_moment("until when it is left alone: its application asked for that, or it could not be saved"),
        warm=_said("boolean", "kept started, or paused, by the configuration"),
        generation=_said("integer", "counts how often it was made"),
        version={"anyOf": [_ref("Version"), {"type": "null"}]},
        endpoint=_or_null("string", "where it listens"),
        ready_since=_moment("since when requests flow"),
        last_used=_moment("the last request's end, or the last byte of a stream"),
        idle_seconds=_or_null("number", "since then; 0 while it is in use"),
        in_flight=_said("integer", "requests, streams among them"),
        streams=_said("integer", "upgraded connections"),
        waiting=_said("integer", "requests that wait for it here; with worker processes, the workers in which some wait"),
        requests=_said("integer", "of this generation"),
        bytes_in=_said("integer", "to it, heads included"),
        bytes_out=_said("integer", "from it"),
        memory=_or_null("integer", "bytes that it was seen to take last"),
        progress=_or_null("string", "of the start under way, for people"),
        phases_ms=_said(_PHASES, "of the start under way, or of the last one"),
        failure=_or_null("string", "why its last start failed"),
        failure_logs=_said(_list("LogTail"), "what its services had printed last by then"),
        starts=_said(
            {"anyOf": [_list("Start"), {"type": "null"}]}, "the last ones, newest first, where one stack is asked for"
        ),
    ),
    "Stacks": _object(
        stacks=_said(_list("Stack"), "those that are there and not stopped, and those that are pinned"),
        stopped=_said(_list("Stack"), "those that are stopped: nothing of them runs, and their data is kept"),
    ),
    "Starts": _object(starts=_list("Start")),
    "Logs": _object(logs=_list("LogTail")),
    "Wanted": {**_WHOSE, "properties": {**_WHOSE["properties"], **_MORE}, "required": ["username"]},
    "Unwanted": {**_WHOSE, "required": ["username"]},
    "Provision": _object(**_PROVISION),
    "NewProvision": _object(
        **_PROVISION,
        password=_or_null("string", "which its stack has as GRANDCENTRAL_PASSWORD; null but for the call that made it"),
        failure=_or_null("string", "why it did not start, where it was to be waited for"),
    ),
    "Provisions": _object(provisions=_list("Provision")),
    "Removed": _object(
        app=_said("string", "a table [apps.NAME] of the configuration"),
        name=_said("string", "that was provisioned"),
        existed=_said("boolean", "whether there was such a thing"),
        removed=_said("boolean", "nothing is left of it; else it is being removed"),
    ),
    "Problem": _object(
        type=_said("string", "which problem it is: /problems/at-capacity"),
        title=_said("string", "the same for people"),
        status=_said("integer", "of this answer"),
        detail=_said("string", "what happened, and the remedy"),
    ),
}


def document(routes: Iterable[Route[Any]]) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Grand Central",
            "version": "1",
            "description": "The admin listener: health, numbers, and the operator's hand on the stacks.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "of token_file in [admin]"},
                "secret": {"type": "http", "scheme": "bearer", "description": "of secret_file in [provision]"},
            },
        },
    }


def page(routes: Iterable[Route[Any]]) -> str:
    """docs/openapi.json."""
    return json.dumps(document(routes), indent=2, ensure_ascii=False) + "\n"


def _operation(route: Route[Any]) -> dict[str, Any]:
    summary = " ".join(cleandoc(route.serve.__doc__ or "").split())
    variables = [_parameter(name, "path", _VARIABLES[name]) for name in re.findall(r"\{(\w+)\}", route.path)]
    asked = [_parameter(one.name, "query", one.help) for one in route.query]
    content = {"content": {"application/json": {"schema": _ref(route.answer)}}} if route.answer else {}
    good = {200: "OK", **route.besides}
    return {
        "summary": summary,
        "operationId": route.serve.__name__,
        **({"parameters": variables + asked} if variables or asked else {}),
        **({"requestBody": _body(route.body)} if route.body else {}),
        **_SECURITY.get(route.access, {}),
        "responses": {
            **{str(status): {"description": meaning, **content} for status, meaning in good.items()},
            "default": {"description": "a problem (RFC 9457)", "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}},
        },
    }


_SECURITY: Mapping[Access, Mapping[str, Any]] = {
    Access.TOKEN: {"security": [{"token": []}]},
    Access.SECRET: {"security": [{"secret": []}, {"token": []}, {}]},  # the last: it may be in the payload
}


def _body(name: str) -> dict[str, Any]:
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"required": True, "content": {kind: {"schema": _ref(name)} for kind in kinds}}


_VARIABLES = {
    "app": "a table [apps.NAME] of the configuration",
    "name": "the version, by any of its spellings; - for an app with one stack only",
    "format": "how the registry tells it",
}


def _parameter(name: str, where: str, help: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "description": help, "schema": {"type": "string"}}
