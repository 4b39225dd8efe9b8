"""The console over JSON: who may ask, what is told, what is refused, and that it is all logged."""

import pytest

from telcod.rows import AUDIT
from telcod.storage import care_queries
from telcod.web.scopes import Scope
from tests.console.world import NOBODY, A, B, C, CareBackend, CareWorld

pytestmark = pytest.mark.rule("STAFF-1", "CARE-1", "CARE-2")

KEY = {"Idempotency-Key": "k-1"}
DOORS = [
    ("GET", f"/staff/v1/subscribers/{A}/details", None),
    ("GET", f"/staff/v1/subscribers/{A}/story", None),
    ("POST", f"/staff/v1/subscribers/{A}/acts", {"act": "notices.stop"}),
    ("POST", "/staff/v1/texts/1/resend", None),
    ("GET", "/staff/v1/payments/P1", None),
    ("POST", "/staff/v1/payments/P1/review", {"verdict": "pass", "reason": "x"}),
    ("POST", "/staff/v1/payments/P1/clear-by-hand", {"reason": "x"}),
    ("POST", "/staff/v1/payments/P1/propose-cancel", {"reason": "x"}),
    ("POST", "/staff/v1/payments/P1/confirm-cancel", {"reason": "x"}),
    ("GET", "/staff/v1/cases", None),
    ("POST", "/staff/v1/cases/close", {"source": "call", "id": "x", "note": "x"}),
    ("GET", "/staff/v1/centres", None),
    ("PUT", "/staff/v1/centres/2", {"clearing": "open"}),
    ("GET", "/staff/v1/audit", None),
]


@pytest.fixture
def world(tmp_path):
    with CareWorld(tmp_path / "books.db") as made:
        yield made


@pytest.fixture
def backend(world):
    return CareBackend(world)


@pytest.fixture
def client(backend):
    with backend.client() as client:
        yield client


@pytest.fixture
def an(backend):
    return backend.staff("an")


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    return response.json()


def story(client, who, msisdn=A, **asked):
    response = client.get(f"/staff/v1/subscribers/{msisdn}/story", params=asked, headers=who)
    assert response.status_code == 200, response.text
    return response.json()


def kinds(page):
    return [row["kind"] for row in page["rows"]]


def post(client, who, path, body=None, key="k-1"):
    return client.post(path, json=body, headers={**who, "Idempotency-Key": key})


@pytest.mark.rule("HTTP-1", "CLI-7")
@pytest.mark.parametrize(("method", "path", "body"), DOORS)
def test_staff_and_the_administrator_may_ask_and_nobody_else(client, backend, method, path, body):
    tokens = {scope: backend.token(scope) for scope in Scope}
    problem(client.request(method, path, json=body, headers=KEY), 401, "not_authenticated")
    for scope, token in tokens.items():
        headers = {**token, **KEY}
        response = client.request(method, path, json=body, headers=headers)
        if scope in {Scope.STAFF, Scope.ADMIN}:
            assert response.status_code in {200, 404}, response.text
        else:
            problem(response, 403, "not_permitted")


def test_the_openapi_page_names_the_routes(client):
    paths = client.get("/schema").json()["paths"]
    for method, path, _ in DOORS:
        template = (
            path.replace(str(A), "{msisdn}")
            .replace("/P1", "/{payment_id}")
            .replace("/texts/1", "/texts/{seq}")
            .replace("centres/2", "centres/{centre}")
        )
        assert paths[template][method.lower()]["security"] == [{"token": []}]
    assert not [path for path in paths if path.startswith("/console")]


