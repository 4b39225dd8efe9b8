"""Calls that telcod wrote are in order, and every way to spoil one is found."""

import msgspec
import pytest

from telcod.billing.accounts import REVENUE_PACKAGE, WRITE_OFF, main_account
from telcod.check import check_books
from telcod.days import HOUR_MS
from telcod.rows import ASKING, CALL, ENTRY, HOLD, Asking, Hold
from tests.call_world import CallWorld, rules_of_calls
from tests.world import START_MS

pytestmark = pytest.mark.rule("CLI-6", "PFM-16", "PFM-17")

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004
# A platform may name its calls as it likes.
TALKING, ENDED, LATE, ASKED, REFUSED, OVERRUN = (
    "talking",
    "ended",
    "late",
    "asked",
    "",
    "ended:late",
)
replace = msgspec.structs.replace


def a_story(**options):
    """A call of every kind; the sum of all is in order."""
    world = CallWorld(**options)
    world.subscriber(A, balance_vnd=0)
    world.subscriber(B, balance_vnd=100_000)
    world.subscriber(C, balance_vnd=250)
    world.subscriber(D, balance_vnd=100_000)
    world.connect(ENDED, A, B)
    world.ended(ENDED, 60)
    world.connect(LATE, A, B)
    world.progress(LATE, 20)
    world.connect(OVERRUN, A, C)
    world.progress(OVERRUN, 14)
    world.pass_time(HOUR_MS)
    world.ended(LATE, 50)
    world.offer(REFUSED, A, B)
    world.key(REFUSED, "2")
    world.connect(TALKING, A, B)
    world.progress(TALKING, 30)
    world.offer(ASKED, A, D)
    return world


def rows_of(world, table):
    return world.store._tables[table.index]


def name_of(call_id):
    return f"pbx:{call_id}"


def edit_call(call_id, **values):
    def spoil(world):
        rows = rows_of(world, CALL)
        rows[name_of(call_id)] = replace(rows[name_of(call_id)], **values)

    return spoil


def edit_hold(call_id, **values):
    def spoil(world):
        rows = rows_of(world, HOLD)
        key = f"call:{name_of(call_id)}"
        rows[key] = replace(rows[key], **values)

    return spoil


def edit_entry(call_id, **values):
    def spoil(world):
        rows = rows_of(world, ENTRY)
        seq = next(s for s, row in rows.items() if row.command == f"call:{name_of(call_id)}")
        rows[seq] = replace(rows[seq], **values)

    return spoil


def put(table, row):
    def spoil(world):
        rows_of(world, table)[table.key_of(row)] = row

    return spoil


def remove(table, key):
    def spoil(world):
        del rows_of(world, table)[key]

    return spoil


def test_calls_that_telcod_wrote_are_in_order():
    world = a_story()
    states = {row.id: (row.state, bool(row.suspect)) for row in world.store.scan(CALL)}
    assert len(states) == 6
    assert set(states.values()) == {
        ("talking", False),
        ("ended", False),
        ("ended", True),
        ("asking", False),
        ("refused", False),
    }
    assert world.check() == []
    assert check_books(world.store) == []


def test_calls_on_a_disk_are_read_in_the_same_way(tmp_path):
    with a_story(path=tmp_path / "b.db") as world:
        assert world.check() == []


def test_calls_that_cost_nothing_need_no_hold_and_no_entry():
    world = CallWorld(rules=rules_of_calls(("free", START_MS, 0, 6)))
    world.subscriber(A, balance_vnd=0)
    world.subscriber(B, balance_vnd=0)
    world.connect("c", A, B)
    assert world.check() == []
    world.ended("c", 60)
    assert world.check() == []


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [
        ("call", edit_call(ENDED, due_at=5)),
        ("call", edit_call(TALKING, due_at=0)),
        ("call", edit_call(REFUSED, granted_s=6)),
        ("call", edit_call(ASKED, used_s=6)),
        ("asking", edit_call(ASKED, payer=B)),
        ("asking", edit_call(ASKED, state="refused", due_at=0)),
        ("asking", remove(ASKING, D)),
        ("asking", put(ASKING, Asking(B, "pbx:unheard-of"))),
        ("asking", put(ASKING, Asking(B, name_of(ENDED)))),
        ("consent", edit_call(TALKING, consent_key="")),
        ("consent", edit_call(ENDED, consent_key="2")),
        ("consent", edit_call(LATE, consent_at=0)),
        ("call charge", edit_call(ENDED, charged_vnd=1_475)),
        ("call charge", edit_call(TALKING, charged_vnd=150)),
        ("call charge", edit_call(REFUSED, written_off_vnd=150)),
        ("call charge", edit_call(OVERRUN, written_off_vnd=0)),
        ("call charge", edit_entry(ENDED, command="call:pbx:unheard-of")),
        ("call charge", edit_entry(ENDED, command=f"call:{name_of(TALKING)}")),
        ("call charge", edit_entry(ENDED, kind="call.write_off")),
        ("call charge", edit_entry(ENDED, debit=main_account(D))),
        ("call charge", edit_entry(ENDED, debit=WRITE_OFF)),
        ("call charge", edit_entry(ENDED, credit=REVENUE_PACKAGE)),
        ("call charge", edit_entry(ENDED, amount=1_525)),
        ("call charge", remove(CALL, name_of(ENDED))),
        ("call hold", remove(CALL, name_of(ENDED))),
        ("call hold", edit_hold(ENDED, posted=1_475)),
        ("call hold", edit_hold(LATE, posted=1_275)),
        ("call hold", edit_hold(ENDED, status="open", posted=0)),
        ("call hold", edit_hold(TALKING, status="released")),
        ("call hold", edit_hold(TALKING, account=main_account(D))),
        ("call hold", edit_hold(TALKING, amount=5)),
        ("call hold", remove(HOLD, f"call:{name_of(TALKING)}")),
        ("call hold", put(HOLD, Hold("call:pbx:zzz", main_account(B), 5, "released", 1, 2, 0))),
        ("call hold", put(HOLD, Hold("call:pbx:aaa", main_account(B), 5, "released", 1, 2, 0))),
        ("call price", edit_call(ENDED, tariff="unheard-of")),
        ("call price", edit_call(ENDED, used_s=61)),
        ("call price", edit_call(ENDED, billed_s=59)),
        ("call price", edit_call(ENDED, billed_s=61, used_s=61)),
        ("call price", edit_call(LATE, used_s=49, billed_s=49)),
        ("call price", edit_call(OVERRUN, used_s=15)),
    ],
)
def test_every_way_to_spoil_a_call_is_found(invariant, spoil):
    world = a_story()
    spoil(world)
    found = world.check()
    assert invariant in {violation.invariant for violation in found}, found


def test_a_call_whose_entries_disagree_is_named():
    world = a_story()
    edit_entry(ENDED, amount=1_525)(world)
    said = [violation.what for violation in world.check() if violation.invariant == "call charge"]
    assert said == ["pbx:ended: its entries (call) are 25 d more than it says"]
