"""The payment site as a payer meets it: every page, every refusal, every state in plain words."""

import re
from itertools import pairwise

import pytest

from telcod.epay.site.forms import REFUSED
from telcod.epay.site.routes import FOLDER, SiteLimits, SiteSettings
from telcod.errors import Overloaded
from telcod.rows import INVOICE, OUTBOX_SMS, PaymentState
from telcod.simulator.card_gateway_behaviour import Behaviour
from telcod.web.limits import AllowList
from telcod.web.pages import load_words
from tests.epay.site_world import ADDRESS, NAME, NUMBER, PASSWORD, PAYER, SiteWorld
from tests.epay.world import DEBT_VND, LAN, MINH

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-4")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def world():
    async with SiteWorld() as world:
        yield world


@pytest.fixture
async def payer(world):
    reader = world.reader()
    async with reader.client:
        yield reader


# -- paying


@pytest.mark.rule("PAY-2", "PAY-3")
async def test_a_bill_is_paid_from_the_form_to_the_result_page(world, payer):
    page = await payer.confirm(amount="100.000 đ", email="lan@example.com", invoice="1")
    assert (page.status, world.slots()) == (200, 0)  # Nothing is done before it's confirmed.
    for shown in ("100.000 ₫", "0903000001", "lan@example.com"):
        assert shown in page.text
    page = await payer.pay(page)
    payment = world.newest_row()
    assert (page.status, page.location) == (303, payment.redirect_url)
    assert page.location.startswith(world.gateway.url)
    assert payment.return_url == f"http://telcod/pay/result/{payment.id}"
    assert (payment.amount_vnd, payment.invoice, payment.address) == (100_000, 1, PAYER)
    page = await payer.result(payment.id)
    assert page.has("state.redirected.title", world.site)
    await world.gateway.pay(payment.id)
    await world.notified()
    page = await payer.result(payment.id)
    assert page.has("state.cleared.title", world.site)
    assert page.has("state.cleared.bill", world.site)
    assert page.has("result.invoice_asked", world.site) is (payment.invoice == 1)
    assert world.debt() == DEBT_VND - 100_000


async def test_a_prepaid_number_is_topped_up_in_english(world, payer):
    await payer.get("/pay?lang=en")
    payment_id = await payer.paid(number=f"+{MINH}", purpose="topup", card="international")
    page = await payer.result(payment_id)
    assert page.has("state.cleared.topup", world.site, "en")
    assert "100,000 ₫" in page.text
    assert world.balance() == 100_000


@pytest.mark.rule("HTTP-2")
async def test_two_clicks_are_one_payment_and_both_lead_to_the_gateway(world, payer):
    page = await payer.confirm()
    first, again = await payer.pay(page), await payer.pay(page)
    assert first.location == again.location
    assert (world.slots(), len(world.payments())) == (1, 1)


@pytest.mark.rule("HTTP-2")
async def test_the_second_click_from_another_address_is_still_the_same_payment(world, payer):
    page = await payer.confirm()
    await payer.pay(page)
    moved = world.reader("198.51.100.9")
    async with moved.client:
        moved.client.cookies = payer.client.cookies
        again = await moved.pay(page)
    assert (again.status, again.location) == (303, f"/pay/result/{world.newest()}")
    assert len(world.payments()) == 1


@pytest.mark.rule("PAY-5")
async def test_pay_pressed_again_after_the_payment_shows_what_came_of_it(world, payer):
    page = await payer.confirm()
    await payer.pay(page)
    await world.gateway.pay(world.newest())
    await world.notified()
    again = await payer.pay(page)
    assert again.location == f"/pay/result/{world.newest()}"
    assert (world.slots(), world.debt()) == (1, DEBT_VND - 100_000)


async def test_going_back_to_change_keeps_what_was_typed_and_makes_another_payment(world, payer):
    page = await payer.confirm(email="lan@example.com")
    await payer.pay(page)
    _, fields = page.form()
    page = await payer.send("/pay/change", fields)
    action, again = page.form()
    assert again["email"] == "lan@example.com"
    page = await payer.send(action, again | {"amount": "60000"})
    await payer.pay(page)
    assert sorted(row.amount_vnd for row in world.payments()) == [60_000, 100_000]


