"""The composition root: the only file that knows everybody (DESIGN 3).

`Daemon` opens the books, starts the writer, the links, the clock's work and HTTP, says in one line
when each is there, and takes them down in the opposite order: no new work, last batch committed,
unbind, close (CLI-1).
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import SystemRandom
from ssl import SSLContext
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import uvloop

import ivr.http
import ivr.shortcut
import ivr.voicexml_routes
import ussd.shortcut
from handlers.daemon import changed_tariffs
from ivr.agi import AgiServer
from ivr.agi_scripts import Service
from telcod import __version__, log
from telcod.clock import BelievedClock, Clock, SystemClock
from telcod.days import HOUR_MS
from telcod.dispatch import Route
from telcod.doors import Doors
from telcod.duties import Duty, Tending
from telcod.engine import Batcher, BatchStats, Engine, Result, plain
from telcod.errors import NotStarted, Refusal, StoreFull, TelcodError
from telcod.metrics import Metrics
from telcod.mqtt.broker import Broker
from telcod.msisdn import Msisdn, NumberError
from telcod.msisdn import parse as parse_number
from telcod.ops import Ops
from telcod.pages import Pages
from telcod.passwords import PasswordHashes
from telcod.prompts import Prompts
from telcod.reports import days_to_close
from telcod.rows import TARIFF_SEEN, TOKEN, OutboxSms, Token
from telcod.rulebook import RulesError, load_rules
from telcod.scheduler import Scheduler
from telcod.service import SERVICE
from telcod.settings import Settings
from telcod.smpp.gateway import Gateway
from telcod.smpp.inbox import Inbox
from telcod.smpp.link import Link, LinkSettings, tls_context
from telcod.smpp.redelivery import Redelivery
from telcod.smpp.sender import OwnTexts, Reader, Sender
from telcod.storage.books import books_of
from telcod.storage.snapshot import back_up
from telcod.systemd import Systemd
from telcod.types import Answer, Channel, Language, Request
from telcod.vault import Vault
from telcod.web.ports import BackupDone, Status
from telcod.web.server import WebLimits, WebServer, control_socket_path
from telcod.web.shortcut import Shortcut
from telcod.web.staff_requests import Refused

if TYPE_CHECKING:
    from telcod.storage.readers import BooksReader

DRAIN_S: Final = 5.0
MQTT_DRAIN_S: Final = 2.0
# The loop waits this long at most for the interpreter while the writer runs handlers: with Python's
# own 5 ms, a batch of texts makes the next one late (scripts/bench sms: p99 a fifth higher).
SWITCH_S: Final = 0.001
GARBAGE_AFTER: Final = 20_000
"""New containers until the youngest are searched for cycles.

