"""A phone keeps what it got, and puts long texts together."""

import pytest

from telcod.demo.phone import BUBBLES_MAX, PARTS_WAIT_MAX, Fate, Joiner, Part, Phone, Way

pytestmark = pytest.mark.rule("DEMO-1")


def test_parts_of_a_text_are_one_text_in_any_order():
    joiner = Joiner()
    parts = [Part("1566", "84", text, 7, 3, n) for n, text in enumerate("abc", 1)]
    assert [joiner.whole_or_none(parts[n]) for n in (2, 0, 1)] == [None, None, "abc"]


def test_texts_of_two_senders_with_one_reference_are_not_mixed():
    joiner = Joiner()
    assert joiner.whole_or_none(Part("1566", "84", "a", 1, 2, 1)) is None
    assert joiner.whole_or_none(Part("9223", "84", "x", 1, 2, 2)) is None
    assert joiner.whole_or_none(Part("1566", "84", "b", 1, 2, 2)) == "ab"


def test_texts_that_never_become_whole_give_way_to_others():
    joiner = Joiner()
    for reference in range(PARTS_WAIT_MAX + 1):
        joiner.whole_or_none(Part("1566", "84", "a", reference, 2, 1))
    assert joiner.whole_or_none(Part("1566", "84", "b", 0, 2, 2)) is None
    assert joiner.whole_or_none(Part("1566", "84", "b", 50, 2, 2)) == "ab"


def test_a_phone_forgets_its_oldest_texts_and_knows_the_fate_of_the_others():
    phone = Phone("A", "84903000001")
    first = phone.add(Way.OUT, "1566", "DK", at_ms=1, fate=Fate.SENDING)
    phone.settle(first, Fate.REFUSED)
    assert phone.view().bubbles[0].fate is Fate.REFUSED
    for n in range(BUBBLES_MAX):
        phone.add(Way.IN, "1566", str(n), at_ms=n)
    phone.settle(first, Fate.TAKEN)
    assert [bubble.text for bubble in phone.bubbles] == [str(n) for n in range(BUBBLES_MAX)]
