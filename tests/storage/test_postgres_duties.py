"""Who lives, who does what only one may do, and who sends whose texts: told by locks of the server.

Daemons are stores here: one thread plays them all, and sets the clock by which they count.
"""

import contextlib
from typing import Any

import msgspec
import psycopg
import pytest
import structlog

from telcod.clock import ManualClock
from telcod.ports import BOOT_SHIFT, LEASE_S
from telcod.rows import (
    META,
    MO,
    OUTBOX_SMS,
    SMSC_CONNECTION,
    Meta,
    MoRow,
    OutboxSms,
    SmscConnection,
)
from telcod.storage.postgres import PostgresStore
from telcod.storage.postgres_duties import ABSENT_S, NOBODY, NOBODYS_EVERY_S
from telcod.tx import Changes
from tests.postgres import emptied_books, server

DUTY = "clock"
NOW_MS = 1_000_000
replace = msgspec.structs.replace
SMS = OutboxSms(1, NOW_MS, 0, "reply", "1566", "84903000001", "x", 0, 0, 0, 0, "", "", 0, 0)


class Fleet:
    """Some daemons on the same books, by the numbers of their starts."""

    def __init__(self, url):
        self.url = url
        self.clock = ManualClock(NOW_MS)
        self._stores: dict[int, Any] = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for store in self._stores.values():
            store.close()

    def start(self, *boots):
        for boot in boots:
            self._stores[boot] = PostgresStore.open(self.url, clock=self.clock)
            self.note(boot)
            self.tend(boot)

    def __getitem__(self, boot):
        return self._stores[boot]

    def die(self, boot):
        """As kill -9 does: the server sees the end of the connection."""
        self._stores.pop(boot).close()
        self._wait_gone()

    def lose(self, boot):
        """The connection of a daemon that lives is ended."""
        with server().admin() as db:
            pid = self[boot]._db.info.backend_pid
            db.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def tend(self, boot):
        return self[boot].tend(boot, (DUTY,))

    def later(self, seconds, *boots):
        """Time passes, and daemons tend."""
        self.clock.advance(int(seconds * 1_000))
        return [self.tend(boot) for boot in boots]

    def note(self, boot, *, down_at=0):
        row = SmscConnection(boot << BOOT_SHIFT, "a", NOW_MS, down_at, 0, 0)
        self.write(boot, Changes(SMSC_CONNECTION, (row,), (), ()))

    def write(self, boot, *changes):
        store = self[boot]
        store.begin()
        store.apply(changes, ())
        store.commit()

    def texts(self, boot, *seqs, owner=None, state=0):
        """Texts of a daemon's that wait in the books."""
        rows = [
            replace(SMS, seq=seq, owner=boot if owner is None else owner, state=state)
            for seq in seqs
        ]
        self.write(boot, Changes(OUTBOX_SMS, (), (), rows))

    def inherit(self, boot, owner, *, most=10):
        """What a daemon takes over of another one."""
        store = self[boot]
        store.begin()
        rows = store.inherit(owner, boot, now_ms=NOW_MS + 1, most=most)
        store.commit()
        return [(row.seq, row.owner) for row in rows]

    def _wait_gone(self):
        sql = """
            SELECT COUNT(*) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND datname = current_database()
        """
        with psycopg.connect(self.url, autocommit=True) as db:
            for _ in range(20_000):
                if db.execute(sql).fetchone() == (len(self._stores) + 1,):
                    return
        raise AssertionError("a connection does not end")


@pytest.fixture
def fleet():
    with Fleet(emptied_books()) as opened:
        yield opened


# -- the single duty


def test_one_daemon_has_the_duty_and_the_next_one_has_it_when_that_is_dead(fleet):
    fleet.start(1, 2)
    assert fleet.tend(1).duties == {DUTY}
    assert fleet.tend(2).duties == set()
    assert (fleet.tend(1).daemons, fleet.tend(2).daemons) == (2, 2)
    fleet.die(1)
    found = fleet.tend(2)
    assert (found.duties, found.daemons) == ({DUTY}, 1)


def test_who_loses_its_connection_loses_the_duty_to_whoever_asks_first(fleet):
    fleet.start(1, 2)
    fleet.lose(1)
    assert fleet.tend(2).duties == {DUTY}
    with pytest.raises(Exception):  # noqa: B017  # It learns of it now.
        fleet.tend(1)
    assert fleet.tend(1).duties == set()


