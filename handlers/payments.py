"""A card payment from its acceptance to the gateway's last word (PAY-3…6).

The gateway itself is asked outside, by the cashier; what it said comes back as a request.  What
happens to the money that it took is in `handlers.clearing`.
"""

import re
from typing import Final

import msgspec

from handlers import clearing
from handlers.clearing import answer, keep, open_case, remember, tell_others, tell_payer
from telcod.billing.payments import (
    WAITING,
    Card,
    Job,
    Purpose,
    Refusal,
    Result,
    Said,
    Verdict,
    address_subject,
    asked_again_ms,
    counted,
    decide_create,
    decide_due,
    decide_result,
    expires_ms,
    masked,
    next_inquiry_ms,
    subject_of,
    unknown_subject,
)
from telcod.billing.risk import Facts, is_stopped
from telcod.days import HOUR_MS, MINUTE_MS, business_date
from telcod.errors import LedgerCorrupt
from telcod.rows import (
    LIMIT_COUNTER,
    PAYMENT,
    PAYMENT_OF,
    SUBSCRIBER,
    LimitCounter,
    Payment,
    PaymentOf,
    PaymentState,
    Subscriber,
)
from telcod.tx import Tx
from telcod.types import Channel, Reply, Request

NOT_FOUND: Final = Reply("payment.not_found")
WRONG_STATE: Final = "payment.wrong_state"
# What a subscriber reads, and may have to type again: `NHAN <id>`.
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,36}", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
# Said by a notification; the others are what an inquiry can come to as well.
_NOTIFIED: Final = frozenset({Result.AUTHORISED, Result.DECLINED, Result.UNKNOWN})

replace = msgspec.structs.replace


class _Asked(msgspec.Struct, frozen=True):
    """What a payer wants, as it stands in the payment's row."""

    msisdn: int
    purpose: str
    card: str
    amount_vnd: int
    platform: str
    email: str
    invoice: int
    return_url: str


def create(request: Request, tx: Tx) -> Reply:
    """Accept a payment: its slot and sum are taken before anything leaves, or say why not (PAY-3).

    `args`: id, amount, purpose, card, e-mail, invoice, return URL, the payer's address.  The same
    id with the same content again changes nothing.
    """
    asked = _asked(request)
    if asked is None:
        return Reply("payment.malformed")
    payment_id, address = request.args[0], request.args[-1]
    before = tx.get(PAYMENT, payment_id)
    if before is not None:
        same = all(getattr(before, name) == value for name, value in _fields(asked))
        return answer(tx, before, "payment.created") if same else Reply("payment.id_used")
    subscriber = tx.get(SUBSCRIBER, asked.msisdn)
    day = business_date(tx.now_ms)
    counter = tx.get(LIMIT_COUNTER, (asked.msisdn, day))
    decision = decide_create(
        subscriber,
        counter or LimitCounter(asked.msisdn, day, 0, 0, 0),
        Purpose(asked.purpose),
        asked.amount_vnd,
        tx.rules.limits.payments,
        unknown_pending=_is_unknown_pending(tx, subscriber, asked.purpose),
        stopped=is_stopped(Facts(str(asked.msisdn), address), tx.rules.risk),
    )
    if isinstance(decision, Refusal) or subscriber is None:
        return Reply(str(decision))
    # From here on it must succeed.
    tx.put(LIMIT_COUNTER, decision)
    payment = _new(tx, payment_id, asked, subscriber, day, address)
    tx.put(PAYMENT, payment)
    tx.put(PAYMENT_OF, PaymentOf(subject_of(payment.msisdn), payment.id, tx.now_ms))
    if address:
        remember(tx, address_subject(address), payment)
    return answer(tx, payment, "payment.created")


def redirected(request: Request, tx: Tx) -> Reply:
    """The gateway has taken it and named its page.  `args`: id, the gateway's reference, its URL.

    Also after its first word was faster: then only the reference is noted.
    """
    payment_id, gateway_ref, redirect_url = request.args
    payment = tx.get(PAYMENT, payment_id)
    if payment is None:
        return NOT_FOUND
    named = replace(
        payment,
        gateway_ref=payment.gateway_ref or gateway_ref,
        redirect_url=payment.redirect_url or redirect_url,
    )
    if payment.state == PaymentState.CREATED:
        next_at = expires_ms(payment, tx.rules.limits.payments)
        named = replace(named, state=PaymentState.REDIRECTED.value, next_at=next_at)
    keep(tx, payment, named)
    return answer(tx, named, "payment.redirected")


