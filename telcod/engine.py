"""The one way to write: requests in, one batch, one transaction, answers out after COMMIT (DESIGN
4).

`Batcher` is the synchronous heart: it takes a batch of requests, prefetches what they name, runs
each handler against the open transaction, applies and commits.  It owns no thread and no clock, so
that tests and the command line run it directly. `Engine` puts it on a writer thread behind a
bounded queue.  Batches form by themselves while the previous commit runs; nothing waits on a timer.

A request that fails is taken back in memory and quarantined; if the store refuses a batch, it is
run again one by one.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import structlog

from telcod.assembly import AssemblyWaits, take_part
from telcod.billing.accounts import main_account
from telcod.clock import Clock
from telcod.days import SECOND_MS
from telcod.dispatch import RECEIPT_ROUTE, Route
from telcod.errors import (
    KeyReused,
    LedgerCorrupt,
    Overloaded,
    StoreAgain,
    StoreAway,
    StoreFailed,
    StoreFull,
    StoreRefused,
    TelcodError,
    Unavailable,
)
from telcod.ports import AGAIN, BOOT_SHIFT, DOUBT_S, Sent, Settled, Store, Twin
from telcod.rows import (
    ACCOUNT,
    COMMAND,
    LIST_ENTRY,
    META,
    MO,
    MO_PART,
    OUTBOX_EVENT,
    OUTBOX_PUSH,
    OUTBOX_SMS,
    PART_RECEIPT,
    QUARANTINE,
    SMSC_CONNECTION,
    SUBSCRIBER,
    SUBSCRIPTION,
    Command,
    Meta,
    MoRow,
    OutboxPush,
    OutboxSms,
    OutboxState,
    PartReceipt,
    Quarantine,
    SmscConnection,
    Table,
)
from telcod.rules import Rules
from telcod.tx import Tx
from telcod.types import Again, Answer, Channel, Language, Mo, Reply, Request, SecretNeeded, say
from telcod.vault import Vault

Result = Answer | SecretNeeded | TelcodError
Sink = Callable[[Request, Result], None]


def plain(result: Result) -> Answer | TelcodError:
    """The result of a request that holds no password.

    Raises:
        TypeError: It holds one, which must be hashed first.
    """
    if isinstance(result, SecretNeeded):
        raise TypeError("a request with a password needs its hash")
    return result


PART_ROUTE: Final = "sms.part"
PRUNE_ROUTE: Final = "clock.prune"
INHERIT_ROUTE: Final = "daemon.inherit"
QUARANTINED: Final = "ours.sorry"
PRUNED_MAX: Final = 2_000
INHERITED_MAX: Final = 1_000
EARLY_RECEIPTS_MAX: Final = 10_000
COMMIT_CLOCK: Final = "commit_ms"
BATCH_MAX: Final = 512
WAITED_MAX_S: Final = 2.5
"""For so long a text may wait for its turn, where the SMSC may send it again to another daemon."""
RECOUNT_S: Final = 10.0
SETTLE_WAIT_S: Final = (
    0.02  # What was sent is recorded with the next batch, or after this long when nothing comes.
)

FULL_WAIT_S: Final = 1.0
"""How long a full disk is left alone before it's asked again, also when nobody wants anything."""

_log = structlog.stdlib.get_logger(__name__)


S = TypeVar("S", Sent, PartReceipt)
R = TypeVar("R")
T = TypeVar("T")


class BatchStats(NamedTuple):
    """What one batch was, for the metrics."""

    requests: int
    settled: int
    commit_s: float
    quarantined: int


class BatchDone(NamedTuple):
    """A committed batch: a result for each request, and what may leave now: texts, pushes, and
    how many events.
    """

    results: list[Result]
    outbox: Sequence[OutboxSms]
    stats: BatchStats
    pushes: Sequence[OutboxPush] = ()
    events: int = 0
    broke: TelcodError | None = None
    """Why it ends early: what was committed stands, the notes too, and the last results are this
    refusal."""


