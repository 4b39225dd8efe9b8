"""How every PDU of SMPP v3.4 lies on the wire: the table that the codec reads.  Pure data.

One row per field, in wire order: its name in the body's struct, its kind, its greatest size in
octets (a C-octet string's *includes* the NUL, section 3.1) and the command_status that answers a
field which is too long.  Integers have no wrong value here: "reserved" means "take the default"
(3.3), and that is for the reader to do.

The sizes are the spec's, section 4.  Two differ from what smpplib and others write: the addresses
of data_sm and alert_notification may have 65 octets (4.7.1, 4.12.1), not 21.
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, NamedTuple

from telcod.smpp import bodies
from telcod.smpp.bodies import Body
from telcod.smpp.consts import SHORT_MESSAGE_BYTES_MAX, CommandId, CommandStatus


class Kind(Enum):
    """What a row is on the wire."""

    C_OCTETS = auto()  # text and a NUL
    UINT8 = auto()
    SHORT_MESSAGE = auto()  # sm_length (one octet), then that many octets
    DEST_ADDRESSES = auto()  # number_of_dests (one octet), then that many of 4.5.1.1
    UNSUCCESS_SMES = auto()  # no_unsuccess (one octet), then that many of 4.5.2.1


class Field(NamedTuple):
    """A row; `bytes_max` counts a C-octet string's NUL."""

    name: str
    kind: Kind
    bytes_max: int = 1
    status: CommandStatus = CommandStatus.ESME_RINVPARLEN


class Layout(NamedTuple):
    """A PDU: its body's struct, its mandatory fields, and whether TLVs may follow."""

    body: type[Body]
    fields: tuple[Field, ...] = ()
    tlvs: bool = False


def _text(name: str, bytes_max: int, status: CommandStatus) -> Field:
    return Field(name, Kind.C_OCTETS, bytes_max, status)


def _uint8(name: str) -> Field:
    return Field(name, Kind.UINT8)


def _address(prefix: str, name: str, bytes_max: int, status: CommandStatus) -> tuple[Field, ...]:
    return (_uint8(f"{prefix}_ton"), _uint8(f"{prefix}_npi"), _text(name, bytes_max, status))


_S: Final = CommandStatus
_ADDRESS_BYTES_MAX: Final = 21
_LONG_ADDRESS_BYTES_MAX: Final = 65

_SERVICE_TYPE: Final = _text("service_type", 6, _S.ESME_RINVSERTYP)
_SYSTEM_ID: Final = _text("system_id", 16, _S.ESME_RINVSYSID)
_PASSWORD: Final = _text("password", 9, _S.ESME_RINVPASWD)
_MESSAGE_ID: Final = _text("message_id", 65, _S.ESME_RINVMSGID)
_SCHEDULE: Final = _text("schedule_delivery_time", 17, _S.ESME_RINVSCHED)
_VALIDITY: Final = _text("validity_period", 17, _S.ESME_RINVEXPIRY)
_SHORT_MESSAGE: Final = Field(
    "short_message", Kind.SHORT_MESSAGE, SHORT_MESSAGE_BYTES_MAX, _S.ESME_RINVMSGLEN
)
_SOURCE: Final = _address("source_addr", "source_addr", _ADDRESS_BYTES_MAX, _S.ESME_RINVSRCADR)
_DEST: Final = _address("dest_addr", "destination_addr", _ADDRESS_BYTES_MAX, _S.ESME_RINVDSTADR)

# The two parts of a submit_multi's repeated groups, by the names of their NamedTuples.
DEST_ADDRESS: Final = _DEST
DL_NAME: Final = _text("dl_name", 21, _S.ESME_RINVDLNAME)
DEST_ADDRESSES_MAX: Final = 254

