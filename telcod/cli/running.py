"""`telcod run`, `telcod demo`, `telcod confirm-clock` (CLI-1, CLI-2)."""

from typing import TYPE_CHECKING, Final

import click
import msgspec

from telcod.cli.edge import Context
from telcod.cli.options import common
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


@click.command("confirm-clock")
@common
@click.pass_obj
def confirm_clock(context: Context) -> None:
    """Say that the machine's clock is right after it jumped: renewals go on."""
    remote = running_daemon(context)
    try:
        had_jumped = remote.confirm_clock()
    finally:
        remote.close()
    click.echo("Confirmed: what happens by the clock goes on." if had_jumped else "It was fine.")


def running_daemon(context: Context) -> "RemoteBooks":
    """The daemon of this configuration, over its control socket.

    Raises:
        Unavailable: None answers.
    """
    from telcod.cli.remote import RemoteBooks  # noqa: PLC0415
    from telcod.web.sockets import control_socket_path  # noqa: PLC0415

    path = control_socket_path(context.settings())
    remote = RemoteBooks.connect_or_none(path)
    if remote is None:
        raise Unavailable(f"no telcod answers on {path}", what_to_do="Start it by `telcod run`.")
    return remote
