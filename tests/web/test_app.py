"""What programs get from the HTTP interface, good and bad, with the real handlers behind it."""

import io

import msgspec
import pytest
import structlog
from litestar.testing import TestClient

from telcod import log
from telcod.bulk import SubscriberLine
from telcod.errors import LedgerCorrupt, Overloaded, StoreFailed, StoreFull, Unavailable
from telcod.rows import AUDIT, SUBSCRIBER, Kind, State
from telcod.web.app import make_app
from telcod.web.limits import WebLimits
from telcod.web.scopes import Scope
from tests.web.fake_backend import FakeBackend

AN = 84_903_000_001
SHOW_AN = "/staff/v1/subscribers/0903000001"
TOP_UP_AN = f"{SHOW_AN}/topups"
STATE_OF_AN = f"{SHOW_AN}/state"
IMPORT = "/admin/v1/subscribers/import"
TOKENS = "/admin/v1/tokens"
SECRET_ROUTES = [
    ("GET", SHOW_AN),
    ("POST", TOP_UP_AN),
    ("PUT", STATE_OF_AN),
    ("POST", IMPORT),
    ("GET", TOKENS),
    ("POST", TOKENS),
    ("DELETE", f"{TOKENS}/x"),
    ("POST", "/admin/v1/backup"),
    ("GET", "/admin/v1/status"),
    ("POST", "/admin/v1/clock/confirm"),
]


@pytest.fixture
def backend():
    backend = FakeBackend()
    line = SubscriberLine(AN, Kind.PREPAID, State.ACTIVE, balance_vnd=5_000, name="Nguyen Van An")
    backend.add(line)
    return backend


@pytest.fixture
def logged():
    stream = io.StringIO()
    log.configure(stream=stream, cached=False)
    yield stream
    structlog.reset_defaults()


@pytest.fixture
def client(backend, logged):
    with TestClient(make_app(backend, control=False), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def control(backend, logged):
    with TestClient(make_app(backend, control=True), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def staff(backend):
    return backend.token(Scope.STAFF)


@pytest.fixture
def admin(backend):
    return backend.token(Scope.ADMIN)


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["code"]) == (status, code)
    assert "Traceback" not in response.text
    return found


def fields(found):
    return [error["field"] for error in found["errors"]]


# ------------------------------------------------------------------------- alive, ready, numbers


@pytest.mark.rule("HTTP-3")
def test_healthz_says_whether_the_process_is_alive(client, backend):
    assert client.get("/healthz").json() == {"alive": True, "broken": []}
    backend.broken = ["the writer has stopped"]
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"alive": False, "broken": ["the writer has stopped"]}


@pytest.mark.rule("HTTP-3")
def test_readyz_says_what_is_missing(client, backend):
    assert client.get("/readyz").json() == {"ready": True, "missing": []}
    backend.missing = ["the disk is full", "no SMPP link is bound"]
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json() == {
        "ready": False,
        "missing": ["the disk is full", "no SMPP link is bound"],
    }


@pytest.mark.rule("HTTP-3")
def test_metrics_are_in_the_format_of_prometheus(client):
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# HELP telcod_engine_batch_requests Requests in one commit." in response.text


def test_the_openapi_page_is_3_1_and_names_every_route_and_its_problems(client):
    schema = client.get("/schema").json()
    assert schema["openapi"].startswith("3.1")
    for method, path in SECRET_ROUTES:
        template = path.replace("0903000001", "{msisdn}").replace("tokens/x", "tokens/{name}")
        operation = schema["paths"][template][method.lower()]
        assert operation["security"] == [{"token": []}]
        assert {"400", "401", "403", "404", "409", "413", "429", "503"} <= set(
            operation["responses"]
        )
        assert "application/problem+json" in operation["responses"]["401"]["content"]


# ------------------------------------------------------------------------------------ who calls


