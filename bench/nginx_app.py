"""Versions of an application that the gateway runs as child processes: nginx, which is never the figure itself.

Each start writes the id of its process into a file.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from attrs import frozen

from .baselines import find
from .origins import BODY, temporary_paths, user

_NGINX = """
daemon off;
{user}
worker_processes 1;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 9000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    {temporary}
    server {{ listen 127.0.0.1:@PORT@ backlog=4096; location / {{ return 200 "{body}"; }} }}
}}
"""


@frozen
class NginxApp:
    """``versions`` are short hashes."""

    home: Path
    versions: list[str]

    @property
    def configuration(self) -> str:
        """Its table."""
        command = (
            f"echo $$ >> {self._starts}; sed s/@PORT@/$PORT/ nginx.conf.in > nginx.conf; "
            f"exec {find('nginx')} -p $PWD -c $PWD/nginx.conf -e stderr"
        )
        return (
            f'[apps.app]\nhost = "{{version}}.bench.example.com"\nversion = "git-hash"\ngit = "{self.home}/repository"\n'
            f"command = '''{command}'''\n"
        )

    @property
    def hosts(self) -> list[str]:
        return [f"{version}.bench.example.com" for version in self.versions]

    @property
    def _starts(self) -> Path:
        return self.home / "starts"

    def starts(self) -> list[int]:
        """The process of each start since ``forget_starts``."""
        return [int(line) for line in self._starts.read_text().splitlines()]

    def forget_starts(self) -> None:
        self._starts.write_text("")


def nginx_app(home: Path, versions: int = 1) -> NginxApp:
    """A Git repository with so many commits."""
    repository = home / "repository"
    repository.mkdir()
    home.joinpath("temporary").mkdir()
    text = _NGINX.format(body=BODY, temporary=temporary_paths(home / "temporary"), user=user())
    repository.joinpath("nginx.conf.in").write_text(text)
    _git(repository, "init", "--quiet")
    hashes = []
    for number in range(versions):
        repository.joinpath("number").write_text(str(number))
        _git(repository, "add", ".")
        _git(repository, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", "nginx")
        hashes.append(_git(repository, "rev-parse", "--short=10", "HEAD"))
    app = NginxApp(home, hashes)
    app.forget_starts()
    return app


def _git(repository: Path, *words: str) -> str:
    done = subprocess.run([find("git"), *words], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()
