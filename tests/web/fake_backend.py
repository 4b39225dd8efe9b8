"""A daemon without links and loop: the real handlers on a store in memory, behind `Backend`."""

import asyncio
from pathlib import Path

import handlers
from telcod.clock import ManualClock
from telcod.engine import Batcher
from telcod.errors import Refusal, TelcodError
from telcod.metrics import Metrics
from telcod.msisdn import parse
from telcod.rows import TOKEN
from telcod.rulebook import load_rules
from telcod.settings import load
from telcod.smpp.tap import Ends
from telcod.smpp.trace import TraceBegun, TracedPdu, TraceMissed
from telcod.storage.memory import MemoryStore
from telcod.vault import Vault, token_hash
from telcod.web.ports import Backend, Latency, LinkPulse, LinkStatus, Pulse, Status
from telcod.web.staff_requests import Refused, create_token, import_lines

START_MS = 1_790_000_000_000
RULES = load_rules(load(None, {}))


class FakeOps:
    """A pulse that stands still, and a link `smsc-a` on which two PDUs pass."""

    def __init__(self):
        self.traced = []
        self.ended = 0

    async def pulse(self):
        still = Latency((0.1, 1.0), (0, 0, 0))
        link = LinkPulse("smsc-a", bound=True, pdus_in=1, pdus_out=2, outstanding=0, throttled=0)
        return Pulse(
            at_s=12.0,
            version="0.1.0",
            uptime_s=12,
            lacks=(),
            links=(link,),
            texts=1,
            replies=1,
            requests=0,
            redelivered=0,
            queue_requests=0,
            outbox_texts=0,
            calls_open=0,
            sessions_open=0,
            earned_vnd={"package": 1_000},
            commit=still,
            text=still,
            http=still,
        )

    async def trace(self, link, *, seconds=None, pdus=None):
        if link != "smsc-a":
            raise Refused(Refusal.NOT_FOUND, f"no link is called {link!r}")
        self.traced.append((seconds, pdus))
        try:
            yield TraceBegun(link, bound=True)
            ends = Ends(1, "127.0.0.1", 40_000, "127.0.0.1", 2_775)
            yield TracedPdu(START_MS, ends, "in", b"abc")
            yield TraceMissed(2)
        finally:
            self.ended += 1


def post_by(submit, request, told):
    """What `Backend.post` does, by what `Backend.submit` does."""

    async def carry_out():
        try:
            told(await submit(request))
        except TelcodError as error:
            told(error)

    task = asyncio.get_running_loop().create_task(carry_out())
    _POSTED.add(task)
    task.add_done_callback(_POSTED.discard)


_POSTED: set[asyncio.Task[None]] = set()


class FakeBackend:
    """`raises` makes the next calls fail, as an engine does; `broken` and `missing` are told."""

    def __init__(self):
        self.metrics = Metrics(process=False)
        self.clock = ManualClock(START_MS)
        self.ops = FakeOps()
        self.store = MemoryStore()
        self.batcher = Batcher(self.store, RULES, handlers.ROUTES, self.clock, Vault(bytes(32)))
        self.broken = []
        self.missing = []
        self.jumped = False
        self.raises = None
        self.submitted = []
        self.backups = []
        self.after_reading = lambda: None

    @property
    def prompts(self):
        return RULES.prompts

    async def submit(self, request):
        if self.raises is not None:
            raise self.raises
        self.submitted.append(request)
        result = self.batcher.run([request]).results[0]
        if isinstance(result, TelcodError):
            raise result
        return result

    def post(self, request, told):
        post_by(self.submit, request, told)

    def health(self):
        return self.broken

    def ready_lacks(self):
        return [*self.broken, *self.missing]

    async def status(self):
        link = LinkStatus("smsc-a", "127.0.0.1", 2775, ("1566",), bound=True)
        return Status("0.1.0", 12, (link,), 3, 4, START_MS, clock_jumped=self.jumped)

    async def tokens(self):
        rows = list(self.store.scan(TOKEN))
        self.after_reading()
        return rows

    async def backup(self, path: Path):
        if self.raises is not None:
            raise self.raises
        self.backups.append(path)
        return path, 4_096

    def parse_number(self, text):
        return parse(text, RULES.old_prefixes)

    def confirm_clock(self):
        jumped, self.jumped = self.jumped, False
        return jumped

    # -- for tests

    def take(self, request):
        return self.batcher.run([request]).results[0]

    def add(self, *lines):
        return self.take(import_lines(lines, actor="test"))

    def token(self, scope, name=""):
        token = f"telcod_{name or scope}"
        self.take(create_token(name or str(scope), str(scope), token_hash(token), actor="test"))
        return {"Authorization": f"Bearer {token}"}


def is_a_backend(backend: FakeBackend) -> Backend:
    """mypy holds the fake to the protocol here."""
    return backend
