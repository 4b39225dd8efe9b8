"""Parts of a long text in any order make the text, once, and never more than may wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.days import MINUTE_MS
from telcod.engine import PART_ROUTE
from telcod.errors import Overloaded
from telcod.rows import MO, MO_PART
from telcod.text import encode_gsm7, encode_ucs2
from telcod.types import Concat, Mo, Request
from tests.world import World, rules_with

pytestmark = pytest.mark.rule("SMPP-3")

A, B = 84903000001, 84903000002


def part(world, data, number, *, total, ref=1, sender=A, coding=0, code="1566"):
    mo = Mo(
        1, str(sender), b"f" * 16, "", Concat(ref, total, number), world.vault.seal(data), coding
    )
    return Request(route=PART_ROUTE, sender=sender, short_code=code, mo=mo)


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.fixture
def world():
    return a_world()


def a_world(**limits):
    world = World(rules=rules_with(texts=limits))
    world.subscriber(A)
    world.subscriber(B)
    return world


def outcomes(world, *requests):
    return [result.outcome for result in world.run(*requests)]


@given(data=st.data())
def test_parts_in_any_order_with_repeats_and_batches_make_one_text(data):
    world = a_world()
    text = f"B {B}, 0912345678; khong phai so, {'x' * 40} {'y' * 9}"
    pieces = cut(encode_gsm7(text), data.draw(st.integers(20, 60)))
    order = data.draw(st.permutations(range(1, len(pieces) + 1)))
    repeats = data.draw(st.lists(st.sampled_from(order[:-1]), max_size=3))
    # A repeat comes after its first time, and before the last part.
    requests = [part(world, pieces[n - 1], n, total=len(pieces)) for n in [*order[:-1], *repeats]]
    last = part(world, pieces[order[-1] - 1], order[-1], total=len(pieces))
    assert set(outcomes(world, *requests)) == {"part.waiting"}
    world.restart()
    assert outcomes(world, last) == ["list.b.mixed"]
    assert world.listed(A, "black") == [B]
    assert list(world.store.scan(MO_PART)) == []
    assert list(world.store.scan(MO))[-1].text == text
    assert len(world.sent_to(A)) == 1


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_letter_cut_in_two_between_parts_is_whole_again(world, size):
    pieces = cut(encode_ucs2("đăng ký 🙂"), size)
    requests = [
        part(world, piece, n, total=len(pieces), coding=8) for n, piece in enumerate(pieces, 1)
    ]
    outcomes(world, *requests)
    assert list(world.store.scan(MO))[-1].text == "đăng ký 🙂"


def test_parts_in_different_codings_are_read_each_in_its_own(world):
    first = part(world, b"B ", 1, total=2)
    second = part(world, encode_ucs2(str(B)), 2, total=2, coding=8)
    assert outcomes(world, second, first) == ["part.waiting", "list.b.added"]


def test_texts_of_different_senders_codes_and_references_are_kept_apart(world):
    requests = [
        part(world, b"D", 1, total=2),
        part(world, b"K", 2, total=2, ref=2),
        part(world, b"K", 2, total=2, sender=B),
        part(world, b"K", 2, total=2, code="9223"),
        part(world, b"K", 2, total=3),
    ]
    assert outcomes(world, *requests) == ["part.waiting"] * 5
    assert outcomes(world, part(world, b"K", 2, total=2)) == ["package.trial_started"]
    assert len(list(world.store.scan(MO_PART))) == 4


def test_after_an_hour_the_other_parts_are_too_late(world):
    outcomes(world, part(world, b"D", 1, total=2))
    world.clock.advance(60 * MINUTE_MS)
    assert outcomes(world, part(world, b"K", 2, total=2)) == ["package.trial_started"]
    outcomes(world, part(world, b"D", 1, total=2))
    world.clock.advance(60 * MINUTE_MS + 1)
    assert outcomes(world, part(world, b"K", 2, total=2)) == ["part.waiting"]


def test_a_reference_that_comes_round_again_begins_anew(world):
    outcomes(world, part(world, b"B 090", 1, total=2))
    outcomes(world, part(world, b"D", 1, total=2))
    assert outcomes(world, part(world, b"K", 2, total=2)) == ["package.trial_started"]


def test_a_sender_who_begins_too_many_loses_the_oldest():
    world = a_world(assemblies_per_sender_max=2)
    for ref in (1, 2, 3):
        world.clock.advance(1)
        outcomes(world, part(world, b"D", 1, total=2, ref=ref))
    assert {row.ref for row in world.store.scan(MO_PART)} == {2, 3}
    assert outcomes(world, part(world, b"K", 2, total=2, ref=3)) == ["package.trial_started"]


def test_when_too_many_wait_altogether_the_smsc_keeps_the_next(world):
    world = a_world(parts_total_max=2)
    outcomes(world, part(world, b"D", 1, total=3), part(world, b"K", 2, total=3))
    (result,) = world.run(part(world, b"x", 1, total=2, sender=B))
    assert isinstance(result, Overloaded)
    world.restart()
    (again,) = world.run(part(world, b"x", 1, total=2, sender=B))
    assert isinstance(again, Overloaded)
    assert outcomes(world, part(world, b" 7", 3, total=3)) == ["package.trial_started"]
    assert outcomes(world, part(world, b"x", 1, total=2, sender=B)) == ["part.waiting"]


def test_what_is_sealed_with_a_lost_key_is_an_empty_part_and_harms_nothing(world):
    request = part(world, b"DK", 1, total=1)
    lost = type(request.mo)(1, str(A), b"f" * 16, "", Concat(1, 1, 1), b"not sealed here", 0)
    (result,) = world.run(Request(route=PART_ROUTE, sender=A, short_code="1566", mo=lost))
    assert result.outcome == "text.empty"
