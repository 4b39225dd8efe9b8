"""One suite for all stores: what memory does, the disk does, to the byte and to the refusal."""

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telcod.errors import StoreRefused
from telcod.ports import Settled
from telcod.rows import (
    ACCOUNT,
    AUDIT,
    COMMAND,
    ENTRY,
    HOLD,
    LIST_ENTRY,
    LIST_ENTRY_BY_NUMBER,
    LOGS,
    META,
    MO,
    MO_PART,
    OUTBOX_SMS,
    PERIOD,
    SUBSCRIBER,
    SUBSCRIPTION,
    TABLES,
    Account,
    Audit,
    Command,
    Entry,
    Hold,
    ListEntry,
    Meta,
    MoPart,
    MoRow,
    OutboxSms,
    Period,
    Subscriber,
    Subscription,
)
from telcod.storage.memory import MemoryStore
from telcod.storage.postgres import PostgresStore
from telcod.storage.sqlite import SqliteStore
from telcod.tx import Changes
from tests.postgres import emptied_books

A, B, C = 84903000001, 84903000002, 84903000003
HASH = bytes(range(32))

ACCOUNT_ROW = Account(A * 10 + 1, 500, 100, 0, 3)
ENTRY_ROW = Entry(1, 8, 81, 500, "topup", "t:1", 1, 2, 20260302, "", None, 0, 0, bytes(32), HASH)
AUDIT_ROW = Audit(1, 5, "cli:root", "staff", "topup", str(A), "500 cash", bytes(32), HASH)
HOLD_ROW = Hold("call:1", A * 10 + 1, 100, "open", 1, 2, 0)
PERIOD_ROW = Period(A, 1, 1, "day", "trial", 10, 20, 0)
SUBSCRIBER_ROW = Subscriber(A, "prepaid", "active", "vi", 1, 1, 0, 1)
SUBSCRIPTION_ROW = Subscription(A, "day", "active", 1, 1, 10, 20, 20, 0, 0, "t")
LISTED = ListEntry(A, B, "white", 7)
MO_ROW = MoRow(1, 1, 100, str(A), "1566", "help", "HD", "help", b"f" * 16)
SMS_ROW = OutboxSms(1, 100, 1, "reply", "1566", str(A), "xin chao", 0, 0, 0, 0, "", "", 0)
PART_ROW = MoPart(f"{A}>1566", 7, 2, 1, 100, 0, b"sealed")
KINDS = ("memory", "sqlite", "postgresql")
replace = msgspec.structs.replace


def opened(kind, folder):
    """An empty store of one kind."""
    if kind == "memory":
        return MemoryStore()
    if kind == "sqlite":
        return SqliteStore.open(folder / "b.db")
    return PostgresStore.open(emptied_books())


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    with contextlib.closing(opened(request.param, tmp_path)) as found:
        yield found


def write(store, *changes, settled=()):
    """One transaction, as the engine makes it."""
    store.begin()
    try:
        store.apply([Changes(*change) for change in changes], settled)
        store.commit()
    except BaseException:
        store.rollback()
        raise


def put(store, table, *rows):
    write(store, (table, (), (), rows) if table.log else (table, rows, (), ()))


def everything(store):
    return {table.name: list(store.scan(table)) for table in TABLES}


def test_what_is_put_is_loaded_by_key_and_by_owner(store):
    put(store, SUBSCRIBER, SUBSCRIBER_ROW, replace(SUBSCRIBER_ROW, msisdn=B))
    put(store, LIST_ENTRY, LISTED, ListEntry(A, C, "black", 8), ListEntry(B, A, "white", 9))
    assert list(store.load(SUBSCRIBER, (A,))) == [SUBSCRIBER_ROW]
    assert {row.msisdn for row in store.load(SUBSCRIBER, (B, A, C))} == {A, B}
    assert list(store.load(SUBSCRIBER, ())) == []
    assert list(store.load(LIST_ENTRY, ((A, B), (B, C)))) == [LISTED]
    assert {row.number for row in store.load_groups(LIST_ENTRY, (A, C))} == {B, C}
    assert {row.owner for row in store.load_groups(LIST_ENTRY_BY_NUMBER, (A,))} == {B}


