"""Reports are what the books say: each is compared with what was done, read beside the writer."""

import asyncio

import pytest

from telcod.days import DAY_MS, HOUR_MS
from telcod.reports import REPORTS, days_to_close, make_report
from telcod.rows import ENTRY
from telcod.storage.readers import SqliteReader
from tests.book_world import DAY, NEXT_DAY, BookWorld
from tests.text_world import TextWorld

A, B, C = 84_903_000_001, 84_903_000_002, 84_903_000_003


@pytest.fixture
def path(tmp_path):
    return tmp_path / "books.db"


@pytest.fixture
def world(path):
    with BookWorld(path) as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000, centre=1)
        world.subscriber(B, kind="prepaid", centre=4)
        world.subscriber(C, kind="prepaid", centre=4, balance_vnd=20_000)
        yield world


def read(path, asked):
    async def reading():
        async with SqliteReader(path) as reader:
            return await asked(reader)

    return asyncio.run(reading())


def report(path, name, day=DAY):
    return read(path, lambda reader: make_report(reader, name, day))


def table(made, name):
    (found,) = [one for one in made.tables if one.name == name]
    return list(found.rows)


@pytest.mark.rule("CLI-5", "PAY-12")
def test_collections_are_by_the_banks_cashier_code(world, path):
    world.paid("P1", A, 60_000, cashier="VCB01")
    world.paid("P2", B, 70_000, cashier="ACB02")
    world.paid("P3", A, 50_000, cashier="VCB01")
    world.cancel("P3")
    made = report(path, "collections")
    assert table(made, "collections") == [
        ("ACB02", "ACB", 1, 70_000, 0, 70_000),
        ("VCB01", "VCB", 2, 110_000, 50_000, 60_000),
    ]
    assert made.tables[0].total == ("", "", 3, 180_000, 50_000, 130_000)
    assert made.notes == ("the gateway's file was not reconciled yet", "the day is open")


@pytest.mark.rule("CLI-5", "PAY-12", "PAY-7")
def test_clearing_is_by_centre_with_the_line_that_balances(world, path):
    world.centre(4, "closed")
    world.paid("P1", A, 60_000)
    world.paid("P2", B, 70_000)
    made = report(path, "clearing")
    assert table(made, "clearing") == [(1, "C1_ePayment", 1, 60_000, 0, 60_000)]
    assert table(made, "balance") == [
        ("in transit before", 0),
        ("collected, less given back", 130_000),
        ("cleared, less cancelled", -60_000),
        ("in transit after", 70_000),
        ("unexplained", 0),
    ]
    world.morning_after()
    world.centre(4, "open")
    for payment_id in world.due_payments():
        world.due(payment_id)
    assert table(report(path, "clearing"), "balance") == table(made, "balance")
    assert dict(table(report(path, "clearing", NEXT_DAY), "balance")) == {
        "in transit before": 70_000,
        "collected, less given back": 0,
        "cleared, less cancelled": -70_000,
        "in transit after": 0,
        "unexplained": 0,
    }


@pytest.mark.rule("CLI-5", "PAY-12")
def test_a_closed_day_says_so_and_is_no_longer_asked_for(world, path):
    world.paid("P1", A, 60_000)
    world.morning_after()
    assert read(path, lambda reader: days_to_close(reader, most=10)) == []
    world.reconcile()
    assert read(path, lambda reader: days_to_close(reader, most=10)) == [DAY]
    world.close()
    assert read(path, lambda reader: days_to_close(reader, most=10)) == []
    notes = report(path, "collections").notes
    assert notes[0] == "the gateway's file: 1 lines, 60000 dong; 1 matched, 0 differences"
    assert notes[1].startswith("the day is closed: collected 60000")


@pytest.mark.rule("CLI-5", "CARE-3")
def test_packages_are_new_renewed_failing_or_cancelled(world, path):
    world.text(C, "DK")
    world.subscriber(84_903_000_004, centre=2, balance_vnd=1_500)
    world.text(84_903_000_004, "DK7")
    world.subscriber(84_903_000_005, centre=2, balance_vnd=0)
    world.text(84_903_000_005, "DK")
    assert table(report(path, "packages"), "packages") == [
        ("day", 2, 0, 0, 0, 0),
        ("week", 1, 0, 0, 0, 0),
    ]
    world.pass_time(DAY_MS)
    world.text(C, "HUY")
    world.clock.advance(HOUR_MS)
    world.text(C, "DK7")
    made = report(path, "packages", NEXT_DAY)
    assert table(made, "packages") == [("day", 0, 0, 1, 1, 1_000), ("week", 0, 1, 0, 1, 5_000)]
    assert dict(table(made, "cancelled")) == {"by HUY in a text": 1, "unpaid for 30 days": 0}


@pytest.mark.rule("CLI-5", "CARE-3")
def test_messages_are_by_keyword_with_the_share_of_wrong_ones(path):
    with TextWorld(path) as world:
        world.subscriber(A, balance_vnd=10_000)
        world.subscriber(B, balance_vnd=10_000)
        for text in ("KT", "KT", "HD", "hello", "W"):
            world.text(A, text)
        world.text(A, "Em oi", code=f"1566{B}")
        made = report(path, "messages")
    assert table(made, "messages") == [
        ("1566", "package.show", 2, "33.3 %"),
        ("1566", "forward.text", 1, "16.7 %"),
        ("1566", "help", 1, "16.7 %"),
        ("1566", "text.malformed", 1, "16.7 %"),
        ("1566", "text.unknown", 1, "16.7 %"),
    ]
    assert made.notes == ("wrong syntax: 2, 33.3 %",)
    assert table(made, "requests") == [("texts", 1, 0, 0, 0), ("calls", 0, 0, 0, 0)]


@pytest.mark.rule("CLI-5", "CARE-3")
def test_revenue_is_by_service_and_centre_and_is_what_the_entries_say(world, path):
    world.text(C, "DK")
    world.pass_time(DAY_MS)
    world.subscriber(84_903_000_006, centre=6, balance_vnd=5_000)
    world.text(84_903_000_006, "DK")
    world.pass_time(DAY_MS)
    made = report(path, "revenue", 20260304)
    assert table(made, "revenue") == [("package", 4, 1, 1_000), ("package", 6, 1, 1_000)]
    entries = [row for row in world.store.scan(ENTRY) if row.credit == 1]
    days = {row.business_date for row in entries}
    read_vnd = sum(row[3] for day in days for row in table(report(path, "revenue", day), "revenue"))
    assert read_vnd == sum(row.amount for row in entries) > 0


@pytest.mark.rule("CLI-5")
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("day", [20200101, DAY, 20991231])
def test_a_day_without_anything_has_a_report_too(tmp_path, name, day):
    with BookWorld(tmp_path / "empty.db") as world:
        made = report(world.path, name, day)
    assert (made.name, made.day) == (name, day)
    assert all(one.total == () for one in made.tables if one.name == name)


@pytest.mark.rule("CLI-5")
def test_a_day_that_is_none_is_refused(world, path):
    with pytest.raises(ValueError, match="day"):
        report(path, "revenue", 20260231)
    with pytest.raises(KeyError):
        report(path, "gossip")


@pytest.mark.rule("CLI-5")
def test_days_that_lie_side_by_side_share_no_row(world, path):
    for at in range(3):
        world.paid(f"P{at}", A, 50_000)
        world.clock.advance(DAY_MS)
    days = (20260301, 20260302, 20260303, 20260304, 20260305)
    assert [
        sum(row[2] for row in table(report(path, "collections", day), "collections"))
        for day in days
    ] == [0, 1, 1, 1, 0]
