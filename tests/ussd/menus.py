"""The shipped menu, what it may run, and a phone that walks through it."""

import tomllib
from functools import cache

import handlers
from telcod.dispatch import FORWARD_ROUTE
from telcod.settings import shipped_config_dir
from tests.world import shipped_rules
from ussd.menu import Show, Speaker
from ussd.menu_file import build

PRICES = {"day": "1.000d", "week": "5.000d", "part": "250d", "minute": "1.500d"}
LANGUAGES = ("vi", "en")
GUIDE_ROUTE = "dial.guide"
TEXTS = {row.name: row for row in handlers.PAYFORME}
ROUTES = TEXTS | {name: handlers.ROUTES[name] for name in (FORWARD_ROUTE, GUIDE_ROUTE)}


def shipped_table():
    path = shipped_config_dir() / "ussd" / "1566.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def shipped_menu():
    return build(shipped_table(), ROUTES)


def arguments(route, words):
    return shipped_rules().dispatcher.arguments(ROUTES[route], words)


def speaker(language="vi", septets_max=182):
    return Speaker(language, PRICES, arguments, septets_max)


class Phone:
    """Dials and types; `did` is what came of it, `seen` all screens so far."""

    def __init__(self, *jumps, language="vi", septets_max=182, menu=None):
        self.menu = menu or shipped_menu()
        self.speaker = speaker(language, septets_max)
        self.seen = []
        self._note(self.menu.begin(jumps, self.speaker))

    def type(self, *inputs):
        for typed in inputs:
            assert isinstance(self.did, Show), f"{typed!r} was typed after {self.did}"
            assert not self.did.ends, f"{typed!r} was typed after the end: {self.did.text}"
            self._note(self.menu.step(self.did.place, typed, self.speaker))
        return self

    def read(self, text):
        """What a route answered comes to the phone."""
        self._note(self.menu.result(self.place, text, self.speaker))
        return self

    def called_again(self):
        """A new dialogue after this one was cut off."""
        self._note(self.menu.offer_resume(self.place, self.speaker))
        return self

    def _note(self, did):
        self.did = did
        if isinstance(did, Show):
            self.seen.append(did.text)

    @property
    def place(self):
        return self.did.place

    @property
    def lines(self):
        return self.did.text.split("\n")

    @property
    def runs(self):
        """The route that it led to, and its arguments; None while it shows a screen."""
        return None if isinstance(self.did, Show) else (self.did.route, self.did.args)
