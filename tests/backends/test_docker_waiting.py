"""What holds the Docker backend together: threads that are waited for, coroutines that fail as one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from grandcentral.backends.docker import calls as calls_module
from grandcentral.backends.docker.calls import PULL, Calls
from grandcentral.backends.docker.lines import Lines
from grandcentral.backends.docker.phases import Phases
from grandcentral.backends.docker.waiting import Fact, sleep, together
from grandcentral.core.model import Progress
from grandcentral.errors import EngineUnavailable


class NoEngine:
    """A client of an engine that nobody asks anything."""

    def __init__(self, base_url: str, timeout: int, lines: Lines, version: str) -> None:
        self.asked = version == "auto"
        self.api_version = "1.41"

    def close(self) -> None:
        pass


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    monkeypatch.setattr(calls_module, "Client", NoEngine)
    before = set(threading.enumerate())
    calls = Calls(reactor, "unix:///nowhere")
    calls.start()
    yield calls
    pytest_twisted.blockon(ensureDeferred(calls.stop()))
    assert set(threading.enumerate()) - before == set()


# -- calls --------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_pulls_that_take_for_ever_delay_nothing_else(calls: Calls) -> None:
    ended = threading.Event()
    pulls = [ensureDeferred(calls.pull(lambda client: ended.wait(), ended.set)) for _ in range(PULL.threads + 3)]
    assert await calls.quick(lambda client: "looked") == "looked"
    assert await calls.lifecycle(lambda client: "created") == "created"
    ended.set()
    assert [await pull for pull in pulls] == [True] * len(pulls)


@pytest_twisted.ensureDeferred
async def test_every_thread_has_a_client_of_its_own(calls: Calls) -> None:
    everybody = threading.Barrier(3, timeout=10)

    def who(client: Any) -> tuple[int, int]:
        everybody.wait()
        return threading.get_ident(), id(client)

    seen = await together(*(calls.quick(who) for _ in range(3)))
    assert len({thread for thread, _ in seen}) == len({client for _, client in seen}) == 3


@pytest_twisted.ensureDeferred
async def test_the_engine_is_asked_once_which_version_it_speaks_and_again_when_it_was_away(calls: Calls) -> None:
    assert await calls.quick(lambda client: client.asked)
    assert not await calls.lifecycle(lambda client: client.asked)

    def away(client: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(EngineUnavailable):
        await calls.quick(away)
    assert await calls.account(lambda client: client.asked)


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_cancelled_is_over_when_its_thread_is(calls: Calls) -> None:
    began, go_on = Fact[None](), threading.Event()
    done: list[str] = []

    def create(client: Any) -> None:
        reactor.callFromThread(began.come, None)
        go_on.wait()
        done.append("created")

    call = ensureDeferred(calls.lifecycle(create))
    await began.wait()
    call.cancel()
    call.cancel()
    over: list[object] = []
    call.addErrback(over.append)
    await calls.quick(lambda client: None)
    assert over == []
    go_on.set()
    await call
    assert done == ["created"]
    assert over[0].check(CancelledError)


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_cancelled_in_the_queue_never_runs(calls: Calls) -> None:
    go_on = threading.Event()
    ran: list[str] = []
    busy = [ensureDeferred(calls.pull(lambda client: go_on.wait(), go_on.set)) for _ in range(PULL.threads)]
    queued = ensureDeferred(calls.pull(lambda client: ran.append("ran"), lambda: None))
    queued.cancel()
    with pytest.raises(CancelledError):
        await queued
    go_on.set()
    for one in busy:
        await one
    assert ran == []


@pytest_twisted.ensureDeferred
async def test_nothing_is_called_after_the_end(calls: Calls) -> None:
    await calls.stop()
    with pytest.raises(EngineUnavailable):
        await calls.quick(lambda client: None)


# -- together -----------------------------------------------------------------------------------------------------------


async def after(one: Deferred[Any]) -> Any:
    return await one


async def stubborn(one: Deferred[Any], asked: list[str]) -> None:
    """Does not end for being cancelled: as a thread does not."""
    fact = Fact[None]()
    one.addCallback(lambda _: fact.come(None))
    while True:
        try:
            await fact.wait()
        except CancelledError:
            asked.append("cancelled")
        else:
            return


def test_results_come_in_the_order_of_the_coroutines() -> None:
    first, second = Deferred[int](), Deferred[int]()
    both = ensureDeferred(together(after(first), after(second)))
    second.callback(2)
    first.callback(1)
    assert both.result == [1, 2]


def test_the_first_failure_cancels_the_others_and_waits_for_them() -> None:
    failing, slow, asked = Deferred[int](), Deferred[int](), list[str]()
    told: list[Any] = []
    ensureDeferred(together(after(failing), stubborn(slow, asked))).addErrback(told.append)
    failing.errback(KeyError("why"))
    assert (told, asked) == ([], ["cancelled"])
    slow.callback(1)
    assert told[0].check(KeyError)


def test_being_cancelled_twice_it_still_waits() -> None:
    slow, asked = Deferred[int](), list[str]()
    told: list[Any] = []
    everything = ensureDeferred(together(stubborn(slow, asked))).addErrback(told.append)
    everything.cancel()
    everything.cancel()
    assert (told, bool(asked)) == ([], True)
    slow.callback(1)
    assert (told, everything.result) == ([], [None])


# -- the small ones -----------------------------------------------------------------------------------------------------


def test_a_fact_is_known_to_all_who_wait_and_who_give_up_disturb_nobody() -> None:
    fact = Fact[int]()
    early, impatient = fact.wait(), fact.wait()
    impatient.addErrback(lambda failure: None)
    impatient.cancel()
    fact.come(1)
    fact.come(2)
    assert (early.result, fact.wait().result) == (1, 1)


def test_sleep_can_be_cancelled() -> None:
    clock = Clock()
    slept, disturbed = sleep(clock, 1), sleep(clock, 1)
    disturbed.addErrback(lambda failure: None)
    disturbed.cancel()
    clock.advance(1)
    assert slept.called
    assert clock.getDelayedCalls() == []


def test_a_phase_is_done_even_if_it_fails_and_late_words_are_left_unsaid() -> None:
    said: list[Progress] = []
    phases = Phases(said.append)

    def pull() -> None:
        with phases.during("pull", "web"):
            phases.say("pull", "web", "1 of 2 MB")
            raise KeyError

    with pytest.raises(KeyError):
        pull()
    phases.say("pull", "web", "2 of 2 MB")
    assert said == [Progress("pull", "web"), Progress("pull", "web", "1 of 2 MB"), Progress("pull", "web", done=True)]
