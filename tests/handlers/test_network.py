"""The hint after a failed call, each rule at its edges; subscribers and money as the network tells.

A is prepaid and has no money left; B can pay for A's calls.
"""

import msgspec
import pytest

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.errors import KeyReused
from telcod.rows import AUDIT, RECENT, SUBSCRIBER_DETAIL, PackageStatus
from telcod.text import count_parts, encode_gsm7, is_gsm7
from tests.network_world import NETWORK, NetworkWorld, with_gateways
from tests.world import rules_with

A, B, C = 84903000001, 84903000002, 84903000003
STRANGER = "0977000001"
SCREEN_SEPTETS = 182
UNKNOWN_NUMBERS = [STRANGER, "+44 7911 123456", "02438255555", "0903000", "19001234", "09030000025"]
NO_NUMBERS = [
    "1566",
    "1566#",
    "15660903000002",
    "1566 0903 000 002",
    "9090",
    "*101#",
    "113",
    "0903",
]


@pytest.fixture
def world():
    with NetworkWorld() as world:
        world.subscriber(A, state="out_of_money")
        world.subscriber(B, balance_vnd=10_000)
        yield world


def told(world):
    """How often anybody was told: by text and on the screen alike."""
    assert len(world.hints()) == len(world.pushes())
    return len(world.hints())


# ----------------------------------------------------------------------------------- what A gets


@pytest.mark.rule("PFM-20")
def test_a_call_that_failed_for_lack_of_money_brings_a_notice_and_a_guide(world):
    assert world.failed(A) == "hint.sent"
    (guide,), (notice,) = world.hints(), world.pushes()
    assert (guide.destination, guide.source) == (str(A), "1566")
    assert guide.text == (
        "Goi 0903000002 khong thanh cong do het tien. Bam 15660903000002 hoac nhan tin toi "
        "15660903000002, nguoi nhan tra tien. Tu choi: soan TC gui 1566. LH 9090."
    )
    assert (notice.msisdn, notice.kind, notice.asks) == (A, "hint", 0)
    assert notice.text == (
        "Cuoc goi toi 0903000002 khong thanh cong do het tien. Bam 15660903000002 de nguoi nghe "
        "tra tien. Tu choi thong bao: soan TC gui 1566."
    )
    assert world.sent_to(B) == []


@pytest.mark.rule("PFM-20")
def test_a_hint_that_comes_late_is_worth_nothing_and_expires(world):
    world.failed(A)
    (guide,), (notice,) = world.hints(), world.pushes()
    assert guide.expires_at == world.now_ms + HOUR_MS
    assert notice.expires_at == world.now_ms + 5 * MINUTE_MS


@pytest.mark.rule("PFM-20", "MQTT-2")
def test_other_systems_hear_of_a_hint_without_whom_was_called(world):
    world.failed(A)
    assert world.events("hint") == [("sent", A, {"ussd": True})]


@pytest.mark.rule("PFM-20", "USSD-4")
def test_without_a_gateway_for_ussd_the_text_is_all(world):
    with NetworkWorld(rules=with_gateways(pushes=False)) as without:
        without.subscriber(A)
        assert without.failed(A) == "hint.sent"
        assert (len(without.hints()), without.pushes()) == (1, [])
        assert without.events("hint") == [("sent", A, {"ussd": False})]


@pytest.mark.rule("PFM-20", "KW-6")
def test_the_hint_is_in_the_callers_language(world):
    world.subscriber(C, language="en")
    world.failed(C)
    assert world.hints()[0].text.startswith("Your call to 0903000002 failed for lack of money.")
    assert world.pushes()[0].text.startswith("Your call to 0903000002 failed for lack of money.")


