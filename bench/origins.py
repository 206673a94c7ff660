"""What is behind the proxies: nginx with an answer of 85 bytes and a file of 64 MiB, and a sink for uploads."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from .baselines import find
from .options import LOAD_CORE
from .processes import Running, free_port, launch, serves

BODY = "The train now standing at platform one is the 11:42 to Grand Central. Mind the gap.\\n"  # 85 bytes
MIB = 1 << 20
FILE_SIZE = 64 * MIB

_NGINX = """
daemon off;
{user}
worker_processes 1;
error_log stderr warn;
pid {home}/nginx.pid;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    sendfile on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    {temporary}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location / {{ return 200 "{body}"; }}
        location = /64MiB {{ root {home}; }}
    }}
}}
"""


def user() -> str:
    """Whoever runs the bench: its files are for nobody else to read."""
    return "user root;" if os.geteuid() == 0 else ""


def temporary_paths(home: Path) -> str:
    """nginx makes these when it starts, used or not."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)


def nginx_origin(stack: ExitStack, home: Path, core: int | None = LOAD_CORE) -> int:
    """Starts it; its port."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with open(home / "64MiB", "wb") as file:
        for _ in range(FILE_SIZE // MIB):
            file.write(os.urandom(MIB))
    configuration = home / "origin.conf"
    configuration.write_text(_NGINX.format(home=home, port=port, body=BODY, temporary=temporary_paths(home), user=user()))
    launch(stack, "origin", [find("nginx"), "-p", home, "-c", configuration, "-e", "stderr"], home, core, serves(port))
    return port


def python_origin(stack: ExitStack, program: str, home: Path, core: int | None = LOAD_CORE) -> tuple[int, Running]:
    """Starts ``bench.programs.PROGRAM``; its port, and itself."""
    port = free_port()
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", f"bench.programs.{program}", str(port)]
    return port, launch(stack, program, command, home, core, serves(port), {"PYTHONPATH": str(root)})
