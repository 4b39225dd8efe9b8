"""Requests over MQTT, worked on and answered (MQTT-1).

A message is acknowledged when its work is committed and its answer is with the broker; so one that
telcod dies over comes again, and is known by its own ids.  Work is begun in the order of arrival,
`workers` at a time; the broker sends no more than that unacknowledged.  What an operation does
before it hands its request to the engine must not wait for anything, or a call's reports could
overtake one another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from telcod.clock import Clock
from telcod.errors import Overloaded, TelcodError
from telcod.mqtt import asked
from telcod.mqtt.asked import Address, Asked
from telcod.mqtt.wire import ANSWER_WAIT_S, Received, Wire
from telcod.problems import Malformed, told

Op = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]
Ops = Mapping[str, Mapping[str, Op]]
"""By door (`ussd`, whose topic is `<prefix>ussd/request`), by the name of the operation."""

WAITING_MAX: Final = 1_000
"""Messages of QoS 0, which no window holds back; beyond that they are refused."""

_log = structlog.stdlib.get_logger(__name__)


class _Job(NamedTuple):
    message: Received
    arrival: object
    deadline_s: float | None


class Requests:
    """Answers what comes by one connection.

    Args:
        wire: The connection.
        ops: What can be asked.
        clock: For what expires.
        topics: How telcod's own topics begin.
        reply_prefix: How a topic must begin that is answered to.
        gateway: Whose requests these are, if they have topics of their own: `gateway` is the last
            part of each, and is answered to below `<reply_prefix><gateway>/` only.
        workers: How many requests are worked on at once.
    """

    def __init__(
        self,
        wire: Wire,
        ops: Ops,
        clock: Clock,
        *,
        topics: str,
        reply_prefix: str,
        workers: int,
        gateway: str = "",
    ) -> None:
        self._wire: Final = wire
        self._clock: Final = clock
        self._prefix: Final = f"{reply_prefix}{gateway}/" if gateway else reply_prefix
        self._workers: Final = workers
        own = f"/{gateway}" if gateway else ""
        self._ops: Final = {f"{topics}{door}/request{own}": known for door, known in ops.items()}
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(workers + WAITING_MAX)
        self._open = True

    @property
    def topics(self) -> list[str]:
        """What is listened to."""
        return sorted(self._ops)

    def take(self, message: Received) -> None:
        """A message has come; called by the wire."""
        if not self._open:
            return  # Not acknowledged, so it comes again.
        left_s = message.expires_in_s
        deadline_s = None if left_s is None else self._clock.monotonic_s() + left_s
        job = _Job(message, self._wire.arrival(message), deadline_s)
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            self._refuse(job)

    async def run(self) -> None:
        """Work for ever; cancel to stop."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"mqtt request {number}")

    async def drain(self) -> None:
        """Take nothing more, and return when all that was taken is answered."""
        self._open = False
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                sent = await self._serve(job)
                if sent is not None:
                    await self._delivered(sent)
            finally:
                self._queue.task_done()
            self._wire.acknowledge(job.arrival)

    async def _serve(self, job: _Job) -> asyncio.Future[None] | None:
        """The edge of one MQTT message: carry it out, log, answer; never raises."""
        started_s = self._clock.monotonic_s()
        message = job.message
        if message.retain or self._is_late(job):
            _log.info("mqtt.dropped", topic=message.topic, retained=message.retain)
            return None
        request, address, code = Asked("", {}), None, "ok"
        try:
            request, address = self._read(message)
            payload = asked.answer(address, await self._carry_out(message.topic, request))
        except asked.Forbidden as error:
            _log.warning("mqtt.reply_refused", topic=message.topic, reason=str(error))
            return None
        except Exception as error:  # noqa: BLE001  (the edge of one MQTT message)
            code, payload = told(error).code, asked.answer(address, asked.problem(error))
            if code == "failed":
                _log.error("mqtt.failed", topic=message.topic, op=request.op, exc_info=error)
        late = self._is_late(job)
        _log.info(
            "mqtt.answered",
            topic=message.topic,
            op=request.op,
            code=code,
            took_ms=round((self._clock.monotonic_s() - started_s) * 1_000),
            asked=address is not None,
            late=late,
        )
        return None if late or address is None else self._answer(address, payload, job)

    def _read(self, message: Received) -> tuple[Asked, Address | None]:
        return asked.read(
            message.payload,
            topic=message.answer_to,
            correlation=message.correlation,
            prefix=self._prefix,
        )

    async def _carry_out(self, topic: str, request: Asked) -> Mapping[str, Any]:
        """What the operation answers.

        Raises:
            Malformed: There is no such operation, or the request is none.
            Exception: Whatever the operation has to complain of.
        """
        if request.wrong is not None:
            raise request.wrong
        # A topic of other settings may still be in the session that the broker keeps.
        known = self._ops.get(topic, {})
        op = known.get(request.op)
        if op is None:
            raise Malformed(f"op: must be one of {', '.join(known)}", field="op")
        return await op(request.fields)

    def _answer(self, address: Address, payload: bytes, job: _Job) -> asyncio.Future[None]:
        left_s = 0
        if job.deadline_s is not None:
            left_s = max(1, round(job.deadline_s - self._clock.monotonic_s()))
        return self._wire.send(
            address.topic, payload, correlation=address.correlation, expires_in_s=left_s
        )

    async def _delivered(self, sent: asyncio.Future[None]) -> None:
        """Wait until the broker has an answer; one that it does not take is lost."""
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                await sent
        except TimeoutError:
            _log.warning("mqtt.answer_lost", reason="the broker does not acknowledge it")
        except TelcodError as error:
            _log.warning("mqtt.answer_lost", reason=error.sentence())

    def _refuse(self, job: _Job) -> None:
        """Too many wait: say so, if it can be said, and do nothing."""
        _log.warning("mqtt.overloaded", topic=job.message.topic)
        try:
            _, address = self._read(job.message)
        except asked.Forbidden:
            address = None
        if address is not None:
            problem = asked.problem(Overloaded("too many requests are waiting"))
            self._answer(address, asked.answer(address, problem), job)
        self._wire.acknowledge(job.arrival)

    def _is_late(self, job: _Job) -> bool:
        return job.deadline_s is not None and self._clock.monotonic_s() >= job.deadline_s
