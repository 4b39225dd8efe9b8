"""The table of receiver-paid calls, row by row: who is asked, what is granted, what it costs."""

import pytest

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from telcod.rows import CALL, HoldStatus
from telcod.types import Channel, Request
from tests.call_world import PLATFORM, CallWorld, call_request, dialled, rules_of_calls
from tests.world import START_MS

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004
STRANGER = 84977000001
ASK_MS = (120 + 3 * 8 + 60) * SECOND_MS
GRACE_MS = 30 * SECOND_MS


def a_world(*, balance_vnd=100_000, tariffs=(), **limits):
    """A without money, B with; C postpaid; D with a little."""
    world = CallWorld(rules=rules_of_calls(*tariffs, **limits))
    world.subscriber(A, balance_vnd=0)
    world.subscriber(B, balance_vnd=balance_vnd)
    world.subscriber(C, kind="postpaid", debt_vnd=5_000)
    world.subscriber(D, balance_vnd=1_000)
    return world


@pytest.fixture
def world():
    return a_world()


def with_package(world, owner=B, *, white=(), black=()):
    world.text(owner, "DK")
    for number in white:
        world.text(owner, f"W {number}")
    for number in black:
        world.text(owner, f"B {number}")


def refusal(reply):
    """What A gets to hear, and all else that the platform is told."""
    return {name: value for name, value in reply.data.items() if name != "payer"}


def books_are_in_order(world):
    return world.check() == []


# ------------------------------------------------------------------------------------ A dials 1566


@pytest.mark.rule("PFM-10", "PFM-12", "IVR-1")
def test_b_is_asked_with_the_number_and_the_price_and_may_press_1_2_or_4(world):
    reply = world.offer("c", A, B)
    assert reply.outcome == "call.ok"
    said = {
        "action": "ask",
        "payer": str(B),
        "max_seconds": 0,
        "warn_seconds": 0,
        "reason": "",
        "prompt_id": "ask",
        "language": "vi",
        "keys": "124",
        "answer_within_s": 8,
        "repeat": 1,
    }
    assert {name: reply.data[name] for name in said} == said
    assert set(reply.data) == {*said, "prompt_text", "prompt_files"}
    assert reply.data["prompt_files"].split("&")
    call = world.call("c")
    assert (call.automatic, call.consent_at) == (0, 0)
    for spoken in ("0 9 0 3 0 0 0 0 0 1", "1.500", "150"):
        assert spoken in reply.data["prompt_text"]
    assert all(isinstance(value, str | int) for value in reply.data.values())


@pytest.mark.rule("PFM-12")
def test_key_3_is_offered_with_a_working_package_only(world):
    with_package(world)
    reply = world.offer("c", A, B)
    assert (reply.data["keys"], reply.data["prompt_id"]) == ("1234", "ask_listed")


@pytest.mark.rule("PFM-12", "IVR-6")
def test_b_is_asked_and_a_refused_in_their_own_languages(world):
    world.text(B, "NN EN")
    assert "would like to call you" in world.offer("c", A, B).data["prompt_text"]
    assert world.key("c", "2").data["language"] == "vi"
    world.text(A, "NN EN")
    world.offer("d", A, B)
    assert "cannot take this call" in world.key("d", "2").data["prompt_text"]


@pytest.mark.rule("PFM-3")
def test_1566_alone_is_guidance_for_anybody_and_costs_nothing(world):
    for caller in (A, STRANGER, 0):
        reply = world.dial("c", caller, "1566")
        assert (reply.data["action"], reply.data["prompt_id"]) == ("announce", "guidance")
    assert list(world.store.scan(CALL)) == []


@pytest.mark.rule("PFM-10", "NUM-1")
@pytest.mark.parametrize("form", ["0903000002", "84903000002", "+84903000002", "903 000 002"])
def test_the_number_may_have_any_form(world, form):
    assert world.dial("c", A, f"1566{form}").data["action"] == "ask"


@pytest.mark.rule("PFM-4", "PFM-13")
@pytest.mark.parametrize(
    ("caller", "digits", "reason"),
    [
        (STRANGER, dialled(B), "caller_not_served"),
        (0, dialled(B), "caller_not_served"),
        (C, dialled(B), "caller_not_served"),
        (A, dialled(STRANGER), "payer_not_served"),
        (A, dialled(C), "payer_not_served"),
        (A, dialled(A), "own_number"),
        (A, "1566 12345", "number_malformed"),
    ],
)
def test_who_is_not_served_is_told_so(world, caller, digits, reason):
    reply = world.dial("c", caller, digits)
    assert (reply.data["action"], reply.data["reason"]) == ("refuse", reason)
    assert reply.data["prompt_id"] == "refused_not_served"
    assert world.call("c").reason == reason
    named = {"number_malformed": "", "own_number": str(A)}
    assert reply.data["payer"] == named.get(reason, digits.replace("15660", "84"))


