"""Who may call what on the admin listener, decided from a few facts about the caller."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from enum import Enum
from ipaddress import ip_address

from attrs import frozen

from .answers import Refused


class Access(Enum):
    """What a route asks of its callers."""

    ANYBODY = "nothing: monitors and load balancers call it by any name"
    LOCAL = "to be on this machine, or the token"
    TOKEN = "the token"


@frozen
class Caller:
    """``local``: over loopback or a UNIX socket. ``host``: of the Host field, normalised. ``credentials``: of Authorization."""

    local: bool
    host: str | None
    credentials: bytes | None


@frozen
class Doors:
    """What opens: ``token`` is the bearer token, None if none is configured; ``hosts`` are names of this listener besides
    localhost and IP addresses."""

    token: str | None
    hosts: Collection[str] = ()

    def check(self, access: Access, caller: Caller) -> None:
        """Returns, or raises Refused with the remedy.

        The name matters because a page on the web can point its own name at 127.0.0.1 and have the operator's browser ask
        (DNS rebinding): what answers without a token must not answer to names that anybody may own.
        """
        if access is Access.ANYBODY:
            return
        if not (caller.host is not None and (names_this_machine(caller.host) or caller.host in self.hosts)):
            raise Refused(
                421,
                "misdirected",
                "Not a name of this listener",
                f"The admin listener does not answer to the host {caller.host or ''!r}. "
                "Use localhost or an IP address, or list the name under hosts in [admin].",
            )
        if access is Access.LOCAL and caller.local:
            return
        if self.token is None:
            raise Refused(
                403,
                "no-token-configured",
                "The API is closed",
                "No token is configured, so nobody can call this. Set token_file (or token) in [admin].",
            )
        scheme, _, given = (caller.credentials or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self.token.encode("utf-8")):
            raise Refused(
                401,
                "token-needed",
                "A token is needed",
                "Send the admin token: Authorization: Bearer TOKEN.",
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
