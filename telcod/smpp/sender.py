"""From the outbox to submit_sm, and what became of it back to the books (SMPP-5).

Every text to send is a committed row of the outbox.  In memory are at most `MEMORY_MAX` of them, in
order; when more wait, the rest is read from the books as room comes (`backlog`), so a night without
an SMSC costs disk, not memory.

A text is settled when the SMSC has accepted all its parts, when it will never take it, or when it
has become stale.  No response is no answer: the text goes again, and the log says that it may
arrive twice.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from telcod.metrics import Metrics, SubmitResult
from telcod.ports import Settled
from telcod.rows import OutboxSms, OutboxState
from telcod.smpp.errors_table import Next, submit_error
from telcod.smpp.link import Link
from telcod.smpp.outgoing import submits
from telcod.smpp.pdu import SubmitSm

MEMORY_MAX: Final = 5_000
BACKLOG_SLICE: Final = 1_000
RETRY_AFTER_S: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
ATTEMPTS_MAX: Final = 40

_log = structlog.get_logger("telcod.smpp.sender")


class Reader(Protocol):
    """What the sender needs of the books to read."""

    def pending_sms(self, *, after: int, most: int) -> Awaitable[list[OutboxSms]]:
        """See `Store.pending_sms`."""


class _Sending(msgspec.Struct, gc=False, eq=False):
    """A text in memory: the PDUs that carry it, which of them are still to be sent, and how it went
    so far.
    """

    row: OutboxSms
    bodies: tuple[SubmitSm, ...] = ()
    todo: tuple[int, ...] = ()
    accepted: int = 0
    flying: dict[int, int] = {}
    attempts: int = 0
    message_id: str = ""
    avoid: str = ""
    again: tuple[int, ...] = ()
    failed: Next | None = None
    status: int = 0


class _Token(NamedTuple):
    """What a link gives back with an answer: the text, and which of its PDUs was answered."""

    sending: _Sending
    part: int
    attempt: int


class Sender:
    """Sends the texts of the outbox over the links that carry their short code.

    Args:
        links: All links.
        settle: Records what became of a text (`Engine.settle`).
        wall_ms: The time of day, Unix milliseconds, for validity.
        clock: Monotonic seconds, for retries.
        metrics: Counts results by link.
        valid_ms: How long a text stays worth sending, milliseconds from its commit.
    """

    def __init__(
        self,
        links: Sequence[Link],
        settle: Callable[[Settled], None],
        *,
        wall_ms: Callable[[], int],
        clock: Callable[[], float],
        metrics: Metrics,
        valid_ms: Callable[[], int],
    ) -> None:
        self._by_short_code: dict[str, list[Link]] = {}
        for link in links:
            for short_code in link.short_codes:
                self._by_short_code.setdefault(short_code, []).append(link)
        self._results: Final = {link.name: metrics.link(link.name).submits for link in links}
        self._settle: Final = settle
        self._wall_ms: Final = wall_ms
        self._clock: Final = clock
        self._valid_ms: Final = valid_ms
        self._ready: deque[_Sending] = deque()
        self._starved: dict[str, deque[_Sending]] = {}
        self._retries: list[tuple[float, int, _Sending]] = []
        self._turn = 0
        self._in_memory = 0
        self._loaded_to = 0
        self._newest = 0
        self.behind = (
            True  # Until `refill` has read what an earlier run left: older texts go first.
        )
        self.wake_backlog: Callable[[], None] = lambda: None

    @property
    def in_memory(self) -> int:
        """Texts that wait in memory, are on their way, or are to be tried again."""
        return self._in_memory

    def take(self, rows: Sequence[OutboxSms]) -> None:
        """Texts that were just committed, in order."""
        self._newest = rows[-1].seq
        if self.behind:
            return  # They are in the books, behind others: `refill` will come to them.
        for row in rows:
            if row.seq <= self._loaded_to:
                continue
            if self._in_memory >= MEMORY_MAX:
                self.behind = True
                return
            self._add(row)
        self.pump()

    async def refill(self, reader: Reader) -> None:
        """Read what waits in the books while there is room.

        Call at start and whenever `wake_backlog` was called.
        """
        while self._in_memory < MEMORY_MAX // 2:
            rows = await reader.pending_sms(after=self._loaded_to, most=BACKLOG_SLICE)
            for row in rows:
                self._add(row)
            self.pump()
            if len(rows) < BACKLOG_SLICE and self._loaded_to >= self._newest:
                self.behind = False
                return
            if not rows:
                # What was announced is settled already, or not visible yet to this reader: believe
                # the announcement.
                self._loaded_to = max(self._loaded_to, self._newest)
                self.behind = False
                return

    def pump(self) -> None:
        """Send while there is something to send and room for it."""
        ready = self._ready
        while ready:
            sending = ready.popleft()
            if not self._send(sending):
                self._starved.setdefault(sending.row.source, deque()).append(sending)

    def on_ready(self, link: Link) -> None:
        """A link has room again.

        Those that waited for one of its short codes go first, in order.
        """
        for short_code in link.short_codes:
            waiting = self._starved.get(short_code)
            while waiting:
                if not self._send(waiting[0]):
                    break
                waiting.popleft()
        self.pump()

    def on_time(self) -> None:
        """Try again what was to be tried again by now; call about once a second."""
        now = self._clock()
        while self._retries and self._retries[0][0] <= now:
            self._ready.append(heappop(self._retries)[2])
        self.pump()
        for waiting in self._starved.values():
            while waiting and self._is_stale(waiting[0]):
                self._end(waiting.popleft(), OutboxState.EXPIRED, "")
        self._wake_if_behind()

    def on_submit_done(self, link: Link, token: _Token, status: int, message_id: str) -> None:
        """An answer to a part."""
        sending, part, attempt = token
        if sending.flying.get(part) != attempt:
            self._late(link, sending, part, status)
            return
        del sending.flying[part]
        if status == 0:
            sending.accepted += 1
            sending.message_id = sending.message_id or message_id
            self._results[link.name][SubmitResult.SENT].inc()
            if sending.accepted >= len(sending.bodies):
                self._end(sending, OutboxState.ACCEPTED, link.name)
                return
        else:
            sending.status = status
            self._failed(link, sending, part, submit_error(status).next)
        self._after_answer(link, sending)

    def on_submit_unknown(self, link: Link, token: _Token) -> None:
        """No answer: the SMSC may have it or not.  It goes again; the log says so."""
        sending, part, attempt = token
        if sending.flying.get(part) != attempt:
            return
        del sending.flying[part]
        _log.warning(
            "text.possibly_doubled",
            link=link.name,
            outbox=sending.row.seq,
            attempts=sending.attempts,
        )
        self._results[link.name][SubmitResult.UNKNOWN].inc()
        self._failed(link, sending, part, None)
        self._after_answer(link, sending)

    def _late(self, link: Link, sending: _Sending, part: int, status: int) -> None:
        """An answer after it was given up.

        A yes spares sending the part again, if that has not happened yet.
        """
        if status or part not in sending.todo:
            return
        sending.todo = tuple(other for other in sending.todo if other != part)
        sending.accepted += 1
        if sending.accepted >= len(sending.bodies):
            self._drop(sending)
            self._end(sending, OutboxState.ACCEPTED, link.name)

    def _drop(self, sending: _Sending) -> None:
        """Take a text out of whatever it waits in."""
        for waiting in (self._ready, *self._starved.values()):
            if sending in waiting:
                waiting.remove(sending)
        self._retries = [item for item in self._retries if item[2] is not sending]
        heapify(self._retries)

    # -- one text

    def _add(self, row: OutboxSms) -> None:
        self._loaded_to = max(self._loaded_to, row.seq)
        self._in_memory += 1
        self._ready.append(_Sending(row))

    def _send(self, sending: _Sending) -> bool:
        """Send the parts that are left; False when no link has room now."""
        row = sending.row
        if self._is_stale(sending):
            self._end(sending, OutboxState.EXPIRED, "")
            return True
        links = self._by_short_code.get(row.source)
        if not links:
            _log.error("text.unroutable", outbox=row.seq, source=row.source)
            self._end(sending, OutboxState.FAILED, "")
            return True
        link = self._pick(links, sending)
        if link is None:
            return False
        if not sending.bodies:
            sending.bodies = self._bodies(sending, link)
            sending.todo = tuple(range(len(sending.bodies)))
            sending.attempts += 1
        while sending.todo:
            part = sending.todo[0]
            if not link.submit(sending.bodies[part], _Token(sending, part, sending.attempts)):
                return False
            sending.todo = sending.todo[1:]
            sending.flying[part] = sending.attempts
        return True

    def _bodies(self, sending: _Sending, link: Link) -> tuple[SubmitSm, ...]:
        row = sending.row
        valid_s = max(1, (row.expires_at - self._wall_ms()) // 1_000) if row.expires_at else 0
        return submits(row, link.settings, takes_tlvs=link.peer_takes_tlvs, valid_s=valid_s)

    def _pick(self, links: Sequence[Link], sending: _Sending) -> Link | None:
        """Round robin over links with room.

        The parts of a text stay together only if their link has room for them.
        """
        count = len(links)
        if count == 1:
            return links[0] if links[0].can_submit() else None
        self._turn += 1
        for at in range(count):
            link = links[(self._turn + at) % count]
            if link.name != sending.avoid and link.can_submit():
                return link
        return next((link for link in links if link.can_submit()), None)

    def _failed(self, link: Link, sending: _Sending, part: int, next_step: Next | None) -> None:
        """Note a part that must go again.

        Of several reasons the gravest decides.  None is: no answer.
        """
        sending.again = (*sending.again, part)
        order = (None, Next.SLOW_DOWN, Next.RETRY_LATER, Next.OTHER_LINK, Next.NEVER)
        if len(sending.again) == 1 or order.index(next_step) > order.index(sending.failed):
            sending.failed = next_step

    def _after_answer(self, link: Link, sending: _Sending) -> None:
        """When nothing of it is under way any more and something failed: again, elsewhere, or
        never.

        Parts that were accepted stay accepted; only the others go again.
        """
        if sending.flying or not sending.again:
            return
        failed, sending.failed = sending.failed, None
        if failed is Next.NEVER or sending.attempts >= ATTEMPTS_MAX:
            self._results[link.name][SubmitResult.REFUSED].inc()
            _log.warning(
                "text.refused",
                link=link.name,
                outbox=sending.row.seq,
                command_status=sending.status,
            )
            self._end(sending, OutboxState.FAILED, link.name)
            return
        sending.todo, sending.again = (*sending.again, *sending.todo), ()
        sending.avoid = link.name if failed is Next.OTHER_LINK else ""
        if failed is Next.SLOW_DOWN:
            self._results[link.name][SubmitResult.THROTTLED].inc()
            self._starved.setdefault(sending.row.source, deque()).appendleft(sending)
            return
        sending.attempts += 1
        if failed is None:
            self._starved.setdefault(sending.row.source, deque()).appendleft(sending)
            return
        self._results[link.name][SubmitResult.RETRIED].inc()
        if failed is Next.OTHER_LINK and len(self._by_short_code[sending.row.source]) > 1:
            self._ready.append(sending)
            return
        wait_s = RETRY_AFTER_S[min(sending.attempts, len(RETRY_AFTER_S)) - 1]
        heappush(self._retries, (self._clock() + wait_s, sending.row.seq, sending))

    def _end(self, sending: _Sending, state: OutboxState, link: str) -> None:
        row = sending.row
        self._in_memory -= 1
        if state is OutboxState.EXPIRED:
            _log.warning("text.expired", outbox=row.seq)
            for results in self._results.values():
                results[SubmitResult.EXPIRED].inc()
                break
        message_id = sending.message_id if row.receipt else ""
        self._settle(
            Settled(
                row.seq,
                int(state),
                row.attempts + sending.attempts,
                self._wall_ms(),
                link,
                message_id,
            )
        )
        self._wake_if_behind()

    def _is_stale(self, sending: _Sending) -> bool:
        row = sending.row
        expires_at = row.expires_at or row.at + self._valid_ms()
        return self._wall_ms() >= expires_at

    def _wake_if_behind(self) -> None:
        if self.behind and self._in_memory < MEMORY_MAX // 2:
            self.wake_backlog()
