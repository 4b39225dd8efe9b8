"""A transport that writes once per turn of the loop what was written to it in that turn.

uvicorn writes the head of an answer and its body one after the other, each by a system call of its
own; of a short answer those are the dearest part.
"""

import asyncio
from typing import Any, Final

GATHERED_BYTES_MAX: Final = 64 * 1024
"""What is longer goes at once, so that the transport's own limits are felt by who writes much."""


class OneWrite:
    """Stands before a transport of the loop that it is made in; all else is the transport's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport: Final = transport
        self._call_soon: Final = asyncio.get_running_loop().call_soon
        self._gathered: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        """What is not said here, the transport says."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """As the transport's; it leaves at the end of this turn."""
        if not self._gathered:
            self._call_soon(self._flush)
        self._gathered.append(data)
        self._bytes += len(data)
        if self._bytes > GATHERED_BYTES_MAX:
            self._flush()

    def write_now(self, data: bytes) -> None:
        """As `write`, for what is whole: it leaves at once, behind what waits."""
        if self._gathered:
            self._gathered.append(data)
            self._flush()
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """As the transport's: what was written before leaves."""
        self._flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """As the transport's."""
        return self._transport.get_write_buffer_size() + self._bytes

    def _flush(self) -> None:
        gathered, self._gathered, self._bytes = self._gathered, [], 0
        if gathered and not self._transport.is_closing():
            self._transport.write(b"".join(gathered))
