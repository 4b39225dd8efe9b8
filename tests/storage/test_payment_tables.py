"""What the database itself refuses about payments, and the memory store refuses as well."""

import asyncio

import msgspec
import pytest

from telcod.errors import StoreRefused
from telcod.rows import (
    CENTRE,
    CLEARING,
    GATEWAY_FILE,
    GATEWAY_LINE,
    INVOICE,
    LIMIT_COUNTER,
    OUTBOX_MAIL,
    PAYMENT,
    PAYMENT_CASE,
    SETTLEMENT,
    Centre,
    Clearing,
    GatewayFile,
    GatewayLine,
    Invoice,
    LimitCounter,
    OutboxMail,
    Payment,
    PaymentCase,
    Settlement,
)
from telcod.storage.memory import MemoryStore
from telcod.storage.readers import MemoryReader, SqliteReader
from telcod.storage.sqlite import SqliteStore
from telcod.tx import Changes
from tests.postgres import emptied_books
from tests.world import open_store

A = 84903000001
DAY = 20260302
PAID = Payment(
    "p1", A, 1, 2, "bill", "domestic", 50_000, "cleared", "", "portal", "", "", 0, "", DAY, 1, 5,
    "", "", "", "", "", "", 6, "", 7, 1, 2, 0, 0, 0, "", 0,
)  # fmt: skip
CLEARED = Clearing(1, 7, DAY, "p1", 2, "C2_ePayment", "cleared", 50_000, 2)
FILE = GatewayFile(DAY, "h", 1, 1, 1, "x", 1, 0)
MAIL = OutboxMail(1, 5, "payment", "a@example.com", "s", "b", 0, 0, 5, 0)
replace = msgspec.structs.replace


@pytest.fixture(params=["memory", "sqlite", "server"])
def store(request, tmp_path):
    where = {"memory": lambda: None, "sqlite": lambda: tmp_path / "b.db", "server": emptied_books}
    opened = open_store(where[request.param]())
    yield opened
    opened.close()


def write(store, *changes):
    store.begin()
    try:
        store.apply([Changes(*change) for change in changes], ())
        store.commit()
    except BaseException:
        store.rollback()
        raise


def put(store, table, *rows):
    write(store, (table, rows, (), ()))


def append(store, table, *rows):
    write(store, (table, (), (), rows))


@pytest.mark.rule("PAY-3", "PAY-7", "PAY-11", "PAY-12", "PAY-13")
@pytest.mark.parametrize(
    ("table", "row"),
    [
        (PAYMENT, replace(PAID, amount_vnd=49_999)),
        (PAYMENT, replace(PAID, amount_vnd=10_000_001)),
        (PAYMENT, replace(PAID, centre=7)),
        (PAYMENT, replace(PAID, purpose="gift")),
        (PAYMENT, replace(PAID, card="debit")),
        (PAYMENT, replace(PAID, state="authorised")),
        (PAYMENT, replace(PAID, slot=2)),
        (PAYMENT, replace(PAID, invoice=-1)),
        (PAYMENT, replace(PAID, voiding=3)),
        (PAYMENT, replace(PAID, alarmed=2)),
        (PAYMENT, replace(PAID, cleared=0)),
        (PAYMENT, replace(PAID, state="clearing")),
        (LIMIT_COUNTER, LimitCounter(A, DAY, 6, 0, 0)),
        (LIMIT_COUNTER, LimitCounter(A, DAY, -1, 0, 0)),
        (LIMIT_COUNTER, LimitCounter(A, DAY, 1, 10_000_001, 0)),
        (LIMIT_COUNTER, LimitCounter(A, DAY, 1, 0, -1)),
        (CENTRE, Centre(0, 1, 5)),
        (CENTRE, Centre(1, 2, 5)),
        (INVOICE, Invoice("p1", A, 7, DAY, 5, "n", "a", "", "bill", 50_000)),
        (INVOICE, Invoice("p1", A, 2, DAY, 5, "n", "a", "", "bill", 0)),
        (GATEWAY_LINE, GatewayLine(DAY, 1, "p1", 1, "c", "wrong", 1, 0)),
        (SETTLEMENT, Settlement("s", DAY, "half", 1, 1, 1)),
        (SETTLEMENT, Settlement("s", DAY, "final", 0, 1, 1)),
        (OUTBOX_MAIL, replace(MAIL, state=4)),
    ],
    ids=lambda value: getattr(value, "name", None) or "-",
)
def test_a_row_that_breaks_a_stated_number_is_refused(store, table, row):
    with pytest.raises(StoreRefused):
        put(store, table, row)
    assert list(store.scan(table)) == []


