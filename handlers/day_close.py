"""The end of the day, and what the bank settles: collections against clearing (PAY-12, PAY-13).

A day is closed once, in order, when its file was reconciled and the books agree; until then
`day.open` says what is missing.
"""

from collections.abc import Iterator
from typing import Final

from handlers.common import write_audit
from handlers.reconciliation import (
    COLLECTED,
    GIVEN_BACK,
    entries_since,
    payment_of,
    way_of,
)
from telcod.billing.accounts import BANK, GATEWAY_RECEIVABLE, TRANSIT
from telcod.billing.day import (
    Cashier,
    Cleared,
    DayBooks,
    Missing,
    Transit,
    decide_balance,
    told,
)
from telcod.billing.ledger import Declined, Transfer, post
from telcod.billing.reconciliation import IN
from telcod.days import business_date
from telcod.rows import (
    ACCOUNT,
    CLEARING,
    DAY_CLOSE,
    ENTRY,
    GATEWAY_FILE,
    PAYMENT,
    SETTLEMENT,
    Clearing,
    DayClose,
    Entry,
    Settlement,
)
from telcod.tx import Tx
from telcod.types import Reply, Request

CLEARED: Final = "payment.cleared"
VOIDED: Final = "payment.voided"
CLEARINGS_SLICE: Final = 1_000
KINDS: Final = ("advance", "final")


def close(request: Request, tx: Tx) -> Reply:
    """Close the books of a day.

    `args`: the day.  `day.closed_before` when they are; `day.open` with `missing` when they can't
    be.
    """
    day = int(request.args[0])
    before = tx.get(DAY_CLOSE, day)
    if before is not None:
        return Reply("day.closed_before", data=_shown(before))
    if day >= business_date(tx.now_ms):
        missing = [Missing("day_not_over", f"the day {day} is not over")]
        return Reply("day.open", data={"day": day, "missing": told(missing)})
    previous = _day_with_payments_before(tx, day)
    closed_before = tx.get(DAY_CLOSE, previous) if previous else None
    books = _books(tx, day, closed_before.transit_vnd if closed_before else None)
    missing = [*_lacks(tx, day, previous), *decide_balance(books)]
    if missing:
        return Reply("day.open", data={"day": day, "missing": told(missing)})
    file = tx.get(GATEWAY_FILE, day)
    row = DayClose(
        day=day,
        at=tx.now_ms,
        collected_vnd=books.collected_vnd,
        cleared_vnd=books.cleared_vnd,
        transit_vnd=books.transit_vnd,
        differences=file.differences if file else 0,
        actor=request.actor or "telcod",
    )
    tx.put(DAY_CLOSE, row)
    write_audit(tx, request, "day.close", str(day), f"{row.collected_vnd} {row.cleared_vnd}")
    tx.emit(
        "day",
        "closed",
        0,
        day=day,
        collected_vnd=row.collected_vnd,
        cleared_vnd=row.cleared_vnd,
        transit_vnd=row.transit_vnd,
        differences=row.differences,
    )
    return Reply("day.closed", data=_shown(row))


def note_settlement(request: Request, tx: Tx) -> Reply:
    """The bank has paid for a day.

    `args`: the day, `advance` or `final`, the amount in đồng.  Of each kind one a day: the same
    again is known as that, another amount is refused.
    """
    day, kind, amount_vnd = int(request.args[0]), request.args[1], int(request.args[2])
    if kind not in KINDS:
        raise ValueError(f"{kind} is no settlement")
    settlement_id = f"{day}:{kind}"
    before = tx.get(SETTLEMENT, settlement_id)
    if before is not None:
        same = before.amount_vnd == amount_vnd
        outcome = "settlement.noted_before" if same else "settlement.other_amount"
        return Reply(outcome, data=_settled(tx, before))
    command = f"settlement:{settlement_id}"
    transfer = Transfer(
        BANK, GATEWAY_RECEIVABLE, amount_vnd, f"settlement.{kind}", command, request.event_ms
    )
    posted = post(tx, transfer)
    if isinstance(posted, Declined):
        return Reply(posted.value)
    row = Settlement(settlement_id, day, kind, amount_vnd, posted.seq, tx.now_ms)
    tx.put(SETTLEMENT, row)
    write_audit(tx, request, "settlement", str(day), f"{kind} {amount_vnd}")
    return Reply("settlement.noted", data=_settled(tx, row))


def _lacks(tx: Tx, day: int, previous: int) -> Iterator[Missing]:
    if tx.get(GATEWAY_FILE, day) is None:
        yield Missing("file", f"the gateway's file of {day} was not reconciled")
    if previous and tx.get(DAY_CLOSE, previous) is None:
        yield Missing("day_before", f"the day {previous} is still open")


