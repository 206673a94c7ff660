"""What a worker asks of the gateway for those who wait in it, and who gets which answer; see Note [Who asks] there."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.protocols.amp import AMP
from twisted.test.iosim import FakeTransport, connect

from grandcentral import errors
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, Limits
from grandcentral.core.tickets import Ticket
from grandcentral.workers import refusals
from grandcentral.workers.commands import Progress, Wake
from grandcentral.workers.hub import Hub, HubFactory
from grandcentral.workers.stacks import RemoteStacks
from tests.stacks.world import Client

KEY = Key("app", "0000000")
LIMITS = Limits(max_held_per_stack=4, max_held=6, start_timeout=60.0, starts_per_client=6.0)
READY = {"key": str(KEY), "generation": 1, "host": "10.0.0.1", "port": 80, "started": 0.0, "phases": "{}", "refusal": None}
ASLEEP = errors.Asleep(KEY, retry_after=30)


@define(eq=False)
class Asked:
    """A Wake that is not answered yet."""

    wakes: bool
    client: str
    answer: Deferred[Any] = field(factory=Deferred)

    def ready(self) -> None:
        self.answer.callback(READY)

    def refuse(self, refusal: errors.Refusal) -> None:
        self.answer.callback({**dict.fromkeys(READY), "refusal": refusals.encode(refusal)})


class Line:
    """A line whose other end is the test. ``asked`` has what is not answered, in order."""

    def __init__(self) -> None:
        self.all: list[Asked] = []
        self.inquiries = 0

    @property
    def asked(self) -> list[Asked]:
        return [one for one in self.all if not one.answer.called]

    @property
    def questions(self) -> list[tuple[bool, str]]:
        return [(one.wakes, one.client) for one in self.asked]

    def callRemote(self, command: Any, key: str, **arguments: Any) -> Deferred[Any]:
        if command is Progress:
            self.inquiries += 1
            return succeed({"text": None, "seconds": None})
        assert command is Wake
        self.all.append(Asked(**arguments))
        return self.all[-1].answer


class Worker:
    """``page`` is a client who wakes, ``poll`` one who does not."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.clock = Clock()
        self.stacks = RemoteStacks(self.clock, limits)
        self.line = Line()
        self.stacks.connected(self.line)

    def page(self, client: str = "192.0.2.1") -> Client:
        return Client(self.stacks.ensure(KEY, True, client))

    def poll(self) -> Client:
        return Client(self.stacks.ensure(KEY, False, ""))

    def idle(self) -> bool:
        """Nobody waits, and nothing is remembered of anybody who did."""
        asked = self.line.inquiries
        self.stacks.inquire()
        return self.stacks.held == 0 and self.line.inquiries == asked and not self.clock.getDelayedCalls()


