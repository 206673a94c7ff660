"""Helpers of the Compose tests: text in, a stack or its problems out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from grandcentral.config.compose import load
from grandcentral.core.compose import SAMPLE, ComposeTemplate
from grandcentral.core.model import Service, StackSpec
from grandcentral.core.problems import Invalid

FILENAME = "/srv/app/app.compose.yaml"


def reader(files: Mapping[str, str | bytes]) -> Callable[[str], bytes]:
    """A read_file over a mapping of absolute paths."""

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        content = files[path]
        return content.encode() if isinstance(content, str) else content

    return read


def template(
    text: str, *, serves: str = "web:80", files: Mapping[str, str | bytes] | None = None, **options: Any
) -> ComposeTemplate:
    return load(text, filename=FILENAME, serves=serves, read_file=reader(files or {}), **options)


def stack(text: str, **options: Any) -> StackSpec:
    return template(text, **options).render(SAMPLE)


def web(keys: str, **options: Any) -> Service:
    """The service "web" with these keys, in a file that declares volume "data" and network "back"."""
    return stack(document(keys), **options).service("web")


def document(keys: str) -> str:
    lines = "".join(f"    {line}\n" for line in keys.splitlines())
    return f"services:\n  web:\n    image: img\n{lines}  other: {{image: img}}\nvolumes: {{data: }}\nnetworks: {{back: }}\n"


def problems(text: str, **options: Any) -> list[str]:
    """Every problem, without the directory of the file."""
    with pytest.raises(Invalid) as caught:
        template(text, **options)
    return [str(problem).removeprefix("/srv/app/") for problem in caught.value.problems]


def web_problems(keys: str, **options: Any) -> list[str]:
    return problems(document(keys), **options)


def warnings(text: str, **options: Any) -> list[str]:
    return [str(warning).removeprefix("/srv/app/") for warning in template(text, **options).warnings]
