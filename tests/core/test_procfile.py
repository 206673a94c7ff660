"""Stacks as command lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.model import Condition, Dependency
from grandcentral.core.ordering import waves
from grandcentral.core.problems import Invalid
from grandcentral.core.procfile import CommandTemplate, filled, parse, procfile_of

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
COMMANDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(lambda text: not text.startswith("#"))


def problems(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse(text)
    return [problem.place for problem in caught.value.problems]


def test_one_command_a_line() -> None:
    assert parse("web: python -m http.server $PORT\nworker:run it: now\n") == {
        "web": "python -m http.server $PORT",
        "worker": "run it: now",
    }


def test_empty_lines_comments_and_carriage_returns_say_nothing() -> None:
    assert parse("# who\r\n\r\n  # what\r\nweb:  serve \r\n") == {"web": "serve"}


@given(st.dictionaries(NAMES, COMMANDS, min_size=1))
def test_what_is_written_is_read(commands: dict[str, str]) -> None:
    assert parse("".join(f"{name}: {command}\n" for name, command in commands.items())) == commands


@given(st.text())
def test_any_text_is_read_or_refused_with_lines_that_are_there(text: str) -> None:
    try:
        assert parse(text)
    except Invalid as invalid:
        lines = [int(problem.place.rpartition(":")[2]) for problem in invalid.problems if ":" in problem.place]
        assert all(1 <= line <= text.count("\n") + 1 for line in lines)


@pytest.mark.parametrize("line", ["serve", "web:", "web: ", ": serve", "two words: serve", "wéb: serve", "web: a\0b"])
def test_a_line_that_is_no_command_is_a_problem_with_its_place(line: str) -> None:
    assert problems(f"ok: serve\n{line}\n") == ["Procfile:2"]


def test_every_problem_is_told_at_once() -> None:
    assert problems("nonsense\nweb: serve\nweb: again\n\nx y: z\n") == ["Procfile:1", "Procfile:3", "Procfile:5"]


def test_a_procfile_without_commands_is_a_problem() -> None:
    assert problems("# nothing yet\n") == ["Procfile"]


def test_a_command_of_the_configuration_is_one_service_and_the_backend_chooses_the_port() -> None:
    spec = CommandTemplate({"web": "python -m http.server $PORT"}).render({})
    assert [(service.name, service.command) for service in spec.services] == [
        ("web", ("/bin/sh", "-c", "python -m http.server $PORT"))
    ]
    assert (spec.serves, spec.port, procfile_of(spec)) == ("web", 0, None)


def test_the_release_line_completes_before_the_rest_starts() -> None:
    spec = CommandTemplate({"web": "serve", "release": "migrate", "worker": "work"}).render({})
    assert spec.is_task("release")
    assert spec.service("web").depends_on == (Dependency("release", Condition.COMPLETED),)
    assert waves(spec.services) == (("release",), ("web", "worker"))


def test_the_environment_names_variables_and_the_command_is_left_to_the_shell() -> None:
    template = CommandTemplate({"web": "echo ${VERSION}"}, environment={"ASSETS": "/assets/${VERSION}"})
    service = template.render({"VERSION": "db139cf"}).service("web")
    assert service.environment == {"ASSETS": "/assets/db139cf"}
    assert service.command == ("/bin/sh", "-c", "echo ${VERSION}")


def test_an_environment_that_cannot_be_put_in_is_a_problem_with_its_name() -> None:
    with pytest.raises(Invalid) as caught:
        CommandTemplate({"web": "serve"}, environment={"A": "${", "B": "fine", "C": "${X:?say X}"}).render({})
    assert [problem.place for problem in caught.value.problems] == ["environment.A", "environment.C"]


def test_without_commands_the_procfile_of_the_commit_has_them() -> None:
    spec = CommandTemplate(procfile="deploy/Procfile", serves="api", environment={"A": "1"}).render({})
    assert procfile_of(spec) == "deploy/Procfile"
    whole = filled(spec, "release: migrate\napi: serve\n")
    assert whole == CommandTemplate({"release": "migrate", "api": "serve"}, serves="api", environment={"A": "1"}).render({})
    assert procfile_of(whole) is None


@pytest.mark.parametrize("serves", ["web", "release"])
def test_what_answers_must_be_there_and_no_task(serves: str) -> None:
    spec = CommandTemplate(serves=serves).render({})
    with pytest.raises(Invalid, match=rf"^Procfile: no '{serves}' .* there is api$"):
        filled(spec, "release: migrate\napi: serve\n")
