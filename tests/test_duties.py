"""What only one of several daemons may do is done by one, and begun and ended as the duty comes."""

import asyncio
from typing import Any

import pytest
import structlog

from telcod.clock import ManualClock
from telcod.duties import CLOCK, Duty, Tending
from telcod.errors import StoreAway, Unavailable
from telcod.ports import LEASE_S, Tended

BOOT = 7
NO_READER: Any = None


@pytest.fixture(autouse=True)
def logs():
    with structlog.testing.capture_logs() as lines:
        yield lines


def ours(logs):
    """Without what the loop says of itself."""
    return [line for line in logs if line["event"].startswith("duty.")]


# -- the duty


class Work:
    """Begins, and works until it is cancelled or told to end."""

    def __init__(self):
        self.begun = 0
        self.cancelled = 0
        self.changed = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        self.changed.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            self.changed.set()
            raise

    async def wait(self):
        async with asyncio.timeout(20):
            await self.changed.wait()
        self.changed.clear()


def play(dialogue, *, held):
    async def run():
        duty, work = Duty(held=held), Work()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(duty.keep(work))
            await dialogue(duty, work, keeping)
            keeping.cancel()

    asyncio.run(run())


def test_who_is_alone_has_the_duty_from_the_beginning():
    async def dialogue(duty, work, keeping):
        assert duty.held
        await work.wait()
        assert work.begun == 1

    play(dialogue, held=True)


def test_the_work_of_the_duty_begins_and_ends_with_it_again_and_again(logs):
    async def dialogue(duty, work, keeping):
        await asyncio.sleep(0)
        assert work.begun == 0
        for times in (1, 2):
            duty.set(held=True)
            await work.wait()
            assert (work.begun, work.cancelled) == (times, times - 1)
            duty.set(held=True)
            duty.set(held=False)
            await work.wait()
            assert (work.begun, work.cancelled) == (times, times)
        assert not duty.held

    play(dialogue, held=False)
    assert [line["event"] for line in ours(logs)] == 2 * ["duty.taken", "duty.lost"]


def test_work_that_ends_by_itself_is_not_begun_again():
    async def dialogue(duty, work, keeping):
        await work.wait()
        work.end.set()
        async with asyncio.timeout(20):
            await keeping
        assert (work.begun, work.cancelled) == (1, 0)

    play(dialogue, held=True)


def test_work_that_breaks_is_not_kept_quiet():
    async def broken():
        raise KeyError("what")

    with pytest.raises(ExceptionGroup):
        asyncio.run(Duty(held=True).keep(broken))


def test_work_ends_when_the_daemon_does():
    works = []

    async def dialogue(duty, work, keeping):
        works.append(work)
        await work.wait()

    play(dialogue, held=True)
    assert works[0].cancelled == 1


# -- tending


class Sender:
    def __init__(self):
        self.may_send: Any = None
        self.disowned = 0
        self.error = None

    async def disown(self, reader):
        self.disowned += 1
        if self.error is not None:
            raise self.error


class Gateway:
    def __init__(self):
        self.sender = Sender()
        self.heir_of: Any = None
        self.noted = 0

    def inherit(self, owners):
        self.heir_of = owners

    def note_all(self):
        self.noted += 1


class Books:
    """The store and the engine in one: what `tend` gives is set by hand."""

    def __init__(self, clock):
        self.clock = clock
        self.tended: Any = Tended(frozenset({CLOCK}), frozenset())
        self.takes_s = 0
        self.asked = []

    def tend(self, boot, duties):
        self.asked.append((boot, tuple(duties)))
        if isinstance(self.tended, Exception):
            raise self.tended
        return self.tended

    async def between_batches(self, errand):
        self.clock.advance(self.takes_s * 1_000)
        return errand()

    async def submit(self, request):
        raise AssertionError(request)


class World:
    def __init__(self, **settings):
        self.clock = ManualClock(0)
        self.books: Any = Books(self.clock)
        self.duty = Duty(held=False)
        self.gateway: Any = Gateway()
        whole: Any = Tending  # Of the rest of the daemon only what is here is asked.
        self.tending = whole(
            self.books,
            self.books,
            BOOT,
            self.duty,
            self.gateway,
            self.clock,
            **settings,
        )

    def tick(self, **tended):
        if tended:
            self.books.tended = Tended(**{"duties": frozenset(), "heir_of": frozenset()} | tended)
        asyncio.run(self.tending.tick(NO_READER))
        return self.may_send

    @property
    def may_send(self):
        return self.gateway.sender.may_send()


def test_nothing_is_sent_before_the_books_have_seen_us_alive():
    world = World()
    assert not world.may_send
    assert world.tick()
    assert world.books.asked == [(BOOT, (CLOCK,))]
    assert world.duty.held


def test_what_the_store_said_counts_for_a_while_from_when_it_was_asked():
    world = World()
    world.books.takes_s = 2
    assert world.tick()
    counts = []
    for later_ms in ((LEASE_S - 2) * 1_000 - 1, 1):
        world.clock.advance(later_ms)
        counts.append(world.may_send)
    assert counts == [True, False]


@pytest.mark.parametrize("error", [StoreAway("away"), Unavailable("stopping")])
def test_who_cannot_ask_has_no_duty_and_sends_nothing_before_long(error):
    world = World()
    world.tick()
    world.books.tended = error
    may_send = [world.tick()]  # Others wait for longer.
    found = [(world.duty.held, world.tending.lacks)]
    world.clock.advance(LEASE_S * 1_000)
    may_send += [world.may_send, world.tick(duties=frozenset({CLOCK}))]
    found.append((world.duty.held, world.tending.lacks))
    assert may_send == [True, False, True]
    assert found == [(False, "the database is away"), (True, "")]


def test_who_is_taken_for_dead_sends_nothing_until_it_has_seen_what_was_taken_over():
    world = World()
    world.tick()
    world.clock.advance(LEASE_S * 1_000)
    assert not world.tick(sure=False)
    assert world.gateway.sender.disowned == 0
    world.gateway.sender.error = Unavailable("can't be read")
    assert not world.tick(sure=True, epoch=1)
    world.gateway.sender.error = None
    assert world.tick(sure=True, epoch=1)
    assert (world.gateway.sender.disowned, world.gateway.noted) == (2, 2)
    assert world.tick(sure=True, epoch=1)
    assert world.gateway.sender.disowned == 2, "once is enough"


def test_whose_texts_are_to_be_taken_over_is_passed_on():
    world = World()
    world.tick(heir_of=frozenset({3}), daemons=2)
    assert world.gateway.heir_of == {3}
    assert world.tending.daemons == 2


def test_a_store_that_does_not_answer_is_as_good_as_away(logs):
    world = World(wait_s=0.001)
    world.tick()

    async def never(errand):
        await asyncio.Event().wait()

    world.books.between_batches = never
    world.tick()
    assert not world.duty.held
    assert [line.get("reason") for line in ours(logs)] == [None, "no answer", None]
