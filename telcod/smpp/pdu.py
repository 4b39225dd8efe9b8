"""SMPP v3.4 PDUs: octets to values and back.  Pure, strict; nothing received can raise.

    decode(frame) -> Pdu | BadPdu          encode(body, sequence_number=...) -> bytes

What a peer sends is taken as it is where the spec leaves no doubt what is meant (reserved values,
unknown TLVs, a sequence_number of 0) and is a `BadPdu` where it does (lengths).  What *we* send
must be right: `encode` raises ValueError, naming the field.

The truth about every PDU is the table in `layout`; here are the quick ways for the five that come
ten thousand times a second.  A quick way returns None for whatever is not plainly right, and the
table decides.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as struct_error
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from telcod.smpp.bodies import (
    AlertNotification,
    Bind,
    BindReceiver,
    BindReceiverResp,
    BindResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    Body,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    DistributionList,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    MessageIdResp,
    Outbind,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    ShortMessage,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    UnsuccessSme,
)
from telcod.smpp.consts import (
    HEADER_BYTES,
    PDU_BYTES_MAX,
    SEQUENCE_NUMBER_MAX,
    SEQUENCE_NUMBER_MIN,
    SHORT_MESSAGE_BYTES_MAX,
    CommandId,
    CommandStatus,
    DataCoding,
    EsmClass,
    InterfaceVersion,
    MessageState,
    Npi,
    RegisteredDelivery,
    TlvTag,
    Ton,
    UssdServiceOp,
    is_request,
    response_id,
)
from telcod.smpp.layout import COMMAND_IDS
from telcod.smpp.table_codec import decode_body, encode_body
from telcod.smpp.tlv import BodyError, Tlv, decode_tlvs, encode_tlvs, tlv_or_none

__all__ = [
    "AlertNotification",
    "BadPdu",
    "Bind",
    "BindReceiver",
    "BindReceiverResp",
    "BindResp",
    "BindTransceiver",
    "BindTransceiverResp",
    "BindTransmitter",
    "BindTransmitterResp",
    "Body",
    "CancelSm",
    "CancelSmResp",
    "CommandId",
    "CommandStatus",
    "DataCoding",
    "DataSm",
    "DataSmResp",
    "DeliverSm",
    "DeliverSmResp",
    "DistributionList",
    "EnquireLink",
    "EnquireLinkResp",
    "EsmClass",
    "GenericNack",
    "Header",
    "InterfaceVersion",
    "MessageIdResp",
    "MessageState",
    "Npi",
    "Outbind",
    "Pdu",
    "QuerySm",
    "QuerySmResp",
    "RegisteredDelivery",
    "ReplaceSm",
    "ReplaceSmResp",
    "ShortMessage",
    "SmeAddress",
    "SubmitMulti",
    "SubmitMultiResp",
    "SubmitSm",
    "SubmitSmResp",
    "Tlv",
    "TlvTag",
    "Ton",
    "Unbind",
    "UnbindResp",
    "UnsuccessSme",
    "UssdServiceOp",
    "decode",
    "decode_header",
    "encode",
    "encode_header",
    "is_request",
    "response_id",
    "tlv_or_none",
]

_HEADER: Final = Struct(">IIII")  # command_length, command_id, command_status, sequence_number
_unpack_header: Final = _HEADER.unpack_from
_pack_header: Final = _HEADER.pack
_new_tuple: Final = tuple.__new__  # Half the price of calling a NamedTuple.


class Header(NamedTuple):
    """A PDU's header without its length (section 3.2)."""

    command_id: int
    command_status: int
    sequence_number: int


class Pdu(NamedTuple):
    """A whole PDU.  `sequence_number` is the peer's word: 0 and the reserved half do occur."""

    command_id: int
    command_status: int
    sequence_number: int
    body: Body


class BadPdu(NamedTuple):
    """A whole frame with a body that cannot be read.

    If it is a request, answer `response_id(command_id)` with `error_status`; the link lives on.
    If it is a response, command_status and sequence_number are still good.  `reason` names fields
    and lengths, never contents: it may be logged.
    """

    command_id: int
    command_status: int
    sequence_number: int
    error_status: int
    reason: str


def decode_header(frame: bytes | memoryview) -> Header:
    """Read the header of a frame.

    Raises:
        ValueError: The frame is shorter than a header.
    """
    if len(frame) < HEADER_BYTES:
        raise ValueError(f"{len(frame)} octets are no header")
    return Header(*_unpack_header(frame)[1:])


