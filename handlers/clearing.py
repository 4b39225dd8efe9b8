"""What happens to the money that a card gateway took: risk, review, clearing, cancellation
(PAY-6…10).

Clearing is done as the centre's own user; the audit log, and the table `clearing`, which the
database guards, say which.  What a person does is in the audit log under his name as well.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from handlers.common import SHORT_CODE_EPAYMENT, tell, write_audit
from handlers.invoices import note_invoice
from handlers.packages import retry_after_topup
from telcod.billing.accounts import (
    FRAUD_LOSS,
    GATEWAY_RECEIVABLE,
    SUSPENSE,
    TRANSIT,
    debt_account,
    main_account,
)
from telcod.billing.ledger import Declined, Transfer, open_account, post
from telcod.billing.lists import on_net
from telcod.billing.payments import (
    TO_CLEAR,
    Job,
    Purpose,
    Said,
    address_subject,
    card_subject,
    decide_refund,
    decide_retry,
    expires_ms,
    operator_of,
    subject_of,
    unknown_subject,
)
from telcod.billing.risk import OFTEN, Facts, Risk, Then, When, decide_risk
from telcod.days import MINUTE_MS, business_date
from telcod.errors import LedgerCorrupt
from telcod.rows import (
    ACCOUNT,
    CENTRE,
    CLEARING,
    ENTRY,
    PAYMENT,
    PAYMENT_CASE,
    PAYMENT_OF,
    SUBSCRIBER,
    Centre,
    Clearing,
    Entry,
    Payment,
    PaymentCase,
    PaymentOf,
    PaymentState,
    State,
    Subscriber,
)
from telcod.tx import Tx
from telcod.types import Language, Reply, Request

KIND: Final = "payment"
COLLECTED: Final = "payment.collected"
CLEARED: Final = "payment.cleared"
VOIDED: Final = "payment.voided"
CANCELLED: Final = "payment.cancelled"
CENTRE_CLOSED: Final = "centre_closed"
SUBSCRIBER_GONE: Final = "subscriber_gone"
KEPT_OF_ONE_MIN: Final = 100  # Payments of one card or address that can be found again at least.

_CENTRES_USER: Final = re.compile(r"(?:.*:)?C([1-6])_ePayment")
_NOT_FOUND: Final = Reply("payment.not_found")

replace = msgspec.structs.replace
Act = Callable[[Request, Tx, Payment], Reply]


# -- the gateway has the money


def authorise(request: Request, tx: Tx, payment: Payment, said: Said) -> Payment:
    """The bank says yes: the risk rules are asked, and what they let pass is cleared at once.

    The money is in transit from this transaction on, but for what is rejected as fraud.
    """
    subscriber = _owner_or_none(tx, payment)
    authorised = replace(
        noted(payment, said),
        # The centre that has him now clears, and goes on to be the one.
        centre=subscriber.centre if subscriber is not None else payment.centre,
        authorised_at=tx.now_ms,
        reason="",
    )
    risk = _ask_the_rules(tx, authorised)
    if authorised.card_token:
        remember(tx, card_subject(authorised.card_token), authorised)
    authorised = replace(authorised, risk=",".join(risk.names))
    if risk.then is Then.REJECT:
        return _reject(request, tx, payment, authorised, "risk")
    collected = _move(
        tx, authorised, GATEWAY_RECEIVABLE, TRANSIT[authorised.centre], COLLECTED, request.event_ms
    )
    authorised = replace(authorised, collected=collected.seq)
    if risk.then is Then.REVIEW:
        until = tx.now_ms + tx.rules.limits.payments.review_min * MINUTE_MS
        reviewed = replace(authorised, state=PaymentState.IN_REVIEW.value, next_at=until)
        tell_others(tx, "in_review", reviewed)
        return keep(tx, payment, reviewed)
    return clear(request, tx, authorised)


def noted(payment: Payment, said: Said) -> Payment:
    """The payment with what the gateway said of its card."""
    return replace(
        payment,
        masked_card=said.masked_card,
        card_token=said.card_token,
        bank=said.bank,
        cashier=said.cashier,
    )


def clear(request: Request, tx: Tx, payment: Payment) -> Payment:
    """Clear what is in transit, or note why that is not possible now, and when to try (PAY-8)."""
    centre = tx.get(CENTRE, payment.centre)
    if _owner_or_none(tx, payment) is None:
        return _postpone(request, tx, payment, SUBSCRIBER_GONE)
    if centre is not None and not centre.clearing_open:
        return _postpone(request, tx, payment, CENTRE_CLOSED)
    return _clear_now(request, tx, payment)


# -- what people do


def _by_staff(act: Act) -> Callable[[Request, Tx], Reply]:
    """A handler of an act on a payment: it must exist, and be none of another centre (PAY-7)."""

    def handler(request: Request, tx: Tx) -> Reply:
        payment = tx.get(PAYMENT, request.args[0])
        if payment is None:
            return _NOT_FOUND
        if _is_of_another_centre(request.actor, payment.centre):
            return answer(tx, payment, "payment.other_centre")
        return act(request, tx, payment)

    handler.__name__ = act.__name__
    handler.__doc__ = act.__doc__
    return handler


@_by_staff
def review(request: Request, tx: Tx, payment: Payment) -> Reply:
    """A person lets it pass, or says that it is fraud, while it waits for him (PAY-6).

    `args`: id, `pass` or `reject`, the reason.
    """
    _id, verdict, reason = request.args
    if payment.state != PaymentState.IN_REVIEW:
        return answer(tx, payment, "payment.wrong_state")
    write_audit(tx, request, f"payment.review_{verdict}", payment.id, reason)
    if verdict == "pass":
        after = clear(request, tx, payment)
    elif verdict == "reject":
        transit = TRANSIT[payment.centre]
        _move(tx, payment, transit, GATEWAY_RECEIVABLE, VOIDED, reverses=payment.collected)
        after = _reject(request, tx, payment, payment, "review")
    else:
        raise ValueError(f"a review comes to {verdict}")
    return answer(tx, after)


@_by_staff
def clear_by_hand(request: Request, tx: Tx, payment: Payment) -> Reply:
    """A person has cleared it in the centre's own books: the same entries, his name and reason.

    Also while the centre's clearing is away; also for a number that is gone (PAY-8).  What belongs
    to a number's last owner goes where the rest of his money went.
    """
    if payment.state not in TO_CLEAR:
        return answer(tx, payment, "payment.wrong_state")
    write_audit(tx, request, "payment.clear_by_hand", payment.id, request.args[1])
    return answer(tx, _clear_now(request, tx, payment))


@_by_staff
def propose_cancel(request: Request, tx: Tx, payment: Payment) -> Reply:
    """The first of two people says that a cleared payment was fraud (PAY-9).

    `args`: id, reason.
    """
    if payment.state != PaymentState.CLEARED:
        return answer(tx, payment, "payment.wrong_state")
    if not request.actor:
        return answer(tx, payment, "payment.nobody")
    if not payment.cancel_by:
        payment = keep(tx, payment, replace(payment, cancel_by=request.actor))
        write_audit(tx, request, "payment.propose_cancel", payment.id, request.args[1])
    return answer(tx, payment, "payment.cancel_proposed", by=payment.cancel_by)


@_by_staff
def confirm_cancel(request: Request, tx: Tx, payment: Payment) -> Reply:
    """The second, who is another, agrees: money moves back, and both sides are told (PAY-9)."""
    if payment.state != PaymentState.CLEARED:
        return answer(tx, payment, "payment.wrong_state")
    if not request.actor:
        return answer(tx, payment, "payment.nobody")
    if not payment.cancel_by:
        return answer(tx, payment, "payment.not_proposed")
    if payment.cancel_by == request.actor:
        return answer(tx, payment, "payment.same_person", by=payment.cancel_by)
    write_audit(tx, request, "payment.confirm_cancel", payment.id, request.args[1])
    return answer(tx, _cancel(request, tx, payment))


def set_centre(request: Request, tx: Tx) -> Reply:
    """A centre's clearing is away, or back; what waits for it is tried again soon (PAY-8)."""
    centre, word = int(request.args[0]), request.args[1]
    is_open = {"open": 1, "closed": 0}[word]
    if centre not in TRANSIT:
        return Reply("payment.no_such_centre")
    if _is_of_another_centre(request.actor, centre):
        return Reply("payment.other_centre")
    before = tx.get(CENTRE, centre)
    if (before.clearing_open if before is not None else 1) != is_open:
        tx.put(CENTRE, Centre(centre, is_open, tx.now_ms))
        write_audit(tx, request, "payment.set_centre", f"centre {centre}", word)
        tx.emit("centre", f"clearing_{word}", 0, centre=centre)
    return Reply("payment.centre_set", data={"centre": centre, "clearing": word})


