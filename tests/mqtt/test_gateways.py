"""Gateways with topics of their own, at a real Mosquitto: none is in the way of another."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from telcod.rows import AUDIT
from telcod.settings import MqttSettings
from tests.mqtt.broker import Broker, Peer
from tests.mqtt.station import Station

pytestmark = [pytest.mark.anyio, pytest.mark.rule("MQTT-1", "MQTT-4")]

STATUS = "telcod/status/north"
STEP = {"op": "step", "session_id": "s1", "msisdn": "0903000001", "service_code": "*1566#"}
WAITING_MAX = 10


@asynccontextmanager
async def two_gateways(folder, broker, **more):
    """Telcod, and the gateways north and south at its broker."""
    async with (
        Station(folder, broker, gateways=("north", "south"), **more) as station,
        Peer(broker, "north", gateway="north", listens=[STATUS]) as north,
        Peer(broker, "south", gateway="south") as south,
    ):
        yield station, north, south


async def test_each_has_its_answers_from_its_own_topics(tmp_path, broker):
    async with two_gateways(tmp_path, broker) as (station, north, south):
        for gateway, session in ((north, "n1"), (south, "s1")):
            asked = {**STEP, "session_id": session, "step": 0}
            assert (await gateway.ask("ussd", asked))["action"] == "continue"
        assert station.mqtt.last_error == ""


async def test_a_dialogue_belongs_to_the_gateway_that_began_it(tmp_path, broker):
    async with two_gateways(tmp_path, broker) as (station, north, south):
        await north.ask("ussd", {**STEP, "step": 0})
        stolen = await south.ask("ussd", {"op": "end", "session_id": "s1"})
        assert stolen["error"]["code"] == "not_found"
        assert await north.ask("ussd", {"op": "end", "session_id": "s1"}) == {"action": "end"}
        credit = {"op": "topup", "event_id": "e1", "msisdn": "84903000001", "amount_vnd": 10_000}
        for gateway in (north, south):
            assert "error" not in await gateway.ask("network", credit)
        topups = [row.actor for row in station.world.store.scan(AUDIT) if row.action == "topup"]
        assert topups == ["north@mqtt", "south@mqtt"]


async def test_who_has_none_is_answered_as_ever(tmp_path, broker):
    async with (
        two_gateways(tmp_path, broker),
        Peer(broker, listens=["telcod/reply/peer"]) as another,
    ):
        assert (await another.ask("ussd", {**STEP, "step": 0}))["action"] == "continue"


async def test_none_has_its_answers_brought_to_another(tmp_path, broker):
    async with two_gateways(tmp_path, broker) as (station, north, south):
        for elsewhere in (south.answers, "telcod/reply/peer", "telcod/reply/north"):
            body = {**STEP, "step": 0}
            await north.publish("telcod/ussd/request/north", body, ResponseTopic=elsewhere)
        # Requests of one gateway are worked on in their order.
        unknown = await north.ask("ussd", {"op": "end", "session_id": "s1"})
        assert unknown["error"]["code"] == "not_found", "nothing was begun"
        assert len(station.logs("mqtt.reply_refused")) == 3
        assert south.on(south.answers) == []


async def test_others_see_of_each_whether_telcod_listens_to_it(tmp_path, broker):
    async with two_gateways(tmp_path, broker) as (station, north, _):
        assert await north.hear_on(STATUS) == [b"online"]
        await station.leave()
        assert await north.hear_on(STATUS, 2) == [b"online", b"offline"]
        await station.connect()
        assert await north.hear_on(STATUS, 3) == [b"online", b"offline", b"online"]


class Slow:
    """An operation that waits for the gateway south, and not for north."""

    def __init__(self):
        self.begun = 0
        self.first = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, fields):
        if fields["who"] == "south":
            self.begun += 1
            self.first.set()
            await self.go_on.wait()
        return {"n": fields["n"]}


async def test_one_that_fills_what_the_broker_keeps_for_it_keeps_nobody_else_out(tmp_path):
    slow = Slow()
    ops = {"ussd": {"step": slow}}
    limits = [f"max_queued_messages {WAITING_MAX}"]
    async with (
        Broker(tmp_path, config=limits) as broker,
        two_gateways(tmp_path, broker, ops=ops, requests_max=1) as (_, north, south),
    ):
        flood = 5 * WAITING_MAX
        for n in range(flood):
            body = {"op": "step", "who": "south", "n": n}
            await south.publish("telcod/ussd/request/south", body, ResponseTopic=south.answers)
        await slow.first.wait()
        for n in range(flood):
            assert await north.ask("ussd", {"op": "step", "who": "north", "n": n}) == {"n": n}
        assert (slow.begun, south.on(south.answers)) == (1, [])
        slow.go_on.set()
        # What its queue did not hold was dropped: the flood has harmed who flooded.
        answered = await south.hear_on(south.answers, WAITING_MAX)
        assert msgspec.json.decode(answered[0]) == {"n": 0}
        await north.ask("ussd", {"op": "step", "who": "north", "n": 0})
        assert WAITING_MAX <= slow.begun < flood


@pytest.mark.rule("CFG-1")
def test_a_gateway_is_named_once():
    with pytest.raises(ValueError, match="gateways names one of them twice"):
        MqttSettings(url="mqtt://broker.example", gateways=("north", "north"))
