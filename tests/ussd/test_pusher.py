"""Pushes come to their gateway in order, are tried again, expire, and are never shown twice by a
telcod that could not write down that they were.
"""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from telcod.clock import ManualClock
from telcod.engine import Engine
from telcod.errors import Overloaded, StoreFailed, StoreFull, Unavailable
from telcod.rows import OUTBOX_PUSH, OutboxPush, OutboxState
from telcod.simulator.watch import WAIT_S, Watch
from telcod.storage.memory import MemoryStore
from telcod.storage.readers import SqliteReader
from telcod.types import Answer
from tests.session_world import SessionWorld
from tests.world import START_MS
from ussd.push import AT_ONCE_MAX, SLICE, Pusher, PushFailed
from ussd.steps import PUSHED, shown

pytestmark = [pytest.mark.anyio, pytest.mark.rule("USSD-4")]

A, B = 84903000001, 84903000002
LIVES_MS = 180_000


@pytest.fixture
def anyio_backend():
    return "asyncio"


def pending(seq, *, msisdn=B, asks=1, expires_at=START_MS + LIVES_MS):
    """A push that waits."""
    text = f"push {seq}"
    return OutboxPush(seq, START_MS, msisdn, "consent", str(seq), text, asks, expires_at, 0, 0, 0)


class Desk:
    """A gateway that says to each push what the test wants, and keeps what it was handed.

    `says` is given the push and how often it has come; a `PushFailed` or another exception is
    raised, None accepts.  While `open` is not set nobody is answered.
    """

    def __init__(self, says=lambda push, times: None):
        self.watch = Watch()
        self.handed = []
        self.at_once = 0
        self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self._says = says

    async def push(self, push):
        self.handed.append(push)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.watch.changed()
        try:
            await self.open.wait()
            said = self._says(push, self.ids.count(push.session_id))
        finally:
            self.at_once -= 1
        if said is not None:
            raise said

    @property
    def ids(self):
        return [push.session_id for push in self.handed]

    async def wait_handed(self, count):
        await self.watch.until(lambda: len(self.handed) >= count, what=f"{count} pushes")


class Books:
    """Pushes and what was noted of them, without an engine.

    `answers` are what the next notes are answered with, `full` how often there is no room for one,
    `broken` how often they can't be read.
    """

    def __init__(self, *rows):
        self.rows = {row.seq: row for row in rows}
        self.noted = []
        self.answers = []
        self.full = 0
        self.broken = 0
        self.watch = Watch()

    async def pending_pushes(self, *, after, most):
        if self.broken:
            self.broken -= 1
            raise StoreFailed("the disk is away")
        return [row for seq, row in sorted(self.rows.items()) if seq > after][:most]

    def post(self, request, sink):
        if self.full:
            self.full -= 1
            return False
        answer = self.answers.pop(0) if self.answers else Answer("push.noted")
        if isinstance(answer, Answer):
            seq, became, attempts = request.args
            self.noted.append((int(seq), became, int(attempts)))
            del self.rows[int(seq)]
        asyncio.get_running_loop().call_soon(sink, request, answer)
        self.watch.changed()
        return True

    async def wait_noted(self, count):
        await self.watch.until(lambda: len(self.noted) >= count, what=f"{count} notes")
        return self.noted


@contextlib.asynccontextmanager
async def pushing(desk, books, *, clock=None, **options):
    """A pusher at work; what it logs."""
    clock = clock or ManualClock(START_MS)
    pusher = Pusher(desk, books, books, clock, pauses_s=(0, 0), look_again_s=0, **options)
    with capture_logs() as logged:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(pusher.run())
            yield pusher, logged
            running.cancel()


# --------------------------------------------------------------------------------- one push


async def test_a_push_is_handed_over_as_it_is_and_noted():
    desk, books = Desk(), Books(pending(17))
    async with pushing(desk, books):
        assert await books.wait_noted(1) == [(17, "accepted", 1)]
    (push,) = desk.handed
    assert (push.session_id, push.msisdn, push.text, push.asks) == ("push-17", B, "push 17", True)
    assert push.expires_in_s == LIVES_MS // 1_000


