"""The database is gone, emptied, read-only, or taken away while telcod runs (F6).

It never begins an empty one in its place, and never says that something is kept which is not.
"""

import asyncio
from functools import partial

import pytest

from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_OK, STATUS_TRY_LATER, Behaviour
from telcod.storage.sqlite import SqliteStore
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.process import TRACED_START_S, Injection, TelcodProcess
from tests.faults.script import Crowd
from tests.faults.sweep import Point, Sweep, open_books

COULD_NOT_START = 3
EXIT_S = 30
WAIT_S = 60  # Of a busy machine.


async def start(folder, injection=None):
    """Start and wait for its end; the exit code, and what it said."""
    said = folder / "said.log"
    async with TelcodProcess(write_settings(folder), said, injection=injection) as process:
        return await process.exited(wait_s=TRACED_START_S), said.read_text()


@pytest.mark.rule("CLI-1", "CLI-9")
@pytest.mark.thorough  # In this process: tests/storage/test_sqlite.py.
def test_books_that_are_gone_are_not_begun_anew(tmp_path):
    path = tmp_path / DATABASE
    open_books(path, Crowd(1))
    path.unlink()
    code, said = asyncio.run(start(tmp_path))
    assert code == COULD_NOT_START
    assert "is gone" in said
    assert len(said.splitlines()) == 1
    assert not path.exists()


@pytest.mark.rule("CLI-9")
@pytest.mark.parametrize("error", ["EROFS", pytest.param("EACCES", marks=pytest.mark.thorough)])
def test_books_that_it_may_not_write_keep_it_from_starting(tmp_path, error):
    path = tmp_path / DATABASE
    open_books(path, Crowd(1))
    before = path.read_bytes()
    code, said = asyncio.run(
        start(tmp_path, Injection("openat", f"error={error}", "1+", path)),
    )
    assert code == COULD_NOT_START
    assert DATABASE in said
    assert "Traceback" not in said
    assert path.read_bytes() == before


@pytest.mark.rule("SMPP-2", "CLI-9")
@pytest.mark.thorough
@pytest.mark.parametrize("what", ["error=EROFS", "error=EIO"])
def test_a_disk_that_becomes_read_only_ends_it_and_loses_nothing(tmp_path, what):
    async def scene():
        async with Sweep(tmp_path) as lives:
            failing = Injection("pwrite64", what, "40+")
            await lives.kill([Point(failing, ends=frozenset({COULD_NOT_START}), refuses=True)])
            await lives.finish()
            return lives

    lives = asyncio.run(scene())
    assert not [each for each in lives.complaints if not each.startswith("start: took")]
    assert not lives.missed


@pytest.mark.rule("SMPP-2", "CLI-9")
@pytest.mark.parametrize(
    "replaced", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["removed", "replaced"]
)
def test_when_its_books_are_taken_away_while_it_runs_it_takes_nothing_more_and_ends(
    tmp_path, replaced
):
    path, crowd = tmp_path / DATABASE, Crowd(1)
    number = str(crowd.prepaid[0])

    async def scene():
        async with SimulatedSmsc(behaviour=Behaviour(retry_pause_s=0.05)) as smsc:
            open_books(path, crowd)
            copy = path.read_bytes()
            async with TelcodProcess(
                write_settings(tmp_path, link(smsc)),
                tmp_path / "said.log",
                changed=smsc.watch.changed,
            ) as process:
                await smsc.wait_bound(wait_s=WAIT_S)
                first = smsc.send_text(number, "1566", "KT")[0]
                assert await first == STATUS_OK
                await smsc.wait_text(number, wait_s=WAIT_S)
                path.unlink()
                if replaced:
                    path.write_bytes(copy)
                statuses: list[int] = []
                async with asyncio.timeout(WAIT_S):
                    while process.returncode is None and smsc.bound():
                        sent = smsc.send_text(number, "1566", f"KT {len(statuses)}")[0]
                        await smsc.wait_until(
                            partial(lambda it: bool(it.statuses) or not smsc.bound(), sent),
                            "an answer",
                        )
                        statuses += sent.statuses[:1]
                return await process.exited(wait_s=EXIT_S), statuses

    code, statuses = asyncio.run(scene())
    assert code == COULD_NOT_START
    # Once it knows, it takes nothing more.
    first_no = statuses.index(STATUS_TRY_LATER) if STATUS_TRY_LATER in statuses else len(statuses)
    assert STATUS_OK not in statuses[first_no:]
    said = (tmp_path / "said.log").read_text()
    assert ("was replaced" if replaced else "was removed") in said
    assert "Traceback" not in said
    if replaced:
        SqliteStore.open(path).close()
    else:
        assert not path.exists()
