"""The money that a gateway took: review, clearing, a centre that is away, fraud, and who did it."""

import pytest

from telcod.billing.accounts import (
    FRAUD_LOSS,
    GATEWAY_RECEIVABLE,
    SUSPENSE,
    TRANSIT,
    debt_account,
)
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.errors import LedgerCorrupt
from telcod.rows import AUDIT, ENTRY, INVOICE, LIMIT_COUNTER, PAYMENT_OF, QUARANTINE
from telcod.text import count_parts, is_gsm7
from tests.payment_world import (
    PAYER,
    PaymentWorld,
    large,
    often,
    rules_of_payments,
    stopped,
)

A, B, C = 84903000001, 84903000002, 84903000003
FRAUD_TEXT = (
    "Giao dich thanh toan/nap tien cua quy khach da bi huy do khong hop le. "
    "Thong tin chi tiet lien he 9090"
)
RULES = rules_of_payments(large(1_000_000), stopped("card", "tok-stolen"))
BIG = 1_000_000
AWAY_MS = 3 * MINUTE_MS


@pytest.fixture
def world():
    """A is prepaid with 1,000, B postpaid and owes 200,000; large amounts are reviewed."""
    with PaymentWorld(rules=RULES) as made:
        made.subscriber(A, balance_vnd=1_000)
        made.subscriber(B, kind="postpaid", debt_vnd=200_000, centre=2)
        yield made
        assert made.check() == []
        assert list(made.store.scan(QUARANTINE)) == []


# -------------------------------------------------------------------------------------- clearing


@pytest.mark.rule("PAY-7", "PAY-10")
def test_a_bill_takes_the_debt_down_and_says_what_is_left(world):
    world.pay("p1", B, 150_000, email="b@example.com")
    assert world.debt(B) == 50_000
    (text,) = world.sent_to(B)
    assert text == (
        "Quy khach da thanh toan 150.000d, ma giao dich p1. So tien con no: 50.000d. "
        "Xin cam on Quy khach. LH 9090."
    )
    (mail,) = world.mails()
    assert (mail.recipient, mail.body) == ("b@example.com", world.sent_to(B)[0])
    assert mail.subject == "MobiFone: giao dich p1"
    assert {row.source for row in world.outbox()} == {"9223"}


@pytest.mark.rule("PAY-7", "PAY-10")
def test_what_exceeds_the_debt_stays_as_credit(world):
    world.pay("p1", B, 250_000)
    assert world.debt(B) == -50_000
    assert "Khong con no, so du: 50.000d" in world.sent_to(B)[0]
    assert world.mails() == []


@pytest.mark.rule("PAY-7")
@pytest.mark.parametrize(
    ("state", "amount_vnd", "asks"),
    [("debt_blocked", 200_000, True), ("debt_blocked", 199_999, False), ("active", 200_000, False)],
)
def test_only_a_blocked_one_whose_debt_is_paid_asks_to_be_let_in(world, state, amount_vnd, asks):
    if state != "active":
        world.set_state(B, state)
    world.pay("p1", B, amount_vnd)
    assert ("subscriber/unblock_requested" in world.events()) == asks


@pytest.mark.rule("PAY-7", "PAY-10", "PKG-6")
def test_a_topup_is_as_any_other_topup(world):
    world.text(A, "DK")
    world.topup(A, 1)
    world.text(A, "HUY")
    world.text(A, "DK")
    world.pass_time(DAY_MS)
    assert world.package(A).status == "suspended"
    world.set_state(A, "out_of_money")
    world.pay("p1", A)
    assert world.package(A).status == "active"
    assert world.subscriber_row(A).state == "active"
    assert world.balance(A) == 49_001
    assert "So du tai khoan chinh: 50.001d" in world.sent_to(A)[-2]
    assert "balance/credited" in world.events()


@pytest.mark.rule("PAY-7")
def test_clearing_is_done_as_the_centres_user_and_said_in_both_logs(world):
    world.pay("p1", B, 150_000)
    (row,) = world.clearings()
    entry = world.row(ENTRY, row.entry)
    assert (row.operator, row.centre, row.kind, row.amount_vnd) == (
        "C2_ePayment",
        2,
        "cleared",
        150_000,
    )
    assert (entry.debit, entry.credit) == (TRANSIT[2], debt_account(B))
    assert world.audited()[-1] == ("C2_ePayment", "payment.cleared", "p1")
    assert world.account(TRANSIT[2]) == 0
    assert world.account(GATEWAY_RECEIVABLE) == -150_000


