"""Numbers: every accepted form of a number, and its one canonical form.  Pure.

Canonical is `84` and nine digits, as an int (84903123456): the key of a subscriber everywhere,
in memory and in the database.  The rules:

- The *length* says which form a number is in; a leading 84 alone says nothing, because `841234567`
  and `0841234567` are national numbers of a network whose numbers begin with 84.  Only a plus or
  a leading 00 announces that a country code follows.
- Old 11-digit numbers are converted by a map of prefixes, which is configuration.
- The prefix never tells whose number it is: numbers are portable.
- Any decimal digit of Unicode counts as a digit, and blanks, dots, dashes, brackets, underscores
  and invisible characters (address books add them) may stand anywhere: a person pasted it.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, NewType
from unicodedata import category, decimal

Msisdn = NewType("Msisdn", int)

OLD_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {"0120": "070", "0121": "079", "0122": "077", "0126": "076", "0128": "078"}
)

TON_INTERNATIONAL: Final = 1
TON_ALPHANUMERIC: Final = 5
NPI_INTERNET: Final = 14
NPI_WAP: Final = 18

SHORT_CODE_DIGITS_MAX: Final = 6
E164_DIGITS_MAX: Final = 15

_COUNTRY: Final = "84"
_COUNTRY_BASE: Final = 84_000_000_000
_NATIONAL_DIGITS: Final = 9
_OLD_NATIONAL_DIGITS: Final = 10
_OLD_KEPT_DIGITS: Final = 7
_CANONICAL_DIGITS: Final = len(_COUNTRY) + _NATIONAL_DIGITS

# A number typed digit by digit with its country code: "+ 8 4 ( 0 ) 1 2 0 ..." and some.
_GROUP_WORDS_MAX: Final = 18
# 00, country, 0 and an old number: what has more digits is no number, whatever follows.
_DIGITS_MAX: Final = 15
# A word this long was meant as a number of its own, not as a piece of one.
_OWN_WORD_CHARS_MIN: Final = 7

_SEPARATORS: Final = str.maketrans("", "", " \t\r\n\v\f.-()[]_")
_SEPARATOR_CATEGORIES: Final = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Pd", "Ps", "Pe"})
_BETWEEN_NUMBERS: Final = re.compile(r"[,;\r\n，；、]")
_BETWEEN_WORDS: Final = re.compile(r"[\s_]+")
_OLD_PREFIX_FORM: Final = re.compile(r"0[0-9]{3}", re.ASCII)
_NEW_PREFIX_FORM: Final = re.compile(r"0[1-9][0-9]", re.ASCII)


class NumberError(StrEnum):
    """Why a text is no number of this country.  Checked, and reported, in this order."""

    EMPTY = "empty"
    NAME = "name"  # Only of a sender's address: letters, which can be neither called nor texted.
    NOT_A_NUMBER = "not_a_number"
    SHORT_CODE = "short_code"
    FOREIGN = "foreign"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"


class Typed(NamedTuple):
    """One number of several, as it was typed and as it was understood."""

    text: str
    number: Msisdn | NumberError


def parse(text: str, old_prefixes: Mapping[str, str] = OLD_PREFIXES) -> Msisdn | NumberError:
    """Understand one number, in any accepted form; never raises.

    Accepted are `0903123456`, `84903123456`, `+84903123456`, `0084903123456`, `903123456`, the
    written form `+84 (0)903123456`, and each of these with an old ten-digit number
    (`01201234567`, `1201234567`, `841201234567`, ...).

    Args:
        text: What was typed or received.
        old_prefixes: Four digits of before 2018 (`0120`) to three of today (`070`); see
            `old_prefix_problems`.
    """
    if text.isascii() and text.isdigit():
        # The two forms that nearly everybody uses, decided before anything is cut up.
        if len(text) == _CANONICAL_DIGITS and text.startswith(_COUNTRY) and text[2] != "0":
            return Msisdn(int(text))
        if len(text) == _NATIONAL_DIGITS + 1 and text[0] == "0" and text[1] != "0":
            return Msisdn(_COUNTRY_BASE + int(text))
        return _parse_digits(text, old_prefixes)
    bare = text.translate(_SEPARATORS) if text.isascii() else "".join(map(_bare, text))
    if not bare:
        return NumberError.EMPTY
    digits = bare.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return NumberError.NOT_A_NUMBER
    if len(digits) < len(bare):
        return _parse_international(digits, old_prefixes)
    return _parse_digits(digits, old_prefixes)


def parse_many(text: str, old_prefixes: Mapping[str, str] = OLD_PREFIXES) -> tuple[Typed, ...]:
    """Understand all numbers of a text, each with its own verdict, in the order typed.

    Commas, semicolons and line ends separate numbers.  A blank may separate two numbers or stand
    inside one, so between two commas the words are read as one number if that makes one; else
    words are joined, from the left, as few as make a number.  What makes none is reported with
    its neighbours that make none, unless it is long enough to have been meant as a number.
    """
    found: list[Typed] = []
    for piece in _BETWEEN_NUMBERS.split(text):
        words = _BETWEEN_WORDS.split(piece)
        words = [word for word in words if parse(word, old_prefixes) is not NumberError.EMPTY]
        if words:
            found += _group(words, old_prefixes)
    return tuple(found)


def from_address(
    addr: str, ton: int, npi: int, old_prefixes: Mapping[str, str] = OLD_PREFIXES
) -> Msisdn | NumberError:
    """Understand the source address of a message; never raises.

    Peers are sloppy with the type of number: an address marked international that begins with 0
    is read as if it were not marked, and one marked national may be in any form.  Letters, or a
    type that says letters, are a `NAME`; up to six digits are a `SHORT_CODE`.

    Args:
        addr: `source_addr` as received.
        ton: `source_addr_ton`; 1 international, 5 alphanumeric, anything else: the length decides.
        npi: `source_addr_npi`; an Internet address may look like a number and is a `NAME`.
        old_prefixes: As for `parse`.
    """
    if not addr:
        return NumberError.EMPTY
    if ton == TON_ALPHANUMERIC or npi in (NPI_INTERNET, NPI_WAP):
        return NumberError.NAME
    marked = ton == TON_INTERNATIONAL and addr.isascii() and addr.isdigit() and addr[0] != "0"
    if marked and len(addr) == _CANONICAL_DIGITS and addr.startswith(_COUNTRY) and addr[2] != "0":
        return Msisdn(int(addr))  # Nearly all.
    if marked and len(addr) > SHORT_CODE_DIGITS_MAX:
        return _parse_international(addr, old_prefixes)
    number = parse(addr, old_prefixes)
    return NumberError.NAME if number is NumberError.NOT_A_NUMBER else number


def national(number: Msisdn) -> str:
    """`0903123456`, as texts to people show it."""
    return f"0{number - _COUNTRY_BASE:09d}"


def international(number: Msisdn) -> str:
    """`84903123456`, as addresses on the wire have it."""
    return str(number)


def masked(number: Msisdn) -> str:
    """`8490***3456`, as logs may show it: enough to tell two apart, not enough to call."""
    digits = str(number)
    return f"{digits[:4]}***{digits[-4:]}"


def old_prefix_problems(old_prefixes: Mapping[str, str]) -> tuple[str, ...]:
    """Say what is wrong with a configured map of old prefixes; empty if nothing is."""
    return tuple(
        f"{old!r} = {new!r}: expected four digits and three digits, both beginning with 0"
        for old, new in old_prefixes.items()
        if not (_OLD_PREFIX_FORM.fullmatch(old) and _NEW_PREFIX_FORM.fullmatch(new))
    )


def _bare(char: str) -> str:
    """One character of a pasted number: its plain digit, nothing for a separator, or itself."""
    digit = decimal(char, None)
    if digit is not None:
        return str(digit)
    if char in "._" or category(char) in _SEPARATOR_CATEGORIES:
        return ""
    return "+" if char == "＋" else char


def _parse_digits(digits: str, old_prefixes: Mapping[str, str]) -> Msisdn | NumberError:
    """Digits without a plus: the length, and only a leading zero, say what they are."""
    length = len(digits)
    if length <= SHORT_CODE_DIGITS_MAX:
        return NumberError.SHORT_CODE
    if digits.startswith("00"):
        return _parse_international(digits[2:], old_prefixes)
    if digits[0] == "0":
        return _parse_national(digits[1:], old_prefixes)
    if length <= _OLD_NATIONAL_DIGITS:
        return _parse_national(digits, old_prefixes)
    return _parse_international(digits, old_prefixes)


def _parse_international(digits: str, old_prefixes: Mapping[str, str]) -> Msisdn | NumberError:
    if not digits or digits[0] == "0":
        return NumberError.NOT_A_NUMBER  # No country code begins with 0.
    if digits.startswith(_COUNTRY):
        return _parse_national(digits[2:].removeprefix("0"), old_prefixes)
    return NumberError.FOREIGN if len(digits) <= E164_DIGITS_MAX else NumberError.TOO_LONG


def _parse_national(digits: str, old_prefixes: Mapping[str, str]) -> Msisdn | NumberError:
    """Digits without country code and without the leading 0."""
    if len(digits) < _NATIONAL_DIGITS:
        return NumberError.TOO_SHORT
    if len(digits) == _NATIONAL_DIGITS:
        if digits[0] == "0":
            return NumberError.NOT_A_NUMBER
        return Msisdn(_COUNTRY_BASE + int(digits))
    if len(digits) == _OLD_NATIONAL_DIGITS:
        new_prefix = old_prefixes.get("0" + digits[:-_OLD_KEPT_DIGITS])
        if new_prefix is not None:
            return Msisdn(_COUNTRY_BASE + int(new_prefix + digits[-_OLD_KEPT_DIGITS:]))
    return NumberError.TOO_LONG


def _group(words: list[str], old_prefixes: Mapping[str, str]) -> list[Typed]:
    """Join words to numbers, as `parse_many` says."""
    if len(words) <= _GROUP_WORDS_MAX:
        number = parse("".join(words), old_prefixes)
        if not isinstance(number, NumberError):
            return [Typed(" ".join(words), number)]
    found: list[Typed] = []
    unclear: list[str] = []
    position = 0
    while position < len(words):
        number, end = _first_number(words, position, old_prefixes)
        if isinstance(number, NumberError):
            unclear.append(words[position])
        else:
            found += _unclear(unclear, old_prefixes)
            unclear = []
            found.append(Typed(" ".join(words[position:end]), number))
        position = end
    return found + _unclear(unclear, old_prefixes)


def _first_number(
    words: list[str], start: int, old_prefixes: Mapping[str, str]
) -> tuple[Msisdn | NumberError, int]:
    """The number that the fewest words from `start` on make, and the place after them."""
    joined = ""
    for end in range(start + 1, min(start + _GROUP_WORDS_MAX, len(words)) + 1):
        joined += words[end - 1]
        number = parse(joined, old_prefixes)
        if not isinstance(number, NumberError):
            return number, end
        # Or a text of nothing but digits, as long as texts can be, would take a while.
        if len(joined) > _DIGITS_MAX and sum(map(str.isdecimal, joined)) > _DIGITS_MAX:
            break
    return NumberError.NOT_A_NUMBER, start + 1


def _unclear(words: list[str], old_prefixes: Mapping[str, str]) -> list[Typed]:
    """Verdicts on words that make no number: long ones alone, runs of short ones together."""
    runs: list[list[str]] = []
    for word in words:
        own = len(word) >= _OWN_WORD_CHARS_MIN
        if own or not runs or len(runs[-1][-1]) >= _OWN_WORD_CHARS_MIN:
            runs.append([word])
        else:
            runs[-1].append(word)
    return [Typed(" ".join(run), parse("".join(run), old_prefixes)) for run in runs]
