"""Lists that are long, and replies about many numbers at once."""

import pytest

from telcod.text import count_parts, is_gsm7
from tests.world import World

A = 84903000001
OTHERS = [84903001000 + n for n in range(60)]


@pytest.fixture(scope="module")
def world():
    world = World()
    world.subscriber(A, balance_vnd=9_000)
    world.import_(*({"msisdn": number} for number in OTHERS))
    return world


@pytest.mark.rule("LST-1", "LST-3", "KW-5", "KW-6")
@pytest.mark.parametrize("language", ["VI", "EN"])
def test_a_long_list_is_cut_to_three_messages_and_the_rest_counted(world, language):
    world.text(A, f"NN {language}")
    world.text(A, "XOAB ALL")
    added = world.text(A, "B " + ", ".join(map(str, OTHERS[:50])))
    assert added.outcome == "list.b.added"
    full = world.text(A, f"B {OTHERS[50]}")
    assert full.outcome == "list.b.full"
    assert len(world.listed(A, "black")) == 50
    more = {"VI": r"so khac", "EN": "more"}[language]
    for text in ("KT B", "XOAB"):
        reply = world.text(A, text).text
        assert is_gsm7(reply)
        assert count_parts(reply).count == 3
        shown = sum(f"0{number - 84 * 10**9}" in reply for number in OTHERS[:50])
        assert f"{50 - shown} {more}" in reply


@pytest.mark.rule("KW-5")
def test_each_of_many_numbers_has_one_verdict(world):
    world.text(A, "XOAB ALL")
    reply = world.text(A, f"B {OTHERS[0]} {OTHERS[0]}, {OTHERS[1]}; {A} 0912345678 x")
    assert reply.outcome == "list.b.mixed"
    for number in (OTHERS[0], OTHERS[1], A, 84912345678):
        assert f"0{number - 84 * 10**9}" in reply.text
    assert world.listed(A, "black") == OTHERS[:2]