@pytest.mark.rule("PAY-3")
def test_the_stated_numbers_themselves_are_taken(store):
    rows = [replace(PAID, id=str(vnd), amount_vnd=vnd) for vnd in (50_000, 10_000_000)]
    put(store, PAYMENT, *rows)
    put(store, LIMIT_COUNTER, LimitCounter(A, DAY, 5, 10_000_000, 10**9))
    assert len(list(store.scan(PAYMENT))) == 2


@pytest.mark.rule("PAY-7")
@pytest.mark.parametrize(
    "row",
    [
        replace(CLEARED, operator="C1_ePayment"),
        replace(CLEARED, centre=1, operator="C1_ePayment"),
        replace(CLEARED, payment="p2"),
        replace(CLEARED, kind="refunded"),
        replace(CLEARED, amount_vnd=0),
    ],
)
def test_the_database_refuses_another_centres_user_and_another_centres_payment(store, row):
    put(store, PAYMENT, PAID)
    with pytest.raises(StoreRefused):
        append(store, CLEARING, row)
    assert list(store.scan(CLEARING)) == []


@pytest.mark.rule("PAY-7")
def test_a_payment_and_its_clearing_are_written_together_and_for_good(store):
    write(store, (PAYMENT, (PAID,), (), ()), (CLEARING, (), (), (CLEARED,)))
    for change in (
        (CLEARING, (replace(CLEARED, amount_vnd=1),), (), ()),
        (CLEARING, (), (1,), ()),
        (CLEARING, (), (), (CLEARED,)),
        (PAYMENT, (replace(PAID, centre=1),), (), ()),
    ):
        with pytest.raises(StoreRefused):
            write(store, change)
    assert list(store.scan(CLEARING)) == [CLEARED]
    assert list(store.scan(PAYMENT)) == [PAID]
    put(store, PAYMENT, replace(PAID, voiding=1, state="cancelled"))


@pytest.mark.rule("PAY-12")
def test_a_file_of_the_gateway_is_accepted_once(store):
    put(store, GATEWAY_FILE, FILE)
    put(store, GATEWAY_FILE, replace(FILE, matched=0))
    with pytest.raises(StoreRefused):
        put(store, GATEWAY_FILE, replace(FILE, day=DAY + 1))


@pytest.mark.rule("PAY-5", "PAY-10")
@pytest.mark.parametrize("table", [PAYMENT_CASE, OUTBOX_MAIL], ids=str)
def test_a_log_row_that_may_change_is_changed_and_never_appended_twice(store, table):
    row = MAIL if table is OUTBOX_MAIL else PaymentCase(1, "p1", "late", 5, "", 0, "", "")
    changed = replace(row, attempts=1) if table is OUTBOX_MAIL else replace(row, closed_at=9)
    append(store, table, row)
    put(store, table, changed)
    assert list(store.scan(table)) == [changed]
    with pytest.raises(StoreRefused):
        append(store, table, row)


@pytest.mark.rule("PAY-5")
def test_due_payments_come_the_longest_due_first(store):
    moments = {"a": 30, "b": 10, "c": 10, "d": 0, "e": 31}
    put(store, PAYMENT, *[replace(PAID, id=name, next_at=at) for name, at in moments.items()])
    assert store.due_payments(now_ms=30, most=9) == ["b", "c", "a"]
    assert store.due_payments(now_ms=30, most=2) == ["b", "c"]
    assert store.due_payments(now_ms=9, most=9) == []


@pytest.mark.rule("PAY-5")
def test_readers_see_the_same_due_payments(tmp_path):
    rows = [replace(PAID, id=name, next_at=at) for name, at in (("a", 3), ("b", 2), ("c", 9))]
    memory, path = MemoryStore(), tmp_path / "b.db"
    put(memory, PAYMENT, *rows)
    disk = SqliteStore.open(path)
    put(disk, PAYMENT, *rows)

    async def both():
        async with SqliteReader(path) as reader:
            on_disk = await reader.due_payments(now_ms=5, most=9)
        return on_disk, await MemoryReader(memory).due_payments(now_ms=5, most=9)

    assert asyncio.run(both()) == (["b", "a"], ["b", "a"])
    disk.close()