def test_a_put_replaces_and_a_delete_removes(store):
    put(store, META, Meta("commit_ms", "1"), Meta("boot", "1"))
    put(store, META, Meta("commit_ms", "2"))
    write(store, (META, (), ("boot", "never was"), ()))
    assert list(store.scan(META)) == [Meta("commit_ms", "2")]
    put(store, LIST_ENTRY, LISTED)
    write(store, (LIST_ENTRY, (), ((A, B),), ()))
    assert list(store.scan(LIST_ENTRY)) == []


def test_texts_with_any_characters_come_back_as_they_were(store):
    for key in (
        "ünïcode đồng",
        "quote ' and \" and \\",
        "line\nbreak",
        "\U0001f600",
        "%s $1 ?",
        "",
    ):
        put(store, COMMAND, Command(key, HASH, b"\x00\xff", 1))
        assert list(store.load(COMMAND, (key,))) == [Command(key, HASH, b"\x00\xff", 1)]
        assert [row.key for row in store.load(COMMAND, (key, "other"))] == [key]


def test_a_text_with_a_nul_comes_back_as_it_was_or_is_refused(store):
    """PostgreSQL has no such texts; nobody can ask it for one, and nobody is hurt by asking."""
    key = "null\x00inside"
    found = [Command(key, HASH, b"\x00\xff", 1)]
    try:
        put(store, COMMAND, *found)
    except StoreRefused:
        assert isinstance(store, PostgresStore)
        found = []
    assert list(store.load(COMMAND, (key,))) == found
    assert list(store.load(COMMAND, (key, "other"))) == found
    assert store.sms_by_message_id(key) == []
    store.begin()
    assert list(store.load_groups(MO_PART, (key,))) == []
    assert list(store.load(MO_PART, ((key, 1, 1, 1),))) == []
    store.rollback()
    put(store, META, Meta("after", "all"))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_refused(value, tmp_path):
    for kind in KINDS[1:]:
        with contextlib.closing(opened(kind, tmp_path)) as store:
            with pytest.raises(StoreRefused):
                put(store, ACCOUNT, replace(ACCOUNT_ROW, posted=value))
            put(store, ACCOUNT, replace(ACCOUNT_ROW, posted=2**63 - 1))
            assert [row.posted for row in store.scan(ACCOUNT)] == [2**63 - 1]


def test_half_a_character_is_refused(tmp_path):
    for kind in KINDS[1:]:
        with contextlib.closing(opened(kind, tmp_path)) as store:
            with pytest.raises(StoreRefused):
                put(store, META, Meta("half", "\ud83d"))
            put(store, META, Meta("whole", "\U0001f600"))


def test_of_two_words_on_a_text_in_one_batch_the_last_counts(store):
    put(store, OUTBOX_SMS, SMS_ROW)
    write(store, settled=[Settled(1, 1, 1, 50, "a", "id-1"), Settled(1, 4, 1, 60, "b", "id-1")])
    assert [(row.state, row.done_at, row.link) for row in store.scan(OUTBOX_SMS)] == [(4, 60, "b")]


def test_texts_are_in_the_order_of_their_characters_and_not_of_a_dictionary(store):
    names = [
        "",
        "A",
        "B",
        "Z",
        "_",
        "a",
        "a b",
        "ab",
        "z",
        "\u00e0",
        "\u0111",
        "\u1ea1",
        "\U0001f600",
    ]
    put(store, META, *(Meta(name, "") for name in reversed(names)))
    assert [row.name for row in store.scan(META)] == names == sorted(names)


