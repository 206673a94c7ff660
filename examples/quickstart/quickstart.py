"""What ``run`` runs: a repository, a configuration, and the gateway in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOMAIN = "review.localhost"
SHOWN = 3  # commits
OURS = "# Written by examples/quickstart/run at each start. Remove this line, and it stays as you leave it.\n"

# The history of the small repository: what each commit is called and says, its two colours, and the hour it was made.
COMMITS = (
    ("Sunrise", "The first commit: good morning.", ("#c2501c", "#8e2457"), 6),
    ("High noon", "The second: the sky has cleared up.", ("#1472c4", "#0b4a86"), 12),
    ("Midnight", "The third: time to sleep when idle.", ("#5f2c82", "#16213e"), 23),
)


def main() -> int:
    options = arguments()
    home: Path = options.directory
    home.mkdir(parents=True, exist_ok=True)
    lock = open(home / "lock", "w")  # noqa: SIM115 - held as long as we live
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stop(f"This runs already, with the same {home}. Stop that one first, or give this one another --directory.")
    if options.repository is None:
        repository = home / "repository"
        if not (repository / ".git").exists():
            make_repository(repository)
    else:
        repository = options.repository.expanduser().resolve()
        if not (repository / ".git").exists() and not (repository / "HEAD").is_file():
            stop(f"{repository} is not a Git repository.")
    commits = newest_commits(repository)
    if options.repository is not None and options.command is None and not has_procfile(repository):
        stop(
            f"The newest commit of {repository} has no Procfile, so it must be said how to serve it; for instance:\n"
            f"  examples/quickstart/run {options.repository} --command 'python3 -m http.server --bind $HOST $PORT'"
        )
    configuration = home / "gateway.toml"
    write_configuration(configuration, repository, options.command, commits)
    overrides, port = ports(configuration, options.port)
    return run(configuration, overrides, port, lambda: print_links(repository, configuration, commits, port))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "run", description="Serve every commit of a Git repository under a host of its own, started by the first request."
    )
    parser.add_argument("repository", nargs="?", type=Path, help="your repository; none: a small one is made")
    parser.add_argument("--command", help="serves a commit on $HOST:$PORT, in its work tree (default: its Procfile)")
    parser.add_argument("--port", type=int, help="of the gateway (default: that of gateway.toml, 8080; the next free one)")
    parser.add_argument("--directory", type=Path, help="for gateway.toml and all state (default: examples/quickstart/state/…)")
    options = parser.parse_args()
    if options.command is not None and options.repository is None:
        parser.error("--command goes with a repository of yours")
    if options.directory is None:
        name = "demo" if options.repository is None else options.repository.expanduser().resolve().name
        options.directory = HERE / "state" / name
    return options


# -- the repository


def make_repository(path: Path) -> None:
    """A web app of one file, in three commits that look different. Dates are fixed, so the hashes are everybody's."""
    new = path.with_name("repository.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(HERE / "app", new)
    git(new, "init", "--quiet", "--template=", "--initial-branch=main")
    for heading, message, colours, hour in COMMITS:
        look = {"heading": heading, "message": message, "colours": colours}
        (new / "look.json").write_text(json.dumps(look, indent=2) + "\n")
        git(new, "add", "--all")
        git(new, "commit", "--quiet", "--message", heading, date=f"2026-01-01T{hour:02}:00:00Z")
    new.rename(path)


def git(repository: Path, *command: str, date: str | None = None) -> str:
    """What git prints. Ends with its complaint if it fails.

    :param date: for a commit of ours: made at that time by nobody, with no configuration of yours (signing, hooks) in the way.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    if date is not None:
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = {"NAME": "Grand Central", "EMAIL": f"quickstart@{DOMAIN}", "DATE": date}
        environment |= {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}
    done = subprocess.run(["git", "-C", str(repository), *command], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        stop(f"git {command[0]} in {repository} failed: {done.stderr.strip()}")
    return done.stdout


def newest_commits(repository: Path) -> list[tuple[str, str]]:
    """(abbreviated hash, subject) of the newest commits, newest first."""
    lines = git(repository, "log", f"--max-count={SHOWN}", "--abbrev=7", "--format=%h %s").splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def has_procfile(repository: Path) -> bool:
    return bool(git(repository, "ls-tree", "--name-only", "HEAD", "Procfile").strip())


# -- the configuration


def write_configuration(path: Path, repository: Path, command: str | None, commits: list[tuple[str, str]]) -> None:
    if path.exists() and not path.read_text().startswith(OURS):
        return
    serve = f"command = {toml(command)}" if command is not None else 'procfile = "Procfile"'
    links = json.dumps([{"hash": name, "subject": subject} for name, subject in commits]).replace("$", "$$")
    path.write_text(
        f"""{OURS}
[gateway]
listen = ["tcp:8080:interface=127.0.0.1"]
state  = "gateway"

[admin]
listen = "tcp:8081:interface=127.0.0.1"

[apps.quickstart]
host    = "{{version}}.{DOMAIN}"
version = "git-hash"
git     = {toml(str(repository))}
{serve}
ready   = {{ http = "/", within = "60s" }}
idle    = {{ stop = "10m" }}
"""
        + (f"environment = {{ QUICKSTART_VERSIONS = {toml(links)} }}\n" if command is None else "")
    )


def toml(text: str) -> str:
    """As a TOML basic string, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def ports(configuration: Path, wanted: int | None) -> tuple[dict[str, str], int]:
    """Where the file's ports are taken, others, as variables that go before the file; and the gateway's port."""
    read = tomllib.loads(configuration.read_text())
    overrides = {}
    listen = read.get("gateway", {}).get("listen", ["tcp:8080"])
    first = listen[0] if isinstance(listen, list) else listen
    port = written = port_of(first)
    if wanted is not None or not is_free(port):
        port = wanted if wanted is not None else next_free(port + 1)
        overrides["GRANDCENTRAL_GATEWAY_LISTEN"] = first.replace(f"tcp:{written}", f"tcp:{port}", 1)
        if wanted is None:
            print(f"Port {written} is taken; this is on {port} instead.")
    admin = read.get("admin", {}).get("listen", "tcp:8081:interface=127.0.0.1")
    if port_of(admin) == port or not is_free(port_of(admin)):
        other = next_free(port + 1)
        overrides["GRANDCENTRAL_ADMIN_LISTEN"] = admin.replace(f"tcp:{port_of(admin)}", f"tcp:{other}", 1)
    return overrides, port


def port_of(description: str) -> int:
    kind, _, rest = description.partition(":")
    number = rest.partition(":")[0]
    if kind != "tcp" or not number.isdigit():
        stop(f"gateway.toml listens on {description}, and this script knows tcp: only. Use: grandcentral run --config FILE")
    return int(number)


def next_free(port: int) -> int:
    return next(candidate for candidate in range(port, 65536) if is_free(candidate))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


# -- running


def print_links(repository: Path, configuration: Path, commits: list[tuple[str, str]], port: int) -> None:
    width = max(len(subject) for _, subject in commits)
    urls = [(subject, f"{name}.{DOMAIN}:{port}") for name, subject in commits]
    print(f"\n{len(commits)} commits of {repository}; none of them runs until somebody asks for it:\n")
    for subject, host in urls:
        print(f"    {subject[:40]:{min(width, 40)}}  http://{host}/")
    host = urls[0][1]
    print()
    print(f"Open them in a browser, or:  curl http://{host}/")
    print(f"If that name is not found:   curl --resolve {host}:127.0.0.1 http://{host}/")
    print("Any other commit is there too, under 7 or more digits of its hash.")
    print(f"Configuration: {configuration}")
    print("Ctrl-C stops the gateway and all that it started.\n", flush=True)


def run(configuration: Path, overrides: dict[str, str], port: int, serving: Callable[[], None]) -> int:
    """The gateway, until it ends; then nothing that it started is left. ``serving()`` is called when it serves."""
    # In a process group of its own, so that Ctrl-C reaches it once: from us.
    command = [str(Path(sys.executable).with_name("grandcentral")), "run", "--config", str(configuration)]
    gateway = subprocess.Popen(command, env={**os.environ, **overrides}, process_group=0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: gateway.terminate())
    while gateway.poll() is None and not answers(port):
        time.sleep(0.05)
    if gateway.poll() is None:
        serving()
    status = gateway.wait()
    stop_stacks(configuration)
    return 0 if status == -signal.SIGTERM else status  # ended as asked


def answers(port: int) -> bool:
    """Whether requests are answered, whatever the answer is."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/", headers={"Host": DOMAIN})
        return connection.getresponse().status > 0
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def stop_stacks(configuration: Path) -> None:
    """The gateway leaves stacks running for the next gateway. There is none to come."""
    from twisted.internet.task import react

    from grandcentral import config
    from grandcentral.backends.process import ProcessBackend

    state = config.load(configuration, {}).gateway.state / "process"

    async def halt_all(reactor: Any) -> None:
        backend = ProcessBackend(reactor, state, {})
        await backend.open()
        for found in await backend.survey():
            await backend.halt(found.key, grace=True)
            print(f"Stopped {found.key}.")
        await backend.close()

    try:
        react(halt_all)
    except SystemExit as done:  # how react ends
        if done.code:
            raise


def stop(why: str) -> None:
    print(why, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