@pytest.mark.rule("PAY-7")
def test_the_centre_that_has_him_when_the_bank_says_yes_clears(world):
    world.begin("p1", A)
    world.import_({"msisdn": A, "centre": 5})
    world.notify("p1")
    assert world.payment("p1").centre == 5
    assert world.clearings()[0].operator == "C5_ePayment"


# -------------------------------------------------------------------------------- risk and review


@pytest.mark.rule("PAY-6")
def test_a_large_payment_waits_ten_minutes_and_goes_on_by_itself(world):
    answer = world.pay("p1", A, BIG)
    assert answer.outcome == "payment.in_review"
    assert world.payment("p1").risk == "large"
    assert (world.balance(A), world.account(TRANSIT[1])) == (1_000, BIG)
    world.pass_time(10 * MINUTE_MS - 1)
    assert world.jobs() == {}
    assert world.state("p1") == "in_review"
    world.pass_time(1)
    assert world.jobs() == {}
    assert world.state("p1") == "cleared"
    assert world.balance(A) == BIG + 1_000


@pytest.mark.rule("PAY-6")
def test_a_person_lets_it_pass_at_once(world):
    world.pay("p1", A, BIG)
    assert world.staff("review", "p1", "pass", "known").outcome == "payment.cleared"
    assert ("token:an", "payment.review_pass", "p1") in world.audited()
    assert world.staff("review", "p1", "reject", "late").outcome == "payment.wrong_state"


@pytest.mark.rule("PAY-6", "PAY-3")
def test_a_person_rejects_it_and_the_money_goes_back(world):
    world.pay("p1", A, BIG, email="a@example.com")
    assert world.staff("review", "p1", "reject", "stolen").outcome == "payment.rejected_fraud"
    assert world.entries_of("p1") == [("collected", BIG), ("voided", BIG)]
    assert world.account(GATEWAY_RECEIVABLE) == 0
    assert world.counter(A) == (1, 0, BIG)  # Who tries fraud has no slot more for it.
    assert "khong duoc chap nhan" in world.sent_to(A)[-1]
    assert [mail.body for mail in world.mails()] == world.sent_to(A)[-1:]
    assert world.jobs() == {"p1": "void"}


@pytest.mark.rule("PAY-6")
def test_suspected_fraud_is_rejected_without_a_review_and_voided_until_it_is(world):
    answer = world.pay("p1", A, BIG, token="tok-stolen")
    assert answer.outcome == "payment.rejected_fraud"
    assert world.payment("p1").risk == "large,stop-card"
    assert world.entries_of("p1") == []
    for _ in range(3):
        assert world.jobs() == {"p1": "void"}
        assert world.void("p1", "failed").outcome == "payment.void_failed"
        assert world.jobs() == {}
        world.pass_time(5 * MINUTE_MS)
    assert world.void("p1").outcome == "payment.voided"
    assert world.void("p1").outcome == "payment.voided"
    world.pass_time(DAY_MS)
    assert world.jobs() == {}
    assert world.cases() == []


@pytest.mark.rule("PAY-6")
def test_money_that_is_not_given_back_for_a_day_calls_a_person_once(world):
    world.pay("p1", A, token="tok-stolen")
    world.pass_time(DAY_MS)
    world.void("p1", "failed")
    world.void("p1", "failed")
    assert world.cases() == ["void"]


@pytest.mark.rule("PAY-6")
@pytest.mark.parametrize("when", ["card", "subscriber", "address"])
def test_velocity_counts_what_its_rule_names(when):
    world = PaymentWorld(rules=rules_of_payments(often(when, 2)))
    for number in (A, B, C):
        world.subscriber(number)
    same = {"card": "token", "address": "address"}.get(when)
    states = []
    for number, (msisdn, payment_id) in enumerate(((A, "p1"), (B, "p2"), (C, "p3"), (A, "p4"))):
        who = A if when == "subscriber" else msisdn
        said = {"token": f"tok-{number}", "address": f"198.51.100.{number}"}
        if same:
            said[same] = PAYER
        states.append(world.pay(payment_id, who, **said).data["state"])
        world.pass_time(20 * MINUTE_MS)
    # The third within the hour; when the fourth comes, the first no longer counts.
    assert states == ["cleared", "cleared", "in_review", "in_review"]
    world.pass_time(HOUR_MS)
    assert world.pay("p5", A, token=PAYER, address=PAYER).data["state"] == "cleared"


