"""What voice platforms say, by id and language (IVR-6).  Pure.

A prompt is a text with places for a number and amounts.  To platforms that play recordings, `parts`
gives it as a sequence of recordings and things to be spoken from parts: digits, amounts; `files`
names the recordings, one after the other, and `recordings` says what each of them must hold.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from telcod.msisdn import Msisdn, national
from telcod.spoken import WORDS, number_stems

REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "ask": frozenset({"caller", "minute_vnd", "block_vnd"}),
    "ask_listed": frozenset({"caller", "minute_vnd", "block_vnd"}),
    "connecting": frozenset(),
    "guidance": frozenset(),
    "refused": frozenset(),
    "refused_too_often": frozenset(),
    "refused_not_served": frozenset(),
    "unavailable": frozenset(),
    "ending_soon": frozenset(),
}
_PLACE: Final = re.compile(r"\{([a-z_]*)\}")
TEXT_CHARS_MAX: Final = 1_000
NUMBERS_FOLDER: Final = "numbers"
_BARE: Final = " \t\n.,;:!?"  # what stands between places and says nothing


class PromptsError(ValueError):
    """The prompts can't be used; `problems` are (language, id, reason)."""

    def __init__(self, problems: Sequence[tuple[str, str, str]]) -> None:
        super().__init__("; ".join(": ".join(problem) for problem in problems))
        self.problems: Final = tuple(problems)


class Spoken(NamedTuple):
    """One thing to say: a recording's segment, digits one by one, or an amount."""

    kind: str  # "text", "digits", "amount"
    value: str


class Prompts:
    """All prompts of all languages, checked."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]], wording: str) -> None:
        """Check prompts by language and id; `wording` names their version in consents.

        Raises:
            PromptsError: With every problem of every language.
        """
        problems = list(_problems(texts))
        if problems:
            raise PromptsError(problems)
        self._texts: Final = texts
        self.wording: Final = wording

    def render(self, prompt_id: str, language: str, **values: int) -> str:
        """The text for platforms that speak by themselves.

        A number's digits stand apart so that they are spoken one by one.
        """
        text = self._text(prompt_id, language)
        return _PLACE.sub(lambda place: _spoken(place[1], values[place[1]]).value, text)

    def parts(self, prompt_id: str, language: str, **values: int) -> list[Spoken]:
        """The same as a sequence for platforms that play recordings: text, digits, text, amount."""
        spoken = []
        pieces = _PLACE.split(self._text(prompt_id, language))
        for at, piece in enumerate(pieces):
            if at % 2:
                spoken.append(_spoken(piece, values[piece]))
            elif piece.strip():
                spoken.append(Spoken("text", piece.strip()))
        return spoken

    def files(self, prompt_id: str, language: str, **values: int) -> tuple[str, ...]:
        """The recordings that make the prompt, to be played in this order.

        Names are relative to the folder of prompts and have no ending: `vi/ask.1`, `vi/numbers/0`,
        …; a prompt without places is one recording, `vi/refused`.
        """
        language = language if language in self._texts else "vi"
        text = self._text(prompt_id, language)
        stems: list[str] = []
        for stem, place in _pieces(prompt_id, text):
            stems += [stem] if stem else _stems(place, values[place], language)
        return tuple(f"{language}/{stem}" for stem in stems)

    def recordings(self, language: str) -> Mapping[str, str]:
        """What each recording of a language holds, by its name in the language's folder."""
        texts: dict[str, str] = {}
        for prompt_id, text in self._texts[language].items():
            pieces = iter(piece.strip(_BARE) for piece in _PLACE.split(text)[::2])
            for stem, _ in _pieces(prompt_id, text):
                if stem:
                    texts[stem] = next(piece for piece in pieces if piece)
        return texts | {f"{NUMBERS_FOLDER}/{stem}": word for stem, word in WORDS[language].items()}

    def texts(self, language: str) -> Mapping[str, str]:
        """All texts of a language by id, for making recordings."""
        return self._texts[language]

    def _text(self, prompt_id: str, language: str) -> str:
        return (self._texts.get(language) or self._texts["vi"])[prompt_id]


def _pieces(prompt_id: str, text: str) -> Iterator[tuple[str, str]]:
    """What a prompt is made of: names of recordings and places, the other of the two empty."""
    pieces = _PLACE.split(text)
    count = 0
    for at, piece in enumerate(pieces):
        if at % 2:
            yield "", piece
        elif piece.strip(_BARE):
            count += 1
            yield (prompt_id if len(pieces) == 1 else f"{prompt_id}.{count}"), ""


def _stems(place: str, value: int, language: str) -> Iterator[str]:
    """A number's digits one by one, an amount in words."""
    words = national(Msisdn(value)) if place == "caller" else number_stems(value, language)
    return (f"{NUMBERS_FOLDER}/{word}" for word in words)


def _spoken(name: str, value: int) -> Spoken:
    if name == "caller":
        return Spoken("digits", " ".join(national(Msisdn(value))))
    return Spoken("amount", f"{value:,}".replace(",", "."))


def _problems(texts: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str, str]]:
    for language, table in texts.items():
        for prompt_id in REQUIRED.keys() - table.keys():
            yield language, prompt_id, "missing"
        for prompt_id, text in table.items():
            if prompt_id not in REQUIRED:
                yield language, prompt_id, "unknown prompt"
                continue
            places = set(_PLACE.findall(text))
            if places != REQUIRED[prompt_id]:
                wanted = sorted(REQUIRED[prompt_id])
                reason = f"must name exactly {wanted}, it names {sorted(places)}"
                yield language, prompt_id, reason
            if not text.strip() or len(text) > TEXT_CHARS_MAX:
                yield language, prompt_id, f"must have 1 to {TEXT_CHARS_MAX} characters"
