"""Receiver-paid calls through HTTP on a whole telcod: who may call whom, who pays, how much."""

import pytest

from telcod.rows import HOLD, HoldStatus
from telcod.settings import shipped_config_dir
from tests.ivr.operator import AN, BINH, CUC, DUNG, TO_BINH, Operator, price

pytestmark = pytest.mark.anyio

DAY_S = 24 * 3_600
NEUTRAL, NOT_SERVED, TOO_OFTEN = "refused", "refused_not_served", "refused_too_often"


def refused(told, prompt_id=NEUTRAL, reason=None):
    assert told.status == 200
    assert told.get("action") == "refuse", told
    assert told.get("prompt_id") == prompt_id
    assert told.get("prompt_text")
    assert told.get("max_seconds") == 0
    if reason is not None:
        assert told.get("reason") == reason


# ------------------------------------------------------------------------------- who may, PFM-4, 10


@pytest.mark.rule("PFM-4", "PFM-10")
@pytest.mark.parametrize(
    ("caller", "payer", "reason"),
    [
        pytest.param({"msisdn": 0}, {}, "caller_not_served", id="A is no subscriber"),
        pytest.param({"kind": "postpaid"}, {}, "caller_not_served", id="A is postpaid"),
        pytest.param({"state": "suspended"}, {}, "caller_not_served", id="A is suspended"),
        pytest.param({}, {"msisdn": 0}, "payer_not_served", id="B is no subscriber"),
        pytest.param({}, {"state": "out_of_money"}, "payer_not_served", id="B is out of money"),
        pytest.param({}, {"state": "suspended"}, "payer_not_served", id="B is suspended"),
        pytest.param({}, {"kind": "postpaid"}, "payer_not_served", id="B is postpaid"),
    ],
)
async def test_only_prepaid_people_on_the_network_are_served(operator, caller, payer, reason):
    number, other = 84903000011, 84903000012
    for msisdn, line in ((number, caller), (other, payer)):
        if line.get("msisdn") != 0:
            await operator.person(msisdn, **line)
    told = await operator.ivr.offer("1", str(number), f"1566{other}")
    refused(told, NOT_SERVED, reason)
    assert (await operator.call("1")).reason == reason


@pytest.mark.rule("PFM-4")
async def test_who_has_no_money_at_all_may_call(operator):
    await operator.person(84903000011, balance_vnd=0, state="out_of_money")
    await operator.ask(caller="0903000011")


@pytest.mark.rule("PFM-4")
@pytest.mark.parametrize("dialled", ["15660903000001", "1566 +84 903 000 001"])
async def test_nobody_calls_himself(operator, dialled):
    refused(await operator.ivr.offer("1", "0903000001", dialled), NOT_SERVED, "own_number")


@pytest.mark.rule("PFM-10", "NUM-1")
async def test_a_and_b_may_be_told_in_any_form(operator):
    forms = ("{0}", "84{0}", "+84{0}", "0084 {0}", "0{0}", "(84) {0}")
    for call_id, form in enumerate(forms):
        caller, dialled = form.format("903000001"), form.format("903-000.002")
        told = await operator.ask(str(call_id), caller=caller, dialled=f"1566{dialled}")
        assert told.get("payer") == str(BINH)
        assert (await operator.call(str(call_id))).caller == AN
        await operator.ivr.ended(str(call_id))


@pytest.mark.rule("PFM-10")
async def test_what_is_no_number_is_not_served(operator):
    for number in ("0", "12345", "09030000020903000002"):
        told = await operator.ivr.offer(number, "0903000001", f"1566{number}")
        refused(told, NOT_SERVED, "number_malformed")


@pytest.mark.rule("PFM-3")
async def test_1566_alone_is_the_guidance_and_costs_nothing(operator):
    told = await operator.ivr.offer("1", "0903000001", "1566")
    assert (told.get("action"), told.get("prompt_id")) == ("announce", "guidance")
    assert not await operator.charges()
    assert not await operator.open_holds()


