"""The gateway's file of a day against the books: one file a day, one verdict a line (PAY-12).

Differences are booked against suspense, with a case each for a person; nothing that was booked is
ever changed.  The whole file is one request: all of its lines are in the books, or none.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from handlers.common import write_audit
from telcod.billing.accounts import GATEWAY_RECEIVABLE, SUSPENSE
from telcod.billing.ledger import Declined, Transfer, post
from telcod.billing.reconciliation import (
    IN,
    OUT,
    Line,
    Matched,
    Movement,
    Ours,
    Tally,
    Verdict,
    count_verdicts,
    decide_matches,
    movement_of,
    tallied,
)
from telcod.days import DAY_MS, business_date, day_start_ms
from telcod.errors import LedgerCorrupt
from telcod.rows import (
    ACCOUNT,
    ENTRY,
    GATEWAY_FILE,
    GATEWAY_LINE,
    PAYMENT,
    PAYMENT_CASE,
    Entry,
    GatewayFile,
    GatewayLine,
    Payment,
    PaymentCase,
)
from telcod.text.values import money
from telcod.tx import Tx
from telcod.types import Reply, Request

COLLECTED: Final = "payment.collected"
GIVEN_BACK: Final = frozenset({"payment.voided", "payment.cancelled"})
COMMAND: Final = "payment:"
DAYS_AROUND_MAX: Final = 31  # An answer that comes later than that is a person's business.
DIFFERENCES_SHOWN_MAX: Final = 200


class FileBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file as the edge understood it; amounts are whole đồng, below zero is given back."""

    day: int
    hash: str
    lines: tuple[Line, ...]
    lines_count: int
    amount_vnd: int


def take_file(request: Request, tx: Tx) -> Reply:
    """Match the file of a day that is over, once.

    `body`: see `FileBody`.  The same file again gets the same counts and does nothing.
    """
    file = msgspec.convert(request.body, FileBody)
    if file.day >= business_date(tx.now_ms):
        return Reply("reconcile.not_over", data={"day": file.day})
    before = tx.get(GATEWAY_FILE, file.day)
    if before is not None:
        same = before.hash == file.hash
        outcome = "reconcile.done_before" if same else "reconcile.other_file"
        return Reply(outcome, data=_told(before, _stored(tx, file.day)))
    ours = _our_movements(tx, file)
    elsewhere = _elsewhere(tx, file, ours)
    matched = decide_matches(file.day, file.lines, ours, elsewhere)
    for one in matched:
        _record(tx, file.day, one)
    counts = count_verdicts(matched)
    accepted = GatewayFile(
        day=file.day,
        hash=file.hash,
        lines=file.lines_count,
        amount_vnd=file.amount_vnd,
        at=tx.now_ms,
        actor=request.actor,
        matched=counts[Verdict.MATCHED],
        differences=len(matched) - counts[Verdict.MATCHED],
    )
    tx.put(GATEWAY_FILE, accepted)
    said = " ".join(f"{name}={count}" for name, count in counts.items())
    write_audit(tx, request, "reconcile", str(file.day), said)
    tx.emit("day", "reconciled", 0, day=file.day, amount_vnd=file.amount_vnd, **counts)
    return Reply("reconcile.done", data=_told(accepted, matched))


def entries_since(tx: Tx, account: int, day: int) -> Iterator[Entry]:
    """The entries of an account, newest first, as far back as a day; by its chain."""
    row = tx.get(ACCOUNT, account)
    seq = row.last_entry if row else 0
    while seq:
        entry = tx.log_row(ENTRY, seq)
        if entry is None:
            raise LedgerCorrupt(f"entry {seq} of account {account} is gone")
        if entry.business_date < day:  # The commit clock never goes back, nor do their days.
            return
        yield entry
        seq = entry.debit_prev if entry.debit == account else entry.credit_prev


def payment_of(entry: Entry) -> str:
    """The payment that an entry is of."""
    return entry.command.removeprefix(COMMAND)


def way_of(entry: Entry) -> str | None:
    """Whether the entry is money that the gateway took or gave back; None: neither."""
    return IN if entry.kind == COLLECTED else OUT if entry.kind in GIVEN_BACK else None


def day_before(day: int) -> int:
    """The day before one, yyyymmdd."""
    return business_date(day_start_ms(day) - DAY_MS)


def _our_movements(tx: Tx, file: FileBody) -> dict[Movement, Ours]:
    """Our movements of the file's day, and those of other days that it names."""
    names = {line.payment for line in file.lines}
    tx.prefetch(PAYMENT, names)
    named = {name: row for name in names if (row := tx.get(PAYMENT, name)) is not None}
    tx.prefetch(ENTRY, [row.collected for row in named.values() if row.collected])
    # What was given back names no entry in the payment: it's found by the account's own chain.
    outs = [line.payment for line in file.lines if line.amount_vnd < 0]
    since = min((named[name].day for name in outs if name in named), default=file.day)
    booked = _booked(tx, max(min(since, file.day), _days_back(file.day, DAYS_AROUND_MAX)))
    tx.prefetch(PAYMENT, {movement.payment for movement in booked})
    ours: dict[Movement, Ours] = {}
    for movement, (amount_vnd, day) in booked.items():
        if day == file.day or movement.payment in names:
            payment = tx.get(PAYMENT, movement.payment)
            ours[movement] = Ours(amount_vnd, day, payment.cashier if payment else "")
    for payment in named.values():
        _add_named(tx, payment, ours)
    return ours


