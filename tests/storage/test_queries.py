"""Every query of reports, console, operations and demo says the same on both databases."""

import asyncio
import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod import ops, reports
from telcod.days import DAY_MS, HOUR_MS
from telcod.demo import story as demo_story
from telcod.reports import REPORTS, days_to_close, make_report
from telcod.rows import META, OUTBOX_EVENT, OUTBOX_SMS, TABLES, Meta
from telcod.storage import care_queries, queries
from telcod.storage.copy import copy_books
from telcod.storage.postgres_readers import PostgresReader
from telcod.storage.queries import Numbered, numbered
from telcod.storage.readers import SqliteReader
from telcod.web import report_routes
from tests.book_world import DAY, NEXT_DAY, BookWorld, rules_without_risk
from tests.console.world import CareWorld
from tests.postgres import emptied_books
from tests.world import shipped_rules

A, B, C = 84_903_000_001, 84_903_000_002, 84_903_000_003
TARIFFS = shipped_rules().tariffs
LATER_MS = 1 << 52


class Both:
    """Asks both databases, and expects one answer."""

    def __init__(self, file, server):
        self.file, self.server = file, server
        self.asked = set()

    async def rows(self, sql, values):
        self.asked.add(" ".join(sql.split()))
        expected = [tuple(row) for row in await self.file.rows(sql, values)]
        found = [tuple(row) for row in await self.server.rows(sql, values)]
        assert found == expected, sql
        assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in expected]
        return expected


@contextlib.asynccontextmanager
async def both(path):
    url = emptied_books()
    copy_books(f"sqlite:{path}", url, TARIFFS, folder=path.parent)
    async with SqliteReader(path) as file, PostgresReader(url) as server:
        yield Both(file, server)


def fill_care(path):
    with CareWorld(path) as world:
        for text in ("DK", "W 0903000002", "KT", "HUY", "alo", "DK7"):
            world.text(A, text)
        world.text(B, "DK")
        world.contradictory()
        world.unknown()
        world.in_review()
        world.clearing_failed()
        world.suspect_call()
        world.set_aside()
        world.set_aside(B)
        world.settle_all()
        world.topup(A, 70_000)
        for _ in range(3):  # More than a page.
            world.run(*[world.text_request(A, "KT") for _ in range(15)])
            world.clock.advance(HOUR_MS)


def fill_books(path):
    with BookWorld(path, rules=rules_without_risk(events=True)) as world:
        world.subscriber(A, kind="postpaid", debt_vnd=500_000, centre=1)
        world.subscriber(B, kind="prepaid", centre=4, balance_vnd=30_000)
        world.subscriber(C, kind="prepaid", centre=4, balance_vnd=20_000)
        for sender, text in ((B, "DK"), (C, "DK7"), (C, "KT"), (C, "alo"), (C, "HUY")):
            world.text(sender, text)
        world.paid("P1", A, 60_000, cashier="VCB01")
        world.paid("P2", B, 70_000, cashier="ACB02")
        world.paid("P3", A, 50_000, cashier="VCB01")
        world.cancel("P3")
        world.pass_time(2 * DAY_MS)
        world.reconcile()
        world.close()


async def ask_everything(reader, numbers, days):
    for day in days:
        for name in REPORTS:
            await make_report(reader, name, day)
        await report_routes.read_invoices(reader, day, 1)
    await days_to_close(reader, most=9)
    for msisdn in numbers:
        for kinds in ((), ("message",)):
            page = await care_queries.story(reader, msisdn, kinds=kinds)
            while page.before:
                page = await care_queries.story(reader, msisdn, kinds=kinds, before=page.before)
    await care_queries.cases(reader)
    await care_queries.centres(reader)
    for payment in ("P1", "P2", "P3", "P4", "none"):
        await care_queries.payment_story(reader, payment)
    for more in ({}, {"subject": str(A)}, {"actor": "x"}, {"action": "pay"}, {"before": 3}):
        await care_queries.audit(reader, **more)
    since = (0, 0)
    for sql, values in (
        (ops._WAITING, since),
        (ops._OPEN, since),
        (ops._POSTED, (1, 2, 3)),
        (ops._NEWEST_EVENT, ()),
        (demo_story._COMMANDS, (0, 50)),
        (queries.PENDING_SMS, (0, 9)),
        (queries.PENDING_SMS_OF, (0, 0, 9)),
        (queries.PENDING_PUSHES, (0, 9)),
        (queries.PENDING_MAILS, (LATER_MS, 9)),
        (queries.EVENTS, (0, 9)),
        (queries.BY_MESSAGE_ID, ("id-1",)),
        (queries.DUE_TEXTS, (LATER_MS, 9)),
        (queries.DUE_CALLS, (LATER_MS, 9)),
        (queries.DUE_PAYMENTS, (LATER_MS, 9)),
        (queries.DUE_SUBSCRIPTIONS, (LATER_MS, 9)),
    ):
        await reader.rows(sql, values)


