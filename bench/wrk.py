"""Load by wrk, with given requests in turn."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from .baselines import find

_SCRIPT = """
local requests = {{ {requests} }}
local n = 0
request = function()
    n = n % #requests + 1
    return requests[n]
end
done = function(summary, latency)
    local e = summary.errors
    local errors = string.format('{{"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}',
        e.connect, e.read, e.write, e.timeout, e.status)
    io.write(string.format('\\n{{"requests": %d, "seconds": %f, "errors": %s}}\\n', summary.requests, summary.duration / 1e6,
        errors))
end
"""


@frozen
class Load:
    """``errors`` by kind: connect, read, write, timeout (no answer for two seconds), status (neither 2xx nor 3xx)."""

    requests: int
    seconds: float
    errors: dict[str, int]

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def run(
    home: Path, port: int, requests: Sequence[bytes], seconds: float, connections: int, core: int | None, threads: int = 1
) -> Load:
    """Raises SystemExit if any request fails: what fails is quick, and counts for nothing."""
    load = whatever_happens(home, port, requests, seconds, connections, core, threads)
    if load.failed:
        raise SystemExit(f"bench: {load.failed} of {load.requests} requests to port {port} failed")
    return load


def whatever_happens(
    home: Path, port: int, requests: Sequence[bytes], seconds: float, connections: int, core: int | None, threads: int = 1
) -> Load:
    """The same, and failures are only counted."""
    quoted = ", ".join('"' + "".join(f"\\{byte:03d}" for byte in one) + '"' for one in requests)
    script = home / "requests.lua"
    script.write_text(_SCRIPT.format(requests=quoted))
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    options = ["-t", str(threads), "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "-s", str(script)]
    done = subprocess.run(
        [*pinned, find("wrk"), *options, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=seconds + 60
    )
    if done.returncode:
        raise SystemExit(f"bench: wrk ended with status {done.returncode}: {done.stderr or done.stdout}")
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))