@pytest.mark.rule("HTTP-1", "CLI-7")
@pytest.mark.parametrize(("method", "path"), SECRET_ROUTES)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer unknown", "Basic dTpw", "Bearer " + "x" * 400],
)
def test_without_a_known_token_the_answer_is_401(client, staff, method, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    response = client.request(method, path, headers=headers)
    problem(response, 401, "not_authenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="telcod"'


@pytest.mark.rule("HTTP-1", "CLI-7")
@pytest.mark.parametrize("scope", list(Scope))
def test_each_scope_opens_what_it_is_for_and_nothing_else(client, backend, scope):
    headers = backend.token(scope)
    for path, allowed in ((SHOW_AN, {Scope.STAFF, Scope.ADMIN}), (TOKENS, {Scope.ADMIN})):
        response = client.get(path, headers=headers)
        if scope in allowed:
            assert response.status_code == 200
        else:
            problem(response, 403, "not_permitted")


@pytest.mark.rule("HTTP-1")
def test_a_wrong_token_is_told_before_a_wrong_body(client, staff):
    problem(client.post(TOP_UP_AN, content=b"{nope"), 401, "not_authenticated")
    problem(client.post(IMPORT, content=b"{nope", headers=staff), 403, "not_permitted")


@pytest.mark.rule("CLI-7")
def test_a_new_token_opens_at_once_and_a_revoked_one_no_more(client, admin):
    made = client.post(TOKENS, headers=admin, json={"name": "shop-1", "scope": "staff"})
    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    assert client.get(SHOW_AN, headers=headers).status_code == 200
    assert client.delete(f"{TOKENS}/shop-1", headers=admin).status_code == 200
    problem(client.get(SHOW_AN, headers=headers), 401, "not_authenticated")


@pytest.mark.rule("CLI-7")
def test_a_token_is_shown_once_and_its_name_is_used_once(client, admin):
    made = client.post(TOKENS, headers=admin, json={"name": "x", "scope": "ivr"}).json()
    listed = client.get(TOKENS, headers=admin)
    assert made["token"] not in listed.text
    assert [(row["name"], row["scope"]) for row in listed.json()] == [
        ("admin", "admin"),
        ("x", "ivr"),
    ]
    again = client.post(TOKENS, headers=admin, json={"name": "x", "scope": "ivr"})
    problem(again, 409, "conflict")
    problem(client.delete(f"{TOKENS}/nobody", headers=admin), 404, "not_found")


@pytest.mark.rule("HTTP-4", "HTTP-1")
def test_a_token_used_too_often_gets_429_and_recovers(backend, staff, logged):
    limits = WebLimits(rate_per_s=1, burst=2)
    with TestClient(make_app(backend, control=False, limits=limits)) as client:
        assert [client.get(SHOW_AN, headers=staff).status_code for _ in range(3)] == [200, 200, 429]
        response = client.get(SHOW_AN, headers=staff)
        problem(response, 429, "too_often")
        assert int(response.headers["retry-after"]) > 0
        backend.clock.advance(1_000)
        assert client.get(SHOW_AN, headers=staff).status_code == 200


@pytest.mark.rule("CLI-4", "CLI-7")
def test_the_control_socket_needs_no_token_and_its_peer_is_the_actor(control, backend):
    assert control.get(SHOW_AN).status_code == 200
    assert control.get(TOKENS).status_code == 200
    assert backend.submitted[-1].actor.startswith("cli:")


# ------------------------------------------------------------------------------------ subscribers


@pytest.mark.rule("CLI-4", "NUM-1")
@pytest.mark.parametrize(
    "form", ["0903000001", "84903000001", "+84903000001", "0084903000001", "903 000 001"]
)
def test_a_subscriber_is_shown_by_any_form_of_the_number(client, staff, form):
    found = client.get(f"/staff/v1/subscribers/{form}", headers=staff).json()
    assert (found["msisdn"], found["balance_vnd"]) == (AN, 5_000)
    assert (found["name"], found["package"]) == ("Nguyen Van An", None)
    assert found["lists"] == {"white": 0, "black": 0}


def test_every_look_up_is_audited_also_of_a_number_that_is_nobodys(client, backend, staff):
    client.get(SHOW_AN, headers=staff)
    problem(client.get("/staff/v1/subscribers/0903000009", headers=staff), 404, "not_found")
    lines = [line for line in backend.store.scan(AUDIT) if line.action == "lookup"]
    assert [(line.actor, line.subject) for line in lines] == [
        ("token:staff", "84903000001"),
        ("token:staff", "84903000009"),
    ]


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("form", ["abc", "090", "1566", "+44 7911 123456", "%00", "0" * 60])
def test_what_is_no_number_is_400_with_the_field_named(client, staff, form):
    found = problem(client.get(f"/staff/v1/subscribers/{form}", headers=staff), 400, "malformed")
    assert fields(found) == ["msisdn"]


@pytest.mark.rule("HTTP-2", "CLI-4")
def test_a_top_up_repeated_with_its_key_is_done_once(client, staff):
    headers = {**staff, "Idempotency-Key": "k1"}
    body = {"amount_vnd": 500, "reason": "shop"}
    first, again = (client.post(TOP_UP_AN, headers=headers, json=body) for _ in range(2))
    assert first.json() == {"outcome": "topup.done", "balance_vnd": 5_500, "package": ""}
    assert again.content == first.content
    assert client.get(SHOW_AN, headers=staff).json()["balance_vnd"] == 5_500


@pytest.mark.rule("HTTP-2", "HTTP-1")
def test_a_key_with_another_body_is_409_and_moves_nothing(client, staff):
    headers = {**staff, "Idempotency-Key": "k1"}
    client.post(TOP_UP_AN, headers=headers, json={"amount_vnd": 500, "reason": "shop"})
    other = client.post(TOP_UP_AN, headers=headers, json={"amount_vnd": 501, "reason": "shop"})
    problem(other, 409, "key_reused")
    assert client.get(SHOW_AN, headers=staff).json()["balance_vnd"] == 5_500


@pytest.mark.rule("HTTP-1", "HTTP-2")
@pytest.mark.parametrize("key", [None, " ", "x" * 129])
def test_a_top_up_without_a_usable_key_is_400(client, staff, key):
    headers = staff if key is None else {**staff, "Idempotency-Key": key}
    response = client.post(TOP_UP_AN, headers=headers, json={"amount_vnd": 500, "reason": "x"})
    assert fields(problem(response, 400, "malformed")) == ["Idempotency-Key"]


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount_vnd": 0, "reason": "x"}, "amount_vnd"),
        ({"amount_vnd": 10**12 + 1, "reason": "x"}, "amount_vnd"),
        ({"amount_vnd": 1.5, "reason": "x"}, "amount_vnd"),
        ({"amount_vnd": 10**30, "reason": "x"}, "amount_vnd"),
        ({"amount_vnd": 1}, "reason"),
        ({"amount_vnd": 1, "reason": ""}, "reason"),
        ({"amount_vnd": 1, "reason": "x" * 201}, "reason"),
        ({"amount_vnd": 1, "reason": "x", "to": "me"}, "to"),
        ([], "body"),
        (None, "body"),
    ],
)
def test_a_malformed_body_is_400_with_the_field_named(client, staff, body, field):
    headers = {**staff, "Idempotency-Key": "k"}
    response = client.post(TOP_UP_AN, headers=headers, json=body)
    assert fields(problem(response, 400, "malformed")) == [field]


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("content", [b"", b"{nope", b"\xff\xfe", b"[" * 5_000, b'{"amount_vnd":'])
def test_what_is_no_json_is_400(client, staff, content):
    headers = {**staff, "Idempotency-Key": "k"}
    problem(client.post(TOP_UP_AN, headers=headers, content=content), 400, "malformed")


