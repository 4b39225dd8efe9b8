"""`scripts/bench soak`: texts, calls and dialogues at one rate for an hour; is anything growing?

Memory, the write-ahead log, open files and the p99 of texts are looked at every ten seconds.  A
straight line is laid through each after a warm-up; it counts as growing if its slope is
certain and what it adds over the run is more than a few in a hundred.
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any, Final, NamedTuple

import click
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import cpu_s, rss_mb
from telcod.simulator.bench_daemon import CONFIG, Running, installation, telcod
from telcod.simulator.bench_engine import make_token
from telcod.simulator.bench_options import Asked, measured, place, written
from telcod.simulator.bench_overload import link_of, loader_of, order, ports_of
from telcod.simulator.load_overload import Steady, steady
from telcod.web.scopes import Scope

WARM_UP_SHARE: Final = 0.2
WARM_UP_H: Final = 1 / 60  # but a minute at least, or half of a short run
SHORT_H: Final = 0.25
CERTAIN: Final = 4.0  # how many standard errors a slope must be from none


class Growth(NamedTuple):
    """What a line through samples says: its slope by the hour, what it adds over the run."""

    mean: float
    per_h: float
    share: float
    grows: bool


class Watched(NamedTuple):
    """One thing that is sampled: its unit, and by what share it may grow over a run.

    `fills` is by how much it may grow in a short run, because it has not been filled yet.
    """

    unit: str
    tolerance: float
    fills: float = 0


WATCHED: Final[Mapping[str, Watched]] = {
    "rss_mb": Watched("MB", 0.03, fills=40),  # SQLite's pages, 32 MiB, and some.
    "wal_mb": Watched("MB", 0.25),
    "files": Watched("open files", 0.05),
    "p99_ms": Watched("ms", 0.5),
}


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1, 6_000), default=60.0, show_default=True)
@click.option("--texts", "texts_per_s", type=int, default=1_000, show_default=True)
@click.option("--calls", "calls_per_s", type=int, default=40, show_default=True)
@click.option("--dialogues", "dialogues_per_s", type=int, default=60, show_default=True)
@click.option(
    "--every", "every_s", type=click.FloatRange(0.2, 600), default=10.0, show_default=True
)
@measured
def soak(
    *,
    minutes: float,
    texts_per_s: int,
    calls_per_s: int,
    dialogues_per_s: int,
    every_s: float,
    **options: Any,
) -> None:
    """Texts, calls and dialogues at one rate for long; says what grows."""
    asked = Asked(**options)
    with place(asked) as here, ExitStack() as stack:
        folder = installation(here.base / "soak", here.books)
        orders = Steady(
            60 * minutes,
            every_s,
            asked.subscribers,
            {"texts": texts_per_s, "calls": calls_per_s, "dialogues": dialogues_per_s},
            tokens=(
                make_token(folder / "telcod.db", "voice", Scope.IVR),
                make_token(folder / "telcod.db", "gateway", Scope.USSD),
            ),
        )
        loader = stack.enter_context(loader_of("soak-load"))
        order(loader, orders)
        (port,) = ports_of(loader)
        (folder / "telcod.toml").write_text(CONFIG + link_of(0, port))
        running = stack.enter_context(telcod(folder))
        order(loader, running.port)
        samples, report = _watch(folder, running, loader, every_s)
    rows = _with_p99(samples, report["p99_ms"])
    found = {**report, "minutes": minutes, "samples": rows, "growth": growths(rows)}
    result = written(asked, here.commit_ms, **found)
    _show(result)
    grow = [name for name, growth in result["growth"].items() if growth["grows"]]
    if grow or result["faults"]:
        raise click.ClickException(f"grows: {grow}; went wrong: {result['faults'][:1]}")


@click.command("soak-load", hidden=True)
def soak_load() -> None:
    """The process that texts, calls and dials (run by `soak`)."""
    orders = msgspec.json.decode(sys.stdin.readline(), type=Steady)

    async def told(ports: Sequence[int]) -> int:
        sys.stdout.write(f"{msgspec.json.encode(ports).decode()}\n")
        sys.stdout.flush()
        return int(sys.stdin.readline())

    sys.stdout.write(msgspec.json.encode(uvloop.run(steady(orders, told))).decode() + "\n")


def growth_of(points: Sequence[tuple[float, float]], tolerance: float) -> Growth:
    """Whether something grows over its samples.

    Args:
        points: Hours, and what was found.
        tolerance: What share of the mean it may grow by over the samples.
    """
    found = [value for _, value in points]
    mean, span_h = fmean(found), points[-1][0] - points[0][0]
    slope, at_0 = linear_regression([hour for hour, _ in points], found)
    left = [value - (at_0 + slope * hour) for hour, value in points]
    hours = fmean([hour for hour, _ in points])
    spread = sum((hour - hours) ** 2 for hour, _ in points)
    error = math.sqrt(sum(each**2 for each in left) / max(1, len(points) - 2) / spread)
    share = slope * span_h / mean if mean else 0.0
    certain = slope > CERTAIN * error if error else slope > 0
    return Growth(round(mean, 2), round(slope, 3), round(share, 4), certain and share > tolerance)


def growths(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """`growth_of` everything that was watched, after the warm-up."""
    last_h = rows[-1]["hours"] if rows else 0
    begins_h = min(max(WARM_UP_SHARE * last_h, WARM_UP_H), last_h / 2)
    kept = [row for row in rows if row["hours"] >= begins_h]
    if len(kept) < 3:
        return {}
    found = {}
    for name, watched in WATCHED.items():
        growth = growth_of([(row["hours"], row[name]) for row in kept], watched.tolerance)
        if last_h < SHORT_H and growth.share * growth.mean <= watched.fills:
            growth = growth._replace(grows=False)
        found[name] = growth._asdict()
    return found


def _watch(
    folder: Path, running: Running, loader: subprocess.Popen[str], every_s: float
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Sample until the load is over."""
    pid = running.process.pid
    begun_s, used_s, rows = time.perf_counter(), cpu_s(pid), []
    while True:
        try:
            loader.wait(every_s)
            break
        except subprocess.TimeoutExpired:
            wal = folder / "telcod.db-wal"
            rows.append(
                {
                    "hours": (time.perf_counter() - begun_s) / 3_600,
                    "rss_mb": rss_mb(pid),
                    "wal_mb": round(wal.stat().st_size / 1e6, 2) if wal.exists() else 0,
                    "files": len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208  # Only counted.
                }
            )
    cores = (cpu_s(pid) - used_s) / (time.perf_counter() - begun_s)
    out = loader.stdout.read() if loader.stdout is not None else ""
    if not out:
        raise click.ClickException("the load ended without a report")
    return rows, {"cpu_cores": round(cores, 2), **msgspec.json.decode(out)}


def _with_p99(
    samples: Sequence[Mapping[str, float]], p99_ms: Sequence[float]
) -> list[dict[str, float]]:
    return [{**row, "p99_ms": ms} for row, ms in zip(samples, p99_ms, strict=False)]


def _show(result: Mapping[str, Any]) -> None:
    console = Console(width=150)
    table = Table(
        title=f"{result['minutes']:g} minutes, {result['subscribers']:,} subscribers, "
        f"{result['cpu_cores']} cores used by telcod"
    )
    for name in ("", "offered/s", "done/s", "p50 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="right")
    for name, tally in result["traffics"].items():
        numbers = ("offered_per_s", "done_per_s", "p50_ms", "p99_ms", "max_ms")
        table.add_row(name, *(f"{tally[each]:,.1f}" for each in numbers))
    console.print(table)
    for name, growth in result["growth"].items():
        unit, verdict = WATCHED[name].unit, "GROWS" if growth["grows"] else "flat"
        console.print(
            f"{name}: {verdict}; {growth['mean']:,.1f} {unit} in the mean, "
            f"{growth['per_h']:+,.2f} {unit} an hour, {growth['share']:+.1%} over the run"
        )
    if not result["growth"]:
        console.print("too short to say whether anything grows")
