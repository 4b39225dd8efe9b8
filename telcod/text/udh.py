"""The user data header at the start of a message (3GPP TS 23.040, 9.2.3.24).  Pure.

Only concatenation matters here; every other element is skipped, as the standard wants.  A header
that lies about its lengths is ignored as a whole (9.2.3.24: "the whole User Data Header shall be
ignored"): reading it gives a value with a `problem`, never an exception.
"""

from enum import StrEnum
from typing import Final, NamedTuple

PARTS_TOTAL_MAX: Final = 255
UDH_CONCAT_OCTETS: Final = 6
UDH_CONCAT_WIDE_OCTETS: Final = 7

_CONCAT_8_BIT: Final = 0x00
_CONCAT_16_BIT: Final = 0x08
_CONCAT_OCTETS: Final = {_CONCAT_8_BIT: 3, _CONCAT_16_BIT: 4}


class UdhProblem(StrEnum):
    """Why a header, or its concatenation, was not believed."""

    EMPTY = "empty"
    BEYOND_MESSAGE = "beyond_message"  # The header is longer than what follows: there is none.
    ELEMENT_BEYOND_HEADER = "element_beyond_header"
    CONCAT_LENGTH = "concat_length"
    CONCAT_NUMBERS = "concat_numbers"  # No parts, part 0, or a part after the last one.


class Concat(NamedTuple):
    """Which part of which long message this is; parts count from 1."""

    reference: int
    total: int
    part: int
    wide: bool = False  # A 16 bit reference: never the same message as an 8 bit one.


class Udh(NamedTuple):
    """What a header says, and how many octets it takes, its own length octet included."""

    octets: int
    concat: Concat | None = None
    problem: UdhProblem | None = None


def parse_udh(data: bytes) -> tuple[Udh, bytes]:
    """Read the header off a message that is flagged to have one; never raises.

    Returns:
        The header and the octets of the text.  If the flag was wrong, as with some peers, and
        what follows can be no header, all octets are text and the header takes none.
    """
    if not data:
        return Udh(0, problem=UdhProblem.EMPTY), data
    end = 1 + data[0]
    if end > len(data):
        return Udh(0, problem=UdhProblem.BEYOND_MESSAGE), data
    concat: Concat | None = None
    problem: UdhProblem | None = None
    position = 1
    while position < end:
        value_at = position + 2
        if value_at > end or value_at + data[position + 1] > end:
            return Udh(end, problem=UdhProblem.ELEMENT_BEYOND_HEADER), data[end:]
        element, value = data[position], data[value_at : value_at + data[position + 1]]
        if element in _CONCAT_OCTETS:
            # A repeated or contradicting element: the last one counts (9.2.3.24).
            found = _concat(element, value)
            if isinstance(found, Concat):
                concat = found
            else:
                problem = found
        position = value_at + len(value)
    return Udh(end, concat, problem), data[end:]


def udh_concat(reference: int, total: int, part: int, *, wide: bool = False) -> bytes:
    """The header of one part of a long message.

    Args:
        reference: 0 to 255, or 0 to 65 535 if `wide`.
        total: How many parts there are, 1 to 255.
        part: Which one this is, from 1.
        wide: Use the 16 bit reference; it costs the text one octet.

    Raises:
        ValueError: A number does not fit.  A caller's bug.
    """
    if not 0 <= reference <= (0xFFFF if wide else 0xFF):
        raise ValueError(f"concatenation reference {reference} does not fit")
    if not 1 <= part <= total <= PARTS_TOTAL_MAX:
        raise ValueError(f"no part {part} of {total}")
    if wide:
        return bytes((6, _CONCAT_16_BIT, 4, reference >> 8, reference & 0xFF, total, part))
    return bytes((5, _CONCAT_8_BIT, 3, reference, total, part))


def _concat(element: int, value: bytes) -> Concat | UdhProblem:
    if len(value) != _CONCAT_OCTETS[element]:
        return UdhProblem.CONCAT_LENGTH
    total, part = value[-2:]
    if not 1 <= part <= total:
        return UdhProblem.CONCAT_NUMBERS  # "shall ignore the whole Information Element"
    return Concat(int.from_bytes(value[:-2]), total, part, wide=element == _CONCAT_16_BIT)
