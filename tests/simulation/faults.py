"""Bad luck: what goes wrong in a scene, when, and for how long.

Each fault says what it does to the world; `calm` takes everything back.  What the evidence of
redelivery cannot bear is left out: it is said in `docs/simulation.md`.
"""

from telcod.days import HOUR_MS
from tests.simulation.peers import Manners
from tests.simulation.smsc import Mood


class Faults:
    """The faults of one world."""

    def __init__(self, world, rng):
        self.world = world
        self.rng = rng
        self.deaths_s = []  # When a daemon died before it could note all it knew.
        self.refused = False
        self.happened = []
        self._planned = 0
        self._usual = None

    def plan(self, length_s):
        """Some of everything, at some time in the next seconds."""
        rng, loop = self.rng, self.world.loop
        self._usual = (self.world.disk.commit_s, self.world.disk.read_s)
        self._planned += 1
        for _ in range(rng.choice((1, 2, 4, 8))):
            fault = rng.choice(FAULTS)
            loop.at(rng.random() * length_s, self._happen, fault, self._planned)

    def _happen(self, fault, planned):
        if planned != self._planned:
            return
        self.happened.append(fault.__name__)
        self.world.trace("fault", fault.__name__)
        fault(self)

    def calm(self):
        """All is well from now on."""
        world = self.world
        self._planned += 1
        disk = world.disk
        disk.full, disk.fails_next, disk.unreadable_chance = False, "", 0.0
        if self._usual is not None:
            disk.commit_s, disk.read_s = self._usual
        for smsc in world.smscs:
            smsc.mood = Mood()
            smsc.open()
            smsc.pump()
        for peer in (world.cards, world.screens, world.broker):
            peer.manners = Manners()
        world.broker.drop_chance = 0.0
        world.begin_life()
        world.loop.at(5.0, self._confirm_clock)
        world.trace("calm")

    def _confirm_clock(self):
        life = self.world.life
        if life.alive and life.serving:
            life.guard.confirm()

    def for_a_while(self, most_s, undo):
        self.world.loop.at(self.rng.random() * most_s, undo)

    # -- one by one

    def kill(self):
        """kill -9, and started again."""
        world = self.world
        if world.life.alive:
            world.trouble()
            self.deaths_s.append(world.loop.time())
            world.trace("telcod is killed", world.life.number)
            world.life.kill()
            self.for_a_while(20.0, world.begin_life)

    def stop(self):
        """Stopped in good order, and started again."""
        if self.world.life.alive:
            self.world.spawn(self._restart())

    async def _restart(self):
        world = self.world
        life = world.life
        await world.stop_well()
        if life.failure is None:
            await world.loop.pause(self.rng.random() * 20.0)
        world.begin_life()

    def disk_fails(self):
        """A sync that fails: telcod ends, and what it wrote is there or not."""
        self.world.disk.fails_next = self.rng.choice(("before", "after"))
        self.world.spawn(self._after_failure(self.world.life))

    async def _after_failure(self, life):
        world = self.world
        await life.ended.wait()
        world.trouble()
        self.deaths_s.append(world.loop.time())
        world.ended_by(life)
        await world.loop.pause(self.rng.random() * 10.0)
        world.begin_life()

    def disk_full(self):
        self.world.disk.full = True
        self.for_a_while(15.0, lambda: setattr(self.world.disk, "full", False))

    def disk_slow(self):
        disk = self.world.disk
        before, disk.commit_s = disk.commit_s, self.rng.choice((1.0, 4.0, 9.0, 14.0))
        self.for_a_while(15.0, lambda: setattr(disk, "commit_s", before))

    def books_unreadable(self):
        disk = self.world.disk
        disk.unreadable_chance = 0.7
        self.for_a_while(15.0, lambda: setattr(disk, "unreadable_chance", 0.0))

    def line_cut(self):
        self.world.trouble()
        for smsc in self.world.smscs:
            for link in smsc.links:
                link.transport.line.cut()

    def line_cut_half_way(self):
        self._smsc().mood.half_way_chance = 0.3

    def smsc_restarts(self):
        self.world.trouble()
        self._smsc().restart(self.rng.random() * 30.0)

    def smsc_unbinds(self):
        self.world.trouble()
        self._smsc().unbind()

    def smsc_mute(self):
        self.world.trouble()
        mood = self._smsc().mood
        mood.mute = True
        self.for_a_while(60.0, lambda: setattr(mood, "mute", False))

    def smsc_refuses_binds(self):
        mood = self._smsc().mood
        mood.bind_refused_chance = 0.7
        self.line_cut()

    def smsc_throttles(self):
        mood = self._smsc().mood
        mood.throttle_chance = self.rng.choice((0.3, 0.9))
        self.for_a_while(20.0, lambda: setattr(mood, "throttle_chance", 0.0))

    def smsc_moody(self):
        """Slow, silent, confused."""
        mood, rng = self._smsc().mood, self.rng
        mood.slow_chance = rng.choice((0.0, 0.3))
        mood.silent_chance = rng.choice((0.0, 0.3))
        mood.error_chance = rng.choice((0.0, 0.3))
        mood.twice_chance = rng.choice((0.0, 0.3))
        mood.receipt_bad_chance = rng.choice((0.0, 0.5))
        mood.receipt_s = rng.choice((0.001, 1.0, 30.0))

    def smsc_refuses_texts(self):
        self.refused = True
        mood = self._smsc().mood
        mood.refuse_chance = 0.3

    def broker_bad(self):
        broker = self.world.broker
        broker.manners.away = self.rng.random() < 0.5
        broker.drop_chance = 0.2

    def cards_bad(self):
        manners = self.world.cards.manners
        manners.silent_chance = self.rng.choice((0.3, 1.0))
        manners.refuse_chance = self.rng.choice((0.0, 0.3))

    def screens_bad(self):
        manners = self.world.screens.manners
        manners.silent_chance = self.rng.choice((0.0, 0.5))
        manners.refuse_chance = self.rng.choice((0.0, 0.5))

    def clock_jumps(self):
        """The wall clock is set, forward or back; a person looks at it later."""
        # Forward a little only: what is ten minutes old is evidence of nothing any more.
        self.world.clock.offset_ms += self.rng.choice((-HOUR_MS, -3_000, 30_000, 70_000))

    def _smsc(self):
        return self.rng.choice(self.world.smscs)


FAULTS = (
    Faults.kill,
    Faults.kill,
    Faults.kill,
    Faults.stop,
    Faults.disk_fails,
    Faults.disk_full,
    Faults.disk_slow,
    Faults.books_unreadable,
    Faults.line_cut,
    Faults.line_cut,
    Faults.line_cut_half_way,
    Faults.smsc_restarts,
    Faults.smsc_unbinds,
    Faults.smsc_mute,
    Faults.smsc_refuses_binds,
    Faults.smsc_throttles,
    Faults.smsc_throttles,
    Faults.smsc_moody,
    Faults.smsc_moody,
    Faults.smsc_refuses_texts,
    Faults.broker_bad,
    Faults.cards_bad,
    Faults.screens_bad,
    Faults.clock_jumps,
)
