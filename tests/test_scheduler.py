"""What happens by the clock happens when it is due, once, and not while the clock is in doubt."""

from typing import Any

import pytest
import structlog

import handlers
from telcod.clock import ClockGuard
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.engine import PRUNE_ROUTE
from telcod.errors import Overloaded, Unavailable
from telcod.rows import MO, QUARANTINE
from telcod.scheduler import DUE_SLICE, SET_ASIDE_MS, Scheduler
from telcod.storage.readers import MemoryReader
from tests.world import World

A, B = 84903000001, 84903000002
PRICE_VND = 1_000

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Office:
    """A scheduler over books in memory, whose writer commits at once."""

    def __init__(self, *msisdns, routes=None):
        self.books: Any = World(routes=routes)
        self.clock = self.books.clock
        self.guard = ClockGuard(wall_ms=self.clock.wall_ms(), monotonic_s=self.clock.monotonic_s())
        self.posted = []
        self.room = 10**6
        self.unreadable = 0
        for msisdn in msisdns:
            self.books.subscriber(msisdn, balance_vnd=20_000)
            self.books.text(msisdn, "DK")
        store: Any = self.books.store
        self.reader = MemoryReader(store)
        self.asked_for = []
        self.scheduler = Scheduler(
            self, self, self.clock, self.guard, lambda: self.books.rules.limits.texts
        )

    async def due_calls(self, *, now_ms, most):
        return []

    async def due_texts(self, *, now_ms, most):
        return []

    async def due_subscriptions(self, *, now_ms, most):
        if self.unreadable:
            self.unreadable -= 1
            raise Unavailable("the file is locked")
        self.asked_for.append(most)
        return await self.reader.due_subscriptions(now_ms=now_ms, most=most)

    def post(self, request, sink):
        if not self.room:
            return False
        self.room -= 1
        self.posted.append(request)
        sink(request, self.books.run(request)[0])
        return True

    async def tick(self):
        return await self.scheduler.tick()

    def renewals(self):
        return [request for request in self.posted if request.route == "clock.package"]


async def passed(office, ms, *, step_ms=10 * MINUTE_MS):
    """Time passes, with a tick now and then; how many subscriptions were looked after."""
    done = 0
    while ms > 0:
        office.clock.advance(min(ms, step_ms))
        ms -= step_ms
        done += await office.tick()
    return done


@pytest.mark.rule("PKG-6")
async def test_nothing_is_asked_before_it_is_due_and_each_renewal_is_once():
    office = Office(A, B)
    assert await office.tick() == 0
    await passed(office, DAY_MS - 1)
    assert office.books.balance(A) == 20_000
    await passed(office, 1)
    assert office.books.balance(A) == office.books.balance(B) == 20_000 - PRICE_VND
    await office.tick()
    assert office.books.balance(A) == 20_000 - PRICE_VND
    assert not office.books.check()


@pytest.mark.rule("PKG-6")
async def test_after_three_days_down_only_the_present_period_is_charged():
    office = Office(A)
    office.clock.advance(4 * DAY_MS)
    office.guard.observe(wall_ms=office.clock.wall_ms(), monotonic_s=office.clock.monotonic_s())
    await office.tick()
    assert office.books.balance(A) == 20_000 - PRICE_VND
    await office.tick()
    assert office.books.balance(A) == 20_000 - PRICE_VND


@pytest.mark.rule("PKG-6")
@pytest.mark.parametrize("jump_ms", [HOUR_MS, DAY_MS, 40 * 365 * DAY_MS, -HOUR_MS, -3_000])
async def test_a_clock_that_jumped_stops_everything_until_somebody_confirms_it(jump_ms):
    office = Office(A)
    await passed(office, DAY_MS - 1_000, step_ms=HOUR_MS)
    posted = len(office.renewals())
    office.clock.jump(jump_ms)
    with structlog.testing.capture_logs() as lines:
        assert await passed(office, 2 * HOUR_MS) == 0
    assert len(office.renewals()) == posted
    assert office.books.balance(A) == 20_000
    [line] = [line for line in lines if line["event"] == "clock.jumped"]  # Said once.
    assert line["jump_ms"] == jump_ms
    assert "telcod confirm-clock" in line["what_to_do"]
    # Texts are answered and charged all the same.
    assert office.books.text(A, "KT").outcome == "package.in_trial"

    office.guard.confirm()
    await passed(office, DAY_MS, step_ms=HOUR_MS)
    charged = 20_000 - office.books.balance(A)
    assert charged in {PRICE_VND, 2 * PRICE_VND}  # Of one day, and perhaps of the next.
    assert not office.books.check()