# ----------------------------------------------------------------------------- clearing is away


def pass_and_try(world, ms):
    """Time passes; the cashier looks whenever something is due."""
    target_ms = world.now_ms + ms
    while due := [p for p in [world.payment("p1").next_at] if 0 < p <= target_ms]:
        world.clock.advance(max(0, due[0] - world.now_ms))
        assert world.jobs() == {}
    world.clock.advance(target_ms - world.now_ms)


@pytest.mark.rule("PAY-8")
def test_a_centre_that_is_away_is_tried_again_and_cleared_when_it_is_back(world):
    assert world.centre(2, "closed").data == {"centre": 2, "clearing": "closed"}
    assert world.pay("p1", B).outcome == "payment.clearing"
    assert world.pay("p2", A).outcome == "payment.cleared"  # Of another centre.
    assert world.account(TRANSIT[2]) == 50_000
    pass_and_try(world, HOUR_MS)
    assert world.state("p1") == "clearing"
    world.centre(2, "open")
    pass_and_try(world, AWAY_MS)
    assert world.state("p1") == "cleared"
    assert world.payment("p1").reason == ""
    assert world.debt(B) == 150_000
    assert world.cases() == []
    assert [event for event in world.events() if event.startswith("centre/")] == [
        "centre/clearing_closed",
        "centre/clearing_open",
    ]


@pytest.mark.rule("PAY-8", "PAY-10")
def test_an_alarm_at_24_hours_and_a_deadline_at_48(world):
    world.centre(2, "closed")
    world.pay("p1", B, email="b@example.com")
    pass_and_try(world, DAY_MS - 1)
    assert (world.state("p1"), world.cases(), world.sent_to(B)) == ("clearing", [], [])
    pass_and_try(world, 1)
    assert (world.state("p1"), world.cases()) == ("clearing_failed", ["alarm"])
    assert "dang cho gach no" in world.sent_to(B)[0]
    assert len(world.mails()) == 1
    pass_and_try(world, DAY_MS - 1)
    assert world.cases() == ["alarm"]
    pass_and_try(world, 1)
    assert world.cases() == ["alarm", "deadline"]
    pass_and_try(world, 3 * DAY_MS)
    assert world.cases() == ["alarm", "deadline"]
    assert len(world.sent_to(B)) == 1
    assert [e for e in world.events() if "clearing_" in e and e.startswith("payment/")] == [
        "payment/clearing_alarm",
        "payment/clearing_deadline",
    ]
    assert ("telcod", "payment.clearing_alarm", "p1") in world.audited()
    world.centre(2, "open")
    pass_and_try(world, AWAY_MS)
    assert world.state("p1") == "cleared"


@pytest.mark.rule("PAY-8")
def test_three_days_down_raise_both_alarms_at_once(world):
    world.centre(2, "closed")
    world.pay("p1", B)
    world.pass_time(3 * DAY_MS)
    world.jobs()
    assert world.cases() == ["alarm", "deadline"]


@pytest.mark.rule("PAY-8", "PAY-7")
def test_a_person_clears_by_hand_with_a_reason_while_the_centre_is_away(world):
    world.centre(2, "closed")
    world.pay("p1", B)
    answer = world.staff("clear_by_hand", "p1", "done in the centre's books")
    assert answer.outcome == "payment.cleared"
    assert world.debt(B) == 150_000
    assert world.entries_of("p1") == [("collected", 50_000), ("cleared", 50_000)]
    assert world.audited()[-2:] == [
        ("token:an", "payment.clear_by_hand", "p1"),
        ("C2_ePayment", "payment.cleared", "p1"),
    ]
    again = world.staff("clear_by_hand", "p1", "again")
    assert again.outcome == "payment.wrong_state"
    assert world.debt(B) == 150_000


