"""The clock looks after calls and texts that nobody ended, and leaves alone what breaks."""

import pytest

import handlers
from telcod.clock import ClockGuard
from telcod.days import HOUR_MS
from telcod.dispatch import Route
from telcod.engine import QUARANTINED
from telcod.rows import QUARANTINE, CallState, TextState
from telcod.scheduler import Scheduler
from telcod.storage.readers import MemoryReader
from tests.text_world import TextWorld

A, B = 84903000001, 84903000002

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Writer:
    """The engine's queue, emptied at once; keeps what was asked and what came of it."""

    def __init__(self, world):
        self.world = world
        self.done = []

    def post(self, request, sink):
        (result,) = self.world.run(request)
        self.done.append((request.route, request.args[0], result.outcome))
        sink(request, result)
        return True


def scheduler_of(world):
    writer = Writer(world)
    clock = world.clock
    guard = ClockGuard(wall_ms=clock.wall_ms(), monotonic_s=clock.monotonic_s())
    texts = world.rules.limits.texts
    return Scheduler(MemoryReader(world.store), writer, clock, guard, lambda: texts), writer


def people(world):
    world.subscriber(A)
    world.subscriber(B, balance_vnd=10_000)
    return world


@pytest.mark.rule("PFM-30")
async def test_a_text_that_nobody_answered_is_ended_by_the_next_tick_and_not_again():
    with TextWorld() as world:
        people(world).forward(A, B)
        scheduler, writer = scheduler_of(world)
        await scheduler.tick()
        assert writer.done == []
        world.clock.advance(24 * HOUR_MS)
        await scheduler.tick()
        assert ("clock.text", "1", "forward.expired") in writer.done
        assert world.states() == [TextState.EXPIRED]
        writer.done.clear()
        await scheduler.tick()
        assert writer.done == []


@pytest.mark.rule("PFM-17")
async def test_a_call_whose_end_was_lost_is_closed_by_a_tick():
    with TextWorld() as world:
        people(world).connect("c1", A, B)
        scheduler, _ = scheduler_of(world)
        world.clock.advance(HOUR_MS)
        assert await scheduler.supervise() == 1
        assert world.call("c1").state == CallState.ENDED


@pytest.mark.rule("PFM-30")
async def test_a_clock_that_jumped_ends_no_text_until_somebody_says_that_it_is_right():
    with TextWorld() as world:
        people(world).forward(A, B)
        scheduler, _ = scheduler_of(world)
        world.clock.jump(24 * HOUR_MS)
        await scheduler.tick()
        assert world.states() == [TextState.ASKING]


@pytest.mark.rule("PFM-17", "PFM-30")
@pytest.mark.parametrize("route", ["clock.call", "clock.text"])
async def test_what_breaks_its_rules_is_left_alone_for_an_hour_and_the_others_go_on(route):
    def broken(request, tx):
        raise RuntimeError("a bug of ours")

    routes = {**handlers.ROUTES, route: Route(route, broken)}
    with TextWorld(routes=routes) as world:
        people(world).forward(A, B)
        world.connect("no number", A, B)
        scheduler, writer = scheduler_of(world)
        world.clock.advance(24 * HOUR_MS)
        for _ in range(3):
            await scheduler.tick()
        outcomes = [(name, outcome) for name, _, outcome in writer.done if name.startswith("clock")]
        assert outcomes.count((route, QUARANTINED)) == 1
        assert len(outcomes) == 3  # The other of the two, and what is old is pruned.
        assert len(list(world.store.scan(QUARANTINE))) == 1
        world.clock.advance(HOUR_MS)
        await scheduler.tick()
        assert len(list(world.store.scan(QUARANTINE))) == 2
