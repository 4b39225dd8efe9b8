"""Numbers as they are spoken, word by word, from recordings of the words (IVR-6).  Pure.

A number becomes *stems*: the names of recordings, the same in every voice.  `WORDS` says what each
of them holds, so that recordings can be made, or the words be spoken where there are none.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from telcod.types import Language

NUMBER_MAX: Final = 10**12 - 1  # more than an amount can be

_UNITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín", "mười")
_VI: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{str(value): word for value, word in enumerate(_UNITS)},
        "tens": "mươi",
        "one-after-tens": "mốt",
        "five-after-tens": "lăm",
        "zero-tens": "linh",
        "hundred": "trăm",
        "thousand": "nghìn",
        "million": "triệu",
        "billion": "tỷ",
    }
)
# fmt: off
_SMALL: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_EN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{str(value): word for value, word in enumerate(_SMALL)},
        **{str(value): word for value, word in zip(range(20, 100, 10), _TENS, strict=True)},
        "hundred": "hundred",
        "thousand": "thousand",
        "million": "million",
        "billion": "billion",
    }
)
WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {Language.VI.value: _VI, Language.EN.value: _EN}
)

_SCALES: Final = ("billion", "million", "thousand", "")


def number_stems(value: int, language: str) -> tuple[str, ...]:
    """The words of a number, as names of recordings.

    Args:
        value: 0 to `NUMBER_MAX`.
        language: One that `WORDS` has; any other counts as Vietnamese.

    Raises:
        ValueError: The number is out of range.
    """
    if not 0 <= value <= NUMBER_MAX:
        raise ValueError(f"{value} is no amount that can be spoken")
    if value == 0:
        return ("0",)
    hundreds = _en_hundreds if language == Language.EN else _vi_hundreds
    return tuple(_groups(value, hundreds))


def _groups(value: int, hundreds: Callable[[int, bool], Iterator[str]]) -> Iterator[str]:
    """Thousands, from the left; every group but the first knows that something came before it."""
    inner = False
    for power, scale in zip((9, 6, 3, 0), _SCALES, strict=True):
        group = value // 10**power % 1_000
        if group:
            yield from hundreds(group, inner)
            if scale:
                yield scale
            inner = True


def _vi_hundreds(group: int, inner: bool) -> Iterator[str]:  # noqa: FBT001  # see `_groups`
    """1 to 999: inside a number the hundreds are always named ("một nghìn không trăm linh năm")."""
    hundreds, rest = divmod(group, 100)
    tens, unit = divmod(rest, 10)
    if hundreds or inner:
        yield str(hundreds)
        yield "hundred"
    if tens == 1:
        yield "10"
    elif tens:
        yield str(tens)
        yield "tens"
    elif unit and (hundreds or inner):
        yield "zero-tens"
    if unit == 5 and tens:
        yield "five-after-tens"
    elif unit == 1 and tens > 1:
        yield "one-after-tens"
    elif unit:
        yield str(unit)


def _en_hundreds(group: int, inner: bool) -> Iterator[str]:  # noqa: ARG001, FBT001  # see `_groups`
    """1 to 999."""
    hundreds, rest = divmod(group, 100)
    if hundreds:
        yield str(hundreds)
        yield "hundred"
    if rest >= 20:
        yield str(rest - rest % 10)
        rest %= 10
    if rest:
        yield str(rest)
