"""A small operator on simulated time, from one seed: telcod, its peers, its people, their bad luck.

`simulate(seed)` plays some scenes: people text, call, dial and pay while things go wrong, then all
is calm again, then minutes or days go by.  After each scene everything must have come to its end;
after the last one the books, the phones and the models are compared.  The same seed gives the same
trace, to the octet.
"""

import random
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import structlog

from telcod.days import HOUR_MS, MINUTE_MS, day_start_ms
from telcod.errors import KeyReused, StoreFailed, TelcodError
from telcod.rows import ASKED_TEXT, HELD_TEXT, META, TABLES
from telcod.smpp.link_settings import LinkSettings
from telcod.vault import Vault
from tests.network_world import with_gateways
from tests.payment_model import LARGE_VND
from tests.payment_world import large, often, rules_of_payments
from tests.simulation.books import Disk
from tests.simulation.daemon import Life
from tests.simulation.faults import Faults
from tests.simulation.first import open_books
from tests.simulation.judge import Judge
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.net import LIFE, Network
from tests.simulation.oracle import CALLS, PAYMENTS, Oracle
from tests.simulation.peers import Broker, Cards, Screens
from tests.simulation.people import NUMBERS, People
from tests.simulation.smsc import SimSmsc
from tests.simulation.threads import Workers

KEY = bytes(range(32))
ASK_TRIES = 30
QUIET_S = 60
QUIET_SLOWLY_S = 3_000
SLOWLY_S = 10.0
LAZY_S = 3_600.0
STARTS_MS = (
    day_start_ms(20260302) + 10 * HOUR_MS,
    day_start_ms(20260303) - MINUTE_MS // 3,  # Midnight is near.
    day_start_ms(20260331) + 21 * HOUR_MS,
)


@dataclass
class Outcome:
    """How a seed went: what was wrong, what was said, and the hash of all of it."""

    seed: int
    complaints: list = field(default_factory=list)
    trace_hash: str = ""
    counts: dict = field(default_factory=dict)
    simulated_s: float = 0.0


class SimClock:
    """The clocks that telcod sees; `offset_ms` is how wrong the wall clock is."""

    def __init__(self, loop, start_ms):
        self.start_ms = start_ms
        self.offset_ms = 0
        self._loop = loop

    def wall_ms(self):
        return self.start_ms + self.offset_ms + int(self._loop.time() * 1_000)

    def monotonic_s(self):
        return self._loop.time()


def shipped_rules_for_all():
    """The rules of all models together."""
    base = rules_of_payments(large(LARGE_VND), often("card", 2), **PAYMENTS.limits())
    calls = msgspec.structs.replace(base.limits.calls, **CALLS.limits())
    limits = msgspec.structs.replace(base.limits, calls=calls)
    return with_gateways(msgspec.structs.replace(base, limits=limits))


