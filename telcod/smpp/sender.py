"""From the outbox to submit_sm, and what became of it back to the books (SMPP-5).

Every text to send is a committed row of the outbox.  In memory are at most `MEMORY_MAX` of them, in
order; when more wait, the rest is read from the books as room comes (`behind`), so a night
without an SMSC costs disk, not memory.

A text is settled when the SMSC has accepted all its parts, when it will never take it, or when it
has become stale.  No response is no answer: the text goes again, and the log says that it may
arrive twice; a yes that comes late still counts.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol

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

# Of several reasons why parts of one text must go again the gravest decides; None is: no answer.
_GRAVITY: Final = (None, Next.SLOW_DOWN, Next.RETRY_LATER, Next.OTHER_LINK, Next.NEVER)

_Queue = tuple[str, str]
"""A short code, and the link that a text is half sent by; "" as long as any will do."""

_log = structlog.get_logger("telcod.smpp.sender")


class Reader(Protocol):
    """What the sender needs of the books to read."""

    def pending_sms(self, *, after: int, most: int) -> Awaitable[list[OutboxSms]]:
        """See `Store.pending_sms`; where several daemons share the books, this one's own."""


class SharedReader(Protocol):
    """What it needs of books that several daemons share."""

    def pending_sms_of(self, owner: int, *, after: int, most: int) -> Awaitable[list[OutboxSms]]:
        """The texts of one daemon (`OutboxSms.owner`) that are still to be sent."""


