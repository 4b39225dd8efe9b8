"""A card gateway to play and test against: API, hosted pages, signed notifications, the day's file.

uvicorn on a port of its own, with a loop that somebody else runs.  Clock and chance are handed in.
It behaves well until it is told otherwise (`Behaviour`); what it has promised outlives its crashes.

API (`Authorization: Bearer <secret>`), all by the merchant's payment id, all repeatable:
`PUT /v1/payments/{id}` an order, `GET` what became of it, `POST …/void` give it back;
`GET /files/{yyyymmdd}.csv` the day's file.  `/control/…` makes it misbehave.
"""

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec
import uvicorn

from telcod.clock import Clock, SystemClock
from telcod.simulator import card_gateway_cards as cards
from telcod.simulator import card_gateway_web as web
from telcod.simulator.card_gateway_behaviour import FOREVER, Behaviour, Crash
from telcod.simulator.card_gateway_book import ON_PAGE, Book, Held, Refused, Stage
from telcod.simulator.card_gateway_notifier import Notifier, Sent

SECRET: Final = "card-gateway-of-the-simulator"  # noqa: S105  # opens nothing but this
WEBHOOK_SECRET: Final = "whsec_dGVsY29kLXNpbXVsYXRlZC1jYXJkLWdhdGV3YXk="  # noqa: S105  # the same
LOOK_S: Final = 0.2
BACKLOG: Final = 256
_OPPOSITE: Final = {cards.AUTHORISED: cards.DECLINED, cards.DECLINED: cards.AUTHORISED}


