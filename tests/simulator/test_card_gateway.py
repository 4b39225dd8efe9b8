"""The simulated card gateway: its pages as a payer uses them, its file, its misbehaviour."""

import re
from random import Random

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.clock import ManualClock
from telcod.days import DAY_MS, business_date
from telcod.epay.files import read_gateway_file
from telcod.simulator import card_gateway_cards as cards
from telcod.simulator import card_gateway_pages as pages
from telcod.simulator.card_gateway import SECRET, SimulatedCardGateway
from telcod.simulator.card_gateway_behaviour import Behaviour
from telcod.simulator.card_gateway_book import OTP_OPEN_MS, Book
from telcod.simulator.card_gateway_notifier import RETRIES_S
from tests.world import START_MS

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-4", "PAY-5")]

RETURN_URL = "https://pay.example/back?a=1&b=2"
ORDER = {
    "amount_vnd": 1_250_000,
    "card": "international",
    "return_url": RETURN_URL,
    "open_s": 840,
}
GOOD = {"number": "4111 1111 1111 1111", "expiry": "12/30", "cvv": "123"}
DOMESTIC = {"bank": "BIDV", "number": cards.GOOD_DOMESTIC_CARD, "holder": "A"}


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Taker(httpx.AsyncBaseTransport):
    """Takes notifications; answers as it is told."""

    def __init__(self):
        self.status = 200
        self.requests = []

    async def handle_async_request(self, request):
        self.requests.append(request)
        if self.status == 0:
            raise httpx.ConnectError("nobody is there")
        return httpx.Response(self.status)


class Payer:
    """A gateway with one order, and somebody before its pages."""

    def __init__(self, *, seed=1, **order):
        self.clock = ManualClock(START_MS)
        self.taker = Taker()
        self.gateway = SimulatedCardGateway(
            clock=self.clock,
            rng=Random(seed),
            notify_url="http://telcod/notifications",
            transport=self.taker,
        )
        self._order = ORDER | order

    async def __aenter__(self):
        await self.gateway.__aenter__()
        self.http = httpx.AsyncClient(base_url=self.gateway.url, timeout=10, trust_env=False)
        self.page = (await self.order("P-1")).json()["redirect_url"]
        return self

    async def __aexit__(self, *error):
        await self.http.aclose()
        await self.gateway.__aexit__(*error)

    async def api(self, method, path, **more):
        headers = {"authorization": f"Bearer {SECRET}"}
        return await self.http.request(method, path, headers=headers, **more)

    async def order(self, payment_id, **changes):
        return await self.api("PUT", f"/v1/payments/{payment_id}", json=self._order | changes)

    async def see(self, language="vi"):
        return await self.http.get(self.page, params={"lang": language})

    async def type(self, form, path=""):
        url = httpx.URL(self.page)
        return await self.http.post(url.copy_with(path=url.path + path), data=form)

    async def said(self):
        return (await self.api("GET", "/v1/payments/P-1")).json()

    async def told(self):
        await self.gateway.deliver()
        return [request.read() for request in self.taker.requests]


def back(response):
    return (response.status_code, response.headers.get("location")) == (303, RETURN_URL)


# ------------------------------------------------------------------------------------------- pages


async def test_a_good_card_leads_back_and_the_number_stays_here():
    async with Payer() as payer:
        assert "1.250.000 ₫" in (await payer.see()).text
        assert back(await payer.type(GOOD))
        said = await payer.said()
        assert (said["result"], said["masked_card"]) == ("authorised", "411111******1111")
        [notified] = await payer.told()
        assert b'"result":"authorised"' in notified
        assert b"4111111111111111" not in notified + str(said).encode()
        assert b"4111111111111111" not in repr(list(payer.gateway.book.all())).encode()


@pytest.mark.parametrize("number", sorted(cards.ISSUERS))
async def test_cards_of_the_list_get_what_their_issuer_says(number):
    domestic = number.startswith(cards.DOMESTIC_PREFIX)
    async with Payer(card="domestic" if domestic else "international") as payer:
        if domestic:
            await payer.type(DOMESTIC | {"number": number})
            assert back(await payer.type({"otp": cards.OTP}, "/otp"))
        else:
            assert back(await payer.type(GOOD | {"number": number}))
        said = await payer.said()
        assert (said["result"], said["code"]) == cards.ISSUERS[number]


