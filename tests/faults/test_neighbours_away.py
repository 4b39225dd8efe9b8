"""Broker, mail server, card gateway, USSD gateway and SMSC are all away for an hour, under load.

Calls go on and are charged.  Nothing is lost, memory is bounded, telcod says what is wrong without
saying it a thousand times, and when they come back everything leaves by itself.
"""

import contextlib
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from telcod.clock import ManualClock
from telcod.days import HOUR_MS, MINUTE_MS, day_start_ms
from telcod.epay.notifications import PATH
from telcod.rows import (
    EVENTS_PUBLISHED,
    META,
    OUTBOX_EVENT,
    OUTBOX_MAIL,
    PAYMENT,
    OutboxState,
    PaymentState,
)
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.ussd import PushDesk
from tests.e2e.harness import (
    DATABASE,
    Telcod,
    TelcodProcess,
    link,
    subscribers,
    write_settings,
)
from tests.faults.control import Control
from tests.faults.false_clock import FalseClock
from tests.mqtt.broker import Broker, Peer, free_port
from tests.test_mail import Post, listening
from tests.world import World

A, B = 84903000001, 84903000002
LAN = 84903000009  # postpaid
CALLERS = tuple(range(84903000100, 84903000120))
NOON_MS = day_start_ms(20261201) + 12 * HOUR_MS
BALANCE_VND, MINUTE_VND = 100_000, 1_500
STEP_MS = 5 * MINUTE_MS
GROWTH_KB_MAX = 40_000
WARNINGS_MAX = 150

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.rule("MQTT-2", "PAY-5", "PAY-10", "USSD-4", "SMPP-5", "HTTP-3", "CLI-8"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Neighbours:
    """Everybody whom telcod speaks to; all are there but the mail server."""

    def __init__(self, smsc, broker, peer, gateway):
        self.smsc = smsc
        self.broker = broker
        self.peer = peer
        self.gateway = gateway
        self.post = Post()
        self.mail_port = free_port()
        self.desk = PushDesk(status=lambda _: 202 if self.desk_is_there else 503)
        self.desk_is_there = True

    def settings(self):
        """The tables of `telcod.toml` that name them."""
        return {
            "mqtt": {"url": self.broker.url, "reconnect_min_s": 0.05, "reconnect_max_s": 0.5},
            "mail": {
                "host": "127.0.0.1",
                "port": self.mail_port,
                "tls": "none",
                "sender": "no-reply@telcod.example",
            },
            "ussd": {"push": "http", "push_url": self.desk.url},
            "epay": {
                "gateway_url": self.gateway.url,
                "gateway_secret": SECRET,
                "webhook_secrets": [WEBHOOK_SECRET],
            },
        }

    async def leave(self):
        """All at once, and none says good-bye but the broker, which keeps what it is to keep."""
        self.desk_is_there = False
        self.gateway.crash()
        await self.broker.stop()
        await self.smsc.stop(abrupt=True)

    async def come_back(self, stack):
        """All at once."""
        self.desk_is_there = True
        self.gateway.restart()
        await self.broker.start()
        await stack.enter_async_context(listening(self.post, port=self.mail_port))
        await self.smsc.start()


@contextlib.asynccontextmanager
async def neighbours(folder, clock):
    """They are there."""
    disk = ["persistence true", f"persistence_location {folder}/", "max_queued_messages 0"]
    async with (
        SimulatedSmsc() as smsc,
        Broker(folder, config=disk) as broker,
        Peer(broker, listens=["telcod/events/#"], keeps=True) as peer,
        SimulatedCardGateway(live=True, clock=clock) as gateway,
    ):
        there = Neighbours(smsc, broker, peer, gateway)
        async with there.desk:
            yield there


class Host:
    """A telcod in this process, whose clock is set by hand."""

    @staticmethod
    def clock_of(_folder):
        return ManualClock(NOON_MS)

    def __init__(self, folder, clock, there):
        self.clock = clock
        # It's the SMSC that is away for an hour, not our end of its line.
        settings = link(there.smsc, enquire_link_s=3600)
        self.telcod = Telcod(folder, settings, clock=self.clock, **there.settings())

    async def __aenter__(self):
        await self.telcod.start()
        return self

    async def __aexit__(self, *_):
        await self.telcod.stop()

    @property
    def port(self):
        return self.telcod.daemon.web.port

    async def pass_an_hour(self, control):
        for _ in range(HOUR_MS // STEP_MS):
            self.clock.advance(STEP_MS)
            await control.ask("/healthz")

    async def pass_minutes(self, minutes):
        self.clock.advance(minutes * MINUTE_MS)

    def logged(self, level):
        lines = (json.loads(line) for line in self.telcod.log.text.splitlines() if line.strip())
        return [line for line in lines if line["level"] == level]

    def memory_kb(self):
        return 0


class ProcessHost:
    """A telcod in a process of its own, whose clock is set and confirmed."""

    clock_of = FalseClock

    def __init__(self, folder, clock, there):
        self.clock = clock
        write_settings(folder, link(there.smsc), **there.settings())
        self.telcod = TelcodProcess(folder, environ=self.clock.environ)
        self.jumps = 0

    async def __aenter__(self):
        await self.telcod.start()
        return self

    async def __aexit__(self, *_):
        if self.telcod._process is not None:
            assert await self.telcod.terminate() == 0

    @property
    def port(self):
        [line] = [line for line in self.telcod.out if "HTTP listens" in line]
        return int(line.rsplit(":", 1)[1])

    async def pass_an_hour(self, control):
        self.jumps += 1
        self.clock.jump(timedelta(hours=1))
        await self.telcod.wait_line('"event":"clock.jumped"', self.jumps)
        await control.ask("/admin/v1/clock/confirm", {})

    async def pass_minutes(self, minutes):
        pass  # What waits for a minute waits for it.

    def logged(self, level):
        lines = [json.loads(line) for line in self.telcod.errors]
        return [line for line in lines if line["level"] == level]

    def memory_kb(self):
        status = Path(f"/proc/{self.telcod._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


async def call(control, caller):
    """A minute's talk that B pays for."""
    path = f"/ivr/v1/calls/c{caller}"
    said: dict[str, int] = {}
    for event, body in (
        ("", {"call_id": f"c{caller}", "caller": str(caller), "dialled": f"1566{B}"}),
        ("/consent", {"result": "digit", "digit": "1"}),
        ("/answered", {}),
        ("/ended", {"used_seconds": 60}),
    ):
        status, said = await control.ask(path + event if event else "/ivr/v1/calls", body)
        assert status == 200, said
    return said["charged_vnd"]


async def pay(control, key, **more):
    """Somebody wants to pay; how it stands."""
    body = {
        "msisdn": str(LAN),
        "amount_vnd": 50_000,
        "purpose": "bill",
        "card": "international",
        "email": "",
        "invoice": False,
        "return_url": "https://portal.example/back",
    }
    _, said = await control.ask("/epay/v1/payments", body | more, key=key)
    return said


async def live_through(host, there, folder, stack):
    """Before, the hour, and after; what must come of it stands beside each step."""
    async with Control(folder) as control:
        await there.smsc.wait_bound()
        there.gateway.notifier.url = f"http://127.0.0.1:{host.port}{PATH}"
        paid = (await pay(control, "paid", email="lan@example.com"))["payment_id"]
        await there.gateway.pay(paid)
        await control.wait_status(lambda status: status["waiting"]["mails"] == 1)
        await control.wait_status(lambda status: status["broker"]["connected"])

        await there.leave()
        before_kb = host.memory_kb()
        assert [await call(control, caller) for caller in CALLERS] == [MINUTE_VND] * len(CALLERS)
        unsent = await pay(control, "unsent")
        assert (unsent["state"], unsent["redirect_url"]) == ("created", "")
        await host.pass_an_hour(control)
        status = await control.wait_status(
            lambda status: not status["broker"]["connected"] and not status["links"][0]["bound"]
        )
        assert "no SMPP link is bound" in status["lacks"]
        assert status["broker"]["last_error"].startswith("no broker listens")
        assert status["waiting"]["mails"] == 1
        assert status["waiting"]["texts"] >= len(CALLERS)
        assert status["broker"]["events_behind"] >= len(CALLERS)
        ready, why = await control.ask("/readyz")
        assert (ready, why["missing"]) == (503, ["no SMPP link is bound"])
        assert host.memory_kb() - before_kb < GROWTH_KB_MAX

        await there.come_back(stack)
        await host.pass_minutes(1)
        await there.smsc.wait_text(str(B), len(CALLERS), wait_s=30)
        await control.wait_status(
            lambda status: (
                status["broker"]["connected"]
                and status["broker"]["events_behind"] == 0
                and status["waiting"]["mails"] == 0
                and not status["lacks"]
            ),
            wait_s=90,
        )
        there.smsc.send_text(str(A), f"1566{B}", "Goi lai cho minh nhe")
        await there.desk.wait_pushes(1)
        return paid, unsent["payment_id"]


def told(there):
    """The numbers of the events that the broker's other client heard, as they came."""
    return [msgspec.json.decode(message.payload)["seq"] for message in there.peer.heard]


async def assert_all_told(folder, there):
    """That client connects again when it likes, and hears then what the broker kept for it."""
    with World(folder / DATABASE) as world:
        confirmed = int(world.row(META, EVENTS_PUBLISHED).value)
        events = {row.seq for row in world.store.scan(OUTBOX_EVENT) if row.seq <= confirmed}
    assert len(events) >= len(CALLERS)
    await there.peer.watch.until(lambda: events <= set(told(there)), what="every event")
    fresh = list(dict.fromkeys(told(there)))
    assert fresh == sorted(fresh)


def assert_nothing_lost(folder, there, host, paid, unsent):
    warned = [line["event"] for line in host.logged("warning")]
    assert warned.count("broker.lost") <= 3, warned
    assert len(warned) < WARNINGS_MAX
    with World(folder / DATABASE) as world:
        assert not world.check()
        assert world.balance(B) == BALANCE_VND - MINUTE_VND * len(CALLERS)
        assert world.row(PAYMENT, paid).state == PaymentState.CLEARED
        # The gateway was never asked for its page, so nobody can have paid.
        assert world.row(PAYMENT, unsent).state in {
            PaymentState.EXPIRED,
            PaymentState.REDIRECTED,
            PaymentState.CREATED,
            PaymentState.UNKNOWN,
        }
        assert [row.state for row in world.store.scan(OUTBOX_MAIL)] == [OutboxState.ACCEPTED]
    [message] = there.post.messages
    assert message["To"] == "lan@example.com"
    assert len(there.smsc.texts_to(str(B))) == len(CALLERS)


@pytest.mark.parametrize(
    "host_of",
    [
        pytest.param(Host, id="in this process"),
        pytest.param(ProcessHost, id="a process", marks=pytest.mark.thorough),
    ],
)
async def test_an_hour_without_any_neighbour_costs_nothing_but_the_hour(tmp_path, host_of):
    people: list[dict[str, object]] = [{"msisdn": each, "balance_vnd": 0} for each in (A, *CALLERS)]
    people += [{"msisdn": B, "balance_vnd": BALANCE_VND}]
    people += [{"msisdn": LAN, "kind": "postpaid", "debt_vnd": 300_000}]
    subscribers(tmp_path, *people)
    async with contextlib.AsyncExitStack() as stack:
        clock = host_of.clock_of(tmp_path)
        there = await stack.enter_async_context(neighbours(tmp_path, clock))
        host = await stack.enter_async_context(host_of(tmp_path, clock, there))
        paid, unsent = await live_through(host, there, tmp_path, stack)
        await host.__aexit__()
        await assert_all_told(tmp_path, there)
        assert_nothing_lost(tmp_path, there, host, paid, unsent)
