"""What became of a push: noted in the outbox, and told to whoever sent it (USSD-4)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from handlers import forwarded
from telcod.rows import OUTBOX_PUSH, OutboxState
from telcod.tx import Tx
from telcod.types import Handler, Reply, Request

STATES: Final = {
    "accepted": OutboxState.ACCEPTED,
    "failed": OutboxState.FAILED,
    "expired": OutboxState.EXPIRED,
}
# Who is told, by the push's kind; the others have said by a text already what they had to say.
TOLD: Final[Mapping[str, Handler]] = {forwarded.ASKED: forwarded.pushed}


def outcome(request: Request, tx: Tx) -> Reply:
    """The first word counts.  `args`: the push's number, its fate, how many tries it took."""
    seq, became, attempts = request.args
    push = tx.log_row(OUTBOX_PUSH, int(seq))
    if push is None or push.state != OutboxState.PENDING:
        return Reply("push.noted")
    tx.put(
        OUTBOX_PUSH,
        msgspec.structs.replace(
            push, state=int(STATES[became]), attempts=int(attempts), done_at=tx.now_ms
        ),
    )
    told = TOLD.get(push.kind)
    if told is not None:
        told(msgspec.structs.replace(request, args=(push.ref, became)), tx)
    return Reply("push.noted")
