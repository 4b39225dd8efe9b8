"""The cashier: asks the card gateway what is to be asked, in time, and tells the books (PAY-5, 6).

The books decide; the cashier only carries words between them and the gateway.  It keeps nothing:
whatever it was about when it stopped is due in the books again (`payment.due`), and asking the
gateway twice does nothing twice.
"""

import asyncio
import contextlib
from base64 import b32encode
from collections import Counter
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
from telcod.errors import Overloaded, TelcodError
from telcod.rows import PaymentState
from telcod.types import Answer, Channel, Request

TICK_S: Final = 1.0
DUE_SLICE: Final = 200
GATEWAY_AT_ONCE: Final = 16
"""Questions to the gateway under way together; the rest waits in the books."""
OPENING_MAX: Final = 48
"""Payments whose page is being asked for; with those above, what the gateway's port carries at
once.  Who comes beyond them would wait behind all of them, so he is told to try again."""
OPENING_OF_ONE_MAX: Final = 24
"""Those of one portal among them: one that floods leaves room for the others."""
JOBS_MAX: Final = 10_000
"""Questions that wait for the gateway in memory; more payments are hardly ever in doubt at once."""
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

    `platform` is who asks for him (`token:<name>`, or `site`), `key` that one's own name for this
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


class PaymentView(msgspec.Struct, frozen=True):
    """A payment as it stands.  Times are Unix milliseconds, 0 is not yet; money is whole đồng."""

    payment_id: str
    state: str
    msisdn: str
    purpose: str
    card: str
    amount_vnd: int
    return_url: str
    redirect_url: str = ""
    gateway_ref: str = ""
    masked_card: str = ""
    reason: str = ""
    invoice: bool = False
    created_at: int = 0
    authorised_at: int = 0
    cleared_at: int = 0
    expires_at: int = 0
    language: str = "vi"


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
    """What the books want of the gateway for a payment: `create`, `inquire` or `void`."""

    kind: str
    payment: PaymentView


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
        self._opening: Final[Counter[str]] = Counter()  # By portal: its token, or the site.
        self._aside: Final[dict[str, int]] = {}  # by id: until when, wall milliseconds

    # -- by the clock

    async def run(self) -> None:
        """Look for ever; cancel to stop."""
        async with asyncio.TaskGroup() as group:
            while True:
                for job in await self._look_or_none():
                    group.create_task(self._do(job))
                await self._wait()

    async def tick(self) -> int:
        """Do all that is due now, to its end; how often the gateway was asked."""
        jobs = await self._look_or_none()
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._do(job))
        return len(jobs)

    def wake(self) -> None:
        """Something may be due before the next second is over."""
        self._told.set()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._told.wait()
        self._told.clear()

    async def _look_or_none(self) -> list[_Job]:
        if self._guard.doubts(self._clock):
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
        self._jobs.update(job.payment.payment_id for job in jobs)
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
        if kind in {"create", "inquire", "void"}:
            return _Job(kind, msgspec.convert(data, PaymentView, strict=False))
        # What was looked at has a later moment in the books, or none; what broke has not.
        wait_ms = SET_ASIDE_MS if answer.outcome == QUARANTINED else STILL_DUE_MS
        self._aside[payment_id] = self._clock.wall_ms() + wait_ms
        return None

    async def _do(self, job: _Job) -> None:
        payment_id = job.payment.payment_id
        try:
            async with self._slots:
                request = await self._ask(job)
            if request is None:
                return
            answer = await self._submit(request)
            _log.info("gateway.asked", payment=payment_id, job=job.kind, outcome=answer.outcome)
            if answer.outcome == QUARANTINED:
                self._aside[payment_id] = self._clock.wall_ms() + SET_ASIDE_MS
        except TelcodError as error:
            # What the gateway said is lost, not what it did: the books will want to know again.
            _log.warning("payment.unnoted", payment=payment_id, reason=str(error))
        finally:
            self._jobs.discard(payment_id)

    async def _ask(self, job: _Job) -> Request | None:
        """Ask the gateway; what to tell the books, None if there is nothing to tell."""
        payment = job.payment
        payment_id = payment.payment_id
        try:
            match job.kind:
                case "create":
                    return await self._created(payment)
                case "void":
                    ref, amount_vnd = payment.gateway_ref, payment.amount_vnd
                    done = await self._gateway.void(payment_id, ref, amount_vnd)
                    return _request("payment.voided", payment_id, "done" if done else "failed")
                case _:
                    return _heard(
                        payment_id, await self._gateway.inquire(payment_id, payment.gateway_ref)
                    )
        except GatewaySilent as error:
            _silent(payment_id, job.kind, error)
        if job.kind == "void":
            return _request("payment.voided", payment_id, "failed")
        return None if job.kind == "create" else _heard(payment_id, None)

    async def _created(self, payment: PaymentView) -> Request:
        """Make a payment known to the gateway; what came of it, for the books."""
        order = PaymentOrder(
            payment.payment_id,
            payment.amount_vnd,
            payment.card,
            payment.return_url,
            payment.language,
        )
        try:
            created = await self._gateway.create(order)
        except GatewayRefused as error:
            _log.warning("payment.untaken", payment=payment.payment_id, code=error.code)
            return _request("payment.refused", payment.payment_id, error.code)
        return _request("payment.redirected", payment.payment_id, *created)

    # -- for who pays

    async def open(self, new: NewPayment) -> PaymentView:
        """Take a payment on and get the page on which it is paid.

        The same again finds it as it stands by then.  A view without `redirect_url` in state
        `created` means that the gateway has not answered: the books want it asked again, and `show`
        will say.

        Raises:
            PaymentRefused: The rules refuse it; nothing left this house.
            KeyReused: The key was used for another payment.
            Overloaded: Too many wait for the gateway already; nothing was done.
            TelcodError: Nothing was done; or it is taken on and the same may be sent again.
        """
        full = self.full(new.platform)
        if full is not None:
            raise full
        self._opening[new.platform] += 1
        try:
            return await self._open(new)
        finally:
            self._opening[new.platform] -= 1

    def full(self, platform: str) -> Overloaded | None:
        """Why `open` would take nothing more of this portal now, if it would not."""
        of_one = self._opening[platform]
        if self._opening.total() < OPENING_MAX and of_one < OPENING_OF_ONE_MAX:
            return None
        return Overloaded("too many payments wait for the card gateway")

    async def _open(self, new: NewPayment) -> PaymentView:
        payment_id = payment_id_of(new.platform, new.key)
        answer = await self._submit(_create(payment_id, new))
        if answer.outcome != "payment.created":
            raise _refused(answer)
        view = await self.show(payment_id, platform=new.platform)
        if view.state != PaymentState.CREATED:
            return view
        try:
            await self._submit(await self._created(view))
        except GatewaySilent as error:
            _silent(payment_id, "create", error)
        return await self.show(payment_id, platform=new.platform)

    async def show(
        self, payment_id: str, *, platform: str, channel: Channel = Channel.WEB
    ) -> PaymentView:
        """How a payment stands.

        Args:
            payment_id: Which.
            platform: Who asks: the one who has asked for the payment, or a person of the staff.
            channel: `STAFF` for people who may see all.

        Raises:
            PaymentUnknown: This platform has asked for none of this id.
            TelcodError: The books can't say.
        """
        answer = await self._submit(
            Request("payment.show", args=(payment_id,), channel=channel, actor=platform)
        )
        if answer.outcome == "payment.not_found":
            raise PaymentUnknown(f"there is no payment {payment_id}")
        if answer.outcome != "payment.shown":
            raise _refused(answer)
        return msgspec.convert(answer.data, PaymentView, strict=False)


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
        channel=Channel.WEB,
        key=f"payment:{new.platform}:{new.key}",
        actor=new.platform,
    )


def _request(route: str, *args: str) -> Request:
    return Request(route, args=args, channel=Channel.CLOCK, actor=CASHIER)


def _heard(payment_id: str, said: Said | None) -> Request:
    """What the gateway answered to an inquiry, for the books; None: nothing."""
    if said is None:
        return _request("payment.inquired", payment_id, SILENT, "", "0", "", "", "", "")
    # While its page is open nobody can know, which is all that silence means to the books.
    result = SILENT if said.result is Result.OPEN else said.result.value
    words = (said.code, str(said.amount_vnd), said.masked_card, said.card_token)
    return _request("payment.inquired", payment_id, result, *words, said.bank, said.cashier)


def _silent(payment_id: str, job: str, error: GatewaySilent) -> None:
    _log.warning("gateway.silent", payment=payment_id, job=job, reason=error.sentence())


def _refused(answer: Answer) -> TelcodError:
    if answer.outcome == QUARANTINED:
        return TelcodError(
            "telcod could not carry this out, and undid it",
            what_to_do="The request was set aside for a person; see the log.",
        )
    return PaymentRefused(answer.outcome)
