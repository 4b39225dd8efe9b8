"""Token buckets by numbers, and address lists by table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.web.limits import CALLERS_MAX, AllowList, Buckets

pytestmark = pytest.mark.rule("HTTP-4")


def test_a_burst_passes_and_then_the_rate():
    buckets = Buckets(rate_per_s=2, burst=3)
    assert [buckets.may_call("a", now_s=0.0) for _ in range(4)] == [True, True, True, False]
    assert buckets.may_call("a", now_s=0.5)
    assert not buckets.may_call("a", now_s=0.5)
    assert buckets.may_call("b", now_s=0.5)


def test_without_a_rate_there_is_no_limit():
    buckets = Buckets(rate_per_s=0, burst=1)
    assert all(buckets.may_call("a", now_s=0.0) for _ in range(100))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_never_more_than_burst_and_rate_together(moments, rate_per_s, burst):
    buckets = Buckets(rate_per_s=rate_per_s, burst=burst)
    passed = sum(buckets.may_call("a", now_s=now_s) for now_s in sorted(moments))
    assert passed <= burst + rate_per_s * (max(moments) - min(moments)) + 1e-6


def test_the_table_of_callers_is_bounded():
    buckets = Buckets(rate_per_s=1, burst=1)
    for caller in range(CALLERS_MAX + 10):
        buckets.may_call(str(caller), now_s=0.0)
    assert len(buckets._full) == CALLERS_MAX


@pytest.mark.parametrize(
    ("networks", "address", "admitted"),
    [
        ((), "203.0.113.9", True),
        ((), "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.1",), "10.0.0.1", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "10.1.2.3", False),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "testclient", False),
    ],
)
def test_only_the_networks_named_may_call(networks, address, admitted):
    assert AllowList(networks).admits(address) is admitted


def test_what_is_no_network_is_said_at_once():
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        AllowList(["10.0.0"])
