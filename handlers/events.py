"""How far other systems have been told what happened (MQTT-2)."""

from telcod.rows import EVENTS_PUBLISHED, META, Meta
from telcod.tx import Tx
from telcod.types import Reply, Request


def published(request: Request, tx: Tx) -> Reply:
    """The broker has all events up to this one.  `args`: its number.  It never goes back."""
    told = tx.get(META, EVENTS_PUBLISHED)
    seq = int(request.args[0])
    if told is None or int(told.value) < seq:
        tx.put(META, Meta(EVENTS_PUBLISHED, str(seq)))
    return Reply("events.noted")
