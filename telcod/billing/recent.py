"""How often lately: at most N in any stretch of time, exactly, not by calendar windows (KW-3,
PFM-14).  Pure.
"""

from collections.abc import Iterable


def decide_again(times: str, *, now_ms: int, most: int, within_ms: int) -> str | None:
    """Say whether something may happen once more.

    Args:
        times: When it happened lately, as stored: comma-separated milliseconds, oldest first.
        now_ms: Unix milliseconds.
        most: How often at most in any `within_ms`.
        within_ms: The stretch of time, in milliseconds.

    Returns:
        The new `times` to store when it may, else None: nothing is to be stored, so that trying
        again does not prolong the wait.
    """
    lately = [ms for ms in _parse(times) if ms > now_ms - within_ms]
    if len(lately) >= most:
        return None
    return ",".join(str(ms) for ms in [*lately, now_ms][-most:])


def _parse(times: str) -> Iterable[int]:
    return (int(ms) for ms in times.split(",") if ms)
