"""Reports as a page shows them: seven days as bars, the chosen day as tables (CARE-3)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from telcod.console.charts import Chart, draw, share
from telcod.days import DAY_MS, business_date, day_start_ms
from telcod.reports import REPORTS, Cell, Report, ReportTable

DAYS: Final = 7
SERVICES: Final = ("package", "voice", "sms")
CENTRES: Final = tuple(range(1, 7))

Say = Callable[[str], str]
Read = Callable[[str, int], Awaitable[Report]]


class Drawn(NamedTuple):
    """A chart with its title and the names of its series."""

    title: str
    names: Sequence[str]
    chart: Chart
    is_money: bool


class Shares(NamedTuple):
    """A line of parts of a whole: a name, how much, and how much of the greatest, in per mille."""

    name: str
    value: int
    per_mille: int


class Shown(NamedTuple):
    """A report's page."""

    name: str
    names: Sequence[str]
    day: str
    earlier: str
    later: str
    report: Report
    charts: Sequence[Drawn]
    shares: Sequence[Shares]
    shares_title: str


async def read_shown(read: Read, name: str, day: int, say: Say) -> Shown:
    """Read a report of a day and of the six days before it.

    Raises:
        Refused: There is no such report.
    """
    start_ms = day_start_ms(day)
    days = [business_date(start_ms - (DAYS - 1 - back) * DAY_MS) for back in range(DAYS)]
    reports = [await read(name, each) for each in days]
    places = [f"{each % 100:02d}/{each // 100 % 100:02d}" for each in days]
    charts = [
        Drawn(say(f"chart.{key}"), names, draw(places, names, values, stacked=stacked), is_money)
        for key, names, values, stacked, is_money in _series(name, reports, say)
    ]
    shares, shares_title = _shares(name, reports[-1], say)
    return Shown(
        name,
        tuple(REPORTS),
        _iso(day),
        _iso(days[-2]),
        _iso(business_date(start_ms + DAY_MS)),
        reports[-1],
        charts,
        shares,
        shares_title,
    )


class _Lines(NamedTuple):
    """What a chart is made of."""

    key: str
    names: Sequence[str]
    values: Sequence[Sequence[int]]
    stacked: bool = False
    is_money: bool = False


def _series(name: str, reports: Sequence[Report], say: Say) -> Sequence[_Lines]:
    match name:
        case "packages":
            columns = ("new_trial", "new_paid", "renewed", "failing")
            values = [[_sum(_table(r, "packages"), column) for r in reports] for column in columns]
            values.append([_sum(_table(r, "cancelled"), "packages") for r in reports])
            names = [say(f"column.{column}") for column in (*columns, "cancelled")]
            return [_Lines("packages", names, values)]
        case "messages":
            wrong = [_wrong(r) for r in reports]
            right = [
                _sum(_table(r, "messages"), "messages") - bad
                for r, bad in zip(reports, wrong, strict=True)
            ]
            texts = [say("column.understood"), say("column.wrong")]
            came_to = ("asked", "accepted", "refused", "expired")
            asked = [[_sum(_table(r, "requests"), column) for r in reports] for column in came_to]
            return [
                _Lines("messages", texts, [right, wrong], stacked=True),
                _Lines("requests", [say(f"column.{column}") for column in came_to], asked),
            ]
        case "revenue":
            values = [
                [_sum(_table(r, "revenue"), "revenue_vnd", service=service) for r in reports]
                for service in SERVICES
            ]
            names = [say(f"service.{service}") for service in SERVICES]
            return [_Lines("revenue", names, values, stacked=True, is_money=True)]
        case _:
            sums = {
                "collections": ("collected_vnd", "given_back_vnd"),
                "clearing": ("cleared_vnd", "cancelled_vnd"),
            }[name]
            values = [[_sum(_table(r, name), column) for r in reports] for column in sums]
            names = [say(f"column.{column}") for column in sums]
            return [_Lines(name, names, values, is_money=True)]


def _shares(name: str, report: Report, say: Say) -> tuple[Sequence[Shares], str]:
    """What the day is made of: revenue by centre, texts by keyword."""
    if name == "revenue":
        table = _table(report, "revenue")
        parts: Mapping[str, int] = {
            f"C{centre}": _sum(table, "revenue_vnd", centre=centre) for centre in CENTRES
        }
    elif name == "messages":
        parts = {
            f"{row[0]} {say(f'route.{row[1]}')}": int(row[2])
            for row in _table(report, "messages").rows
        }
    else:
        return (), ""
    most = max(parts.values(), default=0)
    lines = [Shares(part, value, share(value, most)) for part, value in parts.items()]
    return lines, say(f"shares.{name}")


def _table(report: Report, name: str) -> ReportTable:
    return next(table for table in report.tables if table.name == name)


def _sum(table: ReportTable, column: str, **only: Cell) -> int:
    at = table.columns.index(column)
    where = [(table.columns.index(name), value) for name, value in only.items()]
    return sum(
        int(row[at]) for row in table.rows if all(row[place] == value for place, value in where)
    )


def _wrong(report: Report) -> int:
    table = _table(report, "messages")
    return sum(
        _sum(table, "messages", keyword=route) for route in ("text.unknown", "text.malformed")
    )


def _iso(day: int) -> str:
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
