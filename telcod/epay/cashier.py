"""The cashier: asks the card gateway what is to be asked, in time, and tells the books (PAY-5, 6).

The books decide; the cashier only carries words between them and the gateway.  It keeps nothing
that matters: whatever it was about when it stopped is still due in the books when it starts again,
and asking the gateway twice does nothing twice.

A payment whose page the gateway could not name yet stays `created`: the cashier tries again while
it does, and whoever looks at it (`show`) reminds him of it, so that it goes on after a restart too.
"""

import asyncio
import contextlib
from base64 import b32encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from telcod.clock import Clock, ClockGuard
from telcod.days import HOUR_MS, SECOND_MS
from telcod.engine import QUARANTINED
from telcod.epay.gateway import (
    CardGateway,
    GatewayRefused,
    GatewaySilent,
    PaymentOrder,
    Result,
    Said,
)
from telcod.errors import TelcodError
from telcod.rows import PaymentState
from telcod.types import Answer, Channel, Request

TICK_S: Final = 1.0
DUE_SLICE: Final = 200
GATEWAY_AT_ONCE: Final = 16
"""Questions to the gateway under way together; the rest waits in the books."""
JOBS_MAX: Final = 10_000
"""Questions that wait for the gateway in memory; more payments are hardly ever in doubt at once."""
AGAIN_AFTER_S: Final = 10.0
AGAIN_MAX: Final = 1_000
STILL_DUE_MS: Final = 5 * SECOND_MS
"""How long one is left alone that was looked at, so that none is looked at in a loop."""
SET_ASIDE_MS: Final = HOUR_MS
"""How long one is left alone whose request broke: it's in quarantine, for a person."""
SILENT: Final = "silent"
CASHIER: Final = "cashier"
_ID_CHARS: Final = 16

_log = structlog.get_logger("telcod.epay.cashier")

Submit = Callable[[Request], Awaitable[Answer]]


class Due(Protocol):
    """What the cashier needs of the books to read."""

    def due_payments(self, *, now_ms: int, most: int) -> Awaitable[list[str]]:
        """Ids of payments whose moment has come, the longest due first."""


class NewPayment(NamedTuple):
    """A payment somebody asks for.

    `platform` is who asks for him (a token's name, or `site`), `key` that one's own name for this
    intent.  `address` is the payer's, empty where nobody knows it.
    """

    platform: str
    key: str
    msisdn: int
    amount_vnd: int
    purpose: str
    card: str
    return_url: str
    email: str = ""
    invoice: bool = False
    address: str = ""
    channel: Channel = Channel.WEB
    actor: str = ""


class PaymentView(msgspec.Struct, frozen=True):
    """A payment as it stands.  Times are Unix milliseconds; money is whole đồng."""

    payment_id: str
    state: str
    redirect_url: str = ""
    amount_vnd: int = 0
    purpose: str = ""
    card: str = ""
    masked_card: str = ""
    bank: str = ""
    reason: str = ""
    invoice: bool = False
    created_at: int = 0
    platform: str = ""
    return_url: str = ""
    gateway_ref: str = ""


class PaymentRefused(TelcodError):
    """The rules refuse a payment; `outcome` is why (docs/payments.md).  Nothing was done."""

    next_step = "Nothing was done and nothing was taken."

    def __init__(self, outcome: str) -> None:
        super().__init__(f"the payment is refused: {outcome}")
        self.outcome: Final = outcome


class PaymentUnknown(TelcodError):
    """Nobody's payment has this id."""

    next_step = "Check the id."


class _Job(NamedTuple):
    """What the books want of the gateway for one payment."""

    kind: str
    payment_id: str
    gateway_ref: str
    amount_vnd: int


