"""Look-ups: which version is meant, asked once for all who want to know.

Those who wait for a look-up belong to no stack yet. A name that does not exist never makes one: typed hashes cost a cached
answer and no memory.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..core.keys import Key
from ..core.model import Version
from ..core.tickets import Ticket
from ..errors import BackendUnavailable, EngineUnavailable, Refusal, RegistryUnavailable, ShuttingDown, StartFailed
from .incidents import as_mishap, log_bug
from .waiters import Waiters


@define(eq=False)
class LookUp:
    """A version being looked up, and who waits for it."""

    waiters: Waiters
    began: float  # monotonic seconds


@define(eq=False)
class LookUps:
    """``resolve(key)`` is asked, ``seat(key, version, look_up)`` gets the answer and those who waited for it."""

    _clock: IReactorTime
    _waiters: Callable[[], Waiters]
    _resolve: Callable[[Key], Deferred[Version]]
    _seat: Callable[[Key, Version, LookUp], None]
    _running: dict[Key, LookUp] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)

    def join(self, key: Key, patience: float, expired: Callable[[], Refusal]) -> Deferred[Ticket]:
        """A place among those who wait for this name. Raises TooManyWaiting."""
        look_up = self._running.get(key)
        if look_up is not None:
            return look_up.waiters.add(patience, expired)
        look_up = LookUp(self._waiters(), self._clock.seconds())
        place = look_up.waiters.add(patience, expired)
        self._running[key] = look_up
        Deferred.fromCoroutine(self._look_up(key, look_up)).addErrback(log_bug)
        return place

    def since(self, key: Key) -> float | None:
        """When the look-up that is under way began."""
        look_up = self._running.get(key)
        return look_up.began if look_up is not None else None

    def waiting(self) -> int:
        """How many wait, in all."""
        return sum(len(look_up.waiters) for look_up in self._running.values())

    def close(self) -> None:
        self._closed = True
        for look_up in self._running.values():
            look_up.waiters.fail(ShuttingDown(retry_after=5))

    async def _look_up(self, key: Key, look_up: LookUp) -> None:
        try:
            version = await self._resolve(key)
        except Refusal as refusal:
            look_up.waiters.fail(refusal)
        except EngineUnavailable as away:
            look_up.waiters.fail(BackendUnavailable(away.why, retry_after=5))
        except CancelledError:  # whoever was asked is let go of: we close, or go on with another configuration
            look_up.waiters.fail(RegistryUnavailable("The configuration has changed meanwhile: ask again.", retry_after=1))
        except Exception:
            look_up.waiters.fail(StartFailed(key, as_mishap(Failure()), retry_after=5))
        else:
            if not self._closed:
                self._seat(key, version, look_up)
        finally:
            del self._running[key]
