"""Front doors of apps' own ports: databases, where a user name says which stack is meant, and anything else over TCP."""

from .frontend import TcpFrontend
from .settings import TcpSettings

__all__ = ["TcpFrontend", "TcpSettings"]
