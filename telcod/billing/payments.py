"""Card payments: who may pay how much, and what each word of the gateway does (PAY-3…9).  Pure.

A payment is one row.  Its slot and its sum are taken on the day of acceptance, before anything
leaves; only a definite "no" of the gateway gives them back.  What the gateway says may come twice,
late or in any order: what agrees with what is noted changes nothing, what contradicts it is a case
for a person and moves no money.
"""

from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from telcod.billing.lists import on_net
from telcod.days import HOUR_MS, MINUTE_MS
from telcod.rows import Kind, LimitCounter, Payment, PaymentState, Subscriber

# Stated by the sources, so not settings; the database says them as well.
AMOUNT_VND_MIN: Final = 50_000
AMOUNT_VND_MAX: Final = 10_000_000
PAYMENTS_PER_DAY_MAX: Final = 5
BILLS_VND_PER_DAY_MAX: Final = 10_000_000
MASKED_DIGITS_MAX: Final = 10  # The first six and the last four: what may be shown of a card.


class PaymentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of PAY that are settings; those of the sources may only be made stricter."""

    topups_vnd_per_day_max: Annotated[int, Meta(ge=AMOUNT_VND_MIN)] = 5_000_000
    expires_min: Annotated[int, Meta(ge=1, le=24 * 60)] = 15
    create_retry_s: Annotated[int, Meta(ge=5, le=600)] = 60
    inquire_after_min: Annotated[tuple[int, ...], Meta(min_length=1)] = (1, 5, 15, 60)
    review_min: Annotated[int, Meta(ge=1, le=10)] = 10
    clearing_retry_min: Annotated[int, Meta(ge=1, le=60)] = 3
    clearing_alarm_h: Annotated[int, Meta(ge=1, le=24)] = 24
    clearing_deadline_h: Annotated[int, Meta(ge=1, le=48)] = 48
    void_retry_min: Annotated[int, Meta(ge=1, le=60)] = 5

    def __post_init__(self) -> None:
        if min(self.inquire_after_min) < 1:
            raise ValueError("inquire_after_min: must be minutes above 0")
        if self.clearing_alarm_h >= self.clearing_deadline_h:
            raise ValueError("clearing_alarm_h: must be less than clearing_deadline_h")


class Purpose(StrEnum):
    """What is paid: a postpaid subscriber's bill, or a prepaid one's balance."""

    BILL = "bill"
    TOPUP = "topup"


class Card(StrEnum):
    """PAY-4: authorised by the issuer at once, or with the issuer's one-time password."""

    INTERNATIONAL = "international"
    DOMESTIC = "domestic"


PURPOSE_OF: Final = {Kind.POSTPAID: Purpose.BILL, Kind.PREPAID: Purpose.TOPUP}
# Asked of the gateway, or to be asked: nothing is known for sure.
WAITING: Final = frozenset({PaymentState.CREATED, PaymentState.REDIRECTED, PaymentState.UNKNOWN})
TO_CLEAR: Final = frozenset({PaymentState.CLEARING, PaymentState.CLEARING_FAILED})
OPEN_PAYMENTS: Final = WAITING | TO_CLEAR | {PaymentState.IN_REVIEW}


class Refusal(StrEnum):
    """Why a payment is not accepted.

    Checked, and reported, in this order; values are outcomes of `payment.create`.
    """

    NOT_SERVED = "payment.not_served"
    WRONG_PURPOSE = "payment.wrong_purpose"
    AMOUNT = "payment.amount"
    UNKNOWN_PENDING = "payment.unknown_pending"
    TOO_MANY = "payment.too_many"
    TOO_MUCH = "payment.too_much"
    STOPPED = "payment.stopped"


