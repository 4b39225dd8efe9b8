"""Threads that take turns: the writer's own code, run as a greenlet beside the loop.

A thread runs until it waits: for a queue, for a disk, for another thread.  Then the loop goes on,
and the thread goes on when its moment comes, which the seed decides.  So the interleavings of real
threads are met at the points where they matter, and the same seed meets them again.
"""

import contextvars
import queue
from collections import deque
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]


class Workers:
    """All threads of a simulation."""

    def __init__(self, loop, rng):
        self._loop = loop
        self._rng = rng
        self._main = getcurrent()
        self.current: Any = None
        """The thread that runs now; None: the loop does."""
        self.lag_s = 0.0
        """How long a thread that may go on waits for its turn, at most."""

    def start(self, func, *args):
        """A new thread, that begins in a moment."""
        thread = SimThread(self, func, args)
        self.go_on(thread)
        return thread

    def run(self, func, args, done):
        """As `start`; the result goes to a future of the loop."""

        def work():
            result = func(*args)
            self._loop.call_soon_threadsafe(_give, done, result)

        self.start(work)

    def sleep(self, wait_s):
        """Let this thread wait; the loop goes on meanwhile.  The loop itself never waits here."""
        if self.current is not None:
            self._loop.at(wait_s, self.current.resume)
            self._main.switch()

    def block(self):
        """Let this thread wait until `go_on`."""
        self._main.switch()

    def go_on(self, thread):
        """A thread may go on, soon."""
        self._loop.at(self._rng.random() * self.lag_s, thread.resume)


class SimThread:
    """One thread; `join` waits for its end, from another one."""

    def __init__(self, workers, func, args):
        self._workers = workers
        self._func = func
        self._args = args
        self._waiting: list[SimThread] = []
        self._inner = greenlet(self._run)
        self._inner.gr_context = contextvars.copy_context()
        self.failure: BaseException | None = None
        self.ended = False

    def _run(self):
        try:
            self._func(*self._args)
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001  # What it dies of is for the judge.
            self.failure = error
        finally:
            self.ended = True
            for other in self._waiting:
                self._workers.go_on(other)

    def resume(self):
        """Run it until it waits again."""
        if not self.ended:
            self._enter(self._inner.switch)

    def kill(self):
        """It never goes on; what it was about is left as it is."""
        if not self.ended:
            self._enter(self._inner.throw, GreenletExit)
        self.ended = True

    def _enter(self, way, *args):
        before, self._workers.current = self._workers.current, self
        try:
            way(*args)
        finally:
            self._workers.current = before

    def join(self):
        while not self.ended:
            self._waiting.append(self._workers.current)
            self._workers.block()


class SimQueue:
    """`queue.SimpleQueue` between the loop and one thread."""

    def __init__(self, workers):
        self._workers = workers
        self._items: deque[Any] = deque()
        self._waiting: SimThread | None = None

    def put(self, item):
        self._items.append(item)
        if self._waiting is not None:
            thread, self._waiting = self._waiting, None
            self._workers.go_on(thread)

    def get(self):
        while not self._items:
            self._waiting = self._workers.current
            self._workers.block()
        return self._items.popleft()

    def get_nowait(self):
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


def _give(done, result):
    if not done.done():
        done.set_result(result)
