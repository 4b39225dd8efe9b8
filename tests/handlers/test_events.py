"""What other systems are told of each thing that happens: once, in its order, never what people
write to one another or their passwords.
"""

import pytest

from telcod.days import DAY_MS, HOUR_MS
from telcod.dispatch import Route
from telcod.rows import EVENTS_PUBLISHED, META, OUTBOX_EVENT, OutboxState
from telcod.types import Channel, Request
from tests.call_world import dialled
from tests.network_world import failed_call, with_gateways
from tests.session_world import SessionWorld

pytestmark = pytest.mark.rule("MQTT-2")

A, B, C = 84903000001, 84903000002, 84903000003
TARIFF = "2018-09-15"
CALL = {"call": "pbx:c", "caller": str(A), "reason": ""}
NO_MONEY = {"billed_s": 0, "charged_vnd": 0, "written_off_vnd": 0, "suspect": False}


class Listener:
    """An operator, and what is told since `listen` was last asked."""

    def __init__(self, **options):
        self.world = SessionWorld(**options)
        for number in (A, B, C):
            self.world.subscriber(number, balance_vnd=2_000)
        self._heard = len(self.world.events())

    def listen(self):
        events = self.world.events()
        new, self._heard = events[self._heard :], len(events)
        return new

    def names(self):
        return [name for name, _, _ in self.listen()]


@pytest.fixture
def there():
    return Listener()


def charge(entry, kind, amount_vnd, command, *, payer=A):
    body = {"entry": entry, "kind": kind, "amount_vnd": amount_vnd}
    return ("charge/settled", payer, {**body, "command": command, "tariff": TARIFF})


def of_text(verb, mo=1, *, price_vnd=250):
    body = {"text": mo, "sender": str(A), "parts": 1, "price_vnd": price_vnd}
    return (f"text/{verb}", B, body)


# --------------------------------------------------------------------------------- packages


@pytest.mark.rule("PKG-1", "PKG-2")
def test_a_package_is_told_from_its_trial_to_its_end(there):
    world, start_ms = there.world, there.world.now_ms
    world.text(A, "DK")
    ends_at = start_ms + DAY_MS
    assert there.listen() == [
        ("package/started", A, {"package": "day", "ends_at": ends_at, "trial": True})
    ]
    world.text(A, "DK")  # Has it already.
    assert there.listen() == []
    world.pass_time(DAY_MS)
    renewed = {"package": "day", "ends_at": ends_at + DAY_MS, "period": 2, "missed": 0}
    assert there.listen() == [
        charge(4, "package.day", 1_000, f"renewal:{A}:1:2"),
        ("package/renewed", A, renewed),
    ]
    world.text(A, "HUY")
    assert there.listen() == [("package/cancelled", A, {"package": "day"})]
    world.text(A, "HUY")
    assert there.listen() == []


@pytest.mark.rule("PKG-6")
def test_a_package_without_money_is_told_when_it_rests_when_it_works_and_when_it_is_over(there):
    world = there.world
    world.text(A, "DK")
    world.pass_time(2 * DAY_MS)
    there.listen()
    world.pass_time(DAY_MS)
    assert there.listen() == [("package/suspended", A, {"package": "day"})]
    world.pass_time(DAY_MS)  # Tries in vain are no news.
    assert there.listen() == []
    world.topup(A, 1_000)
    assert sorted(there.names()) == ["balance/credited", "charge/settled", "package/renewed"]
    world.pass_time(40 * DAY_MS)
    assert there.names() == ["package/suspended", "package/ended_unpaid"]


# ------------------------------------------------------------------------------------ lists


@pytest.mark.rule("LST-1", "KW-5")
def test_each_number_that_comes_to_a_list_or_goes_is_told(there):
    world = there.world
    world.text(A, "B 0903000002 0903000003 12345 0903000001")
    black = [{"list": "black", "number": str(number)} for number in (B, C)]
    assert there.listen() == [("list/added", A, body) for body in black]
    world.text(A, "B 0903000002")
    assert there.listen() == []
    world.text(A, "XOAB 0903000003 0903000001")
    assert there.listen() == [("list/removed", A, black[1])]
    world.text(A, "XOAB ALL")
    assert there.listen() == [("list/removed", A, black[0])]
    world.text(A, "XOAB ALL")
    assert there.listen() == []


@pytest.mark.rule("USSD-3")
def test_what_is_done_in_the_menu_is_told_as_what_is_texted(there):
    there.world.dialogue(A, "*1566*3*2*0903000002#")
    assert there.listen() == [("list/added", A, {"list": "black", "number": str(B)})]