def refused(request: Request, tx: Tx) -> Reply:
    """The gateway does not take it; the slot goes back.  `args`: id, its code."""
    payment = tx.get(PAYMENT, request.args[0])
    if payment is None:
        return NOT_FOUND
    if payment.state == PaymentState.CREATED:
        payment = _end(tx, payment, PaymentState.DECLINED, request.args[1])
    return answer(tx, payment)


def notified(request: Request, tx: Tx) -> Reply:
    """The gateway's signed word (PAY-5).

    `args`: id, result, code, amount, masked card, card token, bank, cashier.
    """
    said = _said(request, asked=False)
    if said.result not in _NOTIFIED:
        raise ValueError(f"a notification says {said.result}")
    return _hear(request, tx, said)


def inquired(request: Request, tx: Tx) -> Reply:
    """What the gateway answered when it was asked, or that it did not; `args` as in a notification.

    `none`: nobody has paid, or it knows nothing of it; `silent`: no answer.
    """
    return _hear(request, tx, _said(request, asked=True))


def voided(request: Request, tx: Tx) -> Reply:
    """Whether the gateway has given the money back; if not, it is asked again until it has."""
    payment_id, fate = request.args
    payment = tx.get(PAYMENT, payment_id)
    if payment is None:
        return NOT_FOUND
    if payment.voiding != 1:
        return answer(tx, payment, "payment.voided" if payment.voiding else WRONG_STATE)
    if fate == "done":
        payment = keep(tx, payment, replace(payment, voiding=2, next_at=0))
        tell_others(tx, "voided", payment)
        return answer(tx, payment, "payment.voided")
    limits = tx.rules.limits.payments
    after = replace(payment, next_at=tx.now_ms + limits.void_retry_min * MINUTE_MS)
    alarm_at = payment.authorised_at + limits.clearing_alarm_h * HOUR_MS
    if not payment.alarmed and tx.now_ms >= alarm_at:
        after = replace(after, alarmed=1)
        open_case(tx, payment, "void", "the gateway has not given the money back")
    return answer(tx, keep(tx, payment, after), "payment.void_failed")


def due(request: Request, tx: Tx) -> Reply:
    """A payment's moment has come: what telcod itself can do is done, the rest is a job.

    `data.job`: `none`, or what to ask of the gateway (`create`, `inquire`, `void`).  It is asked
    for again later if nobody says how it went.
    """
    payment = tx.get(PAYMENT, request.args[0])
    if payment is None:
        return NOT_FOUND
    limits = tx.rules.limits.payments
    job = decide_due(payment, limits, now_ms=tx.now_ms)
    if job is Job.NONE:
        return answer(tx, payment, "payment.not_due")
    if job is Job.CLEAR:
        return answer(tx, clearing.clear(request, tx, payment))
    next_at = asked_again_ms(payment, job, limits, now_ms=tx.now_ms)
    asked = keep(tx, payment, replace(payment, next_at=next_at))
    return answer(tx, asked, "payment.due", job=job.value)


def show(request: Request, tx: Tx) -> Reply:
    """A payment as it stands, for the platform that began it, and for staff."""
    payment = tx.get(PAYMENT, request.args[0])
    if payment is None:
        return NOT_FOUND
    another = request.actor not in {"", payment.platform}
    if another and request.channel not in {Channel.STAFF, Channel.CLOCK}:
        return NOT_FOUND
    return answer(tx, payment, "payment.shown")


# -- acceptance


def _asked(request: Request) -> _Asked | None:
    """What is asked for; None when it makes no sense at all."""
    payment_id, amount, purpose, card, email, invoice, return_url, _address = request.args
    makes_sense = (
        _ID.fullmatch(payment_id)
        and _AMOUNT.fullmatch(amount)
        and purpose in set(Purpose)
        and card in set(Card)
        and invoice in {"0", "1"}
    )
    if not makes_sense:
        return None
    return _Asked(
        request.sender,
        purpose,
        card,
        int(amount),
        request.actor,
        email,
        int(invoice),
        return_url,
    )


def _fields(asked: _Asked) -> list[tuple[str, object]]:
    return list(msgspec.structs.asdict(asked).items())


def _is_unknown_pending(tx: Tx, subscriber: Subscriber | None, purpose: str) -> bool:
    """Whether nobody knows yet if he has paid the same already (PAY-5)."""
    if subscriber is None:
        return False
    pending = tx.group(PAYMENT_OF, unknown_subject(subscriber.msisdn)).values()
    found = [tx.get(PAYMENT, row.payment) for row in pending]
    return any(
        payment is not None and (payment.purpose, payment.life) == (purpose, subscriber.life)
        for payment in found
    )


