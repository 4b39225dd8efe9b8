"""VAT invoices: asked for on the page, by a portal, or by NHAN; a batch a day and centre (PAY-11).

A payment gets one invoice, with name and address as they are when it's asked for.
"""

from typing import Final

from handlers.common import for_subscribers, write_audit
from telcod.days import business_date
from telcod.rows import (
    INVOICE,
    PAYMENT,
    PAYMENT_OF,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    Invoice,
    Payment,
    PaymentState,
    Subscriber,
)
from telcod.tx import Tx
from telcod.types import Reply, Request, say

NOTED: Final = "invoice.noted"
ALREADY: Final = "invoice.already"
NO_ADDRESS: Final = "invoice.no_address"
NOT_CLEARED: Final = "invoice.not_cleared"
NO_PAYMENT: Final = "invoice.no_payment"


def note_invoice(tx: Tx, payment: Payment) -> str:
    """Put a cleared payment into today's batch of its centre, once.

    Returns:
        The outcome: `invoice.noted`, `invoice.already`, `invoice.not_cleared`, or
        `invoice.no_address` when nobody knows where to send it; only the first changes anything.
    """
    if tx.get(INVOICE, payment.id) is not None:
        return ALREADY
    if payment.state != PaymentState.CLEARED:
        return NOT_CLEARED
    owner = tx.get(SUBSCRIBER, payment.msisdn)
    detail = tx.get(SUBSCRIBER_DETAIL, payment.msisdn)
    if owner is None or owner.life != payment.life:  # Somebody else lives there now (NUM-5).
        return NO_ADDRESS
    if detail is None or not detail.name.strip() or not detail.address.strip():
        return NO_ADDRESS
    tx.put(
        INVOICE,
        Invoice(
            payment=payment.id,
            msisdn=payment.msisdn,
            centre=payment.centre,
            day=business_date(tx.now_ms),
            at=tx.now_ms,
            name=detail.name,
            address=detail.address,
            email=payment.email or detail.email,
            purpose=payment.purpose,
            amount_vnd=payment.amount_vnd,
        ),
    )
    tx.emit("invoice", "asked", payment.msisdn, payment=payment.id, amount_vnd=payment.amount_vnd)
    return NOTED


def ask(request: Request, tx: Tx) -> Reply:
    """A portal or the page asks for the invoice of a payment.

    `args`: the payment.  `sender`: the subscriber, whose payment it must be; 0: whoever knows it.
    """
    payment = tx.get(PAYMENT, request.args[0])
    if payment is None or (request.sender and payment.msisdn != request.sender):
        return Reply(NO_PAYMENT)
    outcome = note_invoice(tx, payment)
    if outcome == NOTED:
        write_audit(tx, request, "invoice.ask", payment.id, str(payment.msisdn))
    noted = tx.get(INVOICE, payment.id)
    return Reply(outcome, data={"payment": payment.id, "asked_at": noted.at if noted else 0})


@for_subscribers
def request_invoice(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """NHAN [code]: the invoice of a payment; without a code, of the last that was cleared."""
    payment = _of_code(request, tx, subscriber) if request.args else _last(tx, subscriber)
    if payment is None:
        return say("invoice.unknown_code" if request.args else "invoice.no_payment")
    outcome = note_invoice(tx, payment)
    noted = tx.get(INVOICE, payment.id)
    if outcome == NOTED and noted is not None:
        return say("invoice.noted", code=payment.id, amount=payment.amount_vnd)
    if outcome == ALREADY and noted is not None:
        return say("invoice.already", code=payment.id, time=noted.at)
    if outcome == NO_ADDRESS:
        return say("invoice.no_address", code=payment.id)
    return say("invoice.not_cleared", code=payment.id)


def _of_code(request: Request, tx: Tx, subscriber: Subscriber) -> Payment | None:
    """His own payment of this code; what others paid is unknown to him."""
    payment = tx.get(PAYMENT, request.args[0])
    own = payment is not None and _is_his(payment, subscriber)
    return payment if own else None


def _last(tx: Tx, subscriber: Subscriber) -> Payment | None:
    his = list(tx.group(PAYMENT_OF, str(subscriber.msisdn)).values())
    tx.prefetch(PAYMENT, [one.payment for one in his])
    payments = [row for one in his if (row := tx.get(PAYMENT, one.payment)) is not None]
    cleared = [
        payment
        for payment in payments
        if payment.state == PaymentState.CLEARED and _is_his(payment, subscriber)
    ]
    return max(cleared, key=lambda payment: (payment.cleared_at, payment.cleared), default=None)


def _is_his(payment: Payment, subscriber: Subscriber) -> bool:
    """His, and not of who had the number before (NUM-5)."""
    return (payment.msisdn, payment.life) == (subscriber.msisdn, subscriber.life)