@pytest.mark.rule("PKG-6")
async def test_a_clock_that_goes_back_renews_nothing_twice_and_no_commit_is_earlier():
    office = Office(A)
    await passed(office, DAY_MS, step_ms=HOUR_MS)
    assert office.books.balance(A) == 20_000 - PRICE_VND
    office.clock.jump(-HOUR_MS)
    await office.tick()
    office.guard.confirm()
    office.books.text(A, "KT")
    await passed(office, 2 * HOUR_MS)
    assert office.books.balance(A) == 20_000 - PRICE_VND
    times = [row.at for row in office.books.store.scan(MO)]
    assert times == sorted(times)


async def test_a_clock_that_is_slewed_is_believed():
    office = Office(A)
    for _ in range(100):
        office.clock.advance(1_000)
        office.clock.jump(50)
        await office.tick()
    assert not office.guard.jumped


@pytest.mark.rule("PKG-6")
async def test_more_than_a_slice_is_done_in_one_tick():
    msisdns = range(84903000000, 84903000000 + DUE_SLICE + 5)
    office = Office(*msisdns)
    office.clock.advance(DAY_MS)
    assert await office.tick() >= DUE_SLICE + 5
    assert {office.books.balance(msisdn) for msisdn in msisdns} == {20_000 - PRICE_VND}


@pytest.mark.rule("PKG-6")
async def test_what_a_full_queue_did_not_take_is_done_at_the_next_tick():
    office = Office(A, B)
    office.clock.advance(DAY_MS)
    office.room = 1
    await office.tick()
    assert sum(20_000 - office.books.balance(each) for each in (A, B)) == PRICE_VND
    office.room = 10
    await office.tick()
    assert sum(20_000 - office.books.balance(each) for each in (A, B)) == 2 * PRICE_VND


@pytest.mark.rule("PKG-6")
async def test_what_the_writer_refused_is_still_due():
    office = Office(A)
    office.clock.advance(DAY_MS)
    run = office.books.run
    office.books.run = lambda *requests: [Overloaded("the disk is full") for _ in requests]
    assert await office.tick() == 0
    office.books.run = run
    await office.tick()
    assert office.books.balance(A) == 20_000 - PRICE_VND


async def test_books_that_cannot_be_read_are_read_at_the_next_tick():
    office = Office(A)
    office.clock.advance(DAY_MS)
    office.unreadable = 1
    with pytest.raises(Unavailable):
        await office.tick()
    assert await office.tick() >= 1


async def test_a_subscription_whose_rules_broke_is_left_alone_for_an_hour():
    look_after = handlers.ROUTES["clock.package"]

    def broken(request, tx):
        if request.sender == A:
            raise RuntimeError("what a subscription")
        return look_after.handler(request, tx)

    office = Office(
        A, B, routes={**handlers.ROUTES, look_after.name: look_after._replace(handler=broken)}
    )
    with structlog.testing.capture_logs():
        await passed(office, DAY_MS, step_ms=DAY_MS)
        before = len(list(office.books.store.scan(QUARANTINE)))
        await passed(office, SET_ASIDE_MS - 1, step_ms=MINUTE_MS)
        assert len(list(office.books.store.scan(QUARANTINE))) == before == 1
        assert office.books.balance(B) == 20_000 - PRICE_VND
        await passed(office, 1)
    assert len(list(office.books.store.scan(QUARANTINE))) == 2
    assert DUE_SLICE + 1 in office.asked_for


async def test_the_books_are_tidied_an_hour_apart():
    office = Office()
    await passed(office, 3 * HOUR_MS, step_ms=MINUTE_MS)
    pruned = [request for request in office.posted if request.route == PRUNE_ROUTE]
    assert len(pruned) == 3
    assert pruned[0].args == (str(90 * DAY_MS), str(60 * MINUTE_MS))


async def test_old_texts_go_and_young_ones_stay():
    office = Office(A)
    for _ in range(3):
        office.books.text(A, "KT")
    office.clock.advance(91 * DAY_MS)
    office.books.text(A, "HD")
    await office.tick()
    assert [row.text for row in office.books.store.scan(MO)] == ["HD"]
