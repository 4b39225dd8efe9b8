"""Every decision about a card payment, at the edges where mistakes live."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.payments import (
    AMOUNT_VND_MAX,
    AMOUNT_VND_MIN,
    Job,
    PaymentLimits,
    Purpose,
    Refund,
    Refusal,
    Result,
    Said,
    Verdict,
    asked_again_ms,
    counted,
    decide_create,
    decide_due,
    decide_refund,
    decide_result,
    decide_retry,
    expires_ms,
    masked,
    next_inquiry_ms,
    operator_of,
)
from telcod.days import HOUR_MS, MINUTE_MS
from telcod.rows import LimitCounter, Payment, PaymentState, Subscriber

DAY = 20260302
AT = 1_000_000_000
LIMITS = PaymentLimits()
EMPTY = LimitCounter(84903000001, DAY, 0, 0, 0)
PREPAID = Subscriber(84903000001, "prepaid", "active", "vi", 1, 1, 0, 1)
POSTPAID = Subscriber(84903000001, "postpaid", "active", "vi", 1, 1, 0, 1)
CREATED = Payment(
    "p", 84903000001, 1, 1, "topup", "domestic", 50_000, "created", "", "portal", "", "", 0, "",
    DAY, 1, AT, "", "", "", "", "", "", 0, "", 0, 0, 0, 0, 0, 0, "", AT + MINUTE_MS,
)  # fmt: skip
replace = msgspec.structs.replace


def accepted(subscriber=PREPAID, counter=EMPTY, amount_vnd=50_000, **more):
    purpose = more.pop("purpose", Purpose.BILL if subscriber is POSTPAID else Purpose.TOPUP)
    said = {"unknown_pending": False, "stopped": False} | more
    return decide_create(subscriber, counter, purpose, amount_vnd, LIMITS, **said)


# ------------------------------------------------------------------------------------ acceptance


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize(
    ("amount_vnd", "expected"),
    [
        (0, Refusal.AMOUNT),
        (49_999, Refusal.AMOUNT),
        (50_000, counted(EMPTY, "bill", 50_000, 1)),
        (10_000_000, counted(EMPTY, "bill", 10_000_000, 1)),
        (10_000_001, Refusal.AMOUNT),
    ],
)
def test_an_amount_is_50_000_to_10_000_000(amount_vnd, expected):
    assert accepted(POSTPAID, amount_vnd=amount_vnd) == expected


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize(
    ("subscriber", "before", "amount_vnd", "refused"),
    [
        (POSTPAID, (4, 0, 0), 50_000, None),
        (POSTPAID, (5, 0, 0), 50_000, Refusal.TOO_MANY),
        (POSTPAID, (1, 9_950_000, 0), 50_000, None),
        (POSTPAID, (1, 9_950_000, 0), 50_001, Refusal.TOO_MUCH),
        (POSTPAID, (1, 0, 9_000_000), 10_000_000, None),  # He topped up as a prepaid one before.
        (PREPAID, (1, 0, 4_950_000), 50_000, None),
        (PREPAID, (1, 0, 4_950_000), 50_001, Refusal.TOO_MUCH),
        (PREPAID, (0, 0, 0), 5_000_001, Refusal.TOO_MUCH),
        (PREPAID, (1, 10_000_000, 0), 5_000_000, None),
    ],
)
def test_a_day_has_five_slots_and_two_sums(subscriber, before, amount_vnd, refused):
    counter = LimitCounter(84903000001, DAY, *before)
    decision = accepted(subscriber, counter, amount_vnd)
    assert decision == refused if refused else isinstance(decision, LimitCounter)


@pytest.mark.rule("PAY-3", "PAY-5", "PAY-6")
def test_the_first_reason_of_the_documented_order_is_told():
    full = LimitCounter(84903000001, DAY, 5, 10_000_000, 5_000_000)
    closed = replace(PREPAID, state="closed")
    wrong = {"purpose": Purpose.BILL, "unknown_pending": True, "stopped": True}
    asked = [
        (closed, full, 1, wrong),
        (PREPAID, full, 1, wrong),
        (POSTPAID, full, 1, wrong),
        (POSTPAID, full, 50_000, wrong),
        (POSTPAID, full, 50_000, wrong | {"unknown_pending": False}),
        (POSTPAID, replace(full, payments=4), 50_000, wrong | {"unknown_pending": False}),
        (POSTPAID, EMPTY, 50_000, wrong | {"unknown_pending": False}),
    ]
    assert [accepted(s, c, a, **more) for s, c, a, more in asked] == list(Refusal)
    assert accepted(None) is Refusal.NOT_SERVED


@pytest.mark.rule("PAY-3")
@given(
    st.sampled_from(Purpose),
    st.integers(AMOUNT_VND_MIN, AMOUNT_VND_MAX),
    st.integers(0, 5),
    st.integers(0, 10**7),
)
def test_what_is_given_back_is_what_was_taken(purpose, amount_vnd, payments, sum_vnd):
    before = LimitCounter(84903000001, DAY, payments, sum_vnd, sum_vnd)
    taken = counted(before, purpose, amount_vnd, 1)
    assert taken != before
    assert counted(taken, purpose, amount_vnd, -1) == before


# --------------------------------------------------------------------------------- the gateway says

OPEN = ("created", "redirected", "unknown")
YES = Said(Result.AUTHORISED, amount_vnd=50_000)
OVER = {
    "declined": replace(CREATED, state="declined", slot=0),
    "expired": replace(CREATED, state="expired", slot=0),
    "late": replace(CREATED, state="expired", slot=0, authorised_at=AT, voiding=1),
    "in_review": replace(CREATED, state="in_review", authorised_at=AT),
    "cleared": replace(CREATED, state="cleared", authorised_at=AT, cleared=7),
    "rejected": replace(CREATED, state="rejected_fraud", authorised_at=AT, voiding=1),
}


def result(payment, said, after_ms=0):
    return decide_result(payment, said, LIMITS, now_ms=AT + after_ms)


@pytest.mark.rule("PAY-5")
@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize(
    ("said", "after_min", "verdict"),
    [
        (YES, 0, Verdict.AUTHORISE),
        (YES, 600, Verdict.AUTHORISE),  # Late, but nobody has said no.
        (Said(Result.DECLINED, "05"), 0, Verdict.DECLINE),
        (Said(Result.UNKNOWN), 0, Verdict.WAIT),
        (Said(Result.SILENT, asked=True), 15, Verdict.WAIT),
        (Said(Result.NONE, asked=True), 14, Verdict.NOTHING),  # He is still typing.
        (Said(Result.NONE, asked=True), 15, Verdict.EXPIRE),
    ],
)
def test_what_an_open_payment_hears_moves_it(state, said, after_min, verdict):
    assert result(replace(CREATED, state=state), said, after_min * MINUTE_MS) is verdict


@pytest.mark.rule("PAY-5")
@pytest.mark.parametrize(
    ("over", "said", "verdict"),
    [
        ("declined", Said(Result.DECLINED), Verdict.NOTHING),
        ("declined", YES, Verdict.LATE),
        ("expired", Said(Result.DECLINED), Verdict.NOTHING),
        ("expired", YES, Verdict.LATE),
        ("expired", Said(Result.UNKNOWN), Verdict.NOTHING),
        ("late", YES, Verdict.NOTHING),
        ("late", Said(Result.DECLINED), Verdict.CONTRADICTS),
        ("in_review", YES, Verdict.NOTHING),
        ("in_review", Said(Result.DECLINED), Verdict.CONTRADICTS),
        ("cleared", YES, Verdict.NOTHING),
        ("cleared", Said(Result.UNKNOWN), Verdict.NOTHING),
        ("cleared", Said(Result.SILENT, asked=True), Verdict.NOTHING),
        ("cleared", Said(Result.DECLINED), Verdict.CONTRADICTS),
        ("cleared", Said(Result.NONE, asked=True), Verdict.CONTRADICTS),
        ("rejected", YES, Verdict.NOTHING),
    ],
)
def test_what_is_noted_is_not_noted_again_and_its_contrary_is_a_case(over, said, verdict):
    assert result(OVER[over], said, HOUR_MS) is verdict


@pytest.mark.rule("PAY-5")
@given(
    st.sampled_from([*(replace(CREATED, state=state) for state in OPEN), *OVER.values()]),
    st.sampled_from(Result),
    st.integers(1, 20_000_000).filter(lambda amount_vnd: amount_vnd != 50_000),
)
def test_another_amount_contradicts_whatever_else_is_said(payment, said, amount_vnd):
    assert result(payment, Said(said, amount_vnd=amount_vnd)) is Verdict.CONTRADICTS


@pytest.mark.rule("PAY-5")
def test_a_yes_that_names_no_amount_contradicts():
    assert result(CREATED, Said(Result.AUTHORISED)) is Verdict.CONTRADICTS


@pytest.mark.rule("PAY-5")
@given(st.sampled_from(list(OVER.values())), st.sampled_from(Result), st.booleans())
def test_nothing_moves_money_for_a_payment_that_is_over(payment, said, asked):
    verdict = result(payment, Said(said, amount_vnd=50_000, asked=asked), 48 * HOUR_MS)
    assert verdict in {Verdict.NOTHING, Verdict.LATE, Verdict.CONTRADICTS}


# ---------------------------------------------------------------------------------------- the clock


@pytest.mark.rule("PAY-5")
def test_an_unknown_end_is_asked_for_after_1_5_15_minutes_and_then_hourly():
    waits = [next_inquiry_ms(asked, LIMITS, now_ms=0) // MINUTE_MS for asked in range(6)]
    assert waits == [1, 5, 15, 60, 60, 60]


@pytest.mark.rule("PAY-5", "PAY-6", "PAY-8")
@pytest.mark.parametrize(
    ("payment", "after_min", "job"),
    [
        (CREATED, 0, Job.NONE),
        (CREATED, 1, Job.CREATE),
        (CREATED, 15, Job.INQUIRE),
        (replace(CREATED, state="redirected"), 15, Job.INQUIRE),
        (replace(CREATED, state="unknown"), 1, Job.INQUIRE),
        (replace(CREATED, state="in_review"), 1, Job.CLEAR),
        (replace(CREATED, state="clearing"), 1, Job.CLEAR),
        (replace(CREATED, state="clearing_failed"), 1, Job.CLEAR),
        (replace(CREATED, state="expired", voiding=1), 1, Job.VOID),
        (replace(CREATED, state="cancelled", voiding=1), 1, Job.VOID),
        (replace(CREATED, state="cancelled", voiding=2, next_at=0), 99, Job.NONE),
        (replace(CREATED, state="cleared", next_at=0), 99, Job.NONE),
    ],
)
def test_each_moment_asks_for_its_job(payment, after_min, job):
    assert decide_due(payment, LIMITS, now_ms=AT + after_min * MINUTE_MS) is job


@pytest.mark.rule("PAY-5")
def test_a_job_that_nobody_reports_on_is_asked_for_again():
    now_ms = AT + 14 * MINUTE_MS + 30_000
    moments = {
        job: asked_again_ms(CREATED, job, LIMITS, now_ms=now_ms) - now_ms
        for job in (Job.CREATE, Job.INQUIRE, Job.VOID)
    }
    # A payment that the gateway never took is asked for at its expiry, and then not created again.
    assert moments == {Job.CREATE: 30_000, Job.INQUIRE: MINUTE_MS, Job.VOID: 5 * MINUTE_MS}


@pytest.mark.rule("PAY-5")
def test_a_payment_that_the_gateway_did_not_take_is_offered_again_in_a_minute():
    again = asked_again_ms(CREATED, Job.CREATE, LIMITS, now_ms=AT + MINUTE_MS)
    assert again == AT + 2 * MINUTE_MS


@pytest.mark.rule("PAY-8")
@given(st.lists(st.integers(0, 30 * HOUR_MS), max_size=40), st.booleans())
def test_the_alarm_and_the_deadline_are_each_reached_once_whatever_the_delays(delays, is_closed):
    payment = replace(CREATED, state="clearing", authorised_at=AT, next_at=AT)
    now_ms, alarms, deadlines = AT, 0, 0
    for delay_ms in [*delays, 50 * HOUR_MS, 0, 0]:
        now_ms = max(now_ms, payment.next_at) + delay_ms
        retry = decide_retry(payment, LIMITS, now_ms=now_ms)
        alarms += retry.alarm
        deadlines += retry.deadline
        assert now_ms < retry.next_at <= now_ms + LIMITS.clearing_retry_min * MINUTE_MS
        payment = replace(
            payment, next_at=retry.next_at, alarmed=int(payment.alarmed or retry.alarm)
        )
    assert (alarms, deadlines) == (1, 1)


@pytest.mark.rule("PAY-8")
@pytest.mark.parametrize(
    ("after_h", "ms", "alarm", "deadline"),
    [(24, -1, False, False), (24, 0, True, False), (48, -1, True, False), (48, 0, True, True)],
)
def test_a_person_is_called_at_24_hours_and_at_48(after_h, ms, alarm, deadline):
    payment = replace(CREATED, state="clearing", authorised_at=AT, next_at=AT + 24 * HOUR_MS - 1)
    retry = decide_retry(payment, LIMITS, now_ms=AT + after_h * HOUR_MS + ms)
    assert (retry.alarm, retry.deadline) == (alarm, deadline)
    if ms < 0:
        assert retry.next_at == AT + after_h * HOUR_MS


# ----------------------------------------------------------------------------------------- the rest


@pytest.mark.rule("PAY-9")
@pytest.mark.parametrize(
    ("spendable_vnd", "refund"),
    [
        (60_000, Refund(50_000, 0)),
        (50_000, Refund(50_000, 0)),
        (49_999, Refund(49_999, 1)),
        (0, Refund(0, 50_000)),
        (None, Refund(0, 50_000)),
    ],
)
def test_what_is_spent_becomes_a_debt(spendable_vnd, refund):
    assert decide_refund(50_000, spendable_vnd) == refund


@pytest.mark.rule("PAY-4")
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("411111******1111", "411111******1111"),
        ("4111111111111111", "****1111"),
        ("4111 1111 1111 1111", "****1111"),
        ("", ""),
    ],
)
def test_a_card_number_that_comes_in_clear_is_not_kept(said, kept):
    assert masked(said) == kept


@pytest.mark.rule("PAY-3", "PAY-6", "PAY-8", "CFG-2")
@pytest.mark.parametrize(
    "wrong",
    [
        {"review_min": 11},
        {"clearing_deadline_h": 49},
        {"clearing_alarm_h": 24, "clearing_deadline_h": 24},
        {"inquire_after_min": []},
        {"inquire_after_min": [0, 5]},
        {"topups_vnd_per_day_max": 0},
        {"payments_per_day_max": 6},
    ],
)
def test_a_setting_that_the_sources_forbid_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, PaymentLimits)


@pytest.mark.rule("PAY-5", "PAY-8", "CFG-2")
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"inquire_after_min": (5, 0)}, "inquire_after_min: must be minutes above 0"),
        (
            {"clearing_alarm_h": 24, "clearing_deadline_h": 24},
            "clearing_alarm_h: must be less than clearing_deadline_h",
        ),
    ],
)
def test_what_makes_no_sense_together_is_said(wrong, why):
    with pytest.raises(ValueError, match=str(why)) as refused:
        PaymentLimits(**wrong)
    assert str(refused.value) == why


def test_the_strictest_settings_are_settings():
    PaymentLimits(inquire_after_min=(1,), clearing_alarm_h=1, clearing_deadline_h=2)


@pytest.mark.rule("PAY-7")
def test_the_users_that_clear_are_named_as_the_sources_name_them():
    assert [operator_of(n) for n in (1, 6)] == ["C1_ePayment", "C6_ePayment"]


@pytest.mark.rule("PAY-5")
def test_a_payment_expires_15_minutes_after_its_acceptance():
    assert expires_ms(CREATED, LIMITS) == AT + 15 * MINUTE_MS
    assert CREATED.state == PaymentState.CREATED
