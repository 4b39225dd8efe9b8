"""Load that does not wait comes by the clock, and what is counted adds up."""

import math

import pytest

from telcod.simulator.load_open import (
    FIND_OUT,
    LEAST_PER_S,
    Phase,
    Tally,
    Traffic,
    offer,
    recovered_s,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Wire:
    """Answers at once what it takes, so many each time."""

    def __init__(self, room=math.inf):
        self.room = room
        self.most = set()

    def offer(self, traffic, count, most):
        taken = min(count, self.room, most)
        self.most.add(most)
        traffic.tally.offered += count
        traffic.tally.held_back += count - taken
        traffic.tally.done += taken


async def test_a_rate_is_kept_whatever_is_taken():
    traffic = Traffic("others", per_s=2_000)
    wire = Wire(room=0)
    await offer([Phase("all", 0.1, {}, 5)], [(traffic, wire)])
    (tally,) = traffic.tallies
    # The last tick may be early or late; how much came depends on the clock alone.
    assert 150 <= tally.offered <= 200
    assert tally.held_back == tally.offered


async def test_the_sustainable_rate_is_found_out_and_multiplied():
    usual, flood = Traffic("usual"), Traffic("flood")
    phases = [
        Phase("find out", 0.05, {"usual": FIND_OUT}, 7),
        Phase("flood", 0.05, {"flood": 3}, 7),
    ]
    wire = Wire()
    sustained = await offer(phases, [(usual, wire), (flood, wire)])
    assert sustained == usual.tallies[0].done / 0.05
    assert flood.tallies[0].offered == usual.tallies[1].offered == 0
    assert flood.tallies[1].offered == pytest.approx(3 * sustained * 0.05, rel=0.4)


async def test_a_flood_comes_even_where_nothing_could_be_found_out():
    usual, flood = Traffic("usual"), Traffic("flood")
    phases = [
        Phase("find out", 0.01, {"usual": FIND_OUT}, 7),
        Phase("flood", 0.1, {"flood": 50}, 7),
    ]
    assert await offer(phases, [(usual, Wire(room=0)), (flood, Wire())]) == LEAST_PER_S
    assert flood.tallies[1].offered > 0


async def test_one_with_a_rate_of_his_own_is_not_held_back_for_another():
    traffic, wire = Traffic("others", per_s=1_000), Wire()
    await offer([Phase("all", 0.05, {}, 1)], [(traffic, wire)])
    assert traffic.tally.held_back == 0
    assert min(wire.most) > 1_000


def test_shares_are_of_the_ordered_times():
    tally = Tally()
    for ms in (1, 2, 3, 400):
        tally.took(ms / 1_000)
    assert [tally.at_ms(share) for share in (0.25, 0.5, 0.75, 1)] == [1, 2, 3, 400]
    assert Tally().at_ms(0.99) == 0
    tally.add(tally)
    assert (tally.answered, tally.at_ms(0.5)) == (8, 2)


def test_some_of_the_wrong_answers_are_kept():
    tally = Tally()
    for number in range(9):
        tally.say_wrong(f"answer {number}")
    report = tally.report(1)
    assert report["wrong"] == [f"answer {number}" for number in range(5)]


def traffic_of(*times):
    """Answers sent at a second, after so many."""
    traffic = Traffic("others")
    for sent_s, took_s in times:
        traffic.took(traffic.tally, sent_s, sent_s + took_s)
    return traffic


def test_recovery_is_from_the_end_of_the_flood_to_the_last_moment_that_was_not_as_usual():
    late = traffic_of((9.6, 5), (10.1, 3), (10.8, 0.5), (11.2, 0.001), (12.3, 0.001))
    assert recovered_s(late, ended_s=10, normal_ms=2) == 1.0
    at_once = traffic_of((9.6, 5), (10.1, 0.001), (11.2, 0.002))
    assert recovered_s(at_once, ended_s=10, normal_ms=2) == 0.0


def test_a_refusal_after_the_flood_is_not_as_usual():
    traffic = traffic_of((10.1, 0.001), (12.2, 0.001))
    traffic.refuse(traffic.tally, 11.4, "503 with Retry-After")
    assert recovered_s(traffic, ended_s=10, normal_ms=2) == 1.5


def test_the_p99_of_each_stretch_of_a_run():
    traffic = traffic_of((100.2, 0.010), (101.2, 0.020), (102.3, 0.5))
    assert traffic.p99_ms(100, 1.0, 3.0) == [10, 20, 500]
