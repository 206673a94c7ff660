"""Decisions: pure functions and values. No clock, no I/O, no Twisted."""
