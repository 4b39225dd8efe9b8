"""The wall clock of a running telcod is set forward and back (F12, F13), by libfaketime.

Texts are answered, calls go on, and money moves; what happens by the calendar waits for a person.
"""

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from telcod.rows import CALL, ENTRY, MO, PERIOD, CallState
from telcod.simulator.smsc import SimulatedSmsc
from tests.e2e.harness import DATABASE, TelcodProcess, link, subscribers, write_settings
from tests.e2e.test_operations import tell
from tests.faults.control import Control
from tests.faults.false_clock import FalseClock, why_no_false_clock
from tests.world import World

A, B, C, D = range(84903000001, 84903000005)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FORTY_YEARS = timedelta(days=40 * 365)
CALL_ID = "during-the-jump"
BALANCE_VND, PRICE_VND, MINUTE_VND = 20_000, 1_000, 1_500

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.rule("PKG-6", "PFM-16", "CLI-8"),
    pytest.mark.xdist_group("false clock"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Scene:
    """A telcod with a clock of its own, an SMSC, and what people do."""

    def __init__(self, folder, smsc, clock, process, control):
        self.folder = folder
        self.smsc = smsc
        self.clock = clock
        self.process = process
        self.control = control
        self.jumps = 0

    async def text(self, msisdn, text):
        """Somebody texts, and has his answer."""
        before = len(self.smsc.texts_to(str(msisdn)))
        [sent] = self.smsc.send_text(str(msisdn), "1566", text)
        assert await sent == 0
        return (await self.smsc.wait_text(str(msisdn), before + 1))[-1]

    async def call(self, event="", **body):
        path = f"/ivr/v1/calls/{CALL_ID}/{event}" if event else "/ivr/v1/calls"
        status, said = await self.control.ask(path, body)
        assert status == 200, said
        return said

    async def jump(self, by):
        """The clock is set, and telcod says so."""
        self.jumps += 1
        self.clock.jump(by)
        await self.process.wait_line('"event":"clock.jumped"', self.jumps)

    async def is_doubted(self):
        """Who runs it sees that the clock is doubted, and what to do."""
        code, said, _ = await tell(self.folder, "status")
        assert code == 1
        assert "telcod confirm-clock" in " ".join(said.split())
        await self.control.wait_gauge("telcod_clock_jumped", lambda value: value == 1)

    async def confirm(self):
        status, said = await self.control.ask("/admin/v1/clock/confirm", {})
        assert (status, said["had_jumped"]) == (200, True)


@contextlib.asynccontextmanager
async def serving(folder):
    """Four subscribers; A's trial ends in 24 h, B pays for a call of A, C and D have had theirs."""
    assert not why_no_false_clock(), why_no_false_clock()
    clock = FalseClock(folder)
    async with SimulatedSmsc() as smsc:
        write_settings(folder, link(smsc))
        subscribers(
            folder, *({"msisdn": each, "balance_vnd": BALANCE_VND} for each in (A, B, C, D))
        )
        async with (
            TelcodProcess(folder, environ=clock.environ) as process,
            Control(folder) as control,
        ):
            await smsc.wait_bound()
            scene = Scene(folder, smsc, clock, process, control)
            assert "mien phi dung thu" in await scene.text(A, "DK")
            for each in (C, D):
                await scene.text(each, "DK")
                await scene.text(each, "HUY")
            await scene.call(call_id=CALL_ID, caller=str(A), dialled=f"1566{B}")
            await scene.call("consent", result="digit", digit="1")
            await scene.call("answered")
            yield scene


async def goes_on(scene, spender):
    """A text is charged, and the call that is open lives and grows."""
    assert "gia 1.000d" in await scene.text(spender, "DK")
    await scene.text(spender, "HUY")
    said = await scene.call("progress", used_seconds=30)
    assert said["max_seconds"] > 600


def books(folder):
    """The books when all is over, and clean."""
    world: Any = World(folder / DATABASE)
    assert not world.check()
    return world


def charged(world, msisdn):
    return BALANCE_VND - world.balance(msisdn)


async def test_a_clock_set_forward_and_back_moves_nothing_by_the_calendar_until_a_person_says_so(
    tmp_path,
):
    async with serving(tmp_path) as scene:
        await scene.jump(DAY + HOUR)
        await goes_on(scene, C)
        await scene.is_doubted()
        await goes_on(scene, D)
        await scene.call("ended", used_seconds=60)
        before = len(scene.smsc.texts_to(str(A)))
        await scene.confirm()
        [renewed] = (await scene.smsc.wait_text(str(A), before + 1))[before:]
        assert "gia han" in renewed

        await scene.jump(-HOUR)
        assert "chua dang ky" in await scene.text(B, "KT")
        assert "gia 1.000d" in await scene.text(C, "DK")
        await scene.confirm()
        assert await scene.process.terminate() == 0
        assert [line for line in scene.process.errors if '"event":"clock.jumped"' in line][2:] == []
    with books(tmp_path) as world:
        assert (charged(world, A), charged(world, B), charged(world, C)) == (
            PRICE_VND,
            MINUTE_VND,
            2 * PRICE_VND,
        )
        assert [period.kind for period in world.periods(A)] == ["trial", "paid"]
        entries = list(world.store.scan(ENTRY))
        # Whatever was charged while the clock was doubted stands before the renewal.
        payers = [entry.debit // 10 for entry in entries if entry.kind in {"call", "package.day"}]
        assert payers == [C, D, B, A, C]
        for rows in (entries, list(world.store.scan(MO))):
            moments = [getattr(row, "committed_at", 0) or getattr(row, "at", 0) for row in rows]
            assert moments == sorted(moments)


@pytest.mark.thorough
@pytest.mark.parametrize("by", [HOUR, FORTY_YEARS, -HOUR], ids=["1 h", "40 years", "1 h back"])
async def test_a_clock_that_jumps_closes_no_call_and_renews_nothing(tmp_path, by):
    async with serving(tmp_path) as scene:
        await scene.jump(by)
        await goes_on(scene, C)
        await scene.is_doubted()
        await goes_on(scene, D)
        assert await scene.process.terminate() == 0
    with books(tmp_path) as world:
        [call] = list(world.store.scan(CALL))
        assert call.state == CallState.TALKING
        assert charged(world, A) == 0
        kinds = sorted(period.kind for period in world.store.scan(PERIOD))
        assert kinds == ["paid"] * 2 + ["trial"] * 3
