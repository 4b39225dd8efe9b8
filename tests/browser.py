"""A real browser for tests of pages: Debian's Chromium, driven by playwright."""

import shutil
from contextlib import asynccontextmanager

from playwright.async_api import async_playwright

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def chromium():
    """A browser; ended with all its pages."""
    async with async_playwright() as play:
        path = shutil.which("chromium")
        browser = await play.chromium.launch(executable_path=path, args=list(ARGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visiting(browser, *, size=PHONE, locale="vi-VN", **options):
    """A page of a visitor's own, without cookies of others; fails if the browser complained.

    What a policy forbids, what is not found, and what a script throws are complaints.
    """
    context = await browser.new_context(viewport=size, locale=locale, **options)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    assert complaints == []
