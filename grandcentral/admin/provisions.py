"""Callers with a secret of theirs let users have stacks, and take them back; see docs/operations.md.

The secret may be in the payload, so that routes check it themselves, when they have read that. The admin token does as well.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from attrs import frozen

from ..core.keys import Key
from ..core.problems import Invalid
from ..core.wanted import SECRET
from ..interfaces import IProvisioning
from .answers import Refused
from .routes import Call

PROVISION, DEPROVISION, PROVISIONS = "/provision", "/deprovision", "/api/v1/provisions"
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


@frozen
class Provisioner:
    """``secret()`` is what callers have to know, None if only the admin token will do; ``token`` is that token, if there is
    one; ``of`` does what they ask for, None if this gateway does nothing of the kind. ``connection`` is as for AdminSite."""

    of: IProvisioning | None = None
    secret: Callable[[], str | None] = lambda: None
    token: str | None = None
    connection: Callable[[Key, str | None], str | None] = lambda key, password: None


NOBODY = Provisioner()


def payload(call: Call) -> dict[str, object]:
    """The fields of the body: a JSON object, or a form. Raises Refused."""
    media_type = call.fields.get("content-type", _JSON).partition(";")[0].strip().lower()
    if media_type not in (_JSON, _FORM):
        detail = f"The body is {media_type!a}: send {_JSON} or {_FORM}, and say which in Content-Type."
        raise Refused(415, "unsupported-media-type", "Not a kind of body that is understood", detail)
    try:
        text = call.body.decode("utf-8")
        pairs = json.loads(text, object_pairs_hook=_Pairs) if media_type == _JSON else _Pairs(parse_qsl(text, True, True))
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"it is no {media_type} ({error})") from None
    if not isinstance(pairs, _Pairs):
        raise _unreadable('it is no object: send one such as {"username": "alice", "appname": "shop"}')
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _unreadable("a field is there twice: send each once")
    return fields


class _Pairs(list[tuple[str, object]]):
    """Names and values as they came, doubles among them."""


def _unreadable(why: str) -> Refused:
    return Refused(400, "bad-payload", "The body was not understood", f"The body was not understood: {why}.")


def admitted(provisioner: Provisioner, call: Call, fields: Mapping[str, object]) -> IProvisioning:
    """What does the work, for a caller who may have it done. Raises Refused: it does not say which part was wrong."""
    known = [one.encode("utf-8") for one in (provisioner.secret(), provisioner.token) if one]
    if provisioner.of is None or not known:
        raise Refused(
            403,
            "provisioning-closed",
            "Closed, for there is no secret",
            "Nobody can provision anything, for no secret is configured: set secret_file in [provision].",
        )
    scheme, _, credentials = call.fields.get("authorization", "").partition(" ")
    given = [credentials.strip().encode("latin-1")] if scheme.lower() == "bearer" else []
    in_payload = fields.get(SECRET)
    if isinstance(in_payload, str):
        given.append(in_payload.encode("utf-8", "surrogatepass"))
    right = [hmac.compare_digest(one, other) for one in given for other in known]  # all, so that the time tells nothing
    if not any(right):
        raise Refused(
            401,
            "secret-needed",
            "The secret is needed",
            f"This does not show the secret of [provision]: send Authorization: Bearer SECRET, or {SECRET!r} in the payload.",
            {"WWW-Authenticate": 'Bearer realm="grandcentral provisioning"'},
        )
    return provisioner.of


def refused(invalid: Invalid) -> Refused:
    """Every field that is wrong, with what to do about it."""
    problems = [{"field": problem.place, "detail": problem.text} for problem in invalid.problems]
    detail = "; ".join(f"{problem.place}: {problem.text}" for problem in invalid.problems)
    return Refused(422, "invalid-fields", "Not what can be provisioned", f"{detail}.", more={"errors": problems})
