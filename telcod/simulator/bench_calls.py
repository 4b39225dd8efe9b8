"""`scripts/bench calls`: how many calls a second go through voice over HTTP, every step committed.

Three processes, as for texts: this one, telcod as an operator runs it, and the load
(`load_calls.py`).  Then as many calls as wanted are open at once; and telcod is stopped, their ends
are lost, and it is measured how long supervision takes to close all of them.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import rss_mb
from telcod.simulator.bench_daemon import installation, load, run_of, telcod, token
from telcod.simulator.bench_options import Asked, Place, connections, measured, over_http
from telcod.simulator.load_calls import OPS, Calls, Report, keep_open, put_through

SUPERVISED_WAIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.05


@click.command()
@connections(1, 32, 64)
@measured
@click.option(
    "--open",
    "open_calls",
    type=click.IntRange(0, 1_000_000),
    default=10_000,
    show_default=True,
    help="Calls that are open at once, and then lost.",
)
def calls(*, connections: tuple[int, ...], open_calls: int, **options: Any) -> None:
    """Calls through HTTP: offer, consent, answered, progress, ended; synchronous=FULL."""
    asked = Asked(**options)

    def lose(here: Place) -> Mapping[str, Any] | None:
        if not open_calls:
            return None
        return _lose(here.base, here.books, open_calls, asked.subscribers)

    over_http(
        asked,
        connections,
        lambda here, told: _put_through(here.base, here.books, told),
        lose,
        _show,
    )


@click.command("call-load", hidden=True)
@click.argument("port", type=int)
@click.argument("token")
@click.argument("connections", type=int)
@click.argument("subscribers", type=int)
@click.argument("seconds", type=float)
@click.argument("warm_up_s", type=float)
@click.argument("open_calls", type=int)
def call_load(
    *,
    port: int,
    token: str,
    connections: int,
    subscribers: int,
    seconds: float,
    warm_up_s: float,
    open_calls: int,
) -> None:
    """The process that calls (run by `calls`)."""
    ops = OPS[:3] if open_calls else OPS
    source = Calls("telcod", token, subscribers, ops=ops, name="load-", seed=1)
    if open_calls:
        reports: tuple[Report, ...] = uvloop.run(
            keep_open(port, source, connections=connections, count=open_calls)
        )
    else:
        run = put_through(
            port, source, connections=connections, seconds=seconds, warm_up_s=warm_up_s
        )
        reports = (uvloop.run(run),)
    sys.stdout.write(json.dumps([report._asdict() for report in reports]) + "\n")


def _put_through(base: Path, books: Path, told: tuple[str, ...]) -> dict[str, Any]:
    report = run_of(base, books, told, scope="ivr", by="call-load")
    per_s = report["calls"] / report["seconds"]
    return {
        "calls_per_s": round(per_s),
        "cpu_us_each": round(1e6 * report["cpu_cores"] / max(per_s, 1e-9), 1),
        "requests_per_s": round(report["requests"] / report["seconds"]),
        **report,
    }


def _lose(base: Path, books: Path, open_calls: int, subscribers: int) -> dict[str, Any]:
    """Have calls open, stop, let their time be over, start again, and wait until all are closed."""
    folder = installation(base / "open", books)
    shown = token(folder, "ivr")
    with telcod(folder) as running:
        told = ("64", str(subscribers), "0", "0", str(open_calls))
        opening, talking = load(running, "call-load", shown, *told)
        memory_mb = rss_mb(running.process.pid)
    db = sqlite3.connect(folder / "telcod.db", isolation_level=None)
    db.execute("UPDATE call SET due_at = 1 WHERE due_at > 0")  # as if an hour had gone by
    found = _open(db)
    with telcod(folder):
        begun = time.perf_counter()
        while _open(db) and time.perf_counter() - begun < SUPERVISED_WAIT_S:
            time.sleep(LOOK_EVERY_S)
        supervised_s = time.perf_counter() - begun
    left = _open(db)
    held = db.execute("SELECT COALESCE(SUM(held), 0) FROM account").fetchone()[0]
    db.close()
    faults = [*opening["faults"], *talking["faults"]]
    if found != open_calls or left or held:
        faults.append(f"{found} calls were open, {left} still are, {held} dong is held")
    return {
        "calls": found,
        "opened_per_s": round(found / opening["seconds"]),
        "reports_per_s": round(talking["requests"] / talking["seconds"]),
        "report_ms": talking["answer_ms"]["all"],
        "rss_mb": memory_mb,
        "supervised_s": round(supervised_s, 2),
        "faults": faults,
    }


def _open(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT COUNT(*) FROM call WHERE due_at > 0").fetchone()[0])


def _show(result: Mapping[str, Any]) -> None:
    table = Table(
        title=f"calls through HTTP, {result['subscribers']:,} subscribers, "
        f"{result['cores']} cores, one durable commit here: {result['commit_ms']} ms"
    )
    columns = ("connections", "calls/s", "requests/s", "p50 ms", "p99 ms", "max ms")
    for name in (*columns, "p99 offer", "p99 consent", "p99 ended", "CPU cores", "RSS MB", "wrong"):
        table.add_column(name, justify="right")
    for run in result["runs"]:
        times = run["answer_ms"]
        cells = (
            run["connections"],
            f"{run['calls_per_s']:,}",
            f"{run['requests_per_s']:,}",
            *times["all"].values(),
            *(times[op]["p99"] for op in ("offer", "consent", "ended")),
            run["cpu_cores"],
            run["rss_mb"],
            len(run["faults"]),
        )
        table.add_row(*(str(cell) for cell in cells))
    console = Console(width=150)
    console.print(table)
    lost = result["open"]
    if lost:
        console.print(
            f"{lost['calls']:,} calls open at once: opened {lost['opened_per_s']:,}/s, then "
            f"{lost['reports_per_s']:,} reports/s of them, p99 {lost['report_ms']['p99']} ms, "
            f"{lost['rss_mb']} MB; all their ends lost: closed by supervision in "
            f"{lost['supervised_s']} s from the moment telcod listens"
        )
