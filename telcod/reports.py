"""What the books say of a day, for people: collections, clearing, packages, messages, revenue.

CLI-5, CARE-3, PAY-12.  Only committed rows are read, over a read-only connection, so a report never
waits for the writer and the writer never waits for a report.  Entries and texts are numbered as
they come, so the rows of a day are one stretch of numbers, found by bisection: no index is needed.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from telcod.days import DAY_MS, business_date, day_start_ms

Cell = str | int


class RowsReader(Protocol):
    """What reports need of the books (`telcod.storage.readers.SqliteReader` has it)."""

    def rows(self, sql: str, values: tuple[Any, ...]) -> Awaitable[list[Any]]:
        """Run one query."""
        ...


class ReportTable(msgspec.Struct, frozen=True):
    """One table of a report.  Columns that end in `_vnd` are whole đồng; `total` sums them up."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """A report of a day, yyyymmdd.  `notes` are sentences about how it stands."""

    name: str
    day: int
    tables: tuple[ReportTable, ...]
    notes: tuple[str, ...] = ()


class Stretch(NamedTuple):
    """The numbers of a day's rows: `first` to `last`; none when `last` is below `first`."""

    first: int
    last: int


Maker = Callable[[RowsReader, int], Awaitable[Report]]

_ENTRY_BOUNDS: Final = "SELECT MIN(seq), MAX(seq) FROM entry"
_ENTRY_FROM: Final = "SELECT seq, business_date FROM entry WHERE seq >= ? ORDER BY seq LIMIT 1"
_MO_BOUNDS: Final = "SELECT MIN(seq), MAX(seq) FROM mo"
_MO_FROM: Final = "SELECT seq, at FROM mo WHERE seq >= ? ORDER BY seq LIMIT 1"
_SMS_BOUNDS: Final = "SELECT MIN(seq), MAX(seq) FROM outbox_sms"
_SMS_FROM: Final = "SELECT seq, at FROM outbox_sms WHERE seq >= ? ORDER BY seq LIMIT 1"

