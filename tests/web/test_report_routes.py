"""The books of a day over HTTP: who may ask, and what good and bad input get, of real books."""

import asyncio

import pytest
from litestar.testing import TestClient

from telcod.reports import REPORTS
from telcod.rows import AUDIT
from telcod.storage.readers import SqliteReader
from telcod.web.app import make_app
from telcod.web.report_routes import routes
from telcod.web.scopes import Scope
from tests.book_world import DAY, BookWorld
from tests.web.fake_backend import FakeBackend

A = 84_903_000_001
BYTES_MAX = 1_000_000
DAY_PATH = "/staff/v1/days/2026-03-02"
DOORS = [
    ("GET", "/staff/v1/reports/revenue?date=2026-03-02", None),
    ("GET", "/staff/v1/invoices?date=2026-03-02&centre=1", None),
    ("POST", f"{DAY_PATH}/close", None),
    ("POST", f"{DAY_PATH}/settlements", {"kind": "advance", "amount_vnd": 1}),
    ("POST", f"{DAY_PATH}/reconciliation", {"file": "x"}),
    ("POST", "/staff/v1/subscribers/0903000001/lookup-unlock", None),
]


class Reader:
    """Reads the books of a world, a connection for each question."""

    def __init__(self, path):
        self.path = path

    async def rows(self, sql, values):
        async with SqliteReader(self.path) as reader:
            return await reader.rows(sql, values)


class BookBackend(FakeBackend):
    """The fake backend over the books of a world."""

    def __init__(self, world):
        super().__init__()
        self.world = world
        self.store, self.batcher, self.clock = world.store, world.batcher, world.clock
        self.reader = Reader(world.path)


@pytest.fixture
def world(tmp_path):
    with BookWorld(tmp_path / "books.db") as world:
        home = {"name": "Ánh", "address": "Huế"}
        world.subscriber(A, kind="postpaid", debt_vnd=500_000, **home)
        yield world


@pytest.fixture
def backend(world):
    return BookBackend(world)


@pytest.fixture
def client(backend):
    app = make_app(backend, control=False, dialects=routes(file_bytes_max=BYTES_MAX))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def staff(backend):
    return backend.token(Scope.STAFF)


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    return response.json()


def fields(response):
    return [error["field"] for error in response.json()["errors"]]


def reconcile(client, staff, content, path=DAY_PATH):
    return client.post(f"{path}/reconciliation", json={"file": content.decode()}, headers=staff)


@pytest.mark.rule("HTTP-1", "STAFF-1", "CLI-7")
@pytest.mark.parametrize(("method", "path", "body"), DOORS)
def test_staff_and_the_administrator_may_ask_and_nobody_else(client, backend, method, path, body):
    tokens = {scope: backend.token(scope) for scope in Scope}
    problem(client.request(method, path, json=body), 401, "not_authenticated")
    for scope, headers in tokens.items():
        response = client.request(method, path, json=body, headers=headers)
        if scope in {Scope.STAFF, Scope.ADMIN}:
            assert response.status_code in {200, 400}, response.text
        else:
            problem(response, 403, "not_permitted")


def test_the_openapi_page_names_the_routes(client):
    paths = client.get("/schema").json()["paths"]
    for path in (
        "/staff/v1/reports/{name}",
        "/staff/v1/invoices",
        "/staff/v1/days/{day}/close",
        "/staff/v1/days/{day}/settlements",
        "/staff/v1/days/{day}/reconciliation",
        "/staff/v1/subscribers/{msisdn}/lookup-unlock",
    ):
        (operation,) = paths[path].values()
        assert operation["security"] == [{"token": []}]


@pytest.mark.rule("CLI-5", "CARE-3")
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("date", ["2026-03-02", "20260302"])
def test_every_report_is_there_for_a_day_written_either_way(client, staff, name, date):
    response = client.get(f"/staff/v1/reports/{name}", params={"date": date}, headers=staff)
    assert response.status_code == 200, response.text
    assert (response.json()["name"], response.json()["day"]) == (name, DAY)


@pytest.mark.rule("HTTP-1", "CLI-5")
def test_a_report_that_there_is_not_is_told_with_those_that_there_are(client, staff):
    response = client.get("/staff/v1/reports/gossip?date=2026-03-02", headers=staff)
    assert "collections" in problem(response, 404, "not_found")["what_to_do"]


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("date", ["", "today", "2026-02-30", "2026-3-2", "20260231", "٢٠٢٦٠٣٠٢"])
def test_a_day_that_is_none_is_named_as_the_field(client, staff, date):
    response = client.get("/staff/v1/reports/revenue", params={"date": date}, headers=staff)
    problem(response, 400, "malformed")
    assert fields(response) == ["date"]


