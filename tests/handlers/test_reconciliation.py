"""The gateway's file against the books: what is planted is found and booked, and no more."""

import json

import pytest

from telcod.billing.accounts import GATEWAY_RECEIVABLE, SUSPENSE
from telcod.billing.reconciliation import Verdict
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS, day_start_ms
from telcod.rows import AUDIT, ENTRY, OUTBOX_EVENT, QUARANTINE
from tests.book_world import DAY, NEXT_DAY, BookWorld, as_file, rules_without_risk
from tests.payment_world import large, rules_of_payments

pytestmark = pytest.mark.rule("PAY-12")

A, B = 84_903_000_001, 84_903_000_002


@pytest.fixture(params=["in memory", "in a file"])
def world(request, tmp_path):
    path = tmp_path / "books.db" if request.param == "in a file" else None
    with BookWorld(path, rules=rules_without_risk(events=True)) as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000)
        world.subscriber(B, kind="prepaid", centre=4)
        yield world
        assert list(world.store.scan(QUARANTINE)) == []
        assert world.check() == []


def counts(answer):
    return {name: count for name, count in answer.data["counts"].items() if count}


def recon_entries(world):
    return [
        (entry.kind, entry.debit, entry.credit, entry.amount)
        for entry in world.store.scan(ENTRY)
        if entry.kind.startswith("recon.")
    ]


def at_midnight(world, *, before_ms=MINUTE_MS):
    """The clock stands a little before the day's end."""
    world.clock.advance(day_start_ms(DAY) + DAY_MS - before_ms - world.now_ms)


def test_a_day_that_agrees_matches_line_by_line_and_books_nothing(world):
    world.paid("P1", A)
    world.paid("P2", B, 70_000)
    world.morning_after()
    answer = world.reconcile()
    assert answer.outcome == "reconcile.done"
    assert counts(answer) == {"matched": 2}
    assert (answer.data["lines"], answer.data["amount_vnd"]) == (2, 120_000)
    assert recon_entries(world) == []
    assert world.open_differences() == []
    assert world.file_row().matched == 2


@pytest.mark.parametrize(
    ("plant", "verdict", "entry"),
    [
        (
            lambda bank: bank.note("X9", 60_000, bank.lines[0].at_ms),
            ("X9", "missing_here"),
            ("recon.missing_here", GATEWAY_RECEIVABLE, SUSPENSE, 60_000),
        ),
        (
            lambda bank: bank.lines.pop(),
            ("P2", "missing_there"),
            ("recon.missing_there", SUSPENSE, GATEWAY_RECEIVABLE, 70_000),
        ),
        (
            lambda bank: bank.lines.append(bank.lines.pop()._replace(amount_vnd=71_000)),
            ("P2", "amount"),
            ("recon.amount", GATEWAY_RECEIVABLE, SUSPENSE, 1_000),
        ),
        (
            lambda bank: bank.lines.append(bank.lines.pop()._replace(amount_vnd=69_000)),
            ("P2", "amount"),
            ("recon.amount", SUSPENSE, GATEWAY_RECEIVABLE, 1_000),
        ),
        (
            lambda bank: bank.lines.append(bank.lines[0]),
            ("P1", "doubled"),
            ("recon.doubled", GATEWAY_RECEIVABLE, SUSPENSE, 50_000),
        ),
        (
            lambda bank: bank.note("P1", 50_000, bank.lines[0].at_ms, result="voided"),
            ("P1", "missing_here"),
            ("recon.missing_here", SUSPENSE, GATEWAY_RECEIVABLE, 50_000),
        ),
    ],
    ids=["extra", "missing", "more", "less", "doubled", "given back there only"],
)
def test_a_difference_is_booked_to_suspense_with_one_case(world, plant, verdict, entry):
    world.paid("P1", A)
    world.paid("P2", B, 70_000)
    plant(world.bank)
    world.morning_after()
    world.reconcile()
    assert world.odd() == [verdict]
    assert recon_entries(world) == [entry]
    (case,) = world.open_differences()
    assert (case.payment, case.kind) == (verdict[0], f"recon.{verdict[1]}")
    said = as_total(world.bank.of_day(DAY))
    assert world.receivable == said


