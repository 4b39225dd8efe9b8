"""From the octets of a message to its text: `data_coding`, default alphabets, UCS-2.  Pure.

Decoding never raises and never loses what it can show: octets that mean nothing in their coding
become U+FFFD.  `data_coding` is read as SMPP 3.4 (5.2.19) has it, which leaves the values from
0x10 on to 3GPP TS 23.038, section 4.  What 0 means is a property of the link, not of the message.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from telcod.text.gsm import decode_gsm7, fill_bits_after, unpack

DefaultAlphabet = Literal["gsm7", "gsm7-packed", "latin1", "ascii"]

DATA_CODING_DEFAULT: Final = 0x00
DATA_CODING_UCS2: Final = 0x08
MESSAGE_OCTETS_MAX: Final = 140  # Of one short message, its user data header included.

_UCS2: Final = "ucs2"
_DEFAULT: Final = "default"
_OCTETS: Final = "latin-1"  # Eight-bit data is no text; Latin-1 at least keeps every octet.

# SMPP 3.4, table 5.2.19.  Values are Python's codecs, besides the two words above.
_BY_SMPP: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x00: _DEFAULT,
        0x01: "ascii",
        0x02: _OCTETS,
        0x03: "latin-1",
        0x04: _OCTETS,
        0x05: "shift_jis",
        0x06: "iso8859-5",
        0x07: "iso8859-8",
        0x08: _UCS2,
        0x0A: "iso2022_jp",
        0x0E: "euc_kr",
    }
)
# Bits 3 and 2 of the general groups of 23.038; the fourth value is reserved, and is then default.
_GENERAL: Final = (_DEFAULT, _OCTETS, _UCS2, _DEFAULT)
_COMPRESSED: Final = 0x20
_BOM_SWAPPED: Final = b"\xff\xfe"
_BOM: Final = "\ufeff"


def _by_dcs(data_coding: int) -> str:
    """The alphabet of one value from 0x10 on: 23.038, section 4, group by group."""
    if data_coding <= 0x7F:  # General data coding, with or without automatic deletion.
        compressed = data_coding & _COMPRESSED  # Nobody sends it; shown as the octets it is.
        return _OCTETS if compressed else _GENERAL[data_coding >> 2 & 0x03]
    if data_coding <= 0xBF:  # Reserved: "the receiving entity shall assume the default alphabet".
        return _DEFAULT
    if data_coding <= 0xDF:  # Message waiting: discard (0xC0), store (0xD0).
        return _DEFAULT
    if data_coding <= 0xEF:  # Message waiting: store, in UCS-2.
        return _UCS2
    return _OCTETS if data_coding & 0x04 else _DEFAULT  # Data coding and message class.


_ALPHABETS: Final = tuple(
    _by_dcs(value) if value > 0x0F else _BY_SMPP.get(value, _OCTETS) for value in range(0x100)
)


def decode_short_message(
    data: bytes,
    data_coding: int,
    default_alphabet: DefaultAlphabet = "gsm7",
    *,
    udh_octets: int = 0,
) -> str:
    """The text of a message; never raises.

    Decode a long message whole where its parts are octets of one coding: an escape pair or a
    surrogate pair that the peer cut in two is then whole again.  Only packed parts must be
    decoded one by one, since each begins at its own bit.

    Args:
        data: `short_message` or `message_payload`, without the user data header.
        data_coding: As received, 0 to 255; values beyond mean what their low octet means.
        default_alphabet: What the default alphabet is on this link.
        udh_octets: Length of the header that was cut off, its length octet included; packed
            text begins after its fill bits.
    """
    alphabet = _ALPHABETS[data_coding & 0xFF]
    if alphabet is _DEFAULT:
        if default_alphabet == "gsm7":
            return decode_gsm7(data)
        if default_alphabet == "gsm7-packed":
            return decode_packed(data, udh_octets=udh_octets)
        return data.decode(default_alphabet, "replace")
    if alphabet is _UCS2:
        return decode_ucs2(data)
    return data.decode(alphabet, "replace")


def decode_ucs2(data: bytes) -> str:
    """UTF-16 in network order; an odd octet or half a pair becomes U+FFFD; never raises.

    A byte order mark is dropped, and obeyed if it says that the octets are swapped (some phones).
    """
    if data.startswith(_BOM_SWAPPED):
        return data[2:].decode("utf-16-le", "replace")
    return data.decode("utf-16-be", "replace").removeprefix(_BOM)


def encode_ucs2(text: str) -> bytes:
    """UTF-16 in network order; half a surrogate pair, which is no character, becomes `?`."""
    return text.encode("utf-16-be", "replace")


def decode_packed(data: bytes, *, udh_octets: int = 0) -> str:
    """The text of packed septets; see `telcod.text.gsm.unpack` for what ends it."""
    fill_bits = fill_bits_after(udh_octets)
    full = udh_octets + len(data) == MESSAGE_OCTETS_MAX
    # A full message has no spare bits: part one of two would else lose an `@` at its end.
    count = (len(data) * 8 - fill_bits) // 7 if full else None
    return decode_gsm7(unpack(data, fill_bits=fill_bits, count=count))


def without_nul(text: str) -> str:
    """The text with U+FFFD for each NUL, which no phone shows and not every database keeps."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
