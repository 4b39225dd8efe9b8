"""Who is slow on purpose holds nothing for long: HTTP connections that dawdle are cut.

FastAGI (`tests/ivr/test_agi.py`) and SMPP (`tests/smpp/test_session.py`, `test_link.py`) have tests
of their own.
"""

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from telcod.web.protocol import CONNECTIONS_BEYOND
from telcod.web.scopes import Scope
from tests.web.fake_backend import FakeBackend
from tests.web.serving import looked
from tests.web.serving import serving as serving_on_a_port

WAIT_S = 20
# Looked at this often; what a limit is measured by is the clock that the tests move.
LOOK_S = 0.02
WAITS: dict[str, Any] = {
    "head_wait_s": 10.0,
    "body_wait_s": 30.0,
    "idle_wait_s": 20.0,
    "read_wait_s": 15.0,
}

pytestmark = pytest.mark.rule("HTTP-4")


def serving(backend, socket_path=None, **limits):
    """The server, with our limits, which looks often."""
    return serving_on_a_port(backend, socket_path, look_s=LOOK_S, **WAITS, **limits)


class Client:
    """A connection that does what it is told."""

    def __init__(self, web):
        self._web = web

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._web.port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def say(self, data):
        self.writer.write(data)

    async def answer(self):
        """One answer that has a length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await self.reader.readexactly(int(line.partition(b":")[2]))
        return int(head.split()[1])

    async def is_cut(self):
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


def unread_bytes(web):
    """What lies unread, of each connection of the TCP port."""
    connections = web._servers[0][0].server_state.connections
    return [connection.transport.get_write_buffer_size() for connection in connections]


HEAD = b"POST /staff/v1/subscribers/0903000001/topups HTTP/1.1\r\nhost: a\r\n"


GET = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("lasts_s", "all_said"),
    [
        (10, (b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: ", GET + b"GET /h")),
        (20, (GET, GET + b"\r\n")),
        (
            30,
            (
                HEAD + b"content-length: 9\r\n\r\n{",
                HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{",
            ),
        ),
    ],
    ids=["head", "idle", "body"],
)
def test_a_connection_that_dawdles_is_cut_in_time_and_not_before(lasts_s, all_said):
    backend = FakeBackend()

    async def scene():
        async with serving(backend) as web, contextlib.AsyncExitStack() as stack:
            clients = []
            for said in all_said:
                client = await stack.enter_async_context(Client(web))
                client.say(said)
                if said.startswith(GET):
                    assert await client.answer() == 200
                elif said.startswith(b"POST"):
                    assert await client.answer() == 401  # before the body is there
                clients.append(client)
            await looked(web, 5)
            backend.clock.advance((lasts_s - 1) * 1_000)
            await looked(web)
            assert not any(client.reader.at_eof() for client in clients)
            backend.clock.advance(2_000)
            for client in clients:
                assert await client.is_cut()

    asyncio.run(scene())


def test_byte_by_byte_is_no_way_to_last_longer():
    backend = FakeBackend()

    async def scene():
        async with serving(backend) as web, Client(web) as client:
            client.say(b"GET /healthz HTTP/1.1\r\nx: ")
            with contextlib.suppress(ConnectionError):
                for _ in range(12):
                    client.say(b"a")
                    await looked(web)
                    backend.clock.advance(1_000)
            return await client.is_cut()

    assert asyncio.run(scene())


def test_who_asks_at_his_own_pace_is_served_for_hours():
    backend = FakeBackend()

    async def scene():
        async with serving(backend) as web, Client(web) as client:
            for _ in range(5):
                client.say(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
                assert await client.answer() == 200
                await looked(web)
                backend.clock.advance(18_000)

    asyncio.run(scene())


def test_who_never_reads_is_cut_and_others_are_served():
    backend = FakeBackend()
    ask = b"GET /schema/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n"

    async def scene():
        async with serving(backend) as web:
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                deaf.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(deaf, ("127.0.0.1", web.port))
                await loop.sock_sendall(deaf, ask * 200)
                while not any(unread_bytes(web)):
                    await looked(web)
                backend.clock.advance(16_000)
                await looked(web, 3)
                assert not any(unread_bytes(web))
            async with Client(web) as client:
                client.say(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
                assert await client.answer() == 200

    asyncio.run(scene())


def test_connections_are_bounded_and_the_many_do_not_shut_out_the_next_for_long():
    backend = FakeBackend()
    most = 20

    async def scene():
        async with (
            serving(backend, connections_max=most) as web,
            contextlib.AsyncExitStack() as all_,
        ):
            clients = [
                await all_.enter_async_context(Client(web))
                for _ in range(most + CONNECTIONS_BEYOND + 30)
            ]
            await looked(web, 5)
            assert len(unread_bytes(web)) <= most + CONNECTIONS_BEYOND
            async with Client(web) as late:
                late.say(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
                assert await late.is_cut()
            backend.clock.advance(11_000)
            assert all([await client.is_cut() for client in clients])
            async with Client(web) as next_one:
                next_one.say(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
                assert await next_one.answer() == 200

    asyncio.run(scene())


def test_the_control_socket_is_its_owners_and_has_all_the_time(tmp_path):
    backend = FakeBackend()
    path = tmp_path / "telcod.sock"

    async def scene():
        async with serving(backend, path) as web:
            reader, writer = await asyncio.open_unix_connection(str(path))
            await looked(web)
            backend.clock.advance(100_000)
            await looked(web, 3)
            writer.write(b"GET /admin/v1/tokens HTTP/1.1\r\nhost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        return int(head.split()[1])

    assert asyncio.run(scene()) == 200


def test_a_token_lets_nobody_dawdle():
    backend = FakeBackend()
    token = backend.token(Scope.STAFF)["Authorization"].encode()

    async def scene():
        async with serving(backend) as web, Client(web) as client:
            client.say(HEAD + b"authorization: " + token + b"\r\ncontent-length: 9\r\n\r\n{")
            await looked(web, 5)
            backend.clock.advance(31_000)
            return await client.is_cut()

    assert asyncio.run(scene())
