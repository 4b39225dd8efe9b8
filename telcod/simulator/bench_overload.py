"""`scripts/bench overload`: ten times of what telcod can do, for minutes, from one source.

An edge is flooded from a process of its own (`load_overload.py`), without waiting for answers,
while others ask at an ordinary rate.  It is shown that memory stays bounded, how others fare, that
what is refused is refused as documented, that what was acknowledged is in the books, and how soon
all is as usual when the flood ends.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from typing import Any, Final, NamedTuple

import click
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.simulator.bench_books import free_port, rss_mb
from telcod.simulator.bench_daemon import CONFIG, Running, installation, telcod
from telcod.simulator.bench_engine import make_token, wrong_in
from telcod.simulator.bench_kept import faults_of
from telcod.simulator.bench_options import Asked, Place, measured, place, written
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.simulator.load_open import FIND_OUT, Phase
from telcod.simulator.load_overload import EDGES, FLOOD, NEIGHBOURS, OTHERS, USUAL, Orders, flood
from telcod.web.scopes import Scope

LOOK_S: Final = 0.2
NORMAL: Final = 0.3  # of what it can do, before and after the flood
RSS_MB_MAX: Final = 400
"""The stated bound: what a flooded telcod may hold at most."""
DOCUMENTED: Final = frozenset(
    {
        "ESME_RX_T_APPN",
        "503 with Retry-After",
        "429 with Retry-After",
        "safe refusal",
        "overloaded",
        "no answer",  # The broker's: its queue for telcod was full.
        # Who floods, when there are many more connections than are told to come again.  Others,
        # when they ask over a connection that is just being closed for having asked nothing.
        "cut",
    }
)
DOCUMENTED_FOR_FLOOD: Final = DOCUMENTED | {
    "too many payments",  # Of one number in a day (PAY-3).
}
MOSQUITTO: Final = which("mosquitto") or "/usr/sbin/mosquitto"
_SCOPES: Final = {"calls": Scope.IVR, "ussd": Scope.USSD, "pay": Scope.PORTAL}
# What is under way when nothing is flooded: by edge, the windows that the benchmarks found good.
_WINDOW: Final = {"sms": 200, "calls": 64, "ussd": 64, "mqtt": 64, "pay": 16}
_FLOOD_MOST: Final = {"sms": 20_000, "calls": 1_150, "ussd": 1_150, "mqtt": 50_000, "pay": 1_150}
_LINK: Final = """
[[smpp.links]]
name = "link{number}"
host = "127.0.0.1"
port = {port}
system_id = "telcod"
password = "secret"
short_codes = ["1566", "9223"]
window = 1000
"""


class Plan(NamedTuple):
    """How long each phase lasts, in seconds, and how hard the flood is."""

    find_out_s: float
    normal_s: float
    flood_s: float
    after_s: float
    times: float
    others_per_s: float


@click.command()
@click.option(
    "--edge", "edges", type=click.Choice(EDGES), multiple=True, default=EDGES, show_default=True
)
@click.option("--minutes", type=click.FloatRange(0.02, 60), default=5.0, show_default=True)
@click.option("--times", type=click.FloatRange(1, 100), default=10.0, show_default=True)
@click.option(
    "--others", "others_per_s", type=click.FloatRange(1, 1_000), default=50.0, show_default=True
)
@measured
def overload(
    *, edges: tuple[str, ...], minutes: float, times: float, others_per_s: float, **options: Any
) -> None:
    """Flood an edge with ten times of what it can do, from one source."""
    asked = Asked(**options)
    plan = Plan(3, 5, 60 * minutes, 10, times, others_per_s)
    with place(asked) as here:
        runs = [run_edge(here, edge, plan, asked.subscribers) for edge in edges]
    _show(written(asked, here.commit_ms, runs=runs))
    faults = [f"{run['edge']}: {fault}" for run in runs for fault in run["faults"]]
    if faults:
        raise click.ClickException(f"not everything went as it must: {faults[0]}")


@click.command("overload-load", hidden=True)
def overload_load() -> None:
    """The process that floods (run by `overload`)."""
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)

    async def told(ports: Sequence[int]) -> None:
        sys.stdout.write(f"{msgspec.json.encode(ports).decode()}\n")
        sys.stdout.flush()

    report = uvloop.run(flood(orders, told))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")


@click.command("card-gateway", hidden=True)
def card_gateway() -> None:
    """A card gateway in a process of its own (run by `overload`); ends with its standard input."""

    async def serve() -> None:
        async with SimulatedCardGateway() as gateway:
            sys.stdout.write(f"{gateway.port}\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)

    uvloop.run(serve())


def run_edge(here: Place, edge: str, plan: Plan, subscribers: int) -> dict[str, Any]:
    """Flood one edge of a fresh telcod; what came of it, `faults` with what may not be."""
    folder = installation(here.base / f"overload-{edge}", here.books)
    window = _WINDOW[edge]
    phases = (
        Phase("finding out", plan.find_out_s, {USUAL: FIND_OUT}, window),
        Phase("normal", plan.normal_s, {USUAL: NORMAL}, window),
        Phase("flood", plan.flood_s, {FLOOD: plan.times}, _FLOOD_MOST[edge]),
        Phase("after", plan.after_s, {USUAL: NORMAL}, window),
    )
    kept = folder / "acknowledged"
    orders = Orders(edge, phases, subscribers, plan.others_per_s, str(kept))
    with ExitStack() as stack:
        report, rss = _flooded(stack, folder, orders)
    books = folder / "telcod.db"
    found = faults_of(edge, books, kept.read_text(encoding="utf-8").splitlines())
    broken = wrong_in(books)
    run = {"edge": edge, "books_checked": not broken, **rss, **report}
    run["lost"] = len(found)
    run["faults"] = [*found[:5], *_wrong(run), *broken[:5]]
    return run


def _flooded(
    stack: ExitStack, folder: Path, orders: Orders
) -> tuple[dict[str, Any], dict[str, int]]:
    """Start all that the edge needs, let it be flooded, and watch telcod's memory."""
    config = folder / "telcod.toml"
    if orders.edge == "pay":
        port = stack.enter_context(_gateway())
        config.write_text(CONFIG + _epay(port))
    if orders.edge == "mqtt":
        broker = stack.enter_context(_broker(folder))
        gateways = json.dumps((USUAL, FLOOD, OTHERS))
        config.write_text(
            f'{CONFIG}[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\ngateways = {gateways}\n'
        )
        orders = msgspec.structs.replace(orders, port=broker)
    if orders.edge in _SCOPES:
        books, scope = folder / "telcod.db", _SCOPES[orders.edge]
        tokens = tuple(make_token(books, name, scope) for name in ("load", "others"))
        orders = msgspec.structs.replace(orders, tokens=tokens)
    if orders.edge == "sms":
        loader = stack.enter_context(loader_of("overload-load"))
        order(loader, orders)
        links = enumerate(ports_of(loader))
        config.write_text(CONFIG + "".join(link_of(at, port) for at, port in links))
        running = stack.enter_context(telcod(folder))
    else:
        running = stack.enter_context(telcod(folder))
        if not orders.port:
            orders = msgspec.structs.replace(orders, port=running.port)
        loader = stack.enter_context(loader_of("overload-load"))
        order(loader, orders)
        ports_of(loader)
    return _watched(loader, running)


