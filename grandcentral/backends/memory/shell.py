"""The shell that runs the hooks of tests."""

from __future__ import annotations

from string import Template

from attrs import define, field

from ...core.keys import Key
from ...core.model import MountKind, Service


@define
class Shell:
    """Runs ``echo``, ``touch FILE``, ``test -e FILE``, ``true``, ``exit N`` and ``hang``, with ``;`` between them: just what
    tests of hooks say. Files in a named volume of the service are the volume's."""

    files: set[tuple[Key, str, str]]
    key: Key
    service: Service
    said: list[str] = field(factory=list)

    def run(self, line: str) -> int | None:
        """The status that it ends with; None if it hangs."""
        status = 0
        for command in Template(line).safe_substitute(self.service.environment).split(";"):
            match command.split():
                case ["echo", *words]:
                    status = 0
                    self.said.append(" ".join(words))
                case ["touch", path]:
                    status = 0
                    self.files.add(self._place(path))
                case ["test", "-e", path]:
                    status = 0 if self._place(path) in self.files else 1
                case ["true"]:
                    status = 0
                case ["exit", number]:
                    return int(number)
                case ["hang"] | ["sleep", _]:
                    return None
                case _:
                    return 127
        return status

    def _place(self, path: str) -> tuple[Key, str, str]:
        for mount in self.service.mounts:
            if mount.kind is MountKind.VOLUME and path.startswith(f"{mount.target}/"):
                return self.key, mount.source, path
        return self.key, "", path
