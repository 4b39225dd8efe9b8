"""Money moves as asked or not at all, and the books can be told from the entries."""

from typing import Any

import msgspec
import pytest

from telcod.billing.accounts import (
    OPENING,
    REVENUE_PACKAGE,
    account_name,
    debt_account,
    floor_of,
    main_account,
    owner_or_none,
)
from telcod.billing.ledger import (
    AMOUNT_VND_MAX,
    FIRST_HASH,
    Declined,
    Transfer,
    audit_hash,
    decide_transfer,
    entry_hash,
    latest_entries,
    open_account,
    post,
)
from telcod.rows import ACCOUNT, AUDIT, ENTRY, Account, Audit
from telcod.storage.memory import MemoryStore
from telcod.tx import Tx
from tests.world import START_MS, shipped_rules

A = 84903000001
MAIN = main_account(A)


def transfer(amount_vnd, debit=MAIN, credit=REVENUE_PACKAGE):
    return Transfer(debit, credit, amount_vnd, "package.day", "mo:1", 5, "t1")


@pytest.fixture
def tx():
    store = MemoryStore()
    return Tx(
        store,
        shipped_rules(),
        now_ms=START_MS,
        next_seqs=store.next_seqs(),
        heads=store.heads(),
    )


@pytest.mark.rule("PKG-4")
@pytest.mark.parametrize(
    ("amount_vnd", "debit", "credit", "expected"),
    [
        (1_000, Account(MAIN, 1_000, 0, 0, 0), Account(1, 0, 0, None, 0), None),
        (
            1_000,
            Account(MAIN, 999, 0, 0, 0),
            Account(1, 0, 0, None, 0),
            Declined.FUNDS_INSUFFICIENT,
        ),
        (
            1_000,
            Account(MAIN, 1_500, 501, 0, 0),
            Account(1, 0, 0, None, 0),
            Declined.FUNDS_INSUFFICIENT,
        ),
        (1_000, Account(MAIN, 1_500, 500, 0, 0), Account(1, 0, 0, None, 0), None),
        (1_000, Account(8, -5, 0, None, 0), Account(1, 0, 0, None, 0), None),
        (1_000, None, Account(1, 0, 0, None, 0), Declined.ACCOUNT_UNKNOWN),
        (1_000, Account(MAIN, 1_000, 0, 0, 0), None, Declined.ACCOUNT_UNKNOWN),
        (0, None, None, Declined.AMOUNT_OUT_OF_RANGE),
        (
            -1,
            Account(MAIN, 1_000, 0, 0, 0),
            Account(1, 0, 0, None, 0),
            Declined.AMOUNT_OUT_OF_RANGE,
        ),
        (
            AMOUNT_VND_MAX + 1,
            Account(8, 0, 0, None, 0),
            Account(1, 0, 0, None, 0),
            Declined.AMOUNT_OUT_OF_RANGE,
        ),
        (AMOUNT_VND_MAX, Account(8, 0, 0, None, 0), Account(1, 0, 0, None, 0), None),
    ],
)
def test_refusals_come_in_their_order(amount_vnd, debit, credit, expected):
    assert decide_transfer(transfer(amount_vnd), debit, credit) == expected


def test_posting_moves_one_amount_and_chains_the_entry(tx):
    open_account(tx, MAIN)
    post(tx, transfer(3_000, OPENING, MAIN))
    post(tx, transfer(1_000))
    assert post(tx, transfer(2_001)) is Declined.FUNDS_INSUFFICIENT
    assert [tx.get(ACCOUNT, key).posted for key in (MAIN, OPENING, 1)] == [
        2_000,
        -3_000,
        1_000,
    ]
    first, second = tx.appended(ENTRY)
    assert (first.seq, first.prev_hash) == (1, FIRST_HASH)
    assert (second.debit_prev, second.credit_prev) == (1, 0)
    assert second.prev_hash == first.hash == entry_hash(first)
    assert second.hash == entry_hash(second)


def test_every_field_of_an_entry_and_of_an_audit_line_is_under_its_hash(tx):
    open_account(tx, MAIN)
    post(tx, transfer(3_000, OPENING, MAIN))
    (entry,) = tx.appended(ENTRY)
    line = Audit(1, 2, "cli:root", "staff", "topup", "84", "500", bytes(32), b"")
    hashed: tuple[tuple[Any, Any], ...] = ((entry, entry_hash), (line, audit_hash))
    for row, row_hash in hashed:
        for name in row.__struct_fields__:
            if name == "hash":
                continue
            value = getattr(row, name)
            other = {int: 99, str: "other", bytes: b"x" * 32, type(None): 1}[type(value)]
            changed = msgspec.structs.replace(row, **{name: other})
            assert row_hash(changed) != row_hash(row), name
    assert AUDIT.name == "audit"


@pytest.mark.rule("KW-2")
def test_the_newest_entries_of_an_account_are_read_along_its_chain(tx):
    open_account(tx, MAIN)
    post(tx, transfer(9_000, OPENING, MAIN))
    open_account(tx, MAIN + 10)
    post(tx, transfer(9_000, OPENING, MAIN + 10))
    for amount_vnd in (1, 2, 3):
        post(tx, transfer(amount_vnd))
        post(tx, transfer(50, MAIN + 10))
    assert [entry.amount for entry in latest_entries(tx, MAIN, most=3)] == [3, 2, 1]
    assert [entry.amount for entry in latest_entries(tx, MAIN, most=9)] == [3, 2, 1, 9_000]
    assert list(latest_entries(tx, 12345, most=9)) == []


def test_an_account_is_read_along_its_own_side_of_each_entry(tx):
    for account in (MAIN, MAIN + 10):
        open_account(tx, account)
    post(tx, transfer(100, OPENING, MAIN + 10))
    post(tx, transfer(200, OPENING, MAIN))
    post(tx, transfer(10))
    post(tx, transfer(300, OPENING, MAIN))
    post(tx, transfer(20))
    assert [entry.amount for entry in latest_entries(tx, MAIN, most=9)] == [20, 300, 10, 200]
    assert [entry.amount for entry in latest_entries(tx, OPENING, most=9)] == [300, 200, 100]


def test_only_the_operators_own_accounts_need_no_opening(tx):
    assert not isinstance(post(tx, transfer(1, 99, 98)), Declined)
    assert post(tx, transfer(1, 99, 100)) is Declined.ACCOUNT_UNKNOWN
    assert post(tx, transfer(1, 100, 99)) is Declined.ACCOUNT_UNKNOWN


def test_opening_an_account_twice_changes_nothing(tx):
    open_account(tx, MAIN)
    post(tx, transfer(3_000, OPENING, MAIN))
    open_account(tx, MAIN)
    row = tx.get(ACCOUNT, MAIN)
    assert (row.posted, row.floor, row.spendable_vnd) == (3_000, 0, 3_000)


def test_accounts_have_names_owners_and_floors():
    assert account_name(main_account(A)) == f"main:{A}"
    assert account_name(debt_account(A)) == f"debt:{A}"
    assert account_name(REVENUE_PACKAGE) == "revenue:package"
    assert account_name(99) == "account:99"
    assert account_name(A * 10 + 7) == f"account:{A}"
    assert owner_or_none(main_account(A)) == owner_or_none(debt_account(A)) == A
    assert owner_or_none(OPENING) is owner_or_none(99) is None
    assert owner_or_none(100) == 10
    assert account_name(100) == "account:10"
    assert (floor_of(91), floor_of(99), floor_of(101)) == (None, None, 0)
    assert [floor_of(i) for i in (main_account(A), debt_account(A), OPENING)] == [0, None, None]
