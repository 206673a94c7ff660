"""The ways in which other gateways fail, as their users report them, and which tests say that this one does not.

A test is marked ``@pytest.mark.failure(number)``. docs/failures.md is made from this list and those marks.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

CASES = {
    1: "Hundreds of requests at once for something that does not run: exactly one start, and all get the application's answer.",
    2: "The client who caused a start hangs up: the start goes on, and the client's place is free at once.",
    3: "A request comes while the stack stops: it waits for that, and the next start serves it; never the dying container.",
    4: "The registry says 404: so do we. It is down or refuses us: 502 or 503, never 404, and what is known still starts.",
    5: "A pull, an application or a loader fails: all who wait are told why within a second, and there is no crash loop.",
    6: "A loader that has ended well is not run again because somebody asks whether the stack is ready.",
    7: "An application that answers 401, 404 or 302 is ready, one that answers 503 is not; a port that swallows packets is "
    "asked again.",
    8: "Checks of one application never overlap, and a broken one is no longer asked.",
    9: "A long download, a silent stream and a held request keep a stack awake; but a forgotten stream not for ever.",
    10: "Answers without a body count as use like any other.",
    11: "A tab left open asks in the background: a stack that sleeps is not woken by it, and it is told so as a program is.",
    12: "A request with a body to a stack that does not run: delivered whole and once; too large, and it is refused.",
    13: "A start takes longer than a client's patience: a page that tells a person, a status and Retry-After for a program.",
    14: "A container comes back at another address: it is reached there, and never somebody else who has its old one.",
    15: "Every place is taken by what is in use or pinned: 503, nothing is stopped, and there are never more than the cap.",
    16: "The gateway is killed in the middle of a start: the next one adopts or removes all that there is.",
    17: "One image takes ten minutes to pull: nobody else waits for that.",
    18: "A PostgreSQL client begins in pieces, asks for encryption, cancels, comes with TLS at once, names nobody or a host: "
    "it is understood, and only a name that is on the list leads anywhere.",
    19: "A Redis client says who it is with AUTH or HELLO, among other commands, typed or packed, in pieces: it is understood, "
    "and what it asks before is answered as Redis would.",
    20: "A reader is slow: memory stays flat.",
    21: "The engine is restarted: the gateway goes on when it is back, without spinning meanwhile.",
    22: "Hosts in every spelling lead to the one stack that they mean, and nonsense leads nowhere.",
    23: "A WebSocket to a stack that does not run is held, then upgraded, and time-outs of HTTP do not cut it later.",
    24: "The clock jumps: no stack is stopped for that.",
    25: "An application that checks the Host field sees the public host, and is probed with one that it accepts.",
}
"""By number. What is said there of databases is shown of PostgreSQL and Redis. A client that waits before it has said its
password cannot be sent a notice (libpq takes that for a broken server), so that 13 is for databases an error that says why."""


def document() -> str:
    """docs/failures.md."""
    tests = marked()
    head = "Made from `tests/failures.py`: what users of other gateways report, and the tests that say it does not happen here."
    lines = ["# How other gateways fail", "", head, ""]
    for number, what in CASES.items():
        lines += [f"{number}. {what}", *(f"   * `{test}`" for test in tests.get(number, ()))]
    return "\n".join(lines) + "\n"


def marked() -> dict[int, list[str]]:
    """The tests of each case, as "path::name"."""
    found: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for number in (mark(decorator) for decorator in node.decorator_list):
                    if number is not None:
                        found.setdefault(number, []).append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def mark(decorator: ast.expr) -> int | None:
    match decorator:
        case ast.Call(func=ast.Attribute(attr="failure"), args=[ast.Constant(value=int(number))]):
            return number
    return None
