"""Texts that do not wait: an SMSC that sends whatever comes, window or no window (`load_open.py`).

Frames are made by `load.templates`; several traffics share one connection.  Who is refused is
counted; a patient traffic sends again, as an SMSC does, and its time counts from the first try.
What was answered with OK is remembered by sender, to be looked for in the books.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from telcod.simulator.load import (
    BIND_IDS,
    DELIVER_SM_RESP,
    ENQUIRE_LINK,
    HEADER,
    SUBMIT_SM,
    SUBMIT_SM_RESP,
    UNBIND,
    templates,
)
from telcod.simulator.load_open import Tally, Traffic

BUFFER_BYTES_MAX: Final = 1024 * 1024
"""What may wait in this process for the connection to take it."""
AGAIN_S: Final = 0.5
_NAMES: Final = {0x64: "ESME_RX_T_APPN"}


class _Sent(NamedTuple):
    """A text under way."""

    traffic: Traffic
    tally: Tally
    sent_s: float
    sender: bytes
    body: bytes


class Crowd(NamedTuple):
    """Who texts in a traffic, one after the other, and whether they are sent again if refused."""

    traffic: Traffic
    senders: Iterator[int]
    patient: bool


class OpenSmsc(asyncio.Protocol):
    """The SMSC's side of one connection.

    Args:
        crowds: Who texts; `offer` is told of which by its traffic.
        ended: Set when nothing is under way any more, once `finish` was called.
    """

    def __init__(self, *crowds: Crowd) -> None:
        self._crowds: Final = {id(crowd.traffic): crowd for crowd in crowds}
        self._bodies: Final = itertools.cycle(_bodies())
        self._sequence: Final = itertools.count(1)
        self._message_ids: Final = itertools.count(1)
        self._open: Final[dict[int, _Sent]] = {}
        self._buffer = b""
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.bound: Final = asyncio.Event()
        self.lost = False
        self.acknowledged: Final[Counter[bytes]] = Counter()
        self.submitted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A telcod came."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        """It went: what is under way has no answer."""
        self._transport = None
        self.lost = self.bound.is_set()

    def offer(self, traffic: Traffic, count: int, most: int) -> None:
        """See `load_open.Wire`."""
        crowd = self._crowds[id(traffic)]
        tally = traffic.tally
        tally.offered += count
        transport = self._transport
        full = transport is None or transport.get_write_buffer_size() > BUFFER_BYTES_MAX
        room = 0 if full else max(0, min(count, most - traffic.under_way))
        tally.held_back += count - room
        traffic.under_way += room
        now_s = time.perf_counter()
        for _ in range(room):
            sender = b"%d" % next(crowd.senders)
            head, tail = next(self._bodies)
            self._send(_Sent(traffic, tally, now_s, sender, head + sender + tail))
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Read frames by offset; answer in one write."""
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        now_s = time.perf_counter()
        while end - at >= HEADER.size:
            length, command, status, sequence = HEADER.unpack_from(buffer, at)
            if end - at < length:
                break
            at += length
            if command == DELIVER_SM_RESP:
                self._answered(sequence, status, now_s)
            elif command == SUBMIT_SM:
                self.submitted += 1
                message_id = b"%x\0" % next(self._message_ids)
                self._answer(SUBMIT_SM_RESP, sequence, message_id)
            elif command in BIND_IDS:
                self._answer(command | 0x80000000, sequence, b"load\0\x02\x10\x00\x01\x34")
                self.bound.set()
            elif command in {ENQUIRE_LINK, UNBIND}:
                self._answer(command | 0x80000000, sequence, b"")
        self._buffer = buffer[at:]
        self._flush()

    @property
    def under_way(self) -> int:
        """Texts without an answer."""
        return len(self._open)

    def unanswered(self) -> Counter[bytes]:
        """Texts without an answer, by sender: nobody knows whether they were kept."""
        return Counter(sent.sender for sent in self._open.values())

    def _answered(self, sequence: int, status: int, now_s: float) -> None:
        sent = self._open.pop(sequence, None)
        if sent is None:
            return
        traffic, tally = sent.traffic, sent.tally
        if not status:
            traffic.under_way -= 1
            tally.done += 1
            traffic.took(tally, sent.sent_s, now_s)
            self.acknowledged[sent.sender] += 1
            return
        why = _NAMES.get(status)
        if why is None:
            tally.say_wrong(f"deliver_sm_resp with status 0x{status:08X}")
        traffic.refuse(tally, sent.sent_s, why or "wrong")
        if self._crowds[id(traffic)].patient:
            asyncio.get_running_loop().call_later(AGAIN_S, self._again, sent)
        else:
            traffic.under_way -= 1

    def _again(self, sent: _Sent) -> None:
        self._send(sent)
        self._flush()

    def _send(self, sent: _Sent) -> None:
        sequence = next(self._sequence) & 0x7FFFFFFF
        self._open[sequence] = sent
        self._out += (HEADER.pack(16 + len(sent.body), 5, 0, sequence), sent.body)

    def _answer(self, command: int, sequence: int, body: bytes) -> None:
        self._out += (HEADER.pack(16 + len(body), command, 0, sequence), body)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()


def _bodies() -> list[tuple[bytes, bytes]]:
    """What goes before and after the sender, of those texts that name no other number."""
    return [(made.head[16:], made.middle) for made in templates("1566") if made.tail is None]
