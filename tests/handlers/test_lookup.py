"""Who gets to see name, address and debt, and what a guesser gets: one refusal, then a lock."""

import pytest

import handlers
from telcod.billing.lookup import judged_by
from telcod.days import MINUTE_MS
from telcod.dispatch import Route
from telcod.rows import (
    AUDIT,
    LOOKUP_TRIES,
    OUTBOX_EVENT,
    PAYMENT_PASSWORD,
    QUARANTINE,
    PaymentPassword,
)
from telcod.types import Channel, Reply, Request
from tests.book_world import BookWorld, rules_without_risk

pytestmark = pytest.mark.rule("PAY-2")

A, B, NOBODY = 84_903_000_001, 84_903_000_002, 84_903_999_999
REFUSED = ("lookup.refused", None, "")


@pytest.fixture
def world():
    with BookWorld(rules=rules_without_risk(events=True)) as world:
        world.subscriber(
            A, kind="postpaid", debt_vnd=200_000, name="Nguyễn Thị Ánh", address="12 Lê Lợi, Huế"
        )
        world.subscriber(B, kind="postpaid")
        yield world
        assert list(world.store.scan(QUARANTINE)) == []
        assert world.check() == []


def look_up(world, verdict, number=A):
    request = Request(
        "lookup.try", sender=number, channel=Channel.WEB, actor="token:p", body={"verdict": verdict}
    )
    (result,) = world.run(request)
    return result


def seen(answer):
    return (answer.outcome, answer.data, answer.text)


def unlock(world, number=A):
    request = Request("lookup.unlock", sender=number, channel=Channel.STAFF, actor="token:an")
    (result,) = world.run(request)
    return result.outcome


def test_the_right_password_shows_name_address_and_debt_and_nothing_else(world):
    answer = look_up(world, "right")
    assert answer.outcome == "lookup.shown"
    assert answer.data == {
        "name": "Nguyễn Thị Ánh",
        "address": "12 Lê Lợi, Huế",
        "debt_vnd": 200_000,
    }
    (line,) = [row for row in world.store.scan(AUDIT) if row.action == "lookup.shown"]
    assert (line.actor, line.subject) == ("token:p", str(A))


def test_a_credit_is_no_debt(world):
    world.topup(A, 250_000)
    assert look_up(world, "right").data["debt_vnd"] == 0


def test_all_refusals_are_one_whatever_the_reason(world):
    world.subscriber(84_903_000_003, kind="postpaid")
    world.set_state(84_903_000_003, "closed")
    assert {
        seen(look_up(world, verdict, number))
        for verdict, number in [
            ("wrong", A),
            ("none", B),
            ("none", NOBODY),
            ("right", NOBODY),
            ("none", 0),
            ("right", 84_903_000_003),
        ]
    } == {REFUSED}


@pytest.mark.rule("CARE-2")
def test_the_fifth_wrong_one_locks_and_tells_the_subscriber_once(world):
    for _ in range(9):
        assert seen(look_up(world, "wrong")) == REFUSED
    (text,) = world.sent_to(A)
    assert "30 phut" in text
    (row,) = [row for row in world.outbox() if row.destination == str(A)]
    assert row.source == "9223"
    assert seen(look_up(world, "right")) == REFUSED
    assert row.kind == "notice"
    events = [(row.subject, row.verb, row.msisdn) for row in world.store.scan(OUTBOX_EVENT)]
    assert events.count(("lookup", "locked", A)) == 1
    lines = [row for row in world.store.scan(AUDIT) if row.action == "lookup.locked"]
    assert [(line.actor, line.subject) for line in lines] == [("token:p", str(A))]


def test_the_lock_is_of_one_number_and_ends_by_itself(world):
    for _ in range(5):
        look_up(world, "wrong")
    assert look_up(world, "right", B).outcome == "lookup.shown"
    world.clock.advance(30 * MINUTE_MS - 1)
    assert look_up(world, "right").outcome == "lookup.refused"
    world.clock.advance(1)
    assert look_up(world, "right").outcome == "lookup.shown"
    assert world.row(LOOKUP_TRIES, A) is None


def test_twenty_guesses_in_one_batch_are_counted_one_by_one(world):
    requests = [
        Request("lookup.try", sender=A, channel=Channel.WEB, body={"verdict": verdict})
        for verdict in ["wrong"] * 5 + ["right"] * 15
    ]
    assert {result.outcome for result in world.run(*requests)} == {"lookup.refused"}
    assert len(world.sent_to(A)) == 1


def test_guesses_at_a_number_that_is_nobodys_leave_nothing_behind(world):
    for _ in range(9):
        look_up(world, "wrong", NOBODY)
    assert list(world.store.scan(LOOKUP_TRIES)) == []
    assert world.outbox() == []


@pytest.mark.rule("CARE-2")
def test_staff_unlock_and_he_is_told(world):
    for _ in range(5):
        look_up(world, "wrong")
    assert unlock(world) == "lookup.unlocked"
    assert len(world.sent_to(A)) == 2
    assert {row.kind for row in world.outbox()} == {"notice"}
    assert look_up(world, "right").outcome == "lookup.shown"
    (line,) = [row for row in world.store.scan(AUDIT) if row.action == "lookup.unlock"]
    assert (line.actor, line.subject) == ("token:an", str(A))


@pytest.mark.rule("CARE-2")
def test_what_is_not_locked_is_not_unlocked_but_the_look_is_audited(world):
    look_up(world, "wrong")
    assert unlock(world) == "lookup.not_locked"
    assert unlock(world, B) == "lookup.not_locked"
    assert unlock(world, NOBODY) == "subscriber.unknown"
    assert world.outbox() == []
    assert sum(row.action == "lookup.unlock" for row in world.store.scan(AUDIT)) == 2


def test_a_verdict_counts_when_it_is_on_his_present_password():
    def set_password(request, tx):
        tx.put(PAYMENT_PASSWORD, PaymentPassword(request.sender, "the hash", tx.now_ms))
        return Reply("set")

    routes = {**handlers.ROUTES, "test.set": Route("test.set", set_password)}
    with BookWorld(routes=routes) as world:
        world.subscriber(A, kind="postpaid")
        world.run(Request("test.set", sender=A))
        for judged, outcome in (("the hash", "lookup.shown"), ("", REFUSED[0])):
            body = {"verdict": "right", "judged_by": judged_by(judged)}
            (answer,) = world.run(Request("lookup.try", sender=A, channel=Channel.WEB, body=body))
            assert answer.outcome == outcome


@pytest.mark.parametrize("number", [A, B])
def test_a_verdict_on_another_password_than_his_present_one_shows_and_counts_nothing(world, number):
    for verdict in ("right", *["wrong"] * 6):
        body = {"verdict": verdict, "judged_by": judged_by("the hash of an earlier one")}
        (answer,) = world.run(
            Request("lookup.try", sender=number, channel=Channel.WEB, actor="token:p", body=body)
        )
        assert seen(answer) == REFUSED
    assert list(world.store.scan(LOOKUP_TRIES)) == []
    body = {"verdict": "right", "judged_by": judged_by("")}  # There is none, and none was judged.
    (answer,) = world.run(Request("lookup.try", sender=number, channel=Channel.WEB, body=body))
    assert answer.outcome == "lookup.shown"