async def test_a_notice_asks_nothing():
    desk, books = Desk(), Books(pending(1, asks=0))
    async with pushing(desk, books):
        await books.wait_noted(1)
    assert desk.handed[0].asks is False


@pytest.mark.parametrize(
    ("left_ms", "told_s"), [(1, 1), (999, 1), (1_000, 1), (1_999, 1), (60_000, 60)]
)
async def test_the_gateway_is_told_in_whole_seconds_how_long_it_has(left_ms, told_s):
    desk, books = Desk(), Books(pending(1, expires_at=START_MS + left_ms))
    async with pushing(desk, books):
        await books.wait_noted(1)
    assert desk.handed[0].expires_in_s == told_s


@pytest.mark.parametrize("over_ms", [0, 1, 1_000_000])
async def test_a_push_whose_time_is_over_is_not_handed_over(over_ms):
    desk, books = Desk(), Books(pending(1, expires_at=START_MS - over_ms))
    async with pushing(desk, books):
        assert await books.wait_noted(1) == [(1, "expired", 0)]
    assert desk.handed == []


async def test_a_push_is_tried_three_times():
    desk = Desk(lambda push, times: PushFailed("away", retry=True))
    books = Books(pending(1))
    async with pushing(desk, books):
        assert await books.wait_noted(1) == [(1, "failed", 3)]
    assert desk.ids == ["push-1"] * 3


async def test_a_push_that_is_taken_at_last_is_accepted():
    desk = Desk(lambda push, times: PushFailed("away", retry=True) if times < 3 else None)
    books = Books(pending(1))
    async with pushing(desk, books):
        assert await books.wait_noted(1) == [(1, "accepted", 3)]


async def test_a_push_that_is_refused_for_good_is_tried_once():
    desk = Desk(lambda push, times: PushFailed("no such phone", retry=False))
    books = Books(pending(1))
    async with pushing(desk, books):
        assert await books.wait_noted(1) == [(1, "failed", 1)]


async def test_a_push_may_expire_between_two_tries():
    clock = ManualClock(START_MS)

    def says(push, times):
        clock.advance(LIVES_MS)
        return PushFailed("away", retry=True)

    books = Books(pending(1))
    async with pushing(Desk(says), books, clock=clock):
        assert await books.wait_noted(1) == [(1, "expired", 1)]


async def test_what_is_left_of_its_time_is_told_at_each_try():
    clock = ManualClock(START_MS)

    def says(push, times):
        clock.advance(10_000)
        return PushFailed("away", retry=True)

    desk, books = Desk(says), Books(pending(1))
    async with pushing(desk, books, clock=clock):
        await books.wait_noted(1)
    assert [push.expires_in_s for push in desk.handed] == [180, 170, 160]


async def test_a_gateway_that_never_answers_is_given_up():
    desk, books = Desk(), Books(pending(1))
    desk.open.clear()
    async with pushing(desk, books, push_wait_s=0.01):
        assert await books.wait_noted(1) == [(1, "failed", 3)]


async def test_a_push_that_breaks_its_gateway_does_not_stop_the_others():
    desk = Desk(lambda push, times: ZeroDivisionError() if push.session_id == "push-1" else None)
    books = Books(pending(1), pending(2))
    async with pushing(desk, books) as (_, logged):
        noted = await books.wait_noted(2)
    assert sorted(noted) == [(1, "failed", 1), (2, "accepted", 1)]
    assert [line["session"] for line in logged if line["event"] == "push.broke"] == ["push-1"]


# ---------------------------------------------------------------------------------- many pushes


async def test_pushes_come_oldest_first():
    desk, books = Desk(), Books(*map(pending, range(1, 21)))
    async with pushing(desk, books):
        await books.wait_noted(20)
    assert desk.ids == [f"{PUSHED}{seq}" for seq in range(1, 21)]


async def test_not_more_than_some_are_under_way_at_once_and_all_come_once():
    many = SLICE + AT_ONCE_MAX + 7
    desk, books = Desk(), Books(*map(pending, range(1, many + 1)))
    desk.open.clear()
    async with pushing(desk, books):
        await desk.wait_handed(AT_ONCE_MAX)
        desk.open.set()
        await books.wait_noted(many)
    assert desk.most_at_once == AT_ONCE_MAX
    assert sorted(desk.ids) == sorted(f"{PUSHED}{seq}" for seq in range(1, many + 1))