class Cashier:
    """One for a daemon; `run` in a task.

    Args:
        gateway: Whom to ask.
        submit: The books, to write.
        due: The books, to read.
        clock: What is due is due by its wall clock.
        guard: While the clock has jumped nothing is looked at because of its moment (DESIGN 4);
            who wants to pay can.
    """

    def __init__(
        self, gateway: CardGateway, submit: Submit, due: Due, clock: Clock, guard: ClockGuard
    ) -> None:
        self._gateway: Final = gateway
        self._submit: Final = submit
        self._due: Final = due
        self._clock: Final = clock
        self._guard: Final = guard
        self._told: Final = asyncio.Event()
        self._slots: Final = asyncio.Semaphore(GATEWAY_AT_ONCE)
        self._jobs: Final[set[str]] = set()
        self._presenting: Final[set[str]] = set()
        self._aside: Final[dict[str, int]] = {}  # by id: until when, wall milliseconds
        self._again: Final[dict[str, float]] = {}  # by id: when to try, monotonic seconds

    # -- by the clock

    async def run(self) -> None:
        """Look for ever; cancel to stop."""
        async with asyncio.TaskGroup() as group:
            while True:
                for job in await self._look_or_none():
                    group.create_task(self._do(job))
                for payment_id in self._to_present():
                    group.create_task(self._present_again(payment_id))
                await self._wait()

    async def tick(self) -> int:
        """Do all that is due now, to its end; how many payments were looked at or presented."""
        jobs = await self._look_or_none()
        again = self._to_present()
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._do(job))
            for payment_id in again:
                group.create_task(self._present_again(payment_id))
        return len(jobs) + len(again)

    def wake(self) -> None:
        """Something may be due before the next second is over."""
        self._told.set()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._told.wait()
        self._told.clear()

    async def _look_or_none(self) -> list[_Job]:
        if self._guard.jumped:
            return []
        try:
            return await self._look()
        except TelcodError as error:
            _log.warning("books.unreadable", reason=str(error))
            return []

    async def _look(self) -> list[_Job]:
        """Let the books look at all that is due; what they want of the gateway for it.

        A gateway that says nothing holds up none of those that need no gateway.
        """
        now_ms = self._clock.wall_ms()
        for payment_id in [each for each, until in self._aside.items() if until <= now_ms]:
            del self._aside[payment_id]
        busy = self._jobs | self._aside.keys()
        found = await self._due.due_payments(now_ms=now_ms, most=DUE_SLICE + len(busy))
        room = JOBS_MAX - len(self._jobs)
        ids = [each for each in found if each not in busy][: min(DUE_SLICE, room)]
        # A whole slice makes one batch of the writer.
        looked = await asyncio.gather(*(self._look_at(each) for each in ids))
        jobs = [job for job in looked if job is not None]
        self._jobs.update(job.payment_id for job in jobs)
        if len(ids) == DUE_SLICE:
            self.wake()
        return jobs

    async def _look_at(self, payment_id: str) -> _Job | None:
        try:
            answer = await self._submit(_request("payment.due", payment_id))
        except TelcodError as error:  # full, or stopping: it is due at the next look too
            _log.warning("payment.unlooked", payment=payment_id, reason=str(error))
            return None
        data = answer.data or {}
        kind = str(data.get("job", "none"))
        if kind not in {"inquire", "void"}:
            broken = answer.outcome == QUARANTINED
            # What was looked at has a later moment in the books, or none; else not every second.
            wait_ms = SET_ASIDE_MS if broken else STILL_DUE_MS
            self._aside[payment_id] = self._clock.wall_ms() + wait_ms
            return None
        amount_vnd = data.get("amount_vnd", 0)
        return _Job(
            kind,
            payment_id,
            str(data.get("gateway_ref", "")),
            amount_vnd if isinstance(amount_vnd, int) else 0,
        )

    async def _do(self, job: _Job) -> None:
        try:
            async with self._slots:
                request = await (
                    self._inquired(job) if job.kind == "inquire" else self._voided(job)
                )
            answer = await self._submit(request)
            _log.info("gateway.asked", payment=job.payment_id, job=job.kind, outcome=answer.outcome)
            if answer.outcome == QUARANTINED:
                self._aside[job.payment_id] = self._clock.wall_ms() + SET_ASIDE_MS
        except TelcodError as error:
            # What the gateway said is lost, not what it did: the books still want to know.
            _log.warning("payment.unnoted", payment=job.payment_id, reason=str(error))
        finally:
            self._jobs.discard(job.payment_id)

    async def _inquired(self, job: _Job) -> Request:
        try:
            said = await self._gateway.inquire(job.payment_id, job.gateway_ref)
        except GatewaySilent as error:
            _log.warning("gateway.silent", payment=job.payment_id, reason=error.sentence())
            return _request("payment.inquired", job.payment_id, SILENT, *_words(Said(Result.NONE)))
        # While the page is open nobody can know, which is all that silence means to the books.
        result = SILENT if said.result is Result.OPEN else said.result
        return _request("payment.inquired", job.payment_id, result, *_words(said))

    async def _voided(self, job: _Job) -> Request:
        try:
            done = await self._gateway.void(job.payment_id, job.gateway_ref, job.amount_vnd)
        except GatewaySilent as error:
            _log.warning("gateway.silent", payment=job.payment_id, reason=error.sentence())
            done = False
        return _request("payment.voided", job.payment_id, "done" if done else "failed")

    # -- for who pays

    async def open(self, new: NewPayment) -> PaymentView:
        """Take a payment on and get the page on which it is paid.

        The same again finds it as it stands by then.  A view without `redirect_url` in state
        `created` means that the gateway has not answered: it is tried again, and `show` will say.

        Raises:
            PaymentRefused: The rules refuse it; nothing left this house.
            KeyReused: The key was used for another payment.
            TelcodError: Nothing was done; or it is taken on and the same may be sent again.
        """
        payment_id = payment_id_of(new.platform, new.key)
        answer = await self._submit(_create(payment_id, new))
        if answer.outcome != "payment.created":
            raise _refused(answer)
        view = await self._view(payment_id)
        if view.state == PaymentState.CREATED:
            return await self._present(view)
        return view

    async def show(self, payment_id: str) -> PaymentView:
        """How a payment stands.

        Raises:
            PaymentUnknown: There is none.
            TelcodError: The books can't say.
        """
        view = await self._view(payment_id)
        if view.state == PaymentState.CREATED and payment_id not in self._presenting:
            self._remember(payment_id)
        return view

    async def _view(self, payment_id: str) -> PaymentView:
        answer = await self._submit(_request("payment.show", payment_id))
        if answer.outcome == "payment.not_found":
            raise PaymentUnknown(f"there is no payment {payment_id}")
        if answer.outcome != "payment.shown":
            raise _refused(answer)
        return msgspec.convert(answer.data, PaymentView, strict=False)

    async def _present(self, view: PaymentView) -> PaymentView:
        """Make a payment known to the gateway; how it stands then."""
        payment_id = view.payment_id
        order = PaymentOrder(payment_id, view.amount_vnd, view.card, view.return_url)
        self._presenting.add(payment_id)
        try:
            created = await self._gateway.create(order)
            request = _request(
                "payment.redirected", payment_id, created.gateway_ref, created.redirect_url
            )
        except GatewayRefused as error:
            _log.warning("payment.untaken", payment=payment_id, code=error.code)
            request = _request("payment.refused", payment_id, error.code)
        except GatewaySilent as error:
            _log.warning("gateway.silent", payment=payment_id, reason=error.sentence())
            self._remember(payment_id)
            return view
        finally:
            self._presenting.discard(payment_id)
        try:
            await self._submit(request)
        except TelcodError:
            self._remember(payment_id)
            raise
        self._again.pop(payment_id, None)
        return await self._view(payment_id)

    def _remember(self, payment_id: str) -> None:
        # Above the bound the payer who looks reminds us again, and in the end it expires.
        if len(self._again) < AGAIN_MAX:
            self._again.setdefault(payment_id, self._clock.monotonic_s() + AGAIN_AFTER_S)

    def _to_present(self) -> list[str]:
        now_s = self._clock.monotonic_s()
        ready = [each for each, at_s in self._again.items() if at_s <= now_s]
        for payment_id in ready[:GATEWAY_AT_ONCE]:
            del self._again[payment_id]
        return ready[:GATEWAY_AT_ONCE]

    async def _present_again(self, payment_id: str) -> None:
        if payment_id in self._presenting:
            return
        try:
            async with self._slots:
                view = await self._view(payment_id)
                if view.state == PaymentState.CREATED:
                    await self._present(view)
        except TelcodError as error:
            _log.warning("payment.unpresented", payment=payment_id, reason=str(error))
            self._remember(payment_id)


