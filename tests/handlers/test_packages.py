"""The package over time: what the clock does, when it speaks, and what it leaves in the books."""

from itertools import pairwise

import pytest

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS, time_of_day_ms
from telcod.rows import ENTRY, OUTBOX_SMS, PENDING_CONFIRM
from telcod.types import Channel, Request
from tests.call_world import rules_of_calls
from tests.world import START_MS, World, rules_with

A, B = 84903000001, 84903000002


@pytest.fixture
def world():
    world = World()
    world.subscriber(A, balance_vnd=99_000)
    return world


def ask_clock(world, period_no):
    request = Request(
        route="clock.package", sender=A, args=(str(period_no),), channel=Channel.CLOCK
    )
    (answer,) = world.run(request)
    return answer.outcome


@pytest.mark.rule("PKG-8")
@pytest.mark.parametrize("text", ["DK", "DK7"])
@pytest.mark.parametrize("starts_ms", [0, 5 * HOUR_MS, 13 * HOUR_MS, 20 * HOUR_MS])
def test_reminders_come_every_seven_days_by_day_whichever_the_package(text, starts_ms):
    world = World(start_ms=START_MS + starts_ms)
    world.subscriber(A, balance_vnd=99_000)
    world.text(A, text)
    outcomes = world.pass_time(50 * DAY_MS)
    assert 7 <= outcomes.count("package.reminded") <= 8
    reminded = [
        row.at
        for row in world.store.scan(OUTBOX_SMS)
        if row.kind == "package" and "dang dung" in row.text
    ]
    assert len(reminded) == outcomes.count("package.reminded") - 1  # The first is the trial's end.
    assert all(7 * HOUR_MS <= time_of_day_ms(at) < 22 * HOUR_MS for at in reminded)
    gaps_ms = {after - before for before, after in pairwise(reminded)}
    assert all(abs(gap_ms - 7 * DAY_MS) <= 9 * HOUR_MS for gap_ms in gaps_ms)


@pytest.mark.rule("PKG-8")
def test_a_reminder_that_downtime_made_late_waits_for_the_morning(world):
    world.text(A, "DK7")
    world.pass_time(2 * DAY_MS)
    due_ms = world.package(A).remind_at
    world.pass_time(due_ms - world.now_ms - 1)
    before = len(world.sent_to(A))
    world.pass_time(13 * HOUR_MS + 1, down=True)
    assert time_of_day_ms(world.now_ms) == 23 * HOUR_MS
    assert world.clock_work() == ["package.reminder_postponed"]
    morning_ms = world.now_ms + 8 * HOUR_MS
    row = world.package(A)
    assert (row.remind_at, row.next_at) == (morning_ms, morning_ms)
    assert len(world.sent_to(A)) == before
    assert world.pass_time(8 * HOUR_MS) == ["package.reminded"]
    assert len(world.sent_to(A)) == before + 1
    assert world.package(A).remind_at == morning_ms + 7 * DAY_MS


@pytest.mark.rule("PKG-8", "PKG-6")
def test_after_downtime_the_renewals_notice_stands_for_the_reminder(world):
    world.text(A, "DK")
    world.pass_time(DAY_MS)
    world.pass_time(20 * DAY_MS, down=True)
    before = len(world.sent_to(A))
    assert world.clock_work() == ["package.renewed"]
    assert len(world.sent_to(A)) == before + 1
    assert "package.reminded" in world.pass_time(8 * DAY_MS)


@pytest.mark.rule("PKG-6")
def test_what_ended_unpaid_leaves_nothing_to_do():
    world = World()
    world.subscriber(A, balance_vnd=1_000)
    world.text(A, "DK7")
    world.pass_time(32 * DAY_MS)
    row = world.package(A)
    assert (row.status, row.next_at, row.remind_at) == ("cancelled", 0, 0)
    assert world.next_due_ms() is None


@pytest.mark.rule("PKG-6", "CFG-2")
def test_a_period_names_the_tariff_that_priced_it():
    world = World(rules=rules_of_calls(("next", START_MS + HOUR_MS, 3_000, 6)))
    world.subscriber(A, balance_vnd=9_000)
    world.text(A, "DK")
    first = world.package(A).tariff
    world.pass_time(DAY_MS)
    assert (first, world.package(A).tariff) == ("2018-09-15", "next")


