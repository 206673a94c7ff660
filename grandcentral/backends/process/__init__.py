"""Stacks as child processes in a work tree of a Git repository: the default that needs no Docker."""

from .backend import ProcessBackend

__all__ = ["ProcessBackend"]
