"""What a container is told in names and values: environment, env files, labels, entries of /etc/hosts."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Mapping

from . import dotenv
from .cursor import Cursor

RESERVED_LABELS = ("grandcentral.", "com.docker.compose.")


def environment(service: Cursor) -> dict[str, str]:
    """The variables of a service: its ``environment`` over its env files, the last file first."""
    found: dict[str, str] = {}
    files = service.get("env_file")
    if files is not None:
        for item in files.items() if files.is_list else (files,):
            _env_file(item, found)
    variables = service.get("environment")
    if variables is not None:
        for name, value, place in variables.pairs():
            if not re.fullmatch(r"[^\s=]+", name):
                place.problem(f"{name!r} can't be the name of a variable")
            if not _assign(found, name, value, place.reading.variables):
                place.warn(f"the app's environment has no {name}, so the service gets none")
    return found


def _assign(found: dict[str, str], name: str, value: str | None, outside: Mapping[str, str]) -> bool:
    """Set a variable; without a value it is taken from outside, and if there is none either, it is taken away."""
    value = outside.get(name) if value is None else value
    if value is None:
        found.pop(name, None)
        return False
    found[name] = value
    return True


def _env_file(item: Cursor, found: dict[str, str]) -> None:
    """Read one entry of ``env_file`` into found."""
    required, raw, named = True, False, item
    if item.is_mapping:
        path_cursor, required_cursor, form = item.get("path"), item.get("required"), item.get("format")
        if path_cursor is None:
            item.problem("needs a path")
            return
        named = path_cursor
        raw = form is not None and form.choice("raw") == "raw"
        required = required_cursor is None or required_cursor.boolean() is not False
    path = named.filled()
    content = None if path is None else read_file(named, path, required)
    if content is None:
        return

    def unset(name: str) -> None:
        named.warn(f"in {path}, the variable {name} is not set, so it is empty there")

    try:
        text = content.decode()
        for name, value in dotenv.parse(text, item.reading.variables, raw=raw, unset=unset):
            _assign(found, name, value, item.reading.variables)
    except UnicodeDecodeError:
        named.problem(f"{path} is not UTF-8 text")
    except dotenv.EnvFileError as error:
        named.problem(f"{path}:{error.line}: {error}")


def read_file(cursor: Cursor, path: str, required: bool = True) -> bytes | None:
    """A file that the template names, relative to its own directory; None and a problem if it can't be read."""
    try:
        return cursor.reading.read_file(posixpath.join(cursor.reading.directory, path))
    except FileNotFoundError:
        if required:
            cursor.problem(f"there is no file {path!r} in {cursor.reading.directory or 'the directory of this file'}")
    except (OSError, ValueError) as error:  # ValueError: a path that can't be one
        cursor.problem(f"can't read {path!r}: {error}")
    return None


def labels(service: Cursor) -> dict[str, str]:
    """Labels of the author's; one without a value is empty."""
    found: dict[str, str] = {}
    cursor = service.get("labels")
    if cursor is not None:
        for name, value, place in cursor.pairs():
            if name.startswith(RESERVED_LABELS):
                place.problem(
                    "labels that begin with grandcentral. or com.docker.compose. are the gateway's; choose another name"
                )
            found[name] = value or ""
    return found


def extra_hosts(service: Cursor) -> dict[str, str]:
    """Host name -> address."""
    found: dict[str, str] = {}
    cursor = service.get("extra_hosts")
    if cursor is None:
        return found
    for name, value, place in cursor.pairs():
        if value is None:  # the older form, name:address
            name, _, value = name.partition(":")
        value = value.removeprefix("[").removesuffix("]")
        if not name or not _is_address(value):
            place.problem(f'must be "name=address", and {value!r} is no address')
        found[name] = value
    return found


def _is_address(text: str) -> bool:
    try:
        return text == "host-gateway" or bool(ipaddress.ip_address(text))
    except ValueError:
        return False
