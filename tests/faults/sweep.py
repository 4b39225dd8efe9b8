"""Kill telcod again and again on the same file, and see that each text was done and answered once.

A sweep is a row of lives.  Before each one a crowd has written more texts than can be in flight;
during it telcod dies somewhere; after it a copy of the file is read, as it lies on the disk, and
compared with what the SMSC saw and what the model says.  Whatever does not fit is a complaint.
"""

import asyncio
import shutil
import signal
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import handlers
from telcod.billing.accounts import main_account
from telcod.check import check_books
from telcod.clock import SystemClock
from telcod.engine import Batcher
from telcod.rows import (
    ACCOUNT,
    LIST_ENTRY,
    MO,
    OUTBOX_SMS,
    PAYMENT_PASSWORD,
    PERIOD,
    QUARANTINE,
    SUBSCRIBER,
    SUBSCRIPTION,
    OutboxState,
)
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_OK, STATUS_TRY_LATER, Behaviour
from telcod.storage.sqlite import SqliteStore
from telcod.types import Answer, Channel, Request
from telcod.vault import Vault
from tests.e2e.harness import DATABASE, link, write_settings
from tests.faults.process import START_S, TRACED_START_S, Injection, TelcodProcess
from tests.faults.script import WAITING, Crowd
from tests.world import shipped_rules

WINDOW = 20
TEXTS_PER_FEED = 120
FEEDS_MAX = 6  # In a life that does not come to its point.
LIFE_S = 40.0
RECORDED_S = 2.0
"""An answer of the SMSC is in the books after 20 ms and a commit; on a busy machine after this."""


KILLED = frozenset({-signal.SIGKILL, 128 + signal.SIGKILL})


@dataclass(frozen=True)
class Moment:
    """A moment of the conversation: the n-th PDU of a name came in at the SMSC.

    `before`: telcod dies before the SMSC has answered it; else just after.
    """

    command: str
    count: int
    before: bool = False


@dataclass(frozen=True)
class Point:
    """Where telcod dies: at a system call, or at a moment of the conversation.

    `stopping`: it is asked to stop when all is done, so the call is one of those that it stops by.
    `ends`: the exit codes that it may end with; `refuses`: it may tell the SMSC to try again.
    """

    injection: Injection | None = None
    moment: Moment | None = None
    stopping: bool = False
    ends: frozenset[int] = KILLED
    refuses: bool = False

    def __str__(self):
        return str(self.injection or self.moment or "a clean stop")


CLEAN_STOP = Point(stopping=True, ends=frozenset({0}))


def kill_at_call(call, count, *, path=None, stopping=False):
    """Die before the `count`-th such call of any one thread."""
    injection = Injection(call, "signal=KILL", str(count), path)
    return Point(injection, stopping=stopping, ends=KILLED | {0} if stopping else KILLED)


def kill_at_moment(command, count, *, before=False):
    """Die when the SMSC has read the `count`-th such PDU of this life."""
    return Point(moment=Moment(command, count, before))


class WatchedSmsc(SimulatedSmsc):
    """An SMSC that does something at a moment, and knows which texts it took when."""

    def __init__(self):
        super().__init__(behaviour=Behaviour(window=WINDOW))
        self.keys = []  # Of each of `submitted`: which text it is, and which part of it.
        self.taken_at = []  # Of each of `submitted`: the loop's time.
        self.names = set()  # The texts among them.
        self.at(None, lambda: None)

    def at(self, moment, act):
        """Do `act` at a moment, counted from now."""
        self._moment, self._act_then = moment, act
        self._seen: Counter[str] = Counter()

    def received(self, connection, pdu):
        self._seen[pdu.command] += 1
        moment = self._moment
        now_it_is = moment is not None and (
            (moment.command, moment.count) == (pdu.command, self._seen[pdu.command])
        )
        if now_it_is and moment.before:
            self._act_then()
        super().received(connection, pdu)
        for submit in self.submitted[len(self.keys) :]:
            name = (submit.fields["user_message_reference"], submit.fields["destination_addr"])
            self.keys.append((name, submit.concat.number if submit.concat else 1))
            self.taken_at.append(asyncio.get_running_loop().time())
            self.names.add(name)
        if now_it_is and not moment.before:
            self._act_then()
        self.watch.changed()


