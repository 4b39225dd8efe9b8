"""The driver of one session, played by a transport and an owner made of lists."""

import asyncio

import pytest

from telcod.smpp.connection import WRITE_BYTES_MAX, Connection
from telcod.smpp.consts import CommandId, CommandStatus
from telcod.smpp.events import (
    BindKind,
    BindSettings,
    Bound,
    Death,
    Delivered,
    LinkDead,
    Malformed,
    PeerUnbound,
    SubmitUnknown,
)
from telcod.smpp.framing import Framer
from telcod.smpp.pdu import (
    BindTransceiverResp,
    DeliverSm,
    EnquireLink,
    SubmitSm,
    Unbind,
    encode,
    encode_header,
)
from telcod.smpp.session import Session, State
from telcod.smpp.timers import Timers

TIMERS = Timers()
BIND = BindSettings(kind=BindKind.TRANSCEIVER, system_id="telcod", password="geheim")
OK_BIND = encode(BindTransceiverResp("smsc"), sequence_number=1)


class FakeTransport(asyncio.Transport):
    """Remembers what it was told; `buffered` is what the peer has not read."""

    def __init__(self, peer=("192.0.2.1", 2775)):
        super().__init__({"peername": peer})
        self.calls = []
        self.buffered = 0

    def write(self, data):
        self.calls.append(("write", bytes(data)))

    def get_write_buffer_size(self):
        return self.buffered

    def pause_reading(self):
        self.calls.append("pause_reading")

    def resume_reading(self):
        self.calls.append("resume_reading")

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")

    @property
    def writes(self):
        return [call[1] for call in self.calls if call[0] == "write"]


class FakeOwner:
    def __init__(self, *, admit=True, tap=None):
        self.told = []
        self.turns = 0
        self.admit = admit
        self.tap = tap

    def admits(self, connection, peer_address):
        if self.tap is not None:
            connection.watch(lambda _: self.tap)
        return self.admit

    def handle(self, connection, event):
        self.told.append(event)

    def turned(self, connection):
        self.turns += 1

    def lost(self, connection, error):
        self.told.append(("lost", type(error)))


def play(dialogue, *, admit=True, timers=TIMERS, tap=None):
    """Run a dialogue with a connection, its transport and its owner; the clock stands still."""

    async def run():
        owner, transport = FakeOwner(admit=admit, tap=tap), FakeTransport()
        connection = Connection(
            owner,
            1,
            BindKind.TRANSCEIVER,
            lambda now: Session(BIND, timers, now=now),
            timers=timers,
            clock=lambda: 100.0,
        )
        connection.connection_made(transport)
        await one_turn()
        await dialogue(connection, transport, owner)
        if not connection.gone.is_set():
            connection.connection_lost(None)

    asyncio.run(run())


