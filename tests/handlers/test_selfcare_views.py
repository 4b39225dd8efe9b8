"""What a subscriber sees of himself on web and app, each part to its last field."""

import pytest

from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.rows import SELF_SESSION
from tests.selfcare.world import A, B, C, SelfWorld
from tests.world import START_MS, rules_with

pytestmark = pytest.mark.rule("SELF-1")

PRICES = {
    "prices": {"day": 1_000, "week": 5_000},
    "minute_vnd": 1_500,
    "text_vnd": 250,
}


@pytest.fixture
def world():
    with SelfWorld() as made:
        for number in (A, B, C):
            made.subscriber(number, balance_vnd=20_000)
        made.log_in(A)
        yield made


def seen(world, part, start=0):
    """Part of what A sees."""
    shown = world.look("token", part, start)
    assert shown.outcome == "self.shown"
    return shown.data


def test_without_a_package_its_price_is_shown_and_that_the_trial_is_free(world):
    assert seen(world, "package") == {
        "package": None,
        "trial_free": True,
        "eligible": True,
        **PRICES,
    }


@pytest.mark.rule("PKG-1", "PKG-2")
def test_a_package_is_shown_with_its_end_and_what_it_will_cost(world):
    world.text(A, "DK7")
    world.clock.advance(20 * MINUTE_MS)
    package = {
        "package": "week",
        "status": "active",
        "trial": True,
        "ends_at": START_MS + DAY_MS,
        "failed_since": 0,
        "price_vnd": 5_000,
    }
    assert seen(world, "package") == {
        "package": package,
        "trial_free": False,
        "eligible": True,
        **PRICES,
    }
    world.text(A, "HUY")
    assert seen(world, "package")["package"] is None


@pytest.mark.rule("PKG-6")
def test_a_package_in_trouble_says_since_when(world):
    world.text(A, "DK")
    world.text(A, "W 0903000002")
    world.set_state(A, "suspended")
    world.pass_time(DAY_MS)
    world.set_state(A, "active")
    world.clock.advance(1)
    world.log_in(A)
    shown = seen(world, "package")["package"]
    assert (shown["status"], shown["trial"]) == ("suspended", True)
    assert shown["failed_since"] == START_MS + DAY_MS
    assert seen(world, "lists")["white_works"] is False


@pytest.mark.rule("LST-1", "NUM-5")
def test_lists_show_who_is_on_them_and_still_on_the_net(world):
    world.text(A, "B 0903000003")
    lists = {"white": [], "black": [str(C)], "white_works": False, "entries_max": 50}
    assert seen(world, "lists") == lists
    world.text(A, "DK")
    world.text(A, "W 0903000002")
    assert seen(world, "lists") == lists | {"white": [str(B)], "white_works": True}
    world.set_state(C, "closed")
    assert seen(world, "lists")["black"] == []


def test_notices_are_for_prepaid_ones(world):
    assert seen(world, "notices") == {"wanted": True, "available": True}
    world.text(A, "TC")
    assert seen(world, "notices") == {"wanted": False, "available": True}
    world.import_({"msisdn": A, "kind": "postpaid"})
    assert seen(world, "notices")["available"] is False
    assert seen(world, "package")["eligible"] is False


@pytest.mark.rule("PFM-30")
def test_a_text_that_waits_shows_from_whom_its_price_its_parts_and_until_when(world):
    world.forward(B, A, "long " * 40)
    text = {
        "id": world.code_of(A),
        "kind": "text",
        "caller": str(B),
        "price_vnd": 500,
        "parts": 2,
        "expires_at": START_MS + DAY_MS,
    }
    assert seen(world, "requests") == {"requests": [text]}
    world.pass_time(DAY_MS, down=True)
    world.log_in(A)
    assert seen(world, "requests") == {"requests": []}


