"""What systemd hears: ready, stopping, and that the writer works; nothing if it did not."""

import asyncio
import contextlib
import os
import re
import socket

import pytest

from telcod.errors import Overloaded, Unavailable
from telcod.settings import shipped_config_dir
from telcod.systemd import ALIVE_ROUTE, Systemd
from telcod.types import Answer
from tests.e2e.harness import Telcod

pytestmark = pytest.mark.rule("CLI-1", "CLI-8")

PID = 4711


@contextlib.contextmanager
def manager(tmp_path):
    """The socket of a service manager, and what came to it."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        yield sock, {"NOTIFY_SOCKET": str(path)}


def heard(sock):
    """All messages that are there."""
    sock.settimeout(0)
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recv(4_096).decode())
    return found


@pytest.fixture
def anyio_backend():
    return "asyncio"


def watched(environ, *, usecs=30_000):
    return Systemd(environ | {"WATCHDOG_USEC": str(usecs), "WATCHDOG_PID": str(PID)}, pid=PID)


def test_without_a_manager_nothing_is_sent_and_nothing_breaks():
    systemd = Systemd({}, pid=PID)
    systemd.ready("ready")
    systemd.stopping()
    assert systemd.watchdog_s == 0


def test_a_manager_that_is_gone_stops_nobody(tmp_path):
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, pid=PID).ready("ready")


def test_it_hears_that_we_are_ready_and_that_we_stop(tmp_path):
    with manager(tmp_path) as (sock, environ):
        systemd = Systemd(environ, pid=PID)
        systemd.ready("no SMPP link is bound")
        systemd.stopping()
        assert heard(sock) == [
            "READY=1\nSTATUS=no SMPP link is bound",
            "STOPPING=1\nSTATUS=stopping",
        ]


def test_a_socket_without_a_file_is_reached_too():
    name = f"telcod-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        Systemd({"NOTIFY_SOCKET": f"@{name}"}, pid=PID).stopping()
        assert heard(sock) == ["STOPPING=1\nSTATUS=stopping"]


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(PID)}, 60),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({}, 0),
    ],
)
def test_a_watchdog_is_fed_if_it_is_ours(environ, watchdog_s):
    assert Systemd(environ, pid=PID).watchdog_s == watchdog_s


async def fed(systemd, submit, rounds):
    """Let the watchdog be fed until the writer has been asked so often."""
    asked, enough = [], asyncio.Event()

    async def ask(request):
        asked.append(request.route)
        if len(asked) > rounds:
            enough.set()
        return await submit()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(systemd.keep(ask, lambda: "ready"))
        async with asyncio.timeout(10):
            await enough.wait()
        task.cancel()
    assert set(asked) == {ALIVE_ROUTE}


def test_it_is_fed_while_the_writer_answers_also_if_that_has_too_much_to_do(tmp_path):
    async def answer():
        return Answer("daemon.alive")

    async def busy():
        raise Overloaded("too many requests are waiting")

    for submit in (answer, busy):
        folder = tmp_path / submit.__name__
        folder.mkdir()
        with manager(folder) as (sock, environ):
            asyncio.run(fed(watched(environ), submit, rounds=3))
            # What was asked before is fed; the last one may have been cut off.
            messages = heard(sock)
            assert len(messages) >= 3
            assert set(messages) == {"WATCHDOG=1\nSTATUS=ready"}


def test_it_starves_when_the_writer_is_gone_or_hangs(tmp_path):
    async def gone():
        raise Unavailable("the writer has stopped")

    async def hangs():
        await asyncio.Event().wait()

    for submit in (gone, hangs):
        folder = tmp_path / submit.__name__
        folder.mkdir()
        with manager(folder) as (sock, environ):
            asyncio.run(fed(watched(environ), submit, rounds=3))
            assert heard(sock) == []


@pytest.mark.anyio
async def test_a_daemon_has_a_route_that_only_proves_that_it_commits(tmp_path):
    async with Telcod(tmp_path) as telcod:
        async with asyncio.timeout(20):
            with manager(tmp_path) as (sock, environ):
                keeping = asyncio.create_task(
                    watched(environ, usecs=3_000_000).keep(telcod.daemon.submit, lambda: "ready")
                )
                await asyncio.to_thread(lambda: sock.recv(4_096))
                keeping.cancel()
        assert "watchdog.unfed" not in telcod.log.text


def unit():
    text = (shipped_config_dir() / "systemd" / "telcod.service").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def test_the_unit_waits_for_readiness_and_watches_the_writer():
    found = unit()
    assert found["Type"] == "notify"
    assert int(found["WatchdogSec"]) >= 30
    assert found["ExecStart"].endswith("telcod run --config /etc/telcod")
    assert found["ExecReload"] == "/bin/kill -HUP $MAINPID"
    # CLI-1: it stops within 10 s; systemd must not lose patience before.
    assert int(found["TimeoutStopSec"]) > 10
    assert found["RestartPreventExitStatus"] == "3"
