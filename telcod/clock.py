"""The clock port, the system's clock, a clock set by hand, and the guard against a jumping one.

This is the only file that reads the system's clocks.  Wall time is Unix milliseconds, as an int;
monotonic time is seconds from an arbitrary start, and serves for timers only.  Days and their
starts are in `telcod.days`.
"""

import threading
import time
from typing import Final, Protocol

JUMP_BACK_MS_MAX: Final = 2_000
JUMP_FORWARD_MS_MAX: Final = 60_000
DRIFT_MS: Final = 20
"""By how much the clocks may have parted before that is noted."""


class Clock(Protocol):
    """What the time is."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds; may jump, either way."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """See `Clock.wall_ms`."""
        return time.time_ns() // 1_000_000

    monotonic_s = staticmethod(time.monotonic)
    """See `Clock.monotonic_s`."""


class ManualClock:
    """A clock that stands still until it is told to go on, for tests and simulations.

    `advance` moves both times, as an honest clock does; `jump` moves the wall clock alone.
    """

    def __init__(self, start_ms: int) -> None:
        self._wall_ms = start_ms
        self._monotonic_ms = 0

    def wall_ms(self) -> int:
        """See `Clock.wall_ms`."""
        return self._wall_ms

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return self._monotonic_ms / 1_000

    def advance(self, ms: int) -> None:
        """Let time pass.

        Raises:
            ValueError: `ms` is negative; monotonic time cannot go back.
        """
        if ms < 0:
            raise ValueError(f"time does not pass by {ms} ms; use jump()")
        self._wall_ms += ms
        self._monotonic_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock forward, or back when `ms` is negative."""
        self._wall_ms += ms


class ClockGuard:
    """Says whether the wall clock can be believed.  Pure: both times are arguments.

    The wall clock is compared with the monotonic one since the last observation, not since the
    start: a clock that is slewed slowly into place stays believed, a clock that is set does not.
    Observe about every second.  While `jumped`, nothing that happens by the calendar may happen
    (renewals, expiries, day close); charging goes on.  Only a person's `confirm` ends it: a clock
    that jumps back again is no better than one that does not.
    """

    def __init__(self, *, wall_ms: int, monotonic_s: float) -> None:
        self._offset_ms = _offset_ms(wall_ms, monotonic_s)
        self._jumped = False
        self._jump_ms = 0

    @property
    def jumped(self) -> bool:
        """Whether the clock has jumped since it was last confirmed."""
        return self._jumped

    @property
    def jump_ms(self) -> int:
        """All jumps since the last confirmation together, in milliseconds; below 0 is back."""
        return self._jump_ms

    def observe(self, *, wall_ms: int, monotonic_s: float) -> bool:
        """Take note of both clocks.

        Returns:
            Whether the clock jumped just now, so that it is said once.
        """
        offset_ms = _offset_ms(wall_ms, monotonic_s)
        moved_ms = offset_ms - self._offset_ms
        jumped = not -JUMP_BACK_MS_MAX <= moved_ms <= JUMP_FORWARD_MS_MAX
        if jumped:
            self._jumped = True  # Before the offset, by which `BelievedClock` reads without a lock.
            self._jump_ms += moved_ms
        self._offset_ms = offset_ms
        return jumped

    def doubts(self, clock: Clock) -> bool:
        """Look at both clocks now; whether what happens by the calendar must wait.

        Ask right before doing something because its moment has come: what was believed a second ago
        may have been set since.
        """
        self.observe(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())
        return self._jumped

    def confirm(self) -> None:
        """A person has looked at the clock, and it is right."""
        self._jumped = False
        self._jump_ms = 0


class BelievedClock(ClockGuard):
    """A clock and its guard: the wall clock for as long as it can be believed.

    Once it has jumped, time goes on as if it had not, by the monotonic clock, until a person
    confirms the new one.  So a clock that is set to 2066 and back again has priced, ended and
    measured nothing by it, and no commit is of 2066.  Every reading is an observation: there is no
    moment at which a clock that was set is not yet doubted.  Read from any thread.
    """

    def __init__(self, clock: Clock) -> None:
        wall_ms, monotonic_s = clock.wall_ms(), clock.monotonic_s()
        super().__init__(wall_ms=wall_ms, monotonic_s=monotonic_s)
        self._believed_ms = _offset_ms(wall_ms, monotonic_s)
        self._lock: Final = threading.Lock()
        self._wall_ms: Final = clock.wall_ms
        self.monotonic_s: Final = clock.monotonic_s
        """See `Clock.monotonic_s`."""

    def wall_ms(self) -> int:
        """See `Clock.wall_ms`; while the clock is doubted, what it would say had nobody set it."""
        wall_ms = self._wall_ms()
        moved_ms = wall_ms - int(self.monotonic_s() * 1_000) - self._offset_ms
        if -DRIFT_MS <= moved_ms <= DRIFT_MS and not self._jumped:
            return wall_ms  # Read several times for each text: nothing to note, so no lock.
        with self._lock:
            wall_ms, monotonic_s = self._wall_ms(), self.monotonic_s()
            self.observe(wall_ms=wall_ms, monotonic_s=monotonic_s)
            if self.jumped:
                return self._believed_ms + round(monotonic_s * 1_000)
            self._believed_ms = _offset_ms(wall_ms, monotonic_s)
            return wall_ms

    def doubts(self, clock: Clock) -> bool:
        """See `ClockGuard.doubts`; `clock` is this one."""
        clock.wall_ms()
        return self.jumped


def _offset_ms(wall_ms: int, monotonic_s: float) -> int:
    return wall_ms - round(monotonic_s * 1_000)
