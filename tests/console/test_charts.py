"""Bars stand where their values say, whatever the values are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.console.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, draw, nice_top, share, short

pytestmark = pytest.mark.rule("CARE-3")

VALUES = st.integers(0, 10**12)


@st.composite
def tables(draw_from):
    places = draw_from(st.integers(1, 31))
    rows = st.lists(VALUES, min_size=places, max_size=places)
    return places, draw_from(st.lists(rows, min_size=1, max_size=5))


@given(tables(), st.booleans())
def test_every_bar_is_inside_the_drawing_and_what_is_something_is_seen(table, stacked):
    places, values = table
    names = [f"s{n}" for n in range(len(values))]
    chart = draw([str(n) for n in range(places)], names, values, stacked=stacked)
    assert len(chart.bars) == sum(value > 0 for series in values for value in series)
    for bar in chart.bars:
        assert bar.height >= 1
        assert bar.width >= 1
        assert LEFT <= bar.x <= bar.x + bar.width <= WIDTH
        assert TOP - len(values) <= bar.y  # Rounding up, one unit for each that stands below.
        assert bar.y + bar.height <= HEIGHT - BOTTOM
    assert chart.is_empty == (not chart.bars)


def test_bars_are_as_high_as_their_values():
    chart = draw(["a", "b"], ["x"], [[20, 40]])
    heights = [bar.height for bar in chart.bars]
    assert heights[1] == HEIGHT - TOP - BOTTOM
    assert abs(2 * heights[0] - heights[1]) <= 1
    assert [tick.value for tick in chart.ticks] == [0, 10, 20, 30, 40]
    assert chart.bars[0].label == "a · x: 20"


def test_stacked_bars_stand_on_one_another():
    low, high = draw(["a"], ["x", "y"], [[10], [30]], stacked=True).bars
    assert (low.x, low.width) == (high.x, high.width)
    assert high.y + high.height == low.y


@given(VALUES)
def test_the_top_is_the_next_round_number_and_its_quarters_are_whole(value):
    top = nice_top(value)
    assert top >= value
    assert top % 4 == 0
    assert top <= max(4, value * 5 // 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (5, "5"), (999, "999"), (20_000, "20k"), (1_500, "1500"), (2_000_000, "2M")],
)
def test_a_tick_is_short(value, text):
    assert short(value) == text


def test_a_share_of_nothing_is_nothing():
    assert share(5, 0) == 0
    assert share(1, 2) == 500
