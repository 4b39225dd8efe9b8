"""Requests over a real Mosquitto: each door's operations, what is wrong with one, where answers
go.
"""

import asyncio

import msgspec
import pytest

from telcod.mqtt.asked import PAYLOAD_BYTES_MAX
from tests.mqtt.broker import Peer
from tests.mqtt.station import AN, BINH, Station

pytestmark = [pytest.mark.anyio, pytest.mark.rule("MQTT-1", "MQTT-4")]

REPLY = "telcod/reply/peer"
OFFER = {"op": "offer", "call_id": "c1", "caller": "0903000001", "dialled": "15660903000002"}


@pytest.mark.rule("IVR-1", "IVR-2", "IVR-3")
async def test_a_whole_call_is_reported_over_mqtt(station, peer):
    offered = await peer.ask("ivr", OFFER)
    assert (offered["action"], offered["payer"]) == ("ask", "84903000002")
    consent = {"op": "consent", "call_id": "c1", "result": "digit", "digit": "1"}
    assert (await peer.ask("ivr", consent))["action"] == "connect"
    assert "final" in await peer.ask("ivr", {"op": "answered", "call_id": "c1"})
    progress = {"op": "progress", "call_id": "c1", "used_seconds": 30}
    assert "max_seconds" in await peer.ask("ivr", progress)
    ended = await peer.ask("ivr", {"op": "ended", "call_id": "c1", "used_seconds": 60})
    assert ended == {"charged_vnd": 1_500, "billed_seconds": 60}
    shown = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
    assert (shown["state"], shown["charged_vnd"]) == ("ended", 1_500)
    assert station.world.check() == []


@pytest.mark.rule("IVR-3")
async def test_after_the_end_a_report_is_told_the_final_charge(station, peer):
    await peer.ask("ivr", OFFER)
    await peer.ask("ivr", {"op": "ended", "call_id": "c1"})
    told = await peer.ask("ivr", {"op": "progress", "call_id": "c1", "used_seconds": 5})
    assert told["error"]["code"] == "conflict"
    assert told["error"]["charged_vnd"] == 0


@pytest.mark.rule("USSD-1")
async def test_a_dialogue_is_led_over_mqtt(station, peer):
    step = {"op": "step", "session_id": "s1", "msisdn": "0903000001", "service_code": "*1566#"}
    first = await peer.ask("ussd", {**step, "step": 0})
    assert first["action"] == "continue"
    assert first["step"] == 1
    assert await peer.ask("ussd", {**step, "step": 0}) == first
    wrong = await peer.ask("ussd", {**step, "step": 9})
    assert (wrong["error"]["code"], wrong["error"]["step"]) == ("conflict", 1)
    assert await peer.ask("ussd", {"op": "end", "session_id": "s1"}) == {"action": "end"}
    unknown = await peer.ask("ussd", {"op": "end", "session_id": "s2"})
    assert unknown["error"]["code"] == "not_found"


@pytest.mark.rule("NET-2")
async def test_the_network_tells_its_events_over_mqtt(station, peer):
    topup = {"op": "topup", "event_id": "t1", "msisdn": "0903000001", "amount_vnd": 5_000}
    told = await peer.ask("network", topup)
    assert "error" not in told
    assert await peer.ask("network", topup) == told
    other = await peer.ask("network", {**topup, "amount_vnd": 6_000})
    assert other["error"]["code"] == "key_reused"
    assert station.world.balance(AN) == 25_000


