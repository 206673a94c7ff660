"""The options of ``twistd grandcentral``, and which configuration they mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.python.logfile import LogFile

from . import config
from .core.problems import Invalid, Problem
from .observe.logs import observer

VARIABLE = "GRANDCENTRAL_CONFIG"
ADMIN_URL = "GRANDCENTRAL_ADMIN_URL"  # for the commands that ask a gateway that runs
HERE = Path("grandcentral.toml")
SYSTEM = Path("/etc/grandcentral/grandcentral.toml")

WHERE = f"${VARIABLE}, ./{HERE} or {SYSTEM}, whichever is there first"


class Options(usage.Options):
    """After ``parseOptions`` there is a ``configuration``; a wrong one has ended the process with its problems."""

    synopsis = "[--config FILE]"
    longdesc = (
        "Every version has a URL; the first request boots it; idle puts it to sleep. "
        "`grandcentral check` says what is wrong with a configuration without starting anything."
    )
    optParameters = [["config", "c", None, f"The configuration file (default: {WHERE})."]]

    configuration: config.Configuration
    observer: ILogObserver | None = None  # for observe.service.LoggingService
    log_file: str | None = None  # where that writes, if not to standard output

    def postOptions(self) -> None:
        try:
            self.configuration = configured(self["config"], os.environ)
        except Invalid as invalid:
            for problem in invalid.problems:
                print(problem, file=sys.stderr)
            raise SystemExit(1) from None
        for warning in self.configuration.warnings:
            print(warning, file=sys.stderr)
        self.log_file = log_file(self.parent)
        self.observer = observer_for(self.parent, self.configuration.log)


def configured(given: str | None, environ: Mapping[str, str]) -> config.Configuration:
    """The configuration that is meant, read and checked.

    :param given: the file that was named on the command line, if one was.
    :raises Invalid: with all that is wrong with it, or that there is none.
    """
    return config.load(find(given, environ), settings(environ))


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without our own variables that are no settings of the gateway."""
    return {name: value for name, value in environ.items() if name not in (VARIABLE, ADMIN_URL)}


def find(given: str | None, environ: Mapping[str, str]) -> Path:
    """The file: the nearest word counts, so that a named one is never passed over for one that happens to be there."""
    named = given or environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    for path in (HERE, SYSTEM):
        if path.exists():
            return path
    raise Invalid([Problem(str(HERE), "is not there: name a file with --config FILE, or write this one; examples/ has some")])


def observer_for(twistd: Mapping[str, Any] | None, log: config.Log) -> ILogObserver | None:
    """What logs as ``log`` says to where twistd's own options say: standard output, or a file if it was told one or becomes a
    daemon. None where twistd decides alone: for syslog, or outside of twistd.
    """
    if twistd is None or twistd.get("syslog"):
        return None
    file, foreground = twistd.get("logfile"), twistd.get("nodaemon")
    if file == "-" and not foreground:
        return None  # which twistd refuses in its own words
    path = log_file(twistd)
    return observer(log.format, sys.stdout if path is None else LogFile.fromFullPath(path), log.level)


def log_file(twistd: Mapping[str, Any] | None) -> str | None:
    """The file that twistd's own options say to log to; None for standard output."""
    if twistd is None or (twistd.get("nodaemon") and twistd.get("logfile") in (None, "-")):
        return None
    return os.path.abspath(twistd.get("logfile") or "twistd.log")