class TestWaking:
    def test_who_does_not_wake_says_so_and_is_told_that_it_sleeps(self) -> None:
        worker = Worker()
        poll = worker.poll()
        assert worker.line.questions == [(False, "")]
        worker.line.asked[0].refuse(ASLEEP)
        assert isinstance(poll.error, errors.Asleep)
        assert worker.idle()
        worker.poll()
        assert worker.line.questions == [(False, "")]

    def test_one_who_wakes_asks_though_one_who_does_not_asked_first_and_each_gets_his_own_answer(self) -> None:
        worker = Worker()
        poll, page = worker.poll(), worker.page()
        assert worker.line.questions == [(False, ""), (True, "192.0.2.1")]
        worker.line.asked[0].refuse(ASLEEP)
        assert isinstance(poll.error, errors.Asleep)
        assert not page.answered
        worker.line.asked[0].ready()
        assert page.ticket is not None
        assert worker.idle()

    def test_one_who_does_not_wake_waits_with_those_who_do(self) -> None:
        worker = Worker()
        page, poll = worker.page(), worker.poll()
        assert worker.line.questions == [(True, "192.0.2.1")]
        worker.line.asked[0].ready()
        assert page.ticket is poll.ticket is not None

    def test_a_stack_that_is_there_already_is_for_everybody_whoever_asked(self) -> None:
        worker = Worker()
        poll, page = worker.poll(), worker.page()
        worker.line.asked[0].ready()
        assert page.ticket is poll.ticket is not None
        worker.line.asked[0].ready()
        assert worker.idle()

    def test_a_start_that_fails_is_told_to_everybody(self) -> None:
        worker = Worker()
        page, poll = worker.page(), worker.poll()
        worker.line.asked[0].refuse(errors.StartFailed(KEY, errors.Mishap("no")))
        assert isinstance(page.error, errors.StartFailed)
        assert isinstance(poll.error, errors.StartFailed)
        assert worker.idle()

    def test_a_deadline_at_the_gateway_is_not_that_of_those_who_came_later(self) -> None:
        worker = Worker()
        first = worker.poll()
        worker.clock.advance(30)
        second = worker.poll()
        worker.clock.advance(29.9)
        worker.line.asked[0].refuse(errors.StartTimeout(KEY, 60, "starting"))
        worker.clock.advance(0.1)
        assert isinstance(first.error, errors.StartTimeout)
        assert not second.answered
        assert worker.line.questions == [(False, "")]
        worker.line.asked[0].ready()
        assert second.ticket is not None

    def test_the_next_gateway_is_asked_to_wake_if_one_of_those_who_wait_does(self) -> None:
        worker = Worker()
        poll, page = worker.poll(), worker.page()
        worker.stacks.disconnected()
        again = worker.line = Line()
        worker.stacks.connected(again)
        assert again.questions == [(True, "192.0.2.1")]
        again.asked[0].ready()
        assert page.ticket is poll.ticket is not None


class TestClients:
    def test_a_client_at_his_limit_is_told_so_and_the_next_one_asks(self) -> None:
        worker = Worker()
        first, second, other, poll = worker.page("192.0.2.1"), worker.page("192.0.2.1"), worker.page("192.0.2.2"), worker.poll()
        assert worker.line.questions == [(True, "192.0.2.1")]
        worker.line.asked[0].refuse(errors.TooManyStarts("192.0.2.1", 6.0, retry_after=10))
        assert isinstance(first.error, errors.TooManyStarts)
        assert isinstance(second.error, errors.TooManyStarts)
        assert worker.line.questions == [(True, "192.0.2.2")]
        worker.line.asked[0].ready()
        assert other.ticket is poll.ticket is not None
        assert worker.idle()

    def test_where_he_was_the_only_one_who_wakes_the_others_ask_without_waking(self) -> None:
        worker = Worker()
        page, poll = worker.page(), worker.poll()
        worker.line.asked[0].refuse(errors.TooManyStarts("192.0.2.1", 6.0, retry_after=10))
        assert page.answered
        assert worker.line.questions == [(False, "")]
        worker.line.asked[0].refuse(ASLEEP)
        assert isinstance(poll.error, errors.Asleep)
        assert worker.idle()

    def test_where_nobody_is_limited_nobody_is_told_apart(self) -> None:
        worker = Worker(evolve(LIMITS, starts_per_client=0.0))
        worker.page("192.0.2.1")
        worker.page("192.0.2.2")
        assert worker.line.questions == [(True, "")]

    def test_one_who_left_is_not_asked_for_any_more(self) -> None:
        worker = Worker()
        worker.stacks.disconnected()
        worker.page("192.0.2.1").leave()
        worker.page("192.0.2.2")
        worker.stacks.connected(worker.line)
        assert worker.line.questions == [(True, "192.0.2.2")]


