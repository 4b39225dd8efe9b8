"""What was acknowledged is looked for in the books, and found missing when it is."""

import sqlite3
from contextlib import closing

import pytest

from telcod.simulator.bench_books import make_books
from telcod.simulator.bench_kept import faults_of
from telcod.simulator.load import FIRST_MSISDN

CALL = (
    "INSERT INTO call VALUES (?, 1, 2, 1, 'ended', '', 'vi', 1, 0, '1', 1, '', '', 't', 600, 0,"
    " 1, 1, 0, 60, ?, 60, ?, 0, 0, 0)"
)
ENTRY = (
    "INSERT INTO entry VALUES (?, 1, 2, ?, 'call', 'c', 1, 1, 20260101, 't', NULL, 0, 0, x'', x'')"
)
TEXT = "INSERT INTO mo VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SESSION = "INSERT INTO ussd_session VALUES (?, 1, 1, '*1566#', 1, 1, ?, '', '', '', '', 0)"


@pytest.fixture
def books(tmp_path):
    return make_books(tmp_path / "telcod.db", 10)


def put(path, sql, *rows):
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany(sql, rows)


def texts(path, *senders):
    rows = [(at, 1, at, sender, "1566", "r", "", "", b"") for at, sender in enumerate(senders, 1)]
    put(path, TEXT, *rows)


def test_texts_that_are_all_there_are_in_order(books):
    texts(books, "84900000001", "84900000001", "84900000002")
    assert faults_of("sms", books, ["84900000001 2 0", "84900000002 0 1"]) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("84900000001 3 0", "84900000001: 3 texts acknowledged, 2 in the books"),
        ("84900000001 1 0", "84900000001: 1 texts acknowledged, 2 in the books"),
        ("84900000009 2 0", "84900000009: 2 texts acknowledged, 0 in the books"),
    ],
)
def test_a_text_that_was_lost_or_doubled_is_found(books, line, fault):
    texts(books, "84900000001", "84900000001")
    assert fault in faults_of("sms", books, [line])


def test_a_text_that_nobody_sent_is_found(books):
    texts(books, "84900000007")
    assert faults_of("sms", books, []) == ["84900000007: 1 texts in the books that nobody sent"]


def test_calls_and_their_charges_are_looked_for(books):
    put(books, CALL, ("load:c1", 9, 1_500), ("load:c2", 0, 0))
    put(books, ENTRY, (100, 1_500))
    assert faults_of("calls", books, ["c1 5 0", "c2 4 1"]) == []
    assert faults_of("calls", books, ["c2 5 0"]) == [
        "call c2: its end was acknowledged, and 0 dong charged"
    ]
    assert faults_of("calls", books, ["c3 1 0"]) == ["call c3: acknowledged, and not in the books"]


def test_a_call_that_was_charged_twice_is_found(books):
    put(books, CALL, ("load:c1", 9, 1_500))
    put(books, ENTRY, (100, 1_500), (101, 1_500))
    assert faults_of("calls", books, ["c1 5 0"]) == ["1 calls cost a minute, 2 charges say so"]


@pytest.mark.parametrize("edge", ["ussd", "mqtt"])
def test_a_dialogue_that_fell_back_or_ran_ahead_is_found(books, edge):
    put(books, SESSION, ("load:s1", 2), ("load:s2", 3))
    assert faults_of(edge, books, ["s1 1 1", "s2 3 0"]) == []
    assert faults_of(edge, books, ["s1 3 0"]) == [
        "dialogue s1: 3 steps acknowledged, 2 in the books"
    ]
    assert faults_of(edge, books, ["s2 1 1"]) == [
        "dialogue s2: 1 steps acknowledged, 3 in the books"
    ]


def test_a_payment_that_is_not_there_is_found(books):
    assert faults_of("pay", books, ["flood1 1 0", "others1 0 1"]) == [
        "payment flood1: acknowledged, and not in the books"
    ]


def test_made_up_books_begin_with_the_load_s_first_number(books):
    with closing(sqlite3.connect(books)) as db:
        assert db.execute("SELECT MIN(msisdn) FROM subscriber").fetchone() == (FIRST_MSISDN,)