async def test_one_that_is_slow_does_not_hold_up_the_rest():
    slow = asyncio.Event()

    class Slow(Desk):
        async def push(self, push):
            if push.session_id == "push-1":
                await slow.wait()
            await super().push(push)

    books = Books(*map(pending, range(1, 6)))
    async with pushing(Slow(), books):
        assert sorted(await books.wait_noted(4)) == [(seq, "accepted", 1) for seq in range(2, 6)]
        slow.set()
        assert (await books.wait_noted(5))[-1] == (1, "accepted", 1)


async def test_what_comes_later_is_pushed_when_it_is_told():
    desk, books = Desk(), Books()
    async with pushing(desk, books) as (pusher, _):
        for seq in (1, 2, 3):
            books.rows[seq] = pending(seq)
            pusher.wake([books.rows[seq]])
            await books.wait_noted(seq)
    assert desk.ids == ["push-1", "push-2", "push-3"]


async def test_being_told_twice_is_no_second_push():
    desk, books = Desk(), Books(pending(1))
    desk.open.clear()
    async with pushing(desk, books) as (pusher, _):
        await desk.wait_handed(1)
        books.rows[2] = pending(2)
        pusher.wake()
        await desk.wait_handed(2)
        pusher.wake()
        desk.open.set()
        await books.wait_noted(2)
    assert desk.ids == ["push-1", "push-2"]


# ----------------------------------------------------------------------- books without room


async def test_while_the_queue_is_full_the_note_waits_and_nothing_is_shown_again():
    desk, books = Desk(), Books(pending(1))
    books.full = 25
    async with pushing(desk, books):
        assert await books.wait_noted(1) == [(1, "accepted", 1)]
    assert desk.ids == ["push-1"]


async def test_while_the_disk_is_full_the_note_waits_and_nothing_is_shown_again():
    desk, books = Desk(), Books(pending(1))
    books.answers = [Overloaded("the disk is full")] * 25
    async with pushing(desk, books) as (_, logged):
        assert await books.wait_noted(1) == [(1, "accepted", 1)]
    assert desk.ids == ["push-1"]
    assert sum(line["event"] == "push.unnoted" for line in logged) == 25


async def test_when_the_books_close_nothing_is_shown_again():
    desk, books = Desk(), Books(pending(1), pending(2))
    books.answers = [Unavailable("telcod is stopping")]
    async with pushing(desk, books) as (pusher, _):
        assert await books.wait_noted(1) == [(2, "accepted", 1)]
        pusher.wake()
        books.rows[3] = pending(3)
        assert await books.wait_noted(2) == [(2, "accepted", 1), (3, "accepted", 1)]
    assert desk.ids == ["push-1", "push-2", "push-3"]


async def test_books_that_can_not_be_read_are_looked_at_again():
    desk, books = Desk(), Books(pending(1))
    books.broken = 3
    async with pushing(desk, books) as (_, logged):
        await books.wait_noted(1)
    assert sum(line["event"] == "pushes.unreadable" for line in logged) == 3


# ------------------------------------------------------------------- with real books and engine


