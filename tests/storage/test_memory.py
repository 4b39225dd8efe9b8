"""The store in memory: what it shares with the disk is in test_conformance.py; here is its own."""

from telcod.rows import META, Meta
from telcod.storage.memory import MemoryStore
from telcod.tx import Changes


def test_it_forgets_everything_and_can_be_closed():
    store = MemoryStore()
    store.begin()
    store.apply([Changes(META, (Meta("a", "b"),), (), ())], ())
    store.commit()
    store.close()
    assert list(MemoryStore().scan(META)) == []