def test_a_story_tells_texts_packages_money_and_who_looked_newest_first(client, world, an):
    world.text(A, "DK")
    world.clock.advance(60_000)
    world.topup(A, 10_000)
    world.clock.advance(60_000)
    page = story(client, an)
    assert [(row["kind"], row["what"]) for row in page["rows"]][:3] == [
        ("staff", "lookup"),
        ("charge", "topup"),
        ("staff", "topup"),
    ]
    assert {"in", "out", "package", "charge"} <= set(kinds(page))
    moments = [row["at"] for row in page["rows"]]
    assert moments == sorted(moments, reverse=True)
    assert page["before"] == 0


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("message", {"in", "out"}),
        ("package", {"package"}),
        ("charge", {"charge"}),
        ("call", {"call"}),
        ("text", {"text"}),
        ("payment", {"payment"}),
        ("staff", {"staff"}),
        ("push", set()),
    ],
)
def test_a_story_can_be_of_one_kind(client, world, an, kind, found):
    world.text(A, "DK")
    world.forward(B, A, "hello")
    world.connect("c1", B, A)
    world.ended("c1", 75)
    world.pay("P9", A, 60_000)
    assert set(kinds(story(client, an, kind=kind))) == found


@pytest.mark.rule("PFM-30", "PAY-1")
def test_what_one_subscriber_wrote_to_another_is_not_shown(client, world, an):
    world.accepted(A, B, "only for your eyes")
    world.text(C, "MK abcd", code="9223")
    for msisdn in (A, B, C):
        told = story(client, an, msisdn)
        assert told["rows"]
        assert "only for your eyes" not in str(told)
        assert "abcd" not in str(told)
        assert "$argon2id" not in str(told)


@pytest.mark.rule("NUM-5")
def test_what_an_earlier_owner_did_is_marked(client, world, an):
    world.text(A, "KT")
    world.clock.advance(60_000)
    world.set_state(A, "closed")
    world.clock.advance(60_000)
    world.set_state(A, "active")
    world.clock.advance(60_000)
    world.text(A, "HD")
    texts = [
        (row["what"], row["earlier_owner"])
        for row in story(client, an, kind="message")["rows"]
        if row["kind"] == "in"
    ]
    assert texts == [("help", False), ("package.show", True)]


def whole_story(client, who, msisdn, **asked):
    """All pages, put together."""
    rows, before = [], 0
    for _ in range(100):
        page = story(client, who, msisdn, before=before, **asked)
        rows += page["rows"]
        before = page["before"]
        if not before:
            return rows
    raise AssertionError("the story never ends")


def test_pages_put_together_are_the_whole_story_without_a_row_twice(client, world, an):
    for each in range(70):
        world.text(A, "KT")
        if each % 3:
            world.clock.advance(1_000)
        if each % 7 == 0:
            world.topup(A, 1_000 + each)
    rows = whole_story(client, an, A, kind="message")
    assert len({(row["kind"], row["id"]) for row in rows}) == len(rows) == 140
    rows = [row for row in whole_story(client, an, A) if row["kind"] != "staff"]
    assert len({(row["kind"], row["id"]) for row in rows}) == len(rows) == 140 + 10 + 1
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)


def test_many_texts_of_one_moment_are_all_told(client, world, an):
    world.run(*[world.text_request(A, "KT") for _ in range(90)])
    rows = whole_story(client, an, A, kind="message")
    assert len({(row["kind"], row["id"]) for row in rows}) == len(rows) == 180


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("asked", "field"), [({"kind": "gossip"}, "kind"), ({"before": "-1"}, "before")]
)
def test_a_story_that_there_is_not_is_refused_with_the_field(client, an, asked, field):
    response = client.get(f"/staff/v1/subscribers/{A}/story", params=asked, headers=an)
    told = problem(response, 400, "malformed")
    assert [error["field"] for error in told["errors"]] == [field]


def test_every_look_up_is_in_the_log_also_of_nobody(client, world, an):
    story(client, an)
    problem(client.get(f"/staff/v1/subscribers/{NOBODY}/details", headers=an), 404, "not_found")
    lines = [row for row in world.store.scan(AUDIT) if row.action == "lookup"]
    assert [(row.actor, row.subject) for row in lines] == [
        ("token:an", str(A)),
        ("token:an", str(NOBODY)),
    ]
    assert lines[0].detail == "story from testclient"