def decide_create(
    subscriber: Subscriber | None,
    counter: LimitCounter,
    purpose: Purpose,
    amount_vnd: int,
    limits: PaymentLimits,
    *,
    unknown_pending: bool,
    stopped: bool,
) -> LimitCounter | Refusal:
    """Say whether a payment is accepted, before anything is sent to the gateway (PAY-3).

    Args:
        subscriber: Whose bill or balance; None when nobody has the number.
        counter: What he has paid on this day so far.
        purpose: What is paid.
        amount_vnd: Whole đồng.
        limits: Settings.
        unknown_pending: One of the same purpose has an unknown end (PAY-5).
        stopped: A stop-list names the number or the payer's address.

    Returns:
        The day's counter with the slot and the sum taken, or the first reason to refuse.
    """
    if subscriber is None or not on_net(subscriber):
        return Refusal.NOT_SERVED
    if PURPOSE_OF[Kind(subscriber.kind)] is not purpose:
        return Refusal.WRONG_PURPOSE
    if not AMOUNT_VND_MIN <= amount_vnd <= AMOUNT_VND_MAX:
        return Refusal.AMOUNT
    if unknown_pending:
        return Refusal.UNKNOWN_PENDING
    taken = counted(counter, purpose, amount_vnd, 1)
    if taken.payments > PAYMENTS_PER_DAY_MAX:
        return Refusal.TOO_MANY
    topped_up_vnd = taken.topups_vnd if purpose is Purpose.TOPUP else 0
    if taken.bills_vnd > BILLS_VND_PER_DAY_MAX or topped_up_vnd > limits.topups_vnd_per_day_max:
        return Refusal.TOO_MUCH
    return Refusal.STOPPED if stopped else taken


def counted(counter: LimitCounter, purpose: str, amount_vnd: int, times: int) -> LimitCounter:
    """A day's counter after a payment took its slot (`times` 1) or gave it back (-1)."""
    vnd = times * amount_vnd
    return LimitCounter(
        counter.msisdn,
        counter.day,
        counter.payments + times,
        counter.bills_vnd + (vnd if purpose == Purpose.BILL else 0),
        counter.topups_vnd + (vnd if purpose == Purpose.TOPUP else 0),
    )


class Result(StrEnum):
    """What the gateway says of a payment; `none`: nobody paid; `silent`: it said nothing at all."""

    AUTHORISED = "authorised"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    NONE = "none"
    SILENT = "silent"


class Said(NamedTuple):
    """The gateway's word, by a notification or in answer to an inquiry (`asked`).

    `amount_vnd` is 0 where it named none.
    """

    result: Result
    code: str = ""
    amount_vnd: int = 0
    masked_card: str = ""
    card_token: str = ""
    bank: str = ""
    cashier: str = ""
    asked: bool = False


class Verdict(StrEnum):
    """What the gateway's word does to a payment."""

    AUTHORISE = "authorise"
    DECLINE = "decline"
    EXPIRE = "expire"
    WAIT = "wait"  # Nothing is sure: the state is unknown, and it is asked again.
    NOTHING = "nothing"
    LATE = "late"  # Authorised after its end: the bank must give the money back.
    CONTRADICTS = "contradicts"


def decide_result(payment: Payment, said: Said, limits: PaymentLimits, *, now_ms: int) -> Verdict:
    """Say what the gateway's word does to a payment, whatever came before it (PAY-5).

    Another amount than the payment's contradicts it, and so does a yes or no that is contrary to
    the one that is noted.  "Nobody paid" before the payment expires says nothing: the payer is
    still typing.
    """
    if said.amount_vnd not in {0, payment.amount_vnd}:
        return Verdict.CONTRADICTS
    yes, no = said.result is Result.AUTHORISED, said.result in {Result.DECLINED, Result.NONE}
    if yes and not said.amount_vnd:
        return Verdict.CONTRADICTS
    if payment.authorised_at:
        return Verdict.CONTRADICTS if no else Verdict.NOTHING
    if payment.state not in WAITING:
        return Verdict.LATE if yes else Verdict.NOTHING
    if yes:
        return Verdict.AUTHORISE
    if said.result is Result.DECLINED:
        return Verdict.DECLINE
    if said.result is Result.NONE:
        is_over = now_ms >= expires_ms(payment, limits)
        return Verdict.EXPIRE if is_over else Verdict.NOTHING
    return Verdict.WAIT


def expires_ms(payment: Payment, limits: PaymentLimits) -> int:
    """The moment from which "nobody paid" ends a payment, in Unix milliseconds."""
    return payment.created_at + limits.expires_min * MINUTE_MS


