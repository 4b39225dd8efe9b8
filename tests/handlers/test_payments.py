"""A payment from its acceptance to the gateway's last word, whatever order the words come in."""

import msgspec
import pytest

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS, business_date, day_start_ms
from telcod.errors import KeyReused
from telcod.rows import COMMAND, META, PAYMENT_OF, QUARANTINE
from telcod.types import Channel, Request
from tests.payment_world import PAYER, PaymentWorld, rules_of_payments, stopped

A, B, C = 84903000001, 84903000002, 84903000003
STRANGER = 84977000001
BEFORE_MIDNIGHT_MS = day_start_ms(20260303) - 1


@pytest.fixture(params=["memory", "sqlite"])
def world(request, tmp_path):
    """A is prepaid, B postpaid and owes 200,000."""
    path = None if request.param == "memory" else tmp_path / "books.db"
    with PaymentWorld(path, rules=rules_of_payments()) as made:
        made.subscriber(A, balance_vnd=1_000)
        made.subscriber(B, kind="postpaid", debt_vnd=200_000, centre=2)
        yield made
        assert made.check() == []
        assert list(made.store.scan(QUARANTINE)) == []


def outcomes(results):
    return [result.outcome for result in results]


# ------------------------------------------------------------------------------------ acceptance


@pytest.mark.rule("PAY-3", "PAY-5")
def test_an_accepted_payment_takes_its_slot_before_anything_leaves(world):
    answer = world.create("p1", A, 60_000, email="a@example.com", address=PAYER)
    assert answer.outcome == "payment.created"
    assert (answer.data["state"], answer.data["redirect_url"]) == ("created", "")
    assert answer.data["expires_at"] == world.now_ms + 15 * MINUTE_MS
    assert world.payment("p1").next_at == world.now_ms + MINUTE_MS
    assert world.counter(A) == (1, 0, 60_000)
    row = world.payment("p1")
    assert (row.slot, row.day, row.email, row.address) == (
        1,
        business_date(world.now_ms),
        "a@example.com",
        PAYER,
    )


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize("amount_vnd", [49_999, 50_000, 10_000_000, 10_000_001])
def test_a_bill_of_49_999_or_10_000_001_is_refused(world, amount_vnd):
    answer = world.create("p1", B, amount_vnd)
    if 50_000 <= amount_vnd <= 10_000_000:
        assert answer.outcome == "payment.created"
        assert world.counter(B) == (1, amount_vnd, 0)
    else:
        assert answer.outcome == "payment.amount"
        assert world.counter(B) == (0, 0, 0)
        assert world.payment("p1") is None


@pytest.mark.rule("PAY-3")
def test_the_sixth_payment_of_a_day_is_refused_and_a_decline_makes_room(world):
    for number in range(1, 6):
        assert world.create(f"p{number}", B).outcome == "payment.created"
    assert world.create("p6", B).outcome == "payment.too_many"
    assert world.notify("p3", "declined", "51").outcome == "payment.declined"
    assert world.counter(B) == (4, 200_000, 0)
    assert world.create("p6", B).outcome == "payment.created"
    assert world.create("p7", B).outcome == "payment.too_many"


@pytest.mark.rule("PAY-3")
def test_six_at_once_in_one_batch_find_five_slots(world):
    requests = [world.create_request(f"p{number}", B, 50_000) for number in range(6)]
    results = outcomes(world.run(*requests))
    assert results == ["payment.created"] * 5 + ["payment.too_many"]
    assert world.counter(B) == (5, 250_000, 0)


@pytest.mark.rule("PAY-3")
def test_the_sums_of_a_day_hold_in_one_batch(world):
    bills = [world.create_request(f"b{n}", B, vnd) for n, vnd in enumerate((6_000_000, 4_000_001))]
    topups = [world.create_request(f"t{n}", A, vnd) for n, vnd in enumerate((4_950_000, 50_001))]
    exact = [world.create_request("b9", B, 4_000_000), world.create_request("t9", A, 50_000)]
    results = outcomes(world.run(*bills, *topups, *exact))
    one_of_two = ["payment.created", "payment.too_much"]
    assert results == [*one_of_two, *one_of_two, "payment.created", "payment.created"]
    assert (world.counter(B), world.counter(A)) == ((2, 10_000_000, 0), (2, 0, 5_000_000))


