"""A text for B to pay, asked on B's screen: each key, each way to fail, each moment."""

import msgspec
import pytest

from telcod.days import HOUR_MS
from telcod.rows import ASKED_TEXT, HELD_TEXT, ListKind, OutboxState, TextState
from telcod.text import is_gsm7, septets
from tests.handlers.test_forwarded import check
from tests.network_world import with_gateways
from tests.session_world import SessionWorld
from tests.world import rules_with, shipped_rules
from ussd.steps import PUSHED, shown

pytestmark = pytest.mark.rule("PFM-30", "USSD-4")

A, B, C = 84903000001, 84903000002, 84903000003
STARTING_VND = 20_000
PART_VND = 250
ANSWER_MS = 180_000
KEPT_MS = 24 * HOUR_MS
SCREEN_SEPTETS = 182
ASK = "0903000001 muon gui tin nhan cho Quy khach, gia 250d do Quy khach tra. "
WITHOUT_PACKAGE = ASK + "1 Nhan 2 Tu choi 4 Tu choi va chan so"
WITH_PACKAGE = ASK + "1 Nhan 2 Tu choi 3 Nhan, lan sau khong hoi 4 Tu choi va chan so"
ACCEPTED = (
    "Quy khach da dong y nhan tin nhan cua 0903000001, gia 250d (chi tru khi da nhan duoc tin). "
    "LH 9090."
)
DECLINED = (
    "Quy khach da tu choi tin nhan cua 0903000001. Khong tru cuoc. De chan so nay, "
    "soan B 0903000001 gui 1566."
)
NOTHING = "Yeu cau nay da het han hoac da duoc tra loi. Khong tru cuoc. LH 9090."
NOT_TAKEN = "Tin nhan cua Quy khach gui 0903000002 khong duoc nhan. LH 9090."


@pytest.fixture
def world():
    return peopled(SessionWorld())


def peopled(world, **facts):
    world.subscriber(A)
    world.subscriber(C)
    world.subscriber(B, **({"balance_vnd": STARTING_VND} | facts))
    return world


def asked(world, text="Hello"):
    """A texts B, who has it on his screen; the push."""
    assert world.forward(A, B, text).outcome == "forward.waiting"
    push = world.push()
    world.pushed("accepted")
    return push


def asked_by_text(world):
    """Whether B was sent a text with a code."""
    found = [text for text in world.sent_to(B) if "Soan Y" in text]
    assert len(found) <= 1
    assert bool(found) == bool(list(world.store.scan(ASKED_TEXT)))
    return bool(found)


def state(world):
    return world.held_text().state


# ----------------------------------------------------------------------------------- the keys


def test_b_is_asked_on_the_screen_and_by_no_text(world):
    push = asked(world)
    assert push.text == WITHOUT_PACKAGE
    assert (push.msisdn, push.asks, push.expires_at) == (B, 1, world.now_ms + ANSWER_MS)
    assert world.sent_to(B) == []
    assert world.money(B) == (STARTING_VND, 0)


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize("step", [None, 1])
def test_key_1_takes_the_text(world, step):
    asked(world)
    screen = shown(world.press(B, "1", step=step))
    assert (screen.text, screen.ends) == (ACCEPTED, True)
    assert world.deliver() == "receipt.delivered"
    assert world.charges(B) == [PART_VND]
    assert [row.text for row in world.forwarded()] == ["0903000001: Hello"]
    assert world.listed(B, ListKind.WHITE) == []
    check(world)


@pytest.mark.rule("PFM-12")
def test_key_2_refuses_it(world):
    asked(world)
    screen = shown(world.press(B, "2", step=1))
    assert (screen.text, screen.ends) == (DECLINED, True)
    assert (state(world), world.forwarded()) == (TextState.REFUSED, [])
    assert world.sent_to(A)[-1] == NOT_TAKEN
    assert world.listed(B, ListKind.BLACK) == []
    check(world)


@pytest.mark.rule("PFM-12")
def test_key_3_takes_it_and_the_next_one_without_asking(world):
    world.text(B, "DK7")
    push = asked(world)
    assert push.text == WITH_PACKAGE
    assert shown(world.press(B, "3", step=1)).text == ACCEPTED
    assert world.listed(B, ListKind.WHITE) == [A]
    assert world.forward(A, B, "again").outcome == "forward.sent"
    assert len(world.pushes()) == 1
    check(world)


