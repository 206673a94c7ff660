"""docker-py's client, with streams that another thread can close at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from docker import APIClient
from docker.auth import encode_header, get_config_header
from docker.types import CancellableStream
from docker.utils import convert_filters

from .references import Reference

Stream: TypeAlias = "CancellableStream[dict[str, Any]]"

SILENCE = 300  # seconds without a word after which a pull has failed


class Client(APIClient):
    """One for each thread: its connections must not be shared. ``version="auto"``, for no version suits every engine."""

    # Parts of docker-py that its own mixins use, and its stubs leave out.
    _get: Any
    _post: Any
    _url: Any
    _raise_for_status: Any
    _stream_helper: Any
    _disable_socket_timeout: Any
    _get_raw_response_socket: Any

    def __init__(self, base_url: str, timeout: int) -> None:
        """:param timeout: seconds that one answer may take. Asks the engine for its version; raises if it is away."""
        super().__init__(base_url=base_url, version="auto", timeout=timeout)

    def happenings(self, filters: Mapping[str, list[str]], since: str | None) -> Stream:
        """The engine's events from now on, and those ``since`` (seconds.nanoseconds): dicts, without end.

        Not ``events()``, which waits for ever for an engine that accepts connections and does not answer.
        """
        params = {"filters": convert_filters(dict(filters)), "since": since}
        response = self._get(self._url("/events"), params=params, stream=True)
        self._raise_for_status(response)
        self._disable_socket_timeout(self._get_raw_response_socket(response))
        return CancellableStream(self._stream_helper(response, decode=True), response)

    def pulling(self, image: Reference, auth: Mapping[str, str] | None, platform: str | None) -> Stream:
        """The progress of a pull: dicts with "id", "status", "progressDetail" or "error". Closing it ends the pull.

        :param auth: None: what the Docker configuration file of our user says of that registry, as it is now.
        """
        self.reload_config()
        header = encode_header(dict(auth)) if auth else get_config_header(self, image.registry)
        params = {"fromImage": image.repository, "tag": image.digest or image.tag or "latest", "platform": platform}
        response = self._post(
            self._url("/images/create"),
            params=params,
            headers={"X-Registry-Auth": header} if header else {},
            stream=True,
            timeout=SILENCE,
        )
        self._raise_for_status(response)
        return CancellableStream(self._stream_helper(response, decode=True), response)

    def exec_begin(self, container: str, command: tuple[str, ...]) -> str:
        """Run a command in a container without waiting for it: the id to ask ``exec_inspect`` about."""
        made: dict[str, Any] = self.exec_create(container, list(command), stdout=False, stderr=False)
        self.exec_start(made["Id"], detach=True)
        return str(made["Id"])
