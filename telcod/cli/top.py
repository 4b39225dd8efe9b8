"""`telcod top`: links, rates, queue, latencies and money of a running daemon, live (CLI-8)."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

import click
import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.rates import Quantiles, Window
from telcod.cli.running import running_daemon
from telcod.cli.show import console, money, span
from telcod.web.ports import Pulse

if TYPE_CHECKING:
    from telcod.cli.remote import RemoteBooks

INTERVAL_S: Final = 1.0
QUIT: Final = frozenset({"q", "Q", "\x03", "\x1b"})
_LATENCIES: Final = (
    ("text", "text in → answered"),
    ("commit", "commit"),
    ("http", "HTTP"),
)


@click.command()
@click.option("--once", is_flag=True, help="Look twice, show the time between, and end.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.05, 60),
    default=INTERVAL_S,
    show_default=True,
    help="Seconds between two looks.",
)
@common
@click.pass_obj
def top(context: Context, *, once: bool, interval_s: float) -> None:
    """Watch the running daemon: links, rates, queue, latencies, money a minute.  q quits."""
    remote = running_daemon(context)
    window = Window()
    try:
        window.add(_pulse(remote))
        if once or not sys.stdout.isatty():
            _wait(None, interval_s)
            window.add(_pulse(remote))
            console().print(screen(window))
            return
        with (
            _keys() as keys,
            Live(screen(window), screen=True, auto_refresh=False, console=console()) as live,
        ):
            while not _wait(keys, interval_s):
                window.add(_pulse(remote))
                live.update(screen(window), refresh=True)
    except KeyboardInterrupt:
        return
    finally:
        remote.close()


def screen(window: Window) -> RenderableType:
    """All of it, for a terminal of 80 columns or more."""
    pulse = window.now
    head = Text(f"telcod {pulse.version}  up {span(pulse.uptime_s)}  ")
    head.append("ready" if not pulse.lacks else "; ".join(pulse.lacks), _good(not pulse.lacks))
    return Group(
        head,
        Text(),
        _links(window),
        Text(),
        _flow(window),
        Text(),
        _latencies(window),
        Text(),
        _money(window),
    )


def _links(window: Window) -> RenderableType:
    if not window.now.links:
        return Text("no SMPP link is configured", "dim")
    table = _table("link", "state", "PDUs in/s", "PDUs out/s", "unanswered", "throttled")
    for link in window.now.links:
        rate = window.link_rate(link.name)
        state = Text("bound" if link.bound else "not bound", _good(link.bound))
        table.add_row(
            Text(link.name),
            state,
            f"{rate.pdus_in:,.1f}",
            f"{rate.pdus_out:,.1f}",
            str(link.outstanding),
            str(link.throttled),
        )
    return table


def _flow(window: Window) -> Table:
    pulse: Pulse = window.now
    table = _table("", "a second", "since the start", "now")
    table.add_row("texts received", f"{window.rate('texts'):,.1f}", f"{pulse.texts:,}", "")
    waiting = f"{pulse.outbox_texts:,} to be sent"
    table.add_row("replies", f"{window.rate('replies'):,.1f}", f"{pulse.replies:,}", waiting)
    queued = f"{pulse.queue_requests:,} in the queue"
    table.add_row(
        "other requests", f"{window.rate('requests'):,.1f}", f"{pulse.requests:,}", queued
    )
    table.add_row("redeliveries", "", f"{pulse.redelivered:,}", "")
    table.add_row("calls", "", "", f"{pulse.calls_open:,} open")
    table.add_row("USSD dialogues", "", "", f"{pulse.sessions_open:,} open")
    return table


def _latencies(window: Window) -> Table:
    table = _table("took", "half of them", "99 of 100")
    for name, label in _LATENCIES:
        found = window.latency(name)
        table.add_row(
            label, _ms(found, found.p50_s, over=False), _ms(found, found.p99_s, over=True)
        )
    return table


def _money(window: Window) -> Table:
    table = _table("earned", "a minute", "in the books")
    earned, held = window.earned_a_minute_vnd(), window.now.earned_vnd
    for name, vnd in earned.items():
        table.add_row(name, money(vnd), money(held[name]))
    table.add_row("together", money(sum(earned.values())), money(sum(held.values())), style="bold")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(first, min_width=18)
    for name in others:
        table.add_column(name, justify="left" if name in {"state", "now"} else "right")
    return table


def _good(fine: bool) -> str:  # noqa: FBT001  (a colour for a yes or a no)
    return "green" if fine else "bold red"


def _ms(found: Quantiles, value_s: float | None, *, over: bool) -> str:
    if value_s is None:
        return "-"
    more = "> " if over and found.over else ""
    return f"{more}{value_s * 1_000:,.1f} ms"


def _pulse(remote: "RemoteBooks") -> Pulse:
    return msgspec.convert(remote.pulse(), Pulse)


@contextlib.contextmanager
def _keys() -> Generator[int | None, None, None]:
    """The terminal's keys one by one, without Enter; None when nobody can press any."""
    if not sys.stdin.isatty():
        yield None
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _wait(keys: int | None, wait_s: float) -> bool:
    """Wait for the next look; whether somebody wants to quit."""
    watched = [] if keys is None else [keys]
    ready, _, _ = select.select(watched, [], [], wait_s)
    return bool(ready) and os.read(ready[0], 1).decode(errors="replace") in {"", *QUIT}
