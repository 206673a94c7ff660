"""Who may import whom: the rings of docs/architecture.md, enforced by reading the imports of every module.

A new package fails here until it has been given its place in RINGS; that is the moment to think about where it belongs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "grandcentral"

# ring 0: decisions, byte parsers. 1: the vocabulary. 2: the table and the pump. 3: the parts. 4: what wires them.
RINGS: dict[str, int] = {
    "core": 0,
    "wire": 0,
    "config": 1,
    "errors": 1,
    "events": 1,
    "incidents": 1,
    "interfaces": 1,
    "problems": 1,
    "relay": 2,
    "stacks": 2,
    "admin": 3,
    "backends": 3,
    "frontends": 3,
    "machine": 3,
    "manifests": 3,
    "observe": 3,
    "probes": 3,
    "versions": 3,
    "workers": 3,
    "assembly": 4,
    "cli": 4,
    "doors": 4,
    "frontdoor": 4,
    "notify": 4,
    "options": 4,
    "provision_verbs": 4,
    "reactors": 4,
    "remote": 4,
    "service": 4,
    "verbs": 4,
}
ANYBODY_MAY_IMPORT = {"grandcentral"}  # the package itself: __version__

# What a ring may take from outside, besides the standard library. A name covers everything below it.
OUTSIDE: dict[int, set[str]] = {
    0: {"attr", "attrs"},
    1: {"attr", "attrs", "zope.interface"},
    2: {"attr", "attrs", "zope.interface", "twisted"},
    3: {"attr", "attrs", "zope.interface", "twisted", "OpenSSL", "service_identity"},
    4: {"attr", "attrs", "zope.interface", "twisted"},
}
# Single modules that may have more than their ring: what, and why it is right.
BESIDES: dict[str, set[str]] = {
    "backends": {"docker", "requests", "urllib3"},  # the engine's SDK, and the errors that come through it
    "config": {"yaml"},  # Compose files
    "incidents": {"twisted.logger", "twisted.python.failure"},  # they go to the log
    "interfaces": {"twisted.internet.defer"},  # the type of an answer that comes later
    "reactors": {"uvloop"},  # the extra "fast"
}
# Parts of the standard library that decide something by themselves, or reach outside: not for ring 0 ...
IMPURE = {"asyncio", "logging", "os", "random", "secrets", "select", "signal", "socket", "sqlite3", "ssl", "subprocess"}
IMPURE |= {"tempfile", "threading", "time", "urllib.request", "uuid"}
# ... and nothing that opens a connection by itself for ring 2.
OPENERS = {"twisted.internet.reactor", "twisted.web"}


@frozen
class Import:
    """One imported module: ``name`` is absolute; ``from a import b`` counts as both a and a.b."""

    name: str
    line: int
    top_level: bool  # outside every function: it happens when the module is imported


def imports(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of a module's source, wherever it stands; relative ones made absolute."""

    def visit(node: ast.AST, top_level: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, top_level) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                parents = package[: len(package) - (node.level - 1)]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            yield Import(base, node.lineno, top_level)
            yield from (Import(f"{base}.{alias.name}", node.lineno, top_level) for alias in node.names)
        inside = top_level and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(ast.parse(source), True)


