"""Who looks at the demo's page: each browser has a queue of server-sent events.

A browser that does not read is let go; it comes back by itself and gets everything anew.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import msgspec

EVENTS_MAX: Final = 500
SIGN_OF_LIFE_S: Final = 15.0
"""So often a line goes out although nothing happened, so that a dead connection is noticed."""


class Listeners:
    """All open streams."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    def tell(self, event: str, data: Any) -> None:
        """Tell everybody."""
        told = encoded(event, data)
        for queue in list(self._queues):
            try:
                queue.put_nowait(told)
            except asyncio.QueueFull:
                self._end(queue)

    def close(self) -> None:
        """End every stream, and those to come."""
        self._closed = True
        for queue in list(self._queues):
            self._end(queue)

    async def stream(self, first: Callable[[], bytes]) -> AsyncGenerator[bytes, None]:
        """The events for one browser; what `first` gives then goes before all others."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(EVENTS_MAX)
        self._queues.add(queue)
        try:
            yield first()
            while not self._closed:
                told: bytes | None = b": here\n\n"
                try:
                    async with asyncio.timeout(SIGN_OF_LIFE_S):
                        told = await queue.get()
                except TimeoutError:
                    pass
                if told is None:
                    return
                yield told
        finally:
            self._queues.discard(queue)

    def _end(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._queues.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def encoded(event: str, data: Any) -> bytes:
    """An event as it goes over the line; JSON has no line breaks of its own."""
    return f"event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"
