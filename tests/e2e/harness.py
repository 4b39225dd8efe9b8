"""A whole telcod to test against: in this process, or as a process of its own.

Both serve a folder of the test's and are waited for by what they say and log, never by time.
"""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog

import handlers
from telcod import log
from telcod.app import Daemon
from telcod.billing.accounts import main_account
from telcod.rows import ACCOUNT, LIST_ENTRY, MO, OUTBOX_SMS, OutboxState
from telcod.service import with_sessions
from telcod.settings import FILE_NAME, load
from telcod.simulator.watch import WAIT_S, Watch
from telcod.types import Channel, Request
from tests.world import World

DATABASE = "telcod.db"
SHORT_CODES = ("1566", "9223")
EXIT_S = 10
"""CLI-1: SIGTERM ends it within 10 s."""


def link(smsc, name="a", **settings):
    """A `[[smpp.links]]` to an SMSC of ours or of others, quick to come back."""
    return {
        "name": name,
        "host": "127.0.0.1",
        "port": smsc.port,
        "system_id": "telcod",
        "password": "secret",
        "short_codes": list(SHORT_CODES),
        "reconnect_min_s": 0.1,
        "reconnect_max_s": 0.5,
    } | settings


def write_settings(folder, *links, **sections):
    """Write `telcod.toml` and give its path; a section is a dict, `limits` makes its own file."""
    limits = sections.pop("limits", None)
    if limits is not None:
        lines = [line for name, table in limits.items() for line in _table(f"[{name}]", table)]
        (folder / "limits.toml").write_text("\n".join(lines), encoding="utf-8")
    tables = {
        "store": {"url": f"sqlite:{DATABASE}", "reserve_mb": 1},
        "http": {"port": 0},
        "smpp.timers": {"throttle_base_s": 0.01, "unbind_wait_s": 0.5},
    } | sections
    lines = [line for name, table in tables.items() for line in _table(f"[{name}]", table)]
    lines += [line for table in links for line in _table("[[smpp.links]]", table)]
    path = folder / FILE_NAME
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _table(head, table):
    # JSON's way to write texts, numbers, truth and lists of texts is also TOML's.
    return [head, *(f"{key} = {json.dumps(value)}" for key, value in table.items())]


def subscribers(folder, *lines):
    """Put subscribers into the books of a folder where no telcod runs yet."""
    with World(folder / DATABASE) as world:
        world.import_(*lines)


class Log(io.StringIO):
    """Keeps the JSON lines that are logged, from any thread, and wakes those who wait for one."""

    def __init__(self, watch):
        super().__init__()
        self.text = ""
        self._watch = watch
        self._loop = asyncio.get_running_loop()

    def write(self, line):
        self.text += line
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._watch.changed)
        return len(line)

    def events(self, name):
        lines = [json.loads(line) for line in self.text.splitlines() if line.strip()]
        return [line for line in lines if line["event"] == name]


