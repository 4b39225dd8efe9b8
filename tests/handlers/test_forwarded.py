"""Texts to 1566+number, paid by who gets them: every way to an end, and what each one costs."""

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telcod.days import HOUR_MS
from telcod.errors import StoreRefused
from telcod.metrics import Metrics
from telcod.rows import (
    ASKED_TEXT,
    HELD_TEXT,
    HOLD,
    MO,
    QUARANTINE,
    HoldStatus,
    OutboxState,
    TextState,
)
from telcod.simulator import smsc_text, smsc_wire
from telcod.smpp import pdu
from telcod.smpp.inbox import Inbox
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.outgoing import submits
from telcod.smpp.redelivery import Redelivery
from telcod.storage.memory import MemoryStore
from telcod.text import without_nul
from tests.text_world import LINK, TextWorld
from tests.world import rules_with

A, B, C = 84903000001, 84903000002, 84903000003
PART_VND = 250
PREFIX = "0903000001: "
GONE_WRONG = (OutboxState.FAILED, OutboxState.EXPIRED)
NOT_TAKEN = "Tin nhan cua Quy khach gui 0903000002 khong duoc nhan. LH 9090."
NOT_ARRIVED = (
    "Tin nhan cua Quy khach gui 0903000002 khong den duoc nguoi nhan. "
    "Khong ai bi tru cuoc. LH 9090."
)


def check(world):
    """The books are right, nothing broke, and each text has the hold and the charge it should."""
    assert world.check() == []
    assert list(world.store.scan(QUARANTINE)) == []
    holds = {row.id: row for row in world.store.scan(HOLD)}
    open_asked = {(row.payer, row.code, row.mo) for row in world.store.scan(ASKED_TEXT)}
    paid = []
    for text in world.held_texts():
        hold = holds.pop(f"text:{text.mo}", None)
        ended_by = hold.status if hold else None
        if text.state == TextState.SENDING:
            assert (ended_by, hold.amount) == (HoldStatus.OPEN, text.price_vnd)
        elif text.state == TextState.DELIVERED:
            assert (ended_by, hold.posted) == (HoldStatus.POSTED, text.price_vnd)
            paid.append((text.payer, text.price_vnd))
        else:
            assert ended_by in {None, HoldStatus.RELEASED}
        is_open = text.state in {TextState.ASKING, TextState.SENDING}
        assert is_open == (text.due_at > 0) == (text.text != "")
        asked = (text.payer, text.code, text.mo) in open_asked
        assert asked == (text.state == TextState.ASKING)
    for payer in {text.payer for text in world.held_texts()}:
        assert sorted(world.charges(payer)) == sorted(vnd for who, vnd in paid if who == payer)


def people(world, *, balance_vnd=10_000):
    world.subscriber(A)
    world.subscriber(B, balance_vnd=balance_vnd)
    world.subscriber(C, balance_vnd=balance_vnd)
    return world


@pytest.fixture
def world():
    """A, who has nothing, and B and C, who have; checked at the end."""
    with TextWorld() as world:
        yield people(world)
        check(world)


@pytest.fixture
def world_on_disk(tmp_path):
    """The same in a file."""
    with TextWorld(tmp_path / "telcod.db") as world:
        yield people(world)
        check(world)


def whitelist(world, owner=B, number=A, *, package="DK7"):
    world.text(owner, package)
    assert world.text(owner, f"W 0{number % 10**9}").outcome.startswith("list.")


# ------------------------------------------------------------------------------------- who is asked


@pytest.mark.rule("PFM-30")
def test_a_whitelisted_sender_of_a_working_package_is_sent_on_at_once_and_charged_on_arrival(world):
    whitelist(world)
    assert world.forward(A, B).outcome == "forward.sent"
    assert world.sent_to(B)[-1] == f"{PREFIX}Hello"
    assert world.money(B) == (10_000, PART_VND)
    assert world.deliver() == "receipt.delivered"
    assert world.money(B) == (10_000 - PART_VND, 0)


@pytest.mark.rule("PFM-30")
def test_a_whitelist_without_a_package_is_no_consent(world):
    whitelist(world)
    world.text(B, "HUY")
    assert world.forward(A, B).outcome == "forward.waiting"
    assert world.forwarded() == []
    assert world.money(B) == (10_000, 0)


@pytest.mark.rule("PFM-30")
def test_a_suspended_package_is_no_consent_until_it_is_renewed(world):
    world.subscriber(84903000005, balance_vnd=900)
    whitelist(world, 84903000005, package="DK")
    world.pass_time(24 * HOUR_MS)
    assert world.package(84903000005).status == "suspended"
    assert world.forward(A, 84903000005).outcome == "forward.waiting"
    world.topup(84903000005, 1_000)
    assert world.forward(A, 84903000005).outcome == "forward.sent"


