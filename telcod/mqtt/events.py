"""Events from the outbox, told to other systems: all of them, in order, at least once (MQTT-2).

They leave in the order of their numbers over one connection, some at a time, and the cursor in the
books follows what the broker has acknowledged without a gap.  After a broken connection, or a
crash, it goes on from the cursor: what comes twice has the same id.  Nothing waits in memory but
what is under way; the rest is in the books, however long the broker is away.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
import structlog

from telcod.errors import TelcodError
from telcod.mqtt.errors import BrokerAway, BrokerRefused
from telcod.mqtt.wire import ANSWER_WAIT_S, Wire
from telcod.rows import OutboxEvent
from telcod.types import Answer, Channel, Request

PUBLISHED_ROUTE: Final = "events.published"
SLICE: Final = 500
SAVE_EVERY: Final = 500
SAVE_WAIT_S: Final = 1.0
LOOK_AGAIN_S: Final = 1.0
UNDER_WAY_MAX: Final = 500
REFUSED_WAIT_S: Final = 10.0

_log = structlog.stdlib.get_logger(__name__)


class EventReader(Protocol):
    """What is read of the books."""

    async def events(self, *, after: int, most: int) -> list[OutboxEvent]:
        """Committed events with numbers above `after`, in order, so many at most."""

    async def published(self) -> int:
        """The cursor: all events up to this number are with the broker."""


def payload(row: OutboxEvent) -> bytes:
    """An event as JSON; each copy of it is the same, byte for byte."""
    own: dict[str, object] = {"id": f"{row.at}-{row.seq}", "seq": row.seq, "at": row.at}
    if row.msisdn:
        own["msisdn"] = str(row.msisdn)
    body: dict[str, object] = msgspec.json.decode(row.body, type=dict[str, object])
    return msgspec.json.encode({**own, **body, **own})


class Events:
    """Tells events by one connection after the other.

    Args:
        reader: Where they are.
        submit: How the cursor is kept.
        prefix: How their topics begin.

    `problem` is why the broker does not take an event; empty while it takes them.
    """

    def __init__(
        self,
        reader: EventReader,
        submit: Callable[[Request], Awaitable[Answer]],
        *,
        prefix: str,
    ) -> None:
        self._reader: Final = reader
        self._submit: Final = submit
        self._prefix: Final = prefix
        self._news: Final = asyncio.Event()
        self._moved: Final = asyncio.Event()
        self._many: Final = asyncio.Event()
        self._confirmed = 0
        self._saved = 0
        self._under_way: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._closing: Final = asyncio.Event()
        self.problem = ""

    @property
    def confirmed(self) -> int:
        """All events up to this number are with the broker."""
        return self._confirmed

    def wake(self) -> None:
        """Some were committed."""
        self._news.set()

    async def run(self, wire: Wire) -> None:
        """Tell events by this connection until `close`, or until it is lost.

        Raises:
            BrokerAway: The connection is lost, or the broker acknowledges nothing.
        """
        self._closing.clear()
        while not self._closing.is_set():
            try:
                await self._tell(wire, await self._start())
            except BrokerRefused as error:
                # Its own access list, as a rule: nothing is skipped, so all wait until it is
                # mended.
                self.problem = error.sentence()
                _log.error("event.refused", reason=str(error), what_to_do=error.what_to_do)
                await self._closed_within(REFUSED_WAIT_S)

    async def keep(self) -> None:
        """Keep the cursor in the books, not too often, for ever; cancel to stop."""
        while True:
            await self._moved.wait()
            try:
                async with asyncio.timeout(SAVE_WAIT_S):
                    await self._many.wait()
            except TimeoutError:
                pass
            self._moved.clear()
            self._many.clear()
            if not await self.save():
                self._moved.set()
                await asyncio.sleep(LOOK_AGAIN_S)

    async def save(self) -> bool:
        """Keep the cursor now, if it has moved.

        Returns:
            False if the books can't take it now.
        """
        upto = self._confirmed
        if upto <= self._saved:
            return True
        request = Request(PUBLISHED_ROUTE, args=(str(upto),), channel=Channel.CLOCK)
        try:
            await self._submit(request)
        except TelcodError as error:
            _log.warning("events.cursor_unsaved", reason=error.sentence())
            return False
        self._saved = max(self._saved, upto)
        return True

    def close(self) -> None:
        """Send nothing more; `run` returns when what is under way has been acknowledged."""
        self._closing.set()
        self._news.set()

    async def _tell(self, wire: Wire, after: int) -> None:
        """Tell all above `after`, and what comes, until `close`.

        Raises:
            BrokerAway: See `run`.
            BrokerRefused: The broker does not take one of them.
        """
        room = max(1, min(UNDER_WAY_MAX, wire.in_flight_max * 3 // 4))  # the rest is for answers
        self._under_way.clear()
        while not self._closing.is_set():
            self._news.clear()
            rows = await self._read(after)
            for row in rows:
                while len(self._under_way) >= room:
                    await self._confirm()
                if self._closing.is_set():
                    break
                topic = f"{self._prefix}{row.subject}/{row.verb}"
                self._under_way.append((row.seq, wire.send(topic, payload(row))))
                after = row.seq
            if not rows:
                await self._confirm_all()
                await self._news.wait()
        await self._confirm_all()

    async def _start(self) -> int:
        while True:
            try:
                self._saved = await self._reader.published()
            except TelcodError as error:
                _log.warning("events.unreadable", reason=error.sentence())
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            self._confirmed = max(self._confirmed, self._saved)
            return self._confirmed

    async def _read(self, after: int) -> list[OutboxEvent]:
        while True:
            try:
                return await self._reader.events(after=after, most=SLICE)
            except TelcodError as error:
                _log.warning("events.unreadable", reason=error.sentence())
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _confirm_all(self) -> None:
        while self._under_way:
            await self._confirm()

    async def _confirm(self) -> None:
        """Wait for the oldest under way.

        Raises:
            BrokerAway: It will not be acknowledged; so nothing after it counts either.
            BrokerRefused: The same, but the connection is well.
        """
        seq, sent = self._under_way.popleft()
        if not sent.done():
            try:
                async with asyncio.timeout(ANSWER_WAIT_S):
                    await sent
            except TimeoutError as error:
                raise BrokerAway("the broker does not acknowledge events") from error
        sent.result()
        self.problem = ""
        self._confirmed = seq
        self._moved.set()
        if self._confirmed - self._saved >= SAVE_EVERY:
            self._many.set()

    async def _closed_within(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._closing.wait()
        except TimeoutError:
            pass
