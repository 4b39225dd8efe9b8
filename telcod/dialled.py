"""What was dialled: the short code alone, the short code and a number, or a number (PFM-10,
PFM-11).  Pure.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from telcod.msisdn import Msisdn, NumberError, parse

SHORT_CODE: Final = "1566"


class Guidance(NamedTuple):
    """1566 alone: the guidance announcement (PFM-3)."""


class Direct(NamedTuple):
    """A number without the short code; None when it is none of this country's."""

    number: Msisdn | None


class Asked(NamedTuple):
    """1566 and a number: somebody is asked to pay; None when it is no number."""

    number: Msisdn | None


def read_dialled(dialled: str, old_prefixes: Mapping[str, str]) -> Guidance | Direct | Asked:
    """Understand what was dialled.

    Never raises.  Blanks, dots, dashes and brackets don't matter, nor does a closing `#`.
    """
    digits = "".join(char for char in dialled if char.isascii() and (char.isdigit() or char == "+"))
    if digits == SHORT_CODE:
        return Guidance()
    if digits.startswith(SHORT_CODE):
        return Asked(_number(digits.removeprefix(SHORT_CODE), old_prefixes))
    return Direct(_number(digits, old_prefixes))


def _number(text: str, old_prefixes: Mapping[str, str]) -> Msisdn | None:
    number = parse(text, old_prefixes)
    return None if isinstance(number, NumberError) else number
