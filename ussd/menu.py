"""A menu of screens: what each shows, and where an input leads.  Pure.

A screen offers choices by the keys 1 to 8, or asks for something to be typed.  A choice leads to
another screen or runs a route of the dispatch table; what was typed is handed to a route, at once
or after a second question.  Everywhere `0` shows the next page where there is one, and `9` goes
back: to the page before, else to the screen that led here.  A wrong input shows the screen again
with a hint, and loses nothing that was typed before.

The menu itself is data, made from a file by `menu_file`.  Where a dialogue stands is a `Place`, a
value that the session keeps; a place that a changed menu no longer has is the first screen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from telcod.messages import DEFAULT_LANGUAGE
from telcod.text import fold, gsm7_or_none, gsm_safe, septets
from ussd.screens import (
    HINT_SHARE,
    NO_WAYS,
    SCREEN_SEPTETS,
    Page,
    Text,
    Ways,
    body_page,
    choices_page,
    page_before,
    question_page,
)

ONWARD_KEY: Final = "0"
BACK_KEY: Final = "9"
CHOICE_KEYS: Final = "12345678"
GO_ON_KEY: Final = "1"
RESTART_KEY: Final = "2"
BETWEEN_INPUTS: Final = "*"
NOT_UNDERSTOOD: Final = "!"
"""What `Dispatcher.arguments` puts before a word that is no number."""


class Ask(StrEnum):
    """What a screen wants to be typed."""

    NUMBERS = "numbers"
    NUMBER = "number"
    CODE = "code"
    TEXT = "text"


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a dialogue stands.

    `page` is where the shown page begins (see `ussd.screens`); `inputs` what was typed on the way,
    checked; `body` the result that is being read, page by page; `hinted`: the page was made shorter
    by a hint; `resume`: it was asked whether to go on from there.
    """

    screen: str
    page: int = 0
    inputs: tuple[str, ...] = ()
    body: str = ""
    resume: "Place | None" = None
    hinted: bool = False


class Show(NamedTuple):
    """Show this; the next input is typed at `place`."""

    text: str
    place: Place
    ends: bool


class Run(NamedTuple):
    """Run this route, then show its answer by `Menu.result`."""

    route: str
    args: tuple[str, ...]
    place: Place


class Speaker(NamedTuple):
    """For whom, and for what phone.

    `values` are what texts name: prices as they are written.  `arguments` checks the folded words
    of a route as those of a text are checked; None when they don't fit.  `septets_max` is the room
    on a screen, `SCREEN_SEPTETS_MIN` at least.
    """

    language: str
    values: Mapping[str, str]
    arguments: Callable[[str, Sequence[str]], tuple[str, ...] | None]
    septets_max: int = SCREEN_SEPTETS


class Words(NamedTuple):
    """The words of one language that every menu needs; without the keys, which are fixed."""

    onward: str
    back: str
    unfinished: str
    go_on: str
    restart: str
    wrong_choice: str
    wrong_number: str
    wrong_code: str
    wrong_text: str

    def ways(self, *, back: bool) -> Ways:
        """The lines that tell the keys 0 and 9."""
        return Ways(f"{ONWARD_KEY} {self.onward}", f"{BACK_KEY} {self.back}" if back else "")

    def hint(self, ask: Ask | None) -> str:
        """What is said of a wrong input."""
        match ask:
            case None:
                return self.wrong_choice
            case Ask.NUMBERS | Ask.NUMBER:
                return self.wrong_number
            case Ask.CODE:
                return self.wrong_code
            case Ask.TEXT:
                return self.wrong_text


class Choice(NamedTuple):
    """One line of a screen: leads to a screen (`to`), or runs a route with fixed arguments."""

    label: Mapping[str, Text]
    to: str = ""
    route: str = ""
    args: tuple[str, ...] = ()


