"""The books in a file: who may open it, what is read back, and what goes wrong with it."""

import os
import sqlite3
import subprocess
import sys

import pytest

from telcod.errors import StoreFailed, StoreFull, StoreLocked, StoreRefused
from telcod.rows import COMMAND, META, SUBSCRIBER, Command, Meta
from telcod.storage.sqlite import SqliteStore, migrate
from telcod.tx import Changes
from tests.world import World

A = 84903000001


def put(store, table, *rows):
    store.begin()
    try:
        store.apply([Changes(table, rows, (), ())], ())
        store.commit()
    except BaseException:
        store.rollback()
        raise


def test_a_second_daemon_is_kept_out_and_the_first_goes_on(tmp_path):
    path = tmp_path / "b.db"
    with World(path) as world:
        with pytest.raises(StoreLocked):
            SqliteStore.open(path)
        script = "import sys, pathlib; from telcod.storage.sqlite import SqliteStore as S\n"
        script += "S.open(pathlib.Path(sys.argv[1]))"
        other = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
        )
        assert "StoreLocked" in other.stderr
        world.subscriber(A)
    SqliteStore.open(path).close()


def test_a_file_that_vanished_is_not_begun_anew(tmp_path):
    path = tmp_path / "b.db"
    SqliteStore.open(path).close()
    path.unlink()
    with pytest.raises(StoreFailed, match="is gone"):
        SqliteStore.open(path)
    assert not path.exists()
    path.with_name("b.db.lock").unlink()
    SqliteStore.open(path).close()


def test_somebody_elses_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "b.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    with pytest.raises(StoreFailed, match="not one of telcod's"):
        SqliteStore.open(path)
    (tmp_path / "text.db").write_text("this is no database, and never was one " * 50)
    with pytest.raises(StoreFailed):
        SqliteStore.open(tmp_path / "text.db")


def test_a_file_of_a_newer_telcod_is_refused(tmp_path):
    path = tmp_path / "b.db"
    SqliteStore.open(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreFailed, match="use the newer telcod"):
        SqliteStore.open(path)


def test_migrations_are_applied_once():
    db = sqlite3.connect(":memory:")
    applied = migrate(db)
    assert applied == sorted(applied)
    assert applied[0].startswith("0001")
    assert migrate(db) == []
    db.close()


def test_the_file_is_the_owners_and_commits_wait_for_the_disk(tmp_path):
    path = tmp_path / "new folder" / "b.db"
    store = SqliteStore.open(path)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.with_name("b.db.lock").stat().st_mode & 0o777) == "0o600"
    asked = {"journal_mode": "wal", "synchronous": 2}
    for pragma, value in asked.items():
        assert store._db.execute(f"PRAGMA {pragma}").fetchone()[0] == value
    store.close()


def test_what_was_committed_is_there_after_opening_again(tmp_path):
    path = tmp_path / "b.db"
    with World(path) as world:
        world.subscriber(A, balance_vnd=9_000)
        world.text(A, "DK7")
        before = world.contents()
        commit_ms = world.batcher.commit_ms
        world.restart()
        assert world.contents() == before
        assert world.batcher.commit_ms == commit_ms


@pytest.mark.parametrize(
    "row",
    [
        Command("k", b"", b"", 2**63),
        Command("half a pair: \ud800", b"", b"", 1),
    ],
    ids=["beyond 64 bits", "half a surrogate pair"],
)
def test_what_no_column_can_hold_is_refused_and_harms_nothing(tmp_path, row):
    store = SqliteStore.open(tmp_path / "b.db")
    with pytest.raises(StoreRefused):
        put(store, COMMAND, row)
    put(store, META, Meta("a", "b"))
    assert list(store.scan(COMMAND)) == []
    store.close()


def test_a_number_that_no_column_can_hold_is_refused_when_asked_for(tmp_path):
    store = SqliteStore.open(tmp_path / "b.db")
    with pytest.raises(StoreRefused):
        store.load(SUBSCRIBER, (2**64,))
    store.close()


def test_a_full_disk_is_said_so_and_undone(tmp_path):
    store = SqliteStore.open(tmp_path / "b.db")
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFull):
        put(store, COMMAND, *(Command(f"k{n}", bytes(200), bytes(900), 1) for n in range(200)))
    assert list(store.scan(COMMAND)) == []
    store._db.execute("PRAGMA max_page_count = 100000")
    put(store, COMMAND, Command("k", b"", b"", 1))
    assert len(list(store.scan(COMMAND))) == 1
    store.close()


def test_a_file_whose_pages_are_broken_is_not_trusted(tmp_path):
    path = tmp_path / "b.db"
    store = SqliteStore.open(path)
    put(store, COMMAND, *(Command(f"k{n}", bytes(200), bytes(900), 1) for n in range(100)))
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    broken = None
    with pytest.raises(StoreFailed):  # noqa: PT012  (it may show at opening or at writing)
        broken = SqliteStore.open(path)
        put(broken, COMMAND, *(Command(f"k{n}", b"", b"", 2) for n in range(100)))
    if broken is not None:
        broken.close()
