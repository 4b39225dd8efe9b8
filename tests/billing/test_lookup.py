"""Five wrong passwords in a row lock a look-up for half an hour; nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.lookup import Checked, LookupLimits, Tried, decide_try, is_locked
from telcod.days import MINUTE_MS
from telcod.rows import LookupTries

pytestmark = pytest.mark.rule("PAY-2")

NUMBER, NOW, LIMITS = 84_903_000_001, 1_000_000, LookupLimits()
RIGHT, WRONG, NONE = Checked.RIGHT, Checked.WRONG, Checked.NONE


def tries(*verdicts, at=NOW, step_ms=0):
    """The results of these tries, one after the other."""
    row, found = None, []
    for number, verdict in enumerate(verdicts):
        tried = decide_try(NUMBER, verdict, row, at + number * step_ms, LIMITS)
        row = tried.tries
        found.append(tried)
    return found


def test_a_right_password_shows_and_forgets_what_was_wrong_before():
    assert tries(RIGHT) == [Tried(shown=True, tries=None)]
    assert tries(WRONG, WRONG, WRONG, WRONG, RIGHT)[-1] == Tried(shown=True, tries=None)
    assert not any(one.locks for one in tries(*[WRONG] * 4, RIGHT, *[WRONG] * 4))


def test_the_fifth_wrong_one_locks_and_only_that_one():
    found = tries(*[WRONG] * 8)
    assert [one.locks for one in found] == [False] * 4 + [True] + [False] * 3
    assert found[-1].tries == LookupTries(NUMBER, 5, NOW + 30 * MINUTE_MS)


def test_while_it_is_locked_the_right_one_is_refused_and_nothing_makes_it_longer():
    found = tries(*[WRONG] * 5, RIGHT, WRONG, RIGHT)
    assert [one.shown for one in found] == [False] * 8
    assert {one.tries for one in found[4:]} == {found[4].tries}


@pytest.mark.parametrize(
    ("after_ms", "shown"), [(30 * MINUTE_MS - 1, False), (30 * MINUTE_MS, True)]
)
def test_the_lock_ends_to_the_millisecond(after_ms, shown):
    locked = tries(*[WRONG] * 5)[-1].tries
    assert decide_try(NUMBER, RIGHT, locked, NOW + after_ms, LIMITS).shown is shown
    assert is_locked(locked, NOW + after_ms) is not shown


def test_after_the_lock_five_more_are_needed():
    locked = tries(*[WRONG] * 5)[-1].tries
    row, later = locked, NOW + 31 * MINUTE_MS
    found = []
    for _ in range(5):
        tried = decide_try(NUMBER, WRONG, row, later, LIMITS)
        row = tried.tries
        found.append(tried.locks)
    assert found == [False] * 4 + [True]


def test_a_number_without_a_password_is_never_locked():
    assert tries(*[NONE] * 20)[-1] == Tried(shown=False, tries=None)


def test_what_was_not_compared_neither_counts_nor_forgets():
    assert tries(WRONG, WRONG, NONE)[-1].tries == LookupTries(NUMBER, 2, 0)
    locked = tries(*[WRONG] * 5, NONE)
    assert locked[-1].tries == locked[-2].tries


@given(st.lists(st.sampled_from([RIGHT, WRONG, NONE]), max_size=40))
def test_it_is_locked_when_five_wrong_ones_had_no_right_one_between_them(verdicts):
    wrong = 0
    locked = False
    for verdict, tried in zip(verdicts, tries(*verdicts), strict=True):
        if locked:
            assert not tried.shown
            assert not tried.locks
            continue
        wrong = 0 if verdict is RIGHT else wrong + (verdict is WRONG)
        locked = wrong == LIMITS.wrong_max
        assert tried.locks == locked
        assert tried.shown == (verdict is RIGHT)
