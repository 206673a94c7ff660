"""The proxies that are measured, each configured as its manual says for one origin that is kept connected to.

All tell the origin who asked (X-Forwarded-For, -Proto, -Host) and route by the Host field where they can; none writes an
access log; bodies are streamed, not stored, where there is a choice.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from attrs import define

from .baselines import CHP, find, need
from .heads import HOST
from .options import PROXY_CORE
from .origins import nginx_origin, temporary_paths, user
from .processes import Running, allow_many_files, free_port, launch, serves

ROOT = Path(__file__).parents[1]
Command = list[str | Path]


@define
class Setting:
    """What a proxy is to be: where it listens and forwards to, and how many processes or threads it may have."""

    home: Path
    origin: int
    port: int
    processes: int
    connections: int  # of clients, each with one to the origin


@define
class Proxy:
    name: str
    title: str
    port: int
    running: Running


def grandcentral(setting: Setting) -> Command:
    configuration = setting.home / "gateway.toml"
    configuration.write_text(
        f'[gateway]\nlisten = ["tcp:{setting.port}:interface=127.0.0.1:backlog=4096"]\nstate = "{setting.home}/state"\n'
        f"workers = {setting.processes}\n"
        f'[admin]\nlisten = "tcp:{free_port()}:interface=127.0.0.1"\n'
        f'[apps.app]\nhost = "{HOST}"\nupstream = "127.0.0.1:{setting.origin}"\n'
        '[apps.other]\nhost = "{version}.review.example.com"\nversion = "git-hash"\n'
        f'git = "{ROOT}"\ncommand = "exec sleep 1000"\n'
    )
    return [Path(sys.executable).with_name("grandcentral"), "run", "--config", configuration]


def haproxy(setting: Setting) -> Command:
    configuration = setting.home / "haproxy.cfg"
    configuration.write_text(
        f"""
global
    nbthread {setting.processes}
    maxconn {setting.connections}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    timeout tunnel 1h
    timeout http-keep-alive 75s
frontend front
    bind 127.0.0.1:{setting.port} backlog 4096
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    use_backend app if {{ hdr(host) -i {HOST} }}
backend app
    server origin 127.0.0.1:{setting.origin}
"""
    )
    return [find("haproxy"), "-db", "-f", configuration]


def nginx(setting: Setting) -> Command:
    configuration = setting.home / "nginx.conf"
    configuration.write_text(
        f"""
daemon off;
{user()}
worker_processes {setting.processes};
error_log stderr warn;
pid {setting.home}/nginx.pid;
events {{ worker_connections {setting.connections * 2}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    {temporary_paths(setting.home)}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream origin {{
        server 127.0.0.1:{setting.origin};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{ listen 127.0.0.1:{setting.port} default_server backlog=4096; return 404; }}
    server {{
        listen 127.0.0.1:{setting.port};
        server_name {HOST};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_read_timeout 1h;
            proxy_set_header Host $http_host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
}}
"""
    )
    return [find("nginx"), "-p", setting.home, "-c", configuration, "-e", "stderr"]


def configurable_http_proxy(setting: Setting) -> Command:
    need(CHP)
    target = f"http://127.0.0.1:{setting.origin}"
    command: Command = [find("node"), CHP.resolve(), "--ip", "127.0.0.1", "--port", str(setting.port)]
    return [*command, "--api-port", str(free_port()), "--default-target", target, "--log-level", "error"]


def twisted(setting: Setting) -> Command:
    return [sys.executable, "-m", "bench.programs.twisted_proxy", str(setting.port), str(setting.origin)]


TITLES = {
    "grandcentral": "Grand Central",
    "haproxy": "HAProxy",
    "nginx": "nginx",
    "chp": "configurable-http-proxy",
    "twisted": "ReverseProxyResource",
}
COMMANDS: dict[str, Callable[[Setting], Command]] = {
    "grandcentral": grandcentral,
    "haproxy": haproxy,
    "nginx": nginx,
    "chp": configurable_http_proxy,
    "twisted": twisted,
}
ASK = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def start(
    stack: ExitStack,
    name: str,
    home: Path,
    origin: int,
    processes: int = 1,
    core: int | None = PROXY_CORE,
) -> Proxy:
    """``processes``: workers of Grand Central and nginx, threads of HAProxy."""
    place = home / name
    place.mkdir(parents=True, exist_ok=True)
    setting = Setting(place, origin, free_port(), processes, (allow_many_files() - 100) // 2)
    command = COMMANDS[name](setting)
    environment = {"PYTHONPATH": str(ROOT)}
    running = launch(stack, name, command, place, core, serves(setting.port, ASK), environment)
    if name == "grandcentral" and len(running.pids) <= processes:
        raise SystemExit(f"bench: {processes} workers were asked for, but the gateway has {len(running.pids) - 1}")
    return Proxy(name, TITLES[name], setting.port, running)


def best_workers() -> int:
    """1 if this version of the gateway has worker processes, else 0."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        try:
            start(stack, "grandcentral", home, nginx_origin(stack, home), 1, None)
        except SystemExit:
            return 0
    return 1


def start_all(stack: ExitStack, home: Path, origin: int, workers: int, names: Iterable[str] = COMMANDS) -> dict[str, Proxy]:
    """One process each (Grand Central: as many workers as are asked for), all on one core; who is not asked is idle."""
    return {name: start(stack, name, home, origin, workers if name == "grandcentral" else 1) for name in names}


def interleaved(names: Iterable[str], rounds: int) -> Iterable[str]:
    """A B C, B C A, C A B …: what disturbs the machine for a while disturbs all of them, and none always comes first."""
    order = list(names)
    for n in range(rounds):
        yield from order[n % len(order) :] + order[: n % len(order)]
