"""The catalogue: nothing starts with a hole in it, and every text has its size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.messages import DEFAULT_LANGUAGE, MORE_KEY, Catalogue, CatalogueError, Problem
from telcod.msisdn import Msisdn
from telcod.text import count_parts, is_gsm7
from telcod.text.template import Kind

VI = {
    "pkg": {"started": "Goi {package} gia {price} den {until}. Soan HUY gui 1566 de huy."},
    "lists.shown": {"text": "Danh sach: {numbers}.", "parts": 3},
    "text.unknown": "Khong hieu '{typed}'. Goi 9090.",
    "charge": "So {payer} tra {amount_vnd} cho {seconds}s",
    "braces": "{{{n}}}",
    "list.more": "va {n} so khac",
}
EN = {
    "pkg.started": "Package {package}: {price}, until {until}. Text HUY to 1566 to cancel.",
    "lists.shown": {"text": "Your list: {numbers}.", "parts": 3},
    "text.unknown": "'{typed}' is unknown. Call 9090.",
    "charge": "{payer} paid {amount_vnd} for {seconds}s",
    "braces": "{{{n}}}",
    "list.more": "{n} more",
}
CATALOGUE = Catalogue.build({"vi": VI, "en": EN})
NUMBERS = [Msisdn(84903000000 + n) for n in range(50)]


@pytest.mark.rule("KW-8", "KW-6")
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("vi", "Goi DK7 gia 5.000d den 07:00 01/01/2026. Soan HUY gui 1566 de huy."),
        ("en", "Package DK7: 5.000d, until 07:00 01/01/2026. Text HUY to 1566 to cancel."),
        ("fr", "Goi DK7 gia 5.000d den 07:00 01/01/2026. Soan HUY gui 1566 de huy."),
    ],
)
def test_values_are_shown_by_their_kind_in_the_subscribers_language(language, text):
    values = {"package": "DK7", "price": 5000, "until": 1_767_225_600_000}
    assert CATALOGUE.render("pkg.started", values, language) == text


@pytest.mark.rule("KW-8")
def test_numbers_are_national_and_shown_texts_stay():
    values = {"payer": Msisdn(84903123456), "amount_vnd": 150, "seconds": 6}
    assert CATALOGUE.render("charge", values, "en") == "0903123456 paid 150d for 6s"
    shown = {"payer": "0903123456", "amount_vnd": "150d", "seconds": "6"}
    assert CATALOGUE.render("charge", shown, "en") == "0903123456 paid 150d for 6s"


def test_braces_of_a_value_are_not_placeholders():
    assert CATALOGUE.render("braces", {"n": "{n}"}, "vi") == "{{n}}"


@pytest.mark.rule("KW-6")
@given(st.text())
def test_foreign_words_never_change_the_alphabet_or_the_size(typed):
    for language in ("vi", "en"):
        text = CATALOGUE.render("text.unknown", {"typed": typed}, language)
        assert is_gsm7(text)
        assert count_parts(text).count == CATALOGUE.parts_max("text.unknown", language) == 1


@pytest.mark.rule("KW-6")
def test_a_value_that_nobody_made_safe_is_made_safe():
    values = {"package": "tuần", "price": "5.000₫", "until": "mai"}
    assert CATALOGUE.render("pkg.started", values, "vi").startswith("Goi tuan gia 5.000d den mai.")


@pytest.mark.rule("LST-3", "KW-6")
@given(st.integers(0, 50), st.sampled_from(["vi", "en"]))
def test_a_list_is_cut_at_its_parts_with_a_count_of_the_rest(count, language):
    text = CATALOGUE.render("lists.shown", {"numbers": NUMBERS[:count]}, language)
    assert count_parts(text).count <= 3
    shown = text.count("090")
    if shown < count:
        more = f"va {count - shown} so khac." if language == "vi" else f"{count - shown} more."
        assert text.endswith(more)
    assert count - shown in {0, count - 36, count - 37}


@pytest.mark.rule("LST-3")
def test_a_list_may_be_of_texts_or_a_single_one():
    assert CATALOGUE.render("lists.shown", {"numbers": ["a", "ổi"]}, "en") == "Your list: a, oi."
    assert CATALOGUE.render("lists.shown", {"numbers": "a"}, "en") == "Your list: a."


def test_the_words_for_more_may_begin_with_the_count():
    text = CATALOGUE.render("lists.shown", {"numbers": NUMBERS}, "en")
    assert " 1" in text
    assert text.endswith(" more.")


@pytest.mark.rule("KW-6")
def test_the_size_of_a_text_follows_the_widths_of_its_values():
    assert CATALOGUE.parts_max("charge", "vi") == 1
    assert CATALOGUE.parts_max("charge", "vi", {"payer": 135}) == 2
    assert CATALOGUE.parts_max("lists.shown", "vi") == 3
    with pytest.raises(ValueError, match="charge"):
        CATALOGUE.parts_max("charge", "vi", {"payer": 255 * 153})


def test_a_missing_key_or_value_is_a_bug():
    with pytest.raises(KeyError):
        CATALOGUE.render("nothing", {}, "vi")
    with pytest.raises(KeyError):
        CATALOGUE.render("pkg.started", {}, "vi")


def test_keys_and_placeholders_can_be_asked_for():
    assert CATALOGUE.keys() == {"pkg.started", *(set(VI) - {"pkg"})}
    assert CATALOGUE.placeholders("charge") == {"payer", "amount_vnd", "seconds"}
    assert CATALOGUE.placeholders("lists.shown") == {"numbers"}


@pytest.mark.rule("KW-6")
def test_every_problem_of_every_language_is_told_in_one_go():
    vi = {
        "a": "gia {price}",
        "b": "Đ",
        "c": "x" * 161,
        "d": "{",
        "e": "{price:d}",
        "g.h": "1",
        "g": {"h": "2"},
    }
    en = {"a": "costs", "b": "b", "c": "c", "d": "d", "f": "", "g.h": "1"}
    with pytest.raises(CatalogueError) as caught:
        Catalogue.build({"vi": vi, "en": en}, required=["needed"])
    assert set(caught.value.problems) == {
        Problem("en", "a", "lacks the placeholder 'price' that another language has"),
        Problem("vi", "b", "not in the GSM 7 bit alphabet: 'Đ'"),
        Problem("vi", "c", "may take 161 septets, 1 part(s) hold 160"),
        Problem("vi", "d", "unbalanced '{' at character 1"),
        Problem("vi", "e", "placeholder '{price:d}' must be a name in small letters"),
        Problem("en", "e", "missing"),
        Problem("en", "f", "empty, or no text"),
        Problem("vi", "f", "missing"),
        Problem("vi", "g.h", "written twice"),
        Problem("vi", "needed", "missing"),
        Problem("en", "needed", "missing"),
    }
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1
    assert "vi: b: not in the GSM 7 bit alphabet: 'Đ'" in str(caught.value)


@pytest.mark.rule("KW-6", "LST-3")
def test_a_catalogue_with_lists_needs_the_words_for_more():
    with pytest.raises(CatalogueError) as caught:
        Catalogue.build({"vi": {"a": {"text": "{numbers}", "parts": 3}}})
    assert caught.value.problems == (Problem("vi", MORE_KEY, "missing"),)
    with pytest.raises(CatalogueError) as caught:
        Catalogue.build({"vi": {"a": "{numbers}", MORE_KEY: "va {count} so khac"}})
    assert caught.value.problems == (Problem("*", MORE_KEY, "takes the placeholder {n} only"),)


@pytest.mark.rule("KW-6")
def test_a_catalogue_without_its_default_language_is_refused():
    with pytest.raises(CatalogueError):
        Catalogue.build({"en": {"a": "a"}})
    with pytest.raises(CatalogueError):
        Catalogue.build({})
    assert DEFAULT_LANGUAGE == "vi"


def test_kinds_of_odd_names_can_be_given():
    catalogue = Catalogue.build({"vi": {"a": "{odd}"}}, kinds={"odd": Kind.MONEY})
    assert catalogue.render("a", {"odd": 1000}, "vi") == "1.000d"