class Batcher:
    """Runs batches of requests against a store, on the caller's thread.

    Args:
        store: The books.
        rules: Prices, limits, texts and keywords; `rules` may be replaced between two batches.
        routes: By name, every route that any request may take.
        clock: For the commit time.
        vault: Opens the sealed parts of long texts.
    """

    def __init__(
        self, store: Store, rules: Rules, routes: Mapping[str, Route], clock: Clock, vault: Vault
    ) -> None:
        self.store: Final = store
        self.rules = rules
        self._routes: Final = routes
        self._clock: Final = clock
        self.vault: Final = vault
        self._seqs: Mapping[int, int] = store.next_seqs()
        self._heads: Mapping[int, bytes] = store.heads()
        found = {row.name: row.value for row in store.load(META, (COMMIT_CLOCK,))}
        self._commit_ms = int(found.get(COMMIT_CLOCK, "0"))
        self._parts_waiting = sum(1 for _ in store.scan(MO_PART))
        self._receipts: dict[int, Settled] = {}
        self._early: dict[str, dict[str, str]] = {}
        self._settling: Sequence[Settled] = ()
        self._twins: dict[bytes, list[Twin]] = {}
        self._agains = 0
        self._now_s = 0.0  # When the open batch had its turn.
        self._others_until_s = 0.0
        self._recount_at_s = 0.0
        self.boot = 0
        """Where several daemons share the books: the number of this one's start."""

    @property
    def commit_ms(self) -> int:
        """The time of the last commit; it never goes back, not even over a restart."""
        return self._commit_ms

    def now_s(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic_s()

    def ends(self, request: Request) -> bool:
        """Whether it ends what holds money (`Route.ends`)."""
        route = self._routes.get(request.route)
        return route is not None and route.ends

    def run(
        self,
        requests: Sequence[Request],
        settled: Sequence[Settled] = (),
        connections: Iterable[SmscConnection] = (),
    ) -> BatchDone:
        """Carry out requests in order, in one transaction.

        Returns:
            One result per request, all durable; a request that broke is answered politely and
            quarantined.

        Raises:
            StoreFull: Nothing happened; the disk has no room.
            StoreFailed: The disk can't be trusted: stop, don't try again.
            LedgerCorrupt: An invariant of the books is broken: stop.
        """
        connections = tuple(connections)
        try:
            return self._run(requests, settled, connections)
        except StoreRefused as refused:
            if len(requests) == 1:
                return self._run(requests, settled, connections, poison=refused)
        # One of them is poison: alone each shows what it is.
        _log.warning("batch.refused", requests=len(requests))
        parts: list[BatchDone] = []
        broke: TelcodError | None = None
        try:
            # The notes first: without the evidence of redelivery that came with them, what is
            # committed before a crash would be done again after it.
            parts.append(self._run((), settled, connections))
            for request in requests:
                part = self._run_alone(request)
                parts.append(part)
        except (StoreFull, StoreFailed, LedgerCorrupt) as error:
            if not parts:
                raise
            broke = _as_ours(error)  # Those before are committed, and must not be done again.
        results = [result for part in parts for result in part.results]
        if broke is not None:
            results += [broke] * (len(requests) - len(results))
        return BatchDone(
            results,
            [row for part in parts for row in part.outbox],
            BatchStats(
                len(requests),
                len(settled),
                sum(part.stats.commit_s for part in parts),
                sum(part.stats.quarantined for part in parts),
            ),
            [row for part in parts for row in part.pushes],
            sum(part.events for part in parts),
            broke,
        )

    def _run_alone(self, request: Request) -> BatchDone:
        try:
            return self._run((request,), (), ())
        except StoreRefused as refused:
            return self._run((request,), (), (), poison=refused)

    def _run(
        self,
        requests: Sequence[Request],
        settled: Sequence[Settled],
        connections: Sequence[SmscConnection],
        poison: StoreRefused | None = None,
    ) -> BatchDone:
        while True:
            try:
                return self._run_once(requests, settled, connections, poison)
            except StoreAgain as again:
                _log.warning("batch.again", requests=len(requests), reason=str(again))

    def _run_once(
        self,
        requests: Sequence[Request],
        settled: Sequence[Settled],
        connections: Sequence[SmscConnection],
        poison: StoreRefused | None,
    ) -> BatchDone:
        started_s = self._clock.monotonic_s()
        self._receipts.clear()
        store = self.store
        turn = store.begin()
        self._now_s = self._clock.monotonic_s()
        if turn is not None:
            self._seqs, self._heads, self._commit_ms = turn
            self._others_until_s = self._now_s + DOUBT_S
        now_ms = max(self._clock.wall_ms(), self._commit_ms)
        tx = Tx(
            store,
            self.rules,
            now_ms=now_ms,
            next_seqs=self._seqs,
            heads=self._heads,
            owner=self.boot,
        )
        try:
            self._prefetch(tx, requests)
            self._find_twins(requests, now_ms)
            self._settle(tx, settled)
            if poison is None:
                results = [self._carry_out(tx, request) for request in requests]
            else:
                results = [self._refused(tx, request, poison) for request in requests]
            for row in connections:
                tx.put(SMSC_CONNECTION, row)
            tx.put(META, Meta(COMMIT_CLOCK, str(now_ms)))
            store.apply(tx.changes(), (*settled, *self._receipts.values()))
            store.commit()
        except BaseException:
            store.rollback()
            raise
        self._commit_ms = now_ms
        for done in self._receipts.values():  # Not before: a batch run again needs them again.
            self._early.pop(done.message_id, None)
        self._seqs, self._heads = tx.next_seqs(), tx.heads()
        self._parts_waiting += tx.parts_delta
        stats = BatchStats(
            len(requests),
            len(settled),
            self._clock.monotonic_s() - started_s,
            len(tx.appended(QUARANTINE)),
        )
        return BatchDone(
            results,
            tx.appended(OUTBOX_SMS),
            stats,
            tx.appended(OUTBOX_PUSH),
            len(tx.appended(OUTBOX_EVENT)),
        )

    def _prefetch(self, tx: Tx, requests: Sequence[Request]) -> None:
        """One query per table for what the requests name.

        What is missed is loaded when a handler asks.
        """
        if len(requests) < 2:
            return
        senders = [request.sender for request in requests if request.sender]
        payers: list[int] = []
        listed: list[int] = []
        owners: list[int] = []
        keys = [request.key for request in requests if request.key]
        named: dict[Table[Any], list[str]] = {}
        for request in requests:
            route = self._routes.get(request.route)
            if route is None:
                continue
            if route.lists:  # They cost nothing.
                owners.append(request.sender)
                listed += [int(number) for number in request.args if number.isdigit()]
            elif request.sender and not route.foresees:
                payers.append(request.sender)
            if route.reads is not None:
                named.setdefault(route.reads, []).append(request.args[0])
        tx.prefetch(SUBSCRIBER, senders + listed)
        tx.prefetch(ACCOUNT, [main_account(payer) for payer in payers])
        tx.prefetch(SUBSCRIPTION, [*payers, *owners])
        if owners:
            tx.prefetch_groups(LIST_ENTRY, owners)
        if keys:
            tx.prefetch(COMMAND, keys)
        for table, names in named.items():
            tx.prefetch(table, names)
        self._foresee(tx, requests)

    def _foresee(self, tx: Tx, requests: Sequence[Request]) -> None:
        """What the routes foresee, round by round: one query per table and round."""
        todo = [
            (request, route.foresees)
            for request in requests
            if (route := self._routes.get(request.route)) is not None and route.foresees
        ]
        number = 0
        while todo:
            wanted: dict[Table[Any], list[Any]] = {}
            for request, foresees in todo:
                # What is wrong with a request shows in its handler, where only it is harmed.
                with contextlib.suppress(Exception):
                    for table, key in foresees[number](request, tx):
                        wanted.setdefault(table, []).append(key)
            for table, keys in wanted.items():
                if table.group:
                    tx.prefetch_groups(table, keys)
                else:
                    tx.prefetch(table, keys)
            number += 1
            todo = [(request, foresees) for request, foresees in todo if len(foresees) > number]

    @property
    def _has_others(self) -> bool:
        """Whether another daemon may have had a text that comes now: it has written lately."""
        return self.boot > 0 and self._now_s < self._others_until_s

    def _find_twins(self, requests: Sequence[Request], now_ms: int) -> None:
        """Look for texts that the SMSC sends again, by another link than at first (SMPP-2)."""
        self._twins = {}
        if not self._has_others:
            return
        asked = [request.mo.fingerprint for request in requests if request.mo is not None]
        if asked:
            since_ms = now_ms - int(DOUBT_S * SECOND_MS)
            found = self.store.twins(asked, boot=self.boot, since_ms=since_ms)
            self._twins = {fingerprint: list(twins) for fingerprint, twins in found.items()}

    def _again_by_other_link(self, tx: Tx, mo: Mo) -> Result | None:
        """The stored verdict of a text that another daemon took, and no second reply.

        From now on its evidence is ours: each of several equal ones is matched once, and when we
        die before its answer is known to be read, it is in doubt again.

        What has waited for long may have been sent again meanwhile, and its copy may be so old that
        it isn't in doubt any more: the SMSC is asked which one it is.
        """
        if self._now_s - mo.taken_s > WAITED_MAX_S:
            return Overloaded("it waited for so long that another daemon may have had it meanwhile")
        twins = self._twins.get(mo.fingerprint)
        if not twins:
            return None
        sure = next((twin for twin in twins if twin.sure), None)
        if sure is None:
            return Overloaded("the same text came by another link just now; which one it is shows")
        twins.remove(sure)
        seq = sure.row.seq
        self._agains = (self._agains + 1) % AGAIN
        number = (self.boot << BOOT_SHIFT) | AGAIN | self._agains
        tx.put(SMSC_CONNECTION, SmscConnection(number, "", tx.now_ms, 0, seq - 1, 0))
        tx.put(MO, msgspec.structs.replace(sure.row, connection=number))
        _log.info("text.redelivered", journal=seq, by="another link")
        return Again(sure.row.verdict, seq=seq, connection=number)

    def _carry_out(self, tx: Tx, request: Request) -> Result:
        if request.mo is not None and self._has_others:
            again = self._again_by_other_link(tx, request.mo)
            if again is not None:
                return again
        if request.key:
            done = tx.get(COMMAND, request.key)
            if done is not None:
                return _again(request, done)
        mark = tx.mark()
        try:
            if request.route == PART_ROUTE:
                return self._carry_out_part(tx, request)
            if request.route == RECEIPT_ROUTE:
                return self._carry_out_receipt(tx, request)
            if request.route == PRUNE_ROUTE:
                return self._prune(tx, request)
            if request.route == INHERIT_ROUTE:
                return self._inherit(tx, request)
            reply = self._routes[request.route].handler(request, tx)
            text = self._render(tx, request, reply)
        except (TelcodError, LedgerCorrupt):
            raise
        except Exception as error:  # noqa: BLE001  # The edge of one message (STYLE 20).
            tx.undo(mark)
            reply = _quarantine(tx, request, error)
            text = self._render(tx, request, reply)
        return self._record(tx, request, reply, text)

    def _carry_out_part(self, tx: Tx, request: Request) -> Result:
        """A part of a long text.

        Keep it, or carry out the whole when it is the last one to come (SMPP-3).
        """
        mark = tx.mark()
        waiting = self._parts_waiting + tx.parts_delta
        if self._has_others and not 0 <= waiting < tx.rules.limits.texts.parts_total_max:
            waiting = self._recounted(waiting)
        taken = take_part(tx, request, self.vault, waiting=waiting)
        if isinstance(taken, TelcodError):
            return taken
        if isinstance(taken, AssemblyWaits):
            return self._record(tx, request, Reply(taken.outcome), "")
        if taken.parsed.secret and not request.secret_hash:
            tx.undo(mark)
            return SecretNeeded(taken.parsed.secret)
        return self._carry_out(tx, taken.request)

    def _recounted(self, waiting: int) -> int:
        """Parts may come to one daemon and be put together by another: each counts its own."""
        if self._now_s >= self._recount_at_s:
            self._recount_at_s = self._now_s + RECOUNT_S
            found = sum(1 for _ in self.store.scan(MO_PART))
            self._parts_waiting += found - waiting
            return found
        return waiting

    def _carry_out_receipt(self, tx: Tx, request: Request) -> Answer | Overloaded:
        """What became of a text that asked for a receipt (SMPP-4).

        One that nobody knows is kept in the journal and that is all.  Where another daemon may
        have sent its text, and not have told the books yet, the SMSC is asked to try again, once.
        """
        link, message_id, state = request.args
        if state == "on_the_way":
            return self._record(tx, request, Reply("receipt.on_the_way"), "")
        part = (
            _of_link(list(tx.group(PART_RECEIPT, message_id).values()), link)
            if message_id
            else None
        )
        if part is not None:
            self._part_receipt(tx, part, state, link, message_id)
            return self._record(tx, request, Reply(f"receipt.part_{state}"), "")
        known = _of_link(
            [*self.store.sms_by_message_id(message_id), *self._just_sent(message_id)], link
        )
        found = [known] if known is not None else []
        if not found and message_id:
            # It may be faster than the answer to its text: remembered until that is settled.
            is_first = link not in self._early.get(message_id, {})
            self._early.setdefault(message_id, {})[link] = state
            while len(self._early) > EARLY_RECEIPTS_MAX:
                del self._early[next(iter(self._early))]
            if is_first and self._has_others:
                return Overloaded("a receipt came before its text is known to be sent")
        for sent in found:
            self._receipt(tx, sent, state, link, message_id)
        outcome = f"receipt.{state}" if found else "receipt.unmatched"
        return self._record(tx, request, Reply(outcome), "")

    def _part_receipt(
        self, tx: Tx, part: PartReceipt, state: str, link: str, message_id: str
    ) -> None:
        """A long text has arrived with its last part, and has not when one part has not."""
        row = tx.get(OUTBOX_SMS, part.outbox)
        count = tx.group(PART_RECEIPT, f"={part.outbox}").get((f"={part.outbox}", ""))
        tx.delete(PART_RECEIPT, part)
        if row is None or count is None:
            return
        remaining = count.remaining - 1
        if state == "delivered" and remaining:
            tx.put(PART_RECEIPT, msgspec.structs.replace(count, remaining=remaining))
            return
        tx.delete(PART_RECEIPT, count)
        sent = Sent(row.seq, OutboxState.ACCEPTED, row.attempts, row.kind, row.mo, part.link)
        self._receipt(tx, sent, state, link, message_id)

    def _await_parts(self, tx: Tx, done: Settled) -> None:
        ids = (done.message_id, *done.more_ids)
        for message_id in ids:
            tx.put(PART_RECEIPT, PartReceipt(message_id, done.link, done.seq, 1))
        tx.put(PART_RECEIPT, PartReceipt(f"={done.seq}", "", done.seq, len(ids)))
        for message_id in ids:
            state = self._early_state(done.link, message_id)
            part = tx.group(PART_RECEIPT, message_id).get((message_id, done.link))
            if state is not None and part is not None:
                self._part_receipt(tx, part, state, done.link, message_id)

    def _early_state(self, link: str, message_id: str) -> str | None:
        """What a receipt said that came before its text was settled, by whichever link it came."""
        by_link = self._early.get(message_id, {})
        if link in by_link:
            return by_link[link]
        return next(iter(by_link.values())) if len(by_link) == 1 else None

    def _just_sent(self, message_id: str) -> list[Sent]:
        """Texts whose answer is settled in this very batch."""
        return [
            Sent(s.seq, s.state, s.attempts, s.kind, s.mo, s.link)
            for s in self._settling
            if s.message_id == message_id and message_id and not s.more_ids
        ]

    def _receipt(self, tx: Tx, sent: Sent, state: str, link: str, message_id: str) -> None:
        # Of several the first counts, whether they come one by one or in one batch.
        still_open = sent.state in {OutboxState.PENDING, OutboxState.ACCEPTED}
        if still_open and sent.seq not in self._receipts:
            new = OutboxState.DELIVERED if state == "delivered" else OutboxState.UNDELIVERED
            settled = Settled(
                sent.seq, new, sent.attempts, tx.now_ms, link, message_id, sent.kind, sent.mo
            )
            self._receipts[sent.seq] = settled
            self._outcome(tx, settled)

    def _settle(self, tx: Tx, settled: Sequence[Settled]) -> None:
        """Let whoever waits for a text's fate know it, in the same transaction.

        A receipt that was faster counts now.
        """
        self._settling = settled
        for done in settled:
            self._outcome(tx, done)
            if done.more_ids:
                self._await_parts(tx, done)
                continue
            state = self._early_state(done.link, done.message_id) if done.message_id else None
            if state is not None:
                sent = Sent(done.seq, done.state, done.attempts, done.kind, done.mo, done.link)
                self._receipt(tx, sent, state, done.link, done.message_id)

    def _outcome(self, tx: Tx, done: Settled) -> None:
        route = self._routes.get(f"{done.kind}.outcome")
        if route is None:
            return
        request = Request(
            route.name,
            args=(str(done.mo), str(int(done.state)), str(done.seq)),
            channel=Channel.CLOCK,
        )
        mark = tx.mark()
        try:
            route.handler(request, tx)
        except (TelcodError, LedgerCorrupt):
            raise
        except Exception as error:  # noqa: BLE001  # The edge of one message (STYLE 20).
            tx.undo(mark)
            _quarantine(tx, request, error)

    def _prune(self, tx: Tx, request: Request) -> Answer:
        """Remove what is old enough, a slice at a time, so that nobody waits for it."""
        kept_ms, parts_kept_ms = (int(ms) for ms in request.args)
        gone = self.store.prune(
            before_ms=tx.now_ms - kept_ms,
            parts_before_ms=tx.now_ms - parts_kept_ms,
            most=PRUNED_MAX,
        )
        self._parts_waiting = sum(1 for _ in self.store.scan(MO_PART))
        return Answer("pruned", data={"rows": gone})

    def _inherit(self, tx: Tx, request: Request) -> Answer:
        """Take over texts of a daemon that died; whoever asked sends them from now on."""
        rows = self.store.inherit(
            int(request.args[0]), self.boot, now_ms=tx.now_ms, most=INHERITED_MAX
        )
        return Answer("inherited", data={"rows": rows})

    def _refused(self, tx: Tx, request: Request, refused: StoreRefused) -> Answer:
        """Set aside what the store refused; its journal row keeps nothing that it could refuse."""
        reply = _quarantine(tx, request, refused)
        if not request.key.isprintable():
            request = msgspec.structs.replace(request, key="")
        if request.mo is not None:
            source = "".join(char for char in request.mo.source if " " <= char <= "~")
            kept = msgspec.structs.replace(request.mo, stored_text="", source=source)
            request = msgspec.structs.replace(request, mo=kept, route=request.route[:64])
        return self._record(tx, request, reply, self._render(tx, request, reply))

    def _render(self, tx: Tx, request: Request, reply: Reply) -> str:
        if not reply.lines:
            return ""
        subscriber = tx.get(SUBSCRIBER, request.sender) if request.sender else None
        language = subscriber.language if subscriber else Language.VI
        render = self.rules.catalogue.render
        if len(reply.lines) == 1:
            line = reply.lines[0]
            return render(line.key, line.values, language)
        return " ".join(render(key, values, language) for key, values in reply.lines)

    def _record(self, tx: Tx, request: Request, reply: Reply, text: str) -> Answer:
        """The journal of a text, or the stored answer of a keyed command.

        Written in the transaction of its effect.
        """
        mo = request.mo
        if mo is None:
            answer = Answer(reply.outcome, text, reply.data)
            if request.key:
                stored = msgspec.json.encode(answer)
                tx.put(COMMAND, Command(request.key, request_hash(request), stored, tx.now_ms))
            return answer
        seq = tx.next_seq(MO)
        tx.append(
            MO,
            MoRow(
                seq,
                mo.connection,
                tx.now_ms,
                mo.source,
                request.short_code,
                request.route,
                mo.stored_text,
                reply.outcome,
                mo.fingerprint,
            ),
        )
        if text:
            receipt = self.rules.limits.texts.request_receipts
            tx.send_sms(mo.source, request.short_code, text, kind="reply", mo=seq, receipt=receipt)
        return Answer(reply.outcome, text, reply.data, seq)


def request_hash(request: Request) -> bytes:
    """What a repeated key is compared by: the request but for its moment and its evidence."""
    said = (
        request.route,
        request.sender,
        request.args,
        request.short_code,
        request.actor,
        request.body,
    )
    return blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=16).digest()


