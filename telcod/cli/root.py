"""The tree of commands (CLI-1…8)."""

import click

from telcod import __version__
from telcod.cli import db, reports, running, setup, status, subscribers, tokens, top, trace
from telcod.cli.edge import Context, Edge
from telcod.cli.options import common


@click.group(cls=Edge, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="telcod")
@common
@click.pass_context
def telcod(ctx: click.Context) -> None:
    """A mobile operator's short codes: receiver-pays calls and texts, and online payment.

    Without --config, the first of ./telcod.toml, ./config/telcod.toml and /etc/telcod/telcod.toml
    that exists is used, else the configuration that comes with telcod.

    Exit codes: 0 fine, 1 what was asked about is not fine, 2 wrong use, 3 could not start.
    """
    ctx.ensure_object(Context)


for command in (
    running.run,
    running.demo,
    status.status,
    top.top,
    trace.trace,
    running.confirm_clock,
    setup.init,
    setup.check,
    subscribers.group,
    db.group,
    tokens.group,
    *reports.COMMANDS,
):
    telcod.add_command(command)
