"""A connection to the broker, kept for ever, and all that goes over it (MQTT-1…3).

`<topics>status` says, retained, whether telcod is there: `online`, or `offline`, which the broker
says for us when we die; of a connection for one gateway, `<topics>status/<gateway>` says it.  The
broker keeps our session while we are away, so that requests wait.  A lost connection is made again
with growing pauses and some chance in them.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from aiomqtt import MqttError, Will

from telcod.clock import Clock
from telcod.errors import NotStarted
from telcod.mqtt.errors import BrokerAway, BrokerRefused, why
from telcod.mqtt.events import EventReader, Events
from telcod.mqtt.requests import Ops, Requests
from telcod.mqtt.wire import ANSWER_WAIT_S, CONNECT_WAIT_S, Wire
from telcod.settings import MqttSettings
from telcod.types import Answer, Request

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
DRAIN_S: Final = 1.2
"""With the good-bye less than what the daemon waits for us."""
GOOD_BYE_S: Final = 0.5
STOOD_S: Final = 10.0
"""A connection that lasted so long was a good one: the next pause is a short one again."""
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

_log = structlog.stdlib.get_logger(__name__)


def tls_context(settings: MqttSettings, folder: Path = Path()) -> ssl.SSLContext | None:
    """How the broker is trusted; None for a broker without TLS.

    Args:
        settings: `tls_ca` names who signed its certificate; empty is the system's authorities.
        folder: Where `tls_ca` is, if it is not absolute.

    Raises:
        NotStarted: `tls_ca` can't be read, or holds no certificate.
    """
    if urlsplit(settings.url).scheme != "mqtts":
        return None
    authorities = folder / settings.tls_ca if settings.tls_ca else None
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise NotStarted(
            f"the certificates of {settings.tls_ca} can't be used: {error}",
            what_to_do="Set mqtt.tls_ca to a file of PEM certificates that can be read.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Mqtt:
    """Telcod at the broker.

    Args:
        settings: Where it is, and who we are.
        ops: What can be asked of us.
        reader: Where events are; None: none are told.
        submit: How the cursor of events is kept.
        clock: For what expires.
        rng: For the jitter of reconnects.
        tls: See `tls_context`.
        told: Gets a line when the broker is reached or lost.
        gateway: Whose requests these are, if they have topics of their own; empty: those of all
            who have none.
    """

    def __init__(
        self,
        settings: MqttSettings,
        ops: Ops,
        reader: EventReader | None,
        submit: Callable[[Request], Awaitable[Answer]],
        clock: Clock,
        rng: Random,
        *,
        tls: ssl.SSLContext | None = None,
        told: Callable[[str], None] = lambda _: None,
        gateway: str = "",
    ) -> None:
        url = urlsplit(settings.url)
        self.gateway: Final = gateway
        self.settings: Final = settings
        self.host: Final = url.hostname or ""
        self.port: Final = url.port or _PORTS[url.scheme]
        self.where: Final = f"{self.host}:{self.port}"
        self._client_id: Final = "-".join(filter(None, (settings.client_id, gateway)))
        self._status: Final = f"{settings.topics}status" + (f"/{gateway}" if gateway else "")
        self._whose: Final = f" for the gateway {gateway}" if gateway else ""
        self._last_error = ""
        self._ops: Final = ops
        self._clock: Final = clock
        self._rng: Final = rng
        self._tls: Final = tls
        self._told: Final = told
        self._stopping: Final = asyncio.Event()
        self._wire: Wire | None = None
        self._events: Events | None = None
        if reader is not None:
            self._events = Events(reader, submit, prefix=f"{settings.topics}events/")

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._wire is not None

    @property
    def last_error(self) -> str:
        """Why it is not there, or does not take events, in one sentence; empty: all is well."""
        return self._last_error or (self._events.problem if self._events else "")

    @property
    def events_confirmed(self) -> int:
        """All events up to this number are with the broker."""
        return self._events.confirmed if self._events else 0

    def wake_events(self) -> None:
        """Events were committed."""
        if self._events is not None:
            self._events.wake()

    async def publish(self, name: str, payload: bytes, *, expires_in_s: int = 0) -> None:
        """Hand one message to the broker; returns when it has it.

        Args:
            name: The topic behind `settings.topics`.
            payload: JSON.
            expires_in_s: Nobody wants it after so many seconds; 0 is never.

        Raises:
            BrokerAway: It may not have come.
            BrokerRefused: It will not come.
        """
        if self._wire is None:
            raise BrokerAway(self.last_error or f"the broker {self.where} is not reached yet")
        topic = f"{self.settings.topics}{name}"
        sent = self._wire.send(topic, payload, expires_in_s=expires_in_s)
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                await sent
        except TimeoutError as error:
            raise BrokerAway(f"the broker {self.where} does not acknowledge") from error

    def stop(self) -> None:
        """End in good order: what was asked is answered, what is under way arrives; then `run`
        returns.
        """
        self._stopping.set()

    async def run(self) -> None:
        """Keep a connection until `stop`, or until cancelled."""
        failures = 0
        while not self._stopping.is_set():
            started_s = self._clock.monotonic_s()
            try:
                await self._connected_once()
            except BrokerAway as error:
                self._say(error)
            if self._clock.monotonic_s() - started_s > STOOD_S:
                failures = 0
            await self._pause(failures)
            failures += 1

    # -- one connection

    async def _connected_once(self) -> None:
        """Connect, work, and return after `stop`.

        Raises:
            BrokerAway: There is no connection, or no longer.
        """
        wire = self._new_wire()
        requests = Requests(
            wire,
            self._ops,
            self._clock,
            topics=self.settings.topics,
            reply_prefix=self.settings.reply_prefix,
            gateway=self.gateway,
            workers=self.settings.requests_max,
        )
        # Before it is open: what the broker has kept for us comes right behind its CONNACK.
        wire.on_received = requests.take
        try:
            await self._open(wire)
            await self._use(wire, requests)
        except BrokerRefused as error:
            raise BrokerAway(str(error), what_to_do=error.what_to_do) from error
        except MqttError as error:
            raise self._why(error) from error
        finally:
            self._wire = None
            wire.give_up()

    def _new_wire(self) -> Wire:
        settings = self.settings
        return Wire(
            self.host,
            self.port,
            client_id=self._client_id,
            user=settings.user,
            password=settings.password.reveal() if settings.password else "",
            protocol=settings.protocol,
            will=Will(self._status, OFFLINE, qos=1, retain=True),
            keepalive_s=settings.keepalive_s,
            session_s=settings.session_s,
            receive_max=settings.requests_max,
            tls=self._tls,
        )

    async def _open(self, wire: Wire) -> None:
        """Connect; a thread of the library's does, so that a cancellation must wait for it."""
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(_opened(wire), name="mqtt connect")
            try:
                error = await asyncio.shield(opening)
            except asyncio.CancelledError:
                await asyncio.wait([opening], timeout=3 * CONNECT_WAIT_S)
                await wire.close()
                raise
        if error is not None:
            raise self._why(error)

    async def _use(self, wire: Wire, requests: Requests) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                work = [
                    group.create_task(requests.run(), name="mqtt requests"),
                    group.create_task(self._watch(wire), name="mqtt watch"),
                ]
                await self._greet(wire, requests)
                telling: list[asyncio.Task[None]] = []
                if self._events is not None:
                    telling.append(group.create_task(self._events.run(wire), name="mqtt events"))
                    work.append(group.create_task(self._events.keep(), name="mqtt cursor"))
                await self._stopping.wait()
                await self._end(wire, requests, telling)
                for task in (*work, *telling):
                    task.cancel()
        except* (BrokerAway, BrokerRefused, MqttError) as lost:
            raise _first(lost) from None
        finally:
            await wire.close()

    async def _greet(self, wire: Wire, requests: Requests) -> None:
        share = self.settings.share_group
        shared = f"$share/{share}/" if share else ""
        await wire.take_requests([f"{shared}{topic}" for topic in requests.topics])
        await wire.send(self._status, ONLINE, retain=True)
        self._wire = wire
        self._last_error = ""
        _log.info("broker.connected", where=self.where, gateway=self.gateway)
        self._told(f"MQTT broker {self.where} is reached{self._whose}")

    async def _watch(self, wire: Wire) -> None:
        """
        Raises:
            BrokerAway: The connection is lost.
        """
        try:
            await wire.lost()
        except Exception as error:  # whatever the library failed by, it is over
            raise self._why(error) from error
        finally:
            wire.give_up()
        raise BrokerAway(f"the broker {self.where} ended the connection")

    async def _end(self, wire: Wire, requests: Requests, telling: list[asyncio.Task[None]]) -> None:
        """Finish what was begun, within `DRAIN_S`, and say that we go."""
        self._wire = None
        if not await _within(DRAIN_S, self._finish(requests, telling)):
            _log.warning("broker.left_early", where=self.where)
        status = wire.send(self._status, OFFLINE, retain=True)
        await asyncio.wait([status], timeout=GOOD_BYE_S)
        _log.info("broker.left", where=self.where, gateway=self.gateway)

    async def _finish(self, requests: Requests, telling: list[asyncio.Task[None]]) -> None:
        await requests.drain()
        if self._events is not None:
            self._events.close()
            await asyncio.wait(telling)
            await self._events.save()

    # -- between connections

    def _why(self, error: BaseException) -> BrokerAway:
        settings = self.settings
        return why(error, where=self.where, user=settings.user, client_id=self._client_id)

    def _say(self, error: BrokerAway) -> None:
        sentence = error.sentence()
        if sentence == self._last_error:
            # Every try after the first fails for the same reason, as a rule.
            _log.debug("broker.lost", where=self.where, gateway=self.gateway, reason=str(error))
            return
        self._last_error = sentence
        _log.warning("broker.lost", where=self.where, gateway=self.gateway, reason=str(error))
        self._told(f"MQTT broker is away{self._whose}: {sentence}")

    async def _pause(self, failures: int) -> None:
        settings = self.settings
        longest = min(settings.reconnect_max_s, settings.reconnect_min_s * 2 ** min(failures, 20))
        await _within(longest * self._rng.uniform(0.5, 1.0), self._stopping.wait())


async def _within(wait_s: float, work: Coroutine[Any, Any, object]) -> bool:
    """Whether something was finished in so many seconds; if not, it is left."""
    try:
        async with asyncio.timeout(wait_s):
            await work
    except TimeoutError:
        return False
    return True


async def _opened(wire: Wire) -> Exception | None:
    """Connect; what went wrong as a value, because it may be asked for twice."""
    try:
        await wire.open()
    except (MqttError, ValueError) as error:  # ValueError: the host's name is none
        return error
    return None


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first reason: what came after it broke because of it."""
    flat: list[Exception] = []
    waiting: list[BaseException] = list(group.exceptions)
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions
        elif isinstance(error, Exception):
            flat.append(error)
    return flat[0]
