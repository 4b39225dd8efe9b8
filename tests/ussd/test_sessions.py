"""Dialogues in the books: each step has one effect and one answer, whatever the gateway repeats,
mixes up, forgets or tells too late.
"""

import msgspec
import pytest

import handlers
from telcod.dispatch import Args, Route
from telcod.rows import HELD_TEXT, LIST_ENTRY, MO, USSD_LAST, ListKind
from telcod.types import SILENCE
from tests.network_world import with_gateways
from tests.session_world import GATEWAY, SessionWorld, said
from tests.ussd.menus import ROUTES, shipped_table
from tests.world import shipped_rules
from ussd.menu_file import build
from ussd.steps import end_request, shown

pytestmark = pytest.mark.rule("USSD-3")

A, B, C = 84903000001, 84903000002, 84903000003
STRANGER = 84977000001
DEAD_MS = 180_000
RESUME_MS = 600_000
UNFINISHED = "Phien truoc chua xong."
MAIN = "Payforme: nguoi nhan tra"
PACKAGES = "Goi cuoc Payforme"
EXPIRED = "Phien giao dich da het han. Vui long bam *1566# de bat dau lai."
STRANGERS = "Dich vu chi danh cho thue bao MobiFone. Xin cam on."


@pytest.fixture
def world():
    return peopled(SessionWorld())


def peopled(world):
    for number in (A, B, C):
        world.subscriber(number, balance_vnd=20_000)
    return world


def is_next_step(answer, step):
    """The step is out of turn, and this is the one that is next."""
    return (answer.outcome, answer.data) == ("ussd.wrong_step", {"step": step})


# ------------------------------------------------------------------------------- the same again


@pytest.mark.rule("USSD-1")
def test_the_same_step_again_has_the_same_answer_and_one_effect(world):
    world.dialogue(A, "*1566#", "5", "2", "0903000002", session="s")
    first = world.step("s", A, "Hello", step=4)
    before = world.contents()
    for _ in range(3):
        assert world.step("s", A, "Hello", step=4) == first
    after = world.contents()
    assert after == before
    assert len(world.held_texts()) == 1


@pytest.mark.rule("USSD-1")
def test_the_first_step_again_has_the_same_answer(world):
    first = world.step("s", A, step=0)
    world.clock.advance(1_000)
    assert world.step("s", A, step=0) == first
    assert shown(world.step("s", A, "1", step=1)).text.startswith(PACKAGES)


@pytest.mark.rule("USSD-1")
def test_a_step_that_comes_thrice_in_one_batch_has_one_effect(world):
    world.dialogue(A, "*1566#", "5", "2", "0903000002", session="s")
    request = said("s", A, "Hello", step=4)
    first, second, third = world.run(request, request, request)
    assert first == second == third
    assert len(world.held_texts()) == 1


@pytest.mark.rule("USSD-1")
def test_a_whole_dialogue_may_be_one_batch(world):
    steps = [said("s", A, step=0), *(said("s", A, key, step=n) for n, key in ((1, "1"), (2, "1")))]
    answers = world.run(*steps)
    assert [shown(answer).action for answer in answers] == ["continue", "continue", "end"]
    assert [row.route for row in world.store.scan(MO)] == ["package.show"]


@pytest.mark.rule("USSD-1")
def test_the_same_step_again_has_the_same_answer_after_a_restart(tmp_path):
    with peopled(SessionWorld(tmp_path / "books.db")) as world:
        world.dialogue(A, "*1566#", "5", "2", "0903000002", session="s")
        first = world.step("s", A, "Hello", step=4)
        world.restart()
        assert world.step("s", A, "Hello", step=4) == first
        assert len(world.held_texts()) == 1


def test_a_dialogue_goes_on_after_a_restart(tmp_path):
    with peopled(SessionWorld(tmp_path / "books.db")) as world:
        phone = world.dialogue(A, "*1566#", "3", "2")
        world.restart()
        assert phone.type("0903000002").ends
        assert world.listed(A, ListKind.BLACK) == [B]


