"""How the daemon stands, for who runs it: status, pulse, gauges, traces (CLI-8, HTTP-3).

It only looks: counts of the engine, the links and the books.  Questions to the books go over the
read-only connection, each by an index or over a small table, so that asking every second costs next
to nothing.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from telcod import __version__
from telcod.billing.accounts import REVENUE_PACKAGE, REVENUE_SMS, REVENUE_VOICE
from telcod.clock import Clock, ClockGuard
from telcod.days import MINUTE_MS
from telcod.duties import Duty
from telcod.engine import Engine
from telcod.errors import Overloaded, Refusal, StoreFailed, TelcodError
from telcod.metrics import METRICS, Metrics
from telcod.mqtt.broker import Broker
from telcod.rules import Rules
from telcod.smpp.gateway import Gateway
from telcod.smpp.link import Link
from telcod.smpp.trace import TraceLine, Tracer
from telcod.types import Answer, Request
from telcod.web.ports import BrokerStatus, Latency, LinkPulse, LinkStatus, Pulse, Status, Waiting
from telcod.web.staff_requests import Refused

TICK_S: Final = 1.0
BOOKS_EVERY_TICKS: Final = 5
LOG_BYTES_LOUD: Final = 256 * 1024 * 1024
"""The books' log is emptied at 16 MB and cut to 64 MB: a longer one is kept by a reader (F11)."""
SESSION_ALIVE_MS: Final = 3 * MINUTE_MS
SESSION_BEGAN_MS: Final = 15 * MINUTE_MS
_EARNED: Final = {"package": REVENUE_PACKAGE, "voice": REVENUE_VOICE, "sms": REVENUE_SMS}

# One row, each column by an index or over a table that stays small.
_WAITING: Final = """
    SELECT
        (SELECT COUNT(*) FROM outbox_sms WHERE state = 0),
        (SELECT at FROM outbox_sms WHERE state = 0 ORDER BY seq LIMIT 1),
        (SELECT COUNT(*) FROM outbox_push WHERE state = 0),
        (SELECT COUNT(*) FROM outbox_mail WHERE state = 0),
        (SELECT COUNT(*) FROM call WHERE due_at > 0),
        (SELECT COUNT(*) FROM ussd_session WHERE started_at > ? AND touched_at > ? AND ended = 0),
        (SELECT COUNT(*) FROM payment WHERE next_at > 0),
        (SELECT COUNT(*) FROM payment_case WHERE closed_at = 0),
        (SELECT COUNT(*) FROM quarantine)
"""
_OPEN: Final = """
    SELECT
        (SELECT COUNT(*) FROM call WHERE due_at > 0),
        (SELECT COUNT(*) FROM ussd_session WHERE started_at > ? AND touched_at > ? AND ended = 0)
"""
_POSTED: Final = "SELECT id, posted FROM account WHERE id IN (?, ?, ?)"
_NEWEST_EVENT: Final = "SELECT MAX(seq) FROM outbox_event"

_log = structlog.get_logger("telcod.ops")


class BookReader(Protocol):
    """What is asked of the books (`telcod.storage.readers.SqliteReader` has it)."""

    def rows(self, sql: str, values: tuple[Any, ...]) -> Awaitable[list[Any]]:
        """Run one query."""
        ...


class Listener(Protocol):
    """Something that listens: HTTP, FastAGI."""

    @property
    def host(self) -> str:
        """The address."""
        ...

    @property
    def port(self) -> int:
        """The port."""
        ...


class Whole(Protocol):
    """The daemon, as far as it is looked at (`telcod.app.Daemon`)."""

    @property
    def clock(self) -> Clock: ...
    @property
    def guard(self) -> ClockGuard: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def rules(self) -> Rules: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def gateway(self) -> Gateway: ...
    @property
    def reader(self) -> BookReader: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def web(self) -> Listener: ...
    @property
    def agi(self) -> Listener | None: ...
    @property
    def mqtt(self) -> Broker | None: ...
    @property
    def duty(self) -> Duty: ...
    @property
    def daemons(self) -> int: ...
    def ready_lacks(self) -> Sequence[str]: ...


