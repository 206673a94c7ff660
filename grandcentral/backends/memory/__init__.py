"""The verified fake: stacks that run in no engine but on a clock, for tests of everything above a backend.

It passes the contract suite of the real ones. What a service does is said by its command, so that a script is a StackSpec:

    ("exit", "3")         ends with status 3 once started
    ("once", "3")         runs; started again, it ends with status 3
    anything else, None   runs until it is stopped or ``kill``\\ ed

and a health check passes unless its test is ``("false",)``, or ``("once",)`` and the service was started again. A hook is run
by a very small shell (shell.py). Each step takes ``step_seconds``.
"""

from .backend import MemoryBackend
from .engine import IMAGE_SIZE, MemoryEngine, MemoryStack

__all__ = ["IMAGE_SIZE", "MemoryBackend", "MemoryEngine", "MemoryStack"]
