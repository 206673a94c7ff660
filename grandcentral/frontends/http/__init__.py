"""The HTTP front door."""

from .frontend import HttpFrontend
from .settings import HttpSettings

__all__ = ["HttpFrontend", "HttpSettings"]
