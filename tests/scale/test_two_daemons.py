"""Two daemons, two links, one database: whatever dies, one effect and one answer each (issue G)."""

import asyncio

import pytest

from tests.faults.sweep import Moment
from tests.postgres import server
from tests.scale.fleet import TAKEN_OVER_S, Fleet

RULES = pytest.mark.rule("SMPP-2", "SMPP-3", "SMPP-5", "KW-3", "PKG-1", "PKG-2", "LST-2", "CLI-6")
TEXTS = 150


def play(folder, story, **settings):
    """Run a story of a fleet, let it end, and judge it."""

    async def run():
        async with Fleet(folder, server().books(), **settings) as fleet:
            await story(fleet)
            await fleet.answered()
            complaints = fleet.judge()
            print(fleet.summary())
            return complaints

    return asyncio.run(run())


async def kill_in_mid_load(fleet, member, moment):
    """Let texts flow until a moment, kill one daemon then, and see the other one take over."""
    loop = asyncio.get_running_loop()
    died = []

    def kill():
        member.kill()
        died.append(loop.time())

    fleet.smsc.at(moment, kill)
    while not died:
        fleet.write(TEXTS)
        await fleet.until(lambda: died or fleet.smsc.unwritten < TEXTS // 2, "a death")
    fleet.smsc.at(None, lambda: None)
    other = fleet.b if member is fleet.a else fleet.a
    await fleet.poll(lambda: fleet.on_duty() == other.name)
    assert loop.time() - died[0] < TAKEN_OVER_S
    await member.start()


@RULES
def test_when_either_daemon_is_killed_the_other_goes_on_and_nothing_is_lost_or_doubled(tmp_path):
    async def story(fleet):
        await kill_in_mid_load(fleet, fleet.a, Moment("deliver_sm_resp", 40))
        await fleet.bound(2)
        await kill_in_mid_load(fleet, fleet.b, Moment("submit_sm", 30, before=True))

    assert not play(tmp_path, story)
