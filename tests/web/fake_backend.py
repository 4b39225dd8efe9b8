"""A daemon without links and loop: the real handlers on a store in memory, behind `Backend`."""

from pathlib import Path

import handlers
from telcod.clock import ManualClock
from telcod.engine import Batcher
from telcod.errors import TelcodError
from telcod.metrics import Metrics
from telcod.msisdn import parse
from telcod.rows import TOKEN
from telcod.rulebook import load_rules
from telcod.settings import load
from telcod.storage.memory import MemoryStore
from telcod.vault import Vault, token_hash
from telcod.web.ports import Backend, LinkStatus, Status
from telcod.web.staff_requests import create_token, import_lines

START_MS = 1_790_000_000_000
RULES = load_rules(load(None, {}))


class FakeBackend:
    """`raises` makes the next calls fail, as an engine does; `broken` and `missing` are told."""

    def __init__(self):
        self.metrics = Metrics(process=False)
        self.clock = ManualClock(START_MS)
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
