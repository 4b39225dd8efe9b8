"""What benches begin with: books of a wanted size, and what this machine is capable of."""

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from telcod.billing.accounts import OPENING, main_account
from telcod.billing.ledger import FIRST_HASH, entry_hash
from telcod.days import business_date
from telcod.rows import Entry, Kind, State, Subscriber
from telcod.simulator.load import FIRST_MSISDN
from telcod.storage.sqlite import SqliteStore
from telcod.types import Language

OPENING_VND: Final = 100_000
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


def make_books(path: Path, subscribers: int) -> Path:
    """Books with so many prepaid subscribers, each with an opening balance, as `subscribers import`
    would make them.
    """
    SqliteStore.open(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    now_ms = time.time_ns() // 1_000_000
    today = business_date(now_ms)

    def entries() -> Iterator[tuple[Any, ...]]:
        head = FIRST_HASH
        for at in range(subscribers):
            account = main_account(FIRST_MSISDN + at)
            entry = Entry(
                seq=at + 1,
                debit=OPENING,
                credit=account,
                amount=OPENING_VND,
                kind="opening",
                command=f"opening:{FIRST_MSISDN + at}",
                event_at=now_ms,
                committed_at=now_ms,
                business_date=today,
                tariff="",
                reverses=None,
                debit_prev=at,
                credit_prev=0,
                prev_hash=head,
                hash=b"",
            )
            head = entry_hash(entry)
            yield (*tuple(getattr(entry, name) for name in Entry.__struct_fields__[:-1]), head)

    numbers = range(FIRST_MSISDN, FIRST_MSISDN + subscribers)
    db.execute("BEGIN")
    db.executemany(
        f"INSERT INTO subscriber VALUES ({', '.join('?' * len(USUAL))})",
        ((number, *USUAL[1:]) for number in numbers),
    )
    db.executemany(
        "INSERT INTO account VALUES (?, ?, 0, 0, ?)",
        ((main_account(number), OPENING_VND, number - FIRST_MSISDN + 1) for number in numbers),
    )
    db.execute(
        "INSERT INTO account VALUES (?, ?, 0, NULL, ?)",
        (OPENING, -OPENING_VND * subscribers, subscribers),
    )
    marks = ", ".join("?" * 15)
    db.executemany(f"INSERT INTO entry VALUES ({marks})", entries())
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


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
        sms = (at, at, at, "reply", "1566", str(FIRST_MSISDN), "x" * 130, 0, 0, 0, 0, "", "", 0)
        db.execute(f"INSERT INTO outbox_sms VALUES ({', '.join('?' * 14)})", sms)
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