async def test_another_language_on_the_confirmation_is_the_same_intent(world, payer):
    page = await payer.confirm()
    _, fields = page.form()
    english = await payer.send("/pay/confirm?lang=en", fields)
    assert english.has("confirm.title", world.site, "en")
    assert english.form()[1]["key"] == fields["key"]


@pytest.mark.rule("PAY-5")
async def test_a_silent_gateway_leads_to_the_result_page_which_offers_its_page_later(world, payer):
    world.gateway.crash()
    page = await payer.pay()
    payment_id = world.newest()
    assert page.location == f"/pay/result/{payment_id}"
    page = await payer.get(page.location)
    assert page.has("state.created.title", world.site)
    assert "hx-get" in page.html
    world.gateway.restart()
    await world.pass_s(61)
    page = await payer.get(f"/pay/result/{payment_id}/state")
    assert page.has("result.go_on", world.site)
    assert world.payment(payment_id).redirect_url in page.html


async def test_a_page_at_another_origin_is_linked_and_not_redirected_to():
    async with SiteWorld(SiteSettings(gateway_url="https://api.gateway.example/v1")) as world:
        payer = world.reader()
        async with payer.client:
            page = await payer.pay()
            assert page.location == f"/pay/result/{world.newest()}"
            page = await payer.get(page.location)
            assert world.newest_row().redirect_url in page.html


# -- what is wrong


@pytest.mark.rule("NUM-1")
@pytest.mark.parametrize(
    ("field", "typed", "word"),
    [
        ("number", "", "problem.number_missing"),
        ("number", "1566", "problem.number"),
        ("purpose", "gift", "problem.choice"),
        ("amount", "", "problem.amount_missing"),
        ("amount", "1.5", "problem.amount_unread"),
        ("card", "", "problem.choice"),
        ("email", "lan@", "problem.email"),
        ("email", "lan@example.com\r\nBcc: x@example.com", "problem.email"),
    ],
)
async def test_what_is_typed_wrong_is_said_at_its_field(world, payer, field, typed, word):
    page = await payer.confirm(**{field: typed})
    assert page.status == 422
    assert page.problems() == [field]
    assert page.has(word, world.site)
    assert page.tree.xpath("//input[@name='amount']/@value") == [
        (payer.typed | {field: typed})["amount"]
    ]
    assert not world.submitted("payment.create")


@pytest.mark.rule("PAY-3")
@pytest.mark.parametrize(
    ("amount", "status"),
    [("49.999", 422), ("50.000", 200), ("10.000.000", 200), ("10.000.001", 422)],
)
async def test_the_limits_of_one_payment_are_told_before_it_is_confirmed(
    world, payer, amount, status
):
    page = await payer.confirm(amount=amount)
    assert page.status == status
    assert page.has("refused.amount", world.site) is (status == 422)


async def refused(world, payer, **typed):
    page = await payer.pay(**typed)
    assert page.status == 409
    return page


@pytest.mark.rule("PAY-3")
async def test_a_number_that_nobody_has_is_told(world, payer):
    page = await refused(world, payer, number="0909999999")
    assert page.has("refused.not_served", world.site)
    assert page.problems() == ["number"]


@pytest.mark.rule("PAY-3")
async def test_a_top_up_of_a_postpaid_number_is_told(world, payer):
    page = await refused(world, payer, purpose="topup")
    assert page.has("refused.wrong_purpose", world.site)


@pytest.mark.rule("PAY-3")
async def test_the_sixth_payment_of_a_day_is_told(world, payer):
    for _ in range(5):
        await payer.paid(amount="50000")
    page = await refused(world, payer)
    assert page.has("refused.too_many", world.site)


@pytest.mark.rule("PAY-3")
async def test_more_than_a_day_may_have_is_told(world, payer):
    await payer.paid(amount="9.990.000")
    page = await refused(world, payer)
    assert page.has("refused.too_much", world.site)
    assert page.problems() == ["amount"]


