"""How long a connection may dawdle; time is a number here."""

import pytest

from telcod.web.patience import Part, Patience, Waits

WAITS = Waits(head_s=10, body_s=30, idle_s=20, read_s=15)

pytestmark = pytest.mark.rule("HTTP-4")


def seen(patience, at_s, unread_bytes=0):
    return patience.over(WAITS, unread_bytes=unread_bytes, now_s=at_s)


@pytest.mark.parametrize(
    ("part", "lasts_s"), [(Part.HEAD, 10), (Part.BODY, 30), (Part.IDLE, 20)], ids=str
)
def test_each_part_has_its_time_and_not_a_second_more(part, lasts_s):
    patience = Patience()
    patience.moved(part)
    assert not seen(patience, 100)
    assert not seen(patience, 100 + lasts_s - 0.1)
    assert seen(patience, 100 + lasts_s)


def test_who_connects_and_says_nothing_is_cut_as_one_whose_head_does_not_end():
    patience = Patience()
    assert not seen(patience, 5)
    assert seen(patience, 15) == "its head does not end"


def test_who_goes_on_is_never_cut():
    patience = Patience()
    for at_s in range(0, 10_000, 9):
        patience.moved(Part.HEAD)
        assert not seen(patience, at_s)


def test_the_next_request_has_all_its_time_again():
    patience = Patience()
    patience.moved(Part.HEAD)
    assert not seen(patience, 0)
    patience.moved(Part.HEAD)
    assert not seen(patience, 9)
    assert not seen(patience, 18.5)
    assert seen(patience, 19)


def test_an_answer_that_takes_long_to_make_is_not_the_callers_fault():
    patience = Patience()
    patience.moved(Part.ANSWER)
    assert not any(seen(patience, at_s) for at_s in range(0, 10_000, 100))


def test_an_answer_that_nobody_reads_is_and_one_that_is_read_is_not():
    patience = Patience()
    patience.moved(Part.ANSWER)
    assert not seen(patience, 0, unread_bytes=9)
    assert not seen(patience, 14, unread_bytes=8)
    assert not seen(patience, 15)
    assert not seen(patience, 16, unread_bytes=9)
    assert seen(patience, 31, unread_bytes=1) == "its answers lie unread"
