"""Everything fits: pages of choices, of long texts, and questions, on screens of any size."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.text import septets
from ussd.screens import (
    NO_WAYS,
    SCREEN_SEPTETS_MIN,
    Page,
    Text,
    Ways,
    body_page,
    choices_page,
    page_before,
    question_page,
    shortened,
)

pytestmark = pytest.mark.rule("USSD-3")

WAYS = Ways("0 tiep", "9 lui")
ONWARD = Ways("0 tiep", "")
WORD = st.text("ab019.,{}[]~€", min_size=1, max_size=30)
PIECES = st.text("abc €{", min_size=1, max_size=60) | WORD
BODY = st.lists(PIECES, max_size=30).map(lambda words: " ".join(" ".join(words).split()))
LONG_BODY = st.lists(WORD, min_size=10, max_size=40).map(" ".join)
ROOM = st.integers(SCREEN_SEPTETS_MIN, 182)


def pages_of(page_at):
    """All pages from the first, without hints."""
    pages, start = [page_at(0)], 0
    while pages[-1].after:
        assert pages[-1].after > start, "a page went on from where it began"
        start = pages[-1].after
        pages.append(page_at(start))
    return pages


def words_of(text):
    return [line for line in text.split("\n") if line not in WAYS]


# -- texts with places


def test_places_are_filled_and_other_words_stay():
    text = Text.cut("Goi ngay {day}, tuan {week}.")
    assert text.names == ("day", "week")
    assert text.filled({"day": "1.000d", "week": "5.000d"}) == "Goi ngay 1.000d, tuan 5.000d."


def test_a_text_without_places_needs_no_values():
    assert Text.cut("Goi cuoc").filled({}) == "Goi cuoc"


def test_a_place_without_a_value_is_a_callers_bug():
    with pytest.raises(KeyError):
        Text.cut("{day}").filled({})


# -- choices


def test_a_few_choices_stand_on_one_page_under_their_title():
    page = choices_page("", "Goi cuoc", ["1 Ngay", "2 Tuan"], 0, WAYS, 182)
    assert page == Page("Goi cuoc\n1 Ngay\n2 Tuan\n9 lui")


def test_a_hint_stands_in_front():
    page = choices_page("Chua dung.", "Goi cuoc", ["1 Ngay"], 0, NO_WAYS, 182)
    assert page == Page("Chua dung.\nGoi cuoc\n1 Ngay")


def test_the_way_back_gives_way_to_a_choice_on_the_first_page():
    items = ["1 abc", "2 abc"]
    whole = "Title\n1 abc\n2 abc"
    assert choices_page("", "Title", items, 0, WAYS, len(whole)) == Page(whole)
    assert choices_page("", "Title", items, 0, WAYS, len(whole) + 6).text.endswith("\n9 lui")


def test_choices_that_do_not_fit_go_on_the_next_page():
    items = [f"{key} abcdefghijklmnopq" for key in range(1, 9)]
    pages = pages_of(lambda start: choices_page("", "Title", items, start, WAYS, 80))
    assert [page.text for page in pages] == [
        "Title\n" + "\n".join(items[:3]) + "\n0 tiep\n9 lui",
        "\n".join(items[3:6]) + "\n0 tiep\n9 lui",
        "\n".join(items[6:]) + "\n9 lui",
    ]


def test_a_page_takes_a_choice_only_if_all_of_it_fits():
    items = ["1 aaaa", "2 bbbb", "3 cccc", "4 dddd"]
    page = "T\n1 aaaa\n2 bbbb\n0 tiep"
    assert choices_page("", "T", items, 0, ONWARD, len(page)) == Page(page, 2)
    assert choices_page("", "T", items, 0, ONWARD, len(page) - 1) == Page("T\n1 aaaa\n0 tiep", 1)


def test_a_later_page_keeps_the_way_back_whatever_it_costs():
    items = ["1 aaaa", "2 bbbb", "3 cccc", "4 dddd"]
    page = choices_page("", "T", items, 1, WAYS, len("2 bbbb\n3 cccc\n4 dddd"))
    assert page == Page("2 bbbb\n0 tiep\n9 lui", 2)


def test_a_page_of_exactly_the_room_is_not_parted():
    whole = "Title\n1 a\n2 b"
    assert choices_page("", "Title", ["1 a", "2 b"], 0, ONWARD, len(whole)) == Page(whole)
    assert choices_page("", "Title", ["1 a", "2 b"], 0, ONWARD, len(whole) - 1).after == 1


def test_a_hint_makes_a_page_shorter_and_not_longer():
    items = ["1 aaaa", "2 bbbb", "3 cccc"]
    plain = choices_page("", "T", items, 0, ONWARD, 24)
    hinted = choices_page("Chua dung", "T", items, 0, ONWARD, 24)
    assert plain == Page("T\n1 aaaa\n2 bbbb\n3 cccc")
    assert hinted == Page("Chua dung\nT\n1 aaa\n0 tiep", 1)


@given(
    labels=st.lists(st.text("abc €{", max_size=90), min_size=1, max_size=8),
    title=st.text("abc ~", min_size=1, max_size=90),
    hint=st.sampled_from(["", "Chua dung."]),
    ways=st.sampled_from([WAYS, ONWARD]),
    room=ROOM,
)
def test_any_choices_fit_and_each_is_on_a_page(labels, title, hint, ways, room):
    items = [f"{key} {label}" for key, label in enumerate(labels, start=1)]
    pages = pages_of(lambda start: choices_page(hint, title, items, start, ways, room))
    assert all(septets(page.text) <= room for page in pages)
    shown = "\n".join(page.text for page in pages)
    assert sum(page.text.count("0 tiep") for page in pages) == len(pages) - 1
    if septets(f"{hint}\n{title}") + max(map(septets, items)) + 16 <= room:
        assert [line for line in shown.split("\n") if line[0] in "12345678"] == items
    assert all(page.text.endswith("9 lui") for page in pages[1:] if ways is WAYS)


# -- long texts


def test_a_text_that_fits_is_the_last_page_and_has_no_ways():
    assert body_page("", "x" * 182, 0, WAYS, 182) == Page("x" * 182)
    assert body_page("", "x" * 183, 0, WAYS, 182).after == 175


def test_extension_characters_take_two():
    assert body_page("", "€" * 91, 0, WAYS, 182) == Page("€" * 91)
    page = body_page("", "€" * 92, 0, WAYS, 182)
    assert page == Page("€" * 87 + "\n0 tiep", 87)


def test_a_long_text_is_cut_at_blanks():
    body = "mot hai ba bon nam"
    assert body_page("", body, 0, WAYS, 17) == Page("mot hai ba\n0 tiep", 11)
    assert body_page("", body, 11, WAYS, 17) == Page("bon nam")


def test_a_later_page_offers_the_way_back():
    page = body_page("", "a b c d e f g h i j k l", 4, WAYS, 16)
    assert page == Page("c d\n0 tiep\n9 lui", 8)


def test_a_word_longer_than_a_page_is_cut_hard():
    body = "aaa " + "b" * 40
    pages = pages_of(lambda start: body_page("", body, start, WAYS, 23))
    assert [page.text for page in pages] == [
        "aaa\n0 tiep",
        "b" * 10 + "\n0 tiep\n9 lui",
        "b" * 10 + "\n0 tiep\n9 lui",
        "b" * 20,
    ]


@given(body=BODY, room=ROOM, hint=st.sampled_from(["", "Chua dung."]))
def test_the_pages_of_any_text_give_it_back(body, room, hint):
    pages = pages_of(lambda start: body_page(hint, body, start, WAYS, room))
    assert all(septets(page.text) <= room for page in pages)
    said = [words_of(page.text)[1 if hint else 0 :] for page in pages]
    assert "".join("".join(lines) for lines in said).replace(" ", "") == body.replace(" ", "")
    longest = max((septets(word) for word in body.split()), default=0)
    if longest <= room - septets("\n0 tiep\n9 lui") - septets(hint) - 1:
        assert " ".join(" ".join(lines) for lines in said).split() == body.split()


@given(body=LONG_BODY, room=ROOM)
def test_the_page_before_is_the_one_that_was_turned(body, room):
    def page_at(start):
        return body_page("", body, start, WAYS, room)

    starts = [0]
    while after := page_at(starts[-1]).after:
        starts.append(after)
    for before, start in pairwise(starts):
        assert page_before(start, page_at) == before
        assert page_before(start + 1, page_at) == start


# -- questions


def test_a_question_shows_the_way_back_where_it_fits():
    assert question_page("", "So nao?", WAYS, 182) == Page("So nao?\n9 lui")
    assert question_page("", "So nao?", WAYS, 12) == Page("So nao?")
    assert question_page("Chua dung.", "So nao?", NO_WAYS, 182) == Page("Chua dung.\nSo nao?")


@given(question=BODY, room=ROOM)
def test_any_question_fits(question, room):
    page = question_page("Chua dung.", question, WAYS, room)
    assert septets(page.text) <= room
    assert page.after == 0
    assert page.text.startswith("Chua dung.")


@given(text=BODY, room=st.integers(0, 182))
def test_a_shortened_text_is_its_beginning_and_loses_no_more_than_it_must(text, room):
    short = shortened(text, room)
    assert text.startswith(short)
    assert septets(short) <= room
    if short != text:
        assert septets(text[: len(short) + 1]) > room
