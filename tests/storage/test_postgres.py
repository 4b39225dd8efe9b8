"""The books in PostgreSQL: whose turn it is, what the server must promise, and what goes wrong."""

import contextlib
import threading

import msgspec
import psycopg
import pytest
import structlog

from telcod.clock import ManualClock
from telcod.dispatch import Route
from telcod.errors import (
    NotStarted,
    StoreAgain,
    StoreAway,
    StoreFailed,
    StoreFull,
    StoreLocked,
    StoreRefused,
)
from telcod.rows import ENTRY, LOGS, META, MO, OUTBOX_SMS, QUARANTINE, Entry, Meta, MoRow
from telcod.storage.postgres import AWAY_S, OUTCOME_S, PostgresStore
from telcod.storage.postgres_errors import lost, renamed, sentence
from telcod.storage.postgres_link import READS, WRITES, address, name_of
from telcod.storage.postgres_snapshot import open_postgres_snapshot
from telcod.tx import Changes
from telcod.types import say
from tests.cutter import Cutter
from tests.postgres import emptied_books, server
from tests.world import World

A = 84903000001
MO_ROW = MoRow(1, 1, 100, str(A), "1566", "help", "HD", "help", b"f" * 16)
ENTRY_ROW = Entry(1, 8, 81, 500, "t", "t:1", 1, 2, 20260302, "", None, 0, 0, bytes(32), b"h" * 32)
WAIT_S = 30
replace = msgspec.structs.replace


@pytest.fixture
def url():
    return emptied_books()


@pytest.fixture
def store(url):
    with contextlib.closing(PostgresStore.open(url)) as opened:
        yield opened


@pytest.fixture
def other(url):
    with contextlib.closing(PostgresStore.open(url)) as opened:
        yield opened


@pytest.fixture
def cutter(url):
    with Cutter(server().port) as opened:
        yield opened


@pytest.fixture
def behind(url, cutter):
    """A store whose wire can be cut."""
    with contextlib.closing(PostgresStore.open(through(url, cutter))) as opened:
        yield opened


def through(url, cutter):
    return url.replace(f":{server().port}/", f":{cutter.port}/")


def changes(*rows):
    return [Changes(META, rows, (), ())]


def put(store, *rows):
    store.begin()
    try:
        store.apply(changes(*rows), ())
        store.commit()
    except BaseException:
        store.rollback()
        raise


def facts(store):
    return {row.name: row.value for row in store.scan(META)}


def kill(store):
    """The server ends the connection of a store, as an administrator does."""
    with server().admin() as db:
        pid = store._db.info.backend_pid
        db.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def wait_for(url, sql):
    """Until a question about the server is answered by something; it is asked again and again."""
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(20_000):
            if any(db.execute(sql).fetchone() or ()):
                return
    raise AssertionError(f"never: {sql}")


# -- whose turn it is


def test_the_first_turn_and_the_turn_after_another_writer_tell_where_the_logs_are(store, other):
    turn = store.begin()
    assert turn.next_seqs == {table.index: 1 for table in LOGS}
    assert (turn.heads[ENTRY.index], turn.commit_ms) == (bytes(32), 0)
    store.apply([Changes(MO, (), (), (MO_ROW,)), Changes(ENTRY, (), (), (ENTRY_ROW,))], ())
    store.apply(changes(Meta("commit_ms", "77")), ())
    store.commit()
    assert store.begin() is None
    store.rollback()
    turn = other.begin()
    assert (turn.next_seqs[MO.index], turn.next_seqs[ENTRY.index]) == (2, 2)
    assert (turn.heads[ENTRY.index], turn.commit_ms) == (b"h" * 32, 77)
    other.rollback()
    assert store.begin() is None, "nobody else has written"
    store.rollback()
    assert other.begin() is not None, "what was told before is told until it was used"
    other.commit()
    assert other.begin() is None
    other.rollback()
    assert store.begin() == turn


