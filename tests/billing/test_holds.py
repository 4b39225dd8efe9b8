"""Money set aside stays the payer's, can't be spent twice, and is let go exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.accounts import OPENING, REVENUE_VOICE, main_account
from telcod.billing.holds import hold, settle
from telcod.billing.ledger import Declined, Transfer, open_account, post
from telcod.errors import LedgerCorrupt
from telcod.rows import ACCOUNT, HOLD, HoldStatus
from telcod.storage.memory import MemoryStore
from telcod.tx import Tx
from tests.world import START_MS, shipped_rules

pytestmark = pytest.mark.rule("PFM-15", "PFM-16")

B = main_account(84903000002)
NOBODY = main_account(84903000009)


def books(balance_vnd=1_000):
    """A transaction in which B has so much."""
    store = MemoryStore()
    tx = Tx(
        store,
        shipped_rules(),
        now_ms=START_MS,
        next_seqs=store.next_seqs(),
        heads=store.heads(),
    )
    open_account(tx, B)
    post(tx, Transfer(OPENING, B, balance_vnd, "opening", "opening", 0))
    return tx


def charge(amount_vnd):
    return Transfer(B, REVENUE_VOICE, amount_vnd, "call", "call:x", 0)


def stands(tx):
    """Posted and held on B's account."""
    account = tx.get(ACCOUNT, B)
    return account.posted, account.held


def keep(tx, amount_vnd, *, name="h", expires_at=9):
    return hold(tx, name, B, amount_vnd, expires_at=expires_at)


def test_a_hold_takes_nothing_but_the_right_to_spend():
    tx = books()
    assert keep(tx, 400) is None
    assert stands(tx) == (1_000, 400)
    assert tx.get(ACCOUNT, B).spendable_vnd == 600
    assert post(tx, charge(601)) is Declined.FUNDS_INSUFFICIENT


def test_the_same_hold_again_changes_nothing_and_more_of_it_takes_the_difference():
    tx = books()
    assert [keep(tx, 400), keep(tx, 400), keep(tx, 1_000, expires_at=12)] == [None] * 3
    assert stands(tx) == (1_000, 1_000)
    row = tx.get(HOLD, "h")
    assert (row.amount, row.opened_at, row.expires_at) == (1_000, START_MS, 12)


@pytest.mark.parametrize(
    ("amount_vnd", "declined"),
    [
        (0, Declined.AMOUNT_OUT_OF_RANGE),
        (-1, Declined.AMOUNT_OUT_OF_RANGE),
        (1_001, Declined.FUNDS_INSUFFICIENT),
    ],
)
def test_a_hold_that_may_not_be_is_declined_and_leaves_no_trace(amount_vnd, declined):
    tx = books()
    assert keep(tx, amount_vnd) is declined
    assert stands(tx) == (1_000, 0)
    assert tx.get(HOLD, "h") is None


def test_a_hold_never_shrinks():
    tx = books()
    keep(tx, 400)
    assert keep(tx, 399) is Declined.AMOUNT_OUT_OF_RANGE
    assert stands(tx) == (1_000, 400)


def test_nobodys_money_is_not_held():
    tx = books()
    assert hold(tx, "h", NOBODY, 1, expires_at=9) is Declined.ACCOUNT_UNKNOWN


def test_two_holds_share_one_balance():
    tx = books()
    assert keep(tx, 600, name="first") is None
    assert keep(tx, 401, name="second") is Declined.FUNDS_INSUFFICIENT
    assert keep(tx, 400, name="second") is None
    assert keep(tx, 601, name="first") is Declined.FUNDS_INSUFFICIENT
    assert stands(tx) == (1_000, 1_000)


@pytest.mark.parametrize(
    ("used_vnd", "expired", "status"),
    [
        (400, False, HoldStatus.POSTED),
        (150, False, HoldStatus.POSTED),
        (150, True, HoldStatus.POSTED),
        (0, False, HoldStatus.RELEASED),
        (0, True, HoldStatus.EXPIRED),
    ],
)
def test_the_end_of_a_hold_posts_what_was_used_and_lets_the_rest_go(used_vnd, expired, status):
    tx = books()
    keep(tx, 400)
    entry = settle(tx, "h", charge(used_vnd) if used_vnd else None, expired=expired)
    assert (entry.amount if entry else 0) == used_vnd
    assert stands(tx) == (1_000 - used_vnd, 0)
    row = tx.get(HOLD, "h")
    assert (row.status, row.posted, row.amount) == (status, used_vnd, 400)


def test_a_hold_ends_once():
    tx = books()
    keep(tx, 400)
    settle(tx, "h", charge(100))
    for again in (lambda: settle(tx, "h", charge(100)), lambda: settle(tx, "h", None)):
        with pytest.raises(LedgerCorrupt):
            again()
    with pytest.raises(LedgerCorrupt, match=r"^hold h has ended and cannot grow$"):
        keep(tx, 500)
    assert stands(tx) == (900, 0)


def test_what_was_not_held_cannot_be_posted_from_a_hold():
    tx = books()
    keep(tx, 400)
    with pytest.raises(LedgerCorrupt):
        settle(tx, "h", charge(401))
    with pytest.raises(LedgerCorrupt):
        settle(tx, "other", None)
    assert stands(tx) == (1_000, 400)


def test_a_transfer_that_the_books_decline_is_a_broken_invariant():
    tx = books()
    keep(tx, 400)
    with pytest.raises(LedgerCorrupt):
        settle(tx, "h", Transfer(NOBODY, REVENUE_VOICE, 1, "call", "call:x", 0))


names = st.sampled_from(["a", "b", "c"])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hold"), names, st.integers(-5, 1_200)),
            st.tuples(st.just("settle"), names, st.integers(0, 1_200)),
            st.tuples(st.just("spend"), names, st.integers(1, 500)),
        ),
        max_size=25,
    )
)
def test_whatever_is_held_settled_and_spent_the_account_holds_its_open_holds(steps):
    tx = books()
    for what, name, amount_vnd in steps:
        row = tx.get(HOLD, name)
        is_open = row is not None and row.status == HoldStatus.OPEN
        if what == "spend":
            post(tx, charge(amount_vnd))
        elif what == "hold" and (row is None or is_open):
            keep(tx, amount_vnd, name=name)
        elif what == "settle" and is_open and amount_vnd <= row.amount:
            settle(tx, name, charge(amount_vnd) if amount_vnd else None)
        rows = [tx.get(HOLD, each) for each in "abc"]
        held_vnd = sum(row.amount for row in rows if row and row.status == HoldStatus.OPEN)
        posted_vnd, account_held_vnd = stands(tx)
        assert account_held_vnd == held_vnd
        assert posted_vnd >= held_vnd
