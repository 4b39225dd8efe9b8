"""What others are told of card payments, and what a payment looks like, to the last field."""

import json

import msgspec
import pytest

from telcod.days import MINUTE_MS
from telcod.rows import ENTRY, OUTBOX_EVENT
from tests.payment_world import PaymentWorld, large, rules_of_payments, stopped
from tests.world import START_MS

pytestmark = pytest.mark.rule("MQTT-2")

A, B = 84903000001, 84903000002
RULES = rules_of_payments(
    large(1_000_000),
    stopped("card", "tok-stolen"),
    stopped("address", "198.51.100.0/24", then="review"),
)


@pytest.fixture
def world():
    """A is prepaid with 1,000, B postpaid and owes 200,000; large amounts are reviewed."""
    with PaymentWorld(rules=RULES) as made:
        made.subscriber(A, balance_vnd=1_000)
        made.subscriber(B, kind="postpaid", debt_vnd=200_000, centre=2)
        yield made
        assert made.check() == []


def told(world):
    """(what, of whom, with what) of all that others were told of payments."""
    return [
        (f"{row.subject}/{row.verb}", row.msisdn, json.loads(row.body))
        for row in world.store.scan(OUTBOX_EVENT)
    ]


def of(payment_id, amount_vnd):
    """The body of an event of a payment of A's, who is of centre 1."""
    return {"payment": payment_id, "purpose": "topup", "amount_vnd": amount_vnd, "centre": 1}


@pytest.mark.rule("PAY-5", "PAY-6", "PAY-7")
def test_a_topup_is_told_from_its_review_to_its_credit(world):
    world.pay("p", A, 1_000_000)
    world.staff("review", "p", "pass", "known")
    assert told(world) == [
        ("payment/in_review", A, of("p", 1_000_000)),
        ("payment/cleared", A, of("p", 1_000_000)),
        ("balance/credited", A, {"amount_vnd": 1_000_000, "entry": 4}),
    ]


@pytest.mark.rule("PAY-7", "PAY-9")
def test_a_bill_is_told_when_it_is_cleared_and_when_it_is_cancelled(world):
    world.set_state(B, "debt_blocked")
    before = len(told(world))
    world.pay("p", B, 200_000)
    body = {"payment": "p", "purpose": "bill", "amount_vnd": 200_000, "centre": 2}
    blocked = [
        ("payment/cleared", B, body),
        ("subscriber/unblock_requested", B, {"payment": "p"}),
    ]
    assert sorted(told(world)[before:], key=str) == sorted(blocked, key=str)
    world.cancel("p")
    assert told(world)[-1] == ("payment/cancelled", B, body)


@pytest.mark.rule("PAY-6")
def test_suspected_fraud_is_told(world):
    world.pay("p", A, token="tok-stolen")
    assert told(world) == [("payment/rejected_fraud", A, of("p", 50_000))]


@pytest.mark.rule("PAY-5")
def test_a_case_is_told_when_it_is_opened(world):
    world.pay("p", A)
    world.notify("p", "declined", key="again")
    body = {"payment": "p", "case": 1, "kind": "contradictory"}
    assert ("payment/case_opened", A, body) in told(world)


@pytest.mark.rule("PAY-8")
def test_a_centre_whose_clearing_goes_and_comes_is_told_once_each(world):
    for word in ("closed", "closed", "open", "open"):
        world.centre(2, word)
    assert told(world) == [
        ("centre/clearing_closed", 0, {"centre": 2}),
        ("centre/clearing_open", 0, {"centre": 2}),
    ]


@pytest.mark.rule("PAY-6")
def test_the_payers_address_may_ask_for_a_review(world):
    world.pay("p", A, address="198.51.100.7")
    world.pay("q", A, address="203.0.113.7")
    assert [world.state(payment_id) for payment_id in ("p", "q")] == ["in_review", "cleared"]


def test_money_is_booked_at_the_moment_that_the_gateway_names(world):
    world.begin("p", A)
    said = world.notify_request("p", "authorised")
    at = world.now_ms - 7_000
    world.run(msgspec.structs.replace(said, event_ms=at))
    moved = [row for row in world.store.scan(ENTRY) if row.command == "payment:p"]
    assert (moved[0].kind, moved[0].event_at) == ("payment.collected", at)
    assert {row.committed_at for row in moved} == {world.now_ms}


@pytest.mark.rule("PAY-5", "PAY-9")
def test_a_payment_is_shown_to_its_last_field(world):
    world.pay("p", A)
    shown = {
        "payment_id": "p",
        "state": "cleared",
        "reason": "",
        "msisdn": str(A),
        "purpose": "topup",
        "card": "international",
        "amount_vnd": 50_000,
        "redirect_url": "https://cards.example/p",
        "return_url": "https://shop.example/done",
        "gateway_ref": "gw-p",
        "masked_card": "411111******1111",
        "invoice": False,
        "created_at": START_MS,
        "authorised_at": START_MS,
        "cleared_at": START_MS,
        "expires_at": START_MS + 15 * MINUTE_MS,
        "language": "vi",
        "job": "none",
    }
    assert world.show("p").data == shown
    proposed = world.staff("propose_cancel", "p", "a letter")
    assert (proposed.outcome, proposed.data) == (
        "payment.cancel_proposed",
        shown | {"by": "token:an"},
    )
    same = world.staff("confirm_cancel", "p", "a letter")
    assert (same.outcome, same.data["by"]) == ("payment.same_person", "token:an")
