"""A backup comes back whole, in the present schema, and never over books that are there."""

import contextlib
import fcntl
import sqlite3
import stat

import pytest

from telcod.billing.accounts import main_account
from telcod.errors import StoreFailed, StoreLocked
from telcod.rows import ACCOUNT
from telcod.storage.restore import RestoreRefused, restore_books
from telcod.storage.snapshot import back_up, open_snapshot
from tests.world import World, shipped_rules

pytestmark = pytest.mark.rule("CLI-6")

A = 84903000001
TARIFFS = shipped_rules().tariffs


@pytest.fixture
def backup(tmp_path):
    with World(tmp_path / "old.db") as world:
        world.subscriber(A, balance_vnd=7_000)
        world.text(A, "DK")
    path = tmp_path / "backup.db"
    back_up(tmp_path / "old.db", path)
    return path


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    return folder / "telcod.db"


def left(target):
    return sorted(path.name for path in target.parent.iterdir() if path.name != "telcod.db.lock")


def test_the_books_are_there_as_they_were_and_their_owner_alone_reads_them(backup, target):
    before = backup.read_bytes()
    restored = restore_books(backup, target, TARIFFS)
    assert restored.path == target
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert backup.read_bytes() == before
    assert [name for name in left(target) if "restoring" in name] == []
    with contextlib.closing(open_snapshot(target)) as snapshot:
        [row] = [row for row in snapshot.scan(ACCOUNT) if row.id == main_account(A)]
    assert row.posted == 7_000
    with World(target) as world:
        assert world.check() == []
        assert restored.commit_ms > 0


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_what_is_there_is_never_overwritten(backup, target, ending):
    there = target.with_name(target.name + ending)
    there.write_bytes(b"precious")
    with pytest.raises(RestoreRefused, match="there already"):
        restore_books(backup, target, TARIFFS)
    assert there.read_bytes() == b"precious"
    assert left(target) == [there.name]


def test_a_backup_that_breaks_an_invariant_is_refused(backup, target):
    with contextlib.closing(sqlite3.connect(backup)) as db, db:
        db.execute("UPDATE account SET posted = posted + 1 WHERE id = ?", (main_account(A),))
    with pytest.raises(RestoreRefused, match="not right"):
        restore_books(backup, target, TARIFFS)
    assert left(target) == []


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1_000])
def test_what_is_no_backup_is_refused(tmp_path, target, content):
    path = tmp_path / "nonsense.db"
    path.write_bytes(content)
    with pytest.raises((StoreFailed, RestoreRefused)):
        restore_books(path, target, TARIFFS)
    assert left(target) == []


def test_a_backup_of_a_newer_telcod_is_refused(backup, target):
    with contextlib.closing(sqlite3.connect(backup)) as db:
        db.execute("PRAGMA user_version = 9999")
    with pytest.raises(StoreFailed, match="newer"):
        restore_books(backup, target, TARIFFS)
    assert left(target) == []


def test_the_books_of_a_daemon_are_not_touched(backup, target):
    with target.with_name("telcod.db.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreLocked):
            restore_books(backup, target, TARIFFS)
    assert left(target) == []


def test_a_restore_that_was_cut_off_is_begun_anew(backup, target):
    target.with_name(".telcod.db.restoring").write_bytes(b"half")
    restore_books(backup, target, TARIFFS)
    assert left(target) == ["telcod.db"]
