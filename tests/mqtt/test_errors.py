"""What goes wrong with a broker is one sentence, and says what to set."""

import socket
import ssl

import pytest
from aiomqtt import MqttCodeError, MqttError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from telcod.mqtt.errors import why

pytestmark = pytest.mark.rule("MQTT-3")


def said(error):
    return why(error, where="b:1883", user="telcod", client_id="one").sentence()


def refusal(name, packet=PacketTypes.CONNACK):
    return MqttCodeError(ReasonCode(packet, name))


def caused(cause):
    error = MqttError("it failed")
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal("Bad user name or password"), "mqtt.password"),
        (refusal("Not authorized"), "mqtt.user"),
        (refusal("Client identifier not valid"), "mqtt.client_id"),
        (refusal("Unsupported protocol version"), "mqtt.protocol"),
        (refusal("Server busy"), "Server busy"),
        (refusal("Session taken over", PacketTypes.DISCONNECT), "another client"),
        (caused(ConnectionRefusedError(111, "refused")), "no broker listens at b:1883"),
        (caused(socket.gaierror(-2, "unknown")), "has no address"),
        (caused(TimeoutError("timed out")), "does not answer"),
        (caused(OSError(113, "No route to host")), "No route to host"),
        (caused(ssl.SSLError(1, "wrong version")), "speaks TLS"),
        (MqttError("Operation timed out"), "Operation timed out"),
        (UnicodeError("label too long"), "label too long"),
    ],
    ids=repr,
)
def test_a_reason_is_told_with_what_to_look_at(error, words):
    assert words in said(error)
    assert "b:1883" in said(error)
