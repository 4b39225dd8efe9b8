"""A whole telcod with a voice platform before it, and the time in hand.

`async with Operator(folder) as operator:` serves on a free port of loopback; `operator.ivr` reports
calls to it over HTTP.  Time passes by `pass_s` alone.  What is left behind is proved when it ends.
"""

import asyncio

from telcod.billing.accounts import main_account
from telcod.check import check_books
from telcod.clock import ManualClock
from telcod.rows import ACCOUNT, CALL, ENTRY, HOLD, LIST_ENTRY, HoldStatus
from telcod.simulator.ivr import SimulatedIvr
from telcod.simulator.watch import WAIT_S
from telcod.storage.sqlite import SqliteStore
from telcod.types import Channel, Request
from telcod.vault import token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import create_token
from telcod.web.tokens import new_token
from tests.e2e.harness import DATABASE, Telcod
from tests.world import START_MS

AN, BINH, CUC, DUNG = 84903000001, 84903000002, 84903000003, 84903000004
TO_BINH = "15660903000002"
PLATFORM = "pbx"


def price(seconds):
    """PFM-1 counted second by second, in whole dong: 25 a second, six of them at the least."""
    return sum(25 for _ in range(max(seconds, 6))) if seconds else 0


class Operator:
    """An (An) and Binh have money, Cuc and Dung are there when a test needs more people."""

    def __init__(self, folder, *, form=False, start_ms=START_MS, **limits):
        self.clock = ManualClock(start_ms)
        self.telcod = Telcod(folder, clock=self.clock, limits={"calls": limits} if limits else None)
        self._form = form
        self._platforms = []

    async def __aenter__(self):
        await self.telcod.start()
        numbers = (AN, BINH, CUC, DUNG)
        await self.telcod.subscribers(*({"msisdn": number} for number in numbers))
        self.ivr = await self.platform(PLATFORM)
        return self

    async def __aexit__(self, *error):
        for platform in self._platforms:
            await platform.__aexit__(*error)
        await self.telcod.__aexit__(*error)
        store = SqliteStore.open(self.telcod.folder / DATABASE)
        try:
            assert not check_books(store)
        finally:
            store.close()

    @property
    def daemon(self):
        return self.telcod.daemon

    @property
    def url(self):
        return f"http://127.0.0.1:{self.daemon.web.port}"

    async def token(self, name, scope=Scope.IVR):
        token = new_token()
        await self.daemon.submit(create_token(name, scope, token_hash(token), actor="test"))
        self.pass_s(2)  # tokens are read again after a second
        return token

    async def platform(self, name, *, form=None):
        form = self._form if form is None else form
        platform = SimulatedIvr(self.url, await self.token(name), form=form)
        self._platforms.append(platform)
        return platform

    # -- people

    async def person(self, msisdn, **line):
        """Somebody whom nobody has seen before."""
        await self.telcod.subscribers({"msisdn": msisdn} | line)

    async def text(self, sender, text):
        """Somebody texts 1566; the answer's outcome."""
        parsed = self.daemon.rules.dispatcher.parse("1566", text)
        asked = Request(parsed.route, sender=sender, args=parsed.args, short_code="1566")
        return (await self.daemon.submit(asked)).outcome

    async def has_package(self, owner, *whitelist):
        """A working package (its trial day), and who is on the whitelist."""
        await self.text(owner, "DK")
        for number in whitelist:
            await self.text(owner, f"W {number}")

    # -- time

    def pass_s(self, seconds):
        self.clock.advance(seconds * 1_000)

    async def tick(self):
        """What the clock finds due, calls and packages, now instead of at its next round."""
        now_ms = self.clock.wall_ms()
        calls = await self.daemon.reader.due_calls(now_ms=now_ms, most=100)
        packages = await self.daemon.reader.due_subscriptions(now_ms=now_ms, most=100)
        outcomes = []
        for call in calls:
            asked = Request("clock.call", args=(call,), channel=Channel.CLOCK)
            outcomes.append((await self.daemon.submit(asked)).outcome)
        for msisdn, period in packages:
            asked = Request(
                "clock.package", sender=msisdn, args=(str(period),), channel=Channel.CLOCK
            )
            outcomes.append((await self.daemon.submit(asked)).outcome)
        return outcomes

    async def wait_until(self, condition):
        """Wait until a question about the books is answered yes, asked after every batch."""
        batches = asyncio.Event()
        seen = self.daemon.engine.on_batch

        def on_batch(stats):
            seen(stats)
            batches.set()

        self.daemon.engine.on_batch = on_batch
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                await batches.wait()
                batches.clear()

    # -- the books

    async def call(self, call_id, platform=PLATFORM):
        return await self.daemon.reader.one(CALL, f"{platform}:{call_id}")

    async def account(self, msisdn):
        return await self.daemon.reader.one(ACCOUNT, main_account(msisdn))

    async def balance(self, msisdn):
        return (await self.account(msisdn)).posted

    async def held(self, msisdn):
        return (await self.account(msisdn)).held

    async def open_holds(self):
        return [row for row in await self.telcod.rows(HOLD) if row.status == HoldStatus.OPEN]

    async def charges(self):
        """What calls were charged, in order."""
        return [row.amount for row in await self.telcod.rows(ENTRY) if row.kind == "call"]

    async def written_off(self):
        rows = await self.telcod.rows(ENTRY)
        return sum(row.amount for row in rows if row.kind == "call.write_off")

    async def listed(self, owner):
        rows = await self.telcod.rows(LIST_ENTRY)
        return {row.number: row.kind for row in rows if row.owner == owner}

    async def texts_to(self, msisdn):
        return [row.text for row in await self.telcod.outbox() if row.destination == str(msisdn)]

    # -- calls, shortly

    async def ask(self, call_id="1", caller="0903000001", dialled=TO_BINH):
        """A dials, and B must be asked."""
        told = await self.ivr.offer(call_id, caller, dialled)
        assert told.get("action") == "ask", told
        return told

    async def connect(self, call_id="1", caller="0903000001", dialled=TO_BINH):
        """A dials, B accepts."""
        await self.ask(call_id, caller, dialled)
        told = await self.ivr.consent(call_id, "1")
        assert told.get("action") == "connect", told
        return told

    async def talk(self, call_id="1", **who):
        """A dials, B accepts, and they talk."""
        told = await self.connect(call_id, **who)
        await self.ivr.answered(call_id)
        return told
