"""The connection to a real Mosquitto: who is let in, what is said when not, and life and death."""

import asyncio
from random import Random

import msgspec
import pytest

from telcod.clock import ManualClock
from telcod.errors import NotStarted
from telcod.mqtt.client import Mqtt, tls_context
from telcod.mqtt.errors import BrokerAway, BrokerRefused
from telcod.settings import MqttSettings, Secret
from telcod.simulator.watch import WAIT_S
from telcod.types import Channel, Request
from tests.mqtt.broker import PASSWORD, USER, Broker, Certificates, Peer, free_port
from tests.mqtt.station import AN, Station, settings_of
from ussd.mqtt import MqttPushes
from ussd.push import Push, PushFailed

pytestmark = [pytest.mark.anyio, pytest.mark.rule("MQTT-3", "MQTT-4")]

STATUS = "telcod/status"
PROPER = {"user": USER, "password": Secret(PASSWORD)}


async def nobody(_):
    raise AssertionError("nothing is asked")


async def error_of(settings, *, tls=None):
    """What it says when it does not get in; it goes on trying meanwhile, and stops at once."""

    told = asyncio.Event()
    client = Mqtt(
        settings, {}, None, nobody, ManualClock(0), Random(1), tls=tls, told=lambda _: told.set()
    )
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(client.run())
        await told.wait()
        assert not client.connected
        client.stop()
        await running
    return client.last_error


async def test_a_user_with_his_password_over_tls_is_let_in(tmp_path):
    tls = Certificates(tmp_path)
    async with (
        Broker(tmp_path, password=True, tls=tls) as broker,
        Station(tmp_path, broker, tls_ca=str(tls.certificate), **PROPER) as station,
        Peer(broker, listens=["telcod/reply/peer"]) as peer,
    ):
        assert station.mqtt.connected
        assert not station.mqtt.last_error
        told = await peer.ask("ivr", {"op": "show", "call_id": "c1"})
        assert told["error"]["code"] == "not_found"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("who", [{}, {"user": USER, "password": Secret("guess")}])
async def test_a_wrong_password_is_told_as_such(tmp_path, protocol, who):
    async with Broker(tmp_path, password=True) as broker:
        error = await error_of(settings_of(broker, protocol=protocol, **who))
    name = who.get("user", "")
    assert error == (
        f"the broker 127.0.0.1:{broker.port} refuses the user {name!r}: unknown, a wrong password, "
        "or not let. Set mqtt.user and mqtt.password to what the broker knows."
    )
    assert "guess" not in error


async def test_a_certificate_that_nobody_known_has_signed_is_told_as_such(tmp_path):
    async with Broker(tmp_path, tls=Certificates(tmp_path)) as broker:
        other = Certificates(tmp_path, "other")
        settings = settings_of(broker, tls_ca=str(other.certificate))
        error = await error_of(settings, tls=tls_context(settings))
    assert error.startswith(f"the certificate of the broker 127.0.0.1:{broker.port} is not trusted")
    assert "mqtt.tls_ca" in error


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path):
    tls = Certificates(tmp_path)
    async with Broker(tmp_path, tls=tls) as broker:
        url = broker.url.replace("127.0.0.1", "localhost")
        settings = settings_of(broker, url=url, tls_ca=str(tls.certificate))
        error = await error_of(settings, tls=tls_context(settings))
    assert "is not trusted: Hostname mismatch" in error


async def test_tls_where_the_broker_has_none_is_told_as_such(tmp_path, broker):
    settings = settings_of(broker, url=broker.url.replace("mqtt:", "mqtts:"))
    error = await error_of(settings, tls=tls_context(settings))
    assert error.startswith(f"TLS with the broker 127.0.0.1:{broker.port} failed")


async def test_no_tls_where_the_broker_wants_it_ends_at_once(tmp_path):
    async with Broker(tmp_path, tls=Certificates(tmp_path)) as broker:
        settings = settings_of(broker, url=broker.url.replace("mqtts:", "mqtt:"))
        error = await error_of(settings)
    assert error.startswith(f"the broker 127.0.0.1:{broker.port} ended the connection")


async def test_no_broker_is_told_as_such():
    error = await error_of(MqttSettings(url=f"mqtt://127.0.0.1:{free_port()}"))
    assert error.startswith("no broker listens at 127.0.0.1:")


async def test_a_certificate_file_that_is_none_is_seen_at_start(tmp_path):
    settings = MqttSettings(url="mqtts://broker.example", tls_ca="ca.pem")
    with pytest.raises(NotStarted, match=r"ca\.pem"):
        tls_context(settings, tmp_path)
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(NotStarted, match=r"ca\.pem"):
        tls_context(settings, tmp_path)