@pytest.mark.rule("PFM-30")
def test_somebody_else_on_the_whitelist_does_not_help(world):
    whitelist(world, B, C)
    assert world.forward(A, B).outcome == "forward.waiting"


@pytest.mark.rule("PFM-30")
def test_the_question_names_sender_price_code_and_end_and_nothing_of_the_text(world):
    world.forward(A, B, "Gap lam! {nho}")
    (question,) = world.sent_to(B)
    assert "0903000001 muon gui tin nhan" in question
    assert "gia 250d" in question
    assert f"Y {world.code_of(B)} " in question
    assert "truoc 10:00 03/03/2026" in question
    assert "nho" not in question
    assert world.outbox()[0].expires_at == world.now_ms + 24 * HOUR_MS


@pytest.mark.rule("PFM-30")
def test_open_questions_of_one_payer_have_different_codes(world):
    for _ in range(10):
        world.forward(A, B)
        world.forward(C, B)
    codes = [row.code for row in world.store.scan(ASKED_TEXT)]
    assert len(set(codes)) == len(codes) == 20
    assert {len(code) for code in codes} == {4}


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize(
    ("caller", "payer", "outcome"),
    [
        (A, A, "forward.not_served"),
        (A, 84903000009, "forward.not_served"),
        (A, 84903000006, "forward.not_served"),
        (84903000006, B, "forward.not_served"),
        (84903000007, B, "forward.not_served"),
        (84903000009, B, "text.not_subscriber"),
    ],
    ids=["oneself", "off-net", "to postpaid", "from postpaid", "from suspended", "no subscriber"],
)
def test_who_is_not_served_is_told_so_and_nobody_is_disturbed(world, caller, payer, outcome):
    world.subscriber(84903000006, kind="postpaid")
    world.subscriber(84903000007, state="suspended")
    assert world.forward(caller, payer).outcome == outcome
    assert world.held_texts() == []
    assert {row.destination for row in world.outbox()} == {str(caller)}


@pytest.mark.rule("PFM-30")
def test_every_other_reason_reads_the_same_to_the_sender(world):
    world.subscriber(84903000005, balance_vnd=PART_VND - 1)
    world.text(B, "B 0903000001")
    refused = [world.forward(A, B).text, world.forward(A, 84903000005).text]
    assert len(set(refused)) == 1
    # Even from the whitelist, and even if the price alone is too much.
    whitelist(world, C, A)
    world.text(C, "HUY")
    assert world.forward(A, C, "x" * 161 * 40).text == refused[0]
    assert world.held_texts() == []


@pytest.mark.rule("PFM-30")
def test_the_blacklist_is_before_everything_that_could_disturb(world):
    whitelist(world)
    world.text(B, "B 0903000001")
    assert world.forward(A, B).outcome == "forward.refused"
    assert len(world.sent_to(B)) == 3  # The answers to his own three texts.


@pytest.mark.rule("PFM-30", "KW-3")
def test_an_empty_text_and_a_number_that_is_none_reach_nobody_and_are_answered_five_times_an_hour(
    world,
):
    outcomes = [world.forward(A, B, "").outcome for _ in range(3)]
    outcomes += [world.text(A, "Hello", code="15660903").outcome for _ in range(3)]
    assert outcomes == ["forward.empty"] * 3 + ["forward.malformed"] * 2 + ["silence"]
    assert world.sent_to(B) == []


@pytest.mark.rule("PFM-30", "PFM-14")
def test_calls_and_texts_to_one_number_are_counted_together(world):
    for each in range(5):
        world.offer(f"call-{each}", A, B)
        world.key(f"call-{each}", "2")
        assert world.forward(A, B).outcome == "forward.waiting"
    assert world.forward(A, B).outcome == "forward.too_often"
    assert world.offer("call-6", A, B).data["reason"] == "too_often"
    assert world.forward(A, C).outcome == "forward.waiting"
    world.pass_time(24 * HOUR_MS)
    assert world.forward(A, B).outcome == "forward.waiting"


@pytest.mark.rule("PFM-30", "PFM-14")
def test_thirty_in_a_day_to_anyone_calls_and_texts_together(world):
    others = [world.subscriber(84903000100 + n, balance_vnd=1_000) for n in range(31)]
    for number in others[:15]:
        assert world.forward(A, number).outcome == "forward.waiting"
    for number in others[15:30]:
        assert world.offer(f"to-{number}", A, number).data["action"] == "ask"
    assert world.forward(A, others[30]).outcome == "forward.too_often"


# ------------------------------------------------------------------------------------- Y, N, codes


@pytest.mark.rule("PFM-30")
def test_yes_holds_the_price_and_arrival_charges_it(world):
    text = world.accepted(A, B)
    assert text.state == TextState.SENDING
    assert world.money(B) == (10_000, PART_VND)
    assert world.charges(B) == []
    world.deliver()
    assert world.charges(B) == [PART_VND]
    assert world.money(B) == (10_000 - PART_VND, 0)
    assert world.held_text().state == TextState.DELIVERED