@pytest.mark.rule("PKG-6")
def test_missed_periods_are_written_down_and_cost_nothing(world):
    world.text(A, "DK")
    world.pass_time(DAY_MS)
    world.pass_time(3 * DAY_MS + HOUR_MS, down=True)
    world.clock_work()
    kinds = [
        (row.period_no, row.kind, (row.ends_at - row.starts_at) // DAY_MS)
        for row in world.periods(A)
    ]
    assert kinds == [(1, "trial", 1), (2, "paid", 1), (3, "missed", 2), (4, "paid", 1)]
    assert world.balance(A) == 97_000
    assert world.check() == []


@pytest.mark.rule("PKG-6")
def test_the_clock_may_ask_twice_early_or_late(world):
    world.text(A, "DK")
    assert ask_clock(world, 1) == "clock.not_due"
    world.clock.advance(DAY_MS)
    assert ask_clock(world, 1) == "package.renewed"
    assert ask_clock(world, 1) == "clock.moved_on"
    assert ask_clock(world, 2) == "clock.not_due"
    world.text(A, "HUY")
    world.clock.advance(DAY_MS)
    assert ask_clock(world, 2) == "clock.not_due"
    assert ask_clock(world, 9) == "clock.moved_on"
    assert world.balance(A) == 98_000


@pytest.mark.rule("PKG-7", "PKG-6")
def test_to_cancel_at_the_very_moment_of_renewal_costs_one_period_or_none(world):
    world.text(A, "DK")
    world.clock.advance(DAY_MS)
    cancel = world.text_request(A, "HUY")
    (clock,) = world.clock_requests()
    assert [result.outcome for result in world.run(cancel, clock)] == [
        "package.cancelled",
        "clock.not_due",
    ]
    assert world.balance(A) == 99_000
    assert world.check() == []


@pytest.mark.rule("PKG-6")
def test_every_renewal_can_be_told(world):
    world = World(rules=rules_with(packages={"renewal_notice": "always"}))
    world.subscriber(A, balance_vnd=99_000)
    world.text(A, "DK")
    world.pass_time(5 * DAY_MS)
    assert sum("gia han" in text and "Quy khach da duoc" in text for text in world.sent_to(A)) == 5


@pytest.mark.rule("PKG-1")
def test_a_charge_names_its_cause_tariff_and_moment(world):
    for text in ("DK", "HUY", "DK"):
        world.text(A, text)
    world.pass_time(DAY_MS)
    registered, renewed = [row for row in world.store.scan(ENTRY) if row.kind == "package.day"]
    assert (registered.command, registered.tariff) == ("mo:3", "2018-09-15")
    assert renewed.command == f"renewal:{A}:1:3"
    assert renewed.event_at == START_MS + DAY_MS


@pytest.mark.rule("PKG-9")
@pytest.mark.parametrize(
    ("after_ms", "outcome"),
    [
        (30 * MINUTE_MS - 1, "package.trial_started"),
        (30 * MINUTE_MS, "confirm.expired"),
        (31 * MINUTE_MS, "confirm.expired"),
    ],
)
def test_a_registration_waits_thirty_minutes_for_its_yes(after_ms, outcome):
    world = World(rules=rules_with(packages={"confirm_registration": True}))
    world.subscriber(A, balance_vnd=9_000)
    assert world.text(A, "DK").outcome == "confirm.ask_trial"
    assert world.package(A) is None
    assert world.text(A, "Y 1234").outcome == "forward.code_unknown"
    world.clock.advance(after_ms)
    assert world.text(A, "Y").outcome == outcome
    assert world.row(PENDING_CONFIRM, A) is None


@pytest.mark.rule("PKG-9", "PKG-4")
def test_money_that_went_before_the_yes_is_missed_then():
    world = World(rules=rules_with(packages={"confirm_registration": True}))
    world.subscriber(A, balance_vnd=5_500)
    for text in ("DK", "Y", "HUY", "DK7"):
        world.text(A, text)
    world.batcher.rules = rules_with()
    for text in ("DK", "HUY"):
        world.text(A, text)
    assert world.text(A, "Y").outcome == "package.no_money"
    assert world.balance(A) == 4_500


@pytest.mark.rule("PKG-6", "PKG-3")
def test_who_was_suspended_by_the_operator_is_not_charged_and_not_forgotten(world):
    world.text(A, "DK")
    world.set_state(A, "suspended")
    assert world.pass_time(2 * DAY_MS)[-1] == "package.suspended"
    world.set_state(A, "active")
    assert "package.renewed" in world.pass_time(7 * HOUR_MS)
    assert world.balance(A) == 98_000
