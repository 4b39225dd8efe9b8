"""Paying in a real browser, from the look-up to the result page and the text on the phone.

The whole telcod, the shipped card gateway with its own pages, and the simulated SMSC; nothing in
between is a stand-in.
"""

from contextlib import asynccontextmanager

import pytest

from telcod.epay.notifications import PATH
from telcod.rows import AUDIT, INVOICE, OUTBOX_MAIL, PAYMENT
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.simulator.card_gateway_behaviour import Behaviour
from telcod.simulator.card_gateway_cards import GOOD_CARD, GOOD_DOMESTIC_CARD, OTP
from tests.browser import DESKTOP, PHONE, chromium, visiting
from tests.e2e.harness import Telcod, link
from tests.test_mail import Post, listening

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PAY-4")]

LAN, MINH = 84_903_000_001, 84_903_000_002  # postpaid with a debt, prepaid
DEBT_VND = 300_000
NAME = "Nguyễn Thị Lan"
PASSWORD = "Hoa1234"
POOR_CARD = "4000000000009995"
TARGET_PX = 44
WAIT_MS = 20_000


class Shop:
    """A telcod with its gateway, and its address for browsers."""

    def __init__(self, telcod, gateway, simulated):
        self.telcod = telcod
        self.gateway = gateway
        self.simulated = simulated
        self.home = f"http://127.0.0.1:{telcod.daemon.web.port}/pay"

    async def payments(self):
        return await self.telcod.rows(PAYMENT)


@asynccontextmanager
async def open_shop(simulated, folder, **sections):
    async with SimulatedCardGateway(live=True) as gateway:
        settings = {
            "gateway_url": gateway.url,
            "gateway_secret": SECRET,
            "webhook_secrets": [WEBHOOK_SECRET],
        }
        async with Telcod(folder, link(simulated), epay=settings, **sections) as telcod:
            await telcod.wait_bound()
            gateway.notifier.url = f"http://127.0.0.1:{telcod.daemon.web.port}{PATH}"
            await telcod.subscribers(
                {"msisdn": LAN, "kind": "postpaid", "balance_vnd": 0, "debt_vnd": DEBT_VND}
                | {"name": NAME, "address": "1 Lê Lợi, Quận 1", "centre": 2},
                {"msisdn": MINH, "balance_vnd": 0, "centre": 3},
            )
            yield Shop(telcod, gateway, simulated)


@pytest.fixture
async def shop(simulated, tmp_path):
    async with open_shop(simulated, tmp_path) as shop:
        yield shop


async def is_well_laid_out(page):
    """Nothing runs out of the screen sideways, and everything to press is large enough."""
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, page.url
    small = await page.evaluate(
        """least => [...document.querySelectorAll(
                'button, a.button, .row-link, .choice, header a, [type=text], [type=tel], select')]
            .filter(each => each.offsetParent !== null)
            .filter(each => each.getBoundingClientRect().height < least)
            .map(each => each.outerHTML)""",
        TARGET_PX,
    )
    assert small == [], page.url


async def fill_in(
    page, shop, *, number="0903 000 002", purpose="Nạp tiền", amount="100.000", card, email=""
):
    await page.goto(shop.home)
    await page.get_by_label("Số điện thoại").fill(number)
    await page.get_by_label(purpose).check()
    await page.get_by_label("Số tiền").fill(amount)
    await page.get_by_label(card).check()
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_role("button", name="Tiếp tục").click()
    await page.get_by_role("heading", name="Kiểm tra trước khi trả").wait_for()


# What the page before would send; it stands in this one, as the browser would show it again.
SEND_AGAIN = """([action, fields]) => {
    const form = Object.assign(document.createElement("form"), {method: "post", action});
    for (const [name, value] of Object.entries(fields)) {
        form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
    }
    document.body.append(form);
    document.title = "again";
    form.submit();
}"""


async def press_pay(page, shop):
    await page.get_by_role("button", name="Trả ").click()
    await page.wait_for_url(f"{shop.gateway.url}/pay/**")


async def type_card(page, number=GOOD_CARD):
    await page.locator("#number").fill(number)
    await page.locator("#expiry").fill("12/30")
    await page.locator("#cvv").fill("123")
    await page.get_by_role("button", name="Thanh toán", exact=True).click()


async def type_domestic_card(page, otp=OTP):
    await page.locator("#bank").select_option("BIDV")
    await page.locator("#number").fill(GOOD_DOMESTIC_CARD)
    await page.locator("#holder").fill("NGUYEN THI LAN")
    await page.get_by_role("button", name="Thanh toán", exact=True).click()
    await type_otp(page, otp)


