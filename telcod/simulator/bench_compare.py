"""`scripts/bench compare`: telcod and Kannel at the same SMSC, one run each, again and again.

Kannel (bearerbox and smsbox as Debian ships them) answers every text with one constant sentence;
telcod answers with what is in its books, and changes them.  Both get the same texts and the same
window, which counts a text until it is answered.  Kannel keeps no books, and acknowledges a text
before it is anywhere but in memory; `--spool` has it write each to a file at least.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import cpu_s, free_port, rss_mb
from telcod.simulator.bench_daemon import CONFIG, installation, telcod
from telcod.simulator.bench_options import Asked, Place, measured, place, written

INSTALL: Final = "Kannel is not installed; install it: apt-get install kannel"
ANSWER: Final = (
    "Quy khach chua dang ky goi nao. De dang ky goi ngay gia 1.000d, soan DK gui 1566; goi tuan "
    "gia 5.000d, soan DK7 gui 1566."
)
"""About as long as what telcod answers, in one part."""
WAIT_S: Final = 30.0
STOP_WAIT_S: Final = 20.0

# Kannel's own limits are out of the way: no throughput, a wide window, hardly a log.
KANNEL: Final = """
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {box}
log-level = 4
log-file = "{folder}/bearerbox.log"
box-allow-ip = "127.0.0.1"
{store}
group = smsc
smsc = smpp
smsc-id = load
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = kannel
smsc-password = secret
system-type = "VMA"
max-pending-submits = 1000

group = smsbox
bearerbox-host = 127.0.0.1
log-level = 4
log-file = "{folder}/smsbox.log"

group = sms-service
keyword = default
catch-all = true
max-messages = 1
text = "{answer}"
"""
_SPOOL: Final = 'store-type = spool\nstore-location = "{folder}/spool"\n'
_LINK: Final = """
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


@click.command()
@click.option("--window", type=click.IntRange(1, 900), default=200, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 50), default=3, show_default=True)
@click.option("--spool", is_flag=True, help="Let Kannel keep texts in files until they are sent.")
@measured
def compare(*, window: int, rounds: int, spool: bool, **options: Any) -> None:
    """Telcod and Kannel on the same job, in turn."""
    bearerbox, smsbox = which("bearerbox"), which("smsbox")
    if bearerbox is None or smsbox is None:
        raise click.ClickException(INSTALL)
    asked = Asked(**options)
    boxes = (bearerbox, smsbox)
    runs: dict[str, list[dict[str, Any]]] = {"telcod": [], "kannel": []}
    with place(asked) as here:
        for number in range(rounds):
            runs["telcod"].append(_telcod(here, number, asked, window))
            runs["kannel"].append(_kannel(here, number, asked, window, boxes, spool=spool))
    ratio = {
        name: round(_median(runs["telcod"], name) / max(_median(runs["kannel"], name), 1e-9), 3)
        for name in ("texts_per_s", "p99_ms", "cpu_us_each")
    }
    result = written(
        asked,
        here.commit_ms,
        window=window,
        spool=spool,
        versions=_versions(bearerbox),
        runs=runs,
        telcod_to_kannel=ratio,
    )
    _show(result)


def _telcod(here: Place, number: int, asked: Asked, window: int) -> dict[str, Any]:
    folder = installation(here.base / f"telcod-{number}", here.books)
    with _loader(asked, window) as (loader, port):
        (folder / "telcod.toml").write_text(CONFIG + _LINK.format(port=port))
        with telcod(folder) as running:
            report = _measured(loader, running.process.pid)
    shutil.rmtree(folder)
    return report


def _kannel(
    here: Place, number: int, asked: Asked, window: int, boxes: tuple[str, str], *, spool: bool
) -> dict[str, Any]:
    folder = here.base / f"kannel-{number}"
    (folder / "spool").mkdir(parents=True)
    admin, box = free_port(), free_port()
    with _loader(asked, window) as (loader, port):
        config = folder / "kannel.conf"
        store = _SPOOL.format(folder=folder) if spool else ""
        config.write_text(
            KANNEL.format(
                folder=folder, admin=admin, box=box, smsc=port, store=store, answer=ANSWER
            )
        )
        with _box(boxes[0], config) as bearerbox, _box(boxes[1], config) as smsbox:
            report = _measured(loader, bearerbox.pid, smsbox.pid)
    shutil.rmtree(folder)
    return report