@pytest.mark.rule("PAY-3")
def test_who_is_nobody_or_pays_what_is_not_his_is_refused(world):
    world.subscriber(C, state="closed")
    assert world.create("p1", STRANGER).outcome == "payment.not_served"
    assert world.create("p1", C).outcome == "payment.not_served"
    assert world.create("p1", A, purpose="bill").outcome == "payment.wrong_purpose"
    assert world.create("p1", B, purpose="topup").outcome == "payment.wrong_purpose"
    assert world.payment("p1") is None


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize(
    "change",
    [
        {"payment_id": "p/1"},
        {"payment_id": "p" * 37},
        {"payment_id": ""},
        {"amount_vnd": "1e6"},
        {"amount_vnd": "-50000"},
        {"purpose": "gift"},
        {"card": "prepaid"},
        {"invoice": "yes"},
    ],
)
def test_what_makes_no_sense_is_refused_whoever_asks(world, change):
    asked = {"payment_id": "p1", "msisdn": A, "amount_vnd": 50_000} | change
    (answer,) = world.run(world.create_request(**asked))
    assert answer.outcome == "payment.malformed"
    assert world.counter(A) == (0, 0, 0)


@pytest.mark.rule("PAY-5")
def test_the_same_id_again_is_the_same_payment_and_with_other_content_none(world):
    first = world.create("p1", A)
    assert world.create("p1", A) == first
    assert world.create("p1", A, 60_000).outcome == "payment.id_used"
    assert world.create("p1", B).outcome == "payment.id_used"
    assert world.create("p1", A, platform="other").outcome == "payment.id_used"
    assert world.counter(A) == (1, 0, 50_000)


@pytest.mark.rule("PAY-5")
def test_the_same_key_again_gets_the_stored_answer_also_when_it_was_no(world):
    keyed = world.create_request("p1", A, 49_999, key="payment:portal:k1")
    assert outcomes(world.run(keyed, keyed)) == ["payment.amount"] * 2
    other = msgspec.structs.replace(keyed, args=("p1", "50000", *keyed.args[2:]))
    (result,) = world.run(other)
    assert isinstance(result, KeyReused)
    assert world.payment("p1") is None


@pytest.mark.rule("PAY-6")
def test_a_stop_list_refuses_before_the_gateway_hears_of_it(tmp_path):
    rules = rules_of_payments(stopped("subscriber", str(A)), stopped("address", "203.0.113.0/24"))
    world = PaymentWorld(rules=rules)
    for number in (A, B):
        world.subscriber(number)
    assert world.create("p1", A).outcome == "payment.stopped"
    assert world.create("p2", B, address=PAYER).outcome == "payment.stopped"
    assert world.create("p3", B, address="198.51.100.1").outcome == "payment.created"
    assert (world.counter(A), world.counter(B)) == ((0, 0, 0), (1, 0, 50_000))


# ------------------------------------------------------------------------------ the gateway's word


@pytest.mark.rule("PAY-5", "PAY-7")
def test_a_yes_clears_at_once(world):
    assert world.begin("p1", A).data["state"] == "redirected"
    answer = world.notify("p1")
    assert (answer.outcome, answer.data["state"]) == ("payment.cleared", "cleared")
    assert world.balance(A) == 51_000
    row = world.payment("p1")
    assert (row.masked_card, row.bank, row.cashier) == ("411111******1111", "VCB", "C07")
    assert row.next_at == 0


