"""Y and N: with a code they answer for a text that waits (PFM-30), without one for a registration
(PKG-9).
"""

from handlers import forwarded, packages
from handlers.common import for_subscribers
from telcod.rows import Subscriber
from telcod.tx import Tx
from telcod.types import Reply, Request


@for_subscribers
def yes(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """Y: agree."""
    if request.args:
        return forwarded.answer(request, tx, subscriber, accepts=True)
    return packages.confirm(request, tx, subscriber)


@for_subscribers
def no(request: Request, tx: Tx, subscriber: Subscriber) -> Reply:
    """N: refuse."""
    if request.args:
        return forwarded.answer(request, tx, subscriber, accepts=False)
    return packages.decline(request, tx, subscriber)