class SimulatedCardGateway:
    """A gateway on a TCP port; `async with SimulatedCardGateway() as gateway:`.

    Args:
        host: The address to listen on.
        port: 0 takes a free one; `url` then says which.
        secret: What opens its API.
        notify_url: Where notifications go; empty: they wait until `notifier.url` is set.
        webhook_secrets: What they are signed with, several beside one another.
        clock: The time.
        rng: Chance; seeded, everything is the same again.
        live: Whether notifications go out by themselves; else `deliver` sends what is due.
        transport: How notifications reach telcod, instead of by TCP.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        secret: str = SECRET,
        notify_url: str = "",
        webhook_secrets: Sequence[str] = (WEBHOOK_SECRET,),
        clock: Clock | None = None,
        rng: Random | None = None,
        live: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.host: Final = host
        self.port = port
        self.secret: Final = secret
        self.clock: Final = clock or SystemClock()
        rng = rng or Random(1)
        self.book: Final = Book(rng)
        self.notifier: Final = Notifier(notify_url, webhook_secrets, self.clock, rng, transport)
        self.behaviour = Behaviour()
        self.down = False
        self._live: Final = live
        self._silent_until_ms = 0
        self._changed: Final = asyncio.Event()
        self._let_go = asyncio.Event()
        self._group: Final = asyncio.TaskGroup()
        self._sock: socket.socket | None = None
        self._server: _Server | None = None
        self._delivering: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        sock = self._sock = socket.create_server((self.host, self.port), backlog=BACKLOG)
        self.port = sock.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                proxy_headers=False,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        await self._group.__aenter__()
        self._group.create_task(self._server.serve(sockets=[sock]))
        if self._live:
            self._delivering = self._group.create_task(self._deliver_for_ever())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go.set()
        if self._delivering is not None:
            self._delivering.cancel()
        if self._server is not None:
            self._server.should_exit = True
        try:
            # What went wrong outside is not ours to wrap into a group.
            await self._group.__aexit__(None, None, None)
        finally:
            if self._sock is not None:
                self._sock.close()
            await self.notifier.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    @property
    def sent(self) -> list[Sent]:
        """Every try of a notification, the oldest first."""
        return self.notifier.sent

    @property
    def silent(self) -> bool:
        """Whether it answers nothing now."""
        until = self._silent_until_ms
        return until == FOREVER or self.clock.wall_ms() < until

    # -- misbehaving

    def behave(self, behaviour: Behaviour | None = None, **changes: Any) -> None:
        """Behave like this from now on; or as before, but for these changes."""
        self.behaviour = msgspec.structs.replace(behaviour or self.behaviour, **changes)
        silent_s = self.behaviour.silent_s
        before, self._let_go = self._let_go, asyncio.Event()
        before.set()  # who waits for an answer has waited in vain
        if silent_s > 0:
            self._silent_until_ms = self.clock.wall_ms() + silent_s * 1_000
        else:
            self._silent_until_ms = FOREVER if silent_s else 0
        self._changed.set()

    def crash(self) -> None:
        """Die: every connection is cut, nobody is answered until `restart`."""
        self.down = True
        if self._server is not None:
            for connection in list(self._server.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()

    def restart(self) -> None:
        """Come back with all that was promised."""
        self.down = False
        self.behaviour = msgspec.structs.replace(self.behaviour, crash=Crash.NEVER)
        self._changed.set()

    def _crash_at(self, moment: Crash) -> bool:
        if self.behaviour.crash is not moment:
            return False
        self.crash()
        return True

    # -- what API and pages ask (`card_gateway_web.Gateway`)

    async def order(self, payment_id: str, order: web.Order) -> Held:
        """Take an order; raises `Refused`."""
        if self.behaviour.refuse_code:
            raise Refused(self.behaviour.refuse_code, 422)
        held = self.book.create(
            payment_id,
            amount_vnd=order.amount_vnd,
            card=order.card,
            return_url=order.return_url,
            open_s=order.open_s,
            now_ms=self.clock.wall_ms(),
        )
        self._crash_at(Crash.ORDER_TAKEN)
        if self.behaviour.paid_at_once and held.stage is Stage.OPEN:
            held = await self.pay(payment_id)
            await self.deliver()
        return held

    async def void(self, payment_id: str) -> Held:
        """Give a payment back; raises `Refused`."""
        if self.behaviour.void_fails:
            raise Refused("not_now", 409)
        held = self.book.void(self.find(payment_id), now_ms=self.clock.wall_ms())
        self._crash_at(Crash.VOIDED)
        return held

    def find(self, payment_id: str) -> Held:
        """A payment by the merchant's id; raises `Refused`."""
        self._lapse()
        return self.book.find(payment_id)

    def find_ref(self, ref: str) -> Held:
        """A payment by our reference; raises `Refused`."""
        self._lapse()
        return self.book.by_ref(ref)

    async def type_card(self, held: Held, digits: str, bank: str) -> Held:
        """The payer has typed a card."""
        return self._after(
            held, self.book.type_card(held, digits, bank, now_ms=self.clock.wall_ms())
        )

    async def type_otp(self, held: Held, typed: str) -> Held:
        """The payer has typed a one-time password."""
        return self._after(held, self.book.type_otp(held, typed, now_ms=self.clock.wall_ms()))

    async def give_up(self, held: Held) -> Held:
        """The payer goes back."""
        return self._after(held, self.book.give_up(held, now_ms=self.clock.wall_ms()))

    async def pay(self, payment_id: str, number: str = "", otp: str = cards.OTP) -> Held:
        """Pay as somebody at the page does, with a good card unless another one is named."""
        held = self.find(payment_id)
        domestic = held.card == "domestic"
        number = number or (cards.GOOD_DOMESTIC_CARD if domestic else cards.GOOD_CARD)
        held = await self.type_card(held, number, cards.BANKS[0].code)
        return await self.type_otp(held, otp) if held.stage is Stage.OTP else held

    def settle(self, payment_id: str, result: str) -> Held:
        """The issuer answers in the end, as `result` says, what it had left open."""
        held = self.book.settle(
            self.find(payment_id), Stage(result), "settled", now_ms=self.clock.wall_ms()
        )
        self._tell(held)
        return held

    def day_file(self, day: int) -> str:
        """The file of a day of Viet Nam."""
        return self.book.day_file(day)

    # -- notifications

    def notify(
        self, payment_id: str, result: str, *, amount_vnd: int | None = None, code: str = ""
    ) -> str:
        """Send a notification of its own, whatever became of the payment; its id."""
        held = self.find(payment_id)
        amount = held.amount_vnd if amount_vnd is None else amount_vnd
        self._changed.set()
        return self.notifier.put(payment_id, _fields(held, result, code, amount))

    async def deliver(self) -> int:
        """Send what is due, if anybody is there to send it; how many tries that made."""
        self._lapse()
        return 0 if self.down or self.silent else await self.notifier.deliver()

    async def replay(self, sent: Sent) -> int:
        """Send the very bytes of a try once more, head and all; the status of the answer."""
        return await self.notifier.send(sent.payment_id, sent.headers, sent.body)

    def _after(self, before: Held, held: Held) -> Held:
        """What a payer did is done; say so, if that was the end."""
        if before.stage in ON_PAGE and held.stage not in ON_PAGE:
            self._tell(held)
            self._crash_at(Crash.CARD_DECIDED)
        return held

    def _lapse(self) -> None:
        """End what was left lying; a password that nobody typed is told, an empty page is not."""
        for held in self.book.lapse(now_ms=self.clock.wall_ms()):
            if held.masked_card:
                self._tell(held)

    def _tell(self, held: Held) -> None:
        habit = self.behaviour
        amount_vnd = held.amount_vnd + habit.amount_off_vnd
        if habit.notifications:
            self.notifier.put(
                held.payment_id,
                _fields(held, held.stage, held.code, amount_vnd),
                after_s=habit.notify_after_s,
                times=habit.notifications,
                replays=habit.replays,
                forged=habit.bad_signature,
            )
        opposite = _OPPOSITE.get(held.stage)
        if habit.contradict and opposite is not None:
            self.notifier.put(
                held.payment_id,
                _fields(held, opposite, "contradiction", amount_vnd),
                after_s=habit.notify_after_s,
            )
        self._changed.set()

    async def _deliver_for_ever(self) -> None:
        while True:
            await self.deliver()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            self._changed.clear()

    # -- HTTP

    async def _app(self, scope: web.Message, receive: web.Receive, send: web.Send) -> None:
        asked = await web.read(scope, receive)
        if asked is None:
            return
        # Whoever sits at the controls gets through to a gateway that is silent to everybody else.
        control = asked.path[0] == "control"
        if not self.down and (control or not self.silent):
            told = await web.answer(self, asked)
            if not self.down:
                await web.send(told, send)
                return
        if self.down:
            self.crash()  # a connection that came meanwhile
        await self._hang(receive)

    async def _hang(self, receive: web.Receive) -> None:
        """Say nothing until who asked goes away, or the silence ends: then the line is cut."""
        let_go = self._let_go
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(_until_gone(receive))
            end = group.create_task(_until_set(let_go))
            await asyncio.wait((gone, end), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            end.cancel()


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _until_gone(receive: web.Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()


def _fields(held: Held, result: str, code: str, amount_vnd: int) -> dict[str, Any]:
    return {
        "result": result,
        "code": code,
        "amount_vnd": amount_vnd,
        "masked_card": held.masked_card,
        "card_token": held.card_token,
        "bank": held.bank,
        "cashier": held.cashier,
    }