class Screen(NamedTuple):
    """One screen: choices by key, or a question.

    The answer of a question goes to `route`, at once or, with `then`, after another question;
    `collected` is how many answers were given before this screen.  `parent` is where `9` leads;
    empty on the first screen.
    """

    text: Mapping[str, Text]
    choices: Mapping[str, Choice]
    parent: str = ""
    ask: Ask | None = None
    then: str = ""
    route: str = ""
    collected: int = 0


@dataclass(frozen=True, slots=True)
class Menu:
    """What is behind one service code; `short_code` is the one whose texts it stands for.

    Build with `menu_file.build`, which proves that it has no hole.
    """

    service_code: str
    short_code: str
    first: str
    screens: Mapping[str, Screen]
    words: Mapping[str, Words]

    def begin(self, jumps: Sequence[str], speaker: Speaker) -> Show | Run:
        """What was dialled: the first screen, or where the inputs after the code lead.

        They are walked one by one.  A wrong one shows its screen with a hint; the rest is dropped,
        for it was meant for another screen.  A last question takes all that is left, because
        numbers are parted by `*` there, and a text may have some.
        """
        did: Show | Run = self._show(Place(self.first), speaker)
        for at, typed in enumerate(jumps):
            if not isinstance(did, Show) or did.place.hinted:
                break
            screen = self.screens[did.place.screen]
            if screen.ask in {Ask.NUMBERS, Ask.TEXT}:
                return self.step(did.place, BETWEEN_INPUTS.join(jumps[at:]), speaker)
            did = self.step(did.place, typed, speaker)
        return did

    def step(self, place: Place, typed: str, speaker: Speaker) -> Show | Run:
        """What comes of an input; never raises, whatever it is."""
        if place.resume is not None:
            return self._resumed(place, place.resume, typed, speaker)
        screen = self._screen_or_none(place)
        if screen is None:
            return self._show(Place(self.first), speaker)
        # A text may be anything but just the key.
        key = typed.strip() if screen.ask is Ask.TEXT else _key(typed)
        if key == BACK_KEY and (before := self._before(place, screen, speaker)):
            return self._show(before, speaker)
        if screen.ask is not None and not place.body:
            return self._answered(place, screen, screen.ask, typed, speaker)
        if key == ONWARD_KEY and (after := self._page(place, speaker).after):
            return self._show(msgspec.structs.replace(place, page=after, hinted=False), speaker)
        choice = None if place.body else screen.choices.get(key)
        if choice is None:
            return self._hint(place, speaker)
        if choice.route:
            return Run(choice.route, choice.args, place)
        return self._show(Place(choice.to), speaker)

    def result(self, place: Place, text: str, speaker: Speaker) -> Show:
        """What a route answered: as many pages as it takes, the last of which ends the dialogue."""
        body = text.strip()
        if gsm7_or_none(body) is None:
            body = gsm_safe(body, len(body)).strip()
        if not body:
            return Show("", Place(place.screen), ends=True)
        return self._show(Place(place.screen, body=body), speaker)

    def offer_resume(self, place: Place, speaker: Speaker) -> Show:
        """A new dialogue after one that was cut off: go on from that place, or start again?"""
        return self._show(Place(self.first, resume=place.resume or place), speaker)

    def worth_resuming(self, place: Place) -> bool:
        """Whether there is more to go on from than the first screen."""
        left = place.resume or place
        known = self._screen_or_none(left) is not None
        return known and (left.screen != self.first or bool(left.page or left.body))

    def _screen_or_none(self, place: Place) -> Screen | None:
        """The screen of a place, if the menu, which may have been changed, still has such a one."""
        screen = self.screens.get(place.screen)
        fits = screen is not None and (place.body or len(place.inputs) == screen.collected)
        return screen if fits else None

    def _resumed(self, place: Place, left: Place, typed: str, speaker: Speaker) -> Show:
        key = _key(typed)
        if key == RESTART_KEY or self._screen_or_none(left) is None:
            return self._show(Place(self.first), speaker)
        if key == GO_ON_KEY:
            return self._show(msgspec.structs.replace(left, hinted=False), speaker)
        return self._hint(place, speaker)

    def _before(self, place: Place, screen: Screen, speaker: Speaker) -> Place | None:
        """Where `9` leads; None where there is nothing before.

        What was done is done: from the first page of a result there is no way back.
        """
        if place.page:

            def unhinted(start: int) -> Page:
                at = msgspec.structs.replace(place, page=start, hinted=False)
                return self._page(at, speaker)

            start = page_before(place.page, unhinted)
            return msgspec.structs.replace(place, page=start, hinted=False)
        if place.body or not screen.parent:
            return None
        parent = self.screens[screen.parent]
        return Place(screen.parent, inputs=place.inputs[:-1] if parent.ask else ())

    def _answered(
        self, place: Place, screen: Screen, ask: Ask, typed: str, speaker: Speaker
    ) -> Show | Run:
        """The answer to a question: run its route, ask the next thing, or ask again."""
        given = _understood(ask, screen.route, typed, speaker)
        if given is None:
            return self._hint(place, speaker)
        inputs = (*place.inputs, *given)
        if screen.then:
            return self._show(Place(screen.then, inputs=inputs), speaker)
        return Run(screen.route, inputs, place)

    def _hint(self, place: Place, speaker: Speaker) -> Show:
        return self._show(msgspec.structs.replace(place, hinted=True), speaker)

    def _show(self, place: Place, speaker: Speaker) -> Show:
        page = self._page(place, speaker)
        ends = bool(place.body) and place.resume is None and not page.after
        return Show(page.text, place, ends=ends)

    def _page(self, place: Place, speaker: Speaker) -> Page:
        """What is on the screen at a place."""
        words = self.words.get(speaker.language) or self.words[DEFAULT_LANGUAGE]
        language = speaker.language if speaker.language in self.words else DEFAULT_LANGUAGE
        room = speaker.septets_max
        screen = self.screens[place.screen]
        ask = None if place.body or place.resume else screen.ask
        hint = words.hint(ask) if place.hinted else ""
        if hint and septets(hint) * HINT_SHARE > room:
            hint = ""
        if place.resume is not None:
            ways = f"{GO_ON_KEY} {words.go_on}\n{RESTART_KEY} {words.restart}"
            return question_page(hint, f"{words.unfinished}\n{ways}", NO_WAYS, room)
        if place.body:
            start = place.page if place.page < len(place.body) else 0
            return body_page(hint, place.body, start, words.ways(back=True), room)
        text = screen.text[language].filled(speaker.values)
        if screen.ask is not None:
            return question_page(hint, text, words.ways(back=bool(screen.parent)), room)
        items = [
            f"{key} {choice.label[language].filled(speaker.values)}"
            for key, choice in screen.choices.items()
        ]
        start = place.page if place.page < len(items) else 0
        back = bool(start or screen.parent)
        return choices_page(hint, text, items, start, words.ways(back=back), room)


def _key(typed: str) -> str:
    """The key that was meant, whatever the phone or the gateway left around it."""
    return fold(typed).strip("*# ")


def _understood(ask: Ask, route: str, typed: str, speaker: Speaker) -> tuple[str, ...] | None:
    """What was typed as arguments of a route; None when it is not what was asked for.

    Numbers are checked as those of a text are; one of several that is none goes on, to get its
    verdict, but not when there is nothing else.
    """
    if ask is Ask.TEXT:
        return (typed,) if typed.strip() else None
    words = fold(typed.replace(BETWEEN_INPUTS, " ").replace("#", " ")).split()
    given = speaker.arguments(route, words)
    # Nothing typed never runs anything, though a text of the bare keyword may.
    if not given or all(word.startswith(NOT_UNDERSTOOD) for word in given):
        return None
    return given if ask is Ask.NUMBERS or len(given) == 1 else None