@pytest.mark.rule("HTTP-1", "PAY-11")
def test_invoices_are_of_a_day_and_a_centre(client, staff, world):
    world.paid("7K2M", A)
    assert world.text(A, "NHAN", code="9223").outcome == "invoice.noted"
    ask = "/staff/v1/invoices?date=2026-03-02&centre="
    (found,) = client.get(f"{ask}1", headers=staff).json()
    assert (found["payment"], found["name"], found["address"]) == ("7K2M", "Ánh", "Huế")
    assert client.get(f"{ask}2", headers=staff).json() == []
    problem(client.get(f"{ask}7", headers=staff), 400, "malformed")


@pytest.mark.rule("PAY-12", "HTTP-2")
def test_a_file_is_matched_once_and_the_day_closed_once(client, staff, world):
    world.paid("P1", A)
    world.bank.note("X9", 60_000, world.now_ms)
    world.morning_after()
    closing = client.post(f"{DAY_PATH}/close", headers=staff).json()
    assert (closing["outcome"], closing["missing"][0]["code"]) == ("day.open", "file")
    first = reconcile(client, staff, world.bank.file(DAY)).json()
    assert first["counts"]["matched"] == first["counts"]["missing_here"] == 1
    assert [one["payment"] for one in first["differences"]] == ["X9"]
    again = reconcile(client, staff, world.bank.file(DAY)).json()
    assert again == first | {"outcome": "reconcile.done_before"}
    closed = client.post(f"{DAY_PATH}/close", headers=staff).json()
    assert (closed["outcome"], closed["collected_vnd"]) == ("day.closed", 50_000)
    assert client.post(f"{DAY_PATH}/close", headers=staff).json()["outcome"] == "day.closed_before"
    (line,) = [row for row in world.store.scan(AUDIT) if row.action == "day.close"]
    assert line.actor == "token:staff"


@pytest.mark.rule("PAY-12", "HTTP-1")
def test_what_can_not_be_taken_is_told_with_what_to_do(client, staff, world):
    world.paid("P1", A)
    content = world.bank.file(DAY)
    problem(reconcile(client, staff, content), 409, "conflict")
    world.morning_after()
    cut = problem(reconcile(client, staff, content[: len(content) // 2]), 400, "malformed")
    assert "stays open" in cut["what_to_do"]
    problem(reconcile(client, staff, content, "/staff/v1/days/2026-03-01"), 400, "malformed")
    assert reconcile(client, staff, content).status_code == 200
    world.bank.note("X9", 60_000, world.now_ms - 10**7 * 4)
    problem(reconcile(client, staff, world.bank.file(DAY)), 409, "conflict")


@pytest.mark.rule("HTTP-1")
def test_a_file_that_is_too_large_for_this_door_is_refused(client, staff):
    problem(reconcile(client, staff, b"x" * (BYTES_MAX + 1)), 413, "too_large")


@pytest.mark.rule("PAY-13", "HTTP-1")
def test_a_settlement_is_noted_once(client, staff, world):
    world.paid("P1", A)
    body = {"kind": "advance", "amount_vnd": 40_000}
    first = client.post(f"{DAY_PATH}/settlements", json=body, headers=staff).json()
    assert (first["outcome"], first["owed_vnd"]) == ("settlement.noted", 10_000)
    again = client.post(f"{DAY_PATH}/settlements", json=body, headers=staff).json()
    assert again == first | {"outcome": "settlement.noted_before"}
    for name, value, status in [("amount_vnd", 1, 409), ("kind", "x", 400), ("amount_vnd", 0, 400)]:
        wrong = {**body, name: value}
        response = client.post(f"{DAY_PATH}/settlements", json=wrong, headers=staff)
        assert response.status_code == status


@pytest.mark.rule("CARE-2", "PAY-2")
def test_staff_unlock_a_look_up_by_any_form_of_the_number(client, backend, staff):
    path = "/staff/v1/subscribers/{}/lookup-unlock"
    ok = client.post(path.format("+84 903 000 001"), headers=staff)
    assert ok.json() == {"outcome": "lookup.not_locked"}
    problem(client.post(path.format("hello"), headers=staff), 400, "malformed")
    problem(client.post(path.format("0903999999"), headers=staff), 404, "not_found")


def test_books_that_can_not_be_read_now_are_told_so(client, backend, staff, tmp_path):
    async def closed(sql, values):
        return await SqliteReader(tmp_path / "books.db").rows(sql, values)

    with pytest.raises(Exception, match="not open"):
        asyncio.run(closed("SELECT 1", ()))
    backend.reader.rows = closed
    response = client.get("/staff/v1/reports/revenue?date=2026-03-02", headers=staff)
    problem(response, 503, "unavailable")
