"""The package's decisions as tables: what stands in the books and the time in, a decision out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.packages import (
    Cancel,
    PackageLimits,
    Refusal,
    Renew,
    Start,
    Suspend,
    decide_register,
    decide_renewal,
    first_reminder_ms,
    in_reminder_window,
    is_working,
    next_action_ms,
    next_reminder_ms,
    postponed_reminder_ms,
)
from telcod.billing.tariffs import PackageTariff, SmsTariff, Tariff, VoiceTariff
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS, day_start_ms, time_of_day_ms
from telcod.rows import Account, Subscriber, Subscription

MSISDN = 84903000001
NOW = day_start_ms(20260302) + 10 * HOUR_MS
LIMITS = PackageLimits()
TARIFF = Tariff(
    "t1",
    0,
    {"day": PackageTariff(1_000, 24), "week": PackageTariff(5_000, 168)},
    VoiceTariff(1_500),
    SmsTariff(250),
)
NO_TRIAL = msgspec.structs.replace(TARIFF, packages={"day": PackageTariff(1_000, 24, trial_h=0)})


def subscriber(kind="prepaid", state="active", trial_used=1):
    return Subscriber(MSISDN, kind, state, "vi", 1, 1, trial_used, 1)


def account(posted, held=0):
    return Account(MSISDN * 10 + 1, posted, held, 0, 0)


def current(package="day", status="active", ends_at=NOW, failed_since=0, next_at=NOW):
    return Subscription(
        MSISDN, package, status, 0, 3, ends_at - DAY_MS, ends_at, next_at, 0, failed_since, "t1"
    )


@pytest.mark.rule("PKG-1", "PKG-2", "PKG-3", "PKG-4")
@pytest.mark.parametrize(
    ("who", "money", "has", "package", "expected"),
    [
        (subscriber(trial_used=0), None, None, "day", Start(True, 0, NOW, NOW + DAY_MS)),
        (subscriber(trial_used=0), account(0), None, "week", Start(True, 0, NOW, NOW + DAY_MS)),
        (subscriber(), account(1_000), None, "day", Start(False, 1_000, NOW, NOW + DAY_MS)),
        (subscriber(), account(5_000), None, "week", Start(False, 5_000, NOW, NOW + 7 * DAY_MS)),
        (subscriber(), account(999), None, "day", Refusal.NO_MONEY),
        (subscriber(), account(5_000, held=1), None, "week", Refusal.NO_MONEY),
        (subscriber(), None, None, "day", Refusal.NO_MONEY),
        (
            subscriber(),
            account(1_000),
            current(status="cancelled"),
            "day",
            Start(False, 1_000, NOW, NOW + DAY_MS),
        ),
        (subscriber(), account(9_000), current(), "day", Refusal.ALREADY),
        (subscriber(), account(0), current(status="suspended"), "day", Refusal.ALREADY_SUSPENDED),
        (subscriber(), account(0), current(), "week", Refusal.OTHER),
        (subscriber(), account(0), current(status="suspended"), "week", Refusal.OTHER),
        (subscriber(trial_used=0), account(0), current(), "day", Refusal.ALREADY),
        (
            subscriber(kind="postpaid", state="closed"),
            None,
            current(),
            "day",
            Refusal.KIND_NOT_ELIGIBLE,
        ),
        (subscriber(state="out_of_money"), account(9_000), current(), "day", Refusal.NOT_ACTIVE),
        (subscriber(state="suspended"), account(9_000), None, "day", Refusal.NOT_ACTIVE),
        (subscriber(state="debt_blocked"), account(9_000), None, "day", Refusal.NOT_ACTIVE),
    ],
)
def test_registering(who, money, has, package, expected):
    assert decide_register(package, who, money, has, TARIFF, LIMITS, now_ms=NOW) == expected


@pytest.mark.rule("PKG-2")
def test_a_tariff_may_have_no_trial():
    who = subscriber(trial_used=0)
    decided = decide_register("day", who, account(1_000), None, NO_TRIAL, LIMITS, now_ms=NOW)
    assert decided == Start(False, 1_000, NOW, NOW + DAY_MS)


@pytest.mark.rule("PKG-3")
def test_who_may_register_is_a_setting():
    both = msgspec.structs.replace(LIMITS, eligible_kinds=("prepaid", "postpaid"))
    who = subscriber(kind="postpaid")
    decided = decide_register("day", who, account(1_000), None, TARIFF, both, now_ms=NOW)
    assert isinstance(decided, Start)


DAY_30 = 30 * DAY_MS


@pytest.mark.rule("PKG-6")
@pytest.mark.parametrize(
    ("has", "money", "late_ms", "expected"),
    [
        # On time, or a little late: the new period follows the old one without a gap.
        (current(), account(1_000), 0, Renew(1_000, NOW, NOW + DAY_MS, 0)),
        (current(), account(1_000), 5_000, Renew(1_000, NOW, NOW + DAY_MS, 0)),
        (current(), account(9_000), DAY_MS - 1, Renew(1_000, NOW, NOW + DAY_MS, 0)),
        # Whole periods late: the one that runs now is charged, and it alone.
        (current(), account(9_000), DAY_MS, Renew(1_000, NOW + DAY_MS, NOW + 2 * DAY_MS, 1)),
        (
            current(),
            account(9_000),
            3 * DAY_MS + 7,
            Renew(1_000, NOW + 3 * DAY_MS, NOW + 4 * DAY_MS, 3),
        ),
        (current("week"), account(9_000), 7 * DAY_MS - 1, Renew(5_000, NOW, NOW + 7 * DAY_MS, 0)),
        (
            current("week"),
            account(9_000),
            7 * DAY_MS,
            Renew(5_000, NOW + 7 * DAY_MS, NOW + 14 * DAY_MS, 1),
        ),
        # Not enough money: suspended since now, tried again in six hours.
        (current(), account(999), 0, Suspend(NOW, NOW + 6 * HOUR_MS, True)),
        (current(), account(1_000, held=1), 0, Suspend(NOW, NOW + 6 * HOUR_MS, True)),
        (current(), None, 0, Suspend(NOW, NOW + 6 * HOUR_MS, True)),
        (
            current(),
            account(0),
            50 * DAY_MS,
            Suspend(NOW + 50 * DAY_MS, NOW + 50 * DAY_MS + 6 * HOUR_MS, True),
        ),
        # Again and again, for thirty days and not longer; the last try is at the end itself.
        (
            current(status="suspended", failed_since=NOW),
            account(0),
            HOUR_MS,
            Suspend(NOW, NOW + 7 * HOUR_MS, False),
        ),
        (
            current(status="suspended", failed_since=NOW),
            account(0),
            DAY_30 - HOUR_MS,
            Suspend(NOW, NOW + DAY_30, False),
        ),
        (
            current(status="suspended", failed_since=NOW),
            account(0),
            DAY_30 - 1,
            Suspend(NOW, NOW + DAY_30, False),
        ),
        (current(status="suspended", failed_since=NOW), account(0), DAY_30, Cancel(NOW)),
        (current(status="suspended", failed_since=NOW), account(0), 99 * DAY_MS, Cancel(NOW)),
        # Success after a failure begins a new period then.
        (
            current(status="suspended", failed_since=NOW),
            account(1_000),
            5 * DAY_MS + 1,
            Renew(1_000, NOW + 5 * DAY_MS + 1, NOW + 6 * DAY_MS + 1, 0),
        ),
    ],
)
def test_the_end_of_a_period(has, money, late_ms, expected):
    decided = decide_renewal(has, subscriber(), money, TARIFF, LIMITS, now_ms=NOW + late_ms)
    assert decided == expected


@pytest.mark.rule("PKG-6")
@pytest.mark.parametrize(
    ("who", "renewed"),
    [
        (subscriber(state="out_of_money"), True),
        (subscriber(state="suspended"), False),
        (subscriber(state="debt_blocked"), False),
        (subscriber(kind="postpaid"), False),
    ],
)
def test_whoever_cannot_be_served_is_not_charged(who, renewed):
    decided = decide_renewal(current(), who, account(9_000), TARIFF, LIMITS, now_ms=NOW)
    assert isinstance(decided, Renew) is renewed


@pytest.mark.rule("PKG-6")
@given(late_ms=st.integers(0, 400 * DAY_MS), package=st.sampled_from(("day", "week")))
def test_after_any_downtime_the_period_that_is_paid_is_the_current_one(late_ms, package):
    now_ms = NOW + late_ms
    decided = decide_renewal(
        current(package), subscriber(), account(5_000), TARIFF, LIMITS, now_ms=now_ms
    )
    assert isinstance(decided, Renew)
    period_ms = TARIFF.packages[package].period_ms
    assert decided.starts_at <= now_ms < decided.ends_at == decided.starts_at + period_ms
    assert decided.starts_at - NOW == decided.missed * period_ms


@pytest.mark.rule("PKG-7")
@pytest.mark.parametrize(
    ("has", "works"),
    [
        (None, False),
        (current(), True),
        (current(status="suspended"), False),
        (current(status="cancelled"), False),
    ],
)
def test_the_whitelist_counts_only_while_the_package_works(has, works):
    assert is_working(has) is works


def at(hhmm, day=20260302):
    return day_start_ms(day) + hhmm // 100 * HOUR_MS + hhmm % 100 * MINUTE_MS


@pytest.mark.rule("PKG-8")
@pytest.mark.parametrize(
    ("trial_ends", "told"),
    [
        (at(1200, 20260303), at(1000, 20260303)),
        (at(900, 20260303), at(700, 20260303)),
        (at(859, 20260303), at(2159, 20260302)),
        (at(230, 20260303), at(2159, 20260302)),
        (at(0, 20260303), at(2159, 20260302)),
        (at(2359, 20260303), at(2159, 20260303)),
    ],
)
def test_the_end_of_a_trial_is_announced_two_hours_before_or_the_evening_before(trial_ends, told):
    start = Start(True, 0, trial_ends - DAY_MS, trial_ends)
    assert first_reminder_ms(start, LIMITS) == told


@pytest.mark.rule("PKG-8")
@pytest.mark.parametrize(
    ("starts", "told"),
    [(at(1000), at(1000)), (at(500), at(700)), (at(2230), at(700, 20260303))],
)
def test_a_trial_too_short_for_its_notice_is_announced_as_soon_as_it_is_day(starts, told):
    assert first_reminder_ms(Start(True, 0, starts, starts + HOUR_MS), LIMITS) == told


@pytest.mark.rule("PKG-8")
@given(starts_ms=st.integers(NOW, NOW + 400 * DAY_MS), trial=st.booleans())
def test_whenever_it_starts_the_first_reminder_is_by_day(starts_ms, trial):
    start = Start(trial, 0 if trial else 1_000, starts_ms, starts_ms + DAY_MS)
    told_ms = first_reminder_ms(start, LIMITS)
    assert 7 * HOUR_MS <= time_of_day_ms(told_ms) < 22 * HOUR_MS
    assert in_reminder_window(told_ms, LIMITS)
    if trial:
        assert starts_ms <= told_ms < start.ends_at
    else:
        assert 6 * DAY_MS <= told_ms - starts_ms < 7 * DAY_MS


@pytest.mark.rule("PKG-8")
@pytest.mark.parametrize(
    ("due", "late_ms", "following"),
    [
        (at(900), 0, at(900, 20260309)),
        (at(900), 7 * DAY_MS - 1, at(900, 20260309)),
        (at(900), 7 * DAY_MS, at(900, 20260316)),
        (at(900), 20 * DAY_MS, at(900, 20260323)),
        (at(2300), 0, at(700, 20260310)),
    ],
)
def test_no_reminder_is_left_out_but_those_that_are_past(due, late_ms, following):
    assert next_reminder_ms(due, LIMITS, now_ms=due + late_ms) == following


@pytest.mark.rule("PKG-8")
@given(due_ms=st.integers(NOW, NOW + 9 * DAY_MS), late_ms=st.integers(0, 60 * DAY_MS))
def test_the_next_reminder_is_by_day_ahead_and_about_seven_days_on(due_ms, late_ms):
    next_ms = next_reminder_ms(due_ms, LIMITS, now_ms=due_ms + late_ms)
    assert next_ms > due_ms + late_ms
    assert in_reminder_window(next_ms, LIMITS)
    assert 0 <= (next_ms - due_ms) % (7 * DAY_MS) <= 9 * HOUR_MS


@pytest.mark.rule("PKG-8")
@pytest.mark.parametrize(
    ("now", "inside", "postponed"),
    [
        (at(700), True, at(700)),
        (at(2159), True, at(2159)),
        (at(2200), False, at(700, 20260303)),
        (at(659), False, at(700)),
        (at(0), False, at(700)),
    ],
)
def test_reminders_keep_to_the_day(now, inside, postponed):
    assert in_reminder_window(now, LIMITS) is inside
    assert postponed_reminder_ms(now, LIMITS) == postponed


@pytest.mark.parametrize(("remind_at", "expected"), [(0, 100), (50, 50), (150, 100), (100, 100)])
def test_the_clock_looks_at_what_comes_first(remind_at, expected):
    assert next_action_ms(ends_at=100, remind_at=remind_at) == expected