def test_nobody_else_writes_between_begin_and_commit(url, store, other):
    seen = []

    def take():
        other.begin()
        seen.append({row.name: row.value for row in other.load(META, ("a", "b"))})
        other.apply(changes(Meta("b", "2")), ())
        other.commit()

    store.begin()
    thread = threading.Thread(target=take)
    thread.start()
    wait_for(url, "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    store.apply(changes(Meta("a", "1")), ())
    assert list(store.load(META, ("b",))) == []
    store.commit()
    thread.join(WAIT_S)
    assert seen == [{"a": "1"}]
    assert facts(store) == {"a": "1", "b": "2"}


def test_two_books_on_one_server_have_turns_of_their_own(store):
    with contextlib.closing(PostgresStore.open(server().books())) as apart:
        store.begin()
        apart.begin()
        put_in_both = [each.apply(changes(Meta("a", "1")), ()) for each in (store, apart)]
        assert put_in_both == [None, None]
        store.commit()
        apart.commit()


def test_two_schemas_of_one_database_are_two_books():
    url = server().database()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE SCHEMA one; CREATE SCHEMA two")
    options = "?options=-csearch_path%3D"
    with contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(
                contextlib.closing(PostgresStore.open(f"{url}{options}{name},public"))
            )
            for name in ("one", "two")
        )
        one.begin()
        put(two, Meta("a", "two"))
        one.apply(changes(Meta("a", "one")), ())
        one.commit()
        assert (facts(one), facts(two)) == ({"a": "one"}, {"a": "two"})


def test_who_hangs_with_the_turn_loses_it(url, other):
    with contextlib.closing(PostgresStore.open(url, turn_s=1)) as hung:
        hung.begin()
        hung.apply(changes(Meta("a", "hung")), ())
        list(hung.load(META, ("a",)))
        put(other, Meta("a", "other"))  # Waits until the server has ended the other one's turn.
        with pytest.raises(StoreAgain):
            hung.commit()
        hung.rollback()
        assert facts(hung) == {"a": "other"}
        put(hung, Meta("a", "again"))
        assert facts(other) == {"a": "again"}


# -- lost connections


def test_a_connection_that_is_lost_between_batches_is_made_again(store):
    put(store, Meta("a", "1"))
    kill(store)
    assert store.begin() is None
    store.apply(changes(Meta("a", "2")), ())
    store.commit()
    kill(store)
    assert facts(store) == {"a": "2"}


@pytest.mark.parametrize("moment", ["begun", "applied", "read"])
def test_a_batch_whose_connection_is_lost_leaves_nothing_and_can_be_run_again(store, moment):
    put(store, Meta("a", "1"))
    store.begin()
    if moment != "begun":
        store.apply(changes(Meta("a", "2")), ())
    if moment == "read":
        assert [row.value for row in store.load(META, ("a",))] == ["2"]
    kill(store)
    with pytest.raises(StoreAgain):
        store.load(META, ("a",))
    with pytest.raises(StoreAgain):  # And not by accident on a new connection, outside of a batch.
        store.load(META, ("a",))
    store.rollback()
    assert facts(store) == {"a": "1"}
    put(store, Meta("a", "3"))
    assert facts(store) == {"a": "3"}


def test_a_commit_whose_answer_is_lost_is_known_to_be_done(behind, cutter, other):
    put(behind, Meta("a", "1"))
    behind.begin()
    behind.apply(changes(Meta("a", "2")), ())
    cutter.cut_at(b"COMMIT", answered=True, done=b"COMMIT")
    with structlog.testing.capture_logs() as logs:
        behind.commit()
    assert cutter.cuts == 1
    assert [line["committed"] for line in logs if line["event"] == "commit.looked_up"] == [True]
    assert facts(other) == {"a": "2"}
    assert behind.begin() is None, "it was our own batch"
    behind.rollback()
    put(behind, Meta("a", "3"))
    assert facts(other) == {"a": "3"}


def test_a_commit_that_never_arrived_is_known_not_to_be_done(behind, cutter, other):
    put(behind, Meta("a", "1"))
    behind.begin()
    behind.apply(changes(Meta("a", "2")), ())
    cutter.cut_at(b"COMMIT", answered=False)
    with pytest.raises(StoreAgain):
        behind.commit()
    behind.rollback()
    assert cutter.cuts == 1
    assert facts(other) == {"a": "1"}
    put(behind, Meta("a", "2"))
    assert facts(other) == {"a": "2"}


def test_another_daemons_batch_in_between_does_not_hide_whether_ours_was_done(url, cutter, other):
    """The look-up comes late: somebody else has written since."""
    pauses = []

    def pause(_):
        # The first try to connect again has failed; meanwhile another daemon gets its turn.
        pauses.append(put(other, Meta("b", "other")))
        cutter.refuses = False

    with contextlib.closing(PostgresStore.open(through(url, cutter), pause=pause)) as behind:
        put(behind, Meta("a", "1"))
        behind.begin()
        behind.apply(changes(Meta("a", "2")), ())
        cutter.cut_at(b"COMMIT", answered=True, done=b"COMMIT")
        cutter.refuses = True
        behind.commit()
        assert len(pauses) == 1
        turn = behind.begin()
        assert turn is not None, "another one wrote after us"
        behind.rollback()
        assert facts(other) == {"a": "2", "b": "other"}


