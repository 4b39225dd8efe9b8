"""Proves the card payments: each against its entries, its clearing, its slot and its centre.

A part of `telcod.check`.  It streams: what entries, clearing and counters say is summed up in a
fixed number of buckets, and what the payments say is taken off again.  Only when a bucket is not
empty then, all of it is read once more, to say where.
"""

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol, TypeVar
from zlib import crc32

from telcod.billing.accounts import (
    GATEWAY_RECEIVABLE,
    SUSPENSE,
    TRANSIT,
    debt_account,
    main_account,
)
from telcod.billing.payments import OPEN_PAYMENTS, Purpose, operator_of, unknown_subject
from telcod.days import business_date
from telcod.rows import (
    CLEARING,
    ENTRY,
    LIMIT_COUNTER,
    PAYMENT,
    PAYMENT_CASE,
    PAYMENT_OF,
    Clearing,
    Entry,
    LimitCounter,
    Payment,
    PaymentState,
    Row,
    Table,
)

COLLECTED: Final = "payment.collected"
CLEARED: Final = "payment.cleared"
VOIDED: Final = "payment.voided"
CANCELLED: Final = "payment.cancelled"
KINDS: Final = frozenset({COLLECTED, CLEARED, VOIDED, CANCELLED})
PREFIX: Final = "payment:"
UNKNOWN_PREFIX: Final = unknown_subject(0).rstrip("0")
TO: Final = "to whom"
TO_SUSPENSE: Final = "to suspense"
BUCKETS: Final = 1 << 12
CENTRE_OF: Final = {account: centre for centre, account in TRANSIT.items()}
# Collected, and neither cleared nor given back: what the transit accounts must hold.
IN_TRANSIT: Final = frozenset(
    {PaymentState.IN_REVIEW, PaymentState.CLEARING, PaymentState.CLEARING_FAILED}
)
WAS_CLEARED: Final = frozenset({PaymentState.CLEARED, PaymentState.CANCELLED})
AUTHORISED: Final = IN_TRANSIT | WAS_CLEARED | {PaymentState.REJECTED_FRAUD}
GAVE_BACK: Final = frozenset({PaymentState.DECLINED, PaymentState.EXPIRED})

R = TypeVar("R", bound=Row)


class Scanner(Protocol):
    """The one thing that a check needs of a store."""

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """All committed rows in key order."""
        ...


class Found(Protocol):
    """Where to say what is wrong."""

    def add(self, invariant: str, what: str) -> None:
        """One violation of an invariant."""
        ...


class _Key(NamedTuple):
    """What is summed up together; `account` and `row` where they matter, else 0."""

    what: str
    of: str
    account: int = 0
    row: int = 0


Said = Iterator[tuple[_Key, int]]


