"""The parent-child package: trial, renewal, suspension, cancellation (PKG-1…9).  Pure.

A subscription is one row for life.  `next_at` is the next moment at which the clock has something
to do: a reminder, a renewal, a retry, or the end after 30 days of failures.  Decisions are values;
the shells in `handlers` record and tell.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from telcod.billing.tariffs import Tariff
from telcod.days import DAY_MS, HOUR_MS, back_into_window, into_window
from telcod.rows import Account, Kind, PackageStatus, State, Subscriber, Subscription


class PackageLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of PKG that are settings."""

    eligible_kinds: tuple[str, ...] = (Kind.PREPAID.value,)
    retry_every_h: int = 6
    cancel_after_h: int = 30 * 24
    remind_every_days: int = 7
    remind_ahead_h: int = 24
    trial_notice_ahead_h: int = 2
    quiet_until_h: int = 7
    quiet_from_h: int = 22
    confirm_registration: bool = False
    confirm_within_min: int = 30
    renewal_notice: str = "when_needed"  # or "always"


class Refusal(StrEnum):
    """Why a package is not started.

    Checked, and reported, in this order; values are keys of the catalogue.
    """

    KIND_NOT_ELIGIBLE = "package.kind_not_eligible"
    NOT_ACTIVE = "package.not_active"
    ALREADY = "package.already"
    ALREADY_SUSPENDED = "package.already_suspended"
    OTHER = "package.other"
    NO_MONEY = "package.no_money"


class Start(NamedTuple):
    """The package starts: a free trial, or a first period to be charged (`price_vnd` > 0)."""

    trial: bool
    price_vnd: int
    starts_at: int
    ends_at: int


def decide_register(
    package: str,
    subscriber: Subscriber,
    account: Account | None,
    current: Subscription | None,
    tariff: Tariff,
    limits: PackageLimits,
    *,
    now_ms: int,
) -> Start | Refusal:
    """Say what `DK`/`DK7` does (PKG-1…4).

    Returns:
        The period to start, or the first reason to refuse, in `Refusal` order.
    """
    if subscriber.kind not in limits.eligible_kinds:
        return Refusal.KIND_NOT_ELIGIBLE
    if subscriber.state != State.ACTIVE:
        return Refusal.NOT_ACTIVE
    if current is not None and current.status != PackageStatus.CANCELLED:
        if current.package != package:
            return Refusal.OTHER
        return (
            Refusal.ALREADY if current.status == PackageStatus.ACTIVE else Refusal.ALREADY_SUSPENDED
        )
    terms = tariff.packages[package]
    if not subscriber.trial_used and terms.trial_ms:
        return Start(trial=True, price_vnd=0, starts_at=now_ms, ends_at=now_ms + terms.trial_ms)
    if account is None or account.spendable_vnd < terms.price_vnd:
        return Refusal.NO_MONEY
    return Start(
        trial=False, price_vnd=terms.price_vnd, starts_at=now_ms, ends_at=now_ms + terms.period_ms
    )


class Renew(NamedTuple):
    """A new period is charged.

    `missed` whole periods before it went by while telcod was down: never charged (PKG-6).
    """

    price_vnd: int
    starts_at: int
    ends_at: int
    missed: int


class Suspend(NamedTuple):
    """The renewal failed: the whitelist rests, and it is tried again at `retry_at`.

    `first`: it worked until now.
    """

    failed_since: int
    retry_at: int
    first: bool


class Cancel(NamedTuple):
    """Renewals failed without a break for 30 × 24 h (PKG-6)."""

    failed_since: int


def decide_renewal(
    current: Subscription,
    subscriber: Subscriber,
    account: Account | None,
    tariff: Tariff,
    limits: PackageLimits,
    *,
    now_ms: int,
) -> Renew | Suspend | Cancel:
    """Say what happens at the end of a period, at a retry, and after a top-up (PKG-6).

    On time, the new period follows the old one without a gap.  After downtime only the period that
    is running now is charged. After a failure, success starts a new period now.
    """
    terms = tariff.packages[current.package]
    reachable = (
        subscriber.state in {State.ACTIVE, State.OUT_OF_MONEY}
        and subscriber.kind in limits.eligible_kinds
    )
    if reachable and account is not None and account.spendable_vnd >= terms.price_vnd:
        if current.status == PackageStatus.SUSPENDED:
            return Renew(terms.price_vnd, now_ms, now_ms + terms.period_ms, missed=0)
        missed = max(0, now_ms - current.ends_at) // terms.period_ms
        starts_at = current.ends_at + missed * terms.period_ms
        return Renew(terms.price_vnd, starts_at, starts_at + terms.period_ms, missed)
    first = current.status != PackageStatus.SUSPENDED
    failed_since = now_ms if first else current.failed_since
    cancel_at = failed_since + limits.cancel_after_h * HOUR_MS
    if now_ms >= cancel_at:
        return Cancel(failed_since)
    return Suspend(failed_since, min(now_ms + limits.retry_every_h * HOUR_MS, cancel_at), first)


def is_working(current: Subscription | None) -> bool:
    """Whether the whitelist counts now: registered, and the last renewal did not fail."""
    return current is not None and current.status == PackageStatus.ACTIVE


def first_reminder_ms(start: Start, limits: PackageLimits) -> int:
    """When to speak first: before a trial ends, or before the seventh day (PKG-8).

    0 when there is no sensible moment.
    """
    window = _window(limits)
    if start.trial:
        notice_at = back_into_window(
            start.ends_at - limits.trial_notice_ahead_h * HOUR_MS, **window
        )
        return notice_at if notice_at > start.starts_at else into_window(start.starts_at, **window)
    return into_window(
        start.starts_at + limits.remind_every_days * DAY_MS - limits.remind_ahead_h * HOUR_MS,
        **window,
    )


def next_reminder_ms(due_ms: int, limits: PackageLimits, *, now_ms: int) -> int:
    """The reminder after the one that was due.

    Seven days on, and never in the past after downtime.
    """
    every = limits.remind_every_days * DAY_MS
    skipped = max(0, now_ms - due_ms) // every
    return into_window(due_ms + (skipped + 1) * every, **_window(limits))


def in_reminder_window(now_ms: int, limits: PackageLimits) -> bool:
    """Whether a reminder may be sent now (07:00–22:00)."""
    return into_window(now_ms, **_window(limits)) == now_ms


def postponed_reminder_ms(now_ms: int, limits: PackageLimits) -> int:
    """The next moment at which a reminder may be sent."""
    return into_window(now_ms, **_window(limits))


def next_action_ms(*, ends_at: int, remind_at: int) -> int:
    """When the clock must look at an active subscription next."""
    return min(ends_at, remind_at) if remind_at else ends_at


def _window(limits: PackageLimits) -> dict[str, int]:
    return {"opens_ms": limits.quiet_until_h * HOUR_MS, "closes_ms": limits.quiet_from_h * HOUR_MS}
