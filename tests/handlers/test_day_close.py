"""The end of the day: closed once, in order, when collections and clearing agree to the đồng."""

import json

import msgspec
import pytest

import handlers
from telcod.billing.accounts import BANK, GATEWAY_RECEIVABLE
from telcod.dispatch import Route
from telcod.rows import AUDIT, CLEARING, DAY_CLOSE, OUTBOX_EVENT, QUARANTINE
from telcod.types import Reply, Request
from tests.book_world import ACTOR, NEXT_DAY, BookWorld, rules_without_risk

pytestmark = pytest.mark.rule("PAY-12")

A, B = 84_903_000_001, 84_903_000_002


def forge(request, tx):
    """A mistake nobody should make: a clearing that moved no money."""
    row = tx.log_row(CLEARING, 1)
    seq = tx.next_seq(CLEARING)
    tx.append(CLEARING, msgspec.structs.replace(row, seq=seq, amount_vnd=1))
    return Reply("forged")


def forget_transit(request, tx):
    """Another: what was in transit at a close is written down wrong."""
    row = tx.get(DAY_CLOSE, int(request.args[0]))
    tx.put(DAY_CLOSE, msgspec.structs.replace(row, transit_vnd=row.transit_vnd + 1))
    return Reply("forged")


ROUTES = {
    **handlers.ROUTES,
    "test.forge": Route("test.forge", forge),
    "test.forget": Route("test.forget", forget_transit),
}


@pytest.fixture(params=["in memory", "in a file"])
def world(request, tmp_path):
    path = tmp_path / "books.db" if request.param == "in a file" else None
    with BookWorld(path, rules=rules_without_risk(events=True), routes=ROUTES) as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000)
        world.subscriber(B, kind="prepaid", centre=4)
        yield world
        assert list(world.store.scan(QUARANTINE)) == []


def lacks(answer):
    assert answer.outcome == "day.open", answer
    return [one["code"] for one in answer.data["missing"]]


def test_a_reconciled_day_is_closed_with_its_sums(world):
    world.paid("P1", A)
    world.paid("P2", B, 70_000)
    world.morning_after()
    world.reconcile()
    answer = world.close()
    assert answer.outcome == "day.closed"
    row = world.day_row()
    assert (row.collected_vnd, row.cleared_vnd, row.transit_vnd) == (120_000, 120_000, 0)
    assert (row.differences, row.actor) == (0, ACTOR)
    sums = {"collected_vnd": 120_000, "cleared_vnd": 120_000, "transit_vnd": 0, "differences": 0}
    assert answer.data == {"day": row.day, "closed_at": world.now_ms, "actor": ACTOR, **sums}
    (event,) = [row for row in world.store.scan(OUTBOX_EVENT) if row.verb == "closed"]
    assert (event.subject, event.msisdn) == ("day", 0)
    assert json.loads(event.body) == {"day": row.day, **sums}
    (line,) = [row for row in world.store.scan(AUDIT) if row.action == "day.close"]
    assert (line.actor, line.subject, line.detail) == (ACTOR, str(row.day), "120000 120000")
    assert world.check() == []


def test_a_day_is_closed_once_and_a_repeat_gets_the_same(world):
    world.paid("P1", A)
    world.morning_after()
    world.reconcile()
    first = world.close()
    before = world.contents(without=())
    again = world.close()
    assert again.outcome == "day.closed_before"
    assert again.data == first.data
    after = world.contents()
    assert {name for name in after if after[name] != before[name]} <= {"meta"}
    closes = [row for row in world.store.scan(AUDIT) if row.action == "day.close"]
    events = [row for row in world.store.scan(OUTBOX_EVENT) if row.verb == "closed"]
    assert (len(closes), len(events)) == (1, 1)


def test_without_the_gateways_file_the_day_stays_open(world):
    world.paid("P1", A)
    world.morning_after()
    assert lacks(world.close()) == ["file"]
    missing = {"code": "file", "detail": "the gateway's file of 20260302 was not reconciled"}
    assert world.close().data == {"day": 20260302, "missing": [missing]}
    assert world.day_row() is None


def test_a_day_is_not_closed_before_it_is_over(world):
    world.paid("P1", A)
    assert lacks(world.close()) == ["day_not_over"]
    answer = world.close(NEXT_DAY)
    assert lacks(answer) == ["day_not_over"]
    said = {"code": "day_not_over", "detail": f"the day {NEXT_DAY} is not over"}
    assert answer.data == {"day": NEXT_DAY, "missing": [said]}


def test_days_are_closed_in_order(world):
    world.paid("P1", A)
    world.morning_after()
    world.paid("P2", B)
    world.morning_after(NEXT_DAY)
    world.reconcile(day=NEXT_DAY)
    (missing,) = world.close(NEXT_DAY).data["missing"]
    assert missing == {"code": "day_before", "detail": "the day 20260302 is still open"}
    world.reconcile()
    assert world.close().outcome == "day.closed"
    assert world.close(NEXT_DAY).outcome == "day.closed"


def test_what_is_in_transit_explains_the_difference_and_is_there_next_morning(world):
    world.centre(1, "closed")
    world.paid("P1", A, 80_000)
    world.paid("P2", B, 70_000)
    world.morning_after()
    world.reconcile()
    assert world.close().outcome == "day.closed"
    row = world.day_row()
    assert (row.collected_vnd, row.cleared_vnd, row.transit_vnd) == (150_000, 70_000, 80_000)
    world.centre(1, "open")
    for payment_id in world.due_payments():
        world.due(payment_id)
    assert world.state("P1") == "cleared"
    world.morning_after(NEXT_DAY)
    world.reconcile(day=NEXT_DAY)
    assert world.close(NEXT_DAY).outcome == "day.closed"
    row = world.day_row(NEXT_DAY)
    assert (row.collected_vnd, row.cleared_vnd, row.transit_vnd) == (0, 80_000, 0)


def test_what_leaves_transit_after_midnight_was_there_at_the_end_of_the_day(world):
    world.centre(1, "closed")
    world.paid("P1", A, 80_000)
    world.morning_after()
    world.centre(1, "open")
    for payment_id in world.due_payments():
        world.due(payment_id)
    assert (world.state("P1"), world.in_transit) == ("cleared", 0)
    world.reconcile()
    assert world.close().outcome == "day.closed"
    row = world.day_row()
    assert (row.collected_vnd, row.cleared_vnd, row.transit_vnd) == (80_000, 0, 80_000)


def test_a_day_begins_with_what_was_in_transit_at_the_last_close(world):
    world.centre(1, "closed")
    world.paid("P1", A, 80_000)
    world.morning_after()
    world.reconcile()
    world.close()
    world.run(Request("test.forget", args=("20260302",)))
    world.paid("P2", B, 70_000)
    world.morning_after(NEXT_DAY)
    world.reconcile(day=NEXT_DAY)
    (missing,) = world.close(NEXT_DAY).data["missing"]
    assert missing == {
        "code": "transit",
        "detail": "80,001 dong were in transit at the last close, "
        "80,000 dong at the beginning of the day",
    }


@pytest.mark.rule("PAY-9")
def test_a_cancellation_counts_on_both_sides(world):
    world.paid("P1", A)
    world.paid("P2", B)
    world.cancel("P2")
    world.given_back("P2", 50_000)
    world.morning_after()
    world.reconcile()
    assert world.close().outcome == "day.closed"
    row = world.day_row()
    assert (row.collected_vnd, row.cleared_vnd, row.transit_vnd) == (50_000, 50_000, 0)


def test_differences_that_were_booked_do_not_keep_the_day_open_but_are_counted(world):
    world.paid("P1", A)
    world.bank.note("X1", 60_000, world.now_ms)
    world.morning_after()
    world.reconcile()
    assert world.close().outcome == "day.closed"
    assert world.day_row().differences == 1


def test_a_clearing_that_no_entry_stands_behind_keeps_the_day_open(world):
    world.paid("P1", A)
    world.run(Request("test.forge"))
    world.morning_after()
    world.reconcile()
    assert "clearing" in lacks(world.close())


def test_what_was_cleared_after_midnight_is_of_the_next_day(world):
    for number in range(7):
        msisdn = world.subscriber(84_903_100_000 + number, kind="postpaid", centre=1 + number % 6)
        for again in range(5):
            world.paid(f"Q{number}X{again}", msisdn)
    world.morning_after()
    world.paid("LATER", A)
    world.reconcile()
    assert world.close().outcome == "day.closed"
    assert world.day_row().cleared_vnd == 35 * 50_000


# ------------------------------------------------------------------------------ what the bank pays


@pytest.mark.rule("PAY-13")
def test_what_the_bank_pays_goes_from_the_bank_to_the_gateways_account(world):
    world.paid("P1", A)
    world.paid("P2", B, 70_000)
    assert world.receivable == 120_000
    advance = world.settle("advance", 100_000)
    noted = {
        "day": 20260302,
        "kind": "advance",
        "amount_vnd": 100_000,
        "noted_at": world.now_ms,
        "settled_vnd": 100_000,
        "owed_vnd": 20_000,
    }
    assert (advance.outcome, advance.data) == ("settlement.noted", noted)
    world.clock.advance(5_000)
    again = world.settle("advance", 100_000)
    assert (again.outcome, again.data) == ("settlement.noted_before", noted)
    final = world.settle("final", 20_000)
    assert (final.data["settled_vnd"], final.data["owed_vnd"]) == (120_000, 0)
    lines = [row for row in world.store.scan(AUDIT) if row.action == "settlement"]
    assert [(row.subject, row.detail) for row in lines] == [
        ("20260302", "advance 100000"),
        ("20260302", "final 20000"),
    ]
    assert (world.posted(BANK), world.posted(GATEWAY_RECEIVABLE)) == (-120_000, 0)
    assert world.check() == []


@pytest.mark.rule("PAY-13")
def test_a_settlement_is_noted_once_and_another_amount_is_refused(world):
    world.paid("P1", A)
    world.settle("advance", 10_000)
    assert world.settle("advance", 10_000).outcome == "settlement.noted_before"
    assert world.settle("advance", 10_001).outcome == "settlement.other_amount"
    assert world.posted(BANK) == -10_000
    assert world.settle("advance", 10_001, NEXT_DAY).outcome == "settlement.noted"


@pytest.mark.rule("PAY-13")
@pytest.mark.parametrize("amount_vnd", [0, -1, 10**12 + 1])
def test_an_amount_that_is_none_is_refused(world, amount_vnd):
    assert world.settle("final", amount_vnd).outcome == "amount_out_of_range"
    assert world.posted(BANK) == 0