def close_case(request: Request, tx: Tx) -> Reply:
    """A person has looked at a case.  `args`: its number, his note."""
    case = tx.log_row(PAYMENT_CASE, int(request.args[0]))
    if case is None:
        return Reply("payment.no_such_case")
    if not case.closed_at:
        closed = replace(case, closed_at=tx.now_ms, closed_by=request.actor, note=request.args[1])
        tx.put(PAYMENT_CASE, closed)
        write_audit(tx, request, "payment.close_case", case.payment, f"{case.seq} {closed.note}")
    return Reply("payment.case_closed", data={"case": case.seq, "payment_id": case.payment})


# -- risk


def _ask_the_rules(tx: Tx, payment: Payment) -> Risk:
    rules = tx.rules.risk
    subjects = {
        When.SUBSCRIBER: subject_of(payment.msisdn),
        When.ADDRESS: address_subject(payment.address) if payment.address else "",
        When.CARD: card_subject(payment.card_token) if payment.card_token else "",
    }
    times = {
        when: [
            row.at
            for row in tx.group(PAYMENT_OF, subjects[when]).values()
            if row.payment != payment.id
        ]
        for when in OFTEN
        if rules.looks_at(when) and subjects[when]
    }
    facts = Facts(
        str(payment.msisdn),
        payment.address,
        payment.amount_vnd,
        payment.card_token,
        payment.bank,
        times,
    )
    return decide_risk(facts, rules, now_ms=tx.now_ms)