class Ops:
    """Looks at one daemon; `run` keeps its gauges.  See `telcod.web.ports.Operations`."""

    def __init__(self, whole: Whole) -> None:
        self._whole: Final = whole
        self._started_s: Final = whole.clock.monotonic_s()
        self._started_ms: Final = whole.clock.wall_ms()
        self._reconnects: dict[str, int] = {}
        self._books: tuple[int, int] | None = None  # Device and inode of the file that is open.
        self._log_grows = False
        self._tracer: Final = Tracer(
            whole.clock.wall_ms, lambda: whole.rules.dispatcher.secret_codes
        )

    @property
    def uptime_s(self) -> int:
        """Whole seconds since the start."""
        return int(self._whole.clock.monotonic_s() - self._started_s)

    async def status(self) -> Status:
        """How the daemon stands.

        Raises:
            Unavailable: The books can't be read now.
        """
        whole = self._whole
        waiting = await self._waiting()
        return Status(
            version=__version__,
            uptime_s=self.uptime_s,
            links=tuple(_link_status(link) for link in whole.gateway.links),
            queue_requests=whole.engine.waiting,
            outbox_pending=waiting.texts,
            commit_ms=whole.engine.commit_ms,
            clock_jumped=whole.guard.jumped,
            clock_jump_ms=whole.guard.jump_ms,
            started_ms=self._started_ms,
            lacks=tuple(whole.ready_lacks()),
            http=_address(whole.web),
            fastagi=_address(whole.agi) if whole.agi is not None else "",
            broker=await self._broker(),
            waiting=waiting,
            books_bytes=books_bytes(whole.path),
            disk_free_bytes=disk_free_bytes(whole.path),
            log_bytes=log_bytes(whole.path),
            log_grows=log_bytes(whole.path) > LOG_BYTES_LOUD,
            daemons=whole.daemons,
            on_duty=whole.duty.held,
        )

    async def pulse(self) -> Pulse:
        """Counts since the start, as they are now.

        Raises:
            Unavailable: The books can't be read now.
        """
        whole, metrics = self._whole, self._whole.metrics
        now_ms = whole.clock.wall_ms()
        since = (now_ms - SESSION_BEGAN_MS, now_ms - SESSION_ALIVE_MS)
        [(calls, sessions)] = await whole.reader.rows(_OPEN, since)
        return Pulse(
            at_s=whole.clock.monotonic_s(),
            version=__version__,
            uptime_s=self.uptime_s,
            lacks=tuple(whole.ready_lacks()),
            links=tuple(_link_pulse(link) for link in whole.gateway.links),
            texts=metrics.total("telcod_texts_received"),
            replies=metrics.total("telcod_replies"),
            requests=metrics.total("telcod_requests"),
            redelivered=metrics.total("telcod_redeliveries"),
            queue_requests=whole.engine.waiting,
            outbox_texts=whole.gateway.sender.in_memory,
            calls_open=calls,
            sessions_open=sessions,
            earned_vnd=dict(await self._earned()),
            commit=_latency(metrics, "telcod_engine_commit_seconds"),
            text=_latency(metrics, "telcod_text_seconds"),
            http=_latency(metrics, "telcod_http_seconds"),
        )

    async def trace(
        self, link: str, *, seconds: int | None = None, pdus: int | None = None
    ) -> AsyncGenerator[TraceLine, None]:
        """See `telcod.web.ports.Operations.trace`."""
        links = {each.name: each for each in self._whole.gateway.links}
        if link not in links:
            known = ", ".join(links) or "there are none"
            raise Refused(
                Refusal.NOT_FOUND, f"no link is called {link!r}", what_to_do=f"Links: {known}."
            )
        _log.warning("trace.begun", link=link, seconds=seconds, pdus=pdus)
        async for line in self._tracer.trace(links[link], seconds=seconds, pdus=pdus):
            yield line

    def stop(self) -> None:
        """End all traces: telcod stops."""
        self._tracer.close()

    async def counted(
        self, request: Request, submit: Callable[[Request], Awaitable[Answer]]
    ) -> Answer:
        """Hand a request on, and count it."""
        self.count(request)
        try:
            return await submit(request)
        except Overloaded as error:
            self.count_refused(error)
            raise

    def count(self, request: Request) -> None:
        """Count a request that is handed on."""
        self._whole.metrics.requests[request.channel].inc()

    def count_refused(self, error: TelcodError) -> None:
        """Count one that was not taken, if it was because too many wait."""
        if isinstance(error, Overloaded):
            self._whole.metrics.overloads.inc()

    async def run(self) -> None:
        """Keep the gauges, once a second; cancel to stop."""
        ticks = 0
        while True:
            self.tick()
            if ticks % BOOKS_EVERY_TICKS == 0:
                try:
                    await self.look_at_books()
                except TelcodError as error:
                    _log.warning("gauges.unreadable", reason=error.sentence())
            ticks += 1
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """Set the gauges that cost nothing."""
        whole, metrics = self._whole, self._whole.metrics
        metrics.queue_requests.set(whole.engine.waiting)
        metrics.clock_jumped.set(int(whole.guard.jumped))
        metrics.ready.set(int(not whole.ready_lacks()))
        metrics.on_duty.set(int(whole.duty.held))
        metrics.daemons.set(whole.daemons)
        self._see_that_the_books_are_there()
        for link in whole.gateway.links:
            count = link.counters.reconnects
            metrics.link(link.name).reconnects.inc(count - self._reconnects.get(link.name, 0))
            self._reconnects[link.name] = count

    def _see_that_the_books_are_there(self) -> None:
        """Stop when the database was removed or replaced: what is committed would go nowhere (F6).

        The system keeps the file that is open, and every commit to it succeeds; with the process it
        would be gone, and all that was acknowledged meanwhile.
        """
        engine, path = self._whole.engine, self._whole.path
        if path is None:
            return
        found = _identity(path)
        if self._books is None:
            self._books = found
        elif found != self._books and engine.failed is None:
            what = "was replaced by another file" if found else "was removed"
            engine.failed = StoreFailed(
                f"{path} {what} while telcod had it open",
                what_to_do="Restore the newest backup, or put the file back, and start telcod.",
            )
            engine.on_failed(engine.failed)

    def _listen_to_the_log(self, size_bytes: int) -> None:
        """Say once that the books' log grows, and once that it does no more."""
        grows = size_bytes > LOG_BYTES_LOUD
        if grows and not self._log_grows:
            _log.error(
                "log.grows",
                log_bytes=size_bytes,
                what_to_do="end who reads the books in one long transaction: lsof on the database",
            )
        elif self._log_grows and not grows:
            _log.info("log.emptied", log_bytes=size_bytes)
        self._log_grows = grows

    async def look_at_books(self) -> None:
        """Set the gauges that ask the books or the disk.

        Raises:
            Unavailable: The books can't be read now.
        """
        whole, metrics = self._whole, self._whole.metrics
        waiting = await self._waiting()
        metrics.outbox_pending_texts.set(waiting.texts)
        metrics.outbox_oldest_seconds.set(waiting.oldest_text_s)
        metrics.waiting_pushes.set(waiting.pushes)
        metrics.waiting_mails.set(waiting.mails)
        metrics.open_calls.set(waiting.calls)
        metrics.open_sessions.set(waiting.sessions)
        metrics.open_payments.set(waiting.payments)
        metrics.open_cases.set(waiting.cases)
        for service, posted in (await self._earned()).items():
            metrics.earned_vnd[service].set(posted)
        metrics.books_bytes.set(books_bytes(whole.path))
        metrics.log_bytes.set(log_bytes(whole.path))
        self._listen_to_the_log(log_bytes(whole.path))
        metrics.disk_free_bytes.set(disk_free_bytes(whole.path))
        broker = await self._broker()
        if broker is not None:
            gauges = metrics.broker(broker.address)
            gauges.connected.set(int(broker.connected))
            gauges.behind_events.set(broker.events_behind)

    async def _waiting(self) -> Waiting:
        now_ms = self._whole.clock.wall_ms()
        since = (now_ms - SESSION_BEGAN_MS, now_ms - SESSION_ALIVE_MS)
        [(texts, oldest_at, *others)] = await self._whole.reader.rows(_WAITING, since)
        oldest_s = 0 if oldest_at is None else max(0, now_ms - oldest_at) // 1_000
        return Waiting(texts, oldest_s, *others)

    async def _earned(self) -> Mapping[str, int]:
        found = dict(await self._whole.reader.rows(_POSTED, tuple(_EARNED.values())))
        return {service: found.get(account, 0) for service, account in _EARNED.items()}

    async def _broker(self) -> BrokerStatus | None:
        mqtt = self._whole.mqtt
        if mqtt is None:
            return None
        [(newest,)] = await self._whole.reader.rows(_NEWEST_EVENT, ())
        behind = max(0, (newest or 0) - mqtt.events_confirmed)
        return BrokerStatus(mqtt.where, mqtt.connected, mqtt.last_error, behind)


