"""Twisted's own reverse proxy: ``python -m bench.programs.twisted_proxy PORT ORIGIN_PORT``."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import Site

port, origin = map(int, sys.argv[1:])
reactor.listenTCP(port, Site(ReverseProxyResource("127.0.0.1", origin, b"")), backlog=4096, interface="127.0.0.1")  # type: ignore[attr-defined]
reactor.run()  # type: ignore[attr-defined]
