"""What staff and the command line do to the books: import, top-up, states, look-ups, tokens."""

import pytest

from telcod.billing.accounts import OPENING, SUSPENSE, WRITE_OFF, debt_account
from telcod.days import DAY_MS
from telcod.rows import (
    ACCOUNT,
    AUDIT,
    ENTRY,
    LIST_ENTRY,
    PAYMENT_PASSWORD,
    QUARANTINE,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    TOKEN,
    Token,
)
from telcod.types import Channel, Request
from tests.world import World

A, B, C = 84903000001, 84903000002, 84903000003
LINE = {
    "msisdn": A,
    "kind": "prepaid",
    "state": "active",
    "balance_vnd": 9_000,
    "name": "Nguyen Van A",
    "address": "1 Le Loi",
    "centre": 3,
    "email": "a@example.vn",
    "language": "vi",
}


@pytest.fixture
def world():
    return World()


def ask(world, route, *args, sender=0):
    request = Request(route=route, sender=sender, args=args, channel=Channel.STAFF, actor="cli:lan")
    (answer,) = world.run(request)
    return answer


def own(world, account_id):
    row = world.row(ACCOUNT, account_id)
    return row.posted if row else 0


@pytest.mark.rule("CARE-2")
def test_a_state_that_is_set_already_is_said_to_be_and_not_logged_again(world):
    world.import_(LINE)
    first = ask(world, "staff.set_state", "suspended", sender=A)
    again = ask(world, "staff.set_state", "suspended", sender=A)
    assert (first.outcome, first.data) == ("state.set", {"state": "suspended"})
    assert (again.outcome, again.data) == ("state.unchanged", {"state": "suspended"})
    lines = [row for row in world.store.scan(AUDIT) if row.action == "set_state"]
    assert [(row.subject, row.detail) for row in lines] == [(str(A), "active -> suspended")]


# ----------------------------------------------------------------------------------------- import


@pytest.mark.rule("CLI-4")
def test_the_same_lines_again_change_nothing(world):
    lines = LINE, {"msisdn": B, "kind": "postpaid", "debt_vnd": 70_000}
    assert world.import_(*lines).data == {"added": 2, "changed": 0, "unchanged": 0}
    (line,) = [row for row in world.store.scan(AUDIT) if row.action == "import"]
    assert (line.subject, line.detail) == ("2 lines", "added=2 changed=0 unchanged=0")
    before = world.contents()
    world.clock.advance(DAY_MS)
    assert world.import_(*lines).data == {"added": 0, "changed": 0, "unchanged": 2}
    after = world.contents()
    assert {**before, "meta": None} == {**after, "meta": None}
    assert (world.balance(A), world.debt(B), own(world, OPENING)) == (9_000, 70_000, 61_000)
    assert world.check() == []


@pytest.mark.rule("CLI-4")
def test_what_changed_is_taken_over_but_never_a_balance(world):
    world.import_(LINE)
    world.text(A, "NN EN")
    changed = LINE | {"name": "Tran Thi B", "centre": 4, "state": "suspended", "balance_vnd": 1}
    assert world.import_(changed).data["changed"] == 1
    row = world.subscriber_row(A)
    assert (row.centre, row.state, row.language) == (4, "suspended", "en")
    assert world.row(SUBSCRIBER_DETAIL, A).name == "Tran Thi B"
    assert world.balance(A) == 9_000


@pytest.mark.rule("CLI-4")
def test_a_line_that_is_none_undoes_its_whole_chunk_and_is_kept(world):
    answer = world.import_(LINE, {"msisdn": B, "kind": "prepaid", "colour": "red"})
    assert answer.outcome == "ours.sorry"
    assert world.subscriber_row(A) is None
    assert len(list(world.store.scan(QUARANTINE))) == 1
    assert world.check() == []


# ----------------------------------------------------------------------------------------- top-up


@pytest.mark.rule("CLI-4", "PKG-6")
def test_a_top_up_is_audited_and_frees_who_was_out_of_money(world):
    world.subscriber(A, state="out_of_money")
    answer = world.topup(A, 500)
    assert answer.data == {"balance_vnd": 500, "package": ""}
    assert world.subscriber_row(A).state == "active"
    (line,) = [line for line in world.store.scan(AUDIT) if line.action == "topup"]
    assert (line.subject, line.detail) == (str(A), "500 cash")
    (entry,) = world.store.scan(ENTRY)
    assert (entry.kind, entry.amount, entry.event_at) == ("topup", 500, world.now_ms)


@pytest.mark.rule("PKG-6")
def test_a_top_up_tells_what_became_of_a_package_that_rested(world):
    world.subscriber(A)
    world.text(A, "DK")
    world.pass_time(DAY_MS)
    assert world.topup(A, 999).data == {"balance_vnd": 999, "package": "package.suspended"}
    assert world.topup(A, 1).data == {"balance_vnd": 0, "package": "package.renewed"}


