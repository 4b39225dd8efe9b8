"""A whole day: 20,000 payments over six centres, and a gateway file with planted differences.

Every one is found and nothing else; collections and clearing balance; the books prove clean.
"""

import random
import sqlite3

import msgspec
import pytest

import handlers
from telcod.days import DAY_MS, MINUTE_MS, day_start_ms
from telcod.dispatch import Route
from telcod.epay.files import BadGatewayFile, read_gateway_file
from telcod.rows import CLEARING, PAYMENT, QUARANTINE
from telcod.types import Channel, Reply, Request
from tests.book_world import DAY, BookWorld, as_file

SUBSCRIBERS = 4_000
PAYMENTS = 20_000
EACH_PLANTED = 25
CASHIERS = ("VCB01", "VCB02", "ACB01", "BID01", "BID02")
FIRST = 84_903_000_000
LATE = 12  # Authorised before midnight, noted by us after it.


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """The day is over; nothing was reconciled yet."""
    with BookWorld(tmp_path_factory.mktemp("day") / "books.db") as world:
        for start in range(0, SUBSCRIBERS, 500):
            world.import_(
                *(
                    {
                        "msisdn": FIRST + at,
                        "kind": ("postpaid", "prepaid")[at % 2],
                        "centre": 1 + at % 6,
                    }
                    for at in range(start, start + 500)
                )
            )
        rng = random.Random(20_000)
        requests = []
        for number in range(PAYMENTS - LATE):
            amount_vnd = rng.randrange(50, 200) * 1_000
            requests += pay(world, number, amount_vnd)
            if len(requests) >= 1_000:
                world.clock.advance(MINUTE_MS)
                run(world, requests)
        run(world, requests)
        world.clock.advance(day_start_ms(DAY) + DAY_MS - 1 - world.now_ms)
        late = [pay(world, number, 50_000) for number in range(PAYMENTS - LATE, PAYMENTS)]
        run(world, [create for create, _ in late])
        world.clock.advance(MINUTE_MS)
        run(world, [word for _, word in late])
        world.morning_after()
        assert list(world.store.scan(QUARANTINE)) == []
        yield world


def pay(world, number, amount_vnd):
    msisdn = FIRST + number % SUBSCRIBERS
    cashier = CASHIERS[number % len(CASHIERS)]
    return world.paid_requests(f"P{number}", msisdn, amount_vnd, cashier=cashier)


def run(world, requests):
    fine = {"payment.created", "payment.cleared"}
    assert {answer.outcome for answer in world.run(*requests)} <= fine
    requests.clear()


def planted(lines):
    """The bank's lines with differences among them, and what must be found."""
    rng = random.Random(5)
    picked = rng.sample(range(len(lines)), 3 * EACH_PLANTED)
    missing, amounts, doubled = (
        set(picked[:EACH_PLANTED]),
        set(picked[EACH_PLANTED : 2 * EACH_PLANTED]),
        set(picked[2 * EACH_PLANTED :]),
    )
    found, expected = [], []
    for at, line in enumerate(lines):
        if at in missing:
            expected.append((line.payment, "missing_there"))
            continue
        if at in amounts:
            by_vnd = rng.choice([-1, 1, 50_000])
            found.append(line._replace(amount_vnd=line.amount_vnd + by_vnd))
            expected.append((line.payment, "amount"))
            continue
        found.append(line)
        if at in doubled:
            found.append(line)
            expected.append((line.payment, "doubled"))
    for number in range(EACH_PLANTED):
        extra = lines[number]._replace(payment=f"X{number}", amount_vnd=77_000)
        found.insert(rng.randrange(len(found)), extra)
        expected.append((extra.payment, "missing_here"))
    return found, sorted(expected)


