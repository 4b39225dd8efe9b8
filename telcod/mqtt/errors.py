"""What goes wrong with a broker, as one sentence and what to do.

The library's exceptions, and those of sockets and TLS behind them, end here.
"""

import ssl
from socket import gaierror
from typing import Final

from aiomqtt import MqttCodeError, MqttError
from paho.mqtt.reasoncodes import ReasonCode

from telcod.errors import TelcodError

BAD_USER: Final = 0x86
NOT_AUTHORISED: Final = 0x87
TAKEN_OVER: Final = 0x8E
_BAD_CLIENT_ID: Final = 0x85
_BAD_PROTOCOL: Final = (0x84, 0x01)


class BrokerAway(TelcodError):
    """There is no connection to the broker, or it was lost.  What was being sent may have come."""

    next_step = "telcod tries again by itself; see that the broker runs and can be reached."


class BrokerRefused(TelcodError):
    """The broker does not take this message."""

    next_step = "Let the broker's access list permit what docs/mqtt.md names."


def why(error: BaseException, *, where: str, user: str, client_id: str) -> BrokerAway:
    """Why a connection was not made, or was lost.

    Args:
        error: What the library raised, or what lies behind it.
        where: The broker as `host:port`.
        user: Who telcod says it is.
        client_id: What the broker knows its session by.
    """
    code = error.rc if isinstance(error, MqttCodeError) else None
    if isinstance(code, ReasonCode):
        return _by_code(code, where=where, user=user, client_id=client_id)
    cause = error.__cause__ or error.__context__
    if isinstance(error, MqttError) and cause is not None:
        return why(cause, where=where, user=user, client_id=client_id)
    return _of_socket(error, where)


def _by_code(code: ReasonCode, *, where: str, user: str, client_id: str) -> BrokerAway:
    if code.value in {BAD_USER, NOT_AUTHORISED}:
        return BrokerAway(
            f"the broker {where} refuses the user {user!r}: unknown, a wrong password, or not let",
            what_to_do="Set mqtt.user and mqtt.password to what the broker knows.",
        )
    if code.value == TAKEN_OVER:
        return BrokerAway(
            f"another client has connected to {where} as {client_id!r}",
            what_to_do="Give each daemon a mqtt.client_id of its own.",
        )
    if code.value == _BAD_CLIENT_ID:
        return BrokerAway(
            f"the broker {where} does not take the client id {client_id!r}",
            what_to_do="Set mqtt.client_id to one that it takes.",
        )
    if code.value in _BAD_PROTOCOL:
        return BrokerAway(
            f"the broker {where} does not speak this version of MQTT",
            what_to_do='Set mqtt.protocol to "3.1.1".',
        )
    return BrokerAway(
        f"the broker {where} ended the connection: {code}",
        what_to_do="telcod tries again by itself; if it happens again and again, see the broker's "
        f"log, and that no other client has mqtt.client_id {client_id!r}.",
    )


def _of_socket(error: BaseException, where: str) -> BrokerAway:
    match error:
        case ssl.SSLCertVerificationError():
            return BrokerAway(
                f"the certificate of the broker {where} is not trusted: {error.verify_message}",
                what_to_do="Set mqtt.tls_ca to who signed it, and mqtt.url to the name in it.",
            )
        case ssl.SSLError():
            # What OpenSSL said has a reason, what we say ourselves has not.
            reason = getattr(error, "reason", None) or error.strerror or error
            return BrokerAway(
                f"TLS with the broker {where} failed: {reason}",
                what_to_do="See that the broker speaks TLS at this port; mqtt:// is without.",
            )
        case ConnectionRefusedError():
            return BrokerAway(f"no broker listens at {where}")
        case gaierror():
            return BrokerAway(
                f"the broker's host has no address: {where}",
                what_to_do="Look at mqtt.url, and at the machine's name service.",
            )
        case TimeoutError():
            return BrokerAway(f"the broker {where} does not answer")
        case OSError():
            return BrokerAway(
                f"the connection to the broker {where} broke: {error.strerror or error}"
            )
        case _:
            return BrokerAway(f"the connection to the broker {where} was lost: {error}")
