"""`scripts/bench ussd`: how many steps of dialogues a second go through USSD over HTTP, every step
committed, and what open dialogues cost.

Three processes, as for texts: this one, telcod as an operator runs it, and the load
(`load_ussd.py`).
"""

import json
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import rss_mb
from telcod.simulator.bench_daemon import installation, load, run_of, telcod, token
from telcod.simulator.bench_options import Asked, Place, connections, measured, over_http
from telcod.simulator.load_ussd import DIAL, WALK, WALKS, Dialogues, keep_open, walk

if TYPE_CHECKING:
    from telcod.simulator.load_calls import Report

OPEN_CONNECTIONS: Final = 64
_SHOWN: Final = (DIAL, WALK, *(name for name, _ in WALKS))


@click.command()
@connections(1, 32, 64, 128)
@measured
@click.option(
    "--open",
    "open_sessions",
    type=click.IntRange(0, 1_000_000),
    default=50_000,
    show_default=True,
    help="Dialogues that are open at once.",
)
def ussd(*, connections: tuple[int, ...], open_sessions: int, **options: Any) -> None:
    """Dialogues through HTTP: `*1566#`, then to a package, a list, the charges; all committed."""
    asked = Asked(**options)

    def leave(here: Place) -> Mapping[str, Any] | None:
        if not open_sessions:
            return None
        return _leave(here.base, here.books, open_sessions, asked.subscribers)

    over_http(
        asked, connections, lambda here, told: _walk(here.base, here.books, told), leave, _show
    )


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
    report = run_of(base, books, told, scope="ussd", by="ussd-load")
    per_s = report["requests"] / report["seconds"]
    cpu_us_each = round(1e6 * report["cpu_cores"] / max(per_s, 1e-9), 1)
    return {"steps_per_s": round(per_s), "cpu_us_each": cpu_us_each, **report}


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