@pytest.mark.rule("CLI-4", "HTTP-2")
def test_a_state_is_set_and_setting_it_again_changes_nothing(client, backend, staff):
    outcomes = [
        client.put(STATE_OF_AN, headers=staff, json={"state": "suspended"}).json() for _ in range(2)
    ]
    assert [one["outcome"] for one in outcomes] == ["state.set", "state.unchanged"]
    assert next(iter(backend.store.scan(SUBSCRIBER))).state == "suspended"
    wrong = client.put(STATE_OF_AN, headers=staff, json={"state": "asleep"})
    assert fields(problem(wrong, 400, "malformed")) == ["state"]


# --------------------------------------------------------------------------------- import, backup


def line(number, **others):
    return {"msisdn": 84_904_000_000 + number, "kind": "prepaid", "state": "active", **others}


@pytest.mark.rule("CLI-4")
def test_an_import_repeated_changes_nothing(client, admin):
    body = {"lines": [line(1, balance_vnd=7), line(2)]}
    first, again = (client.post(IMPORT, headers=admin, json=body).json() for _ in range(2))
    assert first == {"added": 2, "changed": 0, "unchanged": 0}
    assert again == {"added": 0, "changed": 0, "unchanged": 2}


@pytest.mark.rule("HTTP-1")
def test_one_bad_line_of_an_import_is_named_and_none_is_taken(client, admin, backend):
    body = {"lines": [line(1), line(2, centre=7)]}
    found = problem(client.post(IMPORT, headers=admin, json=body), 400, "malformed")
    assert fields(found) == ["lines[1].centre"]
    assert [row.msisdn for row in backend.store.scan(SUBSCRIBER)] == [AN]


