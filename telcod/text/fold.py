"""Folding: what a person typed, without what does not matter in a command (KW-1).  Pure.

Case, accents, quotes, kinds and numbers of blanks, `_` for a blank, invisible characters,
punctuation at the end, and a trailing "gui 1566" (copied from the instructions, sometimes with the
"soan" before it) do not matter.  Folding is done character by character and then by cutting ends,
so that each folded character knows where it came from.  That is what `raw_after` needs:
keywords are matched on folded text, but a *password* must be taken as it was typed, or
`MK ab_cd` would set another password than the one its owner remembers.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple
from unicodedata import category, normalize

SHORT_CODES: Final = frozenset({"1566", "9223"})

# Letters that no decomposition makes plain; the last two pairs are looked-alike strokes that old
# Vietnamese fonts and careless keyboards leave in place of the first.
_STROKED: Final = MappingProxyType({"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ɖ": "d", "Ɖ": "D"})
_MARKS: Final = frozenset({"Mn", "Me"})
_INVISIBLE: Final = frozenset({"Cf", "Cc"})
# Quotes, the underscore, and letters and symbols that show nothing.
_BLANKS: Final = frozenset("\"'`_«»‹›‘’‚‛“”„‟′‵ʹʺʻʼʽˊˋ〝〞〟「」『』\u115f\u1160\u2800")
_END_PUNCTUATION: Final = " .!?,;:"
_PLAIN: Final = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*")
_SENT_TO: Final = re.compile(
    r"(?:^|(?<=[ .!?,;:]))GUI ?(?:(?:DEN|TOI|SO|VAO) ?)?(?P<code>[0-9]{3,6})$"
)
_SENT_TO_CHARS_MAX: Final = 20
_WRITE: Final = re.compile(r"SOAN (?:TIN )?(?=.)")
# Every character of Vietnamese, both cases, is some two hundred; a flood of others evicts itself.
_CACHED_CHARACTERS: Final = 2048


def fold(text: str, codes: Collection[str] = SHORT_CODES) -> str:
    """The text in capitals without accents, its words parted by single blanks; never raises.

    Folding a folded text changes nothing.

    Args:
        text: As received, decoded.
        codes: The short codes whose "gui <code>" at the end does not matter.
    """
    if _PLAIN.fullmatch(text):
        upper = text.upper()
        if "GUI" not in upper:
            return upper
    squeezed = " ".join("".join(map(fold_character, text)).split())
    start, stop, _ = _ends(squeezed, codes)
    return squeezed[start:stop]


def fold_keep(text: str, codes: Collection[str] = SHORT_CODES) -> str:
    """The first word folded, one blank, and the rest as it was typed; never raises.

    For commands whose argument must not be folded: `"mk_Ab_1" gửi 9223` is `MK Ab_1`.  What
    "as typed" leaves out is said at `raw_after`.
    """
    keyword, _, rest = fold(text, codes).partition(" ")
    typed = raw_after(text, len(keyword), codes)
    # Nothing but punctuation after the keyword is its full stop, as in `KT.`
    return f"{keyword} {typed}" if rest or typed.strip(_END_PUNCTUATION) else keyword


def raw_after(text: str, folded_chars: int, codes: Collection[str] = SHORT_CODES) -> str:
    """What was typed after the first so many characters of the folded text; never raises.

    Case, accents, underscores and quotes inside, and punctuation, are as typed.  Gone are blanks
    and quotes around it, "gui 9223" after it, and invisible characters; kinds and numbers of
    blanks are made one, and accents are composed.  Punctuation at its end stays, because only its
    reader knows whether it belongs to it: a password with a `!` must be refused, not silently set
    without.
    """
    visible = normalize("NFC", "".join(char for char in text if not _is_invisible(char)))
    chars: list[str] = []
    came_from: list[int] = []
    for index, char in enumerate(visible):
        for folded in fold_character(char):
            if folded != " " or (chars and chars[-1] != " "):
                chars.append(folded)
                came_from.append(index)
    ends = _ends("".join(chars), codes)
    first, last = ends.start + folded_chars, ends.raw_stop
    while first < last and chars[first] == " ":
        first += 1
    while first < last and chars[last - 1] == " ":
        last -= 1
    if first >= last:
        return ""
    stop = came_from[last - 1] + 1
    while stop < len(visible) and not fold_character(visible[stop]):
        stop += 1  # Accents that could not be composed belong to the letter before them.
    return " ".join(visible[came_from[first] : stop].split())


@lru_cache(_CACHED_CHARACTERS)
def fold_character(char: str) -> str:
    """What one character folds to: nothing, a blank, or plain capitals."""
    if char.isspace() or char in _BLANKS:
        return " "
    return "".join(
        " " if plain.isspace() or plain in _BLANKS else plain for plain in unaccent(char).upper()
    )


def unaccent(text: str) -> str:
    """The text without accents and invisible characters, in its own case; never raises.

    Compatibility forms become what they stand for: full-width letters, ligatures, the ellipsis.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _STROKED.get(char, char)
        for char in normalize("NFKD", text)
        if category(char) not in _MARKS and not _is_invisible(char)
    )


def _is_invisible(char: str) -> bool:
    """Zero-width characters, byte order marks, controls; not those that part words."""
    return category(char) in _INVISIBLE and not char.isspace()


class _Ends(NamedTuple):
    """Where the command is in a squeezed text; `raw_stop` is before its end was trimmed."""

    start: int
    stop: int
    raw_stop: int


def _ends(squeezed: str, codes: Collection[str]) -> _Ends:
    """Cut "soan", "gui <code>", however often, and punctuation at the end."""
    raw_stop = len(squeezed)
    while True:
        text = squeezed[:raw_stop].rstrip(_END_PUNCTUATION)
        match = _SENT_TO.search(text, max(0, len(text) - _SENT_TO_CHARS_MAX))
        if match is None or match["code"] not in codes:
            break
        raw_stop = match.start()
    was_sent_to = raw_stop < len(squeezed)
    write = _WRITE.match(text) if was_sent_to else None
    return _Ends(write.end() if write else 0, len(text), raw_stop)