class PaymentBooks:
    """What the entries say of payments, and then whether the payments say the same."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._sums = array("q", bytes(8 * BUCKETS))
        self._transit_vnd = dict.fromkeys(TRANSIT, 0)

    def entry(self, entry: Entry) -> None:
        """Take note of an entry; those that are of no payment do not matter."""
        for account, amount_vnd in ((entry.debit, -entry.amount), (entry.credit, entry.amount)):
            if account in CENTRE_OF:
                self._transit_vnd[CENTRE_OF[account]] += amount_vnd
                if entry.kind not in KINDS:
                    self._found.add("transit", f"entry {entry.seq} is {entry.kind}")
        if entry.kind in KINDS:
            gateway = entry.debit if entry.kind == COLLECTED else entry.credit
            if entry.kind != CLEARED and gateway != GATEWAY_RECEIVABLE:
                self._found.add("payment entry", f"entry {entry.seq} does not name the gateway")
            self._add(_of_entry(entry), 1)

    def check(self, store: Scanner, *, commit_ms: int) -> None:
        """Every payment, every clearing row, every day's counter, every case."""
        unknown = {
            row.payment: row.subject
            for row in store.scan(PAYMENT_OF)
            if row.subject.startswith(UNKNOWN_PREFIX)
        }
        for payment in store.scan(PAYMENT):
            self._check_payment(payment)
            subject = unknown.pop(payment.id, None)
            is_unknown = payment.state == PaymentState.UNKNOWN
            if subject != (unknown_subject(payment.msisdn) if is_unknown else None):
                self._say("payment", payment, f"is {payment.state} and listed under {subject}")
            if payment.state in IN_TRANSIT:
                self._transit_vnd[payment.centre] -= payment.amount_vnd
            self._add(_of_payment(payment), -1)
        for payment_id, subject in unknown.items():
            self._found.add("payment", f"{subject} lists {payment_id}, which does not exist")
        self._check_clearing(store, commit_ms)
        for counter in store.scan(LIMIT_COUNTER):
            self._add(_of_counter(counter), 1)
        self._check_cases(store, commit_ms)
        for centre, vnd in self._transit_vnd.items():
            if vnd:
                self._found.add("transit", f"centre {centre} has {vnd} d that no payment explains")
        if any(self._sums):
            self._compare(store)

    def _check_payment(self, payment: Payment) -> None:
        state = PaymentState(payment.state)
        waits = state in OPEN_PAYMENTS or payment.voiding == 1
        if waits != (payment.next_at > 0):
            self._say("payment", payment, f"is {state} and waits until {payment.next_at}")
        if payment.slot != (state not in GAVE_BACK):
            self._say("slot", payment, f"is {state} and its slot {payment.slot}")
        if payment.day != business_date(payment.created_at):
            self._say("slot", payment, f"is counted on {payment.day}")
        late = state in GAVE_BACK and payment.authorised_at > 0
        if not late and (payment.authorised_at > 0) != (state in AUTHORISED):
            self._say("payment", payment, f"is {state}, authorised at {payment.authorised_at}")
        must_void = late or state in {PaymentState.REJECTED_FRAUD, PaymentState.CANCELLED}
        if must_void != (payment.voiding > 0):
            self._say("payment", payment, f"is {state} and voiding is {payment.voiding}")
        if state in IN_TRANSIT | WAS_CLEARED and not payment.collected:
            self._say("payment", payment, f"is {state} and was never collected")
        if (payment.cleared_at > 0) != (state in WAS_CLEARED):
            self._say("payment", payment, f"is {state}, cleared at {payment.cleared_at}")
        if state == PaymentState.CANCELLED and not payment.cancel_by:
            self._say("four eyes", payment, "was cancelled, and nobody had proposed it")

    def _check_clearing(self, store: Scanner, commit_ms: int) -> None:
        expected, before_ms = 1, 0
        for row in store.scan(CLEARING):
            if row.seq != expected:
                self._found.add("clearing", f"row {expected} is missing before {row.seq}")
            if not before_ms <= row.at <= commit_ms:
                self._found.add("commit clock", f"clearing: row {row.seq} is out of time")
            elif row.day != business_date(row.at):
                self._found.add("clearing", f"row {row.seq} is of another day than {row.day}")
            if row.operator != operator_of(row.centre):
                self._found.add("clearing", f"row {row.seq} was written by {row.operator}")
            self._add(_of_clearing(row), 1)
            expected, before_ms = row.seq + 1, row.at

    def _check_cases(self, store: Scanner, commit_ms: int) -> None:
        expected, before_ms = 1, 0
        for case in store.scan(PAYMENT_CASE):
            if case.seq != expected:
                self._found.add("payment case", f"case {expected} is missing before {case.seq}")
            if not before_ms <= case.opened_at <= commit_ms or case.closed_at > commit_ms:
                self._found.add("commit clock", f"case {case.seq} is out of time")
            expected, before_ms = case.seq + 1, case.opened_at

    def _add(self, said: Said, sign: int) -> None:
        for key, vnd in said:
            self._sums[_bucket(key)] += sign * vnd

    def _compare(self, store: Scanner) -> None:
        """Say what disagrees; only keys of buckets that are not empty are looked at."""
        differ: dict[_Key, int] = {}
        for said, sign in _all_that_is_said(store):
            for key, vnd in said:
                if self._sums[_bucket(key)]:
                    differ[key] = differ.get(key, 0) + sign * vnd
        suspended = {key.of: vnd for key, vnd in differ.items() if key.what == TO_SUSPENSE}
        for key, more in differ.items():
            if key.what == TO_SUSPENSE:
                continue
            # What was the last owner's may go to suspense instead (NUM-5).
            left = more + (suspended.get(key.of, 0) if key.what == TO else 0)
            if left:
                self._found.add(key.what, f"{key.of}: the books have {left} more than it says")

    def _say(self, invariant: str, payment: Payment, what: str) -> None:
        self._found.add(invariant, f"{payment.id} {what}")