@pytest.mark.rule("PFM-20", "KW-8")
@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("called", ["0903000002", STRANGER])
def test_a_guide_is_one_message_and_a_notice_one_screen(world, language, called):
    world.subscriber(C, language=language)
    world.failed(C, called)
    (guide,), (notice,) = world.hints(), world.pushes()
    assert is_gsm7(guide.text)
    assert count_parts(guide.text).count == 1
    assert is_gsm7(notice.text)
    assert len(encode_gsm7(notice.text)) <= SCREEN_SEPTETS
    for text in (guide.text, notice.text):
        assert "TC" in text
        assert "1566" in text


@pytest.mark.rule("PFM-20", "NUM-1")
@pytest.mark.parametrize("called", ["0903000002", "+84903000002", "0084903000002", "903 000 002"])
def test_the_number_is_named_as_people_dial_it_in_whatever_form_it_came(world, called):
    world.failed(A, called)
    assert "15660903000002" in world.hints()[0].text
    assert "15660903000002" in world.pushes()[0].text


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize("called", UNKNOWN_NUMBERS)
def test_a_number_that_nobody_can_be_asked_at_is_not_named(world, called):
    assert world.failed(A, called) == "hint.sent"
    assert "1566 + so thue bao MobiFone" in world.hints()[0].text
    assert "1566 + so thue bao MobiFone" in world.pushes()[0].text


@pytest.mark.rule("PFM-20", "PFM-4")
@pytest.mark.parametrize(
    "line",
    [
        {"kind": "postpaid"},
        {"state": "out_of_money"},
        {"state": "suspended"},
        {"state": "debt_blocked"},
        {"state": "closed"},
    ],
)
def test_a_number_that_cannot_pay_is_not_named(world, line):
    world.subscriber(C, **line)
    assert world.failed(A, "0903000003") == "hint.sent"
    assert "0903000003" not in world.hints()[0].text + world.pushes()[0].text


@pytest.mark.rule("PFM-20")
def test_ones_own_number_is_not_named(world):
    world.set_state(A, "active")
    world.failed(A, "0903000001")
    assert "0903000001" not in world.hints()[0].text


@pytest.mark.rule("PFM-20", "PFM-13", "LST-1")
def test_that_b_has_a_on_the_blacklist_shows_in_nothing(world):
    world.text(B, "B 0903000001")
    world.failed(A)
    assert "15660903000002" in world.hints()[0].text


@pytest.mark.rule("PFM-20")
def test_what_b_has_shows_in_nothing(world):
    world.subscriber(C, balance_vnd=0)
    world.failed(A, "0903000003")
    assert "15660903000003" in world.hints()[0].text


# -------------------------------------------------------------------------------- who gets none


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize("called", NO_NUMBERS)
def test_a_call_to_the_service_or_a_short_code_brings_no_hint(world, called):
    assert world.failed(A, called) == "hint.not_a_number"
    assert told(world) == 0


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize("reason", ["busy", "no_answer", "Insufficient_Balance", "insufficient"])
def test_a_call_that_failed_for_another_reason_brings_no_hint(world, reason):
    assert world.failed(A, reason=reason) == "hint.other_reason"
    assert told(world) == 0


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize("state", ["active", "out_of_money"])
def test_a_postpaid_subscriber_never_gets_a_hint(world, state):
    world.subscriber(C, kind="postpaid", state=state)
    assert world.failed(C) == "hint.not_served"
    assert told(world) == 0


@pytest.mark.rule("PFM-20", "NUM-4", "NUM-5")
@pytest.mark.parametrize("state", ["debt_blocked", "suspended", "closed"])
def test_who_may_not_call_gets_no_hint(world, state):
    world.subscriber(C, state=state)
    assert world.failed(C) == "hint.not_served"
    assert told(world) == 0


@pytest.mark.rule("PFM-20", "NUM-4")
def test_a_number_of_another_network_gets_no_hint(world):
    assert world.failed(84977000001) == "hint.not_served"
    assert told(world) == 0


