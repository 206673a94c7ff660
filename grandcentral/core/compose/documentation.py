"""docs/compose.md, made from the table of keys."""

from __future__ import annotations

from .keys import FLAGS, TABLE, Row

_INTRODUCTION = """\
# Compose templates

<!-- Made from grandcentral/core/compose/keys.py; a test keeps it current. -->

A stack is described by a Compose file. Grand Central reads the keys below; anything else is a problem that names file,
line and key. `grandcentral check` shows every problem and warning of a template before anything starts.

* **supported**: it does what the Compose specification says, but for what the note says.
* **opt-in**: a problem, unless the app's `allow` has the flag that the note names.
* **ignored**: left out with a warning, since that does no harm.
* **refused**: a problem. `null`, `[]`, `{}` and the values named harmless are no problem anywhere.

Keys that begin with `x-` are left alone, but for `x-grandcentral` in a volume; anchors, aliases and `<<` work as in Compose.
YAML is read as YAML 1.2: `22:22`, `on` and `0755` are strings, and a key that is there twice is a problem. `docker compose
config --no-interpolate` writes files that work here.

    volumes:
      dumps:                                  # found again when the stack is made anew
      database:
        x-grandcentral: {disposable: true}    # removed with the stack; Compose itself does not look at this

## Variables

`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?why}`, `${NAME?why}`, `${NAME:+other}`, `${NAME+other}`
and `$$` work in every value, never in keys. Values are put in after the file was read: whatever they hold, they stay
one value. A variable that is not set becomes the empty string, with a warning.

| variable | value |
|---|---|
"""

VARIABLES = {
    "VERSION": "the version's name, for instance the git hash",
    "IMAGE": "the version's image; what is started is pinned to its digest",
    "HOST": "the public host name of the stack",
    "URL": "its public URL",
    "GRANDCENTRAL": "`1`",
    "GRANDCENTRAL_APP": "the app's name in the configuration",
    "GRANDCENTRAL_VERSION": "as `VERSION`",
    "GRANDCENTRAL_TAG": "the image's tag",
    "GRANDCENTRAL_HOST": "as `HOST`",
    "GRANDCENTRAL_URL": "as `URL`",
    "GRANDCENTRAL_GIT_SHA": "the full commit, or as much of it as is known",
    "GRANDCENTRAL_KEEP_ALIVE_URL": "where the stack can ask to be kept awake: `POST` there with `?seconds=600`",
    "GRANDCENTRAL_TOKEN": "what it proves itself with there: `Authorization: Bearer …`; the same for every start of it",
}
"""The variables that the gateway gives, and what they hold. Those that begin with GRANDCENTRAL are in every container too."""

PROVISIONED = {
    "USER": "whose it is: the `username` of the call that provisioned it",
    "EMAIL": "the user's `emailaddress`; empty if the call had none",
    "APPNAME": "the user's name for it: `appname` of the call; empty where a user has one stack",
    "PASSWORD": "made for this stack and told once, to who provisioned it; the same for every start of it",
    "GRANDCENTRAL_USER": "as `USER`",
    "GRANDCENTRAL_EMAIL": "as `EMAIL`",
    "GRANDCENTRAL_APPNAME": "as `APPNAME`",
    "GRANDCENTRAL_PASSWORD": "as `PASSWORD`",
}
"""Those of apps that are provisioned (core.provisions)."""


def markdown() -> str:
    """The whole page."""
    lines = [_INTRODUCTION.rstrip("\n")]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    lines += [
        "",
        "and the app's `environment`. Those that begin with `GRANDCENTRAL` are also in the environment of every container,",
        "unless the template sets them itself.",
        "",
        "Where the app has `provisioned = true`, there are also:",
        "",
        "| variable | value |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in PROVISIONED.items()),
        "",
        "## What `allow` may say",
        "",
        "| flag | what it opens |",
        "|---|---|",
        *(f"| `{flag}` | {meaning} |" for flag, meaning in FLAGS.items()),
    ]
    section = ""
    for row in TABLE.values():
        title = _section(row)
        if title != section:
            lines += ["", f"## {title}", "", "| key | verdict | note |", "|---|---|---|"]
            section = title
        lines.append(f"| `{_shown(row)}` | {row.verdict.value} | {_note(row)} |")
    return "\n".join(lines) + "\n"


def _section(row: Row) -> str:
    top, star, _ = row.path.partition(".*.")
    return f"`{top}.*`" if star else "Top level"


def _shown(row: Row) -> str:
    return row.path.partition(".*.")[2] or row.path


def _note(row: Row) -> str:
    parts = [row.note[:1].upper() + row.note[1:] + ("" if row.note.endswith(".") else ".")] if row.note else []
    if row.flag:
        parts.append(f"Flag: `{row.flag}`.")
    if row.harmless:
        parts.append("Harmless: " + ", ".join(f"`{value}`" for value in sorted(row.harmless)) + ".")
    return " ".join(parts)
