"""docker-py's client, with streams that another thread can close at any time."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any

from docker import APIClient
from docker.auth import encode_header, get_config_header
from docker.utils import convert_filters

from .references import Reference

SILENCE = 300  # seconds without a word after which a pull that has begun has failed


class Stream:
    """What the engine says, dict by dict, as it comes. Breaking off raises; so does ``close``, from the thread that reads.

    Not docker's CancellableStream: that one closes the socket under the reader's feet, and takes a pull that broke off for
    one that has ended well.
    """

    def __init__(self, said: Iterator[dict[str, Any]], response: Any, connection: socket.socket) -> None:
        self._said, self._response, self._connection = said, response, connection

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self._said
        finally:
            self._response.close()

    def close(self) -> None:
        """From any thread, at any time."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended already


class Client(APIClient):
    """One for each thread: its connections must not be shared. ``version="auto"``, for no version suits every engine."""

    # Parts of docker-py that its own mixins use, and its stubs leave out.
    _get: Any
    _post: Any
    _url: Any
    _raise_for_status: Any
    _stream_helper: Any
    _get_raw_response_socket: Any

    def __init__(self, base_url: str, timeout: int) -> None:
        """:param timeout: seconds that one answer may take. Asks the engine for its version; raises if it is away."""
        super().__init__(base_url=base_url, version="auto", timeout=timeout)

    def happenings(self, filters: Mapping[str, list[str]], since: str | None) -> Stream:
        """The engine's events from now on, and those ``since`` (seconds.nanoseconds), without end."""
        params = {"filters": convert_filters(dict(filters)), "since": since}
        return self._streamed(self._get(self._url("/events"), params=params, stream=True), silence=None)

    def pulling(self, image: Reference, auth: Mapping[str, str] | None, platform: str | None) -> Stream:
        """The progress of a pull: dicts with "id", "status", "progressDetail" or "error". Closing it ends the pull.

        :param auth: None: what the Docker configuration file of our user says of that registry, as it is now.
        """
        self.reload_config()
        header = encode_header(dict(auth)) if auth else get_config_header(self, image.registry)
        params = {"fromImage": image.repository, "tag": image.digest or image.tag or "latest", "platform": platform}
        headers = {"X-Registry-Auth": header} if header else {}
        answer = self._post(self._url("/images/create"), params=params, headers=headers, stream=True)
        return self._streamed(answer, silence=SILENCE)

    def _streamed(self, response: Any, silence: float | None) -> Stream:
        """The head of the answer had to come within our time-out; what follows may keep us waiting for ``silence`` seconds."""
        self._raise_for_status(response)
        reader = self._get_raw_response_socket(response)
        connection: socket.socket = getattr(reader, "_sock", reader)
        connection.settimeout(silence)
        return Stream(self._stream_helper(response, decode=True), response, connection)

    def exec_begin(self, container: str, command: tuple[str, ...]) -> str:
        """Run a command in a container without waiting for it: the id to ask ``exec_inspect`` about."""
        made: dict[str, Any] = self.exec_create(container, list(command), stdout=False, stderr=False)
        self.exec_start(made["Id"], detach=True)
        return str(made["Id"])