@pytest.mark.rule("PAY-7")
@pytest.mark.parametrize("actor", ["C1_ePayment", "token:C3_ePayment"])
def test_a_centres_user_touches_no_other_centre(world, actor):
    world.centre(2, "closed")
    world.pay("p1", B)
    world.pay("p2", B, BIG)
    for op, *args in (
        ("clear_by_hand", "p1", "x"),
        ("review", "p2", "pass", "x"),
        ("propose_cancel", "p1", "x"),
        ("set_centre", "2", "open"),
    ):
        assert world.staff(op, *args, actor=actor).outcome == "payment.other_centre"
    assert world.staff("clear_by_hand", "p1", "x", actor="C2_ePayment").outcome == (
        "payment.cleared"
    )


@pytest.mark.rule("PAY-8")
def test_a_centre_that_does_not_exist_is_told_so(world):
    assert world.centre(7, "closed").outcome == "payment.no_such_centre"
    before = world.audited()
    assert world.centre(1, "open").outcome == "payment.centre_set"  # It is open already.
    assert world.audited() == before


# --------------------------------------------------------------------------- the number is gone


@pytest.mark.rule("PAY-8", "NUM-5")
def test_a_number_that_left_waits_for_a_person_who_clears_to_its_account(world):
    world.begin("p1", B)
    world.set_state(B, "closed")
    assert world.notify("p1").outcome == "payment.clearing_failed"
    assert world.cases() == ["subscriber_gone"]
    pass_and_try(world, HOUR_MS)
    assert (world.state("p1"), world.cases()) == ("clearing_failed", ["subscriber_gone"])
    assert world.staff("clear_by_hand", "p1", "his last bill").outcome == "payment.cleared"
    assert world.debt(B) == 150_000
    assert world.sent_to(B) == []


@pytest.mark.rule("PAY-8", "NUM-5")
def test_money_of_the_last_owner_never_reaches_the_next(world):
    world.begin("p1", A)
    world.set_state(A, "closed")
    world.set_state(A, "active")
    suspense_vnd = world.account(SUSPENSE)
    assert world.notify("p1").outcome == "payment.clearing_failed"
    pass_and_try(world, 2 * DAY_MS)
    assert world.cases() == ["subscriber_gone", "alarm", "deadline"]
    assert world.staff("clear_by_hand", "p1", "nobody's").outcome == "payment.cleared"
    assert (world.balance(A), world.account(SUSPENSE)) == (0, suspense_vnd + 50_000)
    assert world.sent_to(A) == []
    assert world.cancel("p1").outcome == "payment.cancelled"
    assert world.account(SUSPENSE) == suspense_vnd


# ---------------------------------------------------------------------------------- cancellation


@pytest.mark.rule("PAY-9", "STAFF-2")
def test_two_people_cancel_and_money_moves_back_by_counter_entries(world):
    world.pay("p1", B, 150_000, email="b@example.com")
    cleared = world.payment("p1").cleared
    answer = world.staff("propose_cancel", "p1", "bank's letter 12", actor="token:an")
    assert (answer.outcome, answer.data["by"]) == ("payment.cancel_proposed", "token:an")
    assert world.state("p1") == "cleared"
    answer = world.staff("confirm_cancel", "p1", "checked", actor="token:binh")
    assert answer.outcome == "payment.cancelled"
    assert world.debt(B) == 200_000
    back = [entry for entry in world.store.scan(ENTRY) if entry.kind == "payment.cancelled"]
    assert [(entry.reverses, entry.amount) for entry in back] == [(cleared, 150_000)]
    assert world.account(GATEWAY_RECEIVABLE) == 0
    assert [(row.kind, row.operator) for row in world.clearings()] == [
        ("cleared", "C2_ePayment"),
        ("cancelled", "C2_ePayment"),
    ]
    assert world.audited()[-3:] == [
        ("token:an", "payment.propose_cancel", "p1"),
        ("token:binh", "payment.confirm_cancel", "p1"),
        ("C2_ePayment", "payment.cancelled", "p1"),
    ]
    assert world.jobs() == {"p1": "void"}
    assert world.counter(B) == (1, 150_000, 0)


@pytest.mark.rule("PAY-9")
@pytest.mark.parametrize("language", ["vi", "en"])
def test_both_are_told_in_exactly_these_words_of_one_part(world, language):
    world.text(B, f"NN {language.upper()}")
    world.pay("p1", B, email="holder@example.com")
    world.cancel("p1")
    assert world.sent_to(B)[-1] == world.mails()[-1].body == FRAUD_TEXT
    assert is_gsm7(FRAUD_TEXT)
    assert count_parts(FRAUD_TEXT).count == 1