def test_who_cannot_find_out_whether_a_commit_was_done_stops(url, cutter):
    clock = ManualClock(0)
    pause = lambda pause_s: clock.advance(int(pause_s * 1_000))  # noqa: E731
    with contextlib.closing(
        PostgresStore.open(through(url, cutter), clock=clock, pause=pause)
    ) as behind:
        behind.begin()
        behind.apply(changes(Meta("a", "2")), ())
        cutter.cut_at(b"COMMIT", answered=True, done=b"COMMIT")
        cutter.refuses = True
        with pytest.raises(StoreFailed, match="was the last batch committed"):
            behind.commit()
        assert OUTCOME_S - 1 <= clock.monotonic_s() <= OUTCOME_S


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_look_up_that_goes_wrong_is_tried_again_and_never_taken_for_a_no(
    url, cutter, other, comes_back
):
    clock = ManualClock(0)

    def pause(pause_s):
        clock.advance(int(pause_s * 10_000))  # So that it does not look hundreds of times.
        if comes_back and clock.monotonic_s() > OUTCOME_S / 2:
            change("ALTER TABLE IF EXISTS hidden RENAME TO writer_commit")

    def change(sql):
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(sql)

    with contextlib.closing(
        PostgresStore.open(through(url, cutter), clock=clock, pause=pause)
    ) as behind:
        behind.begin()
        behind.apply(changes(Meta("a", "2")), ())
        cutter.cut_at(b"COMMIT", answered=True, done=b"COMMIT")
        cutter.then = lambda: change("ALTER TABLE writer_commit RENAME TO hidden")
        try:
            if comes_back:
                behind.commit()
            else:
                with pytest.raises(StoreFailed, match="was the last batch committed"):
                    behind.commit()
        finally:
            change("ALTER TABLE IF EXISTS hidden RENAME TO writer_commit")
        assert facts(other) == {"a": "2"}


def test_a_database_that_is_away_is_waited_for_and_then_work_is_refused(url, cutter):
    clock = ManualClock(0)
    pause = lambda pause_s: clock.advance(int(pause_s * 1_000))  # noqa: E731
    with contextlib.closing(
        PostgresStore.open(through(url, cutter), clock=clock, pause=pause)
    ) as behind:
        put(behind, Meta("a", "1"))
        cutter.refuses = True
        kill(behind)
        with pytest.raises(StoreAway):
            behind.begin()
        waited_s = clock.monotonic_s()
        assert AWAY_S - 1 <= waited_s <= AWAY_S
        with pytest.raises(StoreAway):
            behind.begin()
        assert clock.monotonic_s() == waited_s, "known to be away: nobody waits again"
        cutter.refuses = False
        put(behind, Meta("a", "2"))
        assert facts(behind) == {"a": "2"}


def test_a_server_that_crashes_in_mid_batch_comes_back_with_what_was_committed(url, store):
    put(store, Meta("a", "1"))
    store.begin()
    store.apply(changes(Meta("a", "2")), ())
    list(store.load(META, ("a",)))
    server().stop("immediate")
    server().start()
    with pytest.raises(StoreAgain):
        store.commit()
    store.rollback()
    assert facts(store) == {"a": "1"}
    put(store, Meta("a", "2"))
    assert facts(store) == {"a": "2"}


def test_a_turn_that_cannot_be_told_is_given_back(url, store, other):
    """The server refuses the question where the logs are, once."""
    put(other, Meta("a", "1"))
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("ALTER TABLE audit RENAME TO hidden")
        with pytest.raises(StoreFailed):
            store.begin()
        db.execute("ALTER TABLE hidden RENAME TO audit")
    assert store.begin() is not None
    store.apply(changes(Meta("a", "2")), ())
    store.commit()
    assert facts(other) == {"a": "2"}


def test_a_batch_that_loses_its_connection_is_carried_out_once_all_the_same(url):
    killed: list[None] = []

    def lose(request, tx):
        if not killed:
            killed.append(kill(world.store))
            tx.get(META, "something that is not loaded yet")
        return say("ours.sorry")

    with World(url, routes={"test.lose": Route("test.lose", lose)}) as world, quiet():
        request = replace(world.text_request(A, "HD"), route="test.lose")
        results = world.run(request, request, request)
        assert len(killed) == 1
        assert [result.outcome for result in results] == ["ours.sorry"] * 3
        assert [row.seq for row in world.store.scan(MO)] == [1, 2, 3]
        assert len(world.outbox()) == 3
        assert world.check() == []