def test_a_scan_of_many_rows_is_complete_and_in_order(store):
    rows = [Meta(f"{n:05d}", "") for n in range(2_500)]
    put(store, META, *reversed(rows))
    assert list(store.scan(META)) == rows
    store.begin()
    store.apply([Changes(META, (), ("00000", "02499"), ())], ())
    scan = store.scan(META)
    assert [next(scan), next(scan)] == rows[1:3]
    assert list(store.scan(META)) == rows[1:-1]
    scan.close()
    store.rollback()
    assert sum(1 for _ in store.scan(META)) == 2_500


def test_what_is_rolled_back_never_was(store):
    put(store, META, Meta("commit_ms", "1"))
    before = everything(store)
    store.begin()
    store.apply([Changes(META, (Meta("commit_ms", "2"),), (), ())], ())
    store.apply([Changes(SUBSCRIBER, (SUBSCRIBER_ROW,), (), ())], ())
    assert list(store.load(META, ("commit_ms",))) == [Meta("commit_ms", "2")]
    store.rollback()
    assert everything(store) == before
    put(store, META, Meta("commit_ms", "3"))
    assert list(store.scan(META)) == [Meta("commit_ms", "3")]


def test_a_batch_with_one_refused_row_leaves_nothing(store):
    put(store, ACCOUNT, ACCOUNT_ROW)
    before = everything(store)
    with pytest.raises(StoreRefused):
        write(
            store,
            (SUBSCRIBER, (SUBSCRIBER_ROW,), (), ()),
            (ACCOUNT, (replace(ACCOUNT_ROW, posted=99),), (), ()),
            (MO, (), (), (MO_ROW,)),
        )
    assert everything(store) == before


@pytest.mark.rule("PKG-2")
@pytest.mark.parametrize(
    ("table", "before", "refused"),
    [
        (ACCOUNT, None, replace(ACCOUNT_ROW, posted=99)),
        (ACCOUNT, ACCOUNT_ROW, replace(ACCOUNT_ROW, held=501)),
        (ACCOUNT, None, replace(ACCOUNT_ROW, held=-1)),
        (ENTRY, ENTRY_ROW, ENTRY_ROW),
        (ENTRY, None, replace(ENTRY_ROW, amount=0)),
        (ENTRY, None, replace(ENTRY_ROW, amount=-1)),
        (ENTRY, None, replace(ENTRY_ROW, credit=8)),
        (HOLD, None, replace(HOLD_ROW, amount=0)),
        (HOLD, HOLD_ROW, replace(HOLD_ROW, posted=101)),
        (HOLD, None, replace(HOLD_ROW, status="gone")),
        (PERIOD, PERIOD_ROW, PERIOD_ROW),
        (PERIOD, PERIOD_ROW, replace(PERIOD_ROW, period_no=2)),
        (PERIOD, None, replace(PERIOD_ROW, kind="paid")),
        (PERIOD, None, replace(PERIOD_ROW, entry=1)),
        (PERIOD, None, replace(PERIOD_ROW, ends_at=10)),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, msisdn=903000001)),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, kind="both")),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, state="gone")),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, centre=7)),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, language="fr")),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, notices=2)),
        (SUBSCRIBER, None, replace(SUBSCRIBER_ROW, life=0)),
        (SUBSCRIPTION, None, replace(SUBSCRIPTION_ROW, ends_at=10)),
        (SUBSCRIPTION, None, replace(SUBSCRIPTION_ROW, period_no=0)),
        (SUBSCRIPTION, None, replace(SUBSCRIPTION_ROW, status="gone")),
        (LIST_ENTRY, None, replace(LISTED, number=A)),
        (LIST_ENTRY, None, replace(LISTED, kind="grey")),
        (MO, MO_ROW, MO_ROW),
    ],
)
def test_a_constraint_is_kept_by_every_store(store, table, before, refused):
    if before is not None:
        put(store, table, before)
    with pytest.raises(StoreRefused):
        put(store, table, refused)