@pytest.mark.rule("PAY-5")
def test_a_yes_before_the_redirect_is_noted_counts(world):
    world.create("p1", A)
    assert world.notify("p1").outcome == "payment.cleared"
    answer = world.redirect("p1", ref="gw-77")
    assert (answer.outcome, answer.data["state"]) == ("payment.redirected", "cleared")
    assert world.payment("p1").gateway_ref == "gw-77"
    assert world.balance(A) == 51_000


@pytest.mark.rule("PAY-5")
def test_the_same_word_again_by_any_way_changes_nothing(world):
    world.pay("p1", A)
    before = world.contents(without=(META, COMMAND))
    assert world.notify("p1").outcome == "payment.cleared"
    assert world.inquire("p1", "authorised").outcome == "payment.cleared"
    assert world.notify("p1", key="gateway:n1").outcome == "payment.cleared"
    assert world.notify("p1", key="gateway:n1").outcome == "payment.cleared"
    assert world.notify("p1", "unknown").outcome == "payment.cleared"
    assert world.contents(without=(META, COMMAND)) == before


@pytest.mark.rule("PAY-5")
@pytest.mark.parametrize("word", ["declined", "another amount"])
def test_a_contradiction_of_a_cleared_payment_is_a_case_and_moves_no_money(world, word):
    world.pay("p1", A)
    entries = world.entries_of("p1")
    if word == "declined":
        answer = world.notify("p1", "declined", "05")
    else:
        answer = world.notify("p1", amount_vnd=60_000)
    assert answer.outcome == "payment.contradictory"
    assert world.cases("p1") == ["contradictory"]
    assert "payment/contradictory" in world.events()
    assert world.entries_of("p1") == entries
    assert world.state("p1") == "cleared"


@pytest.mark.rule("PAY-5")
def test_a_yes_for_another_amount_leaves_the_payment_open(world):
    world.begin("p1", A)
    assert world.notify("p1", amount_vnd=500_000).outcome == "payment.contradictory"
    assert (world.state("p1"), world.entries_of("p1")) == ("redirected", [])
    world.pass_time(15 * MINUTE_MS)
    for _ in range(2):  # It is asked, and says the same again: one case for both.
        assert world.inquire("p1", "authorised", amount_vnd=500_000).outcome == (
            "payment.contradictory"
        )
        assert world.state("p1") == "unknown"
    assert world.cases("p1") == ["contradictory", "contradictory"]
    assert world.notify("p1").outcome == "payment.cleared"


@pytest.mark.rule("PAY-5", "PAY-3")
def test_a_yes_after_no_is_voided_and_clears_nothing(world):
    world.begin("p1", A, email="a@example.com")
    world.notify("p1", "declined", "51")
    answer = world.notify("p1")
    assert answer.outcome == "payment.declined"
    assert world.entries_of("p1") == []
    assert world.cases() == ["late"]
    assert world.jobs() == {"p1": "void"}
    assert "khong duoc chap nhan" in world.sent_to(A)[-1]
    assert len(world.mails()) == 1
    assert world.void("p1").outcome == "payment.voided"
    assert world.payment("p1").next_at == 0
    assert world.counter(A) == (0, 0, 0)
    assert world.notify("p1").outcome == "payment.declined"  # The same again.
    assert world.cases() == ["late"]


@pytest.mark.rule("PAY-5")
def test_a_word_about_nobodys_payment_is_told_so(world):
    for answer in (
        world.notify("nothing"),
        world.inquire("nothing", "none"),
        world.redirect("nothing"),
        world.void("nothing"),
        world.due("nothing"),
        world.show("nothing"),
        world.refuse("nothing"),
        world.staff("review", "nothing", "pass", "x"),
    ):
        assert answer.outcome == "payment.not_found"


@pytest.mark.rule("PAY-5")
def test_a_notification_cannot_say_that_nobody_paid(tmp_path):
    world = PaymentWorld()
    world.subscriber(A)
    world.begin("p1", A)
    assert world.notify("p1", "none").outcome == "ours.sorry"
    assert world.state("p1") == "redirected"


