"""The application under test: says who it is, takes bodies, streams slowly, echoes WebSockets, or misbehaves on request."""

import asyncio
import hashlib
import os
import sys
from pathlib import Path

MESSAGE = Path("message").read_text()
UPLOADS = []


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split()
            fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
            await answer(method, path, fields, reader, writer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def answer(method, path, fields, reader, writer):
    if "upgrade" in fields:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    elif method == "POST":
        digest = hashlib.sha256()
        if "content-length" in fields:
            await take(reader, digest, int(fields["content-length"]))
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await take(reader, digest, size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        UPLOADS.append(digest.hexdigest())
        reply(writer, "\n".join(UPLOADS))
    elif path == "/slow":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            writer.write(b"4\r\ntick\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")
    elif path == "/exit":
        os._exit(3)
    else:
        reply(writer, f"{MESSAGE}\nhost={fields['host']}\npid={os.getpid()}\nfor={fields.get('x-forwarded-for')}\n")


async def take(reader, digest, size):
    while size:
        data = await reader.read(min(size, 65536))
        digest.update(data)
        size -= len(data)


def reply(writer, text):
    body = text.encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def main():
    if MESSAGE == "broken":
        print("the application cannot find its shoes", flush=True)
        sys.exit(1)
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main())
