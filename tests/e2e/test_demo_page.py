"""The demo's page in a real browser: two phones, a text, a USSD session, a call and its charge."""

import re

import pytest

from tests.browser import DESKTOP, PHONE, chromium, visiting
from tests.demo_world import demo

pytestmark = [pytest.mark.anyio, pytest.mark.rule("DEMO-1")]
LIVE = "body[data-state=live]"


async def open_page(page, world, language):
    await page.goto(f"{world.url}?lang={language}")
    await page.locator(LIVE).wait_for()
    await page.locator("#books tr").first.wait_for(state="attached")
    return {name: page.locator(f"#phone-{name}") for name in "ABC"}


async def fits(page):
    """Whether nothing sticks out at the side."""
    width = await page.locator("html").evaluate("node => node.scrollWidth")
    return width <= page.viewport_size["width"]


async def consent_and_talk(page, a, b, *, turn_to):
    """A dials by the second thing to try; B picks up, presses 1, and half a minute passes."""
    await page.locator("[data-try='2']").click()
    await a.locator(".go").click()
    await turn_to("B")
    await b.locator("[data-act=answer]").click()
    await b.locator(".offered[data-act='1']").click()
    await b.locator("[data-act=leap]").click()
    await b.locator(".clock", has_text=re.compile("0:[3-5]|1:")).wait_for()
    await b.locator("[data-act=hangup]").click()
    await b.locator(".charge", has_text="₫").wait_for()


async def test_two_phones_side_by_side_text_dial_and_call_on_a_desk(tmp_path):
    async with (
        demo(tmp_path) as world,
        chromium() as browser,
        visiting(browser, size=DESKTOP, locale="en-GB") as page,
    ):
        phones = await open_page(page, world, "en")
        a, b = phones["A"], phones["B"]
        assert await a.is_visible()
        assert await b.is_visible()
        assert not await phones["C"].is_visible()
        assert await fits(page)

        async def stays(name):
            pass

        await consent_and_talk(page, a, b, turn_to=stays)
        story = page.locator("#story")
        await story.locator(".of-entry", has_text="Revenue: calls").wait_for()
        paid_vnd = 200_000 - world.purse("B")["posted_vnd"]
        assert paid_vnd >= 750
        balance = f"{200_000 - paid_vnd:,}"
        await b.locator(".balance", has_text=balance).wait_for()
        await page.locator("#books [data-purse=B]", has_text=balance).wait_for()

        for phone in (a, b):
            await phone.locator(".ends button", has_text="Close").click()
        await page.locator("[data-try='4']").click()
        await a.locator(".go").click()
        await a.locator(".words", has_text="Payforme").wait_for()
        await a.locator(".typed").fill("6")
        await a.locator(".reply").click()
        await a.locator(".words", has_text="chua co giao dich").wait_for()
        await a.locator(".close").click()

        await page.locator("[data-try='5']").click()
        await b.locator(".send").click()
        await b.locator(".bubble.in", has_text="mien phi dung thu").wait_for()
        await b.locator(".package", has_text="week package").wait_for()
        await story.locator(".of-text", has_text="package.trial_started").wait_for()

        await page.locator("#tab-C").click()
        await phones["C"].locator(".balance", has_text="owes 150,000").wait_for()
        assert not await b.is_visible()


async def test_on_a_phone_the_phones_are_tabs_and_a_tab_says_that_something_came(tmp_path):
    async with (
        demo(tmp_path) as world,
        chromium() as browser,
        visiting(browser, size=PHONE) as page,
    ):
        phones = await open_page(page, world, "vi")
        assert await fits(page)
        assert [await phones[name].is_visible() for name in "ABC"] == [True, False, False]

        async def turn_to(name):
            await page.locator(f"#tab-{name}.rings .dot").wait_for()
            await page.locator(f"#tab-{name}").click()

        await consent_and_talk(page, phones["A"], phones["B"], turn_to=turn_to)
        await page.locator("#tab-live .dot").wait_for()
        await page.locator("#tab-live").click()
        await page.locator("#story .of-entry", has_text="Doanh thu: cuộc gọi").wait_for()
        assert await fits(page)


async def test_a_page_that_is_opened_later_shows_what_has_been(tmp_path):
    async with (
        demo(tmp_path) as world,
        chromium() as browser,
        visiting(browser, size=DESKTOP, locale="en-GB") as page,
    ):
        await world.do("A", "text", to="1566", text="<b>KT</b>")
        await world.until(lambda: world.texts("A"), "the answer")
        phones = await open_page(page, world, "en")
        await phones["A"].locator(".bubble.out", has_text="<b>KT</b>").wait_for()
        await phones["A"].locator(".bubble.in").wait_for()
        await page.locator("#story .of-text").wait_for()


async def test_the_page_says_when_telcod_is_gone(tmp_path):
    async with chromium() as browser:
        context = await browser.new_context(viewport=DESKTOP)
        page = await context.new_page()
        async with demo(tmp_path) as world:
            await open_page(page, world, "en")
        await page.locator("body[data-state=lost]").wait_for()