@pytest.mark.rule("PFM-4")
@pytest.mark.parametrize(
    ("number", "state", "action"),
    [
        (A, "out_of_money", "ask"),
        (A, "suspended", "refuse"),
        (A, "closed", "refuse"),
        (B, "out_of_money", "refuse"),
        (B, "suspended", "refuse"),
        (B, "closed", "refuse"),
    ],
)
def test_a_may_be_out_of_money_and_b_must_be_active(world, number, state, action):
    world.set_state(number, state)
    assert world.offer("c", A, B).data["action"] == action


@pytest.mark.rule("PFM-4", "PFM-10", "PFM-15")
@pytest.mark.parametrize(("balance_vnd", "action"), [(0, "refuse"), (149, "refuse"), (150, "ask")])
def test_b_must_be_able_to_pay_the_first_block(balance_vnd, action):
    world = a_world(balance_vnd=balance_vnd)
    assert world.offer("c", A, B).data["action"] == action


@pytest.mark.rule("PFM-13", "LST-4")
def test_a_hears_the_same_whatever_the_neutral_reason():
    heard = []
    for spoil in (
        lambda world: world.text(B, f"B {A}"),  # Blacklisted.
        lambda world: world.connect("other", D, B),  # No money: another call holds it.
    ):
        world = a_world(balance_vnd=150)
        spoil(world)
        heard.append(refusal(world.offer("c", A, B)))
    for react in (
        lambda world: world.key("c", "2"),
        lambda world: world.key("c", "4"),
        *(
            lambda world, result=result: world.reaction("c", result)
            for result in ("hangup", "no_answer", "busy", "voicemail")
        ),
        lambda world: [world.reaction("c", "silence") for _ in range(3)][-1],
        lambda world: [world.key("c", "9") for _ in range(3)][-1],
        lambda world: [world.pass_time(ASK_MS), world.key("c", "1")][-1],
    ):
        world = a_world(balance_vnd=150)
        world.offer("c", A, B)
        heard.append(refusal(react(world)))
        assert heard[-1] == refusal(world.offer("c", A, B))
    assert heard == [heard[0]] * len(heard)
    assert (heard[0]["action"], heard[0]["reason"]) == ("refuse", "not_accepted")
    assert heard[0]["prompt_id"] == "refused"


@pytest.mark.rule("PFM-10", "LST-4")
def test_a_blacklisted_caller_does_not_disturb_b(world):
    with_package(world, black=[A])
    assert world.offer("c", A, B).data["action"] == "refuse"
    assert world.call("c").reason == "blacklisted"
    assert world.offer("d", D, B).data["action"] == "ask"  # B is free.


@pytest.mark.rule("IVR-3")
def test_while_b_is_asked_another_caller_hears_busy(world):
    world.offer("c", A, B)
    reply = world.offer("d", D, B)
    assert (reply.data["action"], reply.data["reason"]) == ("busy", "busy")
    world.key("c", "2")
    assert world.offer("e", D, B).data["action"] == "ask"


@pytest.mark.rule("PFM-12", "IVR-3")
def test_a_question_whose_time_is_over_keeps_nobody_else_waiting(world):
    world.offer("c", A, B)
    world.pass_time(ASK_MS - 1, down=True)
    assert world.offer("d", D, B).data["action"] == "busy"
    world.pass_time(1, down=True)
    assert world.offer("e", D, B).data["action"] == "ask"
    assert (world.call("c").state, world.call("c").reason) == ("refused", "expired")
    assert world.key("e", "1").data["action"] == "connect"


@pytest.mark.rule("PFM-14")
def test_ten_requests_to_one_and_thirty_to_anyone_in_24_hours():
    world = a_world()
    others = [world.subscriber(84903000010 + n, balance_vnd=1_000) for n in range(3)]
    ids = iter(f"c{n}" for n in range(100))

    def ask(payer):
        call_id = next(ids)
        action = world.offer(call_id, A, payer).data
        world.ended(call_id)
        return action["reason"] or action["action"]

    assert [ask(B) for _ in range(11)] == ["ask"] * 10 + ["too_often"]
    assert ask(others[0]) == "ask"
    assert [ask(others[n % 3]) for n in range(20)] == ["ask"] * 19 + ["too_often"]
    assert ask(others[2]) == "too_often"
    assert world.offer("other", D, B).data["action"] == "ask"
    reply = world.offer("heard", A, others[2])
    assert (reply.data["prompt_id"], reply.data["action"]) == ("refused_too_often", "refuse")
    world.pass_time(DAY_MS - 1)
    assert ask(B) == "too_often"
    world.pass_time(1)
    assert ask(B) == "ask"


@pytest.mark.rule("PFM-10")
def test_blacklist_comes_before_rates_and_rates_before_money():
    world = a_world(balance_vnd=150, per_pair_max=1)
    world.offer("c", A, B)
    world.ended("c")
    world.connect("d", D, B)  # Now B has nothing to spend.
    world.offer("e", A, B)
    world.text(B, f"B {A}")
    world.offer("f", A, B)
    assert [world.call(name).reason for name in "ef"] == ["too_often", "blacklisted"]


