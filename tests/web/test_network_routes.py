"""What the network gets over HTTP and over messages, good and bad, with the real handlers behind.

The two ways are held to the same answers: a body goes through both, each with books of its own.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import TestClient

from telcod.bulk import SubscriberLine
from telcod.engine import Batcher
from telcod.errors import KeyReused, Overloaded, TelcodError, Unavailable
from telcod.network_ops import ops
from telcod.rows import OUTBOX_SMS, SUBSCRIBER, Kind, State
from telcod.vault import Vault
from telcod.web.app import make_app
from telcod.web.problems import problem_of
from telcod.web.scopes import Scope
from tests.network_world import ROUTES
from tests.web.fake_backend import RULES, FakeBackend

A, B, C = 84_903_000_001, 84_903_000_002, 84_903_000_003
FAILED = "/network/v1/call-failed"
TOPUPS = "/network/v1/topups"
SUBSCRIBER_C = "/network/v1/subscribers/0903000003"
CALL = {
    "event_id": "e-1",
    "caller": "0903000001",
    "called": "0903000002",
    "reason": "insufficient_balance",
}
TOPUP = {"event_id": "e-1", "msisdn": "+84 903 000 001", "amount_vnd": 500}
PUT = {"kind": "prepaid", "state": "active", "centre": 3}
DOORS = [("POST", FAILED, CALL), ("POST", TOPUPS, TOPUP), ("PUT", SUBSCRIBER_C, PUT)]
LEFT_OUT = object()


def new_backend():
    backend = FakeBackend()
    backend.batcher = Batcher(backend.store, RULES, ROUTES, backend.clock, Vault(bytes(32)))
    backend.add(
        SubscriberLine(A, Kind.PREPAID, State.OUT_OF_MONEY),
        SubscriberLine(B, Kind.PREPAID, State.ACTIVE, balance_vnd=5_000),
    )
    return backend


def client_of(backend):
    return TestClient(make_app(backend, control=False), raise_server_exceptions=False)


@pytest.fixture
def backend():
    return new_backend()


@pytest.fixture
def client(backend):
    with client_of(backend) as client:
        yield client


@pytest.fixture
def network(backend):
    return backend.token(Scope.NETWORK)


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["code"]) == (status, code)
    return found


def fields(found):
    return [error["field"] for error in found["errors"]]


def changed(body, **values):
    """The body with other values; one that is LEFT_OUT is not there."""
    merged = body | values
    return {name: value for name, value in merged.items() if value is not LEFT_OUT}


def texts(backend):
    return [row.destination for row in backend.store.scan(OUTBOX_SMS)]


# ------------------------------------------------------------------------------------ who may call


@pytest.mark.rule("HTTP-1", "CLI-7", "NET-1", "NET-2")
@pytest.mark.parametrize(("method", "path", "body"), DOORS)
@pytest.mark.parametrize("scope", list(Scope))
def test_the_network_and_the_administrator_may_tell_and_nobody_else(
    client, backend, method, path, body, scope
):
    response = client.request(method, path, json=body, headers=backend.token(scope))
    if scope in {Scope.NETWORK, Scope.ADMIN}:
        assert response.is_success, response.text
    else:
        problem(response, 403, "not_permitted")
        assert backend.submitted == []


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(("method", "path", "body"), DOORS)
def test_without_a_token_nothing_is_taken(client, backend, method, path, body):
    problem(client.request(method, path, json=body), 401, "not_authenticated")
    assert backend.submitted == []


def test_the_openapi_page_names_the_routes_and_their_problems(client):
    paths = client.get("/schema").json()["paths"]
    for method, path, _ in DOORS:
        operation = paths[path.replace("0903000003", "{msisdn}")][method.lower()]
        assert operation["security"] == [{"token": []}]
        assert {"400", "401", "403", "409", "503"} <= set(operation["responses"])
    assert "202" in paths[FAILED]["post"]["responses"]


# ----------------------------------------------------------------------------------------- the good


@pytest.mark.rule("NET-1", "PFM-20")
def test_a_failed_call_is_accepted_and_the_caller_is_told(client, backend, network):
    response = client.post(FAILED, json=CALL, headers=network)
    assert (response.status_code, response.json()) == (202, {"accepted": True})
    assert texts(backend) == [str(A)]


@pytest.mark.rule("NET-1")
@pytest.mark.parametrize(
    "other",
    [
        {"reason": "busy"},
        {"called": "1566"},
        {"called": "+44 7911 123456"},
        {"caller": "0977000001"},
    ],
)
def test_a_failed_call_that_brings_no_guide_or_a_general_one_is_accepted_alike(
    client, network, other
):
    response = client.post(FAILED, json=CALL | other, headers=network)
    assert (response.status_code, response.json()) == (202, {"accepted": True})


@pytest.mark.rule("NET-1", "HTTP-2")
def test_the_same_event_again_is_answered_the_same_and_does_nothing(client, backend, network):
    first, again = (client.post(FAILED, json=CALL, headers=network) for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    backend.clock.advance(2 * 3_600_000)
    assert client.post(FAILED, json=CALL, headers=network).status_code == 202
    assert texts(backend) == [str(A)]


@pytest.mark.rule("NET-1", "NET-2", "HTTP-2", "HTTP-1")
@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        (FAILED, CALL, {"called": "0903000003"}),
        (FAILED, CALL, {"caller": "0903000002"}),
        (FAILED, CALL, {"reason": "busy"}),
        (TOPUPS, TOPUP, {"amount_vnd": 501}),
        (TOPUPS, TOPUP, {"msisdn": "0903000002"}),
    ],
)
def test_the_same_id_with_another_body_is_409_and_does_nothing(
    client, backend, network, path, body, other
):
    assert client.post(path, json=body, headers=network).is_success
    before = texts(backend)
    problem(client.post(path, json=body | other, headers=network), 409, "key_reused")
    assert texts(backend) == before
    assert client.post(path, json=body, headers=network).is_success


@pytest.mark.rule("NET-2", "HTTP-2")
def test_a_top_up_is_answered_with_the_balance_and_done_once(client, network):
    first, again = (client.post(TOPUPS, json=TOPUP, headers=network) for _ in range(2))
    assert (first.status_code, first.json()) == (200, {"balance_vnd": 500, "package": ""})
    assert again.content == first.content
    more = client.post(TOPUPS, json=TOPUP | {"event_id": "e-2"}, headers=network)
    assert more.json() == {"balance_vnd": 1_000, "package": ""}


@pytest.mark.rule("NET-2")
def test_a_subscriber_is_put_and_putting_him_again_changes_nothing(client, backend, network):
    outcomes = [
        client.put(SUBSCRIBER_C, json=body, headers=network).json()
        for body in (PUT, PUT, PUT | {"state": "suspended"})
    ]
    assert outcomes == [
        {"outcome": "subscriber.added"},
        {"outcome": "subscriber.unchanged"},
        {"outcome": "subscriber.changed"},
    ]
    (row,) = [row for row in backend.store.scan(SUBSCRIBER) if row.msisdn == C]
    assert (row.state, row.centre) == ("suspended", 3)


# ------------------------------------------------------------------------------------------ the bad


WRONG = [
    *((FAILED, CALL, {name: LEFT_OUT}, name) for name in CALL),
    *((TOPUPS, TOPUP, {name: LEFT_OUT}, name) for name in TOPUP),
    *((SUBSCRIBER_C, PUT, {name: LEFT_OUT}, name) for name in PUT),
    *((FAILED, CALL, {name: 5}, name) for name in CALL),
    (FAILED, CALL, {"event_id": ""}, "event_id"),
    (FAILED, CALL, {"event_id": "x" * 129}, "event_id"),
    (FAILED, CALL, {"event_id": "a b"}, "event_id"),
    (FAILED, CALL, {"caller": "abc"}, "caller"),
    (FAILED, CALL, {"caller": "1566"}, "caller"),
    (FAILED, CALL, {"caller": "+44 7911 123456"}, "caller"),
    (FAILED, CALL, {"called": "abc"}, "called"),
    (FAILED, CALL, {"called": ""}, "called"),
    (FAILED, CALL, {"called": "1" * 65}, "called"),
    (FAILED, CALL, {"reason": "no money"}, "reason"),
    (FAILED, CALL, {"at": 1}, "at"),
    (TOPUPS, TOPUP, {"msisdn": "0903"}, "msisdn"),
    (TOPUPS, TOPUP, {"amount_vnd": 0}, "amount_vnd"),
    (TOPUPS, TOPUP, {"amount_vnd": "five"}, "amount_vnd"),
    (TOPUPS, TOPUP, {"amount_vnd": 1.5}, "amount_vnd"),
    (TOPUPS, TOPUP, {"amount_vnd": 10**30}, "amount_vnd"),
    (TOPUPS, TOPUP, {"reason": "gift"}, "reason"),
    (SUBSCRIBER_C, PUT, {"state": "asleep"}, "state"),
    (SUBSCRIBER_C, PUT, {"centre": 7}, "centre"),
    (SUBSCRIBER_C, PUT, {"name": None}, "name"),
    (SUBSCRIBER_C, PUT, {"name": "An\n"}, "name"),
    (SUBSCRIBER_C, PUT, {"surname": "An"}, "surname"),
    ("/network/v1/subscribers/abc", PUT, {}, "msisdn"),
    ("/network/v1/subscribers/9090", PUT, {}, "msisdn"),
]


def send(client, path, body, headers):
    method = "PUT" if "subscribers" in path else "POST"
    return client.request(method, path, json=body, headers=headers)


@pytest.mark.rule("HTTP-1", "NET-1", "NET-2")
@pytest.mark.parametrize(("path", "body", "wrong", "field"), WRONG)
def test_a_wrong_field_is_400_and_named_and_nothing_is_done(
    client, backend, network, path, body, wrong, field
):
    response = send(client, path, changed(body, **wrong), network)
    assert fields(problem(response, 400, "malformed")) == [field]
    assert backend.submitted == []


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(("method", "path", "_body"), DOORS)
@pytest.mark.parametrize("content", [b"", b"[]", b"{nope", b"\xff", b"[" * 5_000])
def test_what_is_no_object_is_400(client, network, method, path, _body, content):
    problem(client.request(method, path, content=content, headers=network), 400, "malformed")


@pytest.mark.rule("HTTP-1", "NET-2", "NUM-4")
def test_money_for_a_number_that_nobody_has_is_404(client, network):
    body = TOPUP | {"msisdn": "0977000001"}
    problem(client.post(TOPUPS, json=body, headers=network), 404, "not_found")


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("error", [Overloaded("too many wait"), Unavailable("stopping")])
@pytest.mark.parametrize(("method", "path", "body"), DOORS)
def test_when_the_books_cannot_it_is_503_and_may_be_sent_again(
    client, backend, network, method, path, body, error
):
    backend.raises = error
    response = client.request(method, path, json=body, headers=network)
    assert (response.status_code, "retry-after" in response.headers) == (503, True)
    backend.raises = None
    assert client.request(method, path, json=body, headers=network).is_success


# ------------------------------------------------------------------------------------ over messages


def ask(backend, op, fields, *, actor="mqtt"):
    """One message's fields; the answer, or the error that the message is answered with."""

    async def asked():
        return await ops(backend.submit, backend.parse_number, actor=actor)[op](fields)

    try:
        return asyncio.run(asked())
    except TelcodError as error:
        return error


