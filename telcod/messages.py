"""The catalogue: key, values and language make a text of known size (KW-6, KW-8).  Pure.

A catalogue is checked as a whole when it is built, and refused with every problem in one go: a
key that a language lacks, placeholders that differ between languages, characters outside the
GSM 7 bit alphabet, and texts that could need more messages than they declare.

In a file, a text is `"pkg.started" = "..."`, or, if it may take more than one message,
`"help" = { text = "...", parts = 2 }`; dotted keys and nested tables are the same.  `widths` beside
`text` sets how wide a placeholder can get.  See `telcod.text.template` for placeholders.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from telcod.text.gsm import encode_gsm7, gsm7_or_none
from telcod.text.template import KINDS, Kind, Template, compile_leaf, leaves, show_number
from telcod.text.values import gsm_safe, join_cut

DEFAULT_LANGUAGE: Final = "vi"
MORE_KEY: Final = "list.more"  # What ends a list that was cut: `va {n} so khac`.

_PARTS_SEARCHED_MAX: Final = 255


class Problem(NamedTuple):
    """One reason not to start with a catalogue."""

    language: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.language}: {self.key}: {self.reason}"


class CatalogueError(ValueError):
    """The catalogue must not be used; `problems` are all of them.  Mend the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All texts of all languages, checked.  Made by `Catalogue.build`."""

    templates: Mapping[str, Mapping[str, Template]]
    default_language: str

    @classmethod
    def build(
        cls,
        languages: Mapping[str, Mapping[str, object]],
        *,
        required: Iterable[str] = (),
        kinds: Mapping[str, Kind] = KINDS,
        default_language: str = DEFAULT_LANGUAGE,
    ) -> "Catalogue":
        """Check and compile parsed TOML files, one per language.

        Args:
            languages: Language to its table; every language must have every key.
            required: Keys that the code uses.
            kinds: Placeholder names whose ending does not tell their kind.
            default_language: Whose texts those get who chose a language that is not here.

        Raises:
            CatalogueError: With every problem of every language.
        """
        problems: list[Problem] = []
        templates: dict[str, dict[str, Template]] = {}
        present: dict[str, set[str]] = {}
        for language, table in languages.items():
            texts = list(leaves(table))
            present[language] = {key for key, _ in texts}
            templates[language] = {}
            for key, leaf in texts:
                compiled = compile_leaf(leaf, kinds)
                if isinstance(compiled, Template):
                    templates[language][key] = compiled
                else:
                    problems += [Problem(language, key, reason) for reason in compiled]
            if len(present[language]) < len(texts):
                doubled = {key for key, _ in texts if [k for k, _ in texts].count(key) > 1}
                problems += [Problem(language, key, "written twice") for key in sorted(doubled)]
        if default_language not in languages:
            problems.append(Problem(default_language, "*", "the default language has no texts"))
        problems += _differences(templates, present, frozenset(required))
        if problems:
            raise CatalogueError(problems)
        return cls(templates, default_language)

    def render(self, key: str, values: Mapping[str, object], language: str) -> str:
        """The text, in the declared number of messages at most if no value is wider than its kind.

        Amounts are ints in đồng, times Unix milliseconds, numbers `Msisdn`, lists sequences of
        texts or numbers; what is a text already is shown as it is, foreign words cut and made
        safe.  A list that does not fit is cut, with a count of what was left out.

        Raises:
            KeyError: There is no such key, or a value is missing.  A caller's bug.
        """
        template = self._template(key, language)
        pieces = list(template.segments)
        for place, name, width, show, text_as_is in template.slots:
            value = values[name]
            pieces[place] = value if text_as_is and type(value) is str else show(value, width)
        text = "".join(pieces)
        septets = gsm7_or_none(text)
        if septets is None:
            # A value slipped in that nobody made safe; our own words were checked by the build.
            pieces = [gsm_safe(p, len(p)) if gsm7_or_none(p) is None else p for p in pieces]
            text = "".join(pieces)
            septets = encode_gsm7(text)
        if template.listed is None:
            return text
        room = template.room() - len(septets)
        pieces[template.listed.place] = self._list(values[template.listed.name], room, language)
        return "".join(pieces)

    def parts_max(
        self, key: str, language: str, max_lengths: Mapping[str, int] | None = None
    ) -> int:
        """How many messages a text can take, given other greatest lengths of some placeholders.

        Raises:
            KeyError: There is no such key.
            ValueError: More than 255.
        """
        template = self._template(key, language)
        septets = template.septets_max(max_lengths or {})
        for parts in range(1, _PARTS_SEARCHED_MAX + 1):
            if septets <= template.room(parts):
                return parts if template.listed is None else max(parts, template.parts)
        raise ValueError(f"{key} can take {septets} septets")

    def keys(self) -> frozenset[str]:
        """All keys; every language has them."""
        return frozenset(self.templates[self.default_language])

    def placeholders(self, key: str) -> frozenset[str]:
        """The names that a text needs values for; the same in every language."""
        return self.templates[self.default_language][key].names

    def _template(self, key: str, language: str) -> Template:
        texts = self.templates.get(language)
        return (self.templates[self.default_language] if texts is None else texts)[key]

    def _list(self, value: object, room: int, language: str) -> str:
        """A list in the room that the rest of its text leaves."""
        items = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
        shown = [
            gsm_safe(item, len(item)) if isinstance(item, str) else show_number(item, 0)
            for item in items
        ]
        template = self._template(MORE_KEY, language)
        more = list(template.segments)
        for slot in template.slots:
            more[slot.place] = "{n}"
        return join_cut(shown, room, more="".join(more))


def _differences(
    templates: Mapping[str, Mapping[str, Template]],
    present: Mapping[str, set[str]],
    required: frozenset[str],
) -> list[Problem]:
    """What one language has and another has not."""
    problems: list[Problem] = []
    compiled = [template for table in templates.values() for template in table.values()]
    if any(template.listed for template in compiled):
        required |= {MORE_KEY}
    for key in sorted(required.union(*present.values())):
        problems += [
            Problem(language, key, "missing")
            for language in present
            if key not in present[language]
        ]
        names = {
            language: table[key].names for language, table in templates.items() if key in table
        }
        everything = frozenset[str]().union(*names.values())
        problems += [
            Problem(language, key, f"lacks the placeholder {name!r} that another language has")
            for language, has in names.items()
            for name in sorted(everything - has)
        ]
        if key == MORE_KEY and everything and everything != {"n"}:
            problems.append(Problem("*", key, "takes the placeholder {n} only"))
    return problems
