"""Mistakes that could have been made, each put into the running code for as long as a `with` lasts.

They are mistakes of the joints: what is forgotten, told too early or done again when threads, lines
and daemons come and go.  The simulation is believed after it has found them; how many seeds that
takes stands in `docs/simulation.md`.  Some of them were in telcod until a simulation found them.
"""

from contextlib import contextmanager

import handlers.calls
import handlers.packages
import telcod.smpp.sender
from telcod.engine import Engine
from telcod.epay.cashier import Cashier
from telcod.mqtt.events import Events
from telcod.rows import SUBSCRIBER, SUBSCRIPTION, PackageStatus
from telcod.smpp.gateway import Gateway
from telcod.smpp.inbox import Inbox
from telcod.smpp.link import Link
from telcod.smpp.redelivery import Redelivery
from telcod.smpp.sender import BACKLOG_SLICE, MEMORY_MAX, Sender
from telcod.types import Reply
from tests.planted.bugs import put_in
from tests.simulation import daemon
from tests.simulation.books import SimReader

LATELY_MS = 600_000


@contextmanager
def an_empty_look_believes_what_was_announced_after_it():
    """Until 0038558: a text committed while empty books were read was left behind."""

    async def refill(self, reader):
        while self._in_memory < MEMORY_MAX // 2:
            rows = await reader.pending_sms(after=self._loaded_to, most=BACKLOG_SLICE)
            for row in rows:
                if row.seq > self._loaded_to:
                    self._add(row)
            if not rows or (len(rows) < BACKLOG_SLICE and self._loaded_to >= self._newest):
                self._loaded_to = max(self._loaded_to, self._newest)
                self.behind = False
                return

    with put_in(Sender, "refill", lambda _: refill):
        yield


@contextmanager
def what_was_announced_while_the_books_were_read_is_sent_twice():
    """Found by a simulation: a second look, woken for nothing, finds what is in memory already."""

    async def refill(self, reader):
        while self._in_memory < MEMORY_MAX // 2:
            announced = self._newest
            rows = await reader.pending_sms(after=self._loaded_to, most=BACKLOG_SLICE)
            for row in rows:
                self._add(row)
            if len(rows) < BACKLOG_SLICE:
                self._loaded_to = max(self._loaded_to, announced)
                if self._loaded_to >= self._newest:
                    self.behind = False
                    return

    with put_in(Sender, "refill", lambda _: refill):
        yield


@contextmanager
def a_text_half_sent_begins_anew_when_its_only_link_is_down():
    """Found by a simulation: its parts were made again for a peer that nobody knew."""

    def pick(right):
        def wrong(self, links, sending):
            home = sending.link
            if len(links) == 1 and home is not None and not home.bound and not sending.flying:
                return home
            return right(self, links, sending)

        return wrong

    with put_in(Sender, "_pick", pick):
        yield


@contextmanager
def a_copy_that_met_a_late_answer_is_done_again():
    """Found by a simulation: the SMSC's timer ran out while our answer was on its way."""

    def answered(right):
        def wrong(self, record, *, written, now):
            right(self, record, written=written, now=now)
            record.slow = False

        return wrong

    with put_in(Redelivery, "answered", answered):
        yield


@contextmanager
def a_text_is_acknowledged_before_the_commit():
    def post(right):
        def wrong(self, request, ticket):
            right(self, request, ticket)
            ticket.link.respond(ticket.connection, ticket.sequence, 0, data_sm=ticket.data_sm)

        return wrong

    with put_in(Inbox, "_post", post):
        yield


@contextmanager
def what_was_sent_is_not_settled_when_the_disk_was_full():
    with put_in(Engine, "_put_back", lambda _: lambda self, settled, connections: None):
        yield


@contextmanager
def a_lost_connection_leaves_no_evidence():
    with put_in(Redelivery, "_lose", lambda _: lambda self, record, now: self._forget(record)):
        yield


@contextmanager
def evidence_does_not_outlive_a_kill():
    with put_in(Gateway, "recover", lambda _: lambda self, journal: 0):
        yield


@contextmanager
def a_text_to_be_tried_again_is_forgotten():
    def push(right):
        def wrong(heap, item):
            if not isinstance(item[0], float):  # By a moment, and not by a number of the outbox.
                right(heap, item)

        return wrong

    with put_in(telcod.smpp.sender, "heappush", push):
        yield


@contextmanager
def a_link_does_not_say_that_its_pause_is_over():
    def on_timer(_):
        def wrong(self):
            self._pace_timer = None

        return wrong

    with put_in(Link, "_on_pace_timer", on_timer):
        yield


@contextmanager
def a_call_that_costs_nothing_keeps_its_hold():
    def charge(right):
        def wrong(tx, call, charged_vnd, **more):
            if charged_vnd:
                right(tx, call, charged_vnd, **more)

        return wrong

    with put_in(handlers.calls, "_charge", charge):
        yield


@contextmanager
def what_was_renewed_just_before_a_restart_is_renewed_again():
    """The new daemon asks for it, to be sure, and the rules trust it."""

    def due(right):
        async def wrong(self, *, now_ms, most):
            found = await right(self, now_ms=now_ms, most=most)
            if not getattr(self, "asked", False):
                self.asked = True
                rows = self._store._tables[SUBSCRIPTION.index].values()
                found += [
                    (row.msisdn, row.period_no)
                    for row in rows
                    if row.status == PackageStatus.ACTIVE and now_ms - row.started_at < LATELY_MS
                ]
            return found

        return wrong

    def look_after(request, tx):
        current = tx.get(SUBSCRIPTION, request.sender)
        subscriber = tx.get(SUBSCRIBER, request.sender)
        if current is None or subscriber is None:
            return Reply("clock.moved_on")
        lately = tx.now_ms - current.started_at < LATELY_MS and not current.trial
        if lately and current.status == PackageStatus.ACTIVE:
            return handlers.packages.renew(tx, subscriber, current)
        return handlers.packages.look_after(request, tx)

    def routes(right):
        row = right["clock.package"]
        return {**right, row.name: row._replace(handler=look_after)}

    with put_in(SimReader, "due_subscriptions", due), put_in(daemon, "SERVICE", routes):
        yield


@contextmanager
def events_count_as_told_when_they_are_sent():
    async def confirm(self):
        seq, _ = self._under_way.popleft()
        self._confirmed = seq
        self._moved.set()

    with put_in(Events, "_confirm", lambda _: confirm):
        yield


@contextmanager
def a_payment_is_never_asked_about_again():
    def do(right):
        async def wrong(self, job):
            await right(self, job)
            self._jobs.add(job.payment.payment_id)

        return wrong

    with put_in(Cashier, "_do", do):
        yield


BUGS = (
    an_empty_look_believes_what_was_announced_after_it,
    what_was_announced_while_the_books_were_read_is_sent_twice,
    a_text_half_sent_begins_anew_when_its_only_link_is_down,
    a_copy_that_met_a_late_answer_is_done_again,
    a_text_is_acknowledged_before_the_commit,
    what_was_sent_is_not_settled_when_the_disk_was_full,
    a_lost_connection_leaves_no_evidence,
    evidence_does_not_outlive_a_kill,
    a_text_to_be_tried_again_is_forgotten,
    a_link_does_not_say_that_its_pause_is_over,
    a_call_that_costs_nothing_keeps_its_hold,
    what_was_renewed_just_before_a_restart_is_renewed_again,
    events_count_as_told_when_they_are_sent,
    a_payment_is_never_asked_about_again,
)