_COLLECTIONS: Final = """
    SELECT COALESCE(p.cashier, ''), COALESCE(p.bank, ''),
           SUM(CASE WHEN e.kind = 'payment.collected' THEN 1 ELSE 0 END),
           SUM(CASE WHEN e.kind = 'payment.collected' THEN e.amount ELSE 0 END),
           SUM(CASE WHEN e.kind = 'payment.collected' THEN 0 ELSE e.amount END)
    FROM entry e LEFT JOIN payment p ON p.id = substr(e.command, 9)
    WHERE e.seq BETWEEN ? AND ?
      AND e.kind IN ('payment.collected', 'payment.voided', 'payment.cancelled')
    GROUP BY 1, 2 ORDER BY 1, 2
"""
_FILE: Final = "SELECT lines, amount_vnd, matched, differences FROM gateway_file WHERE day = ?"
_CLOSED: Final = "SELECT collected_vnd, cleared_vnd, transit_vnd FROM day_close WHERE day = ?"
_CLEARED: Final = """
    SELECT centre, operator,
           SUM(CASE WHEN kind = 'cleared' THEN 1 ELSE 0 END),
           SUM(CASE WHEN kind = 'cleared' THEN amount_vnd ELSE 0 END),
           SUM(CASE WHEN kind = 'cancelled' THEN amount_vnd ELSE 0 END)
    FROM clearing WHERE day = ? GROUP BY centre, operator ORDER BY centre
"""
# Accounts 21 to 26 are the transit accounts of centres 1 to 6.
_TRANSIT_NOW: Final = "SELECT COALESCE(SUM(posted), 0) FROM account WHERE id BETWEEN 21 AND 26"
_TRANSIT_MOVED: Final = """
    SELECT COALESCE(SUM(CASE WHEN credit BETWEEN 21 AND 26 THEN amount ELSE 0 END), 0)
         - COALESCE(SUM(CASE WHEN debit BETWEEN 21 AND 26 THEN amount ELSE 0 END), 0)
    FROM entry WHERE seq BETWEEN ? AND ?
"""
_PACKAGES_PAID: Final = """
    SELECT substr(kind, 9), SUM(CASE WHEN command LIKE 'renewal:%' THEN 0 ELSE 1 END),
           SUM(CASE WHEN command LIKE 'renewal:%' THEN 1 ELSE 0 END), SUM(amount)
    FROM entry WHERE seq BETWEEN ? AND ? AND kind LIKE 'package.%' GROUP BY 1 ORDER BY 1
"""
_PACKAGES_TRIAL: Final = """
    SELECT package, COUNT(*) FROM period
    WHERE kind = 'trial' AND starts_at >= ? AND starts_at < ? GROUP BY 1
"""
_PACKAGES_FAILING: Final = """
    SELECT package, COUNT(*) FROM subscription
    WHERE failed_since > 0 AND failed_since >= ? AND failed_since < ? AND status = 'suspended'
    GROUP BY 1
"""
_CANCELLED: Final = """
    SELECT COUNT(*) FROM mo WHERE seq BETWEEN ? AND ? AND verdict = 'package.cancelled'
"""
_ENDED_UNPAID: Final = """
    SELECT COUNT(*) FROM outbox_sms WHERE seq BETWEEN ? AND ? AND kind = 'package.ended_unpaid'
"""
_MESSAGES: Final = """
    SELECT short_code, route, COUNT(*) FROM mo WHERE seq BETWEEN ? AND ? AND route NOT IN
        ('sms.receipt', 'sms.part') GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""
_TEXT_REQUESTS: Final = """
    SELECT COUNT(*),
           SUM(CASE WHEN state IN ('sending', 'delivered', 'undelivered') THEN 1 ELSE 0 END),
           SUM(CASE WHEN state = 'refused' THEN 1 ELSE 0 END),
           SUM(CASE WHEN state = 'expired' THEN 1 ELSE 0 END)
    FROM held_text WHERE mo BETWEEN ? AND ?
"""
_CALL_REQUESTS: Final = """
    SELECT COUNT(*), SUM(CASE WHEN state IN ('granted', 'talking', 'ended') THEN 1 ELSE 0 END),
           SUM(CASE WHEN state = 'refused' THEN 1 ELSE 0 END)
    FROM call WHERE offered_at >= ? AND offered_at < ?
"""
_REVENUE: Final = """
    SELECT CASE e.credit WHEN 1 THEN 'package' WHEN 2 THEN 'voice' ELSE 'sms' END,
           COALESCE(s.centre, 0), COUNT(*), SUM(e.amount)
    FROM entry e LEFT JOIN subscriber s ON s.msisdn = e.debit / 10
    WHERE e.seq BETWEEN ? AND ? AND e.credit IN (1, 2, 3) GROUP BY 1, 2 ORDER BY 1, 2
