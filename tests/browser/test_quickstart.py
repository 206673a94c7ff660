"""The README's first command, as a new user runs it, seen in a browser."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.gateway import eventually, free_port

from .client import Browser

RUN = Path(__file__).parents[2] / "examples" / "quickstart" / "run"


@pytest.fixture
def links(tmp_path: Path) -> object:
    """The URLs that the quickstart prints, while it runs."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            [RUN, "--directory", tmp_path / "state", "--port", str(free_port())],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    eventually(lambda: "Ctrl-C stops" in log.read_text(), 120, "the quickstart")
    yield sorted(set(re.findall(r"http://[0-9a-f]+\.review\.localhost:\d+/", log.read_text())))
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 0, log.read_text()


def test_three_commits_at_once_in_a_browser(links: list[str], browser: Browser, tmp_path: Path) -> None:
    assert len(links) == 3
    pages = browser.open(*links, screenshot=tmp_path / "page.png")
    assert [page.status for page in pages] == [200, 200, 200]
    for link, page in zip(links, pages, strict=True):
        assert re.findall(r"[0-9a-f]{7}", link)[0] in page.title
        assert page.errors == []
    assert len({page.text for page in pages}) == 3