# --------------------------------------------------------------------------- order and what A hears


@pytest.mark.rule("PFM-10", "LST-4")
async def test_the_blacklist_comes_before_rates_and_money(operator):
    await operator.text(CUC, "B 0903000001")
    await operator.person(84903000015, balance_vnd=0)
    await operator.text(84903000015, "B 0903000001")
    for call_id, dialled in (("1", "15660903000003"), ("2", "15660903000015")):
        refused(await operator.ivr.offer(call_id, "0903000001", dialled))
        assert (await operator.call(call_id)).reason == "blacklisted"


@pytest.mark.rule("PFM-10", "PFM-14")
async def test_the_rate_comes_before_the_money(operator):
    for at in range(10):
        await operator.ask(f"a{at}")
        await operator.ivr.ended(f"a{at}")
    await operator.has_package(BINH, CUC)
    held = await operator.ivr.offer("c", "0903000003", TO_BINH)  # takes half of what B has
    assert held.get("action") == "connect"
    refused(await operator.ivr.offer("last", "0903000001", TO_BINH), TOO_OFTEN, "too_often")


@pytest.mark.rule("PFM-13", "LST-4")
async def test_a_hears_the_same_bytes_whatever_the_reason(operator):
    await operator.text(BINH, "B 0903000004")
    told = [await operator.ivr.offer("blacklisted", "0903000004", TO_BINH)]
    for answer in ("2", "hangup", "no_answer", "busy", "voicemail"):
        await operator.ask(answer)
        told.append(await operator.ivr.consent(answer, answer))
    for call_id, answer in (("silent", "silence"), ("wrong", "9")):
        await operator.ask(call_id)
        told += [await operator.ivr.consent(call_id, answer) for _ in range(3)]
    contents = {each.content for each in told if each.get("action") != "ask"}
    assert len(told) == 12
    assert len(contents) == 1
    refused(told[0])
    reasons = {
        (await operator.call(call_id)).reason
        for call_id in ("blacklisted", "2", "hangup", "no_answer", "busy", "silent", "wrong")
    }
    assert len(reasons) == 7  # the books know better


@pytest.mark.rule("PFM-10", "PFM-13")
async def test_who_has_too_little_money_hears_what_all_hear(operator):
    await operator.person(84903000015, balance_vnd=149)
    await operator.text(84903000015, "B 0903000004")
    poor = await operator.ivr.offer("poor", "0903000001", "15660903000015")
    black = await operator.ivr.offer("black", "0903000004", "15660903000015")
    assert poor.content == black.content
    assert (await operator.call("poor")).reason == "no_money"


# ------------------------------------------------------------------------------------ rates, PFM-14


@pytest.mark.rule("PFM-14")
async def test_ten_requests_to_one_number_a_day_and_no_more(operator):
    for at in range(10):
        await operator.ask(str(at))
        await operator.ivr.consent(str(at), "2")
    refused(await operator.ivr.offer("11th", "0903000001", TO_BINH), TOO_OFTEN, "too_often")
    await operator.ask("another", dialled="15660903000003")
    operator.pass_s(DAY_S)
    await operator.ask("tomorrow")


@pytest.mark.rule("PFM-14")
async def test_thirty_requests_to_anyone_a_day_and_no_more(operator):
    payers = ("0903000002", "0903000003", "0903000004")
    for at in range(30):
        await operator.ask(str(at), dialled=f"1566{payers[at % 3]}")
        await operator.ivr.ended(str(at))
    await operator.person(84903000015)
    refused(await operator.ivr.offer("31st", "0903000001", "15660903000015"), TOO_OFTEN)
    await operator.ask("another", caller="0903000003", dialled="15660903000015")


# ------------------------------------------------------------------ money and whitelist, PFM-10, 11


