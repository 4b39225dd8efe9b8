"""A card gateway that does not answer: payments do not heap up behind it."""

import asyncio

import pytest

from telcod.bulk import SubscriberLine
from telcod.epay.cashier import OPENING_MAX, OPENING_OF_ONE_MAX, NewPayment
from telcod.errors import Overloaded
from telcod.rows import PAYMENT, Kind, PaymentState, State
from telcod.simulator.watch import WAIT_S
from tests.epay.fake_gateway import FakeGateway
from tests.epay.world import MINH, RETURN_URL, PayWorld

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAYAPI-1", "HTTP-1")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class SlowGateway(FakeGateway):
    """Answers nobody before it is told to."""

    def __init__(self, count):
        super().__init__()
        self.all_ask = asyncio.Event()
        self.may_answer = asyncio.Event()
        self._count = count

    async def create(self, order):
        created = await super().create(order)
        if len(self.asked) == self._count:
            self.all_ask.set()
        await self.may_answer.wait()
        return created


def payment(number, portal="portal"):
    # Five a day are taken of a number (PAY-3), so each has another one.
    return NewPayment(
        portal, f"k{number}", MINH + 1 + number, 50_000, "topup", "domestic", RETURN_URL
    )


async def test_who_would_wait_behind_too_many_payments_is_told_to_try_again():
    async with PayWorld() as world, asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        numbers = range(OPENING_MAX + 1)
        payers = [payment(number).msisdn for number in numbers]
        world.backend.add(*(SubscriberLine(n, Kind.PREPAID, State.ACTIVE) for n in payers))
        gateway = SlowGateway(OPENING_MAX)
        cashier = world.new_cashier(gateway)
        half = OPENING_MAX // 2
        *waiting, last = [payment(number, f"portal {number // half}") for number in numbers]
        opening = [group.create_task(cashier.open(new)) for new in waiting]
        await gateway.all_ask.wait()
        with pytest.raises(Overloaded):
            await cashier.open(last)
        assert len(list(world.backend.store.scan(PAYMENT))) == OPENING_MAX
        gateway.may_answer.set()
        for task in opening:
            assert (await task).state == PaymentState.REDIRECTED
        assert (await cashier.open(last)).state == PaymentState.REDIRECTED


async def test_one_portal_leaves_room_for_the_others():
    async with PayWorld() as world, asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        payers = [payment(number).msisdn for number in range(OPENING_OF_ONE_MAX + 2)]
        world.backend.add(*(SubscriberLine(n, Kind.PREPAID, State.ACTIVE) for n in payers))
        gateway = SlowGateway(OPENING_OF_ONE_MAX)
        cashier = world.new_cashier(gateway)
        opening = [
            group.create_task(cashier.open(payment(number))) for number in range(OPENING_OF_ONE_MAX)
        ]
        await gateway.all_ask.wait()
        with pytest.raises(Overloaded):
            await cashier.open(payment(OPENING_OF_ONE_MAX))
        gateway.may_answer.set()
        other = await cashier.open(payment(OPENING_OF_ONE_MAX + 1, "another portal"))
        assert other.state == PaymentState.REDIRECTED
        for task in opening:
            assert (await task).state == PaymentState.REDIRECTED