@contextmanager
def _loader(asked: Asked, window: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The load, and the port of its SMSC."""
    told = [str(each) for each in (window, asked.subscribers, asked.seconds, asked.warm_up_s)]
    process = subprocess.Popen(
        [sys.executable, "-m", "telcod.simulator.bench", "load", *told, "--until-answered"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, int(process.stdout.readline()) if process.stdout is not None else 0
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _box(command: str, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A part of Kannel, until SIGINT, which is how it is stopped.

    Smsbox ends at once if bearerbox is not there yet, so it is started until it stays.
    """
    until_s = time.perf_counter() + WAIT_S
    while True:
        process = subprocess.Popen(
            [command, "-v", "4", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            break
        if time.perf_counter() > until_s:
            raise click.ClickException(f"{command} does not stay; see its log in {config.parent}")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _measured(loader: subprocess.Popen[str], *pids: int) -> dict[str, Any]:
    """Wait for the load's report; with what the processes took for it, in all."""
    used_s = sum(map(cpu_s, pids))
    line = loader.stdout.readline() if loader.stdout is not None else ""
    used_s = sum(map(cpu_s, pids)) - used_s
    memory_mb = sum(map(rss_mb, pids))
    if not line:
        raise click.ClickException("the load ended without a report")
    report = json.loads(line)
    if not report["answered"]:
        raise click.ClickException("nothing was answered")
    return {
        "texts_per_s": round(report["answered"] / report["seconds"]),
        "p50_ms": report["answer_ms"]["p50"],
        "p99_ms": report["answer_ms"]["p99"],
        "response_p99_ms": report["response_ms"]["p99"],
        "cpu_us_each": round(1e6 * used_s / report["sent"], 1),
        "rss_mb": memory_mb,
        **{name: report[name] for name in ("sent", "answered", "refused", "missing", "doubled")},
    }


def _median(runs: list[dict[str, Any]], name: str) -> float:
    found: float = median(run[name] for run in runs)
    return found


def _versions(bearerbox: str) -> str:
    said = subprocess.run([bearerbox, "--version"], capture_output=True, text=True, check=False)
    return said.stdout.partition(".\n")[0]


def _show(result: Mapping[str, Any]) -> None:
    table = Table(
        title=f"one SMSC, window {result['window']}, {result['cores']} cores with the load, one "
        f"durable commit here: {result['commit_ms']} ms"
    )
    for name in ("", "texts/s", "p50 ms", "p99 ms", "p99 ms to the response", "CPU µs each"):
        table.add_column(name, justify="right")
    for name in ("RSS MB", "refused", "missing", "doubled"):
        table.add_column(name, justify="right")
    names = ("texts_per_s", "p50_ms", "p99_ms", "response_p99_ms", "cpu_us_each", "rss_mb")
    for pair in zip(*result["runs"].values(), strict=True):
        for who, run in zip(result["runs"], pair, strict=True):
            rest = ("refused", "missing", "doubled")
            table.add_row(who, *(f"{run[name]:,}" for name in (*names, *rest)))
    console = Console(width=150)
    console.print(table)
    ratio = result["telcod_to_kannel"]
    console.print(
        f"telcod : kannel (medians) = {ratio['texts_per_s']} texts/s, {ratio['p99_ms']} p99 to the "
        f"answer, {ratio['cpu_us_each']} processor time for each text"
    )
    kept = "in files, not synced," if result["spool"] else "in memory"
    console.print(
        f"Kannel answers a constant sentence, keeps no books, and acknowledges a text while it is "
        f"{kept} only; telcod acknowledges after COMMIT has synced the disk."
    )
