"""What is wrong with a file that a person wrote: every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen


@frozen(order=True)
class Problem:
    """``place`` names file, line and key as far as they are known: "quepid.compose.yaml:12: services.web.privileged"."""

    place: str
    text: str  # what is wrong and what to do, one sentence
    warning: bool = False  # it can be used all the same

    def __str__(self) -> str:
        return f"{self.place}: {'warning: ' if self.warning else ''}{self.text}"


class Invalid(Exception):
    """A file that cannot be used; ``problems`` says everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
