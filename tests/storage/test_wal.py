"""A log that can't be read as far as it was committed is told from one whose end was torn (F7)."""

import random
import shutil
import sqlite3
from typing import Any

import pytest

from telcod.errors import StoreFailed, StoreFull
from telcod.rows import COMMAND, Command
from telcod.storage.sqlite import SqliteStore
from telcod.storage.wal import frames_committed
from telcod.tx import Changes

COMMITS = 12
HEADER_BYTES, FRAME_BYTES = 32, 24 + 4096


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """Books as a crash leaves them: all commits but the first ones are in the log."""
    folder = tmp_path_factory.mktemp("crashed")
    SqliteStore.open(folder / "b.db").close()
    store = SqliteStore.open(folder / "b.db")
    ends = []
    for number in range(COMMITS):
        store.begin()
        row = Command(f"k{number}", b"h", bytes(3_000), 1)
        store.apply([Changes(COMMAND, [row], [], [])], ())
        store.commit()
        ends.append(((folder / "b.db-wal").stat().st_size - HEADER_BYTES) // FRAME_BYTES)
    files = {name: (folder / name).read_bytes() for name in ("b.db", "b.db-wal", "b.db.lock")}
    store.close()
    return files, ends


def opened(folder, files):
    """How many of the commits are there after the next start."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    store = SqliteStore.open(folder / "b.db")
    count = len(list(store.scan(COMMAND)))
    store.close()
    return count


def opened_or_refused(folder, files):
    """The same; None if the log is said to be damaged."""
    try:
        return opened(folder, files)
    except StoreFailed as error:
        return None if "damaged" in str(error) else str(error)


def test_all_but_the_last_commit_are_known_to_have_been_synced(crashed):
    files, ends = crashed
    assert frames_committed(memoryview(files["b.db-wal"]), 4096) == ends[-2]


@pytest.mark.parametrize("size", [0, 10, 32, 56, 32 + 4120])
def test_of_a_log_that_has_hardly_begun_nothing_is_known(crashed, size):
    assert frames_committed(memoryview(crashed[0]["b.db-wal"][:size]), 4096) == 0


@pytest.mark.rule("CLI-6", "SMPP-2")
@pytest.mark.parametrize("flips", [30, pytest.param(1_500, marks=pytest.mark.thorough)])
def test_a_flipped_bit_of_the_log_never_leaves_a_synced_commit_out_in_silence(
    tmp_path, crashed, flips
):
    files, ends = crashed
    last_begins = HEADER_BYTES + ends[-2] * FRAME_BYTES
    dice = random.Random(flips)
    refused = 0
    for _ in range(flips):
        log = bytearray(files["b.db-wal"])
        at = dice.randrange(HEADER_BYTES) if dice.random() < 0.1 else dice.randrange(len(log))
        log[at] ^= 1 << dice.randrange(8)
        count = opened_or_refused(tmp_path / "flipped", files | {"b.db-wal": bytes(log)})
        refused += count is None
        # The last commit can't be told from one that a power cut tore.
        assert count in {None, COMMITS} or (at >= last_begins and count == COMMITS - 1), at
    assert refused > flips // 2


@pytest.mark.rule("CLI-6", "SMPP-2")
@pytest.mark.parametrize("byte", range(24))
def test_a_flip_in_the_head_of_the_last_synced_commit_is_told(tmp_path, crashed, byte):
    """Its own checksums, salts and size among them; only what says nothing may be harmless."""
    files, ends = crashed
    at = HEADER_BYTES + (ends[-2] - 1) * FRAME_BYTES + byte
    log = bytearray(files["b.db-wal"])
    for bit in range(8):
        log[at] ^= 1 << bit
        assert frames_committed(memoryview(log), 4096) == ends[-2], bit
        log[at] ^= 1 << bit
    log[at] ^= 1
    assert opened_or_refused(tmp_path / "flipped", files | {"b.db-wal": bytes(log)}) is None


@pytest.mark.rule("CLI-6")
def test_a_torn_end_is_left_out_and_the_rest_is_there(tmp_path, crashed):
    files, ends = crashed
    for lost in range(0, (ends[-1] - ends[-2]) * FRAME_BYTES, 512):
        log = files["b.db-wal"][: len(files["b.db-wal"]) - lost]
        expected = COMMITS if lost == 0 else COMMITS - 1
        assert opened(tmp_path / "torn", files | {"b.db-wal": log}) == expected


@pytest.mark.rule("CLI-1", "CLI-9")
def test_books_that_were_emptied_are_not_begun_anew(tmp_path):
    path = tmp_path / "b.db"
    SqliteStore.open(path).close()
    path.write_bytes(b"")
    with pytest.raises(StoreFailed, match="held books"):
        SqliteStore.open(path)


class FullIndex:
    """A connection whose COMMIT fails as SQLite's does when the log's index finds no room."""

    def __init__(self, db):
        self._db = db

    def __getattr__(self, name):
        return getattr(self._db, name)

    def execute(self, sql, *values):
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
            raise error
        return self._db.execute(sql, *values)


@pytest.mark.rule("SMPP-2")
def test_no_room_for_the_logs_index_is_a_full_disk_and_no_broken_one(tmp_path):
    store = SqliteStore.open(tmp_path / "b.db")
    full: Any = FullIndex(store._db)
    whole, store._db = store._db, full
    store.begin()
    with pytest.raises(StoreFull):
        store.commit()
    store.rollback()
    store._db = whole
    store.begin()
    store.commit()
    store.close()
