"""From a text to a route: the dispatch tables as data (KW-1, KW-2, KW-5).  Pure.

A `Route` names a handler and what it wants as arguments; the keywords that lead to it come from
`config/keywords.toml`, so that an operator adds an alias without code.  `Dispatcher.build` refuses
a table with a hole in it: the daemon doesn't start on one.

Matching: the folded text is cut into words; a word of letters glued to digits is cut there
(`B0903…`, `DK7`).  The longest run of first words (up to three) that, squeezed together, is a
keyword wins: so `DK 7` is `DK7`, `XOA B` is `XOAB`, `KTB` is `KT B`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telcod import text as texts
from telcod.msisdn import NumberError, parse_many
from telcod.msisdn import parse as parse_number
from telcod.rows import Table
from telcod.types import Handler, Request

if TYPE_CHECKING:
    from telcod.tx import Tx

KEYWORD_WORDS_MAX: Final = 3
KEYWORD_DIGITS_MAX: Final = 6
REMEMBERED_CHARS_MAX: Final = 12
REMEMBERED_MAX: Final = 4_096
NUMBERS_MAX: Final = 60
NUMBERS_CHARS_MAX: Final = 40 * NUMBERS_MAX
"""Nobody writes so many numbers so widely; a text that is longer is not even looked through."""
TOO_MANY: Final = "usage.too_many"
PASSWORD: Final = re.compile(r"[A-Za-z0-9]{4,16}")
UNKNOWN_ROUTE: Final = "text.unknown"
MALFORMED_ROUTE: Final = "text.malformed"
IGNORED_ROUTE: Final = "text.ignored"
RECEIPT_ROUTE: Final = "sms.receipt"
FORWARD_ROUTE: Final = "forward.text"
FORWARD_CODE: Final = "1566"

_KEYWORD: Final = re.compile(r"[A-Z][A-Z0-9]*( [A-Z0-9]+)*")
_MANY_DIGITS: Final = re.compile(rf"[0-9]{{{KEYWORD_DIGITS_MAX + 1}}}")
_GLUED: Final = re.compile(r"([A-Z]+)[:=.\-]*([(+0-9].*)")
_ALL: Final = frozenset({"ALL", "TATCA", "HET"})


class Args(StrEnum):
    """What a route takes after its keyword."""

    NONE = "none"
    NUMBERS = "numbers"
    NUMBERS_ALL_OR_NONE = "numbers_all_or_none"
    LANGUAGE = "language"
    CODE_OR_NONE = "code_or_none"
    PASSWORD = "password"  # noqa: S105  # The name of a kind of argument.
    NOT_FROM_TEXT = "not_from_text"


Foresee = Callable[[Request, "Tx"], Iterable[tuple[Table[Any], Any]]]
"""What a handler will most likely ask for, as (table, key): read for many requests at once."""


class Route(NamedTuple):
    """One row of a dispatch table.

    `usage` is the catalogue's key that explains the command.  `lists` and `reads` tell the engine
    what to read beforehand: the lists of the sender, the row whose key is the first argument.
    `foresees` say more, round by round: each sees what the rounds before it read.
    `ends` means that it ends what holds money, so that on a full disk it is carried out before all
    others (F5).
    """

    name: str
    handler: Handler
    args: Args = Args.NOT_FROM_TEXT
    usage: str = ""
    lists: bool = False
    reads: Table[Any] | None = None
    foresees: tuple[Foresee, ...] = ()
    ends: bool = False


class Parsed(NamedTuple):
    """What a text asks for.

    `secret` is a password, to be hashed and never kept; `secret_bearing` texts are not stored.
    """

    route: str
    args: tuple[str, ...] = ()
    secret: str = ""
    secret_bearing: bool = False

    def __repr__(self) -> str:
        args = ("***",) if self.secret_bearing else self.args
        return f"Parsed(route={self.route!r}, args={args!r})"


class DispatchError(ValueError):
    """The keyword tables are not complete or not clear; `problems` has all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems: Final = tuple(problems)


class _Keyword(NamedTuple):
    route: Route
    args: tuple[str, ...]


