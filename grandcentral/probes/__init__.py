"""Readiness probes over real sockets."""
