"""The books with their engine and no daemon around them, for benchmarks: a token, a check, a
midnight when it is wanted.

The one place of the simulators that knows the rules and the settings.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from telcod.check import check_books
from telcod.clock import ClockGuard, ManualClock, SystemClock
from telcod.engine import Batcher, BatchStats, Engine
from telcod.rulebook import load_rules
from telcod.scheduler import Scheduler
from telcod.service import SERVICE
from telcod.settings import EngineSettings, load
from telcod.simulator.bench_books import open_store, read_store, rss_mb
from telcod.vault import KEY_BYTES, Vault, token_hash
from telcod.web.scopes import Scope
from telcod.web.staff_requests import create_token
from telcod.web.tokens import new_token


def make_token(path: Path, name: str, scope: Scope) -> str:
    """A token in books that no telcod serves, made as the command line would."""
    shown = new_token()
    store = open_store(path)
    try:
        rules, vault = load_rules(load(None, {})), Vault(bytes(KEY_BYTES))
        batcher = Batcher(store, rules, SERVICE, SystemClock(), vault)
        batcher.run([create_token(name, scope, token_hash(shown), actor="bench")])
    finally:
        store.close()
    return shown


def wrong_in(path: Path) -> list[str]:
    """What `telcod db check` finds in books that no telcod serves."""
    store = open_store(path)
    try:
        return [str(each) for each in check_books(store)]
    finally:
        store.close()


async def strike(path: Path, *, now_ms: int) -> dict[str, Any]:
    """Let the real scheduler ask the real engine for all that is due at a moment, once.

    Args:
        path: The books.
        now_ms: The moment, Unix milliseconds: no clock is waited for.
    """
    settings = load(None, {})
    limits = EngineSettings()
    clock = ManualClock(now_ms)
    store = open_store(path)
    reader = _DueReader(path)
    rules = load_rules(settings)
    engine = Engine(
        Batcher(store, rules, SERVICE, clock, Vault(bytes(KEY_BYTES))),
        queue_max=limits.queue_max,
        batch_max=limits.batch_max,
    )
    batches: list[BatchStats] = []
    engine.on_batch = batches.append
    engine.start(asyncio.get_running_loop())
    guard = ClockGuard(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())
    scheduler = Scheduler(reader, engine, clock, guard, lambda: rules.limits.texts)
    begun_s, cpu_s = time.perf_counter(), time.process_time()
    try:
        done = await scheduler.tick()
        took_s, took_cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    finally:
        await engine.stop()
        reader.close()
        store.close()
    return {
        "done": done,
        "seconds": round(took_s, 3),
        "renewals_per_s": round(done / took_s),
        "cpu_us_each": round(1e6 * took_cpu_s / max(1, done), 1),
        "cpu_cores": round(took_cpu_s / took_s, 2),
        "batches": len(batches),
        "rss_mb": rss_mb(os.getpid()),
    }


class _DueReader:
    """What the scheduler reads of the books, on a connection of its own that only reads."""

    def __init__(self, path: Path) -> None:
        self._store, self._db = read_store(path)

    async def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        return await asyncio.to_thread(self._store.due_subscriptions, now_ms=now_ms, most=most)

    async def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """See `Store.due_texts`."""
        return await asyncio.to_thread(self._store.due_texts, now_ms=now_ms, most=most)

    async def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_calls`."""
        return await asyncio.to_thread(self._store.due_calls, now_ms=now_ms, most=most)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