A batch makes some thousands, and frees them by their reference counts: the usual 700 searches them
several times, and all of the daemon every few seconds, for nothing.
"""

_log = structlog.get_logger("telcod.app")


def run_daemon(settings: Settings) -> None:
    """Run in the foreground until SIGTERM or SIGINT (CLI-1).

    Raises:
        NotStarted: It can't start as it is set up; the message says why and what to do.
        StoreFailed: The disk failed while it ran; what was not answered will be sent again by its
        peers.
    """
    log.configure(level=settings.log.level, form=settings.log.format)
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(GARBAGE_AFTER, *gc.get_threshold()[1:])
    uvloop.run(_run_with_signals(settings))


async def _run_with_signals(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    daemon = Daemon(settings, told=_tell)
    daemon.on_ready = _keep_what_is_there
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
    await daemon.run(stop)


def _keep_what_is_there() -> None:
    """Code, catalogues and tables stay for good: they are not searched for cycles any more."""
    gc.collect()
    gc.freeze()


def _tell(line: str) -> None:
    """The few lines that a person in front of it waits for go to standard output.

    Logs go to standard error.
    """
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Daemon:
    """One telcod.

    Args:
        settings: What to open and where to listen.
        clock: The time; tests move their own.
        told: Gets a line when a link is bound, HTTP listens, and at the end.
        routes: What each request leads to; tests put rows of their own among them.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        told: Callable[[str], None] = lambda _: None,
        routes: Mapping[str, Route] = SERVICE,
    ) -> None:
        self.settings: Final = settings
        self.clock: Final = BelievedClock(clock or SystemClock())
        self.metrics: Final = Metrics()
        self.guard: Final = self.clock
        self.ready: Final = asyncio.Event()
        self.on_ready: Callable[[], None] = lambda: None
        self._told: Final = told
        self._routes: Final = routes
        self._failed: TelcodError | None = None
        self._reload: Final = asyncio.Event()
        self._stop: asyncio.Event | None = None
        self.rules = load_rules(settings)
        self.web: WebServer
        self.agi: AgiServer | None = None
        self.gateway: Gateway
        self.engine: Engine
        self.reader: BooksReader
        self.duty: Duty
        self.tending: Tending | None = None
        self.ops: Final = Ops(self)
        self.systemd: Final = Systemd(os.environ, pid=os.getpid())
        self.doors: Final = Doors(settings, self, self.clock, told, self.try_later)
        self.books: Final = books_of(settings)
        self.path: Final = self.books.path

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set or the store fails.

        Raises:
            NotStarted: See `run_daemon`.
            StoreFailed: The store failed; everything that waited was told to try again.
        """
        self._stop = stop
        self._check_short_codes()
        store = self.books.open()
        hashes = PasswordHashes()
        try:
            batcher = Batcher(store, self.rules, self._routes, self.clock, self._vault())
            boot = self._start_books(batcher)
            self.engine = Engine(
                batcher,
                queue_max=self.settings.engine.queue_max,
                batch_max=self.settings.engine.batch_max,
            )
            self.engine.on_failed = self._store_failed
            self.engine.on_batch = self._count_batch
            self._wire(boot, hashes)
            doubt = self._begin(batcher, boot)
            pages = Pages(
                self.settings,
                self,
                self.guard,
                self.engine.vault,
                lambda: self.reader,
                self.books.reader(),
            )
            self.web = WebServer(
                self,
                host=self.settings.http.host,
                port=self.settings.http.port,
                control_socket=control_socket_path(self.settings),
                limits=WebLimits(
                    rate_per_s=self.settings.http.rate_per_s,
                    burst=self.settings.http.burst,
                    allow_from=self.settings.http.allow_from,
                    proxies=self.settings.http.proxies,
                ),
                dialects=(
                    *ivr.http.ROUTES,
                    *ivr.voicexml_routes.routes(self.settings.file("prompts")),
                    *self.doors.http_routes(),
                    *pages.http_routes(),
                ),
                shortcut=lambda app: Shortcut(
                    app, ivr.shortcut.found, ussd.shortcut.found, pages.shortcut
                ),
            )
            self.web.bind()
            self.agi = await self._bind_agi()
            _log.info("daemon.started", version=__version__, boot=boot, in_doubt=doubt)
            self.engine.start(asyncio.get_running_loop())
            async with self.books.reader() as self.reader, pages:
                self.doors.connect(self.reader)
                try:
                    await self._serve(stop, pages)
                finally:
                    # Also when a part of it broke: nobody writes any more when the store is closed.
                    await self.engine.stop()
        finally:
            hashes.close()
            store.close()
        self._told("telcod has stopped")
        if self._failed is not None:
            raise self._failed

    async def _serve(self, stop: asyncio.Event, pages: Pages) -> None:
        scheduler = Scheduler(
            self.reader,
            self.engine,
            self.clock,
            self.guard,
            lambda: self.rules.limits.texts,
            closings=lambda most: days_to_close(self.reader, most=most),
        )
        async with asyncio.TaskGroup() as group:
            web = group.create_task(self.web.run(), name="http")
            work = [
                group.create_task(self.duty.keep(scheduler.run), name="scheduler"),
                group.create_task(self._reload_when_asked(), name="reload"),
                group.create_task(self.ops.run(), name="gauges"),
                group.create_task(self.duty.keep(pages.run), name="payments and mail"),
                group.create_task(self.systemd.keep(self.submit, self._in_a_word), name="systemd"),
            ]
            if self.tending is not None:
                work.append(group.create_task(self.tending.run(self._own_texts()), name="duties"))
            links = group.create_task(self.gateway.run(self._own_texts()), name="smpp")
            doors = group.create_task(
                self.duty.keep(partial(self.doors.run, self.engine, self.gateway, self.reader)),
                name="ussd and mqtt",
            )
            self._told(f"HTTP listens on http://{self.settings.http.host}:{self.web.port}")
            if self.agi is not None:
                group.create_task(self.agi.run(), name="fastagi")
                self._told(f"FastAGI listens on {self.agi.host}:{self.agi.port}")
            self.ready.set()
            self.on_ready()
            self.systemd.ready(self._in_a_word())
            await stop.wait()
            self.systemd.stopping()
            self._told("telcod is stopping")
            self.ops.stop()
            for task in work:
                task.cancel()
            if self.agi is not None:
                self.agi.stop()
            await self._stop_doors(doors)
            await self.gateway.stop(drain_s=DRAIN_S)
            links.cancel()
            await self.engine.stop()
            self.web.stop()
            await asyncio.wait([web])

    # -- what web and command line ask (`telcod.web.ports.Backend`)

    @property
    def prompts(self) -> Prompts:
        """What voice platforms say, by the rules in force."""
        return self.rules.prompts

    def try_later(self) -> str:
        """What a phone shows when the books can't say anything, by the rules in force."""
        return self.rules.catalogue.render("ussd.try_later", {}, Language.VI)

    async def submit(self, request: Request) -> Answer:
        """See `Engine.submit`."""
        return await self.ops.counted(request, self.engine.submit)

    def post(self, request: Request, told: Callable[[Answer | TelcodError], None]) -> None:
        """As `submit`, for who does not wait: `told` gets what it gives, or raises."""

        def sink(_: Request, result: Result) -> None:
            settled = plain(result)
            if isinstance(settled, TelcodError):
                self.ops.count_refused(settled)
            told(settled)

        self.ops.count(request)
        if not self.engine.post(request, sink):
            refused = self.engine.refusal()
            self.ops.count_refused(refused)
            told(refused)

    def health(self) -> list[str]:
        """Why the daemon is not alive; nothing when it is."""
        return ["the writer has stopped"] if self.engine.failed else []

    def ready_lacks(self) -> list[str]:
        """What is missing to serve."""
        missing = self.health()
        if self.engine.away or (self.tending is not None and self.tending.lacks):
            missing.append("the database is away")
        elif self.engine.full:
            missing.append("the disk is full")
        if not any(link.bound for link in self.gateway.links):
            missing.append("no SMPP link is bound")
        return missing

    async def status(self) -> Status:
        """How the daemon stands."""
        return await self.ops.status()

    @property
    def mqtt(self) -> Broker | None:
        """What keeps the broker, if there is one."""
        return self.doors.mqtt

    @property
    def daemons(self) -> int:
        """How many daemons share the books, as far as this one knows."""
        return self.tending.daemons if self.tending is not None else 1

    def _in_a_word(self) -> str:
        """How it stands, as `systemctl status` shows it."""
        return "; ".join(self.ready_lacks()) or "ready"

    async def tokens(self) -> Sequence[Token]:
        """All bearer tokens, by hash."""
        return await self.reader.all(TOKEN)

    async def backup(self, path: Path) -> BackupDone:
        """Copy the books as of now, while they are written."""
        if self.path is None:
            raise Refused(
                Refusal.CONFLICT,
                "the books are on a server",
                what_to_do="Use its own tools, as pg_basebackup and pg_dump.",
            )
        return await asyncio.to_thread(back_up, self.path, path)

    def parse_number(self, text: str) -> Msisdn | NumberError:
        """A number in any form of NUM-1."""
        return parse_number(text, self.rules.old_prefixes)

    def confirm_clock(self) -> bool:
        """A person says that the wall clock is right; whether it had jumped."""
        jumped = self.guard.jumped
        self.guard.confirm()
        return jumped

    def reload_soon(self) -> None:
        """Read tariffs, messages, keywords and limits again (SIGHUP).

        A mistake in them leaves the old ones in force.
        """
        self._reload.set()

    # -- building

    def _own_texts(self) -> Reader:
        return OwnTexts(self.reader, self.engine.boot) if self.books.shared else self.reader

    def _vault(self) -> Vault:
        secret = self.settings.security.secret
        try:
            if secret is not None:
                return Vault(bytes.fromhex(secret.reveal()))
            return Vault.of_file(self.books.key_path)
        except (ValueError, OSError) as error:
            raise NotStarted(
                "the installation's secret is not 64 hexadecimal digits, or can't be read",
                what_to_do="Look at [security] secret, or at the .key file beside the database.",
            ) from error

    def _start_books(self, batcher: Batcher) -> int:
        seen = {row.id: row for row in batcher.store.scan(TARIFF_SEEN)}
        changed = changed_tariffs(self.rules.tariffs.tariffs, seen, self.clock.wall_ms())
        if changed:
            raise NotStarted(
                f"a tariff that was valid already has changed, or is gone: {changed}",
                what_to_do="Put the old file back, and add a new one with a later valid_from.",
            )
        # Evidence and parts of one daemon are read by the others.
        secret = (batcher.vault.name(),) if self.books.shared else ()
        request = Request("daemon.start", args=secret, channel=Channel.CLOCK)
        try:
            answer = batcher.run([request]).results[0]
        except StoreFull:
            if not batcher.store.let_go_of_reserve():
                raise
            answer = batcher.run([request]).results[0]  # What may be done next, the engine sees.
        if isinstance(answer, Answer) and answer.outcome == "secret.another":
            raise NotStarted(
                "the books were begun with another secret of the installation",
                what_to_do="Give every daemon on them the same one: [security] secret, or a copy "
                f"of the first one's {self.books.key_path.name} beside the configuration.",
            )
        if not isinstance(answer, Answer) or answer.data is None:
            raise NotStarted("the books can't be written")
        if answer.outcome != "daemon.started":
            raise NotStarted(f"the books can't be opened: {answer.outcome}")
        return int(str(answer.data["boots"]))

    def _begin(self, batcher: Batcher, boot: int) -> int:
        """What an earlier start left in doubt is ours; where there are others, each looks at the
        books for what one of them leaves.  How many texts are in doubt.
        """
        self.duty = Duty(held=not self.books.shared)
        if not self.books.shared:
            return self.gateway.recover(batcher.store)
        batcher.boot = boot
        self.gateway.shared = True
        self.gateway.note_all()
        batcher.store.tend(boot, ())
        self.tending = Tending(
            self.engine, batcher.store, boot, self.duty, self.gateway, self.clock
        )
        return 0

    def _tls(self, link: LinkSettings) -> SSLContext | None:
        """What a link trusts; looked at once, at start, where somebody reads it."""
        if not link.tls:
            return None
        # Beside the configuration, as the other files that it names; an absolute name stays so.
        authorities = str(self.settings.folder / link.tls_ca) if link.tls_ca else ""
        try:
            return tls_context(msgspec.structs.replace(link, tls_ca=authorities))
        except OSError as error:
            raise NotStarted(
                f"link {link.name}: the certificates of {link.tls_ca} can't be used: {error}",
                what_to_do="Set tls_ca to a file of PEM certificates that can be read.",
            ) from error

    async def _bind_agi(self) -> AgiServer | None:
        """Where Asterisk asks, if `[fastagi]` is configured."""
        settings = self.settings.fastagi
        if settings is None:
            return None
        server = AgiServer(
            Service(self.submit, self.parse_number, lambda: self.rules.prompts),
            self.clock,
            host=settings.host,
            port=settings.port,
            secret=settings.secret.reveal() if settings.secret else "",
            allow_from=settings.allow_from,
            sounds=settings.sounds,
        )
        await server.bind()
        return server

    def _check_short_codes(self) -> None:
        """A link may carry what has keywords only; or its texts would come again for days."""
        known = self.rules.dispatcher.short_codes
        for link in self.settings.smpp.links:
            unknown = sorted(set(link.short_codes) - set(known))
            if unknown:
                raise NotStarted(
                    f"link {link.name} carries {', '.join(unknown)}, which no keyword leads to",
                    what_to_do=f"Set short_codes to some of {', '.join(known)}.",
                )

    def _wire(self, boot: int, hashes: PasswordHashes) -> None:
        loop = asyncio.get_running_loop()
        clock = self.clock
        redelivery = Redelivery()
        gateway = Gateway(self.engine, redelivery, self.metrics, clock, boot=boot, told=self._told)
        smpp = self.settings.smpp
        gateway.links = tuple(
            Link(
                settings,
                smpp.timers,
                gateway,
                rng=SystemRandom(),
                clock=clock.monotonic_s,
                ssl_context=self._tls(settings),
            )
            for settings in smpp.links
        )
        gateway.inbox = Inbox(
            self.engine,
            lambda: self.rules.dispatcher,
            self.engine.vault,
            hashes,
            redelivery,
            self.metrics,
            clock=clock.monotonic_s,
            connection_id=gateway.connection_id,
            call_soon_threadsafe=loop.call_soon_threadsafe,
        )
        gateway.sender = Sender(
            gateway.links,
            self.engine.settle,
            wall_ms=clock.wall_ms,
            clock=clock.monotonic_s,
            metrics=self.metrics,
            valid_ms=lambda: self.rules.limits.texts.reply_valid_h * HOUR_MS,
        )
        self.engine.on_outbox = self._outbox
        self.gateway = gateway
        self.doors.join(self.engine, gateway)

    async def _stop_doors(self, doors: asyncio.Task[None]) -> None:
        """What was asked over MQTT is answered; then nothing comes in any more."""
        if self.doors.mqtt is not None and self.duty.held:
            self.doors.mqtt.stop()
            await asyncio.wait([doors], timeout=MQTT_DRAIN_S)
        doors.cancel()

    # -- while it runs

    def _outbox(self, rows: Sequence[OutboxSms]) -> None:
        self.metrics.replies.inc(len(rows))
        self.gateway.sender.take(rows)

    def _count_batch(self, stats: BatchStats) -> None:
        self.metrics.batch_committed(
            requests=stats.requests, commit_s=stats.commit_s, quarantined=stats.quarantined
        )

    def _store_failed(self, error: TelcodError) -> None:
        """An fsync that failed is never tried again: stop answering, say so, exit (DESIGN 4)."""
        _log.error("store.failed", error=str(error), what_to_do=error.what_to_do)
        self._failed = error
        if self._stop is not None:
            self._stop.set()

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Swap the rules between two batches.

        False, and the old ones stay, when the files have mistakes.
        """
        try:
            rules = await asyncio.to_thread(load_rules, self.settings)
        except RulesError as error:
            return self._reload_refused("; ".join(str(problem) for problem in error.problems))
        # Asked before the new rules are in force: no batch may be priced by a tariff that changed.
        try:
            seen = {row.id: row for row in await self.reader.all(TARIFF_SEEN)}
        except TelcodError as error:
            return self._reload_refused(error.sentence())
        changed = changed_tariffs(rules.tariffs.tariffs, seen, self.clock.wall_ms())
        if changed:
            return self._reload_refused(f"tariffs that were valid have changed: {changed}")
        self.rules = rules
        self.engine.replace_rules(rules)
        try:
            await self.engine.submit(
                Request("daemon.reload", channel=Channel.CLOCK, actor="SIGHUP")
            )
        except TelcodError as error:
            _log.warning("reload.unnoted", reason=error.sentence())
        _log.info("rules.reloaded")
        self._told("rules were read again and are in force")
        return True

    def _reload_refused(self, reason: str) -> bool:
        _log.error("reload.refused", reason=reason)
        self._told(f"reload refused, the old rules stay in force: {reason}")
        return False
