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
from telcod.engine import PRUNE_ROUTE, PRUNED_MAX, QUARANTINED, Result
from telcod.errors import TelcodError
from telcod.rules import TextLimits
from telcod.types import Answer, Channel, Request

DUE_SLICE: Final = 1_000
SET_ASIDE_MS: Final = HOUR_MS
"""How long what broke its rules is left alone: it's in quarantine, for a person."""
TICK_S: Final = 1.0
CLOSE_EVERY_MS: Final = 5 * MINUTE_MS
CLOSED_AT_ONCE_MAX: Final = 10
PRUNE_SLICES_PER_TICK: Final = 20

_Asked = tuple[str, int, tuple[str, ...]]
Closings = Callable[[int], Awaitable[list[int]]]
"""The days, at most so many, that may be closed by now."""
_Due = Callable[[int, int], Awaitable[list[Request]]]

_log = structlog.get_logger("telcod.scheduler")


class Reader(Protocol):
    """What the scheduler needs of the books to read."""

    def due_texts(self, *, now_ms: int, most: int) -> Awaitable[list[int]]:
        """See `Store.due_texts`."""

    def due_calls(self, *, now_ms: int, most: int) -> Awaitable[list[str]]:
        """See `Store.due_calls`."""

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
        *,
        closings: Closings | None = None,
    ) -> None:
        self._reader: Final = reader
        self._writer: Final = writer
        self._clock: Final = clock
        self._guard: Final = guard
        self._texts: Final = texts
        self._closings: Final = closings
        self._jump_said = False
        self._close_at_ms = clock.wall_ms()
        self._prune_at_ms = clock.wall_ms() + MINUTE_MS
        self._pruned = 0
        # By what is asked of whom (route, sender, arguments): until when.
        self._set_aside: dict[_Asked, int] = {}

    async def run(self) -> None:
        """Tick for ever; cancel to stop."""
        while True:
            try:
                await self.tick()
            except TelcodError as error:
                _log.warning("books.unreadable", reason=str(error))
            await asyncio.sleep(TICK_S)

    async def tick(self) -> int:
        """Do all that is due now; how many subscriptions were looked after.

        Raises:
            TelcodError: The books can't be read now; what is due stays due.
        """
        if self._guard.doubts(self._clock):
            if not self._jump_said:
                _log.error(
                    "clock.jumped",
                    jump_ms=self._guard.jump_ms,
                    what_to_do="check the clock, then: telcod confirm-clock",
                )
            self._jump_said = True
            return 0
        self._jump_said = False
        await self.supervise()
        done = await self._renewals()
        if self._guard.doubts(self._clock):
            return done  # Set while we worked: what is old or over is nothing to go by.
        if self._clock.wall_ms() >= self._prune_at_ms:
            await self._prune()
        if self._closings is not None and self._clock.wall_ms() >= self._close_at_ms:
            await self._close_days(self._closings)
        return done

    async def supervise(self) -> int:
        """Close calls whose end was lost, and texts that nobody took (PFM-17, PFM-30)."""

        async def calls(now_ms: int, most: int) -> list[Request]:
            due = await self._reader.due_calls(now_ms=now_ms, most=most)
            return [_by_clock("clock.call", 0, call_id) for call_id in due]

        async def texts(now_ms: int, most: int) -> list[Request]:
            due = await self._reader.due_texts(now_ms=now_ms, most=most)
            return [_by_clock("clock.text", 0, str(mo)) for mo in due]

        return await self._until_done(calls) + await self._until_done(texts)

    async def _renewals(self) -> int:
        async def packages(now_ms: int, most: int) -> list[Request]:
            due = await self._reader.due_subscriptions(now_ms=now_ms, most=most)
            return [_by_clock("clock.package", msisdn, str(period)) for msisdn, period in due]

        return await self._until_done(packages)

    async def _until_done(self, due: _Due) -> int:
        """Ask for what is due, slice after slice, but for what broke within the last hour."""
        done = 0
        while not self._guard.doubts(self._clock):
            now_ms = self._clock.wall_ms()
            aside = self._set_aside
            for asked in [each for each, until_ms in aside.items() if until_ms <= now_ms]:
                del aside[asked]
            found = await due(now_ms, DUE_SLICE + len(aside))
            requests = [each for each in found if _asked(each) not in aside][:DUE_SLICE]
            carried_out = await self._all(requests) if requests else 0
            done += carried_out
            if len(requests) < DUE_SLICE or not carried_out:
                break
        return done

    async def _close_days(self, closings: Closings) -> None:
        """Close the days whose files were reconciled (PAY-12); what is missing is tried again."""
        days = await closings(CLOSED_AT_ONCE_MAX)
        await self._all([_by_clock("day.close", 0, str(day)) for day in days])
        self._close_at_ms = self._clock.wall_ms() + CLOSE_EVERY_MS

    async def _prune(self) -> None:
        """Remove what is old, slice by slice; the next tick goes on with what is left."""
        texts = self._texts()
        args = (str(texts.kept_days * DAY_MS), str(texts.parts_kept_min * MINUTE_MS))
        request = Request(PRUNE_ROUTE, args=args, channel=Channel.CLOCK)
        for _ in range(PRUNE_SLICES_PER_TICK):
            self._pruned = 0
            if not await self._all([request]) or self._pruned < PRUNED_MAX:
                self._prune_at_ms = self._clock.wall_ms() + HOUR_MS
                return

    async def _all(self, requests: list[Request]) -> int:
        """Ask the engine for all of them at once and wait; how many were carried out."""
        finished = asyncio.Event()
        waiting = 0
        carried_out = 0

        def sink(request: Request, result: Result) -> None:
            nonlocal waiting, carried_out
            waiting -= 1
            carried_out += not isinstance(result, TelcodError)
            if isinstance(result, Answer) and result.outcome == "pruned":
                self._pruned = int(str((result.data or {}).get("rows", 0)))
            if isinstance(result, Answer) and result.outcome == QUARANTINED:
                self._set_aside[_asked(request)] = self._clock.wall_ms() + SET_ASIDE_MS
            if not waiting:
                finished.set()

        for request in requests:
            if not self._writer.post(request, sink):
                break  # Full: the rest is still due at the next tick.
            waiting += 1
        if waiting:
            await finished.wait()
        return carried_out


def _by_clock(route: str, sender: int, argument: str) -> Request:
    return Request(route, sender=sender, args=(argument,), channel=Channel.CLOCK)


def _asked(request: Request) -> _Asked:
    return (request.route, request.sender, request.args)
