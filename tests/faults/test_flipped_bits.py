"""A bit of the database is not what was written (F7): who asks is told, and money is never guessed.

SQLite's pages bear no checksums.  The structure of the file, and all that says who has how much, is
proved by other rows; the words of a text, a number on a list, or when a trial that was given up
would have ended, are proved by nothing.
"""

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys

import pytest

from telcod.check import check_books
from telcod.days import DAY_MS
from telcod.storage.snapshot import open_snapshot
from tests.e2e.harness import DATABASE, write_settings
from tests.faults.process import ROOT, TRACED_START_S, TelcodProcess
from tests.faults.script import Crowd
from tests.world import World, shipped_rules

PROVED = ("account", "entry", "hold", "audit")
TEXTS = 250
COULD_NOT_START = 3
NOT_FINE = 1
PAGE_BYTES = 4096
HARMLESS, FOUND, UNSEEN = "harmless", "found", "unseen"


def books_of_a_crowd(path):
    """The books of some days, in one file."""
    crowd = Crowd(1)
    with World(path) as world:
        world.import_(*crowd.subscriber_lines())
        for number in range(TEXTS):
            text = crowd.write()
            world.text(text.sender, text.text, code=text.short_code)
            if number % 50 == 0:
                world.pass_time(DAY_MS)
        assert not world.check()
    return path.read_bytes()


def rows_of(path):
    """The rows of each table, or what SQLite says of it."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        db.text_factory = bytes
        tables = [
            name.decode()
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        found = {}
        for table in tables:
            try:
                rows = db.execute(f"SELECT * FROM {table}")  # noqa: S608  (a name of our own)
                found[table] = sorted(map(repr, rows))
            except (sqlite3.Error, UnicodeDecodeError) as error:
                found[table] = [str(error)]
        return found


def proved(path):
    """What `telcod db check` finds."""
    with contextlib.closing(open_snapshot(path)) as snapshot:
        return snapshot.complaints() or check_books(snapshot, tariffs=shipped_rules().tariffs)


def outcome(path, whole):
    """What became of a flipped bit; which tables it changed without anybody seeing it."""
    try:
        if proved(path):
            return FOUND, ()
    except Exception:  # noqa: BLE001  # Whatever is raised, it is not silent.
        return FOUND, ()
    rows = rows_of(path)
    changed = tuple(table for table in whole if rows.get(table) != whole[table])
    return (UNSEEN if changed else HARMLESS), changed


@pytest.mark.rule("CLI-6")
@pytest.mark.parametrize(
    "flips",
    [60, pytest.param(4_000, marks=[pytest.mark.thorough, pytest.mark.timeout(900)])],
)
def test_a_flipped_bit_never_changes_money_unseen(tmp_path, flips):
    content = books_of_a_crowd(tmp_path / "whole.db")
    whole = rows_of(tmp_path / "whole.db")
    assert whole.keys() >= set(PROVED)
    dice = random.Random(flips)
    path = tmp_path / "flipped.db"
    seen = []
    for _ in range(flips):
        flipped = bytearray(content)
        at, bit = dice.randrange(len(flipped)), dice.randrange(8)
        flipped[at] ^= 1 << bit
        path.write_bytes(flipped)
        what, changed = outcome(path, whole)
        seen.append(what)
        assert set(changed).isdisjoint(PROVED), f"bit {bit} of octet {at}"
    print({what: seen.count(what) for what in (HARMLESS, FOUND, UNSEEN)})
    assert seen.count(FOUND) > flips // 50, "some must be found, or nothing looks"


@pytest.mark.rule("CLI-6", "CLI-9")
def test_a_broken_page_is_told_by_the_check_and_keeps_telcod_from_starting(tmp_path):
    path = tmp_path / DATABASE
    content = bytearray(books_of_a_crowd(path))
    with contextlib.closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()
    content[(root - 1) * PAGE_BYTES] ^= 0x40  # The page's type: what telcod reads first at start.
    path.write_bytes(content)
    config = write_settings(tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "telcod", "--config", str(config), "db", "check"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert checked.returncode in {NOT_FINE, COULD_NOT_START}
    assert "malformed" in checked.stdout + checked.stderr
    assert "Traceback" not in checked.stderr

    async def start():
        async with TelcodProcess(config, tmp_path / "said.log") as process:
            return await process.exited(wait_s=TRACED_START_S)

    assert asyncio.run(start()) == COULD_NOT_START
    said = (tmp_path / "said.log").read_text()
    assert "malformed" in said
    assert "Traceback" not in said