# ---------------------------------------------------------------------------------- the whitelist


@pytest.mark.rule("PFM-10", "PFM-15", "PFM-13")
def test_a_whitelisted_caller_is_connected_without_a_question(world):
    with_package(world, white=[A])
    reply = world.offer("c", A, B)
    assert (reply.data["action"], reply.data["max_seconds"]) == ("connect", 600)
    assert reply.data["payer"] == str(B)
    call = world.call("c")
    assert (call.automatic, call.wording, call.consent_at) == (1, "whitelist", world.now_ms)
    direct = world.dial("d", A, f"0{B % 10**9}")
    assert direct.data["action"] == "connect"
    call = world.call("d")
    assert (call.automatic, call.wording, call.consent_at) == (1, "whitelist", world.now_ms)


@pytest.mark.rule("PFM-10", "PKG-6", "PKG-7")
def test_without_a_working_package_the_whitelist_rests(world):
    with_package(world, white=[A])
    world.text(B, "HUY")
    assert world.offer("c", A, B).data["action"] == "ask"
    world.ended("c")
    with_package(world, D, white=[A])
    world.connect("d", B, D)  # Holds what the renewal needs.
    world.progress("d", 0)
    world.pass_time(DAY_MS)
    assert world.package(D).status == "active"  # The call ended long before.
    world.pass_time(DAY_MS)
    assert world.package(D).status == "suspended"
    world.topup(D, 500)
    assert world.offer("e", A, D).data["keys"] == "124"


@pytest.mark.rule("PFM-11")
def test_a_whitelisted_caller_may_leave_out_the_prefix(world):
    with_package(world, white=[A])
    assert world.dial("c", A, "0903000002").data["action"] == "connect"
    world.answered("c")
    assert world.ended("c", 7).data == {"charged_vnd": 175, "billed_seconds": 7}


@pytest.mark.rule("PFM-11")
@pytest.mark.parametrize(
    ("caller", "digits"),
    [
        (A, "0903000004"),
        (D, "0903000002"),
        (B, "0903000002"),
        (STRANGER, "0903000002"),
        (0, "0903000002"),
        (A, "113"),
        (A, "+44207946000"),
    ],
)
def test_any_other_call_without_the_prefix_is_a_own_affair(world, caller, digits):
    with_package(world, white=[A])
    assert world.dial("c", caller, digits).data["action"] == "not_applicable"
    assert world.call("c") is None


@pytest.mark.rule("PFM-11")
def test_a_whitelist_without_package_or_money_pays_no_direct_call():
    world = a_world(balance_vnd=149)
    with_package(world, white=[A])
    assert world.dial("c", A, "0903000002").data["action"] == "not_applicable"
    world.topup(B, 1)
    assert world.dial("d", A, "0903000002").data["action"] == "connect"
    world.ended("d")
    world.text(B, "HUY")
    assert world.dial("e", A, "0903000002").data["action"] == "not_applicable"


# ---------------------------------------------------------------------------------------- the keys


@pytest.mark.rule("PFM-12", "PFM-13", "PFM-15")
def test_key_1_connects_and_is_kept_as_evidence(world):
    world.offer("c", A, B)
    world.clock.advance(3_000)
    reply = world.key("c", "1", recording="rec-17")
    assert (reply.data["action"], reply.data["max_seconds"]) == ("connect", 600)
    assert reply.data["warn_seconds"] == 30
    call = world.call("c")
    assert (call.consent_key, call.consent_at, call.recording) == ("1", world.now_ms, "rec-17")
    assert call.wording == world.rules.prompts.wording
    assert (world.hold("c").amount, world.held(B)) == (15_000, 15_000)
    assert world.balance(B) == 100_000


@pytest.mark.rule("PFM-13")
def test_a_refusal_is_kept_as_evidence_too(world):
    world.offer("c", A, B)
    world.clock.advance(3_000)
    world.key("c", "2", recording="rec-18")
    call = world.call("c")
    assert (call.consent_key, call.recording, call.ended_at) == ("2", "rec-18", world.now_ms)


@pytest.mark.rule("PFM-12")
def test_who_is_asked_again_has_all_his_time_again(world):
    world.offer("c", A, B)
    world.clock.advance(ASK_MS - 1)
    assert world.key("c", "7").data["action"] == "ask"
    world.clock.advance(ASK_MS - 1)
    assert world.key("c", "1").data["action"] == "connect"


@pytest.mark.rule("PFM-12", "PFM-13")
@pytest.mark.parametrize(
    ("digit", "packaged", "action", "listed"),
    [
        ("1", False, "connect", {}),
        ("2", False, "refuse", {}),
        ("3", False, "ask", {}),
        ("4", False, "refuse", {A: "black"}),
        ("1", True, "connect", {}),
        ("2", True, "refuse", {}),
        ("3", True, "connect", {A: "white"}),
        ("4", True, "refuse", {A: "black"}),
        ("5", True, "ask", {}),
        ("", True, "ask", {}),
    ],
)
def test_each_key_does_what_it_says(world, digit, packaged, action, listed):
    if packaged:
        with_package(world)
    world.offer("c", A, B)
    assert world.key("c", digit).data["action"] == action
    kinds = ("white", "black")
    assert {number: kind for kind in kinds for number in world.listed(B, kind)} == listed