@pytest.mark.rule("PAY-9", "STAFF-2")
def test_one_person_alone_cancels_nothing(world):
    world.pay("p1", B)
    assert world.staff("confirm_cancel", "p1", "x").outcome == "payment.not_proposed"
    assert world.staff("propose_cancel", "p1", "x", actor="").outcome == "payment.nobody"
    world.staff("propose_cancel", "p1", "x", actor="token:an")
    assert world.staff("confirm_cancel", "p1", "x", actor="token:an").outcome == (
        "payment.same_person"
    )
    assert world.staff("confirm_cancel", "p1", "x", actor="").outcome == "payment.nobody"
    # A second proposal takes the place of no first one.
    second = world.staff("propose_cancel", "p1", "x", actor="token:binh")
    assert second.data["by"] == "token:an"
    assert (world.state("p1"), world.debt(B)) == ("cleared", 150_000)
    assert world.staff("confirm_cancel", "p1", "x", actor="token:binh").outcome == (
        "payment.cancelled"
    )
    assert world.cancel("p1").outcome == "payment.wrong_state"
    assert world.debt(B) == 200_000


@pytest.mark.rule("PAY-9")
def test_nothing_but_a_cleared_payment_is_cancelled(world):
    world.centre(1, "closed")
    world.create("created", A)
    world.begin("redirected", A)
    world.pay("clearing", A)
    world.pay("reviewed", A, BIG)
    world.pay("rejected", A, token="tok-stolen")
    for payment_id in ("created", "redirected", "clearing", "reviewed", "rejected"):
        assert world.cancel(payment_id).outcome == "payment.wrong_state"


@pytest.mark.rule("PAY-9", "PFM-15")
@pytest.mark.parametrize(
    ("talked_s", "talks_on", "balance_vnd", "cancelled"),
    [
        (0, False, 1_000, [50_000]),
        (40, False, 0, [50_000]),  # He has exactly as much.
        (41, False, 0, [49_975, 25]),
        (2_040, False, 0, [50_000]),  # All of it is a debt.
        (0, True, 15_000, [36_000, 14_000]),  # What a call has reserved is not taken from it.
    ],
)
def test_what_a_prepaid_one_has_spent_or_promised_becomes_a_debt(
    world, talked_s, talks_on, balance_vnd, cancelled
):
    world.subscriber(C)
    world.pay("p1", A)
    if talked_s or talks_on:
        world.connect("c1", C, A)
        for used_s in range(500, talked_s, 500):
            world.progress("c1", used_s)
    if talked_s:
        world.ended("c1", talked_s)
    assert world.cancel("p1").outcome == "payment.cancelled"
    amounts = [vnd for kind, vnd in world.entries_of("p1") if kind == "cancelled"]
    owed_vnd = 50_000 - (51_000 - 25 * talked_s - balance_vnd)
    assert amounts == cancelled
    assert (world.balance(A), world.debt(A)) == (balance_vnd, owed_vnd)
    assert world.account(GATEWAY_RECEIVABLE) == 0


@pytest.mark.rule("PAY-9", "NUM-5")
def test_the_next_owner_of_a_number_pays_nothing_for_the_last_ones_fraud(world):
    world.pay("p1", A)
    world.set_state(A, "closed")
    world.set_state(A, "active")
    world.topup(A, 70_000)
    assert world.cancel("p1").outcome == "payment.cancelled"
    assert (world.balance(A), world.debt(A)) == (70_000, 0)
    assert world.account(FRAUD_LOSS) == -50_000
    assert FRAUD_TEXT not in world.sent_to(A)


