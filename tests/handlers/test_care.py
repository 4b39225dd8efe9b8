"""What staff do for subscribers: by the handlers of texts, told by a text, written to the log."""

import pytest

from handlers import care
from handlers.care import BY_STAFF, ON_BEHALF
from telcod.dispatch import Args, Route
from telcod.rows import AUDIT, ENTRY, QUARANTINE, Kind, ListKind
from telcod.types import Channel, Line, Reply, Request
from tests.console.world import CARE_ROUTES, NOBODY, ROUTES, A, B, C, CareWorld

pytestmark = pytest.mark.rule("CARE-2")

AN, BINH = "token:an", "token:binh"
WHERE = "198.51.100.7"


@pytest.fixture
def world(tmp_path):
    with CareWorld(tmp_path / "books.db") as made:
        yield made


def ask(world, route, *args, sender=0, actor=AN, key=""):
    request = Request(
        f"care.{route}",
        sender=sender,
        args=(WHERE, *args),
        channel=Channel.STAFF,
        actor=actor,
        key=key,
    )
    (result,) = world.run(request)
    return result


def act(world, name, *words, sender=A, **more):
    return ask(world, "act", name, *words, sender=sender, **more)


@pytest.mark.rule("CARE-1")
def test_a_look_up_shows_the_subscriber_and_is_in_the_log_with_who_and_from_where(world):
    world.text(A, "DK")
    world.text(A, "W 0903000002")
    shown = ask(world, "look_up", "story", sender=A)
    assert shown.outcome == "subscriber.shown"
    assert shown.data["balance_vnd"] == 50_000
    assert shown.data["package"]["package"] == "day"
    assert shown.data["lists"]["white"] == [str(B)]
    line = world.last_audit()
    assert (line.actor, line.channel, line.action, line.subject) == (AN, "staff", "lookup", str(A))
    assert line.detail == f"story from {WHERE}"


@pytest.mark.rule("CARE-1")
def test_a_look_up_shows_money_debt_password_and_lock_as_they_stand(world):
    shown = ask(world, "look_up", "story", sender=C).data
    who = {"msisdn": str(C), "kind": "postpaid", "state": "active", "language": "vi", "centre": 2}
    money = {"balance_vnd": 0, "held_vnd": 0, "debt_vnd": 300_000}
    person = {"notices": True, "since": world.now_ms, "name": "Nợ cước", "address": "", "email": ""}
    door = {"password_set": False, "locked_until": 0}
    rest = {name: shown.pop(name) for name in ("package", "prices", "lists")}
    assert shown.items() >= {**who, **money, **person, **door}.items()
    assert (rest["package"], rest["lists"]["black"]) == (None, [])
    world.text(C, "MK abcd", code="9223")
    assert ask(world, "look_up", "story", sender=C).data["password_set"] is True
    world.connect("c", A, B)
    held = ask(world, "look_up", "story", sender=B).data
    assert (held["balance_vnd"], held["held_vnd"], held["debt_vnd"]) == (20_000, 15_000, 0)
    assert (held["name"], held["address"], held["email"]) == ("", "", "")


def test_a_look_up_of_nobody_is_in_the_log_too(world):
    assert ask(world, "look_up", "story", sender=NOBODY).outcome == "subscriber.unknown"
    assert world.last_audit().subject == str(NOBODY)


def test_a_package_registered_for_him_is_the_one_that_his_text_would_have_started(world):
    done = act(world, "package.register_day")
    assert done.data["outcome"] == "package.trial_started"
    assert world.package(A).package == "day"
    assert world.care_texts(A) == [done.data["text"]]
    assert done.data["told"] is True
    line = world.last_audit()
    assert (line.actor, line.action) == (AN, "care.package.register_day")
    assert line.detail == f"-> package.trial_started from {WHERE}"


def test_the_handler_of_a_text_is_told_who_asks_which_way_and_when(tmp_path):
    asked = []
    keys = ("package.none", "package.none_to_cancel")

    def probe(request, tx):
        asked.append(request)
        tx.send_sms(C, "1566", "a change", kind="notice")
        return Reply("probed", tuple(Line(key, {}) for key in keys))

    leaves = {**ROUTES, "package.cancel": Route("package.cancel", probe, Args.NONE)}
    with CareWorld(tmp_path / "books.db", {**leaves, **care.routes(leaves)}) as world:
        done = act(world, "package.cancel", key="care:an:7")
        assert asked == [
            Request(
                "package.cancel",
                sender=A,
                args=(),
                channel=Channel.STAFF,
                short_code="1566",
                key="care:an:7",
                event_ms=world.now_ms,
                actor=AN,
            )
        ]
        render = world.rules.catalogue.render
        text = " ".join(render(key, {}, "vi") for key in keys)
        assert done.outcome == "care.done"
        assert done.data == {"outcome": "probed", "text": text, "told": True}
        assert world.care_texts(A) == [text]
        line = world.last_audit()
        assert (line.subject, line.detail) == (str(A), f"-> probed from {WHERE}")