@pytest.mark.rule("PFM-12")
def test_key_4_moves_a_whitelisted_caller_and_a_full_list_takes_nobody(world):
    with_package(world, white=[A])
    world.text(B, "HUY")
    world.offer("c", A, B)
    world.key("c", "4")
    assert (world.listed(B, "white"), world.listed(B, "black")) == ([], [A])
    for n in range(49):
        world.text(B, f"B {world.subscriber(84903000100 + n)}")
    world.offer("d", D, B)
    assert world.key("d", "4").data["action"] == "refuse"
    assert len(world.listed(B, "black")) == 50
    assert D not in world.listed(B, "black")


@pytest.mark.rule("PFM-12", "NUM-5")
def test_a_number_that_was_closed_while_it_was_asked_gets_no_list_and_pays_nothing(world):
    for call_id, digit in (("c", "4"), ("d", "1")):
        world.set_state(B, "active")
        world.topup(B, 1_000)
        world.offer(call_id, A, B)
        world.set_state(B, "closed")
        assert world.key(call_id, digit).data["action"] == "refuse"
        assert world.listed(B, "black") == []
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize("wrong", ["silence", "9", ""])
def test_no_answer_is_asked_about_twice_more_and_then_refused(world, wrong):
    world.offer("c", A, B)
    said = []
    for _ in range(4):
        reply = world.reaction("c", wrong) if wrong == "silence" else world.key("c", wrong)
        said.append((reply.data["action"], reply.data["repeat"]))
    assert said == [("ask", 2), ("ask", 3), ("refuse", 0), ("refuse", 0)]
    assert world.call("c").reason == ("silent" if wrong == "silence" else "wrong_keys")
    assert world.open_holds() == []


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("hangup", "hung_up"),
        ("no_answer", "no_answer"),
        ("busy", "payer_busy"),
        ("voicemail", "voicemail"),
    ],
)
def test_whoever_is_not_reached_refuses_at_once(world, result, reason):
    world.offer("c", A, B)
    assert world.reaction("c", result).data["action"] == "refuse"
    assert world.call("c").reason == reason
    assert world.offer("d", D, B).data["action"] == "ask"


@pytest.mark.rule("PFM-12", "IVR-3")
@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1"), ("1", "1"), ("4", "3")])
def test_the_first_answer_stands(world, first, second):
    world.offer("c", A, B)
    reply = world.key("c", first)
    assert world.key("c", second).data == reply.data
    assert len(world.open_holds()) == (first == "1")


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize(("late_ms", "action"), [(-1, "connect"), (0, "refuse"), (1, "refuse")])
def test_consent_after_the_deadline_is_none_even_if_the_clock_is_behind(world, late_ms, action):
    world.offer("c", A, B)
    world.pass_time(ASK_MS + late_ms, down=True)
    assert world.key("c", "1").data["action"] == action
    assert (world.held(B) > 0) is (action == "connect")


@pytest.mark.rule("PFM-12")
def test_a_question_that_nobody_answers_expires_by_itself(world):
    world.offer("c", A, B)
    world.pass_time(ASK_MS - 1)
    assert world.call("c").state == "asking"
    world.pass_time(1)
    assert (world.call("c").state, world.call("c").reason) == ("refused", "expired")
    assert world.key("c", "1").data["action"] == "refuse"


@pytest.mark.rule("PFM-15")
def test_money_that_went_between_question_and_key_is_not_reserved():
    world = a_world(balance_vnd=1_100)
    world.text(B, "DK")
    world.text(B, "HUY")  # The trial is over.
    world.offer("c", A, B)
    world.text(B, "DK")
    assert world.balance(B) == 100
    assert refusal(world.key("c", "1"))["reason"] == "not_accepted"
    assert world.call("c").reason == "no_money"
    assert world.open_holds() == []


# -------------------------------------------------------------------------------- price and grants