@pytest.mark.rule("PFM-10")
async def test_b_is_asked_only_if_the_first_block_can_be_paid(operator):
    for payer, balance_vnd, action in (
        (84903000015, 0, "refuse"),
        (84903000016, 149, "refuse"),
        (84903000017, 150, "ask"),
    ):
        await operator.person(payer, balance_vnd=balance_vnd)
        told = await operator.ivr.offer(str(payer), "0903000001", f"1566{payer}")
        assert told.get("action") == action
    assert (await operator.ivr.consent("84903000017", "1")).get("max_seconds") == 6


@pytest.mark.rule("PFM-10", "PFM-15")
async def test_the_whitelist_connects_without_a_question(operator):
    await operator.has_package(BINH, AN)
    told = await operator.ivr.offer("1", "0903000001", TO_BINH)
    assert (told.get("action"), told.get("max_seconds")) == ("connect", 600)
    assert (told.get("payer"), told.get("warn_seconds")) == (str(BINH), 30)
    assert await operator.held(BINH) == price(600)
    call = await operator.call("1")
    assert (call.automatic, call.wording) == (1, "whitelist")


@pytest.mark.rule("PFM-10", "PKG-6")
async def test_a_suspended_package_asks_again(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=900)  # less than the day's price
    await operator.has_package(payer, AN)
    operator.pass_s(DAY_S + 60)
    await operator.tick()
    await operator.ask(dialled="15660903000015")


@pytest.mark.rule("PFM-10", "PKG-7")
async def test_without_its_package_a_whitelist_sleeps(operator):
    await operator.has_package(BINH, AN)
    await operator.text(BINH, "HUY")
    await operator.ask()


@pytest.mark.rule("PFM-11")
async def test_b_dialled_directly_pays_for_whom_he_whitelists(operator):
    await operator.has_package(BINH, AN)
    told = await operator.ivr.offer("1", "0903000001", "0903000002")
    assert (told.get("action"), told.get("payer")) == ("connect", str(BINH))
    await operator.ivr.answered("1")
    assert (await operator.ivr.ended("1", 7)).get("charged_vnd") == 175


@pytest.mark.rule("PFM-11")
async def test_any_other_direct_call_is_the_callers_own(operator):
    await operator.text(CUC, "B 0903000001")
    await operator.has_package(DUNG, AN)
    await operator.text(DUNG, "HUY")
    for number in ("0903000002", "0903000003", "0903000004", "0912345678", "113", "0903000001"):
        told = await operator.ivr.offer(number, "0903000001", number)
        assert told.get("action") == "not_applicable"
        assert told.get("prompt_id") == ""
    assert not await operator.open_holds()


# ----------------------------------------------------------------------------- the question, PFM-12


@pytest.mark.rule("PFM-12", "IVR-1")
async def test_the_question_names_a_and_the_price_before_the_key(operator):
    told = await operator.ask()
    text = told.get("prompt_text")
    assert text.index("0 9 0 3 0 0 0 0 0 1") < text.index("1.500") < text.index("150 ")
    assert text.index("150 ") < text.index("phím 1")
    assert (told.get("prompt_id"), told.get("keys")) == ("ask", "124")
    assert (told.get("answer_within_s"), told.get("repeat")) == (8, 1)


@pytest.mark.rule("PFM-12")
async def test_key_3_is_offered_to_who_has_a_package(operator):
    await operator.has_package(BINH)
    told = await operator.ask()
    assert (told.get("prompt_id"), told.get("keys")) == ("ask_listed", "1234")
    assert "phím 3" in told.get("prompt_text")


