"""What the network tells: a call that failed for lack of money, and a subscriber as he is now
(NET-1, NET-2, PFM-20).

After a call that failed, A hears at once, by USSD and by text, that the one called can pay; not
more often than the limits say, and not if A sent TC.
"""

from typing import Final

import msgspec

from handlers.common import tell
from handlers.staff import import_subscribers
from telcod.billing.calls import Refused, decide_offer
from telcod.billing.lists import on_net
from telcod.billing.recent import decide_again
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.dialled import Direct, read_dialled
from telcod.msisdn import SHORT_CODE_DIGITS_MAX, Msisdn
from telcod.rows import (
    RECENT,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    Kind,
    Recent,
    State,
    Subscriber,
    SubscriberDetail,
)
from telcod.tx import Tx
from telcod.types import Reply, Request

KIND: Final = "hint"
NO_MONEY: Final = "insufficient_balance"
REACHED: Final = frozenset({State.ACTIVE, State.OUT_OF_MONEY})
NOTICE_VALID_MS: Final = 5 * MINUTE_MS  # Who has put the phone away doesn't want it to light up.
GUIDE_VALID_MS: Final = HOUR_MS  # Later nobody knows which call is meant.
# Why dialling 1566 + number would lead nowhere, whatever B has and says.
NOT_SERVED: Final = frozenset(
    {Refused.OWN_NUMBER, Refused.CALLER_NOT_SERVED, Refused.PAYER_NOT_SERVED}
)


def call_failed(request: Request, tx: Tx) -> Reply:
    """A's own call failed: a hint, if it was for lack of money and A may be told (PFM-20).

    `args` are what A dialled, and the network's reason.  The request's key makes a repeat harmless.
    """
    dialled, reason = request.args
    called = read_dialled(dialled, tx.rules.old_prefixes)
    if reason != NO_MONEY:
        return Reply("hint.other_reason")
    if not isinstance(called, Direct) or _is_short_code(dialled):
        return Reply("hint.not_a_number")
    caller = tx.get(SUBSCRIBER, request.sender)
    if caller is None or caller.kind != Kind.PREPAID or caller.state not in REACHED:
        return Reply("hint.not_served")
    if not caller.notices:
        return Reply("hint.unwanted")
    if not _once_more(tx, caller):
        return Reply("hint.too_often")
    number = called.number
    if number is not None and not _can_pay(tx, caller, number):
        number = None
    pushed = _hint(tx, caller, number)
    tx.emit("hint", "sent", caller.msisdn, ussd=pushed)
    return Reply("hint.sent")


def put_subscriber(request: Request, tx: Tx) -> Reply:
    """A subscriber as the network knows him now (NET-2).

    `body` is what it said; names and addresses that it didn't say stay, unless the number is
    somebody else's from now on (NUM-5).
    """
    said = request.body or {}
    subscriber = tx.get(SUBSCRIBER, request.sender)
    detail = tx.get(SUBSCRIBER_DETAIL, request.sender)
    stays = subscriber is not None and (on_net(subscriber) or said["state"] == State.CLOSED)
    known = {} if detail is None or not stays else _shown(detail)
    line = {**known, **said, "msisdn": request.sender}
    taken = import_subscribers(msgspec.structs.replace(request, body={"lines": [line]}), tx)
    (outcome,) = [name for name, count in (taken.data or {}).items() if count]
    return Reply(f"subscriber.{outcome}")


def _once_more(tx: Tx, caller: Subscriber) -> bool:
    """Whether A may be told once more; notes it if so.  What was refused prolongs nothing."""
    limits = tx.rules.limits.notices
    subject = f"hint:{caller.msisdn}"
    recent = tx.get(RECENT, subject)
    before = recent.times if recent else ""
    hour = decide_again(before, now_ms=tx.now_ms, most=limits.per_hour_max, within_ms=HOUR_MS)
    day = decide_again(before, now_ms=tx.now_ms, most=limits.per_day_max, within_ms=DAY_MS)
    if hour is None or day is None:
        return False
    tx.put(RECENT, Recent(subject, day))
    return True


def _can_pay(tx: Tx, caller: Subscriber, number: Msisdn) -> bool:
    """Whether 1566 + this number would ask somebody; else the hint doesn't name it."""
    offer = decide_offer(
        caller,
        tx.get(SUBSCRIBER, number),
        None,
        0,
        tx.rules.limits.calls,
        listed=None,  # That B has A on the blacklist is not A's to know.
        package_works=False,
        too_often=False,
    )
    return offer.refused not in NOT_SERVED


def _hint(tx: Tx, caller: Subscriber, number: Msisdn | None) -> bool:
    """Tell A by text, and by USSD where there is a gateway for it; whether there is."""
    valid_until = tx.now_ms + GUIDE_VALID_MS
    if number is None:
        tell(tx, caller, "hint.guide_any", kind=KIND, expires_at=valid_until)
        notice = tx.rules.catalogue.render("hint.notice_any", {}, caller.language)
    else:
        tell(tx, caller, "hint.guide", kind=KIND, expires_at=valid_until, number=number)
        notice = tx.rules.catalogue.render("hint.notice", {"number": number}, caller.language)
    return tx.push(
        caller.msisdn,
        notice,
        kind=KIND,
        ref="",
        asks=False,
        expires_at=tx.now_ms + NOTICE_VALID_MS,
    )


def _is_short_code(dialled: str) -> bool:
    digits = [char for char in dialled if char.isdigit()]
    return len(digits) <= SHORT_CODE_DIGITS_MAX


def _shown(detail: SubscriberDetail) -> dict[str, str]:
    return {"name": detail.name, "address": detail.address, "email": detail.email}
