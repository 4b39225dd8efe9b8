"""Texts as the simulated SMSC writes and reads them: alphabets, parts, receipts.  Pure.

Built on smpplib's GSM 03.38 table and not on telcod's own, so that one mistake cannot hide at
both ends of a test.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from smpplib import consts
from smpplib.gsm import GSM_CHARACTER_TABLE

GSM7: Final[int] = consts.SMPP_ENCODING_DEFAULT
ASCII: Final[int] = consts.SMPP_ENCODING_IA5
LATIN1: Final[int] = consts.SMPP_ENCODING_ISO88591
UCS2: Final[int] = consts.SMPP_ENCODING_ISO10646
UDHI: Final[int] = consts.SMPP_GSMFEAT_UDHI
ESM_RECEIPT: Final = 0x04  # esm_class bits 5-2: "short message contains a delivery receipt".
PARTS_MAX: Final = 255
ESCAPE: Final = 0x1B
IE_CONCAT_8: Final[int] = consts.SMPP_UDHIEIE_CONCATENATED
IE_CONCAT_16: Final[int] = consts.SMPP_UDHIEIE_CONCATENATED16

# smpplib fills the holes of its table with a grave accent, which GSM 03.38 does not have, and
# leaves out two characters that it has: the section sign and the form feed of the extension.
_FILLER: Final = "`"
_BASIC: Final = {
    code: char for code, char in enumerate(GSM_CHARACTER_TABLE[:128]) if char not in "`\x1b"
} | {0x5F: "§"}
_EXTENSION: Final = {
    code: char for code, char in enumerate(GSM_CHARACTER_TABLE[128:]) if char != _FILLER
} | {0x0A: "\f"}
_SEPTETS: Final = {char: bytes([code]) for code, char in _BASIC.items()} | {
    char: bytes([ESCAPE, code]) for code, char in _EXTENSION.items()
}


class Long(StrEnum):
    """How a text that does not fit one message is sent."""

    UDH8 = "udh8"  # User data header, reference of 8 bits.
    UDH16 = "udh16"  # User data header, reference of 16 bits.
    SAR = "sar"  # sar_* TLVs.
    PAYLOAD = "payload"  # One message_payload TLV.


class _Room(NamedTuple):
    """Octets of one message of an alphabet: alone, as a part, as a part with a 16-bit reference."""

    whole: int
    part: int
    part_16: int


# GSM-7 and ASCII go unpacked here, one septet an octet, but fill 140 octets of air packed.
_ROOM: Final[Mapping[int, _Room]] = {
    GSM7: _Room(160, 153, 152),
    ASCII: _Room(160, 153, 152),
    LATIN1: _Room(140, 134, 133),
    UCS2: _Room(140, 134, 133),
}


class Fields(msgspec.Struct, frozen=True):
    """The fields of one deliver_sm that depend on its text; `tlvs` by the spec's names."""

    esm_class: int
    data_coding: int
    short_message: bytes
    tlvs: Mapping[str, int | bytes] = {}


class Concat(NamedTuple):
    """Which part of which long text; `number` counts from 1."""

    reference: int
    total: int
    number: int


class Part(msgspec.Struct, frozen=True):
    """One message received, as far as its text is concerned."""

    source_addr: str
    destination_addr: str
    data_coding: int
    user_data: bytes
    concat: Concat | None = None


def choose_data_coding(text: str) -> int:
    """Say how a phone would send a text: GSM-7 if it fits, else UCS-2."""
    return GSM7 if all(char in _SEPTETS for char in text) else UCS2


def _encode_char(char: str, data_coding: int) -> bytes:
    match data_coding:
        case consts.SMPP_ENCODING_DEFAULT:
            return _SEPTETS[char]
        case consts.SMPP_ENCODING_IA5:
            return char.encode("ascii")
        case consts.SMPP_ENCODING_ISO88591:
            return char.encode("latin-1")
        case consts.SMPP_ENCODING_ISO10646:
            return char.encode("utf-16-be", "surrogatepass")
    raise ValueError(f"data_coding {data_coding} is none that a text can be sent in")


def _units(text: str, data_coding: int) -> list[bytes]:
    try:
        return [_encode_char(char, data_coding) for char in text]
    except (KeyError, UnicodeEncodeError) as error:
        raise ValueError(f"the text does not fit data_coding {data_coding}") from error


def _fill(units: Iterable[bytes], room: int) -> list[bytes]:
    """Pack whole characters into parts, so that no escape and no surrogate pair is torn."""
    parts, part = [], b""
    for unit in units:
        if len(part) + len(unit) > room:
            parts.append(part)
            part = b""
        part += unit
    return [*parts, part]


