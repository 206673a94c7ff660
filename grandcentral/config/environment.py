"""GRANDCENTRAL_<TABLE>_<KEY> in the environment goes before the file: GRANDCENTRAL_LIMITS_MAX_STACKS=5."""

from __future__ import annotations

from collections.abc import Mapping

from .findings import Findings
from .reading import did_you_mean
from .schema import TABLES
from .setting import Setting

PREFIX = "GRANDCENTRAL_"

VARIABLES: Mapping[str, tuple[str, Setting]] = {
    f"{PREFIX}{table.name}_{setting.key}".upper(): (table.name, setting)
    for table in TABLES
    if table.environment
    for setting in table.settings
}
"""Every variable that means something -> table and setting."""


def overridden(document: Mapping[str, object], environ: Mapping[str, str], findings: Findings) -> dict[str, object]:
    """The document with what the environment says put in, as if the file said so."""
    result = dict(document)
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX):
            continue
        place = f"environment: {name}"
        if name not in VARIABLES:
            findings.elsewhere[(name,)] = place
            findings.wrong((name,), f"is no setting of the gateway{did_you_mean(name, VARIABLES)}")
            continue
        table, setting = VARIABLES[name]
        section = result.get(table, {})
        if not isinstance(section, dict):
            continue  # which is found wrong with its own place
        findings.elsewhere[(table, setting.key)] = place
        rest = {
            key: value
            for key, value in section.items()
            if key != setting.instead or f"{PREFIX}{table}_{key}".upper() in environ
        }
        result[table] = {**rest, setting.key: setting.kind.from_text(text)}
    return result
