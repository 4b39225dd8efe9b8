"""One connection to a broker: aiomqtt with what it lacks.

Added are: a received message is acknowledged when its work is done and not before, in the order
of arrival, as the protocol has it (4.6); many messages may be under way, in order, each with its
own future; how many, the broker says in its CONNACK; a connection that ends before its CONNACK is
known at once.  All else is the library's: sockets on the loop, keepalive, the protocol.

aiomqtt keeps paho's client, which can all of this, under a private name; hence the exemptions.
"""

import asyncio
import errno
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import aiomqtt
import paho.mqtt.client as paho
import structlog
from aiomqtt import MqttCodeError, ProtocolVersion, Will
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from telcod.mqtt.errors import BrokerAway, BrokerRefused

CONNECT_WAIT_S: Final = 2.0
"""For each of: TCP, TLS, CONNACK."""
ANSWER_WAIT_S: Final = 10.0
IN_FLIGHT_311: Final = 20
"""MQTT 3.1.1 has no word for it; brokers take so many unasked."""
IN_FLIGHT_MAX: Final = 1_000
PACKET_BYTES_MAX: Final = 1024 * 1024
"""What the broker need not send us: it drops it, and nobody is answered."""
_FAILURE: Final = 0x80
_SEND_RETAINED_NEVER: Final = 2


