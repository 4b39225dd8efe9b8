"""What adding a number to a list comes to, refusals in their order."""

import pytest

from telcod.billing.lists import ListLimits, Verdict, decide_add, numbers_of, on_net
from telcod.rows import ListEntry, ListKind, Subscriber

OWNER, B, C = 84903000001, 84903000002, 84903000003
ON_NET = Subscriber(B, "prepaid", "active", "vi", 1, 1, 0, 1)
CLOSED = Subscriber(B, "prepaid", "closed", "vi", 1, 1, 0, 1)
WHITE_B = {(OWNER, B): ListEntry(OWNER, B, "white", 1)}
BLACK_B = {(OWNER, B): ListEntry(OWNER, B, "black", 1)}
BLACK_C = {(OWNER, C): ListEntry(OWNER, C, "black", 2)}
TWO = ListLimits(entries_max=2)
ONE = ListLimits(entries_max=1)


@pytest.mark.rule("LST-2", "NUM-4", "LST-1")
@pytest.mark.parametrize(
    ("number", "listed", "entries", "limits", "expected"),
    [
        (B, ON_NET, {}, TWO, Verdict.ADDED),
        (B, ON_NET, WHITE_B, TWO, Verdict.MOVED),
        (B, ON_NET, BLACK_B, TWO, Verdict.DUPLICATE),
        (B, ON_NET, BLACK_B, ONE, Verdict.DUPLICATE),
        (B, ON_NET, BLACK_C, ONE, Verdict.FULL),
        (B, ON_NET, BLACK_C | WHITE_B, ONE, Verdict.FULL),
        (B, ON_NET, BLACK_C | WHITE_B, TWO, Verdict.MOVED),
        (B, None, BLACK_B, ONE, Verdict.OFF_NET),
        (B, CLOSED, {}, TWO, Verdict.OFF_NET),
        (OWNER, None, {}, ONE, Verdict.OWN),
    ],
)
def test_adding_to_the_blacklist(number, listed, entries, limits, expected):
    assert decide_add(ListKind.BLACK, number, listed, entries, limits, owner=OWNER) is expected


@pytest.mark.rule("NUM-4")
def test_on_net_is_who_is_known_and_not_closed():
    assert [on_net(ON_NET), on_net(CLOSED), on_net(None)] == [True, False, False]


def test_numbers_are_listed_oldest_first():
    assert numbers_of(BLACK_C | BLACK_B, ListKind.BLACK) == [B, C]
    assert numbers_of(BLACK_C | WHITE_B, ListKind.WHITE) == [B]
