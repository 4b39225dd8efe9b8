"""How often A may ask: 10 requests A to B and 30 A to anyone in 24 h, calls and texts together
(PFM-14).
"""

from telcod.billing.calls import CallLimits
from telcod.billing.recent import decide_again
from telcod.days import HOUR_MS
from telcod.rows import RECENT, Recent
from telcod.tx import Tx


def too_often(tx: Tx, caller: int, payer: int, limits: CallLimits) -> bool:
    """Whether one more request would be too many."""
    return any(
        _again(tx, subject, most, limits) is None for subject, most in _rates(caller, payer, limits)
    )


def count_request(tx: Tx, caller: int, payer: int, limits: CallLimits) -> None:
    """Note one more request."""
    for subject, most in _rates(caller, payer, limits):
        times = _again(tx, subject, most, limits)
        if times is not None:
            tx.put(RECENT, Recent(subject, times))


def _again(tx: Tx, subject: str, most: int, limits: CallLimits) -> str | None:
    recent = tx.get(RECENT, subject)
    return decide_again(
        recent.times if recent else "",
        now_ms=tx.now_ms,
        most=most,
        within_ms=limits.rate_within_h * HOUR_MS,
    )


def _rates(caller: int, payer: int, limits: CallLimits) -> tuple[tuple[str, int], ...]:
    return (
        (f"ask:{caller}:{payer}", limits.per_pair_max),
        (f"ask:{caller}", limits.per_caller_max),
    )
