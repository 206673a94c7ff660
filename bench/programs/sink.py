"""An origin that takes uploads and throws them away: ``python -m bench.programs.sink PORT``.

One thread for each connection, blocking reads: next to nothing for each byte. With "slow" in the target it takes 1 MiB every
20 ms.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import time

STEP = 1 << 20


def serve(connection: socket.socket) -> None:
    buffer = bytearray(STEP)
    with connection:
        while True:
            head = bytearray()
            while (end := head.find(b"\r\n\r\n")) < 0:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head[:end])
            left = (int(length[1]) if length else 0) - (len(head) - end - 4)
            pause = 0.02 if b"slow" in head.split(b"\r\n", 1)[0] else 0
            took = 0
            while left > 0:
                size = connection.recv_into(buffer, min(left, STEP))
                if not size:
                    return
                left -= size
                took += size
                if pause and took >= STEP:
                    took = 0
                    time.sleep(pause)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


def main() -> None:
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
