"""A load generator: an SMSC that sends texts as fast as they are taken, and measures (scripts/bench
sms).

It runs in a process of its own and must cost little beside telcod, so it does not build each PDU:
smpplib makes one of each keyword, and numbers, addresses and sequence are written into copies of
it.  Frames that come back are read by offset.
"""

import asyncio
import itertools
import json
import random
import struct
import time
from collections.abc import Sequence, Sized
from typing import Any, Final, NamedTuple

from smpplib import smpp
from smpplib.client import Client

HEADER: Final = struct.Struct(">IIII")
BIND_IDS: Final = frozenset({0x1, 0x2, 0x9})
SUBMIT_SM: Final = 0x4
SUBMIT_SM_RESP: Final = 0x80000004
DELIVER_SM_RESP: Final = 0x80000005
ENQUIRE_LINK: Final = 0x15
UNBIND: Final = 0x6
ADDRESS_MARK: Final = "84900000000"
NUMBER_MARK: Final = "0900000000"
FIRST_MSISDN: Final = 84_900_000_000
UDHI: Final = 0x40
MISSES_MAX: Final = 1_000
"""Senders in a row who still wait for an answer: then nearly all do, and nobody is left to text."""

# What people send, and how often: mostly questions, some changes, some nonsense.
MIX: Final[Sequence[tuple[str, int]]] = (
    ("KT", 25),
    (f"B {NUMBER_MARK}", 15),
    (f"XOAB {NUMBER_MARK}", 10),
    (f"W {NUMBER_MARK}", 15),
    ("KT B", 15),
    ("DK", 8),
    ("HUY", 7),
    ("ABC XYZ", 5),
)


class _Template(NamedTuple):
    """A deliver_sm cut where addresses and numbers go."""

    head: bytes
    middle: bytes
    tail: bytes | None


class Report(NamedTuple):
    """What was measured over `seconds`."""

    sent: int
    answered: int
    refused: int
    missing: int
    doubled: int
    seconds: float
    response_ms: dict[str, float]
    answer_ms: dict[str, float]


def whose_turn(turn: int, *, begin: int, people: int, subscribers: int) -> int:
    """The number that has this turn, of so many `people` from the `begin`th subscriber on, again
    and again; turns are counted from `begin`.
    """
    return FIRST_MSISDN + (begin + (turn - begin) % people) % subscribers


def templates(short_code: str) -> list[_Template]:
    """One deliver_sm of each keyword, as often as its share, made by smpplib."""
    client = Client("127.0.0.1", 0, allow_unknown_opt_params=True)
    found = []
    for text, share in MIX:
        pdu = smpp.make_pdu(
            "deliver_sm",
            client=client,
            sequence=1,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=ADDRESS_MARK,
            dest_addr_ton=0,
            dest_addr_npi=1,
            destination_addr=short_code,
            short_message=text.encode(),
        )
        frame = pdu.generate()
        head, rest = frame[16:].split(ADDRESS_MARK.encode(), 1)
        middle, number, tail = rest.partition(NUMBER_MARK.encode())
        found += [
            _Template(frame[:12] + b"\0\0\0\0" + head, middle, tail if number else None)
        ] * share
    return found


