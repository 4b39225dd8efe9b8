"""What telcod says to a phone unasked: pushes from the outbox to the gateway, and what became of
them (USSD-4).

A push that the gateway has accepted is done; the answer, if one is waited for, comes as a step of
the session `push-<seq>`.  One that it has not accepted in time, after a few tries, has failed: the
handler of its kind says what instead, as a rule a text.  Nothing of it is in memory only: what is
pending in the books at start is sent then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from telcod.clock import Clock
from telcod.errors import TelcodError
from telcod.rows import OutboxPush
from telcod.types import Channel, Request
from ussd.steps import PUSHED

if TYPE_CHECKING:
    from telcod.engine import Result

OUTCOME_ROUTE: Final = "push.outcome"
SLICE: Final = 200
AT_ONCE_MAX: Final = 50
ATTEMPTS_MAX: Final = 3
PAUSES_S: Final = (1.0, 4.0)
LOOK_AGAIN_S: Final = 1.0

_log = structlog.get_logger("ussd.push")


class Push(msgspec.Struct, frozen=True):
    """What a gateway is to show.

    `asks`: an answer is waited for, which comes as the first step of the session.
    """

    session_id: str
    msisdn: int
    text: str
    asks: bool
    expires_in_s: int


class PushFailed(Exception):
    """The gateway has not taken a push; `retry`: it may take it later.  The reason is the text."""

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.retry: Final = retry


class PushGateway(Protocol):
    """Who brings a push to a phone."""

    async def push(self, push: Push) -> None:
        """Hand it over; returns when the gateway has accepted it.

        Raises:
            PushFailed: It has not.
        """


class Reader(Protocol):
    """What the pusher needs of the books to read."""

    def pending_pushes(self, *, after: int, most: int) -> Awaitable[list[OutboxPush]]:
        """Pushes not yet accepted or failed, by number above `after`."""


class Writer(Protocol):
    """What it needs of the engine."""

    def post(self, request: Request, sink: Callable[[Request, "Result"], None]) -> bool:
        """See `Engine.post`."""


class Pusher:
    """Brings pushes to their gateway, oldest first, some at a time.

    Args:
        gateway: Who takes them.
        reader: Reads what is pending.
        writer: Takes note of what became of them.
        clock: For what expires.
    """

    def __init__(self, gateway: PushGateway, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._gateway: Final = gateway
        self._reader: Final = reader
        self._writer: Final = writer
        self._clock: Final = clock
        self._wake: Final = asyncio.Event()
        self._under_way: set[int] = set()

    def wake(self, _rows: Sequence[OutboxPush] = ()) -> None:
        """Something was committed that is to be pushed."""
        self._wake.set()

    async def run(self) -> None:
        """Push for ever; cancel to stop.  What is under way then stays pending."""
        slots = asyncio.Semaphore(AT_ONCE_MAX)
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                try:
                    rows = await self._reader.pending_pushes(after=0, most=SLICE)
                except TelcodError as error:
                    _log.warning("pushes.unreadable", reason=str(error))
                    await asyncio.sleep(LOOK_AGAIN_S)
                    continue
                new = [row for row in rows if row.seq not in self._under_way]
                for row in new:
                    await slots.acquire()
                    self._under_way.add(row.seq)
                    group.create_task(self._bring(row, slots), name=f"push {row.seq}")
                if not new:
                    await self._wake.wait()

    async def _bring(self, row: OutboxPush, slots: asyncio.Semaphore) -> None:
        try:
            outcome, attempts = await self._try(row)
        finally:
            slots.release()
        request = Request(
            OUTCOME_ROUTE,
            sender=row.msisdn,
            args=(str(row.seq), outcome, str(attempts)),
            channel=Channel.CLOCK,
        )
        noted = asyncio.Event()

        def sink(_: Request, result: "Result") -> None:
            if isinstance(result, TelcodError):
                _log.warning("push.unnoted", push=row.seq, reason=str(result))
            noted.set()

        while not self._writer.post(request, sink):  # noqa: ASYNC110  # Full; nobody says until when.
            await asyncio.sleep(LOOK_AGAIN_S)
        await noted.wait()
        self._under_way.discard(row.seq)
        self._wake.set()

    async def _try(self, row: OutboxPush) -> tuple[str, int]:
        """What becomes of it, and after how many tries."""
        push = Push(f"{PUSHED}{row.seq}", row.msisdn, row.text, bool(row.asks), 0)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            left_ms = row.expires_at - self._clock.wall_ms()
            if row.expires_at and left_ms <= 0:
                return "expired", attempt - 1
            try:
                left_s = max(left_ms // 1_000, 1)
                await self._gateway.push(msgspec.structs.replace(push, expires_in_s=left_s))
            except PushFailed as failed:
                last = attempt == ATTEMPTS_MAX or not failed.retry
                _log.warning("push.failed", push=row.seq, reason=str(failed), last=last)
                if last:
                    return "failed", attempt
                await asyncio.sleep(PAUSES_S[attempt - 1])
            else:
                return "accepted", attempt
        raise AssertionError("the last try returns")