# -- what the server refuses


@contextlib.contextmanager
def quiet():
    with structlog.testing.capture_logs():
        yield


def test_a_text_with_a_nul_is_set_aside_and_answered_politely_and_the_others_are_served(url):
    with World(url) as world, quiet():
        world.subscriber(A, balance_vnd=5_000)
        poison = world.text_request(A, "KT")
        poison = replace(poison, mo=replace(poison.mo, stored_text="KT\0"))
        results = world.run(world.text_request(A, "KT"), poison, world.text_request(A, "KT"))
        first, second, third = (result.outcome for result in results)
        assert (first, second, third) == ("package.none", "ours.sorry", "package.none")
        assert results[1].text
        assert [row.text for row in world.store.scan(MO)] == ["KT", "", "KT"]
        assert len(list(world.store.scan(QUARANTINE))) == 1
        assert len(list(world.store.scan(OUTBOX_SMS))) == 3
        assert world.check() == []


def test_an_error_in_the_middle_of_a_batch_is_the_one_that_is_told(store):
    store.begin()
    rows = [replace(MO_ROW, seq=seq) for seq in (1, 2, 2)]

    def write():
        store.apply([Changes(MO, (), (), rows)], ())
        store.apply(changes(Meta("a", "1")), ())
        store.commit()

    with pytest.raises(StoreRefused, match="mo_pkey"):
        write()
    store.rollback()
    assert facts(store) == {}
    assert store.next_seqs()[MO.index] == 1


def test_what_is_written_for_ever_is_not_emptied_either(url, store):
    store.begin()
    store.apply([Changes(ENTRY, (), (), (ENTRY_ROW,))], ())
    store.commit()
    with (
        psycopg.connect(url, autocommit=True) as db,
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"),
    ):
        db.execute("TRUNCATE entry")
    assert list(store.scan(ENTRY)) == [ENTRY_ROW]


@pytest.mark.parametrize(
    ("state", "kind", "gone"),
    [
        ("23505", StoreRefused, False),  # unique_violation
        ("23514", StoreRefused, False),  # check_violation
        ("22021", StoreRefused, False),  # character_not_in_repertoire
        ("22003", StoreRefused, False),  # numeric_value_out_of_range
        ("54000", StoreRefused, False),  # program_limit_exceeded
        ("53100", StoreFull, False),  # disk_full
        ("53300", StoreAway, False),  # too_many_connections
        ("40001", StoreAgain, False),  # serialization_failure
        ("40P01", StoreAgain, False),  # deadlock_detected
        ("55P03", StoreAway, False),  # lock_not_available
        ("57014", StoreAgain, False),  # query_canceled
        ("57P01", StoreAway, True),  # admin_shutdown
        ("57P03", StoreAway, True),  # cannot_connect_now
        ("25P03", StoreAgain, True),  # idle_in_transaction_session_timeout
        ("25006", StoreAway, True),  # read_only_sql_transaction: a standby now
        ("08006", StoreAway, True),  # connection_failure
        ("42P01", StoreFailed, False),  # undefined_table
        ("58030", StoreFailed, False),  # io_error
        ("XX001", StoreFailed, False),  # data_corrupted
    ],
)
def test_an_error_of_the_server_means_what_the_table_says(state, kind, gone):
    error = psycopg.errors.lookup(state)("it broke\nDETAIL: a number")
    assert type(renamed(error)) is kind
    assert str(renamed(error)) == "it broke"
    assert lost(error) is gone


def test_an_error_of_the_driver_is_a_lost_connection_or_a_value_that_does_not_fit():
    gone = psycopg.OperationalError("consuming input failed")
    assert (lost(gone), type(renamed(gone))) == (True, StoreAway)
    unfit = psycopg.DataError("integer out of range")
    assert (lost(unfit), type(renamed(unfit))) == (False, StoreRefused)
    assert sentence(psycopg.OperationalError()) == "OperationalError"


# -- opening


@pytest.mark.rule("CLI-6")
def test_the_schema_is_made_once_and_found_again():
    url = server().database()
    for _ in range(2):
        PostgresStore.open(url).close()
    with contextlib.closing(open_postgres_snapshot(url)) as snapshot:
        assert snapshot.schema >= 11
        assert snapshot.complaints() == []
        assert list(snapshot.scan(META)) == []