def test_daemons_of_other_books_on_the_same_server_are_none_of_ours(fleet):
    fleet.start(1)
    with Fleet(server().books()) as others:
        others.start(1, 2)
        assert others.tend(1).duties == {DUTY}
        assert fleet.tend(1).daemons == 1
        others.die(1)
        assert fleet.tend(1) == replace_tended(fleet.tend(1))


def replace_tended(tended):
    return tended._replace(duties=frozenset({DUTY}), heir_of=frozenset(), sure=True, daemons=1)


# -- texts of the dead


def test_texts_of_the_dead_are_taken_over_once_and_after_a_while(fleet):
    fleet.start(1, 2, 3)
    fleet.texts(1, 1, 2, 3)
    fleet.die(1)
    assert [tended.heir_of for tended in fleet.later(0, 2, 3)] == [set(), set()]
    assert fleet.inherit(2, 1) == [], "not yet"
    [two, three] = fleet.later(ABSENT_S, 2, 3)
    assert {two.heir_of, three.heir_of} == {frozenset(), frozenset({1})}
    heir, other = (2, 3) if two.heir_of else (3, 2)
    assert fleet.inherit(other, 1) == []
    assert fleet.inherit(heir, 1, most=2) == [(1, heir), (2, heir)]
    assert fleet.inherit(heir, 1, most=2) == [(3, heir)]
    assert [tended.heir_of for tended in fleet.later(1, 2, 3)] == [set(), set()], "that is over"
    [row] = [row for row in fleet[2].scan(SMSC_CONNECTION) if row.id >> BOOT_SHIFT == 1]
    assert row.down_at == NOW_MS + 1


def test_what_was_sent_already_is_not_taken_over(fleet):
    fleet.start(1, 2)
    fleet.texts(1, 1, state=1)
    fleet.texts(2, 2)
    fleet.die(1)
    fleet.later(0, 2)
    fleet.later(ABSENT_S, 2)
    assert fleet.inherit(2, 1) == []
    assert [row.owner for row in fleet[2].scan(OUTBOX_SMS)] == [1, 2]


def test_who_comes_back_in_time_keeps_its_texts(fleet):
    fleet.start(1, 2)
    fleet.texts(1, 1)
    fleet.lose(1)
    fleet.later(0, 2)
    with pytest.raises(Exception):  # noqa: B017
        fleet.tend(1)
    assert not fleet.tend(1).sure, "warned: it may be too late"
    [two] = fleet.later(ABSENT_S, 2)
    assert two.heir_of == set()
    assert fleet.inherit(2, 1) == []
    one = fleet.tend(1)
    assert (one.sure, one.epoch) == (True, 1), "some may have been taken over meanwhile"
    assert fleet.tend(1).epoch == 1


def test_who_comes_back_while_its_texts_are_being_taken_over_keeps_them(fleet):
    """The heir may, and has not yet; the other one appears."""
    fleet.start(1, 2)
    fleet.texts(1, 1)
    fleet.lose(1)
    fleet.later(0, 2)
    [two] = fleet.later(ABSENT_S, 2)
    assert two.heir_of == {1}
    with pytest.raises(Exception):  # noqa: B017
        fleet.tend(1)
    assert not fleet.tend(1).sure
    assert fleet.inherit(2, 1) == []


def test_an_heir_that_lost_its_connection_has_to_warn_anew(fleet):
    fleet.start(1, 2)
    fleet.texts(1, 1)
    fleet.die(1)
    fleet.later(0, 2)
    fleet.later(ABSENT_S, 2)
    fleet.lose(2)
    with pytest.raises(Exception):  # noqa: B017
        fleet.tend(2)
    assert fleet.tend(2).heir_of == set()
    assert fleet.inherit(2, 1) == []
    [two] = fleet.later(ABSENT_S, 2)
    assert two.heir_of == {1}
    assert fleet.inherit(2, 1) == [(1, 2)]