@pytest.mark.rule("MQTT-1", "NET-1", "NET-2")
def test_there_is_an_op_for_each_route(backend):
    assert set(ops(backend.submit, backend.parse_number)) == {"call_failed", "topup", "subscriber"}


@pytest.mark.rule("MQTT-1", "NET-1", "NET-2")
def test_messages_are_answered_as_http_is(backend):
    assert ask(backend, "call_failed", CALL) == {"accepted": True}
    assert ask(backend, "topup", TOPUP) == {"balance_vnd": 500, "package": ""}
    body = {"msisdn": "0903000003", **PUT}
    assert ask(backend, "subscriber", body) == {"outcome": "subscriber.added"}
    assert texts(backend) == [str(A)]


@pytest.mark.rule("MQTT-1", "NET-1", "NET-2")
def test_a_message_told_twice_is_one_event(backend):
    first, again = (ask(backend, "topup", TOPUP) for _ in range(2))
    assert first == again == {"balance_vnd": 500, "package": ""}
    assert isinstance(ask(backend, "topup", TOPUP | {"amount_vnd": 1}), KeyReused)
    for _ in range(2):
        assert ask(backend, "call_failed", CALL) == {"accepted": True}
    assert texts(backend) == [str(A)]


OPS = {FAILED: "call_failed", TOPUPS: "topup"}


