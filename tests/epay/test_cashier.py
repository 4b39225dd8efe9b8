"""The cashier between real books and the shipped gateway: whatever fails, money is taken once.

Faults of PAY-5, each to its end: what the books say, how many slots are taken, what was cleared.
"""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.payments import PaymentLimits
from telcod.epay import cashier as module
from telcod.epay.cashier import (
    DUE_SLICE,
    SILENT,
    Cashier,
    PaymentRefused,
    PaymentUnknown,
    payment_id_of,
)
from telcod.epay.gateway import GatewaySilent, PaymentOrder
from telcod.errors import KeyReused, Overloaded
from telcod.rows import PaymentState
from telcod.simulator.card_gateway_behaviour import Crash
from telcod.simulator.watch import Watch
from telcod.types import Answer, Channel
from tests.epay.fake_gateway import FakeGateway
from tests.epay.world import DEBT_VND, EXPIRES_S, MINH, MINUTE_S, PayWorld

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-5", "PAYAPI-2")]

AMOUNT_VND = 100_000


@pytest.fixture
def anyio_backend():
    return "asyncio"


def cleared_once(world, payment_id):
    assert world.state(payment_id) == PaymentState.CLEARED
    assert world.debt() == DEBT_VND - AMOUNT_VND
    assert len(world.entries("payment.collected")) == len(world.entries("payment.cleared")) == 1
    assert world.slots() == 1


def nothing_taken(world, payment_id, state):
    assert world.state(payment_id) == state
    assert world.debt() == DEBT_VND
    assert world.entries("payment.collected") == world.entries("payment.cleared") == []


# ------------------------------------------------------------------------------------ the good way


@pytest.mark.rule("PAY-4", "PAY-7")
@pytest.mark.parametrize("card", ["international", "domestic"])
async def test_a_payment_goes_from_the_order_to_the_books(card):
    async with PayWorld() as world:
        view = await world.open(card=card)
        assert view.state == PaymentState.REDIRECTED
        assert view.redirect_url.startswith(world.gateway.url)
        await world.gateway.pay(view.payment_id)
        assert await world.notified() == [200]
        cleared_once(world, view.payment_id)
        assert "*" in world.payment(view.payment_id).masked_card


async def test_a_top_up_goes_to_the_balance():
    async with PayWorld() as world:
        view = await world.open(msisdn=MINH)
        await world.gateway.pay(view.payment_id)
        await world.notified()
        assert world.state(view.payment_id) == PaymentState.CLEARED
        assert world.balance() == AMOUNT_VND


async def test_a_declined_card_takes_nothing_and_gives_the_slot_back():
    async with PayWorld() as world:
        view = await world.open()
        await world.gateway.pay(view.payment_id, "4000000000009995")
        await world.notified()
        nothing_taken(world, view.payment_id, PaymentState.DECLINED)
        assert world.payment(view.payment_id).reason == "insufficient_funds"
        assert world.slots() == 0


async def test_a_page_that_nobody_used_ends_when_the_gateway_says_so():
    async with PayWorld() as world:
        view = await world.open()
        await world.pass_s(EXPIRES_S - 1)
        assert world.state(view.payment_id) == PaymentState.REDIRECTED
        await world.pass_s(1)
        nothing_taken(world, view.payment_id, PaymentState.EXPIRED)
        assert world.slots() == 0


# ------------------------------------------------------------------------------------ asking again


async def test_the_same_request_again_finds_the_same_payment_and_page():
    async with PayWorld() as world:
        first = await world.open("k-1")
        assert await world.open("k-1") == first
        assert world.slots() == 1
        await world.gateway.pay(first.payment_id)
        await world.notified()
        assert (await world.open("k-1")).state == PaymentState.CLEARED
        cleared_once(world, first.payment_id)


async def test_a_key_for_another_payment_is_refused():
    async with PayWorld() as world:
        await world.open("k-1")
        with pytest.raises(KeyReused):
            await world.open("k-1", amount_vnd=200_000)
        assert world.slots() == 1


async def test_two_requests_of_one_intent_at_once_make_one_payment():
    async with PayWorld() as world:
        views = await asyncio.gather(*(world.open("k-1") for _ in range(5)))
        assert len({view.redirect_url for view in views}) == 1
        assert world.slots() == 1


