"""An origin of WebSockets that echo short text messages: ``python -m bench.programs.websocket_echo PORT``."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


class Echo(asyncio.Protocol):
    """Frames of less than 126 bytes, masked, one at a time."""

    def __init__(self) -> None:
        self.buffer = b""
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.buffer += data
        if not self.open:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
            if key is None:
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                self.buffer = rest
                return
            accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self.open, self.buffer = True, rest
        while len(self.buffer) >= 6 and len(self.buffer) >= (size := 6 + (self.buffer[1] & 127)):
            mask, masked = self.buffer[2:6], self.buffer[6:size]
            text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked))
            self.transport.write(bytes((0x81, len(text))) + text)
            self.buffer = self.buffer[size:]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
