"""How to ask Git so that only the repository answers: the command line, the environment, and what its refusals mean."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

COMMIT = re.compile(r"[0-9a-f]{40}")
HEAD = "HEAD"  # gitrepository-layout(5): the branch that is checked out, or what a bare repository is cloned as
ABBREVIATION = re.compile(r"[0-9a-f]{7,40}")

# What Git needs of its surroundings. None of GIT_*: those name another repository, index or configuration than the one asked.
_INHERITED = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR")

# Settings of a user that would run programs of theirs, or leave files in the repository.
_SETTINGS = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.splitIndex=false", "core.untrackedCache=false")


def command(repository: str, *arguments: str) -> tuple[str, ...]:
    """The argument vector that runs Git in ``repository``: a bare one, or a work tree with its own .git."""
    settings = (part for setting in _SETTINGS for part in ("-c", setting))
    return ("git", "--no-pager", *settings, "-C", repository, *arguments)


def environment(inherited: Mapping[str, str], repository: str) -> dict[str, str]:
    """The whole environment for :func:`command`, out of our own.

    The ceiling keeps Git from taking a repository further up when there is none at ``repository`` itself.
    """
    return {
        **{name: inherited[name] for name in _INHERITED if name in inherited},
        "LC_ALL": "C",
        "GIT_CEILING_DIRECTORIES": posixpath.dirname(repository),
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


NOT_INSTALLED = "git is not installed, or not on the gateway's PATH."


def complaint(repository: str, stderr: str) -> str:
    """One sentence for people out of what Git said on standard error; with the remedy, where we know it."""
    if "dubious ownership" in stderr:
        return (
            f"The repository {repository} belongs to another user, and git will not read it. If you trust it, run as the "
            f"gateway's user: git config --global --add safe.directory {repository}"
        )
    if "not a git repository" in stderr:
        return f"{repository} is not a Git repository."
    if "cannot change to" in stderr and "No such file" in stderr:
        return f"The repository {repository} is not there."
    said = [line.partition(": ")[2] or line for line in stderr.splitlines() if line.startswith(("fatal:", "error:"))]
    return f"git cannot read the repository {repository}: {said[-1] if said else 'it did not say why'}."