def open_books(path, crowd):
    """A file with the crowd's subscribers in it."""
    store = SqliteStore.open(path)
    batcher = Batcher(store, shipped_rules(), handlers.ROUTES, SystemClock(), Vault(bytes(32)))
    body = {"lines": crowd.subscriber_lines()}
    (answer,) = batcher.run([Request("staff.import", channel=Channel.STAFF, body=body)]).results
    store.close()
    assert isinstance(answer, Answer), answer


class Sweep:
    """Lives and deaths of telcod on one file.  `async with Sweep(folder) as sweep:`."""

    def __init__(self, folder, *, seed=1, plant=""):
        self.path = folder / DATABASE
        self.complaints = []
        self.lives = 0
        self.missed = 0  # Points that a life ended without coming to.
        self.refused = 0  # Answers that asked the SMSC to try again.
        self.resent = 0  # Texts out that went twice, as they may.
        self.slowest_start_s = 0.0
        self.smsc = WatchedSmsc()
        self._folder = folder
        self._plant = plant
        self._crowd = Crowd(seed)
        self._texts = defaultdict(list)  # By sender: (text, what the SMSC sent for it).
        self._pdus = []
        self._submits_seen = 0
        self._answers_due = 0
        self._answered: set[int] = set()  # Numbers of the texts in that are to have an answer.
        self._words: dict[Any, dict[int, str]] = defaultdict(dict)  # Of each text out, by part.
        self._settled = set()  # Texts out that the books knew to be sent when telcod last died.

    async def __aenter__(self):
        await self.smsc.start()
        open_books(self.path, self._crowd)
        self._config = write_settings(self._folder, link(self.smsc))
        return self

    async def __aexit__(self, *_):
        await self.smsc.stop(abrupt=True)

    async def kill(self, points, *, until=""):
        """Live through a row of points; stops at the first complaint, or the first `until` one."""
        for point in points:
            if not any(complaint.startswith(until) for complaint in self.complaints):
                await self._live(point)

    async def finish(self):
        """Two lives that end well: everything is done, and what was sent does not go out again."""
        await self.kill([CLEAN_STOP, CLEAN_STOP])

    # -- one life

    def _write(self, count):
        for _ in range(count):
            text = self._crowd.write()
            pdus = self.smsc.send_text(str(text.sender), text.short_code, text.text)
            self._texts[text.sender].append((text, pdus))
            self._pdus += pdus
            self._answers_due += text.answered

    async def _live(self, point):
        """Start, let texts flow, and end at the point, or when all is done."""
        self.lives += 1
        self.smsc.retry()
        feeds, texts = (1, WINDOW) if point is CLEAN_STOP else (FEEDS_MAX, TEXTS_PER_FEED)
        self._write(max(0, texts - self.smsc.waiting))
        loop = asyncio.get_running_loop()
        process = TelcodProcess(
            self._config,
            self._folder / "said.log",
            injection=point.injection,
            plant=self._plant,
            changed=self.smsc.watch.changed,
        )
        begun_s = loop.time()
        async with process:
            self.smsc.at(point.moment, process.kill)
            await self._until(process, self.smsc.bound, "a bind", wait_s=TRACED_START_S)
            start_s = loop.time() - begun_s
            for _ in range(feeds):
                await self._until(process, self._is_quiet, "silence", wait_s=LIFE_S)
                await self._until(process, self._is_answered, "all answers", wait_s=LIFE_S)
                if process.returncode is not None or point.stopping:
                    break
                self._write(TEXTS_PER_FEED)
            reached = process.returncode is not None
            if not reached:
                (process.terminate if point.stopping else process.kill)()
            returncode = await process.exited(wait_s=LIFE_S)
        died_s = loop.time()
        await self.smsc.wait_until(lambda: not self.smsc.connection_count, "the end of the link")
        if point is not CLEAN_STOP:
            self.missed += returncode == 0 if point.stopping else not reached
        if returncode not in point.ends:
            self._complain("ended", f"with {returncode}")
        if point.injection is None:
            self.slowest_start_s = max(self.slowest_start_s, start_s)
            if start_s > START_S:
                self._complain("start", f"took {start_s:.1f} s")
        self._look(point, died_s=died_s)
        self.complaints = [f"{complaint} (end: {point})" for complaint in self.complaints]

    async def _until(self, process, condition, what, *, wait_s):
        try:
            await self.smsc.wait_until(
                lambda: process.returncode is not None or condition(),
                f"{what}, or its end",
                wait_s=wait_s,
            )
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {self._where_it_stands()}") from error

    def _where_it_stands(self):
        """For whoever must find out why it waits: what is missing, what the books say, the log."""
        said = (self._folder / "said.log").read_text(encoding="utf-8", errors="replace")
        open_pdus = sum(not pdu.settled for pdu in self._pdus)
        return (
            f"life {self.lives}: {len(self.smsc.names)} of {self._answers_due} answers, "
            f"{self.smsc.waiting} texts wait at the SMSC, {open_pdus} pdus are open; "
            f"telcod said last:\n{said[-4_000:]}"
        )

    def _is_quiet(self):
        """Whether the SMSC has no more texts for telcod."""
        return not self.smsc.waiting and all(pdu.settled for pdu in self._pdus[-2 * WINDOW :])

    def _is_answered(self):
        """Whether the SMSC has an answer to each text."""
        return len(self.smsc.names) >= self._answers_due

    # -- what is in the file, and what the SMSC saw

    def _look(self, point, *, died_s):
        all_done = point is CLEAN_STOP
        copy = self._folder / "copy" / DATABASE
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        for suffix in ("", "-wal"):
            name = self.path.with_name(self.path.name + suffix)
            if name.exists():
                shutil.copy(name, copy.parent)
        store = SqliteStore.open(copy)
        try:
            for violation in check_books(store, tariffs=shipped_rules().tariffs):
                self._complain("books", f"{violation.invariant}: {violation.what}")
            for row in store.scan(QUARANTINE):
                self._complain("quarantine", row.error)
            self._look_at_verdicts(point)
            done = self._look_at_journal(list(store.scan(MO)), all_done=all_done)
            self._look_at_subscribers(store, done)
            self._look_at_answers(store, died_s=died_s, all_done=all_done)
        finally:
            store.close()

    def _look_at_verdicts(self, point):
        """Each message was taken, or the SMSC was asked to try again, and never otherwise."""
        statuses = Counter(status for pdu in self._pdus for status in pdu.statuses)
        taken, later = statuses.pop(STATUS_OK, 0), statuses.pop(STATUS_TRY_LATER, 0)
        if statuses or taken != sum(pdu.settled for pdu in self._pdus):
            self._complain("verdicts", f"{taken} taken, and {dict(statuses)}")
        if later > self.refused and not point.refuses:
            self._complain("verdicts", f"{later - self.refused} refused")
        self.refused = later

    def _look_at_journal(self, rows, *, all_done):
        """Each sender's rows are the beginning of what he wrote; gives how many texts that is."""
        by_sender = defaultdict(list)
        for row in rows:
            by_sender[int(row.source)].append((row.short_code, row.text, row.verdict))
        self._answered = {row.seq for row in rows if row.verdict not in {WAITING, "silence"}}
        done = {}
        for sender, texts in self._texts.items():
            expected, ends = [], []
            for text, pdus in texts:
                expected += [(text.short_code, "", WAITING)] * (len(pdus) - 1)
                words = text.text if text.kept else ""
                expected.append((text.short_code, words, text.verdict))
                ends.append(len(expected))
            found = by_sender.pop(sender, [])
            if found != expected[: len(found)]:
                at = next(i for i, row in enumerate(found) if expected[i : i + 1] != [row])
                self._complain(
                    "journal", f"{sender}: {found[at]} instead of {expected[at : at + 1]}"
                )
            acknowledged = [pdu for _, pdus in texts for pdu in pdus if pdu.settled]
            if len(acknowledged) > len(found):
                self._complain(
                    "lost", f"{sender}: {len(acknowledged)} acknowledged, {len(found)} in the books"
                )
            if all_done and len(found) != len(expected):
                self._complain("lost", f"{sender}: {len(found)} of {len(expected)} in the books")
            done[sender] = sum(end <= len(found) for end in ends)
        for sender in by_sender:
            self._complain("journal", f"{sender} wrote nothing")
        return done

    def _look_at_subscribers(self, store, done):
        """Each subscriber has what the texts in the books make, no less and no more."""
        subscribers = {row.msisdn: row for row in store.scan(SUBSCRIBER)}
        accounts = {row.id: row for row in store.scan(ACCOUNT)}
        packages = {row.msisdn: row for row in store.scan(SUBSCRIPTION)}
        passwords = {row.msisdn for row in store.scan(PAYMENT_PASSWORD)}
        periods = defaultdict(list)
        lists: dict[int, dict[str, set[int]]] = defaultdict(lambda: {"b": set(), "w": set()})
        for row in store.scan(PERIOD):
            periods[row.msisdn].append(row.kind)
        for row in store.scan(LIST_ENTRY):
            lists[row.owner][row.kind[0]].add(row.number)
        for number, opening in self._crowd.opening.items():
            count = done.get(number, 0)
            state = self._texts[number][count - 1][0].after if count else opening
            package = packages.get(number)
            subscriber = subscribers[number]
            found = {
                "balance_vnd": accounts[main_account(number)].posted,
                "language": subscriber.language,
                "notices": subscriber.notices,
                "package": package.package if package and package.status == "active" else "",
                "periods": tuple(periods[number]),
                "lists": lists[number],
                "passwords": number in passwords,
            }
            for name, value in found.items():
                wanted = getattr(state, name)
                if value != (bool(wanted) if name == "passwords" else wanted):
                    self._complain(
                        "effect", f"{number} after {count}: {name} is {value}, not {wanted}"
                    )

    def _look_at_answers(self, store, *, died_s, all_done):
        """One answer for each text; sent twice only if the books could not know of the first."""
        rows = {(row.seq & 0xFFFF, row.destination): row for row in store.scan(OUTBOX_SMS)}
        replies = Counter(row.mo for row in rows.values())
        if set(replies) != self._answered or set(replies.values()) > {1}:
            self._complain("answers", "not one for each text in the books")
        first_of_life, self._submits_seen = self._submits_seen, len(self.smsc.keys)
        of_life = range(first_of_life, self._submits_seen)
        self._look_at_submits(rows, of_life)
        pending = {name for name, row in rows.items() if row.state == OutboxState.PENDING}
        for name in rows.keys() - pending - self._settled:
            row, words = rows[name], "".join(word for _, word in sorted(self._words[name].items()))
            if row.state != OutboxState.ACCEPTED or words != row.text:
                self._complain("answers", f"{row} was sent as {words!r}")
        if all_done and pending:
            self._complain("answers", f"{len(pending)} still wait")
        for at in of_life:
            name = self.smsc.keys[at][0]
            if name in pending and died_s - self.smsc.taken_at[at] > RECORDED_S:
                self._complain("answers", f"{name} was taken long ago, and the books do not know")
        self._settled = set(rows) - pending

    def _look_at_submits(self, rows, of_life):
        """What left in this life is in the books, was not known to be sent, and left once."""
        seen = set()
        for at in of_life:
            name, part = self.smsc.keys[at]
            words = self.smsc.submitted[at].text
            if name not in rows:
                self._complain("answers", f"{name} left, and is not in the books")
            if (name, part) in seen or name in self._settled:
                self._complain("answers", f"{name} was sent again")
            seen.add((name, part))
            self.resent += part in self._words[name]
            if self._words[name].setdefault(part, words) != words:
                self._complain("answers", f"{name} came with other words")

    def _complain(self, about, what):
        self.complaints.append(f"{about}: {what}")

    def summary(self):
        """What happened, in a line."""
        again = sum(max(0, pdu.attempts - 1) for pdu in self._pdus)
        return (
            f"{self.lives} lives, {self.missed} points not come to, {len(self._pdus)} messages, "
            f"{again} sent again by the SMSC, {len(self.smsc.submitted)} texts out, "
            f"{self.resent} of them again, slowest start {self.slowest_start_s:.2f} s"
        )