@pytest.mark.rule("PFM-1", "PFM-16", "IVR-3")
@pytest.mark.parametrize(
    ("used_s", "charged_vnd"),
    [(0, 0), (1, 150), (6, 150), (7, 175), (59, 1_475), (60, 1_500), (61, 1_525), (600, 15_000)],
)
def test_the_end_charges_the_talk_once_and_lets_the_rest_go(world, used_s, charged_vnd):
    world.connect("c", A, B)
    final = {"charged_vnd": charged_vnd, "billed_seconds": used_s}
    reply = world.ended("c", used_s)
    assert (reply.outcome, reply.data) == ("call.ok", final)
    assert world.call("c").ended_at == world.now_ms
    assert world.ended("c", used_s).data == final
    assert world.ended("c", used_s + 50).data == final
    assert world.balance(B) == 100_000 - charged_vnd
    assert world.entries("c") == ([charged_vnd] if charged_vnd else [])
    assert world.hold("c").status == (HoldStatus.POSTED if charged_vnd else HoldStatus.RELEASED)
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-1", "PFM-15")
def test_an_hour_is_talked_in_slices_and_is_the_end(world):
    world.connect("c", A, B)
    grants = []
    for used_s in range(0, 3_601, 400):
        reply = world.progress("c", used_s)
        grants.append((reply.data["max_seconds"], reply.data["final"]))
    assert grants[:3] == [(600, False), (1_000, False), (1_400, False)]
    assert grants[-1] == (3_600, True)
    assert world.ended("c", 3_700).data == {"charged_vnd": 90_000, "billed_seconds": 3_600}
    assert world.entries("c", kind="call.write_off") == [2_500]
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-15")
@pytest.mark.parametrize(
    ("balance_vnd", "granted_s"), [(150, 6), (174, 6), (175, 7), (14_999, 599)]
)
def test_the_grant_is_what_the_balance_pays(balance_vnd, granted_s):
    world = a_world(balance_vnd=balance_vnd)
    world.offer("c", A, B)
    assert world.key("c", "1").data["max_seconds"] == granted_s
    assert world.answered("c").data == {"max_seconds": granted_s, "final": True}
    assert world.ended("c", granted_s + 1).data["billed_seconds"] == granted_s
    assert world.balance(B) >= 0
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-15")
@pytest.mark.parametrize(
    ("balance_vnd", "granted_s", "warn_s"), [(150, 6, 3), (175, 7, 3), (1_000, 40, 20)]
)
def test_a_short_grant_is_warned_of_at_its_half(balance_vnd, granted_s, warn_s):
    world = a_world(balance_vnd=balance_vnd)
    world.offer("c", A, B)
    said = world.key("c", "1").data
    assert (said["max_seconds"], said["warn_seconds"]) == (granted_s, warn_s)


@pytest.mark.rule("PFM-15")
def test_where_the_platform_cannot_extend_the_whole_call_is_granted_at_once():
    world = a_world(grant="whole")
    world.offer("c", A, B)
    assert world.key("c", "1").data["max_seconds"] == 3_600
    assert world.answered("c").data == {"max_seconds": 3_600, "final": True}
    assert world.held(B) == 90_000


@pytest.mark.rule("PFM-15")
def test_two_calls_on_one_balance_never_exceed_it_together():
    world = a_world(balance_vnd=20_000)
    world.connect("c", A, B)  # Holds 15,000.
    world.offer("d", D, B)
    assert world.key("d", "1").data["max_seconds"] == 200
    world.answered("d")
    assert world.progress("c", 500).data == {"max_seconds": 600, "final": True}
    assert world.ended("d", 100).data["charged_vnd"] == 2_500
    assert world.progress("c", 590).data == {"max_seconds": 700, "final": True}
    assert world.ended("c", 700).data["charged_vnd"] == 17_500
    assert world.balance(B) == 0
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-15", "PKG-6")
def test_a_renewal_in_mid_call_cannot_take_what_is_held():
    world = a_world(balance_vnd=15_900)
    world.text(B, "DK")
    world.pass_time(DAY_MS - MINUTE_MS)
    world.connect("c", A, B)
    world.pass_time(2 * MINUTE_MS)
    assert world.package(B).status == "suspended"  # 900 d are free, the day costs 1,000.
    assert world.progress("c", 120).data == {"max_seconds": 636, "final": True}
    assert world.ended("c", 120).data["charged_vnd"] == 3_000
    world.topup(B, 100)
    assert world.package(B).status == "active"
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-15", "PFM-4")
@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_who_is_barred_in_mid_call_keeps_the_grant_and_gets_no_more(world, state):
    world.connect("c", A, B)
    world.set_state(B, state)
    assert world.progress("c", 500).data == {"max_seconds": 600, "final": True}
    assert world.ended("c", 500).data["charged_vnd"] == 12_500
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-16")
def test_a_call_is_priced_by_the_tariff_it_was_offered_under():
    later_ms = START_MS + 5 * MINUTE_MS
    world = a_world(tariffs=[("dear", later_ms, 6_000, 10)])
    world.connect("c", A, B)
    world.pass_time(6 * MINUTE_MS)
    world.progress("c", 360)
    assert world.ended("c", 420).data["charged_vnd"] == 10_500
    assert "6.000" in world.offer("d", A, B).data["prompt_text"]
    world.key("d", "1")
    world.answered("d")
    assert world.ended("d", 1).data["charged_vnd"] == 1_000
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-15", "PFM-16")
def test_talk_that_costs_nothing_is_granted_and_ends_without_an_entry():
    world = a_world(balance_vnd=0, tariffs=[("free", START_MS, 0, 6)])
    world.connect("c", A, B)
    assert world.progress("c", 590).data == {"max_seconds": 1_190, "final": False}
    assert world.ended("c", 800).data == {"charged_vnd": 0, "billed_seconds": 800}
    assert world.entries("c") == []
    assert world.sent_to(B) == []
    assert books_are_in_order(world)