def test_an_act_is_done_once_under_its_key_and_told(client, world, an):
    path, body = f"/staff/v1/subscribers/{A}/acts", {"act": "package.register_day"}
    first = post(client, an, path, body)
    assert first.json() == post(client, an, path, body).json()
    assert first.json()["outcome"] == "package.trial_started"
    assert first.json()["told"] is True
    assert world.care_texts(A) == [first.json()["text"]]
    other = {"act": "package.cancel"}
    problem(post(client, an, path, other), 409, "key_reused")


def test_an_act_without_a_key_is_refused(client, an):
    path, body = f"/staff/v1/subscribers/{A}/acts", {"act": "package.register_day"}
    told = problem(client.post(path, json=body, headers=an), 400, "malformed")
    assert told["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "body",
    [
        {"act": "staff.topup"},
        {"act": "package.cancel", "words": ["NOW"]},
        {"act": "list.black_add", "words": ["x" * 41]},
        {"act": "list.black_add", "words": ["0903000002"] * 51},
        {"acts": "package.cancel"},
        {},
    ],
)
def test_an_act_that_makes_no_sense_changes_nothing(client, world, an, body):
    before = len(world.outbox())
    response = post(client, an, f"/staff/v1/subscribers/{A}/acts", body)
    problem(response, 400, "malformed")
    assert len(world.outbox()) == before


def cases(client, who):
    response = client.get("/staff/v1/cases", headers=who)
    assert response.status_code == 200
    return {case["kind"]: case for case in response.json()}


@pytest.mark.rule("PAY-5", "PAY-6", "PAY-8", "PFM-17")
def test_every_sort_of_case_is_listed_until_it_is_mended(client, world, an):
    world.contradictory("P1")
    world.unknown("P2")
    call = world.suspect_call()
    world.clearing_failed("P4")
    world.in_review("P3")
    world.set_aside()
    found = cases(client, an)
    assert set(found) == {
        "contradictory", "unknown", "call.suspect", "clearing_failed", "alarm", "in_review",
        "quarantine",
    }  # fmt: skip
    assert found["contradictory"]["payment"] == "P1"
    assert found["call.suspect"]["id"] == call

    hand = {"reason": "in their own books"}
    assert post(client, an, "/staff/v1/payments/P4/clear-by-hand", hand).json() == {
        "outcome": "payment.cleared"
    }
    verdict = {"verdict": "reject", "reason": "stolen"}
    assert post(client, an, "/staff/v1/payments/P3/review", verdict, "k-2").status_code == 200
    for kind in ("contradictory", "alarm", "call.suspect", "quarantine"):
        which = {name: found[kind][name] for name in ("source", "id")}
        body = {**which, "note": "looked at"}
        assert client.post("/staff/v1/cases/close", json=body, headers=an).json() == {
            "outcome": "payment.case_closed"
        }
    world.inquire("P2", "none")
    assert set(cases(client, an)) <= {"unknown"}


def test_a_payment_is_shown_with_its_case_entries_and_who_did_what(client, world, an):
    world.contradictory("P1")
    shown = client.get("/staff/v1/payments/P1", headers=an).json()
    assert (shown["state"], shown["msisdn"], shown["amount_vnd"]) == ("cleared", str(C), 100_000)
    assert [case["kind"] for case in shown["cases"]] == ["contradictory"]
    assert [(entry["debit"], entry["credit"]) for entry in shown["entries"]] == [
        ("gateway:receivable", "transit:2"),
        ("transit:2", f"debt:{C}"),
    ]
    assert "payment.cleared" in [line["action"] for line in shown["audit"]]
    assert "card_token" not in shown
    assert world.last_audit().detail.startswith("payment P1 from")


