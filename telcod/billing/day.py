"""When the books of a day may be closed (PAY-12).  Pure.

Three sides that were written apart must agree: the gateway's account by bank cashier, the
transit accounts by centre, and the clearing log by centre.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Missing(NamedTuple):
    """Why a day stays open: a word for programs, a sentence for people."""

    code: str
    detail: str


class Cashier(NamedTuple):
    """What a bank's cashier code collected and gave back on a day, whole đồng."""

    collected_vnd: int = 0
    given_back_vnd: int = 0


class Transit(NamedTuple):
    """A centre's transit account on a day, in whole đồng: before, what moved, after.

    `cleared_vnd` is what left it for subscribers' accounts, `voided_vnd` what went back.
    """

    opening_vnd: int = 0
    collected_vnd: int = 0
    voided_vnd: int = 0
    cleared_vnd: int = 0
    closing_vnd: int = 0


class Cleared(NamedTuple):
    """What a centre's clearing log says of a day, whole đồng."""

    cleared_vnd: int = 0
    cancelled_vnd: int = 0


class DayBooks(NamedTuple):
    """All of a day that must agree; `opening_vnd`: in transit at the last close, if any."""

    cashiers: Mapping[str, Cashier]
    transits: Mapping[int, Transit]
    clearings: Mapping[int, Cleared]
    opening_vnd: int | None

    @property
    def collected_vnd(self) -> int:
        """By cashier, less what was given back."""
        return sum(row.collected_vnd - row.given_back_vnd for row in self.cashiers.values())

    @property
    def cleared_vnd(self) -> int:
        """By centre, less what was cancelled."""
        return sum(row.cleared_vnd - row.cancelled_vnd for row in self.clearings.values())

    @property
    def transit_vnd(self) -> int:
        """What is in between at the end of the day."""
        return sum(row.closing_vnd for row in self.transits.values())


def decide_balance(books: DayBooks) -> list[Missing]:
    """Say what doesn't agree; nothing, when all does.

    >>> decide_balance(DayBooks({"VCB": Cashier(70)}, {1: Transit(0, 70, 0, 50, 20)},
    ...                         {1: Cleared(50)}, 0))
    []
    >>> decide_balance(DayBooks({"VCB": Cashier(70)}, {1: Transit(0, 70, 0, 50, 20)},
    ...                         {1: Cleared(40)}, 0))[0].code
    'clearing'
    """
    found: list[Missing] = []
    _compare(
        found,
        "collections",
        "by cashier the gateway collected {a}, by centre {b}",
        sum(row.collected_vnd for row in books.cashiers.values()),
        sum(row.collected_vnd for row in books.transits.values()),
    )
    _compare(
        found,
        "given_back",
        "by cashier {a} were given back, by centre {b}",
        sum(row.given_back_vnd for row in books.cashiers.values()),
        sum(row.voided_vnd for row in books.transits.values())
        + sum(row.cancelled_vnd for row in books.clearings.values()),
    )
    for centre in sorted({*books.transits, *books.clearings}):
        transit = books.transits.get(centre, Transit())
        log = books.clearings.get(centre, Cleared())
        words = f"centre {centre} cleared {{a}} by its log, {{b}} by its account"
        _compare(found, "clearing", words, log.cleared_vnd, transit.cleared_vnd)
    if books.opening_vnd is not None:
        opening_vnd = sum(row.opening_vnd for row in books.transits.values())
        words = "{a} were in transit at the last close, {b} at the beginning of the day"
        _compare(found, "transit", words, books.opening_vnd, opening_vnd)
    moved_vnd = books.transit_vnd - sum(row.opening_vnd for row in books.transits.values())
    words = "collections and clearing differ by {a}, transit explains {b}"
    _compare(found, "balance", words, books.collected_vnd - books.cleared_vnd, moved_vnd)
    return found


def _compare(found: list[Missing], code: str, words: str, a_vnd: int, b_vnd: int) -> None:
    if a_vnd != b_vnd:
        found.append(Missing(code, words.format(a=f"{a_vnd:,} dong", b=f"{b_vnd:,} dong")))


def told(missing: Sequence[Missing]) -> list[dict[str, str]]:
    """The same for programs."""
    return [one._asdict() for one in missing]
