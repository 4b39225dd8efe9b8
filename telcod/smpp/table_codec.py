"""Read and write any SMPP body by its rows in `layout`.  Pure; strict; the reference.

This is the codec that one can check against the spec by eye, and the only one that says what is
wrong.  `pdu` has quicker ways for what is frequent and right; they hand everything else to here,
and a property test holds them to the same answers.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from telcod.smpp.bodies import Body, DistributionList, SmeAddress, UnsuccessSme
from telcod.smpp.consts import (
    HEADER_BYTES,
    RESPONSE_BIT,
    SHORT_MESSAGE_BYTES_MAX,
    CommandStatus,
    TlvTag,
)
from telcod.smpp.layout import (
    COMMAND_IDS,
    DEST_ADDRESS,
    DEST_ADDRESSES_MAX,
    DL_NAME,
    LAYOUTS,
    Field,
    Kind,
)
from telcod.smpp.tlv import BodyError, Tlv, decode_tlvs, encode_tlvs, tlv_or_none

_SME_ADDRESS: Final = 1  # dest_flag, 5.2.25
_DISTRIBUTION_LIST: Final = 2

# A reader takes its row, the frame and a position, and returns the value and the next position.
_Reader = Callable[[Field, bytes, int], tuple[Any, int]]
# A writer takes its row and the value.
_Writer = Callable[[Field, Any], bytes]


def decode_body(command_id: int, command_status: int, frame: bytes) -> Body:
    """Read the body of a whole frame, header included.

    A response with a command_status other than 0 may come without its body (4.1.x, 4.4.2); it
    then reads as one with empty fields.

    Raises:
        BodyError: The command is unknown or the body is malformed; its `status` answers it.
    """
    layout = LAYOUTS.get(command_id)
    if layout is None:
        raise BodyError(CommandStatus.ESME_RINVCMDID, f"unknown command_id 0x{command_id:08X}")
    if len(frame) == HEADER_BYTES and command_status and command_id & RESPONSE_BIT:
        return layout.body()
    values: dict[str, Any] = {}
    position = HEADER_BYTES
    for field in layout.fields:
        values[field.name], position = _READERS[field.kind](field, frame, position)
    if layout.tlvs:
        values["tlvs"] = decode_tlvs(frame, position)
    else:
        _skip_unexpected(frame, position)
    return layout.body(**values)


def _skip_unexpected(frame: bytes, position: int) -> None:
    """Pass over TLVs behind a body that has none: unexpected ones are to be skipped (3.3)."""
    try:
        decode_tlvs(frame, position)
    except BodyError as error:
        raise BodyError(
            CommandStatus.ESME_RINVCMDLEN, f"{len(frame) - position} octets too many"
        ) from error


def _read_text(field: Field, frame: bytes, position: int) -> tuple[str, int]:
    end = frame.find(0, position, position + field.bytes_max)
    if end >= 0:
        return frame[position:end].decode("latin-1"), end + 1
    if len(frame) - position < field.bytes_max:
        raise _ended(field)
    raise BodyError(field.status, f"{field.name} has more than {field.bytes_max} octets")


def _read_uint8(field: Field, frame: bytes, position: int) -> tuple[int, int]:
    if position >= len(frame):
        raise _ended(field)
    return frame[position], position + 1


def _read_short_message(field: Field, frame: bytes, position: int) -> tuple[bytes, int]:
    sm_length, position = _read_uint8(field, frame, position)
    left = len(frame) - position
    if sm_length > min(field.bytes_max, left):
        raise BodyError(field.status, f"sm_length {sm_length}, {left} octets are left")
    return frame[position : position + sm_length], position + sm_length


def _read_dest_addresses(
    field: Field, frame: bytes, position: int
) -> tuple[tuple[SmeAddress | DistributionList, ...], int]:
    count, position = _read_uint8(field, frame, position)
    if not 1 <= count <= DEST_ADDRESSES_MAX:
        raise BodyError(CommandStatus.ESME_RINVNUMDESTS, f"number_of_dests {count}")
    found: list[SmeAddress | DistributionList] = []
    for _ in range(count):
        dest_flag, position = _read_uint8(field, frame, position)
        if dest_flag == _SME_ADDRESS:
            ton, npi, address, position = _read_address(frame, position)
            found.append(SmeAddress(ton, npi, address))
        elif dest_flag == _DISTRIBUTION_LIST:
            name, position = _read_text(DL_NAME, frame, position)
            found.append(DistributionList(name))
        else:
            raise BodyError(CommandStatus.ESME_RINVDESTFLAG, f"dest_flag {dest_flag}")
    return tuple(found), position


def _read_unsuccess_smes(
    field: Field, frame: bytes, position: int
) -> tuple[tuple[UnsuccessSme, ...], int]:
    count, position = _read_uint8(field, frame, position)
    found = []
    for _ in range(count):
        ton, npi, address, position = _read_address(frame, position)
        code = frame[position : position + 4]
        if len(code) < 4:
            raise _ended(field)
        found.append(UnsuccessSme(ton, npi, address, int.from_bytes(code, "big")))
        position += 4
    return tuple(found), position


def _read_address(frame: bytes, position: int) -> tuple[int, int, str, int]:
    ton_row, npi_row, address_row = DEST_ADDRESS
    ton, position = _read_uint8(ton_row, frame, position)
    npi, position = _read_uint8(npi_row, frame, position)
    address, position = _read_text(address_row, frame, position)
    return ton, npi, address, position


def _ended(field: Field) -> BodyError:
    return BodyError(CommandStatus.ESME_RINVCMDLEN, f"the PDU ends in {field.name}")


def encode_body(body: Body) -> bytes:
    """Write a body without its header.

    Raises:
        ValueError: A value does not fit; the message names the field, and never quotes it.
    """
    layout = LAYOUTS[COMMAND_IDS[type(body)]]
    parts = [_WRITERS[field.kind](field, getattr(body, field.name)) for field in layout.fields]
    if layout.tlvs:
        tlvs: tuple[Tlv, ...] = getattr(body, "tlvs")  # noqa: B009  # Not every Body has it.
        short_message = getattr(body, "short_message", None)
        if short_message and tlv_or_none(tlvs, TlvTag.MESSAGE_PAYLOAD) is not None:
            raise ValueError("short_message: not together with message_payload (3.2.3)")
        parts.append(encode_tlvs(tlvs))
    return b"".join(parts)


def _write_text(field: Field, value: str) -> bytes:
    if len(value) >= field.bytes_max:
        raise ValueError(f"{field.name}: more than {field.bytes_max - 1} octets")
    if "\0" in value:
        raise ValueError(f"{field.name}: contains a NUL")
    try:
        return value.encode("latin-1") + b"\0"
    except UnicodeEncodeError:  # Not chained: it would quote what may be a password.
        raise ValueError(f"{field.name}: not Latin-1") from None


def _write_uint8(field: Field, value: int) -> bytes:
    return _write_uint(field.name, value, 1)


def _write_uint(name: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"{name}: {value} is not an unsigned {size * 8}-bit number") from None


def _write_short_message(field: Field, value: bytes) -> bytes:
    if len(value) > SHORT_MESSAGE_BYTES_MAX:
        raise ValueError(f"{field.name}: {len(value)} octets, at most {SHORT_MESSAGE_BYTES_MAX}")
    return bytes((len(value),)) + value


def _write_dest_addresses(field: Field, value: tuple[SmeAddress | DistributionList, ...]) -> bytes:
    if not 1 <= len(value) <= DEST_ADDRESSES_MAX:
        raise ValueError(f"{field.name}: {len(value)}, must be 1 to {DEST_ADDRESSES_MAX}")
    parts = [bytes((len(value),))]
    for destination in value:
        if isinstance(destination, SmeAddress):
            parts += (bytes((_SME_ADDRESS,)), _write_address(*destination))
        else:
            parts += (bytes((_DISTRIBUTION_LIST,)), _write_text(DL_NAME, destination.dl_name))
    return b"".join(parts)


def _write_unsuccess_smes(field: Field, value: tuple[UnsuccessSme, ...]) -> bytes:
    parts = [_write_uint(field.name, len(value), 1)]
    for ton, npi, address, code in value:
        parts += (_write_address(ton, npi, address), _write_uint("error_status_code", code, 4))
    return b"".join(parts)


def _write_address(ton: int, npi: int, address: str) -> bytes:
    ton_row, npi_row, address_row = DEST_ADDRESS
    return (
        _write_uint8(ton_row, ton) + _write_uint8(npi_row, npi) + _write_text(address_row, address)
    )


_READERS: Final[Mapping[Kind, _Reader]] = MappingProxyType(
    {
        Kind.C_OCTETS: _read_text,
        Kind.UINT8: _read_uint8,
        Kind.SHORT_MESSAGE: _read_short_message,
        Kind.DEST_ADDRESSES: _read_dest_addresses,
        Kind.UNSUCCESS_SMES: _read_unsuccess_smes,
    }
)
_WRITERS: Final[Mapping[Kind, _Writer]] = MappingProxyType(
    {
        Kind.C_OCTETS: _write_text,
        Kind.UINT8: _write_uint8,
        Kind.SHORT_MESSAGE: _write_short_message,
        Kind.DEST_ADDRESSES: _write_dest_addresses,
        Kind.UNSUCCESS_SMES: _write_unsuccess_smes,
    }
)
