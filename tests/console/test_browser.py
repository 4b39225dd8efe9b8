"""The console in a real browser, at a desk's size and a phone's: find, understand and mend."""

import pytest

from tests.browser import DESKTOP, PHONE, chromium, visiting
from tests.console.world import A, B, C, CareBackend, CareWorld, serving

pytestmark = [pytest.mark.anyio, pytest.mark.rule("CARE-1", "CARE-2", "CARE-3")]

TARGET_PX = 44
SMALL = f"""[...document.querySelectorAll('a, button, summary, [type=text], [type=search]')]
    .filter((each) => {{
        const box = each.getBoundingClientRect();
        return box.height > 0 && box.height < {TARGET_PX - 0.5} && !each.closest('p, dd, h1');
    }}).map((each) => each.outerHTML)"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def world(tmp_path):
    with CareWorld(tmp_path / "books.db") as made:
        made.text(A, "DK")
        made.text(A, "W 0903000002")
        made.text(A, "XYZ")
        made.forward(B, A, "private words")
        made.connect("c1", B, A)
        made.ended("c1", 75)
        made.contradictory("P1")
        made.clearing_failed("P4")
        made.in_review("P3")
        made.set_aside()
        made.settle_all()
        yield made


@pytest.fixture
def backend(world):
    return CareBackend(world)


def token_of(backend, name):
    return backend.staff(name)["Authorization"].removeprefix("Bearer ")


async def log_in(page, home, token):
    await page.goto(f"{home}/console")
    await page.get_by_label("Access token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"{home}/console")


async def is_well_laid_out(page):
    """Nothing runs out of the screen sideways, and everything to press is large enough."""
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, page.url
    assert await page.evaluate(SMALL) == [], page.url


async def said(page):
    return await page.get_by_role("status").inner_text()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
async def test_every_page_fits_the_screen(world, backend, size):
    token = token_of(backend, "an")
    async with (
        serving(backend) as home,
        chromium() as browser,
        visiting(browser, size=size, locale="en-US") as page,
    ):
        await page.goto(f"{home}/console/login")
        await is_well_laid_out(page)
        await log_in(page, home, token)
        for path in (
            "", f"/subscribers/{A}", f"/subscribers/{C}", "/payments/P1", "/payments/P3",
            "/payments/P4", "/cases", "/centres", "/audit", "/reports?date=2026-03-02",
            "/reports?name=messages&date=2026-03-02", "/reports?name=revenue&date=2026-03-02",
            "/reports?name=collections&date=2026-03-02", "/reports?name=clearing&date=2026-03-02",
        ):  # fmt: skip
            await page.goto(f"{home}/console{path}")
            await is_well_laid_out(page)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
async def test_a_subscriber_is_found_understood_and_helped(world, backend, size):
    token = token_of(backend, "an")
    async with (
        serving(backend) as home,
        chromium() as browser,
        visiting(browser, size=size, locale="en-US") as page,
    ):
        await log_in(page, home, token)
        await page.get_by_label("Number, or the code of a payment").fill("0903 000 001")
        await page.get_by_role("button", name="Find").click()
        await page.wait_for_url(f"{home}/console/subscribers/{A}")
        story = await page.locator("ol.story").inner_text()
        assert "XYZ" in story
        assert "private words" not in story
        await page.get_by_text("Cancel the package…").click()
        await page.get_by_role("button", name="Cancel the package").click()
        assert "told by a text" in await said(page)
        assert world.package(A).status == "cancelled"
        await page.locator("summary", has_text="Blocks").click()
        await page.locator("#add-black").fill("0903000003")
        await page.locator("form", has=page.locator("#add-black")).get_by_role("button").click()
        assert world.care_texts(A)[-1] in await said(page)
        assert world.listed(A, "black") == [C]


async def test_cases_are_mended_one_after_the_other_and_fraud_takes_two(world, backend):
    an, binh = token_of(backend, "an"), token_of(backend, "binh")
    async with serving(backend) as home, chromium() as browser:
        async with visiting(browser, size=DESKTOP, locale="en-US") as page:
            await log_in(page, home, an)
            await page.goto(f"{home}/console/payments/P3")
            await page.get_by_text("Let it pass", exact=False).last.click()
            await page.get_by_label("Reason").fill("a known customer")
            await page.get_by_role("button", name="Decide").click()
            assert "Cleared" in await said(page)

            await page.goto(f"{home}/console/payments/P4")
            await page.locator("summary", has_text="Clear by hand").click()
            await page.get_by_label("Reason").fill("in their own books")
            await page.get_by_role("button", name="Clear it now").click()
            assert "Cleared" in await said(page)

            await page.goto(f"{home}/console/cases")
            while await page.locator("article.case").count():
                case = page.locator("article.case").first
                await case.locator("summary").click()
                await case.get_by_label("What was found").fill("looked at")
                await case.get_by_role("button", name="Close with this note").click()
                await page.get_by_role("status").wait_for()
            assert "Nothing is waiting" in await page.locator("main").inner_text()

            await page.goto(f"{home}/console/payments/P1")
            await page.locator("summary", has_text="Was it fraud?").click()
            await page.get_by_label("Reason").fill("the bank's letter")
            await page.get_by_role("button", name="Propose to cancel").click()
            assert "second person" in await said(page)
        async with visiting(browser, size=PHONE, locale="en-US") as page:
            await log_in(page, home, binh)
            await page.get_by_role("link", name="Proposed to cancel as fraud").click()
            await page.get_by_role("link", name="Open the payment").click()
            await page.get_by_label("Reason").fill("I have read it")
            await page.get_by_role("button", name="Confirm the cancellation").click()
            assert "Cancelled" in await said(page)
    assert [world.state(name) for name in ("P1", "P3", "P4")] == ["cancelled", "cleared", "cleared"]


@pytest.mark.rule("CLI-7")
async def test_a_reload_repeats_nothing_and_going_back_shows_no_old_page(world, backend):
    token = token_of(backend, "an")
    async with (
        serving(backend) as home,
        chromium() as browser,
        visiting(browser, size=DESKTOP, locale="en-US") as page,
    ):
        await log_in(page, home, token)
        await page.goto(f"{home}/console/subscribers/{A}")
        await page.get_by_role("button", name="Stop guidance").click()
        await said(page)
        await page.reload()
        assert await page.get_by_role("status").count() == 0
        assert len(world.care_texts(A)) == 1
        await page.get_by_role("button", name="Log out").click()
        await page.wait_for_url(f"{home}/console/login")
        await page.go_back()
        assert await page.get_by_label("Access token").count() == 1
