"""A clock to be set while telcod runs, by libfaketime: only the wall clock, only that process's.

`FalseClock` is a file with a moment in it.  The process believes that it started at that moment,
and looks at the file again every second.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

LIBRARY = "faketime/libfaketime.so.1"
START = datetime(2026, 12, 1, 5)  # noqa: DTZ001  # A moment of the false clock's: UTC.


@cache
def library():
    """libfaketime, or None if Debian's package `faketime` is not installed."""
    found = sorted(Path("/usr/lib").glob(f"*/{LIBRARY}"))
    return found[0] if found else None


def why_no_false_clock():
    """Why no clock can be set here; "" if it can.  Nothing stands in for it."""
    return "" if library() is not None else "Debian's package faketime is not installed"


class FalseClock:
    """The clock of processes started with `environ`."""

    def __init__(self, folder, start=START):
        assert not why_no_false_clock(), why_no_false_clock()
        self._file = folder / "moment"
        self._moment = start
        self.jump(timedelta())

    @property
    def environ(self):
        """What makes a process believe it; monotonic time stays true."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            "TZ": "UTC",
        }

    def wall_ms(self):
        """About what the process believes, for those who speak with it (`telcod.clock.Clock`)."""
        return int(self._moment.replace(tzinfo=UTC).timestamp()) * 1_000

    def monotonic_s(self):
        """Nobody of those asks."""
        return 0.0

    def jump(self, by):
        """Set it forward, or back."""
        self._moment += by
        # Whole or not at all: it's read while it's written.
        new = self._file.with_suffix(".new")
        new.write_text(f"@{self._moment:%Y-%m-%d %H:%M:%S}\n", encoding="ascii")
        new.replace(self._file)
