"""A browser in front of a telcod in this process: Debian's Chromium, and a port of its own.

`async with Served(backend, routes) as served:` listens on `served.url`; `async with browser() as
chromium:` starts the browser.  `DESKTOP` and `PHONE` are the two sizes at which pages are looked at.
"""

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import async_playwright

from telcod.web.server import WebServer

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM = shutil.which("chromium")

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


@asynccontextmanager
async def browser():
    """Chromium without a window."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        try:
            yield chromium
        finally:
            await chromium.close()


@asynccontextmanager
async def opened(chromium, size=None, *, language="en"):
    """A page of somebody with cookies of his own; whatever his browser complains of fails."""
    context = await chromium.new_context(viewport=size or DESKTOP, locale=language)
    context.set_default_timeout(15_000)
    page = await context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if "Security Policy" in said.text else None,
    )
    try:
        yield page
        assert not complaints
    finally:
        await context.close()


class Served:
    """telcod's HTTP door on a free port of loopback."""

    def __init__(self, backend, routes):
        self._server = WebServer(
            backend, host="127.0.0.1", port=0, control_socket=None, dialects=tuple(routes)
        )

    async def __aenter__(self):
        self._server.bind()
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._task = self._group.create_task(self._server.run())
        return self

    async def __aexit__(self, *error):
        self._server.stop()
        await self._group.__aexit__(None, None, None)


async def is_wide(page):
    """Whether the page has to be moved sideways to be read."""
    return await page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