def test_nobody_sends_for_longer_than_it_takes_until_its_texts_are_taken_over():
    assert LEASE_S < ABSENT_S


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_texts_that_are_nobodys_are_taken_over_too(fleet, when):
    """They came with a copied file, or from the command line."""
    fleet.start(1)
    if when == "later":
        fleet.later(1, 1)
    fleet.texts(1, 1, owner=NOBODY)
    fleet.later(NOBODYS_EVERY_S, 1)
    [one] = fleet.later(ABSENT_S, 1)
    assert one.heir_of == {NOBODY}
    assert fleet.inherit(1, NOBODY) == [(1, 1)]
    assert fleet.later(1, 1)[0].heir_of == set()


# -- who hangs


@pytest.mark.parametrize("told", [True, False])
def test_who_hangs_in_the_middle_of_what_it_writes_loses_the_turn(told):
    """The server waits for the rest of a pipeline for ever: its own timeouts do not count then."""
    url = emptied_books()
    with (
        contextlib.closing(PostgresStore.open(url, turn_s=1)) as hung,
        contextlib.closing(PostgresStore.open(url, turn_s=1)) as other,
        structlog.testing.capture_logs() as logs,
    ):
        hung.begin()
        for at in range(2_000 if told else 1):  # More than what is kept back before it is sent.
            hung.apply([Changes(META, (Meta(f"a{at}", "x" * 100),), (), ())], ())
        other.begin()
        other.apply([Changes(META, (Meta("b", "other"),), (), ())], ())
        other.commit()
        assert {row.name for row in other.scan(META)} == {"b"}
        assert [line["event"] for line in logs if line["event"] == "daemon.ended"] or not told


def test_who_says_nothing_between_two_batches_is_taken_for_dead():
    """A pipeline may end with a message after which the server counts no idle time."""
    url = emptied_books()
    with (
        contextlib.closing(PostgresStore.open(url, turn_s=1)) as hung,
        contextlib.closing(PostgresStore.open(url, turn_s=1)) as other,
        structlog.testing.capture_logs(),
    ):
        hung.tend(1, (DUTY,))
        hung.begin()
        hung.apply([Changes(META, (Meta("a", "1"),), (), ())], ())
        hung.commit()
        assert any(other.tend(2, (DUTY,)).duties for _ in range(20_000))
        hung.begin()  # It connects again, and is alive.
        hung.rollback()
        assert hung.tend(1, (DUTY,)).duties == set()


def test_a_batch_that_takes_long_at_the_server_is_waited_for():
    url = emptied_books()
    with (
        contextlib.closing(PostgresStore.open(url, turn_s=1)) as slow,
        contextlib.closing(PostgresStore.open(url, turn_s=1)) as other,
    ):
        slow.begin()
        slow.apply([Changes(META, (Meta("a", "slow"),), (), ())], ())
        other.tend(2, ())
        slow.commit()
        assert {row.name for row in other.scan(META)} == {"a"}


# -- texts that came by another link


ROW = MoRow(1, 0, NOW_MS, "84903000001", "1566", "help", "HD", "help", b"f" * 16)


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(
    ("lives", "down_at", "confirmed_seq", "sure"),
    [
        (True, 0, 0, False),  # It may be answered right now.
        (True, NOW_MS, 0, True),  # Its answer can't have been read.
        (False, 0, 0, True),
        (True, 0, 1, None),  # Its answer was read.
        (False, 0, 1, None),
    ],
)
def test_a_text_of_another_daemon_is_a_twin_as_long_as_its_answer_is_in_doubt(
    fleet, lives, down_at, confirmed_seq, sure
):
    fleet.start(1, 2)
    number = (1 << BOOT_SHIFT) + 1
    at_smsc = SmscConnection(number, "a", NOW_MS, down_at, confirmed_seq, 0)
    fleet.write(
        1,
        Changes(SMSC_CONNECTION, (at_smsc,), (), ()),
        Changes(MO, (), (), (replace(ROW, connection=number),)),
    )
    if not lives:
        fleet.die(1)
    store = fleet[2]
    store.begin()
    found = store.twins([ROW.fingerprint, b"o" * 16], boot=2, since_ms=NOW_MS)
    assert {key: [(twin.row.seq, twin.sure) for twin in twins] for key, twins in found.items()} == (
        {} if sure is None else {ROW.fingerprint: [(1, sure)]}
    )
    assert store.twins([ROW.fingerprint], boot=2, since_ms=NOW_MS + 1) == {}, "too long ago"
    assert store.twins([ROW.fingerprint], boot=1, since_ms=NOW_MS) == {}, "its own"
    store.rollback()