@pytest.mark.rule("PFM-12", "PFM-13")
@pytest.mark.parametrize(
    ("key", "action", "list_kind"),
    [
        ("1", "connect", None),
        ("2", "refuse", None),
        ("3", "connect", "white"),
        ("4", "refuse", "black"),
    ],
)
async def test_each_key_does_what_was_said(operator, key, action, list_kind):
    await operator.has_package(BINH)
    await operator.ask()
    operator.pass_s(5)
    told = await operator.ivr.consent("1", key, recording="rec/2026/1.wav")
    assert told.get("action") == action
    assert (await operator.listed(BINH)).get(AN) == list_kind
    call = await operator.call("1")
    assert (call.consent_key, call.recording) == (key, "rec/2026/1.wav")
    if action == "connect":
        assert (call.wording, call.consent_at) == ("2026-1", operator.clock.wall_ms())
    else:
        refused(told)
        assert not await operator.open_holds()


@pytest.mark.rule("PFM-12")
async def test_key_3_without_a_package_is_no_key(operator):
    await operator.ask()
    told = await operator.ivr.consent("1", "3")
    assert (told.get("action"), told.get("repeat")) == ("ask", 2)
    assert not await operator.listed(BINH)


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize("answer", ["silence", "0", "5", "9", "*", "#"])
async def test_silence_and_wrong_keys_are_asked_twice_again_and_then_refused(operator, answer):
    await operator.ask()
    for repeat in (2, 3):
        told = await operator.ivr.consent("1", answer)
        assert (told.get("action"), told.get("repeat")) == ("ask", repeat)
    refused(await operator.ivr.consent("1", answer))
    refused(await operator.ivr.consent("1", "1"))  # too late
    assert not await operator.open_holds()


@pytest.mark.rule("PFM-12")
async def test_a_key_after_two_silences_still_counts(operator):
    await operator.ask()
    await operator.ivr.consent("1", "silence")
    await operator.ivr.consent("1", "7")
    assert (await operator.ivr.consent("1", "1")).get("action") == "connect"


@pytest.mark.rule("PFM-12")
@pytest.mark.parametrize("what", ["hangup", "no_answer", "busy", "voicemail"])
async def test_whoever_does_not_answer_has_refused(operator, what):
    await operator.ask()
    refused(await operator.ivr.consent("1", what))
    assert not await operator.open_holds()
    assert (await operator.ivr.answered("1")).status == 409


@pytest.mark.rule("IVR-3")
async def test_while_b_is_asked_a_second_caller_is_told_that_b_is_busy(operator):
    await operator.ask()
    told = await operator.ivr.offer("2", "0903000003", TO_BINH)
    assert (told.get("action"), told.get("reason")) == ("busy", "busy")
    await operator.ivr.consent("1", "2")
    await operator.ask("3", caller="0903000003")


@pytest.mark.rule("PFM-12", "IVR-3")
async def test_a_consent_after_its_deadline_is_none(operator):
    await operator.ask()
    operator.pass_s(3_600)
    refused(await operator.ivr.consent("1", "1"))
    assert not await operator.open_holds()
    assert (await operator.call("1")).reason == "expired"


@pytest.mark.rule("PFM-12", "PFM-16")
@pytest.mark.parametrize(("first", "then", "action"), [("1", "2", "connect"), ("2", "1", "refuse")])
async def test_the_first_consent_stands(operator, first, then, action):
    await operator.ask()
    decided = await operator.ivr.consent("1", first)
    again = await operator.ivr.consent("1", then)
    assert decided.get("action") == action
    assert again.content == decided.content
    assert len(await operator.open_holds()) == (action == "connect")


# ------------------------------------------------------------------ grants and holds, PFM-1, PFM-15


@pytest.mark.rule("PFM-15")
async def test_money_that_went_between_question_and_key_connects_nobody(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=2_000)
    await operator.has_package(payer, CUC)
    await operator.ask(dialled="15660903000015")
    whitelisted = await operator.ivr.offer("2", "0903000003", "15660903000015")
    assert (whitelisted.get("action"), whitelisted.get("max_seconds")) == ("connect", 80)
    refused(await operator.ivr.consent("1", "1"))
    assert await operator.held(payer) == 2_000


