"""Amounts in any usual form, addresses, and what is said where: pure functions of the site."""

from string import Formatter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telcod.epay.site.forms import (
    AMOUNT_VND_MAX,
    PayForm,
    form_problems,
    read_amount,
    read_fields,
    read_pay_form,
)
from telcod.epay.site.routes import FOLDER
from telcod.types import Language
from telcod.web.pages import Pages, load_words

pytestmark = pytest.mark.rule("PAY-4")

SOURCES = [*FOLDER.rglob("*.html"), *FOLDER.rglob("*.py")]


@pytest.mark.parametrize(
    ("typed", "amount_vnd"),
    [
        ("1000000", 1_000_000),
        ("1.000.000", 1_000_000),
        ("1,000,000", 1_000_000),
        ("1 000 000", 1_000_000),
        ("1\u00a0000\u00a0000", 1_000_000),
        (" 50.000 ₫ ", 50_000),
        ("50.000đ", 50_000),
        ("50000 VND", 50_000),
        ("50,000 vnđ", 50_000),
        ("50.000 đồng", 50_000),
        ("500k", 500_000),
        ("500 nghìn", 500_000),
        ("2tr", 2_000_000),
        ("2 triệu đồng", 2_000_000),
        ("１０００００", 100_000),
        ("0", 0),
    ],
)
def test_an_amount_is_read_as_people_write_it(typed, amount_vnd):
    assert read_amount(typed) == amount_vnd


@pytest.mark.parametrize(
    "typed",
    [
        "", "abc", "-50000", "+50000", "1.5", "1,5tr", "1.000,00", "1.000.00", "1.000,000", "10.00",
        "50000.00", "1e6", "0x10", "50000 usd", "1.0000", ".500", "1 0000", "9" * 13,
        "999999999999tr", "50000; 1",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_not_read(typed):
    assert read_amount(typed) is None


@given(
    st.integers(0, 10**9), st.sampled_from(["{:,}", "{:_}", "{}"]), st.sampled_from([".", ",", " "])
)
def test_any_amount_is_read_back_whatever_stands_between_its_groups(amount_vnd, form, mark):
    written = form.format(amount_vnd).replace(",", mark).replace("_", mark)
    assert read_amount(written) == amount_vnd


@given(st.text(max_size=40))
@example("\u0660")
def test_reading_an_amount_never_fails(typed):
    amount_vnd = read_amount(typed)
    assert amount_vnd is None or 0 <= amount_vnd <= AMOUNT_VND_MAX


@given(st.binary(max_size=300))
def test_reading_a_form_never_fails(body):
    form = read_pay_form(read_fields(body))
    assert isinstance(form, PayForm)
    assert form.purpose in {"", "bill", "topup"}


@pytest.mark.parametrize(
    ("email", "is_good"),
    [
        ("", True),
        ("a.b+c@example.co.uk", True),
        ("thuê@example.com", True),
        ("a@b", False),
        ("a b@example.com", False),
        ("a@example.com, b@example.com", False),
        ("<a@example.com>", False),
        ("a@exam\nple.com", False),
        ("a@example.com\r\nBcc: b@example.com", False),
        ("a@" + "b" * 300 + ".com", False),
    ],
)
def test_an_e_mail_address_is_one_address_and_nothing_more(email, is_good):
    problems = form_problems(PayForm(amount="50000", email=email), number_is_good=True)
    assert ("email" not in problems) is is_good


def test_a_key_that_we_did_not_make_is_no_key():
    for key in ("", "short", "x" * 65, "a" * 20 + "\n", "a b" * 10):
        assert not read_pay_form({"key": key}).key
    assert read_pay_form({"key": "A_-9" * 6}).key


def test_every_word_is_used_and_every_word_that_is_used_exists():
    words = set(load_words(FOLDER / "words")[Language.VI])
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    made = (
        "state.", "reason.", "error.", "invoice.", "purpose.", "card.", "problem.", "refused.",
    )  # fmt: skip
    unused = [word for word in words if f'"{word}"' not in text and not word.startswith(made)]
    assert not unused


def test_both_languages_name_the_same_values():
    words = load_words(FOLDER / "words")
    for key, text in words[Language.VI].items():
        named = [
            sorted(name for _, name, _, _ in Formatter().parse(each) if name)
            for each in (text, words[Language.EN][key])
        ]
        assert named[0] == named[1], key


def test_a_word_shows_its_values_as_text():
    pages = Pages(FOLDER / "templates", FOLDER / "words", home="/pay")
    said = pages.speaker(Language.EN)("account.title", number="<b>&")
    assert said == "Number &lt;b&gt;&amp;"
    with pytest.raises(KeyError):
        pages.speaker(Language.EN)("no.such.word")


def test_a_language_that_lacks_a_word_is_told_at_once(tmp_path):
    (tmp_path / "vi.toml").write_text('"a" = "x"\n"b" = "y"\n')
    (tmp_path / "en.toml").write_text('"a" = "x"\n')
    with pytest.raises(ValueError, match="b"):
        load_words(tmp_path)
