"""The HTTP border of the gateway port: only its own API's answers count, the rest is silence.

A small server says byte for byte what a test wants, as proxies and broken gateways do.
"""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest

from telcod.epay.gateway import GatewayRefused, GatewaySilent, PaymentOrder, Result
from telcod.epay.hosted import ANSWER_BYTES_MAX, TEXT_CHARS_MAX, HostedGateway
from telcod.settings import Secret
from telcod.simulator.card_gateway import SECRET, SimulatedCardGateway

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-5", "PAYAPI-2")]

ORDER = PaymentOrder("P-1", 100_000, "international", "https://pay.example/back")
SAID = {"payment_id": "P-1", "result": "authorised", "amount_vnd": 100_000}
CREATED = {"gateway_ref": "r", "redirect_url": "https://gateway.example/pay/r"}


@pytest.fixture
def anyio_backend():
    return "asyncio"


def answer(status, body, kind="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@asynccontextmanager
async def saying(raw, *, closes=True, answer_s=10.0):
    """A gateway whose every answer is these bytes; `heard` are the requests' heads."""
    heard = []

    async def serve(reader, writer):
        try:
            heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(raw)
            await writer.drain()
            if not closes:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with HostedGateway(
            f"http://127.0.0.1:{port}/base", Secret("s3cret"), answer_s=answer_s
        ) as gateway:
            yield gateway, heard
    finally:
        server.close()
        await server.wait_closed()


SENSELESS = [
    answer(200, b""),
    answer(200, b"<html>ok</html>", "text/html"),
    answer(200, b"\xff\xfe"),
    answer(200, {}),
    answer(200, []),
    answer(200, {"voided": "perhaps"}),
    answer(200, b'{"more": ' + b"[" * 10_000),
    answer(302, b"") + b"",
    answer(404, b"<h1>Not Found</h1>", "text/html"),
    answer(404, {"detail": "no such path"}),
    answer(408, {"code": "timeout"}),
    answer(429, {"code": "slow_down"}),
    answer(401, {"code": "not_authenticated"}),
    answer(403, {"code": "forbidden"}),
    answer(500, {"code": "payment_unknown"}),
    answer(503, b""),
    answer(200, b'{"x": "' + b"y" * ANSWER_BYTES_MAX + b'"}'),
    b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    b"not http at all\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("raw", SENSELESS, ids=range(len(SENSELESS)))
async def test_what_is_no_answer_of_its_own_is_silence(raw):
    async with saying(raw) as (gateway, _):
        for asking in (
            gateway.create(ORDER),
            gateway.inquire("P-1", "r"),
            gateway.void("P-1", "r", 100_000),
        ):
            with pytest.raises(GatewaySilent):
                await asking


async def test_a_not_found_of_a_proxy_does_not_read_as_nobody_has_paid():
    async with saying(answer(404, {"code": "route_unknown"})) as (gateway, _):
        with pytest.raises(GatewaySilent):
            await gateway.inquire("P-1", "")
    async with saying(answer(404, {"code": "payment_unknown"})) as (gateway, _):
        assert (await gateway.inquire("P-1", "")).result is Result.NONE


async def test_an_answer_about_another_payment_is_none_about_this():
    async with saying(answer(200, SAID | {"payment_id": "P-2"})) as (gateway, _):
        with pytest.raises(GatewaySilent):
            await gateway.inquire("P-1", "")


async def test_a_result_that_nobody_agreed_on_is_silence():
    async with saying(answer(200, SAID | {"result": "paid"})) as (gateway, _):
        with pytest.raises(GatewaySilent):
            await gateway.inquire("P-1", "")


async def test_words_of_the_gateway_are_kept_within_bounds():
    said = SAID | {"code": "a\r\nb" + "x" * 1_000}
    async with saying(answer(200, said)) as (gateway, _):
        code = (await gateway.inquire("P-1", "")).code
        assert code.isprintable()
        assert len(code) <= TEXT_CHARS_MAX


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_url": "javascript:alert(1)"},
        {"redirect_url": "/pay/r"},
        {"redirect_url": ""},
        {"redirect_url": "https://gateway.example/\nSet-Cookie: a=b"},
        {"gateway_ref": ""},
    ],
)
async def test_a_page_to_which_nobody_can_be_sent_is_none(changes):
    async with saying(answer(201, CREATED | changes)) as (gateway, _):
        with pytest.raises(GatewaySilent):
            await gateway.create(ORDER)


async def test_a_refusal_has_the_gateway_s_word_for_why():
    async with saying(answer(422, {"code": "merchant_limit"})) as (gateway, _):
        with pytest.raises(GatewayRefused) as found:
            await gateway.create(ORDER)
        assert found.value.code == "merchant_limit"


async def test_what_it_does_not_give_back_is_a_no():
    async with saying(answer(409, {"code": "in_doubt"})) as (gateway, _):
        assert not await gateway.void("P-1", "r", 100_000)
    async with saying(answer(200, {"voided": False})) as (gateway, _):
        assert not await gateway.void("P-1", "r", 100_000)


async def test_the_secret_opens_the_api_and_is_in_no_error():
    async with saying(answer(401, {"code": "s3cret"})) as (gateway, heard):
        with pytest.raises(GatewaySilent) as found:
            await gateway.create(ORDER)
    [head] = heard
    assert head.startswith("PUT /base/v1/payments/P-1 ")
    assert "authorization: bearer s3cret" in head.lower()
    assert "s3cret" not in found.value.sentence()
    assert "gateway_secret" in found.value.sentence()


async def test_an_id_cannot_lead_to_another_path():
    async with saying(answer(404, {"code": "payment_unknown"})) as (gateway, heard):
        await gateway.inquire("../../admin?x=1", "")
    assert heard[0].startswith("GET /base/v1/payments/..%2F..%2Fadmin%3Fx%3D1 ")


async def test_nobody_listens():
    with socket.socket() as bound:  # its port is taken, and nobody listens on it
        bound.bind(("127.0.0.1", 0))
        async with HostedGateway(
            f"http://127.0.0.1:{bound.getsockname()[1]}", Secret("s")
        ) as gateway:
            with pytest.raises(GatewaySilent):
                await gateway.inquire("P-1", "")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"])
async def test_an_answer_that_never_ends_is_given_up_in_time(sent):
    async with saying(sent, closes=False, answer_s=0.1) as (gateway, _):
        with pytest.raises(GatewaySilent, match="in time"):
            await gateway.inquire("P-1", "")


async def test_the_shipped_gateway_is_silent_until_it_is_told_to_speak():
    async with (
        SimulatedCardGateway() as gateway,
        HostedGateway(gateway.url, Secret(SECRET), answer_s=0.1) as port,
    ):
        gateway.behave(silent_s=-1)
        with pytest.raises(GatewaySilent, match="in time"):
            await port.create(ORDER)
        assert list(gateway.book.all()) == []
        gateway.behave(silent_s=0)
        assert not gateway.silent
