"""How requests are worked on, on a wire that the test holds in its hand."""

import asyncio

import msgspec
import pytest

from telcod.clock import ManualClock
from telcod.mqtt.requests import WAITING_MAX, Requests
from telcod.mqtt.wire import Received

pytestmark = [pytest.mark.anyio, pytest.mark.rule("MQTT-1")]

REPLY = "telcod/reply/a"


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Held:
    """A wire: what was sent and acknowledged, in order; its broker has everything at once."""

    def __init__(self):
        self.log = []

    def arrival(self, message):
        return message.mid

    def acknowledge(self, arrival):
        self.log.append(("ack", arrival))

    def send(self, topic, payload, *, correlation=b"", expires_in_s=0):
        self.log.append(("sent", msgspec.json.decode(payload)))
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def message(number, *, qos=1, retain=False, expires_in_s=None, topic="telcod/ivr/request"):
    body = msgspec.json.encode({"op": "work", "n": number})
    return Received(topic, body, qos, retain, number, REPLY, b"", expires_in_s)


class Work:
    """An operation: what it was begun for, and when it may go on."""

    def __init__(self):
        self.begun = []
        self.go_on = asyncio.Event()
        self.first = asyncio.Event()

    async def __call__(self, fields):
        self.begun.append(fields["n"])
        self.first.set()
        await self.go_on.wait()
        return {"n": fields["n"]}


def requests_of(wire, work, clock, workers=1):
    ops = {"ivr": {"work": work}}
    return Requests(
        wire, ops, clock, topics="telcod/", reply_prefix="telcod/reply/", workers=workers
    )


async def worked(requests):
    """Let it work on all that it has taken."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(requests.run())
        await requests.drain()
        running.cancel()


async def test_a_message_is_acknowledged_after_its_answer():
    wire, work = Held(), Work()
    work.go_on.set()
    requests = requests_of(wire, work, ManualClock(0))
    requests.take(message(1))
    requests.take(message(2))
    await worked(requests)
    assert wire.log == [("sent", {"n": 1}), ("ack", 1), ("sent", {"n": 2}), ("ack", 2)]


async def test_work_is_begun_in_the_order_of_arrival():
    wire, work = Held(), Work()
    work.go_on.set()
    requests = requests_of(wire, work, ManualClock(0), workers=5)
    for number in range(50):
        requests.take(message(number))
    await worked(requests)
    assert work.begun == list(range(50))


async def test_what_is_too_late_when_its_turn_comes_is_not_carried_out():
    wire, work, clock = Held(), Work(), ManualClock(0)
    requests = requests_of(wire, work, clock)
    requests.take(message(1))
    requests.take(message(2, expires_in_s=5))
    requests.take(message(3, expires_in_s=6))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(requests.run())
        await work.first.wait()
        clock.advance(5_000)
        work.go_on.set()
        await requests.drain()
        running.cancel()
    assert work.begun == [1, 3]
    assert [said for said in wire.log if said[0] == "ack"] == [("ack", 1), ("ack", 2), ("ack", 3)]


async def test_what_the_broker_retained_is_no_request():
    wire, work = Held(), Work()
    requests = requests_of(wire, work, ManualClock(0))
    requests.take(message(1, retain=True))
    await worked(requests)
    assert (work.begun, wire.log) == ([], [("ack", 1)])


async def test_more_than_may_wait_is_told_so_and_not_kept():
    wire, work = Held(), Work()
    work.go_on.set()
    requests = requests_of(wire, work, ManualClock(0))
    most = 1 + WAITING_MAX
    for number in range(most + 1):
        requests.take(message(number, qos=0))
    (sent, _) = wire.log
    assert sent[1]["error"]["code"] == "overloaded"
    await worked(requests)
    assert work.begun == list(range(most))


async def test_what_comes_after_the_end_began_is_left_to_the_broker():
    wire, work = Held(), Work()
    requests = requests_of(wire, work, ManualClock(0))
    await worked(requests)
    requests.take(message(1))
    assert wire.log == []


async def test_a_topic_of_other_settings_does_no_harm():
    wire, work = Held(), Work()
    requests = requests_of(wire, work, ManualClock(0))
    requests.take(message(1, topic="old/ivr/request"))
    await worked(requests)
    assert wire.log[0][1]["error"]["field"] == "op"
