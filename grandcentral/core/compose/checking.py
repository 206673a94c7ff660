"""The walk over a document that holds every key against the table of keys."""

from __future__ import annotations

from .cursor import Cursor, did_you_mean
from .document import ScalarNode, SequenceNode, is_empty
from .keys import CHILDREN, EXTENSION, TABLE, Row, Verdict


def check(cursor: Cursor) -> None:
    """Note every unknown, refused, not allowed and ignored key at the cursor and below."""
    row = TABLE.get(cursor.rule)
    if row is not None and row.verdict is not Verdict.SUPPORTED:
        _judge(cursor, row)
        return
    known = CHILDREN.get(cursor.rule, ())
    if "[]" in known and cursor.is_list:
        for item in cursor.items():
            if item.is_mapping:
                check(item)
    elif "*" in known and cursor.is_mapping:
        for _, child in cursor.entries():
            check(child.under(f"{cursor.rule}.*"))
    elif known and "[]" not in known and "*" not in known:
        for key, child in cursor.entries():
            if key in known:
                check(child)
            elif key == EXTENSION or not key.startswith("x-"):
                child.problem(f"is no key that is known here{did_you_mean(key, known)}")


def _judge(cursor: Cursor, row: Row) -> None:
    if _is_harmless(cursor, row):
        return
    match row.verdict:
        case Verdict.IGNORED:
            cursor.warn(f"is ignored: {row.note}")
        case Verdict.OPT_IN if row.flag not in cursor.reading.allow:
            cursor.problem(f'is refused: {row.note}. Remove it, or put "{row.flag}" into the app\'s allow')
        case Verdict.REFUSED:
            cursor.problem(f"is refused: {row.note}")


def _is_harmless(cursor: Cursor, row: Row) -> bool:
    if is_empty(cursor.node):
        return True
    if isinstance(cursor.node, ScalarNode):
        return bool(row.harmless) and (cursor.text() or "").lower() in row.harmless
    if isinstance(cursor.node, SequenceNode):
        return all(isinstance(item.node, ScalarNode) and _is_harmless(item, row) for item in cursor.items())
    return False
