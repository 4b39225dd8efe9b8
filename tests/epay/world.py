"""Online payment in one process: real handlers and books, the cashier, the shipped gateway.

The gateway listens on a free port of loopback; its notifications reach telcod's HTTP application
without a socket, and only when a test says so (`world.notified()`).  Time passes by `pass_s` alone.
"""

from contextlib import AsyncExitStack
from random import Random
from typing import Any, cast

import httpx

from telcod.billing.accounts import debt_account, main_account
from telcod.bulk import SubscriberLine
from telcod.clock import ClockGuard
from telcod.epay import api, notifications
from telcod.epay.cashier import Cashier, NewPayment
from telcod.epay.hosted import HostedGateway
from telcod.epay.signatures import secret_bytes
from telcod.rows import ACCOUNT, ENTRY, LIMIT_COUNTER, PAYMENT, PAYMENT_CASE, Kind, State
from telcod.settings import Secret
from telcod.simulator.card_gateway import SECRET, WEBHOOK_SECRET, SimulatedCardGateway
from telcod.storage.readers import MemoryReader
from telcod.types import Request
from telcod.web.app import make_app
from tests.web.fake_backend import FakeBackend

LAN, MINH = 84_903_000_001, 84_903_000_002  # postpaid with a debt, prepaid
DEBT_VND = 300_000
RETURN_URL = "https://portal.example/back?order=1"
TELCOD = "http://telcod"
OTHER_SECRET = "whsec_YW5vdGhlci1zZWNyZXQtd2hpbGUtcm90YXRlZA=="
MINUTE_S = 60
EXPIRES_S = 15 * MINUTE_S


async def find_nobody(_backend, _msisdn_text, _password, *, actor):
    """A look-up that knows nobody."""
    assert actor


class PayWorld:
    """`async with PayWorld() as world:`; `gateway` is the simulated one, `cashier` telcod's."""

    def __init__(self, *, look_up=find_nobody, secrets=(WEBHOOK_SECRET,), answer_s=10.0):
        self.backend = FakeBackend()
        self.backend.add(
            SubscriberLine(LAN, Kind.POSTPAID, State.ACTIVE, debt_vnd=DEBT_VND, centre=2),
            SubscriberLine(MINH, Kind.PREPAID, State.ACTIVE, centre=3),
        )
        self.guard = ClockGuard(
            wall_ms=self.backend.clock.wall_ms(), monotonic_s=self.backend.clock.monotonic_s()
        )
        self._look_up = look_up
        self._secrets = secrets
        self._answer_s = answer_s
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        clock = self.backend.clock
        enter = self._stack.enter_async_context
        self.gateway = SimulatedCardGateway(clock=clock, rng=Random(7), transport=_Later(self))
        await enter(self.gateway)
        self.hosted = await enter(
            HostedGateway(self.gateway.url, Secret(SECRET), answer_s=self._answer_s)
        )
        self.cashier = self.new_cashier()
        keys = [secret_bytes(secret) for secret in self._secrets]
        routes = (*api.routes(self.cashier, self._look_up), *notifications.routes(keys))
        self.app = make_app(self.backend, control=False, dialects=routes)
        self.gateway.notifier.url = f"{TELCOD}{notifications.PATH}"
        self.http = await enter(
            httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", self.app)), base_url=TELCOD)
        )
        return self

    async def __aexit__(self, *error):
        await self._stack.__aexit__(*error)

    def new_cashier(self, gateway=None, submit=None):
        """The cashier of a telcod that has just started on these books."""
        return Cashier(
            gateway or self.hosted,
            submit or self.backend.submit,
            MemoryReader(self.backend.store),
            self.backend.clock,
            self.guard,
        )

    # -- what people do

    async def open(self, key="k-1", *, amount_vnd=100_000, msisdn=LAN, card="international"):
        """Somebody wants to pay; how it stands then."""
        return await self.cashier.open(self.new(key, amount_vnd, msisdn, card))

    def new(self, key="k-1", amount_vnd=100_000, msisdn=LAN, card="international"):
        purpose = "bill" if msisdn == LAN else "topup"
        return NewPayment("site", key, msisdn, amount_vnd, purpose, card, RETURN_URL)

    async def notified(self):
        """Let the gateway send what is due; the HTTP status of each try."""
        before = len(self.gateway.sent)
        await self.gateway.deliver()
        return [sent.status for sent in self.gateway.sent[before:]]

    async def pass_s(self, seconds):
        """Time passes, and the cashier looks at the end of it."""
        self.backend.clock.advance(seconds * 1_000)
        return await self.cashier.tick()

    async def pass_minutes(self, minutes):
        """The same, and the cashier looks every minute."""
        return sum([await self.pass_s(MINUTE_S) for _ in range(minutes)])

    async def take(self, route, *args, actor="token:anybody"):
        return await self.backend.submit(Request(route, args=args, actor=actor))

    # -- looking

    def payment(self, payment_id):
        [row] = self.backend.store.load(PAYMENT, (payment_id,))
        return row

    def state(self, payment_id):
        return self.payment(payment_id).state

    def debt(self):
        return -self._posted(debt_account(LAN))

    def balance(self):
        return self._posted(main_account(MINH))

    def slots(self, msisdn=LAN):
        rows = self.backend.store.scan(LIMIT_COUNTER)
        return sum(row.payments for row in rows if row.msisdn == msisdn)

    def cases(self):
        return [(row.payment, row.kind) for row in self.backend.store.scan(PAYMENT_CASE)]

    def entries(self, kind):
        return [row for row in self.backend.store.scan(ENTRY) if row.kind == kind]

    def _posted(self, account):
        return sum(row.posted for row in self.backend.store.load(ACCOUNT, (account,)))


class _Later(httpx.AsyncBaseTransport):
    """The application is made after the gateway that speaks to it."""

    def __init__(self, world):
        self._world = world

    async def handle_async_request(self, request):
        return await httpx.ASGITransport(self._world.app).handle_async_request(request)