@pytest.mark.rule("PFM-30")
def test_no_ends_it_without_a_word_of_the_reason(world):
    world.forward(A, B)
    assert world.text(B, f"N {world.code_of(B)}").outcome == "forward.declined"
    assert world.sent_to(A)[-1] == NOT_TAKEN
    assert world.forwarded() == []
    assert world.held_text().state == TextState.REFUSED


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("form", ["Y {}", "y{}", "Yes {}", " y  {} ", "Y-{}", "Y {} gui 1566"])
def test_the_code_may_be_written_in_many_ways(world, form):
    world.forward(A, B)
    assert world.text(B, form.format(world.code_of(B))).outcome == "forward.accepted"


@pytest.mark.rule("PFM-30")
def test_a_code_may_be_written_without_its_leading_zeros(world):
    for _ in range(23):
        world.text(A, "KT")
    world.forward(A, B)
    assert world.code_of(B) == "0056"
    assert world.text(B, "Y 56").outcome == "forward.accepted"


@pytest.mark.rule("PFM-30", "KW-6")
@pytest.mark.parametrize("typed", ["0000", "79190", "791", "07919", "abcd", "中文", "9" * 150])
def test_a_wrong_code_changes_nothing_and_the_right_one_still_counts(world, typed):
    world.forward(A, B)
    assert world.code_of(B) == "7919"
    answer = world.text(B, f"Y {typed}")
    assert answer.outcome == "forward.code_unknown"
    assert answer.text.isascii()
    assert len(answer.text) <= 160
    assert world.held_text().state == TextState.ASKING
    assert world.text(B, "Y 7919").outcome == "forward.accepted"


@pytest.mark.rule("PFM-30")
def test_nobody_answers_for_somebody_else_not_even_who_sent_it(world):
    world.forward(A, B)
    code = world.code_of(B)
    for number in (A, C):
        assert world.text(number, f"Y {code}").outcome == "forward.code_unknown"
        assert world.text(number, f"N {code}").outcome == "forward.code_unknown"
    assert world.text(84903000009, f"Y {code}").outcome == "text.not_subscriber"
    assert world.states() == [TextState.ASKING]


@pytest.mark.rule("PFM-30")
def test_the_same_code_of_two_payers_is_each_ones_own(world):
    world.forward(A, B)
    world.forward(A, C)
    world.text(B, f"N {world.code_of(B)}")
    assert world.text(C, f"Y {world.code_of(C)}").outcome == "forward.accepted"
    assert world.states() == [TextState.REFUSED, TextState.SENDING]


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("second", ["Y", "N"])
@pytest.mark.parametrize("first", ["Y", "N"])
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_the_first_answer_counts(world, first, second, together):
    world.forward(A, B)
    code = world.code_of(B)
    requests = [world.text_request(B, f"{word} {code}") for word in (first, second)]
    answers = world.run(*requests) if together else [world.run(each)[0] for each in requests]
    expected = {"Y": "forward.accepted", "N": "forward.declined"}[first]
    assert [each.outcome for each in answers] == [expected, "forward.code_unknown"]
    assert len(world.forwarded()) == (first == "Y")
    if first == "Y":
        world.deliver()
    assert world.charges(B) == [PART_VND] * (first == "Y")


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("word", ["Y", "N"])
@pytest.mark.parametrize("looked_after", [True, False], ids=["looked after", "telcod was down"])
def test_an_answer_after_the_end_is_none(world, word, looked_after):
    world.forward(A, B)
    code = world.code_of(B)
    world.pass_time(24 * HOUR_MS, down=not looked_after)
    answer = world.text(B, f"{word} {code}")
    assert answer.outcome == ("forward.code_unknown" if looked_after else "forward.expired")
    assert world.clock_work() == []
    assert world.sent_to(A).count(NOT_TAKEN) == 1
    assert (world.states(), world.forwarded()) == ([TextState.EXPIRED], [])


@pytest.mark.rule("PFM-30")
def test_the_last_millisecond_counts_still(world):
    world.forward(A, B)
    world.pass_time(24 * HOUR_MS - 1)
    assert world.text(B, f"Y {world.code_of(B)}").outcome == "forward.accepted"


@pytest.mark.rule("PFM-30")
def test_the_clock_asked_twice_tells_the_sender_once(world):
    world.asks_twice = True
    world.forward(A, B)
    assert world.pass_time(24 * HOUR_MS) == ["forward.expired", "clock.not_due"]
    assert world.sent_to(A).count(NOT_TAKEN) == 1


# ------------------------------------------------------------------------------------------- money


