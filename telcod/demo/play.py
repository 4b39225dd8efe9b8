"""The demo's phones and their networks: what somebody does on the page goes to the simulators, what
telcod sends comes to the phones.

Nothing here takes a short cut: texts go by SMPP, screens, calls and the network's own words by
HTTP.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, Self

import httpx

from telcod.clock import Clock
from telcod.demo.call_desk import ANSWER, HANG_UP, KEYS, LEAP, TIMERS, CallDesk, Timers
from telcod.demo.listeners import Listeners
from telcod.demo.people import PHONES
from telcod.demo.phone import Bubble, CallView, Fate, Joiner, Part, Phone, Screen, Way
from telcod.demo.phone import Stage as CallStage
from telcod.demo.stage import Stage
from telcod.demo.story import Story
from telcod.engine import BatchStats
from telcod.errors import TelcodError
from telcod.simulator.smsc_messages import Sent, Submitted
from telcod.simulator.ussd import Dialogue, NoScreen, Push
from telcod.simulator.ussd_dialects import Talk

SHORT_CODE: Final = "1566"
FOR_EVER_S: Final = 365.0 * 86_400
CALL_COSTS_VND: Final = 1_000
"""With less than this the demo's network puts no ordinary call through."""


class Refused(Exception):
    """The phone can't do this now; `code` is a word of the page's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code: Final = code


class Play:
    """All phones; `async with Play(stage, clock) as play:`.

    Args:
        stage: telcod and its neighbours.
        clock: The time.
        timers: How long calls wait for people.
    """

    def __init__(self, stage: Stage, clock: Clock, timers: Timers = TIMERS) -> None:
        self.phones: Final = {each.phone: Phone(each.phone, str(each.msisdn)) for each in PHONES}
        self.listeners: Final = Listeners()
        self.story: Final = Story(stage.daemon.reader, PHONES)
        self._stage: Final = stage
        self._clock: Final = clock
        self._by_number: Final = {phone.msisdn: phone for phone in self.phones.values()}
        self._dialogues: dict[str, Dialogue] = {}
        self._busy: set[str] = set()
        self._pushes: list[Push] = []
        self._calls: Final = CallDesk(stage.ivr, self._by_number, clock, self._changed, timers)
        self._network: Final = httpx.AsyncClient(
            base_url=stage.url,
            headers={"Authorization": f"Bearer {stage.tokens['demo-network']}"},
            trust_env=False,
        )
        self._group: Final = asyncio.TaskGroup()
        self._work: list[asyncio.Task[None]] = []
        self._events = 0

    async def __aenter__(self) -> Self:
        await self.story.begin()
        engine = self._stage.daemon.engine
        seen = engine.on_batch

        def on_batch(stats: BatchStats) -> None:
            seen(stats)
            self.story.committed()

        engine.on_batch = on_batch
        await self._group.__aenter__()
        for work in (self._tell_story(), self._receive_texts(), self._receive_pushes()):
            self._go(work)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listeners.close()
        for task in self._work:
            task.cancel()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            await self._network.aclose()

    # -- what somebody does on the page

    async def send_text(self, phone: Phone, to: str, text: str) -> None:
        """Type a text and send it, by SMPP.

        Raises:
            Refused: It is too long even for many parts.
        """
        bubble = phone.add(Way.OUT, to, text, at_ms=self._clock.wall_ms(), fate=Fate.SENDING)
        try:
            parts = self._stage.smsc.send_text(phone.msisdn, to, text)
        except ValueError as error:
            phone.settle(bubble, Fate.REFUSED)
            self._changed(phone)
            raise Refused("text_too_long") from error
        self._changed(phone)
        self._go(self._settle(phone, bubble, parts))

    async def dial(self, phone: Phone, number: str) -> None:
        """Dial a USSD code, 1566 with a number, or a number.

        Raises:
            Refused: The phone is in a call or in a dialogue.
        """
        if self._calls.call_of(phone):
            raise Refused("in_a_call")
        if number.startswith(("*", "#")) and number.endswith("#"):
            if phone.name in self._dialogues or phone.name in self._busy:
                raise Refused("in_a_dialogue")
            await self._screen(phone, self._stage.ussd.dial(phone.msisdn, number))
        elif number.lstrip("+").startswith(SHORT_CODE):
            self._go(self._calls.run(phone, number))
        else:
            await self._ordinary_call(phone, number)

    async def type_ussd(self, phone: Phone, typed: str) -> None:
        """Type an answer to the screen.

        Raises:
            Refused: There is no screen that waits for one.
        """
        dialogue = self._dialogues.get(phone.name)
        if dialogue is None or phone.name in self._busy or not (phone.screen and phone.screen.asks):
            raise Refused("no_screen")
        await self._screen(phone, _typed(dialogue, typed))

    async def close_ussd(self, phone: Phone) -> None:
        """Put the screen away; a dialogue that is not over is broken off."""
        dialogue = self._dialogues.pop(phone.name, None)
        asks = phone.screen is not None and phone.screen.asks
        phone.screen = None
        self._changed(phone)
        if dialogue is not None and asks and dialogue.screens:
            with contextlib.suppress(httpx.HTTPError):
                await dialogue.hang_up()
        self._show_next_push(phone)

    def act(self, phone: Phone, what: str) -> None:
        """Answer, hang up, press a key, or let time pass, in the call; put one away that is over.

        Raises:
            Refused: There is nothing of the kind to do.
        """
        if what not in {ANSWER, HANG_UP, LEAP} and what not in KEYS:
            raise Refused("no_such_act")
        if self._calls.act(phone, what):
            return
        if phone.call is None:
            raise Refused("no_call")
        phone.call = None
        self._changed(phone)

    # -- the network

    async def _settle(self, phone: Phone, bubble: Bubble, parts: list[Sent]) -> None:
        """Note what telcod's answers say of a text."""
        statuses = [await part.answered(wait_s=FOR_EVER_S) for part in parts]
        fate = Fate.REFUSED if any(statuses) else Fate.TAKEN
        phone.settle(bubble, fate)
        self._changed(phone)

    async def _receive_texts(self) -> None:
        """Bring what telcod submits to the phones."""
        joiner, seen = Joiner(), 0
        smsc = self._stage.smsc
        while True:
            for submitted in smsc.submitted[seen:]:
                seen += 1
                self._receive(joiner, submitted)
            last = seen
            await smsc.wait_until(
                lambda last=last: len(smsc.submitted) > last,  # type: ignore[misc]
                "a text",
                wait_s=FOR_EVER_S,
            )

    def _receive(self, joiner: Joiner, submitted: Submitted) -> None:
        phone = self._by_number.get(str(submitted.fields["destination_addr"]))
        if phone is None or submitted.status:
            return
        source = str(submitted.fields.get("source_addr", ""))
        part = Part(source, phone.msisdn, submitted.text)
        if submitted.concat is not None:
            part = Part(source, phone.msisdn, submitted.text, *submitted.concat)
        text = joiner.whole_or_none(part)
        if text is not None:
            phone.add(Way.IN, source, text, at_ms=self._clock.wall_ms())
            self._changed(phone)

    async def _ordinary_call(self, phone: Phone, number: str) -> None:
        """A call that is not telcod's: without money the network says so to telcod (NET-1)."""
        purse = next(each for each in self.story.books.purses if each.phone == phone.name)
        poor = purse.kind == "prepaid" and purse.posted_vnd - purse.held_vnd < CALL_COSTS_VND
        why = "no_money" if poor else "ordinary"
        phone.call = CallView("caller", number, CallStage.OVER, why=why)
        self._changed(phone)
        if poor:
            self._events += 1
            said = {
                "event_id": f"page-{self._events}",
                "caller": phone.msisdn,
                "called": number,
                "reason": "insufficient_balance",
            }
            await self._network.post("/network/v1/call-failed", json=said)

    # -- USSD

    async def _screen(self, phone: Phone, going: Coroutine[Any, Any, Dialogue]) -> None:
        """Show what comes of a step; one at a time on a phone."""
        self._busy.add(phone.name)
        self._dialogues.pop(phone.name, None)
        try:
            dialogue = await going
            phone.screen = Screen(dialogue.text, asks=not dialogue.ended)
            if not dialogue.ended:
                self._dialogues[phone.name] = dialogue
        except NoScreen as error:
            phone.screen = Screen(str(error.status), asks=False, problem=True)
        except httpx.HTTPError as error:
            phone.screen = Screen(type(error).__name__, asks=False, problem=True)
        finally:
            self._busy.discard(phone.name)
        self._changed(phone)

    async def _receive_pushes(self) -> None:
        """Bring what telcod pushes to the screens; a screen in use is waited for."""
        desk, seen = self._stage.desk, 0
        while True:
            self._pushes += desk.pushes[seen:]
            seen = len(desk.pushes)
            for phone in self.phones.values():
                self._show_next_push(phone)
            last = seen
            await desk.watch.until(
                lambda last=last: len(desk.pushes) > last,  # type: ignore[misc]
                what="a push",
                wait_s=FOR_EVER_S,
            )

    def _show_next_push(self, phone: Phone) -> None:
        mine = [push for push in self._pushes if push.msisdn == phone.msisdn]
        if not mine or phone.screen is not None or phone.name in self._busy:
            return
        push = mine[0]
        self._pushes.remove(push)
        asks = push.action == "ask"
        phone.screen = Screen(push.text, asks=asks, pushed=True)
        if asks:
            talk = Talk(push.session_id, push.msisdn, "", step=1)
            self._dialogues[phone.name] = Dialogue(self._stage.ussd, talk)
        self._changed(phone)

    # -- telling the page

    async def _tell_story(self) -> None:
        while True:
            await self.story.wait()
            try:
                lines = await self.story.read_on()
            except TelcodError:
                continue  # the books can't be read now; the next commit wakes us again
            if lines:
                self.listeners.tell("story", lines)
            self.listeners.tell("books", self.story.books)

    def _changed(self, phone: Phone) -> None:
        self.listeners.tell("phone", phone.view())

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = [task for task in self._work if not task.done()]
        self._work.append(self._group.create_task(work))


def _typed(dialogue: Dialogue, typed: str) -> Coroutine[Any, Any, Dialogue]:
    async def step() -> Dialogue:
        await dialogue.type(typed)
        return dialogue

    return step()
