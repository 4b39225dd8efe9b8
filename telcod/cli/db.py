"""`telcod db`: check, backup, restore, migrate, copy (CLI-6)."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from rich.table import Column, Table

from telcod.cli.books import open_books
from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.show import console, when
from telcod.errors import EXIT_NOT_FINE, NotStarted
from telcod.rulebook import load_rules
from telcod.settings import Settings
from telcod.storage.snapshot import Snapshot, open_snapshot

if TYPE_CHECKING:
    from telcod.storage.postgres_snapshot import PostgresSnapshot


@click.group("db")
def group() -> None:
    """The database: proved, copied, brought to the present schema."""


@group.command("check")
@common
@click.pass_obj
def check(context: Context) -> None:
    """Prove the books: every invariant, over every row, also while the daemon runs."""
    from telcod.check import check_books  # noqa: PLC0415

    settings = context.settings()
    tariffs = load_rules(settings).tariffs
    with contextlib.closing(_snapshot(settings)) as snapshot:
        found = [("file", complaint) for complaint in snapshot.complaints()]
        # Rows of a file that is not whole prove nothing.
        found = found or [
            (one.invariant, one.what) for one in check_books(snapshot, tariffs=tariffs)
        ]
    for invariant, what in found:
        click.echo(f"{invariant}: {what}")
    if found:
        click.echo(f"{len(found)} violations. Stop telcod and restore a backup, or ask.", err=True)
        raise click.exceptions.Exit(EXIT_NOT_FINE)
    click.echo("The books are right.")


@group.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@common
@click.pass_obj
def backup(context: Context, file: Path) -> None:
    """Copy the books into a new FILE, also while the daemon runs.

    The copy is of one moment, synced, and checked before FILE appears.
    """
    with open_books(context.settings()) as books:
        size_bytes = books.back_up(file.absolute())
    click.echo(f"{file} holds the books, {size_bytes:,} bytes, checked.")


@group.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common
@click.pass_obj
def restore(context: Context, file: Path) -> None:
    """Put the backup FILE where the configuration has its books, if there are none.

    The copy is brought to the present schema and proved before it bears the name; FILE stays as it
    is.
    """
    from telcod.storage.restore import restore_books  # noqa: PLC0415

    settings = context.settings()
    path = _path(context)
    tariffs = load_rules(settings).tariffs
    restored = restore_books(file, path, tariffs)
    click.echo(f"{path} holds the books of {when(restored.commit_ms)}, checked.")
    if settings.security.secret is None and not path.with_name(f"{path.name}.key").exists():
        click.echo(
            f"{path.name}.key is not beside it: put the old installation's there before the start. "
            "Without it, parts of long texts that were waiting can't be read.",
            err=True,
        )


@group.command("migrate")
@common
@click.pass_obj
def migrate(context: Context) -> None:
    """Bring the database to the present schema; `telcod run` does it by itself."""
    from telcod.storage.sqlite import SqliteStore  # noqa: PLC0415

    settings = context.settings()
    path = settings.sqlite_path_or_none()
    if path is None:
        before, after = _migrate_server(settings.store.url)
    else:
        before = _schema(path) if path.exists() else 0
        SqliteStore.open(path).close()
        after = _schema(path)
    same = before == after
    click.echo(f"Schema {after} already." if same else f"From schema {before} to {after}.")


@group.command("copy")
@click.argument("source")
@click.argument("target")
@common
@click.pass_obj
def copy(context: Context, source: str, target: str) -> None:
    """Move the books from SOURCE to TARGET: sqlite:///path or postgresql://host/database.

    No telcod may run on either, and TARGET must hold no books.  All rows go over at once, proved by
    their number, their digests, the chains and every invariant before they stand.  SOURCE is only
    read.
    """
    from telcod.storage.copy import NUL_PICTURE, copy_books  # noqa: PLC0415

    settings = context.settings()
    copied = copy_books(source, target, load_rules(settings).tariffs, folder=settings.folder)
    table = Table("table", Column("rows", justify="right"), "digest", box=None, pad_edge=False)
    for each in copied.tables:
        if each.rows:
            table.add_row(each.name, f"{each.rows:,}", each.digest)
    console().print(table)
    rows = sum(each.rows for each in copied.tables)
    click.echo(f"{rows:,} rows; all accounts together hold {copied.posted_vnd} dong.")
    for name, head in (("entries", copied.entry_head), ("audit", copied.audit_head)):
        click.echo(f"The chain of {name} ends with {head or 'nothing yet'}.")
    if copied.pictured:
        click.echo(f"{copied.pictured} rows had a NUL in a text; {NUL_PICTURE} stands for it now.")
    click.echo("The books are right, and stand at the target.  Set store.url to it.")
    if settings.security.secret is None:
        click.echo(
            f"Carry along {_key_of(source)}, which is not in the books: "
            "without it, parts of long texts that were waiting can't be read.",
            err=True,
        )


def _key_of(source: str) -> str:
    url = urlsplit(source)
    return f"{url.path}.key" if url.scheme == "sqlite" else "the installation's key file"


def _snapshot(settings: Settings) -> "Snapshot | PostgresSnapshot":
    from telcod.storage.postgres_snapshot import open_postgres_snapshot  # noqa: PLC0415

    path = settings.sqlite_path_or_none()
    return open_postgres_snapshot(settings.store.url) if path is None else open_snapshot(path)


def _migrate_server(url: str) -> tuple[int, int]:
    from telcod.storage.postgres import PostgresStore  # noqa: PLC0415
    from telcod.storage.postgres_snapshot import open_postgres_snapshot  # noqa: PLC0415

    def schema() -> int:
        with contextlib.closing(open_postgres_snapshot(url, empty=True)) as snapshot:
            return snapshot.schema

    before = schema()
    PostgresStore.open(url).close()
    return before, schema()


def _schema(path: Path) -> int:
    with contextlib.closing(open_snapshot(path)) as snapshot:
        return snapshot.schema


def _path(context: Context) -> Path:
    path = context.settings().sqlite_path_or_none()
    if path is None:
        raise NotStarted("store.url names a server", what_to_do="Use the server's own tools.")
    return path