"""
_WRONG: Final = frozenset({"text.unknown", "text.malformed"})


async def make_report(reader: RowsReader, name: str, day: int) -> Report:
    """Read one of `REPORTS`.

    Args:
        reader: The books.
        name: Which; a key of `REPORTS`.
        day: yyyymmdd of Viet Nam.

    Raises:
        KeyError: There is no such report.
        ValueError: There is no such day.
        Unavailable: The books can't be read now.
    """
    day_start_ms(day)
    return await REPORTS[name](reader, day)


async def _collections(reader: RowsReader, day: int) -> Report:
    found = await reader.rows(_COLLECTIONS, await _entries_of(reader, day))
    rows = [(*row, row[3] - row[4]) for row in found]
    columns = ("cashier", "bank", "payments", "collected_vnd", "given_back_vnd", "net_vnd")
    notes = [*await _file_notes(reader, day), await _close_note(reader, day)]
    return Report("collections", day, (_table("collections", columns, rows),), tuple(notes))


async def _clearing(reader: RowsReader, day: int) -> Report:
    found = await reader.rows(_CLEARED, (day,))
    rows = [(*row, row[3] - row[4]) for row in found]
    columns = ("centre", "operator", "payments", "cleared_vnd", "cancelled_vnd", "net_vnd")
    stretch = await _entries_of(reader, day)
    collected = await reader.rows(_COLLECTIONS, stretch)
    now_vnd = (await reader.rows(_TRANSIT_NOW, ()))[0][0]
    last = (await reader.rows(_ENTRY_BOUNDS, ()))[0][1] or 0
    later_vnd = (await reader.rows(_TRANSIT_MOVED, (stretch.last + 1, last)))[0][0]
    moved_vnd = (await reader.rows(_TRANSIT_MOVED, stretch))[0][0]
    after_vnd = now_vnd - later_vnd
    collected_vnd = sum(row[3] - row[4] for row in collected)
    cleared_vnd = sum(row[5] for row in rows)
    balance = (
        ("in transit before", after_vnd - moved_vnd),
        ("collected, less given back", collected_vnd),
        ("cleared, less cancelled", -cleared_vnd),
        ("in transit after", after_vnd),
        ("unexplained", after_vnd - (after_vnd - moved_vnd) - collected_vnd + cleared_vnd),
    )
    tables = (
        _table("clearing", columns, rows),
        ReportTable("balance", ("what", "amount_vnd"), balance),
    )
    return Report("clearing", day, tables, (await _close_note(reader, day),))


async def _packages(reader: RowsReader, day: int) -> Report:
    bounds = _moments(day)
    entries = await _entries_of(reader, day)
    paid = {row[0]: tuple(row[1:]) for row in await reader.rows(_PACKAGES_PAID, entries)}
    trials: Mapping[str, int] = dict(await reader.rows(_PACKAGES_TRIAL, bounds))
    failing: Mapping[str, int] = dict(await reader.rows(_PACKAGES_FAILING, bounds))
    rows: list[tuple[Cell, ...]] = []
    for name in sorted({*paid, *trials, *failing}):
        new, renewed, charged_vnd = paid.get(name, (0, 0, 0))
        rows.append((name, trials.get(name, 0), new, renewed, failing.get(name, 0), charged_vnd))
    columns = ("package", "new_trial", "new_paid", "renewed", "failing", "charged_vnd")
    texts = await _stretch(reader, _MO_BOUNDS, _MO_FROM, bounds)
    cancelled = (await reader.rows(_CANCELLED, texts))[0][0]
    sent = await _stretch(reader, _SMS_BOUNDS, _SMS_FROM, bounds)
    unpaid = (await reader.rows(_ENDED_UNPAID, sent))[0][0]
    ends = (("by HUY in a text", cancelled), ("unpaid for 30 days", unpaid))
    tables = (
        _table("packages", columns, rows),
        ReportTable("cancelled", ("how", "packages"), ends),
    )
    note = "failing: without money since that day, and still so"
    return Report("packages", day, tables, (note,))


async def _messages(reader: RowsReader, day: int) -> Report:
    bounds = _moments(day)
    texts = await _stretch(reader, _MO_BOUNDS, _MO_FROM, bounds)
    found = await reader.rows(_MESSAGES, texts)
    total = sum(row[2] for row in found)
    wrong = sum(row[2] for row in found if row[1] in _WRONG)
    rows = [(*row, _per_cent(row[2], total)) for row in found]
    asked_texts = (await reader.rows(_TEXT_REQUESTS, texts))[0]
    asked_calls = (await reader.rows(_CALL_REQUESTS, bounds))[0]
    requests: tuple[tuple[Cell, ...], ...] = (
        ("texts", *_counts(asked_texts)),
        ("calls", *_counts((*asked_calls, 0))),
    )
    tables = (
        _table("messages", ("short_code", "keyword", "messages", "share"), rows, unsummed=(3,)),
        ReportTable("requests", ("of", "asked", "accepted", "refused", "expired"), requests),
    )
    return Report("messages", day, tables, (f"wrong syntax: {wrong}, {_per_cent(wrong, total)}",))


async def _revenue(reader: RowsReader, day: int) -> Report:
    found = await reader.rows(_REVENUE, await _entries_of(reader, day))
    columns = ("service", "centre", "charges", "revenue_vnd")
    return Report("revenue", day, (_table("revenue", columns, [tuple(row) for row in found]),))


REPORTS: Final[Mapping[str, Maker]] = {
    "collections": _collections,
    "clearing": _clearing,
    "packages": _packages,
    "messages": _messages,
    "revenue": _revenue,
}
# Days whose file was reconciled and whose books are open: what the clock asks `day.close` for.
DAYS_TO_CLOSE: Final = """
    SELECT f.day FROM gateway_file f LEFT JOIN day_close c ON c.day = f.day
    WHERE c.day IS NULL ORDER BY f.day LIMIT ?