def test_what_changes_nothing_is_said_to_staff_and_not_to_the_subscriber(world):
    done = act(world, "package.cancel")
    assert (done.data["outcome"], done.data["told"]) == ("package.none_to_cancel", False)
    assert done.data["text"]
    assert world.care_texts(A) == []
    assert world.last_audit().action == "care.package.cancel"


def test_he_is_told_in_his_language(world):
    world.text(A, "NN EN")
    act(world, "list.black_add", "0903000002")
    (told,) = world.care_texts(A)
    assert told.startswith("Added to your blacklist: 0903000002.")
    assert world.listed(A, ListKind.BLACK) == [B]


def test_numbers_are_removed_one_by_one_or_all(world):
    act(world, "list.black_add", "0903000002", "0903000003")
    act(world, "list.black_remove", "0903000002")
    assert world.listed(A, ListKind.BLACK) == [C]
    act(world, "list.black_remove", "ALL")
    assert world.listed(A, ListKind.BLACK) == []


def test_the_same_act_again_under_its_key_charges_once(world):
    world.text(A, "DK")
    world.text(A, "HUY")  # The trial is used.
    first = act(world, "package.register_day", key="care:an:1")
    again = act(world, "package.register_day", key="care:an:1")
    assert first == again
    paid = [row for row in world.store.scan(ENTRY) if row.kind == "package.day"]
    assert [row.amount for row in paid] == [1_000]
    assert len(world.care_texts(A)) == 1


@pytest.mark.parametrize("name", ["staff.topup", "payment.review", "password.set", "nonsense", ""])
def test_nothing_else_is_done_on_somebodys_behalf(world, name):
    before = world.contents()
    assert act(world, name).outcome == "care.malformed"
    assert world.contents() == before | {"meta": world.contents()["meta"]}


def test_nothing_is_done_for_a_number_that_is_nobodys(world):
    assert act(world, "package.register_day", sender=NOBODY).outcome == "subscriber.unknown"
    world.set_state(A, "closed")
    assert act(world, "package.register_day").outcome == "subscriber.unknown"


def test_words_that_the_text_would_not_take_are_refused(world):
    assert act(world, "package.cancel", "NOW").outcome == "care.malformed"
    assert act(world, "list.black_add").outcome == "care.malformed"


def test_every_act_leads_to_a_handler():
    assert set(CARE_ROUTES) >= ON_BEHALF | BY_STAFF


@pytest.mark.rule("PAY-2")
def test_look_up_is_unlocked_and_he_is_told(world):
    world.text(C, "MK abcd", code="9223")
    for _ in range(5):
        world.run(Request("lookup.try", sender=C, body={"verdict": "wrong"}, channel=Channel.WEB))
    assert ask(world, "look_up", "story", sender=C).data["locked_until"] > world.now_ms
    done = ask(world, "staff", "lookup.unlock", sender=C)
    assert done.data["outcome"] == "lookup.unlocked"
    assert ask(world, "look_up", "story", sender=C).data["locked_until"] == 0
    assert any("mo" in text for text in world.sent_to(C)[-1:])


@pytest.mark.rule("PAY-8")
def test_what_is_cleared_by_hand_names_the_person_and_the_address(world):
    world.clearing_failed("P4")
    done = ask(world, "staff", "payment.clear_by_hand", "P4", "cleared in their own books")
    assert done.data["outcome"] == "payment.cleared"
    assert world.state("P4") == "cleared"
    line = world.last_audit()
    assert (line.actor, line.subject) == (AN, str(C))
    assert line.detail == f"P4 cleared in their own books -> payment.cleared from {WHERE}"


@pytest.mark.rule("PAY-6", "PAY-8")
@pytest.mark.parametrize(
    ("name", "rest", "outcome", "subject"),
    [
        ("payment.review", ("P3", "pass", "known to us"), "payment.cleared", str(A)),
        ("payment.review", ("P3", "reject", "stolen"), "payment.rejected_fraud", str(A)),
        ("payment.review", ("P9", "pass", "which?"), "payment.not_found", "P9"),
        ("payment.set_centre", ("2", "closed"), "payment.centre_set", "centre 2"),
        ("payment.set_centre", ("2", "open"), "payment.centre_set", "centre 2"),
    ],
)
def test_each_act_of_staff_is_done_and_is_in_the_log(world, name, rest, outcome, subject):
    world.in_review("P3")
    done = ask(world, "staff", name, *rest)
    assert (done.outcome, done.data["outcome"]) == ("care.done", outcome)
    line = world.last_audit()
    assert (line.actor, line.action, line.subject) == (AN, f"care.{name}", subject)
    assert line.detail == f"{' '.join(rest[:2])} -> {outcome} from {WHERE}"