async def test_a_refused_payment_never_reaches_the_gateway():
    async with PayWorld() as world:
        with pytest.raises(PaymentRefused) as found:
            await world.open(amount_vnd=49_999)
        assert found.value.outcome == "payment.amount"
        assert list(world.gateway.book.all()) == []


@pytest.mark.rule("PAY-3")
async def test_of_six_at_once_five_reach_the_gateway():
    async with PayWorld() as world:
        opened = await asyncio.gather(
            *(world.open(f"k-{number}") for number in range(6)), return_exceptions=True
        )
        [refused] = [each for each in opened if isinstance(each, Exception)]
        assert isinstance(refused, PaymentRefused)
        assert refused.outcome == "payment.too_many"
        assert len(list(world.gateway.book.all())) == 5


async def test_a_platform_sees_its_own_payments_and_staff_see_all():
    async with PayWorld() as world:
        view = await world.open()
        assert await world.cashier.show(view.payment_id, platform="site") == view
        with pytest.raises(PaymentUnknown):
            await world.cashier.show(view.payment_id, platform="token:other")
        staff = {"platform": "token:staff", "channel": Channel.STAFF}
        assert await world.cashier.show(view.payment_id, **staff) == view
        with pytest.raises(PaymentUnknown):
            await world.cashier.show("NOBODYS", **staff)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_payments_of_two_intents_have_two_ids(platform, key, other_platform, other_key):
    same = (platform, key) == (other_platform, other_key)
    # A line break stands in neither name: it is what keeps them apart.
    if "\n" not in platform + other_platform:
        ids = payment_id_of(platform, key), payment_id_of(other_platform, other_key)
        assert (ids[0] == ids[1]) is same
        assert ids[0].isalnum()
        assert len(ids[0]) == 16


# --------------------------------------------------------------------------- the gateway's silence


async def test_a_gateway_that_refuses_the_order_ends_the_payment():
    async with PayWorld() as world:
        world.gateway.behave(refuse_code="merchant_limit")
        view = await world.open()
        assert (view.state, view.reason) == (PaymentState.DECLINED, "merchant_limit")
        assert world.slots() == 0


async def test_an_order_without_an_answer_is_tried_again_and_paid():
    async with PayWorld() as world:
        world.gateway.crash()
        view = await world.open()
        assert (view.state, view.redirect_url) == (PaymentState.CREATED, "")
        assert await world.pass_s(MINUTE_S) == 1
        assert world.state(view.payment_id) == PaymentState.CREATED
        world.gateway.restart()
        await world.pass_s(MINUTE_S)
        assert world.payment(view.payment_id).redirect_url
        await world.gateway.pay(view.payment_id)
        await world.notified()
        cleared_once(world, view.payment_id)


async def test_an_order_that_was_taken_and_not_answered_is_one_order():
    async with PayWorld() as world:
        world.gateway.behave(crash=Crash.ORDER_TAKEN)
        view = await world.open()
        assert view.state == PaymentState.CREATED
        world.gateway.restart()
        await world.pass_s(MINUTE_S)
        assert len(list(world.gateway.book.all())) == 1
        assert world.state(view.payment_id) == PaymentState.REDIRECTED


async def test_an_order_that_the_gateway_never_answers_ends_when_it_says_that_it_has_none():
    async with PayWorld() as world:
        world.gateway.crash()
        view = await world.open()
        await world.pass_minutes(20)
        # Nobody knows, so the slot stays taken.
        assert world.state(view.payment_id) == PaymentState.UNKNOWN
        assert world.slots() == 1
        world.gateway.restart()
        await world.pass_minutes(60)
        nothing_taken(world, view.payment_id, PaymentState.EXPIRED)
        assert world.slots() == 0


async def test_a_gateway_that_is_silent_for_an_hour_loses_no_money():
    async with PayWorld() as world:
        view = await world.open()
        world.gateway.behave(crash=Crash.CARD_DECIDED)
        await world.gateway.pay(view.payment_id)
        assert world.gateway.down
        await world.pass_minutes(60)
        assert world.state(view.payment_id) == PaymentState.UNKNOWN
        assert world.slots() == 1
        with pytest.raises(PaymentRefused) as found:
            await world.open("k-2")
        assert found.value.outcome == "payment.unknown_pending"
        world.gateway.restart()
        await world.pass_minutes(60)
        cleared_once(world, view.payment_id)
        assert await world.notified() == [200]
        cleared_once(world, view.payment_id)