@pytest.mark.rule("CLI-4")
@pytest.mark.parametrize("amount_vnd", [0, -1, 10**12 + 1])
def test_an_amount_out_of_range_moves_nothing(world, amount_vnd):
    world.subscriber(A, balance_vnd=9_000)
    assert world.topup(A, amount_vnd).outcome == "amount_out_of_range"
    assert world.balance(A) == 9_000


def test_a_top_up_of_a_postpaid_one_goes_against_the_debt(world):
    world.subscriber(A, kind="postpaid", debt_vnd=5_000)
    world.topup(A, 7_000)
    assert world.debt(A) == -2_000
    assert world.check() == []


# ----------------------------------------------------------------------------------------- states


@pytest.mark.rule("NUM-5")
def test_who_leaves_loses_everything_and_who_comes_is_somebody_else(world):
    world.subscriber(A, balance_vnd=9_000)
    world.subscriber(B)
    for text in ("DK", f"W {B}", "TC", "NN EN"):
        world.text(A, text)
    world.text(B, f"B {A}")
    assert world.set_state(A, "closed").outcome == "state.set"
    row = world.subscriber_row(A)
    assert (row.state, row.language, row.notices, row.life) == ("closed", "vi", 1, 1)
    assert world.package(A) is None
    assert list(world.store.scan(LIST_ENTRY)) == []
    world.set_state(A, "active")
    row = world.subscriber_row(A)
    assert (row.life, row.trial_used, world.balance(A)) == (2, 0, 0)
    assert own(world, SUSPENSE) == 9_000
    assert world.text(A, "DK").outcome == "package.trial_started"
    assert world.check() == []


@pytest.mark.rule("NUM-5", "PAY-1")
@pytest.mark.parametrize(("paid_vnd", "account"), [(20_000, WRITE_OFF), (90_000, SUSPENSE)])
def test_neither_debt_nor_credit_of_the_last_owner_is_the_next_ones(world, paid_vnd, account):
    world.subscriber(C, kind="postpaid", debt_vnd=50_000)
    world.topup(C, paid_vnd)
    world.text(C, "MK abc123", code="9223")
    world.set_state(C, "closed")
    assert world.row(PAYMENT_PASSWORD, C) is None
    world.set_state(C, "active")
    assert world.debt(C) == 0
    assert own(world, account) == paid_vnd - 50_000
    assert world.check() == []


@pytest.mark.rule("NUM-5")
def test_the_last_owners_charges_are_not_the_next_ones_to_read(world):
    world.subscriber(A, balance_vnd=9_000)
    for text in ("DK", "HUY", "DK"):
        world.text(A, text)
    assert world.text(A, "KT CUOC").outcome == "charges.show"
    world.set_state(A, "closed")
    world.set_state(A, "active")
    assert world.text(A, "KT CUOC").outcome == "charges.none"


def test_a_state_that_is_none_is_kept_for_a_person(world):
    world.subscriber(A)
    assert world.set_state(A, "gone").outcome == "ours.sorry"
    assert world.subscriber_row(A).state == "active"


@pytest.mark.parametrize("route", ["staff.topup", "staff.set_state", "staff.lookup"])
def test_a_number_of_nobody_is_said_to_be_so(world, route):
    assert ask(world, route, "active", "x", sender=A).outcome == "subscriber.unknown"


# --------------------------------------------------------------------------------------- look-ups


@pytest.mark.rule("CLI-4")
def test_a_look_up_shows_everything_but_the_password_and_is_audited(world):
    world.import_(LINE)
    world.subscriber(B)
    world.text(A, "DK")
    world.text(A, f"W {B}")
    answer = ask(world, "staff.lookup", sender=A)
    assert answer.outcome == "subscriber.shown"
    data = answer.data
    assert (data["name"], data["balance_vnd"], data["password_set"]) == (
        "Nguyen Van A",
        9_000,
        False,
    )
    assert data["lists"] == {"white": 1, "black": 0}
    (line,) = [line for line in world.store.scan(AUDIT) if line.action == "lookup"]
    assert (line.actor, line.subject) == ("cli:lan", str(A))


