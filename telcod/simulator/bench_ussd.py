"""`scripts/bench ussd`: how many steps of dialogues a second go through USSD over HTTP, every step
committed, and what open dialogues cost.

Three processes, as for texts: this one, telcod as an operator runs it, and the load
(`load_ussd.py`).
"""

import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import cpu_s, make_books, measure_commit, rss_mb
from telcod.simulator.bench_daemon import installation, load, telcod, token
from telcod.simulator.load_ussd import DIAL, WALK, WALKS, Dialogues, keep_open, walk

if TYPE_CHECKING:
    from telcod.simulator.load_calls import Report

OPEN_CONNECTIONS: Final = 64
_SHOWN: Final = (DIAL, WALK, *(name for name, _ in WALKS))


@click.command()
@click.option(
    "--connections",
    type=click.IntRange(1, 900),
    multiple=True,
    default=(1, 32, 64, 128),
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
    "--open",
    "open_sessions",
    type=click.IntRange(0, 1_000_000),
    default=50_000,
    show_default=True,
    help="Dialogues that are open at once.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the books lie; its disk is measured.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), default=None)
def ussd(
    *,
    connections: tuple[int, ...],
    subscribers: int,
    seconds: float,
    warm_up_s: float,
    open_sessions: int,
    folder: Path | None,
    json_file: Path | None,
) -> None:
    """Dialogues through HTTP: `*1566#`, then to a package, a list, the charges; all committed."""
    with tempfile.TemporaryDirectory(prefix="telcod-bench-", dir=folder) as name:
        base = Path(name)
        books = make_books(base / "books.db", subscribers)
        commit_ms = measure_commit(base / "commit.db")
        runs = []
        for lines in connections:
            told = (str(lines), str(subscribers), str(seconds), str(warm_up_s))
            runs.append({"connections": lines, **_walk(base, books, told)})
        left = _leave(base, books, open_sessions, subscribers) if open_sessions else None
    result = {
        "subscribers": subscribers,
        "seconds": seconds,
        "commit_ms": commit_ms,
        "cores": os.cpu_count(),
        "runs": runs,
        "open": left,
    }
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    _show(result)
    faults = [fault for run in runs for fault in run["faults"]] + (left["faults"] if left else [])
    if faults:
        raise click.ClickException(f"not every dialogue went as it must: {faults[0]}")


@click.command("ussd-load", hidden=True)
@click.argument("port", type=int)
@click.argument("token")
@click.argument("connections", type=int)
@click.argument("subscribers", type=int)
@click.argument("seconds", type=float)
@click.argument("warm_up_s", type=float)
@click.argument("open_sessions", type=int)
def ussd_load(
    *,
    port: int,
    token: str,
    connections: int,
    subscribers: int,
    seconds: float,
    warm_up_s: float,
    open_sessions: int,
) -> None:
    """The process that dials (run by `ussd`)."""
    source = Dialogues("telcod", token, subscribers, name="load-", seed=1)
    if open_sessions:
        reports: tuple[Report, ...] = uvloop.run(
            keep_open(port, source, connections=connections, count=open_sessions)
        )
    else:
        run = walk(port, source, connections=connections, seconds=seconds, warm_up_s=warm_up_s)
        reports = (uvloop.run(run),)
    sys.stdout.write(json.dumps([report._asdict() for report in reports]) + "\n")


def _walk(base: Path, books: Path, told: tuple[str, ...]) -> dict[str, Any]:
    folder = installation(base / f"run-{told[0]}", books)
    shown = token(folder, "ussd")
    with telcod(folder) as running:
        begun, usage = time.perf_counter(), cpu_s(running.process.pid)
        (report,) = load(running, "ussd-load", shown, *told, "0")
        cpu = (cpu_s(running.process.pid) - usage) / (time.perf_counter() - begun)
        memory_mb = rss_mb(running.process.pid)
    shutil.rmtree(folder)
    return {
        "steps_per_s": round(report["requests"] / report["seconds"]),
        "cpu_cores": round(cpu, 2),
        "rss_mb": memory_mb,
        **report,
    }


def _leave(base: Path, books: Path, open_sessions: int, subscribers: int) -> dict[str, Any]:
    """Have dialogues open, then a step of each."""
    folder = installation(base / "open", books)
    shown = token(folder, "ussd")
    with telcod(folder) as running:
        empty_mb = rss_mb(running.process.pid)
        told = (str(OPEN_CONNECTIONS), str(subscribers), "0", "0", str(open_sessions))
        opening, walking = load(running, "ussd-load", shown, *told)
        memory_mb = rss_mb(running.process.pid)
    db = sqlite3.connect(folder / "telcod.db")
    found = db.execute("SELECT COUNT(*) FROM ussd_session WHERE NOT ended").fetchone()[0]
    db.close()
    faults = [*opening["faults"], *walking["faults"]]
    if found != open_sessions:
        faults.append(f"{found} dialogues are open")
    return {
        "sessions": found,
        "opened_per_s": round(opening["requests"] / opening["seconds"]),
        "steps_per_s": round(walking["requests"] / walking["seconds"]),
        "step_ms": walking["answer_ms"]["all"],
        "empty_rss_mb": empty_mb,
        "rss_mb": memory_mb,
        "faults": faults,
    }


def _show(result: Mapping[str, Any]) -> None:
    table = Table(
        title=f"USSD through HTTP, {result['subscribers']:,} subscribers, "
        f"{result['cores']} cores, one durable commit here: {result['commit_ms']} ms"
    )
    for name in ("connections", "steps/s", "p50 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="right")
    for name in (*(f"p99 {op}" for op in _SHOWN), "CPU cores", "RSS MB", "wrong"):
        table.add_column(name, justify="right")
    for run in result["runs"]:
        times = run["answer_ms"]
        cells = (
            run["connections"],
            f"{run['steps_per_s']:,}",
            *times["all"].values(),
            *(times.get(op, {}).get("p99", "") for op in _SHOWN),
            run["cpu_cores"],
            run["rss_mb"],
            len(run["faults"]),
        )
        table.add_row(*(str(cell) for cell in cells))
    console = Console(width=150)
    console.print(table)
    left = result["open"]
    if left:
        console.print(
            f"{left['sessions']:,} dialogues open at once: opened {left['opened_per_s']:,}/s, then "
            f"{left['steps_per_s']:,} steps/s of them, p99 {left['step_ms']['p99']} ms, "
            f"{left['rss_mb']} MB (without any: {left['empty_rss_mb']} MB)"
        )
