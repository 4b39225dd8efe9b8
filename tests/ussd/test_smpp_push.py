"""Pushes over a link that speaks USSD: accepted, refused, and whose answer comes back."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from telcod.errors import ESME_ROK
from telcod.settings import shipped_config_dir
from telcod.smpp.consts import CommandStatus, TlvTag
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.pdu import DeliverSm
from telcod.smpp.tlv import Tlv, tlv_or_none
from telcod.types import Answer
from ussd.push import Push, PushFailed
from ussd.smpp import SmppDoor
from ussd.smpp_files import load_profiles
from ussd.smpp_push import BUSY_S, SmppPush

PROFILES = load_profiles(shipped_config_dir() / "ussd" / "smpp")
A = 84903000001
NUMBERED = sorted(PROFILES.keys() - {"msisdn"})
THROTTLED, NO_SUCH_NUMBER = int(CommandStatus.ESME_RTHROTTLED), int(CommandStatus.ESME_RINVDSTADR)
NOT_ALLOWED = int(CommandStatus.ESME_RINVSERTYP)
OP, INFO, REFERENCE = TlvTag.USSD_SERVICE_OP, TlvTag.ITS_SESSION_INFO, TlvTag.USER_MESSAGE_REFERENCE

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SMPP-7", "USSD-4")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class FakeLink:
    """A link that answers submits as it is told to, in the loop's next turn."""

    name = "a"
    short_codes = ("1566", "9223")
    state = SimpleNamespace(connections=())

    def __init__(self, ussd):
        self.settings = LinkSettings(name="a", host="h", system_id="s", password="p", ussd=ussd)
        self.bound = True
        self.status: int | None = ESME_ROK
        self.bodies = []
        self.answered = []
        self.on_submit = lambda body: None

    def respond(self, connection, sequence, status, *, data_sm=False):
        self.answered.append(status)
        return True

    def submit(self, body, token):
        if not self.bound:
            return False
        self.bodies.append(body)
        self.on_submit(body)
        asyncio.get_running_loop().call_soon(token.done, self.status)
        return True


class World:
    """A door whose writer keeps what it is asked, one link, and the pushes over it."""

    def __init__(self, profile):
        self.link: Any = FakeLink(profile)
        self.now_s = 0.0
        self.asked = []
        self.door = SmppDoor(self, PROFILES, clock=lambda: self.now_s)
        self.gateway = SmppPush(self.door, cast("Any", self.link))

    def post(self, request, sink):
        self.asked.append((request.route, *request.args))
        data = {"action": "continue", "text": "Menu", "step": 1}
        sink(request, Answer("ussd.shown", data=data))
        return True

    async def push(self, number=17, text="Dong y tra?", *, asks=True, msisdn=A):
        await self.gateway.push(Push(f"push-{number}", msisdn, text, asks, 90))

    def answer(self, text, body):
        """The phone answers a submit_sm: its TLVs come back."""
        back = (INFO, REFERENCE)
        tlvs = (Tlv(OP, b"\x12"), *(tlv for tlv in body.tlvs if tlv.tag in back))
        self.hear(tlvs, text, body.destination_addr)

    def hear(self, tlvs, text, source):
        deliver = DeliverSm(
            source_addr=source,
            source_addr_ton=1,
            destination_addr="*1566#",
            short_message=text.encode(),
            tlvs=tuple(tlvs),
        )
        assert self.door.take(self.link, 1, 1, deliver)

    def dial(self, number):
        """The phone is in a dialogue under this number."""
        tlvs = (Tlv(OP, b"\x01"), Tlv(INFO, bytes((number, 0))), Tlv(REFERENCE, bytes((0, number))))
        self.hear(tlvs, "*1566#", str(A))


@pytest.mark.parametrize("profile", sorted(PROFILES))
async def test_a_question_is_accepted_and_its_answer_is_the_first_step_of_the_push(profile):
    world = World(profile)
    await world.push()
    [body] = world.link.bodies
    assert (body.source_addr, body.destination_addr) == ("1566", str(A))
    assert tlv_or_none(body.tlvs, OP) == b"\x02"
    assert body.validity_period == "000000000130000R"
    assert world.asked == []
    world.answer("1", body)
    step = "1" if profile == "standard" else "-1"
    assert world.asked == [("ussd.step", "push-17", "1566", "1", step, "last")]