_BIND: Final = (
    _SYSTEM_ID,
    _PASSWORD,
    _text("system_type", 13, _S.ESME_RINVSYSTYP),
    _uint8("interface_version"),
    *_address("addr", "address_range", 41, _S.ESME_RINVPARLEN),
)
# From esm_class to the text: the second half of submit_sm, deliver_sm and submit_multi.
_MESSAGE: Final = (
    _uint8("esm_class"),
    _uint8("protocol_id"),
    _uint8("priority_flag"),
    _SCHEDULE,
    _VALIDITY,
    _uint8("registered_delivery"),
    _uint8("replace_if_present_flag"),
    _uint8("data_coding"),
    _uint8("sm_default_msg_id"),
    _SHORT_MESSAGE,
)
_SM: Final = (_SERVICE_TYPE, *_SOURCE, *_DEST, *_MESSAGE)
_DATA_SM: Final = (
    _SERVICE_TYPE,
    *_address("source_addr", "source_addr", _LONG_ADDRESS_BYTES_MAX, _S.ESME_RINVSRCADR),
    *_address("dest_addr", "destination_addr", _LONG_ADDRESS_BYTES_MAX, _S.ESME_RINVDSTADR),
    _uint8("esm_class"),
    _uint8("registered_delivery"),
    _uint8("data_coding"),
)
_SUBMIT_MULTI: Final = (
    _SERVICE_TYPE,
    *_SOURCE,
    Field("dest_addresses", Kind.DEST_ADDRESSES, bytes_max=DEST_ADDRESSES_MAX * (1 + 2 + 21)),
    *_MESSAGE,
)
_SUBMIT_MULTI_RESP: Final = (
    _MESSAGE_ID,
    Field("unsuccess_smes", Kind.UNSUCCESS_SMES, bytes_max=255 * (2 + 21 + 4)),
)
_QUERY_SM: Final = (_MESSAGE_ID, *_SOURCE)
_QUERY_SM_RESP: Final = (
    _MESSAGE_ID,
    _text("final_date", 17, _S.ESME_RINVPARLEN),
    _uint8("message_state"),
    _uint8("error_code"),
)
_CANCEL_SM: Final = (_SERVICE_TYPE, _MESSAGE_ID, *_SOURCE, *_DEST)
_REPLACE_SM: Final = (
    _MESSAGE_ID,
    *_SOURCE,
    _SCHEDULE,
    _VALIDITY,
    _uint8("registered_delivery"),
    _uint8("sm_default_msg_id"),
    _SHORT_MESSAGE,
)
_ALERT_NOTIFICATION: Final = (
    *_address("source_addr", "source_addr", _LONG_ADDRESS_BYTES_MAX, _S.ESME_RINVSRCADR),
    *_address("esme_addr", "esme_addr", _LONG_ADDRESS_BYTES_MAX, _S.ESME_RINVDSTADR),
)

LAYOUTS: Final[Mapping[int, Layout]] = MappingProxyType(
    {
        CommandId.BIND_TRANSMITTER: Layout(bodies.BindTransmitter, _BIND),
        CommandId.BIND_TRANSMITTER_RESP: Layout(
            bodies.BindTransmitterResp, (_SYSTEM_ID,), tlvs=True
        ),
        CommandId.BIND_RECEIVER: Layout(bodies.BindReceiver, _BIND),
        CommandId.BIND_RECEIVER_RESP: Layout(bodies.BindReceiverResp, (_SYSTEM_ID,), tlvs=True),
        CommandId.BIND_TRANSCEIVER: Layout(bodies.BindTransceiver, _BIND),
        CommandId.BIND_TRANSCEIVER_RESP: Layout(
            bodies.BindTransceiverResp, (_SYSTEM_ID,), tlvs=True
        ),
        CommandId.OUTBIND: Layout(bodies.Outbind, (_SYSTEM_ID, _PASSWORD)),
        CommandId.UNBIND: Layout(bodies.Unbind),
        CommandId.UNBIND_RESP: Layout(bodies.UnbindResp),
        CommandId.GENERIC_NACK: Layout(bodies.GenericNack),
        CommandId.SUBMIT_SM: Layout(bodies.SubmitSm, _SM, tlvs=True),
        CommandId.SUBMIT_SM_RESP: Layout(bodies.SubmitSmResp, (_MESSAGE_ID,), tlvs=True),
        CommandId.DELIVER_SM: Layout(bodies.DeliverSm, _SM, tlvs=True),
        CommandId.DELIVER_SM_RESP: Layout(bodies.DeliverSmResp, (_MESSAGE_ID,), tlvs=True),
        CommandId.DATA_SM: Layout(bodies.DataSm, _DATA_SM, tlvs=True),
        CommandId.DATA_SM_RESP: Layout(bodies.DataSmResp, (_MESSAGE_ID,), tlvs=True),
        CommandId.SUBMIT_MULTI: Layout(bodies.SubmitMulti, _SUBMIT_MULTI, tlvs=True),
        CommandId.SUBMIT_MULTI_RESP: Layout(bodies.SubmitMultiResp, _SUBMIT_MULTI_RESP, tlvs=True),
        CommandId.QUERY_SM: Layout(bodies.QuerySm, _QUERY_SM),
        CommandId.QUERY_SM_RESP: Layout(bodies.QuerySmResp, _QUERY_SM_RESP),
        CommandId.CANCEL_SM: Layout(bodies.CancelSm, _CANCEL_SM),
        CommandId.CANCEL_SM_RESP: Layout(bodies.CancelSmResp),
        CommandId.REPLACE_SM: Layout(bodies.ReplaceSm, _REPLACE_SM),
        CommandId.REPLACE_SM_RESP: Layout(bodies.ReplaceSmResp),
        CommandId.ENQUIRE_LINK: Layout(bodies.EnquireLink),
        CommandId.ENQUIRE_LINK_RESP: Layout(bodies.EnquireLinkResp),
        CommandId.ALERT_NOTIFICATION: Layout(
            bodies.AlertNotification, _ALERT_NOTIFICATION, tlvs=True
        ),
    }
)

COMMAND_IDS: Final[Mapping[type[Body], int]] = MappingProxyType(
    {layout.body: int(command_id) for command_id, layout in LAYOUTS.items()}
)
