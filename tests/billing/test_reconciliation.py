"""Both sides of a day, movement by movement: whatever is planted is found, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.reconciliation import (
    IN,
    OUT,
    Line,
    Movement,
    Ours,
    Tally,
    Verdict,
    count_verdicts,
    decide_matches,
    movement_of,
    tallied,
)

pytestmark = pytest.mark.rule("PAY-12")

DAY, LATER = 20260302, 20260303


def lines(*pairs):
    return [Line(at, payment, vnd, "VCB01") for at, (payment, vnd) in enumerate(pairs, start=1)]


def ours(*rows, day=DAY):
    return {movement_of(payment, vnd): Ours(vnd, day, "VCB01") for payment, vnd in rows}


def verdicts(matched):
    return [(one.line, one.payment, one.verdict.value, one.difference_vnd) for one in matched]


@pytest.mark.parametrize(
    ("there", "here", "expected"),
    [
        ([("A", 50)], [("A", 50)], [(1, "A", "matched", 0)]),
        ([("A", 60)], [("A", 50)], [(1, "A", "amount", 10)]),
        ([("A", 40)], [("A", 50)], [(1, "A", "amount", -10)]),
        ([("A", 50)], [], [(1, "A", "missing_here", 50)]),
        ([], [("A", 50)], [(0, "A", "missing_there", -50)]),
        (
            [("A", 50), ("A", 50)],
            [("A", 50)],
            [(1, "A", "matched", 0), (2, "A", "doubled", 50)],
        ),
        ([("A", 50), ("A", 50)], [], [(1, "A", "missing_here", 50), (2, "A", "doubled", 50)]),
        # What was taken and given back are two movements.
        (
            [("A", 50), ("A", -50)],
            [("A", 50), ("A", -50)],
            [(1, "A", "matched", 0), (2, "A", "matched", 0)],
        ),
        (
            [("A", 50)],
            [("A", 50), ("A", -50)],
            [(1, "A", "matched", 0), (0, "A", "missing_there", 50)],
        ),
        (
            [("A", 50), ("A", -50)],
            [("A", 50)],
            [(1, "A", "matched", 0), (2, "A", "missing_here", -50)],
        ),
        ([], [], []),
    ],
)
def test_a_line_gets_the_verdict_that_it_deserves(there, here, expected):
    assert verdicts(decide_matches(DAY, lines(*there), ours(*here), {})) == expected


def test_a_movement_of_another_day_matches_but_is_never_missing_on_this_one():
    late = ours(("A", 50), day=LATER)
    assert verdicts(decide_matches(DAY, lines(("A", 50)), late, {})) == [(1, "A", "matched", 0)]
    assert decide_matches(DAY, [], late, {}) == []


def test_what_another_days_file_held_is_not_missing_and_a_second_line_of_it_is_doubled():
    held = {Movement("A", IN): tallied(Verdict.MATCHED, Tally())}
    assert decide_matches(DAY, [], ours(("A", 50)), held) == []
    again = decide_matches(DAY, lines(("A", 50)), ours(("A", 50)), held)
    assert verdicts(again) == [(1, "A", "doubled", 50)]


@pytest.mark.parametrize(
    ("verdict", "after"),
    [
        (Verdict.MATCHED, Tally(4, 3)),
        (Verdict.AMOUNT, Tally(4, 3)),
        (Verdict.MISSING_HERE, Tally(4, 2)),
        (Verdict.DOUBLED, Tally(4, 2)),
        (Verdict.MISSING_THERE, Tally(3, 3)),
    ],
)
def test_a_verdict_counts_the_sides_that_had_it(verdict, after):
    assert tallied(verdict, Tally(3, 2)) == after


def test_what_was_missing_comes_back_when_the_other_side_turns_up():
    lacked_here = {Movement("A", IN): tallied(Verdict.MISSING_HERE, Tally())}
    found = decide_matches(LATER, [], ours(("A", 50), day=LATER), lacked_here)
    assert verdicts(found) == [(0, "A", "missing_there", -50)]
    lacked_there = {Movement("A", IN): tallied(Verdict.MISSING_THERE, Tally())}
    found = decide_matches(LATER, lines(("A", 50)), ours(("A", 50)), lacked_there)
    assert verdicts(found) == [(1, "A", "missing_here", 50)]


def test_what_the_gateway_is_to_void_matches_and_is_not_missed():
    expected = {Movement("A", IN): Ours(50, 0, ""), Movement("A", OUT): Ours(-50, 0, "")}
    assert decide_matches(DAY, [], expected, {}) == []
    both = decide_matches(DAY, lines(("A", 50), ("A", -50)), expected, {})
    assert [one.verdict for one in both] == [Verdict.MATCHED, Verdict.MATCHED]


def test_every_verdict_is_counted_also_those_that_do_not_occur():
    counted = count_verdicts(decide_matches(DAY, lines(("A", 50)), {}, {}))
    assert counted == {
        "matched": 0,
        "missing_here": 1,
        "missing_there": 0,
        "amount": 0,
        "doubled": 0,
    }


DAYS = (20260301, 20260302, 20260303)
MOVEMENT = st.tuples(st.sampled_from("ABCD"), st.sampled_from([IN, OUT]))


@st.composite
def two_sides(draw):
    """Ours by movement: (amount, day); the files by day: lines of whatever was noted there."""
    vnd = st.integers(1, 3).map(lambda n: n * 50)
    mine = draw(st.dictionaries(MOVEMENT, st.tuples(vnd, st.sampled_from(DAYS)), max_size=6))
    line = st.tuples(MOVEMENT, vnd)
    files = {day: draw(st.lists(line, max_size=6)) for day in DAYS}
    return mine, files, draw(st.permutations(DAYS))


@given(two_sides())
def test_when_all_files_are_in_the_receivable_is_their_total_in_whatever_order(sides):
    mine, files, order = sides
    signs = {IN: 1, OUT: -1}
    booked = {
        Movement(*movement): Ours(signs[movement[1]] * vnd, day, "")
        for movement, (vnd, day) in mine.items()
    }
    receivable_vnd = sum(one.amount_vnd for one in booked.values())
    said: dict = {}
    for day in order:
        tallies: dict = {}
        for verdict, movement in (each for other in said.values() for each in other):
            tallies[movement] = tallied(verdict, tallies.get(movement, Tally()))
        read = [
            Line(at, payment, signs[way] * vnd, "")
            for at, ((payment, way), vnd) in enumerate(files[day], start=1)
        ]
        matched = decide_matches(day, read, booked, tallies)
        assert [one.line for one in matched if one.line > 0] == [line.line for line in read]
        receivable_vnd += sum(one.difference_vnd for one in matched)
        said[day] = [
            (one.verdict, movement_of(one.payment, one.amount_vnd or one.ours_vnd))
            for one in matched
        ]
    total_vnd = sum(signs[way] * vnd for held in files.values() for (_, way), vnd in held)
    assert receivable_vnd == total_vnd
