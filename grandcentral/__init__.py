"""Grand Central: every version has a URL; the first request boots it; idle puts it to sleep.

The map of the packages, and who may import whom, is in docs/architecture.md; tests/test_rings.py holds the code to it.
"""

__version__ = "0.1.0"