# ------------------------------------------------------------------------------ reports, in any way


@pytest.mark.rule("PFM-16")
def test_reports_are_cumulative_whatever_their_order(world):
    world.connect("c", A, B)
    for used_s in (100, 40, 100, 0, 250, 90):
        world.progress("c", used_s)
    assert world.call("c").used_s == 250
    assert world.ended("c", 120).data == {"charged_vnd": 6_250, "billed_seconds": 250}


@pytest.mark.rule("PFM-16", "IVR-3")
def test_talk_is_proved_by_a_report_when_the_answer_was_lost(world):
    world.offer("c", A, B)
    world.key("c", "1")
    world.clock.advance(60_000)
    world.progress("c", 20)
    assert world.call("c").answered_at == world.now_ms - 20_000
    assert world.answered("c").data["max_seconds"] == 620
    world.offer("d", D, B)
    world.key("d", "1")
    assert world.ended("d", 60).data["charged_vnd"] == 1_500


@pytest.mark.rule("IVR-3", "PFM-16")
@pytest.mark.parametrize("used_s", [0, -1])
def test_an_end_without_talk_costs_nothing(world, used_s):
    world.offer("c", A, B)
    world.key("c", "1")
    world.clock.advance(HOUR_MS)
    assert world.ended("c", used_s).data == {"charged_vnd": 0, "billed_seconds": 0}
    assert world.hold("c").status == HoldStatus.RELEASED
    assert world.sent_to(B) == []


@pytest.mark.rule("IVR-3")
def test_a_hangs_up_while_b_is_asked_and_b_is_dropped(world):
    world.offer("c", A, B)
    gone = {"charged_vnd": 0, "billed_seconds": 0, "drop": "payer"}
    assert [world.ended("c").data, world.ended("c", 5).data] == [gone, gone]
    assert world.key("c", "1").data["action"] == "refuse"
    assert world.offer("d", D, B).data["action"] == "ask"


@pytest.mark.rule("IVR-3")
@pytest.mark.parametrize(
    ("talked_ms", "charged_vnd"), [(0, 0), (1, 150), (6_000, 150), (6_001, 175), (60_000, 1_500)]
)
def test_without_measured_seconds_the_two_moments_count(world, talked_ms, charged_vnd):
    world.connect("c", A, B)
    began_ms = world.call("c").answered_at
    assert world.ended("c", -1, began_ms + talked_ms).data["charged_vnd"] == charged_vnd


@pytest.mark.rule("IVR-3")
@pytest.mark.parametrize("off_ms", [-3_600_000, 3_600_000])
def test_the_platform_s_clock_is_never_mixed_with_ours(world, off_ms):
    world.offer("c", A, B)
    world.key("c", "1")
    world.answered("c", world.now_ms + off_ms)
    world.clock.advance(60_000)
    assert world.ended("c").data == {"charged_vnd": 1_500, "billed_seconds": 60}


@pytest.mark.rule("IVR-3")
def test_another_caller_under_a_used_id_gets_nothing(world):
    world.offer("c", A, B)
    other = world.offer("c", C, B)
    assert (other.outcome, other.data) == ("call.wrong_order", {"state": "asking"})
    assert world.call("c").caller == A


@pytest.mark.rule("IVR-3")
def test_without_any_measure_our_own_clock_counts(world):
    world.connect("c", A, B)
    world.clock.advance(60_001)
    assert world.ended("c").data == {"charged_vnd": 1_525, "billed_seconds": 61}


@pytest.mark.rule("IVR-3")
def test_a_platform_that_does_not_measure_talk_is_not_believed():
    world = a_world(platform_measures_talk=False)
    world.connect("c", A, B)
    world.clock.advance(10_000)
    assert world.ended("c", 300).data["billed_seconds"] == 10
    world.offer("d", A, B)
    world.key("d", "1")
    assert world.ended("d", 300).data["charged_vnd"] == 0  # Not even bridged.


@pytest.mark.rule("IVR-3", "PFM-16")
@pytest.mark.parametrize("nonsense", [10**9, 10**15, 10**18])
def test_impossible_reports_break_neither_books_nor_clock(world, nonsense):
    world.connect("c", A, B)
    world.progress("c", nonsense)
    world.ended("c", nonsense, nonsense)
    world.offer("d", A, B)
    world.key("d", "1")
    world.answered("d", nonsense)
    assert world.call("d").answered_at in {nonsense, world.now_ms}
    world.progress("d", 1)
    world.ended("d", -1, nonsense)
    assert world.balance(B) >= 0
    assert books_are_in_order(world)


@pytest.mark.rule("IVR-3")
def test_an_end_before_its_answer_takes_back_no_time(world):
    world.offer("c", A, B)
    world.key("c", "1")
    world.answered("c", world.now_ms + HOUR_MS)  # A platform whose clock is wrong.
    assert world.ended("c", -1, world.now_ms).data["charged_vnd"] == 0


