"""What happens because its moment came: renewals, retries, reminders, ends of packages, and tidying
up (PKG-6, PKG-8).

The scheduler only finds what is due and asks the engine; the rules decide again inside the
transaction, so asking twice, or late, or after somebody else was faster, changes nothing.  When the
wall clock jumps, it asks nothing until a person says that the clock is right (DESIGN 4); texts are
still answered and charged.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from telcod.clock import Clock, ClockGuard
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.engine import PRUNE_ROUTE, Result
from telcod.errors import TelcodError
from telcod.rules import TextLimits
from telcod.types import Channel, Request

DUE_SLICE: Final = 1_000
TICK_S: Final = 1.0

_log = structlog.get_logger("telcod.scheduler")


class Reader(Protocol):
    """What the scheduler needs of the books to read."""

    def due_subscriptions(self, *, now_ms: int, most: int) -> Awaitable[list[tuple[int, int]]]:
        """See `Store.due_subscriptions`."""


class Writer(Protocol):
    """What it needs of the engine."""

    def post(self, request: Request, sink: Callable[[Request, Result], None]) -> bool:
        """See `Engine.post`."""


class Scheduler:
    """Looks once a second for what is due."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        clock: Clock,
        guard: ClockGuard,
        texts: Callable[[], TextLimits],
    ) -> None:
        self._reader: Final = reader
        self._writer: Final = writer
        self._clock: Final = clock
        self._guard: Final = guard
        self._texts: Final = texts
        self._prune_at_ms = clock.wall_ms() + MINUTE_MS

    async def run(self) -> None:
        """Tick for ever; cancel to stop."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> int:
        """Do all that is due now; how many subscriptions were looked after."""
        jumped_before = self._guard.jumped
        self._guard.observe(wall_ms=self._clock.wall_ms(), monotonic_s=self._clock.monotonic_s())
        if self._guard.jumped:
            if not jumped_before:
                _log.error(
                    "clock.jumped",
                    jump_ms=self._guard.jump_ms,
                    what_to_do="check the clock, then: telcod clock confirm",
                )
            return 0
        done = await self._renewals()
        if self._clock.wall_ms() >= self._prune_at_ms:
            await self._prune()
        return done

    async def _renewals(self) -> int:
        done = 0
        while True:
            due = await self._reader.due_subscriptions(now_ms=self._clock.wall_ms(), most=DUE_SLICE)
            if not due:
                return done
            requests = [
                Request(
                    "clock.package", sender=msisdn, args=(str(period_no),), channel=Channel.CLOCK
                )
                for msisdn, period_no in due
            ]
            carried_out = await self._all(requests)
            done += carried_out
            if len(due) < DUE_SLICE or not carried_out:
                return done

    async def _prune(self) -> None:
        texts = self._texts()
        args = (str(texts.kept_days * DAY_MS), str(texts.parts_kept_min * MINUTE_MS))
        await self._all([Request(PRUNE_ROUTE, args=args, channel=Channel.CLOCK)])
        self._prune_at_ms = self._clock.wall_ms() + HOUR_MS

    async def _all(self, requests: list[Request]) -> int:
        """Ask the engine for all of them at once and wait; how many were carried out."""
        finished = asyncio.Event()
        waiting = 0
        carried_out = 0

        def sink(_: Request, result: Result) -> None:
            nonlocal waiting, carried_out
            waiting -= 1
            carried_out += not isinstance(result, TelcodError)
            if not waiting:
                finished.set()

        for request in requests:
            if not self._writer.post(request, sink):
                break  # Full: the rest is still due at the next tick.
            waiting += 1
        if waiting:
            await finished.wait()
        return carried_out
