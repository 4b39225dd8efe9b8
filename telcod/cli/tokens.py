"""`telcod token`: create, list, revoke (CLI-7)."""

import re
from typing import Final

import click

from telcod.cli.books import open_books
from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.show import console, token_table
from telcod.web.scopes import Scope
from telcod.web.staff_requests import TOKEN_NAME_PATTERN

_NAME: Final = re.compile(TOKEN_NAME_PATTERN)


@click.group("token")
def group() -> None:
    """Bearer tokens for the HTTP interface."""


@group.command("create")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    required=True,
    help="What its holder may do.",
)
@common
@click.pass_obj
def create(context: Context, name: str, scope: str) -> None:
    """Make a token, and show it this once."""
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            "small letters, digits, dots, dashes and underscores, 64 at most", param_hint="NAME"
        )
    with open_books(context.settings(), create=True) as books:
        token = books.create_token(name, scope)
    click.echo("Keep it: it is not shown again.", err=True)
    click.echo(token)


@group.command("list")
@common
@click.pass_obj
def list_all(context: Context) -> None:
    """List the tokens, the revoked ones too."""
    with open_books(context.settings()) as books:
        tokens = list(books.tokens())
    if tokens:
        console().print(token_table(tokens))
    else:
        click.echo("There are no tokens.")


@group.command("revoke")
@click.argument("name")
@common
@click.pass_obj
def revoke(context: Context, name: str) -> None:
    """Take a token out of use, at once and for ever."""
    with open_books(context.settings()) as books:
        books.revoke_token(name)
    click.echo(f"{name} opens nothing any more.")
