"""`scripts/bench sms`: how many texts a second are answered with every one of them committed, and
how fast.

Three processes: this one, telcod as an operator runs it, and the load (`load.py`).  Books of the
wanted size are made once and copied for each run.  The commit of this disk is measured beside it,
because latency is counted in commits.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.load import FIRST_MSISDN, as_json, serve_load

OPENING_VND: Final = 100_000
WAIT_S: Final = 60.0
COMMITS_MEASURED: Final = 200
CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

CONFIG: Final = """
[store]
url = "sqlite:telcod.db"
[http]
port = 0
[log]
level = "warning"
[[smpp.links]]
name = "load"
host = "127.0.0.1"
port = {port}
system_id = "telcod"
password = "secret"
short_codes = ["1566", "9223"]
window = 1000
inbound_window = 2000
"""


@click.group()
def main() -> None:
    """Measure telcod on this machine."""


@main.command()
@click.option(
    "--window",
    "windows",
    type=click.IntRange(1, 2_000),
    multiple=True,
    default=(1, 50, 200),
    show_default=True,
)
@click.option(
    "--subscribers", type=click.IntRange(1_000, 10_000_000), default=100_000, show_default=True
)
@click.option("--seconds", type=click.FloatRange(1, 3_600), default=10.0, show_default=True)
@click.option(
    "--warm-up", "warm_up_s", type=click.FloatRange(0, 60), default=2.0, show_default=True
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the books lie; its disk is measured.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), default=None)
def sms(
    windows: tuple[int, ...],
    subscribers: int,
    seconds: float,
    warm_up_s: float,
    folder: Path | None,
    json_file: Path | None,
) -> None:
    """Texts through SMPP: mixed keywords, deliver_sm_resp only after COMMIT, synchronous=FULL."""
    with tempfile.TemporaryDirectory(prefix="telcod-bench-", dir=folder) as name:
        base = Path(name)
        books = make_books(base / "books.db", subscribers)
        commit_ms = measure_commit(base / "commit.db")
        runs = [_run(base, books, window, subscribers, seconds, warm_up_s) for window in windows]
    result = {
        "subscribers": subscribers,
        "seconds": seconds,
        "commit_ms": commit_ms,
        "cores": os.cpu_count(),
        "runs": runs,
    }
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    _show(result)


@main.command(hidden=True)
@click.argument("window", type=int)
@click.argument("subscribers", type=int)
@click.argument("seconds", type=float)
@click.argument("warm_up_s", type=float)
def load(window: int, subscribers: int, seconds: float, warm_up_s: float) -> None:
    """The process that sends (run by `sms`)."""

    def told(port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    report = uvloop.run(
        serve_load(
            window=window,
            subscribers=subscribers,
            seconds=seconds,
            warm_up_s=warm_up_s,
            port_told=told,
        )
    )
    sys.stdout.write(as_json(report) + "\n")


def make_books(path: Path, subscribers: int) -> Path:
    """Books with so many prepaid subscribers, each with an opening balance, as `subscribers import`
    would make them.
    """
    from telcod.billing.accounts import OPENING, main_account
    from telcod.billing.ledger import FIRST_HASH, entry_hash
    from telcod.days import business_date
    from telcod.rows import Entry
    from telcod.storage.sqlite import SqliteStore

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
        "INSERT INTO subscriber VALUES (?, 'prepaid', 'active', 'vi', 1, 1, 0, 1, 0)",
        ((number,) for number in numbers),
    )
    db.executemany(
        "INSERT INTO account VALUES (?, ?, 0, 0, ?)",
        ((main_account(number), OPENING_VND, number - FIRST_MSISDN + 1) for number in numbers),
    )
    db.execute(
        "INSERT INTO account VALUES (?, ?, 0, NULL, ?)",
        (OPENING, -OPENING_VND * subscribers, subscribers),
    )
    db.executemany(f"INSERT INTO entry VALUES ({', '.join('?' * 15)})", entries())
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


def measure_commit(path: Path) -> float:
    """The median time of one text's durable commit on this disk, in milliseconds.

    What telcod must write for it (journal, outbox, commit clock), by sqlite3 alone.
    """
    from telcod.storage.sqlite import SqliteStore

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


@contextmanager
def _telcod(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "telcod.toml").write_text(CONFIG.format(port=port))
    log = (folder / "log").open("wb")
    command = [sys.executable, "-m", "telcod", "run", "--config", str(folder / "telcod.toml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def _run(
    base: Path, books: Path, window: int, subscribers: int, seconds: float, warm_up_s: float
) -> dict[str, Any]:
    folder = base / f"window-{window}"
    folder.mkdir()
    shutil.copy(books, folder / "telcod.db")
    arguments = [str(window), str(subscribers), str(seconds), str(warm_up_s)]
    loader = subprocess.Popen(
        [sys.executable, "-m", "telcod.simulator.bench", "load", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    if loader.stdout is None:
        raise click.ClickException("the load did not start")
    port = int(loader.stdout.readline())
    with _telcod(folder, port) as telcod:
        begun, usage = time.perf_counter(), _cpu_s(telcod.pid)
        line = loader.stdout.readline()
        cpu = (_cpu_s(telcod.pid) - usage) / (time.perf_counter() - begun)
        rss_mb = _rss_mb(telcod.pid)
        loader.wait()
    if not line:
        raise click.ClickException(
            "the load ended without a report; telcod said:\n"
            + (folder / "log").read_text()[-2_000:]
        )
    report = json.loads(line)
    shutil.rmtree(folder)
    return {
        "window": window,
        "texts_per_s": round(report["answered"] / report["seconds"]),
        "cpu_cores": round(cpu, 2),
        "rss_mb": rss_mb,
        **report,
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def _rss_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES // 1_000_000


def _show(result: dict[str, Any]) -> None:
    table = Table(
        title=f"texts through SMPP, {result['subscribers']:,} subscribers, "
        f"{result['cores']} cores, one durable commit here: {result['commit_ms']} ms"
    )
    for name in (
        "window",
        "texts/s",
        "p50 resp ms",
        "p99 resp ms",
        "p50 answer ms",
        "p99 answer ms",
        "CPU cores",
        "RSS MB",
        "refused",
        "missing",
        "doubled",
    ):
        table.add_column(name, justify="right")
    for run in result["runs"]:
        response, answer = run["response_ms"], run["answer_ms"]
        cells = (
            run["window"],
            f"{run['texts_per_s']:,}",
            response.get("p50"),
            response.get("p99"),
            answer.get("p50"),
            answer.get("p99"),
            run["cpu_cores"],
            run["rss_mb"],
            run["refused"],
            run["missing"],
            run["doubled"],
        )
        table.add_row(*(str(cell) for cell in cells))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