# ------------------------------------------------------------------------------------ texts


@pytest.mark.rule("PFM-30")
def test_a_text_for_b_is_told_from_the_question_to_the_charge(there):
    world = there.world
    world.forward(A, B)
    assert there.listen() == [of_text("asking")]
    world.press(B, "1", step=1)
    assert there.listen() == []
    world.deliver()
    assert there.listen() == [charge(4, "sms", 250, "text:1", payer=B), of_text("delivered")]


@pytest.mark.rule("PFM-30")
@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (lambda world: world.press(B, "2", step=1), [of_text("refused")]),
        (
            lambda world: world.press(B, "4", step=1),
            [("list/added", B, {"list": "black", "number": str(A)}), of_text("refused")],
        ),
        (lambda world: world.pass_time(DAY_MS), [of_text("expired")]),
        (lambda world: world.press(B, "7", step=1), []),
        (lambda world: world.pushed("failed"), []),
        (lambda world: world.pass_time(HOUR_MS), []),
    ],
    ids=["2", "4", "silence", "7", "failed", "an hour"],
)
def test_how_a_question_ends_is_told_and_what_happens_on_the_way_is_not(there, happens, told):
    there.world.forward(A, B)
    there.listen()
    happens(there.world)
    assert there.listen() == told


@pytest.mark.rule("PFM-30")
def test_a_text_that_does_not_arrive_is_told_and_costs_nothing(there):
    there.world.forward(A, B)
    there.world.press(B, "1", step=1)
    there.listen()
    there.world.settle(OutboxState.FAILED)
    assert there.listen() == [of_text("undelivered")]


@pytest.mark.rule("PFM-30")
def test_a_text_that_is_refused_at_once_is_nobodys_news(there):
    there.world.text(B, "B 0903000001")
    there.listen()
    there.world.forward(A, B)
    assert there.listen() == []


@pytest.mark.rule("PAY-1", "PFM-30")
def test_no_event_holds_what_people_write(there):
    world = there.world
    world.forward(A, B, "a word in confidence")
    world.press(B, "1", step=1)
    world.deliver()
    world.dialogue(A, "*1566#", "5", "2", "0903000002", "a word in confidence")
    world.text(A, "MK confidence", code="9223")
    assert there.names()
    assert "confidence" not in str(world.events())


# ------------------------------------------------------------------------------------ calls


@pytest.mark.rule("PFM-10", "PFM-16")
def test_a_call_is_told_when_asked_granted_and_ended(there):
    world = there.world
    world.connect("c", A, C)
    asked, granted = there.listen()
    assert asked == ("call/asked", C, {**CALL, **NO_MONEY, "granted_s": 0})
    assert granted == ("call/granted", C, {**CALL, **NO_MONEY, "granted_s": 80})
    world.progress("c", 30)
    assert there.listen() == []
    world.ended("c", 60)
    used = {**NO_MONEY, "billed_s": 60, "charged_vnd": 1_500}
    assert there.listen() == [
        charge(4, "call", 1_500, "call:pbx:c", payer=C),
        ("call/ended", C, {**CALL, **used, "granted_s": 80}),
    ]
    world.ended("c", 60)
    assert there.listen() == []


@pytest.mark.rule("PFM-12")
def test_a_refused_call_is_told_with_its_reason(there):
    there.world.offer("c", A, C)
    there.listen()
    there.world.key("c", "2")
    ((name, whose, body),) = there.listen()
    assert (name, whose, body["reason"]) == ("call/refused", C, "declined")
    there.world.set_state(C, "suspended")
    there.listen()
    there.world.offer("d", A, C)
    ((name, whose, body),) = there.listen()
    assert (name, whose, body["reason"]) == ("call/refused", C, "payer_not_served")
    there.world.set_state(C, "active")
    there.world.offer("e", A, C)
    there.listen()
    there.world.ended("e")
    ((name, whose, body),) = there.listen()
    assert (name, whose, body["reason"]) == ("call/refused", C, "caller_gone")
    there.world.dial("f", 0, dialled(C))  # A caller who hides his number.
    ((name, whose, body),) = there.listen()
    assert (name, whose, body["reason"]) == ("call/refused", C, "caller_not_served")
    assert body["caller"] == ""