class Dispatcher:
    """The tables of all short codes, checked.  Build with `Dispatcher.build`."""

    def __init__(
        self, tables: Mapping[str, Mapping[str, _Keyword]], old_prefixes: Mapping[str, str]
    ) -> None:
        self._tables: Final = tables
        self._old_prefixes: Final = old_prefixes
        # Most texts are a keyword and nothing else, in one of a few spellings.
        self._remembered: Final[dict[tuple[str, str], Parsed]] = {}
        self.short_codes: Final = tuple(tables)
        self.secret_codes: Final = tuple(code for code in tables if self._takes_secrets(code))
        """Short codes whose texts may hold a password."""
        secret = [
            (word, keyword.route.usage)
            for table in tables.values()
            for word, keyword in table.items()
            if keyword.route.args is Args.PASSWORD
        ]
        self._secret_words: Final = tuple(word for word, _ in secret)
        self._secret_usage: Final = secret[0][1] if secret else ""

    @classmethod
    def build(
        cls,
        routes: Mapping[str, Sequence[Route]],
        keywords: Mapping[str, Mapping[str, Sequence[str]]],
        old_prefixes: Mapping[str, str],
    ) -> "Dispatcher":
        """Join the routes of each short code with its keywords.

        Args:
            routes: By short code, the rows that must be reachable.
            keywords: By short code and route name, the words that lead there; `XOABALL = XOAB ALL`
                writes one as another text.
            old_prefixes: NUM-2, for numbers in arguments.

        Raises:
            DispatchError: A route without a keyword, a keyword without a route, twice the same
            keyword, or not a keyword.
        """
        problems = [f"{code}: no such short code" for code in keywords if code not in routes]
        tables: dict[str, dict[str, _Keyword]] = {}
        for code, rows in routes.items():
            tables[code] = _table(code, rows, keywords.get(code, {}), problems)
        if problems:
            raise DispatchError(problems)
        return cls(tables, old_prefixes)

    def short_code_or_none(self, destination: str) -> str | None:
        """The short code that a destination belongs to.

        Itself, or 1566 of 1566+number (PFM-30); None is none of ours.
        """
        if destination in self._tables:
            return destination
        is_forward = destination.startswith(FORWARD_CODE) and FORWARD_CODE in self._tables
        return FORWARD_CODE if is_forward else None

    def parse(self, short_code: str, text: str) -> Parsed:
        """Say what a text to a short code asks for; never raises, whatever the text.

        Unknown texts become `text.unknown` with the first word, known keywords with wrong arguments
        `text.malformed` with the key of what to say.
        """
        remembered = self._remembered.get((short_code, text))
        if remembered is not None:
            return remembered
        table = self._tables.get(short_code)
        if table is None:
            number = parse_number(short_code.removeprefix(FORWARD_CODE), self._old_prefixes)
            return Parsed(
                FORWARD_ROUTE, ("" if isinstance(number, NumberError) else str(number), text)
            )
        words = texts.fold(text, self.short_codes).split(" ")
        found, rest = _match(table, words)
        if found is None:
            return self._unknown(short_code, words)
        route = found.route
        if route.args is Args.PASSWORD:
            return _password(route, text, self.short_codes)
        if found.args:
            rest = [*found.args, *rest]
        args = self.arguments(route, rest)
        if args is None:
            takes_numbers = route.args in {Args.NUMBERS, Args.NUMBERS_ALL_OR_NONE}
            usage = TOO_MANY if takes_numbers and self._are_too_many(rest) else route.usage
            return Parsed(MALFORMED_ROUTE, (usage,), secret_bearing=self._takes_secrets(short_code))
        parsed = Parsed(route.name, args)
        if (
            not args
            and len(text) <= REMEMBERED_CHARS_MAX
            and len(self._remembered) < REMEMBERED_MAX
        ):
            self._remembered[short_code, text] = parsed
        return parsed

    def arguments(self, route: Route, words: Sequence[str]) -> tuple[str, ...] | None:
        """Check the words after a keyword; None when they don't fit what the route takes.

        Numbers become canonical digits; what is no number stays as typed behind a `!`, for its own
        verdict (KW-5).
        """
        if route.args is Args.NONE:
            return None if words else ()
        if route.args is Args.LANGUAGE:
            return tuple(words) if len(words) == 1 and words[0] in {"VI", "EN"} else None
        if route.args is Args.CODE_OR_NONE:
            return tuple(words) if not words or (len(words) == 1 and words[0].isalnum()) else None
        if route.args is Args.NUMBERS_ALL_OR_NONE and (not words or "".join(words) in _ALL):
            return ("ALL",) if words else ()
        if len(words) == 1:
            number = parse_number(words[0], self._old_prefixes)
            if not isinstance(number, NumberError):
                return (str(number),)
        if _chars(words) > NUMBERS_CHARS_MAX:
            return None
        numbers = tuple(self._numbers(words))
        return numbers if 0 < len(numbers) <= NUMBERS_MAX else None

    def _are_too_many(self, words: Sequence[str]) -> bool:
        return _chars(words) > NUMBERS_CHARS_MAX or len(tuple(self._numbers(words))) > NUMBERS_MAX

    def _numbers(self, words: Sequence[str]) -> Iterable[str]:
        for typed in parse_many(" ".join(words), self._old_prefixes)[: NUMBERS_MAX + 1]:
            yield f"!{typed.text}" if isinstance(typed.number, NumberError) else str(typed.number)

    def _takes_secrets(self, short_code: str) -> bool:
        return any(
            keyword.route.args is Args.PASSWORD for keyword in self._tables[short_code].values()
        )

    def _unknown(self, short_code: str, words: Sequence[str]) -> Parsed:
        """On a code that takes passwords anything may hold one.

        Nothing of an unknown text is kept there, nor of `MK…` anywhere.
        """
        squeezed = "".join(words)
        if squeezed.startswith(self._secret_words):
            return Parsed(MALFORMED_ROUTE, (self._secret_usage,), secret_bearing=True)
        if short_code in self.secret_codes:
            return Parsed(UNKNOWN_ROUTE, (), secret_bearing=True)
        return Parsed(UNKNOWN_ROUTE, (words[0],) if words[0] else ())


