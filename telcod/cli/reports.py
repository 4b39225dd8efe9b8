"""`telcod report`, `reconcile`, `invoices export`, `day close`, `settlement` (CLI-5)."""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.table import Table

from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.cli.desk import open_desk
from telcod.cli.edge import Context
from telcod.cli.options import common
from telcod.cli.show import as_typed, console, money
from telcod.errors import EXIT_NOT_FINE
from telcod.invoices import as_cell, as_csv, as_pages
from telcod.reports import REPORTS, Report, ReportTable
from telcod.web.report_routes import day_of
from telcod.web.staff_requests import Refused

SHOWN_MAX: Final = 50
_VND: Final = "_vnd"


def _day(_: click.Context, param: click.Parameter, value: str) -> int:
    """A day as a person writes it; yyyymmdd as a number."""
    try:
        return day_of(value)
    except Refused as error:
        raise click.BadParameter(str(error), param=param) from error


_DATE: Final = click.option(
    "--date", "day", callback=_day, required=True, metavar="DAY", help="As 2026-03-02."
)


@click.command("report")
@click.argument("name", type=click.Choice(list(REPORTS)))
@_DATE
@click.option(
    "--format",
    "shape",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="For people, spreadsheets or programs.",
)
@common
@click.pass_obj
def report(context: Context, name: str, day: int, shape: str) -> None:
    """Show what the books say of a day.

    collections by the banks' cashier codes, clearing by centre and what is in between, packages,
    messages by keyword, revenue by service and centre.
    """
    with open_desk(context.settings()) as desk:
        made = desk.report(name, day)
    if shape == "json":
        click.echo(msgspec.json.encode(made))
    elif shape == "csv":
        click.echo(report_csv(made), nl=False)
    else:
        _show(made)


@click.command("reconcile")
@_DATE
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The gateway's file of the day.",
)
@common
@click.pass_obj
def reconcile(context: Context, day: int, file: Path) -> None:
    """Match the gateway's file of a day with the books, line by line, once.

    Differences are booked to suspense, with a case each; then the exit code is 1.
    """
    with open_desk(context.settings()) as desk:
        done = desk.reconcile(day, file.read_bytes())
    if done["outcome"] == "reconcile.done_before":
        click.echo("This file was accepted before; nothing was changed.")
    counts = ", ".join(f"{count} {name}" for name, count in done["counts"].items() if count)
    click.echo(f"{done['lines']} lines, {money(done['amount_vnd'])}: {counts or 'nothing'}.")
    odd = sum(count for name, count in done["counts"].items() if name != "matched")
    if odd:
        _show_differences(done["differences"], odd)
        raise click.exceptions.Exit(EXIT_NOT_FINE)


@click.group("invoices")
def invoices() -> None:
    """VAT invoices that subscribers asked for."""


@invoices.command("export")
@_DATE
@click.option("--centre", type=click.IntRange(1, 6), required=True, help="1 to 6.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["csv", "html"]),
    default="csv",
    help="For spreadsheets, or pages to print.",
)
@common
@click.pass_obj
def export(context: Context, day: int, centre: int, shape: str) -> None:
    """Write the invoices of a day and centre to standard output."""
    with open_desk(context.settings()) as desk:
        found = desk.invoices(day, centre)
    text = as_csv(found) if shape == "csv" else as_pages(found, day, centre)
    click.echo(text.encode(), nl=False)
    click.echo(f"{len(found)} invoices.", err=True)


@click.group("day")
def day_group() -> None:
    """The end of a day."""


@day_group.command("close")
@_DATE
@common
@click.pass_obj
def close_day(context: Context, day: int) -> None:
    """Close the books of a day, once; or say what is missing, with exit code 1."""
    with open_desk(context.settings()) as desk:
        done = desk.close_day(day)
    if done["outcome"] == "day.open":
        for lack in done["missing"]:
            click.echo(f"{lack['code']}: {lack['detail']}")
        raise click.exceptions.Exit(EXIT_NOT_FINE)
    before = " already" if done["outcome"] == "day.closed_before" else ""
    amounts = ", ".join(
        f"{words} {money(done[name])}"
        for name, words in (
            ("collected_vnd", "collected"),
            ("cleared_vnd", "cleared"),
            ("transit_vnd", "in transit"),
        )
    )
    click.echo(f"The day {day} is closed{before}: {amounts}.")


@click.command("settlement")
@_DATE
@click.option("--kind", type=click.Choice(["advance", "final"]), required=True)
@click.argument("amount", type=click.IntRange(1, AMOUNT_VND_MAX), metavar="AMOUNT_VND")
@common
@click.pass_obj
def settlement(context: Context, day: int, kind: str, amount: int) -> None:
    """Note that the acquiring bank has paid AMOUNT_VND for a day."""
    with open_desk(context.settings()) as desk:
        done = desk.settle(day, kind, amount)
    before = " already" if done["outcome"] == "settlement.noted_before" else ""
    settled, owed = money(done["settled_vnd"]), money(done["owed_vnd"])
    click.echo(f"Noted{before}: {settled} for the day; the gateway owes {owed} in all.")


COMMANDS: Final = (report, reconcile, invoices, day_group, settlement)


def report_csv(made: Report) -> str:
    """All tables of a report, each below its header, with a blank line between."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for at, table in enumerate(made.tables):
        if at:
            out.write("\n")
        writer.writerow(table.columns)
        writer.writerows([as_cell(value) for value in row] for row in table.rows)
    return out.getvalue()


def _show(made: Report) -> None:
    screen = console()
    for table in made.tables:
        screen.print(_shown(table))
    for note in made.notes:
        screen.print(note)


def _shown(table: ReportTable) -> Table:
    shown = Table(title=table.name, title_justify="left", show_footer=bool(table.total))
    totals = table.total or ("",) * len(table.columns)
    for at, (column, total) in enumerate(zip(table.columns, totals, strict=True)):
        number = any(isinstance(row[at], int) for row in table.rows)
        footer = _cell(column, total) or ("total" if at == 0 else "")
        title = column.removesuffix(_VND).replace("_", " ")
        shown.add_column(title, footer, justify="right" if number else "left")
    for row in table.rows:
        cells = (_cell(*pair) for pair in zip(table.columns, row, strict=True))
        shown.add_row(*(as_typed(cell) for cell in cells))
    return shown


def _cell(column: str, value: str | int) -> str:
    return money(value) if isinstance(value, int) and column.endswith(_VND) else str(value)


def _show_differences(differences: list[Mapping[str, Any]], count: int) -> None:
    table = Table("line", "payment", "verdict", "there", "here", "cashier")
    for one in differences[:SHOWN_MAX]:
        line = str(one["line"]) if one["line"] > 0 else "-"
        amounts = (money(one["amount_vnd"]), money(one["ours_vnd"]))
        payment, cashier = as_typed(one["payment"]), as_typed(one["cashier"])
        table.add_row(line, payment, one["verdict"], *amounts, cashier)
    console().print(table)
    if count > min(len(differences), SHOWN_MAX):
        click.echo(f"{count - min(len(differences), SHOWN_MAX)} more; each has a case.")
