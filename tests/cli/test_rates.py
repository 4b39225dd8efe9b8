"""Two pulses make a rate, a latency, an income."""

import msgspec
import pytest

from telcod.cli.rates import NO_LATENCY, WINDOW_S, Quantiles, Rate, Window, quantiles
from telcod.web.ports import Latency, LinkPulse, Pulse

pytestmark = pytest.mark.rule("CLI-8")

replace = msgspec.structs.replace

LINK = LinkPulse("a", bound=True, pdus_in=0, pdus_out=0, outstanding=0, throttled=0)
START = Pulse(
    at_s=100.0,
    version="0.1.0",
    uptime_s=1,
    lacks=(),
    links=(LINK,),
    texts=0,
    replies=0,
    requests=0,
    redelivered=0,
    queue_requests=0,
    outbox_texts=0,
    calls_open=0,
    sessions_open=0,
    earned_vnd={"package": 0, "sms": 500},
    commit=NO_LATENCY,
    text=NO_LATENCY,
    http=NO_LATENCY,
)


def window(*pulses):
    found = Window()
    for pulse in pulses:
        found.add(pulse)
    return found


def after(seconds, **fields):
    return replace(START, at_s=START.at_s + seconds, **fields)


def test_a_rate_is_of_the_last_seconds_only():
    seen = window(START, after(10, texts=10_000), after(12, texts=10_300))
    assert seen.rate("texts") == 150


def test_a_link_has_a_rate_each_way():
    seen = window(START, after(2, links=(replace(LINK, pdus_in=20, pdus_out=30),)))
    assert seen.link_rate("a") == Rate(10, 15)


def test_a_link_that_came_meanwhile_has_no_rate_yet():
    seen = window(START, after(1, links=(LINK, replace(LINK, name="b", pdus_in=9))))
    assert seen.link_rate("b") == Rate(0, 0)


@pytest.mark.parametrize(("seconds", "a_minute"), [(60, 3_000), (30, 6_000), (1, 180_000)])
def test_money_is_brought_to_a_minute(seconds, a_minute):
    seen = window(START, after(seconds, earned_vnd={"package": 3_000, "sms": 500}))
    assert seen.earned_a_minute_vnd() == {"package": a_minute, "sms": 0}


def test_what_is_older_than_a_minute_no_longer_counts():
    seen = window(*(after(at, earned_vnd={"package": at * 10}) for at in range(3 * WINDOW_S)))
    assert seen.seconds == WINDOW_S
    assert seen.earned_a_minute_vnd() == {"package": 600}


def test_a_single_look_makes_no_rate_and_no_division_by_zero():
    seen = window(START)
    assert seen.rate("texts") == 0
    assert seen.earned_a_minute_vnd() == {"package": 0, "sms": 0}
    assert seen.latency("commit") == Quantiles(None, None)


@pytest.mark.parametrize("again", [after(-50), after(1, texts=0)])
def test_a_daemon_that_was_started_again_begins_anew(again):
    seen = window(after(0, texts=500), again)
    assert seen.rate("texts") == 0
    assert seen.seconds == 0


BOUNDS = (0.01, 0.1, 1.0)


def latency(*counts):
    return Latency(BOUNDS, counts)


def test_quantiles_are_of_what_came_between_two_looks():
    found = quantiles(latency(100, 100, 100, 100), latency(100, 200, 200, 200))
    assert found.p50_s == pytest.approx(0.055)
    assert found.p99_s == pytest.approx(0.0991)
    assert not found.over


def test_what_is_slower_than_the_last_bound_is_told_as_more_than_it():
    assert quantiles(latency(0, 0, 0, 0), latency(0, 0, 0, 10)) == Quantiles(1.0, 1.0, over=True)


def test_a_fast_thing_is_within_the_first_bound():
    found = quantiles(latency(0, 0, 0, 0), latency(4, 4, 4, 4))
    assert found.p50_s == pytest.approx(0.005)
    assert found.p99_s == pytest.approx(0.0099)
