"""`telcod db`: check, backup, restore, migrate (CLI-6)."""

import contextlib
from pathlib import Path

import click

from telcod.cli.books import open_books
from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.show import when
from telcod.errors import EXIT_NOT_FINE, NotStarted
from telcod.rulebook import load_rules
from telcod.storage.snapshot import open_snapshot


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
    with contextlib.closing(open_snapshot(_path(context))) as snapshot:
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

    path = _path(context)
    before = _schema(path) if path.exists() else 0
    SqliteStore.open(path).close()
    after = _schema(path)
    same = before == after
    click.echo(f"Schema {after} already." if same else f"From schema {before} to {after}.")


def _schema(path: Path) -> int:
    with contextlib.closing(open_snapshot(path)) as snapshot:
        return snapshot.schema


def _path(context: Context) -> Path:
    path = context.settings().sqlite_path_or_none()
    if path is None:
        raise NotStarted("store.url names a server", what_to_do="Use the server's own tools.")
    return path