class World:
    """One seed; `run` plays it.

    Args:
        seed: Says everything.
        told: Gets a line of the conversation at a time; None: nobody listens.
    """

    def __init__(self, seed, told=None):
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.outcome = Outcome(seed)
        self._told = told
        self._hash = blake2b(digest_size=12)
        self.loop = loop = SimLoop(self.stream("loop"))
        self.clock = SimClock(loop, rng.choice(STARTS_MS))
        self.workers = loop.workers = Workers(loop, self.stream("threads"))
        self.network = loop.network = Network(loop, self.stream("network"))
        self.disk = Disk(self.stream("disk"))
        self.vault = Vault(KEY)
        self.rules = shipped_rules_for_all()
        self.tables: list[dict[Any, Any]] = [{} for _ in TABLES]
        self.oracle = Oracle(self.clock.wall_ms(), self.complain, NUMBERS, self.tables)
        self.lives = []
        self.closed = False
        """Whether telcod is down on purpose."""
        self.troubles_s = [0.0]  # When lines or daemons ended.
        self.stops_s = []  # When a daemon had stopped in good order.
        self.judge = Judge(self)
        self.people = People(self, self.stream("people"))
        self.cards = Cards(self, self.stream("cards"))
        self.screens = Screens(self, self.stream("screens"))
        self.broker = Broker(self, self.stream("broker"))
        self.faults = Faults(self, self.stream("faults"))
        self._tasks = set()
        self._lay_out()
        loop.observers.append(self.judge.look)

    def stream(self, name):
        """A source of chance of its own, so that more of one thing changes no other."""
        return random.Random(f"{self.seed} {name}")

    def _lay_out(self):
        """How fast the machine is, which links there are."""
        rng = self.rng
        self.workers.lag_s = rng.choice((0.0, 0.0005, 0.02))
        self.loop.thread_delay_s = rng.choice((0.0, 0.0005, 0.02))
        self.disk.commit_s = rng.choice((0.0005, 0.005, 0.1))
        self.disk.read_s = rng.choice((0.0005, 0.02, 0.5))
        self.network.latency_s = rng.choice((0.001, 0.02, 0.2, 1.0))
        self.network.piece_chance = rng.choice((0.0, 0.2))
        both = ("1566", "9223")
        codes = rng.choice(((both,), (both,), (both, both), (("1566",), ("9223",))))
        self.link_settings = tuple(
            LinkSettings(
                name=f"link{at}",
                host="smsc.example",
                port=2775 + at,
                system_id="telcod",
                password="secret",
                short_codes=carried,
                window=rng.choice((1, 1, 2, 20)),
                rate_per_s=rng.choice((0, 0, 10)),
                reconnect_max_s=rng.choice((2.0, 10.0)),
            )
            for at, carried in enumerate(codes)
        )
        self.smscs = [
            SimSmsc(
                self.network,
                self.stream(settings.name),
                self.trace,
                host=settings.host,
                port=settings.port,
            )
            for settings in self.link_settings
        ]
        response_wait_s = rng.choice((8.0, 12.0, 30.0))
        for smsc in self.smscs:
            smsc.response_wait_s = response_wait_s
            smsc.may_cross = lambda: self.life.serving

    # -- what others ask

    def smsc_for(self, short_code):
        """One that carries a short code."""
        fit = [
            smsc
            for smsc, link in zip(self.smscs, self.link_settings, strict=True)
            if short_code.startswith(link.short_codes)
        ]
        return self.rng.choice(fit)

    @property
    def life(self):
        """The daemon, dead or alive; None before the first."""
        return self.lives[-1] if self.lives else None

    def spawn(self, work):
        """A task of the world's."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def ask_soon(self, request):
        self.spawn(self.ask(request))

    async def ask(self, request, *, once=False):
        """Ask telcod until it answers: the same words, again and again; None: it never did.

        `once`: not again when nobody knows whether it was heard.
        """
        rng = self.rng
        for _ in range(ASK_TRIES):
            result = await self._ask_once(request, twice=not once and rng.random() < 0.05)
            if isinstance(result, KeyReused):
                self.complain("key", f"{request.key} is another request")
            if result is not None and not isinstance(result, TelcodError):
                if once or rng.random() >= 0.05:  # Else the answer is lost on its way.
                    return result
            elif once and result is None:
                return None
            await self.loop.pause(0.2 + rng.random() * 3.0)
        return None

    async def _ask_once(self, request, *, twice):
        loop, rng = self.loop, self.rng
        await loop.pause(rng.random() * self.network.latency_s)
        life = self.life
        if life is None or not life.serving:
            return TelcodError("nobody listens")
        done = loop.create_future()
        if twice:
            life.ask(request, lambda result: None)

        def told(result):
            loop.at(rng.random() * self.network.latency_s, _give, done, result)

        life.ask(request, told)
        return await done

    def phone_rings(self, push):
        if push.asks:
            self.spawn(self.people.rings(push))

    def asked_texts(self):
        rows = self.tables[ASKED_TEXT.index].values()
        return [row for row in rows if row.mo in self.tables[HELD_TEXT.index]]

    # -- what is noted

    def trace(self, *what):
        """A word of the conversation."""
        line = f"{self.loop.time():.6f} " + " ".join(map(str, what))
        self._hash.update(line.encode())
        if self._told is not None:
            self._told(line)

    def complain(self, about, what):
        self.trace("COMPLAINT", about, what)
        if len(self.outcome.complaints) < 20:
            self.outcome.complaints.append(f"{about}: {what}")

    def committed(self, batcher):
        """A transaction counts."""
        now_ms = int(self.tables[META.index]["commit_ms"].value)
        done = batcher.done
        batcher.done = []
        for request, result in done:
            outcome = getattr(result, "outcome", type(result).__name__)
            self.trace("commit", now_ms, request.route, request.sender, outcome)
        for each in batcher.settled:
            self.trace("settled", each.seq, each.state)
        self.judge.settled(batcher.settled)
        self.oracle.committed(now_ms, done)

    # -- the play

    def run(self):
        """Play it all; how it went."""
        with _LogsTo(self.judge.heard):
            self.loop.run_until_complete(self._guarded())
            self._bury()
        outcome = self.outcome
        outcome.trace_hash = self._hash.hexdigest()
        outcome.simulated_s = self.loop.time()
        outcome.counts |= {
            "lives": len(self.lives),
            "texts": len(self.people.texts),
            "requests": self.oracle.carried_out,
            "texts out": sum(len(smsc.taken) for smsc in self.smscs),
        }
        self.loop.close()
        return outcome

    async def _guarded(self):
        try:
            await self._play()
        except Stuck:
            self.complain("stuck", "everybody waits for somebody")

    async def _play(self):
        self._open_books()
        self.begin_life()
        for _ in range(self.rng.choice((2, 4, 6))):
            await self._scene()
            await self._gap()
        await self._last_days()
        self.judge.verdict()

    def _open_books(self):
        open_books(self)

    def begin_life(self):
        """Start telcod, unless it runs."""
        if self.closed or (self.life is not None and self.life.alive):
            return
        self.trouble()
        self.disk.full = False
        self.disk.fails_next = ""
        life = Life(self, len(self.lives) + 1)
        self.lives.append(life)
        self.trace("telcod starts", life.number)
        life.begin()

    def trouble(self):
        """From now on nobody knows of the last seconds what was heard."""
        self.troubles_s.append(self.loop.time())

    async def _scene(self):
        rng, loop, people = self.rng, self.loop, self.people
        length_s = rng.choice((3.0, 10.0, 30.0))
        self.trace("scene", length_s)

        def at_some_time(act, most):
            for _ in range(rng.randrange(most + 1)):
                loop.at(rng.random() * length_s, act)

        at_some_time(people.text, 25)
        at_some_time(people.repeat, 2)
        at_some_time(people.forward, 2)
        at_some_time(people.codes, 2)
        if rng.random() < 0.1:
            at_some_time(people.poison, 1)
        for work, most in (
            (people.call, 3),
            (people.dialogue, 2),
            (people.top_up, 2),
            (people.pay, 2),
        ):
            at_some_time(lambda work=work: self.spawn(work()), most)
        if rng.random() < 0.85:
            self.faults.plan(length_s)
        await loop.pause(length_s)
        self.faults.calm()
        await self._until_quiet()

    async def _until_quiet(self):
        """All is well: everything must come to its end by itself."""
        loop = self.loop
        for _ in range(QUIET_S):
            await loop.pause(1.0)
            if self.judge.is_quiet():
                return
        loop.slack_s = SLOWLY_S
        for _ in range(int(QUIET_SLOWLY_S / SLOWLY_S)):
            await loop.pause(SLOWLY_S)
            if self.judge.is_quiet():
                break
        else:
            self.complain("stuck", self.judge.what_waits())
        await loop.be_prompt()

    async def _gap(self):
        """Time goes by: telcod has little to do, or is down."""
        rng, loop = self.rng, self.loop
        gap_s = rng.choice((0.0, 30.0, 700.0, 7_200.0, 90_000.0, 3 * 86_400.0))
        if not gap_s:
            return
        if rng.random() < 0.3:
            await self.stop_well()
            self.closed = True
            for smsc in self.smscs:
                smsc.give_up_what_was_sent()
            await loop.pause(gap_s)
            self.closed = False
            self.begin_life()
            return
        loop.slack_s = min(LAZY_S, gap_s / 20)
        await loop.pause(gap_s)
        await loop.be_prompt()

    async def stop_well(self):
        """Ask telcod to stop, and wait until it has."""
        life = self.life
        self.trouble()
        self.trace("telcod is to stop", life.number)
        life.stop()
        await life.ended.wait()
        self.stops_s.append(self.loop.time())
        if self.disk.full or life.failure is not None:
            self.faults.deaths_s.append(self.loop.time())  # Its last notes found no room.
        self.ended_by(life)

    async def _last_days(self):
        """Two days and more in which nothing happens but what is due; then a last restart."""
        await self._until_quiet()
        self.loop.slack_s = LAZY_S
        await self.loop.pause(50 * 3_600.0)
        await self.loop.be_prompt()
        await self._until_quiet()
        self.judge.rests()
        await self.stop_well()
        self.begin_life()
        await self.loop.pause(20.0)

    def _bury(self):
        """Whatever still runs ends, and nothing of it is looked at."""
        self.judge.deaf = True
        for life in self.lives:
            if life.alive:
                life.kill()
        for task in list(self._tasks):
            task.cancel()
        self.loop.run_until_complete(self.loop.pause(300.0))

    def ended_by(self, life):
        """What a life died of, for the judge."""
        failure = life.failure
        if failure is not None and not isinstance(failure, StoreFailed):
            self.complain("telcod died", repr(failure))


class _LogsTo:
    """What is logged goes to one listener, and nowhere else."""

    def __init__(self, listener):
        self._listener = listener

    def __enter__(self):
        self._before = structlog.get_config()["processors"]
        self._kept = self._before.copy()
        self._before.clear()
        self._before.append(self._take)

    def __exit__(self, *_):
        self._before.clear()
        self._before.extend(self._kept)

    def _take(self, logger, name, event):
        life = LIFE.get()
        if life is None or life.alive:
            self._listener(name, event)
        raise structlog.DropEvent


def _give(done, result):
    if not done.done():
        done.set_result(result)


def simulate(seed, told=None):
    """Play one seed; how it went."""
    return World(seed, told).run()