@pytest.mark.rule("PAY-5")
async def test_nobody_pays_again_while_the_first_is_unknown(world, payer):
    await payer.pay()
    await world.take(
        "payment.notified", world.newest(), "unknown", "", "100000", "", "", "", "", actor="gateway"
    )
    page = await refused(world, payer)
    assert page.has("refused.unknown_pending", world.site)


@pytest.mark.rule("PAY-3", "PAY-5")
def test_every_refusal_of_a_payment_has_words():
    outcomes = {
        "not_served",
        "wrong_purpose",
        "amount",
        "unknown_pending",
        "too_many",
        "too_much",
        "stopped",
    }
    assert {outcome.removeprefix("payment.") for outcome in REFUSED} == outcomes
    for _, word in REFUSED.values():
        assert all(word in words for words in load_words(FOLDER / "words").values())


# -- the result


@pytest.mark.rule("PAY-2", "PAY-5")
@pytest.mark.parametrize("state", list(PaymentState))
@pytest.mark.parametrize("language", ["vi", "en"])
async def test_every_state_says_what_happened_and_what_happens_next(world, payer, state, language):
    await payer.paid()
    payment = world.newest_row()
    world.set_payment(payment, state=state.value, reason="insufficient_funds")
    page = await payer.get(f"/pay/result/{payment.id}?lang={language}")
    assert page.status == 200
    assert page.has(f"state.{state.value}.title", world.site, language)
    paragraphs = page.tree.xpath("//*[@id='standing']//*[@role='status']/p")
    assert len(paragraphs) == 2
    assert all(len(each.text_content()) > 15 for each in paragraphs)
    for shown in (payment.id, payment.masked_card):
        assert shown in page.text
    # Nothing personal: whoever knows the id learns neither number nor name.
    for personal in (NAME, ADDRESS, NUMBER, "0903000001", str(LAN)):
        assert personal not in page.text
    ends = state in {"cleared", "declined", "expired", "rejected_fraud", "cancelled"}
    assert ("hx-trigger" in page.html) is not ends
    # Who is told to pay again has paid nothing.
    assert page.has("result.retry", world.site, language) is (state in {"declined", "expired"})


@pytest.mark.rule("PAY-4")
@pytest.mark.parametrize(
    ("card", "number", "otp", "word"),
    [
        ("international", "4000000000009995", "", "reason.insufficient_funds"),
        ("international", "4000000000000069", "", "reason.expired_card"),
        ("international", "4000000000000127", "", "reason.incorrect_cvc"),
        ("international", "4000000000000002", "", "reason.card_declined"),
    ],
)
async def test_why_a_card_was_declined_is_told(world, payer, card, number, otp, word):
    await payer.pay(card=card)
    await world.gateway.pay(world.newest(), number)
    await world.notified()
    page = await payer.result(world.newest())
    assert page.has(word, world.site)
    assert page.has("state.declined.next", world.site)
    assert world.slots() == 0


async def test_what_a_gateway_refuses_is_told_as_declined(world, payer):
    world.gateway.behave(Behaviour(refuse_code="closed_for_today"))
    page = await payer.pay()
    page = await payer.get(page.location)
    assert page.has("reason.other", world.site)
    assert "closed_for_today" not in page.html


@pytest.mark.rule("PAY-2")
async def test_a_payment_of_a_portal_or_of_nobody_is_not_shown(world, payer):
    view = await world.cashier.open(world.new()._replace(platform="token:portal"))
    for payment_id in (view.payment_id, "NOBODYS", "%2e%2e", "A" * 500):
        for path in ("", "/state"):
            page = await payer.get(f"/pay/result/{payment_id}{path}")
            assert page.status == 404
            assert page.has("error.not_found", world.site)


async def test_the_page_follows_without_a_script_too(world, payer):
    await payer.pay()
    page = await payer.result(world.newest())
    assert '<noscript><meta http-equiv="refresh"' in page.html


async def test_the_card_page_is_offered_only_while_it_is_open(world, payer):
    await payer.pay()
    page = await payer.result(world.newest())
    assert page.has("result.go_on", world.site)
    world.backend.clock.advance(16 * 60_000)
    page = await payer.result(world.newest())
    assert not page.has("result.go_on", world.site)
    assert page.has("state.redirected.closed", world.site)


