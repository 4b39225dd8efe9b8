"""Payments that telcod wrote are in order, and every way to spoil one is found."""

import msgspec
import pytest

from telcod.billing.accounts import REVENUE_SMS, SUSPENSE, TRANSIT
from telcod.check import check_books
from telcod.days import DAY_MS, MINUTE_MS
from telcod.rows import (
    CLEARING,
    ENTRY,
    LIMIT_COUNTER,
    PAYMENT,
    PAYMENT_CASE,
    PAYMENT_OF,
    PaymentOf,
)
from tests.payment_world import PaymentWorld, large, rules_of_payments, stopped

pytestmark = pytest.mark.rule("CLI-6", "PAY-3", "PAY-5", "PAY-7", "PAY-9", "PAY-12")

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004
LARGE = 1_000_000
RULES = rules_of_payments(large(LARGE), stopped("card", "stolen"))
replace = msgspec.structs.replace


def a_story(path=None):
    """A payment of every kind; the sum of all is in order."""
    world = PaymentWorld(path, rules=RULES)
    world.subscriber(A, balance_vnd=1_000)
    world.subscriber(B, kind="postpaid", debt_vnd=200_000, centre=2)
    world.subscriber(C, centre=3)
    world.subscriber(D, kind="postpaid", centre=2)
    world.pay("cleared", A)
    world.pay("bill", B, 60_000)
    world.pay("cancelled", A, 60_000)
    world.text(A, "DK")
    world.cancel("cancelled")
    world.pay("reviewed", A, LARGE)
    world.pay("voided", A, LARGE)
    world.staff("review", "voided", "reject", "x")
    world.pay("rejected", B, token="stolen")
    world.create("declined", B)
    world.notify("declined", "declined")
    world.notify("declined")  # After its end: to be voided.
    world.begin("expired", B)
    world.begin("redirected", A)
    world.begin("unknown", B)
    world.notify("unknown", "unknown")
    world.begin("gone", C)
    world.set_state(C, "closed")
    world.set_state(C, "active")
    world.notify("gone")
    world.staff("clear_by_hand", "gone", "to suspense")
    world.centre(2, "closed")
    world.pay("waiting", D)
    world.pass_time(15 * MINUTE_MS)
    world.inquire("expired", "none")
    world.create("created", C)
    return world


@pytest.fixture(scope="module")
def story():
    return a_story()


def rows_of(world, table):
    return world.store._tables[table.index]


def edit(payment_id, **values):
    def spoil(world):
        rows = rows_of(world, PAYMENT)
        rows[payment_id] = replace(rows[payment_id], **values)

    return spoil


def edit_entry(payment_id, what, **values):
    def spoil(world):
        rows = rows_of(world, ENTRY)
        seq = next(
            seq
            for seq, row in rows.items()
            if (row.command, row.kind) == (f"payment:{payment_id}", f"payment.{what}")
        )
        rows[seq] = replace(rows[seq], **values)

    return spoil


def edit_row(table, wanted, **values):
    def spoil(world):
        rows = rows_of(world, table)
        key = next(key for key, row in rows.items() if wanted(row))
        rows[key] = replace(rows[key], **values)

    return spoil


def drop(table, wanted):
    def spoil(world):
        rows = rows_of(world, table)
        del rows[next(key for key, row in rows.items() if wanted(row))]

    return spoil


def forget_unknown(world):
    drop(PAYMENT_OF, lambda row: row.subject.startswith("unknown:"))(world)


def list_a_cleared_one_as_unknown(world):
    row = PaymentOf(f"unknown:{A}", "cleared", 1)
    rows_of(world, PAYMENT_OF)[row.subject, row.payment] = row


