"""A text that breaks its rule each time it comes (F34), and a sender who never stops (F35).

Others are served meanwhile; nothing loops, nothing crashes, nothing is lost.
"""

import asyncio
from typing import Any

import pytest

import handlers
from telcod.dispatch import Route
from telcod.rows import MO, PERIOD, QUARANTINE
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import (
    STATUS_OK,
    STATUS_TRY_LATER,
    Behaviour,
    Fault,
    FaultKind,
)
from tests.e2e.harness import DATABASE, Telcod, link, subscribers, write_settings
from tests.faults.process import TelcodProcess
from tests.world import World

A = 84903000001
NUMBERS = tuple(range(84903000100, 84903000120))
TIMES = 10
AT_ONCE = 200
EXIT_S = 15
SORRY = "he thong dang ban"

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SMPP-2", "KW-3")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def break_for_a(request, tx):
    """Poison: the rules break over one subscriber, after they have changed something."""
    reply = handlers.ROUTES["package.register_day"].handler(request, tx)
    if request.sender == A:
        raise ZeroDivisionError("a bug")
    return reply


POISONED = {
    **handlers.ROUTES,
    "package.register_day": Route("package.register_day", break_for_a),
}


def prepare(folder, smsc, **settings):
    people = [{"msisdn": each, "balance_vnd": 20_000} for each in (A, *NUMBERS)]
    subscribers(folder, *people)
    return write_settings(folder, link(smsc, **settings))


async def poison_and_others(smsc):
    """A texts the poison again and again among others; two connections break over it."""
    faults = (
        Fault(kind=FaultKind.DISCONNECT, after_pdus=3, command="deliver_sm_resp"),
        Fault(kind=FaultKind.DISCONNECT, after_pdus=11, command="deliver_sm_resp"),
    )
    smsc.behave(Behaviour(faults=faults, window=5))
    sent = []
    for at, msisdn in enumerate(NUMBERS):
        if at < TIMES:
            # Not the same octets twice: each is a text of its own.
            sent += smsc.send_text(str(A), "1566", "DK" + " " * at)
        sent += smsc.send_text(str(msisdn), "1566", "DK")
    assert [await one.taken() for one in sent] == [0] * len(sent)
    for msisdn in NUMBERS:
        await smsc.wait_text(str(msisdn))
    await smsc.wait_text(str(A), TIMES)


def assert_set_aside(folder, smsc):
    with World(folder / DATABASE) as world:
        assert not world.check()
        broken = list(world.store.scan(QUARANTINE))
        assert len(broken) == TIMES
        assert all("ZeroDivisionError: a bug" in row.error for row in broken)
        assert {row.msisdn for row in world.store.scan(PERIOD)} == set(NUMBERS)
        assert len([row for row in world.store.scan(MO) if row.source == str(A)]) == TIMES
    assert all(SORRY in text for text in smsc.texts_to(str(A)))


async def test_a_text_that_breaks_its_rule_is_set_aside_each_time_and_others_are_served(tmp_path):
    async with SimulatedSmsc() as smsc:
        prepare(tmp_path, smsc)
        async with Telcod(tmp_path, link(smsc), routes=POISONED) as telcod:
            await smsc.wait_bound()
            await poison_and_others(smsc)
            await telcod.stop()
            await telcod.start()  # It's no poison to the next start either.
            await telcod.wait_bound(times=2)
        assert_set_aside(tmp_path, smsc)


@pytest.mark.thorough
async def test_a_process_lives_on_with_a_text_that_breaks_its_rule(tmp_path):
    async with SimulatedSmsc() as smsc:
        config = prepare(tmp_path, smsc)
        process: Any = TelcodProcess(config, tmp_path / "said.log", plant="poison")
        async with process:
            await smsc.wait_bound()
            await poison_and_others(smsc)
            process.terminate()
            assert await process.exited(wait_s=EXIT_S) == 0
        assert_set_aside(tmp_path, smsc)


class Flood:
    """Texts of one sender, who has hundreds on their way until he is stopped."""

    def __init__(self, smsc):
        self.sent = []
        self.stopped = asyncio.Event()
        self._smsc = smsc

    async def run(self):
        while not self.stopped.is_set():
            self._send(AT_ONCE)
            await self._all_answered()
        await self._all_answered()

    async def _all_answered(self):
        """Taken, or left with the SMSC: one sender may not have so many under way."""
        latest = self.sent[-AT_ONCE:]
        await self._smsc.wait_until(
            lambda: all(one.statuses for one in latest), "an answer to each, of whatever kind"
        )

    def _send(self, count):
        for _ in range(count):
            text = f"khong biet {len(self.sent)}"
            self.sent += self._smsc.send_text(str(A), "1566", text)


async def test_a_sender_who_never_stops_keeps_nobody_from_being_served(tmp_path):
    async with SimulatedSmsc() as flooding, SimulatedSmsc() as calm:
        links = (
            link(flooding, "a", short_codes=["1566"]),
            link(calm, "b", short_codes=["9223"]),
        )
        subscribers(tmp_path, *({"msisdn": each} for each in (A, *NUMBERS)))
        async with Telcod(tmp_path, *links) as telcod:
            await flooding.wait_bound()
            await calm.wait_bound()
            flooding.behave(Behaviour(window=AT_ONCE))
            flood = Flood(flooding)
            async with asyncio.TaskGroup() as group:
                group.create_task(flood.run())
                await flooding.wait_text(str(A))
                for msisdn in NUMBERS[:10]:
                    [sent] = calm.send_text(str(msisdn), "9223", "HD")
                    assert await sent == 0
                    await calm.wait_text(str(msisdn))
                flood.stopped.set()
            assert telcod.daemon.engine.waiting == 0
            journal = await telcod.journal()
    # More than a sender may have under way is left with the SMSC, and is nowhere in the books.
    taken = [sent for sent in flood.sent if STATUS_OK in sent.statuses]
    assert {status for sent in flood.sent for status in sent.statuses} <= {
        STATUS_OK,
        STATUS_TRY_LATER,
    }
    assert len(journal) == len(taken) + 10
    # Wrong texts are answered five times an hour: the flood costs no more texts than that.
    assert len(flooding.texts_to(str(A))) == 5
