"""Events over a real Mosquitto: none lost, none out of order, whatever becomes of the broker."""

import asyncio
from collections import defaultdict
from typing import Any

import msgspec
import pytest

import handlers
from telcod.dispatch import Route
from telcod.errors import Overloaded
from telcod.mqtt.errors import BrokerRefused
from telcod.mqtt.events import Events, payload
from telcod.rows import OutboxEvent
from telcod.types import Channel, Reply, Request
from tests.mqtt.broker import Broker, Peer, Proxy
from tests.mqtt.station import AN, BINH, Station
from tests.world import START_MS

pytestmark = [pytest.mark.anyio, pytest.mark.rule("MQTT-2", "MQTT-4")]

ALL = "telcod/events/#"
MINE = "telcod/events/load/came"
SUBSCRIBERS = (AN, BINH, 84903000003)


def emit(request, tx):
    """Something happens to a subscriber, so many times."""
    for number in range(int(request.args[0])):
        tx.emit("load", "came", request.sender, number=number)
    return Reply("load.came")


ROUTES = {**handlers.ROUTES, "load.come": Route("load.come", emit)}


def happen(msisdn, times=1):
    return Request("load.come", sender=msisdn, args=(str(times),), channel=Channel.CLOCK)


@pytest.fixture
async def station(tmp_path, broker):
    async with Station(tmp_path, broker, routes=ROUTES) as there:
        yield there


def told(peer, topic=MINE):
    return [msgspec.json.decode(body) for body in peer.on(topic)]


def assert_in_order(events):
    """Whoever drops what he has by its id sees each subscriber's events in order."""
    last: dict[str, int] = defaultdict(int)
    seen = set()
    for event in events:
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        assert event["seq"] > last[event["msisdn"]]
        last[event["msisdn"]] = event["seq"]


def assert_copies_are_alike(peer):
    by_id = defaultdict(set)
    for body in peer.on(MINE):
        by_id[msgspec.json.decode(body)["id"]].add(body)
    assert all(len(copies) == 1 for copies in by_id.values())


async def test_an_event_says_what_happened_to_whom_and_when(broker, station):
    async with Peer(broker, listens=[ALL]) as peer:
        await station.submit(happen(AN))
        await peer.hear_on(MINE)
    (row,) = [row for row in await station.events() if row.subject == "load"]
    (event,) = told(peer)
    assert event == {
        "id": f"{row.at}-{row.seq}",
        "seq": row.seq,
        "at": START_MS,
        "msisdn": str(AN),
        "number": 0,
    }
    assert peer.heard[-1].qos == 1


def test_an_event_of_nobody_names_nobody():
    row = OutboxEvent(3, 5, "s", "v", 0, '{"a":1}')
    assert msgspec.json.decode(payload(row)) == {"id": "5-3", "seq": 3, "at": 5, "a": 1}


def test_a_body_can_not_make_an_event_another_one():
    row = OutboxEvent(3, 5, "s", "v", AN, '{"id":"x","seq":9,"at":1,"msisdn":"y"}')
    assert msgspec.json.decode(payload(row)) == {
        "id": "5-3",
        "seq": 3,
        "at": 5,
        "msisdn": str(AN),
    }


async def test_what_happened_while_nobody_was_connected_is_told_afterwards(broker, station):
    await station.leave()
    for msisdn in SUBSCRIBERS:
        await station.submit(happen(msisdn, 400))
    async with Peer(broker, listens=[ALL]) as peer:
        await station.connect()
        await peer.hear_on(MINE, 1_200)
    assert [event["seq"] for event in told(peer)] == sorted(event["seq"] for event in told(peer))
    assert len(told(peer)) == 1_200


async def test_what_the_broker_has_is_noted_and_not_told_again(broker, station):
    async with Peer(broker, listens=[ALL]) as peer:
        await station.submit(happen(AN, 1_000))
        await peer.hear_on(MINE, 1_000)
        seq = told(peer)[-1]["seq"]
        await station.wait_confirmed(seq)
        await station.leave()
        await station.connect()
        await station.submit(happen(AN))
        await peer.hear_on(MINE, 1_001)
        assert len(told(peer)) == 1_001


async def test_a_stop_notes_what_was_acknowledged_so_that_a_start_repeats_nothing(broker, station):
    async with Peer(broker, listens=[ALL]) as peer:
        await station.submit(happen(AN, 3))
        await station.leave()
        await station.connect()
        await station.submit(happen(AN))
        await peer.hear_on(MINE, 4)
        await station.leave()
        assert [event["number"] for event in told(peer)] == [0, 1, 2, 0]


class Load:
    """Something happens all the time, to three subscribers in turn."""

    def __init__(self, station):
        self.count = 0
        self._station = station

    async def go_on(self, rounds):
        for number in range(rounds):
            await self._station.submit(happen(SUBSCRIBERS[number % 3], 2))
            self.count += 2

    async def numbers(self):
        """The numbers of all that happened."""
        rows = await self._station.events()
        return [row.seq for row in rows if row.subject == "load"]


async def wait_all(peer, numbers):
    """Wait until all of them were heard."""
    wanted = set(numbers)
    await peer.watch.until(
        lambda: wanted <= {event["seq"] for event in told(peer)}, what=f"{len(wanted)} events"
    )