def list_nothing_as_unknown(world):
    row = PaymentOf(f"unknown:{A}", "nothing", 1)
    rows_of(world, PAYMENT_OF)[row.subject, row.payment] = row


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_telcod_wrote_is_in_order(tmp_path, on_disk):
    with a_story(tmp_path / "books.db" if on_disk else None) as world:
        states = {world.state(row.id) for row in world.store.scan(PAYMENT)}
        assert len(states) == 10, states
        assert world.check() == []


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [
        ("payment", edit("cleared", next_at=5)),
        ("payment", edit("waiting", next_at=0)),
        ("payment", edit("voided", next_at=0)),
        ("payment", edit("voided", voiding=0, next_at=0)),
        ("payment", edit("cleared", voiding=2)),
        ("payment", edit("cleared", authorised_at=0)),
        ("payment", edit("created", authorised_at=5)),
        ("payment", edit("declined", authorised_at=0)),
        ("payment", edit("cleared", cleared_at=0)),
        ("payment", edit("waiting", collected=0)),
        ("payment", forget_unknown),
        ("payment", list_a_cleared_one_as_unknown),
        ("payment", list_nothing_as_unknown),
        ("slot", edit("cleared", slot=0)),
        ("slot", edit("expired", slot=1)),
        ("slot", edit("cleared", created_at=1)),
        ("slots", edit("cleared", day=20260303)),
        ("slots", edit_row(LIMIT_COUNTER, lambda row: row.msisdn == A, payments=2)),
        ("slots", drop(LIMIT_COUNTER, lambda row: row.msisdn == A)),
        ("bills of the day", edit_row(LIMIT_COUNTER, lambda row: row.msisdn == B, bills_vnd=1)),
        ("top-ups of the day", edit("cleared", amount_vnd=50_001)),
        ("payment.collected", edit("cleared", collected=1)),
        ("payment.collected", edit_entry("reviewed", "collected", amount=7)),
        ("payment.collected", drop(PAYMENT, lambda row: row.id == "reviewed")),
        ("payment.cleared", edit_entry("cleared", "cleared", command="payment:other")),
        ("payment.cleared", edit("cleared", cleared=1)),
        ("to whom", edit("cleared", msisdn=B)),
        ("to whom", edit_entry("cleared", "cleared", credit=B * 10 + 1)),
        ("payment.voided", edit_entry("voided", "voided", reverses=None)),
        ("payment.cancelled", edit_entry("cancelled", "cancelled", amount=1)),
        ("payment.cancelled", edit_entry("cancelled", "cancelled", reverses=1)),
        ("payment entry", edit_entry("cancelled", "cancelled", credit=REVENUE_SMS)),
        ("payment entry", edit_entry("cleared", "collected", debit=SUSPENSE)),
        ("transit", edit_entry("waiting", "collected", credit=TRANSIT[4])),
        ("transit", edit_entry("waiting", "collected", kind="topup")),
        ("transit", edit("waiting", state="rejected_fraud", voiding=1)),
        ("four eyes", edit("cancelled", cancel_by="")),
        ("clearing", edit_row(CLEARING, lambda row: row.seq == 1, operator="C9_ePayment")),
        ("clearing", edit_row(CLEARING, lambda row: row.seq == 1, day=1)),
        ("clearing", drop(CLEARING, lambda row: row.seq == 2)),
        ("clearing cleared", edit_row(CLEARING, lambda row: row.kind == "cleared", amount_vnd=1)),
        ("clearing cleared", edit_row(CLEARING, lambda row: row.kind == "cleared", entry=1)),
        ("clearing cancelled", edit_row(CLEARING, lambda row: row.kind == "cancelled", centre=5)),
        ("commit clock", edit_row(CLEARING, lambda row: row.seq == 1, at=10**14)),
        ("commit clock", edit_row(PAYMENT_CASE, lambda row: row.seq == 1, opened_at=10**14)),
        ("payment case", drop(PAYMENT_CASE, lambda row: row.seq == 1)),
    ],
)
def test_what_is_spoilt_is_found(invariant, spoil):
    with a_story() as world:
        spoil(world)
        found = {violation.invariant for violation in world.check()}
        assert invariant in found


def test_it_says_which_payment_it_is(story):
    spoilt = a_story()
    edit("cleared", amount_vnd=50_001)(spoilt)
    said = [violation.what for violation in check_books(spoilt.store)]
    assert any(what.startswith("cleared:") for what in said)
    assert not any(what.startswith("bill:") for what in said)
    assert story.check() == []


def test_time_does_not_spoil_them(story):
    story.pass_time(DAY_MS)
    assert story.check() == []