def decode(frame: bytes | memoryview) -> Pdu | BadPdu:
    """Read one whole frame, header included.

    Never raises for what is in the frame.  What is too short to have a header, or has another
    length than it says, is a `BadPdu` too (with zeros for what cannot be read).
    """
    frame = bytes(frame)
    if len(frame) < HEADER_BYTES:
        reason = f"{len(frame)} octets are no header"
        return BadPdu(0, 0, 0, CommandStatus.ESME_RINVCMDLEN, reason)
    length, command_id, command_status, sequence_number = _unpack_header(frame)
    if length != len(frame):
        reason = f"command_length {length} in a frame of {len(frame)} octets"
        status = CommandStatus.ESME_RINVCMDLEN
        return BadPdu(command_id, command_status, sequence_number, status, reason)
    try:
        quick = _QUICK_DECODERS.get(command_id)
        body = None if quick is None else quick(frame)
        if body is None:
            body = decode_body(command_id, command_status, frame)
    except BodyError as error:
        return BadPdu(command_id, command_status, sequence_number, error.status, error.reason)
    return _new_tuple(Pdu, (command_id, command_status, sequence_number, body))


def encode_header(command_id: int, command_status: int, sequence_number: int) -> bytes:
    """Write a PDU that is only a header: an error response, generic_nack, enquire_link, unbind.

    Raises:
        ValueError: See `encode`.
    """
    _check_header(command_id, command_status, sequence_number)
    return _pack_header(HEADER_BYTES, command_id, command_status, sequence_number)


def encode(body: Body, *, command_status: int = 0, sequence_number: int) -> bytes:
    """Write one whole PDU.

    A response carries the sequence_number of its request, whatever that was (2.6.1); a request's
    must be the spec's (1 to 0x7FFFFFFF) and its command_status 0.  An error response may also be
    written without a body, by `encode_header`.

    Raises:
        ValueError: A value does not fit; the message names the field.  A caller's bug.
    """
    command_id, quick = _ENCODERS[type(body)]
    octets = None if quick is None else quick(body)
    if octets is None:
        octets = encode_body(body)
    length = HEADER_BYTES + len(octets)
    if length > PDU_BYTES_MAX:
        raise ValueError(f"command_length: {length} octets, at most {PDU_BYTES_MAX}")
    if command_status or not SEQUENCE_NUMBER_MIN <= sequence_number <= SEQUENCE_NUMBER_MAX:
        _check_header(command_id, command_status, sequence_number)
    return _pack_header(length, command_id, command_status, sequence_number) + octets


def _check_header(command_id: int, command_status: int, sequence_number: int) -> None:
    in_range = SEQUENCE_NUMBER_MIN <= sequence_number <= SEQUENCE_NUMBER_MAX
    if is_request(command_id):
        if command_status:
            raise ValueError(f"command_status: {command_status} in a request (3.2)")
        if not in_range:
            raise ValueError(f"sequence_number: {sequence_number} in a request (3.2)")
    try:
        _pack_header(HEADER_BYTES, command_id, command_status, sequence_number)
    except struct_error:
        raise ValueError(
            f"command_id, command_status or sequence_number: not of 32 bits in"
            f" {command_id}, {command_status}, {sequence_number}"
        ) from None


# --- The quick ways.  Sizes are literals here for speed; a property test ties them to the table.


def _quick_decode_sm(body: type[ShortMessage], frame: bytes) -> ShortMessage | None:
    """Read a submit_sm or deliver_sm of which every mandatory field is right."""
    find = frame.find
    service_end = find(0, 16, 22)
    source_end = find(0, service_end + 3, service_end + 24)
    dest_end = find(0, source_end + 3, source_end + 24)
    schedule_end = find(0, dest_end + 4, dest_end + 21)
    validity_end = find(0, schedule_end + 1, schedule_end + 18)
    # A miss (-1) sends the next search to a place without meaning, so all five are looked at.
    if (
        service_end < 0
        or source_end < 0
        or dest_end < 0
        or schedule_end < 0
        or validity_end < 0
        or len(frame) < validity_end + 6
    ):
        return None
    start = validity_end + 6
    sm_length = frame[validity_end + 5]
    end = start + sm_length
    if sm_length > SHORT_MESSAGE_BYTES_MAX or end > len(frame):
        return None
    return body(
        frame[16:service_end].decode("latin-1"),
        frame[service_end + 1],
        frame[service_end + 2],
        frame[service_end + 3 : source_end].decode("latin-1"),
        frame[source_end + 1],
        frame[source_end + 2],
        frame[source_end + 3 : dest_end].decode("latin-1"),
        frame[dest_end + 1],
        frame[dest_end + 2],
        frame[dest_end + 3],
        frame[dest_end + 4 : schedule_end].decode("latin-1"),
        frame[schedule_end + 1 : validity_end].decode("latin-1"),
        frame[validity_end + 1],
        frame[validity_end + 2],
        frame[validity_end + 3],
        frame[validity_end + 4],
        frame[start:end],
        () if end == len(frame) else decode_tlvs(frame, end),
    )


