"""What a configuration that is read again changes in a gateway that runs."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.testing import MemoryReactorClock

from grandcentral.assembly import assemble
from grandcentral.core.hours import Hours
from grandcentral.core.model import Hook, IdlePolicy
from tests.admin.fakes import Browser, FakeControl
from tests.config.support import configure, directory

BEFORE = """
[apps.app]
host = "{version}.example.com"
version = "git-hash"
git = "src/myrepo"
command = "./serve"
"""
PUSHED = "/webhooks/docker-hub?secret=open%20sesame"
AFTER = """
[limits]
max_stacks = 7
max_starting = 2
starts_per_client = 3
max_lease = "1h"
memory_min_free = "1MiB"
disk_min_free = "1MiB"
[http]
max_held_body = "1MiB"
spool_above = "1KiB"
[webhooks]
secret = "open sesame"
[apps.app]
host = "{version}.example.com"
version = "git-hash"
git = "src/myrepo"
command = "./serve"
idle = { pause = "1m", stop = "2m", remove = "3m", max_age = "4m" }
before_stop = { web = "sync" }
before_stop_within = "5m"
hours = "07:00-20:00"
warm = ["main"]
wakes = "any"
"""


def test_everything_about_sleep_is_in_use_at_once(tmp_path: Path) -> None:
    before, after = configure(directory(tmp_path), BEFORE), configure(tmp_path, AFTER)
    reactor = MemoryReactorClock()
    parts = assemble(reactor, before, b"secret")
    operator = Browser(parts.admin, reactor, FakeControl())
    assert operator.ask("POST", PUSHED, body=b"{}").status == 403
    done: list[object] = []
    parts.reconfigure(after).addCallback(done.append)
    assert len(done) == 1
    assert parts.table.limits == after.limits
    app = parts.table.apps["app"]
    assert app.idle == IdlePolicy(60.0, 120.0, 180.0, 240.0)
    assert (app.before_stop, app.before_stop_within) == ((Hook("web", "sync"),), 300.0)
    assert (app.hours, app.warm) == (Hours.parse("07:00-20:00"), ("main",))
    assert parts.doors is not None
    settings = parts.doors.http.settings
    assert (settings.max_held_body, settings.spool_above, settings.max_lease) == (2**20, 2**10, 3600.0)
    poll = b"GET", b"/poll", b"Sec-Fetch-Mode: cors\r\n\r\n"
    assert parts.doors.http.judges.wakes("app", *poll), "its rules are"
    assert operator.ask("POST", PUSHED, body=b"{}").status != 403, "its secret is"