@pytest.mark.parametrize(
    ("door", "fields", "code", "field"),
    [
        ("ivr", {"op": "dance"}, "malformed", "op"),
        ("ivr", {"call_id": "c1"}, "malformed", "op"),
        ("ivr", {"op": 7}, "malformed", "op"),
        ("ivr", {"op": "offer", "call_id": "c1", "caller": "0903000001"}, "malformed", "dialled"),
        ("ivr", {**OFFER, "platform": "pbx"}, "malformed", "platform"),
        ("ivr", {**OFFER, "caller": ["x"]}, "malformed", "caller"),
        ("ivr", {**OFFER, "call_id": "a/b"}, "malformed", "call_id"),
        ("ivr", {"op": "ended"}, "malformed", "call_id"),
        ("ivr", {"op": "ended", "call_id": ""}, "not_found", "call_id"),
        ("ivr", {"op": "show", "call_id": "c1", "why": 1}, "malformed", "why"),
        ("ivr", {**OFFER, "correlation_id": ["x"]}, "malformed", "correlation_id"),
        ("ussd", {"op": "step", "session_id": "s", "step": 0}, "malformed", "msisdn"),
        ("ussd", {"op": "step", "msisdn": "0903000001"}, "malformed", "session_id"),
        ("network", {"op": "topup", "event_id": "e"}, "malformed", None),
    ],
)
async def test_a_request_that_makes_no_sense_is_told_why(station, peer, door, fields, code, field):
    error = (await peer.ask(door, fields))["error"]
    assert error["code"] == code
    assert error["detail"]
    assert error["what_to_do"]
    if field is not None:
        assert error["field"] == field


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"[]", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 40_000, "malformed"),
        (b'{"op": "offer", "x": "' + b"x" * PAYLOAD_BYTES_MAX + b'"}', "too_large"),
    ],
    ids=["empty", "cut", "no object", "no text", "deep", "large"],
)
async def test_what_is_no_request_is_told_so(station, peer, payload, code):
    assert (await peer.ask("ivr", payload))["error"]["code"] == code


@pytest.mark.parametrize(
    "topic",
    ["telcod/events/package/started", "elsewhere", "telcod/reply/", "telcod/replying/x"],
)
async def test_an_answer_goes_nowhere_else_than_below_the_prefix(broker, station, peer, topic):
    async with Peer(broker, "listener", listens=["#"]) as listener:
        await peer.publish("telcod/ivr/request", OFFER, ResponseTopic=topic)
        shown = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
        await listener.hear_on(REPLY)
    assert shown["error"]["code"] == "not_found"  # It was not even carried out.
    assert listener.on(topic) == []
    assert len(station.logs("mqtt.reply_refused")) == 1


async def test_a_topic_in_the_body_is_no_way_around_the_prefix(station, peer):
    await peer.publish("telcod/ivr/request", {**OFFER, "reply_to": "telcod/status"})
    assert (await peer.ask("ivr", {"op": "show", "call_id": "c1"}))["error"]
    assert len(station.logs("mqtt.reply_refused")) == 1


async def test_a_requester_without_mqtt_5_is_answered_where_its_body_says(broker, station):
    async with Peer(broker, "old", newest=False, listens=[REPLY]) as old:
        said = {**OFFER, "reply_to": REPLY, "correlation_id": "k-1"}
        await old.publish("telcod/ivr/request", said)
        (answer,) = map(msgspec.json.decode, await old.hear_on(REPLY))
    assert (answer["correlation_id"], answer["action"]) == ("k-1", "ask")


async def test_telcod_itself_can_do_without_mqtt_5(tmp_path, broker):
    async with (
        Station(tmp_path, broker, protocol="3.1.1"),
        Peer(broker, listens=[REPLY]) as peer,
    ):
        await peer.publish("telcod/ivr/request", {**OFFER, "reply_to": REPLY, "correlation_id": 7})
        (answer,) = map(msgspec.json.decode, await peer.hear_on(REPLY))
    assert (answer["correlation_id"], answer["action"]) == (7, "ask")


async def test_a_request_that_nobody_waits_for_is_carried_out(station, peer):
    await peer.publish("telcod/ivr/request", OFFER)
    shown = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
    assert shown["state"] == "asking"


