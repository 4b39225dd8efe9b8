"""Books that move to another database arrive whole, proved, or not at all."""

import contextlib
import fcntl
import sqlite3
import stat

import msgspec
import psycopg
import pytest

from telcod.billing.accounts import main_account
from telcod.errors import NotStarted, StoreLocked
from telcod.rows import ACCOUNT, META, MO, SUBSCRIBER, TABLES, Meta
from telcod.storage.copy import CopyRefused, copy_books
from telcod.storage.postgres import PostgresStore
from telcod.storage.snapshot import open_snapshot
from telcod.tx import Changes
from tests.console.world import CareWorld
from tests.postgres import emptied_books, server
from tests.world import World, shipped_rules

pytestmark = pytest.mark.rule("CLI-6")

A = 84903000001
TARIFFS = shipped_rules().tariffs


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A file with something in most tables."""
    path = tmp_path_factory.mktemp("filled") / "books.db"
    with CareWorld(path) as world:
        for text in ("DK", "W 0903000002", "KT", "HUY", "DK7", "MK abcd1"):
            world.text(A, text)
        world.contradictory()
        world.in_review()
        world.suspect_call()
        world.set_aside()
        world.settle_all()
    return path


def contents(where):
    if isinstance(where, str):
        with contextlib.closing(PostgresStore.open(where)) as store:
            return {table.name: list(store.scan(table)) for table in TABLES}
    with contextlib.closing(open_snapshot(where)) as snapshot:
        return {table.name: list(snapshot.scan(table)) for table in TABLES}


def copy(source, target, folder):
    source, target = (
        each if isinstance(each, str) else f"sqlite:{each}" for each in (source, target)
    )
    return copy_books(source, target, TARIFFS, folder=folder)


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_books_go_to_a_server_and_back_and_are_the_same_books(filled, tmp_path):
    before, url, back = filled.read_bytes(), emptied_books(), tmp_path / "back.db"
    there = copy(filled, url, tmp_path)
    again = copy(url, back, tmp_path)
    assert left(tmp_path) == ["back.db"]
    assert there == again
    assert contents(filled) == contents(url) == contents(back)
    assert filled.read_bytes() == before
    assert (there.posted_vnd, there.pictured, len(there.entry_head)) == (0, 0, 64)
    rows = {table.name: table.rows for table in there.tables}
    assert rows["subscriber"] == 3
    assert min(rows[name] for name in ("entry", "mo", "call", "payment", "quarantine", "audit")) > 0
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    answers = []
    for where in (url, back):  # They are served on.
        with World(where) as world:
            answers.append(world.text(A, "KT"))
            assert world.check() == []
    assert answers[0] == answers[1]
    assert answers[0].outcome != "ours.sorry"


def test_books_of_many_rows_go_over_in_pieces(tmp_path):
    path, url = tmp_path / "many.db", emptied_books()
    with World(path) as world:
        for first in range(0, 3_000, 1_000):
            world.import_(*({"msisdn": A + first + n, "balance_vnd": 1_000} for n in range(1_000)))
    copied = copy(path, url, tmp_path)
    assert {table.rows for table in copied.tables if table.name == "subscriber"} == {3_000}
    assert contents(path) == contents(url)


@pytest.mark.parametrize("what", ["books", "a fact"])
def test_a_server_that_has_rows_is_left_as_it_is(filled, tmp_path, what):
    url = emptied_books()
    if what == "books":
        with World(url) as world:
            world.subscriber(A)
    else:
        with contextlib.closing(PostgresStore.open(url)) as store:
            store.begin()
            store.apply([Changes(META, (Meta("a", "b"),), (), ())], ())
            store.commit()
    before = contents(url)
    with pytest.raises(CopyRefused, match="rows already"):
        copy(filled, url, tmp_path)
    assert contents(url) == before


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_file_that_is_there_is_left_as_it_is(filled, tmp_path, ending):
    there = tmp_path / f"back.db{ending}"
    there.write_bytes(b"precious")
    with pytest.raises(CopyRefused, match="there already"):
        copy(filled, tmp_path / "back.db", tmp_path)
    assert there.read_bytes() == b"precious"
    assert left(tmp_path) == [there.name]


def test_books_that_a_daemon_writes_are_not_copied(filled, tmp_path):
    url = emptied_books()
    with filled.with_name("books.db.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreLocked):
            copy(filled, url, tmp_path)
    with World(url) as world:
        world.subscriber(A)
        with pytest.raises(StoreLocked):
            copy(url, tmp_path / "back.db", tmp_path)
    assert left(tmp_path) == []


def test_books_that_are_not_right_do_not_arrive(filled, tmp_path):
    path, url = tmp_path / "wrong.db", emptied_books()
    path.write_bytes(filled.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE account SET posted = posted + 1 WHERE id = ?", (main_account(A),))
    with pytest.raises(CopyRefused, match="not right"):
        copy(path, url, tmp_path)
    assert not any(contents(url).values())
    with pytest.raises(CopyRefused, match="not right"):
        copy(path, tmp_path / "back.db", tmp_path)
    assert [name for name in left(tmp_path) if "back" in name] == []


def test_a_copy_that_is_not_the_same_does_not_stand(filled, tmp_path):
    """A trigger at the target that changes what arrives."""
    url = server().books()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.route = 'spoiled'; RETURN NEW; END $$;"
            "CREATE TRIGGER spoils BEFORE INSERT ON mo FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    with pytest.raises(CopyRefused, match="not the same"):
        copy(filled, url, tmp_path)
    assert not any(contents(url).values())


def test_a_nul_in_a_text_is_a_picture_of_one_on_a_server(filled, tmp_path):
    path, url = tmp_path / "nul.db", emptied_books()
    path.write_bytes(filled.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE mo SET text = 'K' || char(0) || 'T' WHERE seq = 1")
    assert copy(path, url, tmp_path).pictured == 1
    assert contents(url)[MO.name][0].text == "K\u2400T"
    assert copy(path, tmp_path / "back.db", tmp_path).pictured == 0
    assert contents(tmp_path / "back.db")[MO.name][0].text == "K\0T"


def test_a_nul_in_a_hashed_row_keeps_the_books_where_they_are(filled, tmp_path):
    path, url = tmp_path / "nul.db", emptied_books()
    path.write_bytes(filled.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER audit_no_update")
        db.execute("UPDATE audit SET detail = char(0) WHERE seq = 1")
    with pytest.raises(CopyRefused, match="audit 1 has a NUL"):
        copy(path, url, tmp_path)


def test_books_of_an_older_schema_are_migrated_first(filled, tmp_path):
    path = tmp_path / "old.db"
    path.write_bytes(filled.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 3")
    with pytest.raises(NotStarted, match="schema 3"):
        copy(path, emptied_books(), tmp_path)


@pytest.mark.parametrize("url", ["mysql://x/y", "/var/lib/books.db", "sqlite:nowhere.db"])
def test_what_is_no_address_of_books_is_told(tmp_path, url):
    with pytest.raises(NotStarted):
        copy(url, tmp_path / "back.db", tmp_path)
    assert left(tmp_path) == []


def test_a_copy_that_was_cut_off_is_begun_anew(filled, tmp_path):
    (tmp_path / ".back.db.copying").write_bytes(b"half")
    copy(filled, tmp_path / "back.db", tmp_path)
    assert left(tmp_path) == ["back.db"]
    rows = contents(tmp_path / "back.db")
    assert len(rows[SUBSCRIBER.name]) == 3
    assert sum(msgspec.structs.astuple(row)[1] for row in rows[ACCOUNT.name]) == 0
