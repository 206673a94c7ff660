"""Open pages in Chromium and say what is there: one JSON object on standard input, one on standard output.

In: ``{"chromium": PATH, "pages": [{"url": …, "screenshot": PATH or null, "wait_for": selector or null}], "width": 1280,
"height": 800, "dark": false, "javascript": true, "timeout": 30}``. Out: ``{"pages": [{"url", "title", "status", "headers",
"text", "html", "errors", "screenshot"}]}``, in the same order; a page that could not be opened has status 0 and says why in
``errors``.

A process of its own because Playwright's event loop and Twisted's reactor do not mix.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from playwright.sync_api import BrowserContext, Error, Response, sync_playwright

FLAGS = [
    "--no-sandbox",  # root can't have one
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP *.test 127.0.0.1",
]


def main() -> None:
    asked = json.load(sys.stdin)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=asked["chromium"], args=FLAGS)
        context = chromium.new_context(
            viewport={"width": asked["width"], "height": asked["height"]},
            color_scheme="dark" if asked["dark"] else "light",
            java_script_enabled=asked["javascript"],
        )
        context.set_default_timeout(asked["timeout"] * 1000)
        pages = [visit(context, page) for page in asked["pages"]]
        chromium.close()
    json.dump({"pages": pages}, sys.stdout)


def visit(context: BrowserContext, asked: dict[str, Any]) -> dict[str, Any]:
    """Open one page in a tab of its own. Several documents may pass by (a waiting page, a redirect): the last one counts."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(f"{request.url}: {request.failure}"))
    documents: list[Response] = []

    def note(response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == page.main_frame:
            documents.append(response)

    page.on("response", note)
    try:
        page.goto(asked["url"])
        if asked.get("wait_for"):
            page.wait_for_selector(asked["wait_for"])
        page.wait_for_load_state("networkidle" if not asked.get("wait_for") else "load")
    except Error as error:
        errors.append(error.message)
    if asked.get("screenshot"):
        page.screenshot(path=asked["screenshot"])
    last = documents[-1] if documents else None
    seen = {
        "url": page.url,
        "title": page.title(),
        "status": last.status if last else 0,
        "headers": last.headers if last else {},
        "text": page.inner_text("body"),
        "html": page.content(),
        "errors": errors,
        "screenshot": asked.get("screenshot"),
    }
    page.close()
    return seen


if __name__ == "__main__":
    main()