@pytest.mark.rule("PFM-12")
def test_key_3_is_a_wrong_one_without_a_package(world):
    asked(world)
    screen = shown(world.press(B, "3", step=1))
    assert (screen.text, screen.ends) == (f"Chon sai. {WITHOUT_PACKAGE}", False)
    assert world.listed(B, ListKind.WHITE) == []
    assert state(world) == TextState.ASKING


@pytest.mark.rule("PFM-12")
def test_key_3_is_a_wrong_one_when_the_package_has_gone_meanwhile(world):
    world.text(B, "DK7")
    asked(world)
    world.text(B, "HUY")
    assert shown(world.press(B, "3", step=1)).text == f"Chon sai. {WITHOUT_PACKAGE}"


@pytest.mark.rule("PFM-12")
def test_key_4_refuses_it_and_all_others(world):
    asked(world)
    assert shown(world.press(B, "4", step=1)).text == DECLINED
    assert world.listed(B, ListKind.BLACK) == [A]
    assert world.forward(A, B, "again").outcome == "forward.refused"
    assert len(world.pushes()) == 1
    check(world)


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize("key", ["", "0", "5", "9", "11", "12", "x", "*1566#", "Y"])
def test_another_key_is_asked_about_twice_more_and_then_refused(world, key):
    asked(world)
    screens = [shown(world.press(B, key, step=step)) for step in (1, 2, 3)]
    assert [(screen.text, screen.ends) for screen in screens] == [
        (f"Chon sai. {WITHOUT_PACKAGE}", False),
        (f"Chon sai. {WITHOUT_PACKAGE}", False),
        (DECLINED, True),
    ]
    assert state(world) == TextState.REFUSED
    assert world.sent_to(A)[-1] == NOT_TAKEN
    check(world)


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize("wrong", [1, 2])
def test_after_wrong_keys_the_right_one_counts(world, wrong):
    asked(world)
    for step in range(1, wrong + 1):
        world.press(B, "7", step=step)
    assert shown(world.press(B, "1", step=wrong + 1)).text == ACCEPTED
    check(world)


@pytest.mark.parametrize("key", ["1#", "#1", " 1 ", "*1#"])
def test_what_a_phone_or_a_gateway_leaves_around_the_key_does_not_matter(world, key):
    asked(world)
    assert shown(world.press(B, key, step=1)).text == ACCEPTED


@pytest.mark.rule("USSD-2")
def test_a_gateway_that_sends_all_inputs_may_bring_the_answer(world):
    session = f"{PUSHED}{asked(world).seq}"
    first = shown(world.step(session, B, "7", code="", all_inputs=True))
    assert not first.ends
    assert shown(world.step(session, B, "7", code="", all_inputs=True)) == first
    assert shown(world.step(session, B, "7*1", code="", all_inputs=True)).text == ACCEPTED


# ----------------------------------------------------------------------- once, and by whom


@pytest.mark.rule("USSD-1")
def test_the_same_key_again_has_the_same_answer_and_one_effect(world):
    asked(world)
    first = world.press(B, "1", step=1)
    before = world.contents()
    assert world.press(B, "1", step=1) == first
    assert world.contents() == before


@pytest.mark.rule("USSD-1")
def test_the_same_wrong_key_again_counts_once(world):
    asked(world)
    first = world.press(B, "7", step=1)
    for _ in range(5):
        assert world.press(B, "7", step=1) == first
    assert shown(world.press(B, "1", step=2)).text == ACCEPTED


@pytest.mark.rule("USSD-1")
def test_a_second_answer_changes_nothing(world):
    asked(world)
    world.press(B, "1", step=1)
    before = world.contents()
    assert world.press(B, "2", step=1).outcome == "ussd.wrong_step"
    assert shown(world.press(B, "2", step=2)).text == NOTHING
    assert world.contents() == before


@pytest.mark.rule("USSD-1")
@pytest.mark.parametrize("step", [0, 2, 3])
def test_a_push_is_answered_by_its_first_step(world, step):
    asked(world)
    assert world.press(B, "1", step=step).outcome == "ussd.unknown"
    assert state(world) == TextState.ASKING


@pytest.mark.parametrize("who", [A, C])
def test_nobody_else_can_answer(world, who):
    asked(world)
    screen = shown(world.press(who, "1", step=1))
    assert (screen.text, screen.ends) == (NOTHING, True)
    assert state(world) == TextState.ASKING
    assert shown(world.press(B, "1", step=1)).text == ACCEPTED


def test_a_push_that_never_was_asks_nothing(world):
    assert shown(world.press(B, "1", seq=99)).text == NOTHING


