"""The tests' side of the testbed: start a keeper, talk to it, and the handles that the fixtures give out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import docker
from attrs import define, field

from . import images
from .errors import Unavailable

ROOT = Path(__file__).parents[2]


@define
class Keeper:
    """A keeper process of ours; ends, with all that it started, when ``close`` is called or this process dies."""

    facts: dict[str, object]
    _process: subprocess.Popen[str]

    @classmethod
    def start(cls, private: bool = False, room: str = "") -> Keeper:
        """Blocks for the second or five that an engine takes to start. Raises Unavailable.

        :param private: start an engine even if there is one.
        :param room: the size of its disk, such as "300m", which is memory then; by default it uses the disk that there is.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.testbed.keeper", *["--private"] * private, *([f"--room={room}"] if room else [])],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        return cls(first_words(process), process)

    def order(self, words: str) -> None:
        """Blocks until it is done. Raises Unavailable with what went wrong."""
        print(words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip() if self._process.stdout else ""
        if answer != "ok":
            raise Unavailable(json.loads(answer) if answer else "the keeper of the testbed has died")

    def close(self) -> None:
        """Blocks until everything is taken down."""
        self._process.communicate()  # closes its input, which ends it


def first_words(process: subprocess.Popen[str]) -> dict[str, object]:
    """What a new keeper says of itself. Raises Unavailable if it could not start the testbed."""
    assert process.stdout is not None
    said = process.stdout.readline()
    facts = json.loads(said) if said else {"error": "the keeper of the testbed died at once"}
    if "error" in facts:
        process.communicate()
        raise Unavailable(facts["error"])
    return facts


@define
class Engine:
    """The Docker engine under test. All calls block."""

    url: str  # for DOCKER_HOST
    ours: bool  # started for these tests: it may be stopped
    _keeper: Keeper
    cgroup: str = ""  # the name of the control group that all its containers are in; "" if it is not ours
    _clients: list[docker.APIClient] = field(factory=list, init=False)

    def client(self) -> docker.APIClient:
        """A client of its own for each caller (they are not to be shared between threads); closed at the end of the tests."""
        client = docker.APIClient(self.url, version="auto", timeout=120)
        self._clients.append(client)
        return client

    def memory_cgroup(self) -> Path:
        """The directory of that control group: of its memory controller, where each has a hierarchy of its own."""
        top = next(path for path in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if path.is_dir())
        group = top / self.cgroup
        group.mkdir(exist_ok=True)  # as the engine does for its first container
        return group

    def stop(self) -> None:
        """End the engine in good order: it stops its containers (they get 3 s). Only where it is ours."""
        self._keeper.order("engine stop")

    def start(self) -> None:
        """Start it again after ``stop``, at the same address, with the images and containers it had."""
        self._keeper.order("engine start")

    def build_image(self, files: Mapping[str, bytes], tag: str, labels: Mapping[str, str] | None = None) -> str:
        """Build from files in memory, ``Dockerfile`` among them; the id of the image. Files that begin with #! can be run."""
        return images.build(self.client(), files, tag, labels or {})

    def close(self) -> None:
        for client in self._clients:
            client.close()


@define
class Registry:
    """An image registry on the loopback interface. All calls block."""

    url: str  # "127.0.0.1:PORT", the first part of image references
    _engine: Engine
    _keeper: Keeper

    def stop(self) -> None:
        self._keeper.order("registry stop")

    def start(self) -> None:
        """Start it again, at the same address, with what it held."""
        self._keeper.order("registry start")

    def reference(self, tag: str) -> str:
        """"app:db139cf" as an image reference into this registry."""
        return f"{self.url}/{tag}"

    def push(self, tag: str, files: Mapping[str, bytes], labels: Mapping[str, str] | None = None, keep: bool = False) -> str:
        """Build an image from files in memory and push it as ``tag`` ("app:db139cf"); its digest, "sha256:…".

        The engine forgets the image afterwards, so that a start has to pull it, unless it is to be kept there.
        """
        self._engine.build_image(files, self.reference(tag), labels)
        client = self._engine.client()
        digest = images.push(client, self.reference(tag))
        if not keep:
            client.remove_image(self.reference(tag), noprune=True)
        return digest

    def forget_tags(self) -> None:
        """Remove this registry's tags from an engine that outlives it. The layers stay there as build cache."""
        client = self._engine.client()
        for image in client.images():
            for tag in image.get("RepoTags") or ():
                if tag.startswith(f"{self.url}/"):
                    client.remove_image(tag, force=True, noprune=True)