@pytest.mark.rule("PFM-2", "PFM-30")
@pytest.mark.parametrize(("balance_vnd", "outcome"), [(249, "refused"), (250, "waiting")])
def test_who_cannot_pay_is_not_asked(balance_vnd, outcome):
    with TextWorld() as world:
        people(world, balance_vnd=balance_vnd)
        assert world.forward(A, B).outcome == f"forward.{outcome}"
        assert len(world.sent_to(B)) == (outcome == "waiting")
        check(world)


@pytest.mark.rule("PFM-30")
def test_money_that_went_between_question_and_answer_leaves_the_text_waiting_for_a_top_up():
    with TextWorld() as world:
        people(world, balance_vnd=400)
        world.forward(A, B, "first")
        world.forward(C, B, "second")
        first, second = (row.code for row in world.held_texts())
        assert world.text(B, f"Y {first}").outcome == "forward.accepted"
        answer = world.text(B, f"Y {second}")
        assert answer.outcome == "forward.no_money"
        assert "khong du 250d" in answer.text
        assert world.states() == [TextState.SENDING, TextState.ASKING]
        world.topup(B, 100)
        assert world.text(B, f"Y {second}").outcome == "forward.accepted"
        assert world.money(B) == (500, 500)
        check(world)


@pytest.mark.rule("PFM-30")
def test_money_that_went_never_comes_and_the_text_expires():
    with TextWorld() as world:
        people(world, balance_vnd=300)
        world.forward(A, B)
        world.connect("call", C, B)
        world.ended("call", 60)
        assert world.text(B, f"Y {world.code_of(B)}").outcome == "forward.no_money"
        world.pass_time(24 * HOUR_MS)
        assert world.states() == [TextState.EXPIRED]
        check(world)


@pytest.mark.rule("PFM-30")
def test_held_money_is_not_spent_twice_and_a_call_leaves_it_alone():
    with TextWorld() as world:
        people(world, balance_vnd=400)
        world.accepted(A, B)
        assert world.forward(A, B).outcome == "forward.refused"
        reply = world.offer("call", C, B)
        assert reply.data["action"] == "ask"
        assert world.key("call", "1").data["max_seconds"] == 6  # What 150 d pay.
        world.answered("call")
        world.ended("call", 600)
        world.deliver()
        assert world.money(B) == (0, 0)
        check(world)


@pytest.mark.rule("PFM-30")
def test_a_whitelisted_text_without_money_is_refused_like_any_other(world):
    world.subscriber(84903000005, balance_vnd=PART_VND - 1)
    whitelist(world, 84903000005)
    assert world.forward(A, 84903000005).outcome == "forward.refused"
    assert world.forwarded() == []


@pytest.mark.rule("PFM-30", "PFM-4")
@pytest.mark.parametrize("state", ["suspended", "debt_blocked", "out_of_money"])
def test_who_is_no_longer_active_cannot_take_it_and_can_when_he_is_again(world, state):
    world.forward(A, B)
    code = world.code_of(B)
    world.set_state(B, state)
    assert world.text(B, f"Y {code}").outcome == "forward.not_served"
    assert world.money(B) == (10_000, 0)
    world.set_state(B, "active")
    assert world.text(B, f"Y {code}").outcome == "forward.accepted"


@pytest.mark.rule("PFM-30")
def test_a_payer_who_leaves_before_answering_costs_nobody_anything(world):
    world.forward(A, B)
    code = world.code_of(B)
    world.set_state(B, "closed")
    assert world.text(B, f"Y {code}").outcome == "text.not_subscriber"
    world.pass_time(24 * HOUR_MS)
    assert world.states() == [TextState.EXPIRED]
    assert world.sent_to(A)[-1] == NOT_TAKEN


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("arrives", [True, False])
def test_a_payer_who_leaves_after_yes_pays_for_what_arrives(world, arrives):
    world.accepted(A, B)
    world.set_state(B, "closed")
    world.settle()
    world.receipt("delivered" if arrives else "undelivered")
    assert world.charges(B) == [PART_VND] * arrives
    assert world.money(B) == (10_000 - PART_VND * arrives, 0)


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("fate", ["refused", "expired", "undelivered"])
def test_a_sender_who_left_is_told_nothing(world, fate):
    world.forward(A, B)
    code = world.code_of(B)
    before = world.sent_to(A)
    world.set_state(A, "closed")
    if fate == "refused":
        world.text(B, f"N {code}")
    elif fate == "undelivered":
        world.text(B, f"Y {code}")
        world.settle(OutboxState.FAILED)
    world.pass_time(24 * HOUR_MS)
    assert world.states() == [fate]
    assert world.sent_to(A) == before


# ----------------------------------------------------------------------- what the SMSC says of it


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("state", GONE_WRONG, ids=lambda state: state.name.lower())
def test_what_never_left_is_not_charged_and_the_sender_is_told(world, state):
    world.accepted(A, B)
    world.settle(state)
    assert world.money(B) == (10_000, 0)
    assert world.sent_to(A)[-1] == NOT_ARRIVED
    assert world.held_text().state == TextState.UNDELIVERED


