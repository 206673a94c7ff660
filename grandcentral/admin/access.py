"""Who may call what on the admin listener, decided from a few facts about the caller."""

from __future__ import annotations

import hmac
from enum import Enum
from ipaddress import ip_address

from attrs import frozen

from .answers import Refused


class Access(Enum):
    """What a route asks of its callers."""

    ANYBODY = "nothing: monitors and load balancers call it by any name"
    LOCAL = "to be on this machine and to call it by a name of its own, or the token"
    TOKEN = "the token"
    SECRET = "the secret of [provision], or the token: the route itself looks, for it may be in the payload"


@frozen
class Caller:
    """``local``: over loopback or a UNIX socket. ``host``: of the Host field, normalised. ``credentials``: of Authorization."""

    local: bool
    host: str | None
    credentials: bytes | None


def check(access: Access, caller: Caller, token: str | None) -> None:
    """Returns, or raises Refused with the remedy. ``token`` None: none is configured.

    The host matters because a page on the web can point its own name at 127.0.0.1 and have the operator's browser ask, from
    this machine (DNS rebinding): what answers without a token must not answer to names that anybody may own.
    """
    if access in (Access.ANYBODY, Access.SECRET):
        return
    if access is Access.LOCAL and caller.local and caller.host is not None and names_this_machine(caller.host):
        return
    otherwise = " Without one, ask from the gateway's machine, as localhost." if access is Access.LOCAL else ""
    if token is None:
        raise Refused(
            403,
            "no-token-configured",
            "Closed, for there is no token",
            f"No token is configured, so nobody can send it: set token_file in [admin].{otherwise}",
        )
    scheme, _, given = (caller.credentials or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token.encode("utf-8")):
        raise Refused(
            401,
            "token-needed",
            "The token is needed",
            f"Send the admin token: Authorization: Bearer TOKEN.{otherwise}",
            {"WWW-Authenticate": 'Bearer realm="grandcentral"'},
        )


def names_this_machine(host: str) -> bool:
    """An address, or a name that every resolver gives to loopback (RFC 6761, section 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return is_address(host.strip("[]"))


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
