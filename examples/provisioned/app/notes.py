"""A back end for one user, as Hoodie is: anybody may read its notes, and only its owner may write them.

Who that is, it is told when it starts: GRANDCENTRAL_USER and GRANDCENTRAL_PASSWORD. It keeps what has been written where that
stays, in GRANDCENTRAL_DATA.
"""

import base64
import hmac
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER, APPNAME = os.environ["GRANDCENTRAL_USER"], os.environ["GRANDCENTRAL_APPNAME"]
OWNER = base64.b64encode(f"{USER}:{os.environ['GRANDCENTRAL_PASSWORD']}".encode()).decode()
NOTES = Path(os.environ["GRANDCENTRAL_DATA"], "notes")


class Notes(BaseHTTPRequestHandler):
    def do_GET(self):
        notes = NOTES.read_text() if NOTES.exists() else "(none yet)\n"
        self.answer(200, f"The notes of {USER} in {APPNAME}:\n{notes}")

    def do_POST(self):
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Basic {OWNER}".encode()):
            self.answer(401, f"Only {USER} writes here.\n")
            return
        note = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with NOTES.open("a") as file:
            file.write(f"- {note}\n")
        self.answer(201, "Noted.\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="notes"')
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Notes).serve_forever()