@pytest.mark.rule("PAY-9", "STAFF-2")
def test_one_person_at_two_addresses_is_still_one_person(world):
    world.pay("P1", C, 100_000)
    propose = ask(world, "staff", "payment.propose_cancel", "P1", "bank's letter")
    assert propose.data["outcome"] == "payment.cancel_proposed"
    alone = Request(
        "care.staff",
        args=("203.0.113.9", "payment.confirm_cancel", "P1", "me again"),
        channel=Channel.STAFF,
        actor=AN,
    )
    (refused,) = world.run(alone)
    assert refused.data["outcome"] == "payment.same_person"
    assert world.state("P1") == "cleared"
    agreed = ask(world, "staff", "payment.confirm_cancel", "P1", "agreed", actor=BINH)
    assert agreed.data["outcome"] == "payment.cancelled"


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("payment.review", ("P3", "maybe", "x")),
        ("payment.review", ("P3", "pass")),
        ("payment.set_centre", ("two", "open")),
        ("payment.set_centre", ("2", "ajar")),
        ("payment.clear_by_hand", ("P3",)),
        ("lookup.unlock", ("now",)),
        ("staff.topup", ("1000", "gift")),
    ],
)
def test_an_act_that_makes_no_sense_breaks_nothing(world, name, rest):
    world.in_review("P3")
    assert ask(world, "staff", name, *rest, sender=A).outcome == "care.malformed"
    assert list(world.store.scan(QUARANTINE)) == []
    assert world.state("P3") == "in_review"


def test_a_text_is_sent_again_once_it_has_left(world):
    world.text(A, "KT")
    (sms,) = [row for row in world.outbox() if row.destination == str(A)]
    assert ask(world, "resend", str(sms.seq)).outcome == "care.still_waits"
    world.settle_all()
    done = ask(world, "resend", str(sms.seq))
    assert done.outcome == "care.done"
    assert done.data == {"outcome": "care.resent", "msisdn": str(A), "text": sms.text}
    assert world.care_texts(A) == [sms.text]
    line = world.last_audit()
    assert (line.actor, line.action, line.subject) == (AN, "care.resend", str(A))
    assert line.detail == f"text {sms.seq} (reply) from {WHERE}"


@pytest.mark.rule("NUM-5", "PFM-30")
def test_questions_and_texts_of_others_and_of_an_earlier_owner_are_not_sent_again(world):
    world.forward(A, B, "for you alone")
    world.text(A, "KT")
    world.settle_all()
    question = next(row for row in world.outbox() if row.kind == "consent")
    assert ask(world, "resend", str(question.seq)).outcome == "care.not_resent"
    reply = [row for row in world.outbox() if row.destination == str(A)][-1]
    world.set_state(A, "closed")
    assert ask(world, "resend", str(reply.seq)).outcome == "subscriber.unknown"
    world.clock.advance(60_000)
    world.set_state(A, "active")
    assert ask(world, "resend", str(reply.seq)).outcome == "subscriber.unknown"
    assert ask(world, "resend", "999999").outcome == "care.no_text"


def test_a_case_of_a_payment_is_closed_once_with_its_note(world):
    world.contradictory("P1")
    (case,) = world.case_rows()
    for note in ("the bank's yes stands", "again"):
        done = ask(world, "close_case", "payment_case", str(case.seq), note)
        assert (done.outcome, done.data["outcome"]) == ("care.done", "payment.case_closed")
    (closed,) = world.case_rows()
    assert (closed.closed_by, closed.note) == (AN, "the bank's yes stands")
    lines = [row for row in world.store.scan(AUDIT) if row.action == "care.case_closed"]
    assert [(row.subject, row.detail) for row in lines] == [(str(C), f"case 1 from {WHERE}")]


@pytest.mark.rule("PFM-17")
def test_suspect_calls_and_set_aside_requests_are_closed_in_the_log(world):
    call = world.suspect_call()
    world.set_aside()
    for source, name in (("call", call), ("quarantine", "1")):
        done = ask(world, "close_case", source, name, "looked at")
        assert (done.outcome, done.data) == ("care.done", {"outcome": "payment.case_closed"})
        line = world.last_audit()
        assert (line.subject, line.detail) == (f"{source} {name}", f"looked at from {WHERE}")


@pytest.mark.parametrize(
    ("source", "name"),
    [("call", "none"), ("quarantine", "7"), ("payment_case", "7")],
)
def test_a_case_that_there_is_not_is_not_closed(world, source, name):
    done = ask(world, "close_case", source, name, "note")
    assert (done.data or {}).get("outcome", done.outcome) == "payment.no_such_case"


def test_a_source_of_cases_that_there_is_not_is_refused(world):
    assert ask(world, "close_case", "gossip", "1", "note").outcome == "care.malformed"


def test_the_books_are_whole_after_all_of_it(world):
    world.text(A, "DK")
    act(world, "package.cancel")
    act(world, "package.register_week")
    world.clearing_failed("P4")
    ask(world, "staff", "payment.clear_by_hand", "P4", "by hand")
    assert world.subscriber_row(A).kind == Kind.PREPAID
    assert world.check() == []
