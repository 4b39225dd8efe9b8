"""telcod as a process that may die: run as an operator runs it, by strace if a call is to fail.

strace counts the calls of each thread for itself: "the 40th pwrite64" is the writer's in the middle
of a batch, "the third" is one of the start.  A SIGKILL it injects comes before the call is made.
"""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
PLANTED = Path(__file__).with_name("planted_daemon.py")
START_S = 5.0
"""F2: a restart takes less."""
TRACED_START_S = 20.0  # Of a process that stops at each system call.


@dataclass(frozen=True)
class Injection:
    """What (`signal=KILL`, `error=EIO`) happens at which calls; `when` is strace's: 3, 3+, 3..9."""

    call: str
    what: str
    when: str
    path: Path | None = None  # Only calls on this file count.

    def strace(self, log):
        """The strace command that does it, without the command that it runs."""
        only = () if self.path is None else ("-P", str(self.path))
        return (
            *("strace", "-f", "-qq", "-o", str(log), *only, "-e", f"trace={self.call}"),
            *("-e", f"inject={self.call}:{self.what}:when={self.when}", "--"),
        )


@cache
def why_no_strace():
    """Why no system call can be made to fail here; "" if it can.  Nothing stands in for it."""
    probe = Injection("getcwd", "signal=KILL", "1").strace(os.devnull)
    try:
        done = subprocess.run(
            [*probe, sys.executable, "-c", "import os; os.getcwd()"],
            check=False,
            capture_output=True,
            timeout=TRACED_START_S,
        )
    except FileNotFoundError:
        return "strace is not installed"
    if done.returncode not in {-signal.SIGKILL, 128 + signal.SIGKILL}:
        return f"strace can't inject: {done.stderr.decode(errors='replace')[-300:]}"
    return ""


class TelcodProcess:
    """`telcod run` on a configuration; what it says and logs goes to `said`.  Use `async with`.

    `inside` is a command before the command, that runs it somewhere else.
    """

    def __init__(self, config, said, *, injection=None, plant="", changed=lambda: None, inside=()):
        self._config = config
        self._said = said
        self._injection = injection
        self._plant = plant
        self._inside = inside
        self._changed = changed
        self._process: Any = None
        self._waiter: Any = None
        self.strace_log = said.with_suffix(".strace")

    @property
    def returncode(self):
        """None while it lives; negative if a signal ended it."""
        return self._process.returncode

    async def __aenter__(self):
        command = (
            (sys.executable, str(PLANTED), self._plant, str(self._config))
            if self._plant
            else (sys.executable, "-m", "telcod", "run", "--config", str(self._config))
        )
        if self._injection is not None:
            assert not why_no_strace(), why_no_strace()
            command = self._injection.strace(self.strace_log) + command
        command = (*self._inside, *command)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TELCOD_")}
        with self._said.open("ab") as said:
            # A group of its own: strace and telcod die together.
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=ROOT,
                env=environ | {"PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        self._waiter = asyncio.get_running_loop().create_task(self._process.wait())
        self._waiter.add_done_callback(lambda _: self._changed())
        return self

    async def __aexit__(self, *_):
        self.kill()
        await self._waiter

    def kill(self):
        """SIGKILL, now."""
        if self.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def terminate(self):
        """SIGTERM to telcod itself: strace would let go of it instead of passing it on."""
        os.kill(self._pid(), signal.SIGTERM)

    async def exited(self, *, wait_s):
        """Wait for its end; its return code.

        Raises:
            TimeoutError: It still runs after `wait_s` seconds.
        """
        async with asyncio.timeout(wait_s):
            return await asyncio.shield(self._waiter)

    def _pid(self):
        if self._injection is None:
            return self._process.pid
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
