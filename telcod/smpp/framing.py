"""Cut a byte stream into SMPP v3.4 PDUs.  Pure: no socket, no clock, no log.

Two kinds of wrongness, because the caller must act differently:

- the length field is a lie -> framing is lost for good -> `FramingLost`, close the link;
- the frame is whole but its body is not -> `BadPdu`, answer it and carry on.

The driver's duty: `feed` what was read, then take all of `pdus()` before it reads again.  Then no
more is held than one incomplete PDU and one read.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from telcod.smpp.consts import HEADER_BYTES, PDU_BYTES_MAX
from telcod.smpp.pdu import BadPdu, Pdu, decode

__all__ = ["PDU_BYTES_MAX", "Framer", "FramingLost"]

_LENGTH: Final = Struct(">I")


class FramingLost(Exception):
    """The stream can no longer be cut into PDUs; the link must be closed.

    `length` is the impossible command_length, in octets.
    """

    def __init__(self, length: int) -> None:
        super().__init__(f"impossible command_length {length}")
        self.length = length


class Framer:
    """Feed bytes in, take PDUs out.  Any chunking gives the same PDUs, also byte by byte."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0  # What lies before has been handed out; dropped once per feed.
        self._fed = 0
        self._lost: FramingLost | None = None

    @property
    def partial_bytes(self) -> int:
        """How many octets are held that have not been handed out; 0 between two PDUs.

        After `pdus()` is exhausted this is the size of the incomplete PDU, for its timer.
        """
        return len(self._buffer) - self._start

    @property
    def partial(self) -> bytes:
        """The octets of the incomplete PDU."""
        return bytes(self._buffer[self._start :])

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take what was read.  After `FramingLost` it is thrown away: it has no meaning."""
        if self._lost is not None:
            return
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data
        self._fed += 1

    def frames(self) -> Iterator[bytes]:
        """Yield every complete frame, header included; stop when the rest has not arrived.

        Raises:
            FramingLost: A length is below 16 or above `PDU_BYTES_MAX`; raised as soon as the four
                octets are there, and again at each later call.
        """
        if self._lost is not None:
            raise self._lost
        octets, end, start, fed = b"", 0, 0, -1
        while True:
            if fed != self._fed:
                if not self._has_whole():
                    return
                # Cut once: a slice of bytes is one copy, one of a bytearray would be two.
                octets, fed, start = bytes(self._buffer), self._fed, self._start
                end = len(octets)
            if end - start < _LENGTH.size:
                return
            (length,) = _LENGTH.unpack_from(octets, start)
            if not HEADER_BYTES <= length <= PDU_BYTES_MAX:
                raise self._lose(length)
            if end - start < length:
                return
            self._start = stop = start + length
            yield octets[start:stop]
            start = stop

    def _has_whole(self) -> bool:
        """Whether a frame is complete, or its length a lie; a slow peer's octets are not copied
        each time.
        """
        left = len(self._buffer) - self._start
        if left < _LENGTH.size:
            return False
        (length,) = _LENGTH.unpack_from(self._buffer, self._start)
        return left >= length or not HEADER_BYTES <= length <= PDU_BYTES_MAX

    def _lose(self, length: int) -> FramingLost:
        self._lost = FramingLost(length)
        self._buffer.clear()
        self._start = 0
        return self._lost

    def pdus(self) -> Iterator[Pdu | BadPdu]:
        """Yield every complete PDU, as `decode` reads it.

        Raises:
            FramingLost: See `frames`; the PDUs before the lie have been handed out.
        """
        return map(decode, self.frames())
