"""telcod is killed between the deed and the note of it: a payment, a renewal, an e-mail, a push, an
event (F14, F26, F31, F33).  Real processes, killed at the very moment by whom they speak to.
"""

import contextlib
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from telcod.billing.accounts import debt_account
from telcod.dispatch import Route
from telcod.epay.notifications import PATH
from telcod.rows import (
    CLEARING,
    ENTRY,
    LIMIT_COUNTER,
    OUTBOX_MAIL,
    OUTBOX_PUSH,
    PAYMENT,
    OutboxState,
    PaymentState,
)
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.ussd import PushDesk
from telcod.types import Reply, Request
from tests.e2e.harness import DATABASE, TelcodProcess, link, subscribers, write_settings
from tests.faults.control import Control
from tests.faults.false_clock import FalseClock
from tests.faults.process import Injection, why_no_strace
from tests.faults.process import TelcodProcess as TracedProcess
from tests.mqtt.broker import Broker, Peer
from tests.test_mail import Post, listening
from tests.world import World

A, B = 84903000001, 84903000002
LAN = 84903000009  # postpaid
CROWD = tuple(range(84903000100, 84903000140))
BEFORE_MIDNIGHT = datetime(2026, 12, 1, 16, 59, 30)  # noqa: DTZ001  # UTC: 23:59:30 in Viet Nam.
THE_DAY, THE_NEXT_DAY = 20261201, 20261202
RENEWAL_DEATHS = (
    *(("pwrite64", count) for count in (9, 19, 30, 50)),
    ("fdatasync", 1),
    ("fdatasync", 2),
)
"""Counted in each thread of a life; some are of the start, some of the batch of renewals."""
AMOUNT_VND, PRICE_VND, BALANCE_VND = 50_000, 1_000, 20_000

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.thorough,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("false clock"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def http_port(process):
    line = [line for line in process.out if "HTTP listens" in line][-1]
    return int(line.rsplit(":", 1)[1])


# ------------------------------------------------------------------------- a payment, at midnight


class Gateway(SimulatedCardGateway):
    """Kills telcod when it is asked about a payment, `kills` times: the answer finds nobody."""

    kills = 0
    telcod: Any = None
    asked = 0

    def find(self, payment_id):
        self.asked += 1
        if self.kills:
            self.kills -= 1
            self.telcod._process.kill()
        return super().find(payment_id)


@pytest.mark.rule("PAY-3", "PAY-5")
async def test_killed_between_the_banks_yes_and_our_note_over_midnight_it_clears_once(tmp_path):
    """Accepted at 23:59:30, and the bank says yes; telcod dies, and dies again as it asks."""
    clock = FalseClock(tmp_path, BEFORE_MIDNIGHT)
    subscribers(tmp_path, {"msisdn": LAN, "kind": "postpaid", "debt_vnd": 300_000})
    async with SimulatedSmsc() as smsc, Gateway(clock=clock) as gateway:
        epay = {
            "gateway_url": gateway.url,
            "gateway_secret": SECRET,
            "webhook_secrets": [WEBHOOK_SECRET],
        }
        write_settings(tmp_path, link(smsc), epay=epay)
        async with TelcodProcess(tmp_path, environ=clock.environ) as telcod:
            gateway.telcod = telcod
            async with Control(tmp_path) as control:
                body = {
                    "msisdn": str(LAN),
                    "amount_vnd": AMOUNT_VND,
                    "purpose": "bill",
                    "card": "international",
                    "return_url": "https://portal.example/back",
                }
                _, opened = await control.ask("/epay/v1/payments", body, key="k")
            payment = opened["payment_id"]
            await gateway.pay(payment)
            await telcod.kill()

            clock.jump(timedelta(minutes=16))
            gateway.kills = 1
            await telcod.start(ready=False)
            await telcod.wait_exit()  # It asked, and died of it.

            await telcod.start()
            gateway.notifier.url = f"http://127.0.0.1:{http_port(telcod)}{PATH}"
            async with Control(tmp_path) as control:
                # What was asked when it died is asked again when its minute is over.
                clock.jump(timedelta(seconds=59))
                path = f"/epay/v1/payments/{payment}"

                async def cleared():
                    _, shown = await control.ask(path)
                    return shown["state"] == "cleared"

                await control.wait_for(cleared, wait_s=90)
            await gateway.deliver()  # Its own word comes at last, and is old news.
            assert [sent.status for sent in gateway.sent] == [200]
            assert await telcod.terminate() == 0
    with World(tmp_path / DATABASE) as world:
        assert not world.check()
        assert world.row(PAYMENT, payment).state == PaymentState.CLEARED
        entries = list(world.store.scan(ENTRY))
        moved = [row.amount for row in entries if row.credit == debt_account(LAN)]
        assert moved == [AMOUNT_VND]
        assert world.debt(LAN) == 300_000 - AMOUNT_VND
        [counter] = list(world.store.scan(LIMIT_COUNTER))
        assert (counter.day, counter.payments) == (THE_DAY, 1)
        [clearing] = list(world.store.scan(CLEARING))
        assert clearing.day == THE_NEXT_DAY


# ------------------------------------------------------------------------- renewals, three days on


@pytest.mark.rule("PKG-6")
async def test_killed_in_the_renewals_after_three_days_down_each_pays_for_one_period(tmp_path):
    assert not why_no_strace(), why_no_strace()
    clock = FalseClock(tmp_path)
    subscribers(tmp_path, *({"msisdn": each, "balance_vnd": BALANCE_VND} for each in CROWD))
    async with SimulatedSmsc() as smsc:
        config = write_settings(tmp_path, link(smsc))
        async with TelcodProcess(tmp_path, environ=clock.environ) as telcod:
            await smsc.wait_bound()
            sent = [smsc.send_text(str(each), "1566", "DK")[0] for each in CROWD]
            assert [await one for one in sent] == [0] * len(CROWD)
            await telcod.kill()
        clock.jump(timedelta(days=3, hours=2))
        paid = []
        for call, count in RENEWAL_DEATHS:
            if await dies_at(Injection(call, "signal=KILL", str(count)), config, smsc, clock):
                paid.append(paid_for(tmp_path))
        assert len(paid) >= 3
        assert paid == sorted(paid)
        async with TelcodProcess(tmp_path, environ=clock.environ) as telcod:
            await smsc.wait_until(lambda: all_told(smsc), "everybody is told", wait_s=60)
            assert await telcod.terminate() == 0
    assert paid_for(tmp_path) == len(CROWD)


async def dies_at(injection, config, smsc, clock):
    """A telcod in which a system call kills it; whether it came so far before its work was done."""
    inside = ("env", *(f"{name}={value}" for name, value in clock.environ.items()))
    said = config.with_name("said.log")
    async with TracedProcess(
        config, said, injection=injection, changed=smsc.watch.changed, inside=inside
    ) as dying:
        await smsc.wait_until(
            lambda: dying.returncode is not None or all_told(smsc),
            "its end, or the end of its work",
            wait_s=60,
        )
        return dying.returncode is not None


def paid_for(folder):
    """How many have paid for the present period: each once, with its period, or not at all."""
    count = 0
    with World(folder / DATABASE) as world:
        assert not world.check()
        for each in CROWD:
            kinds = [period.kind for period in world.periods(each)]
            paid = kinds.count("paid")
            assert world.balance(each) == BALANCE_VND - paid * PRICE_VND
            assert (kinds.count("trial"), paid <= 1) == (1, True)
            assert paid == 0 or kinds.count("missed") >= 1
            count += paid
    return count


def all_told(smsc):
    """Everybody has heard of his renewal."""
    return all(
        any("gia han" in text and "mien phi" not in text for text in smsc.texts_to(str(each)))
        for each in CROWD
    )


# ------------------------------------------------------------------------- what has left


class DeadlyPost(Post):
    """Takes an e-mail, and kills telcod before it says so."""

    telcod: Any = None
    deadly = True

    async def handle_DATA(self, server, session, envelope):
        said = await super().handle_DATA(server, session, envelope)
        if self.deadly:
            self.deadly = False
            self.telcod._process.kill()
        return said


@pytest.mark.rule("PAY-10")
async def test_killed_when_an_e_mail_has_left_it_sends_the_same_again_and_once(tmp_path):
    subscribers(tmp_path, {"msisdn": LAN, "kind": "postpaid", "debt_vnd": 300_000})
    put_e_mail(tmp_path)
    post = DeadlyPost()
    async with SimulatedSmsc() as smsc, listening(post) as port:
        mail = {"host": "127.0.0.1", "port": port, "tls": "none"}
        mail["sender"] = "no-reply@telcod.example"
        write_settings(tmp_path, link(smsc), mail=mail)
        async with TelcodProcess(tmp_path) as telcod:
            post.telcod = telcod
            await telcod.wait_exit()
            await telcod.start()
            async with Control(tmp_path) as control:
                await control.wait_status(lambda status: status["waiting"]["mails"] == 0)
            assert await telcod.terminate() == 0
    first, again = post.messages
    assert first["Message-ID"] == again["Message-ID"]
    with World(tmp_path / DATABASE) as world:
        assert [row.state for row in world.store.scan(OUTBOX_MAIL)] == [OutboxState.ACCEPTED]


def put_e_mail(folder):
    """An e-mail waits in the books."""

    def put(_request, tx):
        tx.send_mail("lan@example.com", "MobiFone: giao dich", "Da thanh toan.", kind="payment")
        return Reply("test.put")

    with World(folder / DATABASE, routes={"test.put": Route("test.put", put)}) as world:
        world.run(Request("test.put"))


@pytest.mark.rule("USSD-4", "PFM-30")
async def test_killed_when_a_push_is_on_the_screen_it_pushes_the_same_again_and_asks_once(tmp_path):
    people = [{"msisdn": A, "balance_vnd": 0}, {"msisdn": B, "balance_vnd": BALANCE_VND}]
    subscribers(tmp_path, *people)
    telcod: Any = None
    kills = 1

    def shown(_push):
        nonlocal kills
        if kills:
            kills -= 1
            telcod._process.kill()
        return 202

    async with SimulatedSmsc() as smsc, PushDesk(status=shown) as desk:
        write_settings(tmp_path, link(smsc), ussd={"push": "http", "push_url": desk.url})
        async with TelcodProcess(tmp_path) as telcod:
            await smsc.wait_bound()
            [sent] = smsc.send_text(str(A), f"1566{B}", "Goi lai cho minh nhe")
            await telcod.wait_exit()
            await telcod.start()
            await desk.wait_pushes(2)
            assert await sent.taken() == 0
            async with Control(tmp_path) as control:
                await control.wait_status(lambda status: status["waiting"]["pushes"] == 0)
            assert await telcod.terminate() == 0
    first, again = desk.pushes
    assert first.session_id == again.session_id
    with World(tmp_path / DATABASE) as world:
        assert [row.state for row in world.store.scan(OUTBOX_PUSH)] == [OutboxState.ACCEPTED]
        assert not world.check()


@pytest.mark.rule("MQTT-2")
async def test_killed_when_events_have_left_it_tells_them_again_under_their_ids(tmp_path):
    subscribers(tmp_path, *({"msisdn": each, "balance_vnd": BALANCE_VND} for each in CROWD))
    async with contextlib.AsyncExitStack() as stack:
        smsc = await stack.enter_async_context(SimulatedSmsc())
        broker = await stack.enter_async_context(Broker(tmp_path))
        peer = await stack.enter_async_context(Peer(broker, listens=["telcod/events/#"]))
        mqtt = {"url": broker.url, "reconnect_min_s": 0.05, "reconnect_max_s": 0.5}
        write_settings(tmp_path, link(smsc), mqtt=mqtt)
        telcod = await stack.enter_async_context(TelcodProcess(tmp_path))
        await smsc.wait_bound()
        sent = [smsc.send_text(str(each), "1566", "DK")[0] for each in CROWD]
        # The cursor goes into the books a second later: these have left and are not noted.
        await peer.hear_on("telcod/events/package/started", 5)
        await telcod.kill()
        await telcod.start()
        assert [await one.taken() for one in sent] == [0] * len(CROWD)
        async with Control(tmp_path) as control:
            await control.wait_status(
                lambda status: (
                    status["broker"]["connected"] and status["broker"]["events_behind"] == 0
                )
            )
        assert await telcod.terminate() == 0
        told = [msgspec.json.decode(body) for body in peer.on("telcod/events/package/started")]
    by_id: dict[str, list[Any]] = {}
    for event in told:
        by_id.setdefault(event["id"], []).append(event)
    assert sorted(copies[0]["msisdn"] for copies in by_id.values()) == sorted(map(str, CROWD))
    assert all(copy == copies[0] for copies in by_id.values() for copy in copies)
    assert any(len(copies) > 1 for copies in by_id.values()), "nothing was told again"