def test_a_database_of_a_newer_telcod_or_of_somebody_else_is_left_as_it_is():
    url = server().books()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("INSERT INTO schema_version (name) VALUES ('9999_future.sql')")
        with pytest.raises(StoreFailed, match="newer"):
            PostgresStore.open(url)
        db.execute("DROP TABLE schema_version")
        with pytest.raises(StoreFailed, match="not telcod's"):
            PostgresStore.open(url)
        assert db.execute("SELECT COUNT(*) FROM pg_tables WHERE tablename = 'mo'").fetchone() == (
            1,
        )


def test_an_older_schema_is_not_changed_under_another_telcod():
    url = server().books()
    with contextlib.closing(PostgresStore.open(url)) as running:
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("DELETE FROM schema_version WHERE name = '0011_clearing_by_payment.sql'")
            db.execute("DROP INDEX clearing_payment")
        with pytest.raises(StoreLocked):
            PostgresStore.open(url)
        put(running, Meta("a", "1"))
    with contextlib.closing(PostgresStore.open(url)) as opened:
        assert facts(opened) == {"a": "1"}


def test_books_that_are_read_alone_are_nobody_elses(url, store):
    with pytest.raises(StoreLocked):
        open_postgres_snapshot(url, alone=True)
    store.close()
    with contextlib.closing(open_postgres_snapshot(url, alone=True)):
        with pytest.raises(StoreLocked):
            PostgresStore.open(url)
        with pytest.raises(StoreAway):
            store.begin()
    put(store, Meta("a", "1"))


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_keep_its_promises_is_refused_by_the_settings_name(url, name):
    with server().admin() as db:
        try:
            db.execute(f"ALTER SYSTEM SET {name} = off")
            db.execute("SELECT pg_reload_conf()")
            wait_for(url, f"SELECT current_setting('{name}') = 'off'")
            with pytest.raises(StoreFailed, match=f"{name} = off"):
                PostgresStore.open(url)
        finally:
            db.execute(f"ALTER SYSTEM RESET {name}")
            db.execute("SELECT pg_reload_conf()")
            wait_for(url, f"SELECT current_setting('{name}') = 'on'")


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ("off", False),
        ("local", False),
        ("on", True),
        ("remote_write", True),
        ("remote_apply", True),
    ],
)
def test_a_commit_that_is_not_waited_for_is_refused(url, value, fine):
    with_option = f"{url}?options=-csynchronous_commit%3D{value}"
    if fine:
        PostgresStore.open(with_option).close()
        return
    with pytest.raises(StoreFailed, match=f"synchronous_commit = {value}"):
        PostgresStore.open(with_option)


def test_a_database_that_is_not_there_is_told_without_its_password():
    url = f"postgresql://somebody:hunter2@127.0.0.1:{server().port}/nowhere"
    with pytest.raises(NotStarted) as told:
        PostgresStore.open(url)
    assert "hunter2" not in str(told.value)
    assert "nowhere" in str(told.value)
    assert name_of(url) == "127.0.0.1/nowhere"
    with pytest.raises(NotStarted):
        open_postgres_snapshot(url)


def test_what_an_address_says_stands_and_what_it_leaves_out_is_set():
    said = psycopg.conninfo.conninfo_to_dict(address("postgresql://h/db", WRITES))
    assert said["target_session_attrs"] == "read-write"
    assert said["application_name"] == "telcod"
    assert said["keepalives_idle"] == "5"
    own = "postgresql://h/db?connect_timeout=9&application_name=two&target_session_attrs=primary"
    said = psycopg.conninfo.conninfo_to_dict(address(own, READS))
    assert (said["connect_timeout"], said["application_name"]) == ("9", "two")
    assert said["target_session_attrs"] == "primary"
    with pytest.raises(NotStarted):
        address("postgresql://h/db?nonsense=1", READS)


def test_a_snapshot_sees_one_moment_whatever_is_written_meanwhile(url, store):
    put(store, *(Meta(f"{n:05d}", "") for n in range(5_000)))
    with contextlib.closing(open_postgres_snapshot(url)) as snapshot:
        first = snapshot.scan(META)
        assert next(first).name == "00000"
        put(store, Meta("later", ""))
        store.begin()
        store.apply([Changes(META, (), ("00001",), ())], ())
        store.commit()
        assert [row.name for row in first] == [f"{n:05d}" for n in range(1, 5_000)]
        assert sum(1 for _ in snapshot.scan(META)) == 5_000
