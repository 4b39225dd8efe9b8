"""`scripts/bench renewals`: how many packages a second are renewed when all are due at once.

The real scheduler asks the real engine over books on a disk; no network is in between, and the time
is handed in, so that a midnight comes when it is wanted.  Once with money for the next day, and
once without: then each is suspended and told so.
"""

import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table

from telcod.billing.accounts import REVENUE_PACKAGE
from telcod.days import DAY_MS
from telcod.simulator.bench_books import DAY_VND, make_due, measure_commit
from telcod.simulator.bench_engine import strike
from telcod.simulator.bench_options import Asked, measured, scratch, written

DUE_MS: Final = 1_900_000_000_000
TARGET_PER_S: Final = 20_000


@click.command()
@click.option(
    "--due",
    type=click.IntRange(1_000, 5_000_000),
    default=100_000,
    show_default=True,
    help="Packages that are due at once.",
)
@measured
def renewals(*, due: int, **options: Any) -> None:
    """Packages that are all due at once: with money, and without."""
    asked = Asked(**options)
    with scratch(asked) as base:
        commit_ms = measure_commit(base / "commit.db")
        runs = [measure(base, due, with_money=with_money) for with_money in (True, False)]
    result = written(asked, commit_ms, due=due, runs=runs)
    _show(result)
    faults = [fault for run in runs for fault in run["faults"]]
    if faults:
        raise click.ClickException(f"not everything went as it must: {faults[0]}")


def measure(base: Path, due: int, *, with_money: bool) -> dict[str, Any]:
    """One midnight: make the books, let it strike, look at what is in them."""
    folder = base / f"renewals-{with_money}"
    folder.mkdir()
    path = make_due(folder / "telcod.db", due, with_money=with_money, due_ms=DUE_MS)
    report = uvloop.run(strike(path, now_ms=DUE_MS))
    report |= {"with_money": with_money, "faults": _faults(path, due, with_money=with_money)}
    shutil.rmtree(folder)
    return report


def _faults(path: Path, due: int, *, with_money: bool) -> list[str]:
    """What is not in the books as it must be: each renewed and charged once, or suspended."""
    db = sqlite3.connect(path)

    def count(sql: str, *values: object) -> int:
        return int(db.execute(sql, values).fetchone()[0])

    renewed = due if with_money else 0
    expected = {
        "packages still due": (
            0,
            count("SELECT COUNT(*) FROM subscription WHERE next_at <= ?", DUE_MS),
        ),
        "periods": (due + renewed, count("SELECT COUNT(*) FROM period")),
        "charges": (due + renewed, count("SELECT COUNT(*) FROM entry WHERE kind = 'package.day'")),
        "suspended": (
            due - renewed,
            count("SELECT COUNT(*) FROM subscription WHERE status = 'suspended'"),
        ),
        "texts of suspension": (due - renewed, count("SELECT COUNT(*) FROM outbox_sms")),
        "dong earned": (
            DAY_VND * (due + renewed),
            count("SELECT posted FROM account WHERE id = ?", REVENUE_PACKAGE),
        ),
        "subscriptions that end tomorrow": (
            renewed,
            count("SELECT COUNT(*) FROM subscription WHERE ends_at = ?", DUE_MS + DAY_MS),
        ),
    }
    db.close()
    return [
        f"{what}: {found}, not {wanted}"
        for what, (wanted, found) in expected.items()
        if wanted != found
    ]


def _show(result: Mapping[str, Any]) -> None:
    table = Table(
        title=f"{result['due']:,} packages due at once, {result['cores']} cores, "
        f"one durable commit here: {result['commit_ms']} ms"
    )
    for name in ("", "each second", "of the target", "seconds", "CPU µs each", "CPU cores"):
        table.add_column(name, justify="right")
    for name in ("batches", "RSS MB", "wrong"):
        table.add_column(name, justify="right")
    for run in result["runs"]:
        table.add_row(
            "renewed" if run["with_money"] else "suspended, and told",
            f"{run['renewals_per_s']:,}",
            f"{run['renewals_per_s'] / TARGET_PER_S:.0%}",
            *(str(run[name]) for name in ("seconds", "cpu_us_each", "cpu_cores", "batches")),
            str(run["rss_mb"]),
            str(len(run["faults"])),
        )
    Console(width=150).print(table)