@pytest.mark.rule("PFM-18", "NUM-5")
def test_the_account_and_its_charges_are_of_this_month_and_the_newest_first(world):
    assert seen(world, "charges") == {"charges": [], "next": 0}
    for command in ("DK", "HUY", "DK", "HUY"):
        world.text(A, command)
    world.connect("c", B, A)
    world.ended("c", 60)
    call = {"at": START_MS, "kind": "call", "whom": str(B), "amount_vnd": 1_500}
    package = {"at": START_MS, "kind": "package.day", "whom": "", "amount_vnd": 1_000}
    assert seen(world, "charges") == {"charges": [call, package], "next": 0}
    account = {
        "msisdn": str(A),
        "kind": "prepaid",
        "state": "active",
        "language": "vi",
        "balance_vnd": 17_500,
        "spent_vnd": 2_500,
        "spent_whole": True,
    }
    assert seen(world, "account") == account
    world.connect("d", B, A)  # What is held cannot be spent.
    assert seen(world, "account") == account | {"balance_vnd": 2_500}
    assert seen(world, "home") == {
        **{part: seen(world, part) for part in ("account", "package", "lists", "notices")},
        "requests": [],
        "charges": [call, package],
    }


def test_the_first_page_shows_five_and_the_story_twenty_at_a_time(world):
    for number in range(21):
        world.connect(f"c{number}", B, A)
        world.ended(f"c{number}", 6)
        world.clock.advance(3 * HOUR_MS)
    world.log_in(A)
    assert len(seen(world, "home")["charges"]) == 5
    first = seen(world, "charges")
    rest = seen(world, "charges", first["next"])
    assert (len(first["charges"]), len(rest["charges"]), rest["next"]) == (20, 1, 0)
    assert rest["charges"][0]["at"] == START_MS


@pytest.mark.rule("PKG-9")
def test_a_registration_that_waits_is_a_request_with_its_price_and_its_end():
    with SelfWorld(rules=rules_with(packages={"confirm_registration": True})) as world:
        world.subscriber(A, balance_vnd=20_000)
        world.log_in(A)
        assert world.do("token", "package.register_week").data["outcome"] == "confirm.ask_trial"
        waiting = {
            "id": "package",
            "kind": "week",
            "caller": "",
            "price_vnd": 5_000,
            "parts": 0,
            "expires_at": START_MS + 30 * MINUTE_MS,
        }
        assert seen(world, "requests") == {"requests": [waiting]}
        world.clock.advance(30 * MINUTE_MS - 1)
        world.log_in(A)
        assert seen(world, "requests") == {"requests": [waiting]}
        world.clock.advance(1)
        assert seen(world, "requests") == {"requests": []}


@pytest.mark.rule("PFM-18")
def test_what_was_spent_is_summed_over_this_month_alone(world):
    world.connect("c", B, A)
    world.ended("c", 60)
    world.connect("d", B, A)
    world.ended("d", 6)
    assert seen(world, "account")["spent_vnd"] == 1_650
    world.clock.advance(31 * DAY_MS)
    world.log_in(A)
    assert seen(world, "account")["spent_vnd"] == 0
    world.connect("e", B, A)
    world.ended("e", 7)
    assert (seen(world, "account")["spent_vnd"], seen(world, "account")["spent_whole"]) == (
        175,
        True,
    )


@pytest.mark.rule("CARE-2", "KW-6")
def test_an_act_is_answered_with_its_outcome_and_the_text_in_the_language_from_then_on(world):
    done = world.do("token", "notices.stop")
    assert done.outcome == "self.done"
    assert set(done.data) == {"outcome", "text", "language"}
    assert (done.data["outcome"], done.data["language"]) == ("notices.off", "vi")
    english = world.do("token", "language.set", "EN").data
    assert (english["outcome"], english["language"]) == ("language.set", "en")
    again = world.do("token", "notices.stop").data
    assert again["text"] != done.data["text"]
    assert world.row(SELF_SESSION, "token").acts == 3
    guide = world.do("token", "dial.guide", str(B)).data
    assert guide["command"] == "15660903000002"
    assert guide["command"] in guide["text"]
    assert world.row(SELF_SESSION, "token").acts == 3  # Who only looks does nothing.
