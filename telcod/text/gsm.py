"""The GSM 7 bit default alphabet and its extension table (3GPP TS 23.038, 6.2.1).  Pure.

A *septet* is kept in one octet unless a name says `packed`.  Decoding never raises: octets that
no septet can be become U+FFFD, for what a peer sends is data, not a fault of ours.
"""

import codecs
import re
from types import MappingProxyType
from typing import Final

# One row of sixteen per line, as the standard prints its columns.
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
ESC: Final = "\x1b"
ESC_SEPTET: Final = 0x1B
_CR_SEPTET: Final = 0x0D
_EXTENSION: Final = MappingProxyType(
    {
        "\f": 0x0A,
        "^": 0x14,
        "{": 0x28,
        "}": 0x29,
        "\\": 0x2F,
        "[": 0x3C,
        "~": 0x3D,
        "]": 0x3E,
        "|": 0x40,
        "€": 0x65,
    }
)
EXTENSION_CHARACTERS: Final = frozenset(_EXTENSION)

# Where the alphabet agrees with ASCII, which is nearly all that an unaccented text has.
_SAME_AS_ASCII: Final = bytes(
    septet for septet, char in enumerate(_BASIC) if ord(char) == septet and char != ESC
)
_UNDEFINED: Final = "\ufffe"  # What Python's charmap codec takes for "nothing is mapped here".
_DECODING: Final = _BASIC + _UNDEFINED * 128
# Two encoders, so that a raw escape in a text is refused and never makes a pair with what follows.
# Not of `codecs.charmap_build`, to which U+FFFE is a character like any other.
_ENCODING_WITH_ESC: Final = {ord(char): septet for septet, char in enumerate(_BASIC)}
_ENCODING: Final = {code: septet for code, septet in _ENCODING_WITH_ESC.items() if chr(code) != ESC}
_TO_PAIR: Final = MappingProxyType(
    {ord(char): ESC + _BASIC[septet] for char, septet in _EXTENSION.items()}
)
_FROM_PAIR: Final = MappingProxyType(
    {_BASIC[septet]: char for char, septet in _EXTENSION.items()} | {"": " ", ESC: " "}
)
_PAIR: Final = re.compile(ESC + "(.?)", re.DOTALL)

_SEPTET_BITS: Final = 7
_OCTET_BITS: Final = 8
_SEPTET_MASK: Final = 0x7F


class NotGsm7Error(ValueError):
    """A text has characters that the alphabet lacks; send it as UCS-2, or do without them."""

    def __init__(self, characters: str) -> None:
        super().__init__(f"not in the GSM 7 bit alphabet: {characters!r}")
        self.characters = characters


def gsm7_or_none(text: str) -> bytes | None:
    """One septet per octet, escape pairs included; None if the text does not fit the alphabet."""
    if text.isascii():
        octets = text.encode("ascii")
        if not octets.translate(None, _SAME_AS_ASCII):
            return octets
    try:
        return codecs.charmap_encode(text, "strict", _ENCODING)[0]
    except UnicodeEncodeError:
        if ESC in text:
            return None
    try:
        return codecs.charmap_encode(text.translate(_TO_PAIR), "strict", _ENCODING_WITH_ESC)[0]
    except UnicodeEncodeError:
        return None


def encode_gsm7(text: str) -> bytes:
    """One septet per octet, escape pairs included.

    Raises:
        NotGsm7Error: Some characters are not in the alphabet; the error names them.
    """
    septets = gsm7_or_none(text)
    if septets is None:
        raise NotGsm7Error(foreign_characters(text))
    return septets


def decode_gsm7(septets: bytes) -> str:
    """The text of septets kept one per octet; never raises.

    The standard decides the odd cases (6.2.1.1 and its notes): an escape before a code that the
    extension lacks shows the basic character of that code; a doubled or a last escape shows a
    blank.  Join the parts of a long message first: some peers cut between an escape and its code.
    """
    text = codecs.charmap_decode(septets, "replace", _DECODING)[0]
    if ESC not in text:
        return text
    return _PAIR.sub(lambda pair: _FROM_PAIR.get(pair[1], pair[1]), text)


def is_gsm7(text: str) -> bool:
    """Whether every character is in the alphabet or its extension."""
    return gsm7_or_none(text) is not None


def septets(text: str) -> int:
    """How many septets a text needs; characters of the extension need two.

    Raises:
        NotGsm7Error: Some characters are not in the alphabet.
    """
    return len(encode_gsm7(text))


def foreign_characters(text: str) -> str:
    """The characters that the alphabet lacks, each once, in the order of their first use."""
    return "".join(char for char in dict.fromkeys(text) if gsm7_or_none(char) is None)


def pack(septets: bytes, *, fill_bits: int = 0) -> bytes:
    """Seven-bit packing, lowest bits first, after `fill_bits` zero bits (0 to 6).

    The fill bits are those after a user data header; see `fill_bits_after`.
    """
    bits = 0
    for position, septet in enumerate(septets):
        bits |= (septet & _SEPTET_MASK) << position * _SEPTET_BITS
    octets = -(-(fill_bits + len(septets) * _SEPTET_BITS) // _OCTET_BITS)
    return (bits << fill_bits).to_bytes(octets, "little")


def unpack(packed: bytes, *, fill_bits: int = 0, count: int | None = None) -> bytes:
    """Septets, one per octet, from seven-bit packing; never raises.

    Args:
        packed: The octets after the user data header.
        fill_bits: Bits to skip at the start, 0 to 6; see `fill_bits_after`.
        count: How many septets there are, if the peer said so.  SMPP counts octets, so it mostly
            did not; then seven spare bits at the end cannot be told from a last septet.  They are
            taken for padding if they are zero or a carriage return (23.038, 6.1.2.3.1), for
            a stray `@` after a password does more harm than a lost one.
    """
    bits = len(packed) * _OCTET_BITS - fill_bits
    room = max(bits // _SEPTET_BITS, 0)
    number = int.from_bytes(packed, "little") >> fill_bits
    found = bytes(
        number >> position & _SEPTET_MASK
        for position in range(0, room * _SEPTET_BITS, _SEPTET_BITS)
    )
    if count is not None:
        return found[:count]
    if found and bits % _SEPTET_BITS == 0 and found[-1] in (0, _CR_SEPTET):
        return found[:-1]
    return found


def pad_with_cr(septets: bytes, *, fill_bits: int = 0) -> bytes:
    """Add the carriage return that 23.038 asks for where spare bits would read as `@`."""
    spare = -(fill_bits + len(septets) * _SEPTET_BITS) % _OCTET_BITS
    ends_on_cr = spare == 0 and septets.endswith(b"\r")
    return septets + b"\r" if spare == _SEPTET_BITS or ends_on_cr else septets


def fill_bits_after(udh_octets: int) -> int:
    """Zero bits between a user data header of that many octets, length included, and the text."""
    return -udh_octets * _OCTET_BITS % _SEPTET_BITS
