"""What must be so: while it runs, when it is quiet, and at the end.

Nothing here asks telcod what it thinks: the books are read as they lie, the SMSC, the gateways and
the broker say what truly happened.
"""

from collections import Counter, defaultdict
from itertools import pairwise

from telcod.check import check_books
from telcod.rows import (
    CALL,
    HELD_TEXT,
    HOLD,
    MO,
    OUTBOX_EVENT,
    OUTBOX_PUSH,
    OUTBOX_SMS,
    QUARANTINE,
    CallState,
    HoldStatus,
    OutboxState,
    TextState,
)
from telcod.smpp.incoming import identity
from telcod.storage.memory import MemoryStore
from telcod.text import decode_gsm7, decode_ucs2
from tests.simulation.books import POISON

IDLE_S = 0.1
JUST_NOW_MS = 15_000  # At the end: what is due at seven o'clock may be due at this very moment.
UNDER_WAY_S = 2.0  # More than any octets take.
UNKNOWN_S = 8.0  # An answer so late may come after telcod has given it up.
SENT = frozenset({OutboxState.ACCEPTED, OutboxState.DELIVERED, OutboxState.UNDELIVERED})
SILENT = frozenset({"silence", "part.waiting"})
# What telcod may log as an error, and what it then means.
ERRORS = frozenset({"clock.jumped", "request.quarantined", "store.failed", "batch.refused"})


