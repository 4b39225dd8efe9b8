"""An event loop whose time is simulated: it jumps to the next timer when nothing is ready.

The standard loop's own machinery runs the callbacks (`asyncio.BaseEventLoop`); only its waiting is
replaced.  Everything that a real machine leaves open comes from one seeded source of chance: timers
fire a little late and so in any order among equals, and what a thread hands to the loop arrives
some time after.  What asyncio promises is kept: `call_soon` is first in, first out.
"""

import asyncio
import itertools
from collections import deque
from typing import Any

JITTER_S = 0.001
SLACKENED_S = 0.2  # A shorter wait is not for the clock, it is for something that happens.


class Stuck(Exception):
    """Nothing is ready and no timer runs: everybody waits for somebody."""


class SimTask(asyncio.Task):
    """A task that is counted, so that sets of tasks are walked in the same order in every run."""

    _serials = itertools.count(1)

    def __init__(self, *args, **options):
        self._serial = next(SimTask._serials)
        super().__init__(*args, **options)

    def __hash__(self):
        return self._serial

    @classmethod
    def count_from_one(cls):
        cls._serials = itertools.count(1)


class SimLoop(asyncio.BaseEventLoop):
    """See the module.

    Args:
        rng: The source of chance.

    `network` and `workers` are set by whoever makes it.  `slack_s`: how late all but short timers
    of the product may fire, in seconds: a machine with much else to do.  It makes quiet hours
    cheap.  `observers` are called whenever time moves on.
    """

    def __init__(self, rng):
        super().__init__()
        self.slack_s = 0.0
        self.observers = []
        self.failures = []  # What no task caught.
        self.thread_delay_s = 0.0
        self._rng = rng
        self._now_s = 0.0
        self._selector = self
        self._mailbox: deque[asyncio.Handle] = deque()
        self._mail_due = False
        self.network: Any = None
        self.workers: Any = None
        SimTask.count_from_one()
        self.set_task_factory(lambda loop, coro, **more: SimTask(coro, loop=loop, **more))
        self.set_exception_handler(self._failed)

    # -- what `BaseEventLoop` asks of whoever makes it complete

    def time(self):
        return self._now_s

    def select(self, timeout):
        if timeout is None:
            raise Stuck
        if timeout > 0:
            for observer in self.observers:
                observer()
            self._now_s += timeout
        return ()

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass

    # -- time

    def call_at(self, when, callback, *args, context=None):  # type: ignore[override]
        """A timer of the product."""
        if self.slack_s and when - self._now_s >= SLACKENED_S:
            when += self.slack_s - when % self.slack_s
        else:
            when += self._rng.random() * JITTER_S
        return super().call_at(when, callback, *args, context=context)

    def at(self, wait_s, callback, *args, context=None):
        """An event of the world outside, on time."""
        return super().call_at(self._now_s + wait_s, callback, *args, context=context)

    async def pause(self, wait_s):
        """Wait in the world outside, on time."""
        done = self.create_future()
        self.at(wait_s, _give, done)
        await done

    async def be_prompt(self):
        """No slack any more; goes on when the last late timer has fired."""
        slack_s, self.slack_s = self.slack_s, 0.0
        if slack_s:
            await self.pause(slack_s - self._now_s % slack_s + 1.0)

    # -- connections and threads

    async def create_connection(self, protocol_factory, host=None, port=None, **more):
        return await self.network.connect(protocol_factory, host, port)

    def call_soon_threadsafe(self, callback, *args, context=None):  # type: ignore[override]
        """What threads say arrives in their order, after a while."""
        handle = asyncio.Handle(callback, args, self, context)
        self._mailbox.append(handle)
        if not self._mail_due:
            self._mail_due = True
            self.at(self._rng.random() * self.thread_delay_s, self._open_mailbox)
        return handle

    def _open_mailbox(self):
        self._mail_due = False
        ready = vars(self)["_ready"]
        while self._mailbox:
            ready.append(self._mailbox.popleft())

    def run_in_executor(self, executor, func, *args):  # type: ignore[override]
        done = self.create_future()
        self.workers.run(func, args, done)
        return done

    # -- ends

    def _failed(self, loop, context):
        self.failures.append(context.get("exception") or context["message"])


def _give(done):
    if not done.done():
        done.set_result(None)
