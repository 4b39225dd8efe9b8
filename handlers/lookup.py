"""Name, address and debt for who knows number and payment password; a lock after wrong ones.

PAY-2: the password never comes this far.  The edge compares it with its hash, and the request
carries the verdict; whatever the reason, a refusal is the same.
"""

from typing import Final

from handlers.common import SHORT_CODE_EPAYMENT, tell, write_audit
from telcod.billing.accounts import debt_account
from telcod.billing.lists import on_net
from telcod.billing.lookup import Checked, decide_try, is_locked, judged_by
from telcod.rows import (
    ACCOUNT,
    LOOKUP_TRIES,
    PAYMENT_PASSWORD,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    LookupTries,
)
from telcod.tx import Tx
from telcod.types import Reply, Request

REFUSED: Final = "lookup.refused"


def try_password(request: Request, tx: Tx) -> Reply:
    """A number and a password were given.

    `sender` is the number (0: it was none), `body` the verdict of the hash: `right`, `wrong`, or
    `none` when there is none to compare with; and `judged_by`, which hash that was.
    """
    body = request.body or {}
    verdict = Checked(str(body.get("verdict", "")))
    subscriber = tx.get(SUBSCRIBER, request.sender)
    if subscriber is None or not on_net(subscriber):
        return Reply(REFUSED)
    kept = tx.get(PAYMENT_PASSWORD, subscriber.msisdn)
    now = judged_by(kept.hash if kept else "")
    if body.get("judged_by", now) != now:
        verdict = Checked.NONE  # Of a password that is the subscriber's no longer.
    before = tx.get(LOOKUP_TRIES, subscriber.msisdn)
    limits = tx.rules.limits.lookup
    tried = decide_try(subscriber.msisdn, verdict, before, tx.now_ms, limits)
    if tried.tries != before:
        _remember(tx, before, tried.tries)
    if tried.locks:
        write_audit(tx, request, "lookup.locked", str(subscriber.msisdn))
        tx.emit("lookup", "locked", subscriber.msisdn)
        tell(
            tx,
            subscriber,
            "lookup.locked",
            kind="notice",
            short_code=SHORT_CODE_EPAYMENT,
            times=limits.wrong_max,
            minutes=limits.locked_min,
        )
    if not tried.shown:
        return Reply(REFUSED)
    write_audit(tx, request, "lookup.shown", str(subscriber.msisdn))
    detail = tx.get(SUBSCRIBER_DETAIL, subscriber.msisdn)
    debt = tx.get(ACCOUNT, debt_account(subscriber.msisdn))
    data = {
        "name": detail.name if detail else "",
        "address": detail.address if detail else "",
        "debt_vnd": max(0, -debt.posted) if debt else 0,
    }
    return Reply("lookup.shown", data=data)


def unlock(request: Request, tx: Tx) -> Reply:
    """Staff let a subscriber look up again before the lock is over; he is told (CARE-2)."""
    subscriber = tx.get(SUBSCRIBER, request.sender)
    if subscriber is None or not on_net(subscriber):
        return Reply("subscriber.unknown")
    tries = tx.get(LOOKUP_TRIES, subscriber.msisdn)
    write_audit(tx, request, "lookup.unlock", str(subscriber.msisdn))
    if tries is None:
        return Reply("lookup.not_locked")
    was_locked = is_locked(tries, tx.now_ms)
    tx.delete(LOOKUP_TRIES, tries)
    if not was_locked:  # Wrong tries are forgotten; there is nothing that he noticed of them.
        return Reply("lookup.not_locked")
    tell(tx, subscriber, "lookup.unlocked", kind="notice", short_code=SHORT_CODE_EPAYMENT)
    return Reply("lookup.unlocked")


def _remember(tx: Tx, before: LookupTries | None, after: LookupTries | None) -> None:
    if after is not None:
        tx.put(LOOKUP_TRIES, after)
    elif before is not None:
        tx.delete(LOOKUP_TRIES, before)