@pytest.mark.rule("PFM-1", "PFM-16")
async def test_talk_costs_what_the_price_list_says(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=60_000)
    for seconds in (0, 1, 5, 6, 7, 59, 60, 61, 599):
        before = await operator.balance(payer)
        await operator.talk(str(seconds), dialled="15660903000015")
        told = await operator.ivr.ended(str(seconds), seconds)
        assert told.body == {"charged_vnd": price(seconds), "billed_seconds": seconds}
        assert await operator.balance(payer) == before - price(seconds)
        assert await operator.held(payer) == 0
    assert [price(s) for s in (0, 1, 6, 7, 60, 3_600)] == [0, 150, 150, 175, 1_500, 90_000]


@pytest.mark.rule("PFM-1", "PFM-15")
async def test_an_hour_costs_90000_and_is_the_longest_call(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=200_000)
    told = await operator.talk(dialled="15660903000015")
    granted = [told.get("max_seconds")]
    while True:
        told = await operator.ivr.progress("1", granted[-1])
        if told.get("max_seconds") == granted[-1]:
            break
        granted.append(told.get("max_seconds"))
        assert await operator.held(payer) == price(granted[-1])
    assert granted == [600, 1200, 1800, 2400, 3000, 3600]
    assert told.get("final") is True
    assert (await operator.ivr.ended("1", 3_600)).get("charged_vnd") == 90_000 == price(3_600)
    assert await operator.balance(payer) == 110_000


@pytest.mark.rule("PFM-15")
async def test_a_grant_grows_while_they_talk(operator):
    assert (await operator.talk()).get("max_seconds") == 600
    assert (await operator.ivr.progress("1", 90)).body == {"max_seconds": 690, "final": False}
    assert (await operator.ivr.progress("1", 300)).body == {"max_seconds": 800, "final": True}
    assert await operator.held(BINH) == price(800) == 20_000


@pytest.mark.rule("PFM-15")
async def test_the_last_unit_is_what_the_balance_pays(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=2_024)  # 80 seconds, and one dong less than 81
    told = await operator.talk(dialled="15660903000015")
    assert (told.get("max_seconds"), told.get("warn_seconds")) == (80, 30)
    assert (await operator.ivr.progress("1", 79)).body == {"max_seconds": 80, "final": True}
    assert (await operator.ivr.ended("1", 80)).get("charged_vnd") == 2_000
    assert await operator.balance(payer) == 24


@pytest.mark.rule("PFM-16")
async def test_talk_beyond_the_grant_is_nobodys_but_the_operators(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=2_000)
    await operator.talk(dialled="15660903000015")
    told = await operator.ivr.ended("1", 100)
    assert told.body == {"charged_vnd": 2_000, "billed_seconds": 80}
    assert await operator.balance(payer) == 0
    assert await operator.written_off() == 500


@pytest.mark.rule("PFM-15")
async def test_two_calls_on_one_small_balance_never_exceed_it(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=16_000)
    first = await operator.talk("1", dialled="15660903000015")
    second = await operator.talk("2", caller="0903000003", dialled="15660903000015")
    assert (first.get("max_seconds"), second.get("max_seconds")) == (600, 40)
    assert await operator.held(payer) == 16_000
    third = await operator.ivr.offer("3", "0903000004", "15660903000015")
    refused(third)
    assert (await operator.ivr.progress("1", 300)).body == {"max_seconds": 600, "final": True}
    charged = [
        (await operator.ivr.ended(call_id, 5_000)).get("charged_vnd") for call_id in ("1", "2")
    ]
    assert charged == [15_000, 1_000]
    assert await operator.balance(payer) == 0


