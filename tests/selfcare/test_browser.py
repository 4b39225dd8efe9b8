"""The site in a real browser at a phone's size: log in by the code that came, change, look."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from telcod.rows import ASKED_TEXT
from telcod.web.server import WebServer
from tests.browser import DESKTOP, PHONE, chromium, visiting
from tests.selfcare.world import A, B, C, SelfBackend, SelfWorld, dialects

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SELF-1")]

TARGET_PX = 44


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def world():
    with SelfWorld() as made:
        made.subscriber(A, balance_vnd=20_000)
        made.subscriber(B, balance_vnd=20_000)
        made.subscriber(C)
        yield made


@asynccontextmanager
async def serving(world):
    """The address of a server on these books."""
    backend = SelfBackend(world)
    server = WebServer(
        backend, host="127.0.0.1", port=0, control_socket=None, dialects=dialects(backend)
    )
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.stop()


async def log_in(page, home, world, number=A):
    await page.goto(f"{home}/me")
    await page.get_by_role("textbox").fill(f"0{number % 10**9}")
    await page.get_by_role("button", name="Gửi mã").click()
    await page.get_by_label("Mã trong tin nhắn").fill(world.codes_sent_to(number)[-1])
    await page.get_by_role("button", name="Đăng nhập").click()
    await page.wait_for_url(f"{home}/me")


async def is_well_laid_out(page):
    """Nothing runs out of the screen sideways, and everything to press is large enough."""
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, page.url
    small = await page.evaluate(
        """least => [...document.querySelectorAll('button, a.button, .row-link, input, select')]
            .filter(each => each.type !== 'hidden' && each.offsetParent !== null)
            .filter(each => each.getBoundingClientRect().height < least)
            .map(each => each.outerHTML)""",
        TARGET_PX,
    )
    assert small == [], page.url


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_a_subscriber_logs_in_changes_package_and_lists_and_sees_charges(world, size):
    async with serving(world) as home, chromium() as browser, visiting(browser, size=size) as page:
        await log_in(page, home, world)
        await is_well_laid_out(page)

        await page.get_by_role("link", name="Gói ngày").click()
        await is_well_laid_out(page)
        await page.get_by_role("button", name="Dùng thử miễn phí").click()
        await page.get_by_text("Đã đăng ký gói").wait_for()
        assert world.package(A).package == "day"

        await page.get_by_role("link", name="Danh sách trắng").click()
        await page.get_by_label("Thêm số").fill("0903 000 002")
        await page.get_by_role("button", name="Thêm vào danh sách trắng").click()
        await page.get_by_text("1.500 ₫").wait_for()
        assert world.listed(A, "white") == []
        await page.get_by_role("button", name="Đồng ý").click()
        await page.get_by_text("Đã thêm vào danh sách trắng").wait_for()
        assert world.listed(A, "white") == [B]
        await is_well_laid_out(page)
        await page.get_by_role("button", name="Xóa 0903").click()
        await page.get_by_text("Đã xóa khỏi danh sách trắng").wait_for()
        assert world.listed(A, "white") == []

        world.text(A, "HUY"), world.text(A, "DK7")
        await page.goto(f"{home}/me/charges")
        charge = page.get_by_role("listitem").filter(has_text="Gói tuần")
        await charge.get_by_text("5.000 ₫").wait_for()
        await is_well_laid_out(page)
        await page.get_by_role("button", name="Đăng xuất").click()
        await page.get_by_text("đã đăng xuất").wait_for()


@pytest.mark.rule("PFM-30")
async def test_a_text_that_waits_is_accepted_on_the_phone(world):
    async with serving(world) as home, chromium() as browser, visiting(browser) as page:
        world.forward(B, A, "Hello")
        await log_in(page, home, world)
        await page.get_by_role("link", name="Xem và trả lời").click()
        await is_well_laid_out(page)
        await page.get_by_role("button", name="Đồng ý trả 250 ₫").click()
        await page.get_by_text("Quý khách đã đồng ý").wait_for()
        assert list(world.store.scan(ASKED_TEXT)) == []


async def test_one_visitor_never_sees_what_is_anothers(world):
    world.forward(B, A, "Hello")
    world.text(A, "DK7"), world.text(A, "B 0903000002")
    (asked,) = world.store.scan(ASKED_TEXT)
    async with serving(world) as home, chromium() as browser:
        async with visiting(browser) as page:
            await log_in(page, home, world, C)
            for path in ("", "/charges?start=1", f"/requests/{asked.code}", "/lists/black"):
                await page.goto(f"{home}/me{path}")
                said = await page.inner_text("body")
                assert "0903\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}001" not in said
                assert "0903\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}002" not in said
            await page.goto(f"{home}/me/charges")
            await page.get_by_text("Chưa có lần nào").wait_for()
        async with visiting(browser) as another:
            await another.goto(f"{home}/me")
            assert another.url == f"{home}/me/login"


async def test_the_site_is_read_in_english_by_who_chooses_it(world):
    async with serving(world) as home, chromium() as browser, visiting(browser) as page:
        await log_in(page, home, world)
        await page.get_by_role("button", name="English").click()
        await page.get_by_text("Pages and texts are in English from now on.").wait_for()
        assert await page.evaluate("document.documentElement.lang") == "en"
        assert world.subscriber_row(A).language == "en"
