"""One text of the catalogue: its placeholders, how they are shown, and how long it can get.  Pure.

A placeholder is `{name}`; braces are `{{` and `}}`.  What a placeholder stands for, its kind,
follows from its name as units do: `price_vnd` is money, `ends_at` a time, and a few plain words
(`price`, `until`, `numbers`) are known by themselves.  A kind has a greatest width, so that the
size of every text is known before anything is put into it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from telcod.msisdn import Msisdn, national
from telcod.text.gsm import EXTENSION_CHARACTERS, encode_gsm7, foreign_characters
from telcod.text.parts import room_septets
from telcod.text.values import gsm_safe, local_time, money

PARTS_DECLARED_MAX: Final = 5  # Nobody reads a longer text; the longest list is cut at three.

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_LEAF_FIELDS: Final = frozenset({"text", "parts", "widths"})

Show = Callable[[object, int], str]


class Kind(StrEnum):
    """What a placeholder stands for, which says how it is shown and how wide it can be."""

    MONEY = "money"
    TIME = "time"
    NUMBER = "number"
    COUNT = "count"
    WORD = "word"
    TEXT = "text"
    LIST = "list"


PLACEHOLDER_WIDTHS: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        Kind.MONEY: 14,  # 1.000.000.000d
        Kind.TIME: 16,  # 23:59 31/12/2026
        Kind.NUMBER: 10,  # 0903123456
        Kind.COUNT: 5,
        Kind.WORD: 16,  # our own words: commands, packages, codes
        Kind.TEXT: 30,  # words of others, made safe and cut
        Kind.LIST: 40,  # at least; a list takes what room there is and is cut
    }
)

# Units come last in names; these endings tell the kind of any name.
_KIND_BY_ENDING: Final = MappingProxyType(
    {
        "vnd": Kind.MONEY,
        "ms": Kind.TIME,
        "at": Kind.TIME,
        "number": Kind.NUMBER,
        "s": Kind.COUNT,
        "count": Kind.COUNT,
        "max": Kind.COUNT,
        "min": Kind.COUNT,
        "word": Kind.WORD,
        "code": Kind.WORD,
        "text": Kind.TEXT,
        "list": Kind.LIST,
    }
)
_NAMES_BY_KIND: Final = MappingProxyType(
    {
        Kind.MONEY: ("amount", "balance", "charge", "debt", "fee", "price", "total"),
        Kind.TIME: ("end", "from", "since", "start", "time", "until"),
        Kind.NUMBER: ("caller", "owner", "payer"),
        Kind.COUNT: ("days", "hours", "minutes", "n", "parts", "seconds", "times"),
        Kind.WORD: ("command", "keyword", "language", "package"),
        Kind.TEXT: ("name", "reason", "typed"),
        Kind.LIST: ("charges", "entries", "items", "numbers", "verdicts"),
    }
)
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {name: kind for kind, names in _NAMES_BY_KIND.items() for name in names}
)


class Slot(NamedTuple):
    """A placeholder: which segment it fills, and how."""

    place: int
    name: str
    width: int
    show: Show
    text_as_is: bool  # What is a text already needs no showing; foreign words do.


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut at its placeholders, whose segments are empty."""

    segments: tuple[str, ...]
    slots: tuple[Slot, ...]
    listed: Slot | None  # The one list that it may have, which takes what room there is.
    parts: int
    has_pairs: bool  # Whether a word of its own takes an escape pair somewhere.

    @property
    def names(self) -> frozenset[str]:
        """The placeholders."""
        return frozenset(slot.name for slot in self._all_slots())

    def room(self, parts: int | None = None) -> int:
        """Septets in the declared number of messages, or in another, wherever they are cut."""
        count = self.parts if parts is None else parts
        # Before each cut, one septet may stay empty so that an escape pair is not parted.
        return room_septets(count) - (count - 1 if self.has_pairs else 0)

    def septets_max(self, widths: Mapping[str, int]) -> int:
        """The size of the longest text, given other widths of some placeholders."""
        return len(encode_gsm7("".join(self.segments))) + sum(
            widths.get(slot.name, slot.width) for slot in self._all_slots()
        )

    def _all_slots(self) -> tuple[Slot, ...]:
        return self.slots if self.listed is None else (*self.slots, self.listed)


