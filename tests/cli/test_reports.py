"""`report`, `reconcile`, `invoices export`, `day close`, `settlement`, on real books."""

import csv
import io

import click
import msgspec
import pytest
from click.testing import CliRunner
from litestar.testing import TestClient

from telcod.cli.desk import RemoteDesk
from telcod.cli.edge import Edge
from telcod.cli.options import common
from telcod.cli.reports import COMMANDS
from telcod.reports import REPORTS
from telcod.web.app import make_app
from telcod.web.report_routes import routes
from tests.book_world import DAY, BookWorld
from tests.web.test_report_routes import BYTES_MAX, BookBackend

A = 84_903_000_001
D = ("--date", "2026-03-02")


@click.group(cls=Edge)
@common
def tree():
    """The commands by themselves."""


for command in COMMANDS:
    tree.add_command(command)


def tell(place, *words):
    args = ["--config", str(place.folder), *(str(word) for word in words)]
    return CliRunner().invoke(tree, args, catch_exceptions=False)


@pytest.fixture
def paid(place):
    """An installation whose day is over, with one payment; the bank's file of it."""
    with BookWorld(place.folder / "telcod.db") as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000, name="Ánh", address="Huế")
        world.paid("7K2M", A)
        world.text(A, "NHAN", code="9223")
        world.morning_after()
        return place.file("gateway.csv", world.bank.file(DAY))


@pytest.mark.rule("CLI-5")
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_has_three_shapes(place, paid, name):
    shown = tell(place, "report", name, *D)
    assert shown.exit_code == 0, shown.output
    as_json = msgspec.json.decode(tell(place, "report", name, *D, "--format", "json").stdout)
    assert (as_json["name"], as_json["day"]) == (name, DAY)
    lines = tell(place, "report", name, *D, "--format", "csv").stdout
    header = next(csv.reader(io.StringIO(lines)))
    assert header == as_json["tables"][0]["columns"]


@pytest.mark.rule("CLI-5", "PAY-12")
def test_collections_show_money_and_totals(place, paid):
    shown = tell(place, "report", "collections", *D).stdout
    assert "VCB01" in shown
    assert shown.count("50.000 đ") == 4
    assert "total" in shown
    assert "the day is open" in shown


@pytest.mark.rule("CLI-5", "PAY-12", "CLI-9")
def test_the_evening_from_the_file_to_the_closed_day(place, paid):
    closing = tell(place, "day", "close", *D)
    assert (closing.exit_code, closing.stdout.partition(":")[0]) == (1, "file")
    done = tell(place, "reconcile", *D, "--file", paid)
    assert done.exit_code == 0, done.output
    assert done.stdout == "1 lines, 50.000 đ: 1 matched.\n"
    assert "accepted before" in tell(place, "reconcile", *D, "--file", paid).stdout
    closed = tell(place, "day", "close", *D)
    assert closed.stdout.startswith("The day 20260302 is closed: collected 50.000 đ")
    assert "closed already" in tell(place, "day", "close", *D).stdout


@pytest.mark.rule("CLI-5", "PAY-12", "CLI-9")
def test_differences_are_shown_and_the_exit_code_says_so(place, paid):
    text = paid.read_text().replace("7K2M,50000", "8L3N,50000")
    done = tell(place, "reconcile", *D, "--file", place.file("other.csv", text))
    assert done.exit_code == 1
    for word in ("8L3N", "missing_here", "7K2M", "missing_there"):
        assert word in done.stdout
    other = tell(place, "reconcile", *D, "--file", paid)
    assert other.exit_code == 1
    assert "another file of this day was accepted" in other.stderr


@pytest.mark.rule("CLI-5", "CLI-9")
def test_wrong_use_is_told(place, paid):
    cut = place.file("cut.csv", paid.read_bytes()[:-9])
    refused = tell(place, "reconcile", *D, "--file", cut)
    assert refused.exit_code == 2
    assert "trailer" in refused.stderr
    assert tell(place, "report", "revenue", "--date", "2026-02-30").exit_code == 2
    assert tell(place, "report", "gossip", *D).exit_code == 2
    assert tell(place, "reconcile", *D, "--file", place.folder / "none.csv").exit_code == 2


@pytest.mark.rule("CLI-5", "PAY-11")
def test_invoices_are_written_for_spreadsheets_and_for_the_printer(place, paid):
    written = tell(place, "invoices", "export", *D, "--centre", 1)
    # Asked for on the day itself, before midnight.
    assert written.exit_code == 0
    assert "Ánh" in written.stdout
    assert written.stderr == "1 invoices.\n"
    page = tell(place, "invoices", "export", *D, "--centre", 1, "--format", "html").stdout
    assert page.startswith("<!DOCTYPE html>")
    assert "Huế" in page
    assert tell(place, "invoices", "export", *D, "--centre", 2).stderr == "0 invoices.\n"


@pytest.mark.rule("CLI-5", "PAY-13")
def test_a_settlement_is_noted(place, paid):
    noted = tell(place, "settlement", *D, "--kind", "final", "50000")
    assert noted.stdout == "Noted: 50.000 đ for the day; the gateway owes 0 đ in all.\n"
    again = tell(place, "settlement", *D, "--kind", "final", "50000")
    assert again.stdout.startswith("Noted already")
    assert tell(place, "settlement", *D, "--kind", "final", "1").exit_code == 1


@pytest.mark.rule("CLI-9")
def test_without_books_there_is_no_report(place):
    found = tell(place, "report", "revenue", *D)
    assert found.exit_code == 3
    assert "no database" in found.stderr


@pytest.mark.rule("CLI-5", "STAFF-1")
def test_a_daemon_is_asked_the_same_over_its_socket(tmp_path):
    with BookWorld(tmp_path / "books.db") as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000, name="Ánh", address="Huế")
        world.paid("7K2M", A)
        world.text(A, "NHAN", code="9223")
        world.morning_after()
        app = make_app(BookBackend(world), control=True, dialects=routes(file_bytes_max=BYTES_MAX))
        with TestClient(app) as client:
            desk = RemoteDesk(client)
            assert desk.close_day(DAY)["outcome"] == "day.open"
            assert desk.reconcile(DAY, world.bank.file(DAY))["counts"]["matched"] == 1
            assert desk.close_day(DAY)["outcome"] == "day.closed"
            assert desk.settle(DAY, "final", 50_000)["owed_vnd"] == 0
            assert desk.report("collections", DAY).tables[0].rows[0][0] == "VCB01"
            assert [one.payment for one in desk.invoices(DAY, 1)] == ["7K2M"]
            with pytest.raises(Exception, match="cut off"):
                desk.reconcile(DAY, b"payment_id,amount_vnd,result,bank,cashier,masked_card,at\n")
