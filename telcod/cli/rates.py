"""What two pulses of a daemon say of the time between them: rates, latencies, money.  No I/O."""

from collections import deque
from typing import Final, NamedTuple

from telcod.web.ports import Latency, Pulse

WINDOW_S: Final = 60
"""Money is told by the minute, so a minute's pulses are kept."""
RATE_S: Final = 5
"""Rates are of the last seconds: short enough to see a change, long enough to stand still."""
NO_LATENCY: Final = Latency((), ())


class Rate(NamedTuple):
    """Of one link: PDUs a second, each way."""

    pdus_in: float
    pdus_out: float


class Quantiles(NamedTuple):
    """Seconds; None when nothing happened.  `over` is set when the last bound was passed."""

    p50_s: float | None
    p99_s: float | None
    over: bool = False


class Window:
    """The pulses of the last minute, oldest first."""

    def __init__(self) -> None:
        self._pulses: deque[Pulse] = deque()

    def add(self, pulse: Pulse) -> None:
        """Take the newest.  One of a daemon that was started again begins anew."""
        if self._pulses and pulse.at_s <= self._pulses[-1].at_s:
            self._pulses.clear()
        if self._pulses and pulse.texts < self._pulses[-1].texts:
            self._pulses.clear()
        self._pulses.append(pulse)
        while pulse.at_s - self._pulses[0].at_s > WINDOW_S:
            self._pulses.popleft()

    @property
    def now(self) -> Pulse:
        """The newest pulse."""
        return self._pulses[-1]

    @property
    def seconds(self) -> float:
        """How much time all of them span."""
        return self._pulses[-1].at_s - self._pulses[0].at_s

    def rate(self, name: str) -> float:
        """How fast one of the counters grows, a second: `texts`, `replies`, `requests`."""
        before = self._recent()
        grown: int = getattr(self.now, name) - getattr(before, name)
        return _per_second(grown, self.now.at_s - before.at_s)

    def link_rate(self, name: str) -> Rate:
        """How fast a link's PDUs come and go."""
        old, new = self._recent(), self.now
        before = {link.name: link for link in old.links}.get(name)
        after = {link.name: link for link in new.links}[name]
        if before is None:
            return Rate(0, 0)
        span_s = new.at_s - old.at_s
        return Rate(
            _per_second(after.pdus_in - before.pdus_in, span_s),
            _per_second(after.pdus_out - before.pdus_out, span_s),
        )

    def earned_a_minute_vnd(self) -> dict[str, int]:
        """Whole đồng by service, of the last minute, or of what there is brought to a minute."""
        old, new = self._pulses[0], self.now
        grown = {name: vnd - old.earned_vnd.get(name, 0) for name, vnd in new.earned_vnd.items()}
        span_s = self.seconds
        return {name: round(_per_second(vnd, span_s) * 60) for name, vnd in grown.items()}

    def latency(self, name: str) -> Quantiles:
        """How long `commit`, `text` or `http` took, within the last seconds."""
        return quantiles(getattr(self._recent(), name), getattr(self.now, name))

    def _recent(self) -> Pulse:
        """The pulse of `RATE_S` ago, or the oldest since."""
        now_s = self._pulses[-1].at_s
        return next(pulse for pulse in self._pulses if now_s - pulse.at_s <= RATE_S + 0.5)


def quantiles(before: Latency, after: Latency) -> Quantiles:
    """The median and the 99th percentile of what was counted between two looks.

    Within a bucket the values are taken to lie evenly, as Prometheus does.
    """
    grown = [new - old for old, new in zip(before.counts, after.counts, strict=True)]
    if not grown or not grown[-1]:
        return Quantiles(None, None)
    p50_s, _ = _quantile(grown, after.bounds_s, 0.50)
    p99_s, over = _quantile(grown, after.bounds_s, 0.99)
    return Quantiles(p50_s, p99_s, over)


def _quantile(counts: list[int], bounds_s: tuple[float, ...], share: float) -> tuple[float, bool]:
    wanted = counts[-1] * share
    below_count, below_s = 0, 0.0
    for count, bound_s in zip(counts, bounds_s, strict=False):
        if count >= wanted:
            inside = (wanted - below_count) / max(count - below_count, 1)
            return below_s + (bound_s - below_s) * inside, False
        below_count, below_s = count, bound_s
    return bounds_s[-1], True


def _per_second(grown: int, span_s: float) -> float:
    return max(grown, 0) / span_s if span_s > 0 else 0.0
