"""Calls on the demo's phones: the voice platform's part, with people who press what they like.

One coroutine a call, from dialling to the end; what the two people do comes in by `Ongoing.acts`,
how long they talked by the clock, or by a leap that somebody asks for.  telcod is told by HTTP, as
any platform tells it (IVR-1…3).
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from telcod.clock import Clock
from telcod.demo.phone import CallView, Phone, Stage
from telcod.simulator.ivr import SimulatedIvr, Told

RING_S: Final = 45
ACTS_MAX: Final = 20
LEAP_S: Final = 30
AHEAD_S: Final = 5
"""So long before the granted time is over more of it is asked for."""
SPOKEN_CHARS_PER_S: Final = 15
"""A question must be heard, here read, before its time to answer begins."""
KEYS: Final = frozenset("0123456789*#")
ANSWER: Final = "answer"
HANG_UP: Final = "hangup"
LEAP: Final = "leap"

CALLER: Final = "caller"
PAYER: Final = "payer"


class Act(NamedTuple):
    """What somebody did: `answer`, `hangup`, `leap`, or a key."""

    role: str
    what: str


class Timers(NamedTuple):
    """How long is waited for people, in seconds; `answer_s` None: as telcod says."""

    ring_s: float = RING_S
    answer_s: float | None = None


TIMERS: Final = Timers()


class Ongoing:
    """A call under way; `acts` is what the two do."""

    def __init__(self, caller: Phone, dialled: str) -> None:
        self.caller: Final = caller
        self.dialled: Final = dialled
        self.payer: Phone | None = None
        self.acts: asyncio.Queue[Act] = asyncio.Queue(ACTS_MAX)

    def role_of(self, phone: Phone) -> str | None:
        """Which of the two a phone is, if any."""
        if phone is self.caller:
            return CALLER
        return PAYER if phone is self.payer else None


class CallDesk:
    """All calls of the page.

    Args:
        ivr: The platform.
        phones: By number, with the country's code.
        clock: For how long people talk.
        changed: Is told of every phone that shows something else now.
        timers: How long people are waited for.
    """

    def __init__(
        self,
        ivr: SimulatedIvr,
        phones: dict[str, Phone],
        clock: Clock,
        changed: Callable[[Phone], None],
        timers: Timers = TIMERS,
    ) -> None:
        self._ivr: Final = ivr
        self._phones: Final = phones
        self._clock: Final = clock
        self._changed: Final = changed
        self._timers: Final = timers
        self._calls: list[Ongoing] = []
        self._count = 0

    def call_of(self, phone: Phone) -> Ongoing | None:
        """The call that a phone is in."""
        return next((call for call in self._calls if call.role_of(phone)), None)

    def act(self, phone: Phone, what: str) -> bool:
        """Somebody does something; whether there is a call to do it in."""
        call = self.call_of(phone)
        role = call.role_of(phone) if call else None
        if call is None or role is None or call.acts.full():
            return False
        call.acts.put_nowait(Act(role, what))
        return True

    async def run(self, caller: Phone, dialled: str) -> None:
        """Put a call through, from dialling to its end."""
        call = Ongoing(caller, dialled)
        self._calls.append(call)
        self._count += 1
        try:
            await _Run(self, call, f"page-{self._count}").run()
        finally:
            self._calls.remove(call)

    # -- what a run needs

    @property
    def ivr(self) -> SimulatedIvr:
        """The platform."""
        return self._ivr

    @property
    def timers(self) -> Timers:
        """How long people are waited for."""
        return self._timers

    def phone(self, number: str) -> Phone | None:
        """The phone of a number that is free."""
        phone = self._phones.get(number)
        return None if phone is None or self.call_of(phone) else phone

    def now_s(self) -> float:
        """The monotonic time."""
        return self._clock.monotonic_s()

    def show(self, phone: Phone | None, view: CallView) -> None:
        """Let a phone show its call."""
        if phone is not None:
            phone.call = view
            self._changed(phone)


class _Run:
    """One call, step by step."""

    def __init__(self, desk: CallDesk, call: Ongoing, call_id: str) -> None:
        self._desk: Final = desk
        self._ivr: Final = desk.ivr
        self._call: Final = call
        self._id: Final = call_id
        self._at_caller = CallView(CALLER, call.dialled, Stage.DIALLING)
        self._at_payer = CallView(PAYER, call.caller.msisdn, Stage.RINGING)
        self._answered_s = 0.0
        self._leapt_s = 0

    async def run(self) -> None:
        self._show_caller()
        told = await self._ivr.offer(self._id, self._call.caller.msisdn, self._call.dialled)
        if told.get("action") == "ask":
            picked = await self._ring(told)
            told = await (self._ask(told) if picked == ANSWER else self._not_there(picked))
        elif told.get("action") == "connect":
            picked = await self._ring(told)
            if picked != ANSWER:
                await self._end(f"connect_{picked}")
                return
        if told.status == 200 and told.get("action") == "connect":
            await self._talk(told)
        else:
            self._refused(told)

    # -- before they talk

    async def _ring(self, told: Told) -> str:
        """Let B's phone ring: `answer`, `busy`, `no_answer`, or `hangup` of A."""
        number = str(told.get("payer"))
        payer = self._desk.phone(number)
        if payer is None:
            return "busy" if number else "no_answer"
        self._call.payer = payer
        self._show_caller(stage=Stage.RINGING)
        self._show_payer(stage=Stage.RINGING)
        while act := await self._next(self._desk.timers.ring_s):
            if act == Act(CALLER, HANG_UP):
                return HANG_UP
            if act == Act(PAYER, HANG_UP):
                return "busy"
            if act == Act(PAYER, ANSWER):
                return ANSWER
        return "no_answer"

    async def _not_there(self, why: str) -> Told:
        """B did not pick up, or A did not wait."""
        if why == HANG_UP:
            return await self._ivr.ended(self._id, cause="caller")
        return await self._ivr.consent(self._id, why)

    async def _ask(self, told: Told) -> Told:
        """Ask B as often as telcod says; what it says in the end."""
        while told.status == 200 and told.get("action") == "ask":
            self._show_caller(stage=Stage.WAITING)
            keys = str(told.get("keys") or "")
            self._show_payer(
                stage=Stage.QUESTION, says=str(told.get("prompt_text") or ""), keys=keys
            )
            act = await self._key(self._answer_s(told))
            if act is None:
                told = await self._ivr.consent(self._id, "silence")
            elif act == Act(CALLER, HANG_UP):
                return await self._ivr.ended(self._id, cause="caller")
            else:
                told = await self._ivr.consent(self._id, act.what)
        return told

    def _answer_s(self, told: Told) -> float:
        if self._desk.timers.answer_s is not None:
            return self._desk.timers.answer_s
        spoken_s = len(str(told.get("prompt_text") or "")) // SPOKEN_CHARS_PER_S
        return spoken_s + int(told.get("answer_within_s"))

    async def _key(self, wait_s: float) -> Act | None:
        """What B presses, or that one of the two hangs up; None for silence."""
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    act = await self._call.acts.get()
                    if act.what == HANG_UP or (act.role == PAYER and act.what in KEYS):
                        return act
        except TimeoutError:
            return None

    # -- while they talk

    async def _talk(self, told: Told) -> None:
        """Count the seconds, ask for more time before it is over, and report the end."""
        self._answered_s = self._desk.now_s()
        await self._ivr.answered(self._id)
        max_s, final = int(told.get("max_seconds")), False
        why = "time_over"
        while True:
            self._show_both(stage=Stage.TALKING, talk_s=self._used_s(), max_s=max_s, final=final)
            left_s = max_s - self._used_s()
            if left_s <= AHEAD_S and not final:
                more = await self._ivr.progress(self._id, self._used_s())
                final = more.status != 200 or bool(more.get("final"))
                max_s = int(more.get("max_seconds") or max_s)
                # What grants nothing more need not be asked again.
                final = final or max_s - self._used_s() <= AHEAD_S
                continue
            if left_s <= 0:
                break
            act = await self._next(left_s if final else left_s - AHEAD_S)
            if act is not None and act.what == HANG_UP:
                why = f"hung_up_{act.role}"
                break
            if act is not None and act.what == LEAP:
                self._leapt_s += min(LEAP_S, max_s - self._used_s())
        await self._end(why, used_s=min(self._used_s(), max_s))

    def _used_s(self) -> int:
        return int(self._desk.now_s() - self._answered_s) + self._leapt_s

    async def _next(self, wait_s: float) -> Act | None:
        """The next thing that somebody does; None when nobody did for so long."""
        try:
            async with asyncio.timeout(wait_s):
                return await self._call.acts.get()
        except TimeoutError:
            return None

    # -- the end

    async def _end(self, why: str, *, used_s: int | None = None) -> None:
        told = await self._ivr.ended(self._id, used_s, cause=why[:64])
        self._show_both(
            stage=Stage.OVER,
            why=why,
            says="",
            keys="",
            talk_s=used_s or 0,
            billed_s=int(told.get("billed_seconds") or 0),
            charged_vnd=int(told.get("charged_vnd") or 0),
        )

    def _refused(self, told: Told) -> None:
        """It does not come about: A hears why, B's phone falls silent."""
        action = str(told.get("action") or "")
        says = str(told.get("prompt_text") or "")
        why = action if told.status == 200 and action else "failed"
        if told.status == 200 and not action:
            why = "hung_up_caller"  # `ended` before there was anything to charge
        self._show_caller(stage=Stage.OVER, why=why, says=says)
        if self._call.payer is not None:
            self._show_payer(stage=Stage.OVER, why=why, says="", keys="")

    # -- what the phones show

    def _show_caller(self, **changes: object) -> None:
        self._at_caller = msgspec.structs.replace(self._at_caller, **changes)
        self._desk.show(self._call.caller, self._at_caller)

    def _show_payer(self, **changes: object) -> None:
        self._at_payer = msgspec.structs.replace(self._at_payer, **changes)
        self._desk.show(self._call.payer, self._at_payer)

    def _show_both(self, **changes: object) -> None:
        self._show_caller(**changes)
        if self._call.payer is not None:
            self._show_payer(**{"says": "", "keys": "", **changes})
