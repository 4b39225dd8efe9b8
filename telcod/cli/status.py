"""`telcod status`: one screen that says whether all is well, and if not, why (CLI-8)."""

from collections.abc import Iterator

import click
import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.running import running_daemon
from telcod.cli.show import console, span, volume, when
from telcod.errors import EXIT_NOT_FINE
from telcod.web.ports import LinkStatus, Status, Waiting


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
@common
@click.pass_obj
def status(context: Context, *, as_json: bool) -> None:
    """Show how the running daemon is; exit code 1 if it can't serve, or a link is not bound."""
    remote = running_daemon(context)
    try:
        data = remote.status()
    finally:
        remote.close()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    found = msgspec.convert(data, Status)
    if not as_json:
        console().print(screen(found))
    if complaints(found):
        raise click.exceptions.Exit(EXIT_NOT_FINE)


def complaints(status: Status) -> list[str]:
    """What is not as it should be, in a few words each; nothing when all is well."""
    found = list(status.lacks)
    found += [f"link {link.name} is not bound" for link in status.links if not link.bound]
    if status.clock_jumped:
        seconds = abs(status.clock_jump_ms) // 1_000
        way = "back" if status.clock_jump_ms < 0 else "forward"
        found.append(
            f"the clock jumped {seconds} s {way}: what happens by the clock waits until a person "
            "has looked at it and said `telcod confirm-clock`"
        )
    if status.log_grows:
        found.append(
            f"the log of the books has grown to {volume(status.log_bytes)}: somebody reads them in "
            "one transaction all the time; `lsof` on the database says who"
        )
    if status.broker is not None and not status.broker.connected:
        found.append(f"the broker {status.broker.address} is not there")
    return found


def screen(status: Status) -> RenderableType:
    """All of it, for people."""
    wrong = complaints(status)
    head = Text(f"telcod {status.version}  ")
    head.append(
        "all is well" if not wrong else "not well", "bold green" if not wrong else "bold red"
    )
    parts: list[RenderableType] = [head]
    parts += [Text(f"  {what}", "red") for what in wrong]
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in _fields(status):
        table.add_row(Text(name, "dim"), Text(value))
    parts += [Text(), table]
    if status.links:
        parts += [Text(), _links(status.links)]
    return Group(*parts)


def _fields(status: Status) -> Iterator[tuple[str, str]]:
    waiting = status.waiting
    yield "up", f"{span(status.uptime_s)}, since {when(status.started_ms)}"
    yield "HTTP", status.http or "-"
    yield "FastAGI", status.fastagi or "not configured"
    yield "MQTT", _broker(status)
    yield "last commit", when(status.commit_ms)
    yield "queue", f"{status.queue_requests} requests wait for the writer"
    yield "to be sent", _to_send(waiting)
    yield (
        "under way",
        (f"{waiting.calls} calls, {waiting.sessions} USSD dialogues, {waiting.payments} payments"),
    )
    yield (
        "for a person",
        (f"{waiting.cases} payment cases, {waiting.quarantined} requests in quarantine"),
    )
    yield "disk", f"books {volume(status.books_bytes)}, {volume(status.disk_free_bytes)} free"
    yield "clock", "jumped, see above" if status.clock_jumped else "steady"
    if status.daemons > 1 or not status.on_duty:
        duty = "this one does" if status.on_duty else "this one does not do"
        yield "daemons", f"{status.daemons} on these books; {duty} what only one may do"


def _broker(status: Status) -> str:
    broker = status.broker
    if broker is None:
        return "not configured"
    state = "connected" if broker.connected else f"away: {broker.last_error or 'not reached yet'}"
    behind = f", {broker.events_behind} events behind" if broker.events_behind else ""
    return f"{broker.address} {state}{behind}"


def _to_send(waiting: Waiting) -> str:
    oldest = f" (the oldest for {span(waiting.oldest_text_s)})" if waiting.texts else ""
    return f"{waiting.texts} texts{oldest}, {waiting.pushes} USSD pushes, {waiting.mails} e-mails"


def _links(links: tuple[LinkStatus, ...]) -> Table:
    table = Table("link", "SMSC", "short codes", "unanswered", "state", box=None, pad_edge=False)
    for link in links:
        if link.bound:
            state = Text("bound", "green")
        else:
            state = Text(f"not bound{': ' if link.last_error else ''}{link.last_error}", "red")
        address, codes = f"{link.host}:{link.port}", " ".join(link.short_codes)
        table.add_row(Text(link.name), Text(address), codes, str(link.outstanding), state)
    return table
