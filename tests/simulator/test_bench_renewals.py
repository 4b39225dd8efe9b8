"""A midnight of renewals is measured on real books, and what goes wrong in it is told."""

import sqlite3
from contextlib import closing

import pytest

from telcod.simulator.bench_books import make_due
from telcod.simulator.bench_engine import wrong_in
from telcod.simulator.bench_renewals import DUE_MS, _faults, measure

pytestmark = pytest.mark.rule("PKG-6")

DUE = 1_200  # more than one slice of the scheduler


@pytest.mark.parametrize("with_money", [True, False])
def test_all_that_is_due_is_looked_after_once(tmp_path, with_money):
    run = measure(tmp_path, DUE, with_money=with_money)
    assert run["faults"] == []
    assert run["done"] == DUE
    assert run["renewals_per_s"] > 0


@pytest.mark.parametrize("with_money", [True, False])
def test_made_up_packages_are_books_in_order(tmp_path, with_money):
    path = make_due(tmp_path / "telcod.db", 20, with_money=with_money, due_ms=DUE_MS)
    assert wrong_in(path) == []


def test_a_renewal_that_was_left_out_is_told(tmp_path):
    path = make_due(tmp_path / "telcod.db", 3, with_money=True, due_ms=DUE_MS)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE subscription SET next_at = next_at + 1 WHERE msisdn % 2")
    found = _faults(path, 3, with_money=True)
    assert "periods: 3, not 6" in found
    assert any(fault.startswith("packages still due") for fault in found)
