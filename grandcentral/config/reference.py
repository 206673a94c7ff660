"""docs/configuration.md, made from the schema."""

from __future__ import annotations

from collections.abc import Iterator

from .effective import toml
from .schema import TABLES
from .setting import Setting, Table

_INTRODUCTION = """\
# The configuration

<!-- Made from grandcentral/config/schema.py by `python -m docs.generate`; a test keeps it current. -->

One TOML file. It is checked whole: `grandcentral check` lists every problem with its file, line, table and key, and prints
the effective configuration, every default filled in and secrets masked. What is unknown is a problem, never ignored.

* **duration**: a number and a unit, `ms`, `s`, `m`, `h` or `d`: `"500ms"`, `"30s"`, `"1h30m"`.
* **size**: `"64KiB"`, `"1GiB"`, `"10MB"`, or plain bytes: `65536`.
* **path**: relative to the file; `~/` is the home directory.
* **list**: one by itself needs no brackets: `listen = "tcp:8080"`.

The environment goes before the file: `GRANDCENTRAL_<TABLE>_<KEY>` is a key of {overridable},
such as `GRANDCENTRAL_LIMITS_MAX_STACKS=5` or `GRANDCENTRAL_ADMIN_TOKEN_FILE=/run/secrets/token`. A variable that begins with
`GRANDCENTRAL_` and means nothing is a problem.

## Which host leads where

An exact host goes before a template, a template before a wildcard, a wildcard before `*`. Of several templates the one with
the longer fixed end goes first, then the one with more fixed text beside its variables; of several wildcards the longest. A
host that has a template's form is that template's: if its label is no version, the answer says so, whatever wildcards there
are.

A host is compared in lower case, without port and trailing dot. One variable in a host is the version. Several are joined
from right to left, with dots: `{{app}}.{{user}}.example.com` makes `blog.alice.example.com` the version `alice.blog`.

With `version = "git-hash"`, short and long forms of one commit are one version. A short form that several known commits
begin with is answered with 409 and what it could be, unless it is itself the whole name of one of them.

## How a stack sleeps

| depth | set by | what is left of it | how the next request wakes it |
|---|---|---|---|
| paused | `idle.pause` | everything, frozen in memory | goes on where it was, in milliseconds |
| stopped | `idle.stop`, `idle.max_age`, lack of memory or places | its containers or work tree | started again; no loaders |
| removed | `idle.remove`, lack of disk | named volumes, but for disposable ones | made anew, loaders and all |

What is kept when a stack is removed, its named volumes, stays until an operator removes it (`grandcentral remove --volumes`),
or for as long as `idle.forget` says. That counts from the last use that is written down; where none is, from when the volumes
were found. After the clock was set, or the gateway was started, nothing is forgotten for six hours.

A stack is never put to sleep while a request is in flight, a stream is used, or a lease holds that the application has asked
for; nor while it is pinned. Before it is stopped, its `before_stop` commands are run.

Unless an app says otherwise by `requests` or `wakes`, what a person or a program asks for wakes a stack: a page, a form that
is sent, `curl`. What goes on without anybody does not: what an open page asks for by itself, favicons, crawlers, link
previews, monitors. They get a 503 that says that the stack is asleep. Every request keeps alive a stack that is awake.
"""


def document() -> str:
    """The whole page."""
    overridable = ", ".join(f"`[{table.name}]`" for table in TABLES if table.environment)
    head = _INTRODUCTION.format(overridable=overridable)
    return "\n".join([head, *(line for table in TABLES for line in _table(table))]).rstrip("\n") + "\n"


def _table(table: Table) -> Iterator[str]:
    yield from (f"## `[{table.name}{'.NAME' if table.each else ''}]`", "", table.doc, "")
    if table.each:
        yield from (f"`NAME` is {table.each}.", "")
    by_backend = any(setting.backends for setting in table.settings)
    yield from _rows(table.settings, by_backend)
    for setting in table.settings:
        if setting.fields:
            yield from (f"### `{setting.key}`", "", *_example(setting), "")
            yield from _rows(setting.fields, False)


def _rows(settings: tuple[Setting, ...], by_backend: bool) -> Iterator[str]:
    more = " for |" if by_backend else ""
    yield f"| key | type | default |{more} meaning |"
    yield f"|---|---|---|{'---|' if by_backend else ''}---|"
    for setting in settings:
        cells = [f"`{setting.key}`", setting.kind.name, _default(setting)]
        if by_backend:
            cells.append(", ".join(setting.backends) or "all")
        doc = setting.doc + (f" Not together with `{setting.instead}`." if setting.instead else "")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in (*cells, doc))} |"
    yield ""


def _default(setting: Setting) -> str:
    if setting.otherwise:
        return setting.otherwise
    return "none" if setting.default is None else f"`{toml(setting.kind.write(setting.default))}`"


def _example(setting: Setting) -> tuple[str, ...]:
    if setting.example:
        return ("```toml", *setting.example.splitlines(), "```")
    there = (field for field in setting.fields if field.key != "tcp")
    return (f"`{setting.key} = {{ {', '.join(f'{each.key} = {toml(each.kind.write(each.default))}' for each in there)} }}`",)