def books_bytes(path: Path | None) -> int:
    """The size of the database and of the log beside it, in bytes; 0 if they are on a server."""
    return _size(path) + log_bytes(path)


def log_bytes(path: Path | None) -> int:
    """The size of the log beside the database, in bytes; 0 if it is on a server."""
    return _size(path.with_name(f"{path.name}-wal")) if path is not None else 0


def disk_free_bytes(path: Path | None) -> int:
    """The room left where the books are, or, if they are on a server, where telcod runs."""
    return shutil.disk_usage(path.parent if path is not None else ".").free


def _size(path: Path | None) -> int:
    if path is None:
        return 0
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a name means; None if none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _address(listener: Listener) -> str:
    return f"{listener.host}:{listener.port}"


def _link_status(link: Link) -> LinkStatus:
    return LinkStatus(
        name=link.name,
        host=link.settings.host,
        port=link.settings.port,
        short_codes=link.short_codes,
        bound=link.bound,
        last_error=link.last_error,
        outstanding=_outstanding(link),
    )


def _link_pulse(link: Link) -> LinkPulse:
    return LinkPulse(
        name=link.name,
        bound=link.bound,
        pdus_in=sum(link.counters.pdus_in.values()),
        pdus_out=sum(link.counters.pdus_out.values()),
        outstanding=_outstanding(link),
        throttled=link.counters.throttled,
        last_error=link.last_error,
    )


def _outstanding(link: Link) -> int:
    return sum(connection.outstanding for connection in link.state.connections)


def _latency(metrics: Metrics, name: str) -> Latency:
    return Latency(METRICS[name].buckets, metrics.counts(name))