def _again(request: Request, done: Command) -> Result:
    if done.hash != request_hash(request):
        return KeyReused(f"{request.key} was used for another request")
    return msgspec.json.decode(done.answer, type=Answer)


def _of_link(known: Sequence[S], link: str) -> S | None:
    """What a message id means: what this link sent under it, or else what any single link did.

    An SMSC with several links may send a receipt over another one than the text came by; two SMSCs
    may use the same id.
    """
    own = [each for each in known if each.link == link] or list(known)
    return own[0] if len(own) == 1 else None


def _quarantine(tx: Tx, request: Request, error: Exception) -> Reply:
    """Keep what broke for a person, answer politely, never loop (F34).

    The request's own repr holds no password.
    """
    seq = tx.next_seq(QUARANTINE)
    mo = request.mo
    kept = msgspec.json.encode(
        {
            "route": request.route,
            "sender": request.sender,
            "short_code": request.short_code,
            "text": mo.stored_text if mo else "",
            "args": request.args,
            "key": request.key,
        }
    ).decode()
    tx.append(
        QUARANTINE,
        Quarantine(seq, tx.now_ms, request.route, kept, f"{type(error).__name__}: {error}"[:500]),
    )
    _log.error("request.quarantined", route=request.route, quarantine=seq, exc_info=error)
    return say(QUARANTINED)


