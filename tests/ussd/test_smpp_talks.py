"""Dialogues in memory: found again, replaced, forgotten in time, never too many."""

import pytest

from ussd import smpp_talks
from ussd.smpp_profile import Address, Peer
from ussd.smpp_talks import KEPT_S, TALKS_MAX, Talk, TalkKey, Talks

pytestmark = pytest.mark.rule("SMPP-7")
PEER = Peer(Address("84903000001", 1, 1), Address("1566", 0, 1))


def talk(number, *, link="a"):
    key = TalkKey(link, "84903000001", f"{number:x}")
    return Talk(key, f"84903000001-{number:x}", PEER, "1566", 0.0)


def test_a_dialogue_is_found_by_link_phone_and_number():
    talks, mine = Talks(), talk(1)
    talks.put(mine, now=0)
    assert talks.get(mine.key, now=KEPT_S) is mine
    assert talks.get(talk(2).key, now=0) is None
    assert talks.get(talk(1, link="b").key, now=0) is None


def test_a_silent_dialogue_is_forgotten_and_its_room_given_back():
    talks, mine, later = Talks(), talk(1), talk(2)
    talks.put(mine, now=0)
    assert talks.get(mine.key, now=KEPT_S + 1) is None
    talks.put(later, now=KEPT_S + 1)
    assert len(talks) == 1


def test_who_says_something_is_kept():
    talks, mine = Talks(), talk(1)
    talks.put(mine, now=0)
    talks.put(mine, now=KEPT_S)
    talks.put(talk(2), now=KEPT_S + 1)
    assert talks.get(mine.key, now=KEPT_S + 1) is mine


def test_only_who_stands_there_still_can_be_dropped():
    talks, old = Talks(), talk(1)
    new = talk(1)
    talks.put(old, now=0)
    talks.put(new, now=0)
    talks.drop(old)
    stands = talks.get(old.key, now=0) is new
    assert stands
    talks.drop(new)
    assert talks.get(old.key, now=0) is None


def test_there_are_never_more_than_memory_is_meant_for():
    talks = Talks()
    for number in range(TALKS_MAX + 10):
        talks.put(talk(number), now=0)
    assert len(talks) == TALKS_MAX
    assert talks.get(talk(9).key, now=0) is None
    assert talks.get(talk(10).key, now=0) is not None


def test_a_repeat_is_awaited_less_long_than_a_dialogue_is_kept():
    assert smpp_talks.REPEAT_S < KEPT_S