@pytest.mark.rule("PAY-12", "PAY-7", "PAY-13")
def test_every_planted_difference_is_found_and_nothing_else_and_the_day_balances(day):
    lines, expected = planted(day.bank.of_day(DAY))
    content = as_file(lines)
    for cut in (len(content) // 2, content.rindex(b"trailer"), len(content) - 3):
        with pytest.raises(BadGatewayFile):
            read_gateway_file(content[:cut], DAY)
    assert [one["code"] for one in day.close().data["missing"]] == ["file"]

    first = day.reconcile(content)
    assert first.outcome == "reconcile.done"
    # One of the late ones that the file lacks is of the next day's books, and not missing yet.
    late = {f"P{number}" for number in range(PAYMENTS - LATE, PAYMENTS)}
    assert day.odd() == [
        pair for pair in expected if pair[1] != "missing_there" or pair[0] not in late
    ]
    assert len(day.open_differences()) == len(day.odd())
    again = day.reconcile(content)
    assert (again.outcome, again.data) == ("reconcile.done_before", first.data)
    assert day.reconcile().outcome == "reconcile.other_file"

    closed = day.close()
    assert closed.outcome == "day.closed", closed
    own = sum(line.amount_vnd for line in day.bank.of_day(DAY)) - LATE * 50_000
    row = day.day_row()
    assert (row.collected_vnd, row.cleared_vnd, row.transit_vnd) == (own, own, 0)
    assert row.differences == len(day.odd())
    # The late ones are ours of the next day already; what was planted stands in suspense.
    there = sum(line.amount_vnd for line in lines)
    not_there = sum(pair[0] in late and pair[1] == "missing_there" for pair in expected)
    assert day.receivable == there + not_there * 50_000
    assert day.suspense == day.receivable - own - LATE * 50_000
    assert day.check() == []


# ---------------------------------------------------------------- another centre's user is told no


def forge(request, tx):
    """What no handler does: a clearing whose user or whose payment is another centre's."""
    payment = tx.get(PAYMENT, request.args[0])
    row = tx.log_row(CLEARING, 1)
    seq = tx.next_seq(CLEARING)
    centre, operator = int(request.args[1]), request.args[2]
    forged = msgspec.structs.replace(
        row, seq=seq, payment=payment.id, centre=centre, operator=operator
    )
    tx.append(CLEARING, forged)
    return Reply("forged")


@pytest.fixture
def centres(tmp_path):
    routes = {**handlers.ROUTES, "test.forge": Route("test.forge", forge)}
    with BookWorld(tmp_path / "books.db", routes=routes) as world:
        world.subscriber(FIRST, kind="postpaid", centre=2)
        world.paid("P1", FIRST)
        yield world


@pytest.mark.rule("PAY-7")
@pytest.mark.parametrize(
    ("centre", "operator"),
    [(2, "C3_ePayment"), (3, "C3_ePayment"), (3, "C2_ePayment"), (2, "C2"), (2, "an")],
)
def test_the_database_refuses_a_clearing_that_is_not_the_centres(centres, centre, operator):
    before = list(centres.store.scan(CLEARING))
    forged = Request("test.forge", args=("P1", str(centre), operator))
    assert centres.run(forged)[0].outcome == "ours.sorry"
    assert list(centres.store.scan(CLEARING)) == before
    assert len(list(centres.store.scan(QUARANTINE))) == 1
    assert (
        centres.run(Request("test.forge", args=("P1", "2", "C2_ePayment")))[0].outcome == "forged"
    )


@pytest.mark.rule("PAY-7")
def test_the_handler_refuses_another_centres_user(centres):
    centres.centre(2, "closed")
    centres.create("P2", FIRST)
    assert centres.notify("P2").outcome == "payment.clearing"
    by_hand = Request(
        "payment.clear_by_hand",
        args=("P2", "in the centre's books"),
        channel=Channel.STAFF,
        actor="C3_ePayment",
    )
    assert centres.run(by_hand)[0].outcome != "payment.cleared"
    assert centres.state("P2") == "clearing"
    own = msgspec.structs.replace(by_hand, actor="C2_ePayment")
    assert centres.run(own)[0].outcome == "payment.cleared"


@pytest.mark.rule("PAY-7")
@pytest.mark.parametrize("sql", ["UPDATE clearing SET amount_vnd = 1", "DELETE FROM clearing"])
def test_nobody_changes_what_was_cleared(centres, tmp_path, sql):
    db = sqlite3.connect(tmp_path / "books.db")
    try:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(sql)
    finally:
        db.close()