@pytest.mark.rule("PFM-30")
def test_what_was_taken_and_not_delivered_is_not_charged(world):
    world.accepted(A, B)
    world.settle()
    assert world.held_text().state == TextState.SENDING
    assert world.receipt("undelivered") == "receipt.undelivered"
    assert world.money(B) == (10_000, 0)
    assert world.sent_to(A)[-1] == NOT_ARRIVED


@pytest.mark.rule("PFM-30")
def test_without_a_receipt_for_48_hours_nothing_is_charged_and_a_late_one_changes_nothing(world):
    world.accepted(A, B)
    world.settle()
    world.pass_time(48 * HOUR_MS - 1)
    assert world.held_text().state == TextState.SENDING
    assert world.money(B) == (10_000, PART_VND)
    assert world.pass_time(1) == ["forward.undelivered"]
    assert world.money(B) == (10_000, 0)
    assert world.receipt() == "receipt.delivered"
    assert world.money(B) == (10_000, 0)
    assert world.sent_to(A).count(NOT_ARRIVED) == 1


@pytest.mark.rule("PFM-30")
def test_what_still_waits_for_a_link_after_48_hours_is_over_whoever_sees_it_first(world):
    world.accepted(A, B)
    (row,) = world.forwarded()
    assert row.expires_at == world.now_ms + 48 * HOUR_MS == world.held_text().due_at
    world.pass_time(48 * HOUR_MS)
    world.settle(OutboxState.EXPIRED)
    assert world.states() == [TextState.UNDELIVERED]
    assert world.sent_to(A).count(NOT_ARRIVED) == 1


@pytest.mark.rule("PFM-30")
def test_a_receipt_on_the_way_decides_nothing(world):
    world.accepted(A, B)
    world.settle()
    assert world.receipt("on_the_way") == "receipt.on_the_way"
    assert world.held_text().state == TextState.SENDING
    world.receipt()
    assert world.charges(B) == [PART_VND]


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("which", [{"message_id": "2"}, {"message_id": ""}])
def test_a_receipt_of_something_else_decides_nothing(world, which):
    world.accepted(A, B)
    world.settle()
    assert world.receipt(**which) == "receipt.unmatched"
    assert world.held_text().state == TextState.SENDING


@pytest.mark.rule("PFM-30", "SMPP-4")
def test_a_receipt_may_come_over_another_link_of_the_same_smsc(world):
    world.accepted(A, B)
    world.settle()
    assert world.receipt(link="b") == "receipt.delivered"
    assert world.charges(B) == [PART_VND]


@pytest.mark.rule("PFM-30", "SMPP-4")
def test_where_two_smscs_use_one_id_the_link_decides_and_a_third_means_nothing(world):
    world.accepted(A, B)
    world.settle(link="a")
    world.accepted(A, C)
    world.settle(link="b")
    assert world.receipt(link="c") == "receipt.unmatched"
    assert world.receipt(link="b") == "receipt.delivered"
    assert (world.charges(B), world.charges(C)) == ([], [PART_VND])


def long_text(world, *, link="a"):
    """A text of three parts that B has agreed to pay and the SMSC has taken."""
    world.accepted(A, B, "x" * 400)
    settled = world.settled(message_id="p1", link=link)
    world.batcher.run((), (settled._replace(more_ids=("p2", "p3")),))


@pytest.mark.rule("PFM-30", "SMPP-4")
@pytest.mark.parametrize("order", list(permutations(("p1", "p2", "p3"))))
def test_a_long_text_is_paid_when_its_last_part_has_arrived(world, order):
    long_text(world)
    for part in order[:-1]:
        assert world.receipt(message_id=part) == "receipt.part_delivered"
        assert world.charges(B) == []
    world.receipt(message_id=order[-1], link="b")
    assert world.charges(B) == [3 * PART_VND]
    assert world.receipt(message_id=order[0]) in {"receipt.unmatched", "receipt.delivered"}
    assert world.charges(B) == [3 * PART_VND]
    check(world)


@pytest.mark.rule("PFM-30", "SMPP-4")
@pytest.mark.parametrize("lost", ["p1", "p2", "p3"])
def test_a_long_text_of_which_a_part_did_not_arrive_is_not_paid(world, lost):
    long_text(world)
    for part in ("p1", "p2", "p3"):
        world.receipt("undelivered" if part == lost else "delivered", message_id=part)
    assert world.charges(B) == []
    assert world.held_text().state == TextState.UNDELIVERED
    check(world)


