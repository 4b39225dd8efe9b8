"""What became of an e-mail is noted once, and one that may still arrive is tried again for days."""

import pytest

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.rows import OUTBOX_MAIL, OutboxState
from telcod.types import Channel, Request
from tests.payment_world import PaymentWorld, rules_of_payments
from tests.world import START_MS

pytestmark = pytest.mark.rule("PAY-10")

B = 84903000002


@pytest.fixture
def world():
    """B has paid and asked for an e-mail; it waits."""
    with PaymentWorld(rules=rules_of_payments()) as made:
        made.subscriber(B, kind="postpaid", debt_vnd=200_000)
        made.pay("p1", B, 150_000, email="b@example.com")
        yield made
        assert made.check() == []


def note(world, fate, seq=1):
    (reply,) = world.run(Request("mail.outcome", args=(str(seq), fate), channel=Channel.CLOCK))
    assert reply.outcome == "mail.noted"
    (mail,) = world.mails()
    return OutboxState(mail.state), mail.attempts, mail.next_at, mail.done_at


@pytest.mark.parametrize(
    ("fate", "state"), [("sent", OutboxState.ACCEPTED), ("failed", OutboxState.FAILED)]
)
def test_the_first_word_that_ends_it_counts(world, fate, state):
    assert note(world, fate) == (state, 1, 0, START_MS)
    world.clock.advance(1)
    for later in ("later", "sent", "failed"):
        assert note(world, later) == (state, 1, 0, START_MS)


def test_it_is_tried_again_after_longer_and_longer_and_given_up_after_five_days(world):
    waits_ms: list[int] = []
    while True:
        before_ms = world.now_ms
        state, attempts, next_at, done_at = note(world, "later")
        if state is not OutboxState.PENDING:
            break
        assert (attempts, done_at) == (len(waits_ms) + 1, 0)
        waits_ms.append(next_at - before_ms)
        world.clock.advance(next_at - before_ms)
    assert waits_ms == [
        MINUTE_MS,
        5 * MINUTE_MS,
        15 * MINUTE_MS,
        HOUR_MS,
        4 * HOUR_MS,
        12 * HOUR_MS,
        *[DAY_MS] * 4,
    ]
    assert (state, attempts, next_at, done_at) == (OutboxState.EXPIRED, 11, 0, world.now_ms)
    assert world.now_ms < START_MS + 5 * DAY_MS


def test_a_number_that_is_none_changes_nothing(world):
    assert note(world, "sent", seq=7) == (OutboxState.PENDING, 0, world.mails()[0].next_at, 0)
    assert len(list(world.store.scan(OUTBOX_MAIL))) == 1
