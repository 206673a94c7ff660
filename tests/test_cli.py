"""The ``grandcentral`` command, and the options of ``twistd grandcentral``."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import pytest
from twisted.application.service import Application
from twisted.logger import ILogObserver, LogLevel
from twisted.python.usage import UsageError

from grandcentral import __version__, options
from grandcentral.cli import COMMANDS, main
from grandcentral.config import Log
from grandcentral.core.problems import Invalid
from grandcentral.observe.logs import observer
from grandcentral.observe.service import LoggingService
from grandcentral.options import Options, configured, find, observer_for
from tests.gateway import COMMAND

GOOD = """\
[gateway]
listen = ["tcp:8080"]
state = "state"

[apps.docs]
host = "docs.localhost"
upstream = "127.0.0.1:9001"
"""
BAD = """\
[gateway]
listen = ["tcp:8080"]
state = "state"

[limits]
max_stacks = "many"

[apps.docs]
host = "docs.localhost"
upstrem = "127.0.0.1:9001"
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, with no word about a configuration anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(options.VARIABLE, raising=False)
    monkeypatch.setattr(options, "SYSTEM", tmp_path / "etc" / "grandcentral.toml")
    return tmp_path


# -- words --------------------------------------------------------------------------------------------------------------


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"grandcentral {__version__}\n"


def test_help_names_every_command_and_shows_how_they_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"    {name} " in said for name in COMMANDS)
    assert "examples:" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_of_its_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--config" in capsys.readouterr().out


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_a_command_nearly_right_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chekc"]) == 2
    assert capsys.readouterr().err == "grandcentral: there is no command 'chekc'. Did you mean 'check'?\n"


def test_a_command_quite_wrong_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    assert capsys.readouterr().err == "grandcentral: there is no command 'xyzzy'. `grandcentral --help` lists what there is.\n"


# -- check --------------------------------------------------------------------------------------------------------------


def test_check_prints_the_effective_configuration(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "good.toml").write_text(GOOD)
    assert main(["check", "--config", "good.toml"]) == 0
    said = capsys.readouterr()
    assert "max_stacks = 20\n" in said.out
    assert said.err == ""


def test_what_check_prints_is_a_configuration(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "grandcentral.toml").write_text(GOOD)
    assert main(["check"]) == 0
    first = capsys.readouterr().out
    (there / "effective.toml").write_text(first)
    assert main(["check", "-c", "effective.toml"]) == 0
    assert capsys.readouterr().out == first


def test_a_reader_who_has_had_enough_ends_it_without_a_word(there: Path) -> None:
    (there / "grandcentral.toml").write_text(GOOD)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([COMMAND, "check"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_check_prints_every_problem_with_its_place(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "bad.toml").write_text(BAD)
    assert main(["check", "--config", "bad.toml"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "bad.toml:6: limits.max_stacks: " in said.err
    assert "bad.toml:10: apps.docs.upstrem: " in said.err


def test_check_prints_warnings_and_is_content(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "empty.toml").write_text('[gateway]\nstate = "state"\n')
    assert main(["check", "-c", "empty.toml"]) == 0
    assert "warning" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "run"])
def test_without_a_configuration_it_says_how_to_give_one(command: str, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 1
    assert "--config FILE" in capsys.readouterr().err


# -- which file ---------------------------------------------------------------------------------------------------------


def test_the_named_file_goes_before_the_environment_that_before_what_is_here_and_that_before_the_systems(there: Path) -> None:
    with pytest.raises(Invalid):
        find(None, {})
    (there / "etc").mkdir()
    options.SYSTEM.write_text(GOOD)
    assert find(None, {}) == options.SYSTEM
    (there / "grandcentral.toml").write_text(GOOD)
    assert find(None, {}) == Path("grandcentral.toml")
    assert find(None, {"GRANDCENTRAL_CONFIG": "from-environment.toml"}) == Path("from-environment.toml")
    assert find("named.toml", {"GRANDCENTRAL_CONFIG": "from-environment.toml"}) == Path("named.toml")


def test_a_named_file_that_is_missing_is_not_replaced_by_another(there: Path) -> None:
    (there / "grandcentral.toml").write_text(GOOD)
    with pytest.raises(Invalid, match=r"missing\.toml"):
        configured("missing.toml", {})


def test_the_variable_that_names_the_file_is_no_unknown_setting(there: Path) -> None:
    (there / "good.toml").write_text(GOOD)
    assert configured(None, {"GRANDCENTRAL_CONFIG": "good.toml"}).path == Path("good.toml")


# -- twistd -------------------------------------------------------------------------------------------------------------


def test_the_options_of_twistd_are_a_configuration(there: Path) -> None:
    (there / "good.toml").write_text(GOOD)
    parsed = Options()
    parsed.parseOptions(["--config", "good.toml"])
    assert [app.name for app in parsed.configuration.apps] == ["docs"]
    assert parsed.observer is None


def test_a_wrong_configuration_ends_twistd_with_its_problems_and_no_page_of_help(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (there / "bad.toml").write_text(BAD)
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--config", "bad.toml"])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "limits.max_stacks" in said.err
    assert said.out == ""


def test_an_option_that_is_none_is_twistds_to_complain_about() -> None:
    with pytest.raises(UsageError):
        Options().parseOptions(["--nonsense"])


def test_in_the_foreground_it_logs_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log = observer_for({"nodaemon": True, "logfile": None}, Log("json", "warn"))
    assert log is not None
    log({"log_time": 0, "log_format": "hello", "log_level": LogLevel.error})
    log({"log_time": 0, "log_format": "psst", "log_level": LogLevel.info})
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["message"] == "hello"


def test_as_a_daemon_it_logs_to_twistds_file(there: Path) -> None:
    log = observer_for({"nodaemon": False, "logfile": None}, Log("text", "debug"))
    assert log is not None
    log({"log_time": 0, "log_format": "hello", "log_level": LogLevel.info})
    assert "info     hello" in (there / "twistd.log").read_text()


@pytest.mark.parametrize("twistd", [None, {"syslog": True}, {"nodaemon": False, "logfile": "-"}])
def test_otherwise_twistd_logs_as_it_likes(twistd: dict[str, object] | None) -> None:
    assert observer_for(twistd, Log("text", "info")) is None


def test_the_service_brings_its_log_to_the_application() -> None:
    log = observer("text", io.StringIO())
    application = Application("grandcentral")
    LoggingService(log).setServiceParent(application)
    assert application.getComponent(ILogObserver) is log


def test_a_service_without_a_log_leaves_twistds() -> None:
    application = Application("grandcentral")
    LoggingService().setServiceParent(application)
    assert application.getComponent(ILogObserver, None) is None
