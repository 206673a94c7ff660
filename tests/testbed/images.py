"""Images for tests, made of bytes in memory: nothing is pulled from anywhere."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import docker

from .errors import Unavailable
from .packages import find


def build(client: docker.APIClient, files: Mapping[str, bytes], tag: str, labels: Mapping[str, str]) -> str:
    """Build from ``files`` (path to content, ``Dockerfile`` among them); the id of the image."""
    said = client.build(
        fileobj=io.BytesIO(_tar(files)), custom_context=True, tag=tag, labels=dict(labels), rm=True, forcerm=True, decode=True
    )
    _raise_errors(said, f"building {tag}")
    return client.inspect_image(tag)["Id"]


def push(client: docker.APIClient, reference: str) -> str:
    """Push a tagged image; its digest."""
    said = _raise_errors(client.push(reference, stream=True, decode=True), f"pushing {reference}")
    return next(line["aux"]["Digest"] for line in said if "Digest" in line.get("aux", {}))


def busybox_files() -> dict[str, bytes]:
    """Build context of a 2 MB image with busybox and all its applets, from the statically linked one of this machine.

    Its httpd, nc, ping and nslookup do what they should; wget crashes, for want of a C library that can be loaded.
    """
    program = Path(find("busybox"))
    applets = subprocess.run([program, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        _add(tar, "bin/busybox", program.read_bytes(), 0o755)
        for applet in applets:
            if applet != "bin/busybox":
                link = tarfile.TarInfo(applet)
                link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
                tar.addfile(link)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(temporary)
    dockerfile = b'FROM scratch\nADD root.tar /\nENV PATH=/sbin:/usr/sbin:/bin:/usr/bin\nCMD ["sh"]\n'
    return {"Dockerfile": dockerfile, "root.tar": root.getvalue()}


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            _add(tar, name, content, 0o755 if content.startswith(b"#!") else 0o644)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _raise_errors(said: Iterable[Any], doing: str) -> list[dict[str, Any]]:
    """The engine reports failures inside a stream that began with 200. The lines it said, if none is an error."""
    lines = list(said)
    for line in lines:
        if "error" in line:
            output = "".join(line.get("stream", "") for line in lines[-20:])
            raise Unavailable(f"{doing} failed: {line['error']}\n{output}")
    return lines
