"""Optional parameters (TLVs) of SMPP PDUs, v3.4 section 3.2.4.  Pure.

Every well-formed TLV is kept in wire order, also unknown, odd and repeated ones.  To skip what is
unrecognised or unexpected (section 3.3) is left to the reader, who asks for the tags it knows.
Only a length that lies is an error.
"""

from collections.abc import Iterable
from struct import Struct, error
from typing import Final, NamedTuple

from telcod.smpp.consts import CommandStatus

_HEAD: Final = Struct(">HH")  # tag, length of the value in octets
_new_tuple: Final = tuple.__new__  # Half the price of calling a NamedTuple.


class BodyError(Exception):
    """A body that cannot be read, though its frame is whole; the decoder makes it a `BadPdu`.

    `status` is the command_status to answer with; `reason` names fields and lengths, never values.
    """

    def __init__(self, status: CommandStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Tlv(NamedTuple):
    """One optional parameter; `value` is raw, a zero length is allowed (5.3.2.41)."""

    tag: int
    value: bytes


def tlv_or_none(tlvs: Iterable[Tlv], tag: int) -> bytes | None:
    """Return the value of the first TLV with this tag; later ones of the same tag do not count."""
    for found, value in tlvs:
        if found == tag:
            return value
    return None


def decode_tlvs(frame: bytes, start: int) -> tuple[Tlv, ...]:
    """Read the TLVs from `start` to the end of the frame.

    Raises:
        BodyError: The frame ends inside a TLV's head (`ESME_RINVOPTPARSTREAM`), or a TLV is longer
            than what is left of the frame (`ESME_RINVPARLEN`).
    """
    tlvs: list[Tlv] = []
    end = len(frame)
    while start < end:
        if end - start < _HEAD.size:
            raise BodyError(
                CommandStatus.ESME_RINVOPTPARSTREAM,
                f"{end - start} octets after the last optional parameter",
            )
        tag, length = _HEAD.unpack_from(frame, start)
        start += _HEAD.size
        if length > end - start:
            raise BodyError(
                CommandStatus.ESME_RINVPARLEN,
                f"optional parameter 0x{tag:04X} says {length} octets, {end - start} are left",
            )
        tlvs.append(_new_tuple(Tlv, (tag, frame[start : start + length])))
        start += length
    return tuple(tlvs)


def encode_tlvs(tlvs: Iterable[Tlv]) -> bytes:
    """Write TLVs in the given order.

    Raises:
        ValueError: A tag is not of 16 bits, or a value is longer than 65,535 octets.
    """
    parts: list[bytes] = []
    for tag, value in tlvs:
        try:
            parts += (_HEAD.pack(tag, len(value)), value)
        except error:
            raise ValueError(
                f"tlvs: tag {tag} with {len(value)} octets does not fit in 16 + 16 bits"
            ) from None
    return b"".join(parts)
