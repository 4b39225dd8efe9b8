"""The app's API over HTTP, with the real handlers behind: what texts do, and nobody else's data."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telcod.days import DAY_MS, HOUR_MS, SECOND_MS
from telcod.errors import Overloaded
from telcod.rows import ASKED_TEXT, ENTRY, META, SELF_SESSION
from telcod.selfcare.door import address_of
from tests.selfcare.world import A, B, C, SelfBackend, SelfWorld, client_of

pytestmark = pytest.mark.rule("SELF-1", "HTTP-1")


@pytest.fixture
def world():
    with SelfWorld() as made:
        for number in (A, B, C):
            made.subscriber(number, balance_vnd=20_000)
        yield made


@pytest.fixture
def client(world):
    with client_of(SelfBackend(world)) as made:
        yield made


def log_in(client, world, number=A):
    """The headers of a session, by the code that came to the phone."""
    said = {"msisdn": f"0{number % 10**9}"}
    assert client.post("/self/v1/login", json=said).status_code == 202
    code = world.codes_sent_to(number)[-1]
    got = client.post("/self/v1/login/confirm", json=said | {"code": code})
    assert got.status_code == 200, got.text
    return {"Authorization": f"Bearer {got.json()['token']}"}


@pytest.fixture
def own(client, world):
    return log_in(client, world)


# --------------------------------------------------------------------------------------- logging in


def test_an_unknown_number_is_answered_to_the_byte_like_a_known_one(client, world):
    answers = [
        client.post("/self/v1/login", json={"msisdn": number})
        for number in ("0903000001", "0903999999", "84903000001")
    ]
    assert {(a.status_code, a.text) for a in answers} == {(202, '{"digits":6,"good_for_s":300}')}
    assert len(world.codes_sent_to(A)) == 2


def test_a_code_is_six_digits_and_drawn_anew(client, world):
    for _ in range(5):
        client.post("/self/v1/login", json={"msisdn": "0903000001"})
    codes = world.codes_sent_to(A)
    assert all(re.fullmatch("[0-9]{6}", code) for code in codes)
    assert len(set(codes)) > 1


def test_a_wrong_code_is_401_whoever_it_was(client, world):
    client.post("/self/v1/login", json={"msisdn": "0903000001"})
    wrong = "000000" if world.codes_sent_to(A)[-1] != "000000" else "000001"
    answers = [
        client.post("/self/v1/login/confirm", json={"msisdn": number, "code": wrong})
        for number in ("0903000001", "0903999999")
    ]
    assert {(a.status_code, a.text) for a in answers} == {(401, answers[0].text)}
    assert answers[0].json()["code"] == "self.wrong_code"


def test_a_code_with_blanks_is_the_code(client, world):
    said = {"msisdn": "0903000001"}
    client.post("/self/v1/login", json=said)
    code = world.codes_sent_to(A)[-1]
    spaced = said | {"code": f" {code[:3]} {code[3:]} "}
    assert client.post("/self/v1/login/confirm", json=spaced).status_code == 200


def test_no_number_is_400_with_the_field(client):
    for path, body in (
        ("/self/v1/login", {"msisdn": "abc"}),
        ("/self/v1/login/confirm", {"msisdn": "12", "code": "123456"}),
    ):
        got = client.post(path, json=body)
        assert (got.status_code, got.json()["errors"][0]["field"]) == (400, "msisdn")
    assert client.post("/self/v1/login", json={"number": "0903000001"}).status_code == 400


def test_a_token_is_not_kept_only_its_hash(client, world, own):
    token = own["Authorization"].removeprefix("Bearer ")
    (session,) = world.store.scan(SELF_SESSION)
    assert token not in repr(session)
    assert len(token.removeprefix("telcod_me_")) == 43


def test_after_logging_out_the_token_opens_nothing(client, own):
    assert client.get("/self/v1/account", headers=own).status_code == 200
    assert client.post("/self/v1/logout", headers=own).status_code == 200
    assert client.get("/self/v1/account", headers=own).status_code == 401


ROUTES = [
    ("GET", "account", None),
    ("GET", "package", None),
    ("POST", "package", {"package": "day"}),
    ("DELETE", "package", None),
    ("GET", "lists/white", None),
    ("POST", "lists/black", {"number": "0903000002"}),
    ("DELETE", "lists/black", None),
    ("DELETE", "lists/black/0903000002", None),
    ("GET", "notices", None),
    ("PUT", "notices", {"wanted": False}),
    ("GET", "charges", None),
    ("GET", "requests", None),
    ("POST", "requests/1234", {"accept": True}),
    ("GET", "dial/0903000002", None),
    ("GET", "language", None),
    ("PUT", "language", {"language": "en"}),
    ("POST", "logout", None),
]


@pytest.mark.parametrize(
    "header", ["", "Bearer ", "Bearer no-token", "Basic YTpi", "Bearer " + "x" * 300]
)
def test_nothing_is_shown_or_done_without_a_session(client, world, header):
    before = world.contents(without=(META,))
    headers = {"Authorization": header} if header else {}
    for method, path, body in ROUTES:
        got = client.request(method, f"/self/v1/{path}", json=body, headers=headers)
        # That there is no such session any more is what logging out asks for.
        fine = path == "logout" and header == "Bearer no-token"
        assert got.status_code == (200 if fine else 401), path
    assert world.contents(without=(META,)) == before


def test_a_token_of_the_operator_opens_no_subscribers_data(client, world):
    headers = SelfBackend(world).token("admin")
    for method, path, body in ROUTES:
        got = client.request(method, f"/self/v1/{path}", json=body, headers=headers)
        assert got.status_code == (200 if path == "logout" else 401), path


# ------------------------------------------------------------------------------- what the texts do


def test_a_package_is_registered_shown_and_cancelled_as_by_texts(client, world, own):
    shown = client.get("/self/v1/package", headers=own).json()
    assert shown["package"] is None
    assert shown["prices"] == {"day": 1_000, "week": 5_000}
    assert (shown["trial_free"], shown["eligible"]) == (True, True)
    done = client.post("/self/v1/package", json={"package": "week"}, headers=own).json()
    assert done["outcome"] == "package.trial_started"
    again = client.post("/self/v1/package", json={"package": "week"}, headers=own).json()
    assert again["outcome"] == "package.already"
    got = client.get("/self/v1/package", headers=own).json()["package"]
    assert (got["package"], got["status"], got["trial"]) == ("week", "active", True)
    assert client.delete("/self/v1/package", headers=own).json()["outcome"] == "package.cancelled"
    assert client.get("/self/v1/package", headers=own).json()["package"] is None
    assert world.balance(A) == 20_000
    assert world.check() == []


def test_the_text_is_that_of_the_text_to_1566(client, world, own):
    done = client.post("/self/v1/package", json={"package": "day"}, headers=own).json()
    by_text = world.text(B, "DK")
    assert done == {"outcome": by_text.outcome, "text": by_text.text}


def test_two_packages_bought_in_one_moment_are_two_charges(client, world, own):
    """The books know each act by a name of its own."""
    for package in ("day", "week", "day"):
        client.post("/self/v1/package", json={"package": package}, headers=own)
        client.delete("/self/v1/package", headers=own)
    charges = client.get("/self/v1/charges", headers=own).json()["charges"]
    assert [charge["amount_vnd"] for charge in charges] == [1_000, 5_000]
    assert world.check() == []


def test_lists_are_kept_as_by_texts(client, world, own):
    def add(kind, number):
        return client.post(f"/self/v1/lists/{kind}", json={"number": number}, headers=own).json()

    assert add("white", "0903000002")["outcome"] == "list.w.needs_package"
    client.post("/self/v1/package", json={"package": "day"}, headers=own)
    assert add("white", "+84 903 000 002")["outcome"] == "list.w.added"
    assert add("black", "0903000002")["outcome"] == "list.b.moved"
    assert add("black", "0903000001")["outcome"] == "list.b.own"
    assert add("black", "0903999999")["outcome"] == "list.b.off_net"
    black = client.get("/self/v1/lists/black", headers=own).json()
    assert black == {"numbers": [str(B)], "works": True, "entries_max": 50}
    assert client.get("/self/v1/lists/white", headers=own).json()["numbers"] == []
    gone = client.delete("/self/v1/lists/black/0903000002", headers=own).json()
    assert gone["outcome"] == "list.b.removed"
    add("black", "0903000002"), add("black", "0903000003")
    assert world.listed(A, "black") == [B, C]
    assert client.delete("/self/v1/lists/black", headers=own).json()["outcome"] == (
        "list.b.all_removed"
    )
    assert world.listed(A, "black") == []


def test_a_list_that_is_none_and_a_number_that_is_none_are_400(client, own):
    assert client.get("/self/v1/lists/grey", headers=own).status_code == 400
    got = client.post("/self/v1/lists/black", json={"number": "x"}, headers=own)
    assert (got.status_code, got.json()["errors"][0]["field"]) == (400, "number")
    assert client.delete("/self/v1/lists/black/x", headers=own).status_code == 400
    assert client.get("/self/v1/dial/x", headers=own).status_code == 400
    body = {"package": "month"}
    assert client.post("/self/v1/package", json=body, headers=own).status_code == 400


def test_notices_and_language_are_set_as_by_texts(client, world, own):
    assert client.get("/self/v1/notices", headers=own).json() == {
        "wanted": True,
        "available": True,
    }
    got = client.put("/self/v1/notices", json={"wanted": False}, headers=own).json()
    assert got["outcome"] == "notices.off"
    assert world.subscriber_row(A).notices == 0
    said = client.put("/self/v1/language", json={"language": "en"}, headers=own).json()
    assert said["outcome"] == "language.set"
    assert "English" in said["text"]
    assert client.get("/self/v1/language", headers=own).json() == {"language": "en"}


def test_what_to_dial(client, own):
    got = client.get("/self/v1/dial/+84903000002", headers=own).json()
    assert got["command"] == "15660903000002"
    assert "15660903000002" in got["text"]


@pytest.mark.rule("PFM-30")
def test_a_text_that_waits_is_accepted_by_its_code_and_paid_once(client, world, own):
    world.forward(B, A, "Hello")
    (waiting,) = client.get("/self/v1/requests", headers=own).json()["requests"]
    assert (waiting["kind"], waiting["caller"], waiting["price_vnd"]) == ("text", str(B), 250)
    assert "Hello" not in str(waiting)
    path = f"/self/v1/requests/{waiting['id']}"
    got = client.post(path, json={"accept": True}, headers=own).json()
    assert got["outcome"] == "forward.accepted"
    assert client.get("/self/v1/requests", headers=own).json() == {"requests": []}
    again = client.post(path, json={"accept": True}, headers=own).json()
    assert again["outcome"] == "forward.code_unknown"
    world.deliver()
    (charge,) = client.get("/self/v1/charges", headers=own).json()["charges"]
    assert (charge["kind"], charge["whom"], charge["amount_vnd"]) == ("sms", str(B), 250)


@pytest.mark.rule("PFM-30")
def test_a_text_that_waits_is_refused(client, world, own):
    world.forward(B, A, "Hello")
    (waiting,) = client.get("/self/v1/requests", headers=own).json()["requests"]
    path = f"/self/v1/requests/{waiting['id']}"
    got = client.post(path, json={"accept": False}, headers=own).json()
    assert got["outcome"] == "forward.declined"
    assert world.balance(A) == 20_000


@pytest.mark.rule("PFM-18")
def test_charges_come_in_pages_with_times_and_for_whom(client, world):
    for number in range(45):
        world.connect(f"call{number}", B, A)
        world.clock.advance(3 * HOUR_MS)
        world.ended(f"call{number}", 6 + number % 3)
    own = log_in(client, world)
    seen, start, pages = [], 0, 0
    while True:
        page = client.get(f"/self/v1/charges?start={start}", headers=own).json()
        seen += page["charges"]
        pages += 1
        start = page["next"]
        if not start:
            break
    paid = 20_000 - world.balance(A)
    assert len(seen) == 45
    assert sum(charge["amount_vnd"] for charge in seen) == paid
    assert {charge["whom"] for charge in seen} == {str(B)}
    assert [charge["at"] for charge in seen] == sorted((c["at"] for c in seen), reverse=True)
    assert pages == -(-len(seen) // 20)
    account = client.get("/self/v1/account", headers=own).json()
    assert (account["spent_vnd"], account["spent_whole"]) == (paid, True)


def test_what_was_spent_is_this_months(client, world):
    world.text(A, "DK"), world.text(A, "HUY"), world.text(A, "DK7"), world.text(A, "HUY")
    headers = log_in(client, world)
    assert client.get("/self/v1/account", headers=headers).json()["spent_vnd"] == 5_000
    world.clock.advance(31 * DAY_MS)
    world.text(A, "DK")
    headers = log_in(client, world)
    assert client.get("/self/v1/account", headers=headers).json()["spent_vnd"] == 1_000


# ------------------------------------------------------------------------------------ others' data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(start=st.integers(0, 40), waiting=st.from_regex(r"\A[0-9]{4}\Z"))
def test_no_id_shows_or_answers_what_is_anothers(client, world, start, waiting):
    headers = getattr(world, "headers_of_c", None)
    if headers is None:
        world.text(A, "DK7"), world.text(B, "DK"), world.text(A, "B 0903000003")
        world.forward(B, A, "Hello")
        headers = world.headers_of_c = log_in(client, world, C)
    world.clock.advance(SECOND_MS)
    (code,) = [row.code for row in world.store.scan(ASKED_TEXT)]
    page = client.get(f"/self/v1/charges?start={start}", headers=headers).json()
    assert page == {"charges": [], "next": 0}
    for word in (waiting, code):
        got = client.post(f"/self/v1/requests/{word}", json={"accept": True}, headers=headers)
        assert got.json()["outcome"] == "forward.code_unknown"
    assert client.get("/self/v1/requests", headers=headers).json() == {"requests": []}
    assert client.get("/self/v1/lists/black", headers=headers).json()["numbers"] == []


@pytest.mark.rule("NUM-5")
def test_an_earlier_owners_charges_are_not_shown_even_by_their_number(client, world):
    world.text(A, "DK"), world.text(A, "HUY"), world.text(A, "DK7")
    old = list(world.store.scan(ENTRY))
    world.set_state(A, "closed")
    world.clock.advance(1)
    world.subscriber(A, balance_vnd=9_000)
    headers = log_in(client, world, A)
    for entry in [*old, *world.store.scan(ENTRY)]:
        page = client.get(f"/self/v1/charges?start={entry.seq}", headers=headers).json()
        assert page["charges"] == []


@pytest.mark.parametrize("start", ["-1", "x", str(2**53 + 1), ""])
def test_a_place_that_is_none_is_400(client, own, start):
    assert client.get(f"/self/v1/charges?start={start}", headers=own).status_code == 400


# ------------------------------------------------------------------------------------------- limits


@pytest.mark.rule("HTTP-4")
def test_a_flood_from_one_address_is_429_whatever_it_says_of_itself(client):
    def ask(said):
        headers = {"X-Forwarded-For": said}
        body = {"msisdn": "0903999999"}
        return client.post("/self/v1/login", json=body, headers=headers).status_code

    assert {ask(f"198.51.100.{number}") for number in range(60)} == {202}
    assert ask("198.51.100.200") == 429


@pytest.mark.rule("HTTP-4")
def test_behind_a_proxy_on_this_machine_each_customer_is_limited_alone():
    assert address_of("127.0.0.1", "203.0.113.9, 198.51.100.1") == "198.51.100.1"
    assert address_of("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert address_of("127.0.0.1", "2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert address_of("testclient", "") == "testclient"


@pytest.mark.rule("HTTP-4")
def test_a_session_that_asks_too_often_is_429_with_retry_after(client, own):
    answers = [client.get("/self/v1/notices", headers=own) for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200}
    got = client.get("/self/v1/notices", headers=own)
    assert got.status_code == 429
    assert int(got.headers["Retry-After"]) > 0


def test_full_books_are_503_and_nothing_was_done(world):
    backend = SelfBackend(world)
    with client_of(backend) as client:
        backend.raises = Overloaded("full")
        got = client.post("/self/v1/login", json={"msisdn": "0903000001"})
        assert got.status_code == 503
        assert got.headers["Retry-After"]
    assert world.outbox() == []


def test_nothing_that_is_anybodys_is_stored_on_the_way(client, own):
    for path in ("account", "package", "lists/white", "charges", "requests", "dial/0903000002"):
        assert client.get(f"/self/v1/{path}", headers=own).headers["Cache-Control"] == "no-store"