@pytest.mark.rule("PFM-17")
def test_a_call_whose_end_comes_late_is_told_twice(there):
    there.world.connect("c", A, C)
    there.world.progress("c", 10)
    there.listen()
    there.world.pass_time(DAY_MS)
    assert there.names() == ["charge/settled", "call/ended"]
    there.world.ended("c", 60)
    assert there.names() == ["charge/settled", "call/corrected"]


# ------------------------------------------------------------------------- money, subscribers


def test_a_topup_is_told_with_its_entry(there):
    there.world.topup(A, 5_000)
    assert there.listen() == [("balance/credited", A, {"amount_vnd": 5_000, "entry": 4})]


def test_a_change_of_state_is_told_once(there):
    for _ in range(2):
        there.world.set_state(A, "suspended")
    changed = {"state": "suspended", "before": "active"}
    assert there.listen() == [("subscriber/state_changed", A, changed)]


@pytest.mark.rule("KW-2")
def test_a_change_of_notices_is_told_once(there):
    for text in ("TC", "TC", "ON", "ON"):
        there.world.text(A, text)
    assert there.listen() == [
        ("subscriber/notices_changed", A, {"wanted": False}),
        ("subscriber/notices_changed", A, {"wanted": True}),
    ]


@pytest.mark.rule("PFM-20")
@pytest.mark.parametrize("pushes", [True, False])
def test_a_hint_is_told_and_whether_it_is_on_the_screen_too(pushes):
    there = Listener(rules=with_gateways(pushes=pushes))
    there.world.one(failed_call("1", A, "0903000002"))
    there.world.one(failed_call("1", A, "0903000002"))
    there.world.one(failed_call("2", A, "0903000002"))
    assert there.listen() == [("hint/sent", A, {"ussd": pushes})]


# ------------------------------------------------------------------------------ when not


def busy_day(world):
    world.text(A, "DK")
    world.text(A, "B 0903000003")
    world.forward(A, B)
    world.press(B, "1", step=1)
    world.deliver()
    world.connect("c", A, B)
    world.ended("c", 6)
    world.topup(A, 5_000)
    world.pass_time(2 * DAY_MS)


@pytest.mark.parametrize(
    "looks", ["KT", "KT B", "KT W", "KT CUOC", "HD", "nonsense", "Y", "N 1234", "XOAB", "W 1"]
)
def test_looking_and_what_leads_nowhere_is_no_news(there, looks):
    there.world.text(A, looks)
    there.world.dialogue(A, "*1566*1*1#")
    assert there.listen() == []


def test_without_anybody_who_listens_nothing_is_written():
    world = Listener(rules=with_gateways(events=False)).world
    busy_day(world)
    assert world.events() == []


def test_events_do_not_depend_on_who_works_when(there):
    # The same things in one batch and one by one.
    other = Listener()
    requests = [
        there.world.text_request(A, "DK"),
        there.world.text_request(B, "B 0903000003"),
        there.world.forward_request(A, C),
        there.world.topup_request(B, 5_000, key="k"),
    ]
    there.world.run(*requests)
    for request in requests:
        other.world.one(request)
    assert there.world.events() == other.world.events()
    assert len(there.listen()) == 4


def test_a_handler_that_breaks_has_told_nothing():
    def breaks(request, tx):
        tx.emit("list", "added", request.sender)
        raise ZeroDivisionError

    routes = {**SessionWorld().routes, "breaks": Route("breaks", breaks)}
    world = SessionWorld(routes=routes)
    world.subscriber(A)
    world.one(Request("breaks", sender=A))
    assert world.events() == []
    assert len(world.quarantined()) == 1


def test_numbers_of_events_grow_by_one_each(there):
    busy_day(there.world)
    rows = [row.seq for row in there.world.store.scan(OUTBOX_EVENT)]
    assert rows == list(range(1, len(rows) + 1))


# ------------------------------------------------------------------------------ published


def published(world, seq):
    request = Request("events.published", args=(str(seq),), channel=Channel.CLOCK)
    assert world.one(request).outcome == "events.noted"
    return int(world.row(META, EVENTS_PUBLISHED).value)


def test_how_far_others_were_told_never_goes_back(there):
    world = there.world
    assert [published(world, seq) for seq in (3, 5, 4, 5, 9, 10, 1)] == [3, 5, 5, 5, 9, 10, 10]


def test_how_far_others_were_told_is_known_after_a_restart(tmp_path):
    with SessionWorld(tmp_path / "books.db") as world:
        published(world, 7)
        world.restart()
        assert published(world, 3) == 7
