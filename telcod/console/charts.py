"""Bars for reports: where each one stands, in whole units of a drawing.  No I/O.

The templates draw them as SVG; a table with the same numbers stands beside each.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

WIDTH: Final = 480
HEIGHT: Final = 220
LEFT: Final = 44
RIGHT: Final = 8
TOP: Final = 12
BOTTOM: Final = 30
TICKS: Final = 4


class Bar(NamedTuple):
    """A rectangle; `series` says whose colour, `label` what it is."""

    x: int
    y: int
    width: int
    height: int
    series: int
    label: str


class Tick(NamedTuple):
    """A line across at a value."""

    y: int
    value: int


class Mark(NamedTuple):
    """A word below the bars."""

    x: int
    text: str


class Chart(NamedTuple):
    """A drawing of bars."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    marks: Sequence[Mark]
    is_empty: bool


def draw(
    places: Sequence[str],
    names: Sequence[str],
    values: Sequence[Sequence[int]],
    *,
    stacked: bool = False,
) -> Chart:
    """Bars of several series at several places.

    Args:
        places: What stands below, from left to right.
        names: Of the series.
        values: By series, then by place; none below zero.
        stacked: One above the other, else side by side.
    """
    sums = [sum(series[at] for series in values) for at in range(len(places))]
    highest = max(sums if stacked else [each for series in values for each in series], default=0)
    top = nice_top(highest)
    slot = (WIDTH - LEFT - RIGHT) // max(1, len(places))
    gap = max(4, slot // 5)
    wide = slot - gap if stacked else max(2, (slot - gap) // max(1, len(values)))
    bars = []
    for at, place in enumerate(places):
        base = 0
        for number, series in enumerate(values):
            height = _length(series[at], top)
            x = LEFT + at * slot + gap // 2 + (0 if stacked else number * wide)
            y = HEIGHT - BOTTOM - height - base
            label = f"{place} · {names[number]}: {series[at]:,}".replace(",", ".")
            if height:
                bars.append(Bar(x, y, wide if stacked else wide - 1, height, number, label))
            base += height if stacked else 0
    ticks = [
        Tick(HEIGHT - BOTTOM - _length(top * step // TICKS, top), top * step // TICKS)
        for step in range(TICKS + 1)
    ]
    marks = [Mark(LEFT + at * slot + slot // 2, place) for at, place in enumerate(places)]
    return Chart(bars, ticks, marks, highest == 0)


def nice_top(value: int) -> int:
    """The least of 4, 8, 20, 40, 80, 200 … that a value fits under, so that ticks are whole."""
    top = 4
    while top < value:
        for step in (4, 8, 20):
            found = top // 4 * step
            if found >= value:
                return found
        top *= 10
    return top


def short(value: int) -> str:
    """A tick's value, short: `500`, `20k`, `2M`."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)


def share(value: int, whole: int) -> int:
    """How much of a whole, in per mille; 0 of nothing."""
    return value * 1_000 // whole if whole > 0 else 0


def _length(value: int, top: int) -> int:
    """Rounded up, so that one of a million is still seen."""
    room = HEIGHT - TOP - BOTTOM
    return -(-value * room // top)
