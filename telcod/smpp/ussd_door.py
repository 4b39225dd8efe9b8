"""What the links hand to USSD, and how it hears of its submits: the two ends of one seam (SMPP-7).

What USSD means is not this package's business: a link whose settings name a profile offers its
messages to a door, which takes those that are USSD.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from telcod.smpp.pdu import DataSm, DeliverSm

if TYPE_CHECKING:
    from telcod.smpp.link import Link


class Aside(NamedTuple):
    """The token of a submit that is not the sender's: `done` is told its command_status, or None
    when no answer came.
    """

    done: Callable[[int | None], None]


class UssdDoor(Protocol):
    """Who takes USSD.  Called from the event loop; must be quick."""

    def take(self, link: "Link", connection: int, sequence: int, body: DeliverSm | DataSm) -> bool:
        """Take a message and answer it by `link.respond`, now or later; False: it is no USSD."""

    def on_ready(self, link: "Link") -> None:
        """Take it that a link has room again."""