def _as_ours(error: TelcodError | LedgerCorrupt) -> TelcodError:
    return error if isinstance(error, TelcodError) else StoreFailed(str(error))


def _unless_done(give: Callable[[T], None], done: asyncio.Future[Any], what: T) -> None:
    if not done.done():
        give(what)


class _Item(msgspec.Struct, gc=False):
    request: Request
    sink: Sink


class Engine:
    """The writer thread and its bounded queue.

    `post` is for the hot path: no future, no task; the sink is called on the loop's thread after
    COMMIT, many per wake-up. `submit` is the same for coroutines.
    """

    def __init__(self, batcher: Batcher, *, queue_max: int, batch_max: int = BATCH_MAX) -> None:
        self._batcher: Final = batcher
        self._queue_max: Final = queue_max
        self._batch_max: Final = batch_max
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._settled: deque[Settled] = deque()
        self._connections: dict[int, SmscConnection] = {}
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._settle_timer: asyncio.TimerHandle | None = None
        self._full_timer: asyncio.TimerHandle | None = None
        self.failed: TelcodError | None = None
        self.full = False
        self._store_away = False
        self._on_reserve = False  # Only what ends something is carried out (F5).
        self._room_asked_s = 0.0
        self._errands: deque[Callable[[], None]] = deque()
        self.on_outbox: Callable[[Sequence[OutboxSms]], None] = lambda _: None
        self.on_pushes: Callable[[Sequence[OutboxPush]], None] = lambda _: None
        self.on_events: Callable[[], None] = lambda: None
        self.on_failed: Callable[[TelcodError], None] = lambda _: None
        self.on_batch: Callable[[BatchStats], None] = lambda _: None

    @property
    def waiting(self) -> int:
        """Requests that wait for their answer."""
        return self._waiting

    @property
    def away(self) -> bool:
        """Whether new work is refused because the database can't be reached."""
        return self.full and self._store_away

    @property
    def boot(self) -> int:
        """See `Batcher.boot`."""
        return self._batcher.boot

    @property
    def vault(self) -> Vault:
        """What sealed parts are opened with."""
        return self._batcher.vault

    @property
    def commit_ms(self) -> int:
        """See `Batcher.commit_ms`."""
        return self._batcher.commit_ms

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer; answers will be given on `loop`."""
        self._loop = loop
        self._thread = threading.Thread(target=self._write, name="telcod-writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit what was accepted, then end the writer."""
        self._stopping = True
        self._queue.put(None)
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join)
        for timer in (self._settle_timer, self._full_timer):
            if timer is not None:
                timer.cancel()

    def post(self, request: Request, sink: Sink) -> bool:
        """Queue a request; its result goes to `sink` on the loop's thread, after COMMIT.

        Returns:
            False, and nothing was kept, when the queue is full or the writer has stopped: tell the
            peer to try again.
        """
        if self._waiting >= self._queue_max or self._stopping or self.failed is not None:
            return False
        self._waiting += 1
        self._queue.put(_Item(request, sink))
        return True

    async def submit(self, request: Request) -> Answer:
        """Carry out one request.

        Raises:
            Overloaded: The queue is full, or the disk: try again later; nothing happened.
            KeyReused: The same key was used for another request; nothing happened.
            Unavailable: The daemon is stopping.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def sink(_: Request, result: Result) -> None:
            if not done.done():
                done.set_result(result)

        if not self.post(request, sink):
            raise self.refusal()
        settled = plain(await done)
        if isinstance(settled, TelcodError):
            raise settled
        return settled

    def refusal(self) -> TelcodError:
        """Why `post` has just taken nothing."""
        if self._stopping or self.failed:
            return Unavailable("telcod is stopping")
        return Overloaded("too many requests are waiting")

    def settle(self, done: Settled) -> None:
        """Note what became of an outgoing text.

        It is recorded with the next batch, 20 ms from now at the latest.
        """
        self._settled.append(done)
        self._wake_later()

    def note_connection(self, row: SmscConnection) -> None:
        """Note redelivery evidence.

        The newest row of a connection is recorded with the next batch.
        """
        self._connections[row.id] = row
        self._wake_later()

    async def between_batches(self, errand: Callable[[], R]) -> R:
        """Run something on the writer's thread, between two batches, and give what it gives.

        Raises:
            Unavailable: The writer has stopped.
            TelcodError: What the errand raised.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()

        def run() -> None:
            try:
                found = errand()
            except Exception as error:  # noqa: BLE001  # It's for who asked.
                loop.call_soon_threadsafe(_unless_done, done.set_exception, done, error)
            else:
                loop.call_soon_threadsafe(_unless_done, done.set_result, done, found)

        if self._stopping or self.failed is not None:
            raise Unavailable("telcod is stopping")
        self._errands.append(run)
        self._queue.put(None)
        return await done

    def replace_rules(self, rules: Rules) -> None:
        """Use other rules from the next batch on (SIGHUP)."""
        self._batcher.rules = rules

    def _wake_later(self) -> None:
        if self._settle_timer is None and self._loop is not None and not self._stopping:
            self._settle_timer = self._loop.call_later(SETTLE_WAIT_S, self._wake)

    def _wake(self) -> None:
        self._settle_timer = None
        if self._settled or self._connections:
            self._queue.put(None)

    def _ask_for_room_later(self) -> None:
        """Notes that found no room, and whoever asks whether we are ready, wait for no request."""
        if self._full_timer is None and self._loop is not None and not self._stopping:
            self._full_timer = self._loop.call_later(FULL_WAIT_S, self._ask_for_room)

    def _ask_for_room(self) -> None:
        self._full_timer = None
        self._queue.put(None)

    # -- the writer thread

    def _has_nothing_to_do(self) -> bool:
        """With an empty queue: whether there is not even a full disk to ask for room again.

        What came just before the end, after the queue was looked at, is come round for.
        """
        if self._stopping:
            self._queue.put(None)
            return True
        return not self.full

    def _write(self) -> None:
        while True:
            stopping = self._stopping  # Before the queue is looked at: what it held then is taken.
            items = self._take()
            while self._errands:
                self._errands.popleft()()
            settled, connections = self._take_notes()
            if not items and not settled and not connections:
                if stopping:
                    return
                if self._has_nothing_to_do():
                    continue
            if self._stopping:
                self._queue.put(None)  # Come round once more: what was noted meanwhile goes too.
            if not self._commit(items, settled, connections):
                return

    def _commit(
        self,
        items: list[_Item],
        settled: list[Settled],
        connections: list[SmscConnection],
    ) -> bool:
        """Carry out one batch; whether the writer goes on."""
        if self._on_reserve and not self._has_room_again():
            items = self._refuse_what_can_wait(items)
            if not items and not settled and not connections:
                return True
        try:
            done = self._batcher.run([item.request for item in items], settled, connections)
        except StoreFull as error:
            self._store_away = isinstance(error, StoreAway)
            self._put_back(settled, connections)
            if self._goes_on_reserve():
                return self._commit(items, *self._take_notes())
            self._tell(items, [Overloaded(str(error))] * len(items), full=True)
            # At the end, when only notes are left, and there is no room for them.
            return bool(items) or not self._stopping
        except (StoreFailed, LedgerCorrupt) as error:
            self._tell(items, [Unavailable(str(error))] * len(items), failed=_as_ours(error))
            return False
        except Exception as error:  # noqa: BLE001  # The edge of the process: nothing goes on.
            _log.exception("writer.crashed")
            self._tell(
                items,
                [Unavailable("the writer failed")] * len(items),
                failed=StoreFailed(repr(error)),
            )
            return False
        if done.broke is not None:
            return self._broke(items, done, done.broke)
        self._tell(items, done.results, done, full=self._on_reserve)
        return True

    def _broke(self, items: list[_Item], done: BatchDone, why: TelcodError) -> bool:
        """A batch that ended in the middle: tell what is done, refuse the rest."""
        full = isinstance(why, StoreFull)
        refused = Overloaded(str(why)) if full else Unavailable(str(why))
        results = [refused if result is why else result for result in done.results]
        if not full:
            self._tell(items, results, done, failed=why)
            return False
        self._store_away = isinstance(why, StoreAway)
        self._goes_on_reserve()
        self._tell(items, results, done, full=True)
        return True

    def _goes_on_reserve(self) -> bool:
        """The disk is full: whether there was room set aside, which is used from now on."""
        if self._on_reserve or not self._batcher.store.let_go_of_reserve():
            return False
        _log.warning("disk.full", doing="ends calls and payments on what was set aside")
        self._on_reserve, self._room_asked_s = True, self._batcher.now_s()
        return True

    def _has_room_again(self) -> bool:
        """Whether the reserve could be filled again; asked now and then."""
        now_s = self._batcher.now_s()
        if now_s - self._room_asked_s < FULL_WAIT_S:
            return False
        self._room_asked_s = now_s
        self._on_reserve = not self._batcher.store.hold_reserve()
        if not self._on_reserve:
            _log.info("disk.has_room")
        return not self._on_reserve

    def _refuse_what_can_wait(self, items: list[_Item]) -> list[_Item]:
        """What ends something, of these; the others are told to come again."""
        ending = [item for item in items if self._batcher.ends(item.request)]
        waiting = [item for item in items if not self._batcher.ends(item.request)]
        refused = Overloaded("the disk is full: only what ends calls and payments is carried out")
        self._tell(waiting, [refused] * len(waiting), full=True)
        return ending

    def _take(self) -> list[_Item]:
        first = self._queue.get()
        items = [first] if first is not None else []
        take = self._queue.get_nowait
        try:
            while len(items) < self._batch_max:
                item = take()
                if item is not None:
                    items.append(item)
        except Empty:
            pass
        return items

    def _take_notes(self) -> tuple[list[Settled], list[SmscConnection]]:
        settled: list[Settled] = []
        while self._settled and len(settled) < 4 * self._batch_max:
            settled.append(self._settled.popleft())
        connections = [self._connections.pop(key) for key in list(self._connections)]
        return settled, connections

    def _put_back(self, settled: Sequence[Settled], connections: Sequence[SmscConnection]) -> None:
        self._settled.extendleft(reversed(settled))
        for row in connections:
            self._connections.setdefault(row.id, row)

    def _tell(
        self,
        items: Sequence[_Item],
        results: Sequence[Any],
        done: BatchDone | None = None,
        *,
        full: bool = False,
        failed: TelcodError | None = None,
    ) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(self._told, items, results, done, full, failed)

    def _told(
        self,
        items: Sequence[_Item],
        results: Sequence[Any],
        done: BatchDone | None,
        full: bool,  # noqa: FBT001  # call_soon_threadsafe passes by position.
        failed: TelcodError | None,
    ) -> None:
        self._waiting -= len(items)
        self.full = full
        if failed is not None:
            self.failed = failed
        for item, result in zip(items, results, strict=True):
            item.sink(item.request, result)
        if done is not None:
            if done.outbox:
                self.on_outbox(done.outbox)
            if done.pushes:
                self.on_pushes(done.pushes)
            if done.events:
                self.on_events()
            self.on_batch(done.stats)
        if full:
            self._ask_for_room_later()
        if failed is not None:
            self._refuse_all(failed)
            self.on_failed(failed)

    def _refuse_all(self, failed: TelcodError) -> None:
        """The writer is gone: whoever still waits is told, once."""
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return
            if item is not None:
                self._waiting -= 1
                item.sink(item.request, Unavailable(str(failed)))
