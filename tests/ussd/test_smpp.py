"""USSD between a link and the writer: who is answered, when, and which session is meant.

The link and the writer are the test's: a request is committed when it says so.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from telcod.errors import Overloaded, Unavailable
from telcod.settings import shipped_config_dir
from telcod.smpp.consts import CommandStatus, TlvTag
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.pdu import DataSm, DeliverSm
from telcod.smpp.tlv import Tlv, tlv_or_none
from telcod.smpp.ussd_door import Aside
from telcod.types import Answer, Channel, SecretNeeded
from ussd.smpp import SCREEN_WAIT_S, SCREENS_WAITING_MAX, SmppDoor
from ussd.smpp_files import load_profiles
from ussd.smpp_talks import KEPT_S, REPEAT_S

PROFILES = load_profiles(shipped_config_dir() / "ussd" / "smpp")
OK = int(CommandStatus.ESME_ROK)
TRY_LATER = int(CommandStatus.ESME_RX_T_APPN)
A = 84903000001

pytestmark = pytest.mark.rule("SMPP-7")


class FakeLink:
    """A link with room or without, that remembers what was answered and submitted."""

    short_codes = ("1566", "9223")

    def __init__(self, ussd, name="a"):
        self.name = name
        self.settings = LinkSettings(name=name, host="h", system_id="s", password="p", ussd=ussd)
        self.up = {1}
        self.room = 1_000_000
        self.answers = []
        self.submitted = []

    @property
    def state(self):
        return SimpleNamespace(connections=[SimpleNamespace(connection=n) for n in self.up])

    def respond(self, connection, sequence, status, *, data_sm=False):
        self.answers.append((sequence, status))
        return connection in self.up

    def submit(self, body, token):
        if len(body.destination_addr) > 20:
            raise ValueError("destination_addr: too long")
        if self.room <= 0:
            return False
        self.room -= 1
        assert isinstance(token, Aside)
        self.submitted.append((body, token))
        return True

    @property
    def screens(self):
        return [body.short_message.decode() for body, _ in self.submitted]


class World:
    """A door, one link, and a writer that commits when it is told to."""

    def __init__(self, profile="standard"):
        self.link: Any = FakeLink(profile)
        self.now_s = 1_000.0
        self.posted: list[Any] = []
        self.full = False
        self.sequence = 0
        self.door = SmppDoor(self, PROFILES, clock=lambda: self.now_s)

    def post(self, request, sink):
        if not self.full:
            self.posted.append((request, sink))
        return not self.full

    def hear(self, op, text="", *, info=None, connection=1, source=str(A), body=DeliverSm):
        self.sequence += 1
        tlvs = [Tlv(TlvTag.USSD_SERVICE_OP, bytes((op,)))]
        if info is not None:
            tlvs.append(Tlv(TlvTag.ITS_SESSION_INFO, info.to_bytes(2)))
        fields: Any = {"source_addr": source, "source_addr_ton": 1, "destination_addr": "1566"}
        if body is DeliverSm:
            fields["short_message"] = text.encode()
        else:
            tlvs.append(Tlv(TlvTag.MESSAGE_PAYLOAD, text.encode()))
        taken = self.door.take(
            self.link, connection, self.sequence, body(tlvs=tuple(tlvs), **fields)
        )
        assert taken
        return self.sequence

    @property
    def asked(self):
        """What waits for the writer: route and arguments."""
        return [(request.route, *request.args) for request, _ in self.posted]

    def commit(self, *results):
        """Commit what waits, with these results, the rest as screens that say so."""
        posted, self.posted = self.posted, []
        given = list(results)
        for request, sink in posted:
            if request.route == "ussd.end":
                sink(request, Answer("ussd.ended"))
            else:
                sink(request, given.pop(0) if given else screen())
        assert not given

    def dial(self, code="*1566#", *, info=0x2A00, **how):
        self.hear(1, code, info=info, **how)
        self.commit()


def screen(text="Menu", action="continue", step=1):
    data = {"action": action, "text": text, "step": step}
    return Answer("ussd.shown", data=data)


@pytest.fixture
def world():
    return World()


# ------------------------------------------------------------------------------------ the plain way


@pytest.mark.rule("SMPP-2")
def test_a_dialled_code_is_answered_after_its_commit_and_the_screen_follows(world):
    sequence = world.hear(1, "*1566*1#", info=0x2A00)
    assert world.asked == [
        ("ussd.end", "a:84903000001-2a"),
        ("ussd.step", "a:84903000001-2a", "*1566*1#", "", "-1", "last"),
    ]
    request, _ = world.posted[1]
    assert (request.sender, request.channel, request.actor) == (A, Channel.USSD, "a")
    assert (world.link.answers, world.link.submitted) == ([], [])
    world.commit(screen("1 Goi cuoc"))
    assert world.link.answers == [(sequence, OK)]
    [(body, _)] = world.link.submitted
    assert body.short_message == b"1 Goi cuoc"
    assert (body.destination_addr, body.source_addr) == (str(A), "1566")
    assert tlv_or_none(body.tlvs, TlvTag.USSD_SERVICE_OP) == b"\x02"
    assert tlv_or_none(body.tlvs, TlvTag.ITS_SESSION_INFO) == b"\x2a\x02"


def test_an_answer_is_the_step_that_its_screen_counted(world):
    world.dial()
    world.hear(18, "1", info=0x2A02)
    assert world.asked == [("ussd.step", "a:84903000001-2a", "1566", "1", "1", "last")]
    world.commit(screen("Xong", "end", 2))
    body, _ = world.link.submitted[-1]
    assert tlv_or_none(body.tlvs, TlvTag.USSD_SERVICE_OP) == b"\x11"
    assert tlv_or_none(body.tlvs, TlvTag.ITS_SESSION_INFO) == b"\x2a\x05"


def test_a_gateway_that_does_not_count_has_its_answers_taken_in_turn():
    world = World("tata")
    world.dial(info=0x1234)
    world.hear(18, "1", info=0x1234)
    assert world.asked == [("ussd.step", "a:84903000001-1234", "1566", "1", "-1", "last")]


def test_a_data_sm_is_taken_as_a_deliver_sm_is(world):
    sequence = world.hear(1, "*1566#", info=0x2A00, body=DataSm)
    world.commit()
    assert world.link.answers == [(sequence, OK)]
    assert world.link.screens == ["Menu"]


def test_what_is_no_ussd_is_left_to_the_inbox(world):
    text = DeliverSm(source_addr=str(A), destination_addr="1566", short_message=b"KT")
    assert world.door.take(world.link, 1, 1, text) is False
    assert (world.posted, world.link.answers) == ([], [])


def test_the_networks_end_ends_the_session(world):
    world.dial()
    sequence = world.hear(129, info=0x2A02)
    assert world.asked == [("ussd.end", "a:84903000001-2a")]
    assert (sequence, OK) not in world.link.answers
    world.commit()
    assert world.link.answers[-1] == (sequence, OK)
    assert len(world.link.submitted) == 1


def test_an_end_of_a_session_that_nobody_knows_is_taken(world):
    sequence = world.hear(129, info=0x2B02)
    request, sink = world.posted.pop()
    sink(request, Answer("ussd.unknown"))
    assert world.link.answers == [(sequence, OK)]
    assert world.link.submitted == []


def test_a_notice_that_was_seen_is_answered_and_forgotten(world):
    sequence = world.hear(19, info=0x2A03)
    assert world.link.answers == [(sequence, OK)]
    assert world.posted == []


def test_an_operation_that_the_profile_does_not_name_is_refused_for_good_and_told(world):
    with structlog.testing.capture_logs() as logs:
        sequence = world.hear(77, "*1566#", info=0x2A00)
    assert world.link.answers == [(sequence, int(CommandStatus.ESME_RINVOPTPARAMVAL))]
    assert [line["event"] for line in logs] == ["ussd.operation_unknown"]
    assert world.posted == []


@pytest.mark.parametrize("source", ["1566", "MobiFone", "", "4915112345678"])
def test_whoever_is_no_number_of_ours_is_told_so_by_the_books(world, source):
    world.hear(1, "*1566#", info=0x2A00, source=source)
    request, _ = world.posted[-1]
    assert request.sender == 0
    world.commit(screen("khong phai", "end", 1))
    assert world.link.screens == ["khong phai"]


# ---------------------------------------------------------------------------------- which session


def test_a_dialogue_that_we_know_to_be_over_is_not_ended_once_more(world):
    world.hear(1, "*1566#", info=0x2A00)
    world.commit(screen("Xong", "end"))
    world.hear(1, "*1566#", info=0x2A00)
    assert [route for route, *_ in world.asked] == ["ussd.step"]


def test_a_number_that_is_used_again_while_its_dialogue_lasts_ends_that_first(world):
    world.dial()
    world.hear(1, "*1566*1#", info=0x2A00)
    assert [route for route, *_ in world.asked] == ["ussd.end", "ussd.step"]
    assert world.asked[1][2:] == ("*1566*1#", "", "-1", "last")


def test_phones_and_links_do_not_share_numbers(world):
    world.dial()
    world.hear(18, "1", info=0x2A02, source="84903000002")
    assert world.asked[-1][1] == "a:84903000002-2a"
    world.link = FakeLink("standard", "b")
    world.hear(18, "1", info=0x2A02)
    assert world.asked[-1][1] == "b:84903000001-2a"


@pytest.mark.parametrize("profile", ["tata", "msisdn"])
def test_an_answer_in_a_dialogue_that_we_forgot_is_not_carried_out_but_begins(profile):
    world = World(profile)
    world.hear(18, "1", info=0x1234)
    assert [route for route, *_ in world.asked] == ["ussd.end", "ussd.step"]
    assert world.asked[1][2:] == ("1566", "", "-1", "last")


@pytest.mark.parametrize("profile", ["standard", "sixdee"])
def test_what_was_dialled_with_the_code_is_not_dialled_again_by_an_answer(profile):
    world = World(profile)
    world.dial("*1566*1*2*1#", info=0x2A00)
    world.hear(18, "1", info=0x2A02 if profile == "standard" else 0x2A00)
    assert world.asked[-1][2] == "1566"


@pytest.mark.parametrize("profile", ["tata", "msisdn"])
def test_a_dialogue_is_forgotten_in_time(profile):
    world = World(profile)
    world.dial(info=0x1234)
    world.now_s += KEPT_S + 1
    world.hear(18, "1", info=0x1234)
    assert world.asked[-1][3] == ""


def test_a_counted_answer_needs_no_memory(world):
    world.hear(18, "1", info=0x2A06)
    assert world.asked == [("ussd.step", "a:84903000001-2a", "1566", "1", "3", "last")]


def test_a_session_that_the_books_do_not_know_begins(world):
    sequence = world.hear(18, "1", info=0x2A06)
    world.commit(Answer("ussd.unknown"))
    assert world.link.answers == []
    assert [route for route, *_ in world.asked] == ["ussd.end", "ussd.step"]
    assert world.asked[1][2:] == ("1566", "", "-1", "last")
    world.commit()
    assert world.link.answers == [(sequence, OK)]
    assert world.link.screens == ["Menu"]


def test_an_input_to_a_screen_that_is_past_shows_the_present_one(world):
    world.dial()
    world.hear(18, "1", info=0x2A02)
    world.commit(screen("Goi", step=2))
    sequence = world.hear(18, "2", info=0x2A02)
    world.commit(Answer("ussd.wrong_step", data={"step": 2}))
    assert world.link.answers[-1] == (sequence, OK)
    assert world.link.screens == ["Menu", "Goi", "Goi"]


def test_a_gateway_that_counts_ahead_of_us_is_taken_in_turn(world):
    world.dial()
    sequence = world.hear(18, "1", info=0x2A04)
    assert world.asked[0][4] == "2"
    world.commit(Answer("ussd.wrong_step", data={"step": 1}))
    assert world.asked == [("ussd.step", "a:84903000001-2a", "1566", "1", "-1", "last")]
    world.commit()
    assert world.link.answers[-1] == (sequence, OK)


# --------------------------------------------------------------------------------------- twice


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("profile", ["tata", "msisdn"])
def test_the_same_input_twice_on_a_healthy_connection_is_two_inputs(profile):
    world = World(profile)
    world.dial(info=0x1234)
    for _ in range(2):
        world.hear(18, "1", info=0x1234)
        assert len(world.posted) == 1
        world.commit()
    assert len(world.link.submitted) == 3


@pytest.mark.rule("SMPP-2")
def test_a_copy_that_comes_before_the_commit_is_answered_with_it_and_done_once():
    world = World("tata")
    world.dial(info=0x1234)
    first = world.hear(18, "1", info=0x1234)
    second = world.hear(18, "1", info=0x1234)
    assert len(world.posted) == 1
    world.commit()
    assert world.link.answers[1:] == [(first, OK), (second, OK)]
    assert len(world.link.submitted) == 2


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("op", [1, 18])
def test_a_copy_by_another_connection_than_one_that_is_gone_shows_the_screen_again(op):
    world = World("tata")
    world.dial(info=0x1234)
    if op == 18:
        world.hear(18, "1", info=0x1234)
        world.commit(screen("Goi"))
    shown = world.link.screens[-1]
    world.link.up = {2}
    sequence = world.hear(op, "1" if op == 18 else "*1566#", info=0x1234, connection=2)
    assert world.posted == []
    assert world.link.answers[-1] == (sequence, OK)
    assert world.link.screens[-2:] == [shown, shown]
    # What is typed then, on the connection that is there now, is an input.
    world.hear(18, "1", info=0x1234, connection=2)
    assert len(world.posted) == 1


@pytest.mark.rule("SMPP-2")
def test_the_same_input_by_two_connections_that_are_both_up_is_two_inputs():
    world = World("tata")
    world.link.up = {1, 2}
    world.dial(info=0x1234)
    for connection in (1, 2):
        world.hear(18, "1", info=0x1234, connection=connection)
        assert len(world.posted) == 1
        world.commit()


@pytest.mark.rule("SMPP-2")
def test_a_copy_is_not_awaited_longer_than_a_network_keeps_a_dialogue():
    world = World("tata")
    world.dial(info=0x1234)
    world.link.up = {2}
    world.now_s += REPEAT_S + 1
    world.hear(1, "*1566#", info=0x1234, connection=2)
    assert world.asked[-1][0] == "ussd.step"


# ------------------------------------------------------------------------------ what goes wrong


@pytest.mark.rule("SMPP-2")
def test_when_the_engine_is_full_the_gateway_keeps_the_message(world):
    world.full = True
    sequence = world.hear(1, "*1566#", info=0x2A00)
    assert world.link.answers == [(sequence, TRY_LATER)]
    world.full = False
    again = world.hear(1, "*1566#", info=0x2A00)
    world.commit()
    assert world.link.answers[-1] == (again, OK)
    assert world.link.screens == ["Menu"]


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(
    "result", [Unavailable("the disk"), Overloaded("too many"), SecretNeeded("x")]
)
def test_what_the_store_did_not_keep_is_refused_with_its_copies_and_may_come_again(world, result):
    first = world.hear(18, "1", info=0x2A02)
    second = world.hear(18, "1", info=0x2A02)
    world.commit(result)
    assert world.link.answers == [(first, TRY_LATER), (second, TRY_LATER)]
    third = world.hear(18, "1", info=0x2A02)
    world.commit()
    assert world.link.answers[-1] == (third, OK)
    assert world.link.screens == ["Menu"]


@pytest.mark.rule("SMPP-2")
def test_what_was_refused_is_carried_out_when_it_comes_by_another_connection():
    world = World("tata")
    world.dial(info=0x1234)
    world.hear(18, "1", info=0x1234)
    world.commit(Unavailable("the disk"))
    world.link.up = {2}
    world.hear(18, "1", info=0x1234, connection=2)
    assert [route for route, *_ in world.asked] == ["ussd.step"]


def test_a_request_that_broke_ends_the_dialogue_politely(world):
    world.hear(1, "*1566#", info=0x2A00)
    world.commit(Answer("request.quarantined", text="Xin loi"))
    body, _ = world.link.submitted[-1]
    assert body.short_message == b"Xin loi"
    assert tlv_or_none(body.tlvs, TlvTag.USSD_SERVICE_OP) == b"\x11"


@pytest.mark.rule("SMPP-5")
def test_screens_wait_for_room_in_order(world):
    world.link.room = 0
    for number in range(3):
        world.hear(1, "*1566#", info=number << 8)
        world.commit(screen(f"Menu {number}"))
    assert world.link.submitted == []
    world.link.room = 2
    world.door.on_ready(world.link)
    assert world.link.screens == ["Menu 0", "Menu 1"]
    world.link.room = 5
    world.door.on_ready(world.link)
    world.door.on_ready(world.link)
    assert world.link.screens == ["Menu 0", "Menu 1", "Menu 2"]


@pytest.mark.rule("SMPP-5")
def test_a_screen_does_not_overtake_those_that_wait(world):
    world.link.room = 0
    world.dial()
    world.link.room = 5  # There is room, and the link has not said so yet.
    world.hear(18, "1", info=0x2A02)
    world.commit(screen("Goi", step=2))
    world.door.on_ready(world.link)
    assert world.link.screens == ["Menu", "Goi"]


@pytest.mark.rule("SMPP-5")
def test_a_screen_that_waited_too_long_is_not_shown_to_whoever_has_gone_on(world):
    world.link.room = 0
    world.dial()
    world.now_s += SCREEN_WAIT_S + 1
    world.hear(1, "*1566#", info=0x2B00)
    world.commit(screen("Menu 2"))
    world.link.room = 5
    world.door.on_ready(world.link)
    assert world.link.screens == ["Menu 2"]


@pytest.mark.rule("SMPP-5")
def test_of_too_many_waiting_screens_the_oldest_are_dropped(world):
    world.link.room = 0
    for number in range(SCREENS_WAITING_MAX + 1):
        world.hear(1, "*1566#", info=number % 256 << 8, source=str(A + number))
        world.commit(screen(f"{number}"))
    world.link.room = SCREENS_WAITING_MAX + 1
    world.door.on_ready(world.link)
    assert world.link.screens == [f"{number}" for number in range(1, SCREENS_WAITING_MAX + 1)]


@pytest.mark.rule("SMPP-5")
@pytest.mark.parametrize("status", [CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL])
def test_a_screen_that_is_throttled_goes_again_when_the_link_has_room(world, status):
    world.dial()
    _, token = world.link.submitted[0]
    world.link.room = 0
    token.done(int(status))
    world.link.room = 1
    world.door.on_ready(world.link)
    assert world.link.screens == ["Menu", "Menu"]


@pytest.mark.rule("SMPP-5")
@pytest.mark.parametrize(
    ("status", "event"),
    [(OK, None), (None, "ussd.screen_unanswered"), (0x0B, "ussd.screen_refused")],
)
def test_a_screen_goes_out_once(world, status, event):
    world.dial()
    _, token = world.link.submitted[0]
    with structlog.testing.capture_logs() as logs:
        token.done(status)
        world.door.on_ready(world.link)
    assert [line["event"] for line in logs] == ([event] if event else [])
    assert world.link.screens == ["Menu"]


def test_a_screen_that_no_pdu_can_hold_stops_nobody(world):
    with structlog.testing.capture_logs() as logs:
        world.hear(1, "*1566#", info=0x2A00, source="8" * 21)
        world.commit()
        world.dial(info=0x2B00)
    assert "ussd.screen_unsendable" in [line["event"] for line in logs]
    assert world.link.screens == ["Menu"]


@pytest.mark.rule("SMPP-2")
def test_an_input_that_broke_is_as_good_as_new_when_it_comes_again(world):
    post, world.post = world.post, None
    with pytest.raises(TypeError):
        world.hear(18, "1", info=0x2A02)
    world.post = post
    sequence = world.hear(18, "1", info=0x2A02)
    world.commit()
    assert world.link.answers == [(sequence, OK)]


def test_no_input_is_ever_logged(world):
    with structlog.testing.capture_logs() as logs:
        for op, info in ((1, 0), (18, 2), (18, 2), (77, 2), (129, 2), (19, 3), (18, 8)):
            world.hear(op, "31415926", info=info)
        world.commit(screen(), Answer("ussd.wrong_step", data={"step": 1}))
        world.commit()
    assert logs
    assert "31415926" not in repr(logs)