@pytest.mark.rule("PAY-6", "PAY-7", "PAY-8", "PAY-9", "CARE-2")
def test_the_log_says_who_did_what_with_which_payment_and_why(world):
    world.pay("p1", A, BIG)
    world.staff("review", "p1", "pass", "known to us")
    world.pay("p2", B, BIG, token="tok-b")
    world.staff("review", "p2", "reject", "stolen")
    world.pay("p3", A, token="tok-stolen")
    world.centre(2, "closed")
    world.pay("p4", B, token="tok-c")
    world.staff("clear_by_hand", "p4", "in their own books")
    world.centre(2, "open")
    world.cancel("p4")
    world.notify("p1", "declined", key="again")
    closed = world.staff("close_case", "1", "the bank erred")
    assert closed.data == {"case": 1, "payment_id": "p1"}
    said = [
        (row.actor, row.action.removeprefix("payment."), row.subject, row.detail)
        for row in world.store.scan(AUDIT)
        if row.action.startswith("payment.")
    ]
    assert said == [
        ("token:an", "review_pass", "p1", "known to us"),
        ("C1_ePayment", "cleared", "p1", f"{A} 1000000 entry 4"),
        ("token:an", "review_reject", "p2", "stolen"),
        ("token:an", "rejected", "p2", "large"),
        ("gateway", "rejected", "p3", "stop-card"),
        ("token:an", "set_centre", "centre 2", "closed"),
        ("token:an", "clear_by_hand", "p4", "in their own books"),
        ("C2_ePayment", "cleared", "p4", f"{B} 50000 entry 8"),
        ("token:an", "set_centre", "centre 2", "open"),
        ("token:an", "propose_cancel", "p4", "bank's letter"),
        ("token:binh", "confirm_cancel", "p4", "agreed"),
        ("C2_ePayment", "cancelled", "p4", f"{B} 50000 entry 9"),
        ("token:an", "close_case", "p1", "1 the bank erred"),
    ]
    assert [world.payment(name).reason for name in ("p2", "p3", "p4")] == [
        "review",
        "risk",
        "fraud",
    ]
    assert world.sent_to(B)[0] == (
        "Giao dich p2 so tien 1.000.000d khong duoc chap nhan. So tien nay se duoc hoan lai the "
        "cua Quy khach. LH 9090."
    )


# ------------------------------------------------------------------------------------------ cases


@pytest.mark.rule("PAY-5", "CARE-2")
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_case_is_closed_once_by_a_person_with_a_note(tmp_path, on_disk):
    with PaymentWorld(tmp_path / "b.db" if on_disk else None, rules=RULES) as world:
        world.subscriber(A)
        world.pay("p1", A)
        world.notify("p1", "declined")
        assert world.staff("close_case", "9", "x").outcome == "payment.no_such_case"
        assert world.staff("close_case", "1", "bank erred").outcome == "payment.case_closed"
        assert world.staff("close_case", "1", "no", actor="b").outcome == "payment.case_closed"
        (case,) = world.case_rows()
        assert (case.closed_by, case.note, case.kind) == ("token:an", "bank erred", "contradictory")
        assert world.audited()[-1] == ("token:an", "payment.close_case", "p1")
        assert world.check() == []


# ------------------------------------------------------------------------- what must not happen


@pytest.mark.rule("PAY-11", "NUM-5")
def test_an_invoice_that_was_asked_for_on_the_page_is_noted_when_it_is_cleared(world):
    world.import_({"msisdn": A, "name": "An", "address": "Hue"})
    world.pay("p1", A, invoice="1")
    world.pay("p2", A, invoice="0", token="tok-2")
    assert [row.payment for row in world.store.scan(INVOICE)] == ["p1"]


@pytest.mark.rule("PAY-4")
def test_a_gateway_that_tells_no_token_is_believed_as_well(world):
    assert world.pay("p1", A, token="").outcome == "payment.cleared"
    assert not [row for row in world.store.scan(PAYMENT_OF) if row.subject.startswith("card:")]


@pytest.mark.rule("PAY-6")
def test_a_review_that_comes_to_something_else_changes_nothing():
    world = PaymentWorld(rules=RULES)
    world.subscriber(A)
    world.pay("p1", A, BIG)
    assert world.staff("review", "p1", "maybe", "x").outcome == "ours.sorry"
    assert world.state("p1") == "in_review"
    assert world.check() == []


@pytest.mark.rule("PAY-3", "PAY-9")
@pytest.mark.parametrize("broken", ["counter", "entry"])
def test_books_that_somebody_spoilt_stop_the_process(broken):
    world = PaymentWorld(rules=RULES)
    world.subscriber(A)
    tables = world.store._tables
    if broken == "counter":
        world.begin("p1", A)
        tables[LIMIT_COUNTER.index].clear()
        with pytest.raises(LedgerCorrupt):
            world.notify("p1", "declined")
    else:
        world.pay("p1", A)
        world.staff("propose_cancel", "p1", "x", actor="token:an")
        del tables[ENTRY.index][world.payment("p1").cleared]
        with pytest.raises(LedgerCorrupt):
            world.staff("confirm_cancel", "p1", "x", actor="token:binh")
