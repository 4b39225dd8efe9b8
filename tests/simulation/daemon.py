"""One life of telcod on simulated time: the daemon's own parts, put together as `telcod.app` does.

What is replaced is the world around them: sockets, threads, the disk, the clock.  A life may end
well (`stop`), by its disk (`StoreFailed`), or at any moment (`kill`); then nothing that it does
reaches the world any more, and what is left of it unwinds unseen.
"""

import asyncio
import contextlib
import contextvars
import random
from concurrent.futures import Future
from functools import partial
from typing import Any

from telcod.clock import BelievedClock
from telcod.days import HOUR_MS
from telcod.duties import Duty
from telcod.engine import Batcher, Engine
from telcod.epay.cashier import Cashier
from telcod.errors import TelcodError, Unavailable
from telcod.metrics import Metrics
from telcod.mqtt.errors import BrokerAway
from telcod.mqtt.events import Events
from telcod.scheduler import Scheduler
from telcod.service import SERVICE
from telcod.smpp.gateway import Gateway
from telcod.smpp.inbox import Inbox
from telcod.smpp.link import Link
from telcod.smpp.redelivery import Redelivery
from telcod.smpp.sender import Sender
from telcod.smpp.timers import Timers
from telcod.types import Channel, Request
from tests.simulation.books import SimReader, SimStore
from tests.simulation.net import LIFE
from tests.simulation.threads import SimQueue
from ussd.push import Pusher

DRAIN_S = 5.0
AWAY_S = 2.0
METRICS = Metrics(process=False)  # Only counted, never looked at.


class WatchedBatcher(Batcher):
    """Tells the world what each transaction did, at the moment at which it counts."""

    def __init__(self, *args):
        super().__init__(*args)
        self.done = []
        self.settled = ()
        self._deep = False

    def _run_once(self, requests, settled, *rest):
        self.done, self.settled = [], settled
        return super()._run_once(requests, settled, *rest)

    def _carry_out(self, tx, request):
        if self._deep:
            return super()._carry_out(tx, request)
        self._deep = True
        try:
            result = super()._carry_out(tx, request)
        finally:
            self._deep = False
        self.done.append((request, result))
        return result

    def _refused(self, tx, request, refused):
        result = super()._refused(tx, request, refused)
        self.done.append((request, result))
        return result


class SimEngine(Engine):
    """The engine whose writer is a simulated thread."""

    def __init__(self, batcher, workers, **options):
        super().__init__(batcher, **options)
        self._workers = workers
        mine: object = SimQueue(workers)
        vars(self)["_queue"] = mine

    def start(self, loop):
        self._loop = loop
        vars(self)["_thread"] = self._workers.start(self._write)

    @property
    def thread(self):
        return vars(self).get("_thread")


class SimHashes:
    """Hashes passwords after a while; what it makes opens nothing."""

    def __init__(self, loop, rng):
        self._loop = loop
        self._rng = rng

    def submit(self, secret):
        done: Future[str] = Future()
        self._loop.at(self._rng.random() * 0.2, done.set_result, f"$argon2id${secret[::-1]}")
        return done


