"""The simulated voice platform against a whole telcod: people, and platforms at their worst."""

import pytest

from telcod.simulator.ivr import ASKED_MAX, Play, SimulatedIvr
from tests.ivr.operator import BINH, TO_BINH, Operator, price

pytestmark = pytest.mark.anyio

CALL = Play("0903000001", TO_BINH)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def operator(tmp_path):
    async with Operator(tmp_path) as running:
        yield running


def ops(played):
    return [op for op, _ in played.told]


@pytest.mark.rule("IVR-1", "IVR-2", "IVR-3")
async def test_a_call_that_b_accepts_goes_through_to_its_end(operator):
    played = await operator.ivr.play(CALL._replace(talk_s=90, reports=(30, 60)))
    assert ops(played) == ["offer", "consent", "answered", "progress", "progress", "ended"]
    assert (played.action, played.charged_vnd) == ("connect", price(90))
    assert await operator.charges() == [price(90)]


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize(
    ("answers", "asked", "action"),
    [
        (("2",), 1, "refuse"),
        (("silence",), 3, "refuse"),
        (("silence", "9", "1"), 3, "connect"),
        (("hangup",), 1, "refuse"),
        (("no_answer",), 1, "refuse"),
        (("busy",), 1, "refuse"),
        (("voicemail",), 1, "refuse"),
    ],
)
async def test_b_does_what_the_play_says(operator, answers, asked, action):
    played = await operator.ivr.play(CALL._replace(answers=answers))
    assert ops(played).count("consent") == asked
    assert played.action == action
    assert await operator.charges() == ([1_500] if action == "connect" else [])


@pytest.mark.rule("PFM-3", "PFM-11")
async def test_calls_that_nobody_is_asked_about_end_after_the_offer(operator):
    for dialled, action in (("1566", "announce"), ("0903000002", "not_applicable")):
        played = await operator.ivr.play(CALL._replace(dialled=dialled))
        assert (ops(played), played.action, played.charged_vnd) == (["offer"], action, None)


@pytest.mark.rule("PFM-17")
async def test_an_end_may_be_lost_and_come_late(operator):
    played = await operator.ivr.play(CALL._replace(reports=(60,), end=False))
    assert played.charged_vnd is None
    assert (await operator.call(played.call_id)).state == "talking"
    operator.pass_s(3_600)
    assert await operator.tick() == ["call.suspect"]
    assert (await operator.ivr.ended(played.call_id, 120)).get("charged_vnd") == price(120)
    assert await operator.charges() == [1_500, 1_500]


@pytest.mark.rule("PFM-16")
@pytest.mark.parametrize("shuffle", range(8))
async def test_repeats_in_any_order_cost_the_same(operator, shuffle):
    play = CALL._replace(talk_s=100, reports=(25, 50, 75), times=3, shuffle=shuffle)
    played = await operator.ivr.play(play)
    assert len(played.told) == 2 + 3 * 5
    assert played.charged_vnd == price(100)
    assert await operator.balance(BINH) == 20_000 - price(100)
    assert not await operator.open_holds()


@pytest.mark.rule("IVR-3")
async def test_a_platform_that_posts_forms_plays_the_same(operator):
    forms = await operator.platform("dialplan", form=True)
    first = await operator.ivr.play(CALL)
    second = await forms.play(CALL)
    assert [told.content for _, told in first.told] == [told.content for _, told in second.told]
    assert first.call_id == second.call_id  # ids are each platform's own


async def test_a_platform_without_a_token_is_told_so(operator):
    async with SimulatedIvr(operator.url, "telcod_none") as ivr:
        played = await ivr.play(CALL)
    assert ops(played) == ["offer"]
    assert played.told[0][1].status == 401


async def test_nobody_is_asked_for_ever(tmp_path):
    async with Operator(tmp_path, asks_max=100) as operator:
        played = await operator.ivr.play(CALL._replace(answers=("silence",)))
        assert ops(played).count("consent") == ASKED_MAX
        assert played.charged_vnd is None