def _all_that_is_said(store: Scanner) -> Iterator[tuple[Said, int]]:
    for entry in store.scan(ENTRY):
        if entry.kind in KINDS:
            yield _of_entry(entry), 1
    for row in store.scan(CLEARING):
        yield _of_clearing(row), 1
    for counter in store.scan(LIMIT_COUNTER):
        yield _of_counter(counter), 1
    for payment in store.scan(PAYMENT):
        yield _of_payment(payment), -1


def _of_entry(entry: Entry) -> Said:
    of = entry.command.removeprefix(PREFIX)
    match entry.kind:
        case "payment.collected":
            yield _Key(COLLECTED, of, entry.credit, entry.seq), entry.amount
        case "payment.cleared":
            yield _Key(CLEARED, of, entry.debit, entry.seq), entry.amount
            to_him = entry.credit != SUSPENSE
            yield (_Key(TO, of, entry.credit) if to_him else _Key(TO_SUSPENSE, of)), entry.amount
        case "payment.voided":
            yield _Key(VOIDED, of, entry.debit, entry.reverses or 0), entry.amount
        case _:
            yield _Key(CANCELLED, of, 0, entry.reverses or 0), entry.amount


def _of_clearing(row: Clearing) -> Said:
    entry = row.entry if row.kind == "cleared" else 0  # A cancellation may take two entries.
    yield _Key(f"clearing {row.kind}", row.payment, row.centre, entry), row.amount_vnd


def _of_counter(counter: LimitCounter) -> Said:
    of = f"{counter.msisdn} on {counter.day}"
    yield _Key("slots", of), counter.payments
    yield _Key("bills of the day", of), counter.bills_vnd
    yield _Key("top-ups of the day", of), counter.topups_vnd


def _of_payment(payment: Payment) -> Said:
    """What the books must say of it."""
    vnd = payment.amount_vnd
    transit = TRANSIT[payment.centre]
    is_bill = payment.purpose == Purpose.BILL
    if payment.slot:
        of = f"{payment.msisdn} on {payment.day}"
        yield _Key("slots", of), 1
        yield _Key("bills of the day" if is_bill else "top-ups of the day", of), vnd
    if payment.collected:
        yield _Key(COLLECTED, payment.id, transit, payment.collected), vnd
    if payment.state == PaymentState.REJECTED_FRAUD and payment.collected:
        yield _Key(VOIDED, payment.id, transit, payment.collected), vnd
    if payment.state in WAS_CLEARED:
        account = debt_account(payment.msisdn) if is_bill else main_account(payment.msisdn)
        yield _Key(CLEARED, payment.id, transit, payment.cleared), vnd
        yield _Key(TO, payment.id, account), vnd
        yield _Key("clearing cleared", payment.id, payment.centre, payment.cleared), vnd
    if payment.state == PaymentState.CANCELLED:
        yield _Key(CANCELLED, payment.id, 0, payment.cleared), vnd
        yield _Key("clearing cancelled", payment.id, payment.centre), vnd


def _bucket(key: _Key) -> int:
    return crc32("|".join(map(str, key)).encode()) % BUCKETS