class Life:
    """One daemon.  `run` is its main task; `ready` is set when it serves.

    Args:
        world: Who knows loop, network, books, disk, rules, peers.
        number: Which life it is, from 1.
    """

    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.alive = True
        self.serving = False
        self.failure = None
        self.ended = asyncio.Event()
        self.rng = random.Random(world.rng.random())
        self.engine: Any = None
        self.gateway: Any = None
        self.task: Any = None
        self._stop = asyncio.Event()
        self._work = None
        self._asked = set()

    # -- what the world does

    def begin(self):
        self.task = self.world.loop.create_task(self._run(), context=self._context())

    def _context(self):
        context = contextvars.copy_context()
        context.run(LIFE.set, self)
        return context

    def stop(self):
        self._stop.set()

    def kill(self):
        """Now."""
        if not self.alive:
            return
        self.alive = self.serving = False
        self.world.network.cut(self)
        if self.engine is not None and self.engine.thread is not None:
            self.engine.thread.kill()
        self.task.cancel()
        self.ended.set()
        for gone in list(self._asked):
            gone()

    def ask(self, request, told):
        """A request from outside; `told` gets its result, None if this life ends before."""
        call = _Call(self, request, told)
        self._asked.add(call.lost)
        self.world.loop.call_soon(call.begin, context=self._context())

    def spawn(self, work):
        """Run a coroutine of the product's inside this life."""
        if self.serving:
            task = self.world.loop.create_task(_quietly(work()), context=self._context())
            self._asked.add(task.cancel)
            task.add_done_callback(lambda _: self._asked.discard(task.cancel))

    def forget(self, lost):
        self._asked.discard(lost)

    # -- the composition, as in `telcod.app`

    async def _run(self):
        world = self.world
        try:
            await self._live()
        except asyncio.CancelledError:
            if self.alive:
                raise
        except BaseException as error:  # noqa: BLE001  # What it dies of is for the judge.
            if self.alive:
                self.failure = error
        finally:
            if self.alive:
                self.alive = self.serving = False
                world.network.cut(self)
                self.ended.set()
                for gone in list(self._asked):
                    gone()

    async def _live(self):
        world, loop = self.world, self.world.loop
        self.clock = clock = self.guard = BelievedClock(world.clock)
        batcher: Any = None

        def committed():
            world.committed(batcher)

        store = SimStore(world.tables, world.disk, self, world.workers, committed)
        batcher = WatchedBatcher(store, world.rules, SERVICE, clock, world.vault)
        started = batcher.run([Request("daemon.start", channel=Channel.CLOCK)]).results[0]
        boot = int(str(started.data["boots"]))
        self.engine = engine = SimEngine(batcher, world.workers, queue_max=200, batch_max=64)
        engine.on_failed = self._store_failed
        self.reader = reader = SimReader(store, world.disk, loop)
        self._wire(boot)
        self.gateway.recover(store)
        engine.start(loop)
        await self._serve(reader)
        if isinstance(self.failure, TelcodError):
            raise self.failure

    def _wire(self, boot):
        world, engine, clock = self.world, self.engine, self.clock
        redelivery = Redelivery()
        self.gateway = gateway = Gateway(
            engine, redelivery, METRICS, clock, boot=boot, told=lambda line: None
        )
        gateway.links = tuple(
            Link(
                settings,
                Timers(),
                gateway,
                rng=self.rng,
                clock=clock.monotonic_s,
            )
            for settings in world.link_settings
        )
        gateway.inbox = Inbox(
            engine,
            lambda: world.rules.dispatcher,
            engine.vault,
            SimHashes(world.loop, self.rng),
            redelivery,
            METRICS,
            clock=clock.monotonic_s,
            connection_id=gateway.connection_id,
            call_soon_threadsafe=world.loop.call_soon_threadsafe,
        )
        gateway.sender = Sender(
            gateway.links,
            engine.settle,
            wall_ms=clock.wall_ms,
            clock=clock.monotonic_s,
            metrics=METRICS,
            valid_ms=lambda: world.rules.limits.texts.reply_valid_h * HOUR_MS,
        )
        engine.on_outbox = gateway.sender.take

    async def _serve(self, reader):
        world, engine, clock = self.world, self.engine, self.clock
        texts = world.rules.limits.texts
        scheduler = Scheduler(reader, engine, clock, self.guard, lambda: texts)
        cashier = Cashier(world.cards.of(self), engine.submit, reader, clock, self.guard)
        self.cashier = cashier
        pusher = Pusher(world.screens.of(self), reader, engine, clock)
        engine.on_pushes = pusher.wake
        events = Events(reader, engine.submit, prefix="telcod/events/")
        engine.on_events = events.wake
        duty = Duty(held=True)  # Nobody else is on these books.
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(duty.keep(scheduler.run)),
                group.create_task(duty.keep(cashier.run)),
                group.create_task(duty.keep(pusher.run)),
                group.create_task(duty.keep(events.keep)),
                group.create_task(duty.keep(partial(self._tell, events))),
            ]
            links = group.create_task(self.gateway.run(reader))
            self.serving = True
            await self._stop.wait()
            self.serving = False
            for task in work:
                task.cancel()
            await self.gateway.stop(drain_s=DRAIN_S)
            links.cancel()
            await engine.stop()

    async def _tell(self, events):
        """Keep the broker, as `telcod.mqtt.client` does."""
        while True:
            try:
                await events.run(self.world.broker.connect(self))
            except BrokerAway:
                await asyncio.sleep(AWAY_S * self.rng.random())

    def _store_failed(self, error):
        self.failure = error
        self._stop.set()


class _Call:
    """A request from outside, on its way through a life."""

    def __init__(self, life, request, told):
        self._life = life
        self._request = request
        self._told = told

    def begin(self):
        life = self._life
        if not life.alive or not life.serving:
            self._tell(Unavailable("nobody is there"))
        elif not life.engine.post(self._request, lambda _, result: self._tell(result)):
            self._tell(Unavailable("it is full, or stops"))

    def lost(self):
        """The life has ended; whoever asked hears nothing."""
        self._tell(None)

    def _tell(self, result):
        told, self._told = self._told, None
        self._life.forget(self.lost)
        if told is not None and (result is None or self._life.alive):
            told(result)


async def _quietly(work):
    """What the product says by an exception is its answer."""
    with contextlib.suppress(TelcodError):
        await work
