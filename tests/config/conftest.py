from __future__ import annotations

from pathlib import Path

import pytest

from .support import directory


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory for a configuration, with a template, a repository and a secret in it."""
    return directory(tmp_path)