def _watched(
    loader: subprocess.Popen[str], running: Running
) -> tuple[dict[str, Any], dict[str, int]]:
    before_mb = most_mb = rss_mb(running.process.pid)
    while loader.poll() is None:
        if running.process.poll() is not None:
            raise click.ClickException("telcod ended under the flood")
        most_mb = max(most_mb, rss_mb(running.process.pid))
        time.sleep(LOOK_S)
    out = loader.stdout.read() if loader.stdout is not None else ""
    if loader.returncode or not out:
        raise click.ClickException("the flood ended without a report")
    after_mb = rss_mb(running.process.pid)
    report: dict[str, Any] = msgspec.json.decode(out)
    return report, {"rss_before_mb": before_mb, "rss_most_mb": most_mb, "rss_after_mb": after_mb}


def _wrong(run: Mapping[str, Any]) -> Iterator[str]:
    """What may not be, but for what the books say."""
    if run["rss_most_mb"] > RSS_MB_MAX:
        yield f"memory: {run['rss_most_mb']} MB, more than {RSS_MB_MAX}"
    if run["unanswered"]:
        yield f"{run['unanswered']} requests never had an answer"
    for phase in run["phases"]:
        for name, tally in phase.items():
            if not isinstance(tally, dict):
                continue
            documented = DOCUMENTED_FOR_FLOOD if name == FLOOD else DOCUMENTED
            for why in tally["refused"].keys() - documented:
                yield f"{phase['name']}, {name}: refused by {why!r}: {tally['wrong'][:1]}"
            if (
                name in {NEIGHBOURS, OTHERS}
                and tally["done"] < tally["offered"] - tally["held_back"]
            ):
                yield f"{phase['name']}: only {tally['done']} of {tally['offered']} {name} served"


