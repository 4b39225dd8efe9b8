"""Days and times of day are Viet Nam's, whatever the machine's zone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.days import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    back_into_window,
    business_date,
    day_start_ms,
    into_window,
    local_ms,
    time_of_day_ms,
)

pytestmark = pytest.mark.rule("KW-8")

WINDOW = {"opens_ms": 7 * HOUR_MS, "closes_ms": 22 * HOUR_MS}
moments = st.integers(0, 4_000_000_000_000)


def utc(year, month, day, hour, minute=0, second=0):
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 1_000


@pytest.mark.parametrize(
    ("ms", "day", "time_ms"),
    [
        (utc(2026, 3, 1, 17, 0), 20260302, 0),
        (utc(2026, 3, 1, 16, 59, 59) + 999, 20260301, DAY_MS - 1),
        (utc(2026, 12, 31, 17), 20270101, 0),
        (utc(2024, 2, 28, 17), 20240229, 0),
        (0, 19700101, 8 * HOUR_MS),  # Sai Gon was at +08:00 then.
    ],
)
def test_a_day_begins_at_midnight_in_viet_nam(ms, day, time_ms):
    assert business_date(ms) == day
    assert time_of_day_ms(ms) == time_ms


@given(ms=moments)
def test_a_moment_is_within_its_day(ms):
    day = business_date(ms)
    start_ms = day_start_ms(day)
    assert business_date(start_ms) == day
    assert start_ms <= ms
    assert local_ms(ms) - local_ms(start_ms) == time_of_day_ms(ms)


@given(days=st.integers(0, 20_000))
def test_days_follow_one_another(days):
    date = datetime(1980, 1, 1, tzinfo=UTC) + timedelta(days=days)
    number = date.year * 10_000 + date.month * 100 + date.day
    assert business_date(day_start_ms(number)) == number
    assert business_date(day_start_ms(number) - 1) < number


@pytest.mark.parametrize("day", [20260230, 20261301, 0])
def test_what_is_no_day_is_refused(day):
    with pytest.raises(ValueError):
        day_start_ms(day)


@pytest.mark.rule("PKG-8")
@given(ms=moments)
def test_into_the_window_is_the_first_moment_within_and_back_the_last(ms):
    later, earlier = into_window(ms, **WINDOW), back_into_window(ms, **WINDOW)
    for found in (later, earlier):
        assert 7 * HOUR_MS <= time_of_day_ms(found) < 22 * HOUR_MS
    assert earlier <= ms <= later
    assert later - ms <= 9 * HOUR_MS
    assert ms - earlier <= 9 * HOUR_MS + MINUTE_MS
    if 7 * HOUR_MS <= time_of_day_ms(ms) < 22 * HOUR_MS:
        assert earlier == ms == later
