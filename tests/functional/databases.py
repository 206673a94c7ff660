"""Real database servers behind a gateway, as child processes of commits: a version's user is called as the commit is."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from tests.e2e.conftest import Repository
from tests.gateway import GatewayProcess, free_port, gateway
from tests.testbed.packages import find

PASSWORD = "sesame"

# Servers will not be root's, and may not look into directories of root's.
_UNPRIVILEGED = """\
set -e
cd /
as() { if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=%(user)s --regid=%(user)s --clear-groups -- "$@"; else exec "$@"; fi; }
data=%(data)s/$GRANDCENTRAL_VERSION
"""
POSTGRESQL = """\
user=$GRANDCENTRAL_VERSION
[ -d "$data" ] || (as %(bin)s/initdb -D "$data" -U "$user" -A scram-sha-256 --pwfile=%(data)s/password -N -E UTF8 --locale=C)
as %(bin)s/postgres -D "$data" -p "$PORT" -h 127.0.0.1 -k "" -c shared_buffers=16MB -c max_connections=20 -c fsync=off &
trap 'kill -INT $!' TERM  # at SIGTERM it would wait for its sessions to end
wait $! || wait $!
"""
REDIS = """\
(as mkdir -p "$data")
as %(bin)s/redis-server --bind 127.0.0.1 --port "$PORT" --dir "$data" --appendonly yes --save "" \\
    --user default off --user "$GRANDCENTRAL_VERSION" on ">%(password)s" "~*" "&*" "+@all"
"""
PROGRAMS = {"postgresql": ("postgres", "postgres", POSTGRESQL), "redis": ("redis-server", "redis", REDIS)}


@frozen
class Database:
    """One protocol's port of a gateway, and the full hashes of commits that are users there."""

    running: GatewayProcess
    protocol: str
    port: int
    users: list[str]

    def conninfo(self, user: int = 0, **more: object) -> str:
        """What libpq is to connect by."""
        given = {"host": "127.0.0.1", "port": self.port, "dbname": "postgres", "password": PASSWORD, **more}
        return " ".join(f"{name}={value}" for name, value in {"user": self.users[user], **given}.items())

    def state(self, user: int = 0) -> str:
        return self.running.state(self.users[user])

    def stop(self, user: int = 0) -> None:
        """Blocks until the server does not run."""
        answer = self.running.admin(f"/api/v1/stacks/db/{self.users[user]}/stop?wait=30s&force=1", "POST")
        assert answer.status == 200


@frozen
class Servers:
    """What a test starts gateways with; everything is kept below ``home``, and servers' data where they may write."""

    home: Path
    data: Path = field(factory=lambda: Path(tempfile.mkdtemp(prefix="grandcentral-")))

    @contextmanager
    def serve(self, protocol: str, app: str = "", more: str = "", workers: int = 0, delay: float = 0.0) -> Iterator[Database]:
        """A gateway with two users. ``delay``: seconds that their servers take longer to start."""
        program, user, script = PROGRAMS[protocol]
        path = Path(find(program))
        facts = {"bin": path.parent, "data": self.data, "user": user, "password": PASSWORD}
        (self.data / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self.data, user, user)
            shutil.chown(self.data / "password", user, user)
        repository = Repository(self.home / "repository")
        text = (_UNPRIVILEGED + f"sleep {delay}\n" + script) % facts
        users = [repository.commit(message, text) for message in ("one", "two")]
        port = free_port()
        configuration = (
            f'[apps.db]\nlisten = "{protocol}:{port}:interface=127.0.0.1"\nversion = "git-hash"\n'
            f'git = "{repository.path}"\ncommand = "exec sh application.py"\n{app}\n{more}'
        )
        (self.home / "gateway").mkdir()
        with gateway(self.home / "gateway", configuration, workers=workers) as running:
            database = Database(running, protocol, port, users)
            try:
                yield database
            finally:
                if running.process is not None and running.process.poll() is None:
                    for name in running.stacks():
                        database.stop(users.index(name))

    def remove(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)


def psql(conninfo: str, *commands: str, within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """The client that everybody has."""
    arguments = [find("psql"), "--no-psqlrc", "-At", *(part for command in commands for part in ("-c", command)), conninfo]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=within, stdin=subprocess.DEVNULL)
