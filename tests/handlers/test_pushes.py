"""What became of a push is noted once, and told to whoever asked."""

import pytest

from telcod.rows import OutboxState
from tests.network_world import failed_call
from tests.session_world import SessionWorld, push_outcome

pytestmark = pytest.mark.rule("USSD-4")

A, B = 84903000001, 84903000002


@pytest.fixture
def world():
    made = SessionWorld()
    made.subscriber(A)
    made.subscriber(B, balance_vnd=20_000)
    return made


@pytest.mark.parametrize(
    ("became", "state"),
    [
        ("accepted", OutboxState.ACCEPTED),
        ("failed", OutboxState.FAILED),
        ("expired", OutboxState.EXPIRED),
    ],
)
def test_a_push_is_done_with_what_became_of_it(world, became, state):
    world.forward(A, B)
    assert world.pending_pushes() == world.pushes()
    world.clock.advance(5)
    assert world.pushed(became, attempts=2) == "push.noted"
    push = world.push()
    assert (push.state, push.attempts, push.done_at) == (state, 2, world.now_ms)
    assert world.pending_pushes() == []


@pytest.mark.parametrize("then", ["accepted", "failed", "expired"])
def test_only_the_first_word_counts(world, then):
    world.forward(A, B)
    world.pushed("failed")
    before = world.contents()
    assert world.pushed(then) == "push.noted"
    assert world.contents() == before


def test_of_a_push_that_is_not_in_the_books_nothing_is_noted(world):
    assert world.pushed("accepted", seq=7) == "push.noted"
    assert world.pushes() == []


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize("became", ["accepted", "failed", "expired"])
def test_of_a_notice_nobody_is_told(world, became):
    world.one(failed_call("1", A, "0903000002"))
    texts = world.outbox()
    world.pushed(became)
    assert world.outbox() == texts  # The guide went by text already.
    assert world.pending_pushes() == []
    assert world.quarantined() == []


def test_a_notice_asks_nothing(world):
    world.one(failed_call("1", A, "0903000002"))
    assert world.push().asks == 0
    answer = world.press(A, "1", step=1)
    assert answer.data["action"] == "end"
    assert "khong tru cuoc" in answer.data["text"].lower()


def test_what_became_of_many_may_be_one_batch(world):
    for text in ("one", "two", "three"):
        world.forward(A, B, text)
    fates = ("accepted", "failed", "expired")
    from_books = [row.seq for row in world.pushes()]
    world.run(
        *(
            request
            for seq, became in zip(from_books, fates, strict=True)
            for request in [push_outcome(seq, became)] * 2
        )
    )
    assert [row.state for row in world.pushes()] == [
        OutboxState.ACCEPTED,
        OutboxState.FAILED,
        OutboxState.EXPIRED,
    ]
    assert sum("Soan Y" in text for text in world.sent_to(B)) == 2
