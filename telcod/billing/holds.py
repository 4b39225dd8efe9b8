"""Holds: money set aside until a service is rendered or forgotten (PFM-15, PFM-16).

A hold is not a debit: the balance stays, what is *spendable* shrinks.  It ends in exactly one of
posted (for at most what was held), released or expired, whichever comes first; a hold that has
ended is never touched again.
"""

import msgspec

from telcod.billing.ledger import Declined, Transfer, post
from telcod.errors import LedgerCorrupt
from telcod.rows import ACCOUNT, HOLD, Account, Entry, Hold, HoldStatus
from telcod.tx import Tx


def hold(
    tx: Tx, hold_id: str, account_id: int, amount_vnd: int, *, expires_at: int
) -> Declined | None:
    """Set money aside, or more of it under the same id; None when it was done.

    Args:
        tx: The open transaction.
        hold_id: Names the intent; holding the same amount again changes nothing.
        account_id: Whose money.
        amount_vnd: All that is to be held under this id, đồng; never less than before.
        expires_at: When supervision may let it go, Unix milliseconds.
    """
    account = tx.get(ACCOUNT, account_id)
    if account is None:
        return Declined.ACCOUNT_UNKNOWN
    before = tx.get(HOLD, hold_id)
    if before is not None and before.status != HoldStatus.OPEN:
        raise LedgerCorrupt(f"hold {hold_id} has ended and cannot grow")
    held_vnd = before.amount if before is not None else 0
    more_vnd = amount_vnd - held_vnd
    if more_vnd < 0 or amount_vnd <= 0:
        return Declined.AMOUNT_OUT_OF_RANGE
    if more_vnd > account.spendable_vnd:
        return Declined.FUNDS_INSUFFICIENT
    # From here on it must succeed.
    opened_at = before.opened_at if before is not None else tx.now_ms
    tx.put(
        HOLD, Hold(hold_id, account_id, amount_vnd, HoldStatus.OPEN.value, opened_at, expires_at, 0)
    )
    tx.put(ACCOUNT, msgspec.structs.replace(account, held=account.held + more_vnd))
    return None


def settle(
    tx: Tx, hold_id: str, transfer: Transfer | None, *, expired: bool = False
) -> Entry | None:
    """End a hold: post the transfer (for at most what was held) and let the rest go; without one,
    let all of it go.

    Raises:
        LedgerCorrupt: There is no such open hold, or the transfer is more than it holds: a broken
        invariant.
    """
    held = tx.get(HOLD, hold_id)
    account = tx.get(ACCOUNT, held.account) if held is not None else None
    if held is None or account is None or held.status != HoldStatus.OPEN:
        raise LedgerCorrupt(f"hold {hold_id} is not open")
    posted_vnd = transfer.amount_vnd if transfer is not None else 0
    if posted_vnd > held.amount:
        raise LedgerCorrupt(f"hold {hold_id} holds {held.amount}, not {posted_vnd}")
    tx.put(ACCOUNT, _less_held(account, held.amount))
    status = (
        HoldStatus.POSTED if posted_vnd else HoldStatus.EXPIRED if expired else HoldStatus.RELEASED
    )
    tx.put(HOLD, msgspec.structs.replace(held, status=status.value, posted=posted_vnd))
    if transfer is None or not posted_vnd:
        return None
    entry = post(tx, transfer)
    if isinstance(entry, Declined):
        raise LedgerCorrupt(f"what hold {hold_id} held is declined: {entry}")
    return entry


def _less_held(account: Account, amount_vnd: int) -> Account:
    return msgspec.structs.replace(account, held=account.held - amount_vnd)
