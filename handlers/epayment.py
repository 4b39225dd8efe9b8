"""MK: the payment password by text (PAY-1)."""

from handlers.common import for_subscribers
from telcod.rows import PAYMENT_PASSWORD, Kind, PaymentPassword, Subscriber
from telcod.tx import Tx
from telcod.types import Reply, Request, say


@for_subscribers
def set_password(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """MK <password>: set or change it.

    The request carries argon2id of it; the password itself never comes this far.
    """
    if subscriber.kind != Kind.POSTPAID:
        return say("password.postpaid_only")
    before = tx.get(PAYMENT_PASSWORD, subscriber.msisdn)
    tx.put(PAYMENT_PASSWORD, PaymentPassword(subscriber.msisdn, request.secret_hash, tx.now_ms))
    return say("password.changed" if before else "password.set")
