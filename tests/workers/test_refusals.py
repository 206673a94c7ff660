"""Refusals on their way to a worker."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral import errors
from grandcentral.core.keys import Key
from grandcentral.core.model import LogTail
from grandcentral.workers.refusals import LONGEST, decode, encode

texts = st.text(max_size=40)
keys = st.builds(Key, st.from_regex("[a-z]{1,9}", fullmatch=True), texts)
retries = st.none() | st.floats(0, 1e6)
tails = st.lists(st.builds(LogTail, texts, st.lists(texts, max_size=5).map(tuple)), max_size=3).map(tuple)
whole = st.integers(-5, 100_000)

OF_TYPE: dict[object, st.SearchStrategy[Any]] = {
    "str": texts,
    "Key": keys,
    "int": whole,
    "float": st.floats(0, 1e6),
    "bool": st.booleans(),
    "tuple[str, ...]": st.lists(texts, max_size=4).map(tuple),
    "int | None": st.none() | whole,
    "str | None": st.none() | texts,
    "float | None": retries,
    "tuple[LogTail, ...]": tails,
}


def every(base: type) -> list[type]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, base)]


def instances(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: OF_TYPE[field.type] for field in attrs.fields(kind)})


mishaps = st.one_of([instances(kind) for kind in every(errors.Mishap)])
OF_TYPE["Mishap"] = mishaps
refusals = st.one_of([instances(kind) for kind in every(errors.Refusal) if kind is not errors.Refusal])


@given(refusals)
def test_every_refusal_arrives_as_it_was(refusal: errors.Refusal) -> None:
    text = encode(refusal)
    assert len(text) <= LONGEST
    arrived = decode(text)
    assert type(arrived) is type(refusal)
    assert attrs.asdict(arrived) == attrs.asdict(refusal)
    assert (arrived.status, str(arrived)) == (refusal.status, str(refusal))


@given(st.integers(1, 200), st.integers(0, 2000), st.integers(1, 10), st.sampled_from("a\n\x00é\U0001f642"))
def test_of_long_logs_the_last_lines_arrive(lines: int, length: int, services: int, character: str) -> None:
    tails = tuple(LogTail(f"s{n}", tuple(f"{i}{character * length}" for i in range(lines))) for n in range(services))
    text = encode(errors.StartFailed(Key("app", "a"), errors.ServiceExited("It ended.", logs=tails, service="s0", status=1)))
    assert len(text) <= LONGEST
    arrived = decode(text)
    assert isinstance(arrived, errors.StartFailed)
    assert arrived.cause.logs
    assert all(tail.lines[-1].startswith(str(lines - 1)) for tail in arrived.cause.logs)


def test_every_kind_of_refusal_is_tried() -> None:
    assert len(every(errors.Refusal)) > 10
    assert len(every(errors.Mishap)) > 5


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"3", b'{"": "Key", "app": "a"}', b'{"": "Nonsense"}', b'{"": "AtCapacity"}', b'{"": "AtCapacity", "x": 1}'],
)
def test_what_is_no_refusal_of_ours_is_not_taken_for_one(text: bytes) -> None:
    with pytest.raises(ValueError, match="is no refusal"):
        decode(text)
