"""What may take minutes, and can be given up from another thread: pulls, and commands of others in their containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from docker.errors import APIError
from requests.exceptions import ReadTimeout

from ...core.references import Reference
from .client import Client, Said, Stream
from .translate import pull_refused, words
from .verbs import GONE, LONGEST_LINE, probe_result, refusal

# -- pulls --------------------------------------------------------------------------------------------------------------


class Pull:
    """One pull, which another thread may end."""

    def __init__(self, image: Reference, auth: Mapping[str, str] | None, platform: str | None) -> None:
        self._image, self._auth, self._platform = image, auth, platform
        self._aborted = Event()
        self._stream: Stream[Said] | None = None

    def abort(self) -> None:
        self._aborted.set()
        if self._stream is not None:
            self._stream.close()

    def run(self, client: Client, progress: Callable[[str], None]) -> None:
        """:param progress: called in this thread with "12 of 40 MB". Raises ImageUnavailable in the registry's words."""
        try:
            self._run(client, progress)
        except (ReadTimeout, TimeoutError) as error:  # the engine answers others: it is the registry that says nothing
            raise pull_refused(str(self._image), "its registry has sent nothing for too long") from error

    def _run(self, client: Client, progress: Callable[[str], None]) -> None:
        try:
            self._stream = client.pulling(self._image, self._auth, self._platform)
        except APIError as error:
            if error.status_code in (502, 503, 504):
                raise
            raise pull_refused(str(self._image), words(error)) from error
        if self._aborted.is_set():
            self._stream.close()
        layers: dict[str, tuple[int, int]] = {}
        said = ""
        for line in self._stream:
            if "error" in line:
                raise pull_refused(str(self._image), line["error"])
            now = summary(layers, line)
            if now != said:
                said = now
                progress(said)


def summary(layers: dict[str, tuple[int, int]], line: Mapping[str, Any]) -> str:
    """Enter one line of progress into ``layers`` (id -> bytes here, bytes in all); what they come to, "12 of 40 MB"."""
    detail = line.get("progressDetail") or {}
    if line.get("status") == "Downloading" and detail.get("total"):
        layers[line["id"]] = detail["current"], detail["total"]
    elif line.get("status") == "Download complete" and line.get("id") in layers:
        layers[line["id"]] = (layers[line["id"]][1],) * 2
    here, total = (sum(sizes) / 1e6 for sizes in zip(*layers.values(), strict=True)) if layers else (0, 0)
    return f"{here:.0f} of {total:.0f} MB" if total else ""


# -- commands -----------------------------------------------------------------------------------------------------------

LONGEST_OUTPUT = 64 << 10  # bytes of what a command prints that are kept: the last

# Says which process it is, as the container counts them, and becomes the shell that runs the line. It leads a session and a
# process group of its own (runc), which can be killed as a whole. One stream for all it prints: two come in any order.
SHELL = ("/bin/sh", "-c", 'echo $$; exec /bin/sh -c "$0" 2>&1')


class Command:
    """A command line in a container, whose end another thread may wait for no longer."""

    def __init__(self, container: str, line: str) -> None:
        self._container, self._line = container, line
        self._aborted = Event()
        self._stream: Stream[bytes] | None = None
        self._printed = b""
        self.process = 0  # its number in the container; 0: not known

    def abort(self) -> None:
        self._aborted.set()
        if self._stream is not None:
            self._stream.close()

    def run(self, client: Client) -> int | None:
        """Its exit status; None if it went away with its container."""
        made = client.exec_create(self._container, [*SHELL, self._line])["Id"]
        self._stream = client.executing(made)
        if self._aborted.is_set():
            self._stream.close()
        for piece in self._stream:
            self._print(piece)
        while (status := probe_result(client, made)) is None and not self._aborted.wait(0.02):  # it may close its streams early
            pass
        return None if status == GONE else status

    def _print(self, piece: bytes) -> None:
        self._printed += piece
        number, newline, rest = self._printed.partition(b"\n")
        if not self.process and newline and number.isdigit():
            self.process, self._printed = int(number), rest
        self._printed = self._printed[-LONGEST_OUTPUT:]

    def tail(self, lines: int) -> tuple[str, ...]:
        """The last lines of what it has printed by now."""
        printed = self._printed.decode(errors="replace").splitlines()
        return tuple(line[:LONGEST_LINE] for line in printed[-lines:])


def kill_group(client: Client, container: str, process: int) -> None:
    """Kill a command in a container and what it has started, if they are still there."""
    refusal(lambda: client.exec_begin(container, ("/bin/sh", "-c", f"kill -s KILL -- -{process}")))
