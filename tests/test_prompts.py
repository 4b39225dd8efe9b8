"""What callers and payers hear: complete in every language, and the price before the key."""

import pytest

from telcod.prompts import REQUIRED, TEXT_CHARS_MAX, Prompts, PromptsError, Spoken
from tests.world import shipped_rules

A = 84903000001
ASKED = {"caller": A, "minute_vnd": 1_500, "block_vnd": 150}
LANGUAGES = ("vi", "en")


def table(**changed):
    """The least that a language needs, with changes."""
    texts = {
        name: " ".join([name, *("{" + place + "}" for place in sorted(places))])
        for name, places in REQUIRED.items()
    }
    return {name: text for name, text in (texts | changed).items() if text is not None}


def problems_of(texts):
    with pytest.raises(PromptsError) as caught:
        Prompts(texts, "v1")
    return {problem[:2] for problem in caught.value.problems}


@pytest.mark.rule("IVR-6", "PFM-12")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("prompt_id", "keys"), [("ask", "124"), ("ask_listed", "1234")])
def test_the_question_names_the_number_and_the_price_before_any_key(language, prompt_id, keys):
    text = shipped_rules().prompts.render(prompt_id, language, **ASKED)
    word = {"vi": "phím", "en": "ress"}[language]
    first_key = text.index(word)
    assert text.index("0 9 0 3 0 0 0 0 0 1") < text.index("1.500") < text.index("150 ") < first_key
    for key in "1234":
        assert (f" {key} " in text[first_key:]) is (key in keys)


@pytest.mark.rule("IVR-6")
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_prompt_is_there_in_every_language(language):
    prompts = shipped_rules().prompts
    assert prompts.texts(language).keys() == REQUIRED.keys()
    for prompt_id, places in REQUIRED.items():
        text = prompts.render(prompt_id, language, **{name: ASKED[name] for name in places})
        assert text
        assert "{" not in text


@pytest.mark.rule("PFM-13")
def test_the_wording_has_a_version_for_the_evidence():
    assert shipped_rules().prompts.wording


@pytest.mark.rule("IVR-6")
def test_an_unknown_language_is_spoken_to_in_vietnamese():
    prompts = shipped_rules().prompts
    assert prompts.render("refused", "fr") == prompts.render("refused", "vi")


@pytest.mark.rule("IVR-6")
def test_numbers_and_prices_are_spoken_from_parts():
    texts = table(ask="Hear {caller} for {minute_vnd} or {block_vnd} then press")
    prompts = Prompts({"vi": texts, "en": texts}, "v1")
    assert prompts.parts("ask", "vi", **ASKED) == [
        Spoken("text", "Hear"),
        Spoken("digits", "0 9 0 3 0 0 0 0 0 1"),
        Spoken("text", "for"),
        Spoken("amount", "1.500"),
        Spoken("text", "or"),
        Spoken("amount", "150"),
        Spoken("text", "then press"),
    ]
    assert prompts.parts("refused", "vi") == [Spoken("text", "refused")]


@pytest.mark.rule("IVR-6")
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_parts_say_what_the_text_says(language):
    prompts = shipped_rules().prompts
    spoken = " ".join(part.value for part in prompts.parts("ask", language, **ASKED))
    text = prompts.render("ask", language, **ASKED)
    assert "".join(spoken.split()) == "".join(text.split())


@pytest.mark.rule("IVR-6")
@pytest.mark.parametrize(
    "changed",
    [
        {"refused": None},
        {"unheard_of": "hello"},
        {"ask": "{caller} {minute_vnd}"},
        {"ask": "{caller} {minute_vnd} {block_vnd} {more}"},
        {"refused": "not {caller}"},
        {"refused": "  "},
        {"refused": "x" * (TEXT_CHARS_MAX + 1)},
    ],
)
def test_prompts_that_cannot_be_used_are_refused_with_language_and_id(changed):
    (prompt_id,) = changed
    assert problems_of({"vi": table(), "en": table(**changed)}) == {("en", prompt_id)}


@pytest.mark.rule("IVR-6")
def test_every_problem_is_reported_in_one_go():
    texts = {"vi": table(refused=None), "en": table(guidance=None, ask="no price")}
    assert problems_of(texts) == {("vi", "refused"), ("en", "guidance"), ("en", "ask")}
