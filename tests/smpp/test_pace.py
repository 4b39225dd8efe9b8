"""How fast a link may go, with time as a number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.pace import BURST_S, Pace, reconnect_delay_s
from telcod.smpp.timers import Timers

TIMERS = Timers(throttle_base_s=1, throttle_factor=2, throttle_max_s=8)


@pytest.mark.rule("SMPP-5")
@given(
    st.integers(1, 1000),
    st.lists(st.floats(0, 0.05), min_size=1, max_size=300),
)
def test_no_span_of_time_sees_more_than_the_rate_and_a_small_burst(rate_per_s, gaps):
    pace, now, sent = Pace(TIMERS, rate_per_s=rate_per_s), 1000.0, []
    for gap in gaps:
        now += gap
        while pace.is_free(now):
            pace.spend(now)
            sent.append(now)
    for index, first in enumerate(sent):
        allowed = (now - first + BURST_S) * rate_per_s + 1
        assert len(sent) - index <= math.floor(allowed + 1e-6)


@pytest.mark.rule("SMPP-5")
def test_the_rate_is_reached_by_who_always_wants():
    pace, now, sent = Pace(TIMERS, rate_per_s=50), 0.0, 0
    while now < 10:
        now = max(now, pace.free_at())
        pace.spend(now)
        sent += 1
    assert 500 <= sent <= 507


@pytest.mark.rule("SMPP-5")
def test_no_rate_is_no_limit():
    pace = Pace(TIMERS)
    for _ in range(1000):
        assert pace.is_free(5.0)
        pace.spend(5.0)


@pytest.mark.rule("SMPP-5")
def test_pauses_grow_while_the_link_is_refused_and_stop_growing_at_the_limit():
    pace, now, pauses = Pace(TIMERS), 0.0, []
    for _ in range(6):
        now = pace.free_at() + 0.25
        pace.throttled(now, now + 0.1)
        pauses.append(pace.free_at() - now - 0.1)
        assert not pace.is_free(now + 0.1)
    assert pauses == pytest.approx([1, 2, 4, 8, 8, 8])


@pytest.mark.rule("SMPP-5")
def test_a_refused_window_is_one_refusal():
    pace = Pace(TIMERS)
    for answered_at in range(100):
        pace.throttled(10.0, 10 + answered_at / 1000)
    assert pace.pause_s == 1
    assert pace.free_at() == 11.0


@pytest.mark.rule("SMPP-5")
def test_the_pause_shrinks_only_after_as_much_success_as_it_lasted():
    pace = Pace(TIMERS)
    pace.throttled(0.0, 0.0)
    pace.throttled(1.5, 1.6)
    assert pace.pause_s == 2
    pace.succeeded(3.7, 3.8)
    assert pace.pause_s == 2
    pace.succeeded(5.6, 5.7)
    assert pace.pause_s == 1
    pace.succeeded(6.7, 6.8)
    assert pace.pause_s == 0


@pytest.mark.rule("SMPP-5")
def test_success_of_what_was_sent_before_the_pause_proves_nothing():
    pace = Pace(TIMERS)
    pace.throttled(10.0, 10.1)
    pace.succeeded(10.0, 30.0)
    assert pace.pause_s == 1
    assert pace.probing
    pace.succeeded(11.2, 11.3)
    assert not pace.probing


@pytest.mark.rule("SMPP-6")
@given(
    st.integers(0, 10_000),
    st.floats(0.1, 10),
    st.floats(10, 3600),
    st.floats(0, 600),
    st.floats(0, 1),
)
def test_the_delay_is_within_its_limits_whatever_the_luck(failures, least_s, most_s, floor_s, luck):
    delay_s = reconnect_delay_s(
        failures, least_s=least_s, most_s=most_s, floor_s=floor_s, luck=luck
    )
    assert max(least_s / 2, floor_s) <= delay_s <= max(most_s, floor_s * 1.5)


@pytest.mark.rule("SMPP-6")
def test_the_delay_doubles_up_to_its_limit():
    delays = [reconnect_delay_s(n, least_s=1, most_s=60, luck=0) for n in range(8)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.rule("SMPP-6")
def test_luck_spreads_those_who_lost_the_same_smsc():
    assert reconnect_delay_s(3, least_s=1, most_s=60, luck=1) == 4
    assert reconnect_delay_s(0, least_s=1, most_s=60, floor_s=30, luck=0) == 30
    assert reconnect_delay_s(0, least_s=1, most_s=60, floor_s=30, luck=1) == 45
