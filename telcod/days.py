"""Days and minutes of Asia/Ho_Chi_Minh from Unix milliseconds.  Pure.

The zone comes from the time-zone database; offsets are cached per quarter of an hour, which no zone
rule cuts.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_QUARTER_MS: Final = 15 * MINUTE_MS


@lru_cache(maxsize=256)
def _offset_ms(quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * _QUARTER_MS // 1_000, tz=UTC).astimezone(ZONE)
    offset = moment.utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) * SECOND_MS


@lru_cache(maxsize=64)
def _yyyymmdd(day_number: int) -> int:
    date = datetime.fromtimestamp(day_number * 86_400, tz=UTC)
    return date.year * 10_000 + date.month * 100 + date.day


def local_ms(ms: int) -> int:
    """Milliseconds on the local wall clock, as if it were UTC."""
    return ms + _offset_ms(ms // _QUARTER_MS)


def business_date(ms: int) -> int:
    """The day of Viet Nam that a moment falls on, as yyyymmdd."""
    return _yyyymmdd(local_ms(ms) // DAY_MS)


def time_of_day_ms(ms: int) -> int:
    """Milliseconds since local midnight."""
    return local_ms(ms) % DAY_MS


def day_start_ms(yyyymmdd: int) -> int:
    """The moment at which a day of Viet Nam begins, in Unix milliseconds.

    Raises:
        ValueError: `yyyymmdd` names no day.
    """
    moment = datetime(yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100, tzinfo=ZONE)
    return int(moment.timestamp()) * SECOND_MS


def into_window(ms: int, *, opens_ms: int, closes_ms: int) -> int:
    """The first moment at or after `ms` whose time of day is in [opens, closes)."""
    at = time_of_day_ms(ms)
    if at < opens_ms:
        return ms + opens_ms - at
    if at >= closes_ms:
        return ms + DAY_MS - at + opens_ms
    return ms


def back_into_window(ms: int, *, opens_ms: int, closes_ms: int) -> int:
    """The last moment at or before `ms` whose time of day is in [opens, closes)."""
    at = time_of_day_ms(ms)
    if at < opens_ms:
        return ms - at - DAY_MS + closes_ms - MINUTE_MS
    if at >= closes_ms:
        return ms - at + closes_ms - MINUTE_MS
    return ms
