"""`telcod db`: proved, copied, migrated, while a daemon runs and when none does (CLI-6)."""

import contextlib
import sqlite3
import stat

import pytest

from telcod.errors import NotStarted, StoreFailed
from telcod.rows import SUBSCRIBER
from telcod.storage.snapshot import BackupRefused, back_up, open_snapshot

pytestmark = pytest.mark.rule("CLI-6")


@pytest.fixture
def filled(both_ways):
    lines = "".join(f"0904{number:06d},prepaid,active,1000,,,,1,,\n" for number in range(50))
    header = "msisdn,kind,state,balance_vnd,debt_vnd,name,address,centre,email,language\n"
    both_ways.tell("subscribers", "import", both_ways.file("s.csv", header + lines))
    return both_ways


def test_right_books_are_said_to_be_right(filled):
    found = filled.tell("db", "check")
    assert (found.exit_code, found.stdout) == (0, "The books are right.\n")


def test_a_violation_is_listed_and_ends_with_1(filled):
    with contextlib.closing(sqlite3.connect(filled.folder / "telcod.db")) as db, db:
        db.execute("UPDATE account SET posted = posted + 1 WHERE id = 849040000011")
    found = filled.tell("db", "check")
    assert found.exit_code == 1
    assert "84904000001" in found.stdout
    assert "restore a backup" in found.stderr


@pytest.mark.rule("CLI-9")
def test_without_a_database_there_is_nothing_to_check(place):
    assert place.tell("db", "check").exit_code == 3


def test_a_backup_is_one_whole_file_that_only_its_owner_reads(filled):
    path = filled.folder / "copy.db"
    done = filled.tell("db", "backup", path)
    assert done.exit_code == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in filled.folder.glob("*copy*")] == ["copy.db"]
    with contextlib.closing(open_snapshot(path)) as snapshot:
        assert snapshot.complaints() == []
        assert sum(1 for _ in snapshot.scan(SUBSCRIBER)) == 50


def test_a_file_that_is_there_is_never_overwritten(filled):
    path = filled.file("copy.db", "precious")
    done = filled.tell("db", "backup", path)
    assert done.exit_code == 1
    assert "exists already" in done.stderr
    assert path.read_text() == "precious"


@pytest.mark.rule("CLI-9")
def test_a_backup_into_a_folder_that_is_not_there_is_told(filled):
    done = filled.tell("db", "backup", filled.folder / "no" / "copy.db")
    assert done.exit_code == 1
    assert "can't be written" in done.stderr


def test_a_snapshot_sees_one_moment_whatever_is_written_meanwhile(filled):
    with contextlib.closing(open_snapshot(filled.folder / "telcod.db")) as snapshot:
        filled.tell("subscribers", "set-state", "0904000001", "suspended")
        states = {row.state for row in snapshot.scan(SUBSCRIBER)}
    assert states == {"active"}


def test_a_half_backup_never_bears_the_name(tmp_path):
    source = tmp_path / "broken.db"
    source.write_bytes(b"SQLite format 3\x00" + bytes(5_000))
    with pytest.raises(StoreFailed):
        back_up(source, tmp_path / "copy.db")
    with pytest.raises(NotStarted):
        back_up(tmp_path / "nothing.db", tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy*"))


def test_two_backups_to_one_name_at_once_are_refused(tmp_path):
    (tmp_path / ".copy.db.part").touch()
    with pytest.raises(BackupRefused, match="under way"):
        back_up(tmp_path / "telcod.db", tmp_path / "copy.db")


def test_migrate_brings_a_new_file_to_the_present_schema_and_then_does_nothing(place):
    first, again = (place.tell("db", "migrate").stdout for _ in range(2))
    assert first.startswith("From schema 0 to ")
    assert again.endswith(" already.\n")