async def test_an_unknown_payment_is_asked_after_1_5_15_minutes_then_hourly():
    async with PayWorld() as world:
        gateway = FakeGateway()
        world.cashier = world.new_cashier(gateway)
        view = await world.open()
        gateway.silent = True
        asked = []
        for minute in range(1, 4 * 60):
            before = len(gateway.asked)
            await world.pass_s(MINUTE_S)
            asked += [minute] * (len(gateway.asked) - before)
        assert world.state(view.payment_id) == PaymentState.UNKNOWN
        first = EXPIRES_S // MINUTE_S
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert asked[0] == first
        assert gaps[:5] == [1, 5, 15, 60, 60]
        assert set(gaps[3:]) == {60}


async def test_a_page_that_is_still_open_is_silence_to_the_books():
    async with PayWorld() as world:
        gateway = FakeGateway()
        world.cashier = world.new_cashier(gateway)
        view = await world.open()
        await world.pass_s(EXPIRES_S)
        assert world.state(view.payment_id) == PaymentState.UNKNOWN
        await gateway.pay(view.payment_id)
        await world.pass_s(MINUTE_S)
        cleared_once(world, view.payment_id)


async def test_an_issuer_that_does_not_answer_keeps_the_payment_unknown_until_it_does():
    async with PayWorld() as world:
        view = await world.open()
        await world.gateway.pay(view.payment_id, "4000000000000119")
        await world.notified()
        assert world.state(view.payment_id) == PaymentState.UNKNOWN
        assert world.slots() == 1
        world.gateway.settle(view.payment_id, "authorised")
        await world.notified()
        cleared_once(world, view.payment_id)


# --------------------------------------------------------------------------------- notifications


async def test_a_notification_that_never_comes_is_asked_for():
    async with PayWorld() as world:
        world.gateway.behave(notifications=0)
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        assert await world.notified() == []
        await world.pass_s(EXPIRES_S)
        cleared_once(world, view.payment_id)


@pytest.mark.parametrize("habit", [{"notifications": 2}, {"replays": 3}])
async def test_a_notification_that_comes_again_changes_nothing(habit):
    async with PayWorld() as world:
        world.gateway.behave(**habit)
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        assert set(await world.notified()) == {200}
        assert len(world.gateway.sent) > 1
        cleared_once(world, view.payment_id)
        assert world.cases() == []


async def test_a_replay_after_five_minutes_is_not_even_read():
    async with PayWorld() as world:
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        await world.notified()
        world.backend.clock.advance(301_000)
        submitted = len(world.backend.submitted)
        assert await world.gateway.replay(world.gateway.sent[0]) == 401
        assert len(world.backend.submitted) == submitted


async def test_a_notification_that_is_faster_than_the_order_s_answer_is_not_lost():
    async with PayWorld() as world:
        world.gateway.behave(paid_at_once=True)
        view = await world.open()
        assert view.state == PaymentState.CLEARED
        cleared_once(world, view.payment_id)
        assert world.payment(view.payment_id).gateway_ref


async def test_a_yes_that_comes_after_the_end_is_given_back():
    async with PayWorld() as world:
        view = await world.open()
        await world.pass_s(EXPIRES_S)
        nothing_taken(world, view.payment_id, PaymentState.EXPIRED)
        world.gateway.settle(view.payment_id, "authorised")
        await world.notified()
        assert world.payment(view.payment_id).voiding == 1
        assert world.cases() == [(view.payment_id, "late")]
        await world.pass_s(MINUTE_S)
        assert world.payment(view.payment_id).voiding == 2
        assert world.gateway.find(view.payment_id).voided_at
        assert world.debt() == DEBT_VND