# -- the invoice


@pytest.mark.rule("PAY-11")
async def test_the_invoice_is_asked_for_on_the_result_page_once(world, payer):
    payment_id = await payer.paid()
    page = await payer.result(payment_id)
    action, fields = page.form()
    page = await payer.send(action, fields)
    assert page.status == 303
    page = await payer.get(page.location)
    assert page.has("invoice.noted", world.site)
    [invoice] = list(world.backend.store.scan(INVOICE))
    assert (invoice.payment, invoice.name, invoice.address) == (payment_id, NAME, ADDRESS)
    page = await payer.send(action, fields)
    page = await payer.get(page.location)
    assert page.has("invoice.already", world.site)
    assert not any(personal in page.text for personal in (NAME, ADDRESS))


@pytest.mark.rule("PAY-11")
async def test_without_a_registered_address_the_payer_is_told_whom_to_call(world, payer):
    payment_id = await payer.paid(number=str(MINH), purpose="topup")
    page = await payer.result(payment_id)
    page = await payer.get((await payer.send(*page.form())).location)
    assert page.has("invoice.no_address", world.site)


async def test_an_address_can_make_the_page_say_nothing_of_its_own(world, payer):
    payment_id = await payer.paid()
    page = await payer.get(f"/pay/result/{payment_id}?said=<script>")
    assert page.status == 200
    assert "said" not in page.html
    assert "<script>" not in page.html


# -- looking up


@pytest.mark.rule("PAY-2")
async def test_number_and_password_show_name_address_and_debt_and_lead_to_paying(world, payer):
    page = await payer.look_up(password=PASSWORD.lower())
    assert page.status == 200
    for shown in (NAME, ADDRESS, "300.000 ₫"):
        assert shown in page.text
    action, fields = page.form()
    assert (fields["amount"], fields["purpose"]) == ("300.000", "bill")
    page = await payer.send(action, fields)
    await payer.pay(page)
    await world.gateway.pay(world.newest())
    await world.notified()
    assert world.debt() == 0


@pytest.mark.rule("PAY-2")
async def test_unknown_number_no_password_and_wrong_password_are_one_page(world, payer):
    pages = []
    for number, password in (
        (NUMBER, "wrong"),
        ("0909999999", PASSWORD),
        (f"{MINH}", "some-word"),
        ("?", ""),
    ):
        page = await payer.look_up(number, password)
        assert page.status == 403
        assert page.has("lookup.refused", world.site)
        assert not any(personal in page.text for personal in (NAME, ADDRESS, "300.000"))
        assert password not in page.html or not password
        pages.append(re.sub(r'value="[^"]*"', "", page.html))
    assert all(one == other for one, other in pairwise(pages))


@pytest.mark.rule("PAY-2")
async def test_after_five_wrong_passwords_the_right_one_is_refused_and_paying_goes_on(world, payer):
    for _ in range(5):
        await payer.look_up(password="wrong")
    page = await payer.look_up()
    assert page.has("lookup.refused", world.site)
    assert [row.text for row in world.backend.store.scan(OUTBOX_SMS)]
    assert (await payer.pay()).status == 303


@pytest.mark.rule("PAY-1")
async def test_a_password_is_in_no_request_and_on_no_page(world, payer):
    for password in (PASSWORD, "secret-and-wrong"):
        page = await payer.look_up(password=password)
        assert password.upper() not in page.html.upper()
        assert password.upper() not in repr(world.backend.submitted).upper()


@pytest.mark.rule("PAY-2")
async def test_pages_hold_no_field_for_a_card(world, payer):
    for page in (await payer.get(), await payer.confirm(), await payer.look_up()):
        names = {each.get("name") for each in page.tree.iter("input")}
        assert names <= {
            "form_token",
            "number",
            "purpose",
            "amount",
            "card",
            "email",
            "invoice",
            "key",
            "password",
        }
        assert not page.tree.xpath("//*[starts-with(@autocomplete, 'cc-')]")


