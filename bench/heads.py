"""Requests as a browser sends them: 600 to 800 bytes of head."""

from __future__ import annotations

HOST = "app.bench.example.com"

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
_COOKIE = (
    "session=eyJ1c2VyIjo0MiwiZXhwIjoxNzYzNjQ4MDAwfQ.aXN0aGlzYXJlYWxzaWduYXR1cmU; csrftoken=Zk3bq9Xw7LrT2mVn8sYp; "
    "_ga=GA1.2.1234567890.1763640000; theme=dark; locale=en-GB"
)
_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
_KINDS = (  # a page and what it is made of: path, Accept, Sec-Fetch-Dest
    ("/search?q=grand+central&page=3", _PAGE, "document"),
    ("/assets/application-5f4dcc3b.css", "text/css,*/*;q=0.1", "style"),
    ("/assets/application-7c6a180b.js", "*/*", "script"),
    ("/images/departures.png", _IMAGE, "image"),
    ("/api/v1/cases/42/queries?after=1763640000", "application/json", "empty"),
    ("/images/arrivals.webp", _IMAGE, "image"),
    ("/assets/inter-var.woff2", "*/*", "font"),
    ("/favicon.ico", _IMAGE, "image"),
)


def head(path: str, accept: str, kind: str) -> bytes:
    mode = {"document": "navigate", "empty": "cors", "font": "cors"}.get(kind, "no-cors")
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {HOST}",
        "Connection: keep-alive",
        'sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24"',
        "sec-ch-ua-mobile: ?0",
        'sec-ch-ua-platform: "Linux"',
        f"User-Agent: {_AGENT}",
        f"Accept: {accept}",
        "Sec-Fetch-Site: same-origin",
        f"Sec-Fetch-Mode: {mode}",
        f"Sec-Fetch-Dest: {kind}",
        f"Referer: http://{HOST}/search?q=grand+central",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
        f"Cookie: {_COOKIE}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


MIXED = tuple(head(*kind) for kind in _KINDS)
"""Each differs from the one before in more than its path: what was understood of the last head is of little use."""

SAME = MIXED[:1]
"""One and the same again and again, as a program sends them."""

KINDS = {"mixed": MIXED, "same": SAME}
