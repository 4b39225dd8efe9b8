"""A telcod to be measured, as an operator runs it, and the process that loads it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from telcod.simulator.bench_books import cpu_s, rss_mb

LISTENS: Final = "HTTP listens on http://127.0.0.1:"
STOP_WAIT_S: Final = 30

CONFIG: Final = """
[store]
url = "sqlite:telcod.db"
[http]
port = 0
[log]
level = "warning"
"""


class Running(NamedTuple):
    """A telcod that serves."""

    process: subprocess.Popen[str]
    port: int


def installation(folder: Path, books: Path) -> Path:
    """A folder with these books and a configuration, where no telcod runs yet."""
    folder.mkdir()
    shutil.copy(books, folder / "telcod.db")
    (folder / "telcod.toml").write_text(CONFIG)
    return folder


def token(folder: Path, scope: str) -> str:
    """A new token of a scope."""
    options = ["token", "create", "load", "--scope", scope]
    made = subprocess.run(
        _command(folder, *options), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return made.stdout.decode().strip()


@contextmanager
def telcod(folder: Path) -> Iterator[Running]:
    """A telcod on a folder, from the moment it listens."""
    log = (folder / "log").open("ab")
    process = subprocess.Popen(
        _command(folder, "run"), stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        yield Running(process, _port(process, folder))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def load(running: Running, what: str, token: str, *told: str) -> list[Mapping[str, Any]]:
    """What the process reports that puts a load on telcod.

    Args:
        running: The telcod.
        what: The command of `telcod.simulator.bench` that does it.
        token: What it shows.
        told: What else it is told.
    """
    command = [sys.executable, "-m", "telcod.simulator.bench", what]
    done = subprocess.run(
        [*command, str(running.port), token, *told], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise click.ClickException("the load ended without a report")
    reports: list[Mapping[str, Any]] = json.loads(done.stdout)
    return reports


def _command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "telcod", *words, "--config", str(folder / "telcod.toml")]


def _port(process: subprocess.Popen[str], folder: Path) -> int:
    for line in process.stdout or ():
        if LISTENS in line:
            return int(line.partition(LISTENS)[2])
    raise click.ClickException(f"telcod did not start:\n{(folder / 'log').read_text()[-2_000:]}")


def run_of(
    base: Path, books: Path, told: tuple[str, ...], *, scope: str, by: str
) -> dict[str, Any]:
    """What a load reports of a fresh telcod, with what the daemon took for it.

    Args:
        base: Where its folder is made, and removed.
        books: Copied.
        told: The load's arguments; the first, the number of connections, names the folder.
        scope: Of the load's token.
        by: The command that is the load.
    """
    folder = installation(base / f"run-{told[0]}", books)
    shown = token(folder, scope)
    with telcod(folder) as running:
        begun, usage = time.perf_counter(), cpu_s(running.process.pid)
        (report,) = load(running, by, shown, *told, "0")
        cpu = (cpu_s(running.process.pid) - usage) / (time.perf_counter() - begun)
        memory_mb = rss_mb(running.process.pid)
    shutil.rmtree(folder)
    return {"cpu_cores": round(cpu, 2), "rss_mb": memory_mb, **report}