def _booked(tx: Tx, since: int) -> dict[Movement, tuple[int, int]]:
    """Amount and day of each movement of the gateway's account, as far back as a day."""
    booked: dict[Movement, tuple[int, int]] = {}
    for entry in entries_since(tx, GATEWAY_RECEIVABLE, since):
        way = way_of(entry)
        if way is not None:
            movement = Movement(payment_of(entry), way)
            sign = 1 if way == IN else -1
            before, _ = booked.get(movement, (0, 0))  # A cancellation may take two entries.
            booked[movement] = (before + sign * entry.amount, entry.business_date)
    return booked


def _add_named(tx: Tx, payment: Payment, ours: dict[Movement, Ours]) -> None:
    """A payment that the file names: collected on whatever day, or to be voided without that."""
    came_in, went_out = Movement(payment.id, IN), Movement(payment.id, OUT)
    if payment.collected and came_in not in ours:
        entry = tx.log_row(ENTRY, payment.collected)
        if entry is None:
            raise LedgerCorrupt(f"entry {payment.collected} of payment {payment.id} is gone")
        ours[came_in] = Ours(entry.amount, entry.business_date, payment.cashier)
    if payment.voiding and not payment.collected:
        ours[came_in] = Ours(payment.amount_vnd, 0, payment.cashier)
        ours[went_out] = Ours(-payment.amount_vnd, 0, payment.cashier)


def _elsewhere(tx: Tx, file: FileBody, ours: Mapping[Movement, Ours]) -> dict[Movement, Tally]:
    """What the files of the days around said of the movements that matter now."""
    wanted = {movement_of(line.payment, line.amount_vnd) for line in file.lines} | set(ours)
    tallies: dict[Movement, Tally] = {}
    for day in _days_to_look_at(tx, file.day, ours):
        if day == file.day or tx.get(GATEWAY_FILE, day) is None:
            continue
        for row in tx.group(GATEWAY_LINE, day).values():
            movement = movement_of(row.payment, row.amount_vnd or row.ours_vnd)
            if movement in wanted:
                before = tallies.get(movement, Tally())
                tallies[movement] = tallied(Verdict(row.verdict), before)
    return tallies


def _days_to_look_at(tx: Tx, day: int, ours: Mapping[Movement, Ours]) -> Iterable[int]:
    """The days around, and for what took longer those from acceptance to our entry.

    The gateway can have taken nothing before a payment was accepted.
    """
    first = last = day
    for movement, mine in ours.items():
        payment = tx.get(PAYMENT, movement.payment)
        if payment is not None:
            first = min(first, payment.day)
        last = max(last, mine.day)
    first = max(day_before(first), _days_back(day, DAYS_AROUND_MAX))
    for ahead in range(DAYS_AROUND_MAX * 2 + 1):
        at = business_date(day_start_ms(first) + ahead * DAY_MS)
        if at > business_date(day_start_ms(last) + DAY_MS):
            return
        yield at


def _days_back(day: int, days: int) -> int:
    return business_date(day_start_ms(day) - days * DAY_MS)


def _record(tx: Tx, day: int, one: Matched) -> None:
    entry = _book(tx, day, one)
    tx.put(
        GATEWAY_LINE,
        GatewayLine(
            day=day,
            line=one.line,
            payment=one.payment,
            amount_vnd=one.amount_vnd,
            cashier=one.cashier,
            verdict=one.verdict.value,
            ours_vnd=one.ours_vnd,
            entry=entry,
        ),
    )
    if one.verdict is not Verdict.MATCHED:
        seq = tx.next_seq(PAYMENT_CASE)
        kind = f"recon.{one.verdict.value}"
        detail = (
            f"file of {day}, line {one.line}: {money(one.amount_vnd)} there, "
            f"{money(one.ours_vnd)} here, entry {entry}"
        )
        case = PaymentCase(seq, one.payment, kind, tx.now_ms, detail, 0, "", "")
        tx.append(PAYMENT_CASE, case)


def _book(tx: Tx, day: int, one: Matched) -> int:
    """Book a difference against suspense; the entry's number, 0 when there is none."""
    difference_vnd = one.difference_vnd
    if not difference_vnd:
        return 0
    sides = (GATEWAY_RECEIVABLE, SUSPENSE) if difference_vnd > 0 else (SUSPENSE, GATEWAY_RECEIVABLE)
    kind, command = f"recon.{one.verdict.value}", f"recon:{day}:{one.line}"
    posted = post(tx, Transfer(*sides, abs(difference_vnd), kind, command, tx.now_ms))
    if isinstance(posted, Declined):
        raise LedgerCorrupt(f"{command} can't be booked: {posted}")
    return posted.seq


def _stored(tx: Tx, day: int) -> list[Matched]:
    # As they were found: the file's lines, then what it lacks, counted down from 0.
    rows = sorted(
        tx.group(GATEWAY_LINE, day).values(), key=lambda row: (row.line < 1, abs(row.line))
    )
    return [
        Matched(
            row.line, row.payment, row.amount_vnd, row.cashier, Verdict(row.verdict), row.ours_vnd
        )
        for row in rows
    ]


def _told(file: GatewayFile, matched: list[Matched]) -> dict[str, object]:
    """What programs get: the counts, and the first differences."""
    odd = [one for one in matched if one.verdict is not Verdict.MATCHED]
    return {
        "day": file.day,
        "hash": file.hash,
        "lines": file.lines,
        "amount_vnd": file.amount_vnd,
        "accepted_at": file.at,
        "counts": count_verdicts(matched),
        "differences": [
            {
                "line": one.line,
                "payment": one.payment,
                "verdict": one.verdict.value,
                "amount_vnd": one.amount_vnd,
                "ours_vnd": one.ours_vnd,
                "cashier": one.cashier,
            }
            for one in odd[:DIFFERENCES_SHOWN_MAX]
        ],
    }