@pytest.mark.rule("STAFF-2", "PAY-9")
def test_fraud_is_cancelled_by_two_tokens_and_not_by_one(client, world, backend, an):
    world.pay("P1", C, 100_000)
    binh = backend.staff("binh")
    why = {"reason": "the bank's letter"}
    path = "/staff/v1/payments/P1"
    told = problem(post(client, binh, f"{path}/confirm-cancel", why), 409, "conflict")
    assert told["outcome"] == "payment.not_proposed"
    assert post(client, an, f"{path}/propose-cancel", why).status_code == 200
    told = problem(post(client, an, f"{path}/confirm-cancel", why, "k-2"), 409, "conflict")
    assert told["outcome"] == "payment.same_person"
    assert set(cases(client, an)) == {"cancel_proposed"}
    done = post(client, binh, f"{path}/confirm-cancel", why, "k-2")
    assert done.json() == {"outcome": "payment.cancelled"}
    assert world.debt(C) == 300_000
    assert cases(client, an) == {}


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/staff/v1/payments/NONE", None),
        ("POST", "/staff/v1/payments/NONE/clear-by-hand", {"reason": "x"}),
        ("POST", "/staff/v1/texts/99/resend", None),
        ("POST", "/staff/v1/texts/first/resend", None),
        ("POST", "/staff/v1/texts/99999999999999999999/resend", None),
        ("PUT", "/staff/v1/centres/7", {"clearing": "open"}),
        ("POST", "/staff/v1/cases/close", {"source": "quarantine", "id": "x", "note": "x"}),
        ("POST", f"/staff/v1/subscribers/{NOBODY}/acts", {"act": "notices.stop"}),
    ],
)
def test_what_there_is_not_is_not_found(client, an, method, path, body):
    response = client.request(method, path, json=body, headers={**an, **KEY})
    problem(response, 404, "not_found")


def test_a_reason_is_needed(client, world, an):
    world.clearing_failed("P4", hours=1)
    for reason in ("", "  ", "x" * 201):
        response = post(client, an, "/staff/v1/payments/P4/clear-by-hand", {"reason": reason})
        problem(response, 400, "malformed")
    assert world.state("P4") == "clearing"


@pytest.mark.rule("PAY-8")
def test_a_centre_is_closed_and_opened(client, world, an):
    def standing():
        return [row["clearing_open"] for row in client.get("/staff/v1/centres", headers=an).json()]

    assert standing() == [1, 1, 1, 1, 1, 1]
    for word, expected in (("closed", 0), ("open", 1)):
        body = {"clearing": word}
        done = client.put("/staff/v1/centres/2", json=body, headers=an)
        assert done.json() == {"outcome": "payment.centre_set"}
        assert standing()[1] == expected
    assert world.last_audit().subject == "centre 2"


def test_a_text_is_sent_again(client, world, an):
    world.text(A, "KT")
    world.settle_all()
    seq = next(row["id"] for row in story(client, an)["rows"] if row["kind"] == "out")
    assert post(client, an, f"/staff/v1/texts/{seq}/resend").json() == {"outcome": "care.resent"}
    assert post(client, an, f"/staff/v1/texts/{seq}/resend").status_code == 200
    assert len(world.care_texts(A)) == 1


def test_the_audit_log_is_read_by_who_what_and_about_whom(client, world, an):
    for _ in range(45):
        world.topup(B, 1_000)
    story(client, an)

    def lines(**asked):
        return client.get("/staff/v1/audit", params=asked, headers=an).json()

    first = lines()
    assert len(first["lines"]) == care_queries.PAGE
    rest = lines(before=first["before"])
    assert rest["before"] == 0
    numbers = [line["seq"] for page in (first, rest) for line in page["lines"]]
    assert numbers == list(range(len(list(world.store.scan(AUDIT))), 0, -1))
    assert [line["action"] for line in lines(subject=str(A))["lines"]] == ["lookup"]
    assert [line["subject"] for line in lines(actor="token:an")["lines"]] == [str(A)]
    assert len(lines(action="topup", subject=str(B))["lines"]) == care_queries.PAGE
    assert lines(actor="token:nobody")["lines"] == []


def test_a_revoked_token_opens_nothing_any_more(client, backend, an):
    admin = backend.token(Scope.ADMIN)
    assert client.get("/staff/v1/cases", headers=an).status_code == 200
    assert client.delete("/admin/v1/tokens/an", headers=admin).status_code < 300
    problem(client.get("/staff/v1/cases", headers=an), 401, "not_authenticated")
