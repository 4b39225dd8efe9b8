"""At most N in any stretch of time, exactly: not by the clock's hours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.recent import decide_again

pytestmark = pytest.mark.rule("KW-3")


def test_the_sixth_in_an_hour_is_not_and_the_hour_goes_by_the_first():
    times = ""
    for now_ms in (0, 10, 20, 30, 40):
        times = decide_again(times, now_ms=now_ms, most=5, within_ms=100) or "refused"
    assert times == "0,10,20,30,40"
    assert decide_again(times, now_ms=99, most=5, within_ms=100) is None
    assert decide_again(times, now_ms=100, most=5, within_ms=100) == "10,20,30,40,100"


@given(gaps=st.lists(st.integers(0, 60), max_size=40), most=st.integers(1, 5))
def test_in_no_stretch_of_time_there_are_more_and_none_is_refused_too_early(gaps, most):
    within_ms, now_ms, times = 100, 1_000, ""
    allowed: list[int] = []
    for gap in gaps:
        now_ms += gap
        again = decide_again(times, now_ms=now_ms, most=most, within_ms=within_ms)
        lately = [ms for ms in allowed if ms > now_ms - within_ms]
        assert (again is not None) is (len(lately) < most)
        if again is not None:
            times = again
            allowed.append(now_ms)
            assert len(times.split(",")) <= most
