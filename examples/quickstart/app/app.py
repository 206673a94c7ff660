"""A small web app out of the standard library: a page that looks different in each commit, and a form that answers."""

import html
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

LOOK = json.loads(Path("look.json").read_text())
PAGE = Path("page.html").read_text()
COMMIT = os.environ.get("GRANDCENTRAL_GIT_SHA", "no commit")
OWN_URL = os.environ.get("GRANDCENTRAL_URL", "/")
VERSIONS = json.loads(os.environ.get("QUICKSTART_VERSIONS", "[]"))
BIGGEST_FORM = 64 * 1024


def milliseconds_since_start():
    """From when the kernel made this process until now."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000)


def links():
    """The other versions: our own URL with another hash in it."""
    for version in VERSIONS:
        here = COMMIT.startswith(version["hash"])
        label = OWN_URL.partition("://")[2].partition(".")[0]
        url = OWN_URL.replace(label, version["hash"], 1)
        name = f"<code>{html.escape(version['hash'])}</code> {html.escape(version['subject'])}"
        yield f'<li class="here">{name}</li>' if here else f'<li><a href="{html.escape(url)}">{name}</a></li>'


def page(heading, body):
    values = {
        "heading": html.escape(heading),
        "body": body,
        "from": LOOK["colours"][0],
        "to": LOOK["colours"][1],
        "commit": html.escape(COMMIT[:12]),
        "started": STARTED,
        "versions": "\n".join(links()),
    }
    text = PAGE
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", str(value))
    return text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/":
            self.answer(200, page(LOOK["heading"], f'<p class="message">{html.escape(LOOK["message"])}</p>'))
        elif path == "/about":
            self.answer(200, page("About", "<p>This is <code>app.py</code> as it was in this commit, and nothing but it.</p>"))
        else:
            self.answer(404, page("Not here", "<p>This commit has no such page.</p>"))

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/echo" or length > BIGGEST_FORM:
            self.close_connection = True
            self.answer(404 if self.path != "/echo" else 413, page("Not like this", "<p>Only /echo takes a small form.</p>"))
            return
        form = parse_qs(self.rfile.read(length).decode(errors="replace"))
        said = html.escape(" ".join(form.get("words", [""])))
        self.answer(200, page("Echo", f'<p class="message">“{said}”</p>'))

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


server = ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))), Handler)
STARTED = milliseconds_since_start()
print(f"{LOOK['heading']}: listening on port {server.server_port} after {STARTED} ms", flush=True)
server.serve_forever()
