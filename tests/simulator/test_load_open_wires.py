"""What is sent without waiting is counted by what becomes of it, on each wire."""

import asyncio
import json
import struct

import pytest

from telcod.simulator.load import LoadSmsc
from telcod.simulator.load_calls import Step
from telcod.simulator.load_open import Traffic
from telcod.simulator.load_open_http import OpenHttp
from telcod.simulator.load_open_mqtt import WAIT_S, OpenGateway
from telcod.simulator.load_open_smpp import Crowd, OpenSmsc

pytestmark = pytest.mark.anyio

HEADER = struct.Struct(">IIII")
OK, LATER, NEVER = 0x00, 0x64, 0x65


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Transport(asyncio.Transport):
    """Takes all; says that much waits if it is told so."""

    def __init__(self):
        super().__init__()
        self.out = b""
        self.waits = 0
        self.closed = False

    def write(self, data):
        self.out += data

    def get_write_buffer_size(self):
        return self.waits

    def close(self):
        self.closed = True

    def take(self):
        taken, self.out = self.out, b""
        return taken


def frames(data):
    found = []
    while data:
        length, command, status, sequence = HEADER.unpack_from(data)
        found.append((command, status, sequence, data[16:length]))
        data = data[length:]
    return found


# -- SMPP


class Smsc:
    """An SMSC with one traffic, bound to."""

    def __init__(self, *senders, patient=False):
        self.traffic = Traffic("flood")
        self.transport = Transport()
        self.smsc = OpenSmsc(Crowd(self.traffic, iter(senders), patient))
        self.smsc.connection_made(self.transport)
        self.smsc.data_received(HEADER.pack(16, 0x9, 0, 1))
        self.bound = frames(self.transport.take())

    def offer(self, count, most=100):
        self.smsc.offer(self.traffic, count, most)
        return [(sequence, body) for _, _, sequence, body in frames(self.transport.take())]

    def answer(self, sequence, status):
        self.smsc.data_received(HEADER.pack(17, 0x80000005, status, sequence) + b"\0")


async def test_texts_are_whole_deliver_sms_of_their_senders():
    smsc = Smsc(84_900_000_007, 84_900_000_008)
    assert smsc.bound[0][0] == 0x80000009
    bodies = [body for _, body in smsc.offer(2)]
    assert [b"84900000007" in bodies[0], b"84900000008" in bodies[1]] == [True, True]
    assert all(b"1566\0" in body for body in bodies)


async def test_an_ok_is_remembered_by_sender_and_a_refusal_is_not():
    smsc = Smsc(1, 2, 3, 4)
    first, second, third, _ = [sequence for sequence, _ in smsc.offer(4)]
    smsc.answer(first, OK)
    smsc.answer(second, LATER)
    smsc.answer(third, NEVER)
    assert smsc.smsc.acknowledged == {b"1": 1}
    assert smsc.smsc.unanswered() == {b"4": 1}
    tally = smsc.traffic.tally
    assert (tally.offered, tally.done, smsc.traffic.under_way) == (4, 1, 1)
    assert tally.refused == {"ESME_RX_T_APPN": 1, "wrong": 1}
    assert tally.wrong == ["deliver_sm_resp with status 0x00000065"]


async def test_an_answer_in_pieces_is_one_answer():
    smsc = Smsc(1)
    ((sequence, _),) = smsc.offer(1)
    for octet in HEADER.pack(17, 0x80000005, OK, sequence) + b"\0":
        smsc.smsc.data_received(bytes([octet]))
    assert smsc.traffic.tally.done == 1


async def test_what_the_connection_does_not_take_is_held_back():
    smsc = Smsc(*range(100))
    assert len(smsc.offer(10, most=4)) == 4
    smsc.transport.waits = 2 << 20
    assert smsc.offer(10) == []
    assert (smsc.traffic.tally.offered, smsc.traffic.tally.held_back) == (20, 16)


async def test_who_is_patient_stays_under_way_when_refused():
    smsc = Smsc(1, patient=True)
    ((sequence, _),) = smsc.offer(1)
    smsc.answer(sequence, LATER)
    assert smsc.traffic.under_way == 1
    assert smsc.smsc.acknowledged == {}


async def test_submits_and_probes_are_answered():
    smsc = Smsc()
    smsc.smsc.data_received(HEADER.pack(16, 0x4, 0, 9) + HEADER.pack(16, 0x15, 0, 10))
    assert [(c, s) for c, _, s, _ in frames(smsc.transport.take())] == [
        (0x80000004, 9),
        (0x80000015, 10),
    ]
    assert smsc.smsc.submitted == 1


# -- HTTP


class Told(Traffic):
    """Says when nothing is under way any more."""

    def __init__(self, name):
        self.over = asyncio.Event()
        self._under_way = 0
        super().__init__(name)
        self.over.clear()

    @property
    def under_way(self):
        return self._under_way

    @under_way.setter
    def under_way(self, count):
        self._under_way = count
        if not count:
            self.over.set()


def http(status, body, *headers):
    head = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