@pytest.mark.rule("PFM-20")
def test_what_brings_no_hint_does_not_count(world):
    for called, reason in (("1566", "insufficient_balance"), ("0903000002", "busy")):
        world.failed(A, called, reason=reason)
    world.text(A, "TC")
    world.failed(A)
    assert list(world.store.scan(RECENT)) == []
    world.text(A, "ON")
    assert world.failed(A) == "hint.sent"


@pytest.mark.rule("NET-1")
def test_a_failed_call_changes_nothing_of_the_subscriber(world):
    before = world.subscriber_row(B), world.balance(B)
    world.failed(B, "0903000001")
    assert (world.subscriber_row(B), world.balance(B)) == before


# -------------------------------------------------------------------------------------- TC and ON


@pytest.mark.rule("PFM-20", "KW-2")
def test_tc_stops_at_once_and_on_resumes_at_once(world):
    world.text(A, "TC")
    assert world.failed(A) == "hint.unwanted"
    assert told(world) == 0
    world.text(A, "ON")
    assert world.failed(A) == "hint.sent"
    assert told(world) == 1


@pytest.mark.rule("PFM-20", "KW-2")
def test_tc_in_the_same_batch_stops_what_comes_behind_it(world):
    results = world.run(
        world.text_request(A, "TC"),
        world.failed_request(A, "0903000002"),
        world.text_request(A, "ON"),
        world.failed_request(A, "0903000002"),
        world.failed_request(A, "0903000002"),
    )
    assert [result.outcome for result in results][1::2] == ["hint.unwanted", "hint.sent"]
    assert results[-1].outcome == "hint.too_often"
    assert told(world) == 1


@pytest.mark.rule("PFM-20", "KW-2")
def test_on_does_not_bring_a_second_hint_within_the_hour(world):
    world.failed(A)
    world.text(A, "TC")
    world.text(A, "ON")
    assert world.failed(A) == "hint.too_often"


@pytest.mark.rule("PFM-20", "NUM-5")
def test_a_number_that_comes_back_is_somebody_who_has_stopped_nothing(world):
    world.text(A, "TC")
    world.put(A, state="closed")
    world.put(A, state="active")
    assert world.failed(A) == "hint.sent"


# ----------------------------------------------------------------------------------- how often


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize(
    ("after_ms", "outcome"),
    [
        (1, "hint.too_often"),
        (HOUR_MS - 1_000, "hint.too_often"),
        (HOUR_MS - 1, "hint.too_often"),
        (HOUR_MS, "hint.sent"),
    ],
)
def test_one_hint_in_an_hour(world, after_ms, outcome):
    world.failed(A)
    world.clock.advance(after_ms)
    assert world.failed(A) == outcome
    assert told(world) == 1 + (outcome == "hint.sent")


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize(
    ("after_ms", "outcome"), [(DAY_MS - 1, "hint.too_often"), (DAY_MS, "hint.sent")]
)
def test_three_hints_in_any_24_hours_not_by_the_calendar(world, after_ms, outcome):
    first_ms = world.now_ms
    for _ in range(3):
        assert world.failed(A) == "hint.sent"
        world.clock.advance(2 * HOUR_MS)
    assert world.failed(A) == "hint.too_often"
    world.clock.advance(first_ms + after_ms - world.now_ms)
    assert world.failed(A) == outcome
    assert told(world) == 3 + (outcome == "hint.sent")


@pytest.mark.rule("PFM-20")
def test_calls_that_fail_meanwhile_prolong_nothing(world):
    world.failed(A)
    for _ in range(6):
        world.clock.advance(10 * MINUTE_MS - 1)
        assert world.failed(A) == "hint.too_often"
    world.clock.advance(6)
    assert world.failed(A) == "hint.sent"


@pytest.mark.rule("PFM-20")
def test_each_caller_has_limits_of_his_own_whomever_he_calls(world):
    assert world.failed(A, "0903000002") == "hint.sent"
    assert world.failed(A, STRANGER) == "hint.too_often"
    assert world.failed(B, "0903000001") == "hint.sent"


