"""The disk is slow: batches grow, the queue is bounded, nothing is said before it is so (F10)."""

import asyncio

import pytest

from telcod.check import check_books
from telcod.rows import MO, PERIOD
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_OK, STATUS_TRY_LATER, Behaviour
from telcod.storage.sqlite import SqliteStore
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.control import Control
from tests.faults.process import Injection, TelcodProcess
from tests.faults.script import Crowd
from tests.faults.sweep import open_books

QUEUE_MAX = 20
WAIT_S = 60  # Of a busy machine.
EXIT_S = 30


async def at_once(folder, crowd, delay_us):
    """Everybody texts at once; what each was told, and telcod's own numbers."""
    behaviour = Behaviour(window=len(crowd.prepaid), retry_pause_s=0.05)
    async with SimulatedSmsc(behaviour=behaviour) as smsc:
        open_books(folder / DATABASE, crowd)
        config = write_settings(folder, link(smsc), engine={"queue_max": QUEUE_MAX})
        slow = Injection("fdatasync", f"delay_exit={delay_us}", "1+")
        async with TelcodProcess(
            config, folder / "said.log", injection=slow, changed=smsc.watch.changed
        ) as process:
            await smsc.wait_bound(wait_s=WAIT_S)
            sent = [smsc.send_text(str(number), "1566", "DK")[0] for number in crowd.prepaid]
            await smsc.wait_until(
                lambda: all(smsc.texts_to(str(number)) for number in crowd.prepaid),
                "a text to everybody",
                wait_s=WAIT_S,
            )
            async with Control(folder) as control:
                gauges = await control.gauges()
            process.terminate()
            assert await process.exited(wait_s=EXIT_S) == 0
    return [each.statuses for each in sent], gauges


@pytest.mark.rule("SMPP-2", "HTTP-3")
@pytest.mark.parametrize(
    "delay_us",
    [pytest.param(delay_us, marks=pytest.mark.thorough) for delay_us in (100_000, 2_000_000)],
    ids="{} us a sync".format,
)
def test_on_a_slow_disk_batches_grow_and_what_is_too_much_waits_at_the_smsc(tmp_path, delay_us):
    crowd = Crowd(1)
    statuses, numbers = asyncio.run(at_once(tmp_path, crowd, delay_us))
    refused = sum(each.count(STATUS_TRY_LATER) for each in statuses)
    assert refused  # More than the queue may hold came at once.
    assert all(each[-1] == STATUS_OK and each.count(STATUS_OK) == 1 for each in statuses)
    assert {status for each in statuses for status in each} == {STATUS_OK, STATUS_TRY_LATER}
    assert numbers["telcod_texts_received_total:overloaded"] == refused
    # While one batch waits for the disk, the next one gathers.
    batches = numbers["telcod_engine_batch_requests_count"]
    assert numbers["telcod_engine_batch_requests_sum"] >= len(crowd.prepaid)
    assert numbers["telcod_engine_batch_requests_bucket:20.0"] == batches, "never more than queued"
    assert numbers["telcod_engine_batch_requests_bucket:5.0"] < batches
    assert numbers["telcod_engine_commit_seconds_sum"] > batches * delay_us / 1e6 / 2
    store = SqliteStore.open(tmp_path / DATABASE)
    assert not check_books(store)
    assert len(list(store.scan(MO))) == len(crowd.prepaid), "what was refused is not journalled"
    assert len(list(store.scan(PERIOD))) == len(crowd.prepaid)
    store.close()