def _chars(words: Sequence[str]) -> int:
    return sum(map(len, words))


def _password(route: Route, text: str, codes: Sequence[str]) -> Parsed:
    """The password as typed, case aside.

    Accents and signs are not folded away from it, they make it malformed (PAY-1).
    """
    words = texts.fold_keep(text, codes).split(" ")
    if len(words) == 2 and PASSWORD.fullmatch(words[1]):
        return Parsed(route.name, secret=words[1].upper(), secret_bearing=True)
    return Parsed(MALFORMED_ROUTE, (route.usage,), secret_bearing=True)


def _match(
    table: Mapping[str, _Keyword], words: Sequence[str]
) -> tuple[_Keyword | None, list[str]]:
    if len(words) == 2 and words[0].isalpha() and words[1].isdigit():
        # `B 0903000001`; no keyword goes on with so many digits.
        keyword = table.get(words[0])
        if keyword is not None and len(words[1]) > KEYWORD_DIGITS_MAX:
            return keyword, [words[1]]
    tokens = _tokens(words)
    squeezed, found, used = "", None, 0
    for count, (token, _) in enumerate(tokens[:KEYWORD_WORDS_MAX], start=1):
        squeezed += token
        keyword = table.get(squeezed)
        if keyword is not None:
            found, used = keyword, count
    if used >= len(tokens):
        return found, []
    # A word is cut for the keyword only: what comes after it stays as it was typed (`NHAN AB12`).
    rest, at = tokens[used]
    is_half = used > 0 and tokens[used - 1][1] == at
    return found, [rest if is_half else words[at], *(word for word in words[at + 1 :] if word)]


def _tokens(words: Sequence[str]) -> list[tuple[str, int]]:
    """The words, the first of them cut where letters meet digits; each with its word's place."""
    tokens: list[tuple[str, int]] = []
    for at, word in enumerate(words):
        if at < KEYWORD_WORDS_MAX and not word.isalpha() and (glued := _GLUED.fullmatch(word)):
            tokens += ((half, at) for half in glued.groups())
        elif word:
            tokens.append((word, at))
    return tokens


def _table(
    code: str, rows: Sequence[Route], keywords: Mapping[str, Sequence[str]], problems: list[str]
) -> dict[str, _Keyword]:
    table: dict[str, _Keyword] = {}
    by_name = {row.name: row for row in rows}
    problems += [f"{code}: no route is called {name!r}" for name in keywords if name not in by_name]
    problems += [
        f"{code}: route {row.name!r} has no keyword" for row in rows if not keywords.get(row.name)
    ]
    for name, words in keywords.items():
        for word in words:
            spelling, _, meaning = (part.strip() for part in word.partition("="))
            squeezed = spelling.replace(" ", "")
            if (
                not _KEYWORD.fullmatch(spelling)
                or len(spelling.split(" ")) > KEYWORD_WORDS_MAX
                or _MANY_DIGITS.search(spelling)
            ):
                problems.append(
                    f"{code}: {word!r} of {name!r} is not a keyword: "
                    "capitals and at most six digits, three words at most"
                )
            elif squeezed in table:
                problems.append(
                    f"{code}: {spelling!r} leads to {table[squeezed].route.name!r} and to {name!r}"
                )
            elif name in by_name:
                table[squeezed] = _Keyword(
                    by_name[name], tuple(meaning.split(" ")[1:]) if meaning else ()
                )
    return table
