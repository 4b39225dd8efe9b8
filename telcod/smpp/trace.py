"""What passes over a link, handed to whoever traces it, with an end to how much is kept for him.

A link that nobody traces has no tap.  A reader that is too slow misses PDUs, and is told how many;
the link never waits for him.  Passwords are painted over, and the texts of short codes that people
send passwords to.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from typing import Final, Protocol

import msgspec

from telcod.errors import Overloaded
from telcod.smpp.tap import Direction, Ends, Tap, Tapper, blanked

KEPT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Octets of PDUs that wait for a reader; what comes above it is dropped."""
TRACES_MAX: Final = 4
"""Traces at once; each costs a decode per text."""


class TracedLink(Protocol):
    """What is traced: `telcod.smpp.link.Link`."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @property
    def bound(self) -> bool:
        """Whether it is bound now."""
        ...

    def watch(self, tapper: Tapper | None) -> None:
        """See `Link.watch`."""
        ...


class TraceBegun(msgspec.Struct, frozen=True, tag="begun"):
    """The first line of a trace: from here on every PDU is seen."""

    link: str
    bound: bool


class TracedPdu(msgspec.Struct, frozen=True, tag="pdu"):
    """One PDU as it was on the wire, but for what is hidden.  `at_ms` is Unix milliseconds."""

    at_ms: int
    ends: Ends
    direction: Direction
    frame: bytes


class TraceMissed(msgspec.Struct, frozen=True, tag="missed"):
    """So many PDUs passed here that the reader was too slow for."""

    pdus: int


TraceLine = TraceBegun | TracedPdu | TraceMissed


class Trace:
    """One reader's view of one link; made by `Tracer.open`."""

    def __init__(self, link: TracedLink) -> None:
        self.link: Final = link
        self._kept: deque[TracedPdu] = deque()
        self._kept_bytes = 0
        self._missed = 0
        self._news: Final = asyncio.Event()
        self._closed = False

    def take(self, pdu: TracedPdu) -> None:
        """Keep a PDU for the reader, or count that there was no room for it."""
        if self._kept_bytes + len(pdu.frame) > KEPT_BYTES_MAX:
            self._missed += 1
        else:
            self._kept.append(pdu)
            self._kept_bytes += len(pdu.frame)
        self._news.set()

    def close(self) -> None:
        """No more comes; what is kept may still be read."""
        self._closed = True
        self._news.set()

    async def lines(self) -> AsyncGenerator[TraceLine, None]:
        """What passes, as it comes; ends after `close`."""
        yield TraceBegun(self.link.name, self.link.bound)
        while True:
            while self._kept:
                pdu = self._kept.popleft()
                self._kept_bytes -= len(pdu.frame)
                yield pdu
            if self._missed:
                missed, self._missed = self._missed, 0
                yield TraceMissed(missed)
            if self._closed:
                return
            self._news.clear()
            if not self._kept:
                await self._news.wait()


class Tracer:
    """All traces of a daemon.

    Args:
        wall_ms: The time, Unix milliseconds.
        secret_codes: The short codes whose texts are hidden, by the rules in force.
    """

    def __init__(
        self, wall_ms: Callable[[], int], secret_codes: Callable[[], Collection[str]]
    ) -> None:
        self._wall_ms: Final = wall_ms
        self._secret_codes: Final = secret_codes
        self._open: list[Trace] = []
        self._closed = False

    async def trace(
        self, link: TracedLink, *, seconds: int | None = None, pdus: int | None = None
    ) -> AsyncGenerator[TraceLine, None]:
        """What passes over a link, until it was so many seconds or PDUs, or telcod stops.

        Raises:
            Overloaded: As many traces as may be are open.
        """
        trace = self.open(link)
        left = pdus
        timer: asyncio.TimerHandle | None = None
        if seconds is not None:
            timer = asyncio.get_running_loop().call_later(seconds, trace.close)
        try:
            async with aclosing(trace.lines()) as lines:
                async for line in lines:
                    yield line
                    if left is not None and isinstance(line, TracedPdu):
                        left -= 1
                        if not left:
                            return
        finally:
            if timer is not None:
                timer.cancel()
            self.end(trace)

    def open(self, link: TracedLink) -> Trace:
        """Begin a trace; `end` must follow.

        Raises:
            Overloaded: As many traces as may be are open.
        """
        if len(self._open) >= TRACES_MAX:
            raise Overloaded(
                f"{TRACES_MAX} traces are open already", what_to_do="End one of them first."
            )
        trace = Trace(link)
        if self._closed:
            trace.close()
        self._open.append(trace)
        link.watch(self._tapper(link))
        return trace

    def end(self, trace: Trace) -> None:
        """End a trace; the link of the last one is left alone again."""
        self._open.remove(trace)
        if not any(other.link is trace.link for other in self._open):
            trace.link.watch(None)

    def close(self) -> None:
        """End all traces: telcod stops."""
        self._closed = True
        for trace in self._open:
            trace.close()

    def _tapper(self, link: TracedLink) -> Tapper:
        def tap_of(ends: Ends) -> Tap:
            def tap(direction: Direction, frame: bytes) -> None:
                shown = blanked(frame, self._secret_codes())
                pdu = TracedPdu(self._wall_ms(), ends, direction, shown)
                for trace in self._open:
                    if trace.link is link:
                        trace.take(pdu)

            return tap

        return tap_of