@pytest.mark.rule("IVR-3")
@pytest.mark.parametrize("op", ["consent", "answered", "progress", "ended", "show"])
@pytest.mark.parametrize(("call_id", "platform"), [("x", PLATFORM), ("", PLATFORM), ("c", "vxml")])
def test_a_call_that_is_unknown_or_anothers_is_unknown_harmlessly(world, op, call_id, platform):
    world.offer("c", A, B)
    args = {"consent": ("digit", "1", ""), "answered": (0,), "progress": (5,), "ended": (5, 0)}
    (reply,) = world.run(call_request(op, call_id, *args.get(op, ()), platform=platform))
    assert reply.outcome == "call.unknown"
    assert world.call("c").state == "asking"


@pytest.mark.rule("IVR-3")
def test_after_the_end_everything_else_is_told_the_final_charge(world):
    world.connect("c", A, B)
    final = world.ended("c", 60).data
    for late in (
        world.offer("c", A, B),
        world.key("c", "1"),
        world.answered("c"),
        world.progress("c", 90),
    ):
        assert (late.outcome, late.data) == ("call.over", final)
    shown = world.show("c").data
    assert (shown["state"], shown["used_seconds"], shown["charged_vnd"]) == ("ended", 60, 1_500)


@pytest.mark.rule("IVR-3")
def test_an_event_out_of_order_is_said_to_be(world):
    world.offer("c", A, B)
    assert world.answered("c").outcome == "call.wrong_order"
    assert world.progress("c", 5).outcome == "call.wrong_order"
    assert world.call("c").state == "asking"


@pytest.mark.rule("IVR-3")
def test_an_answer_that_is_told_twice_is_told_the_same_twice(world):
    world.offer("c", A, B)
    early = world.answered("c")
    assert (early.outcome, early.data) == ("call.wrong_order", {"state": "asking"})
    world.key("c", "1")
    first, again = world.answered("c", world.now_ms), world.answered("c", world.now_ms)
    granted = {"max_seconds": 600, "final": False}
    assert (first.outcome, first.data) == ("call.ok", granted)
    assert (again.outcome, again.data) == ("call.ok", granted)
    more = world.progress("c", 60)
    assert (more.outcome, more.data) == ("call.ok", {"max_seconds": 660, "final": False})


@pytest.mark.rule("PFM-17", "NUM-5")
def test_a_late_end_takes_nothing_from_the_next_owner_of_the_number(world):
    world.connect("c", A, B)
    world.progress("c", 10)
    world.pass_time(DAY_MS)
    assert world.call("c").suspect
    world.set_state(B, "closed")
    world.clock.advance(1)
    world.subscriber(B, balance_vnd=50_000)
    world.ended("c", 60)
    assert world.balance(B) == 50_000
    assert world.call("c").written_off_vnd == 1_500 - 250
    assert books_are_in_order(world)


@pytest.mark.rule("IVR-3")
def test_an_offer_that_comes_again_gets_the_answer_that_stands(world):
    first = world.offer("c", A, B).data
    assert world.offer("c", A, B).data == first
    accepted = world.key("c", "1").data
    assert world.offer("c", A, B).data == accepted
    assert len(world.open_holds()) == 1


@pytest.mark.rule("IVR-3")
def test_all_events_of_a_call_may_come_in_one_batch(world):
    answers = world.run(
        call_request("offer", "c", dialled(B), sender=A),
        call_request("offer", "d", dialled(B), sender=D),
        call_request("consent", "c", "digit", "1", ""),
        call_request("answered", "c", 0),
        call_request("progress", "c", 10),
        call_request("ended", "c", 7, 0),
        call_request("ended", "c", 7, 0),
    )
    assert answers[1].data["action"] == "busy"
    assert answers[-1].data == answers[-2].data == {"charged_vnd": 250, "billed_seconds": 10}
    assert books_are_in_order(world)


# ------------------------------------------------------------------------------------ supervision