@pytest.mark.rule("PFM-15", "PKG-6")
async def test_a_renewal_in_mid_call_takes_only_what_is_not_held(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=16_000)
    await operator.has_package(payer)
    operator.pass_s(DAY_S - 60)
    told = await operator.talk(dialled="15660903000015")
    assert told.get("max_seconds") == 600
    operator.pass_s(120)
    await operator.tick()
    assert await operator.balance(payer) == 15_000  # the package is paid, from the rest
    assert (await operator.ivr.progress("1", 120)).body == {"max_seconds": 600, "final": True}
    operator.pass_s(480)
    assert (await operator.ivr.ended("1", 600)).get("charged_vnd") == 15_000
    assert await operator.balance(payer) == 0


@pytest.mark.rule("PFM-15")
async def test_a_platform_that_cannot_extend_gets_the_whole_at_once(tmp_path):
    async with Operator(tmp_path, grant="whole") as operator:
        assert (await operator.connect()).get("max_seconds") == 800  # all that 20.000 d pay
        assert await operator.held(BINH) == 20_000
        await operator.person(84903000015, balance_vnd=500_000)
        told = await operator.connect("2", dialled="15660903000015")
        assert told.get("max_seconds") == 3_600


# --------------------------------------------------------------------- reports and ends, PFM-16, 17


@pytest.mark.rule("PFM-16")
async def test_reports_may_come_twice_and_in_any_order(operator):
    await operator.talk()
    told = [await operator.ivr.progress("1", used_s) for used_s in (60, 120, 30, 120, 119)]
    assert [each.get("max_seconds") for each in told] == [660, 720, 720, 720, 720]
    assert (await operator.ivr.show("1")).get("used_seconds") == 120
    assert (await operator.ivr.ended("1", 100)).body == {
        "charged_vnd": price(120),
        "billed_seconds": 120,
    }


@pytest.mark.rule("PFM-16", "IVR-3")
async def test_an_end_twice_is_one_end(operator):
    await operator.talk()
    first = await operator.ivr.ended("1", 60)
    again = [await operator.ivr.ended("1", used_s) for used_s in (60, 600, None)]
    assert {told.content for told in again} == {first.content}
    assert await operator.charges() == [1_500]


@pytest.mark.rule("IVR-3")
async def test_after_the_end_a_report_is_refused_with_the_final_charge(operator):
    await operator.talk()
    await operator.ivr.ended("1", 60)
    for told in (
        await operator.ivr.answered("1"),
        await operator.ivr.progress("1", 90),
        await operator.ivr.consent("1", "1"),
        await operator.ivr.offer("1", "0903000001", TO_BINH),
    ):
        assert told.status == 409
        assert (told.get("charged_vnd"), told.get("billed_seconds")) == (1_500, 60)
    assert await operator.charges() == [1_500]


@pytest.mark.rule("PFM-16", "IVR-3")
async def test_an_answer_that_got_lost_does_not_cost_the_operator_the_call(operator):
    await operator.connect()
    assert (await operator.ivr.progress("1", 30)).get("max_seconds") == 630
    assert (await operator.ivr.ended("1", 60)).get("charged_vnd") == 1_500
    await operator.connect("2")
    assert (await operator.ivr.ended("2", 7)).get("charged_vnd") == 175


@pytest.mark.rule("PFM-16", "IVR-3")
async def test_a_call_that_was_never_bridged_costs_nothing(operator):
    await operator.connect()
    operator.pass_s(20)
    told = await operator.ivr.ended("1")
    assert told.body == {"charged_vnd": 0, "billed_seconds": 0}
    (hold,) = await operator.telcod.rows(HOLD)
    assert hold.status == HoldStatus.RELEASED
    assert await operator.balance(BINH) == 20_000
    assert await operator.held(BINH) == 0


@pytest.mark.rule("IVR-3")
async def test_when_a_hangs_up_first_b_is_dropped_and_free_again(operator):
    await operator.ask()
    told = await operator.ivr.ended("1")
    assert told.body == {"charged_vnd": 0, "billed_seconds": 0, "drop": "payer"}
    assert (await operator.ivr.ended("1")).content == told.content
    refused(await operator.ivr.consent("1", "1"))
    await operator.ask("2", caller="0903000003")