def covered(name: str, allowed: set[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)


def leads_to(name: str, allowed: set[str]) -> bool:
    """``from twisted.internet import defer`` names twisted.internet too, which by itself is harmless."""
    return any(module.startswith(name + ".") for module in allowed)


def part_of(module: str) -> str:
    """ "grandcentral.stacks.table" -> "stacks"; "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def offences(module: str, source: str, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, in words."""
    part = part_of(module)
    if not part:
        return [f"{module}:{found.line}: the package itself imports nothing" for found in imports(source, module, is_package)]
    if part not in RINGS:
        return [f"{module} has no ring yet: give {part!r} its place in RINGS"]
    ring = 4 if module.endswith(".__main__") else RINGS[part]  # a program puts parts together, as service.py does
    allowed = OUTSIDE[ring] | BESIDES.get(part, set())
    found_wrong: list[str] = []

    def wrong(found: Import, why: str) -> None:
        found_wrong.append(f"{module}:{found.line} imports {found.name}: {why}")

    for found in imports(source, module, is_package):
        top = found.name.split(".")[0]
        if top == "grandcentral":
            other = part_of(found.name)
            if found.name in ANYBODY_MAY_IMPORT or other == part or other.startswith("__"):
                continue
            if other not in RINGS:
                wrong(found, f"{other!r} has no ring")
            elif RINGS[other] > ring:
                wrong(found, f"ring {ring} does not know ring {RINGS[other]}")
            elif RINGS[other] == ring == 3:
                wrong(found, "parts of ring 3 do not know each other; service.py introduces them")
        elif top in sys.stdlib_module_names:
            if ring == 0 and covered(found.name, IMPURE):
                wrong(found, "ring 0 is given the time, and everything else, as arguments")
        elif not covered(found.name, allowed) and not leads_to(found.name, allowed):
            wrong(found, f"not for ring {ring}")
        if found.name == "twisted.internet.reactor" and found.top_level:
            wrong(found, "the reactor is an argument; imported here, it is installed by whoever imports this module")
        elif ring == 2 and covered(found.name, OPENERS):
            wrong(found, "ring 2 opens nothing itself")
    return found_wrong


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_go_downward_only(module: str, path: Path) -> None:
    assert offences(module, path.read_text(), path.name == "__init__.py") == []


def test_there_is_something_to_check() -> None:
    assert {part_of(module) for module, _ in modules()} >= {"core", "interfaces", "stacks", "admin", "cli"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("grandcentral.core.x", "from twisted.internet import defer"),
        ("grandcentral.core.x", "import time"),
        ("grandcentral.core.x", "from os import path"),
        ("grandcentral.core.x", "import os.path"),
        ("grandcentral.core.x", "from ..errors import Refusal"),
        ("grandcentral.core.x", "from .. import interfaces"),
        ("grandcentral.core.x", "def f():\n    import random"),
        ("grandcentral.wire.x", "import grandcentral.stacks.table"),
        ("grandcentral.interfaces", "from twisted.internet import reactor"),
        ("grandcentral.interfaces", "from twisted.web import server"),
        ("grandcentral.errors", "import yaml"),
        ("grandcentral.stacks.x", "from ..backends.memory import MemoryBackend"),
        ("grandcentral.stacks.x", "def f():\n    from twisted.internet import reactor"),
        ("grandcentral.backends.x", "from ..versions import registry"),
        ("grandcentral.backends.docker.x", "from ...admin import site"),
        ("grandcentral.admin.x", "from ..service import makeService"),
        ("grandcentral.admin.x", "from twisted.internet import reactor"),
        ("grandcentral.cli", "from twisted.internet import reactor"),
        ("grandcentral.brandnew", "import json"),
        ("grandcentral.admin.x", "from .. import brandnew"),
        ("grandcentral", "import attrs"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert len(offences(module, source)) >= 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("grandcentral.core.x", "import re\nfrom attrs import frozen\nfrom .keys import Key"),
        ("grandcentral.wire.x", "from ..core import keys"),
        ("grandcentral.interfaces", "from twisted.internet.defer import Deferred\nfrom zope.interface import Interface"),
        ("grandcentral.config.x", "import yaml\nfrom ..core.problems import Invalid"),
        ("grandcentral.stacks.x", "from twisted.internet import defer\nfrom ..interfaces import IBackend"),
        ("grandcentral.admin.x", "from .. import __version__\nfrom twisted.web import server\nfrom .y import z"),
        ("grandcentral.backends.docker.x", "import docker\nfrom ..memory import MemoryBackend"),
        ("grandcentral.cli", "def f():\n    from twisted.internet import reactor"),
        ("grandcentral.service", "from .admin import AdminSite\nfrom .backends import docker"),
    ],
)
def test_what_is_allowed_is_allowed(module: str, source: str) -> None:
    assert offences(module, source) == []


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert [found.name for found in imports("from .site import X", "grandcentral.admin", is_package=True)] == [
        "grandcentral.admin.site",
        "grandcentral.admin.site.X",
    ]