class Telcod:
    """A `Daemon` on this event loop; `async with Telcod(folder, link(smsc)) as telcod:`."""

    def __init__(self, folder, *links, clock=None, routes=None, **sections):
        self.path = write_settings(folder, *links, **sections)
        self.folder = folder
        self.told = []
        self.watch = Watch()
        self.log: Any = None
        self.daemon: Any = None
        self._clock = clock
        self._routes = with_sessions(routes or handlers.ROUTES)
        self._stop = asyncio.Event()
        self._running: Any = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()
        structlog.reset_defaults()

    async def start(self):
        """Start it, or start it again on the same folder."""
        self.log = self.log or Log(self.watch)
        log.configure(level="debug", stream=self.log, cached=False)
        self._stop.clear()
        self.daemon = Daemon(
            load(self.path, {}), clock=self._clock, told=self._tell, routes=self._routes
        )
        self._running = asyncio.create_task(self.daemon.run(self._stop))
        ready = asyncio.create_task(self.daemon.ready.wait())
        await asyncio.wait((ready, self._running), return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            ready.cancel()
            await self._running

    async def stop(self):
        """As SIGTERM does."""
        self._stop.set()
        if self._running is not None:
            running, self._running = self._running, None
            async with asyncio.timeout(EXIT_S):
                await running

    def _tell(self, line):
        self.told.append(line)
        self.watch.changed()

    def count_told(self, part):
        return sum(part in line for line in self.told)

    async def wait_told(self, part, times=1):
        """Wait until so many of its lines have held these words."""
        await self.watch.until(lambda: self.count_told(part) >= times, what=f"{part!r} {times}x")

    async def wait_bound(self, name="a", times=1):
        """Wait until a link has been bound so often since the first start."""
        await self.wait_told(f"link {name} is bound", times)

    async def wait_logged(self, event, times=1):
        """Wait for log lines of this name, and give them."""
        await self.watch.until(lambda: len(self.log.events(event)) >= times, what=event)
        return self.log.events(event)

    async def subscribers(self, *lines):
        """Import subscribers, as the web does."""
        usual = {"kind": "prepaid", "state": "active", "balance_vnd": 20_000}
        body = {"lines": [usual | line for line in lines]}
        await self.daemon.submit(Request("staff.import", channel=Channel.STAFF, body=body))

    async def rows(self, table):
        """The rows of a table, as committed."""
        return await self.daemon.reader.all(table)

    async def journal(self):
        return await self.rows(MO)

    async def outbox(self):
        return await self.rows(OUTBOX_SMS)

    async def balance(self, msisdn):
        [row] = [row for row in await self.rows(ACCOUNT) if row.id == main_account(msisdn)]
        return row.posted

    async def listed(self, owner):
        return sorted(row.number for row in await self.rows(LIST_ENTRY) if row.owner == owner)

    async def wait_batches(self, condition):
        """Wait until a question about the books is answered yes, asked after every batch."""
        batches = asyncio.Event()
        seen = self.daemon.engine.on_batch

        def on_batch(stats):
            seen(stats)
            batches.set()

        self.daemon.engine.on_batch = on_batch
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                await batches.wait()
                batches.clear()

    async def wait_settled(self, count):
        """Wait until so many texts have been sent or given up, all that there are; their states."""

        async def settled():
            states = [row.state for row in await self.outbox()]
            return len(states) >= count and OutboxState.PENDING not in states

        await self.wait_batches(settled)
        return [OutboxState(row.state) for row in await self.outbox()]


class TelcodProcess:
    """`python -m telcod run` on a folder; `async with TelcodProcess(folder) as telcod:`."""

    def __init__(self, folder, *options, environ=None):
        self.folder = folder
        self.out = []
        self.errors = []
        self._options = options
        self._environ = os.environ | (environ or {})
        self._watch = Watch()
        self._process: Any = None
        self._reading: Any = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        if self._process is not None:
            await self.kill()

    async def start(self, *, ready=True):
        """Start the process; wait until HTTP listens, unless it is not to come so far."""
        started = sum("HTTP listens" in line for line in self.out)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "telcod", "run", "--config", str(self.folder / FILE_NAME)),
            *self._options,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir()),
            env=self._environ,
            limit=1 << 20,
        )
        self._reading = asyncio.gather(
            self._read(self._process.stdout, self.out),
            self._read(self._process.stderr, self.errors),
        )
        if ready:
            await self.wait_line("HTTP listens", started + 1)

    @property
    def said(self):
        """All that it wrote to its standard output and error."""
        return "".join((*self.out, *self.errors))

    async def wait_line(self, part, times=1, *, wait_s=2 * WAIT_S):
        """Wait until so many lines of either stream have held these words."""

        def there():
            return sum(part in line for line in (*self.out, *self.errors)) >= times

        try:
            await self._watch.until(there, what=f"{part!r} {times}x", wait_s=wait_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it said: {self.said[-2000:]}") from error

    async def wait_exit(self, *, wait_s=EXIT_S):
        """Wait for its end, and give the exit code."""
        async with asyncio.timeout(wait_s):
            await self._reading
            code = await self._process.wait()
        self._process = None
        return code

    async def terminate(self):
        """SIGTERM, and the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await self.wait_exit()

    async def kill(self):
        """Kill -9."""
        self._process.kill()
        return await self.wait_exit()

    def hup(self):
        """SIGHUP: read the rules again."""
        self._process.send_signal(signal.SIGHUP)

    async def _read(self, stream, lines):
        while line := await stream.readline():
            lines.append(line.decode())
            self._watch.changed()