def compile_leaf(leaf: object, kinds: Mapping[str, Kind]) -> Template | list[str]:
    """A template, or everything that is wrong with it."""
    problems: list[str] = []
    table = leaf if isinstance(leaf, Mapping) else {"text": leaf}
    text, parts, widths = table.get("text"), table.get("parts", 1), table.get("widths", {})
    problems += [f"unknown field {name!r}" for name in table if name not in _LEAF_FIELDS]
    if not isinstance(text, str) or not text.strip():
        return [*problems, "empty, or no text"]
    if type(parts) is not int or not 1 <= parts <= PARTS_DECLARED_MAX:
        return [*problems, f"parts must be 1 to {PARTS_DECLARED_MAX}, not {parts!r}"]
    if not isinstance(widths, Mapping) or not all(
        type(width) is int and width > 0 for width in widths.values()
    ):
        return [*problems, "widths must be positive numbers by placeholder"]
    segments, names, faults = _cut(text)
    problems += faults
    foreign = foreign_characters("".join(segments))
    if foreign:
        problems.append(f"not in the GSM 7 bit alphabet: {foreign!r}")
    problems += [f"width of {name!r}, which is no placeholder" for name in widths.keys() - names]
    slots: list[Slot] = []
    lists: list[Slot] = []
    for index, name in enumerate(names):
        kind = kind_of(name, kinds)
        if kind is None:
            problems.append(f"placeholder {name!r} is of no known kind")
        else:
            width = widths.get(name, PLACEHOLDER_WIDTHS[kind])
            slot = Slot(2 * index + 1, name, width, _SHOW[kind], kind is not Kind.TEXT)
            (lists if kind is Kind.LIST else slots).append(slot)
    if len(lists) > 1:
        problems.append("more than one list")
    if problems:
        return problems
    has_pairs = any(char in EXTENSION_CHARACTERS for segment in segments for char in segment)
    template = Template(
        tuple(segments), tuple(slots), lists[0] if lists else None, parts, has_pairs
    )
    septets = template.septets_max({})
    if septets > template.room():
        return [f"may take {septets} septets, {parts} part(s) hold {template.room()}"]
    return template


def _cut(text: str) -> tuple[list[str], list[str], list[str]]:
    """Cut a text at its placeholders.

    Returns:
        Segments with literal words at even places and empty ones between; the placeholders'
        names in order; and what is wrong with the braces.
    """
    segments, names, faults = [""], list[str](), list[str]()
    end = 0
    for token in _TOKEN.finditer(text):
        segments[-1] += text[end : token.start()]
        end = token.end()
        name = token["name"]
        if token[0] in {"{{", "}}"}:
            segments[-1] += token[0][0]
        elif name is None:
            faults.append(f"unbalanced {token[0]!r} at character {token.start() + 1}")
        elif not _NAME.fullmatch(name):
            faults.append(f"placeholder {token[0]!r} must be a name in small letters")
        else:
            names.append(name)
            segments += ["", ""]
    segments[-1] += text[end:]
    return segments, names, faults


def leaves(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every text of a file with its full key, whether written with dots or in tables."""
    for name, value in table.items():
        if isinstance(value, Mapping) and not isinstance(value.get("text"), str):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def kind_of(name: str, kinds: Mapping[str, Kind] = KINDS) -> Kind | None:
    """The kind of a placeholder, by its name or else by what its name ends in."""
    return kinds.get(name) or _KIND_BY_ENDING.get(name.rpartition("_")[2])


def _money(value: object, _width: int) -> str:
    return money(value) if isinstance(value, int) else str(value)


def _time(value: object, _width: int) -> str:
    return local_time(value) if isinstance(value, int) else str(value)


def show_number(value: object, _width: int) -> str:
    """An `Msisdn` in national form, or a text as it is."""
    return national(Msisdn(value)) if isinstance(value, int) else str(value)


def _as_is(value: object, _width: int) -> str:
    return str(value)


def _words(value: object, width: int) -> str:
    return gsm_safe(str(value), width)


_SHOW: Final[Mapping[Kind, Show]] = MappingProxyType(
    {
        Kind.MONEY: _money,
        Kind.TIME: _time,
        Kind.NUMBER: show_number,
        Kind.COUNT: _as_is,
        Kind.WORD: _as_is,
        Kind.TEXT: _words,
        Kind.LIST: _as_is,  # The catalogue shows lists, for it knows the room.
    }
)
