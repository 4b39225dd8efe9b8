"""What the books hold of one subscriber, for himself on web and app (SELF-1): package, lists,
notices, texts that wait for him, charges.

Where a text's answer is a sentence, programs need the facts behind it; no rule is decided here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from handlers.info import LEFT_BEHIND, whom_it_was_for
from telcod.billing.accounts import main_account
from telcod.billing.lists import numbers_of, on_net
from telcod.billing.packages import is_working
from telcod.days import business_date
from telcod.rows import (
    ACCOUNT,
    ASKED_TEXT,
    ENTRY,
    HELD_TEXT,
    LIST_ENTRY,
    PENDING_CONFIRM,
    SUBSCRIBER,
    SUBSCRIPTION,
    Entry,
    Kind,
    ListKind,
    PackageStatus,
    Subscriber,
    TextState,
)
from telcod.tx import Tx

CHARGES_PAGE: Final = 20
CHARGES_LATEST: Final = 5
WALKED_MAX: Final = 200
"""Entries looked at for a page; the writer waits for it, so a story is told page by page."""
MONTH_WALKED_MAX: Final = 300
_DAYS_OF_MONTH: Final = 100  # of yyyymmdd

View = Mapping[str, object]


def package(tx: Tx, subscriber: Subscriber, _start: int = 0) -> View:
    """The package he has, what packages cost, and whether he may have one."""
    tariff = tx.rules.tariffs.at(tx.now_ms)
    current = tx.get(SUBSCRIPTION, subscriber.msisdn)
    has = current is not None and current.status != PackageStatus.CANCELLED
    shown = None
    if current is not None and has:
        shown = {
            "package": current.package,
            "status": current.status,
            "trial": bool(current.trial),
            "ends_at": current.ends_at,
            "failed_since": current.failed_since,
            "price_vnd": tariff.packages[current.package].price_vnd,
        }
    return {
        "package": shown,
        "prices": {name: each.price_vnd for name, each in tariff.packages.items()},
        "minute_vnd": tariff.voice.minute_vnd,
        "text_vnd": tariff.sms.part_vnd,
        "trial_free": not subscriber.trial_used,
        "eligible": subscriber.kind in tx.rules.limits.packages.eligible_kinds,
    }


def lists(tx: Tx, subscriber: Subscriber, _start: int = 0) -> View:
    """Both lists, and whether the whitelist works now."""
    entries = tx.group(LIST_ENTRY, subscriber.msisdn)
    both = {kind.value: numbers_of(entries, kind) for kind in ListKind}
    tx.prefetch(SUBSCRIBER, [number for numbers in both.values() for number in numbers])
    shown = {
        kind: [str(number) for number in numbers if on_net(tx.get(SUBSCRIBER, number))]
        for kind, numbers in both.items()
    }
    return {
        **shown,
        "white_works": is_working(tx.get(SUBSCRIPTION, subscriber.msisdn)),
        "entries_max": tx.rules.limits.lists.entries_max,
    }


def notices(tx: Tx, subscriber: Subscriber, _start: int = 0) -> View:
    """Whether he is told of receiver-pays after a call that failed for lack of money."""
    return {
        "wanted": bool(subscriber.notices),
        "available": subscriber.kind == Kind.PREPAID,
    }


def requests(tx: Tx, subscriber: Subscriber, _start: int = 0) -> View:
    """What waits for his yes or no: texts for him to pay, a registration."""
    waiting: list[View] = []
    pending = tx.get(PENDING_CONFIRM, subscriber.msisdn)
    if pending is not None and pending.expires_at > tx.now_ms:
        price = tx.rules.tariffs.at(tx.now_ms).packages[pending.package].price_vnd
        waiting.append(_request("package", pending.package, "", price, 0, pending.expires_at))
    for asked in tx.group(ASKED_TEXT, subscriber.msisdn).values():
        held = tx.get(HELD_TEXT, asked.mo)
        if held is not None and held.state == TextState.ASKING and held.due_at > tx.now_ms:
            caller = str(held.sender)
            price, parts = held.price_vnd, held.parts
            waiting.append(_request(asked.code, "text", caller, price, parts, held.due_at))
    return {"requests": waiting}


def charges(tx: Tx, subscriber: Subscriber, start: int = 0) -> View:
    """What was taken from his balance, newest first: when, for what, for whom, how much.

    Args:
        tx: The open transaction.
        subscriber: Whose.
        start: Where to go on: `next` of the page before; 0 is the newest.

    Returns:
        A page; `next` is 0 when there is nothing older.
    """
    return _charges(tx, subscriber, start, CHARGES_PAGE)


def account(tx: Tx, subscriber: Subscriber, _start: int = 0) -> View:
    """Who he is, what he has, what receiver-pays took this month.

    `spent_whole` is false when more was taken than was looked at: then it is at least so much.
    """
    held = tx.get(ACCOUNT, main_account(subscriber.msisdn))
    month = business_date(tx.now_ms) // _DAYS_OF_MONTH
    own = main_account(subscriber.msisdn)
    spent_vnd = looked_at = 0
    for entry in _story(tx, subscriber, _newest(tx, subscriber)):
        looked_at += 1
        if entry.business_date // _DAYS_OF_MONTH != month or looked_at > MONTH_WALKED_MAX:
            break
        spent_vnd += entry.amount * (entry.debit == own)
    return {
        "msisdn": str(subscriber.msisdn),
        "kind": subscriber.kind,
        "state": subscriber.state,
        "language": subscriber.language,
        "balance_vnd": held.posted - held.held if held is not None else 0,
        "spent_vnd": spent_vnd,
        "spent_whole": looked_at <= MONTH_WALKED_MAX,
    }


def home(tx: Tx, subscriber: Subscriber, _start: int = 0) -> View:
    """All of it, with the last few charges."""
    return {
        "account": account(tx, subscriber),
        "package": package(tx, subscriber),
        "lists": lists(tx, subscriber),
        "notices": notices(tx, subscriber),
        "requests": requests(tx, subscriber)["requests"],
        "charges": _charges(tx, subscriber, 0, CHARGES_LATEST)["charges"],
    }


PARTS: Final[Mapping[str, Callable[[Tx, Subscriber, int], View]]] = {
    "account": account,
    "package": package,
    "lists": lists,
    "notices": notices,
    "requests": requests,
    "charges": charges,
    "home": home,
}


def _request(
    name: str, kind: str, caller: str, price_vnd: int, parts: int, expires_at: int
) -> dict[str, Any]:
    return {
        "id": name,
        "kind": kind,
        "caller": caller,
        "price_vnd": price_vnd,
        "parts": parts,
        "expires_at": expires_at,
    }


def _charges(tx: Tx, subscriber: Subscriber, start: int, most: int) -> View:
    own = main_account(subscriber.msisdn)
    found: list[View] = []
    for looked_at, entry in enumerate(_story(tx, subscriber, start or _newest(tx, subscriber))):
        if len(found) == most or looked_at == WALKED_MAX:
            return {"charges": found, "next": entry.seq}
        if entry.debit == own:
            whom = whom_it_was_for(tx, entry)
            found.append(
                {
                    "at": entry.committed_at,
                    "kind": entry.kind,
                    "whom": str(whom) if whom else "",
                    "amount_vnd": entry.amount,
                }
            )
    return {"charges": found, "next": 0}


def _newest(tx: Tx, subscriber: Subscriber) -> int:
    row = tx.get(ACCOUNT, main_account(subscriber.msisdn))
    return row.last_entry if row is not None else 0


def _story(tx: Tx, subscriber: Subscriber, seq: int) -> Iterator[Entry]:
    """The entries of his account from one of them on, newest first.

    A number that is no entry of his begins nothing; and what an earlier owner of the number did is
    not his to read (NUM-5).
    """
    own = main_account(subscriber.msisdn)
    while seq > 0:
        entry = tx.log_row(ENTRY, seq)
        if (
            entry is None
            or own not in {entry.debit, entry.credit}
            or entry.kind == LEFT_BEHIND
            or entry.committed_at < subscriber.since
        ):
            return
        yield entry
        seq = entry.debit_prev if entry.debit == own else entry.credit_prev
