"""One invoice a payment, asked for by text or on the page, in the batch of its day and centre."""

import pytest

from telcod.rows import AUDIT, INVOICE, OUTBOX_EVENT, QUARANTINE
from telcod.types import Channel, Request
from tests.book_world import NEXT_DAY, BookWorld, rules_without_risk

pytestmark = pytest.mark.rule("PAY-11")

A, B, C = 84_903_000_001, 84_903_000_002, 84_903_000_003
HOME = {"name": "Nguyễn Thị Ánh", "address": "12 Lê Lợi, Huế", "email": "anh@example.net"}


@pytest.fixture
def world():
    with BookWorld(rules=rules_without_risk(events=True)) as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000, centre=3, **HOME)
        world.subscriber(B, kind="postpaid", name="Trần Bình", address="5 Hai Bà Trưng")
        world.subscriber(C, kind="postpaid", name="Lê Cường")
        yield world
        assert list(world.store.scan(QUARANTINE)) == []
        assert world.check() == []


def ask(world, payment_id, *, sender=0):
    request = Request(
        "invoice.ask", sender=sender, args=(payment_id,), channel=Channel.WEB, actor="token:p"
    )
    (result,) = world.run(request)
    return result.outcome


def nhan(world, number, code=""):
    return world.text(number, f"NHAN {code}".strip(), code="9223").outcome


def invoices(world):
    return {row.payment: row for row in world.store.scan(INVOICE)}


def test_an_invoice_has_name_and_address_of_its_moment_and_the_day_it_was_asked_for(world):
    world.paid("7K2M", A, 110_000)
    world.morning_after()
    assert ask(world, "7K2M") == "invoice.noted"
    world.import_({"msisdn": A, "kind": "postpaid", "centre": 5, "name": "X", "address": "Y"})
    row = invoices(world)["7K2M"]
    assert (row.name, row.address, row.email) == tuple(HOME.values())
    assert (row.day, row.centre, row.amount_vnd, row.purpose) == (NEXT_DAY, 3, 110_000, "bill")


@pytest.mark.rule("MQTT-2", "CARE-2")
def test_an_invoice_is_told_to_others_and_in_the_log_and_answered_with_its_moment(world):
    world.paid("7K2M", A, 110_000)
    world.clock.advance(1_000)
    at = world.now_ms
    request = Request("invoice.ask", args=("7K2M",), channel=Channel.WEB, actor="token:p")
    (first,) = world.run(request)
    assert (first.outcome, first.data) == ("invoice.noted", {"payment": "7K2M", "asked_at": at})
    world.clock.advance(1_000)
    (again,) = world.run(request)
    assert (again.outcome, again.data) == ("invoice.already", {"payment": "7K2M", "asked_at": at})
    lines = [row for row in world.store.scan(AUDIT) if row.action == "invoice.ask"]
    assert [(row.actor, row.subject, row.detail) for row in lines] == [("token:p", "7K2M", str(A))]
    told = [row for row in world.store.scan(OUTBOX_EVENT) if row.subject == "invoice"]
    assert [(row.verb, row.msisdn, row.body) for row in told] == [
        ("asked", A, '{"payment":"7K2M","amount_vnd":110000}')
    ]


def test_a_payment_without_an_invoice_has_no_moment(world):
    world.begin("P9", A)
    (answer,) = world.run(Request("invoice.ask", args=("P9",), channel=Channel.WEB))
    assert (answer.outcome, answer.data["asked_at"]) == ("invoice.not_cleared", 0)


def test_it_is_asked_for_once_by_whatever_way(world):
    world.paid("7K2M", A)
    assert ask(world, "7K2M", sender=A) == "invoice.noted"
    assert ask(world, "7K2M") == "invoice.already"
    assert nhan(world, A) == "invoice.already"
    assert nhan(world, A, "7K2M") == "invoice.already"
    assert len(invoices(world)) == 1


def test_nhan_without_a_code_is_of_the_last_payment_that_was_cleared(world):
    assert nhan(world, A) == "invoice.no_payment"
    world.paid("1A", A)
    world.clock.advance(1_000)
    world.paid("2B", A)
    world.clock.advance(1_000)
    world.begin("3C", A)
    assert nhan(world, A) == "invoice.noted"
    assert list(invoices(world)) == ["2B"]


def test_nhan_with_a_code_is_of_that_payment_if_it_is_his(world):
    world.paid("1A", A)
    world.paid("2B", B)
    assert nhan(world, A, "1a") == "invoice.noted"
    assert nhan(world, A, "2B") == "invoice.unknown_code"
    assert nhan(world, A, "9Z") == "invoice.unknown_code"
    assert ask(world, "2B", sender=A) == "invoice.no_payment"
    assert list(invoices(world)) == ["1A"]


def test_what_was_not_cleared_or_was_cancelled_has_no_invoice(world):
    world.begin("1A", A)
    assert ask(world, "1A") == "invoice.not_cleared"
    assert nhan(world, A, "1A") == "invoice.not_cleared"
    world.paid("2B", A)
    world.cancel("2B")
    assert ask(world, "2B") == "invoice.not_cleared"
    assert ask(world, "9Z") == "invoice.no_payment"
    assert invoices(world) == {}


def test_without_an_address_he_is_told_to_call_and_may_ask_again(world):
    world.paid("1A", C)
    assert ask(world, "1A") == "invoice.no_address"
    assert nhan(world, C) == "invoice.no_address"
    assert "9090" in world.sent_to(C)[-1]
    home = {"name": "Lê Cường", "address": "7 Trần Phú"}
    world.import_({"msisdn": C, "kind": "postpaid", **home})
    assert nhan(world, C) == "invoice.noted"


@pytest.mark.rule("NUM-5")
def test_the_next_owner_of_a_number_has_none_of_the_payments_of_the_last_one(world):
    world.paid("1A", A)
    world.set_state(A, "closed")
    world.import_({"msisdn": A, "kind": "postpaid", "name": "Ai", "address": "Đâu"})
    assert nhan(world, A) == "invoice.no_payment"
    assert nhan(world, A, "1A") == "invoice.unknown_code"
    assert ask(world, "1A") == "invoice.no_address"
    assert invoices(world) == {}