@pytest.mark.parametrize("profile", sorted(PROFILES))
async def test_an_answer_may_be_quicker_than_the_response(profile):
    world = World(profile)
    world.link.on_submit = lambda body: asyncio.get_running_loop().call_soon(
        world.answer, "1", body
    )
    await world.push()
    assert world.asked[0][:2] == ("ussd.step", "push-17")


async def test_a_notice_asks_nothing_and_is_over_when_it_is_shown():
    world = World("standard")
    await world.push(asks=False)
    [body] = world.link.bodies
    assert tlv_or_none(body.tlvs, OP) == b"\x03"
    assert tlv_or_none(body.tlvs, INFO) == b"\x12\x03"
    assert len(world.door.talks) == 0


@pytest.mark.rule("SMPP-5")
@pytest.mark.parametrize(
    ("status", "retry"), [(THROTTLED, True), (0x08, True), (NO_SUCH_NUMBER, False)]
)
async def test_a_push_that_is_refused_has_failed_and_leaves_nothing(status, retry):
    world = World("standard")
    world.link.status = status
    with pytest.raises(PushFailed) as failed:
        await world.push()
    assert failed.value.retry is retry
    assert len(world.door.talks) == 0


@pytest.mark.rule("SMPP-5")
async def test_an_account_that_may_not_push_is_not_asked_again():
    world = World("standard")
    world.link.status = NOT_ALLOWED
    with pytest.raises(PushFailed) as failed:
        await world.push()
    assert failed.value.retry is False


async def test_a_link_that_is_not_bound_may_take_it_later():
    world = World("standard")
    world.link.bound = False
    with pytest.raises(PushFailed) as failed:
        await world.push()
    assert failed.value.retry is True
    assert len(world.door.talks) == 0


@pytest.mark.rule("SMPP-5")
async def test_a_push_without_an_answer_goes_again_and_what_was_pressed_counts():
    world = World("standard")
    world.link.status = None
    with structlog.testing.capture_logs() as logs, pytest.raises(PushFailed) as failed:
        await world.push()
    assert failed.value.retry is True
    assert "push.possibly_doubled" in [line["event"] for line in logs]
    world.link.status = ESME_ROK
    await world.push()
    first, again = world.link.bodies
    assert first.tlvs == again.tlvs
    world.answer("1", first)
    assert world.asked[0][:2] == ("ussd.step", "push-17")


async def test_a_text_that_no_pdu_can_hold_is_not_tried_again():
    world = World("standard")

    def refuse(body):
        raise ValueError("short_message: too long")

    world.link.on_submit = refuse
    with pytest.raises(PushFailed) as failed:
        await world.push(text="x" * 300)
    assert failed.value.retry is False


@pytest.mark.parametrize("profile", NUMBERED)
async def test_a_push_takes_no_number_of_a_dialogue_that_the_phone_is_in(profile):
    world = World(profile)
    await world.push(number=17)
    await world.push(number=17 + 255)
    first, second = world.link.bodies
    assert first.tlvs != second.tlvs
    world.answer("1", first)
    world.answer("2", second)
    assert [session for _, session, *_ in world.asked] == ["push-17", "push-272"]


@pytest.mark.parametrize("asks", [True, False])
async def test_a_phone_in_a_dialogue_is_busy_where_sessions_have_no_number(asks):
    world = World("msisdn")
    world.dial(1)
    with pytest.raises(PushFailed) as failed:
        await world.push(asks=asks)
    assert failed.value.retry is False
    assert world.link.bodies[1:] == []
    world.now_s += BUSY_S + 1
    await world.push(asks=asks)


async def test_a_phone_whose_dialogue_was_ended_is_free():
    world = World("msisdn")
    world.dial(1)
    world.hear((Tlv(OP, b"\x11"),), "", str(A))
    await world.push()


async def test_who_dials_answers_no_push_any_more():
    world = World("msisdn")
    await world.push()
    world.dial(1)
    world.hear((Tlv(OP, b"\x12"),), "1", str(A))
    assert [session for _, session, *_ in world.asked] == ["a:84903000001"] * 3


async def test_after_a_restart_an_answer_agrees_to_nothing():
    for profile in sorted(PROFILES):
        before, after = World(profile), World(profile)
        await before.push()
        after.answer("1", before.link.bodies[0])
        assert "push-17" not in [session for _, session, *_ in after.asked]


async def test_a_push_that_is_given_up_while_it_waits_harms_nobody():
    world = World("standard")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.push())
        await asyncio.sleep(0)
        task.cancel()
    await world.push(number=18)
    assert len(world.link.bodies) == 2