"""


async def days_to_close(reader: RowsReader, *, most: int) -> list[int]:
    """The days that `day.close` may be asked for by the clock, oldest first."""
    return [row[0] for row in await reader.rows(DAYS_TO_CLOSE, (most,))]


async def _file_notes(reader: RowsReader, day: int) -> list[str]:
    found = await reader.rows(_FILE, (day,))
    if not found:
        return ["the gateway's file was not reconciled yet"]
    lines, amount_vnd, matched, differences = found[0]
    verdicts = f"{matched} matched, {differences} differences"
    return [f"the gateway's file: {lines} lines, {amount_vnd} dong; {verdicts}"]


async def _close_note(reader: RowsReader, day: int) -> str:
    found = await reader.rows(_CLOSED, (day,))
    if not found:
        return "the day is open"
    return "the day is closed: collected {}, cleared {}, in transit {} dong".format(*found[0])


def _table(
    name: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Cell, ...]],
    *,
    unsummed: Iterable[int] = (),
) -> ReportTable:
    """A table with its total: numbers are summed up, but for a centre's."""
    passed = {at for at, column in enumerate(columns) if column in {"centre", "short_code"}}
    passed |= set(unsummed)
    total = tuple(
        sum(int(row[at]) for row in rows)
        if at not in passed and rows and isinstance(rows[0][at], int)
        else ""
        for at in range(len(columns))
    )
    return ReportTable(name, columns, tuple(rows), total if rows else ())


def _counts(row: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(count or 0 for count in row)


def _per_cent(part: int, whole: int) -> str:
    """One decimal, rounded half up; integers only."""
    tenths = (part * 2_000 + whole) // (2 * whole) if whole else 0
    return f"{tenths // 10}.{tenths % 10} %"


def _moments(day: int) -> tuple[int, int]:
    start_ms = day_start_ms(day)
    return start_ms, start_ms + DAY_MS


async def _entries_of(reader: RowsReader, day: int) -> Stretch:
    following = business_date(day_start_ms(day) + DAY_MS)
    return await _stretch(reader, _ENTRY_BOUNDS, _ENTRY_FROM, (day, following))


async def _stretch(reader: RowsReader, bounds: str, at: str, values: tuple[int, int]) -> Stretch:
    """The numbers of the rows whose value is in [from, to); values only grow with numbers."""
    low, high = (await reader.rows(bounds, ()))[0]
    if low is None:
        return Stretch(1, 0)
    first = await _first_at_least(reader, at, low, high, values[0])
    return Stretch(first, await _first_at_least(reader, at, first, high, values[1]) - 1)


async def _first_at_least(reader: RowsReader, at: str, low: int, high: int, value: int) -> int:
    """The least number whose row's value is at least `value`; `high + 1` if there is none."""
    high += 1
    while low < high:
        middle = (low + high) // 2
        found = await reader.rows(at, (middle,))
        if found and found[0][1] < value:
            low = found[0][0] + 1
        else:
            high = middle
    return low
