"""From an app and a version to a Launch: the variables that templates may use, and the rendered stack."""

from __future__ import annotations

from collections.abc import Mapping

from . import leases
from .keys import Key
from .model import App, Launch, StackSpec, Version


def variables(key: Key, version: Version, host: str, url: str, token: str) -> dict[str, str]:
    """What ``${…}`` in a template can name, and (those called GRANDCENTRAL…) what every service finds in its environment.

    VERSION is what a person would type; GRANDCENTRAL_GIT_SHA the longest form that is known. HOST has no scheme, URL has one.
    With the token the stack may ask at GRANDCENTRAL_KEEP_ALIVE_URL to be kept awake (core.leases).
    """
    return {
        "VERSION": version.name,
        "IMAGE": version.image or "",
        "HOST": host,
        "URL": url,
        "GRANDCENTRAL": "1",
        "GRANDCENTRAL_APP": key.app,
        "GRANDCENTRAL_VERSION": version.name,
        "GRANDCENTRAL_TAG": (version.image or "").rpartition(":")[2],
        "GRANDCENTRAL_HOST": host,
        "GRANDCENTRAL_URL": url,
        "GRANDCENTRAL_GIT_SHA": version.commit or version.name,
        "GRANDCENTRAL_KEEP_ALIVE_URL": url.rstrip("/") + leases.PATH,
        "GRANDCENTRAL_TOKEN": token,
    }


NOTHING: Mapping[str, str] = {}


def launch(
    app: App, key: Key, generation: int, version: Version, host: str, url: str, token: str, given: Mapping[str, str] = NOTHING
) -> Launch:
    """What to ask of the app's backend. ``given`` are variables of this stack alone (core.provisions). Raises problems.Invalid
    where the template cannot be used with this version."""
    names = {**given, **variables(key, version, host, url, token)}
    spec = app.template.render(names) if app.template else StackSpec(services=(), serves="", port=0)
    return Launch(key=key, generation=generation, version=version, spec=spec, host=host, variables=names)
