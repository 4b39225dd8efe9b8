"""Money, times and lists as texts show them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.text.gsm import septets
from telcod.text.values import gsm_safe, join_cut, local_time, money

pytestmark = pytest.mark.rule("KW-8")

VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.mark.parametrize(
    ("amount_vnd", "text"),
    [
        (0, "0d"),
        (150, "150d"),
        (1000, "1.000d"),
        (10_000_000, "10.000.000d"),
        (-5000, "-5.000d"),
    ],
)
def test_money_has_dots_for_thousands(amount_vnd, text):
    assert money(amount_vnd) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 1, 0, 0, tzinfo=UTC), "07:00 01/01/2026"),
        (datetime(2025, 12, 31, 16, 59, 59, tzinfo=UTC), "23:59 31/12/2025"),
        (datetime(2025, 12, 31, 17, 0, tzinfo=UTC), "00:00 01/01/2026"),
        (datetime(1970, 1, 1, tzinfo=UTC), "08:00 01/01/1970"),
    ],
)
def test_a_time_is_that_of_viet_nam(moment, text):
    assert local_time(int(moment.timestamp()) * 1000) == text


@given(st.integers(0, 7_258_118_400_000))  # Up to 2200.
def test_any_moment_shows_as_the_calendar_has_it(at_ms):
    at = datetime.fromtimestamp(at_ms // 1000, tz=UTC)
    assert local_time(at_ms) == f"{at.astimezone(VIET_NAM):%H:%M %d/%m/%Y}"


@pytest.mark.rule("KW-6")
@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Nguyen Van A", "Nguyen Van A"),
        ("Nguyễn Thị Đào", "Nguyen Thi Dao"),
        ("“a” – ‘b’…", "\"a\" - 'b'..."),
        ("[x]{y}|\\~^€", "(x)(y)//-??"),
        ("a\tb\nc", "a b c"),
        ("a\u200bb\x00", "ab"),
        ("😀 ok", "? ok"),
        ("50.000₫", "50.000d"),
        ("a´b`c", "a'b'c"),
    ],
)
def test_foreign_words_are_made_safe(text, safe):
    assert gsm_safe(text, 100) == safe


@pytest.mark.rule("KW-6")
@given(st.text(), st.integers(0, 40))
def test_any_words_take_as_many_septets_as_characters_and_no_more_than_allowed(text, chars_max):
    safe = gsm_safe(text, chars_max)
    assert septets(safe) == len(safe) <= chars_max


@pytest.mark.rule("LST-3")
@pytest.mark.parametrize(
    ("room", "text"),
    [
        (22, "0903123456, 0904123456"),
        (21, "0903123456 va 1 nua"),
        (19, "0903123456 va 1 nua"),
        (18, "va 2 nua"),
        (8, "va 2 nua"),
        (7, ""),
    ],
)
def test_a_list_that_does_not_fit_says_how_many_are_left_out(room, text):
    assert join_cut(["0903123456", "0904123456"], room, more="va {n} nua") == text


@pytest.mark.rule("LST-3")
@given(st.lists(st.text("ab", min_size=1, max_size=12), max_size=20), st.integers(0, 120))
def test_as_much_of_a_list_is_shown_as_fits(items, room):
    whole = ", ".join(items)
    candidates = [
        f"{', '.join(items[:shown])} va {len(items) - shown} nua" for shown in range(1, len(items))
    ] + [f"va {len(items)} nua", whole]
    fitting = [
        text
        for text in [whole, *candidates[-3::-1], f"va {len(items)} nua", ""]
        if len(text) <= room
    ]
    assert join_cut(items, room, more="va {n} nua") == fitting[0]