@pytest.mark.rule("USSD-1")
def test_the_last_step_of_a_dialogue_is_answered_again_long_after_its_end(world):
    phone = world.dialogue(A, "*1566#", "1", "1")
    world.clock.advance(10 * RESUME_MS)
    assert world.step(phone.session, A, "1", step=2) == phone.answer


@pytest.mark.rule("USSD-1")
def test_the_last_step_is_answered_again_after_a_delete(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.end(phone.session)
    assert world.step(phone.session, A, "1", step=1) == phone.answer


# ---------------------------------------------------------------------------------- out of turn


@pytest.mark.rule("USSD-1")
@pytest.mark.parametrize("step", [1, 3, 4, 1000])
def test_a_step_out_of_turn_does_nothing_and_says_which_is_next(world, step):
    phone = world.dialogue(A, "*1566#", "3")
    assert phone.next_step == 2
    assert is_next_step(world.step(phone.session, A, "1", step=step), 2)
    assert phone.type("1").ends


@pytest.mark.rule("USSD-1")
def test_the_same_step_with_another_input_does_nothing(world):
    phone = world.dialogue(A, "*1566#", "3", "2", "0903000002")
    assert is_next_step(world.step(phone.session, A, "0903000003", step=3), 4)
    assert world.listed(A, ListKind.BLACK) == [B]


@pytest.mark.rule("USSD-1")
def test_dialling_under_an_id_that_is_in_use_is_out_of_turn(world):
    phone = world.dialogue(A, "*1566#", "3")
    assert is_next_step(world.step(phone.session, A, step=0), 2)


@pytest.mark.rule("USSD-1")
@pytest.mark.parametrize("step", [1, 7])
def test_a_later_step_of_a_session_that_nobody_knows_is_unknown(world, step):
    assert world.step("nobody", A, "1", step=step).outcome == "ussd.unknown"
    assert world.session("nobody") is None


@pytest.mark.rule("USSD-1")
def test_a_delete_of_a_session_that_nobody_knows_is_unknown(world):
    assert world.end("nobody") == "ussd.unknown"


@pytest.mark.rule("USSD-1")
def test_a_delete_may_come_twice_and_after_the_end(world):
    phone = world.dialogue(A, "*1566#", "1")
    assert [world.end(phone.session) for _ in range(2)] == ["ussd.ended"] * 2
    ended = world.dialogue(A, "*1566*1*1#")
    before = world.session(ended.session)
    assert world.end(ended.session) == "ussd.ended"
    assert world.session(ended.session) == before


@pytest.mark.rule("USSD-1")
def test_a_step_after_a_delete_says_that_it_is_over(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.end(phone.session)
    answer = world.step(phone.session, A, "2", step=2)
    assert (shown(answer).text, shown(answer).ends) == (EXPIRED, True)
    assert world.package(A) is None


@pytest.mark.rule("USSD-1")
def test_a_step_after_the_menus_own_end_says_that_it_is_over(world):
    phone = world.dialogue(A, "*1566*1*1#")
    answer = world.step(phone.session, A, "2", step=1)
    assert (shown(answer).text, shown(answer).ends) == (EXPIRED, True)


# -------------------------------------------------------------------------- somebody else's


@pytest.mark.rule("USSD-1")
@pytest.mark.parametrize("step", [None, 0, 1, 2])
def test_another_subscriber_gets_nothing_of_a_session_that_lives(world, step):
    phone = world.dialogue(A, "*1566#", "1")
    assert is_next_step(world.step(phone.session, B, "1", step=step), 2)
    assert phone.type("1").ends


def test_another_subscriber_may_use_an_id_again_that_is_over(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.end(phone.session)
    assert world.dialogue(B, session=phone.session).text.startswith(MAIN)
    # And what A left is not A's any more, nor B's.
    assert world.dialogue(A).text.startswith(MAIN)


def test_an_input_under_somebody_elses_old_id_is_unknown(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.end(phone.session)
    assert world.step(phone.session, B, "1", step=2).outcome == "ussd.unknown"


def test_a_gateway_that_says_that_b_dialled_takes_the_id_from_a(world):
    world.step("s", A, fresh=True)
    assert shown(world.step("s", B, fresh=True)).text.startswith(MAIN)
    assert world.session("s").msisdn == B


def test_two_platforms_may_use_the_same_id(world):
    world.step("s", A, step=0, platform="one")
    world.step("s", B, step=0, platform="two")
    assert shown(world.step("s", A, "1", step=1, platform="one")).text.startswith(PACKAGES)
    assert world.end("s", platform="three") == "ussd.unknown"


@pytest.mark.rule("NUM-5")
def test_the_next_owner_of_a_number_gets_nothing_of_a_dialogue_that_lives(world):
    phone = world.dialogue(A, "*1566#", "1")
    renew(world, A)
    assert world.step(phone.session, A, "1", step=1).outcome == "ussd.unknown"
    assert world.step(phone.session, A, "2", step=2).outcome == "ussd.unknown"
    assert shown(world.step(phone.session, A, step=0)).text.startswith(MAIN)


def renew(world, msisdn):
    """The number becomes somebody else's."""
    for state in ("closed", "active"):
        world.set_state(msisdn, state)
        world.import_({"msisdn": msisdn, "state": state, "balance_vnd": 20_000})
    assert world.subscriber_row(msisdn).life == 2


# --------------------------------------------------------------------------------- who may


@pytest.mark.rule("KW-4")
@pytest.mark.parametrize("sender", [STRANGER, 0])
def test_who_is_no_subscriber_is_told_so_and_leaves_no_trace(world, sender):
    before = world.contents()
    for step in (None, 0):
        screen = shown(world.step("s", sender, step=step))
        assert (screen.text, screen.ends) == (STRANGERS, True)
    assert world.contents() == before


@pytest.mark.rule("KW-4", "NUM-5")
def test_a_number_closed_in_mid_dialogue_is_told_so(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.set_state(A, "closed")
    assert phone.type("2").text == STRANGERS
    assert phone.ends
    assert world.package(A) is None


@pytest.mark.rule("KW-4")
@pytest.mark.parametrize("code", ["*1567#", "*9223#", "*15#", ""])
def test_a_code_without_a_menu_is_told_so(world, code):
    answer = world.step("s", A, step=0, code=code)
    assert answer.outcome == "ussd.unknown_code"
    assert shown(answer).ends
    assert "*1566#" in shown(answer).text
    assert world.session("s") is None


# -------------------------------------------------------------------------------- how long


@pytest.mark.parametrize(("silent_ms", "alive"), [(DEAD_MS - 1, True), (DEAD_MS, False)])
def test_a_session_is_dead_after_180_silent_seconds(world, silent_ms, alive):
    phone = world.dialogue(A, "*1566#", "1")
    world.clock.advance(silent_ms)
    phone.type("2")
    assert (phone.text == EXPIRED) is not alive
    assert phone.ends is not alive


def test_every_step_lets_a_session_live_on(world):
    phone = world.dialogue(A)
    for key in ("1", "9", "1", "9", "1"):
        world.clock.advance(DEAD_MS - 1)
        phone.type(key)
    assert phone.text.startswith(PACKAGES)


def test_a_repeated_step_does_not_prolong_a_session(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.clock.advance(DEAD_MS - 1)
    world.step(phone.session, A, "1", step=1)
    world.clock.advance(1)
    assert phone.type("2").text == EXPIRED


@pytest.mark.parametrize(
    ("gone_ms", "offered"), [(0, True), (RESUME_MS - 1, True), (RESUME_MS, False)]
)
def test_what_was_hung_up_can_be_gone_on_with_for_ten_minutes(world, gone_ms, offered):
    phone = world.dialogue(A, "*1566#", "1")
    world.end(phone.session)
    world.clock.advance(gone_ms)
    again = world.dialogue(A)
    assert again.text.startswith(UNFINISHED) is offered
    assert again.text.startswith(MAIN) is not offered


@pytest.mark.parametrize(
    ("gone_ms", "offered"), [(1, True), (DEAD_MS, True), (RESUME_MS - 1, True), (RESUME_MS, False)]
)
def test_what_nobody_ended_can_be_gone_on_with_for_ten_minutes(world, gone_ms, offered):
    world.dialogue(A, "*1566#", "1")
    world.clock.advance(gone_ms)
    assert world.dialogue(A).text.startswith(UNFINISHED) is offered


def test_a_delete_that_comes_late_does_not_give_ten_minutes_more(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.clock.advance(RESUME_MS)
    assert world.end(phone.session) == "ussd.ended"
    assert world.dialogue(A).text.startswith(MAIN)


def test_going_on_shows_where_it_was_and_what_was_typed_counts(world):
    phone = world.dialogue(A, "*1566#", "5", "2", "0903000002")
    world.end(phone.session)
    again = world.dialogue(A)
    assert again.text == f"{UNFINISHED}\n1 tiep tuc\n2 bat dau lai"
    assert again.type("1").text == phone.text
    again.type("Hello")
    assert [(row.payer, row.text) for row in world.held_texts()] == [(B, "Hello")]


def test_starting_again_forgets_where_it_was(world):
    phone = world.dialogue(A, "*1566#", "5", "2", "0903000002")
    world.end(phone.session)
    assert world.dialogue(A).type("2").text.startswith(MAIN)


def test_a_wrong_answer_to_the_offer_repeats_it(world):
    world.end(world.dialogue(A, "*1566#", "1").session)
    again = world.dialogue(A).type("7")
    assert UNFINISHED in again.text
    assert again.type("1").text.startswith(PACKAGES)


def test_an_offer_that_was_cut_off_itself_is_made_again(world):
    world.end(world.dialogue(A, "*1566#", "1").session)
    for _ in range(3):
        offered = world.dialogue(A)
        assert offered.text.startswith(UNFINISHED)
        world.end(offered.session)
    assert world.dialogue(A).type("1").text.startswith(PACKAGES)


def test_after_its_own_end_nothing_is_offered(world):
    world.dialogue(A, "*1566*1*1#")
    assert world.dialogue(A).text.startswith(MAIN)


def test_of_the_first_screen_nothing_is_offered(world):
    world.end(world.dialogue(A).session)
    assert world.dialogue(A).text.startswith(MAIN)


def test_the_rest_of_a_long_answer_is_offered_and_its_leaf_does_not_run_again(world):
    phone = world.dialogue(A, "*1566#", "7")
    assert not phone.ends
    world.end(phone.session)
    assert world.dialogue(A).type("1").text == phone.text
    assert [row.route for row in world.store.scan(MO)] == ["help"]


@pytest.mark.rule("NUM-5")
def test_nothing_is_offered_to_the_next_owner(world):
    world.dialogue(A, "*1566#", "1")
    renew(world, A)
    assert world.dialogue(A).text.startswith(MAIN)


def test_nothing_of_another_subscribers_is_offered(world):
    world.dialogue(A, "*1566#", "1")
    assert world.dialogue(B).text.startswith(MAIN)


# ----------------------------------------------------------------------------- dialled inputs


def test_a_code_with_inputs_leads_there(world):
    assert world.dialogue(A, "*1566*1#").text.startswith(PACKAGES)
    assert world.dialogue(A, "*1566*3*2*0903000002*0903000003#").ends
    assert world.listed(A, ListKind.BLACK) == [B, C]


def test_a_code_with_inputs_offers_nothing_of_before(world):
    world.end(world.dialogue(A, "*1566#", "3").session)
    assert world.dialogue(A, "*1566*1#").text.startswith(PACKAGES)


def test_a_wrong_input_in_the_code_stops_there_and_runs_nothing(world):
    phone = world.dialogue(A, "*1566*1*7*1#")
    assert PACKAGES in phone.text
    assert not phone.ends
    assert world.package(A) is None


def test_inputs_of_the_first_step_are_walked(world):
    assert shown(world.step("s", A, "1*1", step=0)).ends
    (row,) = world.store.scan(MO)
    assert row.route == "package.show"


# ------------------------------------------------------------------- gateways that count nothing


@pytest.mark.rule("USSD-2")
def test_of_all_inputs_each_time_the_last_one_counts(world):
    everything = ["", "3", "3*2", "3*2*0903000002"]
    screens = [shown(world.step("s", A, typed, all_inputs=True)) for typed in everything]
    assert screens[-1].ends
    assert world.listed(A, ListKind.BLACK) == [B]
    assert shown(world.step("s", A, everything[-1], all_inputs=True)) == screens[-1]
    assert [row.route for row in world.store.scan(MO)] == ["list.black_add"]


@pytest.mark.rule("USSD-2")
def test_people_type_stars_too(world):
    everything = ("", "3", "3*2", "3*2*0903000002*0903000003")
    *_, last = [shown(world.step("s", A, typed, all_inputs=True)) for typed in everything]
    assert last.ends
    assert world.listed(A, ListKind.BLACK) == [B, C]


@pytest.mark.rule("USSD-2")
def test_a_gateway_that_forgot_some_inputs_is_heard_by_the_last(world):
    forgotten = ("", "3", "2", "0903000002")
    *_, last = [shown(world.step("s", A, typed, all_inputs=True)) for typed in forgotten]
    assert last.ends
    assert world.listed(A, ListKind.BLACK) == [B]


@pytest.mark.rule("USSD-2")
def test_all_inputs_may_begin_with_what_was_dialled(world):
    assert shown(world.step("s", A, "1", all_inputs=True)).text.startswith(PACKAGES)
    assert shown(world.step("s", A, "1*1", all_inputs=True)).ends


@pytest.mark.rule("USSD-2")
@pytest.mark.parametrize("ended", [True, False])
def test_all_inputs_that_come_too_late_do_not_do_it_all_again(world, ended):
    for typed in ("", "5", "5*2", "5*2*0903000002", "5*2*0903000002*Hello"):
        world.step("s", A, typed, all_inputs=True)
    if ended:
        world.end("s")
    world.clock.advance(DEAD_MS)
    late = shown(world.step("s", A, "5*2*0903000002*Hello*0", all_inputs=True))
    assert late.text.startswith(MAIN)
    assert len(world.held_texts()) == 1


@pytest.mark.rule("USSD-2")
def test_all_inputs_that_come_too_late_offer_to_go_on_and_are_understood_then(world):
    everything = ("", "3", "3*2")
    *_, last = [shown(world.step("s", A, typed, all_inputs=True)) for typed in everything]
    world.clock.advance(DEAD_MS)
    late = shown(world.step("s", A, "3*2*0903000002", all_inputs=True))
    assert late.text.startswith(UNFINISHED)
    assert world.listed(A, ListKind.BLACK) == []
    resumed = shown(world.step("s", A, "3*2*0903000002*1", all_inputs=True))
    assert resumed.text == last.text
    world.step("s", A, "3*2*0903000002*1*0903000003", all_inputs=True)
    assert world.listed(A, ListKind.BLACK) == [C]


@pytest.mark.rule("USSD-2")
def test_all_inputs_of_an_id_used_again_begin_anew(world):
    for typed in ("", "3", "3*1"):
        world.step("s", A, typed, all_inputs=True)
    assert shown(world.step("s", A, "", all_inputs=True)).text.startswith(MAIN)
    assert shown(world.step("s", A, "1", all_inputs=True)).text.startswith(PACKAGES)


@pytest.mark.rule("USSD-2")
@pytest.mark.parametrize(
    ("code", "typed"),
    [
        ("*1566*5*2*0903000002*Hello#", "0"),
        ("*1566#", "0"),
        ("*0#", "0"),
        ("", "0903000002"),
    ],
)
def test_a_last_input_that_comes_too_late_does_nothing_again(world, code, typed):
    world.step("s", A, code="*1566*5*2*0903000002*Hello#", fresh=True)
    world.clock.advance(DEAD_MS)
    assert shown(world.step("s", A, typed, code=code)).text.startswith(MAIN)
    assert len(world.held_texts()) == 1


@pytest.mark.rule("USSD-2")
def test_a_gateway_that_puts_what_was_dialled_where_inputs_go_may_use_an_id_again(world):
    world.step("s", A, "1566", code="*1566#")
    assert shown(world.step("s", A, "1", code="*1#")).text.startswith(PACKAGES)
    world.end("s")
    assert shown(world.step("s", A, "1566*3", code="*1566*3#")).text.startswith("Blacklist")
    world.end("s")
    assert shown(world.step("s", A, "1566", code="*1566#")).text.startswith(UNFINISHED)


@pytest.mark.rule("USSD-2")
def test_dialling_anew_is_over_whatever_stood_there_and_offered_again(world):
    world.step("s", A, fresh=True)
    world.step("s", A, "1")
    assert shown(world.step("s", A, fresh=True)).text.startswith(UNFINISHED)
    assert shown(world.step("s", A, "1")).text.startswith(PACKAGES)


@pytest.mark.rule("USSD-2")
def test_dialling_that_is_told_twice_at_once_has_one_effect(world):
    code = "*1566*5*2*0903000002*Hello#"
    first = world.step("s", A, code=code, fresh=True)
    world.clock.advance(4_999)
    assert world.step("s", A, code=code, fresh=True) == first
    assert len(world.held_texts()) == 1
    world.clock.advance(1)
    world.step("s", A, code=code, fresh=True)
    assert len(world.held_texts()) == 2


@pytest.mark.rule("USSD-1")
def test_a_step_without_a_number_is_the_next_one(world):
    world.step("s", A)
    assert shown(world.step("s", A, "1")).text.startswith(PACKAGES)
    assert shown(world.step("s", A, "1")).ends


# ----------------------------------------------------------------------------- languages, reload


@pytest.mark.rule("KW-6")
def test_the_language_chosen_in_a_dialogue_holds_from_its_answer_on(world):
    phone = world.dialogue(A, "*1566#", "8", "3", "2")
    assert phone.text.startswith("From now on")
    assert world.dialogue(A).text.startswith("Payforme: the receiver pays")


@pytest.mark.rule("KW-6")
def test_a_language_chosen_elsewhere_holds_in_mid_dialogue(world):
    phone = world.dialogue(A, "*1566#", "1")
    world.text(A, "NN EN")
    assert phone.type("9").text.startswith("Payforme: the receiver pays")


def without(name):
    """The rules after a reload: what this screen offered is on one of another name."""
    table = shipped_table()
    table["screens"]["other"] = table["screens"].pop(name)
    for choice in table["screens"]["main"].values():
        if isinstance(choice, dict) and choice.get("to") == name:
            choice["to"] = "other"
    menus = {"1566": build(table, ROUTES)}
    return msgspec.structs.replace(with_gateways(), menus=menus)


def test_a_screen_that_a_reload_took_away_leads_to_the_first(world):
    phone = world.dialogue(A, "*1566#", "4")
    world.batcher.rules = without("notices")
    assert phone.type("1").text.startswith(MAIN)
    assert world.subscriber_row(A).notices
    assert phone.type("1").text.startswith(PACKAGES)


def test_a_place_that_a_reload_took_away_is_not_offered(world):
    world.end(world.dialogue(A, "*1566#", "4").session)
    world.batcher.rules = without("notices")
    assert world.dialogue(A).text.startswith(MAIN)


def test_a_menu_that_a_reload_took_away_ends_its_dialogues(world):
    phone = world.dialogue(A, "*1566#", "4")
    world.batcher.rules = msgspec.structs.replace(with_gateways(), menus={})
    assert phone.type("1").text == EXPIRED
    assert phone.ends


# --------------------------------------------------------------------------- a leaf that breaks


class Broken(Exception):
    """What a handler must never do."""


def world_with(name, handler):
    routes = {**handlers.ROUTES, name: handlers.ROUTES[name]._replace(handler=handler)}
    return peopled(SessionWorld(routes=routes))


def test_a_leaf_that_breaks_ends_politely_and_the_same_step_may_come_again():
    broken = [True]

    def moody(request, tx):
        tx.append(
            MO, msgspec.structs.replace(next(iter(there.store.scan(MO))), seq=tx.next_seq(MO))
        )
        if broken:
            raise Broken
        return handlers.ROUTES["package.show"].handler(request, tx)

    there = world_with("package.show", moody)
    there.text(A, "HD")
    phone = there.dialogue(A, "*1566#", "1")
    before = there.contents()
    answer = there.step(phone.session, A, "1", step=2)
    assert shown(answer).ends
    assert shown(answer).text == there.rules.catalogue.render("ours.sorry", {}, "vi")
    assert len(there.quarantined()) == 1
    after = there.contents()
    assert (after["ussd_session"], after["mo"]) == (before["ussd_session"], before["mo"])
    broken.clear()
    again = shown(there.step(phone.session, A, "1", step=2))
    assert "chua dang ky goi Payforme" in again.text


def test_a_leaf_that_says_nothing_asks_to_try_later_in_either_language():
    world = world_with("charges.show", lambda request, tx: SILENCE)
    phone = world.dialogue(A, "*1566*6#")
    assert phone.text == world.rules.catalogue.render("ussd.try_later", {}, "vi")
    assert phone.ends
    world.text(A, "NN EN")
    assert world.dialogue(A, "*1566*6#").text == "Sorry, please try again later. Call 9090."


# ------------------------------------------------------------------------------- the journal


def test_each_leaf_is_in_the_journal_as_a_text_is(world):
    world.dialogue(A, "*1566*3*2*0903000002#")
    (row,) = world.store.scan(MO)
    assert (row.source, row.short_code, row.route) == (str(A), "1566", "list.black_add")
    assert (row.text, row.verdict) == (str(B), "list.b.added")


def test_screens_are_not_in_the_journal(world):
    world.dialogue(A, "*1566#", "1", "9", "7x")
    assert list(world.store.scan(MO)) == []


@pytest.mark.rule("PFM-30", "USSD-3")
def test_texts_by_ussd_and_by_sms_in_one_batch_have_numbers_of_their_own(world):
    for number, session in ((A, "a"), (C, "c")):
        world.dialogue(number, "*1566#", "5", "2", "0903000002", session=session)
    world.run(
        world.forward_request(A, B, "one"),
        said("a", A, "two", step=4),
        world.text_request(C, "KT"),
        said("c", C, "three", step=4),
        world.forward_request(C, B, "four"),
    )
    rows = list(world.store.scan(MO))
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert [(row.mo, row.text) for row in world.store.scan(HELD_TEXT)] == [
        (1, "one"),
        (2, "two"),
        (4, "three"),
        (5, "four"),
    ]
    by_seq = {row.seq: row for row in rows}
    for held in world.held_texts():
        assert by_seq[held.mo].route == "forward.text"
        assert by_seq[held.mo].source == str(held.sender)
    assert [row.ref for row in world.pushes()] == ["1", "2", "4", "5"]
    for push in world.pushes():
        world.press(B, "1", seq=push.seq)
    assert sorted(row.text for row in world.forwarded()) == [
        "0903000001: one",
        "0903000001: two",
        "0903000003: four",
        "0903000003: three",
    ]
    assert world.check() == []


def test_the_newest_dialogue_of_a_number_is_remembered(world):
    world.dialogue(A, session="one")
    world.dialogue(A, session="two")
    assert world.row(USSD_LAST, A).session == f"{GATEWAY}:two"


def test_effects_of_a_batch_that_mixes_dialogues_are_those_of_one_after_the_other(world):
    alone = peopled(SessionWorld())
    requests = [
        *(said("a", A, key, step=n) for n, key in enumerate(("", "3", "2", "0903000002"))),
        *(said("b", B, key, step=n) for n, key in enumerate(("", "3", "2", "0903000001"))),
        end_request("a", platform=GATEWAY),
        said("c", A, step=0),
    ]
    together = world.run(*requests)
    assert together == [alone.one(request) for request in requests]
    assert world.contents() == alone.contents()
    assert [row.number for row in world.store.scan(LIST_ENTRY)] == [B, A]


def test_the_menu_asks_for_arguments_as_the_table_does():
    # A leaf that the table has not would be found by nobody but a subscriber.
    table = handlers.ROUTES
    for screen in shipped_rules().menus["1566"].screens.values():
        for route in (screen.route, *(choice.route for choice in screen.choices.values())):
            assert not route or isinstance(table[route], Route)
    assert table["dial.guide"].args is Args.NUMBERS