class TestBounds:
    def test_all_who_wait_for_a_stack_count_whatever_they_ask(self) -> None:
        worker = Worker()
        clients = [worker.page("192.0.2.1"), worker.poll(), worker.page("192.0.2.2"), worker.poll(), worker.page("192.0.2.3")]
        assert [isinstance(client.error, errors.TooManyWaiting) for client in clients] == [False] * 4 + [True]
        worker.line.asked[0].ready()
        assert worker.idle()

    def test_who_found_no_room_at_all_leaves_nothing_behind(self) -> None:
        worker = Worker(evolve(LIMITS, max_held=0))
        assert isinstance(worker.page().error, errors.TooManyWaiting)
        assert worker.idle()


class Gateway:
    """The gateway's side, as simple as it can be: one stack; clients at their limit start nothing."""

    def __init__(self, limited: set[str]) -> None:
        self.limited = limited
        self.state = "asleep"
        self.held: list[Asked] = []

    def take(self, asked: Asked) -> None:
        if self.state == "ready":
            asked.ready()
        elif self.state == "starting":
            self.held.append(asked)
        elif not asked.wakes:
            asked.refuse(ASLEEP)
        elif asked.client in self.limited:
            asked.refuse(errors.TooManyStarts(asked.client, 6.0, retry_after=1))
        else:
            self.state = "starting"
            self.held.append(asked)

    def started(self) -> None:
        if self.state == "starting":
            self.state = "ready"
            held, self.held = self.held, []
            for asked in held:
                asked.ready()


steps = st.lists(st.sampled_from(["page 1", "page 2", "page 3", "poll", "leave", "deliver", "started"]), max_size=40)


@given(steps, st.sets(st.sampled_from(["1", "2", "3"])))
def test_however_they_come_everybody_gets_an_answer_that_is_his(steps: list[str], limited: set[str]) -> None:
    worker, gateway = Worker(Limits(starts_per_client=6.0)), Gateway(limited)
    waiting: list[tuple[str, Client]] = []
    delivered = 0

    def deliver() -> None:
        nonlocal delivered
        while delivered < len(worker.line.all):
            delivered += 1
            gateway.take(worker.line.all[delivered - 1])

    for step in steps:
        match step.split():
            case ["page", client]:
                waiting.append((client, worker.page(client)))
            case ["poll"]:
                waiting.append(("", worker.poll()))
            case ["leave"] if waiting:
                waiting.pop()[1].leave()
            case ["deliver"]:
                deliver()
            case ["started"]:
                gateway.started()
        assert len(worker.line.asked) <= 2
    deliver()
    gateway.started()
    for client, one in waiting:
        if one.ticket is None and client:
            assert isinstance(one.error, errors.TooManyStarts)
            assert one.error.client == client in limited
        elif one.ticket is None:
            assert isinstance(one.error, errors.Asleep)
    assert worker.idle()


class Table:
    """The part of ISharedStacks that a Wake meets."""

    on_close = on_drain = None

    def __init__(self) -> None:
        self.asked: list[tuple[Key, bool, str]] = []

    def ensure(self, key: Key, wakes: bool, client: str) -> Deferred[Ticket]:
        self.asked.append((key, wakes, client))
        return fail(ASLEEP) if not wakes else succeed(Ticket(key, 1, Endpoint("10.0.0.1", 80)))


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"wakes": True, "client": "192.0.2.1"}, (KEY, True, "192.0.2.1")),
        ({"wakes": False, "client": ""}, (KEY, False, "")),
        ({}, (KEY, True, "")),  # a worker of an earlier version
    ],
)
def test_the_table_is_asked_what_the_worker_asked(said: dict[str, Any], asked: tuple[Key, bool, str]) -> None:
    table = Table()
    server = HubFactory(Hub(Clock(), table)).buildProtocol(None)  # type: ignore[arg-type]
    client = AMP()
    pump = connect(server, FakeTransport(server, True), client, FakeTransport(client, False), debug=False)
    answers: list[dict[str, Any]] = []
    client.callRemote(Wake, key=str(KEY), **said).addCallback(answers.append)
    pump.flush()
    assert table.asked == [asked]
    assert (answers[0]["refusal"] is None) == asked[1]
