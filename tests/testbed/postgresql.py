"""An image with this machine's PostgreSQL server, for tests: there is nowhere to pull the official one from.

It behaves as that one does where it matters to a gateway: at its first start it makes a cluster in its volume, with a superuser
called POSTGRES_USER, who has POSTGRES_PASSWORD and a database of the same name, and until that is done it listens nowhere.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

from .packages import find

UID = 70  # of a user that only the image has

START = """#!/bin/sh
set -eu
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb -D "$data" -U "$POSTGRES_USER" --pwfile=/tmp/password -A scram-sha-256 --locale=C -E UTF8 -N
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_USER\\"" | postgres --single -D "$data" postgres
fi
exec postgres -D "$data" -c listen_addresses=* -c unix_socket_directories= -c shared_buffers=16MB -c fsync=off
"""


def files(busybox: str) -> dict[str, bytes]:
    """Build context of an image of about 100 MB.

    :param busybox: the image that it is made from.
    """
    programs = Path(find("postgres")).resolve().parent  # /usr/lib/postgresql/VERSION/bin
    version = programs.parent.name
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        _add(tar, programs / "postgres", programs / "initdb")
        _add(tar, *(file for file in (programs.parent / "lib").glob("*.so") if "llvm" not in file.name))
        _add(tar, Path("/usr/share/postgresql", version))
        _add(tar, *_libraries(programs / "postgres", programs / "initdb"))
        data = tarfile.TarInfo("var/lib/postgresql/data")
        data.type, data.mode, data.uid, data.gid = tarfile.DIRTYPE, 0o700, UID, UID
        tar.addfile(data)
    dockerfile = (
        f"FROM {busybox}\nADD root.tar /\nADD start passwd /etc/\n"
        f"ENV PATH={programs}:/sbin:/usr/sbin:/bin:/usr/bin\nUSER {UID}\nSTOPSIGNAL SIGINT\n"
        'VOLUME /var/lib/postgresql/data\nCMD ["/etc/start"]\n'
    )
    passwd = f"root:x:0:0:root:/:/bin/sh\npostgres:x:{UID}:{UID}::/var/lib/postgresql:/bin/sh\n"
    return {"Dockerfile": dockerfile.encode(), "root.tar": root.getvalue(), "start": START.encode(), "passwd": passwd.encode()}


def _libraries(*programs: Path) -> set[Path]:
    """What the dynamic linker loads for them, and itself, by the names that it looks for."""
    said = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    return {Path(name) for name in re.findall(r"(/\S+) \(0x", said)}


def _add(tar: tarfile.TarFile, *paths: Path) -> None:
    """What there is at the end of symbolic links, by the name that leads there."""
    for path in paths:
        if path.is_dir():
            _add(tar, *path.iterdir())
            continue
        entry = tar.gettarinfo(str(path.resolve()), str(path).lstrip("/"))
        entry.uid = entry.gid = 0
        with path.open("rb") as file:
            tar.addfile(entry, file)
