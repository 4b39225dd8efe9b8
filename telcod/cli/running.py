"""`telcod run`, `telcod demo`, and asking the daemon that runs how it is (CLI-1, CLI-2)."""

from typing import TYPE_CHECKING, Final

import click
import msgspec
from rich.table import Table

from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.show import console, when
from telcod.errors import EXIT_NOT_FINE, Unavailable

if TYPE_CHECKING:
    from telcod.cli.remote import RemoteBooks

DEMO_PORT: Final = 8080


@click.command()
@click.option(
    "--log",
    "form",
    type=click.Choice(["json", "console"]),
    help="How logs look on standard error: json, or console for people.",
)
@common
@click.pass_obj
def run(context: Context, form: str | None) -> None:
    """Run the daemon in the foreground.

    SIGTERM or Ctrl-C stops it: what was accepted is finished first.  SIGHUP reads tariffs,
    messages, keywords and limits again.
    """
    from telcod.app import run_daemon  # noqa: PLC0415  (the other commands start quicker without)

    settings = context.settings()
    if form is not None:
        log = msgspec.convert({"level": settings.log.level, "format": form}, type(settings.log))
        settings = msgspec.structs.replace(settings, log=log)
    run_daemon(settings)


@click.command()
@click.option("--port", default=DEMO_PORT, show_default=True, help="Where the page listens.")
@click.option("--open/--no-open", "open_page", default=False, help="Open the page in a browser.")
@click.option("--check", "check_only", is_flag=True, help="Hold a conversation, prove the books.")
@common
def demo(port: int, *, open_page: bool, check_only: bool) -> None:
    """Run everything on this machine, with simulated networks and some subscribers.

    With --check, a fixed conversation goes through SMPP and is shown with the books after it; exit
    code 0 only if all is as it must be.
    """
    from telcod.demo import check_demo, run_demo  # noqa: PLC0415

    if not check_only:
        run_demo(port=port, open_page=open_page)
    elif not check_demo():
        raise click.exceptions.Exit(EXIT_NOT_FINE)


@click.command()
@common
@click.pass_obj
def status(context: Context) -> None:
    """Show how the running daemon is; exit code 1 if a link is not bound."""
    remote = _remote(context)
    try:
        data = remote.status()
    finally:
        remote.close()
    screen = console()
    screen.print(
        f"telcod {data['version']}, up {data['uptime_s']} s, last commit {when(data['commit_ms'])}"
    )
    waiting = f"{data['queue_requests']} requests wait, {data['outbox_pending']} texts to be sent"
    screen.print(waiting)
    table = Table("link", "address", "short codes", "state", "unanswered")
    for link in data["links"]:
        state = "bound" if link["bound"] else f"not bound {link['last_error']}".strip()
        address = f"{link['host']}:{link['port']}"
        codes = " ".join(link["short_codes"])
        table.add_row(link["name"], address, codes, state, str(link["outstanding"]))
    if data["links"]:
        screen.print(table)
    if data["clock_jumped"]:
        screen.print("The clock jumped: renewals wait until `telcod confirm-clock`.")
    if data["clock_jumped"] or not all(link["bound"] for link in data["links"]):
        raise click.exceptions.Exit(1)


@click.command("confirm-clock")
@common
@click.pass_obj
def confirm_clock(context: Context) -> None:
    """Say that the machine's clock is right after it jumped: renewals go on."""
    remote = _remote(context)
    try:
        had_jumped = remote.confirm_clock()
    finally:
        remote.close()
    click.echo("Confirmed: what happens by the clock goes on." if had_jumped else "It was fine.")


def _remote(context: Context) -> "RemoteBooks":
    from telcod.cli.remote import RemoteBooks  # noqa: PLC0415
    from telcod.web.sockets import control_socket_path  # noqa: PLC0415

    path = control_socket_path(context.settings())
    remote = RemoteBooks.connect_or_none(path)
    if remote is None:
        raise Unavailable(f"no telcod answers on {path}", what_to_do="Start it by `telcod run`.")
    return remote
