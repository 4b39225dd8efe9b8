"""What is asked of a telcod in another process by its control socket, as the command line does."""

import asyncio

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.harness import DATABASE

ASK_AGAIN_S = 0.05
"""Another process can't wake us."""


class Control:
    """`async with Control(folder) as control:` while a telcod serves that folder."""

    def __init__(self, folder):
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / f"{DATABASE}.sock")),
            base_url="http://telcod",
            timeout=20,
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self._client.aclose()

    async def ask(self, path, body=None, *, key=""):
        """GET, or POST a body; the status and what came."""
        headers = {"Idempotency-Key": key} if key else {}
        if body is None:
            said = await self._client.get(path)
        else:
            said = await self._client.post(path, json=body, headers=headers)
        return said.status_code, said.json()

    async def wait_status(self, wanted, *, wait_s=20):
        """Ask again and again until telcod stands so; how it stands."""
        found = {}
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    _, found = await self.ask("/admin/v1/status")
                    if wanted(found):
                        return found
                    await asyncio.sleep(ASK_AGAIN_S)
        except TimeoutError as error:
            raise TimeoutError(f"not within {wait_s} s; it stands: {found}") from error

    async def wait_for(self, answered_yes, *, wait_s=20):
        """Ask a question, which is a coroutine function, again and again until it's a yes."""
        async with asyncio.timeout(wait_s):
            while not await answered_yes():  # noqa: ASYNC110  # What changes is elsewhere.
                await asyncio.sleep(ASK_AGAIN_S)

    async def wait_gauge(self, name, wanted, *, wait_s=20):
        """Ask again and again until a gauge, which is set once a second, is so; all of them."""
        async with asyncio.timeout(wait_s):
            while True:
                found = await self.gauges()
                if wanted(found.get(name)):
                    return found
                await asyncio.sleep(ASK_AGAIN_S)

    async def gauges(self):
        """`/metrics`: numbers by name, or by name and label values."""
        page = (await self._client.get("/metrics")).text
        return {
            ":".join((sample.name, *sample.labels.values())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }
