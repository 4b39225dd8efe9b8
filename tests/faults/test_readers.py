"""Others have the database open: one who reads for ever (F11), and our own tools beside it (F9)."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from telcod.check import check_books
from telcod.errors import Unavailable
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_OK
from telcod.storage.readers import SqliteReader
from telcod.storage.sqlite import SqliteStore
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.control import Control
from tests.faults.disk import read_trace, trace_command
from tests.faults.planted_daemon import LOUD_LOG_BYTES, SMALL_LOG_BYTES
from tests.faults.process import ROOT, TelcodProcess
from tests.faults.script import Crowd
from tests.faults.sweep import open_books

WAIT_S = 60  # Of a busy machine.
EXIT_S = 30
READER = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
db.execute("BEGIN")
print(db.execute("SELECT COUNT(*) FROM subscriber").fetchone()[0], flush=True)
sys.stdin.read()
"""
CHECKPOINTER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
print(db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
"""


ENDLESS = (
    "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n) "
    "SELECT COUNT(*) FROM (SELECT COUNT(*) FROM meta), n"
)
"""It reads the books as they are when it begins."""
BREAK_OFF_S = 0.2


class LongReader:
    """Another process that reads in a transaction until the block ends."""

    def __init__(self, path):
        self._path = path
        self._process: Any = None

    async def __aenter__(self):
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", READER, str(self._path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert int(await self._process.stdout.readline()) > 0
        return self

    async def __aexit__(self, *_):
        self._process.stdin.close()
        await self._process.wait()


class Chatter:
    """Subscribers who text one after the other until something is so."""

    def __init__(self, smsc, crowd):
        self.count = 0
        self._smsc = smsc
        self._crowd = crowd

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                texts = [self._crowd.write() for _ in range(20)]
                sent = [
                    pdu
                    for text in texts
                    for pdu in self._smsc.send_text(str(text.sender), text.short_code, text.text)
                ]
                await self._smsc.wait_until(
                    lambda sent=sent: all(pdu.statuses for pdu in sent), "answers", wait_s=WAIT_S
                )
                assert {pdu.statuses[0] for pdu in sent} == {STATUS_OK}
                self.count += len(sent)


# ------------------------------------------------------------------------- F11: reads for ever


@pytest.mark.rule("HTTP-3", "CLI-8")
@pytest.mark.thorough
def test_a_reader_that_never_ends_is_told_of_harms_nobody_and_its_log_shrinks_again(tmp_path):
    path, crowd = tmp_path / DATABASE, Crowd(1)
    log, said = path.with_name(f"{DATABASE}-wal"), tmp_path / "said.log"

    def told(event):
        return said.read_text().count(f'"event":"{event}"')

    async def scene():
        open_books(path, crowd)
        async with SimulatedSmsc() as smsc:
            config = write_settings(tmp_path, link(smsc))
            async with (
                TelcodProcess(
                    config, said, plant="small_limits_of_the_log", changed=smsc.watch.changed
                ) as process,
                Control(tmp_path) as control,
            ):
                await smsc.wait_bound(wait_s=WAIT_S)
                chatter = Chatter(smsc, crowd)
                async with LongReader(path):
                    await chatter.until(lambda: log.stat().st_size > LOUD_LOG_BYTES)
                    gauges = await control.wait_gauge(
                        "telcod_log_bytes", lambda size: size > LOUD_LOG_BYTES
                    )
                    _, status = await control.ask("/admin/v1/status")
                    loud = told("log.grows")
                await chatter.until(lambda: log.stat().st_size <= SMALL_LOG_BYTES)
                await control.wait_gauge("telcod_log_bytes", lambda size: size <= SMALL_LOG_BYTES)
                _, later = await control.ask("/admin/v1/status")
                process.terminate()
                assert await process.exited(wait_s=EXIT_S) == 0
        return gauges, status, later, loud

    gauges, status, later, loud = asyncio.run(scene())
    assert loud == told("log.grows") == 1
    assert told("log.emptied") == 1
    assert gauges["telcod_books_bytes"] > gauges["telcod_log_bytes"]
    assert (status["log_grows"], later["log_grows"]) == (True, False)
    store = SqliteStore.open(path)
    assert not check_books(store)
    store.close()


# -------------------------------------------------------------------- F9: one who checkpoints


def traced(log, *command):
    """Run a command to its end; which files of the books it wrote to."""
    done = subprocess.run(
        [*trace_command(log), sys.executable, *map(str, command)],
        check=False,
        capture_output=True,
        cwd=ROOT,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with log.open(encoding="ascii") as lines:
        acts = read_trace(lines)
    return {act.path for act in acts if act.what in {"write", "truncate", "sync"}}


# SQLite before 3.51.3 may reset a WAL wrongly when a second connection checkpoints it.
@pytest.mark.rule("CLI-6", "CLI-8")
def test_nobody_but_the_daemon_writes_or_checkpoints_the_database(tmp_path):
    path = tmp_path / DATABASE
    books = {str(path), f"{path}-wal"}
    crowd = Crowd(1)

    async def scene():
        open_books(path, crowd)
        async with SimulatedSmsc() as smsc:
            config = write_settings(tmp_path, link(smsc))
            async with TelcodProcess(config, tmp_path / "said.log", changed=smsc.watch.changed):
                await smsc.wait_bound(wait_s=WAIT_S)
                assert await smsc.send_text(str(crowd.prepaid[0]), "1566", "DK")[0] == STATUS_OK
                wrote = {
                    words[0]: await asyncio.to_thread(
                        traced, tmp_path / "tool.strace", "-m", "telcod", "--config", config, *words
                    )
                    for words in (("db", "check"), ("subscribers", "show", "0903000001"))
                }
                wrote["checkpointer"] = await asyncio.to_thread(
                    traced, tmp_path / "other.strace", "-c", CHECKPOINTER, path
                )
                return wrote

    wrote = asyncio.run(scene())
    assert wrote.pop("checkpointer") & books, "the control: who checkpoints is seen"
    assert not any(files & books for files in wrote.values()), wrote


@pytest.mark.anyio
@pytest.mark.rule("CLI-9")
async def test_a_query_of_ours_that_never_ends_is_broken_off_and_pins_nothing(tmp_path):
    path = tmp_path / DATABASE
    with contextlib.closing(SqliteStore.open(path)):
        async with SqliteReader(path, longest_s=BREAK_OFF_S) as reader:
            with pytest.raises(Unavailable, match=r"took longer than 0\.2 s"):
                await reader.rows(ENDLESS, ())
            assert await reader.rows("SELECT 1", ()) == [(1,)]
            assert _emptied(path)
        async with SqliteReader(path) as patient:
            asked = asyncio.create_task(patient.rows(ENDLESS, ()))
            after = asyncio.create_task(patient.rows("SELECT 2", ()))
            await asyncio.sleep(0)
            asked.cancel()
            assert await after == [(2,)]
            assert _emptied(path)


def _emptied(path):
    """Whether the whole log could be brought into the database: nobody reads an older state."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
