"""The books before the first start: the subscribers are in them."""

from telcod.clock import ManualClock
from telcod.engine import Batcher
from telcod.service import SERVICE
from telcod.storage.memory import MemoryStore
from telcod.types import Answer, Channel, Request


def open_books(world):
    """Take over everybody, who then have what the models say."""
    store = MemoryStore()
    store._tables = world.tables
    clock = ManualClock(world.clock.wall_ms())
    batcher = Batcher(store, world.rules, SERVICE, clock, world.vault)
    body = {"lines": world.people.subscriber_lines()}
    (answer,) = batcher.run([Request("staff.import", channel=Channel.STAFF, body=body)]).results
    assert isinstance(answer, Answer), answer
