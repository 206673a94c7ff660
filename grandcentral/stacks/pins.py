"""Pins: which stacks are not to be put to sleep, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, field

from ..core.keys import Key
from ..interfaces import IManifest

OVER = 7 * 86400.0  # seconds after its end a pin is forgotten: the clock may be wrong for a while


@define(eq=False)
class Pins:
    """What the manifest has of them, at hand. ``wall()`` is seconds since the epoch."""

    _wall: Callable[[], float]
    _manifest: IManifest
    _until: dict[Key, float | None] = field(factory=dict, init=False)  # wall seconds; None: for ever. Some are over

    async def open(self) -> None:
        self._until = dict(await self._manifest.pins())

    def __contains__(self, key: Key) -> bool:
        """Whether it is pinned now."""
        until = self._until.get(key, 0.0)
        return until is None or until > self._wall()

    def __iter__(self) -> Iterator[Key]:
        """Those that are pinned now."""
        return filter(self.__contains__, list(self._until))

    def known(self, key: Key) -> bool:
        """Whether it is pinned, or was until not long ago."""
        return key in self._until

    def until(self, key: Key) -> float | None:
        """Wall seconds at which its pin ends; None: never, if it is pinned."""
        return self._until.get(key)

    async def set(self, key: Key, pinned: bool, until: float | None) -> None:
        """Returns when that is durable."""
        await self._manifest.pin(key, pinned, until)
        if pinned:
            self._until[key] = until
        else:
            self._until.pop(key, None)

    def tidy(self) -> None:
        """Forget those that ended long ago, as the manifest does in its own time."""
        now = self._wall()
        self._until = {key: until for key, until in self._until.items() if until is None or until > now - OVER}
