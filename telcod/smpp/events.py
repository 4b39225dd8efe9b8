"""What an SMPP session tells its driver, and what it is told to bind with.  Pure values.

The events are a closed set (`Event`): mypy finds the driver that forgets one.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from telcod.smpp.bodies import BindReceiver, BindTransceiver, BindTransmitter, DataSm, DeliverSm
from telcod.smpp.consts import CommandId, InterfaceVersion
from telcod.smpp.states import Step


class BindKind(StrEnum):
    """What a connection is bound as."""

    TRANSCEIVER = "transceiver"
    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"


class BindKindRow(msgspec.Struct, frozen=True):
    """What goes with a kind: its PDU, and the step that its OK bind_resp makes."""

    body: type[BindTransceiver | BindTransmitter | BindReceiver]
    command_id: int
    step: Step


BIND_KINDS: Final[Mapping[BindKind, BindKindRow]] = MappingProxyType(
    {
        BindKind.TRANSCEIVER: BindKindRow(
            BindTransceiver, int(CommandId.BIND_TRANSCEIVER), Step.BOUND_AS_TRX
        ),
        BindKind.TRANSMITTER: BindKindRow(
            BindTransmitter, int(CommandId.BIND_TRANSMITTER), Step.BOUND_AS_TX
        ),
        BindKind.RECEIVER: BindKindRow(
            BindReceiver, int(CommandId.BIND_RECEIVER), Step.BOUND_AS_RX
        ),
    }
)


class BindSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one session binds with, and its two windows.

    `window` bounds our unanswered submits, `inbound_window` the peer's unanswered messages.
    `tlvs_always` sends TLVs also to a peer that hides its version.  `outbind_password`, unless
    empty, is what an outbind must show.  The passwords are in no repr.
    """

    kind: BindKind
    system_id: str
    password: str
    system_type: str = ""
    interface_version: int = int(InterfaceVersion.V3_4)
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    window: int = 100
    inbound_window: int = 1000
    tlvs_always: bool = False
    outbind_password: str = ""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"BindSettings({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            (name, "[hidden]" if name.endswith("password") else getattr(self, name))
            for name in self.__struct_fields__
        ]

    def body(self) -> BindTransceiver | BindTransmitter | BindReceiver:
        """Return the bind PDU's body."""
        return BIND_KINDS[self.kind].body(
            system_id=self.system_id,
            password=self.password,
            system_type=self.system_type,
            interface_version=self.interface_version,
            addr_ton=self.addr_ton,
            addr_npi=self.addr_npi,
            address_range=self.address_range,
        )


class Bound(msgspec.Struct, frozen=True):
    """An OK bind_resp; `peer_version` is V3_3 when the peer did not say (3.4)."""

    system_id: str
    peer_version: int


class BindRefused(msgspec.Struct, frozen=True):
    """The bind was refused; the session is closed."""

    status: int


class Delivered(msgspec.Struct, frozen=True):
    """A message; it must be answered by `respond` with this sequence."""

    sequence: int
    body: DeliverSm | DataSm
    is_data_sm: bool


class SubmitDone(msgspec.Struct, frozen=True):
    """A submit was answered; `late` if its `SubmitUnknown` had already been told."""

    token: Any
    status: int
    message_id: str
    late: bool = False


class SubmitUnknown(msgspec.Struct, frozen=True):
    """A submit got no answer in time, or the connection went: it may have been done or not."""

    token: Any


class OutbindTaken(msgspec.Struct, frozen=True):
    """The SMSC asked to be bound to, and is being bound to."""

    system_id: str


class PeerUnbound(msgspec.Struct, frozen=True):
    """The peer unbound and was answered; the session is closed."""


class Unbound(msgspec.Struct, frozen=True):
    """Our unbind was answered; the session is closed."""


class Death(StrEnum):
    """Why a session gave up its connection."""

    SESSION_INIT = "session_init"
    SILENT = "silent"
    PARTIAL_PDU = "partial_pdu"
    FRAMING_LOST = "framing_lost"
    UNBIND_UNANSWERED = "unbind_unanswered"
    OUTBIND_REFUSED = "outbind_refused"


class LinkDead(msgspec.Struct, frozen=True):
    """The connection is of no more use; the session is closed."""

    reason: Death


class Malformed(msgspec.Struct, frozen=True):
    """A whole PDU made no sense; it is answered already if it needs an answer.

    `outcome`: what its header alone still says, if it was a response, or the end of the session.
    """

    command_id: int
    reason: str
    outcome: "Outcome | None" = None


Outcome = Bound | BindRefused | SubmitDone | Unbound | LinkDead
Event = Outcome | Delivered | SubmitUnknown | OutbindTaken | PeerUnbound | Malformed