@pytest.mark.parametrize(
    ("table", "row", "key"),
    [(ENTRY, ENTRY_ROW, 1), (AUDIT, AUDIT_ROW, 1), (PERIOD, PERIOD_ROW, (A, 1, 1))],
)
def test_what_is_written_for_ever_is_neither_edited_nor_removed(store, table, row, key):
    put(store, table, row)
    edited = replace(row, **{table.columns[-1]: HASH[::-1] if table.log else 99})
    for change in ((table, (edited,), (), ()), (table, (), (key,), ())):
        with pytest.raises(StoreRefused):
            write(store, change)
    assert list(store.scan(table)) == [row]


def test_an_account_without_a_floor_may_go_below_nothing(store):
    put(store, ACCOUNT, Account(8, -500, 0, None, 1))
    assert list(store.load(ACCOUNT, (8,))) == [Account(8, -500, 0, None, 1)]


def test_numbers_and_heads_of_logs_go_on_where_they_were(store):
    assert store.next_seqs() == {table.index: 1 for table in LOGS}
    assert store.heads() == {ENTRY.index: bytes(32), AUDIT.index: bytes(32)}
    put(store, ENTRY, ENTRY_ROW, replace(ENTRY_ROW, seq=2, hash=HASH[::-1]))
    put(store, MO, replace(MO_ROW, seq=7))
    assert store.next_seqs() == {
        table.index: {ENTRY.index: 3, MO.index: 8}.get(table.index, 1) for table in LOGS
    }
    assert store.heads() == {ENTRY.index: HASH[::-1], AUDIT.index: bytes(32)}


def test_a_scan_is_in_order_and_of_a_log_from_any_number(store):
    put(store, MO, *(replace(MO_ROW, seq=seq) for seq in (3, 1, 2, 10)))
    assert [row.seq for row in store.scan(MO)] == [1, 2, 3, 10]
    assert [row.seq for row in store.scan(MO, after=2)] == [3, 10]
    put(store, LIST_ENTRY, ListEntry(B, A, "white", 1), LISTED, ListEntry(A, C, "white", 1))
    assert [(row.owner, row.number) for row in store.scan(LIST_ENTRY)] == [(A, B), (A, C), (B, A)]


def test_pending_texts_are_those_not_settled(store):
    put(store, OUTBOX_SMS, *(replace(SMS_ROW, seq=seq) for seq in range(1, 6)))
    write(store, settled=[Settled(2, 1, 1, 50, "smsc-a", "id-2"), Settled(99, 1, 1, 1, "", "")])
    assert [row.seq for row in store.pending_sms(after=0, most=3)] == [1, 3, 4]
    assert [row.seq for row in store.pending_sms(after=3, most=9)] == [4, 5]
    (row,) = store.load(OUTBOX_SMS, (2,))
    assert (row.state, row.attempts, row.done_at, row.link, row.message_id) == (
        1,
        1,
        50,
        "smsc-a",
        "id-2",
    )
    assert [sent[:3] for sent in store.sms_by_message_id("id-2")] == [(2, 1, 1)]
    assert [sent.link for sent in store.sms_by_message_id("id-2")] == ["smsc-a"]
    assert store.sms_by_message_id("id-3") == []
    assert store.sms_by_message_id("") == []


@pytest.mark.rule("PKG-6")
def test_what_is_due_longest_comes_first(store):
    due = [(A, 30), (B, 10), (C, 0), (C + 1, 10), (C + 2, 31)]
    rows = [replace(SUBSCRIPTION_ROW, msisdn=msisdn, next_at=at) for msisdn, at in due]
    put(store, SUBSCRIPTION, *rows)
    assert store.due_subscriptions(now_ms=30, most=9) == [(B, 1), (C + 1, 1), (A, 1)]
    assert store.due_subscriptions(now_ms=30, most=1) == [(B, 1)]
    assert store.due_subscriptions(now_ms=9, most=9) == []