async def test_the_password_is_in_no_log(tmp_path):
    async with Broker(tmp_path, password=True) as broker, Station(tmp_path, broker, **PROPER) as st:
        assert PASSWORD not in str(st.logged)
        assert PASSWORD not in repr(st.settings)


async def test_others_see_whether_telcod_is_there(broker, station):
    async with Peer(broker, listens=[STATUS]) as peer:
        assert await peer.hear_on(STATUS) == [b"online"]
        await station.leave()
        assert await peer.hear_on(STATUS, 2) == [b"online", b"offline"]
        async with Peer(broker, "late", listens=[STATUS]) as late:
            assert await late.hear_on(STATUS) == [b"offline"]  # It is retained.
        await station.connect()
        assert await peer.hear_on(STATUS, 3) == [b"online", b"offline", b"online"]


async def test_the_broker_says_offline_for_a_telcod_that_died(broker, station):
    async with Peer(broker, listens=[STATUS]) as peer:
        await peer.hear_on(STATUS)
        station.die()
        assert await peer.hear_on(STATUS, 2) == [b"online", b"offline"]


async def test_another_with_the_same_id_is_told_as_such_and_telcod_comes_back(broker, station):
    async with Peer(broker, "telcod"):
        await station.wait_reached(2)
    assert any("mqtt.client_id 'telcod'" in line for line in station.told)


async def test_a_stop_while_the_broker_is_away_is_quick(broker, station):
    await broker.kill()
    await station.wait_lost()
    async with asyncio.timeout(WAIT_S):
        await station.leave()


async def test_a_broker_that_comes_back_is_found_again(broker, station):
    for times in range(2, 5):
        await broker.kill()
        await broker.start()
        await station.wait_reached(times)
    assert station.mqtt.connected
    assert not station.mqtt.last_error


@pytest.mark.rule("USSD-4")
async def test_a_push_is_done_when_the_broker_has_it(broker, station):
    async with Peer(broker, listens=["telcod/ussd/push"]) as peer:
        pushes = MqttPushes(station.mqtt)
        await pushes.push(Push("push-17", AN, "Dong y?", asks=True, expires_in_s=60))
        await pushes.push(Push("push-18", AN, "Da gui", asks=False, expires_in_s=60))
        heard = [msgspec.json.decode(body) for body in await peer.hear_on("telcod/ussd/push", 2)]
    assert heard[0] == {
        "session_id": "push-17",
        "msisdn": str(AN),
        "action": "ask",
        "text": "Dong y?",
        "expires_in_s": 60,
    }
    assert heard[1]["action"] == "notify"
    assert 0 < peer.heard[0].properties.MessageExpiryInterval <= 60


@pytest.mark.rule("USSD-4")
async def test_a_push_without_a_broker_is_to_be_tried_again(broker, station):
    await broker.kill()
    await station.wait_lost()
    with pytest.raises(PushFailed) as failed:
        await MqttPushes(station.mqtt).push(Push("push-1", AN, "x", asks=False, expires_in_s=60))
    assert failed.value.retry


def acl(folder, *lines):
    path = folder / "acl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return [f"acl_file {path}"]


@pytest.mark.rule("USSD-4", "MQTT-2")
async def test_what_the_brokers_access_list_forbids_is_told_and_does_no_harm_to_the_rest(tmp_path):
    allowed = ["status", "ivr/#", "reply/#"]
    lines = acl(tmp_path, "pattern read #", *(f"pattern write telcod/{topic}" for topic in allowed))
    async with (
        Broker(tmp_path, config=lines) as broker,
        Station(tmp_path, broker) as station,
        Peer(broker, listens=["telcod/reply/peer"]) as peer,
    ):
        with pytest.raises(BrokerRefused):
            await station.mqtt.publish("ussd/push", b"{}")
        push = Push("push-1", AN, "x", asks=False, expires_in_s=60)
        with pytest.raises(PushFailed) as failed:
            await MqttPushes(station.mqtt).push(push)
        assert not failed.value.retry
        request = Request(
            "package.register_day", sender=AN, channel=Channel.USSD, short_code="1566"
        )
        await station.submit(request)
        while not station.logs("event.refused"):
            await peer.ask("ivr", {"op": "show", "call_id": "c1"})
        assert "access list" in station.mqtt.last_error
        assert station.mqtt.events_confirmed == 0
        assert station.mqtt.connected


def test_answers_may_not_go_where_telcod_itself_speaks():
    for prefix in ("telcod/", "telcod/events/", "telcod/ussd/"):
        with pytest.raises(ValueError, match="reply_prefix"):
            MqttSettings(url="mqtt://h", reply_prefix=prefix)


async def test_nothing_is_published_before_the_broker_is_reached(tmp_path, broker):
    client = Mqtt(settings_of(broker), {}, None, nobody, ManualClock(0), Random(1))
    with pytest.raises(BrokerAway):
        await client.publish("x", b"{}")
