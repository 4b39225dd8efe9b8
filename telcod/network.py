"""What the network tells telcod, checked, and the requests it makes (NET-1, NET-2).  Pure.

The same for every door: HTTP and MQTT take these bodies.  An event has an id of the network's own;
the same id again, from the same sender, changes nothing, and with another body it is refused.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.bulk import ADDRESS_CHARS_MAX, EMAIL_CHARS_MAX, NAME_CHARS_MAX
from telcod.rows import Kind, State
from telcod.types import Channel, Language, Request

CALL_FAILED_ROUTE: Final = "network.call_failed"
SUBSCRIBER_ROUTE: Final = "network.subscriber"
TOPUP_ROUTE: Final = "staff.topup"
"""The rule of a top-up is one, whoever says that money came in."""

_PRINTED: Final = ("name", "address", "email")

_EventId = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]{1,128}\Z",
        description="The network's own id: 1 to 128 visible ASCII characters.",
    ),
]
_Number = Annotated[
    str, Meta(min_length=1, max_length=40, description="A number in any accepted form.")
]
_Opening = Annotated[
    int, Meta(ge=0, le=AMOUNT_VND_MAX, description="Only opens the books; they are never set.")
]


class BadField(ValueError):
    """A field that makes no sense; nothing was done."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field: Final = field


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the network says; a field that it misspells is told, not dropped."""


class CallFailed(_Said, frozen=True, kw_only=True):
    """A call of A's own did not come about.

    `called` is what A dialled.  Only `insufficient_balance` leads to a hint; any other `reason` is
    taken and nothing follows.
    """

    event_id: _EventId
    caller: _Number
    called: Annotated[str, Meta(min_length=1, max_length=64)]
    reason: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]


class TopUp(_Said, frozen=True, kw_only=True):
    """Money came in, whole đồng."""

    event_id: _EventId
    msisdn: _Number
    amount_vnd: Annotated[int, Meta(ge=1, le=AMOUNT_VND_MAX)]


class SubscriberPut(_Said, frozen=True, kw_only=True):
    """A subscriber as the network knows him.

    What is left out stays as it is.  `language` is a new subscriber's; later it is his own choice
    (NN).  `balance_vnd` and `debt_vnd` open the books of a new subscriber.
    """

    kind: Kind
    state: State
    centre: Annotated[int, Meta(ge=1, le=6)]
    language: Language | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] | UnsetType = UNSET
    address: Annotated[str, Meta(max_length=ADDRESS_CHARS_MAX)] | UnsetType = UNSET
    email: Annotated[str, Meta(max_length=EMAIL_CHARS_MAX)] | UnsetType = UNSET
    balance_vnd: _Opening | UnsetType = UNSET
    debt_vnd: _Opening | UnsetType = UNSET


class NamedSubscriber(SubscriberPut, frozen=True, kw_only=True):
    """The same, for a door that has no path to put the number into."""

    msisdn: _Number


class Accepted(msgspec.Struct, frozen=True):
    """The event was taken down; whether a hint follows is between telcod and the subscriber."""

    accepted: bool = True


class ToppedUp(msgspec.Struct, frozen=True):
    """The balance afterwards; of a postpaid subscriber it is minus his debt.

    `package` is what became of a package that waited for money; empty: none did.
    """

    balance_vnd: int
    package: str


class SubscriberTaken(msgspec.Struct, frozen=True):
    """`subscriber.added`, `subscriber.changed`, or `subscriber.unchanged`: all was so before."""

    outcome: str


def call_failed(said: CallFailed, *, caller: int, actor: str) -> Request:
    """A's call failed.

    Args:
        said: What the network said.
        caller: A as a canonical number.
        actor: Who says so; ids of two senders are two events.

    Raises:
        BadField: What was dialled is nothing that can be dialled.
    """
    called = said.called.strip()
    has_digits = any("0" <= char <= "9" for char in called)
    if not (has_digits and called.isascii() and called.isprintable()):
        raise BadField("called", "must be what was dialled: ASCII, with digits")
    return Request(
        CALL_FAILED_ROUTE,
        sender=caller,
        args=(called, said.reason),
        channel=Channel.NETWORK,
        key=f"network:{actor}:{said.event_id}",
        actor=actor,
    )


def top_up(said: TopUp, *, msisdn: int, actor: str) -> Request:
    """Money came in.  Arguments as for `call_failed`."""
    return Request(
        TOPUP_ROUTE,
        sender=msisdn,
        args=(str(said.amount_vnd), f"network event {said.event_id}"),
        channel=Channel.NETWORK,
        key=f"topup:{actor}:{said.event_id}",
        actor=actor,
    )


def put_subscriber(said: SubscriberPut, *, msisdn: int, actor: str) -> Request:
    """A subscriber came, changed, or went.  Needs no key: the same again changes nothing.

    Raises:
        BadField: A text holds control characters.
    """
    fields = {
        name: value
        for name, value in msgspec.structs.asdict(said).items()
        if value is not UNSET and name != "msisdn"
    }
    for name in _PRINTED:
        if not str(fields.get(name, "")).isprintable():
            raise BadField(name, "has control characters")
    return Request(
        SUBSCRIBER_ROUTE, sender=msisdn, channel=Channel.NETWORK, actor=actor, body=fields
    )