@pytest.mark.rule("SMPP-3")
def test_pruning_takes_what_is_old_and_done_and_never_the_newest_number(store):
    put(store, MO, *(replace(MO_ROW, seq=seq, at=seq * 10) for seq in range(1, 6)))
    put(
        store,
        OUTBOX_SMS,
        *(replace(SMS_ROW, seq=seq, at=seq * 10, state=seq % 2) for seq in range(1, 6)),
    )
    put(store, MO_PART, PART_ROW, replace(PART_ROW, part=2, at=200))

    def prune(before_ms, parts_before_ms, most):
        store.begin()
        gone = store.prune(before_ms=before_ms, parts_before_ms=parts_before_ms, most=most)
        store.commit()
        return gone

    assert prune(before_ms=40, parts_before_ms=150, most=2) == 2 + 1 + 1
    assert [row.seq for row in store.scan(MO)] == [3, 4, 5]
    assert [row.seq for row in store.scan(OUTBOX_SMS)] == [2, 3, 4, 5]
    assert [row.part for row in store.scan(MO_PART)] == [2]
    prune(before_ms=10_000, parts_before_ms=10_000, most=99)
    assert [row.seq for row in store.scan(MO)] == [5]
    assert [row.seq for row in store.scan(OUTBOX_SMS)] == [2, 4, 5]
    assert store.next_seqs()[MO.index] == store.next_seqs()[OUTBOX_SMS.index] == 6
    store.begin()
    store.prune(before_ms=10_000, parts_before_ms=10_000, most=99)
    store.apply([Changes(MO, (), (), (replace(MO_ROW, seq=6),))], ())
    store.rollback()
    assert [row.seq for row in store.scan(MO)] == [5]


numbers = st.sampled_from((A, B, C))
texts = st.characters(codec="utf-8", exclude_characters="\0")
small = st.integers(-2, 3)
changes = st.one_of(
    st.builds(Account, numbers, small, small, st.sampled_from((0, None)), small).map(
        lambda row: (ACCOUNT, (row,), (), ())
    ),
    st.builds(ListEntry, numbers, numbers, st.sampled_from(("white", "black", "x")), small).map(
        lambda row: (LIST_ENTRY, (row,), (), ())
    ),
    st.tuples(numbers, numbers).map(lambda key: (LIST_ENTRY, (), (key,), ())),
    st.builds(
        Period,
        numbers,
        st.integers(1, 2),
        st.integers(1, 3),
        st.just("day"),
        st.sampled_from(("trial", "paid", "missed")),
        st.integers(0, 2),
        st.integers(1, 3),
        st.integers(0, 1),
    ).map(lambda row: (PERIOD, (row,), (), ())),
    st.integers(1, 9).map(lambda seq: (MO, (), (), (replace(MO_ROW, seq=seq),))),
    st.integers(1, 9).map(lambda seq: (ENTRY, (), (), (replace(ENTRY_ROW, seq=seq),))),
    st.builds(Meta, st.sampled_from("abñzZ_"), st.text(texts, max_size=3)).map(
        lambda row: (META, (row,), (), ())
    ),
)


@settings(max_examples=15)
@given(log=st.lists(st.lists(changes, min_size=1, max_size=3), max_size=12))
def test_the_same_log_of_batches_gives_the_same_books(tmp_path_factory, log):
    folder = tmp_path_factory.mktemp("books")
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(contextlib.closing(opened(kind, folder))) for kind in KINDS]
        for batch in log:
            assert len({refused(store, batch) for store in stores}) == 1
        first, *others = map(everything, stores)
        assert others == [first, first]
        assert all(store.next_seqs() == stores[0].next_seqs() for store in stores)
        assert all(store.heads() == stores[0].heads() for store in stores)


def refused(store, batch):
    try:
        write(store, *batch)
    except StoreRefused:
        return True
    return False