# -- being misused


async def test_a_form_without_its_token_does_nothing_and_keeps_what_was_typed(world, payer):
    page = await payer.confirm()
    action, fields = page.form()
    for wrong in (fields | {"form_token": "0" * 32}, fields | {"form_token": ""}):
        page = await payer.send(action, wrong)
        assert page.status == 403
        assert page.has("stale", world.site)
        assert page.form()[1]["number"] == NUMBER
    assert not world.payments()


async def test_a_form_that_another_site_sends_does_nothing(world, payer):
    page = await payer.confirm()
    action, fields = page.form()
    page = await payer.send(action, fields, **{"Sec-Fetch-Site": "cross-site"})
    assert (page.status, world.payments()) == (403, [])
    stranger = world.reader()
    async with stranger.client:  # A token without the cookie that it was made of.
        page = await stranger.send(action, fields)
        assert (page.status, world.payments()) == (403, [])
    page = await payer.look_up(**{"Sec-Fetch-Site": "cross-site"})
    assert NAME not in page.text


async def test_an_invoice_and_a_look_up_need_the_token_too(world, payer):
    payment_id = await payer.paid()
    page = await payer.send(f"/pay/result/{payment_id}/invoice", {})
    assert (page.status, list(world.backend.store.scan(INVOICE))) == (403, [])
    before = len(world.submitted("lookup.try"))
    page = await payer.send("/pay/lookup", {"number": NUMBER, "password": PASSWORD})
    assert page.status == 403
    assert len(world.submitted("lookup.try")) == before


@pytest.mark.rule("HTTP-4")
async def test_every_page_forbids_what_it_does_not_need(world, payer):
    payment_id = await payer.paid()
    pages = [
        await payer.get(),
        await payer.confirm(),
        await payer.look_up(),
        await payer.result(payment_id),
        await payer.get("/pay/result/NOBODYS"),
        await payer.confirm(amount="x"),
    ]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"
        # The policy would forbid them, so there must be none.
        assert not page.tree.xpath(
            "//*[@style or @onclick or @onsubmit] | //style | //script[not(@src)]"
        )
    kept = [page.headers["cache-control"] for page in pages]
    assert kept == ["no-store", "private, max-age=0", *["no-store"] * 4]
    # Back to the confirmation needs no sending anew; only its form may end at the gateway.
    assert f"form-action 'self' {world.gateway.url}" in pages[1].headers["content-security-policy"]
    assert "form-action 'self';" in pages[0].headers["content-security-policy"]


async def test_over_https_cookies_are_secure_and_never_for_scripts():
    async with SiteWorld(SiteSettings(url="https://pay.example/")) as world:
        payer = world.reader()
        async with payer.client:
            page = await payer.get("/pay?lang=en")
            made = page.headers.get_list("set-cookie")
            assert len(made) == 2
            for cookie in made:
                assert {"httponly", "secure", "samesite=lax"} <= set(cookie.lower().split("; "))
            assert page.headers["strict-transport-security"]


async def test_where_payers_come_back_to_is_what_is_configured():
    async with SiteWorld(SiteSettings(url="https://pay.example/")) as world:
        payer = world.reader(Host="evil.example")
        async with payer.client:
            payer.client.cookies.set("telcod_form", "kept")
            action, fields = (await payer.get()).form()
            page = await payer.send(action, fields | payer.typed)
            await payer.pay(page)
            assert world.newest_row().return_url.startswith("https://pay.example/pay/result/")


@pytest.mark.rule("HTTP-4")
async def test_an_address_that_asks_too_often_waits_and_others_do_not():
    limits = SiteLimits(pages_per_s=1, pages_burst=3)
    async with SiteWorld(SiteSettings(limits=limits)) as world:
        one, other = world.reader("2001:db8:1:2::1"), world.reader("2001:db8:1:3::1")
        async with one.client, other.client:
            pages = [await one.get() for _ in range(4)]
            assert [page.status for page in pages] == [200, 200, 200, 429]
            assert int(pages[3].headers["retry-after"]) > 0
            assert pages[3].has("error.too_often", world.site)
            assert (await other.get()).status == 200
            neighbour = world.reader("2001:db8:1:2:ffff::9")  # One customer has them all.
            async with neighbour.client:
                assert (await neighbour.get()).status == 429
            world.backend.clock.advance(1_000)
            assert (await one.get()).status == 200


