"""The open transaction: it sees itself, can take one request back, and hands over what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.rows import (
    AUDIT,
    LIST_ENTRY,
    META,
    MO,
    OUTBOX_SMS,
    PENDING_CONFIRM,
    RECENT,
    Audit,
    ListEntry,
    Meta,
    MoRow,
    PendingConfirm,
    Recent,
)
from telcod.storage.memory import MemoryStore
from telcod.tx import Changes, Tx
from tests.world import START_MS, shipped_rules

A, B, C = 84903000001, 84903000002, 84903000003


class CountingStore(MemoryStore):
    """Counts what it is asked."""

    asked = 0

    def load(self, table, keys):
        self.asked += 1
        return super().load(table, keys)

    def load_groups(self, table, owners):
        self.asked += 1
        return super().load_groups(table, owners)


def open_tx(store):
    return Tx(
        store, shipped_rules(), now_ms=START_MS, next_seqs=store.next_seqs(), heads=store.heads()
    )


def commit(store, tx):
    store.begin()
    store.apply(tx.changes(), ())
    store.commit()


@pytest.fixture
def store():
    store = CountingStore()
    tx = open_tx(store)
    tx.put(META, Meta("stored", "1"))
    tx.put(LIST_ENTRY, ListEntry(A, B, "white", 1))
    commit(store, tx)
    return store


def mo(seq):
    return MoRow(seq, 1, START_MS, str(A), "1566", "help", "HD", "help", b"")


def test_a_row_is_loaded_once_and_then_seen_as_changed(store):
    tx = open_tx(store)
    store.asked = 0
    assert tx.get(META, "stored") == Meta("stored", "1")
    tx.put(META, Meta("stored", "2"))
    assert tx.get(META, "stored") == Meta("stored", "2")
    assert tx.get(META, "absent") is None
    assert tx.get(META, "absent") is None
    assert store.asked == 2


def test_what_was_prefetched_is_not_asked_for_again(store):
    tx = open_tx(store)
    tx.prefetch(META, ["stored", "absent", "stored"])
    tx.prefetch_groups(LIST_ENTRY, [A, B])
    store.asked = 0
    tx.prefetch(META, ["stored"])
    tx.prefetch_groups(LIST_ENTRY, [A])
    assert tx.get(META, "stored") == Meta("stored", "1")
    assert tx.get(META, "absent") is None
    assert set(tx.group(LIST_ENTRY, A)) == {(A, B)}
    assert tx.group(LIST_ENTRY, B) == {}
    assert store.asked == 0


def test_a_group_sees_what_was_put_and_deleted(store):
    tx = open_tx(store)
    tx.put(LIST_ENTRY, ListEntry(A, C, "black", 2))
    tx.delete(LIST_ENTRY, ListEntry(A, B, "white", 1))
    assert set(tx.group(LIST_ENTRY, A)) == {(A, C)}
    commit(store, tx)
    assert [row.number for row in store.scan(LIST_ENTRY)] == [C]


@pytest.mark.rule("NUM-5")
def test_who_lists_a_number_is_seen_with_all_changes_of_the_batch(store):
    tx = open_tx(store)
    assert [entry.owner for entry in tx.listing(B)] == [A]
    tx.put(LIST_ENTRY, ListEntry(C, B, "black", 2))
    tx.put(LIST_ENTRY, ListEntry(A, B, "black", 3))
    assert {(entry.owner, entry.kind) for entry in tx.listing(B)} == {(A, "black"), (C, "black")}
    tx.delete(LIST_ENTRY, ListEntry(A, B, "black", 3))
    assert [entry.owner for entry in tx.listing(B)] == [C]


def test_log_rows_are_numbered_on_and_read_back(store):
    tx = open_tx(store)
    assert tx.next_seq(MO) == 1
    tx.append(MO, mo(1))
    assert tx.log_row(MO, 1) == mo(1)
    assert tx.log_row(MO, 2) is None
    commit(store, tx)
    later = open_tx(store)
    assert later.next_seq(MO) == 2
    assert later.log_row(MO, 1) == mo(1)
    assert tx.next_seqs()[MO.index] == 2


def test_the_head_of_a_chain_is_the_last_appended(store):
    tx = open_tx(store)
    assert tx.head(AUDIT) == bytes(32)
    line = Audit(1, 1, "a", "staff", "x", "y", "", tx.head(AUDIT), b"")
    tx.append_chained(AUDIT, line, b"h" * 32)
    assert tx.head(AUDIT) == tx.heads()[AUDIT.index] == b"h" * 32
    assert tx.appended(AUDIT)[0].hash == b"h" * 32


def test_undo_takes_everything_back_to_the_mark(store):
    tx = open_tx(store)
    tx.put(META, Meta("kept", "1"))
    tx.append(MO, mo(1))
    before = tx.changes()
    mark = tx.mark()
    tx.put(META, Meta("stored", "9"))
    tx.put(META, Meta("kept", "9"))
    tx.put(LIST_ENTRY, ListEntry(A, C, "black", 2))
    tx.delete(LIST_ENTRY, ListEntry(A, B, "white", 1))
    tx.append(MO, mo(2))
    tx.send_sms(A, "1566", "text", kind="reply", mo=2)
    tx.parts_delta += 3
    tx.undo(mark)
    assert tx.get(META, "kept") == Meta("kept", "1")
    assert tx.get(META, "stored") == Meta("stored", "1")
    assert set(tx.group(LIST_ENTRY, A)) == {(A, B)}
    assert (tx.next_seq(MO), tx.next_seq(OUTBOX_SMS), tx.parts_delta) == (2, 1, 0)
    commit(store, tx)
    assert list(store.scan(LIST_ENTRY)) == [ListEntry(A, B, "white", 1)]
    assert [change.appends for change in before if change.table is MO] == [[mo(1)]]


def test_a_row_put_without_being_read_and_taken_back_stays_as_it_was_stored(store):
    tx = open_tx(store)
    tx.put(PENDING_CONFIRM, PendingConfirm(A, "day", 5))
    commit(store, tx)
    tx = open_tx(store)
    mark = tx.mark()
    tx.put(PENDING_CONFIRM, PendingConfirm(A, "week", 6))
    tx.undo(mark)
    commit(store, tx)
    assert list(store.scan(PENDING_CONFIRM)) == [PendingConfirm(A, "day", 5)]


def test_nothing_done_is_nothing_to_write(store):
    assert open_tx(store).changes() == []


keys = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just("put"), keys, st.text("xy", max_size=2)),
    st.tuples(st.just("get"), keys),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("list"), st.sampled_from((A, B)), st.sampled_from((B, C))),
    st.tuples(st.just("unlist"), st.sampled_from((A, B)), st.sampled_from((B, C))),
)


@given(requests=st.lists(st.tuples(st.lists(steps, max_size=6), st.booleans()), max_size=5))
def test_a_batch_is_what_its_kept_requests_would_have_been_alone(requests):
    """What is undone leaves nothing, and the others do as if they had come one by one."""
    batch, alone = MemoryStore(), MemoryStore()
    tx = open_tx(batch)
    for made, kept in requests:
        mark = tx.mark()
        carry_out(tx, made)
        if kept:
            one = open_tx(alone)
            carry_out(one, made)
            commit(alone, one)
        else:
            tx.undo(mark)
    commit(batch, tx)
    assert list(batch.scan(RECENT)) == list(alone.scan(RECENT))
    assert list(batch.scan(LIST_ENTRY)) == list(alone.scan(LIST_ENTRY))


def carry_out(tx, made):
    for what, *args in made:
        match what:
            case "put":
                tx.put(RECENT, Recent(*args))
            case "get":
                tx.get(RECENT, *args)
            case "delete" if tx.get(RECENT, *args) is not None:
                tx.delete(RECENT, tx.get(RECENT, *args))
            case "list":
                owner, number = args
                if owner != number:
                    tx.put(LIST_ENTRY, ListEntry(owner, number, "white", 1))
            case "unlist":
                entry = tx.group(LIST_ENTRY, args[0]).get(tuple(args))
                if entry is not None:
                    tx.delete(LIST_ENTRY, entry)


def test_changes_come_in_the_order_of_the_tables(store):
    tx = open_tx(store)
    tx.append(MO, mo(1))
    tx.put(RECENT, Recent("a", "1"))
    tx.put(META, Meta("a", "1"))
    assert [change.table for change in tx.changes()] == [META, RECENT, MO]
    assert tx.changes()[0] == Changes(META, [Meta("a", "1")], [], ())
