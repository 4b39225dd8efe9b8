"""What calls and texts for B to pay share: how often A may ask, 10 times B and 30 times anyone in
24 h (PFM-14), and the keys that B may press (PFM-12).
"""

from telcod.billing.calls import CallLimits
from telcod.billing.packages import is_working
from telcod.billing.recent import decide_again
from telcod.days import HOUR_MS
from telcod.rows import RECENT, SUBSCRIPTION, Recent
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


def request_subjects(caller: int, payer: int) -> tuple[str, str]:
    """What A's requests are counted under: those to B, and those to anyone."""
    return f"ask:{caller}:{payer}", f"ask:{caller}"


def keys_offered(tx: Tx, payer: int) -> str:
    """The keys of the question to B; key 3 is offered with a working package only (PFM-12)."""
    return "1234" if is_working(tx.get(SUBSCRIPTION, payer)) else "124"


def _again(tx: Tx, subject: str, most: int, limits: CallLimits) -> str | None:
    recent = tx.get(RECENT, subject)
    return decide_again(
        recent.times if recent else "",
        now_ms=tx.now_ms,
        most=most,
        within_ms=limits.rate_within_h * HOUR_MS,
    )


def _rates(caller: int, payer: int, limits: CallLimits) -> tuple[tuple[str, int], ...]:
    of_pair, of_caller = request_subjects(caller, payer)
    return (of_pair, limits.per_pair_max), (of_caller, limits.per_caller_max)
