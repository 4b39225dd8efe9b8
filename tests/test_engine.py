"""The one way to write: batches, keys, quarantine, and a disk that is full or broken."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest
import structlog

import handlers
from telcod.billing.accounts import OPENING, main_account
from telcod.billing.ledger import Transfer, post
from telcod.dispatch import RECEIPT_ROUTE, Route
from telcod.engine import INHERIT_ROUTE, PART_ROUTE, WAITED_MAX_S, Engine, request_hash
from telcod.errors import (
    KeyReused,
    LedgerCorrupt,
    Overloaded,
    StoreAway,
    StoreFailed,
    StoreFull,
    Unavailable,
)
from telcod.ports import AGAIN, BOOT_SHIFT, DOUBT_S, Settled, Turn, Twin
from telcod.rows import (
    COMMAND,
    ENTRY,
    LIST_ENTRY,
    META,
    MO,
    MO_PART,
    PAYMENT_PASSWORD,
    PERIOD,
    QUARANTINE,
    SMSC_CONNECTION,
    ListEntry,
    OutboxSms,
    OutboxState,
    Period,
    SmscConnection,
)
from telcod.storage.memory import MemoryStore
from telcod.types import Again, Channel, Concat, Line, Mo, Reply, Request, SecretNeeded
from tests.world import HASHED, World, rules_with

A, B, C = 84903000001, 84903000002, 84903000003


@pytest.fixture(autouse=True)
def log():
    with structlog.testing.capture_logs() as lines:
        yield lines


def break_half_way(request, tx):
    post(tx, Transfer(OPENING, main_account(request.sender), 777, "opening", "poison", 0))
    tx.put(LIST_ENTRY, ListEntry(A, B, "black", tx.now_ms))
    raise RuntimeError("half-way")


def write_what_no_store_takes(request, tx):
    tx.put(PERIOD, Period(A, 1, 1, "day", "paid", 1, 2, 0))
    return Reply("never")


def say_no_key(request, tx):
    tx.put(LIST_ENTRY, ListEntry(A, B, "black", tx.now_ms))
    return Reply("x", lines=(Line("no.such_key", {}),))


def find_the_books_broken(request, tx):
    raise LedgerCorrupt("the books are broken")


ROUTES = {
    **handlers.ROUTES,
    "test.break": Route("test.break", break_half_way),
    "test.refused": Route("test.refused", write_what_no_store_takes),
    "test.unsayable": Route("test.unsayable", say_no_key),
    "test.corrupt": Route("test.corrupt", find_the_books_broken),
}


class BadDisk(MemoryStore):
    """Fails at COMMIT while told to; can be made to wait there."""

    error = None

    def __init__(self):
        super().__init__()
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.committing = threading.Event()

    def commit(self):
        self.committing.set()
        assert self.may_commit.wait(20)
        if self.error is not None:
            raise self.error
        super().commit()


@pytest.fixture
def world():
    world = World(routes=ROUTES, store=BadDisk())
    world.subscriber(A, balance_vnd=9_000)
    world.subscriber(B)
    return world


# ---------------------------------------------------------------------------------------- batches


def test_requests_of_a_batch_are_carried_out_in_order_and_see_one_another(world):
    results = world.run(
        world.text_request(A, "DK"),
        world.text_request(A, "HUY"),
        world.text_request(A, "DK7"),
        world.text_request(A, f"W {B}"),
        world.text_request(A, "KT W"),
    )
    assert [result.outcome for result in results] == [
        "package.trial_started",
        "package.cancelled",
        "package.started",
        "list.w.added",
        "list.w.show",
    ]
    assert [result.seq for result in results] == [1, 2, 3, 4, 5]
    assert world.balance(A) == 4_000
    assert world.check() == []


def test_a_reply_leaves_with_the_commit_of_its_cause(world):
    done = world.batcher.run([world.text_request(A, "HD"), world.text_request(B, "KT")])
    assert [(row.destination, row.mo, row.text) for row in done.outbox] == [
        (str(A), 1, done.results[0].text),
        (str(B), 2, done.results[1].text),
    ]
    assert world.outbox() == list(done.outbox)
    assert done.stats.requests == 2


def test_what_became_of_a_text_is_recorded_with_the_next_batch(world):
    world.text(A, "HD")
    up = SmscConnection(7, "smsc-a", 1, 0, 5, 9)
    world.batcher.run((), [Settled(1, 1, 1, 5, "smsc-a", "id")], [up])
    (row,) = world.outbox()
    assert (row.state, row.link) == (1, "smsc-a")
    assert list(world.store.scan(SMSC_CONNECTION)) == [up]


def test_a_batch_on_disk_is_the_same_as_in_memory(tmp_path):
    texts = [(A, "DK7"), (A, f"W {B}, {A} x"), (B, "DK"), (C, "KT"), (A, "HUY"), (B, "MK abcd")]
    contents = []
    for path in (None, tmp_path / "b.db"):
        with World(path, routes=ROUTES) as world:
            world.subscriber(A, balance_vnd=9_000)
            world.subscriber(B)
            world.run(*(world.text_request(number, text) for number, text in texts))
            contents.append(world.contents())
    assert contents[0] == contents[1]


# ------------------------------------------------------------------------------------ what breaks


@pytest.mark.rule("SMPP-2")
def test_a_request_that_breaks_is_undone_alone_answered_and_kept(world, log):
    before = world.check(), world.listed(A, "black"), world.balance(A)
    poison = world.text_request(A, "HD")
    poison = type(poison)(route="test.break", sender=A, mo=poison.mo, short_code="1566")
    results = world.run(world.topup_request(A, 1), poison, world.topup_request(A, 1))
    assert [result.outcome for result in results] == ["topup.done", "ours.sorry", "topup.done"]
    assert "9090" in results[1].text
    assert (world.check(), world.listed(A, "black"), world.balance(A) - 2) == before
    (row,) = world.store.scan(QUARANTINE)
    assert row.route == "test.break"
    assert "RuntimeError: half-way" in row.error
    assert world.sent_to(A) == [results[1].text]
    assert [line["event"] for line in log] == ["request.quarantined"]


def test_a_reply_that_cannot_be_said_is_undone_too(world):
    (result,) = world.run(Request(route="test.unsayable", sender=A))
    assert result.outcome == "ours.sorry"
    assert world.listed(A, "black") == []
    (missing,) = world.run(Request(route="no.such_route", sender=A))
    assert missing.outcome == "ours.sorry"


@pytest.mark.rule("SMPP-2")
def test_a_batch_that_the_store_refuses_is_run_one_by_one(world, log):
    poison = Request(route="test.refused", sender=A, key="poison")
    results = world.run(world.topup_request(A, 1), poison, world.topup_request(A, 1))
    assert [result.outcome for result in results] == ["topup.done", "ours.sorry", "topup.done"]
    assert world.balance(A) == 9_002
    assert world.check() == []
    (row,) = world.store.scan(QUARANTINE)
    assert "StoreRefused" in row.error
    assert log[0]["event"] == "batch.refused"
    assert world.run(poison) == [results[1]]  # It is not tried again.


def test_a_single_request_that_the_store_refuses_is_quarantined(world):
    (result,) = world.run(Request(route="test.refused", sender=A))
    assert result.outcome == "ours.sorry"
    assert len(list(world.store.scan(QUARANTINE))) == 1


@pytest.mark.parametrize("error", [StoreFull("no room"), StoreFailed("fsync")])
def test_what_did_not_commit_never_was(world, error):
    before = world.contents()
    world.store.error = error
    with pytest.raises(type(error)):
        world.text(A, "DK")
    world.store.error = None
    assert world.contents() == before
    assert world.text(A, "DK").seq == 1
    assert world.check() == []


def test_broken_books_stop_everything(world):
    before = world.contents()
    with pytest.raises(LedgerCorrupt):
        world.run(world.topup_request(A, 1), Request(route="test.corrupt", sender=A))
    assert world.contents() == before


# ------------------------------------------------------------------------------------------- keys


def test_a_repeat_gets_the_first_answer_and_nothing_happens(world):
    request = world.topup_request(A, 500, key="k")
    (first,) = world.run(request)
    stored = world.row(COMMAND, "k").answer
    assert world.run(request, request) == [first, first]
    world.restart()
    world.clock.advance(10**9)
    assert world.run(request) == [first]
    assert world.row(COMMAND, "k").answer == stored
    assert world.balance(A) == 9_500


def test_a_refusal_stands_as_well(world):
    request = world.topup_request(C, 500, key="k")
    (first,) = world.run(request)
    world.subscriber(C)
    assert world.run(request) == [first]
    assert first.outcome == "subscriber.unknown"
    assert world.balance(C) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"args": ("501", "cash")},
        {"args": ("500", "card")},
        {"sender": B},
        {"route": "staff.set_state"},
        {"actor": "cli:other"},
        {"body": {"a": 1}},
        {"short_code": "1566"},
    ],
)
def test_the_same_key_for_another_request_is_refused(world, changed):
    request = world.topup_request(A, 500, key="k")
    world.run(request)
    values = {name: getattr(request, name) for name in request.__struct_fields__}
    (result,) = world.run(Request(**(values | changed)))
    assert isinstance(result, KeyReused)
    assert world.balance(A) == 9_500


def test_the_moment_and_the_door_are_not_part_of_what_was_asked():
    one = Request(route="r", key="k", event_ms=1, channel=Channel.WEB, body={"a": 1, "b": 2})
    two = Request(route="r", key="k", event_ms=2, channel=Channel.APP, body={"b": 2, "a": 1})
    assert request_hash(one) == request_hash(two)


# ------------------------------------------------------------------------------------------ clock


def test_the_commit_clock_never_goes_back(world):
    world.topup(A, 1)
    before_ms = world.batcher.commit_ms
    world.clock.jump(-3_600_000)
    world.topup(A, 1)
    assert world.batcher.commit_ms == before_ms
    world.restart()
    assert world.batcher.commit_ms == before_ms
    world.topup(A, 1)
    assert {row.committed_at for row in world.store.scan(ENTRY)} == {before_ms}
    assert world.row(META, "commit_ms").value == str(before_ms)
    assert world.check() == []


# ------------------------------------------------------------------------------------- long texts


def part(world, sender, data, *, total, number, ref=1, secret_hash="", code="9223"):
    mo = Mo(1, str(sender), b"f" * 16, "", Concat(ref, total, number), world.vault.seal(data), 0)
    return Request(route=PART_ROUTE, sender=sender, short_code=code, mo=mo, secret_hash=secret_hash)


@pytest.mark.rule("PAY-1", "SMPP-3")
def test_a_password_that_came_in_parts_is_hashed_before_anything_happens(world):
    world.subscriber(C, kind="postpaid")
    first = part(world, C, b"MK hunt", total=2, number=1)
    last = part(world, C, b"er2x", total=2, number=2)
    assert world.run(first)[0].outcome == "part.waiting"
    before = world.contents(without=(META,))
    (needed,) = world.run(last)
    assert needed == SecretNeeded("HUNTER2X")
    assert "HUNTER" not in repr(needed)
    assert world.contents(without=(META,)) == before
    hashed = part(world, C, b"er2x", total=2, number=2, secret_hash=HASHED)
    assert world.run(hashed)[0].outcome == "password.set"
    assert world.row(PAYMENT_PASSWORD, C).hash == HASHED
    assert list(world.store.scan(MO_PART)) == []
    assert [row.text for row in world.store.scan(MO)] == ["", ""]
    assert "hunt" not in str(world.contents()).lower()


@pytest.mark.rule("SMPP-3")
def test_parts_in_one_batch_make_one_text_with_one_answer(world):
    texts = [(b"B 0903", 1), (b"000002", 2)]
    requests = [part(world, A, data, total=2, number=n, code="1566") for data, n in texts[::-1]]
    assert [result.outcome for result in world.run(*requests)] == ["part.waiting", "list.b.added"]
    assert world.listed(A, "black") == [B]
    assert len(world.sent_to(A)) == 1


# --------------------------------------------------------------------------------- writer thread


async def running(world, **limits):
    engine = Engine(world.batcher, queue_max=limits.pop("queue_max", 10), **limits)
    engine.start(asyncio.get_running_loop())
    return engine


def test_what_is_submitted_is_answered_after_commit(world):
    async def play():
        engine = await running(world)
        told: list = []
        engine.on_outbox = told.extend
        answers = await asyncio.gather(
            *(engine.submit(world.text_request(A, text)) for text in ("DK", "KT", "HUY"))
        )
        await engine.stop()
        assert [answer.outcome for answer in answers] == [
            "package.trial_started",
            "package.in_trial",
            "package.cancelled",
        ]
        assert [row.mo for row in told] == [1, 2, 3]
        assert engine.waiting == 0
        assert engine.commit_ms == world.batcher.commit_ms
        with pytest.raises(Unavailable):
            await engine.submit(world.text_request(A, "KT"))

    asyncio.run(play())


def test_batches_form_while_a_commit_waits_and_keep_their_limit(world):
    async def play():
        engine = await running(world, queue_max=100, batch_max=4)
        sizes: list[int] = []
        engine.on_batch = lambda stats: sizes.append(stats.requests)
        world.store.committing.clear()
        world.store.may_commit.clear()
        results: list = []
        engine.post(world.topup_request(A, 1), lambda _, got: results.append(got))
        await asyncio.to_thread(world.store.committing.wait, 20)
        for _ in range(9):
            engine.post(world.topup_request(A, 1), lambda _, got: results.append(got))
        world.store.may_commit.set()
        await engine.stop()
        assert len(results) == 10
        assert sizes == [1, 4, 4, 1]
        assert world.balance(A) == 9_010

    asyncio.run(play())


@pytest.mark.rule("SMPP-2")
def test_more_than_may_wait_is_refused_at_once_and_nothing_is_kept(world):
    async def play():
        engine = await running(world, queue_max=2)
        world.store.may_commit.clear()
        results: list = []
        requests = [world.topup_request(A, 1) for _ in range(3)]
        posted = [engine.post(request, lambda _, got: results.append(got)) for request in requests]
        assert posted == [True, True, False]
        with pytest.raises(Overloaded):
            await engine.submit(world.topup_request(A, 1))
        world.store.may_commit.set()
        await engine.stop()
        assert [result.outcome for result in results] == ["topup.done"] * 2
        assert world.balance(A) == 9_002

    asyncio.run(play())


@pytest.mark.rule("SMPP-2")
def test_a_full_disk_refuses_and_then_goes_on(world):
    async def play():
        engine = await running(world)
        world.store.error = StoreFull("no room")
        with pytest.raises(Overloaded):
            await engine.submit(world.topup_request(A, 1))
        assert engine.full
        world.store.error = None
        await engine.submit(world.topup_request(A, 1))
        assert not engine.full
        await engine.stop()
        assert world.balance(A) == 9_001

    asyncio.run(play())


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(
    "error",
    [StoreFailed("fsync"), LedgerCorrupt("the sum is not 0"), ZeroDivisionError("a bug")],
    ids=lambda error: type(error).__name__,
)
def test_a_disk_that_cannot_be_trusted_stops_the_writer_and_everybody_is_told(world, error):
    async def play():
        engine = await running(world)
        told: list = []
        failed = asyncio.Event()

        def on_failed(error):
            told.append(error)
            failed.set()

        engine.on_failed = on_failed
        world.store.committing.clear()
        world.store.may_commit.clear()
        world.store.error = error
        results: list = []
        for _ in range(2):
            engine.post(world.topup_request(A, 1), lambda _, got: results.append(got))
        await asyncio.to_thread(world.store.committing.wait, 20)
        for _ in range(3):
            engine.post(world.topup_request(A, 1), lambda _, got: results.append(got))
        world.store.may_commit.set()
        await asyncio.wait_for(failed.wait(), 20)
        assert [type(result) for result in results] == [Unavailable] * 5
        assert isinstance(told[0], StoreFailed)
        assert engine.failed is told[0]
        assert not engine.post(world.topup_request(A, 1), lambda _, got: None)
        with pytest.raises(Unavailable):
            await engine.submit(world.topup_request(A, 1))
        await engine.stop()
        assert engine.waiting == 0

    asyncio.run(play())


def test_a_key_that_was_reused_is_raised_to_who_submitted_it(world):
    async def play():
        engine = await running(world)
        await engine.submit(world.topup_request(A, 1, key="k"))
        with pytest.raises(KeyReused):
            await engine.submit(world.topup_request(A, 2, key="k"))
        await engine.stop()

    asyncio.run(play())


def test_notes_of_what_was_sent_are_recorded_though_nothing_else_comes(world):
    async def play():
        world.text(A, "HD")
        engine = await running(world)
        batch = asyncio.Event()
        engine.on_batch = lambda stats: batch.set()
        engine.settle(Settled(1, 1, 1, 5, "smsc-a", "id"))
        engine.note_connection(SmscConnection(7, "smsc-a", 1, 0, 4, 9))
        engine.note_connection(SmscConnection(7, "smsc-a", 1, 0, 5, 9))
        await asyncio.wait_for(batch.wait(), 20)
        await engine.stop()
        assert [row.state for row in world.outbox()] == [1]
        assert [row.confirmed_seq for row in world.store.scan(SMSC_CONNECTION)] == [5]

    asyncio.run(play())


def test_notes_survive_a_full_disk_and_a_stop(world):
    async def play():
        world.text(A, "HD")
        engine = await running(world)
        world.store.error = StoreFull("no room")
        engine.settle(Settled(1, 1, 1, 5, "smsc-a", "id"))
        with pytest.raises(Overloaded):
            await engine.submit(world.topup_request(A, 1))
        world.store.error = None
        await engine.stop()
        assert [row.state for row in world.outbox()] == [1]

    asyncio.run(play())


@pytest.mark.rule("CLI-1", "CFG-2")
def test_other_rules_are_used_from_the_next_batch_on(world):
    async def play():
        engine = await running(world)
        engine.replace_rules(rules_with(packages={"confirm_registration": True}))
        answer = await engine.submit(world.text_request(A, "DK"))
        await engine.stop()
        assert answer.outcome == "confirm.ask_trial"

    asyncio.run(play())


# ----------------------------------------------------------- nothing wakes it but itself


class FullOnce(BadDisk):
    """Has no room for one batch, and then it has."""

    def commit(self):
        error, self.error = self.error, None
        if error is not None:
            raise error
        super().commit()


def test_when_there_is_room_again_notes_are_kept_though_nobody_asks_for_anything():
    async def play():
        world = World(routes=ROUTES, store=FullOnce())
        world.subscriber(A)
        world.text(A, "HD")
        engine = await running(world)
        batch = asyncio.Event()
        engine.on_batch = lambda stats: batch.set()
        world.store.error = StoreFull("no room")
        engine.settle(Settled(1, 1, 1, 5, "smsc-a", "id"))
        await asyncio.wait_for(batch.wait(), 20)
        assert [row.state for row in world.outbox()] == [1]
        await engine.stop()

    asyncio.run(play())


class SmallDisk(MemoryStore):
    """So many commits find room; with what was set aside, so many more."""

    def __init__(self, room, aside):
        super().__init__()
        self.room, self._size, self.aside = room, aside, aside
        self.free = 0  # What somebody else has left.

    def commit(self):
        if not self.room:
            raise StoreFull("no room")
        self.room -= 1
        super().commit()

    def hold_reserve(self):
        if not self.aside and self.free >= self._size:
            self.aside = self._size
        return self.aside > 0

    def let_go_of_reserve(self):
        held, self.room, self.aside = self.aside > 0, self.room + self.aside, 0
        return held


@pytest.mark.rule("PFM-16", "SMPP-2", "HTTP-3")
def test_on_what_was_set_aside_only_what_ends_something_is_carried_out():
    routes = {**ROUTES, "test.end": Route("test.end", ROUTES["staff.topup"].handler, ends=True)}

    async def play():
        world = World(routes=routes, store=SmallDisk(room=100, aside=3))
        world.subscriber(A, balance_vnd=9_000)
        world.store.room = 0
        engine = await running(world)

        def ask(amount_vnd, route):
            return engine.submit(
                msgspec.structs.replace(world.topup_request(A, amount_vnd), route=route)
            )

        async def outcomes(*asked):
            said: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
            return [type(one) if isinstance(one, Exception) else one.outcome for one in said]

        done, refused = "topup.done", Overloaded
        for _ in range(2):
            asked = (ask(1, "staff.topup"), ask(10, "test.end"), ask(100, "staff.topup"))
            assert await outcomes(*asked) == [refused, done, refused]
            assert engine.full
        assert world.balance(A) == 9_020
        world.clock.advance(2_000)
        assert await outcomes(ask(1, "staff.topup")) == [refused], "there is still no room"
        await outcomes(ask(10, "test.end"))
        assert await outcomes(ask(10, "test.end")) == [refused], "all is used"
        assert world.balance(A) == 9_030
        world.store.free = world.store.room = 50
        world.clock.advance(2_000)
        assert await outcomes(ask(1, "staff.topup"), ask(10, "test.end")) == [done, done]
        assert not engine.full
        assert world.store.aside == 3
        await engine.stop()
        assert world.balance(A) == 9_041

    asyncio.run(play())


@pytest.mark.rule("SMPP-2", "KW-1")
@pytest.mark.parametrize("fails", [StoreFull("no room"), StoreFailed("fsync"), LedgerCorrupt("x")])
def test_a_disk_that_fails_while_a_batch_is_done_one_by_one_leaves_nothing_to_be_done_twice(fails):
    class Failing(SmallDisk):
        def commit(self):
            try:
                super().commit()
            except StoreFull:
                raise fails from None

    async def play():
        world = World(routes=ROUTES, store=Failing(room=100, aside=0))
        world.subscriber(A, balance_vnd=9_000)
        world.text(A, "HD")
        world.store.room = 3  # For the notes, and two of three.
        engine = Engine(world.batcher, queue_max=10)
        poison = Request(route="test.refused", sender=A, key="poison")
        sent: list[OutboxSms] = []
        engine.on_outbox = sent.extend
        asked = [
            asyncio.ensure_future(engine.submit(request))
            for request in (world.text_request(A, "DK"), poison, world.text_request(A, "HUY"))
        ]
        await asyncio.sleep(0)
        engine.settle(Settled(1, 1, 1, 5, "smsc-a", "id"))
        engine.start(asyncio.get_running_loop())
        said: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
        first, second, third = said
        assert first.outcome == "package.trial_started", "it is committed, and told so"
        assert second.outcome == "ours.sorry"
        full = isinstance(fails, StoreFull)
        assert isinstance(third, Overloaded if full else Unavailable)
        assert [row.mo for row in sent] == [first.seq], "what was committed is sent at once"
        assert (engine.full, engine.failed is None) == (full, full)
        world.store.room = 100
        if full:
            again = await engine.submit(world.text_request(A, "HUY"))
            assert again.outcome == "package.cancelled"
            assert world.outbox()[0].state == OutboxState.ACCEPTED, "notes were kept"
        await engine.stop()
        assert world.check() == []

    asyncio.run(play())


@pytest.mark.rule("SMPP-2", "SMPP-5")
def test_evidence_of_redelivery_is_committed_before_what_is_done_one_by_one():
    world = World(routes=ROUTES, store=SmallDisk(room=100, aside=0))
    world.subscriber(A)
    world.text(A, "HD")
    world.store.room = 1
    poison = Request(route="test.refused", sender=A, key="poison")
    seen = SmscConnection(7, "a", 1, 2, 3, 4)
    done = world.batcher.run(
        [world.text_request(A, "DK"), poison], [Settled(1, 1, 1, 5, "smsc-a", "id")], [seen]
    )
    assert isinstance(done.broke, StoreFull)
    assert done.results == [done.broke] * 2
    assert list(world.store.scan(SMSC_CONNECTION)) == [seen]
    assert world.outbox()[0].state == OutboxState.ACCEPTED


@pytest.mark.rule("HTTP-3")
def test_when_there_is_room_again_it_is_said_though_nobody_asks_for_anything(world):
    async def play():
        engine = await running(world)
        batch = asyncio.Event()
        engine.on_batch = lambda stats: batch.set()
        world.store.error = StoreFull("no room")
        with pytest.raises(Overloaded):
            await engine.submit(world.topup_request(A, 1))
        full = [engine.full]
        world.store.error = None
        await asyncio.wait_for(batch.wait(), 20)
        full.append(engine.full)
        assert full == [True, False]
        await engine.stop()

    asyncio.run(play())


class StoppedInBetween(Engine):
    """A request comes, and then the end, after the writer has looked at an empty queue."""

    in_between: Any = None

    def _take_notes(self):
        found = super()._take_notes()
        if self.in_between is not None:
            come, self.in_between = self.in_between, None
            come()
        return found


@pytest.mark.rule("CLI-1")
def test_what_was_accepted_just_before_the_end_is_committed(world):
    async def play():
        loop = asyncio.get_running_loop()
        engine = StoppedInBetween(world.batcher, queue_max=10)
        begun, ended = asyncio.Event(), asyncio.Event()
        results: list = []

        async def accept_and_end():
            assert engine.post(world.topup_request(A, 1), lambda _, got: results.append(got))
            begun.set()
            await engine.stop()
            ended.set()

        def come():
            asyncio.run_coroutine_threadsafe(accept_and_end(), loop)
            asyncio.run_coroutine_threadsafe(begun.wait(), loop).result(20)

        engine.in_between = come
        engine.start(loop)
        engine._queue.put(None)  # As a timer does whose notes went with an earlier batch.
        await asyncio.wait_for(ended.wait(), 20)
        assert [result.outcome for result in results] == ["topup.done"]

    asyncio.run(play())


# --------------------------------------------------------- several daemons share the books

BOOT = 7
OTHERS = 3 << BOOT_SHIFT | 1


class SharedStore(MemoryStore):
    """Books that others write too: `turn` is whether they did, `known` what they have had."""

    turn = True
    known: tuple = ()
    left: tuple = ()
    asked = 0

    def begin(self):
        super().begin()
        return Turn(self.next_seqs(), self.heads(), 0) if self.turn else None

    def twins(self, fingerprints, *, boot, since_ms):
        self.asked += 1
        assert boot == BOOT
        found: dict = {}
        for row, sure in self.known:
            if row.fingerprint in fingerprints:
                found.setdefault(row.fingerprint, []).append(Twin(row, sure))
        return found

    def inherit(self, owner, boot, *, now_ms, most):
        return [row for row in self.left if row.owner == owner][:most]


@pytest.fixture
def shared():
    world = World(store=SharedStore())
    world.subscriber(A)
    world.batcher.boot = BOOT
    return world


def arrives(world, text="HD", *, age_s=0.0, connection=BOOT << BOOT_SHIFT | 1):
    """A text as the edge gives it, received so many seconds ago."""
    request = world.text_request(A, text, connection=connection)
    taken_s = world.clock.monotonic_s() - age_s
    return msgspec.structs.replace(request, mo=msgspec.structs.replace(request.mo, taken_s=taken_s))


def had_by_another(world, request, *sure):
    """Another daemon has had a text with these octets, once for each of `sure`."""
    rows = []
    for _ in sure:
        world.batcher.boot = 0
        [answer] = world.run(arrives(world, connection=OTHERS))
        [row] = [row for row in world.store.scan(MO) if row.seq == answer.seq]
        row = msgspec.structs.replace(row, fingerprint=request.mo.fingerprint)
        rows.append(row)
    world.batcher.boot = BOOT
    world.store.known = tuple(zip(rows, sure, strict=True))
    return rows


@pytest.mark.rule("SMPP-2")
def test_a_text_that_another_daemon_has_had_gets_its_verdict_and_no_second_answer(shared):
    request = arrives(shared)
    [row] = had_by_another(shared, request, True)
    answers = len(shared.outbox())
    [again] = shared.run(request)
    assert isinstance(again, Again)
    assert (again.outcome, again.text, again.seq) == (row.verdict, "", row.seq)
    assert len(shared.outbox()) == answers
    assert len(list(shared.store.scan(MO))) == 1


@pytest.mark.rule("SMPP-2")
def test_its_evidence_is_ours_then_and_in_doubt_until_its_answer_is_known_to_be_read(shared):
    request = arrives(shared)
    [row] = had_by_another(shared, request, True)
    [again] = shared.run(request)
    [mo] = shared.store.scan(MO)
    assert mo.connection == again.connection
    assert again.connection >> BOOT_SHIFT == BOOT
    assert again.connection & AGAIN
    [at_smsc] = [at for at in shared.store.scan(SMSC_CONNECTION) if at.id == again.connection]
    assert (at_smsc.down_at, at_smsc.confirmed_seq) == (0, row.seq - 1)


@pytest.mark.rule("SMPP-2")
def test_two_equal_texts_that_another_daemon_has_had_are_matched_one_for_one(shared):
    request = arrives(shared)
    rows = had_by_another(shared, request, True, True)
    results = shared.run(request, request, request)
    assert [result.seq for result in results] == [rows[0].seq, rows[1].seq, rows[1].seq + 1]
    assert [isinstance(result, Again) for result in results] == [True, True, False]
    assert results[0].connection != results[1].connection


@pytest.mark.rule("SMPP-2")
def test_which_of_two_equal_texts_it_is_decides_when_it_comes_next(shared):
    request = arrives(shared)
    had_by_another(shared, request, False)
    answers = len(shared.outbox())
    [result] = shared.run(request)
    assert isinstance(result, Overloaded)
    assert len(shared.outbox()) == answers
    shared.store.known = ()  # The other one's answer was read: this one is new.
    [result] = shared.run(request)
    assert result.outcome == "help.payforme"
    assert len(shared.outbox()) == answers + 1


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(("age_s", "taken"), [(WAITED_MAX_S, True), (WAITED_MAX_S + 0.1, False)])
def test_a_text_that_has_waited_for_long_may_have_been_had_by_another_daemon(shared, age_s, taken):
    [result] = shared.run(arrives(shared, age_s=age_s))
    assert isinstance(result, Overloaded) is not taken
    assert len(shared.outbox()) == taken


@pytest.mark.rule("SMPP-2")
def test_as_long_as_nobody_else_writes_nobody_is_asked_for_twins_and_texts_may_wait(shared):
    shared.run(arrives(shared))
    shared.store.turn = False
    asked = shared.store.asked
    assert asked
    shared.clock.advance(int(DOUBT_S * 1_000) - 1)
    shared.run(arrives(shared))
    assert shared.store.asked == asked + 1, "it may have died just now"
    shared.clock.advance(1)
    [result] = shared.run(arrives(shared, age_s=60))
    assert result.outcome == "help.payforme"
    assert shared.store.asked == asked + 1
    shared.store.turn = True
    shared.run(arrives(shared))
    assert shared.store.asked == asked + 2


@pytest.mark.rule("SMPP-4")
def test_a_receipt_whose_text_may_be_another_daemons_is_asked_for_once_more(shared):
    def receipt(message_id):
        request = arrives(shared)
        return msgspec.structs.replace(
            request, route=RECEIPT_ROUTE, args=("a", message_id, "delivered"), sender=0
        )

    [first] = shared.run(receipt("m1"))
    assert isinstance(first, Overloaded)
    [other] = shared.run(receipt("m2"))
    assert isinstance(other, Overloaded)
    [second] = shared.run(receipt("m1"))
    assert second.outcome == "receipt.unmatched"
    shared.store.turn = False
    shared.clock.advance(int(DOUBT_S * 1_000))
    [alone] = shared.run(receipt("m3"))
    assert alone.outcome == "receipt.unmatched"


@pytest.mark.rule("SMPP-3")
@pytest.mark.parametrize("counted", [200_000, -5])
def test_parts_that_another_daemon_has_put_together_do_not_wait_for_ever(shared, counted):
    """Each daemon counts what it keeps; what others took away it sees when it counts anew."""
    shared.batcher._parts_waiting = counted
    request = arrives(shared)
    part = msgspec.structs.replace(
        request,
        route=PART_ROUTE,
        mo=msgspec.structs.replace(
            request.mo, concat=Concat(1, 2, 1), sealed=shared.vault.seal(b"HD")
        ),
    )
    [result] = shared.run(part)
    assert result.outcome == "part.waiting"
    assert shared.batcher._parts_waiting == 1


def test_texts_of_a_daemon_that_died_are_given_to_whoever_takes_them_over(shared):
    shared.run(arrives(shared))
    [row] = shared.outbox()
    shared.store.left = (msgspec.structs.replace(row, owner=3),)
    [answer] = shared.run(Request(INHERIT_ROUTE, args=("3",), channel=Channel.CLOCK))
    assert [each.seq for each in answer.data["rows"]] == [row.seq]


def test_a_database_that_is_away_is_no_full_disk(world):
    async def play():
        engine = await running(world)
        said = []
        for error in (StoreFull("no room"), StoreAway("not there")):
            world.store.error = error
            with pytest.raises(Overloaded):
                await engine.submit(world.topup_request(A, 1))
            said.append((engine.full, engine.away))
        world.store.error = None
        await engine.submit(world.topup_request(A, 1))
        said.append((engine.full, engine.away))
        assert said == [(True, False), (True, True), (False, False)]
        await engine.stop()

    asyncio.run(play())
