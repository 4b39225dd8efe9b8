"""Everything that others tell telcod, told again: ten times, hours and weeks later, in any order.

Also six payments on five slots, and a text of a sender who sends nothing else (F15, F16, F18).
"""

import random

import msgspec
import pytest

from telcod.billing.payments import PaymentLimits
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.engine import PRUNE_ROUTE
from telcod.errors import KeyReused
from telcod.rows import (
    ACCOUNT,
    CALL,
    CLEARING,
    ENTRY,
    HELD_TEXT,
    HOLD,
    LIMIT_COUNTER,
    OUTBOX_EVENT,
    OUTBOX_MAIL,
    OUTBOX_PUSH,
    OUTBOX_SMS,
    PAYMENT,
    PERIOD,
    SUBSCRIPTION,
)
from telcod.types import Channel, Request
from tests.call_world import CallWorld
from tests.payment_world import PaymentDoors
from tests.session_world import SessionWorld
from tests.world import shipped_rules

A, B, C, D = range(84903000001, 84903000005)
TIMES = 10
KEPT_DAYS = 30
EFFECTS = (
    *(ACCOUNT, CALL, CLEARING, ENTRY, HELD_TEXT, HOLD, LIMIT_COUNTER, OUTBOX_EVENT),
    *(OUTBOX_MAIL, OUTBOX_PUSH, OUTBOX_SMS, PAYMENT, PERIOD, SUBSCRIPTION),
)
PERMANENT = (ACCOUNT, CLEARING, ENTRY, LIMIT_COUNTER, PAYMENT, PERIOD, SUBSCRIPTION)

pytestmark = pytest.mark.rule("HTTP-2", "IVR-3", "USSD-1", "PAY-5", "PFM-16", "SMPP-2")


class Everything(PaymentDoors, SessionWorld, CallWorld):
    """Calls, dialogues, payments and money by keys; keeps what was asked, and the answers."""

    def __init__(self):
        rules = shipped_rules()
        limits = msgspec.structs.replace(rules.limits, payments=PaymentLimits())
        rules = msgspec.structs.replace(rules, limits=limits, events=True, pushes=True)
        self.told = []
        super().__init__(rules=rules)

    def run(self, *requests):
        results = super().run(*requests)
        self.told += zip(requests, results, strict=True)
        return results

    def effects(self, tables=EFFECTS):
        """All that money, packages, calls and outboxes are now."""
        return {table.name: list(self.store.scan(table)) for table in tables}


def a_day_in_the_life(world):
    """A call, a dialogue, a bill, a top-up, a text that is sent on: each as others tell of it."""
    for msisdn in (A, B, C):
        world.subscriber(msisdn, balance_vnd=20_000)
    world.subscriber(D, kind="postpaid", debt_vnd=300_000)
    world.told.clear()
    world.connect("call-1", A, B)
    world.clock.advance(30_000)
    world.progress("call-1", 30)
    world.clock.advance(30_000)
    world.ended("call-1", 60)
    world.offer("call-2", A, C)
    world.reaction("call-2", "busy")
    world.dialogue(C, "*1566#", "1", "2", session="s-1")
    world.topup(A, 5_000, key="topup:1")
    world.create("p1", D, 100_000, key="payment:portal:1")
    world.redirect("p1")
    world.notify("p1", key="gateway:n1")
    world.create("p2", D, 100_000, key="payment:portal:2")
    world.redirect("p2")
    world.notify("p2", "declined", key="gateway:n2")
    return [(request, result) for request, result in world.told if request.mo is None]


def prune(world):
    args = (str(KEPT_DAYS * DAY_MS), str(60 * MINUTE_MS))
    world.run(Request(PRUNE_ROUTE, args=args, channel=Channel.CLOCK))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_told_ten_times_hours_later_and_in_any_order_has_one_effect(seed):
    with Everything() as world:
        told = a_day_in_the_life(world)
        assert len(told) > 14
        before = world.effects()
        dice = random.Random(seed)
        again = told * TIMES
        dice.shuffle(again)
        for request, first in again:
            world.clock.advance(dice.randrange(5 * MINUTE_MS))
            (result,) = world.run(request)
            if request.key:
                assert msgspec.json.encode(result) == msgspec.json.encode(first)
        assert world.effects() == before
        assert not world.check()


def test_what_is_told_again_after_forty_days_has_no_effect_on_money():
    with Everything() as world:
        told = a_day_in_the_life(world)
        world.clock.advance(40 * DAY_MS)
        world.clock_work()
        prune(world)
        before = world.effects(PERMANENT)
        random.Random(1).shuffle(told)
        for request, _ in told:
            if not request.route.startswith("ussd."):  # A gateway uses its sessions' ids again.
                world.run(request)
        assert world.effects(PERMANENT) == before
        assert not world.check()


def test_a_key_that_comes_back_with_another_body_moves_nothing():
    with Everything() as world:
        told = a_day_in_the_life(world)
        before = world.effects()
        keyed = [request for request, _ in told if request.key]
        assert len(keyed) >= 5
        for request in keyed:
            other = msgspec.structs.replace(request, args=(*request.args[:-1], "something else"))
            (result,) = world.run(other)
            assert isinstance(result, KeyReused)
        assert world.effects() == before


def test_events_of_a_call_in_any_order_and_number_cost_what_the_talk_costs():
    for seed in range(20):
        dice = random.Random(seed)
        with Everything() as world:
            for msisdn in (A, B):
                world.subscriber(msisdn, balance_vnd=20_000)
            world.connect("call-1", A, B)
            world.clock.advance(HOUR_MS // 60)
            reports = [("progress", 20), ("progress", 40), ("ended", 60)] * 3
            dice.shuffle(reports)
            for what, used_s in reports:
                (world.ended if what == "ended" else world.progress)("call-1", used_s)
            assert world.entries("call-1") == [1_500]
            assert world.held(B) == 0
            assert not world.check()