class Operator:
    """Books in a file, their writer, and a pusher before a desk; may be stopped and started."""

    def __init__(self, folder, desk):
        self.world = SessionWorld(folder / "books.db")
        self.world.subscriber(A)
        self.world.subscriber(B, balance_vnd=20_000)
        self.desk = desk
        self.path = folder / "books.db"
        self._committed = asyncio.Event()

    async def __aenter__(self):
        self.engine = Engine(self.world.batcher, queue_max=100)
        self.engine.on_batch = lambda _: self._committed.set()
        self.engine.start(asyncio.get_running_loop())
        self.reader = await SqliteReader(self.path).__aenter__()
        clock = self.world.clock
        self.pusher = Pusher(
            self.desk, self.reader, self.engine, clock, pauses_s=(0, 0), look_again_s=0
        )
        self.engine.on_pushes = self.pusher.wake
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._running = self._tasks.create_task(self.pusher.run())
        return self

    async def __aexit__(self, *_):
        self._running.cancel()
        await self._tasks.__aexit__(None, None, None)
        await self.reader.__aexit__(None, None, None)
        await self.engine.stop()
        self.world.restart()

    async def states(self, *wanted):
        """Wait until the pushes are in these states."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self._committed.clear()
                found = [row.state for row in await self.reader.all(OUTBOX_PUSH)]
                if found == list(wanted):
                    return
                await self._committed.wait()


@pytest.mark.rule("PFM-30")
async def test_a_question_goes_out_after_commit_and_its_answer_counts(tmp_path):
    desk = Desk()
    operator = Operator(tmp_path, desk)
    async with operator:
        await operator.engine.submit(operator.world.forward_request(A, B))
        await operator.states(OutboxState.ACCEPTED)
    (push,) = desk.handed
    assert "0903000001 muon gui tin nhan" in push.text
    screen = shown(operator.world.step(push.session_id, B, "1", step=1, code=""))
    assert "da dong y" in screen.text
    operator.world.store.close()


@pytest.mark.rule("PFM-30")
async def test_a_question_that_nobody_takes_becomes_a_text(tmp_path):
    operator = Operator(tmp_path, Desk(lambda push, times: PushFailed("away", retry=True)))
    async with operator:
        await operator.engine.submit(operator.world.forward_request(A, B))
        await operator.states(OutboxState.FAILED)
    assert operator.desk.ids == ["push-1"] * 3
    assert any("Soan Y" in text for text in operator.world.sent_to(B))
    operator.world.store.close()


@pytest.mark.rule("PFM-30")
async def test_what_was_pending_when_telcod_stopped_is_pushed_when_it_starts(tmp_path):
    desk = Desk()
    operator = Operator(tmp_path, desk)
    for text in ("one", "two", "three"):
        operator.world.forward(A, B, text)
    assert desk.handed == []
    async with operator:
        await operator.states(*[OutboxState.ACCEPTED] * 3)
    assert desk.ids == ["push-1", "push-2", "push-3"]
    operator.world.store.close()


@pytest.mark.rule("PFM-30")
async def test_a_push_whose_acceptance_was_not_noted_comes_again_under_the_same_id(tmp_path):
    desk = Desk()
    operator = Operator(tmp_path, desk)
    operator.world.forward(A, B)
    desk.open.clear()
    async with operator:
        await desk.wait_handed(1)  # And telcod dies.
    assert [row.state for row in operator.world.pushes()] == [OutboxState.PENDING]
    desk.open.set()
    async with operator:
        await operator.states(OutboxState.ACCEPTED)
    assert desk.ids == ["push-1", "push-1"]
    operator.world.store.close()


@pytest.mark.rule("PFM-30")
async def test_a_key_pressed_before_the_gateway_was_known_to_have_it_counts(tmp_path):
    desk = Desk(lambda push, times: PushFailed("no answer", retry=True))
    operator = Operator(tmp_path, desk)
    desk.open.clear()
    async with operator:
        await operator.engine.submit(operator.world.forward_request(A, B))
        await desk.wait_handed(1)
        request = operator.world.answer_request(desk.handed[0].session_id, B, "1")
        assert "da dong y" in shown(await operator.engine.submit(request)).text
        desk.open.set()
        await operator.states(OutboxState.FAILED)
    assert not any("Soan Y" in text for text in operator.world.sent_to(B))
    operator.world.store.close()


async def test_a_store_without_room_delays_the_note_only():
    class Crowded(MemoryStore):
        left = 0

        def commit(self):
            if self.left:
                self.left -= 1
                raise StoreFull("no room")
            super().commit()

    store = Crowded()
    world = SessionWorld(store=store)
    world.subscriber(A)
    world.subscriber(B, balance_vnd=20_000)
    world.forward(A, B)
    desk = Desk()
    done = asyncio.Event()

    class Pending:
        async def pending_pushes(self, *, after, most):
            return world.pending_pushes()

    engine = Engine(world.batcher, queue_max=100)
    engine.on_batch = lambda _: done.set()
    engine.start(asyncio.get_running_loop())
    store.left = 3
    pusher = Pusher(desk, Pending(), engine, world.clock, look_again_s=0)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(pusher.run())
        await done.wait()
        running.cancel()
    await engine.stop()
    assert desk.ids == ["push-1"]
    assert world.push().state == OutboxState.ACCEPTED