class Received(NamedTuple):
    """A message, in our words; what MQTT 3.1.1 does not say is empty.

    `expires_in_s` is what is left of its life on arrival (None: it lives for ever).
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    mid: int
    answer_to: str = ""
    correlation: bytes = b""
    expires_in_s: int | None = None


_log = structlog.stdlib.get_logger(__name__)

Take = Callable[[Received], None]


class _Arrival:
    __slots__ = ("done", "mid")

    def __init__(self, mid: int) -> None:
        self.mid: Final = mid
        self.done = False


class Wire(aiomqtt.Client):
    """A connection; it is opened and closed once.

    Args:
        host: Where the broker is.
        port: The same.
        client_id: What the broker knows the session by.
        user: Empty: none is given.
        password: The user's.
        protocol: "5" or "3.1.1".
        will: What the broker says when we are gone without a word.
        keepalive_s: After so many seconds of silence, the other is asked for a sign of life.
        session_s: How long the broker keeps the session while we are away.
        receive_max: How many QoS 1 messages it may send us before we acknowledge one.
        tls: How the broker is trusted; None is without TLS.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        user: str,
        password: str,
        protocol: str,
        will: Will,
        keepalive_s: int,
        session_s: int,
        receive_max: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        newest = protocol == "5"
        said = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        said.SessionExpiryInterval = session_s
        said.ReceiveMaximum = receive_max
        said.MaximumPacketSize = PACKET_BYTES_MAX
        super().__init__(
            host,
            port,
            identifier=client_id,
            username=user or None,
            password=password or None,
            protocol=ProtocolVersion.V5 if newest else ProtocolVersion.V311,
            will=will,
            keepalive=keepalive_s,
            clean_start=False if newest else paho.MQTT_CLEAN_START_FIRST_ONLY,
            clean_session=None if newest else False,
            properties=said if newest else None,
            tls_context=tls,
            timeout=CONNECT_WAIT_S,
        )
        self.newest: Final = newest
        self._thread: Final = threading.get_ident()
        self.in_flight_max = IN_FLIGHT_311
        self.on_received: Take = lambda _: None
        self._sent: dict[int, asyncio.Future[None]] = {}
        self._arrived: deque[_Arrival] = deque()
        self._inner: Final = cast("Any", self._client)
        self._inner.manual_ack_set(on=True)
        self._inner.connect_timeout = CONNECT_WAIT_S
        self._decode_and_tell: Final[Callable[[], int]] = self._inner._handle_publish
        self._inner._handle_publish = self._handle_publish
        self._tls: Final = tls
        self._inner._ssl_wrap_socket = self._over_tls

    # -- sending

    def send(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation: bytes = b"",
        expires_in_s: int = 0,
    ) -> asyncio.Future[None]:
        """Send with QoS 1, after all that was sent before.

        Args:
            topic: Where to.
            payload: JSON, or a word.
            retain: Whether the broker keeps it for who comes later.
            correlation: The requester's own, for an answer.
            expires_in_s: Nobody wants it after so many seconds; 0 is never.

        Returns:
            Done when the broker has it; fails with `BrokerAway` or `BrokerRefused`.  Nobody need
            wait for it.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(_seen)
        said = self._said(correlation, expires_in_s) if self.newest else None
        info = self._inner.publish(topic, payload, 1, retain, said)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            future.set_exception(BrokerAway("there is no connection to the broker"))
        else:
            self._sent[info.mid] = future
        return future

    async def take_requests(self, filters: list[str]) -> None:
        """Subscribe; messages come to `on_received`.

        Raises:
            BrokerRefused: The broker does not let us.
            MqttError: The connection was lost.
        """
        for topic in filters:
            if self.newest:
                # Requests are not to be retained; what is retained all the same is old.
                options = SubscribeOptions(qos=1, retainHandling=_SEND_RETAINED_NEVER)
                codes: Any = await self.subscribe(topic, options=options, timeout=ANSWER_WAIT_S)
            else:
                codes = await self.subscribe(topic, qos=1, timeout=ANSWER_WAIT_S)
            for code in codes:
                if (code.value if isinstance(code, ReasonCode) else code) >= _FAILURE:
                    raise BrokerRefused(f"the broker does not let telcod subscribe to {topic}")

    # -- receiving

    def acknowledge(self, arrival: object) -> None:
        """The work on a message is done; the broker may forget it, and all done before it."""
        if isinstance(arrival, _Arrival):
            arrival.done = True
        while self._arrived and self._arrived[0].done:
            self._inner.ack(self._arrived.popleft().mid, 1)

    def arrival(self, message: Received) -> object:
        """What `acknowledge` wants of a message; to be taken in the order of arrival."""
        arrival = _Arrival(message.mid)
        if message.qos:
            self._arrived.append(arrival)
        return arrival

    # -- the end

    async def open(self) -> None:
        """Connect.

        Raises:
            MqttError: It failed, in the library's words.
        """
        try:
            await self.__aenter__()
        except BaseException:
            self._inner._sock_close()
            raise

    async def close(self) -> None:
        """Say good-bye, if the connection still stands, and close it."""
        self.give_up()
        try:
            if self._inner.is_connected():
                await self.__aexit__(None, None, None)
        except aiomqtt.MqttError:
            pass  # It did not hear us in time; it is closed all the same.
        finally:
            self._inner._sock_close()

    async def lost(self) -> None:
        """Return when the connection is lost.

        Raises:
            BaseException: Why, if the library knows.
        """
        await asyncio.shield(self._disconnected)

    def give_up(self) -> None:
        """Whoever waits for the broker need wait no longer."""
        for future in self._sent.values():
            if not future.done():
                future.set_exception(BrokerAway("the connection to the broker was lost"))
        self._sent.clear()

    # -- what the library tells; its signatures

    def _over_tls(self, plain: socket.socket) -> ssl.SSLSocket:
        """Shake hands, on the library's thread; unlike it, leave no socket open if that fails."""
        if self._tls is None:
            raise ValueError("TLS was not asked for")
        secure = self._tls.wrap_socket(
            plain, server_hostname=self._hostname, do_handshake_on_connect=False
        )
        try:
            secure.settimeout(CONNECT_WAIT_S)
            secure.do_handshake()
        except ConnectionError as error:
            secure.close()
            raise ssl.SSLError(errno.ECONNRESET, "the other side hung up") from error
        except BaseException:
            secure.close()
            raise
        return secure

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self.newest:
            most = getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX)
            self.in_flight_max = min(most, IN_FLIGHT_MAX)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            # The library would wait for the CONNACK until its time is over.
            self._connected.set_exception(MqttCodeError(reason_code, "ended before CONNACK"))
            self._connected.exception()  # It may be that nobody waits for it any more.
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _handle_publish(self) -> int:
        """Take a message that has come; one that the library can't read is done with.

        It refuses U+FEFF in a property, which MQTT allows and brokers pass on, by losing the
        connection; the broker would send the same again, for ever.
        """
        try:
            return self._decode_and_tell()
        except (MalformedPacket, ValueError) as error:
            said = self._inner._in_packet
            qos, packet = said["command"] >> 1 & 3, bytes(said["packet"])
            _log.warning("mqtt.unreadable", reason=str(error), qos=qos)
            if qos:
                after_topic = 2 + int.from_bytes(packet[:2], "big")
                mid = int.from_bytes(packet[after_topic : after_topic + 2], "big")
                arrival = _Arrival(mid)
                self._arrived.append(arrival)
                self.acknowledge(arrival)
            return paho.MQTT_ERR_SUCCESS

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        """There is something to write.

        The library would see to it in the loop's next round, when the socket may be closed and its
        number another's.
        """
        del userdata
        if self._thread == threading.get_ident():
            self._watch_writing(client, sock)
        else:  # while connecting
            self._loop.call_soon_threadsafe(self._watch_writing, client, sock)

    def _watch_writing(self, client: paho.Client, sock: socket.socket) -> None:
        if client.socket() is sock:  # and not closed meanwhile
            self._loop.add_writer(sock.fileno(), self._write, client)

    def _write(self, client: paho.Client) -> None:
        try:
            client.loop_write()
        except OSError as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        del client, userdata
        said = message.properties
        self.on_received(
            Received(
                message.topic,
                bytes(message.payload),
                message.qos,
                message.retain,
                message.mid,
                getattr(said, "ResponseTopic", ""),
                getattr(said, "CorrelationData", b""),
                getattr(said, "MessageExpiryInterval", None),
            )
        )

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        del client, userdata, properties
        future = self._sent.pop(mid, None)
        if future is None or future.done():
            return
        if reason_code.value >= _FAILURE:
            future.set_exception(BrokerRefused(f"the broker does not take it: {reason_code}"))
        else:
            future.set_result(None)

    @staticmethod
    def _said(correlation: bytes, expires_in_s: int) -> Properties | None:
        if not correlation and not expires_in_s:
            return None
        said = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if correlation:
            said.CorrelationData = correlation
        if expires_in_s:
            said.MessageExpiryInterval = expires_in_s
        return said


def _seen(future: asyncio.Future[None]) -> None:
    """Take note of a failure that nobody may wait for."""
    if not future.cancelled():
        future.exception()
