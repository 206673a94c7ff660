"""Phases of a start, measured from its progress."""

from __future__ import annotations

from grandcentral.core.model import Progress
from grandcentral.core.timeline import Timeline, server_timing


def test_a_phase_lasts_while_any_service_is_in_it() -> None:
    timeline = Timeline()
    timeline.note(Progress("pull", "web"), 0)
    timeline.note(Progress("pull", "db"), 1)
    timeline.note(Progress("pull", "web", "50 %"), 2)
    timeline.note(Progress("pull", "web", done=True), 3)
    timeline.note(Progress("pull", "db", done=True), 5)
    timeline.note(Progress("create", "db"), 7)
    assert timeline.durations(8) == {"pull": 5, "create": 1}


def test_it_can_be_entered_again_and_added_to_and_is_listed_in_the_usual_order() -> None:
    timeline = Timeline()
    for begin in (0, 10):
        timeline.note(Progress("create", "web"), begin)
        timeline.note(Progress("create", "web", done=True), begin + 1)
    timeline.add("registry", 0.5)
    assert list(timeline.durations(20).items()) == [("registry", 0.5), ("create", 2)]


def test_the_end_of_a_phase_that_never_began_is_nothing() -> None:
    timeline = Timeline()
    timeline.note(Progress("pull", "web", done=True), 3)
    assert timeline.durations(4) == {}


def test_it_says_what_is_going_on() -> None:
    timeline = Timeline()
    assert str(timeline) == "starting"
    timeline.note(Progress("pull", "web", "12 of 40 MB"), 0)
    assert str(timeline) == "pull web: 12 of 40 MB"
    timeline.note(Progress("ready"), 0)
    assert str(timeline) == "ready"


def test_server_timing_names_the_wait_and_the_phases_of_the_start() -> None:
    assert server_timing(8.4123, {"pull": 2.5, "ready": 0.0004}) == (
        b"Server-Timing: held;dur=8412.3, start-pull;dur=2500.0, start-ready;dur=0.4\r\n"
    )
    assert server_timing(0.5, {}) == b"Server-Timing: held;dur=500.0\r\n"


def test_a_moment_is_not_worth_a_server_timing() -> None:
    assert server_timing(0.002, {}) == b""