async def type_otp(page, otp):
    await page.locator("#otp").fill(otp)
    await page.get_by_role("button", name="Xác nhận").click()


async def see(page, heading):
    """Wait until the page says so by itself."""
    await page.get_by_role("heading", name=heading, exact=True).wait_for(timeout=WAIT_MS)


@pytest.mark.rule("PAY-1", "PAY-2", "PAY-7", "PAY-10")
@pytest.mark.parametrize(
    ("size", "card"),
    [
        pytest.param(PHONE, "Thẻ nội địa", id="phone-domestic"),
        pytest.param(DESKTOP, "Thẻ quốc tế", id="desktop-international"),
        pytest.param(PHONE, "Thẻ quốc tế", id="phone-international", marks=pytest.mark.thorough),
        pytest.param(DESKTOP, "Thẻ nội địa", id="desktop-domestic", marks=pytest.mark.thorough),
    ],
)
async def test_a_bill_is_looked_up_and_paid_and_the_text_comes(shop, size, card):
    [sent] = shop.simulated.send_text(str(LAN), "9223", f"MK {PASSWORD}")
    assert await sent == 0
    await shop.simulated.wait_text(str(LAN))
    async with chromium() as browser, visiting(browser, size=size) as page:
        await page.goto(shop.home)
        await is_well_laid_out(page)
        await page.get_by_role("link", name="Xem số tiền còn nợ").click()
        await is_well_laid_out(page)
        await page.get_by_label("Số điện thoại").fill("0903 000 001")
        await page.get_by_label("Mật khẩu thanh toán").fill(PASSWORD.lower())
        await page.get_by_role("button", name="Xem").click()
        await page.get_by_text(NAME).wait_for()
        await is_well_laid_out(page)
        assert "300.000 ₫" in await page.inner_text("main")
        await page.get_by_label(card).check()
        await page.get_by_role("button", name="Tiếp tục").click()
        await page.get_by_role("heading", name="Kiểm tra trước khi trả").wait_for()
        await is_well_laid_out(page)
        await press_pay(page, shop)
        await (type_card(page) if card == "Thẻ quốc tế" else type_domestic_card(page))
        await page.wait_for_url(f"{shop.home}/result/**")
        await see(page, "Đã thanh toán")
        await is_well_laid_out(page)
        shown = await page.inner_text("main")
        assert NAME not in shown
        assert "0903000001" not in shown
    [payment] = await shop.payments()
    assert payment.state == "cleared"
    assert payment.masked_card in shown
    assert payment.id in shown
    texts = [await shop.simulated.wait_text(str(LAN), 2)]
    assert payment.id in str(texts)
    # What was looked up is in the audit log, whoever asked.
    assert "lookup.shown" in [row.action for row in await shop.telcod.rows(AUDIT)]
    assert PASSWORD.upper() not in shop.telcod.log.text.upper()


@pytest.mark.rule("PAY-11")
async def test_the_invoice_is_asked_for_on_the_result_page(shop):
    async with chromium() as browser, visiting(browser) as page:
        await fill_in(page, shop, number="0903000001", purpose="Trả cước", card="Thẻ quốc tế")
        await press_pay(page, shop)
        await type_card(page)
        await see(page, "Đã thanh toán")
        await page.get_by_role("button", name="Lấy hóa đơn GTGT").click()
        await page.get_by_text("Đã ghi nhận yêu cầu hóa đơn").wait_for()
        await is_well_laid_out(page)
    [payment] = await shop.payments()
    [invoice] = await shop.telcod.rows(INVOICE)
    assert (invoice.payment, invoice.name) == (payment.id, NAME)


@pytest.mark.rule("PAY-10")
async def test_who_gives_an_e_mail_address_gets_an_e_mail(simulated, tmp_path):
    post = Post()
    async with listening(post) as port:
        mail = {"host": "127.0.0.1", "port": port, "tls": "none", "sender": "pay@telcod.example"}
        async with (
            open_shop(simulated, tmp_path, mail=mail) as shop,
            chromium() as browser,
            visiting(browser) as page,
        ):
            await fill_in(page, shop, card="Thẻ quốc tế", email="minh@example.com")
            await press_pay(page, shop)
            await type_card(page)
            await see(page, "Đã thanh toán")
            [payment] = await shop.payments()

            async def is_sent():
                return [row.state for row in await shop.telcod.rows(OUTBOX_MAIL)] == [1]

            await shop.telcod.wait_batches(is_sent)
            [text] = await simulated.wait_text(str(MINH))
    [message] = post.messages
    assert message["To"] == "minh@example.com"
    assert payment.id in message["Subject"]
    assert message.get_content().strip() == text