async def drive(answers, pieces, *, count, patient=False):
    """Offer pieces to a server with these answers, in order; the wire, when all has its end."""
    waiting = iter(answers)
    served = []

    async def serve(reader, writer):
        served.append(asyncio.Event())
        ended = served[-1]
        while await reader.read(100):  # Requests are short: each comes whole.
            answer = next(waiting)
            if answer is None:
                break
            writer.write(answer)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    traffic = Told("flood")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        wire = OpenHttp(group, port, pieces, patient=patient)
        for _ in range(count):
            wire.offer(traffic, 1, 100)
            await traffic.over.wait()
            traffic.over.clear()
        wire.hang_up()
        for ended in served:
            await ended.wait()
    server.close()
    return traffic, wire


def two_steps():
    return [Step("one", b"1\n\n", b"yes", "a"), Step("two", b"2\n\n", b"yes", "a")]


async def test_a_piece_is_done_when_its_last_step_is_answered():
    traffic, wire = await drive([http(200, "yes")] * 4, two_steps, count=2)
    assert (traffic.tally.done, traffic.tally.answered) == (2, 4)
    assert wire.acknowledged == {"a": 4}


async def test_a_refusal_ends_its_piece_and_is_told_by_how_it_was_said():
    answers = [
        http(200, "yes"),
        http(503, "{}", "retry-after: 1"),
        http(503, "{}"),
        http(429, "{}", "Retry-After: 7"),
        http(200, '{"action":"busy"}'),
        http(500, "broken"),
    ]
    traffic, wire = await drive(answers, two_steps, count=5)
    assert traffic.tally.done == 0
    assert traffic.tally.refused == {
        "503 with Retry-After": 1,
        "503 without Retry-After": 1,
        "429 with Retry-After": 1,
        "safe refusal": 1,
        "wrong": 1,
    }
    assert "broken" in traffic.tally.wrong[0]
    assert wire.acknowledged == {"a": 1}
    assert wire.unknown == {"a": 2}


async def test_a_connection_that_is_closed_is_not_used_again():
    answers = [http(200, "yes", "connection: close"), http(200, "yes")]
    traffic, _ = await drive(answers, two_steps, count=1)
    assert traffic.tally.done == 1


async def test_a_connection_that_is_cut_leaves_its_request_unknown():
    traffic, wire = await drive([None], two_steps, count=1)
    assert traffic.tally.refused == {"cut": 1}
    assert wire.unknown == {"a": 1}


# -- MQTT


def publish(payload, topic=b"telcod/reply/flood"):
    body = len(topic).to_bytes(2) + topic + json.dumps(payload, separators=(",", ":")).encode()
    head, length = b"\x30", len(body)
    while True:
        length, seven = divmod(length, 128)
        head += bytes([seven | (128 if length else 0)])
        if not length:
            return head + body


class Gateway:
    def __init__(self, *, patient=False):
        self.traffic = Traffic("flood")
        self.transport = Transport()
        self.gateway = OpenGateway("flood", self.traffic, iter(range(100)), patient=patient)
        self.gateway.connection_made(self.transport)

    def offer(self, count, most=100):
        self.gateway.offer(self.traffic, count, most)


async def test_a_gateway_is_ready_when_it_may_listen():
    it = Gateway()
    assert it.transport.take()[:1] == b"\x10"
    it.gateway.data_received(b"\x20\x02\x00\x00\x90\x03\x00\x01")
    assert not it.gateway.ready.is_set()
    it.gateway.data_received(b"\x00")
    assert it.gateway.ready.is_set()


async def test_steps_over_mqtt_are_counted_by_their_answers():
    it = Gateway()
    it.offer(3)
    it.gateway.data_received(
        publish({"action": "continue", "text": "x" * 200, "step": 1, "correlation_id": 1})
        + publish({"error": {"code": "overloaded"}, "correlation_id": 2})
        + publish({"error": {"code": "failed"}, "correlation_id": 3})
    )
    assert (it.traffic.tally.done, it.traffic.under_way) == (1, 0)
    assert it.traffic.tally.refused == {"overloaded": 1, "wrong": 1}
    assert it.gateway.acknowledged == {"flood-1": 1}
    assert it.gateway.unknown == {"flood-2": 1}


async def test_a_step_that_gets_no_answer_is_given_up():
    it = Gateway()
    it.offer(1)
    it.gateway.give_up_late()
    assert it.traffic.under_way == 1
    sent = it.gateway._open[1]
    it.gateway._open[1] = sent._replace(sent_s=sent.sent_s - WAIT_S)
    it.gateway.give_up_late()
    assert it.traffic.tally.refused == {"no answer": 1}
    assert it.gateway.unknown == {"flood-1": 1}
    assert it.traffic.under_way == 0


# -- the load that waits


async def test_a_load_whose_texts_are_never_answered_runs_out_of_senders_and_goes_on():
    done = asyncio.Event()
    load = LoadSmsc(
        window=50, subscribers=20, seconds=60, warm_up_s=0, seed=1, done=done, until_answered=False
    )
    transport = Transport()
    load.connection_made(transport)
    load.data_received(HEADER.pack(16, 0x9, 0, 1))
    sent = frames(transport.take())[1:]
    assert 15 <= len(sent) <= 20  # each sender once: none is texted for who waits
    load.data_received(b"".join(HEADER.pack(17, 0x80000005, OK, s[2]) + b"\0" for s in sent))
    assert frames(transport.take()) == []
    assert load.report().missing == len(sent)