def texts_of(module):
    """All queries that stand at the top of a module, alone or in a row of others."""
    for value in vars(module).values():
        for text in value if isinstance(value, tuple) else (value,):
            for part in text if isinstance(text, tuple) else (text,):
                if isinstance(part, str) and re.match(r"\s*(SELECT|WITH)\b", part):
                    yield " ".join(part.split())


@pytest.mark.rule("CLI-5", "CARE-1", "CARE-3", "PAY-12")
@pytest.mark.parametrize(("fill", "days"), [(fill_care, (DAY,)), (fill_books, (DAY, NEXT_DAY))])
def test_every_query_says_the_same_on_both_databases(tmp_path, fill, days):
    fill(tmp_path / "books.db")

    async def asking():
        async with both(tmp_path / "books.db") as reader:
            await ask_everything(reader, (A, B, C), days)
        return reader.asked

    asked = asyncio.run(asking())
    modules = (reports, care_queries, ops, report_routes, demo_story, queries)
    there = {text for module in modules for text in texts_of(module)}
    assert len(there) > 40
    assert there - asked == set()


def test_a_reader_of_the_server_has_what_a_reader_of_the_file_has(tmp_path):
    fill_books(tmp_path / "books.db")

    async def look(reader):
        return [
            await reader.pending_sms(after=1, most=3),
            await reader.pending_pushes(after=0, most=3),
            await reader.pending_mails(now_ms=LATER_MS, most=3),
            await reader.events(after=2, most=3),
            await reader.published(),
            await reader.due_subscriptions(now_ms=LATER_MS, most=9),
            await reader.due_texts(now_ms=LATER_MS, most=9),
            await reader.due_calls(now_ms=LATER_MS, most=9),
            await reader.due_payments(now_ms=LATER_MS, most=9),
            await reader.count_pending(),
            await reader.one(META, "commit_ms"),
            await reader.one(META, "nothing"),
            *[sorted(await reader.all(table), key=table.key_of) for table in TABLES],
        ]

    async def asking():
        async with both(tmp_path / "books.db") as reader:
            return await look(reader.file), await look(reader.server)

    file, server = asyncio.run(asking())
    assert file == server
    assert file[0]
    assert file[3]
    assert isinstance(file[10], Meta)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", ("SELECT 1", ())),
        ("a = ? AND b = ?", ("a = $1 AND b = $2", ())),
        (
            "a = :most OR b = :before OR c = :most",
            ("a = $1 OR b = $2 OR c = $1", ("most", "before")),
        ),
        ("a = '?' || 'it''s :x?' || ?", ("a = '?' || 'it''s :x?' || $1", ())),
        ("a LIKE 'renewal:%' AND b::text = ?", ("a LIKE 'renewal:%' AND b::text = $1", ())),
    ],
)
def test_a_placeholder_is_numbered_and_what_is_quoted_is_not_touched(sql, expected):
    assert numbered(sql) == Numbered(*expected)


def test_two_kinds_of_placeholders_in_one_query_are_a_mistake():
    with pytest.raises(ValueError, match=":name"):
        numbered("a = ? AND b = :b")


@given(st.lists(st.sampled_from(("?", "'?'", " x ", "''''", "::int8")), max_size=12))
def test_as_many_numbers_as_placeholders(parts):
    found = numbered(" ".join(parts)).sql
    assert len(re.findall(r"\$\d+", found)) == parts.count("?")
    assert re.sub(r"\$\d+", "?", found) == " ".join(parts)


def test_the_columns_of_an_outbox_are_those_of_its_rows():
    assert all(name in queries.PENDING_SMS for name in OUTBOX_SMS.columns)
    assert all(name in queries.EVENTS for name in OUTBOX_EVENT.columns)
