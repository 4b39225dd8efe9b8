"""Two telcods on one database, bound to one SMSC, that die again and again, and a judge.

A crowd texts, by the model of `tests.faults.script`; the SMSC gives each message to either daemon,
and what one of them left unanswered to the other one at once.  A subscriber writes his next text
when the SMSC has got rid of his last one, so that it is known what must come of it.  In the end the
books, read as they are, must say of each text what the model says, and the SMSC must have had one
answer to each: two of one only if a daemon died, froze or lost the database between sending it and
saying so.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict, deque
from typing import Any

import psycopg

from telcod.check import check_books
from telcod.rows import MO, OUTBOX_SMS, QUARANTINE, OutboxState
from telcod.simulator.smsc_behaviour import STATUS_OK, STATUS_TRY_LATER, Behaviour
from telcod.storage import postgres_duties
from telcod.storage.postgres_snapshot import open_postgres_snapshot
from tests.e2e.harness import link, write_settings
from tests.faults.process import ROOT, TelcodProcess
from tests.faults.script import SILENCE, WAITING
from tests.faults.sweep import Sweep, WatchedSmsc
from tests.world import World, shipped_rules

SECRET = "ab" * 32
SETTLED = (OutboxState.ACCEPTED, OutboxState.DELIVERED)
START_S = 60.0
"""Of a daemon, on a machine that has much else to do."""
DONE_S = 90.0
RECORDED_S = 2.0
"""What the SMSC took is in the books after 20 ms and a commit; on a busy machine after this."""
POLL_S = 0.1
TAKEN_OVER_S = 10.0
"""The single duty has a living holder again within this time, whatever happened."""
HOLDER = """
    SELECT COALESCE(MAX(application_name), '')
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database() AND
"""
BEHAVIOUR = Behaviour(window=20, retry_pause_s=0.2, receipts=False)


class Member:
    """One daemon of the fleet, which is started and ended many times."""

    def __init__(self, fleet, name, url):
        self.name = name
        self.folder = fleet.folder / name
        self.folder.mkdir()
        self.said = self.folder / "said.log"
        self.config = write_settings(
            self.folder,
            link(fleet.smsc, name=name, system_type=name),
            store={"url": f"{url}?application_name={name}"},
            security={"secret": SECRET},
            **fleet.sections,
        )
        self._fleet = fleet
        self._lives = contextlib.AsyncExitStack()
        self._dies = False
        self.process: Any = None

    @property
    def pid(self):
        return self.process._process.pid

    async def start(self):
        """Start it; it serves when it is bound."""
        await self.end()
        self.process = TelcodProcess(
            self.config,
            self.said,
            plant=self._fleet.plant,
            changed=self._fleet.smsc.watch.changed,
        )
        await self._lives.enter_async_context(self.process)

    async def end(self):
        """Kill it, if it lives."""
        if self._dies:
            self._dies = False
            await self.process.exited(wait_s=START_S)
        await self._lives.aclose()
        self.process = None

    def kill(self):
        self._fleet.fault(self)
        self._dies = True
        self.process.kill()

    def freeze(self):
        self._fleet.fault(self)
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        self._fleet.fault(self)
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self):
        """As SIGTERM does; its return code."""
        self.process.terminate()
        return await self.process.exited(wait_s=START_S)

    def logged(self, event):
        """What it logged under this name, in all its lives."""
        lines = self.said.read_text(encoding="utf-8").splitlines() if self.said.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{") and event in line]
        return [line for line in found if line["event"] == event]


class FleetSmsc(WatchedSmsc):
    """Lets each subscriber write his next text when his last one is settled."""

    def __init__(self, behaviour):
        super().__init__()
        self.behave(behaviour)
        self.sender_queues = defaultdict(deque)
        self.in_flight = {}
        self.on_text = lambda text, pdus: None
        self.members: dict[str, Any] = {}  # By the name that they bind with.
        self.losses = 0
        self._bound_by: dict[Any, str] = {}
        self._deaf: set[Any] = set()
        self._loses_at = 0
        self._then: Any = None

    def lose_at(self, count, then=lambda member: None):
        """The `count`-th response from now is not read any more, nor what follows it: the link is
        gone, and what it left unanswered goes to the other one; then something happens to the
        daemon behind it.
        """
        self._loses_at, self._then = count, then

    def write(self, text):
        self.sender_queues[text.sender].append(text)
        self._next(text.sender)

    def _next(self, sender):
        queue = self.sender_queues[sender]
        if sender not in self.in_flight and queue:
            text = queue.popleft()
            pdus = self.in_flight[sender] = self.send_text(
                str(text.sender), text.short_code, text.text
            )
            self.on_text(text, pdus)

    def received(self, connection, pdu):
        if connection in self._deaf:
            return
        if "system_type" in pdu.fields:
            self._bound_by[connection] = pdu.fields["system_type"]
        if pdu.command == "deliver_sm_resp" and self._loses_at:
            self._loses_at -= 1
            if not self._loses_at:
                self._deaf.add(connection)
                self.losses += 1
                connection.abort()
                self._then(self.members[self._bound_by[connection]])
                return
        super().received(connection, pdu)
        if pdu.command == "deliver_sm_resp":
            done = [s for s, pdus in self.in_flight.items() if all(each.settled for each in pdus)]
            for sender in done:
                del self.in_flight[sender]
            for sender in done:
                self._next(sender)

    @property
    def unwritten(self):
        return len(self.in_flight) + sum(map(len, self.sender_queues.values()))


class Fleet(Sweep):
    """`async with Fleet(folder, url) as fleet:`; `fleet.a` and `fleet.b` are its daemons.

    `urls` are where each of the two finds the database; `url` is where it is.  `plant` is a bug
    that both have (`tests.faults.planted_daemon`).
    """

    def __init__(
        self, folder, url, *, urls=None, seed=1, behaviour=BEHAVIOUR, plant="", **sections
    ):
        super().__init__(folder, seed=seed)
        self.plant = plant
        self.folder = folder
        self.url = url
        self.sections = {"log": {"level": "info"}} | sections
        self.faults: list = []  # (the loop's time, the member that something happened to)
        self.smsc: Any = FleetSmsc(behaviour)
        self.smsc.on_text = self._sent
        self._urls = urls or (url, url)
        self._answers_due = 0

    async def __aenter__(self):
        await self.smsc.start()
        self.import_(*self._crowd.subscriber_lines())
        self.a, self.b = made = tuple(
            Member(self, name, url) for name, url in zip("ab", self._urls, strict=True)
        )
        self.smsc.members = {member.name: member for member in made}
        await asyncio.gather(self.a.start(), self.b.start())
        await self.bound(2)
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(self.a.end(), self.b.end())
        await self.smsc.stop(abrupt=True)

    def import_(self, *lines):
        """Put subscribers into the books."""
        with World(self.url) as world:
            world.import_(*lines)

    def other(self, member):
        return self.b if member is self.a else self.a

    # -- what happens

    async def until(self, condition, what, *, wait_s=DONE_S):
        try:
            await self.smsc.wait_until(condition, what, wait_s=wait_s)
        except TimeoutError as error:
            said = "\n".join(
                f"--- {member.name}:\n{member.said.read_text()[-3_000:]}" for member in self.members
            )
            raise TimeoutError(
                f"{error}; {self.smsc.unwritten} texts are not settled, {self.smsc.waiting} wait "
                f"at the SMSC, {len(self.smsc.names)} of {self._answers_due} answers came\n{said}"
            ) from error

    @property
    def members(self):
        return (self.a, self.b)

    async def bound(self, count):
        await self.until(lambda: len(self.smsc.bound()) >= count, f"{count} links", wait_s=START_S)

    def write(self, count):
        """Let the crowd write so many texts."""
        for _ in range(count):
            self.smsc.write(self._crowd.write())

    def _sent(self, text, pdus):
        self._texts[text.sender].append((text, pdus))
        self._pdus += pdus
        self._answers_due += text.answered

    def fault(self, member):
        """Something happens to a daemon now: what it sent in the last moments may go twice."""
        self.faults.append((asyncio.get_running_loop().time(), member))

    async def settled(self, count=0):
        """Until the SMSC has got rid of all but so many texts."""
        await self.until(lambda: self.smsc.unwritten <= count, "the texts to be settled")

    async def answered(self):
        """Until every text is settled, and has its answer."""
        await self.settled()
        await self.until(lambda: len(self.smsc.names) >= self._answers_due, "all answers")
        await self.poll(self.nothing_waits)

    def nothing_waits(self):
        """Whether every text of the books was sent, and the books know it."""
        return not self.ask("SELECT COUNT(*) FROM outbox_sms WHERE state = 0")

    # -- what the server says

    def ask(self, sql, *values):
        with psycopg.connect(self.url, autocommit=True) as db:
            [(found,)] = db.execute(sql, values)
        return found

    async def poll(self, condition, *, wait_s=DONE_S):
        """Until the database answers yes, which can't tell us by itself."""
        async with asyncio.timeout(wait_s):
            while not condition():  # noqa: ASYNC110  # What changes is elsewhere.
                await asyncio.sleep(POLL_S)

    def on_duty(self):
        """The name of the daemon that holds the single duty by the server's word."""
        return self._holder("objsubid = 2 AND classid::int8 = %s", _class("duty"))

    def with_the_turn(self):
        """The name of the daemon whose batch is open."""
        return self._holder("objsubid = 1 AND mode = 'ExclusiveLock'")

    def _holder(self, locks, *values):
        return self.ask(HOLDER + locks, *values)

    # -- the judge

    def judge(self):
        """Look at the books and at what the SMSC saw; complaints, none if all is well."""
        self.complaints = []
        complaint = self.db_check()
        if complaint:
            self._complain("db check", complaint)
        with contextlib.closing(open_postgres_snapshot(self.url)) as books:
            for violation in check_books(books, tariffs=shipped_rules().tariffs):
                self._complain("books", f"{violation.invariant}: {violation.what}")
            for row in books.scan(QUARANTINE):
                self._complain("quarantine", row.error)
            self._judge_verdicts()
            journal = list(books.scan(MO))
            self._look_at_subscribers(books, self._judge_journal(journal))
            self._judge_answers(journal, list(books.scan(OUTBOX_SMS)))
        return self.complaints

    def db_check(self):
        """What `telcod db check` says against the books; "" if nothing."""
        done = subprocess.run(
            [sys.executable, "-m", "telcod", "db", "check", "--config", str(self.a.config)],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        return (done.stdout + done.stderr).decode() if done.returncode else ""

    def _judge_verdicts(self):
        statuses = Counter(status for pdu in self._pdus for status in pdu.statuses)
        odd = statuses.keys() - {STATUS_OK, STATUS_TRY_LATER}
        if odd:
            self._complain("verdicts", dict(statuses))

    def _judge_journal(self, rows):
        """Each sender's rows are what he wrote, each once.

        Parts of one text may have come in either order.
        """
        by_sender = defaultdict(list)
        for row in rows:
            if row.verdict.startswith("receipt."):
                continue
            by_sender[int(row.source)].append((row.short_code, row.text, row.verdict))
        for sender, texts in self._texts.items():
            expected = []
            for text, pdus in texts:
                expected += [(text.short_code, "", WAITING)] * (len(pdus) - 1)
                words = text.text if text.kept else ""
                expected.append((text.short_code, words, text.verdict))
            found = by_sender.pop(sender, [])
            if found != expected:
                at = next(
                    (i for i, row in enumerate(found) if expected[i : i + 1] != [row]), len(found)
                )
                self._complain(
                    "journal",
                    f"{sender}: {found[at : at + 1]} instead of {expected[at : at + 1]}, "
                    f"{len(found)} rows instead of {len(expected)}",
                )
        for sender in by_sender:
            self._complain("journal", f"{sender} wrote nothing")
        return {sender: len(texts) for sender, texts in self._texts.items()}

    def _judge_answers(self, journal, outbox):
        rows = {(row.seq & 0xFFFF, row.destination): row for row in outbox}
        due = {
            row.seq
            for row in journal
            if row.verdict not in {WAITING, SILENCE} and not row.verdict.startswith("receipt.")
        }
        replies = Counter(row.mo for row in rows.values())
        if set(replies) != due or set(replies.values()) > {1}:
            self._complain("answers", "not one for each text in the books")
        words: Any = defaultdict(dict)
        first_at: dict[Any, float] = {}
        for at, (name, part) in enumerate(self.smsc.keys):
            submitted = self.smsc.submitted[at].text
            if name not in rows:
                self._complain("answers", f"{name} left, and is not in the books")
            if words[name].setdefault(part, submitted) != submitted:
                self._complain("answers", f"{name} came with other words")
            if (name, part) in first_at:
                self.resent += 1
                self._judge_double(rows.get(name), first_at[name, part], self.smsc.taken_at[at])
            first_at.setdefault((name, part), self.smsc.taken_at[at])
        for name, row in rows.items():
            said = "".join(word for _, word in sorted(words[name].items()))
            if row.state not in SETTLED or said != row.text:
                self._complain("answers", f"{row} was sent as {said!r}")

    def _judge_double(self, row, first_s, again_s):
        """A text may go twice if something happened between its first copy and its settlement."""
        near = [at for at, _ in self.faults if first_s - RECORDED_S <= at <= again_s]
        if not any(at - first_s <= RECORDED_S for at in near):
            self._complain("answers", f"{row} was sent again, and nothing had happened")

    def summary(self):
        """What happened, in a line."""
        again = sum(max(0, pdu.attempts - 1) for pdu in self._pdus)
        taken_over = sum(
            line["count"] for member in self.members for line in member.logged("outbox.taken_over")
        )
        return (
            f"{len(self.faults)} faults, {len(self._pdus)} messages, {again} sent again by the "
            f"SMSC, {len(self.smsc.submitted)} texts out, {self.resent} of them again, "
            f"{taken_over} taken over"
        )


def _class(what):
    return postgres_duties._class(what, "public")
