"""Dialogues over SMPP through a whole telcod: by every shipped profile through the simulated SMSC,
by the specification's terms through SMSCs written by others.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from telcod.clock import ManualClock
from telcod.rows import ENTRY, HELD_TEXT, MO, OUTBOX_PUSH, USSD_SESSION, OutboxState
from telcod.service import SERVICE, with_sessions
from telcod.settings import shipped_config_dir
from telcod.simulator.smsc_behaviour import (
    STATUS_DESTINATION,
    STATUS_THROTTLED,
    Behaviour,
    Fault,
    FaultKind,
)
from telcod.simulator.smsc_ussd import HABITS, NOTICE, QUESTION, SimulatedWire, UssdPhone
from telcod.types import Channel, Request
from tests.e2e.harness import Telcod, link
from tests.foreign.peers import PEERS, ForeignSmsc
from tests.foreign.phones import phone as foreign_phone
from tests.network_world import ROUTES as NETWORK_ROUTES
from tests.network_world import failed_call
from tests.world import START_MS

A, B = 84903000001, 84903000002
PROFILES = sorted(path.stem for path in (shipped_config_dir() / "ussd" / "smpp").glob("*.toml"))
COUNTING = {"standard"}
DEAD_MS = 181_000
PUSHES = {"push": "smpp", "push_link": "a"}

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SMPP-7")]


def serving(folder, smsc, profile="standard", routes=SERVICE, **sections):
    """A telcod whose link to this SMSC brings USSD; a clock set by hand must not end the link."""
    settings = link(smsc, ussd=profile, enquire_link_s=3600)
    return Telcod(folder, settings, routes=routes, **sections)


@dataclass
class Scene:
    """A telcod, an SMSC, and the phones on it."""

    telcod: Any
    smsc: Any
    profile: str

    def phone(self, msisdn=A):
        if isinstance(self.smsc, ForeignSmsc):
            return foreign_phone(self.smsc, msisdn, self.profile)
        return UssdPhone(SimulatedWire(self.smsc), str(msisdn), HABITS[self.profile])

    async def prepare(self):
        await self.telcod.wait_bound()
        await self.telcod.subscribers({"msisdn": A, "balance_vnd": 0}, {"msisdn": B})

    async def text(self, msisdn, code, text):
        """A text by SMS, taken."""
        sent = self.smsc.send_text(str(msisdn), code, text)
        [delivery] = await sent if isinstance(self.smsc, ForeignSmsc) else sent
        assert await delivery == 0

    async def sessions(self):
        return await self.telcod.rows(USSD_SESSION)


@pytest.fixture(params=PROFILES)
async def scene(request, simulated, tmp_path):
    async with serving(tmp_path, simulated, request.param) as telcod:
        made = Scene(telcod, simulated, request.param)
        await made.prepare()
        yield made


@pytest.fixture(params=PEERS, ids=str)
async def foreign(request, tmp_path):
    clock = ManualClock(START_MS)
    async with (
        ForeignSmsc(request.param) as smsc,
        serving(tmp_path, smsc, clock=clock, ussd=PUSHES) as telcod,
    ):
        made = Scene(telcod, smsc, "standard")
        await made.prepare()
        yield made, clock


# ------------------------------------------------------------------------- every shipped profile


def test_each_shipped_profile_has_a_gateway_to_be_tried_with():
    assert sorted(HABITS) == PROFILES


@pytest.mark.rule("USSD-3")
async def test_a_dialogue_begins_goes_on_and_ends(scene):
    phone = scene.phone()
    first = await phone.dial("*1566#")
    assert first.text.startswith("Payforme")
    assert (first.operation, first.ends) == (QUESTION, False)
    second = await phone.press("1")
    assert second.text.startswith("Goi cuoc")
    assert (second.session, second.ends) == (first.session, False)
    third = await phone.press("1")
    assert "chua dang ky goi Payforme" in third.text
    assert (third.session, third.ends) == (first.session, True)
    [session] = await scene.sessions()
    assert (session.ended, session.id.split(":")[0]) == (1, "a")


@pytest.mark.rule("USSD-3")
async def test_a_code_with_inputs_leads_straight_to_its_leaf(scene):
    screen = await scene.phone().dial("*1566*1*1#")
    assert "chua dang ky goi Payforme" in screen.text
    assert screen.ends
    [row] = await scene.telcod.journal()
    assert row.route == "package.show"


@pytest.mark.rule("USSD-3")
async def test_a_wrong_input_repeats_the_screen(scene):
    phone = scene.phone()
    await phone.dial("*1566*1#")
    again = await phone.press("7")
    assert "Goi cuoc" in again.text
    assert not again.ends


@pytest.mark.rule("USSD-3")
async def test_what_the_network_aborts_is_over_and_may_be_gone_on_with(scene):
    phone = scene.phone()
    await phone.dial("*1566*1#")
    await phone.abort()
    [session] = await scene.sessions()
    assert session.ended == 1
    offered = await phone.dial("*1566#")
    assert offered.text.startswith("Phien truoc chua xong")
    assert (await phone.press("1")).text.startswith("Goi cuoc")


async def test_a_session_whose_end_nobody_told_is_followed_by_the_next(scene):
    phone = scene.phone()
    await phone.dial("*1566*1#")
    offered = await phone.dial("*1566#")
    assert offered.text.startswith("Phien truoc chua xong")
    assert (await phone.press("2")).text.startswith("Payforme")


@pytest.mark.rule("KW-4")
async def test_a_code_without_a_menu_is_told_so(scene):
    screen = await scene.phone().dial("*1567#")
    assert "ma dich vu khong dung" in screen.text
    assert screen.ends


@pytest.mark.rule("KW-4")
async def test_whoever_is_no_subscriber_is_told_so(scene):
    screen = await scene.phone(84912345678).dial("*1566#")
    assert screen.ends
    assert await scene.sessions() == []


@pytest.mark.rule("SMPP-3")
async def test_texts_go_by_the_same_link(scene):
    await scene.text(A, "1566", "KT")
    assert "chua dang ky" in (await scene.smsc.wait_text(str(A)))[0]
    assert (await scene.phone().dial("*1566#")).text.startswith("Payforme")
    assert len(scene.smsc.texts_to(str(A))) == 1


async def test_phones_do_not_disturb_one_another(scene):
    phones = [scene.phone(A), scene.phone(B)]
    for phone in phones:
        await phone.dial("*1566#")
    screens = [await phone.press(key) for phone, key in zip(phones, "16", strict=True)]
    assert screens[0].text.startswith("Goi cuoc")
    assert [screen.ends for screen in screens] == [False, True]


@pytest.mark.rule("USSD-3")
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_session_that_is_silent_too_long_is_dead(simulated, tmp_path, profile):
    clock = ManualClock(START_MS)
    async with serving(tmp_path, simulated, profile, clock=clock) as telcod:
        scene = Scene(telcod, simulated, profile)
        await scene.prepare()
        phone = scene.phone()
        await phone.dial("*1566*1#")
        clock.advance(DEAD_MS)
        screen = await phone.press("1")
        if profile in COUNTING:
            assert "het han" in screen.text
            assert screen.ends
        else:
            assert screen.text.startswith("Phien truoc chua xong")
        assert await scene.telcod.journal() == []


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("profile", PROFILES)
async def test_an_input_whose_answer_was_lost_on_the_way_is_done_once(simulated, tmp_path, profile):
    async with serving(tmp_path, simulated, profile) as telcod:
        scene = Scene(telcod, simulated, profile)
        await scene.prepare()
        await telcod.daemon.submit(
            Request("staff.topup", A, ("20000", "cash"), key="t", channel=Channel.STAFF)
        )
        phone = scene.phone()
        await phone.dial("*1566*1*2#")
        lost = Fault(
            kind=FaultKind.DISCONNECT,
            after_pdus=1,
            command="deliver_sm_resp",
            before_answer=True,
        )
        simulated.behave(Behaviour(faults=(lost,)))
        screen = await phone.press("1")
        assert screen.ends
        assert "dung thu" in screen.text
        await telcod.wait_logged("ussd.redelivered")
        assert [row.route for row in await telcod.journal()] == ["package.register_day"]


@pytest.mark.parametrize("profile", PROFILES)
async def test_after_a_restart_a_counted_dialogue_goes_on_and_others_are_offered_to(
    simulated, tmp_path, profile
):
    async with serving(tmp_path, simulated, profile) as telcod:
        scene = Scene(telcod, simulated, profile)
        await scene.prepare()
        phone = scene.phone()
        await phone.dial("*1566*1#")
        await telcod.stop()
        await telcod.start()
        await telcod.wait_bound(times=2)
        screen = await phone.press("1")
        if profile in COUNTING:
            assert "chua dang ky goi Payforme" in screen.text
        else:
            assert screen.text.startswith("Phien truoc chua xong")
            assert (await phone.press("1")).text.startswith("Goi cuoc")


@pytest.mark.rule("SMPP-5")
async def test_a_screen_that_is_throttled_comes_a_little_later(simulated, tmp_path):
    async with serving(tmp_path, simulated) as telcod:
        scene = Scene(telcod, simulated, "standard")
        await scene.prepare()
        simulated.behave(Behaviour(ussd_status=STATUS_THROTTLED))
        phone = scene.phone()
        assert await (await phone.send_dialled("*1566#")) == 0
        await simulated.wait_until(lambda: bool(simulated.submitted), "a throttled screen")
        simulated.behave(Behaviour())
        assert (await phone.next_screen()).text.startswith("Payforme")


# -------------------------------------------------------------------------------------- pushes


async def ask_b(scene):
    """A, who has no money, sends B a text: B is asked on the screen."""
    await scene.text(A, "15660903000002", "Goi lai cho minh nhe")


@pytest.mark.rule("USSD-4", "PFM-30")
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_question_is_pushed_and_answered_by_a_key(simulated, tmp_path, profile):
    async with serving(tmp_path, simulated, profile, ussd=PUSHES) as telcod:
        scene = Scene(telcod, simulated, profile)
        await scene.prepare()
        phone = scene.phone(B)
        await ask_b(scene)
        question = await phone.next_screen()
        assert "gia 250d do Quy khach tra" in question.text
        assert (question.operation, question.ends) == (QUESTION, False)
        again = await phone.press("9")
        assert again.text.startswith("Chon sai")
        assert (again.session, again.ends) == (question.session, False)
        answered = await phone.press("1")
        assert "da dong y nhan tin nhan" in answered.text
        assert (answered.session, answered.ends) == (question.session, True)
        [text] = await simulated.wait_text(str(B))
        assert text.endswith("Goi lai cho minh nhe")
        await telcod.wait_batches(partial(accepted, telcod))


@pytest.mark.rule("USSD-4", "PFM-30")
@pytest.mark.parametrize("profile", PROFILES)
async def test_who_refuses_on_the_screen_pays_nothing(simulated, tmp_path, profile):
    async with serving(tmp_path, simulated, profile, ussd=PUSHES) as telcod:
        scene = Scene(telcod, simulated, profile)
        await scene.prepare()
        phone = scene.phone(B)
        before = len(await telcod.rows(ENTRY))
        await ask_b(scene)
        await phone.next_screen()
        assert "da tu choi" in (await phone.press("2")).text
        assert len(await telcod.rows(ENTRY)) == before
        assert simulated.texts_to(str(B)) == []


@pytest.mark.rule("USSD-4", "PFM-30")
async def test_a_push_that_the_gateway_refuses_becomes_a_text(simulated, tmp_path):
    async with serving(tmp_path, simulated, ussd=PUSHES) as telcod:
        scene = Scene(telcod, simulated, "standard")
        await scene.prepare()
        simulated.behave(Behaviour(ussd_status=STATUS_DESTINATION))
        await ask_b(scene)
        assert "Soan Y" in (await simulated.wait_text(str(B)))[0]
        [push] = await telcod.rows(OUTBOX_PUSH)
        assert (push.state, push.attempts) == (OutboxState.FAILED, 1)


@pytest.mark.rule("USSD-4", "PFM-30")
async def test_a_phone_in_a_dialogue_of_its_own_is_asked_by_a_text_where_sessions_have_no_number(
    simulated, tmp_path
):
    async with serving(tmp_path, simulated, "msisdn", ussd=PUSHES) as telcod:
        scene = Scene(telcod, simulated, "msisdn")
        await scene.prepare()
        phone = scene.phone(B)
        await phone.dial("*1566#")
        await ask_b(scene)
        assert "Soan Y" in (await simulated.wait_text(str(B)))[0]
        assert (await phone.press("1")).text.startswith("Goi cuoc")


@pytest.mark.rule("USSD-4", "PFM-20")
async def test_a_notice_is_pushed_and_seen(simulated, tmp_path):
    routes = with_sessions(NETWORK_ROUTES)
    async with serving(tmp_path, simulated, routes=routes, ussd=PUSHES) as telcod:
        scene = Scene(telcod, simulated, "standard")
        await scene.prepare()
        phone = scene.phone(A)
        await telcod.daemon.submit(failed_call("1", A, "0903000002"))
        notice = await phone.next_screen()
        assert (notice.operation, notice.ends) == (NOTICE, False)
        await phone.confirm()
        assert await scene.sessions() == []
        await telcod.wait_batches(partial(accepted, telcod))


async def accepted(telcod):
    return [row.state for row in await telcod.rows(OUTBOX_PUSH)] == [OutboxState.ACCEPTED]


# ------------------------------------------------------------------------- SMSCs written by others

at_foreign = pytest.mark.xdist_group("foreign")


@at_foreign
@pytest.mark.rule("USSD-3")
async def test_a_foreign_smsc_begins_goes_on_and_ends_a_session(foreign):
    scene, _ = foreign
    phone = scene.phone()
    first = await phone.dial("*1566#")
    assert first.text.startswith("Payforme")
    assert (await phone.press("1")).text.startswith("Goi cuoc")
    last = await phone.press("1")
    assert "chua dang ky goi Payforme" in last.text
    assert (last.session, last.ends) == (first.session, True)


@at_foreign
@pytest.mark.rule("USSD-3")
async def test_a_foreign_smsc_aborts_a_session(foreign):
    scene, _ = foreign
    phone = scene.phone()
    await phone.dial("*1566*1#")
    await phone.abort()
    [session] = await scene.sessions()
    assert session.ended == 1
    assert (await phone.dial("*1566#")).text.startswith("Phien truoc chua xong")


@at_foreign
@pytest.mark.rule("USSD-3")
async def test_a_session_at_a_foreign_smsc_dies_of_silence(foreign):
    scene, clock = foreign
    phone = scene.phone()
    await phone.dial("*1566*1#")
    clock.advance(DEAD_MS)
    screen = await phone.press("1")
    assert "het han" in screen.text
    assert screen.ends
    assert await scene.telcod.rows(MO) == []


@at_foreign
@pytest.mark.rule("USSD-4", "PFM-30")
async def test_a_question_is_pushed_over_a_foreign_smsc_and_answered(foreign):
    scene, _ = foreign
    phone = scene.phone(B)
    await ask_b(scene)
    question = await phone.next_screen()
    assert "gia 250d do Quy khach tra" in question.text
    answered = await phone.press("1")
    assert "da dong y nhan tin nhan" in answered.text
    assert answered.ends
    [text] = await scene.smsc.wait_text(str(B))
    assert text.endswith("Goi lai cho minh nhe")
    [held] = await scene.telcod.rows(HELD_TEXT)
    assert held.payer == B
