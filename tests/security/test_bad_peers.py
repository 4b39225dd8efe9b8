"""Who we ask may have gone bad: answers without end, or that unpack to more than there is room for.

The card gateway's own faults are in `tests/epay/test_hosted.py`, the broker's in `tests/mqtt`.
"""

import asyncio
import contextlib
import tracemalloc
import zlib

import pytest

from telcod.epay.gateway import GatewaySilent
from telcod.epay.hosted import HostedGateway
from telcod.settings import Secret
from ussd.push import Push, PushFailed
from ussd.push_http import HttpPushGateway

WAIT_S = 30
MEBIBYTE = 1024 * 1024
BOMB_BYTES = 50 * MEBIBYTE
GROWTH_BYTES_MAX = 20 * MEBIBYTE
HEAD = b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\n%s\r\n"
PUSH = Push(session_id="push-1", msisdn=84_903_000_001, text="x", asks=False, expires_in_s=60)

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def gateway(serve):
    """Somebody who answers every request by `serve(writer)`, and is heard to the end or not."""

    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await serve(writer)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with asyncio.timeout(WAIT_S), server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def without_end(writer):
    writer.write(HEAD % (200, b"transfer-encoding: chunked\r\n"))
    while True:
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()


async def bomb(writer):
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(MEBIBYTE)
    packed = b"".join(packing.compress(piece) for _ in range(BOMB_BYTES // MEBIBYTE))
    packed += packing.flush()
    length = b"content-encoding: gzip\r\ncontent-length: %d\r\n" % len(packed)
    writer.write((HEAD % (200, length)) + packed)
    await writer.drain()


@contextlib.contextmanager
def little_memory():
    """What is done here must take little, at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < GROWTH_BYTES_MAX


@pytest.mark.rule("USSD-4")
@pytest.mark.parametrize("serve", [without_end, bomb], ids=["without end", "packed"])
async def test_a_push_is_over_when_the_gateway_has_said_yes_whatever_follows(serve):
    async with gateway(serve) as url, HttpPushGateway(url) as pushes:
        with little_memory():
            await pushes.push(PUSH)


@pytest.mark.rule("USSD-4")
async def test_a_gateway_that_refuses_without_end_has_refused():
    async def refuse(writer):
        writer.write(HEAD % (403, b"transfer-encoding: chunked\r\n"))
        while True:
            writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            await writer.drain()

    async with gateway(refuse) as url, HttpPushGateway(url) as pushes:
        with pytest.raises(PushFailed, match="403"):
            await pushes.push(PUSH)


@pytest.mark.rule("PAYAPI-2")
@pytest.mark.parametrize("serve", [without_end, bomb], ids=["without end", "packed"])
async def test_a_card_gateways_answer_without_end_is_silence(serve):
    async with gateway(serve) as url, HostedGateway(url, Secret("s")) as there:
        with little_memory(), pytest.raises(GatewaySilent):
            await there.inquire("p1", "r1")
