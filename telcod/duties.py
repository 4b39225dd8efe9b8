"""What only one of several daemons on the same books may do (docs/scale.md).

Renewals, supervision, day close, what the card gateway is asked, e-mails, USSD pushes and the
broker are one duty.  Who holds it does them; when it is lost they are stopped, and whoever has it
then goes on from the books.  A daemon that has its books for itself holds it always.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from telcod.clock import Clock
from telcod.engine import Engine
from telcod.errors import TelcodError
from telcod.ports import LEASE_S, Store
from telcod.smpp.gateway import Gateway
from telcod.smpp.sender import Reader

CLOCK: Final = "clock"
TEND_S: Final = 1.0

_log = structlog.get_logger("telcod.duties")


class Duty:
    """The duty of one daemon.

    Args:
        held: Whether it is held from the beginning, which it is without others.
    """

    def __init__(self, *, held: bool) -> None:
        self._on: Final = asyncio.Event()
        self._off: Final = asyncio.Event()
        (self._on if held else self._off).set()

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        return self._on.is_set()

    def set(self, *, held: bool) -> None:
        """It was taken on, or lost."""
        if held == self.held:
            return
        _log.info("duty.taken" if held else "duty.lost")
        first, then = (self._off, self._on) if held else (self._on, self._off)
        first.clear()
        then.set()

    async def keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` while the duty is held: begun anew each time, cancelled when it is lost.

        Returns when the work ends by itself.
        """

        async def doing() -> None:
            await work()

        while True:
            await self._on.wait()
            async with asyncio.TaskGroup() as group:
                working = group.create_task(doing())
                lost = group.create_task(self._off.wait())
                await asyncio.wait((working, lost), return_when=asyncio.FIRST_COMPLETED)
                ended = working.done()
                working.cancel()
                lost.cancel()
            if ended:
                return


class Tending:
    """Shows once a second that this daemon lives, and takes on what nobody else does.

    While it can't, for whatever reason, the duty is not held and no text is sent: others may have
    taken both over (`telcod.storage.postgres_duties`).

    Args:
        engine: On whose thread the store is asked.
        store: The books, shared with others.
        boot: The number of this daemon's start.
        duty: Set as the store says.
        gateway: Told whose texts it has to send besides its own, and whether it may send.
        clock: For how long an answer of the store counts.
        wait_s: How long it is waited for.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        boot: int,
        duty: Duty,
        gateway: Gateway,
        clock: Clock,
        *,
        wait_s: float = LEASE_S,
    ) -> None:
        self._engine: Final = engine
        self._tend: Final = partial(store.tend, boot, (CLOCK,))
        self._duty: Final = duty
        self._gateway: Final = gateway
        self._clock: Final = clock
        self._wait_s: Final = wait_s
        self._epoch = 0
        self._sure_until_s = 0.0
        self.daemons = 1
        """How many share the books, as far as we know."""
        self.lacks = ""
        """Why we can't show that we live; "" while we can."""
        gateway.sender.may_send = self.may_send

    def may_send(self) -> bool:
        """Whether nobody else may be sending our texts."""
        return self._clock.monotonic_s() < self._sure_until_s

    async def run(self, reader: Reader) -> None:
        """Tend for ever; cancel to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_over())
            while True:
                await self.tick(reader)
                await asyncio.sleep(TEND_S)

    async def _take_over(self) -> None:
        # Apart, and never given up halfway: what was taken over in the books has to be sent.
        while True:
            try:
                await self._gateway.take_over(self._engine.submit)
            except TelcodError as error:
                _log.warning("outbox.not_taken_over", reason=error.sentence())
            await asyncio.sleep(TEND_S)

    async def tick(self, reader: Reader) -> None:
        """Once; what can't be shown to the store is not held."""
        begun_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(self._wait_s):
                tended = await self._engine.between_batches(self._tend)
        except (TelcodError, TimeoutError) as error:
            reason = error.sentence() if isinstance(error, TelcodError) else "no answer"
            _log.warning("duty.unknown", reason=reason)
            self._duty.set(held=False)
            self.lacks = "the database is away"
            return
        self.lacks = ""
        self.daemons = tended.daemons
        self._duty.set(held=CLOCK in tended.duties)
        self._gateway.inherit(tended.heir_of)
        try:
            if tended.epoch != self._epoch and tended.sure:
                self._gateway.note_all()
                await self._gateway.sender.disown(reader)
                self._epoch = tended.epoch
            if tended.sure:
                self._sure_until_s = begun_s + LEASE_S
        except TelcodError as error:
            _log.warning("outbox.unreadable", reason=error.sentence())
