"""A code by SMS opens one session, for a while; who was wrong too often types in vain."""

import msgspec
import pytest

from telcod.billing.logins import (
    LoginLimits,
    Tried,
    decide_code,
    decide_login,
    is_open,
    own_or_new,
)
from telcod.days import HOUR_MS, MINUTE_MS
from telcod.rows import LoginCode, SelfSession

pytestmark = pytest.mark.rule("SELF-1")

NUMBER, LIFE, NOW = 84_903_000_001, 2, 10**12
LIMITS = LoginLimits()
EMPTY = LoginCode(NUMBER, LIFE, "", 0, 0, "", "")
SENT = LoginCode(NUMBER, LIFE, "#1", NOW + 5 * MINUTE_MS, 0, str(NOW), "a,b")


@pytest.mark.rule("NUM-5")
def test_what_an_earlier_owner_left_is_not_the_next_ones():
    assert own_or_new(SENT, NUMBER, LIFE) is SENT
    assert own_or_new(SENT, NUMBER, 3) == LoginCode(NUMBER, 3, "", 0, 0, "", "")
    assert own_or_new(None, NUMBER, LIFE) == EMPTY


def test_a_code_is_good_for_five_minutes_and_keeps_the_sessions():
    assert decide_code(EMPTY, "#1", NOW, LIMITS) == LoginCode(
        NUMBER, LIFE, "#1", NOW + 5 * MINUTE_MS, 0, str(NOW), ""
    )
    tried = LoginCode(NUMBER, LIFE, "#1", NOW, 3, str(NOW), "a,b")
    assert decide_code(tried, "#2", NOW + 1, LIMITS) == LoginCode(
        NUMBER, LIFE, "#2", NOW + 1 + 5 * MINUTE_MS, 0, f"{NOW},{NOW + 1}", "a,b"
    )


def test_five_codes_an_hour_are_sent_and_no_sixth():
    sent = LoginCode(NUMBER, LIFE, "", 0, 0, ",".join([str(NOW)] * 4), "")
    fifth = decide_code(sent, "#5", NOW, LIMITS)
    assert fifth is not None
    assert decide_code(fifth, "#6", NOW + HOUR_MS - 1, LIMITS) is None
    assert decide_code(fifth, "#6", NOW + HOUR_MS, LIMITS) is not None


def test_the_right_code_is_used_up_and_a_wrong_one_counted():
    used = LoginCode(NUMBER, LIFE, "", 0, 0, str(NOW), "a,b")
    assert decide_login(SENT, "#1", NOW, LIMITS) == Tried(right=True, row=used)
    late = msgspec.structs.replace(SENT, tries=4)
    assert decide_login(late, "#1", NOW, LIMITS) == Tried(right=True, row=used)
    assert decide_login(used, "", NOW, LIMITS) == Tried(right=False, row=None)
    wrong = LoginCode(NUMBER, LIFE, "#1", NOW + 5 * MINUTE_MS, 1, str(NOW), "a,b")
    assert decide_login(SENT, "#2", NOW, LIMITS) == Tried(right=False, row=wrong)


def test_after_five_wrong_ones_the_right_one_is_wrong():
    four, five = (msgspec.structs.replace(SENT, tries=tries) for tries in (4, 5))
    assert decide_login(four, "#2", NOW, LIMITS) == Tried(right=False, row=five)
    assert decide_login(four, "#1", NOW, LIMITS).right
    assert decide_login(five, "#1", NOW, LIMITS) == Tried(right=False, row=None)


@pytest.mark.parametrize(("after_ms", "right"), [(-1, True), (0, False)])
def test_a_code_ends_to_the_millisecond(after_ms, right):
    tried = decide_login(SENT, "#1", SENT.expires_at + after_ms, LIMITS)
    assert tried.right is right
    assert (tried.row is None) is not right


@pytest.mark.parametrize(
    ("idle_ms", "age_ms", "still"),
    [
        (0, 0, True),
        (30 * MINUTE_MS - 1, 24 * HOUR_MS - 1, True),
        (30 * MINUTE_MS, HOUR_MS, False),
        (0, 24 * HOUR_MS, False),
    ],
)
def test_a_session_ends_when_it_is_idle_or_old(idle_ms, age_ms, still):
    session = SelfSession("#t", NUMBER, LIFE, "app", NOW - age_ms, NOW - idle_ms, 0)
    assert is_open(session, NOW, LIMITS) is still
