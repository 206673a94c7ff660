"""A handle on Chromium for tests. Calls block: with a reactor in the same process, go through ``deferToThread``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from attrs import frozen

from tests.testbed.errors import Unavailable

DRIVE = Path(__file__).with_name("drive.py")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@frozen
class Page:
    """What a browser tab showed in the end."""

    url: str
    title: str
    status: int  # of the last document; 0: none came
    headers: dict[str, str]
    text: str  # as a reader sees it
    html: str
    errors: list[str]  # uncaught JavaScript errors and requests that failed
    screenshot: str | None


@frozen
class Browser:
    chromium: str

    @classmethod
    def find(cls) -> Browser:
        """Raises Unavailable if there is no Chromium."""
        for program in PROGRAMS:
            if path := shutil.which(program):
                return cls(path)
        raise Unavailable("no Chromium; run `python -m tests.testbed install` as root on Debian, or install chromium by hand")

    def open(
        self,
        *urls: str,
        screenshot: Path | None = None,
        wait_for: str | None = None,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        javascript: bool = True,
        timeout: float = 30.0,
    ) -> list[Page]:
        """Open each URL in a fresh browser, one tab after the other. *.localhost and *.test lead to 127.0.0.1.

        :param screenshot: a PNG file to write; with several URLs, its name gets -1, -2, …
        :param wait_for: a CSS selector (or "text=…") that must be there before the page counts as shown; a waiting page in
            between is then passed by. Without it: until the network is quiet.
        :param timeout: seconds for each page.
        """
        asked = {
            "chromium": self.chromium,
            "pages": [
                {"url": url, "wait_for": wait_for, "screenshot": _numbered(screenshot, number, len(urls))}
                for number, url in enumerate(urls, 1)
            ],
            "width": width,
            "height": height,
            "dark": dark,
            "javascript": javascript,
            "timeout": timeout,
        }
        done = subprocess.run(
            [sys.executable, DRIVE], input=json.dumps(asked), capture_output=True, text=True, timeout=30 + timeout * len(urls)
        )
        if done.returncode:
            raise RuntimeError(f"the browser could not be driven:\n{done.stderr[-2000:]}")
        return [Page(**page) for page in json.loads(done.stdout)["pages"]]


def _numbered(path: Path | None, number: int, count: int) -> str | None:
    if path is None or count == 1:
        return str(path) if path else None
    return str(path.with_stem(f"{path.stem}-{number}"))