async def test_a_late_notification_of_what_was_asked_meanwhile_changes_nothing():
    async with PayWorld() as world:
        world.gateway.behave(notify_after_s=20 * MINUTE_S)
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        await world.pass_s(EXPIRES_S)
        cleared_once(world, view.payment_id)
        world.backend.clock.advance(5 * MINUTE_S * 1_000)
        assert await world.notified() == [200]
        cleared_once(world, view.payment_id)
        assert world.cases() == []


async def test_a_notification_that_contradicts_the_first_is_a_case_and_moves_no_money():
    async with PayWorld() as world:
        world.gateway.behave(contradict=True)
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        assert await world.notified() == [200, 200]
        cleared_once(world, view.payment_id)
        assert world.cases() == [(view.payment_id, "contradictory")]


@pytest.mark.parametrize("off_vnd", [-1, 1, 900_000])
async def test_a_notification_of_another_amount_is_a_case_and_the_truth_is_asked_for(off_vnd):
    async with PayWorld() as world:
        world.gateway.behave(amount_off_vnd=off_vnd)
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        await world.notified()
        nothing_taken(world, view.payment_id, PaymentState.REDIRECTED)
        assert world.cases() == [(view.payment_id, "contradictory")]
        await world.pass_s(EXPIRES_S)
        cleared_once(world, view.payment_id)


async def test_a_badly_signed_notification_does_nothing_and_the_truth_is_asked_for():
    async with PayWorld() as world:
        world.gateway.behave(bad_signature=True)
        view = await world.open()
        await world.gateway.pay(view.payment_id)
        assert await world.notified() == [401]
        nothing_taken(world, view.payment_id, PaymentState.REDIRECTED)
        await world.pass_s(EXPIRES_S)
        cleared_once(world, view.payment_id)


# ------------------------------------------------------------------------------------- our crashes


async def test_a_crash_between_the_bank_s_yes_and_our_record_is_found_by_asking():
    async with PayWorld() as world:
        view = await world.open()
        world.backend.raises = Overloaded("full")
        await world.gateway.pay(view.payment_id)
        assert await world.notified() == [503]
        world.backend.raises = None
        world.cashier = world.new_cashier()  # telcod has started again on the same books
        await world.pass_s(EXPIRES_S)
        cleared_once(world, view.payment_id)
        # And the gateway's next try is known as old news.
        assert set(await world.notified()) == {200}
        cleared_once(world, view.payment_id)


@pytest.mark.parametrize("dies_at", ["payment.create", "payment.redirected"])
async def test_a_crash_while_a_payment_is_opened_leaves_what_the_next_start_ends(dies_at):
    async with PayWorld() as world:

        async def submit(request):
            answer = None
            if request.route != dies_at or dies_at == "payment.create":
                answer = await world.backend.submit(request)
            if request.route == dies_at or answer is None:
                raise asyncio.CancelledError
            return answer

        dying = world.new_cashier(submit=submit)
        with pytest.raises(asyncio.CancelledError):
            await dying.open(world.new())
        payment_id = payment_id_of("site", "k-1")
        assert world.state(payment_id) == PaymentState.CREATED
        await world.pass_s(MINUTE_S)
        assert world.state(payment_id) == PaymentState.REDIRECTED
        await world.gateway.pay(payment_id)
        await world.notified()
        cleared_once(world, payment_id)


async def test_what_the_books_could_not_note_is_asked_again():
    async with PayWorld() as world:
        world.gateway.behave(notifications=0)
        view = await world.open()
        await world.gateway.pay(view.payment_id)

        async def submit(request):
            if request.route == "payment.inquired":
                raise Overloaded("full")
            return await world.backend.submit(request)

        full = world.new_cashier(submit=submit)
        world.backend.clock.advance(EXPIRES_S * 1_000)
        assert await full.tick() == 1
        assert world.state(view.payment_id) == PaymentState.REDIRECTED
        await world.pass_s(MINUTE_S)
        cleared_once(world, view.payment_id)


async def test_a_void_is_tried_until_it_is_done():
    async with PayWorld() as world:
        view = await world.open()
        await world.pass_s(EXPIRES_S)
        world.gateway.behave(void_fails=True)
        world.gateway.settle(view.payment_id, "authorised")
        await world.notified()
        await world.pass_minutes(30)
        assert world.payment(view.payment_id).voiding == 1
        world.gateway.behave(void_fails=False, crash=Crash.VOIDED)
        await world.pass_minutes(6)
        assert world.payment(view.payment_id).voiding == 1  # it was done, and nobody was told
        world.gateway.restart()
        await world.pass_minutes(6)
        assert world.payment(view.payment_id).voiding == 2