def in_message(path, body):
    """The op, and the fields of the same thing said by a message."""
    if path in OPS:
        return OPS[path], body
    return "subscriber", {"msisdn": path.rpartition("/")[2], **body}


def both(path, body):
    """What HTTP and a message answer to the same: status and answer, or status, code, fields."""
    http_books, message_books = new_backend(), new_backend()
    with client_of(http_books) as client:
        response = send(client, path, body, http_books.token(Scope.NETWORK))
    found = response.json()
    if response.is_success:
        told: tuple = (response.status_code // 100, found)
    else:
        told = (response.status_code, found["code"], fields(found))
    op, said = in_message(path, body)
    answer = ask(message_books, op, said, actor="token:network")
    if not isinstance(answer, TelcodError):
        return told, (2, answer)
    problem, _ = problem_of(answer)
    return told, (problem.status, problem.code, [error.field for error in problem.errors])


@pytest.mark.rule("MQTT-1", "NET-1", "NET-2", "HTTP-1")
@pytest.mark.parametrize(("path", "body", "wrong", "field"), WRONG)
def test_a_wrong_message_is_told_as_over_http(path, body, wrong, field):
    by_http, by_message = both(path, changed(body, **wrong))
    assert by_http == by_message
    assert by_message[2] == [field]


@pytest.mark.rule("MQTT-1", "HTTP-1")
@pytest.mark.parametrize("fields", [[], "x", None])
def test_a_message_that_is_no_object_is_malformed(backend, fields):
    problem, _ = problem_of(ask(backend, "call_failed", fields))
    assert (problem.status, problem.code) == (400, "malformed")


@pytest.mark.rule("MQTT-1", "NET-2")
def test_digits_in_quotation_marks_are_an_amount_either_way():
    by_http, by_message = both(TOPUPS, TOPUP | {"amount_vnd": "500"})
    assert by_http == by_message == (2, {"balance_vnd": 500, "package": ""})


VALUES = st.one_of(
    st.sampled_from(["0903000001", "0903000003", "1566", "e-1", "active", "closed", "", "x y"]),
    st.integers(-1, 3),
    st.sampled_from([10**30, True, None, 1.5, 2.0, "7", "null", [], {}, ["a"], {"a": 1}]),
)


@pytest.mark.rule("MQTT-1", "NET-1", "NET-2")
@given(
    st.sampled_from([(path, body) for _, path, body in DOORS]),
    st.dictionaries(
        st.sampled_from((*CALL, *TOPUP, *PUT, "language", "name", "balance_vnd", "x")),
        VALUES,
        max_size=2,
    ),
)
def test_http_and_messages_agree_whatever_is_said(door, said):
    path, body = door
    said = {name: value for name, value in said.items() if name != "msisdn" or path == TOPUPS}
    by_http, by_message = both(path, body | said)
    assert by_http == by_message
