"""Dialogues over MQTT that do not wait (`load_open.py`): steps of USSD at a broker, QoS 1.

MQTT 3.1.1 by hand, as little of it as a gateway needs: it connects, listens to the topic of its
answers, publishes, and reads what comes by offset.  A step whose answer has not come after `WAIT_S`
was dropped on the way, mostly by the broker, whose queue for telcod has an end.
"""

import asyncio
import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final, NamedTuple

from telcod.simulator.load_open import Tally, Traffic

REQUESTS: Final = "telcod/ussd/request/"
ANSWERS: Final = "telcod/reply/"
WAIT_S: Final = 3.0
BUFFER_BYTES_MAX: Final = 1024 * 1024
GIVEN_UP_AT_ONCE: Final = 2_000
_ID_MARK: Final = b'"correlation_id":'
_PUBLISH: Final = 3
_PUBACK: Final = 4
_SUBACK: Final = 9


class _Sent(NamedTuple):
    """A step under way."""

    tally: Tally
    first_s: float
    sent_s: float
    msisdn: int
    session: str


class OpenGateway(asyncio.Protocol):
    """A gateway at the broker, with one traffic and with topics of its own.

    Args:
        name: Its client id, and its name in `[mqtt] gateways`.
        traffic: What it brings.
        phones: Who dials, one after the other.
        patient: Whether what is refused, or gets no answer, is asked again.
    """

    def __init__(
        self, name: str, traffic: Traffic, phones: Iterator[int], *, patient: bool
    ) -> None:
        self._name: Final = name
        self._traffic: Final = traffic
        self._phones: Final = phones
        self._patient: Final = patient
        self._topic: Final = f"{ANSWERS}{name}/steps"
        self._asks_on: Final = _text(f"{REQUESTS}{name}")
        # Ordered: to find the first of a plain one takes the longer, the more have gone before it.
        self._open: Final[OrderedDict[int, _Sent]] = OrderedDict()
        self._numbers: Final = itertools.count(1)
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.ready: Final = asyncio.Event()
        self.acknowledged: Final[Counter[str]] = Counter()
        self.unknown: Final[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect, and listen to what is answered."""
        self._transport = transport  # type: ignore[assignment]
        connect = _text("MQTT") + b"\x04\x02\x00\x00" + _text(self._name)
        subscribe = b"\x00\x01" + _text(self._topic) + b"\x00"
        self._write(_packet(0x10, connect) + _packet(0x82, subscribe))

    def connection_lost(self, _: Exception | None) -> None:
        """The broker is gone."""
        self._transport = None

    def offer(self, traffic: Traffic, count: int, most: int) -> None:
        """See `load_open.Wire`."""
        tally = traffic.tally
        tally.offered += count
        self.give_up_late()
        transport = self._transport
        full = transport is None or transport.get_write_buffer_size() > BUFFER_BYTES_MAX
        room = 0 if full else max(0, min(count, most - traffic.under_way))
        tally.held_back += count - room
        traffic.under_way += room
        now_s = time.perf_counter()
        frames = []
        for _ in range(room):
            number = next(self._numbers)
            sent = _Sent(tally, now_s, now_s, next(self._phones), f"{self._name}-{number}")
            frames.append(self._frame(number, sent))
        self._write(b"".join(frames))

    def give_up_late(self) -> None:
        """Take it that what has waited too long was dropped; some of it, if that is much."""
        now_s = time.perf_counter()
        for _ in range(min(len(self._open), GIVEN_UP_AT_ONCE)):
            number = next(iter(self._open))  # In order of sending: the first is the oldest.
            if now_s - self._open[number].sent_s < WAIT_S:
                return
            sent = self._open.pop(number)
            self.unknown[sent.session] += 1
            self._refused(sent, "no answer")

    def data_received(self, data: bytes) -> None:
        """Read packets by offset."""
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while (head := _head(buffer, at, end)) is not None:
            begin, after = head
            if after > end:
                break
            kind = buffer[at] >> 4
            if kind == _PUBLISH:
                topic_bytes = int.from_bytes(buffer[begin : begin + 2])
                self._answered(buffer[begin + 2 + topic_bytes : after])
            elif kind == _SUBACK:
                self.ready.set()
            at = after
        self._buffer = buffer[at:]

    def hang_up(self) -> None:
        """Go in good order."""
        self._write(b"\xe0\x00")
        if self._transport is not None:
            self._transport.close()

    def _answered(self, payload: bytes) -> None:
        at = payload.find(_ID_MARK) + len(_ID_MARK)
        number = int(payload[at:].partition(b"}")[0].partition(b",")[0])
        sent = self._open.pop(number, None)
        if sent is None:
            return  # Given up meanwhile, or told twice.
        if b'"step":1' in payload:
            self._traffic.under_way -= 1
            sent.tally.done += 1
            self._traffic.took(sent.tally, sent.first_s, time.perf_counter())
            self.acknowledged[sent.session] += 1
        elif b'"code":"overloaded"' in payload or b'"code":"unavailable"' in payload:
            self.unknown[sent.session] += 1
            self._refused(sent, "overloaded")
        else:
            sent.tally.say_wrong(payload.decode(errors="replace")[:300])
            self._refused(sent, "wrong")

    def _refused(self, sent: _Sent, why: str) -> None:
        self._traffic.refuse(sent.tally, sent.first_s, why)
        if not self._patient:
            self._traffic.under_way -= 1
            return
        number = next(self._numbers)
        asyncio.get_running_loop().call_later(1, self._again, number, sent)

    def _again(self, number: int, sent: _Sent) -> None:
        self._write(self._frame(number, sent._replace(sent_s=time.perf_counter())))

    def _frame(self, number: int, sent: _Sent) -> bytes:
        self._open[number] = sent
        payload = (
            f'{{"op":"step","session_id":"{sent.session}","msisdn":"{sent.msisdn}",'
            f'"service_code":"*1566#","input":"","step":0,'
            f'"reply_to":"{self._topic}","correlation_id":{number}}}'
        ).encode()
        packet_id = (number % 65_535 + 1).to_bytes(2)
        return _packet(0x32, self._asks_on + packet_id + payload)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)


def _text(text: str) -> bytes:
    said = text.encode()
    return len(said).to_bytes(2) + said


def _packet(first: int, body: bytes) -> bytes:
    """A packet: its type and flags, the length in sevens of bits, the rest."""
    length, head = len(body), bytearray([first])
    while True:
        length, seven = divmod(length, 128)
        head.append(seven | (128 if length else 0))
        if not length:
            return bytes(head) + body


def _head(buffer: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Where a packet's body begins and ends; None if not even its length is there yet."""
    length = shift = 0
    for place in range(at + 1, min(at + 5, end)):
        length |= (buffer[place] & 127) << shift
        if buffer[place] < 128:
            return place + 1, place + 1 + length
        shift += 7
    return None
