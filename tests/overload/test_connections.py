"""Too many connections: the newest are told when to come again, and nobody else notices."""

import asyncio

import httpx
import pytest

from tests.web.fake_backend import FakeBackend
from tests.web.serving import serving

pytestmark = [pytest.mark.anyio, pytest.mark.rule("HTTP-1", "HTTP-4")]

WAIT_S = 10
ASK = b"GET /healthz HTTP/1.1\r\nhost: telcod\r\n\r\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def ask(reader, writer):
    writer.write(ASK)
    return (await reader.readuntil(b"\r\n")).split()[1]


async def test_one_connection_too_many_is_refused_and_the_others_go_on():
    async with serving(FakeBackend(), connections_max=2) as web:
        ends = [await asyncio.open_connection("127.0.0.1", web.port) for _ in range(2)]
        assert [await ask(*end) for end in ends] == [b"200", b"200"]
        async with httpx.AsyncClient() as newest:
            refused = await newest.get(f"http://127.0.0.1:{web.port}/healthz")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["connection"] == "close"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "overloaded"
        for reader, writer in ends:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()


async def test_there_is_room_again_when_somebody_goes():
    async with serving(FakeBackend(), connections_max=1) as web:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        assert await ask(reader, writer) == b"200"
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient() as other:
            # The server may not have noticed yet: whoever is refused comes again.
            said = await other.get(f"http://127.0.0.1:{web.port}/healthz")
            while said.status_code != 200:
                said = await other.get(f"http://127.0.0.1:{web.port}/healthz")
