"""`telcod db`: proved, copied, migrated, while a daemon runs and when none does (CLI-6)."""

import contextlib
import re
import sqlite3
import stat

import psycopg
import pytest

from telcod.errors import NotStarted, StoreFailed
from telcod.rows import SUBSCRIBER
from telcod.storage.snapshot import BackupRefused, back_up, open_snapshot
from tests.postgres import emptied_books, server

pytestmark = pytest.mark.rule("CLI-6")
IMPORTED = "msisdn,kind,state,balance_vnd,debt_vnd,name,address,centre,email,language\n" + "".join(
    f"0904{number:06d},prepaid,active,1000,,,,1,,\n" for number in range(50)
)


@pytest.fixture
def filled(both_ways):
    both_ways.tell("subscribers", "import", both_ways.file("s.csv", IMPORTED))
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


def test_the_books_are_moved_to_a_server_and_back(place):
    place.tell("subscribers", "import", place.file("s.csv", IMPORTED))
    url = emptied_books()
    there = place.tell("db", "copy", "sqlite:telcod.db", url)
    assert there.exit_code == 0, there.stderr
    assert "subscriber" in there.stdout
    assert "all accounts together hold 0 dong" in there.stdout
    assert "telcod.db.key" in there.stderr
    back = place.tell("db", "copy", url, f"sqlite:{place.folder / 'back.db'}")
    assert back.exit_code == 0, back.stderr
    assert back.stdout == there.stdout
    again = place.tell("db", "copy", "sqlite:telcod.db", url)
    assert (again.exit_code, "rows already" in again.stderr) == (1, True)


@pytest.mark.rule("CLI-9")
def test_what_is_no_address_of_books_ends_with_3(place):
    assert place.tell("db", "copy", "mysql://a/b", "sqlite:back.db").exit_code == 3


def test_books_on_a_server_are_proved_and_brought_to_the_present_schema(place):
    place.tell("subscribers", "import", place.file("s.csv", IMPORTED))
    url = server().database()
    config = place.folder / "telcod.toml"
    said = config.read_text()
    assert place.tell("db", "copy", "sqlite:telcod.db", url).exit_code == 0
    config.write_text(re.sub(r'(?m)^url = "sqlite.*$', f'url = "{url}"', said))
    assert place.tell("db", "check").stdout == "The books are right.\n"
    assert re.fullmatch(r"Schema \d+ already.\n", place.tell("db", "migrate").stdout)
    with psycopg.connect(url) as db:
        db.execute("UPDATE account SET posted = posted + 1 WHERE id = 849040000011")
    found = place.tell("db", "check")
    assert (found.exit_code, "84904000001" in found.stdout) == (1, True)
    config.write_text(re.sub(r'(?m)^url = "sqlite.*$', f'url = "{server().database()}"', said))
    assert place.tell("db", "check").exit_code == 3
    assert re.fullmatch(r"From schema 0 to \d+.\n", place.tell("db", "migrate").stdout)
