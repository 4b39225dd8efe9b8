"""`telcod subscribers`: import, show, topup, set-state (CLI-4)."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final

import click
import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.bulk import (
    CHUNK_LINES_MAX,
    LINE_BYTES_MAX,
    BadLine,
    NotSubscribers,
    SubscriberLine,
    check_header,
    read_lines,
)
from telcod.cli.books import Books, open_books
from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.show import console, money, subscriber_table
from telcod.errors import EXIT_NOT_FINE, TelcodError, Unavailable
from telcod.rows import State
from telcod.rulebook import load_rules
from telcod.web.staff_requests import KEY_CHARS_MAX, REASON_CHARS_MAX

PROGRESS_BYTES_MIN: Final = 256 * 1024  # below that it is done before a bar can be read
KEY_BYTES: Final = 12
_COUNTS: Final = ("added", "changed", "unchanged")


@click.group("subscribers")
def group() -> None:
    """The subscriber data: with a running daemon, or on the file when there is none."""


@group.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Read and check the file only; change nothing.")
@common
@click.pass_obj
def import_file(context: Context, file: Path, *, dry_run: bool) -> None:
    """Take over subscriber data from a CSV file in UTF-8.

    Its first line must be
    msisdn,kind,state,balance_vnd,debt_vnd,name,address,centre,email,language.
    Lines with mistakes are told and passed over, the others are imported; the same file again
    changes nothing.  Balances are opened with new subscribers and never set afterwards.
    """
    settings = context.settings()
    old_prefixes = load_rules(settings).old_prefixes
    counts: Counter[str] = Counter()
    with file.open("rb") as stream, _progress(stream, file.stat().st_size) as lines:
        check_file_header(file, lines)
        parsed = _good(read_lines(lines, old_prefixes), counts)
        if dry_run:
            counts["good"] = sum(1 for _ in parsed)
        else:
            with open_books(settings, create=True) as books:
                _take_over(books, parsed, counts)
    _say(counts, dry_run=dry_run)
    if counts["bad"]:
        raise click.exceptions.Exit(EXIT_NOT_FINE)


@group.command("show")
@click.argument("msisdn")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
@common
@click.pass_obj
def show(context: Context, msisdn: str, *, as_json: bool) -> None:
    """Show a subscriber.  The look-up is written into the audit log."""
    with open_books(context.settings()) as books:
        data = books.show(msisdn)
    if as_json:
        click.echo(msgspec.json.encode(data))
    else:
        console().print(subscriber_table(data))


@group.command("topup")
@click.argument("msisdn")
@click.argument("amount", type=click.IntRange(1, AMOUNT_VND_MAX), metavar="AMOUNT_VND")
@click.option("--reason", required=True, help="Why, for the audit log.")
@click.option("--key", help="Names this top-up: again with the same key it changes nothing.")
@common
@click.pass_obj
def top_up(context: Context, msisdn: str, amount: int, reason: str, key: str | None) -> None:
    """Add whole đồng to a main balance, or take them off a debt."""
    if not 1 <= len(reason.strip()) <= REASON_CHARS_MAX:
        raise click.BadParameter(
            f"must have 1 to {REASON_CHARS_MAX} characters", param_hint="--reason"
        )
    if key is not None and not (
        0 < len(key) <= KEY_CHARS_MAX and key.isascii() and key.isprintable()
    ):
        raise click.BadParameter(
            f"must be at most {KEY_CHARS_MAX} ASCII characters", param_hint="--key"
        )
    key = key or f"cli-{secrets.token_hex(KEY_BYTES)}"
    with open_books(context.settings()) as books:
        try:
            data = books.top_up(msisdn, amount, reason.strip(), key=key)
        except Unavailable:
            # It may have been done: with the same key a repeat can't do it twice.
            click.echo(f"To repeat this top-up, add --key {key}", err=True)
            raise
    package = " The package that waited for money was tried again." if data["package"] else ""
    click.echo(f"Topped up by {money(amount)}: {money(data['balance_vnd'])} now.{package}")


@group.command("set-state")
@click.argument("msisdn")
@click.argument("state", type=click.Choice([state.value for state in State]), metavar="STATE")
@common
@click.pass_obj
def set_state(context: Context, msisdn: str, state: str) -> None:
    """Set what the network lets a subscriber do.

    STATE is active, out_of_money, debt_blocked, suspended or closed; closed takes package, lists,
    payment password and settings away.
    """
    with open_books(context.settings()) as books:
        data = books.set_state(msisdn, state)
    unchanged = data["outcome"] == "state.unchanged"
    click.echo(f"The state was {state} already." if unchanged else f"The state is {state} now.")


def check_file_header(file: Path, lines: Iterator[bytes]) -> None:
    """Read the first line, and see that it is the header.

    Raises:
        TelcodError: It isn't; nothing was imported.
    """
    try:
        check_header(next(lines, b""))
    except NotSubscribers as error:
        raise TelcodError(
            f"{file}: {error}", what_to_do="Mend the file; nothing was imported."
        ) from error


def _good(
    lines: Iterable[SubscriberLine | BadLine], counts: Counter[str]
) -> Iterator[SubscriberLine]:
    """The lines without mistakes; the others are told as they come, and counted."""
    for line in lines:
        if isinstance(line, BadLine):
            counts["bad"] += 1
            click.echo(str(line), err=True)
        else:
            yield line


def _take_over(books: Books, lines: Iterator[SubscriberLine], counts: Counter[str]) -> None:
    while chunk := list(islice(lines, CHUNK_LINES_MAX)):
        try:
            done = books.import_lines(chunk)
        except TelcodError:
            _say(counts, dry_run=False)
            click.echo("What is counted above is imported; the same file again goes on.", err=True)
            raise
        for name in _COUNTS:
            counts[name] += done[name]


def _say(counts: Counter[str], *, dry_run: bool) -> None:
    bad = f", {counts['bad']} with mistakes" if counts["bad"] else ""
    if dry_run:
        click.echo(f"{counts['good']} lines can be imported{bad}; nothing was changed.")
        return
    told = ", ".join(f"{counts[name]} {name}" for name in _COUNTS)
    nothing = "; nothing was changed" if not counts["added"] + counts["changed"] else ""
    click.echo(f"{told}{bad}{nothing}.")


class _progress:  # noqa: N801  (used as a statement)
    """The lines of a file, none longer than can be kept, with a bar on a terminal for long ones."""

    def __init__(self, stream: IO[bytes], size_bytes: int) -> None:
        self._stream: Final = stream
        self._size_bytes: Final = size_bytes
        screen = console(err=True)
        shown = size_bytes >= PROGRESS_BYTES_MIN and screen.is_terminal
        columns = (
            TextColumn("importing"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
        )
        self._bar: Final = Progress(*columns, console=screen, disable=not shown, transient=True)

    def __enter__(self) -> Iterator[bytes]:
        self._bar.start()
        task = self._bar.add_task("", total=self._size_bytes)
        return _whole_lines(
            self._stream, lambda: self._bar.update(task, completed=self._stream.tell())
        )

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _whole_lines(stream: IO[bytes], moved: Callable[[], None]) -> Iterator[bytes]:
    """Lines as they are; of one that is too long only so much as shows that it is."""
    count = 0
    while line := stream.readline(LINE_BYTES_MAX + 1):
        rest = line
        while len(rest) > LINE_BYTES_MAX and not rest.endswith(b"\n"):
            rest = stream.readline(LINE_BYTES_MAX + 1)
        count += 1
        if count % CHUNK_LINES_MAX == 0:
            moved()
        yield line
