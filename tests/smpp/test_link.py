"""A link against a small SMSC on loopback: both event loops, no sleeping, port 0."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import random
import socket
import ssl
from typing import Any

import pytest
import structlog
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telcod.smpp.consts import CommandId, CommandStatus, TlvTag
from telcod.smpp.events import BindKind
from telcod.smpp.framing import Framer
from telcod.smpp.link import OUTBIND_CONNECTIONS_MAX, Link, LinkSettings
from telcod.smpp.pdu import (
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    DataSm,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    Outbind,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    Unbind,
    UnbindResp,
    encode,
    encode_header,
)
from telcod.smpp.timers import Timers

TIMERS = Timers(unbind_wait_s=0.1, throttle_base_s=0.01, throttle_max_s=0.02)
TEXT = SubmitSm(source_addr="1566", destination_addr="84903123456", short_message=b"hi")
MO = DeliverSm(source_addr="84903123456", destination_addr="1566", short_message=b"KT")
VERSION_34 = (Tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34"),)
BIND_RESPS = {
    BindTransceiver: BindTransceiverResp,
    BindTransmitter: BindTransmitterResp,
    BindReceiver: BindReceiverResp,
}
WAIT_S = 5


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Run a dialogue to its end on one of the two loops."""

    async def bounded(dialogue):
        async with asyncio.timeout(WAIT_S):
            await dialogue()

    def run(dialogue):
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded(dialogue))

    return run


class News:
    """Lets a dialogue wait for a condition instead of for a time."""

    def __init__(self):
        self._event = asyncio.Event()

    def notify(self):
        self._event.set()

    async def until(self, condition):
        while not condition():
            self._event.clear()
            await self._event.wait()


class PeerConnection(asyncio.Protocol):
    """One connection to the SMSC.  `said` is what we heard from the link."""

    def __init__(self, smsc):
        self.smsc = smsc
        self.said = []
        self.gone = False
        self.framer = Framer()

    def connection_made(self, transport):
        self.transport = transport
        self.smsc.connections.append(self)
        self.smsc.news.notify()

    def data_received(self, data):
        self.framer.feed(data)
        for pdu in self.framer.pdus():
            self.said.append(pdu)
            self.smsc.answer(self, pdu)
        self.smsc.news.notify()

    def connection_lost(self, exc):
        self.gone = True
        self.smsc.news.notify()

    def say(self, body, *, sequence=1, status=0):
        self.transport.write(encode(body, command_status=status, sequence_number=sequence))

    def heard(self, body_type):
        return [pdu for pdu in self.said if type(pdu.body) is body_type]


class Smsc:
    """Accepts binds and submits, unless a test puts another function into `answers`."""

    def __init__(self, news):
        self.news = news
        self.connections = []
        self.answers = {}
        self.port = 0
        self.server = None

    async def listen(self, *, ssl_context=None, port=0):
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: PeerConnection(self), "127.0.0.1", port, ssl=ssl_context
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def leave(self):
        if self.server is not None:
            self.server.close()
        for connection in self.connections:
            if not connection.gone:
                connection.transport.abort()
        await self.news.until(lambda: all(connection.gone for connection in self.connections))

    def answer(self, connection, pdu):
        answer = self.answers.get(type(pdu.body))
        if answer is not None:
            answer(connection, pdu)
            return
        match pdu.body:
            case BindTransceiver() | BindTransmitter() | BindReceiver():
                bound = BIND_RESPS[type(pdu.body)]("smsc", VERSION_34)
                connection.say(bound, sequence=pdu.sequence_number)
            case SubmitSm():
                taken = SubmitSmResp(f"id-{pdu.sequence_number}")
                connection.say(taken, sequence=pdu.sequence_number)
            case EnquireLink():
                connection.say(EnquireLinkResp(), sequence=pdu.sequence_number)
            case Unbind():
                connection.say(UnbindResp(), sequence=pdu.sequence_number)


