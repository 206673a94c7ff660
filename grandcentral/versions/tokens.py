"""The authentication dance of registries: a 401 says how to log in, a token server says yes.

Source: RFC 9110 section 11; the distribution project's "Token Authentication Specification" and "OAuth2 Token Authentication".

Whom our credentials are shown to. A registry names its token server itself (``realm``), so a registry that was taken over
could name any host and have us show our password there, or have us fetch a URL of our own network for it. So nothing is asked
of a realm unless its host is the registry's own (on any port), the one known to belong to it (``KNOWN``), or one that the
configuration names (``token_hosts``); over https, unless that host may be asked over http. The scope that a token is asked for
is ours, not the registry's: the right to pull from one repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode, urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent

from ..core.references import Reference
from ..errors import RegistryUnavailable
from .credentials import Credentials
from .http import Answer, exchange, is_loopback, origin

KNOWN: Mapping[str, str] = {"registry-1.docker.io": "auth.docker.io", "registry.gitlab.com": "gitlab.com"}
"""Registries whose token server is on another host."""

TOKEN_LASTS = 60.0  # seconds, if the token server does not say (specification); no token is kept longer than LONGEST
LONGEST = 3600.0
MARGIN = 10.0  # seconds that a token must still be good for
BASIC_LASTS = 300.0  # seconds until credentials for Basic are looked up again
_LARGEST_TOKEN = 256 * 1024


@frozen
class Challenge:
    """One way to log in: a scheme in lower case, and its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str] = field(factory=dict)


@define(auto_exc=True)
class Refused(RegistryUnavailable):
    """The registry wants a login that we have not, or does not like the one we have."""


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?=[\s,]|$)")


def challenges(fields: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of WWW-Authenticate fields, in order. What cannot be read ends its field."""
    found: list[Challenge] = []
    for text in fields:
        place = 0
        while scheme := _SCHEME.match(text, place):
            place, parameters = scheme.end(), {}
            while parameter := _PARAMETER.match(text, place):
                name, quoted, plain = parameter.groups()
                parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                place = parameter.end()
            found.append(Challenge(scheme[1].lower(), parameters))
    return tuple(found)


@frozen
class Trust:
    """Who may be asked how. ``insecure``: hosts, with or without port, that may be asked over http; loopback may anyway."""

    insecure: frozenset[str] = frozenset()
    token_hosts: frozenset[str] = frozenset()

    def plain(self, netloc: str) -> bool:
        hostname = urlsplit(f"//{netloc}").hostname or ""
        return netloc in self.insecure or hostname in self.insecure or is_loopback(hostname)

    def scheme(self, netloc: str) -> str:
        """"http" or "https" for a registry that the configuration names."""
        return "http" if self.plain(netloc) else "https"

    def realm(self, url: str, registry: str) -> bool:
        """Whether the token server at ``url``, which ``registry`` named, may be asked, and shown our credentials."""
        if origin(url) is None:
            return False
        parts = urlsplit(url)
        allowed = {urlsplit(f"//{registry}").hostname, KNOWN.get(registry)} | self.token_hosts
        if "@" in parts.netloc or not (parts.hostname in allowed or parts.netloc in allowed):
            return False
        return parts.scheme == "https" or self.plain(parts.netloc)


@frozen
class _Grant:
    header: str = field(repr=False)
    until: float


@define(eq=False)
class Authorization:
    """The Authorization field for one repository: got when a 401 asks for it, sent unasked for as long as it is good."""

    agent: IAgent
    clock: IReactorTime
    repository: Reference
    credentials: Credentials
    trust: Trust
    _grant: _Grant | None = None
    _renewing: DeferredLock = field(factory=DeferredLock)

    @property
    def header(self) -> str | None:
        return self._grant.header if self._grant is not None and self.clock.seconds() < self._grant.until else None

    async def renew(self, refused: str | None, asked: tuple[Challenge, ...]) -> str:
        """The field to try next, after a 401 to ``refused``. Those who are refused at once share one token: the first gets it,
        the others wait for the lock and find it there.

        Raises Refused (502), and RegistryUnavailable (503) if the token server is away.
        """
        async with self._renewing:
            if self.header is not None and self.header != refused:
                return self.header
            self._grant = None
            return await self._renew(asked)

    async def _renew(self, asked: tuple[Challenge, ...]) -> str:
        by_scheme = {challenge.scheme: challenge.parameters for challenge in reversed(asked)}
        if "bearer" in by_scheme:
            self._grant = await self._bearer(by_scheme["bearer"])
        elif "basic" in by_scheme:
            self._grant = await self._basic()
        else:
            raise self._refused("asks for a login of a kind that is not supported; Bearer and Basic are")
        return self._grant.header

    async def _basic(self) -> _Grant:
        login = await self.credentials(self.repository.domain)
        if login is None:
            raise self._refused("asks for a name and password, and none are configured for it")
        return _Grant(login.basic, self.clock.seconds() + BASIC_LASTS)

    async def _bearer(self, parameters: Mapping[str, str]) -> _Grant:
        realm = parameters.get("realm", "")
        if not self.trust.realm(realm, self.repository.host):
            raise self._refused(f"sends us to {realm!r} for a token; if our credentials may go there, name it in token_hosts")
        login = await self.credentials(self.repository.domain)
        query = {"service": parameters.get("service", ""), "scope": f"repository:{self.repository.repository}:pull"}
        if login is not None and login.identity_token is not None:
            form = {**query, "grant_type": "refresh_token", "client_id": "grandcentral", "refresh_token": login.identity_token}
            content = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode(form).encode()
            answer = await exchange(self.agent, "POST", realm, content, body, largest=_LARGEST_TOKEN)
        else:
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            answer = await exchange(
                self.agent, "GET", url, {} if login is None else {"Authorization": login.basic}, largest=_LARGEST_TOKEN
            )
        return self._granted(answer, urlsplit(realm).netloc)

    def _granted(self, answer: Answer, server: str) -> _Grant:
        if answer.status in (400, 401, 403):
            raise self._refused(f"is not open to us: {server} refuses our credentials ({answer.status})")
        if answer.status == 429 or answer.status >= 500:
            raise RegistryUnavailable(f"{server}, where {self.repository.host} sends us for a token, answers {answer.status}.")
        try:
            said = json.loads(answer.body)
            token = said.get("token") or said.get("access_token")
            lasts = float(said.get("expires_in") or TOKEN_LASTS)
        except (ValueError, TypeError, AttributeError):
            token, lasts = None, 0.0
        if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self._refused(f"is not open to us: {server} answers {answer.status} without a token")
        return _Grant(f"Bearer {token}", self.clock.seconds() + min(lasts, LONGEST) - MARGIN)

    def _refused(self, what: str) -> Refused:
        return Refused(f"{self.repository.host} {what}.", bad_gateway=True)
