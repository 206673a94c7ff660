"""The testbed's one error."""

from __future__ import annotations


class Unavailable(Exception):
    """A part of the testbed can't be had here. ``str()`` says which, why, and what to do about it."""