@pytest.mark.parametrize("language", pages.LANGUAGES)
@pytest.mark.parametrize(
    ("card", "form", "problem"),
    [
        ("international", GOOD | {"number": "4111111111111112"}, "bad_number"),
        ("international", GOOD | {"number": ""}, "bad_number"),
        ("international", GOOD | {"number": "<b>4111"}, "bad_number"),
        ("international", GOOD | {"expiry": "13/30"}, "bad_expiry"),
        ("international", GOOD | {"cvv": "12"}, "bad_cvv"),
        ("domestic", DOMESTIC | {"bank": ""}, "bad_bank"),
        ("domestic", DOMESTIC | {"bank": "NOBODY"}, "bad_bank"),
        ("domestic", DOMESTIC | {"holder": " "}, "bad_holder"),
    ],
)
async def test_what_can_be_no_card_is_said_and_never_written_back(card, form, problem, language):
    async with Payer(card=card) as payer:
        payer.page = payer.page.replace("lang=vi", f"lang={language}")
        response = await payer.type(form)
        assert response.status_code == 422
        assert pages.WORDS[language][problem] in response.text
        assert 'role="alert"' in response.text
        assert "4111" not in response.text
        assert "<b>" not in response.text
        assert (await payer.said())["result"] == "open"


async def test_a_domestic_card_asks_for_the_password_of_its_bank():
    async with Payer(card="domestic") as payer:
        page = await payer.type(DOMESTIC)
        assert page.status_code == 200
        assert 'name="otp"' in page.text
        assert await payer.told() == []
        assert back(await payer.type({"otp": f" {cards.OTP} "}, "/otp"))
        said = await payer.said()
        assert (said["result"], said["bank"], said["cashier"]) == ("authorised", "BIDV", "BID01")


async def test_the_third_wrong_password_ends_it():
    async with Payer(card="domestic") as payer:
        await payer.type(DOMESTIC)
        for left in (2, 1):
            page = await payer.type({"otp": "000000"}, "/otp")
            assert f"{pages.WORDS['vi']['bad_otp']} {left}." in page.text
        assert back(await payer.type({"otp": "000000"}, "/otp"))
        said = await payer.said()
        assert (said["result"], said["code"]) == ("declined", "otp_wrong")
        # The right one is too late.
        assert back(await payer.type({"otp": cards.OTP}, "/otp"))
        assert (await payer.said())["result"] == "declined"
        assert len(await payer.told()) == 1


async def test_a_password_that_nobody_types_in_time_ends_it_and_is_told():
    async with Payer(card="domestic") as payer:
        await payer.type(DOMESTIC)
        payer.clock.advance(OTP_OPEN_MS)
        assert back(await payer.type({"otp": cards.OTP}, "/otp"))
        assert (await payer.said())["code"] == "otp_timeout"
        [notified] = await payer.told()
        assert b'"result":"declined"' in notified


async def test_a_page_closes_and_then_nobody_has_paid_and_nobody_can():
    async with Payer() as payer:
        payer.clock.advance(840_000 - 1)
        assert (await payer.said())["result"] == "open"
        payer.clock.advance(1)
        assert (await payer.said())["result"] == "none"
        assert back(await payer.type(GOOD))
        assert (await payer.said())["result"] == "none"
        assert await payer.told() == []


async def test_who_goes_back_has_declined_and_cannot_pay_after_all():
    async with Payer() as payer:
        assert back(await payer.type({}, "/cancel"))
        assert back(await payer.type(GOOD))
        assert (await payer.said())["code"] == "cancelled"


async def test_a_form_that_is_sent_twice_pays_once():
    async with Payer() as payer:
        for _ in range(2):
            assert back(await payer.type(GOOD))
        assert len(await payer.told()) == 1
        ended = await payer.see()
        assert pages.WORDS["vi"]["ended"] in ended.text
        assert RETURN_URL.replace("&", "&amp;") in ended.text


@pytest.mark.parametrize("language", pages.LANGUAGES)
@pytest.mark.parametrize("card", ["international", "domestic"])
async def test_every_field_has_a_label_and_nothing_comes_from_elsewhere(card, language):
    async with Payer(card=card) as payer:
        response = await payer.see(language)
        text = response.text
        assert f'<html lang="{language}">' in text
        names = re.findall(r'<(?:input|select) id="(\w+)" name="(\w+)"', text)
        assert names
        assert all(f'<label for="{found}">' in text for found, _ in names)
        assert "<script" not in text
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
        policy = response.headers["content-security-policy"]
        # A browser holds the redirect after a form to this list, too.
        assert "form-action 'self' https://pay.example" in policy
        assert "default-src 'none'" in policy
        assert (await payer.http.get("/style.css")).headers["content-type"].startswith("text/css")


