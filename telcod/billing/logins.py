"""Codes by SMS and sessions: whether a code is sent, is right, and how long who has typed it stays
logged in (SELF-1).  Pure.

Codes and tokens are made and hashed at the edge; here they are compared by their hashes only.
"""

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from telcod.billing.recent import decide_again
from telcod.days import HOUR_MS, MINUTE_MS
from telcod.rows import LoginCode, SelfSession

TRIES_MAX: Final = 5  # also a constraint of the table
TOUCH_MS: Final = MINUTE_MS
"""A session is touched in the books once in so long, not at every page."""


class LoginLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a code is good, how often one is sent, how long a session lasts."""

    code_min: Annotated[int, Meta(ge=1, le=60)] = 5
    tries_max: Annotated[int, Meta(ge=1, le=TRIES_MAX)] = TRIES_MAX
    codes_per_hour_max: Annotated[int, Meta(ge=1, le=20)] = 5
    idle_min: Annotated[int, Meta(ge=1, le=24 * 60)] = 30
    session_h: Annotated[int, Meta(ge=1, le=24 * 30)] = 24
    sessions_max: Annotated[int, Meta(ge=1, le=20)] = 5


class Tried(NamedTuple):
    """What typing a code comes to; `row` is what is remembered, None: nothing new."""

    right: bool
    row: LoginCode | None


def own_or_new(row: LoginCode | None, msisdn: int, life: int) -> LoginCode:
    """The row of this owner of the number: what an earlier owner left is not his (NUM-5)."""
    if row is not None and row.life == life:
        return row
    return LoginCode(msisdn, life, "", 0, 0, "", "")


def decide_code(
    row: LoginCode, code_hash: str, now_ms: int, limits: LoginLimits
) -> LoginCode | None:
    """Say whether a new code is sent; it takes the place of an earlier one.

    Args:
        row: The subscriber's own.
        code_hash: The new code's.
        now_ms: Unix milliseconds.
        limits: Settings.

    Returns:
        The row to keep, or None when there were too many in the last hour: an earlier code is
        still good then.
    """
    asked = decide_again(
        row.asked, now_ms=now_ms, most=limits.codes_per_hour_max, within_ms=HOUR_MS
    )
    if asked is None:
        return None
    expires_at = now_ms + limits.code_min * MINUTE_MS
    return msgspec.structs.replace(row, hash=code_hash, expires_at=expires_at, tries=0, asked=asked)


def decide_login(row: LoginCode, code_hash: str, now_ms: int, limits: LoginLimits) -> Tried:
    """Say whether what was typed is the code.  A right one is used up, a wrong one counted.

    After `tries_max` wrong ones, or its time, none is right: not even the code itself.
    """
    if not row.hash or now_ms >= row.expires_at or row.tries >= limits.tries_max:
        return Tried(right=False, row=None)
    if code_hash == row.hash:
        return Tried(right=True, row=msgspec.structs.replace(row, hash="", expires_at=0, tries=0))
    return Tried(right=False, row=msgspec.structs.replace(row, tries=row.tries + 1))


def is_open(session: SelfSession, now_ms: int, limits: LoginLimits) -> bool:
    """Whether a session still is: neither idle for too long nor too old."""
    return (
        now_ms - session.touched_at < limits.idle_min * MINUTE_MS
        and now_ms - session.started_at < limits.session_h * HOUR_MS
    )
