"""The route of notifications: who is let in, what is told, and that nothing else has an effect."""

import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import TestClient

from telcod.epay.notifications import PATH, Notification, read, request_of, routes
from telcod.epay.signatures import secret_bytes, signature
from telcod.errors import Overloaded
from telcod.simulator.card_gateway import WEBHOOK_SECRET
from telcod.web.app import make_app
from telcod.web.staff_requests import Refused
from tests.epay.world import OTHER_SECRET, PayWorld
from tests.web.fake_backend import START_MS, FakeBackend

pytestmark = pytest.mark.rule("PAYAPI-2", "PAY-5")

SECRET = secret_bytes(WEBHOOK_SECRET)
SAID = {
    "notification_id": "n-1",
    "payment_id": "P-1",
    "result": "authorised",
    "code": "00",
    "amount_vnd": 100_000,
    "masked_card": "411111******1111",
    "card_token": "tok_1",
    "bank": "VISA",
    "cashier": "INT01",
    "at": START_MS,
}


def headers(body, *, webhook_id="n-1", at_ms=START_MS, secret=SECRET):
    timestamp = str(at_ms // 1_000)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, webhook_id, timestamp, body),
        "content-type": "application/json",
    }


def told(client, said=SAID, **head):
    body = msgspec.json.encode(said)
    return client.post(PATH, content=body, headers=headers(body, **head))


@pytest.fixture
def backend():
    return FakeBackend()


def client_of(backend, secrets=(SECRET,), **limits):
    app = make_app(backend, control=False, dialects=routes(secrets, **limits))
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def client(backend):
    with client_of(backend) as client:
        yield client


def test_a_notification_of_a_payment_that_nobody_has_is_told_so_and_not_taken(client, backend):
    response = told(client)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    [request] = backend.submitted
    assert request.key == "gateway:n-1"
    assert request.args == (
        "P-1",
        "authorised",
        "00",
        "100000",
        "411111******1111",
        "tok_1",
        "VISA",
        "INT01",
    )


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_same_again_gets_the_same_answer_and_something_else_under_its_id_is_refused():
    async with PayWorld() as world:
        view = await world.open()
        said = SAID | {"payment_id": view.payment_id}

        async def tell(said):
            body = msgspec.json.encode(said)
            return await world.http.post(PATH, content=body, headers=headers(body))

        first = await tell(said)
        assert (first.status_code, first.json()) == (200, {"outcome": "payment.cleared"})
        world.backend.clock.advance(60_000)
        again = await tell(said)
        assert (again.status_code, again.content) == (200, first.content)
        # The moment at which it says so is no part of what it says.
        later = await tell(said | {"at": START_MS + 1})
        assert later.content == first.content
        other = await tell(said | {"result": "declined"})
        assert (other.status_code, other.json()["code"]) == (409, "key_reused")
        assert world.cases() == []


def without(name):
    return {key: value for key, value in headers(msgspec.json.encode(SAID)).items() if key != name}


@pytest.mark.parametrize(
    "head",
    [
        {},
        without("webhook-id"),
        without("webhook-timestamp"),
        without("webhook-signature"),
        headers(b"another body"),
        headers(msgspec.json.encode(SAID), webhook_id="n-2") | {"webhook-id": "n-1"},
        headers(msgspec.json.encode(SAID), at_ms=START_MS - 301_000),
        headers(msgspec.json.encode(SAID), at_ms=START_MS + 302_000),
        headers(msgspec.json.encode(SAID), secret=secret_bytes(OTHER_SECRET)),
        {"authorization": "Bearer telcod_gateway"},
    ],
)
def test_whatever_is_wrong_with_the_signature_the_answer_is_the_same(client, backend, head):
    response = client.post(PATH, content=msgspec.json.encode(SAID), headers=head)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "the notification is not signed as agreed"
    assert backend.submitted == []


def test_a_body_without_a_signature_is_not_read(client, backend):
    for body in (b"", b"{", b"[" * 50_000, b"\xff" * 100):
        assert client.post(PATH, content=body).status_code == 401
    assert client.post(PATH, content=b"x" * 70_000).status_code == 413
    assert backend.submitted == []


def test_while_the_secret_is_rotated_both_are_good(backend):
    other = secret_bytes(OTHER_SECRET)
    with client_of(backend, (other, SECRET)) as client:
        assert told(client).status_code == 404
        assert told(client, secret=other).status_code == 404
    with client_of(backend, (other,)) as client:
        assert told(client).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"result": "none"},
        {"result": "silent"},
        {"amount_vnd": -1},
        {"amount_vnd": "100000"},
        {"amount_vnd": 1.5},
        {"amount_vnd": 10**18},
        {"payment_id": ""},
        {"payment_id": "P 1"},
        {"payment_id": None},
        {"masked_card": "4" * 201},
        {"bank": "VISA\n"},
        {"notification_id": "n-2"},
    ],
)
def test_a_signed_body_that_makes_no_sense_is_refused_with_its_reason(client, backend, change):
    response = told(client, SAID | change)
    assert response.status_code == 400
    assert response.json()["code"] == "malformed"
    assert backend.submitted == []


@pytest.mark.parametrize("name", ["notification_id", "payment_id", "result", "amount_vnd"])
def test_a_field_that_must_be_there_must_be_there(client, backend, name):
    assert told(client, {key: SAID[key] for key in SAID if key != name}).status_code == 400
    assert backend.submitted == []


def test_fields_that_we_do_not_know_are_the_gateway_s_own_business(client):
    assert told(client, SAID | {"issuer_country": "VN"}).status_code == 404


@given(st.binary(max_size=300))
def test_no_signed_body_raises_anything_but_a_refusal(body):
    try:
        said = read(body, "n-1")
    except Refused:
        return
    assert isinstance(request_of(said).args, tuple)


@given(st.sampled_from(sorted(SAID)), st.none() | st.integers() | st.text() | st.lists(st.none()))
def test_any_field_may_hold_anything(name, value):
    said = SAID | {name: value}
    try:
        request = request_of(read(msgspec.json.encode(said), "n-1"))
    except Refused:
        return
    assert all(isinstance(argument, str) for argument in request.args)
    assert request.key == "gateway:n-1"


def test_too_many_from_one_address_are_told_to_wait(backend):
    with client_of(backend, per_s=1, burst=3) as client:
        answers = [told(client) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        backend.clock.advance(1_000)
        assert told(client).status_code == 404


def test_books_that_are_full_ask_the_gateway_to_come_again(client, backend):
    backend.raises = Overloaded("full")
    response = told(client)
    assert response.status_code == 503
    assert response.headers["retry-after"]


def test_the_openapi_page_knows_it_and_asks_for_no_token(client):
    operation = client.get("/schema").json()["paths"][PATH]["post"]
    assert "application/json" in operation["requestBody"]["content"]
    assert not operation.get("security")


def test_a_notification_prints_no_secret_of_ours(client, caplog):
    with caplog.at_level(logging.DEBUG):
        told(client, secret=secret_bytes(OTHER_SECRET))
    assert "whsec" not in caplog.text
    assert "tok_1" not in caplog.text


def test_the_example_is_what_the_interface_says():
    assert set(SAID) == set(Notification.__struct_fields__)
