"""1,000 requests at once on one cold key: how often it is started, and how far apart the answers are.

The stack is nginx as a child process, which answers a thousand connections without being the figure itself; each start of it
writes a line into a file.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .. import gateway
from ..baselines import find
from ..measured import Measured, Table, spread
from ..options import Options
from ..origins import BODY, temporary_paths, user

REQUESTS = 1_000
TIMES = 7

_NGINX = """
daemon off;
{user}
worker_processes 1;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 9000; }}
http {{
    access_log off;
    {temporary}
    server {{ listen 127.0.0.1:@PORT@ backlog=4096; location / {{ return 200 "{body}"; }} }}
}}
"""


def run(options: Options) -> Measured:
    cold: list[float] = []
    warm: list[float] = []
    counts: list[int] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        version = _repository(home / "repository", home)
        starts = home / "starts"
        command = (
            f"echo started >> {starts}; sed s/@PORT@/$PORT/ nginx.conf.in > nginx.conf; "
            f"exec {find('nginx')} -p $PWD -c $PWD/nginx.conf -e stderr"
        )
        running = gateway.start(
            stack,
            home,
            f'[apps.app]\nhost = "{{version}}.bench.example.com"\nversion = "git-hash"\ngit = "{home}/repository"\n'
            f"command = '''{command}'''\n",
            options.workers,
        )
        address, host = ("127.0.0.1", running.port), f"{version}.bench.example.com"
        try:
            for _ in range(options.fewer(TIMES)):
                starts.write_text("")
                answers = asyncio.run(gateway.all_at_once(address, host, REQUESTS))
                _all_well(answers)
                counts.append(len(starts.read_text().splitlines()))
                cold.append(_apart(answers))
                again = asyncio.run(gateway.all_at_once(address, host, REQUESTS))
                _all_well(again)
                warm.append(_apart(again))
                running.remove_stack("app", version)
        finally:
            running.remove_stack("app", version)
    columns = ("", "last answer after the first, ms", "rounds")
    rows = [
        ("one cold key", round(median(cold) * 1e3, 1), spread(cold, 1e3)),
        ("the same key, warm", round(median(warm) * 1e3, 1), spread(warm, 1e3)),
    ]
    return Measured(
        values={"starts": max(counts), "spread": median(cold) * 1e3},
        tables=[Table(f"{REQUESTS:,} requests at once on as many connections, {len(cold)} times", columns, rows)],
        notes=[f"Starts in each round: {', '.join(map(str, counts))}. The client is one Python process on the same cores."],
        samples={"cold": cold, "warm": warm, "starts": counts},
    )


def _all_well(answers: list[gateway.Answered]) -> None:
    failed = [answer.status for answer in answers if answer.status != 200]
    if failed:
        raise SystemExit(f"bench: {len(failed)} of {len(answers)} were not answered with 200 but {sorted(set(failed))}")


def _apart(answers: list[gateway.Answered]) -> float:
    moments = [answer.at for answer in answers]
    return max(moments) - min(moments)


def _repository(place: Path, home: Path) -> str:
    """A Git repository with one commit; its short hash."""
    place.mkdir()
    home.joinpath("temporary").mkdir()
    text = _NGINX.format(body=BODY, temporary=temporary_paths(home / "temporary"), user=user())
    place.joinpath("nginx.conf.in").write_text(text)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    for words in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "nginx"]):
        subprocess.run([find("git"), *words], cwd=place, check=True)
    command = [find("git"), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout.strip()
