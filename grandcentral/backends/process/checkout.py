"""The work tree of one commit, without writing anything to the repository that has it.

Each tree gets a small ``.git`` of its own whose objects are the repository's (gitrepository-layout(5), "alternates"). So the
user's index, configuration, hooks and locks are never touched, checkouts do not wait for each other, and what runs in the
tree can ask Git where it is. Submodules are not fetched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core import git
from ...errors import EngineRefused, EngineUnavailable, ImageUnavailable
from .watching import finished, spawn

_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tlogAllRefUpdates = false\n"


async def check_out(reactor: Any, repository: str, commit: str, tree: Path, mark: Mapping[str, str]) -> None:
    """Make ``tree`` a work tree of ``commit``. When cancelled, nothing writes to it any more.

    :param repository: absolute path of the repository.
    :param commit: 40 hex digits.
    :param mark: what to add to git's environment, so that it can be found if we die.
    :raises ImageUnavailable: the repository cannot be read, or has no such commit.
    :raises EngineUnavailable: git is not installed.
    :raises EngineRefused: the tree cannot be written.
    """
    try:
        objects = os.path.join(repository, await _git(reactor, repository, ("rev-parse", "--git-path", "objects"), tree, mark))
        _make_repository(tree, commit, objects)
    except OSError as error:
        raise EngineRefused(f"The work tree {tree} cannot be made: {error.strerror}.") from error
    await _git(reactor, str(tree), ("read-tree", "--reset", "-u", commit), tree, mark)


async def look_up(reactor: Any, repository: str, commit: str) -> None:
    """See that a repository has a commit, and write nothing. Fails like ``check_out``."""
    asked = git.command(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    try:
        process = spawn(reactor, asked, Path("/"), git.environment(os.environ, repository), Path(os.devnull))
    except FileNotFoundError as error:
        raise EngineUnavailable(git.NOT_INSTALLED) from error
    if await finished(process, reactor) != 0:
        raise ImageUnavailable(f"The repository {repository} cannot be read, or has no commit {commit}.")


def _make_repository(tree: Path, commit: str, objects: str) -> None:
    """What ``git init`` would make, with a detached HEAD, and the objects of another repository."""
    own = tree / ".git"
    for directory in ("objects/info", "refs/heads", "refs/tags"):
        (own / directory).mkdir(parents=True)
    (own / "config").write_text(_CONFIG)
    (own / "HEAD").write_text(f"{commit}\n")
    (own / "objects/info/alternates").write_text(f"{objects}\n")


async def _git(reactor: Any, repository: str, arguments: Sequence[str], tree: Path, mark: Mapping[str, str]) -> str:
    """What git prints, on both outputs. Raises ImageUnavailable with its complaint if it fails."""
    output = tree.with_name("git.log")
    environment = {**git.environment(os.environ, repository), **mark}
    try:
        process = spawn(reactor, git.command(repository, *arguments), tree, environment, output, fresh=True)
    except FileNotFoundError as error:
        raise EngineUnavailable(git.NOT_INSTALLED) from error
    status = await finished(process, reactor)
    said = output.read_text(errors="replace").strip()
    if status != 0:
        raise ImageUnavailable(git.complaint(repository, said))
    return said