class Gate:
    """An operation that waits until it may go on."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.times = 0

    async def __call__(self, fields):
        self.times += 1
        self.begun.set()
        await self.go_on.wait()
        return {"n": fields.get("n")}


async def test_nobody_is_answered_after_his_time(tmp_path, broker):
    gate = Gate()
    async with (
        Station(tmp_path, broker, ops={"ivr": {"wait": gate}}) as station,
        Peer(broker, listens=[REPLY]) as peer,
    ):
        said = {"ResponseTopic": REPLY, "MessageExpiryInterval": 5}
        await peer.publish("telcod/ivr/request", {"op": "wait", "n": 1}, **said)
        await gate.begun.wait()
        station.world.clock.advance(5_000)
        gate.go_on.set()
        assert await peer.ask("ivr", {"op": "wait", "n": 2}) == {"n": 2}
    assert [msgspec.json.decode(payload) for payload in peer.on(REPLY)] == [{"n": 2}]


async def test_an_answer_lives_no_longer_than_its_request(station, peer):
    fields = {"op": "show", "call_id": "c1"}
    await peer.ask("ivr", fields, MessageExpiryInterval=60)
    (message,) = peer.heard
    assert 0 < message.properties.MessageExpiryInterval <= 60


async def test_a_retained_request_is_nobodys(broker, station, peer):
    await peer.publish("telcod/ivr/request", OFFER, retain=True)
    await station.leave()
    await station.connect()
    shown = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
    assert shown.get("state", "asking") == "asking"
    assert len(station.logs("mqtt.answered")) <= 2


async def test_no_more_than_so_many_requests_are_worked_on_at_once(tmp_path, broker):
    gate = Gate()
    async with (
        Station(tmp_path, broker, ops={"ivr": {"wait": gate}}, requests_max=3),
        Peer(broker, listens=[REPLY]) as peer,
    ):
        for number in range(10):
            said = {"op": "wait", "n": number}
            await peer.publish("telcod/ivr/request", said, ResponseTopic=REPLY)
        await gate.begun.wait()
        assert gate.times <= 3
        gate.go_on.set()
        answers = [msgspec.json.decode(payload) for payload in await peer.hear_on(REPLY, 10)]
    assert sorted(answer["n"] for answer in answers) == list(range(10))


async def test_when_the_books_are_overloaded_the_requester_is_told(tmp_path, broker):
    async with (
        Station(tmp_path, broker, queue_max=0),
        Peer(broker, listens=[REPLY]) as peer,
    ):
        told = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
        assert told["error"]["code"] == "overloaded"
        # A caller waits on the line: he is refused rather than left.
        assert (await peer.ask("ivr", OFFER))["action"] == "refuse"


async def test_an_operation_that_breaks_is_told_without_details(tmp_path, broker):
    async def broken(_):
        raise ZeroDivisionError("secret")

    async with (
        Station(tmp_path, broker, ops={"ivr": {"break": broken}}) as station,
        Peer(broker, listens=[REPLY]) as peer,
    ):
        error = (await peer.ask("ivr", {"op": "break"}))["error"]
        assert (error["code"], "secret" in str(error)) == ("failed", False)
        assert (await peer.ask("ivr", {"op": "break"}))["error"]["code"] == "failed"
        assert len(station.logs("mqtt.failed")) == 2


async def test_a_request_that_telcod_went_away_over_comes_again_and_counts_once(tmp_path, broker):
    gate = Gate()
    topup = {"op": "topup", "event_id": "t1", "msisdn": "0903000002", "amount_vnd": 5_000}
    async with (
        Station(tmp_path, broker, ops={}) as station,
        Peer(broker, listens=[REPLY]) as peer,
    ):
        await station.leave()
        station._ops = None
        ops = station.ops_of("")
        carry_out = ops["network"]["topup"]

        async def carried_out_but_not_answered(fields):
            await carry_out(fields)
            return await gate(fields)

        station._ops = {"network": {"topup": carried_out_but_not_answered}}
        await station.connect()
        await peer.publish("telcod/network/request", topup, ResponseTopic=REPLY)
        await gate.begun.wait()
        station.die()
        gate.go_on.set()
        (answer,) = await peer.hear_on(REPLY)
        assert gate.times == 2
        assert "error" not in msgspec.json.decode(answer)
        assert station.world.balance(BINH) == 25_000


async def test_requests_wait_at_the_broker_while_telcod_is_away(station, peer):
    await station.leave()
    await peer.publish("telcod/ivr/request", OFFER, ResponseTopic=REPLY)
    await station.connect()
    (answer,) = await peer.hear_on(REPLY)
    assert msgspec.json.decode(answer)["action"] == "ask"


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_message_that_the_library_can_not_read_does_no_harm(station, peer, qos):
    # U+FEFF is lawful in MQTT; the library would lose the connection over it, again and again.
    odd = {"ContentType": "a\ufeffb", "ResponseTopic": REPLY}
    await peer.publish("telcod/ivr/request", OFFER, qos=qos, **odd)
    shown = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
    assert shown["error"]["code"] == "not_found"
    assert len(station.told) == 1  # The connection is the first one still.
    await station.leave()
    await station.connect()
    await peer.ask("ivr", {"op": "show", "call_id": "c1"})
    assert len(station.logs("mqtt.unreadable")) == 1  # It was acknowledged.
