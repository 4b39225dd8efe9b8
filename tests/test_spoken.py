"""Numbers and prompts in words: which recordings there must be, and how they are played."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.prompts import REQUIRED
from telcod.rulebook import LANGUAGES, load_rules
from telcod.settings import load
from telcod.spoken import NUMBER_MAX, WORDS, number_stems

pytestmark = pytest.mark.rule("IVR-6")

PROMPTS = load_rules(load(None, {})).prompts
ASKED = {"caller": 84903000001, "minute_vnd": 1_500, "block_vnd": 150}
ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())


def words(value, language):
    return " ".join(WORDS[language][stem] for stem in number_stems(value, language))


@pytest.mark.parametrize(
    ("value", "vi", "en"),
    [
        (0, "không", "zero"),
        (5, "năm", "five"),
        (10, "mười", "ten"),
        (11, "mười một", "eleven"),
        (15, "mười lăm", "fifteen"),
        (20, "hai mươi", "twenty"),
        (21, "hai mươi mốt", "twenty one"),
        (55, "năm mươi lăm", "fifty five"),
        (100, "một trăm", "one hundred"),
        (105, "một trăm linh năm", "one hundred five"),
        (150, "một trăm năm mươi", "one hundred fifty"),
        (1_005, "một nghìn không trăm linh năm", "one thousand five"),
        (1_500, "một nghìn năm trăm", "one thousand five hundred"),
        (10_215, "mười nghìn hai trăm mười lăm", "ten thousand two hundred fifteen"),
        (1_000_000, "một triệu", "one million"),
        (2_000_000_001, "hai tỷ không trăm linh một", "two billion one"),
    ],
)
def test_a_number_is_said_as_people_say_it(value, vi, en):
    assert (words(value, "vi"), words(value, "en")) == (vi, en)


@given(st.integers(0, NUMBER_MAX), st.sampled_from(LANGUAGES))
def test_every_amount_can_be_said_and_no_two_alike(value, language):
    stems = number_stems(value, language)
    assert set(stems) <= WORDS[language].keys()
    assert stems != number_stems((value + 1) % (NUMBER_MAX + 1), language)


@pytest.mark.parametrize("value", [-1, NUMBER_MAX + 1])
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(ValueError, match="no amount"):
        number_stems(value, "vi")


def test_the_question_is_played_from_parts_in_the_order_of_the_text():
    files = PROMPTS.files("ask", "vi", **ASKED)
    said = " ".join(PROMPTS.recordings("vi")[file.removeprefix("vi/")] for file in files)
    assert files[:3] == ("vi/ask.1", "vi/numbers/0", "vi/numbers/9")
    assert said.startswith("Thuê bao không chín không ba không không không không không một muốn")
    assert "Giá cước một nghìn năm trăm đồng một phút" in said
    assert "sáu giây đầu một trăm năm mươi đồng. Bấm phím 1" in said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("prompt_id", sorted(REQUIRED))
def test_every_part_of_every_prompt_has_a_recording_to_make(prompt_id, language):
    values = {name: ASKED[name] for name in REQUIRED[prompt_id]}
    files = PROMPTS.files(prompt_id, language, **values)
    assert files
    assert {file.removeprefix(f"{language}/") for file in files} <= PROMPTS.recordings(
        language
    ).keys()
    assert all(text.strip() for text in PROMPTS.recordings(language).values())


def test_a_language_that_is_not_there_is_spoken_in_vietnamese():
    assert PROMPTS.files("refused", "xx") == ("vi/refused",)


def test_the_shipped_prompts_are_what_the_code_names():
    for language in LANGUAGES:
        path = ROOT / "config" / "prompts" / language / "prompts.toml"
        assert tomllib.loads(path.read_text(encoding="utf-8"))["text"].keys() == REQUIRED.keys()
