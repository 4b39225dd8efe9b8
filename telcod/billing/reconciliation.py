"""The gateway's file of a day against our books, movement by movement (PAY-12).  Pure.

A movement is a payment and a way: `in` when money was taken, `out` when it was given back; amounts
are positive in and negative out.  Both sides are tallied per movement over the files of the days
around, because what the bank did before midnight we may have noted after it: only what no file
holds is missing.  A difference never changes what was booked, it is booked against suspense; when
the other side turns up later, the opposite difference brings it back.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

IN: Final = "in"
OUT: Final = "out"


class Verdict(StrEnum):
    """What came of a line of the file, or of a movement of ours that it lacks."""

    MATCHED = "matched"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    AMOUNT = "amount"
    DOUBLED = "doubled"


class Movement(NamedTuple):
    """What is matched: a payment, and whether money came in or went out."""

    payment: str
    way: str


class Line(NamedTuple):
    """A line of the file that carries money; `line` counts from 1, `amount_vnd` < 0 is out."""

    line: int
    payment: str
    amount_vnd: int
    cashier: str


class Ours(NamedTuple):
    """A movement in our books, in whole đồng, and the business date of its entry.

    `day` 0: known and expected, but without an entry (the gateway voids it); it's never missing.
    """

    amount_vnd: int
    day: int
    cashier: str


class Tally(NamedTuple):
    """How often the files looked at so far held a movement, and accounted for ours."""

    there: int = 0
    ours: int = 0


class Matched(NamedTuple):
    """A verdict.  `line` 0 and below: a movement of ours that the file lacks.

    `difference_vnd` is what the gateway has beyond us: it goes from its receivable to suspense, or
    back when it is below zero.
    """

    line: int
    payment: str
    amount_vnd: int
    cashier: str
    verdict: Verdict
    ours_vnd: int

    @property
    def difference_vnd(self) -> int:
        """What the books must move to suspense; below zero: from it."""
        return self.amount_vnd - self.ours_vnd


def movement_of(payment: str, amount_vnd: int) -> Movement:
    """Which movement an amount is part of.

    >>> movement_of("7K2M", -50_000)
    Movement(payment='7K2M', way='out')
    """
    return Movement(payment, OUT if amount_vnd < 0 else IN)


def tallied(verdict: Verdict, before: Tally) -> Tally:
    """What a verdict of a file adds to the tally of its movement."""
    match verdict:
        case Verdict.MATCHED | Verdict.AMOUNT:
            return Tally(before.there + 1, before.ours + 1)
        case Verdict.MISSING_HERE | Verdict.DOUBLED:
            return Tally(before.there + 1, before.ours)
        case Verdict.MISSING_THERE:
            return Tally(before.there, before.ours + 1)


def decide_matches(
    day: int,
    lines: Iterable[Line],
    ours: Mapping[Movement, Ours],
    elsewhere: Mapping[Movement, Tally],
) -> list[Matched]:
    """Say of each line, and of each movement of ours of this day, whether the other side has it.

    Args:
        day: The file's day, yyyymmdd.
        lines: In the file's order.
        ours: All our movements of the day, and those of other days that the file names.
        elsewhere: What the accepted files of other days said of these movements.

    Returns:
        One verdict per line, in order; then one for each movement of ours of this day that no file
        holds, its `line` counting down from 0.
    """
    tallies = dict(elsewhere)
    found: list[Matched] = []
    for line in lines:
        movement = movement_of(line.payment, line.amount_vnd)
        tally, mine = tallies.get(movement, Tally()), ours.get(movement)
        verdict, ours_vnd = _decide_line(line, mine, tally)
        tallies[movement] = tallied(verdict, tally)
        found.append(Matched(*line, verdict, ours_vnd))
    missing = [
        (movement, mine)
        for movement, mine in ours.items()
        if mine.day == day and not tallies.get(movement, Tally()).ours
    ]
    for at, (movement, mine) in enumerate(missing):
        verdict = Verdict.MISSING_THERE
        found.append(Matched(-at, movement.payment, 0, mine.cashier, verdict, mine.amount_vnd))
    return found


def _decide_line(line: Line, mine: Ours | None, tally: Tally) -> tuple[Verdict, int]:
    if mine is not None and not tally.ours:
        same = mine.amount_vnd == line.amount_vnd
        return (Verdict.MATCHED if same else Verdict.AMOUNT), mine.amount_vnd
    return (Verdict.DOUBLED if tally.there else Verdict.MISSING_HERE), 0


def count_verdicts(matched: Sequence[Matched]) -> dict[str, int]:
    """How many of each verdict, those that don't occur too."""
    counted = Counter(one.verdict for one in matched)
    return {verdict.value: counted[verdict] for verdict in Verdict}
