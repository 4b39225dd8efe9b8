"""How fast a link may go: rate, pauses after THROTTLED, delays between attempts.  Pure.

The SMSC throttles a *link*, not a message: whoever answers each THROTTLED by retrying that PDU
alone keeps hammering with all the others.  So one `Pace` belongs to one link, outlives its
connections, and everything waits on it.  Times are `now`, seconds of the monotonic clock.
"""

from typing import Final

from telcod.smpp.timers import Timers

BURST_S: Final = 0.1
"""Unused rate is kept for this long, so that a timer that fires late loses nothing."""


class Pace:
    """Rate and throttle pauses of one link.

    Args:
        timers: `throttle_base_s`, `throttle_factor` and `throttle_max_s` are used.
        rate_per_s: Submits per second; 0 is no limit.
    """

    __slots__ = (
        "_calm_at",
        "_next_at",
        "_paused_at",
        "_paused_until",
        "_step",
        "_timers",
        "_token_s",
        "probing",
    )

    def __init__(self, timers: Timers, *, rate_per_s: int = 0) -> None:
        self._timers = timers
        self._token_s = 1 / rate_per_s if rate_per_s else 0.0
        self._next_at = 0.0
        self._paused_at = 0.0
        self._paused_until = 0.0
        self._calm_at = 0.0
        self._step = 0
        self.probing = False
        """After a pause one submit goes alone; its success opens the window again."""

    @property
    def pause_s(self) -> float:
        """Length of the pause at the present step, in seconds; 0 when the link is not throttled."""
        if self._step == 0:
            return 0.0
        timers = self._timers
        grown_s = timers.throttle_base_s * timers.throttle_factor ** (self._step - 1)
        return min(grown_s, timers.throttle_max_s)

    def free_at(self) -> float:
        """The time from which one more submit is within rate and pause; it may be in the past."""
        return max(self._next_at, self._paused_until)

    def is_free(self, now: float) -> bool:
        """Tell whether one more submit may go now, as far as rate and pause are concerned."""
        return now >= self._next_at and now >= self._paused_until

    def spend(self, now: float) -> None:
        """Account for one submit sent now."""
        if self._token_s:
            self._next_at = max(self._next_at, now - BURST_S) + self._token_s

    def throttled(self, sent_at: float, now: float) -> None:
        """Pause the link because a submit sent at `sent_at` was refused for speed.

        A full window is refused as a wave; only the first refusal of a wave counts.
        """
        if self._step and sent_at <= self._paused_at:
            return
        if self.pause_s < self._timers.throttle_max_s:
            self._step += 1
        self._paused_at = now
        self._paused_until = self._calm_at = now + self.pause_s
        self.probing = True

    def succeeded(self, sent_at: float, now: float) -> None:
        """Shrink the pause by one step after as much undisturbed success as it lasted.

        Success is any answer but THROTTLED and MSGQFUL: what the SMSC refuses for its content went
        through at a speed that it bears.
        """
        if not self._step or sent_at <= self._paused_at:
            return
        self.probing = False
        if now - self._calm_at >= self.pause_s:
            self._step -= 1
            self._calm_at = now


def reconnect_delay_s(
    failures: int, *, least_s: float, most_s: float, floor_s: float = 0.0, luck: float
) -> float:
    """Say how long to wait before the next attempt to connect, in seconds.

    Args:
        failures: Attempts that failed in a row, from 0; each doubles the delay.
        least_s: Delay before the first attempt after a good connection.
        most_s: The delay grows no further.
        floor_s: What the last failure demands at least (ESME_RALYBND), beyond `most_s` if need be.
        luck: From 0 to 1, random; takes off up to half, so that a thousand ESMEs that lost one SMSC
            do not come back in step.  It never takes the delay below `floor_s`.
    """
    # 2 ** 32 seconds is beyond any limit, and bounds the work for a link that is away for years.
    grown_s = min(least_s * 2.0 ** min(failures, 32), most_s)
    return max(grown_s * (1 - luck / 2), floor_s * (1 + luck / 2))