def _quick_decode_submit_sm(frame: bytes) -> Body | None:
    return _quick_decode_sm(SubmitSm, frame)


def _quick_decode_deliver_sm(frame: bytes) -> Body | None:
    return _quick_decode_sm(DeliverSm, frame)


def _quick_decode_submit_sm_resp(frame: bytes) -> Body | None:
    end = len(frame) - 1
    if frame.find(0, 16, 81) != end:
        return None
    return SubmitSmResp(frame[16:end].decode("latin-1"))


def _quick_decode_deliver_sm_resp(frame: bytes) -> Body | None:
    return DeliverSmResp() if frame[16:] == b"\0" else None


_QUICK_DECODERS: Final[Mapping[int, Callable[[bytes], Body | None]]] = MappingProxyType(
    {
        int(CommandId.SUBMIT_SM): _quick_decode_submit_sm,
        int(CommandId.DELIVER_SM): _quick_decode_deliver_sm,
        int(CommandId.SUBMIT_SM_RESP): _quick_decode_submit_sm_resp,
        int(CommandId.DELIVER_SM_RESP): _quick_decode_deliver_sm_resp,
    }
)

# submit_sm's mandatory fields up to and with sm_length, as text: Latin-1 makes one octet of each
# character, and refuses an integer above 255 or a letter that it has not.
_SM_FORMAT: Final = "%s\0%c%c%s\0%c%c%s\0%c%c%c%s\0%s\0%c%c%c%c%c"


def _quick_encode_sm(body: Any) -> bytes | None:
    service_type, source, dest = body.service_type, body.source_addr, body.destination_addr
    schedule, validity = body.schedule_delivery_time, body.validity_period
    short_message, tlvs = body.short_message, body.tlvs
    if (
        len(service_type) > 5
        or len(source) > 20
        or len(dest) > 20
        or len(schedule) > 16
        or len(validity) > 16
        or len(short_message) > SHORT_MESSAGE_BYTES_MAX
        or "\0" in f"{service_type}{source}{dest}{schedule}{validity}"
        or (tlvs and short_message and tlv_or_none(tlvs, TlvTag.MESSAGE_PAYLOAD) is not None)
    ):
        return None
    fields = _SM_FORMAT % (
        service_type,
        body.source_addr_ton,
        body.source_addr_npi,
        source,
        body.dest_addr_ton,
        body.dest_addr_npi,
        dest,
        body.esm_class,
        body.protocol_id,
        body.priority_flag,
        schedule,
        validity,
        body.registered_delivery,
        body.replace_if_present_flag,
        body.data_coding,
        body.sm_default_msg_id,
        len(short_message),
    )
    octets: bytes = fields.encode("latin-1") + short_message
    return octets + encode_tlvs(tlvs) if tlvs else octets


def _quick_encode_message_id_resp(body: Any) -> bytes | None:
    message_id = body.message_id
    if body.tlvs or len(message_id) > 64 or "\0" in message_id:
        return None
    octets: bytes = message_id.encode("latin-1") + b"\0"
    return octets


def _or_table(quick: Callable[[Any], bytes | None]) -> Callable[[Any], bytes | None]:
    """Let the table name the field when a quick encoder stumbles over a value."""

    def guarded(body: Any) -> bytes | None:
        try:
            return quick(body)
        except (UnicodeEncodeError, OverflowError):
            return None

    return guarded


_QUICK_ENCODERS: Final = MappingProxyType(
    {
        SubmitSm: _or_table(_quick_encode_sm),
        DeliverSm: _or_table(_quick_encode_sm),
        SubmitSmResp: _or_table(_quick_encode_message_id_resp),
        DeliverSmResp: _or_table(_quick_encode_message_id_resp),
    }
)
_ENCODERS: Final = {
    body: (command_id, _QUICK_ENCODERS.get(body)) for body, command_id in COMMAND_IDS.items()
}
