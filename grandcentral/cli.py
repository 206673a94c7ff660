"""The ``grandcentral`` command: a few words in front of what the gateway does."""

from __future__ import annotations

import os
import sys
from argparse import Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches

from . import __version__, config, provision_verbs, reactors
from .core.problems import Invalid
from .options import WHERE, configured, find
from .verbs import VERBS, Command

ABOUT = "Every version has a URL; the first request boots it; idle puts it to sleep."

EXAMPLES = """\
examples:
  grandcentral check                             is the configuration right?
  grandcentral run                               start the gateway; Ctrl-C ends it
  grandcentral run --config ~/review.toml        the same with another configuration
  grandcentral ps                                what runs, and what sleeps
  grandcentral pin shop/db139cf --until 2d       keep a stack awake over the demonstration

As a daemon, with twistd's own options: twistd grandcentral --config FILE
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Exit status: 0 done; 1 it did not work, and why is on standard error; 2 it was not understood; 3 it
    goes on, and the wait was over."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    command = next((word for word in given if not word.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`grandcentral --help` lists what there is."
        print(f"grandcentral: there is no command {command!r}. {hint}", file=sys.stderr)
        return 2
    parsed = parser.parse_args(given)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        status = COMMANDS[parsed.command].run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has had enough, as `head` has: no reason for a traceback, nor for one at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell calls it
    return status


class _Help(RawDescriptionHelpFormatter):
    """Keeps the longest command and its summary on one line: argparse makes room for names, and not for their indent."""

    def add_argument(self, action: Action) -> None:
        super().add_argument(action)
        self._action_max_length = max(self._action_max_length, 4 + max(map(len, COMMANDS)))


def _parser() -> ArgumentParser:
    parser = ArgumentParser("grandcentral", description=ABOUT, epilog=EXAMPLES, formatter_class=_Help)
    parser.add_argument("--version", action="version", version=f"grandcentral {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.summary, description=command.about)
        one.add_argument("-c", "--config", metavar="FILE", help=f"the configuration (default: {WHERE})")
        command.arguments(one)
    return parser


# -- commands -----------------------------------------------------------------------------------------------------------


def _run(arguments: Namespace) -> int:
    """twistd in the foreground, under the name that the operator typed."""
    try:
        path = find(arguments.config, os.environ)
    except Invalid as invalid:
        return _complain(invalid)
    reactor = [f"--reactor={arguments.reactor}"] if arguments.reactor else []
    if not reactor:
        reactors.install_fastest()
    from twisted.scripts import twistd  # importing it chooses a reactor, if there is none yet

    sys.argv = ["grandcentral", *reactor, "--nodaemon", "--pidfile=", "grandcentral", "--config", str(path)]
    twistd.run()
    return 0


def _reactor(parser: ArgumentParser) -> None:
    parser.add_argument("--reactor", metavar="NAME", help="a reactor that twistd knows (default: uvloop, if it is there)")


def _check(arguments: Namespace) -> int:
    try:
        configuration = configured(arguments.config, os.environ)
    except Invalid as invalid:
        return _complain(invalid)
    for warning in configuration.warnings:
        print(warning, file=sys.stderr)
    print(config.effective(configuration), end="")
    return 0


def _complain(invalid: Invalid) -> int:
    for problem in invalid.problems:
        print(problem, file=sys.stderr)
    return 1


COMMANDS = {
    "run": Command(
        "start the gateway and stay in the foreground",
        "Starts the gateway in the foreground. It logs to standard output; Ctrl-C, or SIGTERM, ends it. Stacks go on running.",
        _run,
        _reactor,
    ),
    "check": Command(
        "say what is wrong with the configuration, or what it amounts to",
        "Prints every problem of the configuration with its file, table and key, and exits with 1. If there is none, prints "
        "the configuration with all its defaults. Nothing is started.",
        _check,
    ),
    **VERBS,
    **provision_verbs.VERBS,
}
