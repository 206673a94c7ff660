"""A Compose file's text to a template: YAML from here, its meaning from core.compose."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ..core import compose
from . import yaml


def load(
    text: str,
    *,
    filename: str,
    serves: str,
    read_file: Callable[[str], bytes],
    allow: frozenset[str] = frozenset(),
    environment: Mapping[str, str] | None = None,
    sample: Mapping[str, str] = compose.SAMPLE,
) -> compose.ComposeTemplate:
    """Read and check a Compose file; see core.compose.template for the parameters.

    :param filename: the file's path: names it in problems, and relative paths in it are relative to its directory.
    :param read_file: called with absolute paths.
    :raises Invalid: with every problem, each with its file, line and key.
    """
    return compose.template(
        yaml.parse(text, filename),
        filename=filename,
        serves=serves,
        allow=allow,
        environment=environment,
        sample=sample,
        read_file=read_file,
        directory=os.path.dirname(os.path.abspath(filename)),
    )
