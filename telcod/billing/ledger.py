"""Double entry: one row moves one amount from the debit account to the credit account.  Pure.

Conservation is structural: whatever happens, the sum of all accounts is zero.  Entries are appended
and never changed; each carries the hash of the one before it, so that an edit by hand shows (DESIGN
5).
"""

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from telcod.billing.accounts import REVENUES, floor_of, owner_or_none
from telcod.days import business_date
from telcod.rows import ACCOUNT, ENTRY, Account, Audit, Entry
from telcod.tx import Tx

AMOUNT_VND_MAX: Final = 10**12
FIRST_HASH: Final = bytes(32)


class Declined(StrEnum):
    """Why money doesn't move.  Checked, and reported, in this order."""

    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    ACCOUNT_UNKNOWN = "account_unknown"
    FUNDS_INSUFFICIENT = "funds_insufficient"


class Transfer(NamedTuple):
    """One amount to move, and why.

    `command` names the intent (`mo:17`, `renewal:84903123456:4`); `event_ms` when it happened by
    the network's clock; `tariff` what priced it (empty: nothing did); `reverses` the entry it takes
    back.
    """

    debit: int
    credit: int
    amount_vnd: int
    kind: str
    command: str
    event_ms: int
    tariff: str = ""
    reverses: int | None = None


def decide_transfer(
    transfer: Transfer, debit: Account | None, credit: Account | None
) -> Declined | None:
    """Say whether a transfer may happen, without doing it.

    Args:
        transfer: What is asked for; amounts in whole đồng.
        debit: The paying account as this transaction sees it; a subscriber's missing one is
            unknown.
        credit: The receiving account, likewise.

    Returns:
        The first reason to refuse, in `Declined` order, or None.
    """
    if not 0 < transfer.amount_vnd <= AMOUNT_VND_MAX:
        return Declined.AMOUNT_OUT_OF_RANGE
    if debit is None or credit is None:
        return Declined.ACCOUNT_UNKNOWN
    if debit.floor is not None and debit.posted - debit.held - transfer.amount_vnd < debit.floor:
        return Declined.FUNDS_INSUFFICIENT
    return None


def post(tx: Tx, transfer: Transfer) -> Entry | Declined:
    """Move money, or say why not.  The shell around `decide_transfer`: load, decide, record."""
    debit, credit = _account(tx, transfer.debit), _account(tx, transfer.credit)
    declined = decide_transfer(transfer, debit, credit)
    if declined is not None or debit is None or credit is None:
        return declined or Declined.ACCOUNT_UNKNOWN
    # From here on the transfer must succeed.
    seq = tx.next_seq(ENTRY)
    entry = Entry(
        seq=seq,
        debit=debit.id,
        credit=credit.id,
        amount=transfer.amount_vnd,
        kind=transfer.kind,
        command=transfer.command,
        event_at=transfer.event_ms or tx.now_ms,
        committed_at=tx.now_ms,
        business_date=business_date(tx.now_ms),
        tariff=transfer.tariff,
        reverses=transfer.reverses,
        debit_prev=debit.last_entry,
        credit_prev=credit.last_entry,
        prev_hash=tx.head(ENTRY),
        hash=b"",
    )
    tx.append_chained(ENTRY, entry, entry_hash(entry))
    tx.put(ACCOUNT, Account(debit.id, debit.posted - entry.amount, debit.held, debit.floor, seq))
    tx.put(
        ACCOUNT, Account(credit.id, credit.posted + entry.amount, credit.held, credit.floor, seq)
    )
    if transfer.credit in REVENUES:
        _tell(tx, entry)
    return entry


def _tell(tx: Tx, entry: Entry) -> None:
    """A subscriber has paid for something (MQTT-2)."""
    tx.emit(
        "charge",
        "settled",
        owner_or_none(entry.debit) or 0,
        entry=entry.seq,
        kind=entry.kind,
        amount_vnd=entry.amount,
        command=entry.command,
        tariff=entry.tariff,
    )


def open_account(tx: Tx, account_id: int) -> None:
    """Open an account with nothing on it; one that exists stays as it is."""
    if tx.get(ACCOUNT, account_id) is None:
        tx.put(ACCOUNT, Account(account_id, 0, 0, floor_of(account_id), 0))


def entry_hash(entry: Entry) -> bytes:
    """SHA-256 over the previous hash and every field but the hash itself."""
    fields = (
        f"{entry.seq}|{entry.debit}|{entry.credit}|{entry.amount}|{entry.kind}|{entry.command}|{entry.event_at}|{entry.committed_at}"
        f"|{entry.business_date}|{entry.tariff}|{entry.reverses}|{entry.debit_prev}|{entry.credit_prev}"
    )
    return sha256(entry.prev_hash + fields.encode()).digest()


def audit_hash(line: Audit) -> bytes:
    """SHA-256 over the previous hash and every field of an audit line but the hash itself."""
    fields = (
        f"{line.seq}|{line.at}|{line.actor}|{line.channel}|{line.action}|{line.subject}"
        f"|{line.detail}"
    )
    return sha256(line.prev_hash + fields.encode()).digest()


def latest_entries(tx: Tx, account_id: int, *, most: int) -> Iterable[Entry]:
    """The newest entries of an account, newest first, by its chain (no index needed)."""
    account = tx.get(ACCOUNT, account_id)
    seq = account.last_entry if account else 0
    while seq and most > 0:
        entry = tx.log_row(ENTRY, seq)
        if entry is None:
            return
        yield entry
        most -= 1
        seq = entry.debit_prev if entry.debit == account_id else entry.credit_prev


def _account(tx: Tx, account_id: int) -> Account | None:
    account = tx.get(ACCOUNT, account_id)
    if account is None and account_id <= 99:
        return Account(account_id, 0, 0, None, 0)
    return account