def remember(tx: Tx, subject: str, payment: Payment) -> None:
    """Find a payment by its card or address later; as many are kept as the rules may count."""
    known = sorted(tx.group(PAYMENT_OF, subject).values(), key=lambda row: (row.at, row.payment))
    most = max(KEPT_OF_ONE_MIN, *(tx.rules.risk.counted_max(when) for when in OFTEN))
    for row in known[: max(0, len(known) + 1 - most)]:
        tx.delete(PAYMENT_OF, row)
    tx.put(PAYMENT_OF, PaymentOf(subject, payment.id, tx.now_ms))


def _reject(request: Request, tx: Tx, before: Payment, payment: Payment, reason: str) -> Payment:
    """Fraud is suspected: nothing is cleared, the gateway must give the money back (PAY-6)."""
    rejected = replace(
        payment,
        state=PaymentState.REJECTED_FRAUD.value,
        reason=reason,
        voiding=1,
        alarmed=0,
        next_at=tx.now_ms,
    )
    write_audit(tx, request, "payment.rejected", payment.id, payment.risk)
    tell_others(tx, "rejected_fraud", rejected)
    tell_payer(tx, rejected, "payment.rejected", amount=rejected.amount_vnd, code=rejected.id)
    return keep(tx, before, rejected)


# -- clearing


