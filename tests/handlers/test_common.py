"""What all handlers share: answers that lead nowhere are few, and each sender has his own."""

import pytest

from telcod.days import HOUR_MS
from telcod.rows import RECENT
from telcod.types import Channel, Request
from tests.world import World

A, B = 84903000001, 84903000002
STRANGER, OTHER_STRANGER = 84977000001, 84977000002


@pytest.fixture
def world():
    with World() as made:
        for number in (A, B):
            made.subscriber(number, balance_vnd=2_000)
        yield made


@pytest.mark.rule("KW-3")
def test_who_is_silenced_silences_nobody_else(world):
    answers = [world.text(A, "nonsense").text for _ in range(6)]
    assert [bool(answer) for answer in answers] == [True] * 5 + [False]
    assert world.text(B, "nonsense").text
    world.clock.advance(HOUR_MS)
    assert world.text(A, "nonsense").text


@pytest.mark.rule("KW-3", "KW-4")
def test_strangers_too_are_told_five_times_an_hour_each(world):
    answers = [world.text(STRANGER, "DK") for _ in range(6)]
    assert [bool(answer.text) for answer in answers] == [True] * 5 + [False]
    assert {answer.outcome for answer in answers[:5]} == {"text.not_subscriber"}
    assert world.text(OTHER_STRANGER, "KT").text == answers[0].text
    subjects = {row.subject for row in world.store.scan(RECENT)}
    assert subjects == {f"wrong:{STRANGER}", f"wrong:{OTHER_STRANGER}"}


@pytest.mark.rule("KW-4", "NUM-5")
def test_a_number_that_left_is_a_strangers(world):
    world.set_state(A, "closed")
    assert world.text(A, "KT").outcome == "text.not_subscriber"


@pytest.mark.rule("PFM-10")
def test_what_to_dial_is_told_for_a_number_and_what_is_none_is_said_to_be(world):
    request = Request("dial.guide", sender=A, channel=Channel.USSD, args=(str(B),))
    (guide,) = world.run(request)
    assert guide.outcome == "dial.guide"
    assert "15660903000002" in guide.text
    (wrong,) = world.run(Request("dial.guide", sender=A, channel=Channel.USSD, args=("!12",)))
    assert wrong.outcome == "forward.malformed"
    assert wrong.text
