"""The disk fails (F4), is full (F5), is in use (F8), or telcod dies before it has begun."""

import asyncio

import pytest

from telcod.check import check_books
from telcod.rows import MO, OUTBOX_SMS, PERIOD
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_OK, STATUS_TRY_LATER, Behaviour
from telcod.storage.sqlite import SqliteStore
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.process import TRACED_START_S, Injection, TelcodProcess
from tests.faults.script import Crowd
from tests.faults.sweep import KILLED, Point, Sweep, kill_at_call, open_books

COULD_NOT_START = 3
EXIT_S = 15


def run(scene):
    return asyncio.run(scene)


# ------------------------------------------------------------------------- F4: fsync fails


@pytest.mark.rule("SMPP-2", "CLI-9")
@pytest.mark.parametrize("call", [4, 7], ids="batch {}".format)
def test_after_a_failed_sync_it_acknowledges_nothing_more_and_ends(tmp_path, call):
    async def scene():
        failing = Injection("fdatasync", "error=EIO", str(call))
        ends = frozenset(range(1, 128))
        async with Sweep(tmp_path) as lives:
            await lives.kill([Point(failing, ends=ends, refuses=True)])
            synced = (tmp_path / "said.strace").read_text().splitlines()
            await lives.finish()
            return lives, synced

    lives, synced = run(scene())
    assert not lives.complaints
    assert not lives.missed
    failed = next(at for at, line in enumerate(synced) if "EIO" in line)
    assert synced[failed + 1 :] == [], "a sync that failed is never tried again"


@pytest.mark.rule("CLI-9")
def test_a_sync_that_fails_at_the_start_keeps_it_from_starting(tmp_path):
    async def scene():
        open_books(tmp_path / DATABASE, Crowd(1))
        async with TelcodProcess(
            write_settings(tmp_path),
            tmp_path / "said.log",
            injection=Injection("fdatasync", "error=EIO", "1"),
        ) as process:
            return await process.exited(wait_s=TRACED_START_S)

    assert run(scene()) not in {0, *KILLED}
    said = (tmp_path / "said.log").read_text()
    assert "HTTP listens" not in said
    assert "Traceback" not in said


# ------------------------------------------------------------------------- F5: the disk is full


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("until", [40, 90])
def test_while_the_disk_is_full_the_smsc_keeps_the_texts_and_then_all_goes_on(tmp_path, until):
    crowd = Crowd(1)

    async def scene():
        behaviour = Behaviour(window=10, retry_pause_s=0.05)
        async with SimulatedSmsc(behaviour=behaviour) as smsc:
            open_books(tmp_path / DATABASE, crowd)
            async with TelcodProcess(
                write_settings(tmp_path, link(smsc)),
                tmp_path / "said.log",
                injection=Injection("pwrite64", "error=ENOSPC", f"25..{until}"),
                changed=smsc.watch.changed,
            ) as process:
                sent = [smsc.send_text(str(n), "1566", "DK")[0] for n in crowd.prepaid]
                await smsc.wait_until(
                    lambda: all(smsc.texts_to(str(n)) for n in crowd.prepaid),
                    "an answer for everybody",
                    wait_s=60,
                )
                process.terminate()
                returncode = await process.exited(wait_s=EXIT_S)
            return sent, returncode, smsc

    sent, returncode, smsc = run(scene())
    refused = [each for each in sent if len(each.statuses) > 1]
    assert refused
    for each in sent:
        *before, last = each.statuses
        assert (set(before) <= {STATUS_TRY_LATER}, last) == (True, STATUS_OK)
    assert returncode == 0
    store = SqliteStore.open(tmp_path / DATABASE)
    assert not check_books(store)
    assert [row.kind for row in store.scan(PERIOD)] == ["trial"] * len(crowd.prepaid)
    assert len(list(store.scan(MO))) == len(list(store.scan(OUTBOX_SMS))) == len(crowd.prepaid)
    store.close()
    assert all(len(smsc.texts_to(str(number))) == 1 for number in crowd.prepaid)


# ------------------------------------------------------------------------- F8: a second one


@pytest.mark.rule("CLI-9")
def test_a_second_telcod_on_the_same_file_ends_at_once_and_disturbs_nobody(tmp_path):
    crowd = Crowd(1)
    number = crowd.prepaid[0]

    async def scene():
        async with SimulatedSmsc() as smsc:
            open_books(tmp_path / DATABASE, crowd)
            config = write_settings(tmp_path, link(smsc))
            async with TelcodProcess(config, tmp_path / "first.log", changed=smsc.watch.changed):
                await smsc.wait_bound()
                async with TelcodProcess(config, tmp_path / "second.log") as second:
                    returncode = await second.exited(wait_s=EXIT_S)
                assert await smsc.send_text(str(number), "1566", "DK")[0] == STATUS_OK
                await smsc.wait_text(str(number))
                return returncode, smsc.connection_count

    assert run(scene()) == (COULD_NOT_START, 1)
    said = (tmp_path / "second.log").read_text()
    assert "in use by another telcod" in said
    assert len(said.splitlines()) == 1


# ------------------------------------------------------------------------- the very first start


async def start_twice(folder, first):
    """A first start that dies somewhere, and a second one; how these ended."""
    ends = []
    async with SimulatedSmsc() as smsc:
        config = write_settings(folder, link(smsc))
        for injection in (first, None):
            async with TelcodProcess(
                config, folder / "said.log", injection=injection, changed=smsc.watch.changed
            ) as process:
                await smsc.wait_until(
                    lambda: process.returncode is not None or bool(smsc.bound()),
                    "its end, or a bind",
                    wait_s=TRACED_START_S,
                )
                if injection is None and process.returncode is None:
                    process.terminate()
                    ends.append(await process.exited(wait_s=EXIT_S))
                else:
                    ends.append(process.returncode)
    return ends


@pytest.mark.rule("CLI-1", "CLI-6")
@pytest.mark.parametrize(
    "point",
    [
        kill_at_call("write", 2),  # The key file's, as a rule.
        kill_at_call("fsync", 1),
        kill_at_call("pwrite64", 9),
        *(
            pytest.param(point, marks=pytest.mark.thorough)
            for point in (
                kill_at_call("write", 1),
                kill_at_call("write", 3),
                kill_at_call("pwrite64", 2),  # The first page of the database.
                kill_at_call("pwrite64", 40),
                kill_at_call("fdatasync", 3),
            )
        ),
    ],
    ids=lambda point: f"{point.injection.call}-{point.injection.when}",
)
def test_killed_in_its_very_first_start_it_starts_the_next_time(tmp_path, point):
    first, second = run(start_twice(tmp_path, point.injection))
    assert first in KILLED
    assert second == 0, (tmp_path / "said.log").read_text()
    store = SqliteStore.open(tmp_path / DATABASE)
    assert not check_books(store)
    store.close()