def _owner_or_none(tx: Tx, payment: Payment) -> Subscriber | None:
    """Who pays, if the number is still his."""
    subscriber = tx.get(SUBSCRIBER, payment.msisdn)
    if subscriber is None or not on_net(subscriber) or subscriber.life != payment.life:
        return None
    return subscriber


def _account(tx: Tx, payment: Payment) -> int:
    """Where the money goes: to him, or to suspense when the number is somebody else's (NUM-5)."""
    subscriber = tx.get(SUBSCRIBER, payment.msisdn)
    if subscriber is None or subscriber.life != payment.life:
        return SUSPENSE
    of_purpose = debt_account if payment.purpose == Purpose.BILL else main_account
    return of_purpose(payment.msisdn)


def _clear_now(request: Request, tx: Tx, payment: Payment) -> Payment:
    account = _account(tx, payment)
    if account != SUSPENSE:
        open_account(tx, account)
    entry = _move(tx, payment, TRANSIT[payment.centre], account, CLEARED)
    cleared = replace(
        payment,
        state=PaymentState.CLEARED.value,
        reason="",
        cleared_at=tx.now_ms,
        cleared=entry.seq,
        next_at=0,
    )
    keep(tx, payment, cleared)
    _write_clearing(request, tx, cleared, "cleared", entry)
    tell_others(tx, "cleared", cleared)
    subscriber = _owner_or_none(tx, cleared)
    if subscriber is None:
        return cleared
    if cleared.invoice:
        note_invoice(tx, cleared)
    if cleared.purpose == Purpose.BILL:
        _bill_is_paid(tx, cleared, subscriber)
    else:
        _is_topped_up(tx, cleared, subscriber, entry)
    return cleared


def _write_clearing(request: Request, tx: Tx, payment: Payment, kind: str, entry: Entry) -> None:
    """As the centre's own user; the database refuses a row of another (PAY-7)."""
    operator = operator_of(payment.centre)
    tx.append(
        CLEARING,
        Clearing(
            tx.next_seq(CLEARING),
            tx.now_ms,
            business_date(tx.now_ms),
            payment.id,
            payment.centre,
            operator,
            kind,
            payment.amount_vnd,
            entry.seq,
        ),
    )
    detail = f"{payment.msisdn} {payment.amount_vnd} entry {entry.seq}"
    write_audit(tx, replace(request, actor=operator), f"payment.{kind}", payment.id, detail)


def _bill_is_paid(tx: Tx, payment: Payment, subscriber: Subscriber) -> None:
    """The debt goes down, what exceeds it stays as credit; a blocked one may ask to be let in."""
    account = tx.get(ACCOUNT, debt_account(subscriber.msisdn))
    balance_vnd = account.posted if account is not None else 0
    if subscriber.state == State.DEBT_BLOCKED and balance_vnd >= 0:
        tx.emit("subscriber", "unblock_requested", subscriber.msisdn, payment=payment.id)
    told = {"amount": payment.amount_vnd, "code": payment.id}
    if balance_vnd > 0:
        tell_payer(tx, payment, "payment.paid_credit", **told, balance=balance_vnd)
    else:
        tell_payer(tx, payment, "payment.paid", **told, debt=-balance_vnd)


def _is_topped_up(tx: Tx, payment: Payment, subscriber: Subscriber, entry: Entry) -> None:
    """As after any top-up: he may call again, and a package that waits is tried at once (PKG-6)."""
    if subscriber.state == State.OUT_OF_MONEY:
        subscriber = replace(subscriber, state=State.ACTIVE.value)
        tx.put(SUBSCRIBER, subscriber)
    account = tx.get(ACCOUNT, entry.credit)
    tell_payer(
        tx,
        payment,
        "payment.topped_up",
        amount=payment.amount_vnd,
        code=payment.id,
        balance=account.posted if account is not None else 0,
    )
    tx.emit(
        "balance", "credited", subscriber.msisdn, amount_vnd=payment.amount_vnd, entry=entry.seq
    )
    retry_after_topup(tx, subscriber)