@pytest.mark.rule("CLI-4", "CARE-1")
def test_a_look_up_shows_a_subscriber_to_the_last_field(world):
    answer = world.import_({"msisdn": C, "kind": "postpaid", "debt_vnd": 70_000})
    assert answer.outcome == "import.done"
    world.text(C, "TC")
    world.text(C, "MK abc123", code="9223")
    shown = {
        "msisdn": C,
        "kind": "postpaid",
        "state": "active",
        "language": "vi",
        "centre": 1,
        "notices": world.row(SUBSCRIBER, C).notices == 1,
        "trial_used": False,
        "life": 1,
        "since": world.now_ms,
        "name": "",
        "address": "",
        "email": "",
        "balance_vnd": 0,
        "held_vnd": 0,
        "debt_vnd": 70_000,
        "password_set": True,
        "package": None,
        "lists": {"white": 0, "black": 0},
    }
    assert ask(world, "staff.lookup", sender=C).data == shown
    world.import_(LINE)
    world.text(A, "DK")
    data = ask(world, "staff.lookup", sender=A).data
    assert (data["trial_used"], data["notices"], data["centre"]) == (True, True, 3)
    assert data["package"] == {
        "package": "day",
        "status": "active",
        "trial": True,
        "ends_at": world.now_ms + DAY_MS,
        "failed_since": 0,
    }
    world.text(A, "TC")
    assert ask(world, "staff.lookup", sender=A).data["notices"] is False


@pytest.mark.rule("NUM-5")
def test_what_is_left_behind_and_what_is_brought_are_entries_of_their_own_names(world):
    world.import_(LINE)
    world.set_state(A, "closed")
    world.clock.advance(1)
    world.import_(LINE | {"balance_vnd": 5_000})
    named = [(row.kind, row.command, row.amount) for row in world.store.scan(ENTRY)]
    assert named == [
        ("opening", f"opening:{A}", 9_000),
        ("left_behind", f"reopen:{A}:2", 9_000),
        ("opening", f"opening:{A}:2", 5_000),
    ]
    assert world.check() == []


@pytest.mark.rule("NUM-5")
def test_the_name_of_the_last_owner_goes_with_him(world):
    world.import_(LINE)
    world.set_state(A, "closed")
    world.set_state(A, "active")
    shown = ask(world, "staff.lookup", sender=A).data
    assert (shown["name"], shown["address"], shown["email"]) == ("", "", "")
    assert world.row(SUBSCRIBER_DETAIL, A) is None


@pytest.mark.rule("NUM-5")
@pytest.mark.parametrize(
    ("paid_vnd", "left"),
    [
        (0, ("left_behind", WRITE_OFF, debt_account(C), 70_000)),
        (90_000, ("left_behind", debt_account(C), SUSPENSE, 20_000)),
    ],
)
def test_a_debt_or_credit_that_is_left_behind_is_booked_by_that_name(world, paid_vnd, left):
    world.import_({"msisdn": C, "kind": "postpaid", "debt_vnd": 70_000})
    if paid_vnd:
        world.topup(C, paid_vnd)
    world.set_state(C, "closed")
    world.set_state(C, "active")
    first, *_, entry = world.store.scan(ENTRY)
    assert (first.kind, first.debit, first.credit) == ("opening", debt_account(C), OPENING)
    assert (entry.kind, entry.debit, entry.credit, entry.amount) == left
    assert entry.command == f"reopen:{C}:2"


# ----------------------------------------------------------------------------------------- tokens


@pytest.mark.rule("CLI-7")
def test_a_token_is_made_once_and_revoked_for_ever(world):
    made = ("portal-1", "portal", "ab" * 32)
    assert ask(world, "staff.token_create", *made).outcome == "token.created"
    assert world.row(TOKEN, "portal-1") == Token(*made, world.now_ms, 0)
    assert ask(world, "staff.token_create", *made).outcome == "token.exists"
    assert ask(world, "staff.token_revoke", "portal-1").outcome == "token.revoked"
    revoked_at = world.row(TOKEN, "portal-1").revoked_at
    assert revoked_at == world.now_ms
    world.clock.advance(1)
    assert ask(world, "staff.token_revoke", "portal-1").outcome == "token.unknown"
    assert ask(world, "staff.token_revoke", "other").outcome == "token.unknown"
    assert world.row(TOKEN, "portal-1").revoked_at == revoked_at
    lines = [(line.action, line.subject, line.detail) for line in world.store.scan(AUDIT)]
    assert lines == [
        ("token.create", "portal-1", "portal"),
        ("token.revoke", "portal-1", "portal"),
    ]
    assert world.check() == []


@pytest.mark.rule("CARE-2")
def test_the_audit_log_says_from_where_a_look_up_and_an_act_came(world):
    number = world.subscriber(A)
    world.run(
        Request("staff.lookup", sender=number, channel=Channel.STAFF, actor="w", where="10.0.0.7"),
        Request(
            "staff.topup",
            sender=number,
            args=("5000", "cash"),
            key="where",
            channel=Channel.STAFF,
            actor="w",
            where="10.0.0.7",
        ),
    )
    shown, topped_up = list(world.store.scan(AUDIT))[-2:]
    assert (shown.action, shown.detail) == ("lookup", "from 10.0.0.7")
    assert topped_up.detail == "5000 cash from 10.0.0.7"
