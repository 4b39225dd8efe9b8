"""Requests over HTTP that do not wait: as many connections as it takes (`load_open.py`).

A piece of a traffic is a list of steps (a call, a dialogue, a payment): each is sent when the one
before was answered, but pieces begin by the clock.  A step that is refused ends its piece; a
patient traffic asks again after `Retry-After`, and its time counts from the first try.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from telcod.simulator.load_calls import Step
from telcod.simulator.load_open import Tally, Traffic

SAFE_REFUSALS: Final = (b'"action":"refuse"', b'"action":"busy"')
"""What a voice platform is told when the books can't answer in time (IVR-3)."""
TOO_MANY: Final = b'"code":"payment.too_many"'
"""A number has no more payments today (PAY-3)."""
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_AFTER: Final = b"retry-after: "


class _Piece(NamedTuple):
    """What a connection is at: the steps that are left, the last one first."""

    steps: list[Step]
    tally: Tally
    sent_s: float


class OpenHttp:
    """Connections that carry one traffic.

    Args:
        group: Whose tasks connect.
        port: Telcod's.
        pieces: Makes the next piece.
        patient: Whether what is refused is asked again.
        address: Where its connections come from, of this machine's.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        port: int,
        pieces: Callable[[], list[Step]],
        *,
        patient: bool,
        address: str = "127.0.0.1",
    ) -> None:
        self._group: Final = group
        self._port: Final = port
        self._pieces: Final = pieces
        self._patient: Final = patient
        self._from: Final = (address, 0)
        self._idle: Final[list[_Line]] = []
        self._loop: Final = asyncio.get_running_loop()
        self.traffic: Traffic
        self.acknowledged: Final[Counter[str]] = Counter()
        self.unknown: Final[Counter[str]] = Counter()

    def offer(self, traffic: Traffic, count: int, most: int) -> None:
        """See `load_open.Wire`."""
        self.traffic = traffic
        tally = traffic.tally
        tally.offered += count
        room = max(0, min(count, most - traffic.under_way))
        tally.held_back += count - room
        traffic.under_way += room
        now_s = time.perf_counter()
        for _ in range(room):
            piece = _Piece(self._pieces()[::-1], tally, now_s)
            self.carry(piece)

    def carry(self, piece: _Piece) -> None:
        """Over a connection that is idle, or a new one."""
        if self._idle:
            self._idle.pop().send(piece)
            return
        self._group.create_task(self._connect(piece))

    def hang_up(self) -> None:
        """Close the connections that are idle."""
        for line in self._idle:
            line.hang_up()
        self._idle.clear()

    # -- what a line tells

    def answered(self, line: "_Line", piece: _Piece, answer: bytes, *, stays: bool) -> None:
        """A whole answer has come; `stays`: and the connection can carry another."""
        now_s = time.perf_counter()
        step, tally = piece.steps[-1], piece.tally
        status = answer[9:12]
        if status[:1] == b"2" and step.answer in answer:
            self.traffic.took(tally, piece.sent_s, now_s)
            self.acknowledged[step.about] += 1
            piece.steps.pop()
            following = _Piece(piece.steps, tally, now_s) if piece.steps else None
            self._free(line, stays=stays, following=following)
            if following is None:
                tally.done += 1
                self.traffic.under_way -= 1
            return
        self._free(line, stays=stays, following=None)
        why, again_s = self._refusal(status, answer)
        if status == b"503":
            self.unknown[step.about] += 1  # Taken, perhaps, and not answered in time.
        if not why:
            tally.say_wrong(f"{step.op}: {answer.decode(errors='replace')[-300:]}")
        self._refused(piece, why or "wrong", again_s)

    def cut(self, piece: _Piece) -> None:
        """The connection was cut before the answer: nobody knows what became of the request."""
        self.unknown[piece.steps[-1].about] += 1
        self._refused(piece, "cut", 1)

    def _refused(self, piece: _Piece, why: str, again_s: int) -> None:
        self.traffic.refuse(piece.tally, piece.sent_s, why)
        if self._patient and again_s:
            self._loop.call_later(again_s, self.carry, piece)
        else:
            self.traffic.under_way -= 1

    def _refusal(self, status: bytes, answer: bytes) -> tuple[str, int]:
        """How it was refused, and when to ask again; no name is a wrong answer."""
        if status == b"200" and any(words in answer for words in SAFE_REFUSALS):
            return "safe refusal", 0
        if status == b"409" and TOO_MANY in answer:
            return "too many payments", 0
        if status not in {b"503", b"429"}:
            return "", 0
        after = answer.lower().find(_AFTER)
        if after < 0:
            return f"{status.decode()} without Retry-After", 1
        digits = answer[after + len(_AFTER) : answer.index(b"\r", after)]
        return f"{status.decode()} with Retry-After", int(digits)

    def _free(self, line: "_Line", *, stays: bool, following: _Piece | None) -> None:
        if not stays:
            line.hang_up()
            if following is not None:
                self.carry(following)
        elif following is not None:
            line.send(following)
        else:
            self._idle.append(line)

    def gone(self, line: "_Line") -> None:
        """An idle connection was closed by the other side."""
        if line in self._idle:
            self._idle.remove(line)

    async def _connect(self, piece: _Piece) -> None:
        made = partial(_Line, self, piece)
        try:
            await self._loop.create_connection(made, "127.0.0.1", self._port, local_addr=self._from)
        except OSError:
            self._refused(piece, "not connected", 1)


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: OpenHttp, piece: _Piece) -> None:
        self._owner: Final = owner
        self._piece: _Piece | None = piece
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        if self._piece is not None:
            self.send(self._piece)

    def send(self, piece: _Piece) -> None:
        """Send the next step of a piece."""
        self._piece = piece
        if self._transport is not None:
            self._transport.write(piece.steps[-1].request)

    def hang_up(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """One answer, whole or in parts."""
        self._buffer += data
        head = self._buffer.find(_HEAD_END)
        if head < 0:
            return
        at = self._buffer.lower().find(_LENGTH) + len(_LENGTH)
        end = head + len(_HEAD_END) + int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) < end or self._piece is None:
            return
        answer, self._buffer = self._buffer[:end], self._buffer[end:]
        piece, self._piece = self._piece, None
        stays = b"connection: close" not in answer[:head].lower()
        self._owner.answered(self, piece, answer, stays=stays)

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody answers any more."""
        self._transport = None
        piece, self._piece = self._piece, None
        if piece is not None:
            self._owner.cut(piece)
        else:
            self._owner.gone(self)
