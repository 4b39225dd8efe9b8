"""The disk is full: new work waits, what was granted stays granted, and room mends it (F5)."""

import asyncio

import httpx
import pytest

from telcod.check import check_books
from telcod.rows import MO, OUTBOX_SMS, PERIOD
from telcod.simulator.ivr import SimulatedIvr
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_OK, STATUS_TRY_LATER, Behaviour
from telcod.storage.sqlite import SqliteStore
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.process import TelcodProcess
from tests.faults.script import Crowd, national
from tests.faults.small_disk import SmallDisk
from tests.faults.sweep import open_books

DISK_BYTES = 4 * 1024 * 1024
WAIT_S = 60  # Of a busy machine.
EXIT_S = 30
TALK_S = 60
PRICE_VND = TALK_S * 25
SOCKET = "control"


def http(folder):
    return httpx.AsyncHTTPTransport(uds=str(folder / SOCKET))


async def ready(folder):
    """What `/readyz` says."""
    async with httpx.AsyncClient(transport=http(folder), base_url="http://telcod") as client:
        said = await client.get("/readyz")
        return said.status_code, said.text


async def a_full_disk(folder, crowd):
    """Texts and a call, before, while and after the disk is full; what was seen."""
    caller, payer = crowd.prepaid[0], max(crowd.prepaid, key=lambda n: crowd.opening[n].balance_vnd)
    before, rest = crowd.prepaid[:10], crowd.prepaid[10:]
    (folder / "made").mkdir()
    open_books(folder / "made" / DATABASE, crowd)
    smsc = SimulatedSmsc(behaviour=Behaviour(window=10, retry_pause_s=0.02))
    async with SmallDisk(folder / "disk", size_bytes=DISK_BYTES) as disk, smsc:
        (disk.path / DATABASE).write_bytes((folder / "made" / DATABASE).read_bytes())
        config = write_settings(
            folder,
            link(smsc),
            store={"url": f"sqlite:disk/{DATABASE}", "reserve_mb": 1},
            http={"port": 0, "control_socket": SOCKET},
        )
        async with (
            TelcodProcess(
                config, folder / "said.log", changed=smsc.watch.changed, inside=disk.inside
            ) as process,
            SimulatedIvr("http://telcod", "-", transport=http(folder)) as ivr,
        ):
            await smsc.wait_bound(wait_s=WAIT_S)
            sent = [smsc.send_text(str(number), "1566", "DK")[0] for number in before]
            await smsc.wait_until(
                lambda: all(each.settled for each in sent), "ten answers", wait_s=WAIT_S
            )
            told = [
                await ivr.offer("1", national(caller), f"1566{national(payer)}"),
                await ivr.consent("1", "1"),
                await ivr.answered("1"),
            ]
            await ivr.offer("ends", national(caller), f"1566{national(payer)}")
            await ivr.consent("ends", "1")
            await ivr.answered("ends")
            disk.fill()
            sent += [smsc.send_text(str(number), "1566", "DK")[0] for number in rest]
            full = [
                await ivr.progress("1", TALK_S // 2),
                await ivr.offer("2", national(caller), f"1566{national(payer)}"),
                await ivr.ended("ends", TALK_S),
            ]
            lacks = await ready(folder)
            await smsc.wait_until(
                lambda: all(each.statuses for each in sent), "an answer to each", wait_s=WAIT_S
            )
            disk.make_room()
            await smsc.wait_until(
                lambda: all(smsc.texts_to(str(number)) for number in crowd.prepaid),
                "a text to everybody",
                wait_s=WAIT_S,
            )
            after = [await ivr.progress("1", TALK_S // 2), await ivr.ended("1", TALK_S)]
            recovered = await ready(folder)
            process.terminate()
            assert await process.exited(wait_s=EXIT_S) == 0
        disk.copy_books(DATABASE, folder)
    return {
        "granted": told,
        "full": full,
        "lacks": lacks,
        "after": after,
        "recovered": recovered,
        "statuses": [each.statuses for each in sent],
        # The two who talked are told of their call besides.
        "texts": {
            len(smsc.texts_to(str(number)))
            for number in crowd.prepaid
            if number not in {caller, payer}
        },
    }


@pytest.mark.rule("SMPP-2", "HTTP-1", "HTTP-3", "PFM-17")
def test_on_a_full_disk_new_work_waits_a_call_keeps_its_grant_and_room_mends_it(tmp_path):
    crowd = Crowd(1)
    seen = asyncio.run(a_full_disk(tmp_path, crowd))
    granted = seen["granted"][-1]
    assert granted.status == 200
    assert granted.get("max_seconds") >= TALK_S
    progress, offer, ended = seen["full"]
    assert progress.status == 503, "the platform asks again; what it was granted stays granted"
    assert (offer.get("action"), offer.get("reason")) == ("refuse", "unavailable")
    assert (ended.status, ended.get("charged_vnd")) == (200, PRICE_VND), (
        "what was set aside bears it"
    )
    assert seen["lacks"][0] == 503
    assert "the disk is full" in seen["lacks"][1]
    refused = [statuses for statuses in seen["statuses"] if len(statuses) > 1]
    assert refused
    for statuses in seen["statuses"]:
        assert (set(statuses[:-1]) <= {STATUS_TRY_LATER}, statuses[-1]) == (True, STATUS_OK)
    assert [told.status for told in seen["after"]] == [200, 200]
    assert seen["after"][-1].get("charged_vnd") == PRICE_VND
    assert seen["recovered"][0] == 200
    assert seen["texts"] == {1}
    store = SqliteStore.open(tmp_path / DATABASE)
    assert not check_books(store)
    assert len(list(store.scan(MO))) == len(crowd.prepaid)
    assert sum(row.mo > 0 for row in store.scan(OUTBOX_SMS)) == len(crowd.prepaid)
    assert [row.kind for row in store.scan(PERIOD)] == ["trial"] * len(crowd.prepaid)
    store.close()