class OwnTexts:
    """The texts of one of several daemons on the same books; a `Reader`."""

    def __init__(self, reader: SharedReader, owner: int) -> None:
        self._reader: Final = reader
        self._owner: Final = owner

    async def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Reader.pending_sms`."""
        return await self._reader.pending_sms_of(self._owner, after=after, most=most)


class _Sending(msgspec.Struct, gc=False, eq=False):
    """A text in memory: the PDUs that carry it, which of them are still to be sent, and how it went
    so far.

    `bodies` were made for `link`, for the `made`-th time; a part is in `todo`, `flying` (with the
    number of its submit), `again` or `accepted`.  `place` is its ticket in the queue it waits in.
    """

    row: OutboxSms
    link: Link | None = None
    takes_tlvs: bool = False
    made: int = 0
    bodies: tuple[SubmitSm, ...] = ()
    todo: tuple[int, ...] = ()
    flying: dict[int, int] = {}
    again: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    attempts: int = 0
    message_ids: tuple[str, ...] = ()
    refused_by: tuple[str, ...] = ()
    failed: Next | None = None
    status: int = 0
    place: int = 0
    ended: bool = False


class _Token(msgspec.Struct, gc=False):
    """What a link gives back with an answer: the text, which of its PDUs was answered, of which
    making, and which submit of it.
    """

    sending: _Sending
    made: int
    part: int
    submit: int


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
        # By short code and, for what is half sent, its link: oldest first, whatever was tried
        # before: (outbox number, ticket, text).
        self._waiting: dict[_Queue, list[tuple[int, int, _Sending]]] = {}
        self._queues: Final[dict[str, list[_Queue]]] = {
            code: [(code, ""), *((code, link.name) for link in carriers)]
            for code, carriers in self._by_short_code.items()
        }
        self._retries: list[tuple[float, int, _Sending]] = []
        self._tickets: Final = count(1)
        self._submits: Final = count(1)
        self._turn = 0
        self._in_memory = 0
        self._loaded_to = 0
        self._newest = 0
        self.behind = True  # Until `refill` has read what an earlier run left: older go first.
        self.wake_backlog: Callable[[], None] = lambda: None
        self.may_send: Callable[[], bool] | None = None
        """Where several daemons share the books: whether our texts are surely ours now."""
        self._active: dict[int, _Sending] = {}
        self._adopted: set[int] = set()  # Of those that `refill` has yet to come to.

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

    async def refill(self, reader: Reader) -> None:
        """Read what waits in the books while there is room.

        Call at start and whenever `wake_backlog` was called; once too often does no harm.

        Raises:
            TelcodError: The books can't be read now; call again later.
        """
        # Not behind, nothing but what is announced is left; read as well, it would go twice.
        while self.behind and self._in_memory < MEMORY_MAX // 2:
            # What is announced from here on may be committed after the books were looked at.
            announced = self._newest
            rows = await reader.pending_sms(after=self._loaded_to, most=BACKLOG_SLICE)
            for row in rows:
                if row.seq in self._adopted:
                    self._loaded_to = row.seq
                else:
                    self._add(row)
            self._adopted = {seq for seq in self._adopted if seq > self._loaded_to}
            if len(rows) < BACKLOG_SLICE:
                # Nothing more waited: what was announced before and is not here is settled.
                self._loaded_to = max(self._loaded_to, announced)
                if self._loaded_to >= self._newest:
                    self.behind = False
                    return

    def adopt(self, rows: Sequence[OutboxSms]) -> None:
        """Texts of a daemon that died: this one sends them now.

        They may be older than what waits here; each is given once.
        """
        for row in rows:
            self._in_memory += 1
            sending = self._active[row.seq] = _Sending(row)
            if row.seq > self._loaded_to:
                self._adopted.add(row.seq)
            if self._waiting.get((row.source, "")) or not self._send(sending):
                self._put(sending)
        self._pump({row.source for row in rows})

    async def disown(self, reader: Reader) -> None:
        """Forget what others have taken over while we were taken for dead.

        Of a text that is on its way the answer does not count any more: whoever has it now sends it
        again.

        Raises:
            TelcodError: The books can't be read now; call again before anything is sent.
        """
        asked = dict(self._active)
        if not asked:
            return
        after, last, ours = min(asked) - 1, max(asked), set[int]()
        while after < last:
            rows = await reader.pending_sms(after=after, most=BACKLOG_SLICE)
            ours.update(row.seq for row in rows)
            after = rows[-1].seq if len(rows) == BACKLOG_SLICE else last
        lost = [sending for seq, sending in asked.items() if seq not in ours]
        for sending in lost:
            if not sending.ended:  # It may have been settled while the books were read.
                _log.warning(
                    "text.left_to_another", outbox=sending.row.seq, under_way=bool(sending.flying)
                )
                self._forget(sending)
        self._wake_if_behind()

    @property
    def has_room(self) -> bool:
        """Whether more may be adopted now."""
        return self._in_memory < MEMORY_MAX // 2

    def on_ready(self, link: Link) -> None:
        """A link has room again: what waits for one of its short codes goes, the oldest first."""
        self._pump(link.short_codes)

    def on_time(self) -> None:
        """Try again what was to be tried again by now; what has become stale is given up.

        Call about once a second.
        """
        now = self._clock()
        while self._retries and self._retries[0][0] <= now:
            _, place, sending = heappop(self._retries)
            if sending.place == place:
                self._put(sending)
        self._pump(self._by_short_code)
        self._wake_if_behind()

    def on_submit_done(self, link: Link, token: _Token, status: int, message_id: str) -> None:
        """An answer to a part."""
        sending, part = token.sending, token.part
        if sending.ended or sending.made != token.made:
            return
        if sending.flying.get(part) != token.submit:
            self._late(link, sending, part, status, message_id)
            return
        del sending.flying[part]
        if status == 0:
            self._accept(link, sending, part, message_id)
        else:
            sending.status = status
            self._fail(sending, part, submit_error(status).next)
        self._after_answer(link, sending)

    def on_submit_unknown(self, link: Link, token: _Token) -> None:
        """No answer: the SMSC may have it or not.  It goes again; the log says so."""
        sending, part = token.sending, token.part
        if sending.ended or sending.flying.get(part) != token.submit:
            return
        del sending.flying[part]
        _log.warning(
            "text.possibly_doubled",
            link=link.name,
            outbox=sending.row.seq,
            attempts=sending.attempts,
        )
        self._results[link.name][SubmitResult.UNKNOWN].inc()
        self._fail(sending, part, None)
        self._after_answer(link, sending)

    # -- the queues

    def _add(self, row: OutboxSms) -> None:
        self._loaded_to = max(self._loaded_to, row.seq)
        self._in_memory += 1
        sending = _Sending(row)
        if self._waiting.get((row.source, "")) or not self._send(sending):
            self._put(sending)
        if not sending.ended:
            self._active[row.seq] = sending

    def _forget(self, sending: _Sending) -> None:
        sending.ended, sending.place = True, 0
        self._in_memory -= 1
        self._active.pop(sending.row.seq, None)

    def _put(self, sending: _Sending) -> None:
        """Let a text wait for room, in its old place among the others.

        One that is half sent waits for its link, and holds up nobody who may go by another.
        """
        sending.place = next(self._tickets)
        queue = self._waiting.setdefault(_queue_of(sending), [])
        heappush(queue, (sending.row.seq, sending.place, sending))

    def _pump(self, short_codes: Iterable[str]) -> None:
        """Send what waits for these short codes, in order, while there is room."""
        waiting = self._waiting
        names = [
            name for code in short_codes for name in self._queues.get(code, ()) if waiting.get(name)
        ]
        while names:
            name = min(names, key=lambda each: waiting[each][0]) if len(names) > 1 else names[0]
            queue = waiting[name]
            if _is_gone(queue[0]):
                heappop(queue)
            elif self._send(queue[0][2]):
                heappop(queue)[2].place = 0
            elif _queue_of(queue[0][2]) != name:
                self._put(heappop(queue)[2])  # Half sent by now: others need not wait behind it.
            else:
                names.remove(name)
                continue
            if not queue:
                names.remove(name)

    # -- one text

    def _send(self, sending: _Sending) -> bool:
        """Send the parts that are left; False when no link has room now, and one will say when."""
        row = sending.row
        if self.may_send is not None and not self.may_send():
            return False  # `on_time` asks again.
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
        try:
            return self._submit(sending, link)
        except ValueError as error:  # A caller's bug, or a number that no PDU can hold.
            _log.exception("text.unsendable", outbox=row.seq, reason=str(error))
            self._end(sending, OutboxState.FAILED, link.name)
            return True

    def _submit(self, sending: _Sending, link: Link) -> bool:
        self._make_bodies(sending, link)
        while sending.todo:
            part = sending.todo[0]
            submit = next(self._submits)
            token = _Token(sending, sending.made, part, submit)
            if not link.submit(sending.bodies[part], token):
                if not sending.flying and not sending.accepted:
                    sending.link = None  # Its validity is counted anew when it goes.
                return False
            sending.todo = sending.todo[1:]
            sending.flying[part] = submit
        return True

    def _make_bodies(self, sending: _Sending, link: Link) -> None:
        """The PDUs for this link; over another one a text begins anew, under its old reference."""
        takes_tlvs = link.peer_takes_tlvs
        if sending.link is link and sending.takes_tlvs == takes_tlvs:
            return
        row = sending.row
        valid_s = max(1, (row.expires_at - self._wall_ms()) // 1_000) if row.expires_at else 0
        bodies = submits(row, link.settings, takes_tlvs=takes_tlvs, valid_s=valid_s)
        sending.attempts = sending.attempts or 1
        sending.link, sending.takes_tlvs = link, takes_tlvs
        sending.bodies, sending.made = bodies, sending.made + 1
        sending.todo, sending.accepted = tuple(range(len(bodies))), ()
        sending.message_ids = ()  # Another link's receipts speak of another one.

    def _pick(self, links: Sequence[Link], sending: _Sending) -> Link | None:
        """Round robin over links with room that have not refused it; a text that is half sent stays
        where it is.
        """
        home = sending.link
        if home is not None and (sending.flying or sending.accepted):
            if home.can_submit():
                return home
            if sending.flying or home.bound or len(links) == 1:
                return None  # Its only link comes back, and goes on where it was.
        count_of = len(links)
        if count_of == 1:
            return links[0]  # Whether it has room is seen when it takes the text or does not.
        self._turn += 1
        turned = [links[(self._turn + at) % count_of] for at in range(count_of)]
        turned.sort(key=lambda link: link.name in sending.refused_by)
        return next((link for link in turned if link.can_submit()), None)

    def _accept(self, link: Link, sending: _Sending, part: int, message_id: str) -> None:
        sending.accepted = (*sending.accepted, part)
        sending.message_ids = (*sending.message_ids, message_id)
        self._results[link.name][SubmitResult.SENT].inc()
        if len(sending.accepted) >= len(sending.bodies):
            self._end(sending, OutboxState.ACCEPTED, link.name)

    def _late(self, link: Link, sending: _Sending, part: int, status: int, message_id: str) -> None:
        """An answer after it was given up: a yes spares sending the part again, or waiting for the
        answer to the copy.
        """
        if status or part in sending.accepted:
            return
        sending.todo = tuple(other for other in sending.todo if other != part)
        sending.again = tuple(other for other in sending.again if other != part)
        sending.flying.pop(part, None)
        self._accept(link, sending, part, message_id)
        self._after_answer(link, sending)

    def _fail(self, sending: _Sending, part: int, next_step: Next | None) -> None:
        """Note a part that must go again, and why."""
        first = not sending.again
        sending.again = (*sending.again, part)
        if first or _GRAVITY.index(next_step) > _GRAVITY.index(sending.failed):
            sending.failed = next_step

    def _after_answer(self, link: Link, sending: _Sending) -> None:
        """When nothing of it is under way any more and something failed: again, elsewhere, or
        never.

        Parts that were accepted stay accepted; only the others go again.
        """
        if sending.ended or sending.flying or not sending.again:
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
        sending.todo, sending.again = tuple(sorted((*sending.again, *sending.todo))), ()
        if failed is Next.SLOW_DOWN:
            self._results[link.name][SubmitResult.THROTTLED].inc()
            self._resend(sending)
            return
        sending.attempts += 1
        if failed is None:
            self._resend(sending)
            return
        self._results[link.name][SubmitResult.RETRIED].inc()
        if failed is Next.OTHER_LINK and self._moves_on(link, sending):
            self._resend(sending)
            return
        wait_s = RETRY_AFTER_S[min(sending.attempts - 2, len(RETRY_AFTER_S) - 1)]
        sending.place = next(self._tickets)
        heappush(self._retries, (self._clock() + wait_s, sending.place, sending))

    def _resend(self, sending: _Sending) -> None:
        """Let it wait and ask for room at once: only who was asked will say when there is some."""
        self._put(sending)
        self._pump((sending.row.source,))

    def _moves_on(self, link: Link, sending: _Sending) -> bool:
        """Whether another link, that has not refused the text too, takes it now.

        If none does, it's tried everywhere again later: what this account may not send today, or
        which links are up, is in the hands of people.
        """
        refused_by = (*sending.refused_by, link.name)
        links = self._by_short_code[sending.row.source]
        others = [other for other in links if other.name not in refused_by]
        moves = any(other.can_submit() for other in others)
        sending.refused_by = refused_by if others else ()
        if others:
            sending.link = None  # It's begun anew, wherever it goes.
        return moves

    def _end(self, sending: _Sending, state: OutboxState, link: str) -> None:
        row = sending.row
        self._forget(sending)
        if state is OutboxState.EXPIRED:
            _log.warning("text.expired", outbox=row.seq)
            for home in self._by_short_code.get(row.source, ())[:1]:
                self._results[home.name][SubmitResult.EXPIRED].inc()
        first, more = "", tuple[str, ...]()
        if row.receipt and sending.message_ids:
            first, *rest = sending.message_ids
            more = tuple(rest)
        self._settle(
            Settled(
                row.seq,
                int(state),
                row.attempts + sending.attempts,
                self._wall_ms(),
                link,
                first,
                row.kind,
                row.mo,
                more,
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


def _queue_of(sending: _Sending) -> _Queue:
    """Where a text waits."""
    home = sending.link
    half_sent = home is not None and (sending.flying or sending.accepted)
    return (sending.row.source, home.name if home is not None and half_sent else "")


def _is_gone(waiting: tuple[int, int, _Sending]) -> bool:
    """Whether a text no longer waits here: it was sent, ended, or waits elsewhere."""
    return waiting[2].place != waiting[1]
