"""Cut what passes over a link into frames for a trace, with the passwords painted over.  Pure.

Used only while somebody traces; a link without a tap never comes here.  The texts of messages are
left as they are: whoever stores a trace must treat it as private.
"""

from collections.abc import Callable
from typing import Final, Literal

from telcod.smpp.consts import HEADER_BYTES, CommandId
from telcod.smpp.framing import Framer, FramingLost
from telcod.smpp.pdu import decode_header

Direction = Literal["in", "out"]
Tap = Callable[[str, bytes], None]
"""Called with "in" or "out" and one whole frame; must not raise."""

# Their bodies begin with `system_id` NUL `password` NUL.
_WITH_PASSWORD: Final = frozenset(
    {
        CommandId.BIND_RECEIVER,
        CommandId.BIND_TRANSMITTER,
        CommandId.BIND_TRANSCEIVER,
        CommandId.OUTBIND,
    }
)


def redacted(frame: bytes) -> bytes:
    """Return the frame with every octet of a bind's or outbind's password as `*`."""
    if decode_header(frame).command_id not in _WITH_PASSWORD:
        return frame
    start = frame.find(b"\0", HEADER_BYTES) + 1
    if start == 0:
        # No NUL where the system_id should end: what follows may be anything, so nothing is shown.
        start = HEADER_BYTES
    end = frame.find(b"\0", start)
    if end < 0:
        end = len(frame)
    return frame[:start] + b"*" * (end - start) + frame[end:]


class FrameTap:
    """One connection's two streams, handed to `tap` frame by frame.

    After an impossible length the rest of that stream is dropped: the link closes on it anyway.
    """

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._framers: dict[Direction, Framer] = {"in": Framer(), "out": Framer()}

    def feed(self, direction: Direction, data: bytes) -> None:
        """Take a piece of the stream, of any size; call the tap for every frame it completes."""
        framer = self._framers[direction]
        framer.feed(data)
        try:
            for frame in framer.frames():
                self._tap(direction, redacted(frame))
        except FramingLost:
            return
