"""`scripts/bench all`: every benchmark, briefly, into one report: JSON, and a page with plots.

Each runs in a process of its own, one after the other, so that none finds what another left behind.
One that fails is told in the report; the rest go on.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import Any, Final, NamedTuple

import click

from telcod.simulator.bench_machine import facts
from telcod.simulator.bench_options import Asked, scratch
from telcod.simulator.bench_report import page, rows_of
from telcod.simulator.bench_start import SUBSCRIBERS, default_cache

JSON_NAME: Final = "benchmarks.json"
PAGE_NAME: Final = "benchmarks.html"
WINDOWS: Final = (1, 10, 50, 200)
SIZES: Final = (1_000, 100_000, 1_000_000)
CONNECTIONS: Final = (1, 8, 32, 64)
WIDEST: Final = WINDOWS[-1]


class Part(NamedTuple):
    """A benchmark with its options; `name` is where its result goes in the report."""

    name: str
    words: Sequence[str]


@click.command("all")
@click.option("--seconds", type=click.FloatRange(1, 600), default=8.0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/bench"),
    show_default=True,
    help="The folder of the report.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the books lie; its disk is measured.",
)
@click.option(
    "--only",
    multiple=True,
    help="Parts to run, by name; the others are taken from the report that is there.",
)
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), default=None)
def every(
    *, seconds: float, out: Path, folder: Path | None, only: tuple[str, ...], cache: Path | None
) -> None:
    """Every benchmark, into one report with plots."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / JSON_NAME
    report: dict[str, Any] = {"parts": {}, "failed": {}}
    if only and kept.exists():
        report = json.loads(kept.read_text(encoding="utf-8"))
    parts = parts_of(seconds, cache or default_cache())
    unknown = set(only) - {part.name for part in parts}
    if unknown:
        names = ", ".join(part.name for part in parts)
        raise click.ClickException(f"no such part: {', '.join(unknown)}; there are {names}")
    with scratch(Asked(0, 0, 0, folder, None)) as base:
        report["machine"] = facts(base)
        for part in parts:
            if only and part.name not in only:
                continue
            report["parts"].pop(part.name, None)
            report["failed"].pop(part.name, None)
            _run(part, base, report)
            # Whatever happens to the rest, this much is there.
            kept.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            (out / PAGE_NAME).write_text(page(report), encoding="utf-8")
    for row in rows_of(report):
        click.echo(f"{row.what}: {row.found} (target {row.target}, {row.ratio})")
    for name, said in report["failed"].items():
        click.echo(f"{name} failed: {said}", err=True)
    click.echo(f"report: {out / PAGE_NAME}")


def parts_of(seconds: float, cache: Path) -> list[Part]:
    """All parts, in order."""
    brief = ["--seconds", str(seconds)]
    windows = [word for window in WINDOWS for word in ("--window", str(window))]
    lines = [word for count in CONNECTIONS for word in ("--connections", str(count))]
    sizes = [
        Part(f"sms_{size}", ["sms", "--window", str(WIDEST), "--subscribers", str(size), *brief])
        for size in SIZES
    ]
    parts = [
        Part("sms", ["sms", *windows, *brief]),
        *sizes,
        Part("calls", ["calls", *lines, "--open", "2000", *brief]),
        Part("ussd", ["ussd", *lines, "--open", "10000", *brief]),
        Part("renewals", ["renewals"]),
        Part("start", ["start", "--cache", str(cache), "--subscribers", str(SUBSCRIBERS)]),
        Part("soak", ["soak", "--minutes", str(max(1.0, seconds / 4)), "--every", "2"]),
        Part("overload", ["overload", "--minutes", str(max(0.05, seconds / 60))]),
    ]
    if which("bearerbox") is not None:
        parts.append(Part("compare", ["compare", "--rounds", "2", *brief]))
    return parts


def _run(part: Part, base: Path, report: dict[str, Any]) -> None:
    """Run one part; its result, and what it complains of, go into the report."""
    file = base / f"{part.name}.json"
    placed = [] if part.words[0] == "start" else ["--folder", str(base)]
    click.echo(f"{part.name} ...", err=True)
    begun_s = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "telcod.simulator.bench", *part.words),
            *(*placed, "--json", str(file)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        report["parts"][part.name] = {**found, "took_s": round(time.perf_counter() - begun_s)}
    if done.returncode:
        report["failed"][part.name] = done.stderr.strip()[-500:] or "no reason was told"
