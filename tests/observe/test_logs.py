"""The log as people and programs read it: observe/logs.py."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from grandcentral import events
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.observe.logs import as_json, as_text, observer

TIME = 1795179845.1234


def written(format: str, least: str = "info") -> tuple[Logger, io.StringIO]:
    """A logger, and what the observer makes of what it logs."""
    stream = io.StringIO()
    return Logger("grandcentral.test", observer=observer(format, stream, least)), stream


def failure() -> Failure:
    try:
        raise RuntimeError("the\ndisk is full")
    except RuntimeError:
        return Failure()


def test_text_is_time_level_and_sentence() -> None:
    logger, stream = written("text")
    logger.warn(events.BACKEND_LOST, backend="docker", why="connection refused")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn     docker does not answer: connection refused\n", stream.getvalue()
    )


def test_times_are_utc_to_the_millisecond() -> None:
    assert as_text({"log_time": TIME, "log_format": "now"}).startswith("2026-11-20T13:04:05.123Z ")


def test_a_traceback_is_indented_below_its_sentence() -> None:
    logger, stream = written("text")
    logger.failure(events.BUG, failure(), incident="c0ffee", what="the manifest could not be written")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("critical incident c0ffee: the manifest could not be written")
    assert rest[0] == "    Traceback (most recent call last):"
    assert "RuntimeError: the" in rest[-2]
    assert all(line.startswith("    ") for line in rest)


@given(st.text(max_size=40))
def test_no_field_can_begin_a_line_or_move_the_cursor(why: str) -> None:
    line = as_text({"log_time": TIME, "log_format": events.BACKEND_LOST, "backend": "docker", "why": why})
    assert len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
    line.encode("utf-8")


def test_json_is_the_name_and_the_fields() -> None:
    logger, stream = written("json")
    logger.info(events.BACKEND_LOST, backend="docker", why="connection refused")
    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "BACKEND_LOST",
        "message": "docker does not answer: connection refused",
        "logger": "grandcentral.test",
        "backend": "docker",
        "why": "connection refused",
    }


def test_json_of_a_failure_has_its_traceback_and_incident() -> None:
    logger, stream = written("json")
    logger.failure(events.BUG, failure(), incident="c0ffee", what="the manifest could not be written")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["incident"]) == ("BUG", "critical", "c0ffee")
    assert "RuntimeError: the\ndisk is full" in line["traceback"]


def test_every_event_has_a_name_of_its_own() -> None:
    """The name is found by the sentence: two equal sentences would be one event."""
    sentences = [value for name, value in vars(events).items() if name.isupper()]
    assert len(sentences) == len(set(sentences)) > 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Key("quepid", "db139cf"), "quepid/db139cf"),
        (Endpoint("::1", 80), "[::1]:80"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (b"\xff/up", "\\xff/up"),
        ({Key("a", "b"): (1, 2.5, None)}, {"a/b": [1, 2.5, None]}),
        ({"b", "a"}, ["a", "b"]),
        ("\ud800", "\ud800"),
    ],
)
def test_any_field_becomes_plain_json(value: object, said: object) -> None:
    assert json.loads(as_json({"log_time": TIME, "log_format": "x", "field": value}))["field"] == said


def test_a_field_that_cannot_be_said_does_not_lose_the_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no words")

        __repr__ = __str__

    line = json.loads(as_json({"log_time": TIME, "log_format": "x", "field": Broken()}))
    assert "Broken" in line["field"]


def test_fields_without_end_are_cut() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    assert json.loads(as_json({"log_time": TIME, "log_format": "x", "field": endless}))["field"]


def test_a_field_does_not_hide_ours() -> None:
    line = json.loads(as_json({"log_time": TIME, "log_format": "ready", "level": 7, "time": 1, "message": "mine"}))
    assert (line["message"], line["level"]) == ("ready", "info")
    assert (line["message_"], line["level_"], line["time_"]) == ("mine", 7, 1)


def test_a_line_is_out_when_it_is_written() -> None:
    class Stream(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Stream()
    Logger("x", observer=observer("text", stream)).info("one")
    assert stream.flushed == 1


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_says_nothing_is_no_line(format: str) -> None:
    logger, stream = written(format)
    logger.info(None)
    assert stream.getvalue() == ""


def test_levels_below_the_least_are_left_out() -> None:
    logger, stream = written("text", least="warn")
    logger.info("quiet")
    logger.debug("quieter")
    logger.error("loud")
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == ["error    loud"]


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_the_old_log_module_says_is_there_too(format: str) -> None:
    """Libraries, and Twisted itself, still use twisted.python.log."""
    stream = io.StringIO()
    lines = observer(format, stream)
    globalLogPublisher.addObserver(lines)
    legacy.msg("from long ago", system="-")
    globalLogPublisher.removeObserver(lines)
    assert "from long ago" in stream.getvalue()
    if format == "json":
        assert set(json.loads(stream.getvalue())) <= {"time", "level", "message", "logger"}


def test_it_is_an_observer() -> None:
    assert verifyObject(ILogObserver, observer("json", io.StringIO()))


@pytest.mark.parametrize(("format", "least"), [("xml", "info"), ("text", "loud")])
def test_another_format_or_level_is_refused_by_name(format: str, least: str) -> None:
    with pytest.raises(ValueError, match="one of"):
        observer(format, io.StringIO(), least)
