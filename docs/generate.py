"""Writes the pages of docs/ that are made from tables in the code: ``python -m docs.generate [--check]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from grandcentral.admin import openapi
from grandcentral.admin.api import ROUTES
from grandcentral.config import reference
from grandcentral.core import compose
from grandcentral.observe import metrics
from tests import failures

from . import lifecycle

HERE = Path(__file__).resolve().parent

PAGES: Mapping[str, Callable[[], str]] = {
    "compose.md": compose.markdown,
    "configuration.md": reference.document,
    "failures.md": failures.document,
    "lifecycle.md": lifecycle.markdown,
    "metrics.md": metrics.document,
    "openapi.json": lambda: openapi.page(ROUTES),
}
"""File in docs/ -> what makes its text."""


def stale() -> list[str]:
    """The pages that are not what the code would make them."""
    return [name for name, make in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text("utf-8") != make()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not current")
    checking = parser.parse_args().check
    for name in stale():
        if checking:
            print(f"docs/{name} is not current: run python -m docs.generate", file=sys.stderr)
        else:
            (HERE / name).write_text(PAGES[name](), "utf-8")
            print(f"wrote docs/{name}")
    return 1 if checking and stale() else 0


if __name__ == "__main__":
    sys.exit(main())
