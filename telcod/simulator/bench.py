"""`scripts/bench`: what telcod does a second with every bit of it committed, and how fast.

`sms` is here, `calls` in `bench_calls.py`, `ussd` in `bench_ussd.py`.

Three processes: this one, telcod as an operator runs it, and the load (`load.py`).  Books of the
wanted size are made once and copied for each run.  The commit of this disk is measured beside it,
because latency is counted in commits.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_all import every
from telcod.simulator.bench_books import cpu_s, rss_mb
from telcod.simulator.bench_calls import call_load, calls
from telcod.simulator.bench_compare import compare
from telcod.simulator.bench_options import Asked, measured, place, written
from telcod.simulator.bench_overload import card_gateway, overload, overload_load
from telcod.simulator.bench_renewals import renewals
from telcod.simulator.bench_soak import soak, soak_load
from telcod.simulator.bench_start import start
from telcod.simulator.bench_ussd import ussd, ussd_load
from telcod.simulator.load import as_json, serve_load

WAIT_S: Final = 60.0

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
@measured
def sms(*, windows: tuple[int, ...], **options: Any) -> None:
    """Texts through SMPP: mixed keywords, deliver_sm_resp only after COMMIT, synchronous=FULL."""
    asked = Asked(**options)
    with place(asked) as here:
        runs = [
            _run(here.base, here.books, window, asked.subscribers, asked.seconds, asked.warm_up_s)
            for window in windows
        ]
    _show(written(asked, here.commit_ms, runs=runs))


@main.command(hidden=True)
@click.argument("window", type=int)
@click.argument("subscribers", type=int)
@click.argument("seconds", type=float)
@click.argument("warm_up_s", type=float)
@click.option("--until-answered", is_flag=True)
def load(
    *, window: int, subscribers: int, seconds: float, warm_up_s: float, until_answered: bool
) -> None:
    """The process that sends (run by `sms` and `compare`)."""

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
            until_answered=until_answered,
        )
    )
    sys.stdout.write(as_json(report) + "\n")


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
        begun, usage = time.perf_counter(), cpu_s(telcod.pid)
        line = loader.stdout.readline()
        used_s = cpu_s(telcod.pid) - usage
        cpu = used_s / (time.perf_counter() - begun)
        memory_mb = rss_mb(telcod.pid)
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
        "cpu_us_each": round(1e6 * used_s / max(1, report["sent"]), 1),
        "rss_mb": memory_mb,
        **report,
    }


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
        "CPU µs each",
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
            run["cpu_us_each"],
            run["rss_mb"],
            run["refused"],
            run["missing"],
            run["doubled"],
        )
        table.add_row(*(str(cell) for cell in cells))
    Console(width=150).print(table)


for command in (
    calls,
    call_load,
    ussd,
    ussd_load,
    renewals,
    overload,
    overload_load,
    card_gateway,
    soak,
    soak_load,
    start,
    compare,
    every,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