@pytest.mark.rule("IVR-3")
async def test_a_report_before_the_consent_is_in_the_wrong_order(operator):
    await operator.ask()
    for told in (await operator.ivr.answered("1"), await operator.ivr.progress("1", 5)):
        assert told.status == 409
        assert "charged_vnd" not in told.body
    assert (await operator.ivr.consent("1", "1")).get("action") == "connect"


@pytest.mark.rule("IVR-3")
async def test_used_time_is_the_platforms_moments_when_it_measures_no_talk(operator):
    await operator.connect()
    await operator.ivr.answered("1", at="2026-03-02T10:00:10+07:00")
    told = await operator.ivr.ended("1", at="2026-03-02T03:01:10.400Z")
    assert told.body == {"charged_vnd": price(61), "billed_seconds": 61}


@pytest.mark.rule("IVR-3")
async def test_used_time_is_our_own_clocks_when_the_platform_says_nothing(operator):
    await operator.talk()
    operator.pass_s(61)
    assert (await operator.ivr.ended("1")).get("billed_seconds") == 61


@pytest.mark.rule("IVR-3")
async def test_a_platform_that_counts_the_announcement_is_not_believed(tmp_path):
    async with Operator(tmp_path, platform_measures_talk=False) as operator:
        await operator.talk()
        operator.pass_s(30)
        assert (await operator.ivr.ended("1", 300)).get("billed_seconds") == 30


@pytest.mark.rule("IVR-1", "IVR-3")
async def test_calls_of_two_platforms_may_have_one_id(operator):
    other = await operator.platform("other")
    await operator.talk("1")
    assert (await other.show("1")).status == 404
    assert (await other.ended("1", 60)).status == 404
    told = await other.offer("1", "0903000003", "15660903000004")
    assert (told.get("action"), told.get("payer")) == ("ask", str(DUNG))
    assert (await operator.ivr.ended("1", 60)).get("charged_vnd") == 1_500
    assert (await other.show("1")).get("state") == "asking"


# ------------------------------------------------------------------------------ supervision, PFM-17


@pytest.mark.rule("PFM-17")
async def test_a_lost_end_is_closed_at_the_last_report(operator):
    await operator.talk()
    await operator.ivr.progress("1", 60)
    operator.pass_s(600 + 29)
    assert await operator.tick() == []
    operator.pass_s(1)
    assert await operator.tick() == ["call.suspect"]
    assert await operator.charges() == [1_500]
    assert not await operator.open_holds()
    assert (await operator.call("1")).suspect == 1
    assert (await operator.ivr.progress("1", 90)).status == 409


@pytest.mark.rule("PFM-17")
async def test_a_late_end_is_charged_the_difference_once(operator):
    await operator.talk()
    await operator.ivr.progress("1", 60)
    operator.pass_s(3_600)
    await operator.tick()
    told = await operator.ivr.ended("1", 100)
    assert told.body == {"charged_vnd": price(100), "billed_seconds": 100}
    assert (await operator.ivr.ended("1", 200)).content == told.content
    assert await operator.charges() == [1_500, 1_000]
    assert await operator.balance(BINH) == 20_000 - price(100)


@pytest.mark.rule("PFM-17")
async def test_what_the_balance_cannot_bear_of_a_late_end_is_written_off(operator):
    payer = 84903000015
    await operator.person(payer, balance_vnd=15_000)
    await operator.talk(dialled="15660903000015")
    await operator.ivr.progress("1", 60)
    operator.pass_s(3_600)
    await operator.tick()
    await operator.talk("2", caller="0903000003", dialled="15660903000015")
    await operator.ivr.ended("2", 500)  # leaves 1.000 d
    told = await operator.ivr.ended("1", 600)
    assert told.get("charged_vnd") == 2_500
    assert await operator.balance(payer) == 0
    assert await operator.written_off() == price(600) - 2_500