class LoadSmsc(asyncio.Protocol):
    """The SMSC's side of one connection.

    Binds whoever comes, then sends while the window has room.  What fills the window is texts
    without a response or, `until_answered`, without the text that answers them.
    """

    def __init__(
        self,
        *,
        window: int,
        subscribers: int,
        seconds: float,
        warm_up_s: float,
        seed: int,
        done: asyncio.Event,
        until_answered: bool = False,
        first: int = 0,
    ) -> None:
        self._window: Final = window
        self._subscribers: Final = subscribers
        self._first: Final = FIRST_MSISDN + first
        self._warm_up_s: Final = warm_up_s
        self._seconds: Final = seconds
        self._random: Final = random.Random(seed)
        self._templates: Final = templates("1566")
        self._sequence: Final = itertools.count(1)
        self._done: Final = done
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._open: dict[int, tuple[float, int]] = {}
        self._waiting: dict[bytes, float] = {}
        self._fills: Final[Sized] = self._waiting if until_answered else self._open
        self._response_s: list[float] = []
        self._answer_s: list[float] = []
        self._sent = self._refused = self._doubled = 0
        self._from_s = self._until_s = 0.0
        self._message_ids: Final = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A telcod came."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Read frames by offset; answer in one write."""
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        now = time.perf_counter()
        out: list[bytes] = []
        while end - at >= 16:
            length, command, status, sequence = HEADER.unpack_from(buffer, at)
            if end - at < length:
                break
            self._frame(buffer[at : at + length], command, status, sequence, now, out)
            at += length
        self._buffer = buffer[at:]
        if self._until_s:
            self._send_more(now, out)
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def _frame(
        self, frame: bytes, command: int, status: int, sequence: int, now: float, out: list[bytes]
    ) -> None:
        if command == DELIVER_SM_RESP:
            sent = self._open.pop(sequence, None)
            if sent is not None and now >= self._from_s:
                self._response_s.append(now - sent[0])
            self._refused += status != 0
        elif command == SUBMIT_SM:
            message_id = f"{next(self._message_ids):x}".encode() + b"\0"
            out.append(HEADER.pack(16 + len(message_id), SUBMIT_SM_RESP, 0, sequence) + message_id)
            self._answer(frame, now)
        elif command in BIND_IDS:
            out.append(
                HEADER.pack(26, command | 0x80000000, 0, sequence) + b"load\0\x02\x10\x00\x01\x34"
            )
            self._from_s = now + self._warm_up_s
            self._until_s = self._from_s + self._seconds
            asyncio.get_running_loop().call_later(
                self._warm_up_s + self._seconds + 1.5, self._done.set
            )
        elif command in {ENQUIRE_LINK, UNBIND}:
            out.append(HEADER.pack(16, command | 0x80000000, 0, sequence))

    def _answer(self, frame: bytes, now: float) -> None:
        """Find whose answer it is: three fields and an address, three and an address."""
        at = frame.index(b"\0", 16) + 3
        at = frame.index(b"\0", at) + 3
        end = frame.index(b"\0", at)
        address = frame[at:end]
        if frame[end + 1] & UDHI:
            # esm_class, protocol, priority, schedule NUL, validity NUL, registered, replace,
            # coding, default id, length: then UDH
            header = frame[end + 11 : end + 17]
            if header[4] != header[5]:
                return
        sent = self._waiting.pop(address, None)
        if sent is None:
            self._doubled += 1
        elif now >= self._from_s:
            self._answer_s.append(now - sent)

    def _send_more(self, now: float, out: list[bytes]) -> None:
        if now >= self._until_s:
            return
        misses = 0
        while len(self._fills) < self._window and misses < MISSES_MAX:
            address = str(self._first + self._random.randrange(self._subscribers)).encode()
            if address in self._waiting:
                misses += 1
                continue
            template = self._random.choice(self._templates)
            sequence = next(self._sequence)
            body = template.head[16:] + address + template.middle
            if template.tail is not None:
                other = self._first + self._random.randrange(self._subscribers)
                body += b"0%d" % (other - 84_000_000_000) + template.tail
            out.append(HEADER.pack(16 + len(body), 5, 0, sequence) + body)
            self._open[sequence] = (now, 0)
            self._waiting[address] = now
            self._sent += 1

    def report(self) -> Report:
        """What was measured between warm-up and end."""
        return Report(
            sent=self._sent,
            answered=len(self._answer_s),
            refused=self._refused,
            missing=len(self._waiting),
            doubled=self._doubled,
            seconds=self._seconds,
            response_ms=_percentiles(self._response_s),
            answer_ms=_percentiles(self._answer_s),
        )


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        name: round(1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


async def serve_load(
    *,
    window: int,
    subscribers: int,
    seconds: float,
    warm_up_s: float,
    port_told: Any,
    seed: int = 1,
    until_answered: bool = False,
    first: int = 0,
) -> Report:
    """Listen on a free port (told by `port_told`), load the first ESME that binds, and report.

    The texts are those of `subscribers` numbers from the `first` one of the books on.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    made: list[LoadSmsc] = []

    def make() -> LoadSmsc:
        made.append(
            LoadSmsc(
                window=window,
                subscribers=subscribers,
                seconds=seconds,
                warm_up_s=warm_up_s,
                seed=seed,
                done=done,
                until_answered=until_answered,
                first=first,
            )
        )
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    port_told(server.sockets[0].getsockname()[1])
    await done.wait()
    server.close()
    return made[-1].report()


def as_json(report: Report) -> str:
    """One line for the process that asked."""
    return json.dumps(report._asdict())