async def one_turn():
    """Let the loop do what has been asked of it so far."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


def commands(data):
    framer = Framer()
    framer.feed(data)
    return [CommandId(pdu.command_id).name for pdu in framer.pdus()]


@pytest.mark.rule("SMPP-1")
def test_the_bind_is_written_when_the_connection_is_made():
    async def dialogue(connection, transport, owner):
        [data] = transport.writes
        assert commands(data) == ["BIND_TRANSCEIVER"]
        assert not connection.is_bound
        connection.data_received(OK_BIND)
        assert connection.is_bound
        assert connection.peer_address == "192.0.2.1"
        assert owner.told == [Bound("smsc", 0x33)]

    play(dialogue)


@pytest.mark.rule("SMPP-6")
def test_a_hundred_answers_are_one_write():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND)
        connection.data_received(
            b"".join(encode(DeliverSm(), sequence_number=n) for n in range(1, 101))
        )
        for event in owner.told[1:]:
            connection.session.respond(event.sequence, 0)
            connection.wake()
        connection.data_received(encode(EnquireLink(), sequence_number=200))
        await one_turn()
        _, answers = transport.writes
        assert commands(answers) == ["DELIVER_SM_RESP"] * 100 + ["ENQUIRE_LINK_RESP"]
        assert owner.turns == 3

    play(dialogue)


@pytest.mark.rule("SMPP-2")
def test_byte_by_byte_is_the_same_dialogue():
    async def dialogue(connection, transport, owner):
        stream = OK_BIND + encode(DeliverSm(short_message=b"KT"), sequence_number=5)
        for octet in stream:
            connection.data_received(bytes([octet]))
        assert owner.told[1:] == [Delivered(5, DeliverSm(short_message=b"KT"), False)]

    play(dialogue)


@pytest.mark.rule("SMPP-2")
def test_an_impossible_length_is_told_and_the_connection_closed_whatever_follows():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND + bytes.fromhex("ffffffff 00000005 00000000 00000001"))
        connection.data_received(encode(DeliverSm(), sequence_number=5))
        await one_turn()
        assert owner.told[1:] == [LinkDead(Death.FRAMING_LOST)]
        assert commands(transport.writes[-1]) == ["GENERIC_NACK"]
        assert transport.calls[-1] == "close"

    play(dialogue)


@pytest.mark.rule("SMPP-2")
def test_nonsense_is_answered_and_the_link_lives_on():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND)
        connection.data_received(
            encode_header(CommandId.DELIVER_SM, 0, 4)
            + encode_header(0x0BAD, 0, 5)
            + encode(DeliverSm(), sequence_number=6)
        )
        await one_turn()
        assert [type(event) for event in owner.told[1:]] == [Malformed, Malformed, Delivered]
        assert commands(transport.writes[-1]) == ["DELIVER_SM_RESP", "GENERIC_NACK"]
        assert connection.is_bound

    play(dialogue)


@pytest.mark.rule("SMPP-6")
def test_the_peers_unbind_is_answered_before_the_connection_closes():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND + encode(Unbind(), sequence_number=9))
        await one_turn()
        assert owner.told[1:] == [PeerUnbound()]
        assert commands(transport.writes[-1]) == ["UNBIND_RESP"]
        assert transport.calls[-1] == "close"

    play(dialogue)


@pytest.mark.rule("SMPP-6")
def test_a_peer_that_never_reads_the_last_bytes_is_cut():
    async def dialogue(connection, transport, owner):
        cut = asyncio.Event()
        transport.abort = cut.set
        connection.unbind()
        await one_turn()
        assert transport.calls[-1] == "close"
        await asyncio.wait_for(cut.wait(), 10)

    play(dialogue, timers=Timers(unbind_wait_s=0.005))


@pytest.mark.rule("SMPP-5")
def test_a_lost_connection_makes_its_submits_unknown_before_it_is_told_as_lost():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND)
        connection.session.submit(SubmitSm(), "a", 100.0)
        connection.session.submit(SubmitSm(), "b", 100.0)
        connection.connection_lost(ConnectionResetError())
        assert owner.told[1:] == [
            SubmitUnknown("a"),
            SubmitUnknown("b"),
            ("lost", ConnectionResetError),
        ]
        assert connection.gone.is_set()
        assert connection.session.state is State.CLOSED
        connection.wake()
        await one_turn()
        assert len(transport.writes) == 1

    play(dialogue)


@pytest.mark.rule("SMPP-6")
def test_a_peer_that_just_closes_is_told_as_an_error():
    async def dialogue(connection, transport, owner):
        connection.connection_lost(None)
        assert owner.told == [("lost", EOFError)]

    play(dialogue)


@pytest.mark.rule("SMPP-2")
def test_answers_that_the_peer_does_not_read_stop_our_reading_at_a_limit():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND)
        connection.pause_writing()
        transport.buffered = WRITE_BYTES_MAX
        connection.data_received(encode(EnquireLink(), sequence_number=5))
        await one_turn()
        assert "pause_reading" not in transport.calls
        transport.buffered = WRITE_BYTES_MAX + 1
        connection.data_received(encode(EnquireLink(), sequence_number=6))
        await one_turn()
        assert transport.calls[-1] == "pause_reading"
        # What waited for us is answered all the same.
        assert commands(transport.writes[-1]) == ["ENQUIRE_LINK_RESP"]
        connection.resume_writing()
        assert transport.calls[-1] == "resume_reading"
        assert not connection.write_paused

    play(dialogue)


@pytest.mark.rule("SMPP-6")
def test_who_is_not_admitted_hears_nothing_and_is_cut():
    async def dialogue(connection, transport, owner):
        connection.data_received(encode(EnquireLink(), sequence_number=5))
        connection.drain()
        connection.unbind()
        await one_turn()
        assert transport.calls == ["abort"]
        assert not connection.is_bound

    play(dialogue, admit=False)


@pytest.mark.rule("SMPP-6")
def test_the_sessions_timer_is_kept():
    async def dialogue(connection, transport, owner):
        # The clock stands at 100; a session that was opened long ago is overdue at once.
        connection.session._opened_at = 0.0
        connection.wake()
        closed = asyncio.Event()
        transport.close = closed.set
        await asyncio.wait_for(closed.wait(), 10)
        assert owner.told == [LinkDead(Death.SESSION_INIT)]

    play(dialogue)


@pytest.mark.rule("SMPP-8")
def test_a_tap_sees_both_directions_and_no_password():
    seen = []

    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND)

    play(dialogue, tap=lambda direction, frame: seen.append((direction, frame)))
    assert [direction for direction, _ in seen] == ["out", "in"]
    assert seen[1] == ("in", OK_BIND)
    assert b"geheim" not in seen[0][1]
    assert seen[1][1][11] == CommandStatus.ESME_ROK


@pytest.mark.rule("CLI-1")
def test_a_connection_whose_end_the_loop_never_tells_is_given_up():
    """As uvloop does with one that it made while connecting was being cancelled."""

    async def dialogue(connection, transport, owner):
        connection.gone_wait_s = 0.001
        await asyncio.wait_for(connection.abort(), 20)
        assert transport.calls[-1] == "abort"
        assert owner.told == [("lost", type(None))]
        connection.connection_lost(None)  # Told after all: once is enough.
        assert owner.told == [("lost", type(None))]

    play(dialogue)


@pytest.mark.rule("SMPP-2")
def test_nothing_that_came_on_a_connection_that_was_cut_is_read_any_more():
    async def dialogue(connection, transport, owner):
        connection.data_received(OK_BIND)
        many = b"".join(encode(DeliverSm(), sequence_number=at) for at in range(1, 600))
        connection.data_received(many)
        heard = len(owner.told)
        assert 1 < heard < 600, "in turns"
        connection.cut()
        await one_turn()
        connection.data_received(encode(DeliverSm(), sequence_number=700))
        assert len(owner.told) == heard
        assert transport.calls[-1] == "abort"

    play(dialogue)