@pytest.mark.rule("PFM-17", "PFM-15")
async def test_a_call_that_rings_for_ever_lets_the_money_go(operator):
    await operator.connect()
    operator.pass_s(150)
    assert await operator.tick() == ["call.suspect"]
    assert await operator.held(BINH) == 0
    assert not await operator.charges()


@pytest.mark.rule("PFM-12", "PFM-17")
async def test_a_question_that_nobody_answers_frees_b(operator):
    await operator.ask()
    operator.pass_s(3_600)
    assert len(await operator.tick()) == 1
    await operator.ask("2", caller="0903000003")


@pytest.mark.rule("PFM-17")
async def test_the_clock_supervises_by_itself(operator):
    await operator.talk()
    await operator.ivr.progress("1", 50)
    operator.pass_s(650 + 30)

    async def closed():
        return not await operator.open_holds()

    await operator.wait_until(closed)
    assert await operator.charges() == [price(50)]


# ---------------------------------------------------------- receipts, languages, prices, PFM-18, 13


@pytest.mark.rule("PFM-18")
async def test_b_gets_a_receipt_for_what_he_paid_and_only_for_that(operator):
    await operator.talk()
    await operator.ivr.ended("1", 65)
    await operator.connect("2")
    await operator.ivr.ended("2")
    (receipt,) = await operator.texts_to(BINH)
    assert receipt == (
        "Payforme: Quy khach da tra 1.625d cho cuoc goi voi 0903000001 luc 10:00 02/03/2026, "
        "dai 65 giay. LH 9090."
    )


@pytest.mark.rule("PFM-18")
async def test_receipts_are_a_setting(tmp_path):
    async with Operator(tmp_path, receipts=False) as operator:
        await operator.talk()
        await operator.ivr.ended("1", 65)
        assert await operator.texts_to(BINH) == []


@pytest.mark.rule("PFM-13", "IVR-6", "KW-6")
async def test_each_hears_his_own_language(operator):
    await operator.text(BINH, "NN EN")
    asked = await operator.ask()
    assert asked.get("language") == "en"
    assert "would like to call you" in asked.get("prompt_text")
    connected = await operator.ivr.consent("1", "1")
    assert connected.get("language") == "vi"
    assert connected.get("prompt_text") == "Cuộc gọi đang được kết nối."
    await operator.text(CUC, "NN EN")
    told = await operator.ivr.offer("2", "0903000003", "15660912345678")
    refused(told, NOT_SERVED)
    assert told.get("prompt_text") == "This number is not served."


DEARER = """
id = "dearer"
valid_from = 2026-03-02T10:30:00+07:00
[packages.day]
price_vnd = 1000
period_h = 24
[packages.week]
price_vnd = 5000
period_h = 168
[voice]
minute_vnd = 3000
[sms]
part_vnd = 250
"""


@pytest.mark.rule("PFM-1")
async def test_a_call_is_priced_by_what_was_in_force_when_it_was_offered(tmp_path):
    (tmp_path / "tariffs").mkdir()
    shipped = (shipped_config_dir() / "tariffs" / "2018-09-15.toml").read_text(encoding="utf-8")
    (tmp_path / "tariffs" / "a.toml").write_text(shipped, encoding="utf-8")
    (tmp_path / "tariffs" / "b.toml").write_text(DEARER, encoding="utf-8")
    async with Operator(tmp_path) as operator:
        operator.pass_s(29 * 60)
        await operator.talk()
        operator.pass_s(120)
        await operator.ivr.progress("1", 120)
        assert (await operator.ivr.ended("1", 180)).get("charged_vnd") == price(180)
        asked = await operator.ask("2")
        assert "3.000" in asked.get("prompt_text")
        await operator.ivr.consent("2", "1")
        await operator.ivr.answered("2")
        assert (await operator.ivr.ended("2", 60)).get("charged_vnd") == 3_000
