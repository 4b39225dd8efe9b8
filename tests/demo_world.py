"""The whole demo in this process: telcod, its neighbours, the phones and their page."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import structlog

from telcod import log
from telcod.clock import SystemClock
from telcod.demo.call_desk import Timers
from telcod.demo.play import Play
from telcod.demo.server import PageServer
from telcod.demo.stage import set_up
from telcod.simulator.watch import Watch

TIMERS = Timers(ring_s=30, answer_s=30)
FROM_THE_PAGE = {"Sec-Fetch-Site": "same-origin"}


class World:
    """`page` speaks as the page's script does; `seen` is what its events have told so far."""

    def __init__(self, stage, play, url, page):
        self.stage = stage
        self.play = play
        self.url = url
        self.page = page
        self.watch = Watch()
        self.phones = {}
        self.lines = []
        self.books: dict[str, list[dict[str, object]]] = {"purses": []}

    async def do(self, phone, what, /, **said):
        """Do something on a phone; the status of the answer."""
        answer = await self.page.post(f"/phones/{phone}/{what}", json=said, headers=FROM_THE_PAGE)
        return answer.status_code

    async def until(self, condition, what):
        await self.watch.until(condition, what=f"{what}; {self.phones} {self.lines}")

    async def call(self, phone, stage):
        """Wait until a phone's call stands so, and give it."""

        def there():
            call = self.phones[phone]["call"]
            return call is not None and call["stage"] == stage

        await self.until(there, f"{phone}'s call to be {stage}")
        return self.phones[phone]["call"]

    async def screen(self, phone, part):
        """Wait until a phone's screen holds these words, and give it."""

        def there():
            screen = self.phones[phone]["screen"]
            return screen is not None and part in screen["text"]

        await self.until(there, f"{part!r} on {phone}'s screen")
        return self.phones[phone]["screen"]

    def texts(self, phone, way="in"):
        return [each["text"] for each in self.phones[phone]["bubbles"] if each["way"] == way]

    async def text(self, phone, part):
        """Wait until a phone has received a text with these words."""
        await self.until(
            lambda: any(part in text for text in self.texts(phone)), f"{part!r} to {phone}"
        )

    def purse(self, phone):
        return next(each for each in self.books["purses"] if each["phone"] == phone)

    async def listen(self):
        """Take what the page's events tell, as its script does."""
        async with self.page.stream("GET", "/events", timeout=None) as stream:
            event = ""
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self._take(event, json.loads(line.removeprefix("data: ")))

    def _take(self, event, told):
        match event:
            case "everything":
                self.phones = {view["name"]: view for view in told["phones"]}
                self.lines, self.books = told["lines"], told["books"]
            case "phone":
                self.phones[told["name"]] = told
            case "story":
                self.lines += told
            case "books":
                self.books = told
        self.watch.changed()


@asynccontextmanager
async def demo(folder, *, timers=TIMERS):
    """Everything, with somebody who listens to the page's events."""
    server = PageServer(0)
    server.bind()
    with (folder / "log").open("a") as stream:
        log.configure(level="warning", stream=stream, cached=False)
        async with (
            set_up(folder, lambda _: None) as stage,
            Play(stage, SystemClock(), timers) as play,
            httpx.AsyncClient(base_url=server.url, trust_env=False) as page,
            asyncio.TaskGroup() as group,
        ):
            serving = group.create_task(server.run(play, stage))
            world = World(stage, play, server.url, page)
            listening = group.create_task(world.listen())
            await world.until(lambda: world.phones, "the first event")
            yield world
            server.stop(play)
            await asyncio.wait([serving, listening])
    structlog.reset_defaults()