def as_total(lines):
    signs = {"authorised": 1, "voided": -1, "declined": 0}
    return sum(signs[line.result] * line.amount_vnd for line in lines)


def test_a_declined_line_carries_no_money(world):
    world.paid("P1", A)
    world.bank.note("P7", 90_000, world.now_ms, result="declined")
    world.morning_after()
    assert counts(world.reconcile()) == {"matched": 1}
    assert world.file_row().lines == 2


def test_the_same_file_again_changes_nothing_and_another_of_the_day_is_refused(world):
    world.paid("P1", A)
    world.bank.note("X9", 60_000, world.now_ms)
    world.morning_after()
    first = world.reconcile()
    before = world.contents()
    again = world.reconcile()
    assert again.outcome == "reconcile.done_before"
    assert again.data == first.data
    world.bank.note("X8", 60_000, day_start_ms(DAY))
    other = world.reconcile()
    assert other.outcome == "reconcile.other_file"
    assert other.data["hash"] == first.data["hash"]
    after = world.contents()
    assert {name for name in after if after[name] != before[name]} <= {"meta"}


def test_a_day_that_is_not_over_takes_no_file(world):
    world.paid("P1", A)
    at_midnight(world, before_ms=1)
    answer = world.reconcile()
    assert (answer.outcome, answer.data) == ("reconcile.not_over", {"day": DAY})
    world.clock.advance(1)
    assert world.reconcile().outcome == "reconcile.done"


def test_what_the_bank_did_before_midnight_and_we_noted_after_it_is_no_difference(world):
    at_midnight(world, before_ms=20)
    world.create("P1", A)
    world.bank.note("P1", 50_000, world.now_ms)
    world.clock.advance(40)
    assert world.notify("P1").outcome == "payment.cleared"
    world.morning_after()
    assert counts(world.reconcile()) == {"matched": 1}
    world.morning_after(NEXT_DAY)
    assert counts(world.reconcile(day=NEXT_DAY)) == {}
    assert recon_entries(world) == []


def test_an_answer_that_was_lost_for_days_is_booked_as_missing_and_comes_back(world):
    world.begin("P1", A)
    world.bank.note("P1", 50_000, world.now_ms)
    world.inquire("P1", "silent")
    world.morning_after()
    assert counts(world.reconcile()) == {"missing_here": 1}
    assert world.suspense == 50_000
    assert world.inquire("P1", "authorised").outcome == "payment.cleared"
    world.morning_after(NEXT_DAY)
    assert counts(world.reconcile(day=NEXT_DAY)) == {"missing_there": 1}
    assert (world.suspense, world.receivable) == (0, 50_000)


def test_files_that_come_in_the_wrong_order_end_alike(world):
    at_midnight(world, before_ms=20)
    world.create("P1", A)
    world.bank.note("P1", 50_000, world.now_ms)
    world.clock.advance(40)
    world.notify("P1")
    world.morning_after(NEXT_DAY)
    assert counts(world.reconcile(day=NEXT_DAY)) == {"missing_there": 1}
    assert counts(world.reconcile()) == {"missing_here": 1}
    assert (world.suspense, world.receivable) == (0, 50_000)


def test_a_payment_in_the_files_of_two_days_is_doubled(world):
    world.paid("P1", A)
    world.bank.note("P1", 50_000, world.now_ms + DAY_MS)
    world.morning_after()
    assert counts(world.reconcile()) == {"matched": 1}
    world.morning_after(NEXT_DAY)
    assert counts(world.reconcile(day=NEXT_DAY)) == {"doubled": 1}
    assert (world.suspense, world.receivable) == (50_000, 100_000)


@pytest.mark.rule("PAY-6")
def test_what_was_rejected_at_once_and_voided_matches_without_an_entry():
    with BookWorld(rules=rules_of_payments(large(60_000, then="reject"))) as world:
        world.subscriber(A, kind="postpaid")
        assert world.paid("P1", A, 60_000) == "payment.rejected_fraud"
        world.given_back("P1", 60_000)
        world.morning_after()
        assert counts(world.reconcile()) == {"matched": 2}
        assert (world.receivable, world.suspense) == (0, 0)
        assert world.check() == []


@pytest.mark.rule("PAY-6")
def test_what_was_rejected_in_review_matches_both_ways_also_when_the_void_is_after_midnight():
    with BookWorld(rules=rules_of_payments(large(60_000))) as world:
        world.subscriber(A, kind="postpaid")
        world.subscriber(B, kind="postpaid")
        assert world.paid("P1", A, 60_000) == "payment.in_review"
        world.staff("review", "P1", "reject", "stolen")
        world.given_back("P1", 60_000)
        at_midnight(world)
        world.paid("P2", B, 60_000)
        world.staff("review", "P2", "reject", "stolen")
        world.clock.advance(HOUR_MS)
        world.given_back("P2", 60_000)
        world.morning_after()
        assert counts(world.reconcile()) == {"matched": 3, "missing_there": 1}
        world.morning_after(NEXT_DAY)
        assert counts(world.reconcile(day=NEXT_DAY)) == {"missing_here": 1}
        assert (world.receivable, world.suspense) == (0, 0)
        assert world.check() == []


@pytest.mark.rule("PAY-9")
def test_a_cancellation_for_fraud_that_the_bank_has_paid_back_matches(world):
    world.paid("P1", A)
    assert world.cancel("P1").outcome == "payment.cancelled"
    world.given_back("P1", 50_000)
    world.morning_after()
    assert counts(world.reconcile()) == {"matched": 2}
    assert (world.receivable, world.suspense) == (0, 0)


def test_it_is_in_the_audit_log_and_others_hear_of_it(world):
    world.paid("P1", A)
    world.morning_after()
    world.reconcile()
    (line,) = [row for row in world.store.scan(AUDIT) if row.action == "reconcile"]
    assert (line.actor, line.subject) == ("token:books", str(DAY))
    found = {verdict.value: 0 for verdict in Verdict} | {"matched": 1}
    assert line.detail == " ".join(f"{name}={count}" for name, count in found.items())
    (event,) = [row for row in world.store.scan(OUTBOX_EVENT) if row.verb == "reconciled"]
    assert (event.subject, event.msisdn) == ("day", 0)
    assert json.loads(event.body) == {"day": DAY, "amount_vnd": 50_000, **found}


def test_programs_are_told_all_of_it(world):
    world.paid("P1", A)
    world.bank.note("X9", 60_000, world.now_ms, cashier="VCB07")
    world.paid("P2", B, 70_000, cashier="ACB03", recorded=False)
    world.morning_after()
    done = world.reconcile()
    line = {"line": 2, "payment": "X9", "verdict": "missing_here", "amount_vnd": 60_000}
    lacking = {"line": 0, "payment": "P2", "verdict": "missing_there", "amount_vnd": 0}
    assert done.data == {
        "day": DAY,
        "hash": world.file_row().hash,
        "lines": 2,
        "amount_vnd": 110_000,
        "accepted_at": world.now_ms,
        "counts": {verdict.value: 0 for verdict in Verdict}
        | {"matched": 1, "missing_here": 1, "missing_there": 1},
        "differences": [
            {**line, "ours_vnd": 0, "cashier": "VCB07"},
            {**lacking, "ours_vnd": 70_000, "cashier": "ACB03"},
        ],
    }


def test_a_file_that_is_cut_off_never_reaches_the_books(world):
    world.paid("P1", A)
    world.paid("P2", B)
    world.morning_after()
    whole = as_file(world.bank.lines)
    with pytest.raises(Exception, match="trailer"):
        world.reconcile(whole[: whole.rindex(b"trailer")])
    assert world.file_row() is None
    assert world.reconcile(whole).outcome == "reconcile.done"
