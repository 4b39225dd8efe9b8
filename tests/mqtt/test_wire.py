"""What the library lacks and a connection has: acknowledgements in their order."""

import pytest
from aiomqtt import Will
from hypothesis import given
from hypothesis import strategies as st

from telcod.mqtt.wire import Received, Wire

pytestmark = [pytest.mark.anyio, pytest.mark.rule("MQTT-1")]


def wire():
    return Wire(
        "127.0.0.1",
        1,
        client_id="telcod",
        user="",
        password="",
        protocol="5",
        will=Will("telcod/status", b"offline"),
        keepalive_s=30,
        session_s=60,
        receive_max=9,
        tls=None,
    )


def acknowledged(wire):
    return [packet["mid"] for packet in wire._inner._out_packet]


@given(order=st.permutations(range(1, 8)))
async def test_messages_are_acknowledged_in_the_order_of_arrival(order):
    # MQTT 5, 4.6: a client must send PUBACKs in the order in which the PUBLISHes came.
    connection = wire()
    arrivals = {mid: connection.arrival(Received("t", b"", 1, False, mid)) for mid in range(1, 8)}
    done = set()
    for mid in order:
        done.add(mid)
        connection.acknowledge(arrivals[mid])
        known = acknowledged(connection)
        assert known == list(range(1, len(known) + 1))
        assert set(known) <= done
        assert len(known) + 1 not in done
    assert acknowledged(connection) == list(range(1, 8))


async def test_what_needs_no_acknowledgement_gets_none():
    connection = wire()
    connection.acknowledge(connection.arrival(Received("t", b"", 0, False, 0)))
    assert acknowledged(connection) == []


async def test_who_waits_for_a_lost_connection_is_told_once():
    connection = wire()
    sent = connection.send("t", b"x")
    assert "there is no connection" in str(sent.exception())
    connection.give_up()