async def test_a_connection_cut_under_load_loses_nothing_and_bends_no_order(tmp_path, broker):
    async with (
        Proxy(broker) as proxy,
        Station(tmp_path, proxy, routes=ROUTES) as station,
        Peer(broker, listens=[ALL]) as peer,
    ):
        load = Load(station)
        for cut in range(1, 6):
            async with asyncio.TaskGroup() as group:
                group.create_task(load.go_on(100))
                await peer.hear_on(MINE, len(told(peer)) + 20)
                proxy.cut()
            await station.wait_reached(1 + cut)
        numbers = await load.numbers()
        await wait_all(peer, numbers)
        await station.wait_confirmed(numbers[-1])
    assert len(numbers) == load.count == 1_000
    assert_in_order(told(peer))
    assert_copies_are_alike(peer)


async def test_a_broker_away_in_the_middle_of_load_gets_all_events_afterwards(tmp_path):
    disk = ["persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 0"]
    async with (
        Broker(tmp_path, config=disk) as broker,
        Station(tmp_path, broker, routes=ROUTES) as station,
        Peer(broker, listens=[ALL], keeps=True) as peer,
    ):
        load = Load(station)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.go_on(300))
            await peer.hear_on(MINE, 50)
            await broker.stop()
        await load.go_on(200)  # It goes on without a broker.
        assert not station.mqtt.connected
        assert station.mqtt.last_error.startswith("no broker listens at 127.0.0.1:")
        await broker.start()
        await load.go_on(50)
        await station.wait_reached(2)
        numbers = await load.numbers()
        await wait_all(peer, numbers)
    assert len(numbers) == load.count == 1_100
    assert_in_order(told(peer))
    assert_copies_are_alike(peer)


async def test_a_broker_killed_is_told_again_all_that_it_had_not_acknowledged(tmp_path):
    async with (
        Broker(tmp_path) as broker,
        Proxy(broker) as proxy,
        Station(tmp_path, proxy, routes=ROUTES) as station,
        Peer(broker, listens=[ALL]) as peer,
    ):
        load = Load(station)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.go_on(300))
            await peer.hear_on(MINE, 50)
            proxy.open = False
            await broker.kill()
        await broker.start()
        await peer.wait_listening(times=2)  # The broker itself remembers nobody.
        proxy.open = True
        await station.wait_reached(2)
        await load.go_on(10)
        numbers = await load.numbers()
        unacknowledged = [seq for seq in numbers if seq > station.confirmed_then[1]]
        await wait_all(peer, unacknowledged)
    assert len(numbers) == load.count == 620
    assert len(unacknowledged) > 100
    assert_in_order(told(peer))
    assert_copies_are_alike(peer)


async def test_the_order_holds_over_many_subscribers_and_a_small_window(broker, station):
    async with Peer(broker, listens=[ALL]) as peer:
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(station.submit(happen(SUBSCRIBERS[number % 3], 3)))
        await peer.hear_on(MINE, 900)
    events = told(peer)
    assert len(events) == 900
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


class Slow:
    """A wire whose broker acknowledges when the test says so, and refuses what it names."""

    in_flight_max = 8

    def __init__(self):
        self.sent = []
        self.waiting = asyncio.Event()

    def send(self, topic, body):
        future = asyncio.get_running_loop().create_future()
        self.sent.append((topic, future))
        self.waiting.set()
        return future


class Memory:
    """A reader with so many events, all of one subscriber."""

    def __init__(self, count):
        self.rows = [OutboxEvent(seq, 1, "a", "b", AN, "{}") for seq in range(1, count + 1)]
        self.most_read = 0

    async def events(self, *, after, most):
        return [row for row in self.rows if row.seq > after][:most]

    async def published(self):
        return 0


async def nobody(_):
    raise AssertionError("nothing is to be kept")


async def test_no_more_is_under_way_than_the_broker_takes():
    wire: Any = Slow()
    events = Events(Memory(100), nobody, prefix="e/")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(events.run(wire))
        await wire.waiting.wait()
        assert len(wire.sent) == 6
        assert events.confirmed == 0
        wire.sent[1][1].set_result(None)  # Not the oldest: nothing moves.
        assert events.confirmed == 0
        running.cancel()


async def test_a_cursor_that_can_not_be_kept_now_is_kept_later():
    kept: list[str] = []

    async def submit(request):
        if not kept:
            kept.append("")
            raise Overloaded("full")
        kept.append(request.args[0])

    wire: Any = Slow()
    events = Events(Memory(1), submit, prefix="e/")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(events.run(wire))
        await wire.waiting.wait()
        wire.sent[0][1].set_result(None)
        events.close()
        await running
    assert not await events.save()
    assert await events.save()
    assert await events.save()  # Once is enough.
    assert kept == ["", "1"]


async def test_a_refused_event_holds_up_those_behind_it_and_ends_with_the_stop():
    wire: Any = Slow()
    events = Events(Memory(3), nobody, prefix="e/")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(events.run(wire))
        await wire.waiting.wait()
        for _, sent in wire.sent[1:]:
            sent.set_result(None)
        wire.sent[0][1].set_exception(BrokerRefused("not authorised"))
        wire.sent[0][1].add_done_callback(lambda _: events.close())
        await running
    assert events.confirmed == 0
    assert "not authorised" in events.problem
