"""What became of an e-mail: noted, and when it is tried again (PAY-10)."""

from typing import Final

import msgspec

from telcod.days import HOUR_MS, MINUTE_MS
from telcod.rows import OUTBOX_MAIL, OutboxState
from telcod.tx import Tx
from telcod.types import Reply, Request

# After the first try, the second, …; the last one for ever.
TRIED_AGAIN_MS: Final = (
    MINUTE_MS,
    5 * MINUTE_MS,
    15 * MINUTE_MS,
    HOUR_MS,
    4 * HOUR_MS,
    12 * HOUR_MS,
    24 * HOUR_MS,
)
GIVEN_UP_AFTER_MS: Final = 5 * 24 * HOUR_MS
"""Mail servers themselves give up after four or five days (RFC 5321, 4.5.4.1)."""
NOTED: Final = Reply("mail.noted")


def outcome(request: Request, tx: Tx) -> Reply:
    """The first word that ends it counts.  `args`: its number; `sent`, `failed` or `later`."""
    seq, fate = request.args
    mail = tx.log_row(OUTBOX_MAIL, int(seq))
    if mail is None or mail.state != OutboxState.PENDING:
        return NOTED
    tried = msgspec.structs.replace(mail, attempts=mail.attempts + 1)
    if fate == "later":
        wait_ms = TRIED_AGAIN_MS[min(mail.attempts, len(TRIED_AGAIN_MS) - 1)]
        again_at = tx.now_ms + wait_ms
        if again_at < mail.at + GIVEN_UP_AFTER_MS:
            tx.put(OUTBOX_MAIL, msgspec.structs.replace(tried, next_at=again_at))
            return NOTED
        state = OutboxState.EXPIRED
    else:
        state = {"sent": OutboxState.ACCEPTED, "failed": OutboxState.FAILED}[fate]
    tx.put(
        OUTBOX_MAIL, msgspec.structs.replace(tried, state=int(state), next_at=0, done_at=tx.now_ms)
    )
    return NOTED
