"""Registries tell here what was pushed to them: who they are is checked by a secret of its own, not by the admin token."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from ..core.keys import Key
from ..core.problems import Invalid
from ..core.references import Reference
from ..core.webhooks import FORMATS, authentic, parse
from .answers import Answer, Refused, document
from .routes import Call

WEBHOOKS = "/webhooks"


@frozen
class Webhooks:
    """``secret()`` is what senders have to know, None if nobody can; ``pushed(images)`` is told of images that were pushed, and
    returns the keys of the stacks that they are for."""

    secret: Callable[[], str | None] = lambda: None
    pushed: Callable[[Iterable[Reference]], Iterable[Key]] = lambda images: ()


CLOSED = Webhooks()


def receive(webhooks: Webhooks, call: Call) -> Answer:
    """The keys that the notification is about: with 202 if there are any, for what is done about them takes its time."""
    name = call.path["format"]
    format = FORMATS.get(name)
    if format is None:
        raise Refused(404, "not-found", "No such format", f"{name!r} is none of {', '.join(FORMATS)}.")
    secret = webhooks.secret()
    if not secret:
        raise Refused(
            403,
            "webhooks-closed",
            "Closed, for there is no secret",
            f"No notification is believed without a secret: set secret_file in [webhooks]. Then {format.remedy}.",
        )
    if not authentic(format, call.fields, call.query, call.body, secret):
        raise Refused(
            401,
            "secret-needed",
            "The secret is needed",
            f"This does not show the secret of [webhooks]: {format.remedy}.",
            {"WWW-Authenticate": 'Bearer realm="grandcentral webhooks"'},
        )
    try:
        images = parse(format, call.fields, call.body)
    except Invalid as invalid:
        raise Refused(400, "bad-notification", "Not understood", f"This is no notification of {name}: {invalid}.") from None
    keys = [str(key) for key in webhooks.pushed(images)]
    return document(keys, 202 if keys else 200)
