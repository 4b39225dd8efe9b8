"""The server on real sockets: loopback with port 0, and a control socket in a temporary folder."""

import asyncio
import contextlib
import os
import pwd
import signal
import stat
from typing import Any

import httpx
import pytest

from telcod.errors import NotStarted
from telcod.web.limits import WebLimits
from telcod.web.protocol import HEAD_BYTES_MAX
from telcod.web.scopes import Scope
from telcod.web.server import WebServer
from tests.web.fake_backend import FakeBackend
from tests.web.serving import serving

WAIT_S = 10


def over_tcp(web):
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}", timeout=WAIT_S)


def over_socket(path):
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    return httpx.AsyncClient(base_url="http://telcod", transport=transport, timeout=WAIT_S)


@pytest.mark.rule("HTTP-3", "CLI-4", "CLI-7")
def test_tcp_asks_for_a_token_and_the_control_socket_knows_its_peer(tmp_path):
    backend = FakeBackend()
    path = tmp_path / "telcod.sock"
    show = "/staff/v1/subscribers/0903000001"

    async def scene():
        async with (
            serving(backend, path) as web,
            over_tcp(web) as tcp,
            over_socket(path) as control,
        ):
            assert (await tcp.get("/healthz")).status_code == 200
            assert (await tcp.get(show)).status_code == 401
            assert (await tcp.get(show, headers=backend.token(Scope.STAFF))).status_code == 404
            assert (await control.get(show)).status_code == 404

    asyncio.run(scene())
    user = pwd.getpwuid(os.getuid()).pw_name
    assert [request.actor for request in backend.submitted] == ["token:staff", f"cli:{user}"]


@pytest.mark.rule("CLI-4")
def test_the_control_socket_is_its_owners_alone_and_gone_afterwards(tmp_path):
    path = tmp_path / "telcod.sock"

    async def scene():
        async with serving(FakeBackend(), path):
            return stat.S_IMODE(path.stat().st_mode)

    assert asyncio.run(scene()) == 0o600
    assert not path.exists()


@pytest.mark.rule("CLI-1")
def test_a_socket_left_by_a_killed_daemon_is_taken_over_a_living_one_is_not(tmp_path):
    path = tmp_path / "telcod.sock"

    async def scene():
        async with serving(FakeBackend(), path):
            second = WebServer(FakeBackend(), host="127.0.0.1", port=0, control_socket=path)
            with pytest.raises(NotStarted, match="another telcod answers"):
                second.bind()
        dead = WebServer(FakeBackend(), host="127.0.0.1", port=0, control_socket=path)
        dead.bind()
        for _, sock in dead._servers:
            sock.close()
        assert path.is_socket()
        async with serving(FakeBackend(), path), over_socket(path) as control:
            assert (await control.get("/healthz")).status_code == 200

    asyncio.run(scene())


@pytest.mark.rule("CLI-9")
def test_a_port_that_is_taken_is_said_before_anything_is_served():
    async def scene():
        async with serving(FakeBackend()) as web:
            second = WebServer(FakeBackend(), host="127.0.0.1", port=web.port, control_socket=None)
            with pytest.raises(NotStarted, match=f"127.0.0.1:{web.port}"):
                second.bind()

    asyncio.run(scene())


@pytest.mark.rule("HTTP-4")
@pytest.mark.parametrize("name", ["allow_from", "proxies"])
def test_a_wrong_network_is_said_at_start(name):
    wrong: dict[str, Any] = {name: ("10.0.0",)}
    limits = WebLimits(**wrong)
    web = WebServer(FakeBackend(), host="127.0.0.1", port=0, control_socket=None, limits=limits)
    with pytest.raises(NotStarted, match=rf"http\.{name}"):
        web.bind()


