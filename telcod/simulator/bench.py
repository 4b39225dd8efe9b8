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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_all import every
from telcod.simulator.bench_books import cpu_s, rss_mb
from telcod.simulator.bench_calls import call_load, calls
from telcod.simulator.bench_compare import compare
from telcod.simulator.bench_options import Asked, Place, measured, place, written
from telcod.simulator.bench_overload import card_gateway, overload, overload_load
from telcod.simulator.bench_postgres import BenchServer, bench_server
from telcod.simulator.bench_renewals import renewals
from telcod.simulator.bench_soak import soak, soak_load
from telcod.simulator.bench_start import start
from telcod.simulator.bench_ussd import ussd, ussd_load
from telcod.simulator.load import as_json, serve_load

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
SECRET: Final = "ab" * 32

CONFIG: Final = """
[store]
url = "{url}"
[security]
secret = "{secret}"
[http]
port = 0
[log]
level = "warning"
[[smpp.links]]
name = "load-{at}"
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
    "--store",
    type=click.Choice((SQLITE, POSTGRESQL)),
    default=SQLITE,
    show_default=True,
    help="A file, or a PostgreSQL server that is started for it.",
)
@click.option(
    "--daemons",
    type=click.IntRange(1, 8),
    default=1,
    show_default=True,
    help="So many on one database, each with a link and a load of its own.",
)
@measured
def sms(*, windows: tuple[int, ...], store: str, daemons: int, **options: Any) -> None:
    """Texts through SMPP: mixed keywords, deliver_sm_resp only after COMMIT, synchronous=FULL."""
    asked = Asked(**options)
    if daemons > 1 and store == SQLITE:
        raise click.UsageError("a file serves one daemon: several need --store postgresql")
    with place(asked) as here, ExitStack() as stack:
        commit_ms = here.commit_ms
        server: BenchServer | None = None
        if store == POSTGRESQL:
            server = stack.enter_context(bench_server(asked.folder))
            server.fill(here.books)
            commit_ms = server.commit_ms()
        runs = [_run(here, window, asked, server, daemons) for window in windows]
    _show(written(asked, commit_ms, store=store, daemons=daemons, runs=runs))


@main.command(hidden=True)
@click.argument("window", type=int)
@click.argument("subscribers", type=int)
@click.argument("seconds", type=float)
@click.argument("warm_up_s", type=float)
@click.option("--until-answered", is_flag=True)
@click.option("--first", type=int, default=0)
def load(
    *,
    window: int,
    subscribers: int,
    seconds: float,
    warm_up_s: float,
    until_answered: bool,
    first: int,
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
            first=first,
        )
    )
    sys.stdout.write(as_json(report) + "\n")


@contextmanager
def _telcod(folder: Path, url: str, port: int, at: int) -> Iterator[subprocess.Popen[bytes]]:
    """One of the daemons, beside its log."""
    here = folder / str(at)
    here.mkdir()
    config = here / "telcod.toml"
    config.write_text(CONFIG.format(url=url, secret=SECRET, port=port, at=at))
    log = (here / "log").open("wb")
    command = [sys.executable, "-m", "telcod", "run", "--config", str(config)]
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


@contextmanager
def _load(window: int, asked: Asked, at: int, daemons: int) -> Iterator[tuple[IO[str], int]]:
    """The load of one daemon, from its own share of the subscribers; what it says, and its port."""
    share = asked.subscribers // daemons
    arguments = [str(window), str(share), str(asked.seconds), str(asked.warm_up_s)]
    arguments += ["--first", str(at * share)]
    loader = subprocess.Popen(
        [sys.executable, "-m", "telcod.simulator.bench", "load", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    if loader.stdout is None:
        raise click.ClickException("the load did not start")
    yield loader.stdout, int(loader.stdout.readline())
    loader.wait()


def _run(
    here: Place, window: int, asked: Asked, server: BenchServer | None, daemons: int
) -> dict[str, Any]:
    folder = here.base / f"window-{window}"
    folder.mkdir()
    if server is None:
        shutil.copy(here.books, folder / "telcod.db")
        url = f"sqlite:///{folder}/telcod.db"
    else:
        url = server.books()
    each = max(1, window // daemons)
    with ExitStack() as stack:
        loads = [stack.enter_context(_load(each, asked, at, daemons)) for at in range(daemons)]
        running = [
            stack.enter_context(_telcod(folder, url, port, at))
            for at, (_, port) in enumerate(loads)
        ]
        pids = [process.pid for process in running]
        begun, before_s = time.perf_counter(), sum(map(cpu_s, pids))
        server_before_s = server.cpu_s() if server is not None else 0.0
        lines = [said.readline() for said, _ in loads]
        used_s = sum(map(cpu_s, pids)) - before_s
        server_s = server.cpu_s() - server_before_s if server is not None else 0.0
        took_s = time.perf_counter() - begun
        memory_mb = sum(map(rss_mb, pids))
    if not all(lines):
        said = "".join(log.read_text()[-2_000:] for log in sorted(folder.glob("*/log")))
        raise click.ClickException(f"the load ended without a report; telcod said:\n{said}")
    report = _together([json.loads(line) for line in lines])
    shutil.rmtree(folder)
    sent = max(1, report["sent"])
    return {
        "window": window,
        "texts_per_s": round(report["answered"] / report["seconds"]),
        "cpu_cores": round(used_s / took_s, 2),
        "cpu_us_each": round(1e6 * used_s / sent, 1),
        "server_cpu_us_each": round(1e6 * server_s / sent, 1),
        "rss_mb": memory_mb,
        **report,
    }


def _together(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """One report of several loads: counts are added, of latencies the worst is told."""
    counts = ("sent", "answered", "refused", "missing", "doubled")
    found: dict[str, Any] = {name: sum(each[name] for each in reports) for name in counts}
    for name in ("response_ms", "answer_ms"):
        shares = {share for each in reports for share in each[name]}
        found[name] = {share: max(each[name].get(share, 0) for each in reports) for share in shares}
    return {**found, "seconds": reports[0]["seconds"]}


def _show(result: dict[str, Any]) -> None:
    table = Table(
        title=f"texts through SMPP, {result['store']}, {result['daemons']} daemon(s), "
        f"{result['subscribers']:,} subscribers, "
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
        "server µs each",
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
            run["server_cpu_us_each"],
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