def payment_id_of(platform: str, key: str) -> str:
    """The id of the payment that a platform calls `key`: 16 letters and digits, always the same."""
    digest = sha256(f"{platform}\n{key}".encode()).digest()
    return b32encode(digest).decode()[:_ID_CHARS]


def _create(payment_id: str, new: NewPayment) -> Request:
    return Request(
        "payment.create",
        sender=new.msisdn,
        args=(
            payment_id,
            str(new.amount_vnd),
            new.purpose,
            new.card,
            new.email,
            str(int(new.invoice)),
            new.return_url,
            new.address,
        ),
        channel=new.channel,
        key=f"payment:{new.platform}:{new.key}",
        actor=new.actor or new.platform,
    )


def _request(route: str, *args: str) -> Request:
    return Request(route, args=args, channel=Channel.CLOCK, actor=CASHIER)


def _words(said: Said) -> tuple[str, ...]:
    """What a gateway says, after its result, as arguments."""
    return (
        said.code,
        str(said.amount_vnd),
        said.masked_card,
        said.card_token,
        said.bank,
        said.cashier,
    )


def _refused(answer: Answer) -> TelcodError:
    if answer.outcome == QUARANTINED:
        return TelcodError(
            "telcod could not carry this out, and undid it",
            what_to_do="The request was set aside for a person; see the log.",
        )
    return PaymentRefused(answer.outcome)