class Gateway:
    """The link's `LinkEvents`, as lists."""

    def __init__(self, news):
        self.news = news
        self.delivered, self.done, self.unknown, self.malformed = [], [], [], []
        self.unbound: list[int] = []
        self.history = []
        self.ready = 0
        self.when_ready = lambda: None

    def on_deliver(self, link, connection, sequence, body):
        self.delivered.append((connection, sequence, body))
        self.news.notify()

    def on_submit_done(self, link, token, status, message_id):
        self.done.append((token, status, message_id))
        self.news.notify()

    def on_submit_unknown(self, link, token):
        self.unknown.append(token)
        self.history.append(("unknown", token))
        self.news.notify()

    def on_ready(self, link):
        self.ready += 1
        self.when_ready()
        self.news.notify()

    def on_connection(self, link, connection, up):
        self.history.append((connection, up))
        self.news.notify()

    def on_unbound(self, link, connection):
        self.unbound.append(connection)

    def on_malformed(self, link, command_id, reason):
        self.malformed.append((command_id, reason))
        self.news.notify()

    @property
    def ups(self):
        return [connection for connection, up in self.history if up is True]


class Luck(random.Random):
    """Asked once for each delay before a reconnect; never lucky, so that nothing is random."""

    def __init__(self, news):
        super().__init__(0)
        self.news = news
        self.asked = 0

    def random(self):
        self.asked += 1
        self.news.notify()
        return 1.0


class Stage:
    """An SMSC, a gateway and a link between them."""

    def __init__(self):
        self.news = News()
        self.until = self.news.until
        self.smsc = Smsc(self.news)
        self.gateway = Gateway(self.news)
        self.luck = Luck(self.news)
        self.link: Any = None
        self.running: Any = None
        self.group: Any = None
        self.seen = 0

    def start(self, group, *, timers=TIMERS, ssl_context=None, tap=None, port=None, **fields):
        settings = LinkSettings(
            name="smsc-a",
            host="127.0.0.1",
            port=port or self.smsc.port,
            system_id="telcod",
            password="geheim",
            **{"reconnect_min_s": 0.005, "reconnect_max_s": 0.02} | fields,
        )
        self.link = Link(settings, timers, self.gateway, rng=self.luck, ssl_context=ssl_context)
        if tap is not None:
            self.link.watch(lambda _: tap)
        self.running = group.create_task(self.link.run())
        return self.link

    async def bound(self):
        await self.until(lambda: self.link.bound)
        return self.smsc.connections[-1]


@contextlib.asynccontextmanager
async def stage(*, ssl_context=None, listen=True):
    """Set the stage, and clear it: the link must end whatever was played."""
    stage = Stage()
    if listen:
        await stage.smsc.listen(ssl_context=ssl_context)
    try:
        async with asyncio.TaskGroup() as group:
            stage.group = group
            yield stage
            if stage.link is not None:
                await stage.link.stop(drain_s=0)
                await stage.running
    finally:
        await stage.smsc.leave()


def status_answer(status):
    """A header-only refusal, as an SMSC sends it."""

    def answer(connection, pdu):
        connection.transport.write(
            encode_header(pdu.command_id | 0x8000_0000, status, pdu.sequence_number)
        )

    return answer


def silence(connection, pdu):
    """No answer at all."""


