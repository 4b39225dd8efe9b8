"""How many short messages a text takes, and which.  Pure.

One message holds 160 septets or 70 UTF-16 units; a part of a longer one holds 153 or 67, because
the header that joins the parts takes six octets (152 or 66 with a 16 bit reference).  A part never
ends within an escape pair or a surrogate pair, so it may hold one unit less.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from telcod.text.codings import (
    DATA_CODING_DEFAULT,
    DATA_CODING_UCS2,
    MESSAGE_OCTETS_MAX,
    DefaultAlphabet,
    encode_ucs2,
)
from telcod.text.gsm import (
    ESC_SEPTET,
    decode_gsm7,
    fill_bits_after,
    gsm7_or_none,
    pack,
    pad_with_cr,
)
from telcod.text.udh import PARTS_TOTAL_MAX, UDH_CONCAT_OCTETS, UDH_CONCAT_WIDE_OCTETS

GSM7_SINGLE: Final = 160
GSM7_PART: Final = 153
UCS2_SINGLE: Final = 70
UCS2_PART: Final = 67

_WIDE_COST: Final = 1  # One unit of either alphabet: 152 septets, 66 UTF-16 units.
_UNIT_OCTETS: Final = 2
_HIGH_SURROGATES: Final = range(0xD8, 0xDC)  # By first octet.


class Alphabet(StrEnum):
    """What a text is counted in."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


class Parts(msgspec.Struct, frozen=True, gc=False):
    """The size of a text: messages, alphabet, and septets or UTF-16 units altogether."""

    count: int
    alphabet: Alphabet
    units: int


class Part(NamedTuple):
    """One short message of a text, as it goes on the wire."""

    number: int  # From 1.
    total: int
    text: str
    data_coding: int
    data: bytes  # Without a header; if `total` is above 1, `udh_concat` goes in front.


class TextTooLongError(ValueError):
    """A text needs more than 255 parts; no header can number them.  Count before splitting."""


def count_parts(text: str) -> Parts:
    """How many messages a text is sent as, and so charged as; an empty one is one.

    The parts are numbered by an 8 bit reference on a link whose default alphabet is GSM 7 bit.
    """
    septets = gsm7_or_none(text)
    if septets is not None:
        if len(septets) <= GSM7_SINGLE:
            return Parts(1, Alphabet.GSM7, len(septets))
        return Parts(sum(1 for _ in _cut_gsm7(septets, GSM7_PART)), Alphabet.GSM7, len(septets))
    octets = encode_ucs2(text)
    units = len(octets) // _UNIT_OCTETS
    if units <= UCS2_SINGLE:
        return Parts(1, Alphabet.UCS2, units)
    return Parts(sum(1 for _ in _cut_ucs2(octets, UCS2_PART)), Alphabet.UCS2, units)


def room_septets(parts: int) -> int:
    """How many septets fit into that many messages, if no escape pair lies on a cut."""
    return GSM7_SINGLE if parts == 1 else GSM7_PART * parts


@lru_cache(maxsize=1_024)  # Most answers are one of a few.
def split(
    text: str, default_alphabet: DefaultAlphabet = "gsm7", *, wide: bool = False
) -> tuple[Part, ...]:
    """Cut a text into the messages that carry it, encoded for a link.

    Args:
        text: Any text; half a surrogate pair becomes `?`.
        default_alphabet: What `data_coding` 0 means on the link.  A text that fits GSM 7 bit but
            not the link's alphabet goes as UCS-2.
        wide: The parts will be numbered by a 16 bit reference.

    Returns:
        One part or more; their texts joined are the text.

    Raises:
        TextTooLongError: It would be more than 255 parts.
    """
    septets = gsm7_or_none(text)
    if septets is not None and _fits_default(text, default_alphabet):
        if len(septets) <= GSM7_SINGLE:
            data = _on_wire(septets, text, default_alphabet, udh_octets=0)
            return (Part(1, 1, text, DATA_CODING_DEFAULT, data),)
        header = UDH_CONCAT_WIDE_OCTETS if wide else UDH_CONCAT_OCTETS
        pieces = list(_cut_gsm7(septets, GSM7_PART - wide * _WIDE_COST))
        texts = [decode_gsm7(piece) for piece in pieces]
        datas = [
            _on_wire(piece, piece_text, default_alphabet, udh_octets=header)
            for piece, piece_text in zip(pieces, texts, strict=True)
        ]
        return _numbered(texts, DATA_CODING_DEFAULT, datas)
    octets = encode_ucs2(text)
    if len(octets) <= UCS2_SINGLE * _UNIT_OCTETS:
        return (Part(1, 1, text, DATA_CODING_UCS2, octets),)
    datas = list(_cut_ucs2(octets, UCS2_PART - wide * _WIDE_COST))
    return _numbered([octets.decode("utf-16-be") for octets in datas], DATA_CODING_UCS2, datas)


def _numbered(texts: list[str], data_coding: int, datas: list[bytes]) -> tuple[Part, ...]:
    total = len(datas)
    if total > PARTS_TOTAL_MAX:
        raise TextTooLongError(f"text needs {total} parts, {PARTS_TOTAL_MAX} can be numbered")
    return tuple(
        Part(number, total, text, data_coding, data)
        for number, (text, data) in enumerate(zip(texts, datas, strict=True), start=1)
    )


def _fits_default(text: str, default_alphabet: DefaultAlphabet) -> bool:
    if default_alphabet == "ascii" or text.isascii():
        return text.isascii()
    if default_alphabet == "latin1":
        return max(text) <= "\xff"
    return True


def _on_wire(
    septets: bytes, text: str, default_alphabet: DefaultAlphabet, *, udh_octets: int
) -> bytes:
    """A piece of a text in a link's default alphabet."""
    if default_alphabet == "gsm7":
        return septets
    if default_alphabet == "gsm7-packed":
        fill_bits = fill_bits_after(udh_octets)
        packed = pack(pad_with_cr(septets, fill_bits=fill_bits), fill_bits=fill_bits)
        if udh_octets + len(packed) > MESSAGE_OCTETS_MAX:  # Full, and ends on its own return.
            return pack(septets, fill_bits=fill_bits)
        return packed
    return text.encode(default_alphabet)


def _cut_gsm7(septets: bytes, room: int) -> Iterator[bytes]:
    start = 0
    while start < len(septets):
        end = start + room
        # In an encoded text an escape always has its code after it: a cut there would part them.
        if end < len(septets) and septets[end - 1] == ESC_SEPTET:
            end -= 1
        yield septets[start:end]
        start = end


def _cut_ucs2(octets: bytes, room_units: int) -> Iterator[bytes]:
    start, room = 0, room_units * _UNIT_OCTETS
    while start < len(octets):
        end = start + room
        if end < len(octets) and octets[end - _UNIT_OCTETS] in _HIGH_SURROGATES:
            end -= _UNIT_OCTETS
        yield octets[start:end]
        start = end