def test_each_of_several_questions_has_its_own_answer(world):
    pushes = [asked(world, text) for text in ("one", "two", "three")]
    for push, key in zip(pushes, "212", strict=True):
        world.press(B, key, seq=push.seq, step=1)
    assert [row.text for row in world.forwarded()] == ["0903000001: two"]
    assert world.states() == [TextState.REFUSED, TextState.SENDING, TextState.REFUSED]
    check(world)


# ---------------------------------------------------------------------------------- no answer


@pytest.mark.parametrize("wrong_keys", [0, 1, 2])
def test_without_an_answer_in_180_s_b_is_asked_by_text(world, wrong_keys):
    asked(world)
    for step in range(1, wrong_keys + 1):
        world.press(B, "7", step=step)
    world.pass_time(ANSWER_MS - 1)
    assert not asked_by_text(world)
    world.pass_time(1)
    assert asked_by_text(world)
    assert world.text(B, f"Y {world.code_of(B)}").outcome == "forward.accepted"
    check(world)


def test_a_key_at_the_last_millisecond_counts(world):
    asked(world)
    world.pass_time(ANSWER_MS - 1)
    assert shown(world.press(B, "1", step=1)).text == ACCEPTED


@pytest.mark.parametrize("down", [False, True])
def test_a_key_after_180_s_is_too_late(world, down):
    asked(world)
    world.pass_time(ANSWER_MS, down=down)
    assert shown(world.press(B, "1", step=1)).text == NOTHING
    assert state(world) == TextState.ASKING
    world.clock_work()
    assert asked_by_text(world)


def test_who_hung_up_is_asked_by_text_later(world):
    push = asked(world)
    world.press(B, "7", step=1)
    world.end(f"{PUSHED}{push.seq}")
    assert shown(world.press(B, "1", step=2)).text == NOTHING
    world.pass_time(ANSWER_MS)
    assert asked_by_text(world)


@pytest.mark.parametrize("became", ["failed", "expired"])
def test_a_push_that_did_not_come_is_followed_by_a_text_at_once(world, became):
    world.forward(A, B)
    assert world.pushed(became, attempts=3) == "push.noted"
    assert asked_by_text(world)
    push = world.push()
    assert push.state == getattr(OutboxState, became.upper())
    assert (push.attempts, push.done_at) == (3, world.now_ms)
    world.pass_time(ANSWER_MS)
    assert asked_by_text(world)  # Once.


def test_a_push_said_to_have_failed_may_be_on_the_screen_and_be_answered(world):
    world.forward(A, B)
    world.pushed("failed")
    code = world.code_of(B)
    assert shown(world.press(B, "1", step=1)).text == ACCEPTED
    assert world.text(B, f"N {code}").outcome == "forward.code_unknown"
    check(world)


def test_what_was_answered_by_code_cannot_be_answered_by_key(world):
    world.forward(A, B)
    world.pushed("failed")
    world.text(B, f"N {world.code_of(B)}")
    assert shown(world.press(B, "1", step=1)).text == NOTHING
    assert state(world) == TextState.REFUSED
    check(world)


def test_a_push_noted_after_the_key_asks_nothing_more(world):
    world.forward(A, B)
    world.press(B, "1", step=1)
    world.pushed("failed")
    assert not asked_by_text(world)


def test_only_the_first_word_on_a_push_counts(world):
    world.forward(A, B)
    world.pushed("accepted")
    world.pushed("failed")
    assert not asked_by_text(world)
    assert world.push().state == OutboxState.ACCEPTED


def test_a_push_noted_after_its_time_does_not_ask_twice(world):
    world.forward(A, B)
    world.pass_time(ANSWER_MS)
    world.pushed("expired", attempts=0)
    assert asked_by_text(world)


# ---------------------------------------------------------------------------------- 24 hours


def test_24_hours_count_from_the_text_of_a(world):
    asked(world)
    world.pass_time(ANSWER_MS)
    code = world.code_of(B)
    world.pass_time(KEPT_MS - ANSWER_MS - 1)
    assert state(world) == TextState.ASKING
    world.pass_time(1)
    assert (state(world), world.sent_to(A)[-1]) == (TextState.EXPIRED, NOT_TAKEN)
    assert world.text(B, f"Y {code}").outcome == "forward.code_unknown"
    check(world)