@pytest.mark.rule("HTTP-4", "PAY-2")
async def test_guessing_passwords_is_slowed_down_by_address_and_reading_is_not():
    limits = SiteLimits(lookups_per_min=6, burst=3)
    async with SiteWorld(SiteSettings(limits=limits)) as world:
        payer = world.reader()
        async with payer.client:
            statuses = [(await payer.look_up(password="x")).status for _ in range(4)]
            assert statuses == [403, 403, 403, 429]
            assert (await payer.get()).status == 200
            world.backend.clock.advance(10_000)
            assert (await payer.look_up()).status == 200


@pytest.mark.rule("PAY-6")
async def test_behind_our_own_proxy_the_payer_s_address_is_what_it_says():
    async with SiteWorld(SiteSettings(proxies=AllowList(["10.0.0.0/8"]))) as world:
        forwarded = {"X-Forwarded-For": f"192.0.2.66, {PAYER}, 10.1.1.1"}
        through = world.reader("10.0.0.1", **forwarded)
        around = world.reader("198.51.100.1", **forwarded)  # He only says so.
        async with through.client, around.client:
            await through.pay()
            assert world.newest_row().address == PAYER
            await around.pay(amount="60000")
            assert world.newest_row().address == "198.51.100.1"


async def test_a_busy_daemon_is_told_as_a_page(world, payer):
    page = await payer.confirm()
    world.backend.raises = Overloaded("too many wait")
    page = await payer.pay(page)
    assert page.status == 503
    assert page.headers["retry-after"]
    assert page.has("error.busy", world.site)


async def test_a_fault_is_told_without_its_insides(world, payer):
    page = await payer.confirm()
    world.backend.raises = ValueError("inside")
    page = await payer.pay(page)
    assert (page.status, "inside" in page.html) == (500, False)
    assert page.has("error.failed", world.site)


@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", '"><img src=x onerror=1>', "{{ 7*7 }}"]
)
async def test_what_is_typed_is_shown_as_text(world, payer, typed):
    page = await payer.confirm(number=typed, amount=typed, email=typed)
    assert page.form()[1]["number"] == typed
    assert not page.tree.xpath("//img | //script[not(@src)]")
    assert "<script>" not in page.html
    assert "49" not in page.form()[1]["number"]


async def test_a_body_that_is_no_form_is_answered_as_an_empty_one(world, payer):
    for body in (b"\xff\xfe", b"&" * 500 + b"a=1&" * 50, b"{}"):
        page = await payer.client.post("/pay/confirm", content=body)
        assert page.status_code == 422


# -- words and language


async def test_the_language_is_the_reader_s_choice_then_his_browser_s(world, payer):
    page = await payer.get(**{"Accept-Language": "fr, en-GB;q=0.8, vi;q=0.5"})
    assert page.tree.get("lang") == "en"
    assert (await payer.get("/pay?lang=vi")).tree.get("lang") == "vi"
    assert (await payer.get(**{"Accept-Language": "en"})).tree.get("lang") == "vi"
    for path in ("/pay", "/pay/lookup"):
        assert (await payer.get(f"{path}?lang=xx")).tree.get("lang") == "vi"


async def test_static_files_are_named_by_their_content_and_nothing_else_is_served(payer):
    page = await payer.get()
    for path in page.tree.xpath("//link[@rel='stylesheet']/@href | //script/@src"):
        response = await payer.client.get(path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    for name in ("app.py", "..%2fapp.py", "telcod.css%00"):
        assert (await payer.client.get(f"/static/{name}")).status_code == 404


async def test_the_pages_are_no_part_of_the_described_interface(world, payer):
    schema = (await payer.client.get("/schema/openapi.json")).json()
    assert not [path for path in schema["paths"] if path.startswith(("/pay", "/static"))]
    assert "/epay/v1/gateway/notifications" in schema["paths"]
