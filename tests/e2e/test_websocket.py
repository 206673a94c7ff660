"""WebSockets (RFC 6455) through the gateway, with a real library at both ends, to a stack that does not run yet."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

from tests.gateway import GatewayProcess, eventually, gateway

from .conftest import Repository, stop_everything
from .test_gateway import host

MiB = 1024 * 1024

# The library is where this test runs, and not necessarily where the command python3 leads.
SERVER = f"""
import os, sys
if sys.executable != {sys.executable!r}:
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv])
""" + '''
import asyncio, http, json
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

CLOSED = []  # code and reason of each connection, as this side saw it

async def talk(socket):
    try:
        async for message in socket:
            if message == "say goodbye":
                await socket.close(4001, "goodbye")
            elif message == "drop dead":
                socket.transport.abort()
            elif message == "in pieces":
                await socket.send(["one ", "two ", "three"])
            elif message == "ping me":
                await (await socket.ping(b"are you there?"))
                await socket.send("you are")
            else:
                await socket.send(message)
    except ConnectionClosed:
        pass
    finally:
        await socket.wait_closed()
        CLOSED.append((socket.close_code, socket.close_reason))

def ask(connection, request):
    if request.path == "/closed":
        return connection.respond(http.HTTPStatus.OK, json.dumps(CLOSED))

async def main():
    options = {"process_request": ask, "max_size": None, "subprotocols": ["chat", "superchat"], "ping_interval": None}
    async with serve(talk, "127.0.0.1", int(os.environ["PORT"]), **options) as server:
        await server.serve_forever()

asyncio.run(main())
'''

Talk = Callable[[ClientConnection], Awaitable[None]]


class Talks:
    """A version whose server echoes, and conversations with it."""

    def __init__(self, running: GatewayProcess, commit: str) -> None:
        self.running = running
        self.commit = commit

    @asynccontextmanager
    async def connected(self, **options: object) -> AsyncIterator[ClientConnection]:
        uri = f"ws://{host(self.commit)}:{self.running.port}/"
        there = {"host": "127.0.0.1", "subprotocols": ["superchat"]}
        patience = {"max_size": None, "ping_interval": None, "open_timeout": 60}
        async with connect(uri, **there, **patience, **options) as socket:  # type: ignore[arg-type]
            yield socket

    def talk(self, conversation: Talk, **options: object) -> None:
        async def whole() -> None:
            async with self.connected(**options) as socket:
                await asyncio.wait_for(conversation(socket), 60)

        asyncio.run(whole())

    def closed(self) -> list[list[object]]:
        """Code and reason of every connection that has ended, as the server saw it."""
        found: list[list[object]] = json.loads(self.running.get(host(self.commit), "/closed").body)
        return found


@pytest.fixture(scope="module", params=[0, 2], ids=["alone", "workers"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GatewayProcess, Repository]]:
    place = tmp_path_factory.mktemp("websocket")
    repository = Repository(place / "repository")
    configuration = (
        f'[apps.app]\nhost = "{{version}}.review.localhost"\nversion = "git-hash"\ngit = "{repository.path}"\n'
        'command = "exec python3 application.py"\nready = "tcp"\n'
    )
    with gateway(place, configuration, workers=request.param) as running:
        yield running, repository
        stop_everything(running)


@pytest.fixture
def talks(served: tuple[GatewayProcess, Repository], request: pytest.FixtureRequest) -> Talks:
    """With a stack of its own, which nobody has asked for yet."""
    running, repository = served
    return Talks(running, repository.commit(request.node.name, SERVER))


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_every_kind_and_size_come_back_as_they_were(talks: Talks, compression: str | None) -> None:
    texts = ["", "a", "ü" * 125, "x" * 126, "y" * 65535, "z" * 65536]

    async def conversation(socket: ClientConnection) -> None:
        assert socket.subprotocol == "superchat"
        for message in [*texts, *(text.encode() for text in texts)]:
            await socket.send(message)
            assert await socket.recv() == message
        for message in texts:  # many under way at once
            await socket.send(message)
        assert [await socket.recv() for _ in texts] == texts

    talks.talk(conversation, compression=compression)


def test_fragments_and_control_frames_between_them(talks: Talks) -> None:
    async def conversation(socket: ClientConnection) -> None:
        async def pieces() -> AsyncIterator[str]:
            yield "a"
            await (await socket.ping(b"between fragments"))
            yield "b"
            yield "c"

        await socket.send(pieces())
        assert await socket.recv() == "abc"
        await socket.send("in pieces")
        pieces_back = [piece async for piece in socket.recv_streaming()]
        assert pieces_back == ["one ", "two ", "three", ""]  # the library ends with an empty one

    talks.talk(conversation, compression=None)


def test_pings_of_both_sides_are_answered_by_the_other(talks: Talks) -> None:
    async def conversation(socket: ClientConnection) -> None:
        await (await socket.ping(b"\x00" * 125))
        await socket.send("ping me")
        assert await socket.recv() == "you are"

    talks.talk(conversation)


def test_a_message_of_16_mib_in_one_frame_each_way(talks: Talks) -> None:
    message = os.urandom(16 * MiB)

    async def conversation(socket: ClientConnection) -> None:
        await socket.send(message)
        assert await socket.recv() == message

    talks.talk(conversation, compression=None)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (4999, "ü" * 61)], ids=["1000", "1001", "4999"])
def test_the_client_closes_and_the_server_knows_why(talks: Talks, code: int, reason: str) -> None:
    async def conversation(socket: ClientConnection) -> None:
        await socket.send("hello")
        await socket.recv()
        await socket.close(code, reason)
        assert socket.close_code == code

    talks.talk(conversation)
    eventually(lambda: talks.closed() == [[code, reason]], 10)


def test_the_server_closes_and_the_client_knows_why(talks: Talks) -> None:
    async def conversation(socket: ClientConnection) -> None:
        await socket.send("say goodbye")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert not isinstance(closed.value, ConnectionClosedOK)
        assert (socket.close_code, socket.close_reason) == (4001, "goodbye")

    talks.talk(conversation)


def test_a_side_that_breaks_off_is_no_close(talks: Talks) -> None:
    async def conversation(socket: ClientConnection) -> None:
        await socket.send("drop dead")
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
        assert socket.close_code == 1006

    talks.talk(conversation)

    async def drops(socket: ClientConnection) -> None:
        await socket.send("hello")
        await socket.recv()
        socket.transport.abort()

    talks.talk(drops)
    eventually(lambda: [1006, ""] in talks.closed(), 10)
