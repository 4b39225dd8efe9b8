"""Who may see what a number owes: the payment password, and a lock (PAY-2).  Pure."""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from telcod.days import MINUTE_MS
from telcod.rows import LookupTries


class LookupLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many wrong passwords in a row lock a number's look-up, and for how long."""

    wrong_max: Annotated[int, Meta(ge=1, le=20)] = 5
    locked_min: Annotated[int, Meta(ge=1, le=24 * 60)] = 30


class Checked(StrEnum):
    """What the hash said of a password; `none`: there is no hash, or no such number."""

    RIGHT = "right"
    WRONG = "wrong"
    NONE = "none"


def judged_by(password_hash: str) -> str:
    """What names the hash that a verdict was passed on, and says nothing of the password.

    A password is compared while others work on the books, and it may change or go meanwhile.
    """
    return sha256(password_hash.encode()).hexdigest()


class Tried(NamedTuple):
    """What one try comes to.  `tries` is the row from now on; None: nothing is remembered."""

    shown: bool
    tries: LookupTries | None
    locks: bool = False


UNLOCKED: Final = 0


def is_locked(tries: LookupTries | None, now_ms: int) -> bool:
    """Whether every try is refused now, a right one too."""
    return tries is not None and now_ms < tries.locked_until


def decide_try(
    msisdn: int, verdict: Checked, tries: LookupTries | None, now_ms: int, limits: LookupLimits
) -> Tried:
    """Say whether a try shows anything, and what it leaves behind.

    Args:
        msisdn: Whose data; a subscriber's.
        verdict: What the hash said.
        tries: Wrong tries in a row so far, and the lock; None for neither.
        now_ms: Unix milliseconds.
        limits: Settings.

    Returns:
        `locks` is true for the one try that locks.  A lock that is over forgets what led to it.
    """
    if is_locked(tries, now_ms):
        return Tried(shown=False, tries=tries)
    if verdict is Checked.RIGHT:
        return Tried(shown=True, tries=None)
    if verdict is Checked.NONE:
        return Tried(shown=False, tries=tries)
    wrong = 1 + (tries.wrong if tries is not None and not tries.locked_until else 0)
    if wrong < limits.wrong_max:
        return Tried(shown=False, tries=LookupTries(msisdn, wrong, UNLOCKED))
    until = now_ms + limits.locked_min * MINUTE_MS
    return Tried(shown=False, tries=LookupTries(msisdn, wrong, until), locks=True)
