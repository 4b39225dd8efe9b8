"""What telcod says to a phone unasked: pushes from the outbox to the gateway, and what became of
them (USSD-4).

A push that the gateway has accepted is done; the answer, if one is waited for, comes as a step of
the session `push-<seq>`.  One that it has not accepted in time, after a few tries, has failed: the
handler of its kind says what instead, as a rule a text.  Nothing of it is in memory only: what is
pending in the books at start is sent then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from telcod.clock import Clock
from telcod.days import SECOND_MS
from telcod.errors import Overloaded, TelcodError
from telcod.rows import OutboxPush
from telcod.types import Channel, Request
from ussd.steps import PUSHED

if TYPE_CHECKING:
    from telcod.engine import Result

OUTCOME_ROUTE: Final = "push.outcome"
SLICE: Final = 200
AT_ONCE_MAX: Final = 50
PAUSES_S: Final = (1.0, 4.0)  # Before the second try, and the third and last.
LOOK_AGAIN_S: Final = 1.0
PUSH_WAIT_S: Final = 60.0
"""How long a gateway may take; those of ours give up sooner by themselves."""

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
        pauses_s: How long to wait before each further try.
        look_again_s: How long to wait for books that can't be read or written now.
        push_wait_s: How long a gateway may take.
    """

    def __init__(
        self,
        gateway: PushGateway,
        reader: Reader,
        writer: Writer,
        clock: Clock,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
        look_again_s: float = LOOK_AGAIN_S,
        push_wait_s: float = PUSH_WAIT_S,
    ) -> None:
        self._gateway: Final = gateway
        self._reader: Final = reader
        self._writer: Final = writer
        self._clock: Final = clock
        self._pauses_s: Final = pauses_s
        self._look_again_s: Final = look_again_s
        self._push_wait_s: Final = push_wait_s
        self._wake: Final = asyncio.Event()
        self._under_way: set[int] = set()
        self._noted: set[int] = set()

    def wake(self, _rows: Sequence[OutboxPush] = ()) -> None:
        """Something was committed that is to be pushed."""
        self._wake.set()

    async def run(self) -> None:
        """Push for ever; cancel to stop.  What is under way then stays pending."""
        slots = asyncio.Semaphore(AT_ONCE_MAX)
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                # What is noted while the books are read may still be pending in what comes of it.
                self._under_way -= self._noted
                self._noted.clear()
                try:
                    rows = await self._reader.pending_pushes(after=0, most=SLICE)
                except TelcodError as error:
                    _log.warning("pushes.unreadable", reason=str(error))
                    await asyncio.sleep(self._look_again_s)
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
        if await self._note(request):
            self._noted.add(row.seq)
            self._wake.set()

    async def _note(self, request: Request) -> bool:
        """Have the books take note, however long they have no room: what a phone has shown must
        not be shown again.

        Returns:
            False when they are closed; it's pushed again after the next start.
        """
        while True:
            noted: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
            if self._writer.post(request, partial(_give, noted)):
                result = await noted
                if not isinstance(result, TelcodError):
                    return True
                _log.warning("push.unnoted", push=request.args[0], reason=str(result))
                if not isinstance(result, Overloaded):
                    return False
            await asyncio.sleep(self._look_again_s)

    async def _try(self, row: OutboxPush) -> tuple[str, int]:
        """What becomes of it, and after how many tries."""
        push = Push(f"{PUSHED}{row.seq}", row.msisdn, row.text, bool(row.asks), 0)
        attempts_max = len(self._pauses_s) + 1
        for attempt in range(1, attempts_max + 1):
            left_ms = row.expires_at - self._clock.wall_ms()
            if left_ms <= 0:
                return "expired", attempt - 1
            left_s = max(left_ms // SECOND_MS, 1)
            try:
                await self._hand_over(msgspec.structs.replace(push, expires_in_s=left_s))
            except PushFailed as failed:
                last = attempt == attempts_max or not failed.retry
                _log.warning("push.failed", push=row.seq, reason=str(failed), last=last)
                if last:
                    return "failed", attempt
                await asyncio.sleep(self._pauses_s[attempt - 1])
            else:
                return "accepted", attempt
        raise AssertionError("the last try returns")

    async def _hand_over(self, push: Push) -> None:
        """Raises:
        PushFailed: The gateway has not taken it, or broke over it.
        """
        try:
            async with asyncio.timeout(self._push_wait_s):
                await self._gateway.push(push)
        except PushFailed:
            raise
        except TimeoutError as error:
            raise PushFailed("the gateway gave no answer", retry=True) from error
        except Exception as error:
            # The edge of one message (STYLE 20): one that breaks a gateway must not stop the rest.
            _log.exception("push.broke", session=push.session_id)
            raise PushFailed(f"it broke: {error!r}", retry=False) from error


def _give(noted: "asyncio.Future[Result]", _: Request, result: "Result") -> None:
    if not noted.done():
        noted.set_result(result)
