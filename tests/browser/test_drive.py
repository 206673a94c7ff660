"""The browser helper, on pages served from this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .client import Browser


class Pages(BaseHTTPRequestHandler):
    """Shows the Host it was asked for; /waiting goes on to / by itself."""

    def do_GET(self) -> None:
        going_on = '<meta http-equiv="refresh" content="0;url=/">' if self.path == "/waiting" else ""
        heading = "Please wait" if going_on else "Arrived"
        body = f'<title>{heading}</title>{going_on}<h1 id="{heading.split()[0].lower()}">{heading}</h1>{self.headers["Host"]}'
        self.send_response(503 if going_on else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_review_hosts_resolve_to_the_loopback_interface(browser: Browser, port: int, tmp_path: Path) -> None:
    first, second = browser.open(
        f"http://db139cf.review.localhost:{port}/", f"http://7e04b2a.review.test:{port}/", screenshot=tmp_path / "page.png"
    )
    assert (first.title, first.status) == ("Arrived", 200)
    assert f"db139cf.review.localhost:{port}" in first.text
    assert f"7e04b2a.review.test:{port}" in second.text
    assert (tmp_path / "page-1.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "page-2.png").exists()


def test_a_waiting_page_is_passed_by(browser: Browser, port: int) -> None:
    (page,) = browser.open(f"http://db139cf.review.localhost:{port}/waiting", wait_for="#arrived")
    assert (page.title, page.status, page.url) == ("Arrived", 200, f"http://db139cf.review.localhost:{port}/")


def test_a_page_that_does_not_open_says_why(browser: Browser) -> None:
    (page,) = browser.open("http://db139cf.review.localhost:1/", timeout=5)
    assert page.status == 0
    assert "ERR_UNSAFE_PORT" in " ".join(page.errors) or "ERR_CONNECTION_REFUSED" in " ".join(page.errors)