def compose(
    text: str, *, data_coding: int | None = None, long: Long = Long.UDH8, reference: int = 1
) -> tuple[Fields, ...]:
    """Write a text as the messages that carry it, one unless it is too long for that.

    Args:
        text: What the person typed.
        data_coding: 0, 1, 3 or 8; None chooses as a phone does.
        long: How parts are marked; a short text is not marked.
        reference: Number common to the parts; cut to 8 bits for `Long.UDH8`, else to 16.

    Raises:
        ValueError: The text does not fit the data_coding, or 255 parts.
    """
    coding = choose_data_coding(text) if data_coding is None else data_coding
    units = _units(text, coding)
    whole, room = b"".join(units), _ROOM[coding]
    if len(whole) <= room.whole:
        return (Fields(0, coding, whole),)
    if long is Long.PAYLOAD:
        return (Fields(0, coding, b"", {"message_payload": whole}),)
    parts = _fill(units, room.part_16 if long is Long.UDH16 else room.part)
    if len(parts) > PARTS_MAX:
        raise ValueError(f"{len(parts)} parts are more than {PARTS_MAX}")
    return tuple(
        _part(body, coding, long, Concat(reference, len(parts), number))
        for number, body in enumerate(parts, 1)
    )


def _part(body: bytes, data_coding: int, long: Long, concat: Concat) -> Fields:
    reference, total, number = concat
    match long:
        case Long.UDH8:
            header = bytes([5, IE_CONCAT_8, 3, reference & 0xFF, total, number])
            return Fields(UDHI, data_coding, header + body)
        case Long.UDH16:
            wide = (reference & 0xFFFF).to_bytes(2, "big")
            header = bytes([6, IE_CONCAT_16, 4, *wide, total, number])
            return Fields(UDHI, data_coding, header + body)
        case Long.SAR:
            tlvs = {
                "sar_msg_ref_num": reference & 0xFFFF,
                "sar_total_segments": total,
                "sar_segment_seqnum": number,
            }
            return Fields(0, data_coding, body, tlvs)
        case Long.PAYLOAD:
            raise ValueError("a payload has no parts")


def split_udh(user_data: bytes) -> tuple[Concat | None, bytes]:
    """Cut the user data header off; give what it says about parts, and the rest.

    A header that is not one (its length lies) counts as text, for the simulator's log to show it.
    """
    if not user_data or len(user_data) < 1 + user_data[0]:
        return None, user_data
    header, rest = user_data[1 : 1 + user_data[0]], user_data[1 + user_data[0] :]
    concat = None
    while len(header) >= 2:
        kind, length = header[0], header[1]
        value, header = header[2 : 2 + length], header[2 + length :]
        if (kind, len(value)) in {(IE_CONCAT_8, 3), (IE_CONCAT_16, 4)}:
            concat = Concat(int.from_bytes(value[:-2], "big"), value[-2], value[-1])
    return concat, rest


def decode_text(data: bytes, data_coding: int) -> str:
    """Read user data without header; what cannot be read becomes U+FFFD."""
    if data_coding & 0xF0 == 0xF0:  # Message class: bit 2 says 8-bit data, else GSM-7.
        data_coding = LATIN1 if data_coding & 0x04 else GSM7
    if data_coding == UCS2:
        return data.decode("utf-16-be", "replace")
    if data_coding == GSM7:
        return _decode_gsm7(data)
    return data.decode("latin-1")


def _decode_gsm7(data: bytes) -> str:
    text, codes = "", iter(data)
    for code in codes:
        if code == ESCAPE:
            text += _EXTENSION.get(next(codes, -1), " ")
        else:
            text += _BASIC.get(code, "\ufffd")
    return text


class Mailbox:
    """The phones: what each has received, long texts put together.

    A part that comes twice before its text is complete counts once.  A text takes its place at
    its last part; incomplete ones are not shown.
    """

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._partial: dict[tuple[str, str, int, int], dict[int, Part]] = {}

    def add(self, part: Part) -> None:
        """Take one message for its destination."""
        if part.concat is None or part.concat.total < 2:
            self._show([part])
            return
        reference, total, number = part.concat
        key = (part.source_addr, part.destination_addr, reference, total)
        parts = self._partial.setdefault(key, {})
        parts[number] = part
        if len(parts) == total:
            del self._partial[key]
            self._show([parts[each] for each in sorted(parts)])

    def texts_to(self, destination: str) -> list[str]:
        """Give the complete texts that a number has received, oldest first."""
        return list(self._texts.get(destination, ()))

    def _show(self, parts: list[Part]) -> None:
        body = b"".join(part.user_data for part in parts)
        text = decode_text(body, parts[0].data_coding)
        self._texts.setdefault(parts[0].destination_addr, []).append(text)


def receipt_text(message_id: str, *, stamp: str, delivered: bool, text: str) -> bytes:
    """Write a receipt as Appendix B of SMPP 3.4 does; `stamp` is YYMMDDhhmm."""
    state, done = ("DELIVRD", 1) if delivered else ("UNDELIV", 0)
    line = (
        f"id:{message_id} sub:001 dlvrd:{done:03d} submit date:{stamp} done date:{stamp} "
        f"stat:{state} err:000 text:{text[:20]}"
    )
    return line.encode("ascii", "replace")