# -- the others that are needed


@contextmanager
def loader_of(command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that loads telcod, by its command; killed in the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "telcod.simulator.bench", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def order(loader: subprocess.Popen[str], said: object) -> None:
    """Tell a load something, as a line of JSON."""
    if loader.stdin is not None:
        loader.stdin.write(msgspec.json.encode(said).decode() + "\n")
        loader.stdin.flush()


def ports_of(loader: subprocess.Popen[str]) -> list[int]:
    """The ports that a load tells first."""
    line = loader.stdout.readline() if loader.stdout is not None else ""
    if not line:
        raise click.ClickException("the flood did not start")
    return msgspec.json.decode(line, type=list[int])


@contextmanager
def _gateway() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "telcod.simulator.bench", "card-gateway"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline()) if process.stdout is not None else 0
    finally:
        process.communicate()


@contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """A Mosquitto as Debian ships it, but for where it listens."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "log_dest stderr\nlog_type information\n"
    )
    try:
        process = subprocess.Popen(
            [MOSQUITTO, "-c", str(config)], stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError as error:
        raise click.ClickException(
            "mosquitto is not installed; install it: apt-get install mosquitto"
        ) from error
    try:
        for line in process.stderr or ():
            if "running" in line:
                break
        yield port
    finally:
        process.terminate()
        process.communicate()


def link_of(number: int, port: int) -> str:
    """A piece of configuration: a link to an SMSC on this machine."""
    return _LINK.format(number=number, port=port)


def _epay(port: int) -> str:
    return (
        f'[epay]\ngateway_url = "http://127.0.0.1:{port}"\ngateway_secret = "{SECRET}"\n'
        f'webhook_secrets = ["{WEBHOOK_SECRET}"]\nsite = false\n'
    )


# -- for people


def _show(result: Mapping[str, Any]) -> None:
    console = Console(width=160)
    for run in result["runs"]:
        table = Table(
            title=f"{run['edge']}: sustained {run['sustained_per_s']:,.0f}/s, memory "
            f"{run['rss_before_mb']} MB before, at most {run['rss_most_mb']} MB, after "
            f"{run['rss_after_mb']} MB"
        )
        for name in ("phase", "who"):
            table.add_column(name)
        for name in ("offered/s", "held back/s", "done/s", "p50 ms", "p99 ms", "max ms"):
            table.add_column(name, justify="right")
        table.add_column("refused")
        for phase in run["phases"]:
            for who, tally in phase.items():
                if isinstance(tally, dict) and tally["offered"]:
                    table.add_row(phase["name"], who, *_cells(tally))
        console.print(table)
        recovered = ", ".join(f"{who} {s} s" for who, s in run["recovered_s"].items())
        console.print(
            f"{run['acknowledged']:,} acknowledged, {run['lost']} of them not in the books; books "
            f"{'in order' if run['books_checked'] else 'NOT IN ORDER'}; as usual again after the "
            f"flood: {recovered}"
        )


def _cells(tally: Mapping[str, Any]) -> list[str]:
    numbers = ("offered_per_s", "held_back_per_s", "done_per_s", "p50_ms", "p99_ms", "max_ms")
    refused = ", ".join(f"{count:,} {why}" for why, count in tally["refused"].items())
    return [*(f"{tally[name]:,.1f}" for name in numbers), refused]