@pytest.mark.rule("HTTP-4")
@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [
        (("127.0.0.1",), "203.0.113.9", 200),
        (("127.0.0.1",), "203.0.113.9, 198.51.100.1", 403),
        (("127.0.0.1", "198.51.100.0/24"), "203.0.113.9, 198.51.100.1", 200),
        (("127.0.0.1",), "nonsense", 403),
        (("127.0.0.1",), "", 403),
        (("192.0.2.1",), "203.0.113.9", 403),
        ((), "203.0.113.9", 403),
    ],
)
def test_behind_a_proxy_of_ours_the_address_that_it_says_counts(proxies, forwarded, status):
    async def scene():
        async with (
            serving(FakeBackend(), allow_from=("203.0.113.0/24",), proxies=proxies) as web,
            over_tcp(web) as tcp,
        ):
            answer = await tcp.get("/healthz", headers={"X-Forwarded-For": forwarded})
            assert answer.status_code == status

    asyncio.run(scene())


@pytest.mark.rule("HTTP-4", "HTTP-1")
def test_an_address_that_is_not_listed_gets_403_whatever_it_asks():
    async def scene():
        async with (
            serving(FakeBackend(), allow_from=("192.0.2.0/24",)) as web,
            over_tcp(web) as tcp,
        ):
            return [await tcp.get(path) for path in ("/healthz", "/nothing")]

    answers = asyncio.run(scene())
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].headers["content-type"] == "application/problem+json"


@pytest.mark.rule("HTTP-1")
def test_a_large_body_is_refused_before_it_is_read_and_before_the_token_is_asked_for():
    async def scene():
        async with serving(FakeBackend()) as web, over_tcp(web) as tcp:
            return await tcp.post("/staff/v1/subscribers/1/topups", content=b"x" * 65_537)

    answer = asyncio.run(scene())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.rule("HTTP-1")
def test_a_large_body_in_chunks_is_refused_as_well():
    backend = FakeBackend()
    headers = {**backend.token(Scope.STAFF), "Idempotency-Key": "k"}

    async def chunks():
        for _ in range(20):
            yield b"x" * 8_192

    async def scene():
        async with serving(backend) as web, over_tcp(web) as tcp:
            path = "/staff/v1/subscribers/0903000001/topups"
            return await tcp.post(path, content=chunks(), headers=headers)

    assert asyncio.run(scene()).status_code == 413


@pytest.mark.rule("HTTP-1")
def test_a_head_without_end_is_cut_off():
    async def scene():
        async with serving(FakeBackend()) as web:
            reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nx: ")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 64 * HEAD_BYTES_MAX:
                    writer.write(b"a" * 65_536)
                    await writer.drain()
                    sent += 65_536
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            async with over_tcp(web) as tcp:
                assert (await tcp.get("/healthz")).status_code == 200
            return sent

    assert asyncio.run(scene()) < 64 * HEAD_BYTES_MAX


def test_what_is_no_http_is_answered_400_and_harms_nobody():
    async def scene():
        async with serving(FakeBackend()) as web:
            reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
            writer.write(b"\x00\x00\x00\x10\x00\x00\x00\x09\r\n\r\n")
            answer = await reader.read()
            writer.close()
            async with over_tcp(web) as tcp:
                assert (await tcp.get("/healthz")).status_code == 200
            return answer

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 400")


@pytest.mark.rule("HTTP-3")
def test_every_request_is_measured_by_its_status():
    backend = FakeBackend()

    async def scene():
        async with serving(backend) as web, over_tcp(web) as tcp:
            for path in ("/healthz", "/nothing", "/nothing"):
                await tcp.get(path)

    asyncio.run(scene())
    page = backend.metrics.render().decode()
    assert 'telcod_http_seconds_count{status="200"} 1.0' in page
    assert 'telcod_http_seconds_count{status="404"} 2.0' in page


@pytest.mark.rule("CLI-1")
def test_signals_stay_with_who_runs_the_loop():
    before = signal.getsignal(signal.SIGTERM)

    async def scene():
        async with serving(FakeBackend()) as web, over_tcp(web) as tcp:
            await tcp.get("/healthz")
            return signal.getsignal(signal.SIGTERM)

    assert asyncio.run(scene()) is before