@pytest.mark.parametrize("by_the_clock", [True, False])
def test_after_a_day_without_telcod_nobody_is_asked_any_more(world, by_the_clock):
    world.forward(A, B)
    world.pass_time(KEPT_MS, down=True)
    if by_the_clock:
        world.clock_work()
        world.pushed("expired", attempts=0)
    else:
        world.pushed("expired", attempts=0)
        world.clock_work()
    assert not asked_by_text(world)
    assert state(world) == TextState.EXPIRED
    assert world.sent_to(A)[1:] == [NOT_TAKEN]
    check(world)


# -------------------------------------------------------------------------------- who can pay


def test_without_money_b_gets_a_code_for_later():
    poor = peopled(SessionWorld(), balance_vnd=300)
    asked(poor, "one")
    asked(poor, "two")
    one, two = poor.pushes()
    assert shown(poor.press(B, "1", seq=one.seq, step=1)).text == ACCEPTED
    told = shown(poor.press(B, "1", seq=two.seq, step=1))
    code = poor.code_of(B)
    assert told.ends
    assert f"Y {code}" in told.text
    poor.pass_time(ANSWER_MS)
    assert not any("Soan Y" in text for text in poor.sent_to(B))  # He has the code already.
    poor.topup(B, 5_000)
    assert poor.text(B, f"Y {code}").outcome == "forward.accepted"
    check(poor)


def test_a_suspended_payer_is_asked_again_by_text(world):
    asked(world)
    world.set_state(B, "suspended")
    assert "khong duoc dich vu Payforme phuc vu" in shown(world.press(B, "1", step=1)).text
    assert state(world) == TextState.ASKING
    world.set_state(B, "active")
    world.pass_time(ANSWER_MS)
    assert asked_by_text(world)


@pytest.mark.rule("NUM-5")
def test_a_payer_who_has_left_is_asked_no_more(world):
    asked(world)
    world.set_state(B, "closed")
    assert "MobiFone" in shown(world.press(B, "1", step=1)).text
    world.pass_time(ANSWER_MS)
    assert not asked_by_text(world)
    assert state(world) == TextState.EXPIRED
    check(world)


@pytest.mark.rule("USSD-4")
def test_where_no_gateway_is_configured_the_text_comes_at_once():
    world = peopled(SessionWorld(rules=with_gateways(pushes=False)))
    world.forward(A, B)
    assert world.pushes() == []
    assert asked_by_text(world)


def test_the_time_to_answer_is_a_limit():
    rules = with_gateways(rules_with(ussd={"push_answer_s": 60}))
    world = peopled(SessionWorld(rules=rules))
    push = asked(world)
    assert push.expires_at == world.now_ms + 60_000
    world.pass_time(60_000)
    assert asked_by_text(world)


def test_a_text_of_a_language_is_asked_in_that_of_the_payer():
    world = peopled(SessionWorld(), language="en")
    assert asked(world).text.startswith("0903000001 wants to send you a text; you pay 250d.")
    assert shown(world.press(B, "7", step=1)).text.startswith("Wrong choice. 0903000001 wants")
    assert shown(world.press(B, "2", step=2)).text.startswith("You refused")


def test_it_is_all_the_same_after_a_restart(tmp_path):
    with peopled(SessionWorld(tmp_path / "books.db")) as world:
        asked(world)
        world.press(B, "7", step=1)
        world.restart()
        assert shown(world.press(B, "1", step=2)).text == ACCEPTED
        check(world)


@pytest.mark.rule("USSD-3", "KW-6")
@pytest.mark.parametrize("language", ["vi", "en"])
def test_whatever_a_push_and_its_answer_say_fits_on_a_screen(language):
    catalogue = shipped_rules().catalogue
    worst = {"caller": A, "price": 25_000_000, "code": "9999", "number": A, "end": HOUR_MS}
    again = catalogue.render("forward.push_again", {}, language)
    for key in ("push_ask", "push_ask_listed"):
        text = f"{again} {catalogue.render(f'forward.{key}', worst, language)}"
        assert septets(text) <= SCREEN_SEPTETS
    said = ("accepted", "declined", "expired", "no_money", "not_served")
    for key in (*(f"forward.{name}" for name in said), "ussd.nothing_asked", "ussd.expired"):
        text = catalogue.render(key, worst, language)
        assert is_gsm7(text)
        assert septets(text) <= SCREEN_SEPTETS


def test_the_text_of_a_held_text_goes_when_it_is_refused(world):
    asked(world, "secret words")
    world.press(B, "2", step=1)
    assert world.row(HELD_TEXT, world.held_text().mo).text == ""
    assert "secret" not in msgspec.json.encode(world.events()).decode()
