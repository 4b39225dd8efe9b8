"""PAYAPI-1 over HTTP: who may ask, what he is told; portals see their own payments only."""

import pytest

from telcod.bulk import SubscriberLine
from telcod.rows import Kind, PaymentState, State
from telcod.web.scopes import Scope
from tests.epay.world import DEBT_VND, LAN, MINH, MINUTE_S, RETURN_URL, PayWorld

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAYAPI-1")]

PAYMENTS = "/epay/v1/payments"
LOOKUPS = "/epay/v1/lookups"
BILL = {
    "msisdn": "0903000001",
    "amount_vnd": 100_000,
    "purpose": "bill",
    "card": "international",
    "email": "a@example.com",
    "invoice": True,
    "return_url": RETURN_URL,
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Portal:
    """Calls with a token, and a key unless told otherwise."""

    def __init__(self, world, name="portal", scope=Scope.PORTAL):
        self._http = world.http
        self._headers = world.backend.token(scope, name)

    async def pay(self, key="k-1", body=BILL, **changes):
        headers = self._headers | ({"Idempotency-Key": key} if key is not None else {})
        return await self._http.post(PAYMENTS, json=body | changes, headers=headers)

    async def get(self, payment_id):
        return await self._http.get(f"{PAYMENTS}/{payment_id}", headers=self._headers)

    async def invoice(self, payment_id):
        return await self._http.post(f"{PAYMENTS}/{payment_id}/invoice", headers=self._headers)

    async def look_up(self, **body):
        return await self._http.post(LOOKUPS, json=body, headers=self._headers)


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["code"]) == (status, code)
    assert found["detail"]
    return found


def fields(found):
    return [each["field"] for each in found["errors"]]


async def test_a_portal_gets_the_page_on_which_one_pays_and_sees_the_end():
    async with PayWorld() as world:
        portal = Portal(world)
        response = await portal.pay()
        assert response.status_code == 201
        opened = response.json()
        assert set(opened) == {"payment_id", "state", "redirect_url"}
        assert opened["state"] == PaymentState.REDIRECTED
        await world.gateway.pay(opened["payment_id"])
        await world.notified()
        response = await portal.get(opened["payment_id"])
        shown = response.json()
        assert (shown["state"], shown["amount_vnd"]) == (PaymentState.CLEARED, 100_000)
        assert shown["masked_card"] == "411111******1111"
        assert shown["cleared_at"] == world.backend.clock.wall_ms()
        assert response.headers["cache-control"] == "no-store"
        # Neither the card's token nor the gateway's own reference is the portal's.
        assert not {"card_token", "gateway_ref"} & set(shown)
        assert world.debt() == DEBT_VND - 100_000


async def test_a_prepaid_number_is_topped_up():
    async with PayWorld() as world:
        response = await Portal(world).pay(msisdn=str(MINH), purpose="topup", card="domestic")
        await world.gateway.pay(response.json()["payment_id"])
        await world.notified()
        assert world.balance() == 100_000


@pytest.mark.rule("HTTP-1", "CLI-7")
@pytest.mark.parametrize("scope", list(Scope))
async def test_portals_and_the_administrator_may_ask_and_nobody_else(scope):
    async with PayWorld() as world:
        portal = Portal(world, str(scope), scope)
        if scope in {Scope.PORTAL, Scope.ADMIN}:
            assert (await portal.pay()).status_code == 201
        else:
            for answer in (
                await portal.pay(),
                await portal.get("P"),
                await portal.invoice("P"),
                await portal.look_up(msisdn="0903000001", password="x"),
            ):
                problem(answer, 403, "not_permitted")
            assert world.slots() == 0


@pytest.mark.rule("HTTP-2")
async def test_without_a_key_nothing_is_begun():
    async with PayWorld() as world:
        portal = Portal(world)
        for key in (None, "", "with space", "x" * 129):
            problem(await portal.pay(key), 400, "malformed")
        assert world.slots() == 0


@pytest.mark.rule("HTTP-2")
async def test_the_same_key_again_is_the_same_payment_and_with_another_body_refused():
    async with PayWorld() as world:
        portal, another = Portal(world), Portal(world, "other")
        first = await portal.pay()
        again = await portal.pay()
        assert (again.status_code, again.content) == (201, first.content)
        problem(await portal.pay(amount_vnd=100_001), 409, "key_reused")
        assert world.slots() == 1
        other = await another.pay()
        assert other.json()["payment_id"] != first.json()["payment_id"]


async def test_a_portal_sees_no_payment_of_another_and_the_administrator_sees_all():
    async with PayWorld() as world:
        portal, other = Portal(world), Portal(world, "other")
        admin = Portal(world, "admin", Scope.ADMIN)
        payment_id = (await portal.pay()).json()["payment_id"]
        stranger = problem(await other.get(payment_id), 404, "not_found")
        assert stranger == problem(await other.get("NOBODYS"), 404, "not_found")
        problem(await other.invoice(payment_id), 404, "not_found")
        assert (await admin.get(payment_id)).json()["payment_id"] == payment_id


