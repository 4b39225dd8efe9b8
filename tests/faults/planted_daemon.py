"""telcod with something planted in it, for negative controls: `planted_daemon.py WHAT CONFIG`.

The product has no switch for any of this; what is planted here replaces a name of the composition
root before it runs.  `small_wal` is no bug: it only makes checkpoints come often.
"""

import sys
from functools import partial
from pathlib import Path

from telcod import app, ops
from telcod.dispatch import Route
from telcod.errors import ESME_ROK
from telcod.rows import COMMAND, META, MO, OUTBOX_SMS
from telcod.service import SERVICE
from telcod.settings import load
from telcod.smpp.gateway import Gateway
from telcod.smpp.inbox import Inbox
from telcod.smpp.sender import Sender
from telcod.storage import books, postgres, sqlite

SMALL_WAL_PAGES = 20
SMALL_LOG_BYTES = 200_000
LOUD_LOG_BYTES = 1_000_000
POISONED = 84903000001
TOLD_AFTERWARDS = {COMMAND, META, MO, OUTBOX_SMS}


class TwoCommits(sqlite.SqliteStore):
    """Bug: what a text does is committed first, that it was done in a second transaction."""

    def apply(self, changes, settled):
        effects = [change for change in changes if change[0] not in TOLD_AFTERWARDS]
        super().apply(effects, ())
        super().commit()
        super().begin()
        super().apply([change for change in changes if change[0] in TOLD_AFTERWARDS], settled)


class HastyInbox(Inbox):
    """Bug: the SMSC is told that a text is kept when it is queued, not when it is committed."""

    def _post(self, request, ticket):
        ticket.link.respond(ticket.connection, ticket.sequence, ESME_ROK, data_sm=ticket.data_sm)
        self._writer.post(request, lambda *_: None)


class ForgetfulGateway(Gateway):
    """Bug: after a restart nobody knows which texts the SMSC has had no answer to."""

    def recover(self, journal):
        return 0


def effect_outside_the_transaction():
    vars(books)["SqliteStore"] = TwoCommits


def acknowledged_before_commit():
    vars(app)["Inbox"] = HastyInbox


def evidence_forgotten():
    vars(app)["Gateway"] = ForgetfulGateway


def _synchronous(level):
    """Bug: a commit does not wait for the disk."""
    connect = vars(sqlite)["_connect"]

    def faster(path):
        db = connect(path)
        db.execute(f"PRAGMA synchronous = {level}")
        return db

    vars(sqlite)["_connect"] = faster


def synchronous_off():
    _synchronous("OFF")


def synchronous_normal():
    _synchronous("NORMAL")


def small_wal():
    vars(sqlite)["WAL_PAGES_PER_CHECKPOINT"] = SMALL_WAL_PAGES


def small_limits_of_the_log():
    """No bug either: what is loud at hundreds of megabytes is loud at one."""
    small_wal()
    vars(sqlite)["JOURNAL_BYTES_MAX"] = SMALL_LOG_BYTES
    vars(ops)["LOG_BYTES_LOUD"] = LOUD_LOG_BYTES


def poison():
    """Bug: a rule breaks over one subscriber, and over nobody else."""
    started = SERVICE["package.register_day"]

    def break_for_one(request, tx):
        reply = started.handler(request, tx)
        if request.sender == POISONED:
            raise ZeroDivisionError("a bug")
        return reply

    routes = {**SERVICE, started.name: Route(started.name, break_for_one)}
    vars(app)["Daemon"] = partial(app.Daemon, routes=routes)


class BlindStore(postgres.PostgresStore):
    """Bug: nobody looks what other daemons have had."""

    def twins(self, fingerprints, *, boot, since_ms):
        return {}


class HastySender(Sender):
    """Bug: who was taken for dead sends what it has, though others may have sent it by now."""

    async def disown(self, reader):
        pass

    @property
    def may_send(self):
        return None

    @may_send.setter
    def may_send(self, _):
        pass


def twins_unseen():
    vars(postgres)["PostgresStore"] = BlindStore


def sent_though_taken_over():
    vars(app)["Sender"] = HastySender


PLANTS = {
    plant.__name__: plant
    for plant in (
        effect_outside_the_transaction,
        acknowledged_before_commit,
        evidence_forgotten,
        synchronous_off,
        synchronous_normal,
        small_wal,
        small_limits_of_the_log,
        poison,
        twins_unseen,
        sent_though_taken_over,
    )
}


def main():
    what, config = sys.argv[1:]
    PLANTS[what]()
    app.run_daemon(load(Path(config), {}))


if __name__ == "__main__":
    main()
