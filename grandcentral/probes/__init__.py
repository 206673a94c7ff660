"""Probes: asking a stack over a real socket whether it is ready."""

from .prober import SocketProber as SocketProber