@pytest.mark.rule("PFM-20", "CFG-2")
@pytest.mark.parametrize(
    ("hour", "day", "sent"), [(0, 3, 0), (1, 0, 0), (2, 3, 2), (5, 3, 3), (5, 5, 5)]
)
def test_the_limits_are_settings(hour, day, sent):
    rules = with_gateways(rules_with(notices={"per_hour_max": hour, "per_day_max": day}))
    with NetworkWorld(rules=rules) as world:
        world.subscriber(A)
        outcomes = [world.failed(A) for _ in range(6)]
        assert outcomes == ["hint.sent"] * sent + ["hint.too_often"] * (6 - sent)


# --------------------------------------------------------------------------------------- repeats


@pytest.mark.rule("NET-1", "PFM-20", "HTTP-2")
def test_an_event_told_again_does_nothing_even_when_a_hint_would_be_due(world):
    assert world.failed(A, event_id="e1") == "hint.sent"
    world.clock.advance(2 * HOUR_MS)
    assert world.failed(A, event_id="e1") == "hint.sent"  # The first answer stands.
    assert told(world) == 1
    assert world.failed(A, event_id="e2") == "hint.sent"
    assert told(world) == 2


@pytest.mark.rule("NET-1", "PFM-20")
def test_an_event_told_twice_in_one_batch_counts_once(world):
    request = world.failed_request(A, "0903000002", event_id="e1")
    first, again = world.run(request, request)
    assert first == again
    assert told(world) == 1


@pytest.mark.rule("NET-1", "HTTP-2")
def test_the_same_id_with_another_body_is_refused_and_does_nothing(world):
    world.failed(A, event_id="e1")
    before = world.contents(without={"meta"})
    for other in (
        world.failed(B, event_id="e1"),
        world.failed(A, "0903000003", event_id="e1"),
        world.failed(A, event_id="e1", reason="busy"),
    ):
        assert isinstance(other, KeyReused)
    assert world.contents(without={"meta"}) == before


@pytest.mark.rule("NET-1")
def test_ids_of_two_senders_are_two_events(world):
    world.failed(A, event_id="e1", actor="token:msc-1")
    assert world.failed(A, event_id="e1", actor="token:msc-2") == "hint.too_often"


@pytest.mark.rule("NET-1", "PFM-20")
def test_a_restart_forgets_neither_events_nor_limits(tmp_path):
    with NetworkWorld(tmp_path / "books.db") as world:
        world.subscriber(A)
        assert world.failed(A, event_id="e1") == "hint.sent"
        world.restart()
        assert world.failed(A, event_id="e1") == "hint.sent"
        assert world.failed(A, event_id="e2") == "hint.too_often"
        assert told(world) == 1
        assert world.check() == []


# ---------------------------------------------------------------------------------------- top-ups


@pytest.mark.rule("NET-2", "PKG-6")
def test_money_that_comes_in_pays_for_a_suspended_package_at_once(world):
    world.subscriber(C, balance_vnd=0)
    assert world.text(C, "DK").outcome == "package.trial_started"
    world.pass_time(25 * HOUR_MS)
    assert world.package(C).status == PackageStatus.SUSPENDED
    answer = world.topup_event(C, 1_500)
    assert answer.data == {"balance_vnd": 500, "package": "package.renewed"}
    assert world.package(C).status == PackageStatus.ACTIVE
    assert world.check() == []


@pytest.mark.rule("NET-2", "HTTP-2")
def test_a_top_up_told_again_adds_nothing_and_another_amount_is_refused(world):
    for _ in range(2):
        assert world.topup_event(B, 500, event_id="t1").data["balance_vnd"] == 10_500
    assert isinstance(world.topup_event(B, 501, event_id="t1"), KeyReused)
    assert isinstance(world.topup_event(A, 500, event_id="t1"), KeyReused)
    assert (world.balance(A), world.balance(B)) == (0, 10_500)