async def test_a_declined_card_is_told_and_another_can_be_tried(shop):
    async with chromium() as browser, visiting(browser) as page:
        await fill_in(page, shop, card="Thẻ quốc tế")
        await press_pay(page, shop)
        await type_card(page, POOR_CARD)
        await see(page, "Không thanh toán được")
        await page.get_by_text("Thẻ không đủ tiền.").wait_for()
        await is_well_laid_out(page)
        await page.get_by_role("link", name="Thử lại").click()
        await fill_in(page, shop, card="Thẻ quốc tế")
        await press_pay(page, shop)
        await type_card(page)
        await see(page, "Đã thanh toán")
    assert sorted(row.state for row in await shop.payments()) == ["cleared", "declined"]
    assert await shop.telcod.balance(MINH) == 100_000


async def test_a_wrong_otp_can_be_mended_and_the_third_ends_it(shop):
    async with chromium() as browser, visiting(browser) as page:
        await fill_in(page, shop, card="Thẻ nội địa")
        await press_pay(page, shop)
        await type_domestic_card(page, otp="000000")
        await page.get_by_text("OTP không đúng").wait_for()
        await type_otp(page, OTP)
        await see(page, "Đã thanh toán")
        await fill_in(page, shop, card="Thẻ nội địa")
        await press_pay(page, shop)
        await type_domestic_card(page, otp="000000")
        await type_otp(page, "000001")
        await type_otp(page, "000002")
        await see(page, "Không thanh toán được")
        await page.get_by_text("OTP sai quá số lần cho phép.").wait_for()
    assert await shop.telcod.balance(MINH) == 100_000


@pytest.mark.rule("HTTP-2", "PAY-5")
async def test_pressing_pay_again_after_the_payment_pays_nothing(shop):
    """As after going back; whether a browser still has that page is the browser's affair."""
    async with chromium() as browser, visiting(browser) as page:
        await fill_in(page, shop, card="Thẻ quốc tế")
        form = await page.locator("#confirmed").evaluate(
            "form => [form.action, Object.fromEntries(new FormData(form))]"
        )
        await press_pay(page, shop)
        await type_card(page)
        await see(page, "Đã thanh toán")
        result = page.url
        async with page.expect_response("**/pay/start*") as answered:
            await page.evaluate(SEND_AGAIN, form)
        assert (await answered.value).status == 303
        await page.wait_for_function("document.title !== 'again'")
        await page.wait_for_url(result)
        await see(page, "Đã thanh toán")
    [payment] = await shop.payments()
    assert await shop.telcod.balance(MINH) == payment.amount_vnd


@pytest.mark.rule("HTTP-2")
async def test_a_double_click_on_pay_is_one_payment(shop):
    async with chromium() as browser, visiting(browser) as page:
        await fill_in(page, shop, card="Thẻ quốc tế")
        await page.get_by_role("button", name="Trả ").dblclick()
        await page.wait_for_url(f"{shop.gateway.url}/pay/**")
        await type_card(page)
        await see(page, "Đã thanh toán")
    assert len(await shop.payments()) == 1


@pytest.mark.rule("PAY-5")
async def test_the_page_waits_for_a_word_that_comes_late_and_follows_by_itself(shop):
    shop.gateway.behave(Behaviour(notifications=0))
    async with chromium() as browser, visiting(browser) as page:
        await fill_in(page, shop, card="Thẻ quốc tế")
        await press_pay(page, shop)
        await type_card(page)
        await see(page, "Đang chờ kết quả từ ngân hàng")
        await is_well_laid_out(page)
        [payment] = await shop.payments()
        shop.gateway.notify(payment.id, "authorised")
        await see(page, "Đã thanh toán")
        assert await page.locator("[hx-trigger]").count() == 0


async def test_without_scripts_everything_works_too(shop):
    async with (
        chromium() as browser,
        visiting(browser, java_script_enabled=False, locale="en-GB") as page,
    ):
        await page.goto(shop.home)
        await page.get_by_label("Phone number").fill("0903000002")
        await page.get_by_label("Top up").check()
        await page.get_by_label("Amount").fill("100,000")
        await page.get_by_label("International card").check()
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("link", name="Pay 9223").wait_for()
        await page.get_by_role("button", name="Tiếng Việt").click()
        await page.get_by_role("heading", name="Kiểm tra trước khi trả").wait_for()
        await press_pay(page, shop)
        await type_card(page)
        await see(page, "Đã thanh toán")
    assert len(await shop.payments()) == 1
