"""Which requests wake a stack that sleeps, and which keep one awake: two different questions."""

from __future__ import annotations

from attrs import frozen


@frozen
class Rule:
    """One rule of an app; a request matches if it matches all that is said. None says nothing.

    The first rule that matches and answers a question decides it; where none does, the defaults do.
    """

    methods: frozenset[str] | None = None  # "GET"
    path: str | None = None  # with * for any characters: "/api/*"; compared without the query
    mode: frozenset[str] | None = None  # Sec-Fetch-Mode: "navigate", "cors", "no-cors", "websocket"
    dest: frozenset[str] | None = None  # Sec-Fetch-Dest: "document", "empty", "image"
    accept: str | None = None  # a media type that the Accept field names
    user_agent: str | None = None  # a part of the User-Agent field, in any case
    wakes: bool | None = None
    keeps_alive: bool | None = None