@pytest.mark.rule("NET-1", "NET-2")
def test_a_top_up_may_have_the_id_of_a_failed_call(world):
    world.failed(A, event_id="1")
    assert world.topup_event(A, 500, event_id="1").outcome == "topup.done"


@pytest.mark.rule("NET-2", "NUM-4")
@pytest.mark.parametrize("msisdn", [84977000001, C])
def test_money_for_nobody_is_refused(world, msisdn):
    world.subscriber(C, state="closed")
    assert world.topup_event(msisdn, 500).outcome == "subscriber.unknown"


@pytest.mark.rule("NET-2", "CARE-2")
def test_a_top_up_by_the_network_is_in_the_audit_log(world):
    world.topup_event(B, 500, event_id="t1")
    line = list(world.store.scan(AUDIT))[-1]
    assert (line.actor, line.channel, line.action) == (NETWORK, "network", "topup")
    assert (line.subject, line.detail) == (str(B), "500 network event t1")


# ------------------------------------------------------------------------------------ subscribers


@pytest.mark.rule("NET-2")
def test_a_subscriber_is_added_changed_and_left_alone(world):
    assert world.put(C, balance_vnd=7_000, language="en", centre=4) == "subscriber.added"
    row = world.subscriber_row(C)
    assert (row.kind, row.state, row.language, row.centre) == ("prepaid", "active", "en", 4)
    assert world.balance(C) == 7_000
    assert world.put(C, state="out_of_money", centre=4) == "subscriber.changed"
    assert world.subscriber_row(C).state == "out_of_money"
    before = world.contents(without={"meta"})
    assert world.put(C, state="out_of_money", centre=4) == "subscriber.unchanged"
    assert world.contents(without={"meta"}) == before
    assert world.check() == []


@pytest.mark.rule("NET-2", "CLI-4")
def test_what_the_network_says_of_a_balance_only_opens_it(world):
    world.put(B, balance_vnd=99_000, debt_vnd=5_000)
    assert (world.balance(B), world.debt(B)) == (10_000, 0)


@pytest.mark.rule("NET-2")
def test_what_the_network_does_not_say_stays(world):
    full = {"name": "Nguyen Van An", "address": "1 Le Loi", "email": "an@example.vn"}
    world.put(C, language="en", **full)
    world.put(C, state="out_of_money")
    assert world.subscriber_row(C).language == "en"
    assert msgspec.structs.asdict(world.row(SUBSCRIBER_DETAIL, C)) == {"msisdn": C, **full}
    world.put(C, email="")
    assert world.row(SUBSCRIBER_DETAIL, C).email == ""
    assert world.row(SUBSCRIBER_DETAIL, C).name == "Nguyen Van An"


@pytest.mark.rule("NET-2", "NUM-5")
def test_a_number_that_comes_back_has_nothing_of_its_last_owner(world):
    world.put(C, name="Nguyen Van An", email="an@example.vn", balance_vnd=5_000, language="en")
    world.text(C, "B 0903000001")
    world.put(C, state="closed")
    assert world.row(SUBSCRIBER_DETAIL, C).name == "Nguyen Van An"  # Bills still go to him.
    assert world.put(C, balance_vnd=300) == "subscriber.changed"
    detail = world.row(SUBSCRIBER_DETAIL, C)
    assert (detail.name, detail.email) == ("", "")
    assert (world.balance(C), world.listed(C, "black")) == (300, [])
    assert (world.subscriber_row(C).language, world.subscriber_row(C).life) == ("vi", 2)
    assert world.check() == []


@pytest.mark.rule("NET-2", "CARE-2")
def test_a_change_by_the_network_is_in_the_audit_log_and_no_change_is_not(world):
    world.put(C)
    lines = list(world.store.scan(AUDIT))
    assert (lines[-1].actor, lines[-1].channel) == (NETWORK, "network")
    world.put(C)
    assert list(world.store.scan(AUDIT)) == lines