@pytest.mark.rule("PFM-30", "SMPP-4")
def test_receipts_of_parts_that_are_faster_than_their_answers_count(world):
    world.accepted(A, B, "x" * 400)
    for part in ("p2", "p1", "p3"):
        assert world.receipt(message_id=part) == "receipt.unmatched"
    settled = world.settled(message_id="p1")
    world.batcher.run((), (settled._replace(more_ids=("p2", "p3")),))
    assert world.charges(B) == [3 * PART_VND]
    check(world)


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("second", ["delivered", "undelivered"])
@pytest.mark.parametrize("first", ["delivered", "undelivered"])
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_of_two_receipts_the_first_counts(world, first, second, together):
    world.accepted(A, B)
    world.settle()
    requests = [world.receipt_request(state) for state in (first, second)]
    for batch in [requests] if together else [[each] for each in requests]:
        world.run(*batch)
    assert world.charges(B) == [PART_VND] * (first == "delivered")
    assert world.held_text().state == first
    assert world.forwarded()[-1].state == OutboxState[first.upper()]


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize("state", ["delivered", "undelivered"])
def test_a_receipt_may_be_faster_than_the_answer_to_the_submit(world, state):
    world.accepted(A, B)
    assert world.receipt(state) == "receipt.unmatched"
    assert world.held_text().state == TextState.SENDING
    world.settle()
    assert world.held_text().state == state
    assert world.charges(B) == [PART_VND] * (state == "delivered")
    assert world.receipt(state) == f"receipt.{state}"  # And again.
    assert world.charges(B) == [PART_VND] * (state == "delivered")


@pytest.mark.rule("PFM-30")
def test_a_receipt_may_come_in_the_batch_of_the_answer(world):
    world.accepted(A, B)
    world.batcher.run([world.receipt_request()], [world.settled()])
    assert world.charges(B) == [PART_VND]
    assert world.forwarded()[-1].state == OutboxState.DELIVERED


class RefusesOnce(MemoryStore):
    """Refuses the next batch, as a constraint of the database would."""

    refuses = False

    def apply(self, changes, settled):
        if self.refuses:
            self.refuses = False
            raise StoreRefused("not this one")
        super().apply(changes, settled)


@pytest.mark.rule("PFM-30")
def test_a_fast_receipt_outlives_a_batch_that_must_be_run_again():
    store = RefusesOnce()
    with TextWorld(store=store) as world:
        people(world)
        world.accepted(A, B)
        world.receipt()
        store.refuses = True
        requests = [world.text_request(number, "KT") for number in (A, C)]
        world.batcher.run(requests, [world.settled()])
        assert world.charges(B) == [PART_VND]
        check(world)


@pytest.mark.rule("PFM-30")
def test_a_restart_between_any_two_steps_changes_nothing_not_even_in_an_odd_text(world_on_disk):
    world = world_on_disk
    text = "'\0\n\x1b😀\uffff"
    for step in (
        lambda: world.forward(A, B, text),
        lambda: world.text(B, f"Y {world.code_of(B)}"),
        world.settle,
        world.receipt,
        world.receipt,
    ):
        step()
        world.restart()
        check(world)
    assert world.forwarded()[0].text == PREFIX + text
    assert world.charges(B) == [PART_VND]


@pytest.mark.rule("PFM-30")
def test_every_end_is_the_same_on_disk(world_on_disk):
    world = world_on_disk
    whitelist(world)
    world.forward(A, B)
    world.deliver(message_id="1")
    world.accepted(C, B)
    world.settle(message_id="2")
    world.receipt("undelivered", message_id="2")
    world.accepted(C, B)
    world.settle(OutboxState.FAILED)
    world.forward(C, B)
    world.text(B, f"N {world.code_of(B)}")
    world.forward(C, B)
    assert "forward.expired" in world.pass_time(24 * HOUR_MS)
    world.accepted(C, B)
    assert "forward.undelivered" in world.pass_time(48 * HOUR_MS)
    assert world.states() == [
        TextState.DELIVERED,
        TextState.UNDELIVERED,
        TextState.UNDELIVERED,
        TextState.REFUSED,
        TextState.EXPIRED,
        TextState.UNDELIVERED,
    ]
    assert world.charges(B) == [PART_VND]


@pytest.mark.rule("PFM-30")
def test_where_the_smsc_gives_no_receipts_acceptance_may_count_as_arrival():
    with TextWorld(rules=rules_with(calls={"text_charged_on": "accepted"})) as world:
        people(world)
        world.accepted(A, B)
        world.settle()
        assert world.charges(B) == [PART_VND]
        world.receipt("undelivered")
        assert world.money(B) == (10_000 - PART_VND, 0)
        check(world)


@pytest.mark.rule("PFM-30")
def test_the_text_leaves_with_a_receipt_asked_for_and_its_time_to_live(world):
    world.accepted(A, B)
    (row,) = world.forwarded()
    settings = LinkSettings(name="a", host="h", system_id="x", password="")
    (submit,) = submits(row, settings, takes_tlvs=True, valid_s=48 * 3600)
    assert (submit.source_addr, submit.destination_addr) == ("1566", str(B))
    assert submit.registered_delivery == 1
    assert submit.validity_period == "000002000000000R"


