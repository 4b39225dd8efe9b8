"""A load of calls: a voice platform with many on the line at once, that measures (scripts/bench).

It runs in a process of its own and must cost little beside telcod: requests are bytes with a few
places to fill, answers are looked at by offset, and each connection carries one call after another,
a report at a time, as a platform does that waits for what it is told.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from telcod.simulator.load import FIRST_MSISDN, whose_turn

TALK_S: Final = 60
CHARGE: Final = b'"charged_vnd":1500'  # a minute
OPS: Final = ("offer", "consent", "answered", "progress", "ended")
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
WAIT_S: Final = 120.0


class Step(NamedTuple):
    """One report: its name, the request, what the answer must hold, and whom it is about."""

    op: str
    request: bytes
    answer: bytes
    about: str = ""


class Report(NamedTuple):
    """What was measured: calls put through, requests answered, what went wrong, and the times."""

    calls: int
    requests: int
    seconds: float
    faults: list[str]
    answer_ms: dict[str, dict[str, float]]


class Calls:
    """The calls that a platform puts through, as the bytes it sends.

    Args:
        host: What telcod is called.
        token: Of scope `ivr`.
        subscribers: How many there are, from the first number on.
        ops: How far a call goes.
        name: Goes before the calls' ids.
        seed: For who calls whom.
        begin: How many were there before: who is called begins that far on.
        payers: How many are called, again and again; who calls the same ones at the same time hears
            busy.  0: all.
    """

    def __init__(
        self,
        host: str,
        token: str,
        subscribers: int,
        *,
        ops: tuple[str, ...],
        name: str,
        seed: int,
        begin: int = 0,
        payers: int = 0,
    ) -> None:
        self._head: Final = (
            f"Host: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        self._subscribers: Final = subscribers
        self._ops: Final = ops
        self._name: Final = name
        self._random: Final = random.Random(seed)
        self._payers: Final = payers or subscribers
        self._begin: Final = begin
        self._made = begin

    def call(self) -> list[Step]:
        """The next call: A and B are anybody, but nobody is asked twice at once."""
        at = self._made
        self._made += 1
        payer = whose_turn(
            at, begin=self._begin, people=self._payers, subscribers=self._subscribers
        )
        caller = FIRST_MSISDN + self._random.randrange(self._subscribers)
        caller += caller == payer
        call_id = f"{self._name}{at}"
        steps = {
            "offer": (
                "",
                f'{{"call_id":"{call_id}","caller":"{caller}","dialled":"1566{payer}"}}',
                b'"action":"ask"',
            ),
            "consent": ("consent", '{"result":"digit","digit":"1"}', b'"action":"connect"'),
            "answered": ("answered", "{}", b'"max_seconds":600'),
            "progress": ("progress", f'{{"used_seconds":{TALK_S // 2}}}', b'"max_seconds":630'),
            "ended": ("ended", f'{{"used_seconds":{TALK_S}}}', CHARGE),
        }
        return [
            Step(op, self._request(call_id, *steps[op][:2]), steps[op][2], call_id)
            for op in self._ops
        ]

    def again(self, op: str) -> Iterator[Step]:
        """A report of each call made so far, which are all open."""
        for at in range(self._made):
            body = f'{{"used_seconds":{TALK_S}}}'
            yield Step(op, self._request(f"{self._name}{at}", op, body), b'"max_seconds":')

    def _request(self, call_id: str, op: str, body: str) -> bytes:
        path = f"/ivr/v1/calls/{call_id}/{op}" if op else "/ivr/v1/calls"
        return (
            f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class Line(asyncio.Protocol):
    """A connection that sends the next request when the last one was answered."""

    def __init__(
        self, steps: Callable[[], Step | None], note: Callable[[Step, float, bytes], None]
    ) -> None:
        self._steps: Final = steps
        self._note: Final = note
        self._buffer = b""
        self._step: Step | None = None
        self._sent_s = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: Final = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        """One answer, whole or in parts."""
        self._buffer += data
        head = self._buffer.find(_HEAD_END)
        if head < 0:
            return
        at = self._buffer.find(_LENGTH) + len(_LENGTH)
        end = head + len(_HEAD_END) + int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) < end or self._step is None:
            return
        answer, self._buffer = self._buffer[:end], self._buffer[end:]
        self._note(self._step, time.perf_counter() - self._sent_s, answer)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody answers any more."""
        if not self.done.done():
            self.done.set_exception(ConnectionError("telcod closed a connection"))

    def hang_up(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        self._step = self._steps()
        if self._transport is None or self._step is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._sent_s = time.perf_counter()
        self._transport.write(self._step.request)


class Meter:
    """Collects what was measured; the last of `ops` ends a call."""

    def __init__(self, *, from_s: float = 0.0, ops: tuple[str, ...] = OPS) -> None:
        self._from_s: Final = from_s
        self._last: Final = ops[-1]
        self._times: Final[dict[str, list[float]]] = {op: [] for op in ops}
        self.faults: Final[list[str]] = []
        self.calls = 0

    def note(self, step: Step, took_s: float, answer: bytes) -> None:
        """One answer."""
        if step.answer not in answer or not answer.startswith(b"HTTP/1.1 200"):
            self.faults.append(f"{step.op}: {answer.decode(errors='replace')[-300:]}")
        if time.perf_counter() >= self._from_s:
            self._times[step.op].append(took_s)
            self.calls += step.op == self._last

    def report(self, seconds: float) -> Report:
        """All of it, over so many seconds."""
        every = [took_s for times in self._times.values() for took_s in times]
        shown = {op: times for op, times in self._times.items() if times} | {"all": every}
        return Report(
            self.calls,
            len(every),
            seconds,
            self.faults[:5],
            {op: percentiles(times) for op, times in shown.items()},
        )


def percentiles(times: list[float]) -> dict[str, float]:
    """Milliseconds by share."""
    ordered = sorted(times) or [0.0]
    return {
        name: round(1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


async def put_through(
    port: int, calls: Calls, *, connections: int, seconds: float, warm_up_s: float
) -> Report:
    """Whole calls, one after another on each connection, for so long."""
    return await one_after_another(
        port, calls.call, OPS, connections=connections, seconds=seconds, warm_up_s=warm_up_s
    )


async def one_after_another(
    port: int,
    whole: Callable[[], list[Step]],
    ops: tuple[str, ...],
    *,
    connections: int,
    seconds: float,
    warm_up_s: float,
) -> Report:
    """Whatever `whole` makes, from its first step to its last, again and again on each connection,
    for so long.
    """
    begun_s = time.perf_counter()
    from_s, until_s = begun_s + warm_up_s, begun_s + warm_up_s + seconds
    meter = Meter(from_s=from_s, ops=ops)

    def source() -> Callable[[], Step | None]:
        steps: list[Step] = []

        def take() -> Step | None:
            if not steps:
                if time.perf_counter() >= until_s:
                    return None
                steps.extend(reversed(whole()))
            return steps.pop()

        return take

    await drive(port, [source() for _ in range(connections)], meter)
    return meter.report(time.perf_counter() - from_s)


async def keep_open(
    port: int, calls: Calls, *, connections: int, count: int
) -> tuple[Report, Report]:
    """Open so many calls and leave them open; then a report of each while all are."""
    meter, opened = Meter(), 0

    def source() -> Callable[[], Step | None]:
        steps: list[Step] = []

        def take() -> Step | None:
            nonlocal opened
            if not steps and opened < count:
                opened += 1
                steps.extend(reversed(calls.call()))
            return steps.pop() if steps else None

        return take

    begun_s = time.perf_counter()
    await drive(port, [source() for _ in range(connections)], meter)
    opening = meter.report(time.perf_counter() - begun_s)
    again, steps = Meter(), calls.again("progress")
    begun_s = time.perf_counter()
    await drive(port, [lambda: next(steps, None)] * connections, again)
    return opening, again.report(time.perf_counter() - begun_s)


async def drive(port: int, sources: list[Callable[[], Step | None]], meter: Meter) -> None:
    """A connection for each source of steps, until all of them are dry."""
    loop = asyncio.get_running_loop()
    lines = []
    for steps in sources:
        made = partial(Line, steps, meter.note)
        _, line = await loop.create_connection(made, "127.0.0.1", port)
        lines.append(line)
    async with asyncio.timeout(WAIT_S):
        for line in lines:
            await line.done
    for line in lines:
        line.hang_up()