def next_inquiry_ms(asked: int, limits: PaymentLimits, *, now_ms: int) -> int:
    """When to ask the gateway again after so many inquiries in vain; at last hourly."""
    waits = limits.inquire_after_min
    return now_ms + waits[min(asked, len(waits) - 1)] * MINUTE_MS


class Job(StrEnum):
    """What a payment's moment asks for: of the gateway, or of telcod itself (`clear`)."""

    NONE = "none"
    CREATE = "create"
    INQUIRE = "inquire"
    VOID = "void"
    CLEAR = "clear"


def decide_due(payment: Payment, limits: PaymentLimits, *, now_ms: int) -> Job:
    """Say what is to be done about a payment now; nothing before its moment."""
    if not 0 < payment.next_at <= now_ms:
        return Job.NONE
    if payment.voiding == 1:
        return Job.VOID
    if payment.state == PaymentState.CREATED and now_ms < expires_ms(payment, limits):
        return Job.CREATE
    return Job.INQUIRE if payment.state in WAITING else Job.CLEAR


def asked_again_ms(payment: Payment, job: Job, limits: PaymentLimits, *, now_ms: int) -> int:
    """When the same is asked for again if nobody says how it went (a crash in between)."""
    if job is Job.VOID:
        return now_ms + limits.void_retry_min * MINUTE_MS
    if job is Job.INQUIRE:
        return next_inquiry_ms(payment.asked, limits, now_ms=now_ms)
    return min(now_ms + limits.create_retry_s * 1_000, expires_ms(payment, limits))


class Retry(NamedTuple):
    """Clearing was not possible: when to try again, and which alarms this try has reached."""

    next_at: int
    alarm: bool
    deadline: bool


def decide_retry(payment: Payment, limits: PaymentLimits, *, now_ms: int) -> Retry:
    """Say when clearing is tried again; there is always a try at the alarm and at the deadline.

    So each of them is reached by exactly one try: the one that was due until then (PAY-8).
    """
    alarm_at = payment.authorised_at + limits.clearing_alarm_h * HOUR_MS
    deadline_at = payment.authorised_at + limits.clearing_deadline_h * HOUR_MS
    ahead = [at for at in (alarm_at, deadline_at) if at > now_ms]
    next_at = min([now_ms + limits.clearing_retry_min * MINUTE_MS, *ahead])
    return Retry(
        next_at,
        alarm=not payment.alarmed and alarm_at <= now_ms,
        deadline=payment.next_at <= deadline_at <= now_ms,
    )


class Refund(NamedTuple):
    """Where the money of a cancelled payment comes from, in đồng (PAY-9)."""

    balance_vnd: int
    debt_vnd: int


def decide_refund(amount_vnd: int, spendable_vnd: int | None) -> Refund:
    """Say what is taken back from the balance, and what of it was spent and becomes a debt.

    Args:
        amount_vnd: What was cleared.
        spendable_vnd: What the main balance can give, without what is held; None when the payment
            went to the debt account, which may always be debited.
    """
    if spendable_vnd is None:
        return Refund(0, amount_vnd)
    balance_vnd = max(0, min(amount_vnd, spendable_vnd))
    return Refund(balance_vnd, amount_vnd - balance_vnd)


def masked(card: str) -> str:
    """A card number as it may be kept: of one that came in clear, only the last four digits."""
    digits = sum(char.isdigit() for char in card)
    return card if digits <= MASKED_DIGITS_MAX else f"****{card[-4:]}"


def operator_of(centre: int) -> str:
    """The user that clears for a centre (PAY-7)."""
    return f"C{centre}_ePayment"


def subject_of(msisdn: int) -> str:
    """Under which subject a subscriber's payments are found in `payment_of`."""
    return str(msisdn)


def unknown_subject(msisdn: int) -> str:
    """The same, only those whose end is unknown."""
    return f"unknown:{msisdn}"


def card_subject(card_token: str) -> str:
    """The same, those of one card."""
    return f"card:{card_token}"


def address_subject(address: str) -> str:
    """The same, those from one address."""
    return f"address:{address}"