@pytest.mark.rule("HTTP-1")
def test_an_import_takes_500_lines_at_most(control):
    body = {"lines": [line(number) for number in range(501)]}
    assert fields(problem(control.post(IMPORT, json=body), 400, "malformed")) == ["lines"]


@pytest.mark.rule("HTTP-1")
def test_more_than_64_kib_is_413_but_for_the_import_on_the_control_socket(client, control, admin):
    body = {"lines": [line(number, address="x" * 400) for number in range(500)]}
    large = msgspec.json.encode(body)
    assert len(large) > 64 * 1024
    problem(client.post(IMPORT, headers=admin, content=large), 413, "too_large")
    assert control.post(IMPORT, content=large).json()["added"] == 500
    problem(control.post(TOKENS, content=large), 413, "too_large")


@pytest.mark.rule("CLI-6")
def test_a_backup_is_asked_for_by_an_absolute_path(client, admin, backend, tmp_path):
    path = tmp_path / "copy.db"
    response = client.post("/admin/v1/backup", headers=admin, json={"path": str(path)})
    assert response.status_code == 201
    assert response.json() == {"path": str(path), "size_bytes": 4_096}
    assert backend.backups == [path]
    wrong = client.post("/admin/v1/backup", headers=admin, json={"path": "copy.db"})
    assert fields(problem(wrong, 400, "malformed")) == ["path"]


def test_the_status_names_links_and_queues(client, admin):
    found = client.get("/admin/v1/status", headers=admin).json()
    assert found["links"][0]["bound"] is True
    assert (found["queue_requests"], found["outbox_pending"]) == (3, 4)


def test_a_jumped_clock_is_confirmed_by_a_person(client, admin, backend):
    backend.jumped = True
    answers = [client.post("/admin/v1/clock/confirm", headers=admin).json() for _ in range(2)]
    assert answers == [{"had_jumped": True}, {"had_jumped": False}]


# ------------------------------------------------------------------------------- what goes wrong


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("path", ["/nothing", "/staff/v1", "/admin/v1/tokens/x/y", "/%00"])
def test_what_is_not_there_is_404(client, path):
    problem(client.get(path), 404, "not_found")


@pytest.mark.rule("HTTP-1")
def test_a_wrong_method_is_405_and_says_which_are_right(client):
    response = client.delete("/healthz")
    problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["allow"]


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Overloaded("too many requests are waiting"), (503, "overloaded")),
        (Unavailable("telcod is stopping"), (503, "unavailable")),
        (StoreFull("/var/lib/x.db: full"), (503, "failed")),
        (StoreFailed("/var/lib/x.db: broken"), (503, "failed")),
        (LedgerCorrupt("sum is 1"), (503, "unavailable")),
        (ValueError("boom 84903000001"), (500, "failed")),
        (TypeError("x"), (500, "failed")),
    ],
)
def test_a_failure_behind_is_told_without_its_inside(client, backend, staff, error, told):
    client.get(SHOW_AN, headers=staff)
    backend.raises = error
    response = client.get(SHOW_AN, headers=staff)
    problem(response, *told)
    assert ("retry-after" in response.headers) == (told[0] == 503)
    assert "x.db" not in response.text
    assert "boom" not in response.text


def test_a_failure_is_logged_with_its_trace_but_without_the_token(client, backend, staff, logged):
    backend.raises = ValueError("boom")
    client.get(SHOW_AN, headers=staff)
    text = logged.getvalue()
    assert '"event":"http.failed"' in text
    assert "ValueError: boom" in text
    assert "telcod_staff" not in text
    assert "0903000001" not in text
