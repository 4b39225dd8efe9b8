"""All SMPP links of the daemon, and what joins them to the books: inbox, sender, redelivery
evidence, USSD (SMPP-1…7, DESIGN 4).

One object for `LinkEvents`: it gives connections the numbers that the journal knows them by, keeps
their evidence in the books, and hands messages to the inbox and answers to the sender.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from telcod.clock import Clock
from telcod.engine import INHERIT_ROUTE, INHERITED_MAX
from telcod.errors import ESME_RX_T_APPN, TelcodError
from telcod.metrics import Metrics
from telcod.ports import BOOT_SHIFT, DOUBT_S
from telcod.rows import MO, SMSC_CONNECTION, MoRow, SmscConnection
from telcod.smpp.link import Link
from telcod.smpp.pdu import DataSm, DeliverSm
from telcod.smpp.redelivery import Redelivery
from telcod.smpp.sender import Reader, Sender
from telcod.smpp.ussd_door import Aside, UssdDoor
from telcod.types import Answer, Channel, Request

if TYPE_CHECKING:
    from telcod.smpp.inbox import Inbox

TICK_S: Final = 1.0
BEAT_S: Final = 0.5
STALLED_S: Final = 2.5
"""After so long without a turn of the loop, what waits on the sockets may be out of date."""

_log = structlog.get_logger("telcod.smpp.gateway")


class Notes(Protocol):
    """What the gateway needs of the engine besides `post`."""

    def note_connection(self, row: SmscConnection) -> None:
        """See `Engine.note_connection`."""


class Journal(Protocol):
    """What it needs of the store at start."""

    def scan(self, table: Any, *, after: int = 0) -> Iterable[Any]:
        """See `Store.scan`."""

    def next_seqs(self) -> Mapping[int, int]:
        """See `Store.next_seqs`."""


class Gateway:
    """Implements `LinkEvents`.

    Made by the composition root, which gives it `inbox`, `sender` and `links` before `run`.
    """

    def __init__(
        self,
        notes: Notes,
        redelivery: Redelivery,
        metrics: Metrics,
        clock: Clock,
        *,
        boot: int,
        told: Callable[[str], None],
    ) -> None:
        self._notes: Final = notes
        self._redelivery: Final = redelivery
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._base: Final = boot << BOOT_SHIFT
        self._told: Final = told
        self._numbers: dict[tuple[str, int], int] = {}
        self._count: Final = itertools.count(1)
        self._rows: dict[int, SmscConnection] = {}
        self._bound: set[str] = set()
        self._safe_seq = 0  # The newest text in the journal that we know of, or an older one.
        self._wake_refill = asyncio.Event()
        self._estates: frozenset[int] = frozenset()  # Daemons that died, and left us their texts.
        self._own_row: Final = SmscConnection(self._base, "", clock.wall_ms(), 0, 0, 0)
        self._beat_s = clock.monotonic_s()
        self._stalled_at_s = -1.0
        self.shared = False
        """Whether other daemons have the same books, and links to the same SMSCs."""
        self.inbox: Inbox
        self.sender: Sender
        self.ussd: UssdDoor | None = None
        """Gets the messages of links whose settings name a profile, before the inbox does."""
        self.links: tuple[Link, ...] = ()

    async def run(self, reader: Reader) -> None:
        """Keep all links and send what waits, until `stop`."""
        self.sender.wake_backlog = self._wake_refill.set
        async with asyncio.TaskGroup() as group:
            links = [group.create_task(link.run(), name=f"smpp {link.name}") for link in self.links]
            refill = group.create_task(self._refill(reader), name="smpp refill")
            ticks = group.create_task(self._tick(), name="smpp tick")
            beats = group.create_task(self._beats(), name="smpp beat")
            if links:
                await asyncio.wait(links)
            else:
                await asyncio.Event().wait()
            refill.cancel()
            ticks.cancel()
            beats.cancel()

    async def stop(self, *, drain_s: float) -> None:
        """Nothing new; wait for what is under way; unbind."""
        async with asyncio.TaskGroup() as group:
            for link in self.links:
                group.create_task(link.stop(drain_s=drain_s))

    def connection_id(self, link: Link, connection: int) -> int:
        """The number that the journal knows a connection by; unique over restarts."""
        key = (link.name, connection)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._base + next(self._count)
        return number

    def recover(self, journal: Journal) -> int:
        """Read back what is in doubt from before the start; how many messages that is."""
        self._safe_seq = journal.next_seqs()[MO.index] - 1
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic_s()
        since_ms = now_ms - int(DOUBT_S * 1_000)
        rows = {row.id: row for row in journal.scan(SMSC_CONNECTION)}
        doubtful = {
            number: row
            for number, row in rows.items()
            if not row.down_at or row.down_at >= since_ms
        }
        if not doubtful:
            return 0
        found = 0
        # A quiet connection's mark may be months old: only the last minutes are looked at.
        confirmed = min(row.confirmed_seq for row in doubtful.values())
        after = _last_before(journal, since_ms, confirmed)
        mo: MoRow
        for mo in journal.scan(MO, after=after):
            connection = doubtful.get(mo.connection)
            if connection is None or mo.seq <= connection.confirmed_seq:
                continue
            self._redelivery.doubt(
                mo.fingerprint, mo.seq, age_s=(now_ms - mo.at) / 1_000, now=now_s
            )
            found += 1
        for row in doubtful.values():
            if not row.down_at:
                self._notes.note_connection(_replaced(row, down_at=now_ms))
        return found

    # -- what the links tell (`LinkEvents`)

    def on_deliver(
        self, link: Link, connection: int, sequence: int, body: DeliverSm | DataSm
    ) -> None:
        """See `LinkEvents.on_deliver`.

        The edge of one message: whatever breaks, the SMSC keeps it and the link lives on.
        """
        if self.shared and self._has_stalled():
            # The SMSC has it, or has sent it again by now: this copy is answered by nobody.
            return
        try:
            door = self.ussd if link.settings.ussd else None
            if door is None or not door.take(link, connection, sequence, body):
                self.inbox.take(link, connection, sequence, body)
        except Exception:  # noqa: BLE001  # The edge of one message (STYLE 20).
            _log.exception("text.broke", link=link.name)
            link.respond(connection, sequence, ESME_RX_T_APPN, data_sm=isinstance(body, DataSm))

    def on_submit_done(self, link: Link, token: Any, status: int, message_id: str) -> None:
        """See `LinkEvents.on_submit_done`."""
        if isinstance(token, Aside):
            token.done(status)
            return
        self.sender.on_submit_done(link, token, status, message_id)

    def on_submit_unknown(self, link: Link, token: Any) -> None:
        """See `LinkEvents.on_submit_unknown`."""
        if isinstance(token, Aside):
            token.done(None)
            return
        self.sender.on_submit_unknown(link, token)

    def on_ready(self, link: Link) -> None:
        """See `LinkEvents.on_ready`.

        Screens first: somebody looks at the phone.
        """
        if self.ussd is not None:
            self.ussd.on_ready(link)
        self.sender.on_ready(link)

    def on_connection(self, link: Link, connection: int, up: bool) -> None:  # noqa: FBT001  # The protocol's.
        """Evidence: from now on answers are written to this connection, or no more (DESIGN 4)."""
        number = self.connection_id(link, connection)
        now_ms = self._clock.wall_ms()
        if up:
            # What was in the journal before it came up is not this connection's to confirm.
            row = SmscConnection(
                number,
                link.name,
                up_at=now_ms,
                down_at=0,
                confirmed_seq=self._safe_seq,
                last_seq=0,
            )
            self._rows[number] = row
            self._redelivery.connection_up(number)
        else:
            self._confirm()  # What was stable until just now is in no doubt.
            row = _replaced(self._rows.pop(number), down_at=now_ms)
            self._redelivery.connection_down(number, now=self._clock.monotonic_s())
            self._numbers.pop((link.name, connection), None)
        self._notes.note_connection(row)
        self._note_shown()
        self._tell_if_changed(link)

    def on_unbound(self, link: Link, connection: int) -> None:
        """See `LinkEvents.on_unbound`: after a clean stop no text is in doubt."""
        number = self.connection_id(link, connection)
        row = self._rows.get(number)
        confirmed_seq = self._redelivery.unbound(number)
        if row is not None and confirmed_seq:
            self._rows[number] = _replaced(row, confirmed_seq=confirmed_seq)

    def on_malformed(self, link: Link, command_id: int, reason: str) -> None:
        """See `LinkEvents.on_malformed`."""
        self._metrics.link(link.name).malformed.inc()
        _log.warning(
            "pdu.malformed", link=link.name, command_id=f"0x{command_id:08X}", reason=reason
        )

    def _tell_if_changed(self, link: Link) -> None:
        """A link of two connections is bound when both are."""
        bound = link.bound
        if bound == (link.name in self._bound):
            return
        (self._bound.add if bound else self._bound.discard)(link.name)
        self._metrics.link(link.name).bound.set(int(bound))
        how = "is bound" if bound else "is no longer bound"
        self._told(f"link {link.name} {how} to {link.settings.host}:{link.settings.port}")

    # -- by the clock

    def tick(self) -> None:
        """Once a second: what is confirmed goes into the books, what was to be tried again is."""
        self._confirm()
        self.sender.on_time()

    def _confirm(self) -> None:
        for number, seq in self._redelivery.confirmed(now=self._clock.monotonic_s()).items():
            row = self._rows.get(number)
            if row is not None:
                self._safe_seq = max(self._safe_seq, seq)
                self._rows[number] = _replaced(row, confirmed_seq=seq)
                self._notes.note_connection(self._rows[number])
        self._note_shown()

    def _note_shown(self) -> None:
        """What became of texts that came again from another daemon: each is its own evidence."""
        for evidence, seq, read in self._redelivery.shown():
            now_ms = self._clock.wall_ms()
            confirmed_seq = seq if read else seq - 1
            self._notes.note_connection(
                SmscConnection(evidence, "", now_ms, now_ms, confirmed_seq, 0)
            )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    # -- among other daemons on the same books

    def note_all(self) -> None:
        """Say in the books, again, which connections there are: who took us for dead ended them."""
        for row in (self._own_row, *self._rows.values()):
            self._notes.note_connection(row)

    def inherit(self, owners: Iterable[int]) -> None:
        """Who died, and left texts that are now to be sent by us."""
        self._estates = frozenset(owners)

    async def take_over(self, submit: Callable[[Request], Awaitable[Answer]]) -> None:
        """Take texts of daemons that died, as far as there is room.

        Raises:
            TelcodError: The books can't be written now; call again later.
        """
        for owner in sorted(self._estates):
            rows: Any = None
            while self.sender.has_room and (rows is None or len(rows) == INHERITED_MAX):
                request = Request(INHERIT_ROUTE, args=(str(owner),), channel=Channel.CLOCK)
                rows = ((await submit(request)).data or {})["rows"]
                if rows:
                    # Some of them it may have sent, and died before it could say so.
                    _log.warning(
                        "outbox.taken_over",
                        of=owner,
                        count=len(rows),
                        first=rows[0].seq,
                        last=rows[-1].seq,
                    )
                    self.sender.adopt(rows)

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if self.shared:
                self._has_stalled()
            self._beat_s = self._clock.monotonic_s()

    def _has_stalled(self) -> bool:
        """Whether we stood still for so long that what is read now may have come again elsewhere.

        Then all connections are cut: what the SMSC has sent on them it sends again, and another
        daemon may have answered it in the meantime.
        """
        stalled_s = self._clock.monotonic_s() - self._beat_s
        if stalled_s <= STALLED_S:
            return False
        if self._stalled_at_s != self._beat_s:
            self._stalled_at_s = self._beat_s
            _log.error("daemon.stalled", stalled_s=round(stalled_s, 1))
            for link in self.links:
                link.cut()
        return True

    async def _refill(self, reader: Reader) -> None:
        while True:
            try:
                await self.sender.refill(reader)
            except TelcodError as error:
                _log.warning("outbox.unreadable", reason=str(error))
                await asyncio.sleep(TICK_S)
                continue
            await self._wake_refill.wait()
            self._wake_refill.clear()


def _last_before(journal: Journal, since_ms: int, after: int) -> int:
    """The number of the last text above `after` that was committed before a moment, or `after`.

    Commit times never go back, so this is a search by halves, not a look at every text.
    """
    step = 1

    def older(seq: int) -> bool:
        row: MoRow | None = next(iter(journal.scan(MO, after=seq - 1)), None)
        return row is not None and row.at < since_ms

    while older(after + step):
        after += step
        step *= 2
    while step > 1:
        step //= 2
        if older(after + step):
            after += step
    return after


def _replaced(
    row: SmscConnection, *, down_at: int | None = None, confirmed_seq: int | None = None
) -> SmscConnection:
    return SmscConnection(
        row.id,
        row.link,
        row.up_at,
        row.down_at if down_at is None else down_at,
        row.confirmed_seq if confirmed_seq is None else max(row.confirmed_seq, confirmed_seq),
        row.last_seq,
    )