# ---------------------------------------------------------------------------------- what it costs

SIZES = [
    ("a", 1),
    ("a" * 160, 1),
    ("a" * 161, 2),
    ("a" * 306, 2),
    ("a" * 307, 3),
    ("€" * 80, 1),
    ("€" * 80 + "a", 2),
    ("a" * 152 + "€" * 77, 3),  # No escape is cut from its character: 152, 152, 2.
    ("ế" * 70, 1),
    ("ế" * 71, 2),
    ("ế" * 134, 2),
    ("ế" * 135, 3),
    ("😀" * 35, 1),
    ("😀" * 36, 2),
    ("a" * 66 + "😀" * 34, 3),  # No pair is cut: 66, 66, 2.
]


@pytest.mark.rule("PFM-2", "PFM-30")
@pytest.mark.parametrize(("text", "parts"), SIZES, ids=lambda value: str(value)[:3])
def test_the_price_is_that_of_the_text_as_it_was_sent_without_the_number_in_front(text, parts):
    with TextWorld() as world:
        people(world)
        assert len(smsc_text.compose(text)) == parts  # As a phone sends it.
        world.accepted(A, B, text)
        assert world.held_text().price_vnd == parts * PART_VND
        assert f"gia {parts * PART_VND:,}d".replace(",", ".") in world.sent_to(B)[0]
        world.deliver()
        assert world.charges(B) == [parts * PART_VND]
        check(world)


@pytest.mark.rule("PFM-2", "PFM-30")
def test_a_text_that_is_too_long_with_the_number_in_front_costs_nothing():
    with TextWorld() as world:
        people(world, balance_vnd=100_000)
        world.accepted(A, B, "a" * 153 * 255)
        with pytest.raises(ValueError, match="256 parts"):
            submits(world.forwarded()[0], settings_of("udh"), takes_tlvs=True)
        world.settle(OutboxState.FAILED)
        assert world.money(B) == (100_000, 0)
        check(world)


# ------------------------------------------------------------------------------ what B gets to read


class Door:
    """A link's face to the inbox: gives telcod what a phone sent, and keeps the answers."""

    short_codes = ("1566",)

    def __init__(self, name):
        self.name = name
        self.settings = settings_of("udh", name=name)
        self.answers = []

    def respond(self, connection, sequence, status, *, data_sm):
        self.answers.append(status)
        return True


class Writes:
    """The writer, at once and in this thread."""

    def __init__(self, world):
        self.world = world

    def post(self, request, sink):
        (result,) = self.world.run(request)
        sink(request, result)
        return True


def settings_of(long_text, *, name=LINK):
    return LinkSettings(name=name, host="h", system_id="x", password="", long_text=long_text)


def deliver_sm(part, sequence):
    """The octets of a phone's message, written by smpplib and read by our codec."""
    fields = {
        "source_addr_ton": 1,
        "source_addr_npi": 1,
        "source_addr": str(A),
        "destination_addr": "15660903000002",
        "esm_class": part.esm_class,
        "data_coding": part.data_coding,
        "short_message": part.short_message,
        **dict(part.tlvs),
    }
    frame = smsc_wire.encode("deliver_sm", sequence=sequence, fields=fields)
    read = pdu.decode(frame)
    assert isinstance(read, pdu.Pdu)
    return read.body


def inbox_of(world):
    nobody: Any = None  # No password is texted here.
    return Inbox(
        Writes(world),
        lambda: world.rules.dispatcher,
        world.vault,
        nobody,
        Redelivery(),
        Metrics(process=False),
        clock=world.clock.monotonic_s,
        connection_id=lambda link, connection: connection,
        call_soon_threadsafe=nobody,
    )


def texted(world, parts, doors):
    """Parts come in this order, over these links in turn."""
    inbox = inbox_of(world)
    for sequence, part in enumerate(parts, 1):
        door = doors[sequence % len(doors)]
        inbox.take(door, 1, sequence, deliver_sm(part, sequence))
    assert [answer for door in doors for answer in door.answers] == [0] * len(parts)


def read_by_b(world, long_text):
    """The octets of all submit_sm to B, read by smpplib and put together as a phone does."""
    mailbox = smsc_text.Mailbox()
    for row in world.forwarded():
        for sequence, body in enumerate(submits(row, settings_of(long_text), takes_tlvs=True), 1):
            wire = smsc_wire.decode(pdu.encode(body, sequence_number=sequence))
            mailbox.add(part_of(wire))
    return mailbox.texts_to(str(B))