async def test_a_silent_gateway_is_told_as_202_and_the_page_comes_later():
    async with PayWorld() as world:
        portal = Portal(world)
        world.gateway.crash()
        response = await portal.pay()
        assert response.status_code == 202
        opened = response.json()
        assert (opened["state"], opened["redirect_url"]) == (PaymentState.CREATED, "")
        world.gateway.restart()
        await world.pass_s(MINUTE_S)
        shown = (await portal.get(opened["payment_id"])).json()
        assert shown["redirect_url"].startswith(world.gateway.url)


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize(
    ("changes", "status", "code", "named"),
    [
        ({"amount_vnd": 49_999}, 400, "payment.amount", ["amount_vnd"]),
        ({"amount_vnd": 10_000_001}, 400, "payment.amount", ["amount_vnd"]),
        ({"purpose": "topup"}, 400, "payment.wrong_purpose", ["purpose"]),
        ({"msisdn": "0903000009"}, 409, "payment.not_served", []),
    ],
)
async def test_what_the_rules_refuse_is_named(changes, status, code, named):
    async with PayWorld() as world:
        assert fields(problem(await Portal(world).pay(**changes), status, code)) == named
        assert list(world.gateway.book.all()) == []


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize("amount_vnd", [50_000, 10_000_000])
async def test_the_limits_themselves_are_within(amount_vnd):
    async with PayWorld() as world:
        assert (await Portal(world).pay(amount_vnd=amount_vnd)).status_code == 201


@pytest.mark.rule("PAY-3")
async def test_the_sixth_payment_and_the_sum_of_a_day_are_refused():
    async with PayWorld() as world:
        portal = Portal(world)
        for number in range(5):
            assert (await portal.pay(f"k-{number}")).status_code == 201
        problem(await portal.pay("k-5"), 409, "payment.too_many")
    async with PayWorld() as world:
        portal = Portal(world)
        assert (await portal.pay("k-0", amount_vnd=9_950_001)).status_code == 201
        problem(await portal.pay("k-1", amount_vnd=50_000), 409, "payment.too_much")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"msisdn": "12"}, "msisdn"),
        ({"msisdn": ""}, "msisdn"),
        ({"amount_vnd": -1}, "amount_vnd"),
        ({"amount_vnd": 1.5}, "amount_vnd"),
        ({"purpose": "gift"}, "purpose"),
        ({"card": "4111111111111111"}, "card"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b.example\r\nBcc: c@d.example"}, "email"),
        ({"email": "a@b.example, c@d.example"}, "email"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": ""}, "return_url"),
        ({"return_url": "https://x.example/" + "y" * 1_000}, "return_url"),
        ({"payer_address": "here"}, "payer_address"),
        ({"invoice": "yes"}, "invoice"),
        ({"card_number": "4111111111111111"}, "card_number"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_field(changes, field):
    async with PayWorld() as world:
        found = problem(await Portal(world).pay(**changes), 400, "malformed")
        assert fields(found) == [field]
        assert world.slots() == 0


@pytest.mark.rule("PAY-11")
async def test_an_invoice_is_noted_once_and_after_the_payment_only():
    async with PayWorld() as world:
        world.backend.add(
            SubscriberLine(
                LAN,
                Kind.POSTPAID,
                State.ACTIVE,
                name="Lan",
                address="1 Trang Thi",
                centre=2,
            )
        )
        portal = Portal(world)
        payment_id = (await portal.pay(invoice=False)).json()["payment_id"]
        problem(await portal.invoice(payment_id), 409, "invoice.not_cleared")
        await world.gateway.pay(payment_id)
        await world.notified()
        noted = await portal.invoice(payment_id)
        assert noted.json() == {"payment_id": payment_id, "outcome": "invoice.noted"}
        problem(await portal.invoice(payment_id), 409, "invoice.already")
        problem(await portal.invoice("NOBODYS"), 404, "not_found")


@pytest.mark.rule("PAY-2")
async def test_a_look_up_is_answered_by_whoever_compares_passwords():
    asked = []

    async def look_up(_backend, msisdn_text, password, *, actor):
        asked.append((msisdn_text, password, actor))
        if password == "right":
            return {"name": "Lan", "address": "1 Trang Thi", "debt_vnd": 5}
        return None

    async with PayWorld(look_up=look_up) as world:
        portal = Portal(world)
        found = await portal.look_up(msisdn="0903000001", password="right")
        assert found.status_code == 200
        assert found.json() == {"name": "Lan", "address": "1 Trang Thi", "debt_vnd": 5}
        wrong = await portal.look_up(msisdn="0903000001", password="wrong")
        nobody = await portal.look_up(msisdn="12", password="wrong")
        problem(wrong, 404, "lookup.refused")
        assert wrong.content == nobody.content
        assert [actor for *_, actor in asked] == ["token:portal"] * 3


@pytest.mark.rule("HTTP-1")
async def test_the_openapi_page_names_the_routes():
    async with PayWorld() as world:
        paths = (await world.http.get("/schema")).json()["paths"]
        assert {PAYMENTS, LOOKUPS, f"{PAYMENTS}/{{payment_id}}"} <= set(paths)
        header = next(
            each for each in paths[PAYMENTS]["post"]["parameters"] if each["in"] == "header"
        )
        assert (header["name"], header["required"]) == ("Idempotency-Key", True)