@pytest.mark.rule("PFM-17")
def test_a_call_without_an_end_is_closed_at_its_last_report_after_grant_and_grace(world):
    world.connect("c", A, B)
    world.pass_time(MINUTE_MS)
    world.progress("c", 60)  # Granted: 660.
    world.pass_time(10 * MINUTE_MS + GRACE_MS - 1)
    assert world.call("c").state == "talking"
    world.pass_time(1)
    call = world.call("c")
    assert (call.state, call.suspect, call.charged_vnd) == ("ended", 1, 1_500)
    assert (call.billed_s, call.reason) == (60, "no_end")
    assert world.held(B) == 0
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-17")
def test_a_grant_that_never_became_a_call_is_let_go(world):
    world.offer("c", A, B)
    world.key("c", "1")
    world.pass_time(150 * SECOND_MS - 1)
    assert world.call("c").state == "granted"
    world.pass_time(1)
    assert (world.call("c").state, world.call("c").charged_vnd) == ("ended", 0)
    assert world.hold("c").status == HoldStatus.EXPIRED
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-17", "PFM-18")
@pytest.mark.parametrize(
    ("late_s", "billed_s", "entries", "written_off"),
    [
        (20, 30, [750], []),
        (30, 30, [750], []),
        (60, 60, [750, 750], []),
        (630, 630, [750, 15_000], []),
        (640, 630, [750, 15_000], [250]),
    ],
)
def test_a_late_end_posts_the_difference_once(world, late_s, billed_s, entries, written_off):
    world.connect("c", A, B)
    world.progress("c", 30)  # Granted: 630.
    world.pass_time(HOUR_MS)
    assert world.call("c").charged_vnd == 750
    final = {"charged_vnd": sum(entries), "billed_seconds": billed_s}
    assert [world.ended("c", late_s).data for _ in range(3)] == [final] * 3
    assert world.entries("c") == entries
    assert world.entries("c", kind="call.write_off") == written_off
    assert len(world.sent_to(B)) == len(entries)
    assert world.text(B, "KT CUOC").text.count("0903000001") == len(entries)
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-17")
def test_what_the_balance_cannot_bear_later_is_written_off():
    world = a_world(balance_vnd=2_000)
    world.connect("c", A, B)  # 80 s.
    world.progress("c", 10)
    world.pass_time(HOUR_MS)
    assert world.balance(B) == 1_750
    world.text(B, "DK")
    world.text(B, "HUY")
    world.text(B, "DK")
    assert world.balance(B) == 750
    assert world.ended("c", 90).data == {"charged_vnd": 1_000, "billed_seconds": 80}
    assert world.balance(B) == 0
    assert world.entries("c") == [250, 750]
    assert world.entries("c", kind="call.write_off") == [1_250]
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-17")
def test_talk_beyond_the_grant_is_written_off_by_supervision_and_not_twice():
    world = a_world(balance_vnd=250)
    world.connect("c", A, B)  # 10 s.
    world.progress("c", 14)
    world.pass_time(HOUR_MS)
    assert world.entries("c", kind="call.write_off") == [100]
    world.ended("c", 20)
    assert world.entries("c", kind="call.write_off") == [100, 150]
    assert (world.call("c").charged_vnd, world.call("c").written_off_vnd) == (250, 250)
    assert books_are_in_order(world)


@pytest.mark.rule("PFM-17", "IVR-3")
def test_a_late_end_that_says_neither_seconds_nor_moment_adds_nothing(world):
    world.connect("c", A, B)
    world.progress("c", 10)
    world.pass_time(DAY_MS)
    assert world.ended("c").data == {"charged_vnd": 250, "billed_seconds": 10}
    world.connect("d", A, B)
    world.pass_time(DAY_MS)
    began_ms = world.call("d").answered_at
    assert world.ended("d", -1, began_ms + 20_000).data["charged_vnd"] == 500


@pytest.mark.rule("PFM-17")
def test_supervision_looks_only_at_what_is_due_and_does_it_once(world):
    world.connect("c", A, B)
    clock = Request("clock.call", args=(f"{PLATFORM}:c",), channel=Channel.CLOCK)
    assert [answer.outcome for answer in world.run(clock)] == ["clock.not_due"]
    world.pass_time(HOUR_MS, down=True)
    outcomes = [answer.outcome for answer in world.run(clock, clock)]
    assert outcomes == ["call.suspect", "clock.not_due"]
    nobody = Request("clock.call", args=("nobody:x",), channel=Channel.CLOCK)
    assert [answer.outcome for answer in world.run(nobody)] == ["clock.not_due"]


@pytest.mark.rule("PFM-17")
def test_an_end_that_comes_before_supervision_got_round_is_no_late_one(world):
    world.connect("c", A, B)
    world.pass_time(DAY_MS, down=True)
    assert world.ended("c", 60).data["charged_vnd"] == 1_500
    assert world.clock_work() == []
    assert not world.call("c").suspect


# --------------------------------------------------------------------------------------- receipts


@pytest.mark.rule("PFM-18", "KW-8")
def test_b_gets_a_receipt_in_his_language_with_number_time_length_and_charge(world):
    world.offer("c", A, B)
    world.clock.advance(MINUTE_MS)  # The talk begins when A is answered, not when he dials.
    world.key("c", "1")
    world.answered("c", world.now_ms)
    world.ended("c", 187)
    (text,) = world.sent_to(B)
    assert [row.kind for row in world.outbox()] == ["receipt"]
    for said in ("4.675d", "0903000001", "10:01 02/03/2026", "187 giay"):
        assert said in text
    world.text(B, "NN EN")
    world.connect("d", A, B)
    world.ended("d", 7)
    assert "you paid 175d" in world.sent_to(B)[-1]


@pytest.mark.rule("PFM-18")
def test_receipts_can_be_switched_off_and_the_list_of_charges_has_the_call():
    world = a_world(receipts=False)
    world.connect("c", A, B)
    world.ended("c", 60)
    assert world.sent_to(B) == []
    answer = world.text(B, "KT CUOC")
    assert "1.500d" in answer.text
    assert "0903000001" in answer.text