async def test_an_address_that_nobody_was_given_leads_nowhere():
    async with Payer() as payer:
        for path in ("/pay/cg1-0", "/pay/", "/", "/pay/x/otp", "/../etc"):
            assert (await payer.http.get(path)).status_code == 404
        assert (await payer.http.post("/pay/cg1-0", data=GOOD)).status_code == 404


def test_both_languages_have_the_same_words():
    assert len({frozenset(words) for words in pages.WORDS.values()}) == 1
    assert all(text for words in pages.WORDS.values() for text in words.values())


def test_what_the_merchant_sends_is_text_in_a_page():
    book = Book(Random(1))
    held = book.create(
        "<i>",
        amount_vnd=1,
        card="domestic",
        return_url='https://x.example/"><script>',
        open_s=1,
        now_ms=START_MS,
    )
    for page in (pages.card_page(held, "en"), pages.ended_page(held, "en")):
        assert "<script" not in page
        assert "<i>" not in page


# --------------------------------------------------------------------------------------------- API


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize("path", ["/v1/payments/P-1", "/control/behaviour", "/files/20260302.csv"])
async def test_without_the_secret_nothing_is_told(method, path):
    async with Payer() as payer:
        for authorization in ("", "Bearer x", f"Basic {SECRET}", "Bearer đ".encode()):
            headers = {"authorization": authorization}
            assert (await payer.http.request(method, path, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"amount_vnd": 0}, 422, "amount_or_time"),
        ({"open_s": 0}, 422, "amount_or_time"),
        ({"card": "gold"}, 422, "card_kind"),
        ({"return_url": "javascript:1"}, 422, "return_url"),
        ({"amount_vnd": "much"}, 400, "malformed"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(changes, status, code):
    async with Payer() as payer:
        response = await payer.order("P-2", **changes)
        assert (response.status_code, response.json()) == (status, {"code": code})


@given(st.integers(0, 10**19 - 1))
def test_a_number_is_masked_but_for_ten_digits(number):
    digits = f"{number:016d}"
    masked = cards.masked(digits)
    assert len(masked) == len(digits)
    assert sum(map(str.isdigit, masked)) == 10


@given(st.from_regex(r"\A[0-9]{12,18}\Z"))
def test_of_ten_numbers_that_differ_in_the_last_digit_one_can_be_a_card_s(prefix):
    assert sum(cards.is_number(prefix + last) for last in "0123456789") == 1


async def test_the_same_seed_gives_the_same_references_tokens_and_ids():
    told = []
    for seed in (5, 5, 6):
        async with Payer(seed=seed) as payer:
            await payer.type(GOOD)
            said = await payer.said()
            told.append((said["gateway_ref"], said["card_token"], await payer.told()))
    assert told[0] == told[1]
    assert all(one != other for one, other in zip(told[0], told[2], strict=True))


async def test_one_card_has_one_token():
    async with Payer() as payer:
        await payer.order("P-2")
        await payer.order("P-3")
        held = [
            await payer.gateway.pay("P-1"),
            await payer.gateway.pay("P-2"),
            await payer.gateway.pay("P-3", "5555555555554444"),
        ]
        tokens = [each.card_token for each in held]
        assert tokens[0] == tokens[1] != tokens[2]


# ----------------------------------------------------------------------------------- the day's file


@pytest.mark.rule("PAY-12")
async def test_the_file_of_a_day_is_one_that_telcod_takes():
    async with Payer() as payer:
        day = business_date(START_MS)
        for number, card in ((2, cards.GOOD_CARD), (3, "4000000000000002")):
            await payer.order(f"P-{number}", amount_vnd=100_000 * number)
            await payer.gateway.pay(f"P-{number}", card)
        await payer.gateway.pay("P-1")
        await payer.api("POST", "/v1/payments/P-1/void", json={})
        response = await payer.api("GET", f"/files/{day}.csv")
        assert response.headers["content-type"].startswith("text/csv")
        taken = read_gateway_file(response.content, day)
        lines = {(line.payment, line.amount_vnd, line.cashier) for line in taken.lines}
        paid, given_back = ("P-1", 1_250_000, "INT01"), ("P-1", -1_250_000, "INT01")
        assert lines == {paid, given_back, ("P-2", 200_000, "INT01")}
        assert b"411111******1111" in response.content


@pytest.mark.rule("PAY-12")
async def test_what_is_given_back_on_another_day_is_in_that_day_s_file():
    async with Payer() as payer:
        await payer.gateway.pay("P-1")
        payer.clock.advance(DAY_MS)
        await payer.api("POST", "/v1/payments/P-1/void", json={})
        for at_ms, amount_vnd in ((START_MS, 1_250_000), (START_MS + DAY_MS, -1_250_000)):
            day = business_date(at_ms)
            taken = read_gateway_file(payer.gateway.day_file(day).encode(), day)
            assert [line.amount_vnd for line in taken.lines] == [amount_vnd]


@pytest.mark.rule("PAY-12")
async def test_a_day_without_payments_has_a_file_too():
    async with Payer() as payer:
        taken = read_gateway_file(payer.gateway.day_file(20260301).encode(), 20260301)
        assert taken.lines == ()


# --------------------------------------------------------------------------- notifications, control


async def test_a_notification_is_sent_again_until_somebody_takes_it():
    async with Payer() as payer:
        payer.taker.status = 0
        await payer.gateway.pay("P-1")
        assert len(await payer.told()) == 1
        payer.taker.status = 503
        payer.clock.advance(RETRIES_S[0] * 1_000 - 1)
        assert len(await payer.told()) == 1
        payer.clock.advance(1)
        assert len(await payer.told()) == 2
        payer.taker.status = 204
        payer.clock.advance(RETRIES_S[1] * 1_000)
        first, *_, last = await payer.told()
        assert first == last
        assert len({sent.webhook_id for sent in payer.gateway.sent}) == 1
        # Signed anew each time, or the last would be too old to be taken.
        assert len({sent.headers["webhook-timestamp"] for sent in payer.gateway.sent}) == 3
        assert payer.gateway.notifier.waiting == 0


async def test_a_notification_that_nobody_ever_takes_is_given_up():
    async with Payer() as payer:
        payer.taker.status = 500
        await payer.gateway.pay("P-1")
        for _ in range(len(RETRIES_S) + 3):
            await payer.told()
            payer.clock.advance(RETRIES_S[-1] * 1_000)
        assert len(payer.taker.requests) == 1 + len(RETRIES_S)


async def test_a_live_gateway_tells_by_itself():
    taker = Taker()
    async with (
        SimulatedCardGateway(notify_url="http://telcod/n", transport=taker, live=True) as gateway,
        httpx.AsyncClient(base_url=gateway.url, trust_env=False) as http,
    ):
        headers = {"authorization": f"Bearer {SECRET}"}
        await http.put("/v1/payments/P-1", json=ORDER, headers=headers)
        await gateway.pay("P-1")
        await gateway.notifier.watch.until(lambda: bool(gateway.sent), what="a notification")
        assert [sent.status for sent in gateway.sent] == [200]


async def test_the_control_api_makes_it_misbehave_and_gets_through_when_it_is_silent():
    async with Payer() as payer:
        response = await payer.api("PUT", "/control/behaviour", json={"silent_s": -1})
        assert response.status_code == 200
        assert payer.gateway.silent
        assert (await payer.api("GET", "/control/behaviour")).json()["silent_s"] == -1
        assert (await payer.api("PUT", "/control/behaviour", json={})).status_code == 200
        assert payer.gateway.behaviour == Behaviour()
        assert not payer.gateway.silent
        wrong = await payer.api("PUT", "/control/behaviour", json={"silnt_s": 1})
        assert wrong.status_code == 400


async def test_the_control_api_pays_and_says_what_is_not_so():
    async with Payer(card="domestic") as payer:
        paid = await payer.api("POST", "/control/payments/P-1/pay")
        assert paid.json()["result"] == "authorised"
        notice = {"result": "declined", "amount_vnd": 7}
        sent = await payer.api("POST", "/control/payments/P-1/notify", json=notice)
        assert sent.json()["notification_id"]
        assert b'"result":"declined"' in (await payer.told())[1]
        missing = await payer.api("POST", "/control/payments/P-9/pay")
        assert (missing.status_code, missing.json()["code"]) == (404, "payment_unknown")


async def test_a_silence_has_an_end_by_its_clock():
    async with Payer() as payer:
        payer.gateway.behave(silent_s=10)
        await payer.gateway.pay("P-1")
        assert await payer.told() == []
        payer.clock.advance(10_000)
        assert len(await payer.told()) == 1
        assert (await payer.said())["result"] == "authorised"


async def test_a_crash_cuts_every_line_and_a_restart_keeps_every_promise():
    async with Payer() as payer:
        await payer.gateway.pay("P-1")
        payer.gateway.crash()
        with pytest.raises(httpx.TransportError):
            await payer.said()
        assert await payer.told() == []
        payer.gateway.restart()
        assert (await payer.said())["result"] == "authorised"
        assert len(await payer.told()) == 1
