"""Values as texts to people show them: money, times, lists, and foreign words made safe.  Pure.

All results are GSM 7 bit, one septet per character, so that their length is their size.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from telcod.days import local_ms
from telcod.text.fold import unaccent
from telcod.text.gsm import EXTENSION_CHARACTERS, is_gsm7

SEPARATOR: Final = ", "

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_SAFE: Final = re.compile(r"[A-Za-z0-9 .,:;!?'\"()/+*#@&%=<>_-]*")
_LOOK_ALIKE: Final = MappingProxyType(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "`": "'", "´": "'",
        "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"',
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "~": "-",
        "[": "(", "]": ")", "{": "(", "}": ")", "|": "/", "\\": "/", "₫": "d",
    }
)  # fmt: skip
_CACHED_DAYS: Final = 512
_CACHED_CHARACTERS: Final = 1024


def money(amount_vnd: int) -> str:
    """`1.000d`: whole đồng with a dot for thousands."""
    return f"{amount_vnd:,}d".replace(",", ".")


def local_time(at_ms: int) -> str:
    """`HH:MM dd/mm/yyyy` in Viet Nam.

    Args:
        at_ms: Unix time in milliseconds.

    Raises:
        ValueError, OverflowError: The moment is beyond the calendar.  A caller's bug.
    """
    day, in_day_ms = divmod(local_ms(at_ms), _DAY_MS)
    hours, minutes = divmod(in_day_ms // _MINUTE_MS, 60)
    return f"{hours:02d}:{minutes:02d} {_date(day)}"


def gsm_safe(text: str, chars_max: int) -> str:
    """A peer's words, fit for a reply: unaccented, `?` for what the alphabet lacks, cut.

    Characters of the extension table become their look-alikes, so that the result takes as many
    septets as it has characters.
    """
    if _SAFE.fullmatch(text):
        return text[:chars_max]
    return "".join(map(_safe, text))[:chars_max]


def join_cut(
    items: Sequence[str], room_chars: int, *, more: str, separator: str = SEPARATOR
) -> str:
    """Join a list, and cut it with a count of the rest if it does not fit.

    Args:
        items: Texts of one septet per character, as numbers and `gsm_safe` texts are.
        room_chars: How long the result may be.
        more: What says that there is more, with `{n}` for how many: `va {n} so khac`.
        separator: Between items; a single blank is between the last one shown and `more`.

    Returns:
        As many items as fit; only `more` if none does; nothing if even that does not.
    """
    whole = separator.join(items)
    if len(whole) <= room_chars:
        return whole
    length = len(whole)
    for shown in range(len(items) - 1, 0, -1):
        length -= len(separator) + len(items[shown])
        rest = more.replace("{n}", str(len(items) - shown))
        if length + 1 + len(rest) <= room_chars:
            return f"{separator.join(items[:shown])} {rest}"
    rest = more.replace("{n}", str(len(items)))
    return rest if len(rest) <= room_chars else ""


@lru_cache(_CACHED_DAYS)
def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY_MS // 1000, tz=UTC):%d/%m/%Y}"


@lru_cache(_CACHED_CHARACTERS)
def _safe(char: str) -> str:
    if char.isspace():
        return " "
    return "".join(
        plain if is_gsm7(plain) and plain not in EXTENSION_CHARACTERS else "?"
        for plain in (_LOOK_ALIKE.get(part, part) for part in unaccent(_LOOK_ALIKE.get(char, char)))
    )
