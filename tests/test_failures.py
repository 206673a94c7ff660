"""Every failure of the list has a test."""

from .failures import CASES, marked


def test_every_failure_that_others_report_has_a_test_and_every_mark_is_on_the_list() -> None:
    assert marked().keys() == CASES.keys()
