"""From a menu's file to a `Menu`, or everything that is wrong with it.  Pure: gets parsed TOML.

A menu is refused as a whole: what a subscriber could run into is found here, before anybody dials.
The comment at the top of `config/ussd/1566.toml` says how a file is written.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from telcod.dispatch import FORWARD_ROUTE, Args, Dispatcher, Route
from telcod.text import foreign_characters, septets
from telcod.types import Language
from ussd.menu import CHOICE_KEYS, NOT_UNDERSTOOD, Ask, Choice, Menu, Screen, Words
from ussd.screens import HINT_SEPTETS_MAX, SCREEN_SEPTETS, WAY_SEPTETS_MAX, Text

LANGUAGES: Final = tuple(language.value for language in Language)
PLACES: Final[Mapping[str, int]] = {"day": 14, "week": 14, "part": 14, "minute": 14}
"""What texts may name, with the septets that it takes at most: prices, as 1.000.000.000d."""

CODE_DIGITS_MAX: Final = 6
_CODE: Final = re.compile(rf"[0-9]{{1,{CODE_DIGITS_MAX}}}")
_FIELDS: Final = frozenset({"service_code", "short_code", "first", "words", "screens"})
_SCREEN_FIELDS: Final = frozenset({*LANGUAGES, "ask", "then", "run"})
_CHOICE_FIELDS: Final = frozenset({*LANGUAGES, "to", "run", "args"})
_WAYS: Final = frozenset({"onward", "back"})
_OFFERS: Final = frozenset({"go_on", "restart"})
OFFER_SEPTETS_MAX: Final = 24
"""Of the words that offer to go on: they, what they stand below and a hint fit on one page."""

# The questions whose answers a route can take, one after the other.
_NUMBERS: Final = frozenset({(Ask.NUMBERS,), (Ask.NUMBER,)})
_ASKED: Final[Mapping[Args, frozenset[tuple[Ask, ...]]]] = {
    Args.NUMBERS: _NUMBERS,
    Args.NUMBERS_ALL_OR_NONE: _NUMBERS,
    Args.CODE_OR_NONE: frozenset({(Ask.CODE,)}),
}
_ASKED_BY_ROUTE: Final = {FORWARD_ROUTE: frozenset({(Ask.NUMBER, Ask.TEXT)})}
_CHECK: Final = Dispatcher({}, {})  # Checks fixed arguments as it checks those of a text.


class Problem(NamedTuple):
    """One reason not to start with a menu; `key` is where in the file."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class MenuError(ValueError):
    """The menu must not be used; `problems` are all of them.  Mend the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def build(table: Mapping[str, Any], routes: Mapping[str, Route]) -> Menu:
    """Check a menu and make it.

    Args:
        table: The file.
        routes: By name, what the menu may run: all rows of its short code's table, and what is in
            no text (`forward.text`, `dial.guide`).  Those that a text can do must all be run.

    Raises:
        MenuError: With every problem.
    """
    return _Reader(table, routes).menu()


class _Reader:
    """Reads one file, and remembers what is wrong with it."""

    def __init__(self, table: Mapping[str, Any], routes: Mapping[str, Route]) -> None:
        self._table: Final = table
        self._routes: Final = routes
        self._problems: Final[list[Problem]] = []

    def menu(self) -> Menu:
        self._unknown("", self._table, _FIELDS)
        code = self._code("service_code", self._table.get("service_code"))
        written = "short_code" in self._table
        short_code = self._code("short_code", self._table["short_code"]) if written else code
        words = self._words(self._mapping("words", self._table.get("words", {})))
        screens = {
            name: self._screen(f"screens.{name}", self._mapping(f"screens.{name}", screen))
            for name, screen in self._mapping("screens", self._table.get("screens", {})).items()
        }
        first = self._table.get("first")
        if not isinstance(first, str) or first not in screens:
            self._say("first", "must name a screen")
            first = ""
        screens = self._joined(first, screens)
        self._check_routes(screens)
        self._check_room(first, screens, words)
        if self._problems:
            raise MenuError(self._problems)
        return Menu(code, short_code, first, screens, words)

    # -- what is written

    def _say(self, key: str, reason: str) -> None:
        self._problems.append(Problem(key, reason))

    def _unknown(self, key: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
        for name in table:
            if name not in known:
                self._say(f"{key}.{name}" if key else name, "is not known here")

    def _mapping(self, key: str, value: object) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        self._say(key, "must be a table")
        return {}

    def _code(self, key: str, value: object) -> str:
        if isinstance(value, str) and _CODE.fullmatch(value):
            return value
        self._say(key, f'must be 1 to {CODE_DIGITS_MAX} digits in quotes, as "1566"')
        return ""

    def _name(self, key: str, value: object) -> str:
        """A name of a screen or a route; empty if there is none."""
        if value is None:
            return ""
        if isinstance(value, str) and value:
            return value
        self._say(key, "must be a name in quotes")
        return ""

    def _words(self, table: Mapping[str, Any]) -> dict[str, Words]:
        self._unknown("words", table, LANGUAGES)
        words: dict[str, Words] = {}
        for language in LANGUAGES:
            key = f"words.{language}"
            written = self._mapping(key, table.get(language, {}))
            self._unknown(key, written, Words._fields)
            texts = {
                name: self._word(f"{key}.{name}", written.get(name), _room_of(name))
                for name in Words._fields
            }
            words[language] = Words(**texts)
        return words

    def _word(self, key: str, value: object, septets_max: int) -> str:
        text = self._text(key, value)
        if text is None:
            return ""
        if text.names:
            self._say(key, "can't have places: it is shown on every screen")
        said = text.filled(dict.fromkeys(text.names, ""))
        if septets(said) > septets_max:
            self._say(key, f"takes {septets(said)} septets, {septets_max} at most")
        return said

    def _text(self, key: str, value: object) -> Text | None:
        if not isinstance(value, str) or not value.strip():
            self._say(key, "is missing or empty" if value is None else "must be a text")
            return None
        text = Text.cut(value.strip())
        literal = "".join(text.pieces[::2])
        foreign = foreign_characters(literal)
        if foreign:
            self._say(key, f"not in the GSM 7 bit alphabet: {foreign!r}")
            return None
        if "{" in literal or "}" in literal:
            self._say(key, "has a brace that is no place such as {day}")
        for name in text.names:
            if name not in PLACES:
                self._say(key, f"there is no place {name!r}; there are {', '.join(PLACES)}")
        return text

    def _texts(self, key: str, table: Mapping[str, Any]) -> dict[str, Text]:
        """A text in every language, with the same places in each."""
        texts = {}
        for language in LANGUAGES:
            text = self._text(f"{key}.{language}", table.get(language))
            if text is not None:
                texts[language] = text
        everything = frozenset(name for text in texts.values() for name in text.names)
        for language, text in texts.items():
            for name in sorted(everything.difference(text.names)):
                reason = f"lacks the place {name!r} that another language has"
                self._say(f"{key}.{language}", reason)
        return texts

    def _screen(self, key: str, table: Mapping[str, Any]) -> Screen:
        digits = sorted(name for name in table if name.isdigit())
        self._unknown(key, table, _SCREEN_FIELDS.union(digits))
        choices = {
            name: self._choice(f"{key}.{name}", name, self._mapping(f"{key}.{name}", table[name]))
            for name in digits
        }
        ask = self._ask(f"{key}.ask", table.get("ask"))
        then = self._name(f"{key}.then", table.get("then"))
        route = self._name(f"{key}.run", table.get("run"))
        if "ask" not in table:
            if not choices:
                self._say(key, "neither asks nor offers a choice")
            if then or route:
                self._say(key, "`then` and `run` belong to a screen that asks, or to a choice")
        else:
            if choices:
                self._say(key, "asks and offers choices: it can do one of them")
            if bool(then) == bool(route):
                self._say(key, "asks: give either `run` or `then`")
        return Screen(self._texts(key, table), choices, ask=ask, then=then, route=route)

    def _ask(self, key: str, value: object) -> Ask | None:
        if value is None:
            return None
        kinds = [ask.value for ask in Ask]
        if value in kinds:
            return Ask(value)
        self._say(key, f"must be one of {', '.join(kinds)}")
        return None

    def _choice(self, key: str, name: str, table: Mapping[str, Any]) -> Choice:
        if len(name) != 1 or name not in CHOICE_KEYS:
            self._say(key, "a key must be 1 to 8; 0 and 9 turn pages")
        self._unknown(key, table, _CHOICE_FIELDS)
        to = self._name(f"{key}.to", table.get("to"))
        route = self._name(f"{key}.run", table.get("run"))
        args = table.get("args", [])
        if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
            self._say(f"{key}.args", "must be a list of texts")
            args = []
        if bool(to) == bool(route):
            self._say(key, "must lead somewhere: give either `to` or `run`")
        if args and to:
            self._say(f"{key}.args", "belong to a choice that runs something")
        fixed = self._fixed(key, route, args) if route and not to else ()
        return Choice(self._texts(key, table), to, route, fixed)

    # -- where it leads

    def _fixed(self, key: str, name: str, args: Sequence[str]) -> tuple[str, ...]:
        """The arguments of a choice that runs something, checked as those of a text are."""
        route = self._route_or_none(key, name)
        if route is None:
            return ()
        never = route.args is Args.NOT_FROM_TEXT
        checked = None if never else _CHECK.arguments(route, args)
        if checked is None or any(arg.startswith(NOT_UNDERSTOOD) for arg in checked):
            given = f"can't take {list(args)}" if args else "takes arguments, and none are given"
            self._say(key, f"{name!r} {given}")
            return ()
        return checked

    def _route_or_none(self, key: str, name: str) -> Route | None:
        route = self._routes.get(name)
        if route is None:
            self._say(key, f"there is no {name!r} to run")
            return None
        if route.args is Args.PASSWORD:
            self._say(key, f"{name!r} takes a password, which a menu must not see")
            return None
        return route

    def _joined(self, first: str, screens: Mapping[str, Screen]) -> dict[str, Screen]:
        """Screens that know where they come from, what was given before, and what it is for."""
        parents: dict[str, str] = {first: ""}
        collected: dict[str, int] = {first: 0}
        waiting = deque([first] if first else [])
        while waiting:
            name = waiting.popleft()
            screen = screens[name]
            for key, to in _ways_on(name, screen):
                if to not in screens:
                    self._say(key, f"there is no screen {to!r}")
                    continue
                given = collected[name] + 1 if screen.ask else 0
                if to not in parents:
                    parents[to], collected[to] = name, given
                    waiting.append(to)
                elif collected[to] != given:
                    self._say(key, f"{to!r} is led to from elsewhere with {collected[to]} answers")
                if screen.ask and not screens[to].ask:
                    self._say(key, f"{to!r} must ask: an answer is waiting to be used")
        for name in screens:
            if name not in parents and first:
                self._say(f"screens.{name}", "no screen leads here")
        return {
            name: screen._replace(
                parent=parents.get(name, ""),
                collected=collected.get(name, 0),
                route=self._route_after(name, screens),
            )
            for name, screen in screens.items()
        }

    def _route_after(self, name: str, screens: Mapping[str, Screen]) -> str:
        """What the answer of a screen is for in the end; also checked here, from where it begins.

        An answer is checked by what the route takes, so each question must know it.
        """
        asks: list[Ask] = []
        chain = [name]
        while (screen := screens[chain[-1]]).ask:
            asks.append(screen.ask)
            if not screen.then:
                break
            if screen.then in chain:
                self._say(f"screens.{name}.then", "asks in a circle")
                return ""
            if screen.then not in screens:
                return ""
            chain.append(screen.then)
        if not asks or not screen.route:
            return ""
        led_to_by_then = any(other.then == name for other in screens.values())
        if not led_to_by_then:
            self._check_asked(f"screens.{name}", screen.route, tuple(asks))
        return screen.route

    def _check_asked(self, key: str, name: str, asks: tuple[Ask, ...]) -> None:
        route = self._route_or_none(key, name)
        if route and asks not in _ASKED_BY_ROUTE.get(name, _ASKED.get(route.args, frozenset())):
            asked = ", then ".join(ask.value for ask in asks)
            self._say(key, f"{name!r} can't take what is asked for: {asked}")

    def _check_routes(self, screens: Mapping[str, Screen]) -> None:
        run = {screen.route for screen in screens.values()}
        run |= {choice.route for screen in screens.values() for choice in screen.choices.values()}
        for name, route in self._routes.items():
            if route.args is not Args.NOT_FROM_TEXT and name not in run:
                reason = f"nothing runs {name!r}: the menu cannot do what a text can"
                self._say("screens", reason)

    # -- what fits

    def _check_room(
        self, first: str, screens: Mapping[str, Screen], words: Mapping[str, Words]
    ) -> None:
        for name, screen in screens.items():
            for language in LANGUAGES:
                if language in screen.text:
                    key = f"screens.{name}.{language}"
                    back = name != first
                    self._check_screen(key, screen, language, words[language], back=back)

    def _check_screen(
        self, key: str, screen: Screen, language: str, words: Words, *, back: bool
    ) -> None:
        """A question must fit on one page below its hint, and a title beside any choice."""
        above = [words.hint(screen.ask), _widest(screen.text[language])]
        needed = septets("\n".join(above))
        if screen.ask is None:
            labels = [c.label[language] for c in screen.choices.values() if language in c.label]
            longest = max((septets(_widest(label)) for label in labels), default=0)
            ways = words.ways(back=back)
            foot = [way for way in ways if way]
            needed += len("\n1 ") + longest + septets("".join(f"\n{way}" for way in foot))
        if needed > SCREEN_SEPTETS:
            below = "with a hint" if screen.ask else "with a hint, a choice, 0 and 9"
            reason = f"may take {needed} septets {below}; a page holds {SCREEN_SEPTETS}"
            self._say(key, reason)


def _ways_on(name: str, screen: Screen) -> Iterator[tuple[str, str]]:
    """The screens that one leads to, and where in the file that is said."""
    for key, choice in screen.choices.items():
        if choice.to:
            yield f"screens.{name}.{key}.to", choice.to
    if screen.ask and screen.then:
        yield f"screens.{name}.then", screen.then


def _widest(text: Text) -> str:
    return text.filled({name: "0" * PLACES.get(name, 0) for name in text.names})


def _room_of(word: str) -> int:
    if word in _WAYS:
        return WAY_SEPTETS_MAX
    return OFFER_SEPTETS_MAX if word in _OFFERS else HINT_SEPTETS_MAX
