"""A directory with a configuration in it, and the files that it names."""

from __future__ import annotations

from pathlib import Path

from grandcentral.config import Configuration, load
from grandcentral.core.problems import Invalid, Problem

COMPOSE = """
services:
  web:
    image: ${IMAGE}
    depends_on: [db]
  db:
    image: mariadb:10.11
"""

DOCS = '[apps.docs]\nhost = "docs.example.com"\nupstream = "127.0.0.1:9001"\n'


def directory(path: Path) -> Path:
    """Fill it with a template, a repository and a secret."""
    (path / "shop.compose.yaml").write_text(COMPOSE)
    (path / "src/myrepo/.git").mkdir(parents=True)
    (path / "token").write_text("open sesame\n")
    (path / "token").chmod(0o600)
    return path


def configure(path: Path, text: str, environ: dict[str, str] | None = None) -> Configuration:
    """Load ``text`` as the configuration in that directory, which is also the home directory; not as root."""
    file = path / "gateway.toml"
    file.write_text(text)
    file.chmod(0o600)
    return load(file, {"HOME": str(path), **(environ or {})}, root=False)


def problems(path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong with ``text``, as it is printed, with the directory taken out."""
    try:
        found: tuple[Problem, ...] = configure(path, text, environ).warnings
    except Invalid as invalid:
        found = invalid.problems
    return [str(problem).replace(f"{path}/", "") for problem in found]
