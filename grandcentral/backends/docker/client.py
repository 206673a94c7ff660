"""docker-py's client, with streams that another thread can close at any time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from docker import APIClient
from docker.auth import encode_header, get_config_header
from docker.utils import convert_filters
from requests import Request

from ...core.references import Reference
from .lines import Lines

SILENCE = 300  # seconds without a word after which a pull that has begun has failed


T = TypeVar("T")
Said = dict[str, Any]


class Stream(Generic[T]):
    """What the engine says, piece by piece, as it comes. Breaking off raises; so does ``close``, from the thread that reads.

    Not docker's CancellableStream: that one closes the socket under the reader's feet, and takes a pull that broke off for
    one that has ended well.
    """

    def __init__(self, said: Iterator[T], response: Any, connection: socket.socket) -> None:
        self._said, self._response, self._connection = said, response, connection

    def __iter__(self) -> Iterator[T]:
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
    """One for each thread: its connections must not be shared."""

    # Parts of docker-py that its own mixins use, and its stubs leave out.
    _get: Any
    _post: Any
    _post_json: Any
    _url: Any
    _raise_for_status: Any
    _stream_helper: Any
    _get_raw_response_socket: Any

    def __init__(self, base_url: str, timeout: int, lines: Lines, version: str = "auto") -> None:
        """
        :param timeout: seconds that one answer may take.
        :param lines: where what it connects is entered.
        :param version: of the API; none suits every engine. Otherwise the engine is asked, which takes it 10 ms; raises if it
            is away.
        """
        self._lines = lines
        super().__init__(base_url=base_url, version=version, timeout=timeout)
        self.trust_env = not base_url.startswith("unix:")  # which proxy leads there is asked of every call otherwise

    def request(self, method: Any, url: Any, *more: Any, **given: Any) -> Any:
        """requests.Session.request, on the short way where there is no proxy: an engine has no cookies, no redirects and no
        passwords, and to look for them takes longer than it takes to answer most calls."""
        if self.trust_env or more:
            return super().request(method, url, *more, **given)
        timeout, stream = given.pop("timeout", None), given.pop("stream", False)
        given.pop("allow_redirects", None)
        asked = Request(method, url, headers={**self.headers, **(given.pop("headers", None) or {})}, **given).prepare()
        answer = self.get_adapter(url).send(asked, stream=stream, timeout=timeout)
        if not stream:
            answer.content  # noqa: B018  # read it all, so that the connection can be used again
        return answer

    def mount(self, prefix: Any, adapter: Any) -> None:
        self._lines.watch(adapter)
        super().mount(prefix, adapter)

    def happenings(self, filters: Mapping[str, list[str]], since: str | None) -> Stream[Said]:
        """The engine's events from now on, and those ``since`` (seconds.nanoseconds), without end."""
        params = {"filters": convert_filters(dict(filters)), "since": since}
        return self._streamed(self._get(self._url("/events"), params=params, stream=True), self._dicts, silence=None)

    def pulling(self, image: Reference, auth: Mapping[str, str] | None, platform: str | None) -> Stream[Said]:
        """The progress of a pull: dicts with "id", "status", "progressDetail" or "error". Closing it ends the pull.

        :param auth: None: what the Docker configuration file of our user says of that registry, as it is now.
        """
        self.reload_config()
        header = encode_header(dict(auth)) if auth else get_config_header(self, image.domain)
        params = {"fromImage": image.familiar, "tag": image.digest or image.tag, "platform": platform}
        headers = {"X-Registry-Auth": header} if header else {}
        answer = self._post(self._url("/images/create"), params=params, headers=headers, stream=True)
        return self._streamed(answer, self._dicts, silence=SILENCE)

    def executing(self, command: str) -> Stream[bytes]:
        """Start what ``exec_create`` has made: what it prints on both of its streams. Closing it does not end the command."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        answer = self._post_json(self._url("/exec/{0}/start", command), headers=upgrade, data={"Tty": False}, stream=True)
        return self._streamed(answer, frames, silence=None)

    def _streamed(self, response: Any, read: Callable[[Any], Iterator[T]], silence: float | None) -> Stream[T]:
        """The head of the answer had to come within our time-out; what follows may keep us waiting for ``silence`` seconds."""
        self._raise_for_status(response)
        reader = self._get_raw_response_socket(response)
        connection: socket.socket = getattr(reader, "_sock", reader)
        connection.settimeout(silence)
        return Stream(read(response), response, connection)

    def _dicts(self, response: Any) -> Iterator[Said]:
        said: Iterator[Said] = self._stream_helper(response, decode=True)
        return said

    def exec_begin(self, container: str, command: tuple[str, ...]) -> str:
        """Run a command in a container without waiting for it: the id to ask ``exec_inspect`` about."""
        made: dict[str, Any] = self.exec_create(container, list(command), stdout=False, stderr=False)
        self.exec_start(made["Id"], detach=True)
        return str(made["Id"])


def frames(response: Any) -> Iterator[bytes]:
    """What is in the frames of an answer (Engine API, ``ContainerAttach``, "Stream format"): 8 bytes of head, the last four
    of them the length, and that many bytes.

    From the buffered reader: docker-py reads the socket below it, and misses what has come together with the answer's head.
    """
    reader = response.raw._fp.fp
    while len(head := reader.read(8)) == 8:
        yield reader.read(int.from_bytes(head[4:], "big"))
