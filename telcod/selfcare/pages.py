"""The pages of the site as HTML: the shared pages, and values as subscribers read them."""

from pathlib import Path
from typing import Any, Final

from telcod.msisdn import Msisdn, national
from telcod.types import Language
from telcod.web.pages import Pages

FOLDER: Final = Path(__file__).parent
HOME: Final = "/me"


class SelfPages:
    """Makes all pages of the site."""

    def __init__(self) -> None:
        self._pages: Final = Pages(FOLDER / "templates", FOLDER / "words", home=HOME)

    def has(self, language: Language, key: str) -> bool:
        """Whether there is such a word."""
        return key in self._pages.words[language]

    def say(self, language: Language, key: str) -> str:
        """A word without values."""
        return str(self._pages.speaker(language)(key))

    def render(self, template: str, language: Language, *, path: str, **values: Any) -> str:
        """A page in one language; see `telcod.web.pages`.  Besides, `phone` shows a number and
        `charge_name` says what a charge was for.
        """

        def charge_name(kind: str) -> str:
            key = f"charge.{kind}"
            return self.say(language, key if self.has(language, key) else "charge.other")

        return self._pages.render(
            f"{template}.html", language, path=path, phone=phone, charge_name=charge_name, **values
        )


def phone(msisdn: str) -> str:
    """`0903 123 456`, which does not break at the end of a line."""
    digits = national(Msisdn(int(msisdn)))
    return "\N{NO-BREAK SPACE}".join((digits[:4], digits[4:7], digits[7:]))
