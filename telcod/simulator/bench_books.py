"""What benches begin with: books of a wanted size, and what this machine is capable of."""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from telcod.billing.accounts import OPENING, REVENUE_PACKAGE, main_account
from telcod.billing.ledger import FIRST_HASH, entry_hash
from telcod.days import DAY_MS, business_date
from telcod.rows import (
    Entry,
    Kind,
    PackageStatus,
    Period,
    State,
    Subscriber,
    Subscription,
)
from telcod.simulator.load import FIRST_MSISDN
from telcod.storage.sqlite import SqliteStore
from telcod.types import Language

OPENING_VND: Final = 100_000
DAY_VND: Final = 1_000  # What a day costs by the shipped tariff,
TARIFF: Final = "2018-09-15"  # which is called this.
_ENTRY_COLUMNS: Final = len(Entry.__struct_fields__)
COMMITS_MEASURED: Final = 200
CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SAID: Final = {
    "kind": Kind.PREPAID.value,
    "state": State.ACTIVE.value,
    "language": Language.VI.value,
    "centre": 1,
    "notices": 1,
    "life": 1,
}
USUAL: Final = tuple(_SAID.get(name, 0) for name in Subscriber.__struct_fields__)
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def make_books(path: Path, subscribers: int, *, opening_vnd: int = OPENING_VND) -> Path:
    """Books with so many prepaid subscribers, each with an opening balance, as `subscribers import`
    would make them.
    """
    SqliteStore.open(path).close()
    db = _unsynced(path)
    now_ms = time.time_ns() // 1_000_000
    chain = _Chain(now_ms)

    def entries() -> Iterator[tuple[Any, ...]]:
        for at in range(subscribers):
            number = FIRST_MSISDN + at
            yield chain.entry(
                debit=OPENING,
                credit=main_account(number),
                amount=opening_vnd,
                kind="opening",
                command=f"opening:{number}",
                debit_prev=at,
                credit_prev=0,
            )

    numbers = range(FIRST_MSISDN, FIRST_MSISDN + subscribers)
    db.execute("BEGIN")
    db.executemany(_insert("subscriber", len(USUAL)), ((number, *USUAL[1:]) for number in numbers))
    db.executemany(
        "INSERT INTO account VALUES (?, ?, 0, 0, ?)",
        ((main_account(number), opening_vnd, number - FIRST_MSISDN + 1) for number in numbers),
    )
    db.execute(
        "INSERT INTO account VALUES (?, ?, 0, NULL, ?)",
        (OPENING, -opening_vnd * subscribers, subscribers),
    )
    db.execute("REPLACE INTO meta VALUES ('commit_ms', ?)", (str(now_ms),))
    db.executemany(_insert("entry", _ENTRY_COLUMNS), entries())
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


def make_due(path: Path, subscribers: int, *, with_money: bool, due_ms: int) -> Path:
    """Books whose subscribers all have a day package, its first day paid and over at `due_ms`.

    Args:
        path: Where to.
        subscribers: How many.
        with_money: Whether the next day can be paid as well.
        due_ms: When all of it ends, Unix milliseconds.
    """
    make_books(path, subscribers, opening_vnd=OPENING_VND if with_money else DAY_VND)
    db = _unsynced(path)
    starts_ms = due_ms - DAY_MS
    last = db.execute("SELECT hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()[0]
    chain = _Chain(starts_ms, seq=subscribers, head=last)

    def charges() -> Iterator[tuple[Any, ...]]:
        for at in range(subscribers):
            number = FIRST_MSISDN + at
            yield chain.entry(
                debit=main_account(number),
                credit=REVENUE_PACKAGE,
                amount=DAY_VND,
                kind="package.day",
                command=f"bench:{number}",
                debit_prev=at + 1,
                credit_prev=subscribers + at if at else 0,
                tariff=TARIFF,
            )

    numbers = [(at, FIRST_MSISDN + at) for at in range(subscribers)]
    active = PackageStatus.ACTIVE.value
    db.execute("BEGIN")
    db.executemany(_insert("entry", _ENTRY_COLUMNS), charges())
    db.executemany(
        "UPDATE account SET posted = posted - ?, last_entry = ? WHERE id = ?",
        ((DAY_VND, subscribers + at + 1, main_account(number)) for at, number in numbers),
    )
    db.execute(
        "INSERT INTO account VALUES (?, ?, 0, NULL, ?)",
        (REVENUE_PACKAGE, DAY_VND * subscribers, 2 * subscribers),
    )
    db.executemany(
        _insert("period", len(Period.__struct_fields__)),
        (
            (number, 1, 1, "day", "paid", starts_ms, due_ms, subscribers + at + 1)
            for at, number in numbers
        ),
    )
    # A reminder is far away: what is measured is renewals.
    remind_ms = due_ms + 7 * DAY_MS
    db.executemany(
        _insert("subscription", len(Subscription.__struct_fields__)),
        (
            (number, "day", active, 0, 1, starts_ms, due_ms, due_ms, remind_ms, 0, TARIFF)
            for _, number in numbers
        ),
    )
    db.execute("REPLACE INTO meta VALUES ('commit_ms', ?)", (str(due_ms),))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


class _Chain:
    """Entries one after another, each with the hash of the one before."""

    def __init__(self, at_ms: int, *, seq: int = 0, head: bytes = FIRST_HASH) -> None:
        self._at_ms: Final = at_ms
        self._day: Final = business_date(at_ms)
        self._seq = seq
        self._head = head

    def entry(self, *, tariff: str = "", **said: Any) -> tuple[Any, ...]:
        """The next one, as the table has it."""
        self._seq += 1
        entry = Entry(
            seq=self._seq,
            event_at=self._at_ms,
            committed_at=self._at_ms,
            business_date=self._day,
            tariff=tariff,
            reverses=None,
            prev_hash=self._head,
            hash=b"",
            **said,
        )
        self._head = entry_hash(entry)
        return (*msgspec.structs.astuple(entry)[:-1], self._head)


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


def _unsynced(path: Path) -> sqlite3.Connection:
    """Whoever makes books up can make them again."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    return db


def measure_commit(path: Path) -> float:
    """The median time of one text's durable commit on this disk, in milliseconds.

    What telcod must write for it (journal, outbox, commit clock), by sqlite3 alone.
    """
    SqliteStore.open(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    times = []
    for at in range(1, COMMITS_MEASURED + 1):
        begun = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        mo = (at, 1, at, str(FIRST_MSISDN), "1566", "package.show", "KT", "package.none", bytes(16))
        db.execute(f"INSERT INTO mo VALUES ({', '.join('?' * 9)})", mo)
        sms = (at, at, at, "reply", "1566", str(FIRST_MSISDN), "x" * 130, 0, 0, 0, 0, "", "", 0, 0)
        db.execute(f"INSERT INTO outbox_sms VALUES ({', '.join('?' * len(sms))})", sms)
        db.execute("REPLACE INTO meta VALUES ('commit_ms', ?)", (str(at),))
        db.execute("COMMIT")
        times.append(time.perf_counter() - begun)
    db.close()
    return round(1_000 * sorted(times)[COMMITS_MEASURED // 2], 3)


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_mb(pid: int) -> int:
    """Memory that a process holds, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES // 1_000_000


def open_store(path: Path) -> SqliteStore:
    """The store itself, for what is done without a daemon."""
    return SqliteStore.open(path)


def read_store(path: Path) -> tuple[SqliteStore, sqlite3.Connection]:
    """The store's own questions on a connection that only reads, and that connection, to be closed.

    Without the store's lock, because the writer has that.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False)
    return SqliteStore(path, db, -1), db


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