def _day_with_payments_before(tx: Tx, day: int) -> int:
    """The last day before one on which money moved between the gateway, transit and subscribers;
    0 for none.
    """
    kinds = {COLLECTED, CLEARED, *GIVEN_BACK}
    found = 0
    for account in (GATEWAY_RECEIVABLE, *TRANSIT.values()):
        for entry in entries_since(tx, account, found):
            if entry.business_date < day and entry.kind in kinds:
                found = max(found, entry.business_date)
                break
    return found


def _books(tx: Tx, day: int, opening_vnd: int | None) -> DayBooks:
    return DayBooks(
        cashiers=_cashiers(tx, day),
        transits={centre: _transit(tx, account, day) for centre, account in TRANSIT.items()},
        clearings=_clearings(tx, day),
        opening_vnd=opening_vnd,
    )


def _cashiers(tx: Tx, day: int) -> dict[str, Cashier]:
    entries = [
        entry for entry in entries_since(tx, GATEWAY_RECEIVABLE, day) if entry.business_date == day
    ]
    tx.prefetch(PAYMENT, {payment_of(entry) for entry in entries if way_of(entry)})
    found: dict[str, Cashier] = {}
    for entry in entries:
        way = way_of(entry)
        if way is None:
            continue
        payment = tx.get(PAYMENT, payment_of(entry))
        name = payment.cashier if payment else ""
        before = found.get(name, Cashier())
        found[name] = (
            before._replace(collected_vnd=before.collected_vnd + entry.amount)
            if way == IN
            else before._replace(given_back_vnd=before.given_back_vnd + entry.amount)
        )
    return found


def _transit(tx: Tx, account: int, day: int) -> Transit:
    """The account's day: from what it holds now, back over its entries."""
    row = tx.get(ACCOUNT, account)
    closing_vnd = row.posted if row else 0
    moved: list[Entry] = []
    for entry in entries_since(tx, account, day):
        if entry.business_date > day:
            closing_vnd -= entry.amount if entry.credit == account else -entry.amount
        else:
            moved.append(entry)
    came_vnd = sum(entry.amount for entry in moved if entry.credit == account)
    went_vnd = sum(entry.amount for entry in moved if entry.debit == account)
    return Transit(
        opening_vnd=closing_vnd - came_vnd + went_vnd,
        collected_vnd=sum(entry.amount for entry in moved if entry.kind == COLLECTED),
        voided_vnd=sum(entry.amount for entry in moved if entry.kind == VOIDED),
        cleared_vnd=sum(entry.amount for entry in moved if entry.kind == CLEARED),
        closing_vnd=closing_vnd,
    )


def _clearings(tx: Tx, day: int) -> dict[int, Cleared]:
    found: dict[int, Cleared] = {}
    for row in _clearing_log(tx, day):
        before = found.get(row.centre, Cleared())
        found[row.centre] = (
            before._replace(cleared_vnd=before.cleared_vnd + row.amount_vnd)
            if row.kind == "cleared"
            else before._replace(cancelled_vnd=before.cancelled_vnd + row.amount_vnd)
        )
    return found


def _clearing_log(tx: Tx, day: int) -> Iterator[Clearing]:
    """The rows of a day, newest first; numbers grow with time, so a day is one stretch."""
    seq = tx.next_seq(CLEARING) - 1
    while seq > 0:
        if seq % CLEARINGS_SLICE == 0 or seq == tx.next_seq(CLEARING) - 1:
            tx.prefetch(CLEARING, range(max(1, seq - CLEARINGS_SLICE + 1), seq + 1))
        row = tx.log_row(CLEARING, seq)
        moved_on = business_date(row.at) if row is not None else day
        if moved_on < day:
            return
        if row is not None and moved_on == day:
            yield row
        seq -= 1


def _shown(row: DayClose) -> dict[str, object]:
    return {
        "day": row.day,
        "closed_at": row.at,
        "collected_vnd": row.collected_vnd,
        "cleared_vnd": row.cleared_vnd,
        "transit_vnd": row.transit_vnd,
        "differences": row.differences,
        "actor": row.actor,
    }


def _settled(tx: Tx, row: Settlement) -> dict[str, object]:
    """What the bank has paid for the day so far, and what the gateway still owes in all."""
    paid = [tx.get(SETTLEMENT, f"{row.day}:{kind}") for kind in KINDS]
    receivable = tx.get(ACCOUNT, GATEWAY_RECEIVABLE)
    entry = tx.log_row(ENTRY, row.entry)
    return {
        "day": row.day,
        "kind": row.kind,
        "amount_vnd": row.amount_vnd,
        "noted_at": entry.committed_at if entry else row.at,
        "settled_vnd": sum(one.amount_vnd for one in paid if one is not None),
        "owed_vnd": -receivable.posted if receivable else 0,
    }
