"""Twisted's own reverse proxy: ``python -m bench.programs.twisted_proxy PORT ORIGIN_PORT``."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as installed
from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import Site

reactor: Any = installed
port, origin = map(int, sys.argv[1:])
site = Site(ReverseProxyResource("127.0.0.1", origin, b""))  # type: ignore[no-untyped-call]
reactor.listenTCP(port, site, backlog=4096, interface="127.0.0.1")
reactor.run()
