"""`scripts/bench start`: how long it takes from exec to the first answer, on books of millions.

The books are made once and kept in a folder of their own, because making them takes minutes.  Each
start is measured twice: warm, and after the system was told to forget the file (which it does with
what nobody maps; the interpreter and its libraries stay in memory).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import cpu_s, make_books, rss_mb
from telcod.simulator.bench_daemon import CONFIG, telcod
from telcod.simulator.bench_options import Asked, written

TARGET_S: Final = 2.0
SUBSCRIBERS: Final = 5_000_000
NAME: Final = "telcod.db"
STAGES: Final = (
    ("the interpreter", "pass"),
    ("and the command line", "import telcod.__main__"),
    ("and the daemon", "import telcod.__main__, telcod.app"),
)


@click.command()
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the books are kept.  [default: telcod-bench in the user's cache]",
)
@click.option("--times", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--subscribers",
    type=click.IntRange(1_000, 20_000_000),
    default=SUBSCRIBERS,
    show_default=True,
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), default=None)
def start(*, cache: Path | None, times: int, subscribers: int, json_file: Path | None) -> None:
    """From exec to the first answer, on a file with millions of subscribers."""
    asked = Asked(subscribers, 0, 0, None, json_file)
    folder = (cache or default_cache()) / f"books-{subscribers}"
    made_s = keep_books(folder, subscribers)
    first = _start(folder)  # It may bring the books to a newer schema; then the rest is the same.
    runs = {
        "warm": [_start(folder) for _ in range(times)],
        "cold": [_start(folder, cold=True) for _ in range(times)],
    }
    empty = folder.parent / "books-none"
    _configure(empty)
    _start(empty)
    runs["no subscribers"] = [_start(empty) for _ in range(times)]
    result = written(
        asked,
        None,
        books_mb=(folder / NAME).stat().st_size // 1_000_000,
        made_s=made_s,
        first=first,
        runs=runs,
        stages={name: _imported_s(code) for name, code in STAGES},
    )
    _show(result)


def default_cache() -> Path:
    """Where big books are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "telcod-bench"


def keep_books(folder: Path, subscribers: int) -> float:
    """Make the books unless they are there; how many seconds that took."""
    path = folder / NAME
    begun_s = time.perf_counter()
    _configure(folder)
    if not path.exists():
        click.echo(f"making books with {subscribers:,} subscribers in {folder} ...", err=True)
        # Only whole books get their name.
        made = make_books(folder / "half.db", subscribers)
        (folder / "half.db.lock").unlink()
        made.rename(path)
    return round(time.perf_counter() - begun_s, 1)


def _configure(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "telcod.toml").write_text(CONFIG)


def _start(folder: Path, *, cold: bool = False) -> dict[str, Any]:
    """One start; `listens_s` and `answers_s` are from exec, `cpu_s` until it listened."""
    if cold:
        _forget(folder / NAME)
    begun_s = time.perf_counter()
    with telcod(folder) as running:
        listens_s, used_s = time.perf_counter() - begun_s, cpu_s(running.process.pid)
        _ask(running.port)
        answers_s = time.perf_counter() - begun_s
        memory_mb = rss_mb(running.process.pid)
        stopped_s = time.perf_counter()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait()
        stopped_s = time.perf_counter() - stopped_s
    return {
        "listens_s": round(listens_s, 3),
        "answers_s": round(answers_s, 3),
        "cpu_s": round(used_s, 2),
        "stops_s": round(stopped_s, 3),
        "rss_mb": memory_mb,
    }


def _forget(path: Path) -> None:
    """Have the system drop what it remembers of a file."""
    os.sync()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _ask(port: int) -> None:
    """A request that is answered when telcod serves."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: telcod\r\nConnection: close\r\n\r\n")
        said = connection.recv(100)
    if b" 200 " not in said:
        raise click.ClickException(f"telcod is not well: {said!r}")


def _imported_s(code: str) -> float:
    """Processor time of an interpreter that does no more than this."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    used_s = after.children_user + after.children_system
    return round(used_s - before.children_user - before.children_system, 2)


def _show(result: Mapping[str, Any]) -> None:
    table = Table(
        title=f"start on {result['subscribers']:,} subscribers, {result['books_mb']:,} MB, "
        f"{result['cores']} cores"
    )
    for name in ("", "listens s", "answers s", "worst s", "of the target"):
        table.add_column(name, justify="right")
    for name in ("CPU s", "stops s", "RSS MB"):
        table.add_column(name, justify="right")
    for name, runs in result["runs"].items():
        listens_s = median(run["listens_s"] for run in runs)
        table.add_row(
            name,
            f"{listens_s:.2f}",
            f"{median(run['answers_s'] for run in runs):.2f}",
            f"{max(run['answers_s'] for run in runs):.2f}",
            f"{listens_s / TARGET_S:.0%}",
            *(f"{median(run[key] for run in runs):.2f}" for key in ("cpu_s", "stops_s")),
            f"{median(run['rss_mb'] for run in runs):.0f}",
        )
    console = Console(width=150)
    console.print(table)
    stages = ", ".join(f"{name} {used_s} s" for name, used_s in result["stages"].items())
    console.print(f"Where the processor time goes: {stages}; the rest is rules, routes and books.")
