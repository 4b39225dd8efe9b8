"""One suite for every card gateway: the fake in memory, and HTTP to the shipped one."""

from contextlib import asynccontextmanager

import pytest

from telcod.epay.gateway import (
    CardGateway,
    GatewayRefused,
    GatewaySilent,
    PaymentOrder,
    Result,
    is_page,
)
from telcod.epay.hosted import HostedGateway
from telcod.settings import Secret
from telcod.simulator.card_gateway import SECRET, SimulatedCardGateway
from tests.epay.fake_gateway import FakeGateway

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-4", "PAY-5", "PAYAPI-2")]

ORDER = PaymentOrder("P-1", 100_000, "international", "https://pay.example/back")
KINDS = ("international", "domestic")


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Shipped:
    """The shipped gateway's side, as the fake has it."""

    def __init__(self, gateway):
        self._gateway = gateway

    async def pay(self, payment_id):
        await self._gateway.pay(payment_id)

    async def decline(self, payment_id):
        await self._gateway.pay(payment_id, "4000000000000002")

    def go_silent(self):
        self._gateway.crash()


@asynccontextmanager
async def fake():
    gateway = FakeGateway()
    yield gateway, gateway


@asynccontextmanager
async def hosted():
    async with (
        SimulatedCardGateway() as gateway,
        HostedGateway(gateway.url, Secret(SECRET)) as port,
    ):
        yield port, Shipped(gateway)


@pytest.fixture(params=[fake, hosted], ids=["fake", "hosted"])
def making(request):
    return request.param


def is_a_card_gateway(gateway: FakeGateway, port: HostedGateway) -> tuple[CardGateway, ...]:
    """mypy holds both to the protocol here."""
    return (gateway, port)


@pytest.mark.parametrize("card", KINDS)
async def test_the_same_order_gets_the_same_page(making, card):
    async with making() as (gateway, _):
        order = ORDER._replace(card=card)
        created = await gateway.create(order)
        assert created.gateway_ref
        assert is_page(created.redirect_url)
        assert (await gateway.create(order)).gateway_ref == created.gateway_ref


async def test_the_same_id_for_another_payment_is_refused(making):
    async with making() as (gateway, _):
        await gateway.create(ORDER)
        with pytest.raises(GatewayRefused) as found:
            await gateway.create(ORDER._replace(amount_vnd=100_001))
        assert found.value.code == "payment_differs"


async def test_a_payer_who_reads_another_language_by_now_is_no_other_payment(making):
    async with making() as (gateway, _):
        created = await gateway.create(ORDER)
        again = await gateway.create(ORDER._replace(language="en"))
        assert again.gateway_ref == created.gateway_ref


async def test_of_a_payment_that_it_does_not_know_it_says_none(making):
    async with making() as (gateway, _):
        assert (await gateway.inquire("P-unknown", "")).result is Result.NONE


async def test_while_the_page_is_open_it_says_so(making):
    async with making() as (gateway, _):
        created = await gateway.create(ORDER)
        assert (await gateway.inquire("P-1", created.gateway_ref)).result is Result.OPEN


@pytest.mark.parametrize("card", KINDS)
async def test_what_was_authorised_is_told_as_often_as_it_is_asked(making, card):
    async with making() as (gateway, payer):
        created = await gateway.create(ORDER._replace(card=card))
        await payer.pay("P-1")
        said = await gateway.inquire("P-1", created.gateway_ref)
        assert (said.result, said.amount_vnd) == (Result.AUTHORISED, 100_000)
        assert "*" in said.masked_card
        assert said.card_token
        assert said.bank
        assert said.cashier
        # Who does not know the reference yet, because the answer was lost, asks without it.
        assert await gateway.inquire("P-1", "") == said


async def test_what_was_declined_says_why(making):
    async with making() as (gateway, payer):
        await gateway.create(ORDER)
        await payer.decline("P-1")
        said = await gateway.inquire("P-1", "")
        assert (said.result, said.code) == (Result.DECLINED, "card_declined")


async def test_what_was_authorised_can_be_given_back_and_again_does_nothing(making):
    async with making() as (gateway, payer):
        created = await gateway.create(ORDER)
        await payer.pay("P-1")
        assert await gateway.void("P-1", created.gateway_ref, 100_000)
        assert await gateway.void("P-1", created.gateway_ref, 100_000)
        assert (await gateway.inquire("P-1", "")).result is Result.DECLINED


async def test_after_a_void_nobody_can_pay_any_more(making):
    async with making() as (gateway, _):
        await gateway.create(ORDER)
        assert await gateway.void("P-1", "", 100_000)
        assert (await gateway.inquire("P-1", "")).result is Result.DECLINED


async def test_what_it_does_not_know_it_cannot_give_back(making):
    async with making() as (gateway, _):
        assert not await gateway.void("P-unknown", "", 100_000)


async def test_silence_is_neither_yes_nor_no(making):
    async with making() as (gateway, payer):
        await gateway.create(ORDER)
        payer.go_silent()
        for asking in (
            gateway.create(ORDER),
            gateway.inquire("P-1", ""),
            gateway.void("P-1", "", 100_000),
        ):
            with pytest.raises(GatewaySilent):
                await asking


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://pay.example/a?b=c#d", True),
        ("http://127.0.0.1:8080/", True),
        ("javascript:alert(1)", False),
        ("//pay.example/", False),
        ("https://", False),
        ("https://user:secret@pay.example/", False),
        ("https://pay.example/\r\nSet-Cookie: a=b", False),
        ("https://pay.example:port/", False),
        ("https://pay.example\\@evil.example/", False),
        ("https://pây.example/", False),
        ("https://pay.example/" + "x" * 2_000, False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_a_browser_is_sent_to_plain_addresses_only(url, fits):
    assert is_page(url) is fits
