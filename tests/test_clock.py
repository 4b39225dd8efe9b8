"""The clocks, and the guard that notices when the wall clock is set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.clock import BelievedClock, ClockGuard, ManualClock, SystemClock

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def guarded(clock):
    return ClockGuard(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())


def observe(guard, clock):
    return guard.observe(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())


def test_the_systems_clock_counts_milliseconds_since_1970_and_does_not_go_back():
    clock = SystemClock()
    before_ms, before_s = clock.wall_ms(), clock.monotonic_s()
    # 2001 to 2286: a thousand times more or less would be seconds or microseconds.
    assert 10**12 < before_ms < 10**13
    assert clock.monotonic_s() >= before_s


def test_a_clock_set_by_hand_stands_still_until_it_is_told():
    clock = ManualClock(START_MS)
    assert (clock.wall_ms(), clock.monotonic_s()) == (START_MS, 0)
    clock.advance(1_500)
    assert (clock.wall_ms(), clock.monotonic_s()) == (START_MS + 1_500, 1.5)
    clock.jump(-1_000)
    assert (clock.wall_ms(), clock.monotonic_s()) == (START_MS + 500, 1.5)


def test_time_does_not_pass_backwards():
    with pytest.raises(ValueError, match="jump"):
        ManualClock(START_MS).advance(-1)


@pytest.mark.parametrize("jump_ms", [-2_001, -HOUR_MS, 60_001, HOUR_MS, 40 * 365 * 24 * HOUR_MS])
def test_a_clock_that_is_set_has_jumped_and_says_so_once(jump_ms):
    clock = ManualClock(START_MS)
    guard = guarded(clock)
    clock.advance(1_000)
    clock.jump(jump_ms)
    assert observe(guard, clock)
    assert guard.jumped
    assert guard.jump_ms == jump_ms
    clock.advance(1_000)
    assert not observe(guard, clock)
    assert guard.jumped


@pytest.mark.parametrize("jump_ms", [-2_000, -1, 0, 1, 60_000])
def test_a_small_correction_is_no_jump(jump_ms):
    clock = ManualClock(START_MS)
    guard = guarded(clock)
    clock.jump(jump_ms)
    assert not observe(guard, clock)
    assert not guard.jumped


def test_a_clock_that_jumps_back_into_place_still_awaits_a_person():
    clock = ManualClock(START_MS)
    guard = guarded(clock)
    clock.jump(HOUR_MS)
    observe(guard, clock)
    clock.jump(-HOUR_MS)
    assert observe(guard, clock)
    assert guard.jumped
    assert guard.jump_ms == 0


def test_a_person_ends_it_and_the_next_jump_is_seen_again():
    clock = ManualClock(START_MS)
    guard = guarded(clock)
    clock.jump(HOUR_MS)
    observe(guard, clock)
    guard.confirm()
    assert not guard.jumped
    assert not observe(guard, clock)
    clock.jump(HOUR_MS)
    assert observe(guard, clock)


@given(st.lists(st.tuples(st.integers(0, 10 * HOUR_MS), st.integers(-2_000, 60_000)), max_size=50))
def test_a_clock_that_is_slewed_is_believed_however_far_it_drifts(steps):
    clock = ManualClock(START_MS)
    guard = guarded(clock)
    for passed_ms, slewed_ms in steps:
        clock.advance(passed_ms)
        clock.jump(slewed_ms)
        observe(guard, clock)
    assert not guard.jumped


# ------------------------------------------------------------------- the clock that is believed


@pytest.mark.parametrize("jump_ms", [40 * 365 * DAY_MS, HOUR_MS, -HOUR_MS])
def test_a_clock_that_was_set_goes_on_as_if_it_had_not_been_until_it_is_confirmed(jump_ms):
    clock = ManualClock(START_MS)
    believed = BelievedClock(clock)
    clock.advance(5_000)
    clock.jump(jump_ms)
    assert believed.wall_ms() == START_MS + 5_000
    clock.advance(60_000)
    assert believed.wall_ms() == START_MS + 65_000
    assert believed.doubts(believed)
    assert believed.jump_ms == jump_ms
    believed.confirm()
    assert not believed.doubts(believed)
    assert believed.wall_ms() == clock.wall_ms()


def test_a_clock_that_is_set_and_set_back_leaves_no_trace_once_it_is_confirmed():
    clock = ManualClock(START_MS)
    believed = BelievedClock(clock)
    clock.jump(DAY_MS)
    assert believed.wall_ms() == START_MS
    clock.jump(-DAY_MS)
    clock.advance(1_000)
    assert believed.doubts(believed)
    believed.confirm()
    assert believed.wall_ms() == START_MS + 1_000


def test_a_clock_that_is_slewed_is_followed():
    clock = ManualClock(START_MS)
    believed = BelievedClock(clock)
    for _ in range(100):
        clock.advance(1_000)
        clock.jump(50)
        assert believed.wall_ms() == clock.wall_ms()
    assert not believed.jumped
