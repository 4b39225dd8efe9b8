"""How a phone's screen is filled: what fits beside what, and where a long text is cut.  Pure.

Room is counted in septets: characters of the extension table take two, a line break one.  A page is
known by where it begins: the number of the first choice, or of the first character, on it.  So a
page that a hint made shorter is gone on from where it really ended.

Everything here fits any screen of `SCREEN_SEPTETS_MIN` or more, if the words of a menu are no
longer than said below.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from telcod.text import septets

SCREEN_SEPTETS: Final = 182  # 160 octets
SCREEN_SEPTETS_MIN: Final = 60
WAY_SEPTETS_MAX: Final = 12  # Of the words behind 0 and 9.
HINT_SEPTETS_MAX: Final = 50
HINT_SHARE: Final = 3  # A hint takes this part of a screen at most; else it is left out.

_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_LINE: Final = "\n"


class Text(NamedTuple):
    """A text of a menu: literal words at even places, names of values at odd ones."""

    pieces: tuple[str, ...]

    @classmethod
    def cut(cls, text: str) -> "Text":
        """Find the `{names}` of a text; other braces stay in its words."""
        return cls(tuple(_PLACE.split(text)))

    @property
    def names(self) -> tuple[str, ...]:
        """The values that it needs."""
        return self.pieces[1::2]

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with its values, which must be of the GSM 7 bit alphabet.

        Raises:
            KeyError: A value is missing.  A caller's bug: the menu's file was checked.
        """
        if len(self.pieces) == 1:
            return self.pieces[0]
        return "".join(values[piece] if at % 2 else piece for at, piece in enumerate(self.pieces))


class Ways(NamedTuple):
    """The lines that say how to go on and back: `0 tiep`, `9 lui`."""

    onward: str
    back: str


NO_WAYS: Final = Ways("", "")


class Page(NamedTuple):
    """One screenful; `after` is where the next page begins, 0 when this is the last one."""

    text: str
    after: int = 0


def choices_page(
    hint: str, title: str, items: Sequence[str], start: int, ways: Ways, septets_max: int
) -> Page:
    """A page of choices, from the one numbered `start` (from 0); the title is on the first page.

    `ways.back` may be empty: there is nothing to go back to.  On the first page it gives way
    when without it everything fits.
    """
    head = _lines(hint, "" if start else title)
    rest = list(items[start:])
    for foot in ([ways.back], [""]) if start == 0 else ([ways.back],):
        whole = _LINE.join([*head, *rest, *_lines(*foot)])
        if septets(whole) <= septets_max:
            return Page(whole)
    foot = _lines(ways.onward, ways.back)
    room = septets_max - septets(_LINE.join([*head, *foot]))
    count = 0
    for item in rest:
        room -= septets(item) + 1
        if room < 0:
            break
        count += 1
    count = max(count, 1)
    last = count == len(rest)
    foot = _lines(ways.back) if last else foot
    text = _over(foot, [*head, *rest[:count]], septets_max)
    return Page(text, 0 if last else start + count)


def body_page(hint: str, body: str, start: int, ways: Ways, septets_max: int) -> Page:
    """A page of a long text, from its character `start`.

    The last page has no ways: the dialogue ends with it.  The text is cut at blanks; a word that is
    longer than a page is cut where the page ends, never between an escape and its character.
    """
    head = hint + _LINE if hint else ""
    if len(body) - start <= septets_max:
        whole = head + body[start:]
        if septets(whole) <= septets_max:
            return Page(whole)
    foot = _LINE + _LINE.join(_lines(ways.onward, ways.back if start else ""))
    end = _break(body, start, septets_max - septets(head) - septets(foot))
    after = end
    while after < len(body) and body[after].isspace():
        after += 1
    return Page(head + body[start:end].rstrip() + foot, after)


def question_page(hint: str, question: str, ways: Ways, septets_max: int) -> Page:
    """What asks for something to be typed: always one page; the way back only if it fits."""
    head = _lines(hint, question)
    whole = _LINE.join([*head, *_lines(ways.back)])
    if septets(whole) <= septets_max:
        return Page(whole)
    return Page(_over([], head, septets_max))


def page_before(start: int, page_at: Callable[[int], Page]) -> int:
    """Where the page before `start` begins, given how pages without a hint are made."""
    before = 0
    while 0 < (after := page_at(before).after) < start:
        before = after
    return before


def shortened(text: str, septets_max: int) -> str:
    """The beginning of a text that fits."""
    if septets(text) <= septets_max:
        return text
    return text[: _fitting(text, 0, septets_max)]


def _over(foot: Sequence[str], lines: Sequence[str], septets_max: int) -> str:
    """Lines above the foot; if need be, what they say is shortened, never the foot."""
    below = "".join(_LINE + line for line in foot)
    return shortened(_LINE.join(lines), septets_max - septets(below)) + below


def _break(body: str, start: int, room: int) -> int:
    """Where a page that has so much room ends: before a blank, if there is one."""
    end = _fitting(body, start, room)
    if end == len(body) or body[end].isspace():
        return end
    for at in range(end - 1, start, -1):
        if body[at].isspace():
            return at
    return max(end, start + 1)  # However small the screen, the text goes on.


def _fitting(text: str, start: int, room: int) -> int:
    """The end of the longest stretch from `start` that takes no more than that room."""
    room = max(room, 0)
    end = min(start + room, len(text))
    while septets(text[start:end]) > room:
        end -= 1
    return end


def _lines(*lines: str) -> list[str]:
    return [line for line in lines if line]