def part_of(wire):
    fields, data = wire.fields, wire.user_data
    concat = None
    if fields["esm_class"] & smsc_text.UDHI:
        concat, data = smsc_text.split_udh(data)
    elif fields.get("sar_total_segments"):
        concat = smsc_text.Concat(
            fields["sar_msg_ref_num"], fields["sar_total_segments"], fields["sar_segment_seqnum"]
        )
    return smsc_text.Part(
        fields["source_addr"], fields["destination_addr"], fields["data_coding"], data, concat
    )


def texts_of(characters):
    """Short ones of anything, and long ones no part of which is like another."""
    short = st.text(characters, min_size=1, max_size=40)
    return short | st.builds(
        lambda text, times: "".join(f"{number}{text}" for number in range(times)),
        short,
        st.integers(5, 40),
    )


def torn(text, coding, every):
    """Parts of so many octets, wherever that cuts: some phones part an escape from its code."""
    (whole,) = smsc_text.compose(text, data_coding=coding, long=smsc_text.Long.PAYLOAD)
    octets: Any = whole.short_message or whole.tlvs["message_payload"]
    bodies = [octets[at : at + every] for at in range(0, len(octets), every)]
    return [
        smsc_text._part(body, coding, smsc_text.Long.UDH8, smsc_text.Concat(1, len(bodies), number))
        for number, body in enumerate(bodies, 1)
    ]


GSM7 = texts_of(st.sampled_from(sorted(smsc_text._SEPTETS)))
# A mark of the byte order in front is no character of the text: phones put it there, and it goes.
UCS2 = texts_of(st.characters(exclude_categories=["Cs"])).filter(
    lambda text: text[0] not in "\ufeff\ufffe"
)


@pytest.mark.rule("PFM-30")
@example(("€" * 153, 0), "udh16", "udh", None)
@example(("€" * 153, 0), 33, "udh", None)
@example(("😀" * 100, 8), "udh8", "sar", None)
@example(("a" + "😀" * 100, 8), 64, "payload", None)
@example(("Dạ, " * 100, 8), "payload", "payload", None)
@given(
    st.tuples(GSM7, st.just(0)) | st.tuples(UCS2, st.just(8)),
    st.sampled_from(sorted(smsc_text.Long)) | st.integers(10, 67).map(lambda units: units * 2),
    st.sampled_from(["udh", "sar", "payload"]),
    st.randoms(use_true_random=False) | st.none(),
)
def test_b_reads_the_very_text_whatever_is_in_it_however_it_came_and_however_it_goes(
    written, comes, goes, shuffled
):
    text, coding = written
    if isinstance(comes, int):
        parts = torn(text, coding, comes)
    else:
        parts = list(smsc_text.compose(text, data_coding=coding, long=smsc_text.Long(comes)))
    if shuffled is not None:
        shuffled.shuffle(parts)
    with TextWorld() as world:
        people(world, balance_vnd=100_000)
        whitelist(world)
        texted(world, parts, [Door("a"), Door("b")])
        assert world.held_text().text == without_nul(text)
        assert read_by_b(world, goes) == [PREFIX + without_nul(text)]
        check(world)


@pytest.mark.rule("PFM-30")
def test_parts_that_never_all_come_are_no_text(world):
    parts = smsc_text.compose("x" * 400)
    texted(world, parts[1:], [Door("a"), Door("b")])
    assert world.held_texts() == []
    assert world.outbox() == []


@pytest.mark.rule("PFM-30")
def test_parts_for_two_receivers_under_one_reference_are_two_texts(world):
    mine, yours = smsc_text.compose("m" * 200), smsc_text.compose("y" * 200)
    inbox = inbox_of(world)
    door = Door("a")
    for sequence, (part, number) in enumerate(
        [(mine[0], 2), (yours[0], 3), (mine[1], 2), (yours[1], 3)], 1
    ):
        body = msgspec.structs.replace(
            deliver_sm(part, sequence), destination_addr=f"1566090300000{number}"
        )
        inbox.take(door, 1, sequence, body)
    assert [(row.payer, row.text) for row in world.held_texts()] == [(B, "m" * 200), (C, "y" * 200)]


@pytest.mark.rule("PFM-30")
def test_what_was_written_is_forgotten_when_it_is_over_and_not_before(world):
    world.forward(A, B, "geheim")
    assert world.held_text().text == "geheim"
    world.text(B, f"Y {world.code_of(B)}")
    world.settle()
    assert world.held_text().text == "geheim"
    world.receipt()
    assert world.held_text().text == ""
    assert world.row(HELD_TEXT, world.held_text().mo).parts == 1


@pytest.mark.rule("PFM-30")
def test_the_journal_names_what_came_and_what_it_led_to(world):
    world.forward(A, B)
    world.text(B, f"Y {world.code_of(B)}")
    journal = [(row.source, row.short_code, row.verdict) for row in world.store.scan(MO)]
    assert journal == [
        (str(A), "1566", "forward.waiting"),
        (str(B), "1566", "forward.accepted"),
    ]