@pytest.mark.rule("PAY-3", "PAY-5")
def test_a_gateway_that_does_not_take_it_gives_the_slot_back(world):
    world.create("p1", A)
    answer = world.refuse("p1", "merchant_closed")
    assert (answer.outcome, answer.data["reason"]) == ("payment.declined", "merchant_closed")
    assert world.counter(A) == (0, 0, 0)
    assert world.refuse("p1").outcome == "payment.declined"
    assert world.counter(A) == (0, 0, 0)


@pytest.mark.rule("PAY-5")
def test_a_refusal_of_what_was_taken_changes_nothing(world):
    world.begin("p1", A)
    assert world.refuse("p1").outcome == "payment.redirected"
    assert world.counter(A) == (1, 0, 50_000)


@pytest.mark.rule("PAY-4")
def test_a_card_number_in_clear_is_masked_before_it_is_kept(world):
    world.begin("p1", A)
    word = list(world.word("p1", "authorised"))
    word[4] = "4111111111111111"
    world.run(Request("payment.notified", args=tuple(word), channel=Channel.WEB))
    assert world.payment("p1").masked_card == "****1111"


# -------------------------------------------------------------------------------- nobody knows


@pytest.mark.rule("PAY-5", "PAY-3")
def test_an_unknown_end_keeps_the_slot_and_is_asked_for_in_time(world):
    world.begin("p1", A)
    start_ms = world.now_ms
    assert world.notify("p1", "unknown").outcome == "payment.unknown"
    assert world.notify("p1", "unknown").outcome == "payment.unknown"
    asked_at: list[int] = []
    while len(asked_at) < 6:
        world.pass_time(world.payment("p1").next_at - world.now_ms)
        assert world.jobs() == {"p1": "inquire"}
        asked_at.append((world.now_ms - start_ms) // MINUTE_MS)
        assert world.inquire("p1", "silent").outcome == "payment.unknown"
    assert asked_at == [1, 6, 21, 81, 141, 201]
    assert world.counter(A) == (1, 0, 50_000)
    assert world.inquire("p1", "authorised").outcome == "payment.cleared"
    assert world.balance(A) == 51_000


@pytest.mark.rule("PAY-5")
def test_no_second_attempt_for_the_same_while_the_first_is_unknown(world):
    world.begin("p1", A)
    assert world.create("p2", A).outcome == "payment.created"
    world.notify("p1", "unknown")
    assert world.create("p3", A).outcome == "payment.unknown_pending"
    assert world.create("p4", B).outcome == "payment.created"
    world.pass_time(HOUR_MS)
    assert world.inquire("p1", "none").outcome == "payment.expired"
    assert world.create("p3", A).outcome == "payment.created"


@pytest.mark.rule("PAY-5", "NUM-5")
def test_what_the_last_owner_left_unknown_does_not_stop_the_next_one(world):
    world.begin("p1", A)
    world.notify("p1", "unknown")
    world.set_state(A, "closed")
    world.set_state(A, "active")
    assert world.create("p2", A).outcome == "payment.created"


@pytest.mark.rule("PAY-5")
def test_a_silent_gateway_expires_nothing(world):
    world.begin("p1", A)
    world.pass_time(15 * MINUTE_MS - 1)
    assert world.due("p1").outcome == "payment.not_due"
    world.pass_time(1)
    assert world.jobs() == {"p1": "inquire"}
    assert world.inquire("p1", "silent").outcome == "payment.unknown"
    assert world.counter(A) == (1, 0, 50_000)
    world.pass_time(HOUR_MS)
    assert world.inquire("p1", "none").outcome == "payment.expired"
    assert world.counter(A) == (0, 0, 0)


@pytest.mark.rule("PAY-5")
def test_nobody_has_paid_yet_is_no_end_before_15_minutes_are_over(world):
    world.begin("p1", A)
    world.notify("p1", "unknown")
    world.pass_time(MINUTE_MS)
    assert world.inquire("p1", "none").outcome == "payment.unknown"
    world.pass_time(14 * MINUTE_MS)
    assert world.inquire("p1", "none").outcome == "payment.expired"


@pytest.mark.rule("PAY-5")
def test_what_the_gateway_was_not_told_it_is_told_again_until_it_expires(world):
    world.create("p1", A)
    world.pass_time(MINUTE_MS)
    answer = world.due("p1")
    assert answer.data["job"] == "create"
    assert {"amount_vnd", "card", "return_url", "language", "expires_at"} <= answer.data.keys()
    assert world.due("p1").outcome == "payment.not_due"
    world.pass_time(14 * MINUTE_MS)
    assert world.due("p1").data["job"] == "inquire"


@pytest.mark.rule("PAY-5")
def test_a_crash_between_the_banks_yes_and_our_record_clears_once(tmp_path):
    with PaymentWorld(tmp_path / "books.db", rules=rules_of_payments()) as world:
        world.subscriber(A)
        world.begin("p1", A)
        # The bank says yes here, and nobody is there to hear it.
        world.restart()
        assert world.state("p1") == "redirected"
        world.pass_time(15 * MINUTE_MS)
        assert world.jobs() == {"p1": "inquire"}
        world.restart()  # And again before the answer was noted: it is asked for again.
        assert world.jobs() == {}
        world.pass_time(MINUTE_MS)
        assert world.jobs() == {"p1": "inquire"}
        assert world.inquire("p1", "authorised").outcome == "payment.cleared"
        assert world.notify("p1").outcome == "payment.cleared"
        assert world.entries_of("p1") == [("collected", 50_000), ("cleared", 50_000)]
        assert world.balance(A) == 50_000
        assert world.check() == []


# ------------------------------------------------------------------------------------ midnight


@pytest.mark.rule("PAY-3")
def test_midnight_between_acceptance_and_clearing_counts_on_the_day_of_acceptance():
    world = PaymentWorld(rules=rules_of_payments(), start_ms=BEFORE_MIDNIGHT_MS)
    world.subscriber(B, kind="postpaid")
    world.begin("p1", B, 10_000_000)
    world.pass_time(1)
    assert world.create("p2", B, 10_000_000).outcome == "payment.created"
    world.notify("p1")
    assert world.counter(B, 20260302) == (1, 10_000_000, 0)
    assert world.counter(B, 20260303) == (1, 10_000_000, 0)
    (clearing,) = world.clearings()
    assert clearing.day == 20260303
    assert world.check() == []


@pytest.mark.rule("PAY-3")
def test_a_slot_goes_back_on_the_day_that_it_was_taken_on():
    world = PaymentWorld(rules=rules_of_payments(), start_ms=BEFORE_MIDNIGHT_MS)
    world.subscriber(A)
    world.begin("p1", A)
    world.pass_time(DAY_MS)
    world.begin("p2", A)
    world.notify("p1", "declined")
    assert world.counter(A, 20260302) == (0, 0, 0)
    assert world.counter(A, 20260303) == (1, 0, 50_000)


# ----------------------------------------------------------------------------------- being shown


@pytest.mark.rule("PAY-2", "PAY-5")
def test_a_platform_sees_its_own_payments_only(world):
    world.pay("p1", A)
    assert world.show("p1").data["state"] == "cleared"
    assert world.show("p1", platform="other").outcome == "payment.not_found"
    assert world.show("p1", platform="token:an", channel=Channel.STAFF).outcome == "payment.shown"
    assert not {"name", "address", "debt_vnd", "email", "card_token"} & world.show("p1").data.keys()


@pytest.mark.rule("PAY-6")
def test_as_many_payments_of_an_address_are_kept_as_the_rules_may_count():
    world = PaymentWorld(rules=rules_of_payments())
    for number in range(105):
        world.subscriber(A + number)
        world.create(f"p{number}", A + number, address=PAYER)
        world.pass_time(1)
    rows = world.store.load_groups(PAYMENT_OF, (f"address:{PAYER}",))
    assert {row.payment for row in rows} == {f"p{number}" for number in range(5, 105)}
