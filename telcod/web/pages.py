"""Server-rendered pages: templates, words in two languages, the reader's language (Jinja2).

Values are escaped, what a template names must exist, and every word stands in a file of each
language.  Templates of a package may extend `page.html`, which is here.
"""

import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from telcod.text.values import local_time
from telcod.types import Language
from telcod.web.static_files import href

SHARED: Final = Path(__file__).parent / "templates"
LANGUAGE_COOKIE: Final = "telcod_lang"
LANGUAGE_KEPT_S: Final = 365 * 86_400
NAMES: Final = {Language.VI: "Tiếng Việt", Language.EN: "English"}
_ACCEPTED_CHARS_MAX: Final = 200

Words = Mapping[Language, Mapping[str, str]]


def load_words(folder: Path) -> Words:
    """The words of pages, `vi.toml` and `en.toml`: flat tables of texts with `{names}` in them.

    Raises:
        ValueError: A language lacks a word that the other one has.
    """
    words = {
        language: tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
        for language in Language
    }
    lacking = set(words[Language.VI]) ^ set(words[Language.EN])
    if lacking:
        raise ValueError(f"{folder}: only one language has {sorted(lacking)}")
    return words


class Pages:
    """The pages of one site.

    Args:
        templates: The folder of its own templates.
        words: The folder of its words.
        home: Where its name in the head of a page leads.
    """

    def __init__(self, templates: Path, words: Path, *, home: str) -> None:
        self.words: Final = load_words(words)
        self._home: Final = home
        self._env: Final = Environment(
            loader=FileSystemLoader([templates, SHARED]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.globals["static"] = href
        self._env.filters["time"] = local_time

    def render(self, template: str, language: Language, *, path: str, **values: Any) -> str:
        """A page.

        Args:
            template: Its file.
            language: Of its words.
            path: Where the same page in another language is found, without a query.
            values: What the template names; besides, it has `t(key, ...)` for words, and the filter
                `vnd` for money.
        """
        other = Language.EN if language is Language.VI else Language.VI
        found = self._env.get_template(template)
        return found.render(
            **values,
            language=language.value,
            other_language=other.value,
            other_language_name=NAMES[other],
            home=self._home,
            path=path,
            t=self.speaker(language),
            vnd=partial(money, language),
        )

    def speaker(self, language: Language) -> Callable[..., str]:
        """What says a word of this language; values are escaped, words may hold no markup."""
        words = self.words[language]

        def say(key: str, **values: object) -> Markup:
            shown = {name: escape(str(value)) for name, value in values.items()}
            return Markup(str(escape(words[key])).format(**shown))  # noqa: S704  (escaped above)

        return say


def money(language: Language, amount_vnd: int) -> str:
    """Money as it is written: `1.000.000 ₫`, in English `1,000,000 ₫`."""
    return f"{number_text(language, amount_vnd)} ₫"


def number_text(language: Language, number: int) -> str:
    """A whole number in groups of three."""
    text = f"{number:,}"
    return text if language is Language.EN else text.replace(",", ".")


def choose_language(asked: str, cookie: str, accepted: str) -> Language:
    """The language of who reads: what he asks for now, asked for before, or his browser prefers.

    Args:
        asked: The parameter `lang` of the address.
        cookie: What was kept of an earlier one.
        accepted: The header `Accept-Language`.
    """
    for text in (asked, cookie):
        if text in set(Language):
            return Language(text)
    for part in accepted[:_ACCEPTED_CHARS_MAX].lower().split(","):
        word = part.partition(";")[0].strip().partition("-")[0]
        if word in set(Language):
            return Language(word)
    return Language.VI
