"""The session's dialogues.  Time is a number here, so thirty seconds of silence cost nothing."""

from collections import Counter as Multiset

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telcod.smpp.consts import RESPONSE_BIT, CommandId, CommandStatus, TlvTag, is_request
from telcod.smpp.events import (
    BindKind,
    BindRefused,
    BindSettings,
    Bound,
    Death,
    Delivered,
    LinkDead,
    Malformed,
    OutbindTaken,
    PeerUnbound,
    SubmitDone,
    SubmitUnknown,
    Unbound,
)
from telcod.smpp.framing import Framer
from telcod.smpp.layout import COMMAND_IDS
from telcod.smpp.pace import Pace
from telcod.smpp.pdu import (
    AlertNotification,
    BadPdu,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitterResp,
    CancelSm,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    ReplaceSm,
    SubmitMulti,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    Unbind,
    UnbindResp,
    decode,
    encode,
    encode_header,
)
from telcod.smpp.session import LATE_MAX, Session, State
from telcod.smpp.states import BOUND
from telcod.smpp.timers import Timers

TIMERS = Timers(
    session_init_s=5,
    enquire_link_s=30,
    response_wait_s=10,
    partial_pdu_s=10,
    unbind_wait_s=2,
    throttle_base_s=1,
    throttle_factor=2,
    throttle_max_s=8,
)
RESPS = {
    BindKind.TRANSCEIVER: BindTransceiverResp,
    BindKind.TRANSMITTER: BindTransmitterResp,
    BindKind.RECEIVER: BindReceiverResp,
}
VERSION_34 = (Tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34"),)
TEXT = SubmitSm(source_addr="1566", destination_addr="84903123456", short_message=b"hi")
MO = DeliverSm(source_addr="84903123456", destination_addr="1566", short_message=b"KT")


def new_session(kind=BindKind.TRANSCEIVER, *, timers=TIMERS, now=0.0, first=1, **fields):
    kept = {
        name: fields.pop(name) for name in ("pace", "counters", "awaits_outbind") if name in fields
    }
    bind = BindSettings(kind=kind, system_id="telcod", password="geheim", **fields)
    return Session(bind, timers, now=now, first_sequence=first, **kept)


def bound_session(kind=BindKind.TRANSCEIVER, *, tlvs=VERSION_34, now=0.0, **fields):
    session = new_session(kind, now=now, **fields)
    [bind] = sent(session)
    event = hear(session, RESPS[kind]("smsc", tlvs), sequence=bind.sequence_number, now=now)
    assert isinstance(event, Bound)
    return session


def sent(session):
    framer = Framer()
    framer.feed(session.data_to_send())
    pdus = list(framer.pdus())
    assert framer.partial_bytes == 0
    return pdus


def said(session):
    """What was sent, in short: name of the command, status, sequence."""
    return [
        (CommandId(pdu.command_id).name.lower(), pdu.command_status, pdu.sequence_number)
        for pdu in sent(session)
    ]


def hear(session, body, *, sequence=7, status=0, now=0.0):
    frame = encode(body, command_status=status, sequence_number=1)
    frame = frame[:12] + sequence.to_bytes(4, "big") + frame[16:]
    return session.receive(decode(frame), now)


def hear_header(session, command_id, *, sequence=7, status=0, now=0.0):
    return session.receive(decode(encode_header(command_id, status, sequence)), now)


def submit(session, token="t", *, body=TEXT, now=0.0):
    """Submit and return the sequence_number used."""
    assert session.submit(body, token, now)
    [pdu] = [pdu for pdu in sent(session) if pdu.command_id == CommandId.SUBMIT_SM]
    return pdu.sequence_number


class TestBinding:
    pytestmark = pytest.mark.rule("SMPP-1")

    def test_the_bind_goes_out_at_once_and_is_not_yet_bound(self):
        session = new_session(system_type="VMS")
        [pdu] = sent(session)
        assert pdu.body == BindTransceiver("telcod", "geheim", "VMS")
        assert pdu.sequence_number == 1
        assert session.state is State.BINDING

    @pytest.mark.parametrize(
        ("kind", "state"),
        [
            (BindKind.TRANSCEIVER, State.BOUND_TRX),
            (BindKind.TRANSMITTER, State.BOUND_TX),
            (BindKind.RECEIVER, State.BOUND_RX),
        ],
    )
    def test_an_ok_response_binds(self, kind, state):
        assert bound_session(kind).state is state

    @pytest.mark.parametrize("status", [0x05, 0x0D, 0x0E, 0x0F, 0x401, 0xFFFF_FFFF])
    def test_a_refused_bind_ends_the_session(self, status):
        session = new_session()
        event = hear_header(session, CommandId.BIND_TRANSCEIVER_RESP, sequence=1, status=status)
        assert event == BindRefused(status)
        assert session.state is State.CLOSED
        assert session.counters.binds == 0

    def test_a_nacked_bind_is_a_refused_bind(self):
        session = new_session()
        event = hear_header(session, CommandId.GENERIC_NACK, sequence=1, status=3)
        assert event == BindRefused(3)

    def test_a_nack_that_says_ok_is_no_bind(self):
        session = new_session()
        event = hear_header(session, CommandId.GENERIC_NACK, sequence=1)
        assert event == BindRefused(CommandStatus.ESME_RUNKNOWNERR)

    @pytest.mark.parametrize(
        ("body", "sequence"),
        [
            (BindTransceiverResp("smsc"), 2),
            (BindReceiverResp("smsc"), 1),
            (BindTransmitterResp("smsc"), 1),
        ],
    )
    def test_only_the_response_to_our_bind_binds(self, body, sequence):
        session = new_session()
        assert hear(session, body, sequence=sequence) is None
        assert session.state is State.BINDING
        assert session.counters.unexpected == 1

    def test_a_second_bind_response_is_not_expected(self):
        session = bound_session()
        assert hear(session, BindTransceiverResp("smsc"), sequence=1, status=13) is None
        assert session.state is State.BOUND_TRX
        assert session.counters.unexpected == 1

    @pytest.mark.parametrize(
        ("tlvs", "version", "takes"),
        [
            ((), 0x33, False),
            ((Tlv(0x210, b"\x33"),), 0x33, False),
            ((Tlv(0x210, b"\x34"),), 0x34, True),
            ((Tlv(0x210, b"\x50"),), 0x50, True),
            ((Tlv(0x210, b""),), 0x33, False),
            ((Tlv(0x1400, b"?"), Tlv(0x210, b"\x34"), Tlv(0x210, b"\x33")), 0x34, True),
        ],
    )
    def test_the_peers_version_decides_about_tlvs(self, tlvs, version, takes):
        session = bound_session(tlvs=tlvs)
        assert session.peer_version == version
        assert session.peer_takes_tlvs is takes

    def test_a_setting_sends_tlvs_to_a_peer_that_hides_its_version(self):
        assert bound_session(tlvs=(), tlvs_always=True).peer_takes_tlvs

    def test_a_bind_that_is_never_answered_is_given_up(self):
        session = new_session(now=100.0)
        assert session.deadline() == 105
        assert session.handle_timer(104.9) == []
        assert session.handle_timer(105.0) == [LinkDead(Death.SESSION_INIT)]
        assert session.state is State.CLOSED
        assert session.deadline() is None

    def test_a_garbled_response_to_the_bind_still_says_that_we_are_bound(self):
        session = new_session()
        frame = encode_header(CommandId.BIND_TRANSCEIVER_RESP, 0, 1)
        event = session.receive(decode((18).to_bytes(4, "big") + frame[4:] + b"ab"), 0.0)
        assert event.outcome == Bound("", 0x33)
        assert session.state is State.BOUND_TRX

    def test_a_setting_that_fits_no_bind_is_the_callers_fault(self):
        with pytest.raises(ValueError, match="system_id"):
            new_session_with_system_id("x" * 16)


def new_session_with_system_id(system_id):
    bind = BindSettings(kind=BindKind.RECEIVER, system_id=system_id, password="")
    return Session(bind, TIMERS, now=0.0)


class TestOutbind:
    pytestmark = pytest.mark.rule("SMPP-6")

    def test_an_outbind_is_answered_by_a_bind(self):
        session = new_session(BindKind.RECEIVER, awaits_outbind=True)
        assert session.data_to_send() == b""
        assert hear(session, Outbind("smsc", "x")) == OutbindTaken("smsc")
        assert said(session) == [("bind_receiver", 0, 1)]
        hear(session, BindReceiverResp("smsc"), sequence=1)
        assert session.state is State.BOUND_RX

    def test_an_outbind_with_the_wrong_password_gets_nothing_of_ours(self):
        session = new_session(BindKind.RECEIVER, awaits_outbind=True, outbind_password="right")
        assert hear(session, Outbind("smsc", "wrong")) == LinkDead(Death.OUTBIND_REFUSED)
        assert session.data_to_send() == b""

    def test_an_outbind_with_the_right_password_is_taken(self):
        session = new_session(BindKind.RECEIVER, awaits_outbind=True, outbind_password="right")
        assert hear(session, Outbind("smsc", "right")) == OutbindTaken("smsc")

    def test_who_connects_and_says_nothing_is_given_up(self):
        session = new_session(BindKind.RECEIVER, awaits_outbind=True)
        assert session.handle_timer(5.0) == [LinkDead(Death.SESSION_INIT)]

    def test_a_garbled_outbind_ends_the_session(self):
        session = new_session(BindKind.RECEIVER, awaits_outbind=True)
        event = session.receive(BadPdu(CommandId.OUTBIND, 0, 1, 0x02, "short"), 0.0)
        assert event.outcome == LinkDead(Death.OUTBIND_REFUSED)

    def test_an_outbind_to_a_bound_session_is_nacked(self):
        session = bound_session()
        assert hear(session, Outbind("smsc", "x")) is None
        assert said(session) == [("generic_nack", CommandStatus.ESME_RINVBNDSTS, 7)]
        assert session.state is State.BOUND_TRX


class TestMessagesIn:
    pytestmark = pytest.mark.rule("SMPP-2")

    def test_a_message_is_told_and_not_answered_before_we_say_so(self):
        session = bound_session()
        assert hear(session, MO, sequence=9) == Delivered(9, MO, False)
        assert session.data_to_send() == b""
        assert session.unanswered == 1
        assert session.respond(9, CommandStatus.ESME_ROK)
        [pdu] = sent(session)
        assert pdu == Pdu(CommandId.DELIVER_SM_RESP, 0, 9, DeliverSmResp(""))
        assert session.unanswered == 0

    def test_the_answers_message_id_is_one_nul_octet_whatever_the_status(self):
        session = bound_session()
        for status in (0, 0x64, 0x65):
            hear(session, MO, sequence=9)
            session.respond(9, status)
            assert session.data_to_send() == (
                bytes.fromhex("00000011 80000005") + status.to_bytes(4, "big") + b"\0\0\0\x09\0"
            )

    @pytest.mark.parametrize("kind", BindKind)
    def test_a_data_sm_is_told_on_every_bound_session_and_answered_by_its_own(self, kind):
        session = bound_session(kind)
        body = DataSm(source_addr="84903123456", tlvs=(Tlv(TlvTag.MESSAGE_PAYLOAD, b"KT"),))
        assert hear(session, body, sequence=3) == Delivered(3, body, True)
        session.respond(3, 0, is_data_sm=True)
        assert sent(session) == [Pdu(CommandId.DATA_SM_RESP, 0, 3, DataSmResp(""))]

    def test_answers_may_come_in_any_order(self):
        session = bound_session()
        for sequence in (1, 2, 3):
            hear(session, MO, sequence=sequence)
        for sequence in (3, 1, 2):
            session.respond(sequence, 0)
        assert [pdu.sequence_number for pdu in sent(session)] == [3, 1, 2]

    @pytest.mark.parametrize("sequence", [0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
    def test_the_peers_sequence_is_returned_whatever_it_is(self, sequence):
        session = bound_session()
        hear(session, MO, sequence=sequence)
        session.respond(sequence, 0)
        hear(session, EnquireLink(), sequence=sequence)
        assert [pdu.sequence_number for pdu in sent(session)] == [sequence, sequence]

    def test_a_peer_that_numbers_everything_alike_gets_an_answer_for_each(self):
        session = bound_session()
        for _ in range(3):
            assert isinstance(hear(session, MO, sequence=0), Delivered)
        assert [session.respond(0, 0) for _ in range(4)] == [True, True, True, False]
        assert len(sent(session)) == 3

    def test_what_nobody_asked_is_not_answered(self):
        session = bound_session()
        assert not session.respond(5, 0)
        assert session.data_to_send() == b""

    def test_beyond_the_window_the_smsc_keeps_the_message(self):
        session = bound_session(inbound_window=2)
        assert isinstance(hear(session, MO, sequence=1), Delivered)
        assert isinstance(hear(session, MO, sequence=2), Delivered)
        assert hear(session, MO, sequence=3) is None
        assert said(session) == [("deliver_sm_resp", CommandStatus.ESME_RX_T_APPN, 3)]
        assert session.counters.overloaded == 1
        session.respond(1, 0)
        assert isinstance(hear(session, MO, sequence=4), Delivered)

    def test_a_draining_session_leaves_new_messages_with_the_smsc_and_answers_the_old(self):
        session = bound_session()
        hear(session, MO, sequence=1)
        session.drain()
        hear(session, MO, sequence=2)
        session.respond(1, 0)
        assert said(session) == [
            ("deliver_sm_resp", CommandStatus.ESME_RX_T_APPN, 2),
            ("deliver_sm_resp", 0, 1),
        ]

    def test_a_transmitter_takes_no_deliver_sm(self):
        session = bound_session(BindKind.TRANSMITTER)
        assert hear(session, MO) is None
        assert said(session) == [("deliver_sm_resp", CommandStatus.ESME_RINVBNDSTS, 7)]
        assert session.counters.wrong_state == 1

    @pytest.mark.parametrize("body", [MO, DataSm()], ids=["deliver_sm", "data_sm"])
    def test_before_the_bind_a_message_is_refused(self, body):
        session = new_session()
        sent(session)
        assert hear(session, body) is None
        assert [status for _, status, _ in said(session)] == [CommandStatus.ESME_RINVBNDSTS]

    def test_a_message_that_crosses_our_unbind_stays_with_the_smsc(self):
        session = bound_session()
        session.unbind(1.0)
        sent(session)
        assert hear(session, MO, now=1.1) is None
        assert said(session) == [("deliver_sm_resp", CommandStatus.ESME_RX_T_APPN, 7)]


class TestRequestsIn:
    pytestmark = pytest.mark.rule("SMPP-2")

    @pytest.mark.parametrize(
        "body",
        [SubmitSm(), QuerySm(), CancelSm(), ReplaceSm(), SubmitMulti(), BindTransceiver()],
        ids=lambda body: type(body).__name__,
    )
    def test_a_request_that_only_an_esme_makes_is_refused_by_its_own_response(self, body):
        session = bound_session()
        # An empty submit_multi cannot be written; its header is enough here.
        command_id = (
            decode(encode(body, sequence_number=1)).command_id
            if (not isinstance(body, SubmitMulti))
            else int(CommandId.SUBMIT_MULTI)
        )
        assert session.receive(Pdu(command_id, 0, 7, body), 0.0) is None
        [(name, status, sequence)] = said(session)
        assert name == CommandId(command_id | RESPONSE_BIT).name.lower()
        assert (status, sequence) == (CommandStatus.ESME_RINVBNDSTS, 7)
        assert session.state is State.BOUND_TRX

    def test_a_malformed_request_gets_its_response_with_the_error_and_the_link_lives_on(self):
        session = bound_session()
        for command_id, name in [
            (CommandId.DELIVER_SM, "deliver_sm_resp"),
            (CommandId.DATA_SM, "data_sm_resp"),
            (CommandId.ENQUIRE_LINK, "enquire_link_resp"),
            (CommandId.UNBIND, "unbind_resp"),
            (CommandId.SUBMIT_SM, "submit_sm_resp"),
            (CommandId.OUTBIND, "generic_nack"),
        ]:
            event = session.receive(BadPdu(command_id, 0, 5, 0xC2, "a field"), 0.0)
            assert event == Malformed(command_id, "a field")
            assert said(session) == [(name, 0xC2, 5)]
        assert session.state is State.BOUND_TRX
        assert session.unanswered == 0
        assert session.counters.malformed == 6

    def test_an_unknown_command_is_nacked(self):
        session = bound_session()
        frame = encode_header(0x0000_1234, 0, 5)
        event = session.receive(decode(frame), 0.0)
        assert isinstance(event, Malformed)
        assert said(session) == [("generic_nack", CommandStatus.ESME_RINVCMDID, 5)]

    def test_an_unknown_response_is_not_nacked_or_two_peers_would_nack_for_ever(self):
        session = bound_session()
        assert isinstance(session.receive(decode(encode_header(0x8000_1234, 0, 5)), 0.0), Malformed)
        assert session.data_to_send() == b""

    def test_an_alert_has_no_answer(self):
        session = bound_session()
        assert hear(session, AlertNotification()) is None
        session.receive(BadPdu(CommandId.ALERT_NOTIFICATION, 0, 5, 0xC2, "x"), 0.0)
        transmitter = bound_session(BindKind.TRANSMITTER)
        assert hear(transmitter, AlertNotification()) is None
        assert session.data_to_send() == transmitter.data_to_send() == b""

    def test_a_peer_that_invents_commands_does_not_make_the_counters_grow(self):
        session = bound_session()
        for command_id in range(0x100, 0x400):
            session.receive(decode(encode_header(command_id, 0, 5)), 0.0)
        assert set(session.counters.pdus_in) <= set(CommandId)
        assert set(session.counters.pdus_out) <= set(CommandId)

    @pytest.mark.rule("SMPP-6")
    @pytest.mark.parametrize("kind", BindKind)
    def test_an_enquire_link_is_answered_in_every_state_that_lives(self, kind):
        binding, bound, unbinding = new_session(kind), bound_session(kind), bound_session(kind)
        unbinding.unbind(0.0)
        for session in (binding, bound, unbinding):
            sent(session)
            assert hear(session, EnquireLink(), sequence=3) is None
            assert said(session) == [("enquire_link_resp", 0, 3)]

    @pytest.mark.rule("SMPP-6")
    def test_an_unbind_is_answered_and_then_the_session_is_over(self):
        session = bound_session()
        assert hear(session, Unbind(), sequence=4) == PeerUnbound()
        assert said(session) == [("unbind_resp", 0, 4)]
        assert session.state is State.CLOSED
        assert hear(session, MO) is None
        assert not session.respond(7, 0)
        assert session.data_to_send() == b""

    def test_nothing_is_said_after_the_end_even_if_the_rest_of_the_stream_is_a_lie(self):
        session = bound_session()
        hear(session, Unbind())
        sent(session)
        assert session.framing_lost() == LinkDead(Death.FRAMING_LOST)
        assert session.data_to_send() == b""

    def test_an_impossible_length_is_told_and_ends_the_session(self):
        session = bound_session()
        assert session.framing_lost() == LinkDead(Death.FRAMING_LOST)
        assert said(session) == [("generic_nack", CommandStatus.ESME_RINVCMDLEN, 0)]
        assert session.state is State.CLOSED


class TestSubmitting:
    pytestmark = pytest.mark.rule("SMPP-5")

    def test_a_submit_ends_with_its_answer(self):
        session = bound_session()
        sequence = submit(session, "a")
        assert session.outstanding == 1
        event = hear(session, SubmitSmResp("00ab"), sequence=sequence)
        assert event == SubmitDone("a", 0, "00ab")
        assert session.outstanding == 0

    def test_answers_may_come_out_of_order(self):
        session = bound_session()
        sequences = [submit(session, token) for token in "abc"]
        events = [
            hear(session, SubmitSmResp(token), sequence=sequences["abc".index(token)])
            for token in "cab"
        ]
        assert events == [SubmitDone(token, 0, token) for token in "cab"]

    def test_a_refusal_without_a_body_is_an_answer(self):
        session = bound_session()
        sequence = submit(session, "a")
        event = hear_header(session, CommandId.SUBMIT_SM_RESP, sequence=sequence, status=0x0B)
        assert event == SubmitDone("a", 0x0B, "")

    def test_a_vendors_status_is_an_answer(self):
        session = bound_session()
        sequence = submit(session, "a")
        event = hear_header(session, CommandId.SUBMIT_SM_RESP, sequence=sequence, status=0x4FF)
        assert event == SubmitDone("a", 0x4FF, "")

    def test_a_nack_ends_the_submit_that_it_names(self):
        session = bound_session()
        first, second = submit(session, "a"), submit(session, "b")
        assert hear_header(
            session, CommandId.GENERIC_NACK, sequence=second, status=0x02
        ) == SubmitDone("b", 0x02, "")
        assert hear_header(session, CommandId.GENERIC_NACK, sequence=first) == SubmitDone(
            "a", CommandStatus.ESME_RUNKNOWNERR, ""
        )

    def test_a_garbled_answer_still_says_by_its_header_what_became_of_the_message(self):
        session = bound_session()
        sequence = submit(session, "a")
        event = session.receive(BadPdu(CommandId.SUBMIT_SM_RESP, 0, sequence, 0x02, "no NUL"), 0.0)
        assert event == Malformed(CommandId.SUBMIT_SM_RESP, "no NUL", SubmitDone("a", 0, ""))
        assert session.data_to_send() == b""
        assert session.outstanding == 0

    @pytest.mark.parametrize(
        ("body", "sequence"),
        [
            (SubmitSmResp("x"), 99),
            (SubmitSmResp("x"), 0),
            (DeliverSmResp(), 2),
            (GenericNack(), 0),
            (UnbindResp(), 2),
            (EnquireLinkResp(), 2),
        ],
        ids=str,
    )
    def test_an_answer_to_nothing_is_counted_and_harms_nothing(self, body, sequence):
        session = bound_session()
        assert submit(session) == 2
        assert hear(session, body, sequence=sequence, status=isinstance(body, GenericNack)) is None
        assert session.counters.unexpected == 1
        assert session.outstanding == 1
        assert session.state is State.BOUND_TRX
        assert session.data_to_send() == b""

    def test_the_window_is_never_exceeded(self):
        session = bound_session(window=3)
        sequences = [submit(session) for _ in range(3)]
        assert not session.has_room(0.0)
        assert not session.submit(TEXT, "x", 0.0)
        assert session.data_to_send() == b""
        hear(session, SubmitSmResp("1"), sequence=sequences[1])
        assert session.submit(TEXT, "x", 0.0)

    @pytest.mark.rule("SMPP-6")
    def test_answers_and_probes_pass_window_rate_and_pause(self):
        timers = Timers(enquire_link_s=1)
        session = bound_session(window=1, timers=timers, pace=Pace(timers, rate_per_s=1))
        sequence = submit(session)
        hear_header(session, CommandId.SUBMIT_SM_RESP, sequence=sequence, status=0x58)
        assert not session.has_room(0.0)
        hear(session, MO, sequence=1)
        session.respond(1, 0)
        hear(session, EnquireLink(), sequence=2)
        session.handle_timer(1.0)
        assert [name for name, _, _ in said(session)] == [
            "deliver_sm_resp",
            "enquire_link_resp",
            "enquire_link",
        ]

    def test_the_rate_holds_between_sessions_of_one_link(self):
        pace = Pace(TIMERS, rate_per_s=5)
        session = bound_session(pace=pace, now=100.0)
        submit(session, now=100.0)
        assert not session.has_room(100.05)
        again = bound_session(pace=pace, now=100.05)
        assert not again.has_room(100.05)
        assert again.has_room(pace.free_at())

    @pytest.mark.parametrize("status", [0x58, 0x14])
    def test_a_throttled_link_pauses_and_then_tries_one_alone(self, status):
        session = bound_session()
        sequences = [submit(session, now=1.0) for _ in range(5)]
        for sequence in sequences:
            event = hear_header(
                session, CommandId.SUBMIT_SM_RESP, sequence=sequence, status=status, now=1.1
            )
            assert event == SubmitDone("t", status, "")
        assert session.counters.throttled == 5
        assert not session.has_room(2.0)
        assert session.pace.free_at() == pytest.approx(2.1)
        probe = submit(session, now=2.2)
        assert not session.has_room(2.2)
        hear(session, SubmitSmResp("1"), sequence=probe, now=2.3)
        assert session.has_room(2.3)

    @pytest.mark.parametrize("state", ["binding", "receiver", "unbinding", "closed", "draining"])
    def test_nothing_is_submitted_where_it_may_not(self, state):
        session = {
            "binding": new_session,
            "receiver": lambda: bound_session(BindKind.RECEIVER),
        }.get(state, bound_session)()
        if state == "unbinding":
            session.unbind(0.0)
        if state == "closed":
            session.close()
        if state == "draining":
            session.drain()
        sent(session)
        assert not session.submit(TEXT, "x", 0.0)
        assert session.data_to_send() == b""

    def test_tlvs_are_not_sent_to_a_peer_that_takes_none(self):
        body = SubmitSm(tlvs=(Tlv(TlvTag.MESSAGE_PAYLOAD, b"long"),))
        old = bound_session(tlvs=())
        with pytest.raises(ValueError, match="tlvs"):
            old.submit(body, "x", 0.0)
        assert (old.outstanding, old.data_to_send()) == (0, b"")
        submit(bound_session(), body=body)

    def test_a_message_that_fits_no_pdu_leaves_no_trace(self):
        session = bound_session()
        with pytest.raises(ValueError, match="short_message"):
            session.submit(SubmitSm(short_message=b"x" * 255), "x", 0.0)
        assert (session.outstanding, session.data_to_send()) == (0, b"")

    def test_sequence_numbers_wrap_and_pass_over_what_still_waits(self):
        session = bound_session(first=0x7FFF_FFFE)  # The bind took the one before the last.
        assert [submit(session, "a"), submit(session, "b")] == [0x7FFF_FFFF, 1]
        session._sequence = 0x7FFF_FFFE
        assert submit(session, "c") == 2
        assert hear(session, SubmitSmResp("x"), sequence=1) == SubmitDone("b", 0, "x")


class TestNoAnswer:
    pytestmark = pytest.mark.rule("SMPP-5", "SMPP-6")

    def test_a_submit_without_an_answer_is_unknown_and_the_peer_is_probed(self):
        session = bound_session()
        submit(session, "a", now=3.0)
        submit(session, "b", now=4.0)
        assert session.deadline() == 13.0
        assert session.handle_timer(12.9) == []
        assert session.handle_timer(13.0) == [SubmitUnknown("a")]
        assert [name for name, _, _ in said(session)] == ["enquire_link"]
        assert session.deadline() == 14.0
        assert session.handle_timer(14.0) == [SubmitUnknown("b")]
        assert session.data_to_send() == b""
        assert session.outstanding == 0
        assert session.counters.unknown == 2
        assert session.handle_timer(23.0) == [LinkDead(Death.SILENT)]
        assert session.close() == []

    def test_a_late_answer_is_told_as_such_so_that_nothing_is_sent_twice(self):
        session = bound_session()
        sequence = submit(session, "a", now=0.0)
        session.handle_timer(10.0)
        event = hear(session, SubmitSmResp("1"), sequence=sequence, now=11.0)
        assert event == SubmitDone("a", 0, "1", late=True)
        assert session.counters.late == 1
        assert hear(session, SubmitSmResp("1"), sequence=sequence, now=11.0) is None

    def test_only_so_many_late_answers_are_remembered(self):
        session = bound_session(window=10_000)
        sequences = [submit(session, n) for n in range(LATE_MAX + 5)]
        assert len(session.handle_timer(10.0)) == LATE_MAX + 5
        assert hear(session, SubmitSmResp("1"), sequence=sequences[4]) is None
        assert hear(session, SubmitSmResp("1"), sequence=sequences[5]).late

    def test_what_waits_when_the_connection_goes_is_unknown(self):
        session = bound_session()
        first = submit(session, "a")
        submit(session, "b")
        submit(session, "c")
        hear(session, SubmitSmResp("1"), sequence=first)
        assert session.close() == [SubmitUnknown("b"), SubmitUnknown("c")]
        assert session.state is State.CLOSED
        assert session.close() == []
        assert session.counters.unknown == 2


class TestTimers:
    pytestmark = pytest.mark.rule("SMPP-6")

    def test_a_silent_peer_is_asked_once_and_then_given_up(self):
        session = bound_session(now=100.0)
        assert session.deadline() == 130
        assert session.handle_timer(129.9) == []
        assert session.data_to_send() == b""
        assert session.handle_timer(130.0) == []
        assert said(session) == [("enquire_link", 0, 2)]
        assert session.deadline() == 140.0
        session.handle_timer(135.0)
        assert session.data_to_send() == b""
        assert session.handle_timer(140.0) == [LinkDead(Death.SILENT)]

    @pytest.mark.parametrize("body", [EnquireLinkResp(), EnquireLink(), MO, GenericNack()], ids=str)
    def test_any_pdu_is_a_sign_of_life(self, body):
        session = bound_session()
        session.handle_timer(30.0)
        hear(session, body, sequence=2, now=31.0, status=isinstance(body, GenericNack))
        assert session.deadline() == 61.0
        assert session.handle_timer(60.9) == []
        assert session.state is State.BOUND_TRX
        assert session.counters.unexpected == 0

    def test_half_a_pdu_is_waited_for_but_not_for_ever(self):
        session = bound_session()
        session.note_partial(20, progressed=False, now=1.0)
        session.note_partial(21, progressed=False, now=9.0)
        assert session.deadline() == 11.0
        assert session.handle_timer(10.9) == []
        assert session.handle_timer(11.0) == [LinkDead(Death.PARTIAL_PDU)]

    def test_each_pdu_has_its_own_time_to_arrive(self):
        session = bound_session()
        session.note_partial(20, progressed=False, now=1.0)
        session.note_partial(3, progressed=True, now=10.0)
        assert session.handle_timer(11.0) == []
        session.note_partial(0, progressed=True, now=12.0)
        assert session.handle_timer(25.0) == []

    def test_a_link_on_which_nothing_happens_is_left(self):
        session = bound_session(timers=Timers(enquire_link_s=30, inactivity_s=100))
        for now in (30.0, 60.0, 90.0):
            session.handle_timer(now)
            [(name, _, sequence)] = said(session)
            assert name == "enquire_link"
            hear(session, EnquireLinkResp(), sequence=sequence, now=now)
        assert session.deadline() == 100.0
        assert session.handle_timer(100.0) == []
        assert [name for name, _, _ in said(session)] == ["unbind"]
        assert session.state is State.UNBINDING

    def test_messages_either_way_are_activity(self):
        session = bound_session(timers=Timers(enquire_link_s=1000, inactivity_s=100))
        hear(session, MO, now=50.0)
        assert session.deadline() == 150.0
        submit(session, now=60.0)
        session.handle_timer(159.0)
        assert session.state is State.BOUND_TRX

    def test_our_unbind_ends_with_its_answer(self):
        session = bound_session()
        session.unbind(1.0)
        [(name, _, sequence)] = said(session)
        assert (name, session.state) == ("unbind", State.UNBINDING)
        assert hear(session, UnbindResp(), sequence=sequence, now=1.1) == Unbound()
        assert session.state is State.CLOSED

    def test_our_unbind_is_not_waited_for_longer_than_its_timer(self):
        session = bound_session()
        session.unbind(1.0)
        assert session.deadline() == 3.0
        assert session.handle_timer(3.0) == [LinkDead(Death.UNBIND_UNANSWERED)]

    def test_a_nacked_unbind_is_an_unbind(self):
        session = bound_session()
        session.unbind(1.0)
        [(_, _, sequence)] = said(session)
        assert hear(session, GenericNack(), sequence=sequence, status=3) == Unbound()

    def test_answers_are_taken_while_unbinding(self):
        session = bound_session()
        sequence = submit(session, "a")
        session.unbind(1.0)
        assert hear(session, SubmitSmResp("1"), sequence=sequence) == SubmitDone("a", 0, "1")

    def test_two_unbinds_that_cross_are_both_answered(self):
        session = bound_session()
        session.unbind(1.0)
        sent(session)
        assert hear(session, Unbind(), sequence=8) == PeerUnbound()
        assert said(session) == [("unbind_resp", 0, 8)]

    def test_who_is_not_bound_just_goes(self):
        session = new_session()
        session.unbind(0.0)
        assert session.state is State.CLOSED
        session.unbind(0.0)
        assert session.handle_timer(1000.0) == []

    def test_a_timer_that_fires_too_early_does_nothing(self):
        session = bound_session()
        submit(session)
        assert session.handle_timer(0.0) == []
        assert session.data_to_send() == b""


ANY_BODY = st.sampled_from(
    [
        MO,
        DataSm(),
        EnquireLink(),
        Unbind(),
        Outbind(),
        AlertNotification(),
        SubmitSm(),
        QuerySm(),
        BindTransceiverResp("s", VERSION_34),
        SubmitSmResp("1"),
        EnquireLinkResp(),
        UnbindResp(),
        GenericNack(),
        DeliverSmResp(),
    ]
)
BAD_IDS = st.sampled_from(
    [CommandId.DELIVER_SM, CommandId.SUBMIT_SM_RESP, CommandId.ENQUIRE_LINK, 0x77, 0x8000_0077]
)
STATUSES = st.sampled_from([0, 0, 0, 0x58, 0x14, 0x05, 0x45, 0x4FF, 0xFFFF_FFFF])
WINDOW, INBOUND_WINDOW = 3, 2


class SessionMachine(RuleBasedStateMachine):
    """A dialogue at random, against the promises that need no knowledge of the dialogue."""

    def __init__(self):
        super().__init__()
        timers = Timers(enquire_link_s=3, response_wait_s=2, inactivity_s=20, throttle_base_s=0.5)
        self.session = new_session(timers=timers, window=WINDOW, inbound_window=INBOUND_WINDOW)
        self.now = 0.0
        self.asked: Multiset[int] = Multiset()  # The peer's requests, by sequence.
        self.answered: Multiset[int] = Multiset()
        self.waiting = []  # What was delivered and not yet responded to.
        self.submitted = 0
        self.ended = []
        sent(self.session)

    @rule(body=ANY_BODY, sequence=st.integers(0, 6), status=STATUSES)
    def the_peer_says_anything(self, body, sequence, status):
        self._hear(Pdu(COMMAND_IDS[type(body)], status, sequence, body))

    @rule(command_id=BAD_IDS, sequence=st.integers(0, 6), status=STATUSES)
    def the_peer_says_nonsense(self, command_id, sequence, status):
        self._hear(BadPdu(command_id, status, sequence, 0x02, "nonsense"))

    @precondition(lambda self: self.session.state is State.BINDING)
    @rule()
    def the_peer_binds_us(self):
        self._hear(Pdu(CommandId.BIND_TRANSCEIVER_RESP, 0, 1, BindTransceiverResp("s")))

    @precondition(lambda self: self.session.state in BOUND)
    @rule(sequence=st.integers(0, 1), is_data_sm=st.booleans())
    def the_peer_delivers_up_to_and_beyond_the_window(self, sequence, is_data_sm):
        body = DataSm() if is_data_sm else MO
        self._hear(Pdu(COMMAND_IDS[type(body)], 0, sequence, body))

    @precondition(lambda self: self.session.outstanding)
    @rule(status=STATUSES)
    def the_peer_answers_a_submit(self, status):
        sequence = next(iter(self.session._pending))
        self._hear(Pdu(CommandId.SUBMIT_SM_RESP, status, sequence, SubmitSmResp("1")))

    @rule()
    def we_submit(self):
        had_room = self.session.has_room(self.now)
        assert self.session.submit(TEXT, self.submitted, self.now) is had_room
        self.submitted += had_room

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def we_respond(self, data):
        event = data.draw(st.sampled_from(self.waiting))
        taken = self.session.respond(event.sequence, 0, is_data_sm=event.is_data_sm)
        assert taken is (self.session.state is not State.CLOSED)
        if taken:
            self.waiting.remove(event)

    @rule(wait_s=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]))
    def time_passes(self, wait_s):
        self.now += wait_s
        for event in self.session.handle_timer(self.now):
            self._note(event)
        deadline = self.session.deadline()
        assert deadline is None or deadline > self.now

    @rule(chance=st.integers(0, 9))
    def we_unbind_now_and_then(self, chance):
        if chance == 0:
            self.session.unbind(self.now)

    @invariant()
    def every_request_is_answered_once_or_waits_for_us(self):
        said = [pdu for pdu in sent(self.session) if pdu.command_id >= RESPONSE_BIT]
        self.answered.update(pdu.sequence_number for pdu in said)
        assert self.answered + Multiset(event.sequence for event in self.waiting) == self.asked

    @invariant()
    def the_windows_hold(self):
        assert self.session.outstanding <= WINDOW
        assert self.session.unanswered <= INBOUND_WINDOW

    @invariant()
    def the_session_wants_to_be_called_while_it_lives(self):
        assert (self.session.deadline() is None) is (self.session.state is State.CLOSED)

    def teardown(self):
        for event in self.session.close():
            self._note(event)
        assert sorted(self.ended) == list(range(self.submitted))
        assert self.session.state is State.CLOSED

    def _hear(self, pdu):
        answerable = is_request(pdu.command_id) and pdu.command_id != CommandId.ALERT_NOTIFICATION
        if answerable and self.session.state is not State.CLOSED:
            self.asked[pdu.sequence_number] += 1
        event = self.session.receive(pdu, self.now)
        if event is not None:
            self._note(event)

    def _note(self, event):
        match event:
            case Delivered():
                self.waiting.append(event)
            case SubmitUnknown(token) | SubmitDone(token, late=False):
                self.ended.append(token)
            case Malformed(outcome=outcome) if outcome is not None:
                self._note(outcome)


SessionMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyDialogue = pytest.mark.rule("SMPP-2", "SMPP-5", "SMPP-6")(SessionMachine.TestCase)