def _postpone(request: Request, tx: Tx, payment: Payment, why: str) -> Payment:
    """Tried again in minutes; a person is called after a day, and once more after two (PAY-8)."""
    retry = decide_retry(payment, tx.rules.limits.payments, now_ms=tx.now_ms)
    is_gone = why == SUBSCRIBER_GONE
    failed = is_gone or retry.alarm or payment.alarmed
    state = PaymentState.CLEARING_FAILED if failed else PaymentState.CLEARING
    after = replace(
        payment,
        state=state.value,
        reason=why,
        next_at=retry.next_at,
        alarmed=int(retry.alarm or payment.alarmed),
    )
    if is_gone and payment.reason != why:
        open_case(tx, payment, why, "authorised, and the number is nobody's or another's now")
    if retry.alarm:
        _alarm(request, tx, after, "alarm")
        tell_payer(tx, after, "payment.delayed", amount=after.amount_vnd, code=after.id)
    if retry.deadline:
        _alarm(request, tx, after, "deadline")
    return keep(tx, payment, after)


def _alarm(request: Request, tx: Tx, payment: Payment, kind: str) -> None:
    open_case(tx, payment, kind, payment.reason)
    tell_others(tx, f"clearing_{kind}", payment)
    write_audit(tx, request, f"payment.clearing_{kind}", payment.id, payment.reason)


# -- cancellation


def _cancel(request: Request, tx: Tx, payment: Payment) -> Payment:
    cleared = tx.log_row(ENTRY, payment.cleared)
    if cleared is None:
        raise LedgerCorrupt(f"payment {payment.id} was cleared by no entry")
    entries = [
        _move(
            tx,
            payment,
            account,
            GATEWAY_RECEIVABLE,
            CANCELLED,
            amount_vnd=amount_vnd,
            reverses=cleared.seq,
        )
        for account, amount_vnd in _sources(tx, payment, cleared.credit)
    ]
    cancelled = replace(
        payment,
        state=PaymentState.CANCELLED.value,
        reason="fraud",
        voiding=1,
        alarmed=0,
        next_at=tx.now_ms,
    )
    keep(tx, payment, cancelled)
    _write_clearing(request, tx, cancelled, "cancelled", entries[0])
    tell_others(tx, "cancelled", cancelled)
    tell_payer(tx, cancelled, "payment.cancelled")
    return cancelled


def _sources(tx: Tx, payment: Payment, credited: int) -> list[tuple[int, int]]:
    """Where the money is taken from: the account it went to, then his debt for what is spent.

    Who has the number now owes nothing of it: then it is the operator's loss.
    """
    amount_vnd = payment.amount_vnd
    if credited == SUSPENSE:
        return [(SUSPENSE, amount_vnd)]
    subscriber = tx.get(SUBSCRIBER, payment.msisdn)
    if subscriber is None or subscriber.life != payment.life:
        return [(FRAUD_LOSS, amount_vnd)]
    debt = debt_account(payment.msisdn)
    main = tx.get(ACCOUNT, credited) if credited != debt else None
    refund = decide_refund(amount_vnd, main.spendable_vnd if main is not None else None)
    open_account(tx, debt)
    sources = [(credited, refund.balance_vnd), (debt, refund.debt_vnd)]
    return [(account, vnd) for account, vnd in sources if vnd]


# -- what all of them do


def keep(tx: Tx, before: Payment, after: Payment) -> Payment:
    """Write a payment; those whose end is unknown are found by the subscriber (PAY-5)."""
    was, is_now = (row.state == PaymentState.UNKNOWN for row in (before, after))
    row = PaymentOf(unknown_subject(after.msisdn), after.id, tx.now_ms)
    if is_now and not was:
        tx.put(PAYMENT_OF, row)
    elif was and not is_now:
        tx.delete(PAYMENT_OF, row)
    tx.put(PAYMENT, after)
    return after


