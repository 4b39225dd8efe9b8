"""Curves as SVG: points joined by lines, one colour a series, each point with its value.  Pure.

Values stand on a scale from 0, or on one by powers of ten (`by_tens`) where they differ so much.
Places along the bottom are the values that were measured, at equal distances: windows of 1, 10, 50
and 200 are four steps, not a line to 200.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 460
HEIGHT: Final = 260
LEFT: Final = 56
RIGHT: Final = 18
TOP: Final = 40
BOTTOM: Final = 44
TICKS: Final = 4
COLOURS: Final = ("#1f6feb", "#d1570b", "#1a7f37", "#8250df")
PLACES_SHOWN: Final = 10
VALUES_SHOWN: Final = 8
_STEPS: Final = (1, 2, 4, 8, 10)


class Scale(NamedTuple):
    """Where a value stands: ticks, and the height of a value as a share of the whole."""

    ticks: Sequence[float]
    share: Callable[[float], float]


def curves(
    title: str,
    along: str,
    places: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    unit: str,
    target: float = 0,
    by_tens: bool = False,
) -> str:
    """A drawing of some series over the same places.

    Args:
        title: What is shown.
        along: What the places are.
        places: Below, from left to right.
        series: By name; a value for each place.
        unit: Of the values.
        target: A value that a dashed line marks; 0: none.
        by_tens: Whether each step of the scale is ten times the one before.
    """
    found = [value for values in series.values() for value in values]
    scale = (_tens if by_tens else _even)([*found, target] if target else found)
    view = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        _text(LEFT - 46, 16, f"{title} ({unit})", "title"),
    ]
    parts += _grid(scale)
    if target:
        y = _y(target, scale)
        parts += [
            f'<line class="target" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>',
            _text(WIDTH - RIGHT, y - 4, f"target {short(target)}", "end small"),
        ]
    xs = [_x(at, len(places)) for at in range(len(places))]
    every = max(1, -(-len(places) // PLACES_SHOWN))
    parts += [
        _text(x, HEIGHT - BOTTOM + 16, place, "middle")
        for x, place in list(zip(xs, places, strict=True))[::every]
    ]
    parts.append(_text((LEFT + WIDTH - RIGHT) // 2, HEIGHT - 8, along, "middle small"))
    for number, (name, values) in enumerate(series.items()):
        parts += _curve(number, name, xs, values, scale, named=len(series) > 1)
    return "\n".join([*parts, "</svg>"])


def nice_top(value: float) -> float:
    """The least of 1, 2, 4, 8 or 10 times a power of ten that a value fits under."""
    if value <= 0:
        return 1
    unit = 1e-3
    while unit * _STEPS[-1] < value:
        unit *= 10
    return next(unit * step for step in _STEPS if unit * step >= value)


def short(value: float) -> str:
    """A value in few letters: `0.25`, `7.5`, `500`, `20k`, `1.5M`."""
    for unit, letter in ((1_000_000, "M"), (10_000, "k")):
        if value >= unit:
            return f"{value / (1_000 if letter == 'k' else unit):.3g}{letter}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _even(values: Sequence[float]) -> Scale:
    """From 0 to the round number above them all."""
    top = nice_top(max(values, default=0))
    return Scale([top * step / TICKS for step in range(TICKS + 1)], lambda value: value / top)


def _tens(values: Sequence[float]) -> Scale:
    """From the power of ten below them all to the one above; what is not above 0 is at the foot."""
    above = [value for value in values if value > 0] or [1]
    low, high = math.floor(math.log10(min(above))), math.ceil(math.log10(max(above)))
    high = max(high, low + 1)

    def share(value: float) -> float:
        return max(0, (math.log10(value) - low) / (high - low)) if value > 0 else 0

    return Scale([10.0**step for step in range(low, high + 1)], share)


def _grid(scale: Scale) -> list[str]:
    parts = []
    for value in scale.ticks:
        y = _y(value, scale)
        parts += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>',
            _text(LEFT - 6, y + 4, short(value) if value else "0", "end"),
        ]
    return parts


def _curve(
    number: int,
    name: str,
    xs: Sequence[int],
    values: Sequence[float],
    scale: Scale,
    *,
    named: bool,
) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    points = [(x, _y(value, scale), value) for x, value in zip(xs, values, strict=True)]
    line = " ".join(f"{x},{y}" for x, y, _ in points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>']
    few = len(points) <= VALUES_SHOWN
    for x, y, value in points:
        shown = f"{name}: {value:,.3g}" if value < 100 else f"{name}: {value:,.0f}"
        radius = 3 if few else 1
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"><title>{escape(shown)}'
            "</title></circle>"
        )
        if few:
            # The first series' values stand below its points when there is another one above.
            below = named and not number
            parts.append(_text(x, y + (14 if below else -7), short(value), "middle small", colour))
    if named:
        x = LEFT + number * 130
        parts.append(f'<rect x="{x}" y="24" width="10" height="3" fill="{colour}"/>')
        parts.append(_text(x + 14, 29, name, "small"))
    return parts


def _x(at: int, count: int) -> int:
    room = WIDTH - LEFT - RIGHT
    return LEFT + room * (2 * at + 1) // (2 * count)


def _y(value: float, scale: Scale) -> int:
    room = HEIGHT - TOP - BOTTOM
    return HEIGHT - BOTTOM - round(room * scale.share(value))


def _text(x: int, y: int, text: str, classes: str, colour: str = "") -> str:
    fill = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x}" y="{y}" class="{classes}"{fill}>{escape(text)}</text>'