class Judge:
    """Looks at one world."""

    def __init__(self, world):
        self.world = world
        self.deaf = False
        self.settled_s = {}  # When the books learned what became of a text, by its number.
        self._idle_since_s = None

    # -- while it runs

    def heard(self, level, event):
        """A line of the log."""
        if self.deaf:
            return
        if level in {"error", "exception", "critical"} and event["event"] not in ERRORS:
            self.world.complain("log", {name: str(value) for name, value in event.items()})

    def settled(self, settled):
        now_s = self.world.loop.time()
        for each in settled:
            self.settled_s.setdefault(each.seq, now_s)

    def look(self):
        """Time is about to move on: is there a text that waits while its links are idle?"""
        world = self.world
        life = world.lives[-1] if world.lives else None
        if (
            life is None
            or not life.serving
            or world.loop.slack_s
            or not any(life.gateway.sender._waiting.values())
            or not self._waits_in_vain(life.gateway)
        ):
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = world.loop.time()
        elif world.loop.time() - self._idle_since_s > IDLE_S and not self.deaf:
            world.complain("idle", "a text waits, and its links have room")
            self._idle_since_s = None

    def _waits_in_vain(self, gateway):
        now_s = self.world.loop.time()
        for (code, name), queue in gateway.sender._waiting.items():
            if any(each.place == place for _, place, each in queue):
                links = [link for link in gateway.links if code in link.short_codes]
                mine = [link for link in links if name in {"", link.name}]
                if all(link._has_room(now_s) for link in mine):
                    return True
        return False

    # -- when all is well

    def is_quiet(self):
        """Whether everything that was begun is done, but for what waits for its moment."""
        world = self.world
        life = world.life
        return (
            life.serving
            and all(smsc.is_done for smsc in world.smscs)
            and not life.engine.waiting
            and not self._pending(OUTBOX_SMS)
            and not self._pending(OUTBOX_PUSH)
        )

    def what_waits(self):
        """For a person, when it does not become quiet."""
        world = self.world
        life = world.life
        sender = life.gateway.sender if life.gateway is not None else None
        undone = [m for smsc in world.smscs for m in smsc.messages if not m.settled]
        return (
            f"serving {life.serving}, {len(undone)} texts at the SMSC, "
            f"{life.engine.waiting} requests, outbox {self._pending(OUTBOX_SMS)}, "
            f"pushes {self._pending(OUTBOX_PUSH)}, "
            f"in memory {sender and sender.in_memory}, behind {sender and sender.behind}"
        )

    def _pending(self, table):
        rows = self.world.tables[table.index].values()
        return [row.seq for row in rows if row.state == OutboxState.PENDING]

    # -- the end

    def rests(self):
        """After two quiet days, before the last restart: nothing is open any more."""
        self._open()
        self._payments()

    def verdict(self):
        """Everything, once."""
        world = self.world
        world.oracle.compare()
        self._books()
        self._texts()
        self._answers()
        self._events()
        for failure in world.loop.failures:
            world.complain("loop", repr(failure))
        for life in world.lives:
            if life.engine.thread.failure is not None:
                world.complain("writer", repr(life.engine.thread.failure))

    def _rows(self, table):
        return self.world.tables[table.index]

    def _books(self):
        world = self.world
        store = MemoryStore()
        store._tables = world.tables
        for violation in check_books(store, tariffs=world.rules.tariffs):
            world.complain("books", f"{violation.invariant}: {violation.what}")
        poison = sum(POISON in text.text for text in world.people.texts if text.verdicts)
        if len(self._rows(QUARANTINE)) != poison:
            errors = [row.error for row in self._rows(QUARANTINE).values()]
            world.complain("quarantine", f"{errors}, {poison} were poison")

    def _open(self):
        holds = [row.id for row in self._rows(HOLD).values() if row.status == HoldStatus.OPEN]
        calls = [
            row.id
            for row in self._rows(CALL).values()
            if row.state in {CallState.ASKING, CallState.GRANTED, CallState.TALKING}
        ]
        texts = [
            row.mo
            for row in self._rows(HELD_TEXT).values()
            if row.state in {TextState.ASKING, TextState.SENDING}
        ]
        if holds or calls or texts:
            self.world.complain("open", f"holds {holds}, calls {calls}, texts {texts}")

    def _texts(self):
        """Each text that the SMSC was rid of is in the books, once."""
        world = self.world
        for text in world.people.texts:
            sure = all(message.settled for message in text.messages)
            wanted = Counter(fingerprint for fingerprint, _ in self._fingerprints(text))
            found = Counter(text.committed)
            if self._is_in_doubt(text) and found:
                wanted = found  # Who repeats himself in such a moment may be taken for the SMSC.
            if found - wanted or (sure and found != wanted):
                world.complain(
                    "effect",
                    f"{text}: {sum(found.values())} times in the books, "
                    f"{sum(wanted.values())} sent, verdicts {text.verdicts}",
                )
            for message in text.messages:
                if message.settled and 0 not in message.statuses:
                    world.complain("refused", f"{text}: {message.statuses}")

    def _is_in_doubt(self, text):
        """Whether a text was sent again by its sender while lines or daemons ended."""
        first, *more = text.messages
        again = len(set(text.bodies)) < len(text.bodies)
        return (
            bool(again and more)
            and any(at_s > first.settled_at for at_s in self.world.troubles_s)
            and len(text.committed) <= len(text.bodies)
        )

    def _fingerprints(self, text):
        vault = self.world.vault
        return [(vault.fingerprint(identity(body)), body) for body in text.bodies]

    def _answers(self):
        """Each text out is on its phone, whole, and once unless nobody could know."""
        world = self.world
        submits = defaultdict(list)
        for smsc in world.smscs:
            for taken in smsc.taken:
                submits[taken.reference, taken.destination].append(taken)
        for row in self._rows(OUTBOX_SMS).values():
            self._answer(row, submits.pop((row.seq & 0xFFFF, row.destination), []))
        for key in submits:
            world.complain("answer", f"{key} was sent, and is not in the books")
        self._one_reply_each()

    def _answer(self, row, submits):
        world = self.world
        parts = defaultdict(list)
        for taken in sorted(submits, key=lambda taken: taken.at_s):
            if taken.status in {0, None}:
                parts[taken.part].append(taken)
        for of_part in parts.values():
            self._copies(row, of_part, submits)
        if row.state in SENT and _words(parts) != row.text:
            world.complain("answer", f"{row.seq} came as {_words(parts)!r}, not {row.text!r}")
        if row.state == OutboxState.FAILED and not world.faults.refused:
            world.complain("answer", f"{row.seq} failed, and nobody refused it")
        if row.state == OutboxState.PENDING and row.at < world.clock.wall_ms() - JUST_NOW_MS:
            world.complain("answer", f"{row.seq} still waits")

    def _one_reply_each(self):
        rows = self._rows(OUTBOX_SMS).values()
        replies = Counter(row.mo for row in rows if row.mo and row.kind == "reply")
        for row in self._rows(MO).values():
            if not row.connection:
                continue  # Typed on a screen, and answered there.
            silent = row.verdict in SILENT or row.verdict.startswith("receipt.")
            if replies[row.seq] != (0 if silent else 1):
                self.world.complain(
                    "answer", f"{row.verdict} {row.seq}: {replies[row.seq]} answers"
                )

    def _copies(self, row, taken, submits):
        """A second copy needs an excuse: nobody could know of the first."""
        world = self.world
        settled_s = self.settled_s.get(row.seq)
        for first, second in pairwise(taken):
            if not self._is_excused(first, second, submits):
                world.complain(
                    "twice", f"{row.seq} at {first.at_s:.3f} and {second.at_s:.3f}, for nothing"
                )
            if settled_s is not None and second.at_s > settled_s + UNDER_WAY_S:
                world.complain("twice", f"{row.seq} again at {second.at_s:.3f}, it was settled")

    def _is_excused(self, first, second, submits):
        def between(moments):
            return [at for at in moments if first.at_s <= at <= second.at_s]

        world = self.world
        if between(world.faults.deaths_s) or _is_unknown(first):
            return True
        if len(world.smscs) > 1 and between(world.troubles_s):
            return True  # Its link went while it was half sent; over another one it begins anew.
        # A new daemon knows nothing of the parts that were taken before, unless all were.
        return any(
            self._parts_known(submits, stop_s) < first.total for stop_s in between(world.stops_s)
        )

    def _parts_known(self, submits, stop_s):
        """How many parts of a text were taken in the life that ended by a stop."""
        world = self.world
        ends = [at for at in (*world.stops_s, *world.faults.deaths_s) if at < stop_s]
        began_s = max(ends, default=0.0)
        return len(
            {
                each.part
                for each in submits
                if each.status == 0 and began_s <= each.at_s and _heard_by(each, stop_s)
            }
        )

    def _events(self):
        """Each event was told, and in order when told first."""
        heard = list(dict.fromkeys(self.world.broker.heard))
        wanted = sorted(self._rows(OUTBOX_EVENT))
        if heard != wanted:
            missing = sorted(set(wanted) - set(heard))
            self.world.complain("events", f"missing {missing[:5]}, or out of order")

    def _payments(self):
        """What the gateway took is in the books, or was given back."""
        world = self.world
        for payment_id, order in world.cards.orders.items():
            pay = world.oracle.payments.payments.get(payment_id)
            state = pay.state if pay is not None else "nobody's"
            took = order.result.value == "authorised"
            right = {
                "cleared": took and not order.voided,
                "declined": not took or order.voided,
                "expired": not took or order.voided,
                "rejected_fraud": order.voided,
            }.get(state, False)
            if not right:
                world.complain("payment", f"{payment_id}: {order}, in the books {state}")


def _is_unknown(taken):
    """Whether telcod cannot know in time what became of it."""
    return taken.heard_s is None or taken.heard_s - taken.at_s > UNKNOWN_S


def _heard_by(taken, moment_s):
    return taken.heard_s is not None and taken.heard_s <= moment_s


def _words(parts):
    """A text as its phone shows it."""
    found = [of_part[0] for _, of_part in sorted(parts.items())]
    octets = b"".join(each.octets for each in found)
    if not found or len(found) != found[0].total:
        return octets.hex()
    return decode_ucs2(octets) if found[0].coding else decode_gsm7(octets)