def open_case(tx: Tx, payment: Payment, kind: str, detail: str) -> None:
    """Call a person."""
    seq = tx.next_seq(PAYMENT_CASE)
    tx.append(PAYMENT_CASE, PaymentCase(seq, payment.id, kind, tx.now_ms, detail, 0, "", ""))
    tx.emit("payment", "case_opened", payment.msisdn, payment=payment.id, case=seq, kind=kind)


def tell_others(tx: Tx, verb: str, payment: Payment) -> None:
    """What other systems hear of it (MQTT-2); nothing of the card."""
    tx.emit(
        "payment",
        verb,
        payment.msisdn,
        payment=payment.id,
        purpose=payment.purpose,
        amount_vnd=payment.amount_vnd,
        centre=payment.centre,
    )


def tell_payer(tx: Tx, payment: Payment, key: str, /, **values: Any) -> None:
    """A text to the subscriber while the number is his, and the same by e-mail if one was given."""
    subscriber = _owner_or_none(tx, payment)
    if subscriber is not None:
        tell(tx, subscriber, key, kind=KIND, short_code=SHORT_CODE_EPAYMENT, **values)
    if payment.email:
        language = subscriber.language if subscriber is not None else Language.VI.value
        render = tx.rules.catalogue.render
        subject = render("payment.mail_subject", {"code": payment.id}, language)
        tx.send_mail(payment.email, subject, render(key, values, language), kind=KIND)


def shown(payment: Payment) -> dict[str, object]:
    """A payment as programs see it; moments are Unix milliseconds, 0 is not yet."""
    return {
        "payment_id": payment.id,
        "state": payment.state,
        "reason": payment.reason,
        "msisdn": str(payment.msisdn),
        "purpose": payment.purpose,
        "card": payment.card,
        "amount_vnd": payment.amount_vnd,
        "redirect_url": payment.redirect_url,
        "return_url": payment.return_url,
        "gateway_ref": payment.gateway_ref,
        "masked_card": payment.masked_card,
        "invoice": bool(payment.invoice),
        "created_at": payment.created_at,
        "authorised_at": payment.authorised_at,
        "cleared_at": payment.cleared_at,
    }


def answer(tx: Tx, payment: Payment, outcome: str = "", **more: object) -> Reply:
    """The payment as it stands beside an outcome, by default the one that its state is."""
    subscriber = tx.get(SUBSCRIBER, payment.msisdn)
    data = {
        **shown(payment),
        "expires_at": expires_ms(payment, tx.rules.limits.payments),
        "language": subscriber.language if subscriber is not None else Language.VI.value,
        "job": Job.NONE.value,
        **more,
    }
    return Reply(outcome or f"payment.{payment.state}", data=data)


def _move(
    tx: Tx,
    payment: Payment,
    debit: int,
    credit: int,
    kind: str,
    event_ms: int = 0,
    *,
    amount_vnd: int = 0,
    reverses: int | None = None,
) -> Entry:
    """An entry of this payment, by default of all of it.

    Raises:
        LedgerCorrupt: It is declined, though all of it was decided before.
    """
    posted = post(
        tx,
        Transfer(
            debit,
            credit,
            amount_vnd or payment.amount_vnd,
            kind,
            f"payment:{payment.id}",
            event_ms,
            reverses=reverses,
        ),
    )
    if isinstance(posted, Declined):
        raise LedgerCorrupt(f"payment {payment.id}: {kind} is declined: {posted}")
    return posted


def _is_of_another_centre(actor: str, centre: int) -> bool:
    """Whether a centre's own user reaches for another centre."""
    user = _CENTRES_USER.fullmatch(actor)
    return user is not None and int(user[1]) != centre