def _new(
    tx: Tx, payment_id: str, asked: _Asked, subscriber: Subscriber, day: int, address: str
) -> Payment:
    limits = tx.rules.limits.payments
    return Payment(
        **msgspec.structs.asdict(asked),
        id=payment_id,
        life=subscriber.life,
        centre=subscriber.centre,
        state=PaymentState.CREATED.value,
        reason="",
        address=address,
        day=day,
        slot=1,
        created_at=tx.now_ms,
        redirect_url="",
        gateway_ref="",
        masked_card="",
        card_token="",
        bank="",
        cashier="",
        authorised_at=0,
        risk="",
        cleared_at=0,
        collected=0,
        cleared=0,
        asked=0,
        voiding=0,
        alarmed=0,
        cancel_by="",
        next_at=tx.now_ms + limits.create_retry_s * 1_000,
    )


# -- the gateway's word


def _said(request: Request, *, asked: bool) -> Said:
    _id, result, code, amount, masked_card, card_token, bank, cashier = request.args
    return Said(
        Result(result),
        code,
        int(amount or 0),
        masked(masked_card),
        card_token,
        bank,
        cashier,
        asked,
    )


def _hear(request: Request, tx: Tx, said: Said) -> Reply:
    payment = tx.get(PAYMENT, request.args[0])
    if payment is None:
        return NOT_FOUND
    match decide_result(payment, said, tx.rules.limits.payments, now_ms=tx.now_ms):
        case Verdict.AUTHORISE:
            payment = clearing.authorise(request, tx, payment, said)
        case Verdict.DECLINE:
            told = clearing.noted(payment, said) if said.masked_card else payment
            payment = _end(tx, told, PaymentState.DECLINED, said.code)
        case Verdict.EXPIRE:
            payment = _end(tx, payment, PaymentState.EXPIRED, "")
        case Verdict.WAIT:
            payment = _wait(tx, payment, said, reason=payment.reason)
        case Verdict.NOTHING:
            pass
        case Verdict.LATE:
            payment = _authorised_late(tx, payment, said)
        case Verdict.CONTRADICTS:
            return answer(tx, _contradict(tx, payment, said), "payment.contradictory")
    return answer(tx, payment)


def _end(tx: Tx, payment: Payment, state: PaymentState, reason: str) -> Payment:
    """No money was taken: the slot goes back on the day that it was taken on (PAY-3)."""
    counter = tx.get(LIMIT_COUNTER, (payment.msisdn, payment.day))
    if counter is None:
        raise LedgerCorrupt(f"payment {payment.id} holds a slot of a day that has no counter")
    tx.put(LIMIT_COUNTER, counted(counter, payment.purpose, payment.amount_vnd, -1))
    ended = replace(payment, state=state.value, reason=reason, slot=0, next_at=0)
    keep(tx, payment, ended)
    tell_others(tx, state.value, ended)
    return ended


def _wait(tx: Tx, payment: Payment, said: Said, *, reason: str) -> Payment:
    """Nobody knows: ask after 1, 5, 15 minutes, then hourly (PAY-5)."""
    if payment.state == PaymentState.UNKNOWN and not said.asked:
        return payment  # It is being asked already.
    asked = payment.asked + 1 if payment.state == PaymentState.UNKNOWN else 0
    next_at = next_inquiry_ms(asked, tx.rules.limits.payments, now_ms=tx.now_ms)
    waits = replace(
        payment, state=PaymentState.UNKNOWN.value, asked=asked, next_at=next_at, reason=reason
    )
    return keep(tx, payment, waits)


def _authorised_late(tx: Tx, payment: Payment, said: Said) -> Payment:
    """The bank took money for a payment that is over: it must give it back."""
    late = replace(
        clearing.noted(payment, said),
        authorised_at=tx.now_ms,
        voiding=1,
        alarmed=0,
        next_at=tx.now_ms,
    )
    open_case(tx, payment, "late", f"authorised after it was {payment.state}")
    tell_others(tx, "authorised_late", late)
    tell_payer(tx, late, "payment.rejected", amount=late.amount_vnd, code=late.id)
    return keep(tx, payment, late)


def _contradict(tx: Tx, payment: Payment, said: Said) -> Payment:
    """A case for a person; no money moves.  An inquiry that gets the same again opens no other."""
    detail = f"{said.result} {said.amount_vnd} {said.code}".rstrip()
    waits = said.asked and payment.state in WAITING
    if not (waits and payment.reason == detail):
        open_case(tx, payment, "contradictory", f"{detail}, it was {payment.state}")
        tell_others(tx, "contradictory", payment)
    return _wait(tx, payment, said, reason=detail) if waits else payment
