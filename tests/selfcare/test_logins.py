"""Who gets in: by a code that came to his phone, in time, within his tries, and as nobody else."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.logins import LoginLimits, decide_code, decide_login, is_open, own_or_new
from telcod.days import HOUR_MS, MINUTE_MS
from telcod.rows import (
    AUDIT,
    COMMAND,
    LOGIN_CODE,
    MO,
    OUTBOX_SMS,
    QUARANTINE,
    SELF_SESSION,
    TABLES,
    OutboxState,
    SelfSession,
)
from telcod.types import Channel
from tests.selfcare.world import A, B, SelfWorld

pytestmark = pytest.mark.rule("SELF-1")

LIMITS = LoginLimits()


@pytest.fixture(params=["memory", "sqlite"])
def world(request, tmp_path):
    with SelfWorld(None if request.param == "memory" else tmp_path / "t.db") as made:
        made.subscriber(A, balance_vnd=20_000)
        made.subscriber(B, balance_vnd=20_000)
        yield made


def test_the_code_of_the_text_opens_a_session(world):
    assert world.ask_code(A, "042917").outcome == "self.code_asked"
    assert world.codes_sent_to(A) == ["042917"]
    assert world.confirm(A, "042917") == "self.confirmed"
    assert world.look("token", "account").data["msisdn"] == str(A)
    assert world.check() == []


def test_who_is_no_subscriber_is_answered_the_same_and_gets_nothing(world):
    known, unknown = world.ask_code(A), world.ask_code(84_903_999_999)
    assert known == unknown
    world.set_state(B, "closed")
    assert world.ask_code(B) == known
    assert [row.destination for row in world.outbox() if row.kind == "login"] == [str(A)]
    assert [row.msisdn for row in world.store.scan(LOGIN_CODE)] == [A]


@pytest.mark.parametrize("wrong", [1, 4])
def test_the_right_code_opens_after_fewer_than_five_wrong_ones(world, wrong):
    world.ask_code(A)
    assert {world.confirm(A, "999999") for _ in range(wrong)} == {"self.refused"}
    assert world.confirm(A) == "self.confirmed"


def test_after_five_wrong_ones_not_even_the_right_one_opens(world):
    world.ask_code(A)
    for _ in range(5):
        assert world.confirm(A, "999999") == "self.refused"
    assert world.confirm(A) == "self.refused"
    assert world.row(LOGIN_CODE, A).tries == 5
    assert list(world.store.scan(SELF_SESSION)) == []


def test_wrong_tries_are_counted_over_a_restart(tmp_path):
    with SelfWorld(tmp_path / "t.db") as world:
        world.subscriber(A)
        world.ask_code(A)
        for _ in range(5):
            world.confirm(A, "999999")
            world.restart()
        assert world.confirm(A) == "self.refused"


def test_a_code_is_good_for_five_minutes(world):
    world.ask_code(A)
    world.clock.advance(5 * MINUTE_MS - 1)
    assert world.confirm(A, "999999") == "self.refused"
    world.clock.advance(1)
    assert world.confirm(A) == "self.refused"


def test_a_code_opens_once(world):
    world.log_in(A)
    assert world.confirm(A, token="another") == "self.refused"


def test_a_new_code_takes_the_place_of_the_one_before(world):
    world.ask_code(A, "111111")
    world.ask_code(A, "222222")
    assert world.confirm(A, "111111") == "self.refused"
    assert world.confirm(A, "222222") == "self.confirmed"


def test_the_sixth_code_of_an_hour_is_not_sent_and_the_fifth_stays_good(world):
    for code in range(6):
        assert world.ask_code(A, f"00000{code}").outcome == "self.code_asked"
    assert world.codes_sent_to(A) == [f"00000{code}" for code in range(5)]
    assert world.confirm(A, "000005") == "self.refused"
    assert world.confirm(A, "000004") == "self.confirmed"


def test_the_code_of_one_number_opens_nothing_of_another(world):
    world.ask_code(A)
    assert world.confirm(B) == "self.refused"


def test_a_code_never_asked_for_is_refused_like_a_wrong_one(world):
    assert world.confirm(A, "") == world.confirm(84_903_999_999) == "self.refused"


# ------------------------------------------------------------------------------------ what is kept


def test_the_books_hold_no_code_once_its_text_has_left(world):
    world.ask_code(A, "739154")
    (row,) = [row for row in world.outbox() if row.kind == "login"]
    assert row.expires_at == world.now_ms + 5 * MINUTE_MS
    forgotten = world.ask_outcome(row)
    assert forgotten.outcome == "self.text_forgotten"
    assert world.row(OUTBOX_SMS, row.seq) == msgspec.structs.replace(row, text="")
    kept = {table.name: list(world.store.scan(table)) for table in TABLES}
    assert "739154" not in repr({name: rows for name, rows in kept.items() if name != "login_code"})
    assert world.row(LOGIN_CODE, A).hash == "#739154"  # what the edge has hashed


def test_a_handler_that_breaks_takes_no_code_into_quarantine(world):
    answer = world.ask("login", sender=A, body={"code": "739154"})  # without its hash
    assert answer.outcome == "ours.sorry"
    (row,) = world.store.scan(QUARANTINE)
    assert "739154" not in repr(row)


def test_nothing_of_a_login_is_in_the_journal_or_among_stored_answers(world):
    world.log_in(A)
    assert list(world.store.scan(MO)) == []
    assert [row.key for row in world.store.scan(COMMAND) if "self" in row.key] == []


# ---------------------------------------------------------------------------------------- sessions


def test_a_session_ends_after_half_an_hour_without_a_call(world):
    token = world.log_in(A)
    world.clock.advance(30 * MINUTE_MS - 1)
    assert world.look(token).outcome == "self.shown"
    world.clock.advance(30 * MINUTE_MS)
    assert world.look(token).outcome == "self.no_session"
    assert world.row(SELF_SESSION, token) is None


def test_a_session_ends_after_a_day_however_busy(world):
    token = world.log_in(A)
    for _ in range(24 * 4 - 1):
        world.clock.advance(15 * MINUTE_MS)
        assert world.look(token).outcome == "self.shown"
    world.clock.advance(15 * MINUTE_MS)
    assert world.look(token).outcome == "self.no_session"


def test_logging_out_ends_it_and_again_is_fine(world):
    token = world.log_in(A)
    assert [world.ask("logout", token).outcome for _ in range(2)] == ["self.logged_out"] * 2
    assert world.do(token, "package.cancel").outcome == "self.no_session"
    assert world.row(LOGIN_CODE, A).sessions == ""


def test_the_sixth_session_ends_the_oldest(world):
    tokens = [f"token{number}" for number in range(6)]
    for token in tokens:
        world.log_in(A, token)
        world.clock.advance(13 * MINUTE_MS)
        for other in tokens:
            world.look(other)
    open_ones = [token for token in tokens if world.look(token).outcome == "self.shown"]
    assert open_ones == tokens[1:]
    assert len(list(world.store.scan(SELF_SESSION))) == 5


def test_sessions_that_are_over_do_not_pile_up(world):
    for number in range(8):
        world.log_in(A, f"token{number}")
        world.clock.advance(HOUR_MS)
    assert len(list(world.store.scan(SELF_SESSION))) == 1


def test_a_number_that_comes_back_is_somebody_else_whom_no_old_session_or_code_serves(world):
    token = world.log_in(A)
    world.ask_code(A, "111111")
    world.set_state(A, "closed")
    assert world.look(token).outcome == "self.no_session"
    world.subscriber(A)
    assert world.look(token).outcome == "self.no_session"
    assert world.confirm(A, "111111") == "self.refused"
    assert world.ask_code(A, "222222").outcome == "self.code_asked"
    assert world.confirm(A, "222222") == "self.confirmed"


def test_a_login_and_what_is_done_are_in_the_audit_log(world):
    token = world.log_in(A)
    world.do(token, "package.register_day")
    world.do(token, "dial.guide", str(B))
    lines = [(row.actor, row.channel, row.action, row.detail) for row in world.store.scan(AUDIT)]
    assert [line for line in lines if line[0] == "subscriber"] == [
        ("subscriber", Channel.APP, "self.login", ""),
        ("subscriber", Channel.APP, "package.register_day", "package.trial_started"),
    ]


# --------------------------------------------------------------------------------------- decisions


@given(st.lists(st.tuples(st.integers(0, 20 * MINUTE_MS), st.booleans()), max_size=60))
def test_never_more_than_five_codes_in_any_hour_nor_five_wrong_tries_of_one(steps):
    row, now_ms, sent, wrong = own_or_new(None, A, 1), 1_000, [], 0
    for wait_ms, asks in steps:
        now_ms += wait_ms
        if asks:
            kept = decide_code(row, "right", now_ms, LIMITS)
            if kept is not None:
                row, wrong = kept, 0
                sent.append(now_ms)
        else:
            tried = decide_login(row, "wrong", now_ms, LIMITS)
            assert not tried.right
            row, wrong = (tried.row or row), wrong + (tried.row is not None)
        assert wrong <= LIMITS.tries_max
        assert len([at for at in sent if at > now_ms - HOUR_MS]) <= LIMITS.codes_per_hour_max


@given(st.integers(0, 40 * MINUTE_MS), st.integers(0, 30 * HOUR_MS))
def test_a_session_is_open_while_neither_idle_nor_old(idle_ms, age_ms):
    now_ms = 10**12
    started_at = now_ms - max(idle_ms, age_ms)
    session = SelfSession("h", A, 1, "web", started_at, now_ms - idle_ms, 0)
    expected = idle_ms < 30 * MINUTE_MS and now_ms - started_at < 24 * HOUR_MS
    assert is_open(session, now_ms, LIMITS) is expected


def test_tables_have_their_own_places():
    assert [table.index for table in TABLES] == list(range(len(TABLES)))


def test_what_became_of_other_texts_is_none_of_its_business(world):
    world.text(A, "HD")
    (row,) = world.outbox()
    world.settled(OutboxState.ACCEPTED, row=row)
    assert world.row(OUTBOX_SMS, row.seq).text == row.text