# -------------------------------------------------------------------------------------- the looking


@pytest.mark.rule("PAY-6")
async def test_while_the_clock_has_jumped_nothing_ends_by_it():
    async with PayWorld() as world:
        view = await world.open()
        world.backend.clock.jump(EXPIRES_S * 1_000)
        clock = world.backend.clock
        world.guard.observe(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())
        assert await world.cashier.tick() == 0
        assert world.state(view.payment_id) == PaymentState.REDIRECTED
        world.guard.confirm()
        await world.cashier.tick()
        assert world.state(view.payment_id) == PaymentState.EXPIRED


class ManyDue(FakeGateway):
    """Books in which everything is always due, and a gateway that never answers."""

    def __init__(self, count, job):
        super().__init__()
        self.ids = [f"P{number}" for number in range(count)]
        self.looked = []
        self.inquired = []
        self.watch = Watch()
        self._job = job
        self.under_way = 0
        self.most_under_way = 0

    async def due_payments(self, *, now_ms, most):
        return self.ids[:most]

    async def submit(self, request):
        [payment_id, *words] = request.args
        if request.route == "payment.inquired":
            self.inquired.append((payment_id, words[0]))
            self.ids.remove(payment_id)
            self.watch.changed()
            return Answer("payment.unknown")
        self.looked.append(payment_id)
        data = {
            "payment_id": payment_id,
            "state": "unknown",
            "msisdn": "84903000001",
            "purpose": "bill",
            "card": "domestic",
            "amount_vnd": AMOUNT_VND,
            "return_url": "https://x.example/",
            "job": self._job,
        }
        return Answer("payment.due", data=data)

    async def inquire(self, payment_id, gateway_ref):
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        raise GatewaySilent("never")


async def test_more_than_a_slice_is_looked_at_and_the_gateway_is_asked_by_few_at_once():
    async with PayWorld() as world:
        books = ManyDue(2 * DUE_SLICE + 50, "inquire")
        cashier = Cashier(books, books.submit, books, world.backend.clock, world.guard)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(cashier.run())
            await books.watch.until(lambda: not books.ids, what="all are inquired")
            running.cancel()
        assert {word for _, word in books.inquired} == {SILENT}
        assert len(books.looked) == len(set(books.looked))
        assert books.most_under_way == module.GATEWAY_AT_ONCE


async def test_what_stays_due_is_not_looked_at_in_a_loop():
    async with PayWorld() as world:
        books = ManyDue(3, "none")
        cashier = Cashier(books, books.submit, books, world.backend.clock, world.guard)
        for _ in range(5):
            await cashier.tick()
        assert sorted(books.looked) == books.ids
        world.backend.clock.advance(module.STILL_DUE_MS)
        await cashier.tick()
        assert len(books.looked) == 6


async def test_books_that_cannot_be_read_now_are_read_at_the_next_look():
    async with PayWorld() as world:
        view = await world.open()
        world.backend.raises = Overloaded("full")
        await world.pass_s(EXPIRES_S)
        assert world.state(view.payment_id) == PaymentState.REDIRECTED
        world.backend.raises = None
        await world.cashier.tick()
        assert world.state(view.payment_id) == PaymentState.EXPIRED


async def test_a_running_cashier_looks_when_it_is_woken():
    async with PayWorld() as world:
        view = await world.open()
        world.backend.clock.advance(EXPIRES_S * 1_000)
        watch = Watch()

        async def submit(request):
            answer = await world.backend.submit(request)
            watch.changed()
            return answer

        cashier = world.new_cashier(submit=submit)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(cashier.run())
            cashier.wake()
            await watch.until(
                lambda: world.state(view.payment_id) == PaymentState.EXPIRED, what="its end"
            )
            running.cancel()


def test_the_page_closes_before_the_payment_expires():
    limits = PaymentLimits()
    assert PaymentOrder("P", 1, "domestic", "x").open_s < limits.expires_min * 60