class TestBinding:
    pytestmark = pytest.mark.rule("SMPP-1")

    def test_a_link_is_bound_by_an_ok_bind_resp_and_not_before(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[BindTransceiver] = silence
                link = s.start(s.group)
                await s.until(lambda: s.smsc.connections and s.smsc.connections[0].said)
                [bind] = s.smsc.connections[0].said
                assert bind.body == BindTransceiver("telcod", "geheim")
                assert not link.bound
                assert not link.can_submit()
                assert s.gateway.history == []
                assert [c.state for c in link.state.connections] == ["binding"]
                s.smsc.connections[0].say(BindTransceiverResp("smsc"))
                await s.bound()
                assert s.gateway.history == [(1, True)]
                await s.until(lambda: s.gateway.ready == 1)
                assert link.can_submit()
                assert link.counters.binds == 1

        run(dialogue)

    def test_a_split_link_sends_by_its_transmitter_and_receives_by_its_receiver(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[BindReceiver] = silence
                link = s.start(s.group, bind="split")
                await s.until(lambda: len(s.smsc.connections) == 2 and s.gateway.ups)
                by_kind = {type(c.said[0].body): c for c in s.smsc.connections if c.said}
                await s.until(lambda: all(c.said for c in s.smsc.connections))
                by_kind = {type(c.said[0].body): c for c in s.smsc.connections}
                assert not link.bound
                by_kind[BindReceiver].say(BindReceiverResp("smsc"))
                await s.bound()
                assert link.submit(TEXT, "a")
                by_kind[BindReceiver].say(MO, sequence=5)
                await s.until(lambda: s.gateway.done and s.gateway.delivered)
                assert len(by_kind[BindTransmitter].heard(SubmitSm)) == 1
                [(connection, sequence, body)] = s.gateway.delivered
                assert (sequence, body) == (5, MO)
                assert link.respond(connection, sequence, 0)

        run(dialogue)

    @pytest.mark.rule("SMPP-6")
    def test_a_refused_bind_is_tried_again_later_and_an_already_bound_one_much_later(self, run):
        async def dialogue():
            async with stage() as s:
                timers = Timers(already_bound_s=3600)
                link = s.start(s.group, timers=timers)
                await s.bound()
                for status, floor_s in [(0x0D, 0), (0x05, 3600)]:
                    s.smsc.answers[BindTransceiver] = status_answer(status)
                    ended = await link._connect_once(BindKind.TRANSCEIVER)
                    assert (ended.bound_s, ended.floor_s) == (0, floor_s)
                    assert f"0x{status:08X}" in link.last_error

        run(dialogue)

    @pytest.mark.rule("SMPP-6")
    def test_a_refused_link_keeps_trying_until_it_is_let_in(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[BindTransceiver] = status_answer(0x0E)
                link = s.start(s.group)
                await s.until(lambda: len(s.smsc.connections) == 3)
                assert s.gateway.history == []
                del s.smsc.answers[BindTransceiver]
                await s.bound()
                assert link.counters.reconnects == len(s.smsc.connections) - 1
                assert link.last_error == ""

        run(dialogue)

    @pytest.mark.rule("SMPP-6")
    def test_an_smsc_that_is_away_is_found_when_it_comes(self, run):
        async def dialogue():
            async with stage(listen=False) as s:
                with socket.create_server(("127.0.0.1", 0)) as spare:
                    port = spare.getsockname()[1]
                link = s.start(s.group, port=port)
                await s.until(lambda: s.luck.asked == 3)
                assert "cannot connect" in link.last_error
                await s.smsc.listen(port=port)
                await s.bound()

        run(dialogue)

    @pytest.mark.rule("SMPP-6")
    def test_an_smsc_that_accepts_and_says_nothing_is_left(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[BindTransceiver] = silence
                s.start(s.group, timers=Timers(session_init_s=0.02))
                await s.until(lambda: len(s.smsc.connections) == 2)
                assert s.smsc.connections[0].gone

        run(dialogue)


class TestMessages:
    @pytest.mark.rule("SMPP-2")
    def test_a_message_is_answered_when_the_gateway_says_so(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group)
                peer = await s.bound()
                peer.say(MO, sequence=41)
                peer.say(DataSm(source_addr="84903123456"), sequence=42)
                await s.until(lambda: len(s.gateway.delivered) == 2)
                assert len(peer.said) == 1
                assert link.respond(1, 42, 0, data_sm=True)
                assert link.respond(1, 41, CommandStatus.ESME_RX_T_APPN)
                assert not link.respond(1, 41, 0)
                assert not link.respond(2, 41, 0)
                await s.until(lambda: len(peer.said) == 3)
                assert [tuple(pdu[:3]) for pdu in peer.said[1:]] == [
                    (CommandId.DATA_SM_RESP, 0, 42),
                    (CommandId.DELIVER_SM_RESP, 0x64, 41),
                ]

        run(dialogue)

    @pytest.mark.rule("SMPP-2")
    def test_more_than_the_window_stays_with_the_smsc(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group, inbound_window=2)
                peer = await s.bound()
                for sequence in range(1, 6):
                    peer.say(MO, sequence=sequence)
                await s.until(lambda: len(peer.said) == 4)
                assert [pdu.command_status for pdu in peer.said[1:]] == [0x64] * 3
                assert len(s.gateway.delivered) == 2
                assert link.state.connections[0].unanswered == 2

        run(dialogue)

    @pytest.mark.rule("SMPP-2")
    def test_nonsense_is_answered_and_told_and_the_link_lives_on(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group)
                peer = await s.bound()
                peer.transport.write(encode_header(CommandId.DELIVER_SM, 0, 4))
                peer.transport.write(encode_header(0x0BAD, 0, 5))
                peer.say(MO, sequence=6)
                await s.until(lambda: len(peer.said) == 3 and s.gateway.delivered)
                assert [command_id for command_id, _ in s.gateway.malformed] == [
                    CommandId.DELIVER_SM,
                    0x0BAD,
                ]
                assert peer.said[1].command_status != 0
                assert peer.said[2][:3] == (CommandId.GENERIC_NACK, 3, 5)
                assert link.bound

        run(dialogue)

    @pytest.mark.rule("SMPP-2", "SMPP-6")
    def test_an_impossible_length_closes_the_link_which_comes_back(self, run):
        async def dialogue():
            async with stage() as s:
                s.start(s.group)
                peer = await s.bound()
                peer.transport.write(b"\xff" * 16)
                await s.until(lambda: peer.gone and len(s.gateway.ups) == 2)
                assert peer.said[-1][:2] == (CommandId.GENERIC_NACK, 2)

        run(dialogue)

    @pytest.mark.rule("SMPP-2", "SMPP-5")
    def test_a_garbled_answer_is_told_as_nonsense_and_as_the_answer_that_it_is(self, run):
        async def dialogue():
            async with stage() as s:
                garbled = bytes.fromhex("00000012 80000004 00000000 00000002") + b"ab"
                s.smsc.answers[SubmitSm] = lambda peer, pdu: peer.transport.write(garbled)
                link = s.start(s.group)
                await s.bound()
                assert link.submit(TEXT, "a")
                await s.until(lambda: s.gateway.done)
                assert s.gateway.done == [("a", 0, "")]
                assert [which for which, _ in s.gateway.malformed] == [CommandId.SUBMIT_SM_RESP]

        run(dialogue)

    @pytest.mark.rule("SMPP-5")
    def test_a_submit_ends_with_its_answer(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group, short_codes=("1566",))
                peer = await s.bound()
                assert (link.name, link.short_codes) == ("smsc-a", ("1566",))
                assert link.submit(TEXT, "a")
                assert s.gateway.done == []
                await s.until(lambda: s.gateway.done)
                assert s.gateway.done == [("a", 0, "id-2")]
                assert peer.heard(SubmitSm)[0].body == TEXT
                assert link.counters.pdus_out[CommandId.SUBMIT_SM] == 1

        run(dialogue)

    @pytest.mark.rule("SMPP-5")
    @pytest.mark.parametrize("fields", [{"window": 2}, {"rate_per_s": 400}], ids=str)
    def test_who_is_told_no_is_told_when_there_is_room_again(self, run, fields):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group, **fields)
                waiting = list(range(60))

                def send():
                    while waiting and link.submit(TEXT, waiting[0]):
                        waiting.pop(0)

                s.gateway.when_ready = send
                await s.until(lambda: len(s.gateway.done) == 60)
                assert [token for token, _, _ in s.gateway.done] == list(range(60))
                assert s.gateway.ready > 1
                assert s.gateway.unknown == []

        run(dialogue)

    @pytest.mark.rule("SMPP-5")
    @pytest.mark.parametrize("status", [0x58, 0x14])
    def test_a_throttled_link_pauses_as_a_whole_and_goes_on(self, run, status):
        async def dialogue():
            async with stage() as s:
                refusals: list[int] = []

                def refuse_some(connection, pdu):
                    if len(refusals) < 20:
                        refusals.append(pdu.sequence_number)
                        status_answer(status)(connection, pdu)
                    else:
                        connection.say(SubmitSmResp("x"), sequence=pdu.sequence_number)

                s.smsc.answers[SubmitSm] = refuse_some
                link = s.start(s.group, window=10)
                waiting = list(range(30))

                def send():
                    while waiting and link.submit(TEXT, waiting[0]):
                        waiting.pop(0)

                def again():
                    waiting.extend(
                        token for token, got, _ in s.gateway.done[s.seen :] if got == status
                    )
                    s.seen = len(s.gateway.done)
                    send()

                s.gateway.when_ready = again
                await s.until(lambda: sum(got == 0 for _, got, _ in s.gateway.done) == 30)
                assert link.counters.throttled == 20
                # One window of ten was refused before the pause; after it they went one by one.
                assert s.gateway.ready >= 10

        run(dialogue)

    @pytest.mark.rule("SMPP-5")
    def test_a_write_buffer_that_is_full_stops_submits_and_not_answers(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group)
                peer = await s.bound()
                await s.until(lambda: s.gateway.ready)
                link._sender.pause_writing()
                assert not link.submit(TEXT, "a")
                peer.say(MO, sequence=5)
                await s.until(lambda: s.gateway.delivered)
                assert link.respond(1, 5, 0)
                await s.until(lambda: len(peer.said) == 2)
                ready = s.gateway.ready
                link._sender.resume_writing()
                assert s.gateway.ready == ready + 1
                assert link.submit(TEXT, "a")

        run(dialogue)

    @pytest.mark.rule("SMPP-5")
    def test_tlvs_for_a_peer_that_takes_none_are_refused_here(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[BindTransceiver] = lambda peer, pdu: peer.say(BindTransceiverResp())
                link = s.start(s.group)
                peer = await s.bound()
                assert not link.peer_takes_tlvs
                body = SubmitSm(tlvs=(Tlv(TlvTag.MESSAGE_PAYLOAD, b"long"),))
                assert link.submit(body, "a")
                assert s.gateway.done == []
                await s.until(lambda: s.gateway.done)
                assert s.gateway.done == [("a", CommandStatus.ESME_ROPTPARNOTALLWD, "")]
                assert peer.heard(SubmitSm) == []

        run(dialogue)

    @pytest.mark.rule("SMPP-5")
    def test_a_message_that_fits_no_pdu_is_the_callers_fault_and_harms_nothing(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group)
                await s.bound()
                with pytest.raises(ValueError, match="short_message"):
                    link.submit(SubmitSm(short_message=b"x" * 255), "a")
                assert link.submit(TEXT, "b")
                await s.until(lambda: s.gateway.done)

        run(dialogue)


class TestLosing:
    pytestmark = pytest.mark.rule("SMPP-6")

    @pytest.mark.rule("SMPP-5")
    def test_a_lost_connection_tells_its_unknown_submits_and_comes_back(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                link = s.start(s.group)
                peer = await s.bound()
                link.submit(TEXT, "a")
                link.submit(TEXT, "b")
                peer.say(MO, sequence=5)
                await s.until(lambda: len(peer.said) == 3 and s.gateway.delivered)
                peer.transport.abort()
                await s.until(lambda: len(s.gateway.ups) == 2)
                assert s.gateway.history == [
                    (1, True),
                    ("unknown", "a"),
                    ("unknown", "b"),
                    (1, False),
                    (2, True),
                ]
                assert not link.respond(1, 5, 0)
                assert link.state.counters.unknown == 2
                await s.until(link.can_submit)

        run(dialogue)

    def test_a_silent_smsc_is_given_up_and_its_submits_are_unknown(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers |= {SubmitSm: silence, EnquireLink: silence}
                link = s.start(s.group, timers=Timers(response_wait_s=0.02, unbind_wait_s=0.05))
                peer = await s.bound()
                link.submit(TEXT, "a")
                await s.until(lambda: len(s.gateway.ups) == 2)
                assert s.gateway.history[1:3] == [("unknown", "a"), (1, False)]
                assert len(peer.heard(EnquireLink)) == 1

        run(dialogue)

    def test_a_slow_answer_is_told_after_all(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                link = s.start(s.group, timers=Timers(response_wait_s=0.02))
                peer = await s.bound()
                link.submit(TEXT, "a")
                await s.until(lambda: s.gateway.unknown)
                [submit] = peer.heard(SubmitSm)
                peer.say(SubmitSmResp("id"), sequence=submit.sequence_number)
                await s.until(lambda: s.gateway.done)
                assert s.gateway.done == [("a", 0, "id")]
                assert link.bound

        run(dialogue)

    def test_a_quiet_link_is_probed_and_stays(self, run):
        async def dialogue():
            async with stage() as s:
                s.start(s.group, timers=Timers(enquire_link_s=0.01))
                peer = await s.bound()
                await s.until(lambda: len(peer.heard(EnquireLink)) == 3)
                assert s.gateway.history == [(1, True)]

        run(dialogue)

    def test_half_a_pdu_is_not_waited_for_for_ever(self, run):
        async def dialogue():
            async with stage() as s:
                s.start(s.group, timers=Timers(partial_pdu_s=0.02))
                peer = await s.bound()
                peer.transport.write(encode(MO, sequence_number=5)[:20])
                await s.until(lambda: len(s.gateway.ups) == 2)
                assert peer.gone

        run(dialogue)

    def test_the_smscs_unbind_is_answered_and_the_link_comes_back(self, run):
        async def dialogue():
            async with stage() as s:
                s.start(s.group)
                peer = await s.bound()
                peer.say(Unbind(), sequence=77)
                await s.until(lambda: peer.gone and len(s.gateway.ups) == 2)
                assert peer.said[-1][:3] == (CommandId.UNBIND_RESP, 0, 77)

        run(dialogue)


class TestStopping:
    pytestmark = pytest.mark.rule("CLI-1", "SMPP-6")

    def test_what_is_under_way_is_finished_before_the_unbind(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                link = s.start(s.group)
                peer = await s.bound()
                link.submit(TEXT, "a")
                peer.say(MO, sequence=5)
                await s.until(lambda: peer.heard(SubmitSm) and s.gateway.delivered)
                stopping = s.group.create_task(link.stop(drain_s=WAIT_S))
                begun = asyncio.Event()
                asyncio.get_running_loop().call_soon(begun.set)
                await begun.wait()
                peer.say(MO, sequence=6)
                await s.until(lambda: len(peer.said) == 3)
                assert peer.said[-1][:3] == (CommandId.DELIVER_SM_RESP, 0x64, 6)
                assert not link.submit(TEXT, "b")
                link.respond(1, 5, 0)
                peer.say(SubmitSmResp("x"), sequence=peer.heard(SubmitSm)[0].sequence_number)
                await stopping
                await s.running
                assert [type(pdu.body).__name__ for pdu in peer.said[-2:]] == [
                    "DeliverSmResp",
                    "Unbind",
                ]
                assert s.gateway.done == [("a", 0, "x")]
                assert s.gateway.unknown == []
                assert s.gateway.unbound == [1]

        run(dialogue)

    def test_an_smsc_that_answers_nothing_is_not_waited_for(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers |= {SubmitSm: silence, Unbind: silence}
                link = s.start(s.group)
                await s.bound()
                link.submit(TEXT, "a")
                await link.stop(drain_s=0.01)
                await s.running
                assert s.gateway.history == [(1, True), ("unknown", "a"), (1, False)]

        run(dialogue)

    def test_a_link_that_never_got_through_stops_at_once(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[BindTransceiver] = silence
                link = s.start(s.group)
                await s.until(lambda: s.smsc.connections)
                await link.stop(drain_s=WAIT_S)
                await s.running
                await link.run()

        run(dialogue)

    def test_a_connection_lost_while_draining_is_not_made_again(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                link = s.start(s.group)
                peer = await s.bound()
                link.submit(TEXT, "a")
                await s.until(lambda: peer.heard(SubmitSm))
                stopping = s.group.create_task(link.stop(drain_s=WAIT_S))
                peer.transport.abort()
                await stopping
                await s.running
                assert s.gateway.history == [(1, True), ("unknown", "a"), (1, False)]
                assert len(s.smsc.connections) == 1

        run(dialogue)

    def test_a_draining_link_does_not_replace_its_lost_half(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                link = s.start(s.group, bind="split")
                await s.bound()
                link.submit(TEXT, "a")
                await s.until(lambda: any(peer.heard(SubmitSm) for peer in s.smsc.connections))
                receiver = link._tasks[1]
                stopping = s.group.create_task(link.stop(drain_s=WAIT_S))
                [peer] = [peer for peer in s.smsc.connections if peer.heard(BindReceiver)]
                peer.transport.abort()
                await receiver
                assert not stopping.done()
                [peer] = [peer for peer in s.smsc.connections if not peer.gone]
                peer.say(SubmitSmResp("x"), sequence=peer.heard(SubmitSm)[0].sequence_number)
                await stopping
                assert len(s.smsc.connections) == 2

        run(dialogue)

    def test_a_link_that_waits_for_its_rate_stops_all_the_same(self, run):
        async def dialogue():
            async with stage() as s:
                link = s.start(s.group, rate_per_s=1)
                await s.bound()
                assert link.submit(TEXT, "a")
                assert not link.submit(TEXT, "b")
                await s.until(lambda: s.gateway.done)
                ready = s.gateway.ready
                await link.stop(drain_s=WAIT_S)
                await s.running
                assert s.gateway.ready == ready

        run(dialogue)

    def test_a_cancelled_link_leaves_nothing_behind(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                link = s.start(s.group)
                peer = await s.bound()
                link.submit(TEXT, "a")
                await s.until(lambda: peer.heard(SubmitSm))
                s.running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await s.running
                assert s.gateway.history == [(1, True), ("unknown", "a"), (1, False)]
                s.link = None
                await s.until(lambda: peer.gone)

        run(dialogue)


class TestOutbind:
    pytestmark = pytest.mark.rule("SMPP-6")

    @staticmethod
    async def _call(s, *, port):
        """Connect to the link's outbind port, once it is there."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, peer = await loop.create_connection(
                    lambda: PeerConnection(s.smsc), "127.0.0.1", port
                )
                return peer

    @staticmethod
    def _spare_port():
        with socket.create_server(("127.0.0.1", 0)) as spare:
            return spare.getsockname()[1]

    def test_an_outbind_is_answered_by_a_bind_and_messages_come_by_it(self, run):
        async def dialogue():
            async with stage() as s:
                port = self._spare_port()
                link = s.start(s.group, outbind_port=port)
                await s.bound()
                peer = await self._call(s, port=port)
                peer.say(Outbind("smsc", "x"))
                await s.until(lambda: len(s.gateway.ups) == 2)
                assert isinstance(peer.said[0].body, BindReceiver)
                peer.say(MO, sequence=5)
                await s.until(lambda: s.gateway.delivered)
                [(connection, sequence, _)] = s.gateway.delivered
                assert link.respond(connection, sequence, 0)
                assert link.submit(TEXT, "a")
                await s.until(lambda: len(peer.said) == 2 and s.gateway.done)
                peer.transport.abort()
                await s.until(lambda: (connection, False) in s.gateway.history)
                assert link.bound

        run(dialogue)

    def test_a_stranger_is_never_told_our_password(self, run):
        async def dialogue():
            async with stage() as s:
                port = self._spare_port()
                link = s.start(s.group, outbind_port=port, outbind_from=("127.0.0.9",))
                await s.bound()
                peer = await self._call(s, port=port)
                peer.say(Outbind("smsc", "x"))
                await s.until(lambda: peer.gone)
                assert peer.said == []
                assert link.counters.outbinds_refused == 1

        run(dialogue)

    def test_a_port_that_is_taken_is_tried_again(self, run):
        async def dialogue():
            # Our own connection fails over and over, which wakes the dialogue to look again.
            async with stage(listen=False) as s:
                with (
                    socket.create_server(("127.0.0.1", 0)) as taken,
                    structlog.testing.capture_logs() as lines,
                ):
                    port = taken.getsockname()[1]
                    s.start(s.group, outbind_port=port, port=self._spare_port())
                    await s.until(
                        lambda: any(line["event"] == "link.outbind_unavailable" for line in lines)
                    )
                peer = await self._call(s, port=port)
                peer.say(Outbind("smsc", "x"))
                await s.until(lambda: s.gateway.ups)
                assert not s.link.bound

        run(dialogue)

    def test_a_cancelled_link_cuts_who_called(self, run):
        async def dialogue():
            async with stage() as s:
                port = self._spare_port()
                s.start(s.group, outbind_port=port)
                await s.bound()
                peer = await self._call(s, port=port)
                peer.say(Outbind("smsc", "x"))
                await s.until(lambda: len(s.gateway.ups) == 2)
                s.running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await s.running
                s.link = None
                await s.until(lambda: peer.gone)
                assert sum(up is False for _, up in s.gateway.history) == 2

        run(dialogue)

    def test_nobody_is_let_in_while_the_link_stops(self, run):
        async def dialogue():
            async with stage() as s:
                s.smsc.answers[SubmitSm] = silence
                port = self._spare_port()
                link = s.start(s.group, outbind_port=port)
                peer = await s.bound()
                link.submit(TEXT, "a")
                await s.until(lambda: peer.heard(SubmitSm))
                first = await self._call(s, port=port)
                stopping = s.group.create_task(link.stop(drain_s=WAIT_S))
                late = await self._call(s, port=port)
                await s.until(lambda: late.gone)
                assert not first.gone
                peer.say(SubmitSmResp("x"), sequence=peer.heard(SubmitSm)[0].sequence_number)
                await stopping
                await s.until(lambda: first.gone)

        run(dialogue)

    def test_only_so_many_connections_are_held(self, run):
        async def dialogue():
            async with stage() as s:
                port = self._spare_port()
                s.start(s.group, outbind_port=port)
                await s.bound()
                peers = [await self._call(s, port=port) for _ in range(OUTBIND_CONNECTIONS_MAX + 1)]
                await s.until(lambda: any(peer.gone for peer in peers))
                assert [peer.gone for peer in peers] == [False] * OUTBIND_CONNECTIONS_MAX + [True]

        run(dialogue)


def certificate(folder, name):
    """Make a self-signed certificate for 127.0.0.1; return its file and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(long_ago)
        .not_valid_after(long_ago + dt.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return str(public), context


class TestTls:
    pytestmark = pytest.mark.rule("SMPP-8")

    def test_a_link_over_tls_is_a_link(self, run, tmp_path):
        ca, context = certificate(tmp_path, "smsc")

        async def dialogue():
            async with stage(ssl_context=context) as s:
                link = s.start(s.group, tls=True, tls_ca=ca)
                peer = await s.bound()
                peer.say(MO, sequence=5)
                assert link.submit(TEXT, "a")
                await s.until(lambda: s.gateway.done and s.gateway.delivered)

        run(dialogue)

    def test_a_certificate_of_nobody_we_know_is_refused(self, run, tmp_path):
        _, context = certificate(tmp_path, "smsc")
        stranger, _ = certificate(tmp_path, "stranger")

        async def dialogue():
            async with stage(ssl_context=context) as s:
                link = s.start(s.group, tls=True, tls_ca=stranger)
                await s.until(lambda: s.luck.asked == 2)
                assert "CERTIFICATE_VERIFY_FAILED" in link.last_error
                assert s.gateway.history == []
                assert not any(peer.said for peer in s.smsc.connections)

        run(dialogue)

    def test_not_to_verify_must_be_asked_for(self, run, tmp_path):
        _, context = certificate(tmp_path, "smsc")

        async def dialogue():
            async with stage(ssl_context=context) as s:
                s.start(s.group, tls=True, tls_insecure=True)
                await s.bound()

        run(dialogue)

    def test_a_ca_file_that_is_not_there_is_an_error_at_once(self, run, tmp_path):
        async def dialogue():
            async with stage() as s:
                settings = LinkSettings(
                    name="a",
                    host="127.0.0.1",
                    system_id="telcod",
                    password="geheim",
                    tls=True,
                    tls_ca=str(tmp_path / "none.pem"),
                )
                with pytest.raises(OSError, match="No such file"):
                    await Link(settings, TIMERS, s.gateway, rng=s.luck).run()

        run(dialogue)


@pytest.mark.rule("SMPP-8")
def test_no_password_is_in_any_log_line_or_trace(run):
    frames = []

    async def dialogue():
        async with stage() as s:
            s.smsc.answers[BindTransceiver] = status_answer(0x0E)
            link = s.start(s.group, tap=lambda *seen: frames.append(seen))
            await s.until(lambda: len(s.smsc.connections) == 2)
            del s.smsc.answers[BindTransceiver]
            peer = await s.bound()
            peer.transport.abort()
            await s.until(lambda: len(s.gateway.ups) == 2)
            assert "geheim" not in repr(link.state)
            assert "geheim" not in repr(link.settings)

    with structlog.testing.capture_logs() as lines:
        run(dialogue)
    assert {"link.bound", "link.ended", "link.closed"} <= {line["event"] for line in lines}
    assert "geheim" not in repr(lines)
    assert {direction for direction, _ in frames} == {"in", "out"}
    assert not any(b"geheim" in frame for _, frame in frames)


def test_a_setting_that_fits_no_bind_is_refused_before_anything_is_connected():
    settings = LinkSettings(name="a", host="127.0.0.1", system_id="x" * 16, password="")
    with pytest.raises(ValueError, match="system_id"):
        Link(settings, TIMERS, Gateway(None), rng=random.Random(0))
