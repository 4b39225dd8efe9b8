"""Books that outlive their daemons, and a disk that is slow, full, or fails, as the seed has it.

The rows are those of the store in memory.  A commit takes its time before and after the moment at
which it counts, and the loop goes on meanwhile: a reader may see what the writer has not yet told,
and a crash may come when a batch is in the books and nobody knows.
"""

from telcod.errors import StoreFailed, StoreFull, StoreRefused, Unavailable
from telcod.rows import MO
from telcod.storage.memory import MemoryStore
from telcod.storage.readers import MemoryReader

POISON = "POISON"
QUICK_CHANCE = 0.5  # That a look takes no time at all.


class Disk:
    """What the disk is like at the moment.  Chances are from 0 to 1, times in seconds."""

    def __init__(self, rng):
        self.rng = rng
        self.commit_s = 0.002
        self.read_s = 0.002
        self.full = False
        self.fails_next = ""  # "before" or "after" the commit counts.
        self.unreadable_chance = 0.0


class SimStore(MemoryStore):
    """What a daemon writes; the rows belong to the world.

    Args:
        tables: The rows, from the last daemon to the next one.
        disk: Its moods.
        life: The daemon; once it is dead, nothing is written any more.
        workers: Whoever waits for the disk.
        on_commit: Called when a transaction counts.
    """

    def __init__(self, tables, disk, life, workers, on_commit):
        super().__init__()
        self._tables = tables
        self._disk = disk
        self._life = life
        self._workers = workers
        self._on_commit = on_commit

    def begin(self):
        self._live()
        super().begin()

    def apply(self, changes, settled):
        disk = self._disk
        self._workers.sleep(disk.rng.random() * disk.commit_s)
        self._live()
        if disk.full:
            raise StoreFull("no room")
        for table, _, _, appends in changes:
            if table is MO and any(POISON in row.text for row in appends):
                raise StoreRefused("a constraint says no")
        if disk.fails_next == "before":
            disk.fails_next = ""
            raise StoreFailed("the disk failed")
        super().apply(changes, settled)

    def commit(self):
        self._live()
        super().commit()
        self._on_commit()
        disk = self._disk
        self._workers.sleep(disk.rng.random() * disk.commit_s)
        if disk.fails_next == "after":
            disk.fails_next = ""
            raise StoreFailed("the disk failed")

    def rollback(self):
        if self._before is not None:
            # The rows are the world's: put back into the same list.
            self._tables[:] = self._before
            self._before = None

    def _live(self):
        if not self._life.alive:
            raise StoreFailed("this daemon is dead")


class SimReader(MemoryReader):
    """Reads what is committed; the look and its answer each take a while."""

    def __init__(self, store, disk, loop):
        super().__init__(store)
        self._disk = disk
        self._loop = loop

    async def _look(self, look, *, quick_chance=QUICK_CHANCE):
        disk = self._disk
        rng = disk.rng
        if disk.unreadable_chance and rng.random() < disk.unreadable_chance:
            raise Unavailable("the books can't be read")
        if self._loop.slack_s or rng.random() < quick_chance:
            return await look()
        await self._loop.pause(rng.random() * disk.read_s)
        found = await look()
        await self._loop.pause(rng.random() * disk.read_s)
        return found

    async def pending_sms(self, *, after, most):
        # Asked for at the start and when much waits: never so often that its time would matter.
        return await self._look(
            lambda: MemoryReader.pending_sms(self, after=after, most=most), quick_chance=0.0
        )

    async def pending_pushes(self, *, after, most):
        return await self._look(lambda: MemoryReader.pending_pushes(self, after=after, most=most))

    async def pending_mails(self, *, now_ms, most):
        return await self._look(lambda: MemoryReader.pending_mails(self, now_ms=now_ms, most=most))

    async def events(self, *, after, most):
        return await self._look(lambda: MemoryReader.events(self, after=after, most=most))

    async def published(self):
        return await self._look(lambda: MemoryReader.published(self))

    async def due_subscriptions(self, *, now_ms, most):
        return await self._look(
            lambda: MemoryReader.due_subscriptions(self, now_ms=now_ms, most=most)
        )

    async def due_calls(self, *, now_ms, most):
        return await self._look(lambda: MemoryReader.due_calls(self, now_ms=now_ms, most=most))

    async def due_payments(self, *, now_ms, most):
        return await self._look(lambda: MemoryReader.due_payments(self, now_ms=now_ms, most=most))

    async def due_texts(self, *, now_ms, most):
        return await self._look(lambda: MemoryReader.due_texts(self, now_ms=now_ms, most=most))
