"""Load that does not wait: so much a second is offered, whatever becomes of it (an open loop).

A load that waits for answers slows down with whom it measures, and so hides how bad it gets.  Here
each `Traffic` is offered by the clock, phase by phase; what the wire does not take any more is held
back and counted.  What can be sent over which wire is in `load_open_smpp.py`, `load_open_http.py`,
`load_open_mqtt.py`.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

FIND_OUT: Final = -1.0
TICK_S: Final = 0.005
SLICE_S: Final = 0.5
WRONG_KEPT: Final = 5
LEAST_PER_S: Final = 10.0  # Nothing is done in a very short phase of a very busy machine.
_ANY: Final = 1_000_000
_PER_S: Final = 10_000  # Times are counted in tenths of a millisecond.


class Phase(NamedTuple):
    """A part of a run.

    `rates` are by the name of the traffic: how often the sustainable rate comes.  `FIND_OUT` finds
    that rate out, by keeping `most` under way.  At most `most` are under way at once; what comes
    beyond that is held back.
    """

    name: str
    seconds: float
    rates: dict[str, float]
    most: int


class Tally:
    """What became of one traffic in one phase: pieces offered, requests answered, and how fast."""

    def __init__(self) -> None:
        self.offered = self.held_back = self.done = self.answered = 0
        self.refused: Final[Counter[str]] = Counter()
        self.wrong: Final[list[str]] = []
        self._times: Final[Counter[int]] = Counter()

    def took(self, took_s: float) -> None:
        """A request was answered as it must be."""
        self.answered += 1
        self._times[round(took_s * _PER_S)] += 1

    def add(self, other: "Tally") -> None:
        """Count the times of another one as well."""
        self.answered += other.answered
        self._times.update(other._times)

    def say_wrong(self, what: str) -> None:
        """Keep some of the answers that may not be."""
        if len(self.wrong) < WRONG_KEPT:
            self.wrong.append(what)

    def at_ms(self, share: float) -> float:
        """The time within which so great a share was answered, in milliseconds."""
        wanted = share * self.answered
        seen = 0
        for time_, count in sorted(self._times.items()):
            seen += count
            if seen >= wanted:
                return 1_000 * time_ / _PER_S
        return 0.0

    def report(self, seconds: float) -> dict[str, Any]:
        """All of it; rates are by the seconds of the phase."""
        return {
            "offered_per_s": round(self.offered / seconds, 1),
            "held_back_per_s": round(self.held_back / seconds, 1),
            "done_per_s": round(self.done / seconds, 1),
            "answered_per_s": round(self.answered / seconds, 1),
            "offered": self.offered,
            "held_back": self.held_back,
            "done": self.done,
            "answered": self.answered,
            "refused": dict(self.refused),
            "wrong": self.wrong,
            "p50_ms": self.at_ms(0.5),
            "p99_ms": self.at_ms(0.99),
            "max_ms": self.at_ms(1),
        }


class Wire(Protocol):
    """Something that takes pieces of a traffic."""

    def offer(self, traffic: "Traffic", count: int, most: int) -> None:
        """Begin so many, but for those that would be more than `most` under way."""
        ...


class Traffic:
    """One source: its rate, and its tallies.

    Args:
        name: What it is called in reports.
        per_s: A rate of its own, in all phases; 0: what each phase says.
    """

    def __init__(self, name: str, *, per_s: float = 0) -> None:
        self.name: Final = name
        self.per_s: Final = per_s
        self.under_way = 0
        self.tally = Tally()
        self.tallies: Final[list[Tally]] = []
        self.slices: Final[dict[int, Tally]] = {}

    def begin(self) -> None:
        """The next phase: what is sent from now on counts there."""
        self.tally = Tally()
        self.tallies.append(self.tally)

    def took(self, tally: Tally, sent_s: float, now_s: float) -> None:
        """A request was answered as it must be.

        Args:
            tally: That of the phase it was sent in.
            sent_s: When it was sent for the first time.
            now_s: When the answer came.
        """
        tally.took(now_s - sent_s)
        self._slice(sent_s).took(now_s - sent_s)

    def refuse(self, tally: Tally, sent_s: float, why: str) -> None:
        """A request was refused; arguments as for `took`."""
        tally.refused[why] += 1
        self._slice(sent_s).refused[why] += 1

    def _slice(self, sent_s: float) -> Tally:
        """What was sent in the same moment, for looking at what a flood did, and how it went."""
        return self.slices.setdefault(int(sent_s / SLICE_S), Tally())

    def p99_ms(self, begun_s: float, every_s: float, seconds: float) -> list[float]:
        """The p99 of what was sent in each stretch of a run, one after the other."""
        found = []
        for at in range(int(seconds / every_s)):
            whole = Tally()
            first, last = ((begun_s + (at + end) * every_s) / SLICE_S for end in (0, 1))
            for place in range(int(first), max(int(last), int(first) + 1)):
                if place in self.slices:
                    whole.add(self.slices[place])
            found.append(whole.at_ms(0.99))
        return found

    def rate(self, phase: Phase, sustained_per_s: float) -> float:
        """How much comes a second; without end while that rate is found out."""
        times = phase.rates.get(self.name, 0)
        return self.per_s or (math.inf if times == FIND_OUT else times * sustained_per_s)


async def offer(
    phases: Sequence[Phase], sources: Sequence[tuple[Traffic, Wire]], *, sustained_per_s: float = 0
) -> float:
    """Offer all of it by the clock; what rate telcod can sustain.

    Args:
        phases: One after the other.
        sources: What comes, and over which wire.
        sustained_per_s: What telcod can do, if no phase finds it out.
    """
    for phase in phases:
        begun_s = time.perf_counter()
        given = [0] * len(sources)
        for traffic, _ in sources:
            traffic.begin()
        rates = [traffic.rate(phase, sustained_per_s) for traffic, _ in sources]
        while (elapsed_s := time.perf_counter() - begun_s) < phase.seconds:
            for at, (traffic, wire) in enumerate(sources):
                endless = rates[at] == math.inf
                count = phase.most if endless else int(elapsed_s * rates[at]) - given[at]
                given[at] += count
                if count:
                    # Who comes at a rate of his own is not held back by how much another may send.
                    wire.offer(traffic, count, _ANY if traffic.per_s else phase.most)
            await asyncio.sleep(TICK_S)
        found = [t.tally.done for t, _ in sources if phase.rates.get(t.name) == FIND_OUT]
        if found:
            sustained_per_s = max(sum(found) / phase.seconds, LEAST_PER_S)
    return sustained_per_s


def recovered_s(
    traffic: Traffic, *, ended_s: float, normal_ms: float, until_s: float = math.inf
) -> float:
    """How long after the load had gone the first half second came that was as usual, and stayed so.

    Args:
        traffic: Whose answers are looked at.
        ended_s: When the load went, by the clock that `took` was told.
        normal_ms: Its usual p99; up to twice that, and 10 ms, is as usual.
        until_s: What was sent in the half second before this, and later, is not looked at: when all
            traffic ends, what packets wait for ends as well.
    """
    first = int(ended_s / SLICE_S)
    late = [
        at
        for at, tally in traffic.slices.items()
        if first <= at < until_s / SLICE_S - 1
        and (tally.refused or tally.at_ms(0.99) > 2 * normal_ms + 10)
    ]
    return max(0.0, (max(late) + 1) * SLICE_S - ended_s) if late else 0.0
